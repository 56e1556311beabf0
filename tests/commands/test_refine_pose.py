from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pose_format import Pose

import pose_diffusion
from pose_diffusion.commands.refine_pose import main
from pose_diffusion.files import read_pose, write_pose
from pose_diffusion.layout import FACE, RIGHT_HAND
from tests.poses import assert_same_bits, constructed_pose, part

COMMAND = (sys.executable, "-m", "pose_diffusion.commands.refine_pose")


def refine(*argv: object) -> int:
    return main([str(arg) for arg in argv])


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file and what is in it."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_writes_what_the_function_returns(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refine("-i", source, "-o", tmp_path / "b.pose") == 0
    assert_same_bits(read_pose(tmp_path / "b.pose"), pose_diffusion.refine(read_pose(source)))
    assert capsys.readouterr() == ("", "")


def test_a_lost_hand_comes_back_and_the_rest_stays(source: Path, pose: Pose, tmp_path: Path) -> None:
    assert refine("--input", source, "--output", tmp_path / "b.pose", "--only-masked") == 0
    refined = read_pose(tmp_path / "b.pose")
    seen = pose.body.confidence > 0
    hand = refined.body.confidence[8:16, 0, part(pose, RIGHT_HAND)]
    assert ((hand > 0) & (hand < 1)).all()
    assert np.array_equal(refined.body.data.data[seen], pose.body.data.data[seen])
    assert np.array_equal(refined.body.confidence[seen], pose.body.confidence[seen])


def test_the_options_reach_the_model(source: Path, tmp_path: Path, small_model: Path) -> None:
    options = ("--strength", 0.5, "--keep", FACE, "POSE_LANDMARKS:NOSE", "--steps", 3, "--seed", 7)
    assert refine("-i", source, "-o", tmp_path / "b.pose", *options, "--model", small_model) == 0
    expected = pose_diffusion.refine(read_pose(source), strength=0.5, keep=[FACE, ("POSE_LANDMARKS", "NOSE")], steps=3,
                                     seed=7, model=small_model)
    assert_same_bits(read_pose(tmp_path / "b.pose"), expected)
    assert not np.array_equal(expected.body.data.data, pose_diffusion.refine(read_pose(source)).body.data.data)


def test_the_output_may_be_the_input(source: Path) -> None:
    expected = pose_diffusion.refine(read_pose(source))
    assert refine("-i", source, "-o", source) == 0
    assert_same_bits(read_pose(source), expected)


def test_the_preview_is_drawn_and_says_what_part_it_shows(source: Path, tmp_path: Path,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    write_pose(constructed_pose(110, fps=10), source)
    assert refine("-i", source, "-o", tmp_path / "b.pose", "--preview", tmp_path / "b.gif") == 0
    assert (tmp_path / "b.gif").read_bytes().startswith(b"GIF89a")
    assert capsys.readouterr().err == f"{tmp_path / 'b.gif'} shows 0.0 to 10.0 s of 11.0 s\n"


def test_a_preview_that_fails_leaves_the_pose(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refine("-i", source, "-o", tmp_path / "b.pose", "--preview", tmp_path / "none" / "b.gif") == 1
    assert read_pose(tmp_path / "b.pose").body.data.shape[0] == 24
    assert f"refine_pose: error: {tmp_path / 'none' / 'b.gif'}: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        refine("-i", source, "-o", tmp_path / "b.pose", "--preview", "b.png")


def patched(content: bytes, offset: int, form: str, value: float) -> bytes:
    return content[:offset] + struct.pack(form, value) + content[offset + struct.calcsize(form):]


def spoiled(content: bytes, how: str) -> bytes:
    """The content of a pose file, damaged."""
    values = 4 * constructed_pose(1).body.data.shape[2] * 4 * 24  # bytes of the body
    body = len(content) - values - 10  # fps, frames, people
    return {
        "empty": b"",
        "cut off": content[:-100],
        "cut off in its header": content[:100],
        "random": np.random.default_rng(0).bytes(20000),
        "a picture": b"GIF89a" + bytes(1000),
        "too many frames": patched(content, body + 4, "<I", 4_000_000_000),
        "no frames": patched(content, body + 4, "<I", 0)[:body + 10],
        "no frame rate": patched(content, body, "<f", 0.0),
        "not a number": patched(content, body + 10, "<f", float("nan")),
        "infinite": patched(content, body + 10, "<f", float("inf")),
        "unknown schema": content.replace(b"LANDMARKS", b"SOMETHING"),
    }[how]


@pytest.mark.parametrize("how", ["empty", "cut off", "cut off in its header", "random", "a picture", "too many frames",
                                 "no frames", "no frame rate", "not a number", "infinite", "unknown schema"])
def test_a_spoiled_file_is_one_line_and_nothing_is_written(source: Path, capsys: pytest.CaptureFixture[str],
                                                          how: str) -> None:
    source.write_bytes(spoiled(source.read_bytes(), how))
    before = snapshot(source.parent)
    assert refine("-i", source, "-o", source.with_name("b.pose")) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"refine_pose: error: {source}: ")
    assert error.count("\n") == 1
    assert snapshot(source.parent) == before


@pytest.mark.parametrize(("options", "named"), [
    (("-i", "{in}/none.pose"), "{in}/none.pose"),
    (("-i", "{in}"), "{in}"),
    (("-o", "{in}"), "{in}"),
    (("-o", "{in}/none/b.pose"), "{in}/none/b.pose"),
    (("-o", "{in}/a.pose/b.pose"), "{in}/a.pose/b.pose"),
    (("-o", "/dev/full"), "/dev/full"),
    (("--model", "{in}/none"), "{in}/none"),
    (("--model", "{in}/a.pose"), "{in}/a.pose"),
    (("--device", "abacus"), "abacus"),
    (("--keep", "TAIL"), "{in}/a.pose: keep: "),
])
def test_what_cannot_be_used_is_named_in_one_line(source: Path, capsys: pytest.CaptureFixture[str],
                                                 options: tuple[str, str], named: str) -> None:
    before = snapshot(source.parent)
    argv = {"-i": str(source), "-o": str(source.with_name("b.pose"))}
    argv |= {options[0]: options[1].replace("{in}", str(source.parent))}
    assert refine(*(word for pair in argv.items() for word in pair)) == 1
    error = capsys.readouterr().err
    assert error.startswith("refine_pose: error: ")
    assert error.count("\n") == 1
    assert named.replace("{in}", str(source.parent)) in error
    assert snapshot(source.parent) == before


@pytest.mark.parametrize(("name", "content"), [
    ("model.safetensors", b"x" * 1000),
    ("model.safetensors", b""),
    ("config.json", b"{"),
    ("config.json", b'{"format": "another"}'),
    ("config.json", b"\xff\xfe"),
])
def test_a_corrupt_or_foreign_model_is_one_line(source: Path, small_model: Path, capsys: pytest.CaptureFixture[str],
                                                name: str, content: bytes) -> None:
    (small_model / name).write_bytes(content)
    assert refine("-i", source, "-o", source.with_name("b.pose"), "--model", small_model) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"refine_pose: error: {small_model}")
    assert error.count("\n") == 1
    assert not source.with_name("b.pose").exists()


def test_a_full_disk_leaves_the_old_file(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "b.pose"
    target.parent.mkdir()
    target.write_text("what was there before")

    def fill_the_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    result = subprocess.run([*COMMAND, "-i", source, "-o", target], capture_output=True, text=True,
                            preexec_fn=fill_the_disk)
    assert result.returncode == 1
    assert result.stderr.startswith(f"refine_pose: error: {target}: ")
    assert result.stderr.count("\n") == 1
    assert snapshot(target.parent) == {str(target): b"what was there before"}


def test_ctrl_c_ends_it_at_once_and_leaves_nothing(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pose(constructed_pose(500), source)
    before = snapshot(source.parent)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    assert refine("-i", source, "-o", source.with_name("b.pose"), "--steps", 1000) == 130
    assert time.monotonic() - start < 10
    assert capsys.readouterr().err == "refine_pose: interrupted\n"
    assert snapshot(source.parent) == before


def test_as_a_command_it_leaves_with_the_exit_code_and_no_traceback(source: Path, tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "-i", source, "-o", tmp_path / "b.pose"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    source.write_bytes(b"no pose")
    failed = subprocess.run([*COMMAND, "-i", source, "-o", tmp_path / "c.pose"], capture_output=True, text=True)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith(f"refine_pose: error: {source}: ")
    assert failed.stderr.count("\n") == 1
