from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pose_format import Pose

import pose_diffusion
from pose_diffusion.commands.errors import CommandError
from pose_diffusion.commands.generate_pose import MAX_TEXT_FILE, main, read_embedding, read_text_file
from pose_diffusion.commands.generation_options import NOTATIONS
from pose_diffusion.files import read_pose, write_pose
from pose_diffusion.notation import NOTATIONS as ALL_NOTATIONS
from pose_diffusion.notation import Embedding, Text
from tests.browser import ask
from tests.models import TINY, random_model
from tests.poses import assert_same_bits, constructed_pose

SIGN = "M518x529S14c20481x471S27106503x489"
SHORT = ("--frames", 12, "--steps", 2)
KNOWN = (Text("hello", "words", "ase"), Text("a", "words", "gsg"), Text(SIGN, "signwriting", "ase"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model without training that reads text and embeddings of width 8."""
    folder = tmp_path_factory.mktemp("model") / "model"
    made = random_model(replace(TINY, text_layers=1, embedding_width=8))
    pose_diffusion.PoseDiffusion(made.denoiser, KNOWN).save(folder)
    return folder


def generate(*argv: object, model: Path) -> int:
    return main([str(arg) for arg in (*argv, "--model", model)])


def expected(text: Any, model: Path, **settings: Any) -> Pose:
    """What the Python function gives, as a file holds it."""
    defaults: dict[str, Any] = {"frames": 12, "steps": 2, "language": "ase"}
    return pose_diffusion.generate(text, model=model, **defaults | settings)


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """A file with a person."""
    write_pose(constructed_pose(5, fps=30), tmp_path / "person.pose")
    return tmp_path / "person.pose"


def assert_written(path: Path, pose: Pose) -> None:
    """The file holds the pose."""
    write_pose(pose, path.with_name("expected.pose"))
    assert_same_bits(read_pose(path), read_pose(path.with_name("expected.pose")))
    path.with_name("expected.pose").unlink()


def test_it_writes_what_the_function_returns_and_says_nothing(model: Path, tmp_path: Path,
                                                              capfd: pytest.CaptureFixture[str]) -> None:
    assert generate("hello", "-o", tmp_path / "x.pose", "--language", "ase", *SHORT, model=model) == 0
    assert capfd.readouterr() == ("", "")
    assert_written(tmp_path / "x.pose", expected("hello", model))


def test_the_options_reach_the_model(model: Path, tmp_path: Path) -> None:
    plain = expected("hello", model)
    for options, settings in ((("--steps", 3), {"steps": 3}), (("--guidance", 5), {"guidance": 5.0}),
                              (("--seed", 9), {"seed": 9}), (("--frames", 20), {"frames": 20}),
                              (("--fps", 12.5), {"fps": 12.5}),
                              (("--guidance-interval", 0, 1), {"guidance_interval": (0.0, 1.0)})):
        argv = [*SHORT, *options, "--language", "ase"]
        assert generate("hello", "-o", tmp_path / "x.pose", *argv, model=model) == 0
        changed = expected("hello", model, **settings)
        assert_written(tmp_path / "x.pose", changed)
        assert changed.body.fps != plain.body.fps or not np.array_equal(changed.body.data, plain.body.data), options
    assert generate("hello", "-o", tmp_path / "x.pose", "--language", "ase", "--seconds", 0.4, "--steps", 2,
                    model=model) == 0
    assert len(read_pose(tmp_path / "x.pose").body.data) == 10


def test_the_notation_is_found_or_given(model: Path, tmp_path: Path) -> None:
    for notation in (None, "signwriting"):
        options = ("--notation", notation) if notation else ()
        assert generate(SIGN, "-o", tmp_path / "x.pose", "--language", "ase", *options, *SHORT, model=model) == 0
        assert_written(tmp_path / "x.pose", expected(SIGN, model))
    assert set(NOTATIONS) == set(ALL_NOTATIONS)


def test_the_first_pose_and_key_frames_are_kept(model: Path, tmp_path: Path, person: Path) -> None:
    other = constructed_pose(1, fps=30, seed=1)
    write_pose(other, tmp_path / "key.pose")
    assert generate("hello", "-o", tmp_path / "x.pose", "--language", "ase", *SHORT, "--first-pose", person,
                    "--keyframe", f"0.2={tmp_path / 'key.pose'}", model=model) == 0
    made, first = read_pose(tmp_path / "x.pose"), read_pose(person)
    assert made.body.fps == 30
    assert np.array_equal(made.body.data[0], first.body.data[0])
    assert_written(tmp_path / "x.pose", expected("hello", model, first_pose=first, fps=30.0, keyframes={0.2: other}))
    soft = expected("hello", model, first_pose=first, fps=30.0, keyframes={0.2: other}, softness=.3)
    assert generate("hello", "-o", tmp_path / "x.pose", "--language", "ase", *SHORT, "--first-pose", person,
                    "--keyframe", f"0.2={tmp_path / 'key.pose'}", "--softness", .3, model=model) == 0
    assert_written(tmp_path / "x.pose", soft)
    assert not np.array_equal(soft.body.data[6], made.body.data[6])


def test_texts_come_from_files_embeddings_or_nowhere(model: Path, tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("\ufeff hello \n", "utf-8")
    values = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    np.save(tmp_path / "e.npy", values)
    for options, text in ((("--text-file", tmp_path / "hello.txt"), "hello"),
                          (("--embedding", tmp_path / "e.npy"), Embedding(values)), (("--no-text",), None)):
        language = "ase" if isinstance(text, str) else "und"
        assert generate(*options, "-o", tmp_path / "x.pose", "--language", language, *SHORT, model=model) == 0
        assert_written(tmp_path / "x.pose", expected(text, model, language=language))


def test_the_length_is_predicted_or_drawn(model: Path, tmp_path: Path) -> None:
    lengths = {}
    for name, options in (("usual", ()), ("drawn", ("--sample-length",)), ("again", ("--sample-length",)),
                          ("other", ("--sample-length", "--seed", 3))):
        assert generate("hello", "-o", tmp_path / "x.pose", "--language", "ase", "--steps", 1, "--fps", 100, *options,
                        model=model) == 0
        lengths[name] = len(read_pose(tmp_path / "x.pose").body.data)
    predicted = pose_diffusion.predict_seconds("hello", language="ase", model=model)
    assert lengths["usual"] == pytest.approx(100 * predicted, abs=1)
    assert lengths["drawn"] == lengths["again"]
    assert len({lengths["usual"], lengths["drawn"], lengths["other"]}) == 3


def test_what_the_model_knows_is_listed(model: Path, small_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate("--list-texts", model=model) == 0
    assert capsys.readouterr().out == f"ase\tsignwriting\t{SIGN}\nase\twords\thello\ngsg\twords\ta\n"
    assert generate("--list-texts", model=small_model) == 1
    assert "was not trained on texts" in capsys.readouterr().err


def test_an_unknown_word_is_a_warning_in_one_line(model: Path, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert generate("hallo", "-o", tmp_path / "x.pose", "--language", "ase", *SHORT, model=model) == 0
    warned = capsys.readouterr().err
    assert warned.startswith("generate_pose: warning: ")
    assert "hello" in warned
    assert warned.count("\n") == 1


@pytest.mark.parametrize("ending", ["gif", "mp4", "html"])
def test_the_preview_is_drawn(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], ending: str) -> None:
    drawn = tmp_path / f"x.{ending}"
    assert generate("hello", "-o", tmp_path / "x.pose", "--language", "ase", *SHORT, "--preview", drawn,
                    model=model) == 0
    if ending == "html":
        assert ask(drawn, "return ink();")[0] > 500
    else:
        assert drawn.stat().st_size > 2000
    assert capfd.readouterr() == ("", "")


def test_a_sweep_is_one_page_with_all_results(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "x.html"
    assert generate("hello", "-o", page, "--language", "ase", *SHORT, "--sweep", "guidance=1,2,4", "--sweep",
                    "steps=1,3", model=model) == 0
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]
    found = ask(page, """return {ink: ink(), title: document.title,
        labels: [...document.querySelectorAll("strong")].map(e => e.innerText),
        notes: [...document.querySelectorAll("figcaption span")].map(e => e.innerText)};""")
    assert found["labels"] == [f"guidance {g}, steps {s}" for g in (1, 2, 4) for s in (1, 3)]
    assert min(found["ink"]) > 500
    assert found["title"] == "hello"
    assert all(note.startswith("0.48 s long, made in ") for note in found["notes"])


@pytest.mark.parametrize("argv", [
    (), ("hello",), ("hello", "--no-text", "-o", "x.pose"),
    ("hello", "-o", "x.pose", "--frames", "3", "--seconds", "1"),
    ("--no-text", "-o", "x.pose", "--language", "ase"), ("hello", "-o", "x.pose", "--keyframe", "x.pose"),
    ("hello", "-o", "x.pose", "--keyframe", "-1=x.pose"),
    ("hello", "-o", "x.pose", "--keyframe", "1=x.pose", "--keyframe", "1.0=y.pose"),
    ("hello", "-o", "x.pose", "--sweep", "steps=1"), ("hello", "-o", "x.html", "--sweep", "tempo=1"),
    ("hello", "-o", "x.html", "--sweep", "steps=1,2", "--sweep", "steps=3"),
    ("hello", "-o", "x.html", "--sweep", "steps=1", "--preview", "x.gif"),
    ("hello", "-o", "x.html", "--sweep", "steps=1,2,3,4,5,6,7,8,9", "--sweep", "seed=1,2,3,4,5,6,7,8"),
    ("hello", "-o", "x.pose", "--preview", "x.png"), ("hello", "-o", "x.pose", "--guidance-interval", "1", "nan"),
])
def test_wrong_usage_is_told_before_anything_is_done(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "generate_pose: error: " in capsys.readouterr().err


@pytest.mark.parametrize(("argv", "named"), [
    (("hello", "-o", "{in}"), "{in}: "),
    (("hello", "-o", "{in}/none/x.pose"), "{in}/none/x.pose: "),
    (("hello", "-o", "{in}/x.pose", "--first-pose", "{in}/none.pose"), "{in}/none.pose: "),
    (("hello", "-o", "{in}/x.pose", "--keyframe", "0.2={in}/none.pose"), "{in}/none.pose: "),
    (("hello", "-o", "{in}/x.pose", "--first-pose", "{in}/two.pose"), "{in}/two.pose: shows 2 people"),
    (("hello", "-o", "{in}/x.pose", "--keyframe", "0.2={in}/two.pose"), "{in}/two.pose: shows 2 people"),
    (("hello", "-o", "{in}/x.pose", "--keyframe", "9={in}/one.pose"), "{in}/one.pose: the result has 12 frames"),
    (("hello", "-o", "{in}/x.pose", "--language", "elvish"), "elvish"),
    (("  ", "-o", "{in}/x.pose"), "empty"),
    (("M500", "-o", "{in}/x.pose", "--notation", "signwriting"), "M500: "),
    (("--text-file", "{in}/none.txt", "-o", "{in}/x.pose"), "{in}/none.txt: "),
    (("--embedding", "{in}/wide.npy", "-o", "{in}/x.pose"), "{in}/wide.npy: "),
    (("hello", "-o", "{in}/x.pose", "--device", "abacus"), "abacus"),
])
def test_what_cannot_be_used_is_named_in_one_line(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                  argv: tuple[str, ...], named: str) -> None:
    write_pose(constructed_pose(2, people=2), tmp_path / "two.pose")
    write_pose(constructed_pose(1), tmp_path / "one.pose")
    np.save(tmp_path / "wide.npy", np.ones((1, 9)))
    before = sorted(tmp_path.iterdir())
    assert generate(*(arg.replace("{in}", str(tmp_path)) for arg in argv), *SHORT, model=model) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("generate_pose: error: ")
    assert named.replace("{in}", str(tmp_path)) in error
    assert sorted(tmp_path.iterdir()) == before


def test_without_a_text_it_asks_for_a_length(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate("--no-text", "-o", tmp_path / "x.html", "--sweep", "seed=1,2", model=model) == 1
    assert capsys.readouterr().err.startswith("generate_pose: error: no text: ")
    assert not list(tmp_path.iterdir())


def test_text_files_are_read_without_trust(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    for content, message in ((b"", "holds no text"), (b" \n\t", "holds no text"), (b"\xff\xfe", "codec can't decode"),
                             (b"a" * (MAX_TEXT_FILE + 1), "more than 65536 bytes")):
        path.write_bytes(content)
        with pytest.raises(CommandError, match=message) as caught:
            read_text_file(path)
        assert str(caught.value).startswith(str(path))
    with pytest.raises(CommandError):
        read_text_file(tmp_path)


def test_embeddings_are_read_without_trust(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(5.0))
    assert np.array_equal(read_embedding(path).values, [[0, 1, 2, 3, 4]])
    whole = path.read_bytes()
    pickled = tmp_path / "pickled.npy"
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.save(tmp_path / "nan.npy", np.array([np.nan]))
    np.save(tmp_path / "empty.npy", np.ones((0, 4)))
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 2)))
    np.savez(tmp_path / "archive.npz", a=np.ones(3))
    (tmp_path / "cut.npy").write_bytes(whole[:-3])
    (tmp_path / "junk.npy").write_bytes(b"\x93NUMPY" + bytes(100))
    (tmp_path / "huge.npy").write_bytes(whole.replace(b"(5,)", b"(99999999999,)"))
    for bad in sorted({*tmp_path.iterdir()} - {path}):
        with pytest.raises(CommandError) as caught:
            read_embedding(bad)
        assert str(caught.value).startswith(str(bad))
        assert "\n" not in str(caught.value)


def test_ctrl_c_ends_it_at_once_and_leaves_nothing(model: Path, tmp_path: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    assert generate("hello", "-o", tmp_path / "x.pose", "--language", "ase", "--frames", 400, "--steps", 1000,
                    model=model) == 130
    assert capsys.readouterr().err == "generate_pose: interrupted\n"
    assert not list(tmp_path.iterdir())


def test_as_a_command_it_leaves_with_the_exit_code_and_no_traceback(model: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "pose_diffusion.commands.generate_pose", "hello", "--model",
                                 model, "--steps", "1"]
    done = subprocess.run([*command, "--language", "ase", "--frames", "3", "-o", tmp_path / "x.pose"],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    failed = subprocess.run([*command, "--language", "elvish", "-o", tmp_path / "y.pose"],
                            capture_output=True, text=True)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("generate_pose: error: ")
    assert failed.stderr.count("\n") == 1
