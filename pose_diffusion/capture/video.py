"""Videos as frames for a pose estimator: upright, with square pixels, at one frame rate, one at a time.

PyAV decodes; it comes with pose-format. A video is looked through once without decoding (`open_video`), which finds
what is wrong with it before the hour that a capture takes, and then decoded frame by frame (`read_frames`).
"""
from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from pose_diffusion.capture.results import MAX_SIZE
from pose_diffusion.files import PoseFileError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

T = TypeVar("T")

MAX_PIXELS = 50_000_000  # of a frame; 8K has 33 million
MAX_FRAMES = 360_000  # four hours at 25 frames per second, whose pose takes some 13 GB while it is estimated
MAX_FPS = 240.0  # frames that are nearer to each other are a fault of the timestamps
ONE_FRAME_FPS = 25.0  # what a video of one frame has if it does not say
SURE_LENGTH = ("mov", "matroska")  # formats whose header says how long the video is; others estimate it
NO_TIMES = "avi"  # its timestamps count frames in the order in which they are stored
AGAIN = "copy or export it again"
# FFmpeg is given an open file and no way to others: a "video" can be a play list with addresses of anything. A header
# can say less than the frames have; decoders then refuse those before they take memory.
OPTIONS = {"protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS)}


class VideoError(PoseFileError):
    """A video that cannot be read; the message is one line, `<file>: <what is wrong>: <way out>`."""


class Turn(NamedTuple):
    """How the camera was held: first rows and columns are exchanged, then each is reversed, or not."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The image `(H, W, 3)` as it is meant to be seen, in one block of memory."""
        if self.transpose:
            image = image.transpose(1, 0, 2)
        return np.ascontiguousarray(image[::-1 if self.flip_y else 1, ::-1 if self.flip_x else 1])


@dataclass(frozen=True)
class Video:
    """What is known of a video before its frames are decoded.

    Attributes
    ----------
    path : str
        The file.
    width, height : int
        Pixels of a frame as it is meant to be seen: upright and with square pixels.
    fps : float
        Frames per second that `read_frames` yields.
    frames : int
        How many it yields.
    repeated, left_out : int
        How many of these are shown again, and how many of the video's are not among them, for the one rate.
    turn : Turn
        How the video's frames are turned.
    size : tuple of int
        Width and height of a frame as it is stored.
    times : np.ndarray, optional
        Seconds of each frame in the order in which they are shown, if the frames do not have them.
    """

    path: str
    width: int
    height: int
    fps: float
    frames: int
    repeated: int
    left_out: int
    turn: Turn
    size: tuple[int, int]
    times: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def note(self) -> str:
        """One line for the user if the frames are not those of the file, or nothing."""
        if not (self.repeated or self.left_out):
            return ""
        return (f"{self.path}: the frames are not evenly spaced; at {self.fps:.5g} a second {self.repeated} of "
                f"{self.frames} are repeated and {self.left_out} left out")


def open_video(path: str | os.PathLike[str], fps: float | None = None) -> Video:
    """Look through a video without decoding it.

    Parameters
    ----------
    path : str or path
        Any video that PyAV (FFmpeg) reads, a regular file. What it refers to (a play list) is not opened.
    fps : float, optional
        The frame rate wanted. By default the video's own; where its frames are not evenly spaced, that of most of them.

    Returns
    -------
    Video
        Its rate is that of the timestamps. Headers are often wrong about it: one whose first frames were cut off has
        all their number and less of their time.

    Raises
    ------
    VideoError
        If it is missing, empty, no video, audio only, truncated or larger than `MAX_PIXELS` or `MAX_FRAMES`; before
        memory is taken for it.
    """
    if fps is not None and not 0 < fps <= MAX_FPS:
        raise ValueError(f"{fps} frames per second: give a rate above 0, up to {MAX_FPS:g}")
    name = os.fspath(path)
    with _opened(name) as container:
        stream = _picture(name, container)
        times = _frame_times(name, container, stream)
        ticks, guess = float(stream.time_base or 0), float(stream.guessed_rate or stream.average_rate or 0)
        timeless = container.format.name == NO_TIMES
    if times is None:
        raise VideoError(name, f"it has no frames: {AGAIN}")
    if isinstance(times, int):  # frames without any time
        times, timeless = np.arange(times) / (guess or ONE_FRAME_FPS), True
    if fps is None:
        fps = frame_rate(times, guess, ticks)
    count = math.floor(float(times[-1] - times[0]) * fps + .49) + 1
    if count > MAX_FRAMES:
        raise VideoError(name, f"{count} frames at {fps:.5g} a second are more than {MAX_FRAMES}: cut it into parts")
    shown = len(np.unique(nearest(times - times[0], fps, count)))
    turn, size, (width, height) = _look(name)
    return Video(name, width, height, fps, count, count - shown, len(times) - shown, turn, size,
                 times if timeless else None)


def frame_rate(times: np.ndarray, guess: float = 0.0, tick: float = 0.0) -> float:
    """The frame rate of a video.

    Parameters
    ----------
    times : np.ndarray
        `(N,)`, ascending: seconds at which frames are shown.
    guess : float
        What the header says, or 0. It is more exact than times that are rounded to milliseconds, if it fits them.
    tick : float
        What the times are multiples of, seconds.

    Returns
    -------
    float
        Frames per second, at most `MAX_FPS`. Evenly spaced: one over the mean distance; otherwise one over the
        median, so that a pause does not make the rest coarser.
    """
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not len(steps):
        return guess if 0 < guess <= MAX_FPS else ONE_FRAME_FPS
    span, usual, near = float(times[-1] - times[0]), float(np.median(steps)), 1.01 * tick + 1e-9
    mean = span / (len(times) - 1)
    if abs(mean - usual) <= near:
        rate = guess if guess and abs((len(times) - 1) / guess - span) <= near else 1 / mean
    else:
        rate = guess if guess and abs(1 / guess - usual) <= near else 1 / usual
    return min(rate, MAX_FPS)


def nearest(times: np.ndarray, fps: float, count: int) -> np.ndarray:
    """Which frame is the nearest in time to each of `count` evenly spaced ones.

    Parameters
    ----------
    times : np.ndarray
        `(N,)`, ascending: seconds since the first.

    Returns
    -------
    np.ndarray
        `(count,)` int; 0, 1, 2, ... where the frames are less than half a distance off.
    """
    return np.searchsorted((times[1:] + times[:-1]) / 2, np.arange(count) / fps, side="right")


def read_frames(video: Video, *, longest: int | None = None) -> Iterator[np.ndarray]:
    """The frames of a video; of these only some are in memory at a time.

    Parameters
    ----------
    video : Video
        Of `open_video`.
    longest : int, optional
        Scale the frames down to this many pixels along the longer side.

    Yields
    ------
    np.ndarray
        `(H, W, 3)` uint8, RGB, upright; `video.frames` of them. A repeated one is the same array again.

    Raises
    ------
    VideoError
        Where the video is damaged; says at what second.
    """
    width, height = (video.height, video.width) if video.turn.transpose else (video.width, video.height)
    if longest is not None and longest < max(width, height):
        scale = longest / max(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    with _opened(video.path) as container:
        stream = _picture(video.path, container)
        held: tuple[VideoFrame, np.ndarray] | None = None
        for frame in _resampled(_timed(container, stream, video), video):
            if held is None or held[0] is not frame:  # frames that are left out are not converted
                image = _same_shape(frame, video).reformat(width, height, "rgb24").to_ndarray()
                held = frame, video.turn(image)
            yield held[1]


def _resampled(frames: Iterable[tuple[float, T]], video: Video) -> Iterator[T]:
    """Those of `nearest`, from frames with their seconds since the first."""
    sent, before = 0, None
    for time, frame in frames:
        if before is not None:
            while sent < video.frames and sent / video.fps < (before[0] + time) / 2:
                yield before[1]
                sent += 1
        before = time, frame
    if before is None:
        raise VideoError(video.path, f"no frame of it can be decoded: {AGAIN}")
    if (missing := video.frames - sent - 1) > max(2.0, video.fps / 2):
        raise VideoError(video.path, f"it is damaged: {missing} frames after {before[0]:.2f} s cannot be decoded: "
                                     f"{AGAIN}")
    for _ in range(sent, video.frames):
        yield before[1]


def _timed(container: InputContainer, stream: VideoStream, video: Video) -> Iterator[tuple[float, VideoFrame]]:
    """Each frame and its seconds since the first, never less than before."""
    import av

    start = last = 0.0
    try:
        for i, frame in enumerate(container.decode(stream)):
            time: float | None = frame.time
            if video.times is not None:
                time = float(video.times[i]) if i < len(video.times) else None
            if i == 0:
                start = time or 0.0
            last = last + 1 / video.fps if time is None else max(last, time - start)
            yield last, frame
    except av.FFmpegError as error:
        raise VideoError(video.path, f"it is damaged at {last:.2f} s ({_reason(error)}): {AGAIN}") from error


def _same_shape(frame: VideoFrame, video: Video) -> VideoFrame:
    """The frame, unless the video changes its shape in the middle; another size of the same shape is scaled."""
    if abs(frame.width * video.size[1] / (frame.height * video.size[0]) - 1) > .02:
        raise VideoError(video.path, f"its frames change from {video.size[0]}x{video.size[1]} to {frame.width}x"
                                     f"{frame.height}: cut it there into two videos")
    return frame


@contextmanager
def _opened(path: str) -> Iterator[InputContainer]:
    """A video as a container; FFmpeg's errors in the block become a `VideoError`."""
    if not os.path.isfile(path):
        raise VideoError(path, "there is no such file: check the name" if not os.path.exists(path) else
                         "this is not a regular file: give a video")
    import av

    try:
        with open(path, "rb") as file:
            if not file.read(1):
                raise VideoError(path, f"the file is empty: {AGAIN}")
            file.seek(0)
            with av.open(file, "r", options=OPTIONS, metadata_errors="replace") as container:
                yield container
    except av.FFmpegError as error:
        large = f", or of more than {MAX_PIXELS} pixels" if isinstance(error, av.ArgumentError) else ""
        raise VideoError(path, f"not a video that FFmpeg reads, or damaged{large} ({_reason(error)}): {AGAIN}"
                         ) from error
    except OSError as error:
        raise VideoError(path, f"it cannot be read ({error.strerror or error}): check the file and its "
                               "permissions") from error


def _reason(error: Any) -> str:
    return error.strerror or type(error).__name__


def _picture(path: str, container: InputContainer) -> VideoStream:
    """The first stream that shows something, unless it is too large."""
    from av.stream import Disposition

    # The cover of a song is a video stream as well.
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        what = "audio only" if container.streams.audio else "no picture in it"
        raise VideoError(path, f"not a video ({what}): give a file with a picture, or {AGAIN} if it had one")
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError(path, "its codec is unknown to FFmpeg: convert it to H.264")
    _check_size(path, stream.codec_context.width, stream.codec_context.height)
    stream.thread_type = "AUTO"
    stream.codec_context.options = OPTIONS
    return stream


def _check_size(path: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIZE:
        raise VideoError(path, f"frames of {width}x{height} pixels are too large (at most {MAX_PIXELS} pixels): "
                               "scale it down")


def _frame_times(path: str, container: InputContainer, stream: VideoStream) -> np.ndarray | int | None:
    """Seconds at which frames are shown, ascending; their number if they have no times; None without any."""
    times: list[float | None] = []
    stored, end = 0, 0.0
    for packet in container.demux():
        if packet.size == 0:  # the end of a stream
            continue
        at = packet.dts if packet.pts is None else packet.pts
        if at is not None and packet.time_base is not None:
            end = max(end, float((at + (packet.duration or 0)) * packet.time_base))
        if packet.stream.index != stream.index:
            continue
        stored += 1
        if not packet.is_discard:  # cut off by an edit list
            times.append(None if at is None or packet.time_base is None else float(at * packet.time_base))
        if len(times) > 4 * MAX_FRAMES:
            raise VideoError(path, f"it has more than {4 * MAX_FRAMES} frames: cut it into parts")
    _check_whole(path, container, stream, stored, end)
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        return len(times)
    return np.sort(known) if known else None


def _check_whole(path: str, container: InputContainer, stream: VideoStream, stored: int, end: float) -> None:
    """An error if the header promises more than there is."""
    import av

    if stream.frames > stored:
        raise VideoError(path, f"the file is truncated: its header promises {stream.frames} frames, it has {stored}: "
                               f"{AGAIN}")
    if container.duration and container.format.name.startswith(SURE_LENGTH):
        whole = container.duration / av.time_base
        there = end - min(0.0, (container.start_time or 0) / av.time_base)
        if there < whole - max(.25, .001 * whole):
            raise VideoError(path, f"the file is truncated: its header promises {whole:.1f} s, it has {there:.1f} s: "
                                   f"{AGAIN}")


def _look(path: str) -> tuple[Turn, tuple[int, int], tuple[int, int]]:
    """From the first frame: how it is turned, its stored size, and the size as it is meant to be seen."""
    with _opened(path) as container:
        stream = _picture(path, container)
        frame = next(container.decode(stream), None)
        if frame is None:
            raise VideoError(path, f"no frame of it can be decoded: {AGAIN}")
        ratio = stream.sample_aspect_ratio
    width, height = frame.width, frame.height
    if ratio and .25 <= ratio <= 4:  # pixels that are not square; beyond that the header is wrong
        width = max(1, round(width * float(ratio)))
    _check_size(path, width, height)
    turn = turn_of(frame)
    return turn, (frame.width, frame.height), (height, width) if turn.transpose else (width, height)


def turn_of(frame: VideoFrame) -> Turn:
    """How a frame is to be turned, by its display matrix, to the next right angle.

    The matrix `[[a, b, u], [c, d, v], [x, y, w]]` says that the pixel `(x, y)` is shown at `(a x + c y, b x + d y)`.
    It can mirror as well, which `frame.rotation` of PyAV does not tell from turning.
    """
    for data in list[Any](frame.side_data):  # PyAV declares it as a mapping, whose keys these would be
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return Turn(False, a < 0, d < 0)
            return Turn(True, c < 0, b < 0)
    return Turn()
