from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pose_format import Pose

import pose_diffusion
from pose_diffusion.commands.compose_poses import main
from pose_diffusion.files import read_pose, write_pose
from pose_diffusion.notation import Text
from pose_diffusion.tasks.compose import spell
from tests.browser import ask
from tests.models import TINY, random_model
from tests.poses import assert_same_bits, constructed_pose

KNOWN = tuple(Text(text, "words", "ase") for text in ("hello", "thanks", "a", "n"))
QUICK = ("--steps", 1, "--language", "ase")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model without training that reads text."""
    folder = tmp_path_factory.mktemp("model") / "model"
    pose_diffusion.PoseDiffusion(random_model(replace(TINY, text_layers=1)).denoiser, KNOWN).save(folder)
    return folder


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    """A file of a person."""
    write_pose(constructed_pose(15), tmp_path / "sign.pose")
    return tmp_path / "sign.pose"


def compose(*argv: object, model: Path) -> int:
    return main([str(arg) for arg in (*argv, "--model", model)])


def assert_written(path: Path, pose: Pose) -> None:
    write_pose(pose, path.with_name("expected.pose"))
    assert_same_bits(read_pose(path), read_pose(path.with_name("expected.pose")))


def test_texts_files_and_full_stops_in_their_order(model: Path, sign: Path, tmp_path: Path,
                                                   capfd: pytest.CaptureFixture[str]) -> None:
    assert compose("hello", ".", sign, "thanks", "-o", tmp_path / "x.pose", "--pause", 0.4, *QUICK, model=model) == 0
    assert capfd.readouterr() == ("", "")
    expected = pose_diffusion.compose(["hello", ".", read_pose(sign), "thanks"], language="ase", pause=0.4, steps=1,
                                      model=model)
    assert_written(tmp_path / "x.pose", expected)


def test_the_options_reach_the_function(model: Path, sign: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"seconds": 0.2, "hold": 0.2, "tempo": 1.5, "guidance": 3.0, "seed": 4, "steps": 2,
                               "fps": 20.0}
    interval = ("--guidance-interval", 0, 1)
    argv = [word for name, value in options.items() for word in (f"--{name}", value)]
    for more, together in (((), False), (("--together",), True)):
        assert compose("hello", "thanks", "-o", tmp_path / "x.pose", "--language", "ase", "--first-pose", sign, *argv,
                       *interval, *more, model=model) == 0
        made = read_pose(tmp_path / "x.pose")
        assert made.body.fps == 20
        assert np.array_equal(made.body.data[0], read_pose(sign).body.data[0])
        assert_written(tmp_path / "x.pose", pose_diffusion.compose(
            ["hello", "thanks"], language="ase", first_pose=read_pose(sign), model=model, guidance_interval=(0.0, 1.0),
            together=together, **options))


def test_words_are_spelled_where_that_is_asked_for(model: Path, tmp_path: Path) -> None:
    assert compose("hello", "spell:an", "-o", tmp_path / "x.pose", *QUICK, model=model) == 0
    items = ["hello", *spell("an", "ase")]
    assert len(items) == 3
    assert_written(tmp_path / "x.pose", pose_diffusion.compose(items, language="ase", steps=1, model=model))


def test_the_preview_is_drawn(model: Path, tmp_path: Path) -> None:
    assert compose("hello", "thanks", "-o", tmp_path / "x.pose", "--preview", tmp_path / "x.html", *QUICK,
                   model=model) == 0
    assert ask(tmp_path / "x.html", "return ink();")[0] > 500


@pytest.mark.parametrize(("argv", "named"), [
    (("hello", "{in}/none.pose", "-o", "{in}/x.pose"), "{in}/none.pose: "),
    (("hello", "{in}/text.txt", "-o", "{in}/x.pose"), "{in}/text.txt: "),
    (("hello", "-o", "{in}/none/x.pose"), "{in}/none/x.pose: "),
    (("hello", "-o", "{in}/x.pose", "--first-pose", "{in}/none.pose"), "{in}/none.pose: "),
    (("hello", "\ue001x", "-o", "{in}/x.pose"), "error: \ue001x: "),
    (("hello", "{in}/two.pose", "-o", "{in}/x.pose"), "{in}/two.pose: shows 2 people"),
    (("hello", "-o", "{in}/x.pose", "--first-pose", "{in}/two.pose"), "{in}/two.pose: shows 2 people"),
    (("spell:", "-o", "{in}/x.pose"), "spell:"),
])
def test_what_cannot_be_composed_is_named_in_one_line(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                      argv: tuple[str, ...], named: str) -> None:
    (tmp_path / "text.txt").write_text("no pose")
    write_pose(constructed_pose(2, people=2), tmp_path / "two.pose")
    before = sorted(tmp_path.iterdir())
    assert compose(*(arg.replace("{in}", str(tmp_path)) for arg in argv), *QUICK, model=model) == 1
    error = capsys.readouterr().err
    assert error.startswith("compose_poses: error: ")
    assert named.replace("{in}", str(tmp_path)) in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_as_a_command_it_leaves_with_the_exit_code_and_no_traceback(model: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "pose_diffusion.commands.compose_poses", "hello", "--model",
                                 model, "--steps", "1", "-o", tmp_path / "x.pose"]
    done = subprocess.run([*command, "--language", "ase"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    failed = subprocess.run([*command, "--language", "elvish"], capture_output=True, text=True)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
