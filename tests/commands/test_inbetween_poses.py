from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pose_diffusion
from pose_diffusion.commands.inbetween_poses import main
from pose_diffusion.files import read_pose, write_pose
from tests.browser import ask
from tests.poses import assert_same_bits, constructed_pose


@pytest.fixture
def signs(tmp_path: Path) -> list[Path]:
    """Three files of one person, in a folder of their own."""
    (tmp_path / "in").mkdir()
    for i in range(3):
        write_pose(constructed_pose(20, seed=i), tmp_path / "in" / f"{i}.pose")
    return sorted((tmp_path / "in").iterdir())


def inbetween(*argv: object) -> int:
    return main([str(arg) for arg in argv])


def test_it_writes_what_the_function_returns_and_says_nothing(signs: list[Path], tmp_path: Path, small_model: Path,
                                                              capfd: pytest.CaptureFixture[str]) -> None:
    assert inbetween(*signs, "-o", tmp_path / "x.pose", "--model", small_model) == 0
    assert capfd.readouterr() == ("", "")
    poses = [read_pose(path) for path in signs]
    expected = pose_diffusion.inbetween(poses, model=small_model)
    write_pose(expected, tmp_path / "expected.pose")
    made = read_pose(tmp_path / "x.pose")
    assert_same_bits(made, read_pose(tmp_path / "expected.pose"))
    assert len(made.body.data) > 60
    assert np.array_equal(made.body.data[:20], poses[0].body.data)
    assert np.array_equal(made.body.data[-20:], poses[2].body.data)


def test_the_options_reach_the_function(signs: list[Path], tmp_path: Path, small_model: Path) -> None:
    poses = [read_pose(path) for path in signs]
    options: dict[str, Any] = {"seconds": 0.4, "hold": 0.2, "pause": 0.3, "tempo": 2.0, "context_seconds": 0.3,
                               "steps": 3, "seed": 5}
    argv = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert inbetween(*signs, "-o", tmp_path / "x.pose", "--model", small_model, *argv) == 0
    write_pose(pose_diffusion.inbetween(poses, model=small_model, **options), tmp_path / "expected.pose")
    assert_same_bits(read_pose(tmp_path / "x.pose"), read_pose(tmp_path / "expected.pose"))


def test_the_preview_is_drawn(signs: list[Path], tmp_path: Path, small_model: Path) -> None:
    assert inbetween(*signs, "-o", tmp_path / "x.pose", "--preview", tmp_path / "x.html", "--model", small_model) == 0
    frames = len(read_pose(tmp_path / "x.pose").body.data)
    found = ask(tmp_path / "x.html", "press('End'); return [ink()[0], frame()];")
    assert found[0] > 500
    assert found[1] == frames - 1


def test_one_file_is_wrong_usage(signs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        inbetween(signs[0], "-o", tmp_path / "x.pose")
    assert caught.value.code == 2
    assert "two or more" in capsys.readouterr().err


@pytest.mark.parametrize(("argv", "named"), [
    (("{in}/0.pose", "{in}/none.pose", "-o", "{in}/x.pose"), "{in}/none.pose: "),
    (("{in}/0.pose", "{in}/1.pose", "-o", "{in}/none/x.pose"), "{in}/none/x.pose: "),
    (("{in}/0.pose", "{in}/two.pose", "-o", "{in}/x.pose"), "{in}/two.pose"),
    (("{in}/0.pose", "{in}/text.pose", "-o", "{in}/x.pose"), "{in}/text.pose: "),
])
def test_what_cannot_be_joined_is_named_in_one_line(signs: list[Path], small_model: Path,
                                                    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...],
                                                    named: str) -> None:
    folder = signs[0].parent
    write_pose(constructed_pose(3, people=2), folder / "two.pose")
    (folder / "text.pose").write_text("no pose")
    before = sorted(folder.iterdir())
    assert inbetween(*(arg.replace("{in}", str(folder)) for arg in argv), "--model", small_model) == 1
    error = capsys.readouterr().err
    assert error.startswith("inbetween_poses: error: ")
    assert named.replace("{in}", str(folder)) in error
    assert error.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_ctrl_c_ends_it_at_once_and_leaves_nothing(signs: list[Path], small_model: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    folder = signs[0].parent
    before = sorted(folder.iterdir())
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    assert inbetween(*signs, "-o", folder / "x.pose", "--steps", 1000, "--seconds", 10, "--model", small_model) == 130
    assert capsys.readouterr().err == "inbetween_poses: interrupted\n"
    assert sorted(folder.iterdir()) == before


def test_as_a_command_it_leaves_with_the_exit_code_and_no_traceback(signs: list[Path], small_model: Path,
                                                                    tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "pose_diffusion.commands.inbetween_poses", "--model",
                                 small_model, "-o", tmp_path / "x.pose", signs[0]]
    done = subprocess.run([*command, signs[1]], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    failed = subprocess.run([*command, tmp_path / "none.pose"], capture_output=True, text=True)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
