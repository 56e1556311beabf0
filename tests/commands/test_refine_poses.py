from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pose_diffusion
from pose_diffusion.commands import refine_poses
from pose_diffusion.commands.refine_poses import BATCH_BYTES, Job, main
from pose_diffusion.files import read_pose, write_pose
from tests.poses import constructed_pose

LENGTHS = {"a.pose": 24, "b.pose": 5, "sub/a.pose": 12, "sub/deep/c.pose": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four poses in a tree of folders, and a file that is none."""
    for name, frames in LENGTHS.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_pose(constructed_pose(frames, seed=frames), path)
    (tmp_path / "in" / "readme.txt").write_text("not a pose")
    return tmp_path / "in"


def refine(*argv: object) -> int:
    return main([str(arg) for arg in argv])


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_tree_is_repeated_in_the_output(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (folder / name).read_bytes() for name in files_in(folder)}
    assert refine("-d", folder, "-r", "-o", tmp_path / "out") == 0
    assert files_in(tmp_path / "out") == set(LENGTHS)
    assert {name: (folder / name).read_bytes() for name in files_in(folder)} == before
    assert "4 refined, 0 done before, 0 failed" in capsys.readouterr().err
    for name in LENGTHS:
        expected = pose_diffusion.refine(read_pose(folder / name)).body.data.data
        assert np.allclose(read_pose(tmp_path / "out" / name).body.data.data, expected, atol=1)  # pixel


def test_without_an_output_the_results_are_beside_the_files(folder: Path) -> None:
    before = files_in(folder)
    assert refine("-d", folder) == 0
    assert files_in(folder) - before == {"a.refined.pose", "b.refined.pose"}
    assert refine("-d", folder, "-r") == 0  # results are no input of the next run
    assert files_in(folder) - before == {name.replace(".pose", ".refined.pose") for name in LENGTHS}


def test_a_second_run_does_only_what_is_new(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert refine("-d", folder, "-r", "-o", out) == 0
    times = {name: (out / name).stat().st_mtime_ns for name in LENGTHS}
    (out / "b.pose").unlink()
    later = time.time() + 10
    os.utime(folder / "sub" / "a.pose", (later, later))
    capsys.readouterr()
    assert refine("-d", folder, "-r", "-o", out) == 0
    assert "2 refined, 2 done before, 0 failed" in capsys.readouterr().err
    changed = {name for name in LENGTHS if (out / name).stat().st_mtime_ns != times[name]}
    assert changed == {"b.pose", "sub/a.pose"}


def test_the_results_may_lie_below_the_files(folder: Path) -> None:
    assert refine("-d", folder, "-r", "-o", folder / "sub" / "out") == 0
    assert refine("-d", folder, "-r", "-o", folder / "sub" / "out") == 0
    assert files_in(folder / "sub" / "out") == set(LENGTHS)


@pytest.mark.parametrize("batch", [1, 16])
def test_bad_files_do_not_stop_the_others(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                          batch: int) -> None:
    (folder / "aa.pose").write_bytes(b"not a pose at all")
    (folder / "sub" / "cut.pose").write_bytes((folder / "a.pose").read_bytes()[:-10])
    (folder / "folder.pose").mkdir()
    (folder / "gone.pose").symlink_to(folder / "nowhere")
    out = tmp_path / "out"
    (out / "b.pose").mkdir(parents=True)  # in the way of a result
    assert refine("-d", folder, "-r", "-o", out, "--batch", batch) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("refine_poses: error: ")]
    bad = [folder / name for name in ("aa.pose", "sub/cut.pose", "folder.pose", "gone.pose")] + [out / "b.pose"]
    assert len(lines) == len(bad)
    assert all(any(line.startswith(f"refine_poses: error: {path}: ") for line in lines) for path in bad)
    assert files_in(out) == set(LENGTHS) - {"b.pose"}


def test_a_setting_that_no_pose_takes_is_said_of_each(folder: Path, tmp_path: Path,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    assert refine("-d", folder, "-o", tmp_path / "out", "--keep", "TAIL") == 1
    error = capsys.readouterr().err
    assert all(f"refine_poses: error: {folder / name}: keep: " in error for name in ("a.pose", "b.pose"))
    assert not (tmp_path / "out").exists()


def test_a_bad_model_is_one_error_not_one_per_file(folder: Path, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert refine("-d", folder, "-r", "-o", tmp_path / "out", "--model", tmp_path / "none") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"refine_poses: error: {tmp_path / 'none'}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(("argv", "message"), [
    (("-d", "{in}/none"), "{in}/none: no such folder"),
    (("-d", "{in}/a.pose"), "{in}/a.pose: not a folder; use refine_pose for a file"),
    (("-d", "{in}/empty"), "{in}/empty: no .pose files here; -r also looks in the folders within"),
    (("-d", "{in}/empty", "-r"), "{in}/empty: no .pose files here"),
    (("-d", "{in}", "-o", "{in}/sub/.."), "{in}/sub/..: the results would overwrite the files; choose another folder "
                                          "for -o"),
])
def test_a_wrong_folder_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...],
                                    message: str) -> None:
    (folder / "empty").mkdir()
    before = files_in(folder)
    assert refine(*(word.replace("{in}", str(folder)) for word in argv)) == 1
    assert capsys.readouterr().err == f"refine_poses: error: {message.replace('{in}', str(folder))}\n"
    assert files_in(folder) == before


def test_several_processes_make_the_same_files(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.pose").write_bytes(b"")
    assert refine("-d", folder, "-r", "-o", tmp_path / "one", "--batch", 1) == 1
    assert refine("-d", folder, "-r", "-o", tmp_path / "two", "--batch", 1, "--num-workers", 2) == 1
    assert files_in(tmp_path / "two") == set(LENGTHS)
    for name in LENGTHS:
        one, two = (read_pose(tmp_path / which / name).body.data.data for which in ("one", "two"))
        assert np.allclose(one, two, atol=1e-2)


@pytest.fixture
def long_names(folder: Path) -> set[str]:
    """The names of more poses in the folder than are done in a moment, a short one first."""
    names = {"a.pose", "b.pose", "u.pose", "v.pose", "w.pose", "x.pose", "y.pose"}
    for name in names - {"a.pose", "b.pose"}:
        write_pose(constructed_pose(200), folder / name)
    return names


def check_resumed(folder: Path, out: Path, names: set[str]) -> None:
    """What an interrupted run left is whole, and the next run does the rest."""
    left = files_in(out)
    assert {"a.pose"} <= left < names
    for name in left:
        assert len(read_pose(out / name).body.data) == len(read_pose(folder / name).body.data)
    assert refine("-d", folder, "-o", out) == 0
    assert files_in(out) == names


def test_ctrl_c_leaves_whole_files_and_the_next_run_goes_on(folder: Path, tmp_path: Path, long_names: set[str],
                                                            capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        while not (tmp_path / "out" / "a.pose").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert refine("-d", folder, "-o", tmp_path / "out", "--batch", 1, "--steps", 200) == 130
    assert capsys.readouterr().err.endswith("refine_poses: interrupted\n")
    check_resumed(folder, tmp_path / "out", long_names)


def test_ctrl_c_ends_several_processes_as_well(folder: Path, tmp_path: Path, long_names: set[str]) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-m", "pose_diffusion.commands.refine_poses", "-d", folder, "-o", out,
                                "--batch", "1", "--steps", "100", "--num-workers", "2"],
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None and not (out / "a.pose").exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.endswith("refine_poses: interrupted\n")
    assert "Traceback" not in error
    check_resumed(folder, out, long_names)


@given(st.lists(st.integers(0, 2 * BATCH_BYTES), max_size=12), st.integers(1, 5))
def test_batches_are_full_but_not_too_large(sizes: list[int], count: int) -> None:
    jobs = [Job(Path(str(i)), Path("x")) for i in range(len(sizes))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine_poses, "_size", lambda job: sizes[int(str(job.source))])
        batches = list(refine_poses._batches(jobs, count))
    assert [job for batch in batches for job in batch] == jobs
    totals = [[sizes[int(str(job.source))] for job in batch] for batch in batches]
    assert all(1 <= len(total) <= count and (len(total) == 1 or sum(total) <= BATCH_BYTES) for total in totals)
    for total, following in zip(totals, totals[1:]):
        assert len(total) == count or sum(total) + following[0] > BATCH_BYTES
