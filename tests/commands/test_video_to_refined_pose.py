from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion.capture.rules import correct_capture
from pose_diffusion.commands.capture_options import additional_config
from pose_diffusion.commands.video_to_refined_pose import main
from pose_diffusion.diffusion.model import VARIABLE
from pose_diffusion.files import read_pose
from pose_diffusion.layout import BODY, LEFT_HAND, RIGHT_HAND
from pose_diffusion.tasks.refine import refine
from tests.capture.videos import HEIGHT, STEP, WIDTH, turned, write_sound, write_video
from tests.commands.fake_capture import FakeCapture, captured
from tests.poses import assert_same_bits, part

VIDEOS = Path(os.environ.get("POSE_DIFFUSION_VIDEOS", Path(__file__).resolve().parents[3] / "shared/data/video"))


@pytest.fixture(autouse=True)
def model(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small model of no training instead of the shipped one."""
    monkeypatch.setenv(VARIABLE, str(small_model))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a.mp4", 24)


def convert(capture: FakeCapture | None, *argv: object) -> int:
    return main([str(arg) for arg in argv], capture)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_it_writes_the_refined_and_the_raw_pose(video: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeCapture()
    assert convert(fake, "-i", video, "-o", tmp_path / "b.pose", "--raw", tmp_path / "raw.pose") == 0
    raw = captured(24, 30, WIDTH, HEIGHT)
    assert_same_bits(read_pose(tmp_path / "raw.pose"), stored(raw, tmp_path))
    assert_same_bits(read_pose(tmp_path / "b.pose"), stored(refine(correct_capture(raw, wrists=False)), tmp_path))
    call = fake.calls[0]
    assert [round(grey / STEP) for grey in call["greys"]] == list(range(24))
    assert (call["fps"], call["width"], call["height"]) == (30, WIDTH, HEIGHT)
    assert (call["second_hands"], call["task"], call["additional_holistic_config"]) == (False, None, {})
    assert call["reuse"] is False
    assert capsys.readouterr() == ("", "")
    assert names(tmp_path) == {"a.mp4", "b.pose", "raw.pose", "stored.pose"}


def stored(pose: Pose, folder: Path) -> Pose:
    """What a file keeps of a pose."""
    from pose_diffusion.files import write_pose

    write_pose(pose, folder / "stored.pose")
    return read_pose(folder / "stored.pose")


def test_the_options_reach_mediapipe_the_rules_and_the_model(video: Path, tmp_path: Path) -> None:
    fake, out = FakeCapture(), tmp_path / "b.pose"
    assert convert(fake, "-i", video, "-o", out, "--additional-config", "model_complexity=1,smooth_landmarks=false",
                   "--second-hands", "--task", "x.task", "y.task", "--fps", 15, "--no-rules", "--only-masked") == 0
    call = fake.calls[0]
    assert call["additional_holistic_config"] == {"model_complexity": 1, "smooth_landmarks": False}
    assert (call["second_hands"], call["task"], call["fps"]) == (True, ("x.task", "y.task"), 15)
    assert [round(grey / STEP) for grey in call["greys"]] == list(range(0, 24, 2))
    raw = captured(12, 15, WIDTH, HEIGHT)
    expected = refine(raw, only_masked=True)
    assert_same_bits(read_pose(out), stored(expected, tmp_path))
    with_rules = refine(correct_capture(raw), only_masked=True)
    assert not np.array_equal(np.ma.getdata(with_rules.body.data), np.ma.getdata(expected.body.data))


def test_a_phone_video_is_upright(video: Path, tmp_path: Path) -> None:
    fake = FakeCapture()
    assert convert(fake, "-i", turned(video, 0, 1, -1, 0), "-o", tmp_path / "b.pose") == 0
    dimensions = read_pose(tmp_path / "b.pose").header.dimensions
    assert (dimensions.width, dimensions.height) == (HEIGHT, WIDTH)


def test_what_is_unusual_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = [*np.arange(30) / 25, *(3 + np.arange(10) / 25)]
    path = write_video(tmp_path / "a.mkv", 40, fps=25, times=times)
    assert convert(FakeCapture(nobody=(40, 70)), "-i", path, "-o", tmp_path / "b.pose") == 0
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2
    assert error[0].startswith(f"video_to_refined_pose: note: {path}: the frames are not evenly spaced")
    assert error[1].startswith(f"video_to_refined_pose: note: {path}: nobody in 30 of 85 frames (1.6 to 2.8 s)")
    pose = read_pose(tmp_path / "b.pose")
    assert pose.body.fps == 25
    empty = (pose.body.confidence == 0).all((1, 2))
    assert np.flatnonzero(empty).tolist() == list(range(40, 70))


def test_nobody_at_all_is_an_error(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(FakeCapture(nobody=(0, 24)), "-i", video, "-o", tmp_path / "b.pose") == 1
    assert capsys.readouterr().err == (f"video_to_refined_pose: error: {video}: no person was found in any of its 24 "
                                       "frames: nothing to refine\n")
    assert names(tmp_path) == {"a.mp4"}


def test_the_preview_has_the_frames_of_the_video_in_both_halves(tmp_path: Path) -> None:
    image = np.full((240, 320, 3), (40, 90, 40), np.uint8)
    path = write_video(tmp_path / "a.mp4", [image] * 24, fps=23.976)
    assert convert(FakeCapture(), "-i", path, "-o", tmp_path / "b.pose", "--preview", tmp_path / "b.mp4") == 0
    with av.open(str(tmp_path / "b.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate
    assert len(frames) == 24
    assert rate is not None
    assert float(rate) == pytest.approx(23.976, rel=.01)
    magenta = np.array([(np.abs(frame[24:264] - (214, 0, 198)).max(-1) < 80).sum(0) for frame in frames])
    lost = np.isin(np.arange(24), range(6, 12))
    for half in (magenta[:, :320], magenta[:, 324:]):  # the ring at the left, the hand at the right
        assert np.array_equal(half.sum(1) > 10, lost)
    for frame in frames:
        assert (np.abs(frame[24:264, :320] - (40, 90, 40)).max(-1) < 12).mean() > .6  # the video is the background
        assert (np.abs(frame[24:264, 324:] - (40, 90, 40)).max(-1) < 12).mean() > .6


@pytest.mark.parametrize(("argv", "message"), [
    (("-i", "none.mp4", "-o", "b.pose"), "none.mp4: there is no such file: check the name"),
    (("-i", "empty.mp4", "-o", "b.pose"), "empty.mp4: the file is empty"),
    (("-i", "song.m4a", "-o", "b.pose"), "song.m4a: not a video (audio only)"),
    (("-i", "cut.mp4", "-o", "b.pose"), "cut.mp4: "),
    (("-i", "a.mp4", "-o", "no/b.pose"), "no/b.pose: its folder does not exist: create it first"),
    (("-i", "a.mp4", "-o", "folder"), "folder: this is a folder: give a file to write"),
    (("-i", "a.mp4", "-o", "a.mp4"), "a.mp4: this is another file of this command"),
    (("-i", "a.mp4", "-o", "b.pose", "--raw", "b.pose"), "b.pose: this is another file of this command"),
    (("-i", "a.mp4", "-o", "b.pose", "--preview", "./a.mp4"), "a.mp4: this is another file of this command"),
    (("-i", "a.mp4", "-o", "b.pose", "--model", "none"), "none/config.json: "),
])
def test_what_is_wrong_is_one_line_and_nothing_is_written(video: Path, tmp_path: Path, argv: tuple[str, ...],
                                                          message: str, monkeypatch: pytest.MonkeyPatch,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:-400])
    (tmp_path / "folder").mkdir()
    write_sound(tmp_path / "song.m4a")
    before, content = names(tmp_path), video.read_bytes()
    fake = FakeCapture()
    assert convert(fake, *argv) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"video_to_refined_pose: error: {message}")
    assert error.count("\n") == 1
    assert names(tmp_path) == before
    assert video.read_bytes() == content
    assert not fake.calls  # said before the work


@pytest.mark.parametrize(("text", "expected"), [
    ("", {}),
    ("model_complexity=2,smooth_landmarks=false,min_tracking_confidence=0.5",
     {"model_complexity": 2, "smooth_landmarks": False, "min_tracking_confidence": .5}),
    (" a = True , b=x", {"a": True, "b": "x"}),
])
def test_additional_config(text: str, expected: dict[str, object]) -> None:
    config = additional_config(text)
    assert config == expected
    assert [type(value) for value in config.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize("argv", [("--additional-config", "model_complexity"), ("--additional-config", "=1"),
                                  ("--preview", "x.gif"), ("--fps", "0"), ("--fps", "1000")])
def test_a_bad_option_is_a_usage_error(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["-i", "a.mp4", "-o", "b.pose", *argv])
    assert caught.value.code == 2
    assert f"argument {argv[0]}: " in capsys.readouterr().err


def test_ctrl_c_leaves_nothing(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    assert convert(FakeCapture(slow=.5), "-i", video, "-o", tmp_path / "b.pose", "--raw", tmp_path / "r.pose") == 130
    assert time.monotonic() - start < 8
    assert capsys.readouterr().err.endswith("video_to_refined_pose: interrupted\n")
    assert names(tmp_path) == {"a.mp4"}


def test_without_mediapipe_it_says_what_to_install(video: Path, tmp_path: Path) -> None:
    code = ("import sys; sys.modules['mediapipe'] = None\n"
            "from pose_diffusion.commands.video_to_refined_pose import main\n"
            f"sys.exit(main(['-i', {str(video)!r}, '-o', {str(tmp_path / 'b.pose')!r}]))")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert 'pip install "pose-diffusion[mediapipe]"' in result.stderr
    assert result.stderr.count("\n") == 1
    assert names(tmp_path) == {"a.mp4"}


@pytest.fixture(scope="module")
def selfie() -> Path:
    """A real video, and a MediaPipe that can be used on it."""
    mediapipe = pytest.importorskip("mediapipe", reason='needs MediaPipe: pip install "pose-diffusion[mediapipe]"')
    if not hasattr(mediapipe, "solutions"):
        pytest.skip("needs the Solutions of mediapipe<0.10.30")
    if not (VIDEOS / "selfie_540x720.mp4").is_file():
        pytest.skip("needs selfie_540x720.mp4: set POSE_DIFFUSION_VIDEOS to its folder")
    return VIDEOS / "selfie_540x720.mp4"


def shortened(path: Path, target: Path, frames: int = 40) -> list[np.ndarray]:
    """The first frames of a video, written again."""
    with av.open(str(path)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(frames))]
    write_video(target, images, fps=30)
    return images


def test_a_real_video(selfie: Path, tmp_path: Path) -> None:
    """The lost hand comes back, and the raw pose is that of pose-format's own loader."""
    from pose_format.utils.holistic import load_holistic

    images = shortened(selfie, tmp_path / "a.mp4")
    assert convert(None, "-i", tmp_path / "a.mp4", "-o", tmp_path / "b.pose", "--raw", tmp_path / "raw.pose",
                   "--preview", tmp_path / "b.mp4") == 0
    refined, raw = read_pose(tmp_path / "b.pose"), read_pose(tmp_path / "raw.pose")
    assert refined.body.data.shape == raw.body.data.shape == (40, 1, 576, 3)
    hand = part(raw, RIGHT_HAND)
    assert 0 < (raw.body.confidence[:, 0, hand] > 0).all(1).sum() < 40
    assert (refined.body.confidence[:, 0, hand] > 0).all()
    with av.open(str(tmp_path / "a.mp4")) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    theirs = load_holistic(images, 30, 540, 720, additional_holistic_config={}, reuse=False)
    assert np.allclose(np.ma.getdata(theirs.body.data), np.ma.getdata(raw.body.data), atol=.01)


def test_a_real_video_on_its_side(selfie: Path, tmp_path: Path) -> None:
    """As a phone stores it: MediaPipe finds the same person as in the upright one."""
    images = shortened(selfie, tmp_path / "a.mp4", 12)
    turned(write_video(tmp_path / "side.mp4", [np.rot90(image, 1).copy() for image in images]), 0, 1, -1, 0)
    poses = []
    for name in ("a", "side"):
        assert convert(None, "-i", tmp_path / f"{name}.mp4", "-o", tmp_path / f"{name}.pose", "--strength", 0) == 0
        poses.append(read_pose(tmp_path / f"{name}.pose"))
    here = part(poses[0], BODY)
    first, second = (np.ma.getdata(pose.body.data)[:, 0, here, :2][:, :25] for pose in poses)
    assert np.median(np.linalg.norm(first - second, axis=-1)) < 3  # pixels of 540x720


def test_two_real_people(selfie: Path, tmp_path: Path) -> None:
    """MediaPipe follows one: the pose has one person, who is one of the two all the time."""
    images = shortened(selfie, tmp_path / "a.mp4", 20)
    path = write_video(tmp_path / "two.mp4", [np.hstack([image, image[:, ::-1]]) for image in images])
    assert convert(None, "-i", path, "-o", tmp_path / "b.pose") == 0
    pose = read_pose(tmp_path / "b.pose")
    assert pose.body.data.shape == (20, 1, 576, 3)
    nose = np.ma.getdata(pose.body.data)[:, 0, part(pose, BODY).start, 0]
    assert len(set(nose > 540)) == 1
    assert (pose.body.confidence[:, 0, part(pose, LEFT_HAND)] > 0).any() or \
        (pose.body.confidence[:, 0, part(pose, RIGHT_HAND)] > 0).any()
