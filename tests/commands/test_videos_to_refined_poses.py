from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pose_diffusion.commands.videos_to_refined_poses import find_videos, main
from pose_diffusion.diffusion.model import VARIABLE
from pose_diffusion.files import read_pose, write_pose
from tests.capture.videos import HEIGHT, WIDTH, write_sound, write_video
from tests.commands.fake_capture import FakeCapture, captured

LENGTHS = {"a.mp4": 12, "b.MOV": 5, "sub/a.mkv": 8, "sub/deep/c.webm": 1}
POSES = {"a.pose", "b.pose", "sub/a.pose", "sub/deep/c.pose"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def model(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small model of no training instead of the shipped one."""
    monkeypatch.setenv(VARIABLE, str(small_model))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four videos in a tree of folders, and a file that is none."""
    for name, frames in LENGTHS.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames, codec="libvpx" if name.endswith("webm") else "libx264")
    (tmp_path / "in" / "readme.txt").write_text("no video")
    return tmp_path / "in"


def convert(capture: FakeCapture | None, *argv: object) -> int:
    return main([str(arg) for arg in argv], capture)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("videos_to_refined_poses: error: ")]


def test_the_tree_is_repeated_in_the_output(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, out = {name: (folder / name).read_bytes() for name in files_in(folder)}, tmp_path / "out"
    assert convert(FakeCapture(), "-d", folder, "-r", "-o", out, "--raw", tmp_path / "raw") == 0
    assert files_in(out) == files_in(tmp_path / "raw") == POSES
    assert {name: (folder / name).read_bytes() for name in files_in(folder)} == before
    assert "4 captured, 0 done before, 0 failed" in capsys.readouterr().err
    for name, frames in LENGTHS.items():
        pose = read_pose((out / name).with_suffix(".pose"))
        assert len(pose.body.data) == frames
        assert (pose.body.confidence > 0).sum() >= (captured(frames, 30, WIDTH, HEIGHT).body.confidence > 0).sum()


def test_without_an_output_the_poses_are_beside_the_videos(folder: Path) -> None:
    before = files_in(folder)
    assert convert(FakeCapture(), "-d", folder) == 0
    assert files_in(folder) - before == {"a.pose", "b.pose"}
    assert convert(FakeCapture(), "-d", folder, "-r", "--keep-video-suffixes") == 0
    assert files_in(folder) - before == {"a.pose", "b.pose", *(f"{name}.pose" for name in LENGTHS)}


def test_a_second_run_does_only_what_is_missing_old_or_damaged(folder: Path, tmp_path: Path,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    out, later = tmp_path / "out", time.time() + 10
    command = ("-d", folder, "-r", "-o", out, "--raw", tmp_path / "raw")
    assert convert(FakeCapture(), *command) == 0
    first = {name: (out / name).stat().st_mtime_ns for name in POSES}
    assert convert(fake := FakeCapture(), *command) == 0
    assert fake.calls == []
    (out / "a.pose").write_bytes((out / "a.pose").read_bytes()[:-7])  # as another program leaves it when it is killed
    (tmp_path / "raw" / "b.pose").unlink()
    os.utime(folder / "sub" / "a.mkv", (later, later))
    capsys.readouterr()
    assert convert(fake := FakeCapture(), *command) == 0
    assert "3 captured, 1 done before, 0 failed" in capsys.readouterr().err
    assert sorted(len(call["greys"]) for call in fake.calls) == [5, 8, 12]
    assert {name for name in POSES if (out / name).stat().st_mtime_ns != first[name]} == POSES - {"sub/deep/c.pose"}
    assert len(read_pose(out / "a.pose").body.data) == 12


def test_a_pose_that_is_there_is_kept(folder: Path) -> None:
    write_pose(captured(12, 30, WIDTH, HEIGHT), folder / "a.pose")
    before = (folder / "a.pose").read_bytes()
    assert convert(FakeCapture(), "-d", folder) == 0
    assert (folder / "a.pose").read_bytes() == before


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_videos_do_not_stop_the_others(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                           workers: int) -> None:
    (folder / "aa.mp4").write_bytes(b"no video at all")
    (folder / "empty.avi").write_bytes(b"")
    (folder / "sub" / "cut.mp4").write_bytes((folder / "a.mp4").read_bytes()[:-300])
    (folder / "gone.mp4").symlink_to(folder / "nowhere")
    write_sound(folder / "song.mov")
    (folder / "folder.mp4").mkdir()  # is no video, and says nothing
    out = tmp_path / "out"
    (out / "b.pose").mkdir(parents=True)  # in the way of a result
    assert convert(FakeCapture(), "-d", folder, "-r", "-o", out, "--workers", workers) == 1
    text = capsys.readouterr().err
    bad = [folder / name for name in ("aa.mp4", "empty.avi", "gone.mp4", "song.mov", "sub/cut.mp4")] + [out / "b.pose"]
    lines = errors(text)
    assert len(lines) == len(bad)
    assert all(any(line.startswith(f"videos_to_refined_poses: error: {path}: ") for line in lines) for path in bad)
    assert "3 captured, 0 done before, 6 failed" in text
    assert files_in(out) == POSES - {"b.pose"}


def test_a_video_that_kills_its_process_does_not_stop_the_others(folder: Path, tmp_path: Path,
                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert convert(FakeCapture(deadly=5), "-d", folder, "-r", "-o", out, "--workers", 2) == 1
    assert errors(capsys.readouterr().err) == [f"videos_to_refined_poses: error: {folder / 'b.MOV'}: its process died, "
                                               "perhaps for want of memory: cut it into parts"]
    assert files_in(out) == POSES - {"b.pose"}


def test_a_video_without_anybody_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(FakeCapture(nobody=(0, 6)), "-d", folder, "-o", tmp_path / "out") == 1
    text = capsys.readouterr().err
    assert errors(text) == [f"videos_to_refined_poses: error: {folder / 'b.MOV'}: no person was found in any of its 5 "
                            "frames: nothing to refine"]
    assert files_in(tmp_path / "out") == {"a.pose"}


@pytest.mark.parametrize(("argv", "message"), [
    (("-d", "{in}/none"), "{in}/none: no such folder"),
    (("-d", "{in}/a.mp4"), "{in}/a.mp4: not a folder; use video_to_refined_pose for a video"),
    (("-d", "{in}/empty"), "{in}/empty: no videos here (.mp4 .mov"),
    (("-d", "{in}", "--video-suffixes", "OGV"), "{in}: no videos here (.ogv); -r also looks in the folders within"),
    (("-d", "{in}", "-o", "{in}/x", "--raw", "{in}/sub/../x"), "{in}/sub/../x: the poses as they were found would"),
    (("-d", "{in}", "--raw", "{in}"), "{in}: the poses as they were found would overwrite"),
    (("-d", "{in}", "--model", "{in}/none"), "{in}/none/config.json: "),
    (("-d", "{in}/twice"), "{in}/twice/a.avi: would be written to the same file as {in}/twice/a.mp4; use "
                           "--keep-video-suffixes"),
])
def test_what_is_wrong_with_all_of_them_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str],
                                                    argv: tuple[str, ...], message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "twice").mkdir()
    for name in ("a.avi", "a.mp4"):
        (folder / "twice" / name).write_bytes((folder / "a.mp4").read_bytes())
    before = files_in(folder)
    assert convert(fake := FakeCapture(), *(word.replace("{in}", str(folder)) for word in argv)) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"videos_to_refined_poses: error: {message.replace('{in}', str(folder))}")
    assert error.count("\n") == 1
    assert files_in(folder) == before
    assert not fake.calls


def test_two_videos_of_one_name_can_be_kept_apart(folder: Path, tmp_path: Path) -> None:
    jobs = find_videos(folder, True, tmp_path, None, True)
    assert {str(job.target.relative_to(tmp_path)) for job in jobs} == {f"{name}.pose" for name in LENGTHS}
    assert all(job.raw is None for job in jobs)


def test_without_mediapipe_it_is_said_once(folder: Path) -> None:
    code = ("import sys; sys.modules['mediapipe'] = None\n"
            "from pose_diffusion.commands.videos_to_refined_poses import main\n"
            f"sys.exit(main(['-d', {str(folder)!r}]))")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert 'pip install "pose-diffusion[mediapipe]"' in result.stderr
    assert result.stderr.count("\n") == 1


def test_ctrl_c_leaves_whole_files_and_the_next_run_goes_on(folder: Path, tmp_path: Path,
                                                            capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"

    def interrupt() -> None:
        while not (out / "a.pose").exists():
            time.sleep(.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert convert(FakeCapture(slow=.3), "-d", folder, "-r", "-o", out) == 130
    assert capsys.readouterr().err.endswith("videos_to_refined_poses: interrupted\n")
    assert files_in(out) == {"a.pose"}
    assert convert(fake := FakeCapture(), "-d", folder, "-r", "-o", out) == 0
    assert len(fake.calls) == 3
    assert files_in(out) == POSES


def test_ctrl_c_ends_several_processes_at_once(folder: Path, tmp_path: Path) -> None:
    """They are not waited for until their videos are done, which can take hours."""
    out = tmp_path / "out"
    write_video(folder / "long.mp4", 60)
    code = ("import sys\nfrom pose_diffusion.commands.videos_to_refined_poses import main\n"
            "from tests.commands.fake_capture import FakeCapture\n"
            f"if __name__ == '__main__':\n    sys.exit(main(['-d', {str(folder)!r}, '-r', '-o', {str(out)!r}, "
            "'--workers', '2'], FakeCapture(slow=1.0)))\n")
    (tmp_path / "run.py").write_text(code)
    process = subprocess.Popen([sys.executable, tmp_path / "run.py"], stderr=subprocess.PIPE, text=True, cwd=ROOT,
                               env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True)
    while process.poll() is None and not (out / "b.pose").exists():  # by then the long one has begun
        time.sleep(.01)
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.endswith("videos_to_refined_poses: interrupted\n")
    assert "Traceback" not in error
    assert time.monotonic() - start < 30  # the long one alone takes 60 s
    assert "b.pose" in files_in(out) < POSES
    for name in files_in(out):
        read_pose(out / name)
