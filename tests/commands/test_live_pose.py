from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion.capture import view, webcam
from pose_diffusion.capture.live import RefinedHolistic
from pose_diffusion.capture.mediapipe import capture_refiner
from pose_diffusion.capture.results import Parts, pose_from_results
from pose_diffusion.commands.live_pose import main
from pose_diffusion.files import read_pose
from pose_diffusion.layout import BODY, RIGHT_HAND
from tests.capture.mediapipe_results import FakeHolistic, legacy
from tests.capture.videos import HEIGHT, WIDTH, numbers, write_video
from tests.poses import constructed_pose, lose, part

IMAGES = 40
LATENCY = 4


@pytest.fixture
def pose() -> Pose:
    """What is seen in the images; the right hand is lost in eight."""
    whole = constructed_pose(IMAGES, width=WIDTH, height=HEIGHT, scale=15)
    return lose(whole, slice(20, 28), part(whole, RIGHT_HAND))


@pytest.fixture
def detector(pose: Pose, monkeypatch: pytest.MonkeyPatch) -> FakeHolistic:
    """In MediaPipe's place."""
    fake = FakeHolistic(list(legacy(pose)))
    monkeypatch.setattr("pose_diffusion.capture.live.legacy_holistic", lambda config: lambda **options: fake)
    return fake


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A file whose images have their number as grey."""
    folder = tmp_path / "in"
    folder.mkdir()
    return write_video(folder / "a.mp4", IMAGES, fps=12.5)


@pytest.fixture
def live(small_model: Path) -> Callable[..., int]:
    """The command, with a small model."""
    def run(*argv: object) -> int:
        return main([str(arg) for arg in (*argv, "--model", small_model, "--latency", LATENCY)])

    return run


@dataclass
class Screen:
    """OpenCV with one camera and a window, without either: what is read, shown and pressed."""

    images: int = 1000
    opened: bool = True
    rate: float = 0.0  # images per second that the camera says it has
    key: tuple[int, int] = (-1, -1)  # at which picture which key is pressed
    closed: int = -1  # at which picture the window is closed
    on_image: Callable[[int], None] = lambda number: None
    read: int = 0
    shown: list[np.ndarray] = field(default_factory=list)
    released: int = 0
    clock: float = 100.0

    def camera(self, number: int) -> Any:
        assert number == 2

        def read() -> tuple[bool, np.ndarray | None]:
            if self.read == self.images:
                return False, None
            self.clock += .05
            self.on_image(self.read)
            self.read += 1
            return True, np.full((HEIGHT, WIDTH, 3), (0, 0, self.read), np.uint8)  # BGR

        def release() -> None:
            self.released += 1

        return SimpleNamespace(isOpened=lambda: self.opened, read=read, release=release, set=lambda *_: True,
                               get=lambda _: self.rate)

    def pressed(self, milliseconds: int) -> int:
        assert milliseconds > 0
        return self.key[1] if len(self.shown) == self.key[0] else -1


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A time in which each image of the camera takes 50 ms, too."""
    import cv2

    fake, names = Screen(), ("COLOR_BGR2RGB", "COLOR_RGB2BGR", "CAP_PROP_FPS", "CAP_PROP_BUFFERSIZE",
                             "WND_PROP_VISIBLE", "WINDOW_AUTOSIZE", "WINDOW_GUI_NORMAL", "cvtColor")
    opencv = SimpleNamespace(
        VideoCapture=fake.camera, namedWindow=lambda title, flags: None, destroyAllWindows=lambda: None,
        imshow=lambda title, picture: fake.shown.append(picture), waitKey=fake.pressed,
        getWindowProperty=lambda title, name: float(len(fake.shown) != fake.closed),
        **{name: getattr(cv2, name) for name in names})
    monkeypatch.setattr(webcam, "import_opencv", lambda: opencv)
    monkeypatch.setattr(webcam, "check_window", lambda: None)
    monkeypatch.setattr(webcam, "perf_counter", lambda: fake.clock)
    return fake


def assert_same(pose: Pose, other: Pose) -> None:
    np.testing.assert_array_equal(np.ma.getdata(pose.body.data), np.ma.getdata(other.body.data))
    np.testing.assert_array_equal(pose.body.confidence, other.body.confidence)


def test_a_file_becomes_a_refined_and_a_raw_pose(live: Callable[..., int], detector: FakeHolistic, video: Path,
                                                 pose: Pose, small_model: Path, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    refined, raw = tmp_path / "refined.pose", tmp_path / "raw.pose"
    assert live("-i", video, "-o", refined, "--raw", raw, "--headless") == 0
    assert capsys.readouterr() == (f"{IMAGES} images, 12.5 a second: {refined}, {raw}\n", "")
    results = list(legacy(pose))
    expected = pose_from_results(results, 12.5, WIDTH, HEIGHT)
    for path in (refined, raw):
        written = read_pose(path)
        assert written.body.fps == 12.5
        assert written.header.dimensions.width == WIDTH
        assert [c.name for c in written.header.components] == [c.name for c in expected.header.components]
        if path == raw:
            np.testing.assert_allclose(np.ma.getdata(written.body.data), np.ma.getdata(expected.body.data), atol=1e-4)
            np.testing.assert_array_equal(written.body.confidence, expected.body.confidence.astype(np.float32))
    with RefinedHolistic(holistic=FakeHolistic(results), refiner=capture_refiner(model=str(small_model)), fps=12.5,
                         latency=LATENCY) as holistic:
        found = [holistic.process(np.zeros((HEIGHT, WIDTH, 3), np.uint8)) for _ in range(IMAGES)]
        together = pose_from_results([*found[LATENCY:], *holistic.flush()], 12.5, WIDTH, HEIGHT)
    np.testing.assert_allclose(np.ma.getdata(read_pose(refined).body.data), np.ma.getdata(together.body.data),
                               rtol=1e-6, atol=1e-5)
    hand = read_pose(refined).body.confidence[20:28, 0, part(pose, RIGHT_HAND)]
    assert ((hand > 0) & (hand < 1)).all()
    assert detector.closed == 1


@pytest.mark.parametrize("overlay", [False, True])
def test_each_skeleton_is_drawn_over_its_own_image(live: Callable[..., int], detector: FakeHolistic, video: Path,
                                                   pose: Pose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                   overlay: bool) -> None:
    name = "overlaid" if overlay else "side_by_side"
    draw, drawn = getattr(view, name), []

    def spy(image: np.ndarray, raw: Parts, refined: Parts, *, mirror: bool) -> np.ndarray:
        drawn.append((numbers([image])[0], raw[BODY][0, 0] * WIDTH, refined[BODY][0, 0] * WIDTH))
        assert mirror == overlay
        return draw(image, raw, refined, mirror=mirror)

    monkeypatch.setattr(view, name, spy)
    options = ("--overlay", "--mirror") if overlay else ()
    assert live("-i", video, "--record", tmp_path / "a.mp4", "--headless", *options) == 0
    image, raw, refined = (np.array(column) for column in zip(*drawn))
    nose = np.ma.getdata(pose.body.data)[:, 0, 0, 0]
    np.testing.assert_array_equal(image, range(IMAGES))
    np.testing.assert_allclose(raw, nose, atol=1e-4)
    np.testing.assert_allclose(refined, nose, atol=1)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frames = list(container.decode(video=0))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(IMAGES) / 12.5, atol=1e-3)
    assert (frames[0].width, frames[0].height) == (WIDTH if overlay else 2 * WIDTH + view.GAP, HEIGHT + 84)


@pytest.mark.parametrize("key", [ord("q"), 27])
def test_a_key_ends_it_and_all_that_came_is_written(live: Callable[..., int], detector: FakeHolistic, screen: Screen,
                                                    pose: Pose, tmp_path: Path, key: int,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    screen.key = (10, key)
    assert live("--camera", 2, "-o", tmp_path / "a.pose") == 0
    assert screen.read == 10 + LATENCY
    written = read_pose(tmp_path / "a.pose")
    assert len(written.body.data) == 10 + LATENCY
    assert written.body.fps == pytest.approx(20)  # measured: the camera says nothing
    seen = pose.body.confidence[:10 + LATENCY, 0, :33] > 0
    np.testing.assert_array_equal(written.body.confidence[:, 0, :33] > 0, seen)
    assert len(screen.shown) == 10 + LATENCY
    assert screen.shown[3][30, 5].tolist() == [0, 0, 4]  # the fourth image, and red is still red
    assert screen.released == 1
    assert capsys.readouterr() == (f"{10 + LATENCY} images, 20 a second: {tmp_path / 'a.pose'}\n", "")


def test_a_closed_window_ends_it_and_nothing_need_be_written(live: Callable[..., int], detector: FakeHolistic,
                                                             screen: Screen) -> None:
    screen.closed = 3
    assert live("--camera", 2) == 0
    assert screen.read == 3 + LATENCY


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_and_all_that_came_is_written(live: Callable[..., int], detector: FakeHolistic, screen: Screen,
                                                     tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                     kind: signal.Signals) -> None:
    screen.on_image = lambda number: os.kill(os.getpid(), kind) if number == 20 else None
    before = signal.getsignal(kind)
    assert live("--camera", 2, "--headless", "-o", tmp_path / "a.pose", "--record", tmp_path / "a.mp4") == 0
    assert len(read_pose(tmp_path / "a.pose").body.data) == 21
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert len(list(container.decode(video=0))) == 21
    assert capsys.readouterr().err == "live_pose: recording; Ctrl-C ends it\n"
    assert signal.getsignal(kind) is before


def test_ctrl_c_twice_gives_up(live: Callable[..., int], detector: FakeHolistic, screen: Screen, tmp_path: Path,
                               capsys: pytest.CaptureFixture[str]) -> None:
    def twice(number: int) -> None:
        if number == 20:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    screen.on_image = twice
    (tmp_path / "a.pose").write_text("before")
    assert live("--camera", 2, "--headless", "-o", tmp_path / "a.pose") == 130
    assert "interrupted" in capsys.readouterr().err
    assert (tmp_path / "a.pose").read_text() == "before"
    assert [path.name for path in tmp_path.glob("*.pose")] == ["a.pose"]


def test_a_camera_that_stops_is_said_and_its_images_are_kept(live: Callable[..., int], detector: FakeHolistic,
                                                             screen: Screen, tmp_path: Path,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    screen.images = 25
    assert live("--camera", 2, "--headless", "-o", tmp_path / "a.pose") == 1
    assert len(read_pose(tmp_path / "a.pose").body.data) == 25
    assert "error: camera 2: it stopped giving images; the 25 images before are kept\n" in capsys.readouterr().err


@pytest.mark.parametrize("images", [1, 2, LATENCY])
def test_few_images_are_enough(live: Callable[..., int], detector: FakeHolistic, screen: Screen, tmp_path: Path,
                               images: int) -> None:
    screen.images, screen.rate = images, 30.0
    live("--camera", 2, "--headless", "-o", tmp_path / "a.pose")
    written = read_pose(tmp_path / "a.pose")
    assert len(written.body.data) == images
    assert written.body.fps == pytest.approx(30 if images == 1 else 20)


@pytest.mark.parametrize(("opened", "images", "message"), [(True, 0, "camera 2: no image came"),
                                                           (False, 9, "camera 2 cannot be opened: try another")])
def test_no_image_is_an_error_and_no_file(live: Callable[..., int], detector: FakeHolistic, screen: Screen,
                                          tmp_path: Path, capsys: pytest.CaptureFixture[str], opened: bool,
                                          images: int, message: str) -> None:
    screen.opened, screen.images = opened, images
    assert live("--camera", 2, "--headless", "-o", tmp_path / "a.pose", "--record", tmp_path / "a.mp4") == 1
    assert f"live_pose: error: {message}" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.pose"))
    assert not list(tmp_path.glob("*.mp4"))


def test_what_fails_on_the_way_leaves_what_was_done(live: Callable[..., int], detector: FakeHolistic, video: Path,
                                                    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    process = detector.process

    def fails(image: np.ndarray) -> Any:
        if detector.images == 30:
            raise RuntimeError("the graph\nhas errors")
        return process(image)

    monkeypatch.setattr(detector, "process", fails)
    assert live("-i", video, "--headless", "-o", tmp_path / "a.pose") == 1
    assert len(read_pose(tmp_path / "a.pose").body.data) == 30 - LATENCY
    assert capsys.readouterr().err == (f"live_pose: error: {video}: the graph has errors; the {30 - LATENCY} images "
                                       "before are kept\n")


def test_images_of_another_size_end_it(live: Callable[..., int], detector: FakeHolistic, screen: Screen,
                                       tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    def images(*_: Any) -> Iterator[tuple[float, np.ndarray]]:
        for i in range(20):
            yield i / 10, np.zeros((48, 64, 3) if i < 12 else (64, 48, 3), np.uint8)

    monkeypatch.setattr(webcam, "_images", images)
    assert live("--camera", 2, "--headless", "-o", tmp_path / "a.pose") == 1
    assert len(read_pose(tmp_path / "a.pose").body.data) == 12 - LATENCY
    assert "camera 2: the images' size changes to 48 x 64 after 1.20 s" in capsys.readouterr().err


def test_a_full_disk_leaves_the_old_file(live: Callable[..., int], detector: FakeHolistic, video: Path, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pose_diffusion.capture.recording.PoseRecording.add", full)
    (tmp_path / "a.pose").write_text("before")
    assert live("-i", video, "--headless", "-o", tmp_path / "a.pose", "--record", tmp_path / "a.mp4") == 1
    assert capsys.readouterr().err == f"live_pose: error: {tmp_path / 'a.pose'}: No space left on device\n"
    assert (tmp_path / "a.pose").read_text() == "before"
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize(("options", "message"), [
    (("-i", "{in}/none.mp4"), "{in}/none.mp4: there is no such file"),
    (("-i", "{in}/text.mp4"), "{in}/text.mp4: not a video"),
    (("-i", "{in}/a.mp4", "-o", "{in}/none/a.pose"), "{in}/none/a.pose: its folder does not exist"),
    (("-i", "{in}/a.mp4", "--raw", "{in}/none/a.pose"), "{in}/none/a.pose: its folder does not exist"),
    (("-i", "{in}/a.mp4", "--record", "{in}/none/a.mp4"), "{in}/none/a.mp4: its folder does not exist"),
    (("-i", "{in}/a.mp4", "--model", "{in}/none"), "{in}/none"),
    (("-i", "{in}/a.mp4", "--window", "4"), "latency must be a whole number from 0 to 3, not 4"),
])
def test_what_cannot_be_used_is_said_in_one_line_before_anything_is_captured(
        detector: FakeHolistic, video: Path, small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        options: tuple[str, ...], message: str) -> None:
    (video.parent / "text.mp4").write_text("no video")
    argv = ["--model", str(small_model), "--latency", "4", "--headless", "-o", str(tmp_path / "b.pose")]
    argv += [option.replace("{in}", str(video.parent)) for option in options]
    assert main(argv) == 1
    error = capsys.readouterr().err
    assert error.startswith("live_pose: error: ")
    assert error.count("\n") == 1
    assert message.replace("{in}", str(video.parent)) in error
    assert detector.images == 0
    assert not list(tmp_path.glob("*.pose"))


@pytest.mark.parametrize("argv", [
    ["--headless"], ["-i", "a.mp4", "--headless"], ["-i", "a.mp4", "-o", "a.mp4"],
    ["-o", "a.pose", "--raw", "./a.pose"], ["--record", "a.gif"], ["--camera", "-1"],
    ["--camera", "1", "-i", "a.mp4"], ["--latency", "x"],
])
def test_wrong_usage_has_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "live_pose: error: " in capsys.readouterr().err


def test_without_a_display_it_says_how_to_do_without(video: Path, monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["-i", str(video)]) == 1
    assert capsys.readouterr().err == ("live_pose: error: there is no display to open a window on: use --headless\n")


@pytest.mark.parametrize(("code", "text", "message"), [
    (1, "The function is not implemented. Rebuild the library", "opencv-contrib-python; or use --headless"),
    (-6, "qt.qpa.xcb: could not connect to display :7", "the display cannot be used: use --headless"),
])
def test_a_window_that_cannot_be_opened_is_said(video: Path, monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str], code: int, text: str,
                                                message: str) -> None:
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=code, stderr=text))
    assert main(["-i", str(video)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a display needs no name")
def test_a_display_that_is_not_there_does_not_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV's window would: some builds abort."""
    monkeypatch.setenv("DISPLAY", ":4093")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises((OSError, ImportError), match="use --headless"):
        webcam.check_window()


def test_without_mediapipe_it_says_what_to_install(video: Path, small_model: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    assert main(["-i", str(video), "--headless", "-o", str(tmp_path / "a.pose"), "--model", str(small_model)]) == 1
    error = capsys.readouterr().err
    assert "pip install" in error
    assert error.count("\n") == 1


def test_help_shows_examples_and_imports_nothing_heavy() -> None:
    code = ("import sys\nfrom pose_diffusion.commands.live_pose import main\n"
            "try:\n    main(['--help'])\nexcept SystemExit:\n    print(sorted(sys.modules))")
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "examples:\n  live_pose -o " in text
    assert "--headless" in text
    for name in ("torch", "numpy", "pose_format", "cv2", "av", "mediapipe"):
        assert f"'{name}'" not in text


def test_with_mediapipe_on_a_real_video(tmp_path: Path, small_model: Path) -> None:
    mediapipe = pytest.importorskip("mediapipe", reason='needs MediaPipe: pip install "pose-diffusion[mediapipe]"')
    if not hasattr(mediapipe, "solutions"):
        pytest.skip("needs the Solutions of mediapipe<0.10.30")
    default = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"
    video = Path(os.environ.get("POSE_DIFFUSION_VIDEOS", default)) / "selfie_540x720.mp4"
    if not video.is_file():
        pytest.skip("needs selfie_540x720.mp4: set POSE_DIFFUSION_VIDEOS to its folder")
    refined, raw, both = (tmp_path / name for name in ("refined.pose", "raw.pose", "both.mp4"))
    assert main(["-i", str(video), "-o", str(refined), "--raw", str(raw), "--record", str(both), "--headless",
                 "--model", str(small_model)]) == 0
    poses = [read_pose(path) for path in (refined, raw)]
    seen = [pose.body.confidence[:, 0, part(pose, RIGHT_HAND)].all(1).sum() for pose in poses]
    assert {pose.body.data.shape for pose in poses} == {(58, 1, 576, 3)}
    assert poses[0].body.fps == pytest.approx(29.917, abs=1e-3)
    assert seen[0] > seen[1] > 10
    with av.open(str(both)) as container:
        assert len(list(container.decode(video=0))) == 58
