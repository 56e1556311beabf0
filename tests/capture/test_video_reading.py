from __future__ import annotations

import os
import tracemalloc
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simple_video_utils.frames import read_frames_exact  # type: ignore[import-untyped]

from pose_diffusion.capture import video as module
from pose_diffusion.capture.video import ONE_FRAME_FPS, VideoError, frame_rate, nearest, open_video, read_frames
from tests.capture.videos import HEIGHT, WIDTH, grey, numbers, turned, write_sound, write_video


@pytest.fixture(scope="module")
def real_video() -> Path:
    """A 1080p camera file whose first two frames an edit list cuts off."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"
    path = Path(os.environ.get("POSE_DIFFUSION_VIDEOS", default)) / "dgs_auf_wiedersehen_1080p.mov"
    if not path.is_file():
        pytest.skip("needs dgs_auf_wiedersehen_1080p.mov: set POSE_DIFFUSION_VIDEOS to its folder")
    return path


@pytest.mark.parametrize(("name", "codec"), [
    ("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.avi", "mpeg4"),
    ("b.avi", "libx264"), ("a.h264", "libx264"), ("a.webm", "libvpx"), ("b.webm", "libvpx-vp9"), ("a.flv", "flv"),
    ("c.avi", "mjpeg"), ("b.ts", "mpeg2video"),
])
@pytest.mark.parametrize("fps", [30, 24000 / 1001])
def test_any_container_and_codec(tmp_path: Path, name: str, codec: str, fps: float) -> None:
    video = open_video(write_video(tmp_path / name, 45, codec=codec, fps=fps))
    assert (video.width, video.height, video.frames) == (WIDTH, HEIGHT, 45)
    assert video.fps == pytest.approx(fps, rel=1e-3)
    assert video.note == ""
    frames = list(read_frames(video))
    assert numbers(frames) == list(range(45))
    assert all(f.shape == (HEIGHT, WIDTH, 3) and f.dtype == np.uint8 and f.flags.c_contiguous for f in frames)


def test_frames_are_those_that_pose_format_reads(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 20)
    for ours, theirs in zip(read_frames(open_video(path)), read_frames_exact(str(path)), strict=True):
        assert np.array_equal(ours, theirs)


def test_the_rate_of_a_real_video_is_that_of_its_frames(real_video: Path) -> None:
    """The header gives 24.6 a second (62 frames, two of them cut off, in the time of 63)."""
    with av.open(str(real_video)) as container:
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(24.603, abs=.001)
    video = open_video(real_video)
    assert (video.fps, video.frames, video.width, video.height) == (25, 60, 1920, 1080)
    assert video.note == ""
    assert sum(1 for _ in read_frames(video, longest=64)) == 60


def test_a_pause_is_filled_with_the_nearest_frames(tmp_path: Path) -> None:
    times = [0, .04, .08, .12, .36, .40, .44, .48]
    video = open_video(write_video(tmp_path / "a.mkv", 8, fps=25, times=times))
    assert (video.fps, video.frames) == (25, 13)
    assert numbers(list(read_frames(video))) == [0, 1, 2, 3, 3, 3, 4, 4, 4, 4, 5, 6, 7]
    assert "5 of 13 are repeated and 0 left out" in video.note


def test_a_rate_that_varies_all_the_time(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).choice([.03, .04, .05, .09], 59)
    times = np.concatenate([[0], np.cumsum(steps)])
    video = open_video(write_video(tmp_path / "a.mp4", 60, times=times.tolist()))
    got = np.array(numbers(list(read_frames(video))))
    at = np.arange(len(got)) / video.fps
    assert np.abs(times[got] - at).max() <= max(steps) / 2 + .002  # the nearest in time
    assert (np.diff(got) >= 0).all()
    assert got[-1] == 59
    assert at[-1] == pytest.approx(times[-1], abs=1 / video.fps)


def test_another_rate_can_be_asked_for(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 30, fps=30)
    half, double = open_video(path, fps=15), open_video(path, fps=60)
    assert numbers(list(read_frames(half)))[:5] == [0, 2, 4, 6, 8]
    assert half.frames == 15
    assert set(numbers(list(read_frames(double)))) == set(range(30))
    assert double.frames == 59
    assert "15 left out" in half.note
    for fps in (0, -1, float("nan"), 1000):
        with pytest.raises(ValueError, match="frames per second"):
            open_video(path, fps=fps)


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "a.mp4", 1, fps=30))
    assert (video.frames, video.fps) == (1, 30)
    assert numbers(list(read_frames(video))) == [0]
    assert frame_rate(np.zeros(1)) == ONE_FRAME_FPS


@given(st.floats(1, 120), st.integers(2, 400), st.sampled_from([1e-3, 1 / 90000, 1 / 15360]))
def test_even_spacing_is_kept_as_it_is(fps: float, count: int, tick: float) -> None:
    times = np.round(np.arange(count) / fps / tick) * tick
    for guess in (0.0, fps, 1.2 * fps, 1000.0):
        found = frame_rate(times, guess, tick)
        assert abs((count - 1) / found - (count - 1) / fps) <= 1.6 * tick
        assert int(times[-1] * found + .49) + 1 == count
        assert nearest(times, found, count).tolist() == list(range(count))


@pytest.mark.parametrize(("matrix", "shown"), [
    ((1, 0, 0, 1), grey(5)),
    ((0, 1, -1, 0), np.rot90(grey(5), -1)),  # a phone held upright
    ((0, -1, 1, 0), np.rot90(grey(5), 1)),
    ((-1, 0, 0, -1), grey(5)[::-1, ::-1]),
    ((-1, 0, 0, 1), grey(5)[:, ::-1]),  # mirrored, which is no rotation: hands change sides
    ((1, 0, 0, -1), grey(5)[::-1]),
    ((0, 1, 1, 0), grey(5).transpose(1, 0, 2)),
])
def test_the_display_matrix_is_obeyed(tmp_path: Path, matrix: tuple[int, int, int, int], shown: np.ndarray) -> None:
    video = open_video(turned(write_video(tmp_path / "a.mp4", 8), *matrix))
    assert (video.height, video.width) == shown.shape[:2]
    frame = list(read_frames(video))[5]
    assert np.abs(frame.astype(int) - shown).mean() < 4
    small = next(read_frames(video, longest=32))
    assert max(small.shape) == 32
    assert (small.shape[0] > small.shape[1]) == (shown.shape[0] > shown.shape[1])


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 3, ratio=Fraction(3, 2))
    video = open_video(path)
    assert (video.width, video.height) == (96, HEIGHT)
    assert next(read_frames(video)).shape == (HEIGHT, 96, 3)
    video = open_video(turned(path, 0, 1, -1, 0))
    assert (video.width, video.height) == (HEIGHT, 96)
    assert next(read_frames(video)).shape == (96, HEIGHT, 3)


def test_a_size_that_changes_in_the_middle(tmp_path: Path) -> None:
    """Calls over a network do this. The same shape is scaled; another has no one pose to be in."""
    def joined(width: int, height: int) -> Path:
        parts = [write_video(tmp_path / "a.h264", 10),
                 write_video(tmp_path / "b.h264", [np.full((height, width, 3), 40, np.uint8)] * 10)]
        (tmp_path / "joined.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
        return tmp_path / "joined.h264"

    frames = list(read_frames(open_video(joined(WIDTH // 2, HEIGHT // 2))))
    assert [frame.shape for frame in frames] == [(HEIGHT, WIDTH, 3)] * 20
    assert numbers(frames[10:]) == [10] * 10
    with pytest.raises(VideoError, match="change from 64x48 to 48x64: cut it there"):
        list(read_frames(open_video(joined(HEIGHT, WIDTH))))


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    write_sound(tmp_path / "song.m4a")
    with pytest.raises(VideoError, match=r"song\.m4a: not a video \(audio only\)"):
        open_video(tmp_path / "song.m4a")


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.mp4", b"", "the file is empty: copy or export it again"),
    ("a.mp4", bytes(range(256)) * 20, "not a video that FFmpeg reads, or damaged"),
    ("a.txt", b"a text, no video\n" * 20, "not a video"),
    ("none.mp4", None, "there is no such file: check the name"),
    ("folder.mp4", None, "not a regular file"),
])
def test_what_is_no_video_is_said(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=message) as caught:
        open_video(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.mp4", "faststart.mp4", "a.mkv", "a.webm", "a.mov"])
@pytest.mark.parametrize("share", [.2, .8])
def test_a_truncated_video_is_refused_at_once(tmp_path: Path, name: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (45, HEIGHT, WIDTH, 3), np.uint8)  # so that frames take space
    options = {"movflags": "faststart"} if name.startswith("fast") else {}
    path = write_video(tmp_path / name, list(noise), codec="libvpx" if "webm" in name else "libx264",
                       options=options)
    assert open_video(path).frames == 45
    content = path.read_bytes()
    path.write_bytes(content[:round(share * len(content))])
    with pytest.raises(VideoError, match="truncated|not a video|has no frames"):
        open_video(path)


def test_damage_within_is_said_with_its_second(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", 60, codec="libvpx-vp9")
    with av.open(str(path)) as container:
        packet = bytes(next(islice(container.demux(video=0), 45, None)))
    content = path.read_bytes()
    path.write_bytes(content.replace(packet, bytes(len(packet))))
    frames = read_frames(open_video(path))
    assert numbers(list(islice(frames, 40))) == list(range(40))
    with pytest.raises(VideoError, match=r"a\.webm: it is damaged at 1\.\d+ s"):
        list(frames)


def test_a_play_list_opens_no_other_file(tmp_path: Path) -> None:
    """What a "video" of a stranger refers to is not fetched, and its content does not become a pose."""
    segment = write_video(tmp_path / "secret.ts", 30)
    for name, text in (("list.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{segment}\n#EXT-X-ENDLIST\n"),
                       ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n"),
                       ("list.ffconcat", f"ffconcat version 1.0\nfile {segment.name}\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(VideoError):
            list(read_frames(open_video(tmp_path / name)))


def test_a_huge_claim_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "bomb.gif").write_bytes(b"GIF89a" + b"\x10\x27\x10\x27\x80\x00\x00" + bytes(6)
                                        + b",\x00\x00\x00\x00\x10\x27\x10\x27\x00\x02\x02L\x01\x00;")
    with pytest.raises(VideoError, match="more than 50000000 pixels"):
        open_video(tmp_path / "bomb.gif")


def test_a_long_video_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mkv", 4, fps=25, times=[0, .04, .08, 40_000])
    with pytest.raises(VideoError, match="1000001 frames at 25 a second are more than 360000: cut it into parts"):
        open_video(path)
    monkeypatch.setattr(module, "MAX_FRAMES", 5)
    with pytest.raises(VideoError, match="more than 20 frames"):
        open_video(write_video(tmp_path / "b.mkv", 30))


def test_only_some_frames_are_in_memory(tmp_path: Path) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    video = open_video(write_video(tmp_path / "a.mp4", [image] * 200))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_frames(video)) == 200
        assert tracemalloc.get_traced_memory()[1] < 8 * image.nbytes
    finally:
        tracemalloc.stop()


def test_reading_can_be_stopped(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    frames = read_frames(open_video(path))
    assert numbers(list(islice(frames, 2))) == [0, 1]
    frames.close()  # type: ignore[attr-defined]
    path.unlink()
