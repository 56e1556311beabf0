"""Videos as bad cameras and bad connections give them: degrading frames, one after the other.

What is lost here is lost to the detector, so its captures have the faults that it really makes, not simulated ones
(`corruption.py` simulates). No more than two frames are at hand at a time, and of a compressed video its bytes.
"""
from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np

GAMMA = 2.2  # between the values of an image and light
READ_NOISE = 1.5  # electrons, of a cheap sensor
SAMPLES = 9  # images that a blurred one is the mean of


@dataclass(frozen=True)
class Degradation:
    """What is done to a video, in this order; by default nothing.

    Attributes
    ----------
    name : str
        As the tables call it.
    every : int
        Only each n-th frame is kept, from the first on.
    shutter : float
        Share of the time to the next frame for which the shutter is open: what moves is blurred along its optical flow
        (Dense Inverse Search, Kroeger et al. 2016), half of it before the frame's time and half after.
    shrink : int
        Width and height are divided by it; each pixel is the mean of a square. What is left over is cut off.
    photons : float
        Millions of electrons that a white picture collects, or electrons of a pixel of one with a million pixels; 0 for
        bright light. Few are noisy: Poisson noise, and Gaussian noise of `READ_NOISE` electrons a pixel (Foi et al.
        2008), brightened up again as a camera does.
    crf : int
        Constant rate factor of H.264 (x264), 0 for none: 18 looks like the original, 51 is the worst.
    seed : int
        Of the noise.
    """

    name: str
    every: int = 1
    shutter: float = 0.
    shrink: int = 1
    photons: float = 0.
    crf: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.every < 1 or self.shrink < 1:
            raise ValueError(f"every and shrink count from 1: {self.every} and {self.shrink} are too small")
        if not 0 <= self.shutter <= 1 or not 0 <= self.photons < np.inf or not 0 <= self.crf <= 51:
            raise ValueError("shutter is from 0 to 1, photons from 0, crf from 0 to 51; not "
                             f"{self.shutter}, {self.photons}, {self.crf}")


CLEAN = Degradation("clean")
COPY = Degradation("copy that looks the same", crf=18)
DEGRADATIONS = (
    Degradation("half resolution", shrink=2),
    Degradation("third resolution", shrink=3),
    Degradation("motion blur", shutter=1.),
    Degradation("low light", photons=100.),
    Degradation("very low light", photons=25.),
    Degradation("heavy compression", crf=42),
    Degradation("worst compression", crf=51),
    Degradation("half frame rate", every=2),
    Degradation("third frame rate", every=3),
)


def degrade(frames: Iterable[np.ndarray], how: Degradation, fps: float) -> Iterator[np.ndarray]:
    """Degrade a video.

    Parameters
    ----------
    frames : iterable of np.ndarray
        RGB images `(H, W, 3)` uint8, of one size. Read as the result is.
    how : Degradation
        What to do.
    fps : float
        Frames per second of `frames`; the result has `fps / how.every`.

    Yields
    ------
    np.ndarray
        `(H // shrink, W // shrink, 3)` uint8: every `how.every`-th frame.

    Raises
    ------
    ImportError
        For motion blur without OpenCV, or compression without PyAV.
    """
    frames = islice(frames, 0, None, how.every)
    if how.shutter:
        frames = blurred(frames, how.shutter)
    if how.shrink > 1:
        frames = (shrunk(frame, how.shrink) for frame in frames)
    if how.photons:
        rng = np.random.default_rng(how.seed)
        frames = (dim(frame, how.photons, rng) for frame in frames)
    if how.crf:
        frames = compressed(frames, how.crf, fps / how.every)
    yield from frames


def shrunk(frame: np.ndarray, times: int) -> np.ndarray:
    """`(H // times, W // times, 3)`: the mean of each square."""
    height, width = (size // times for size in frame.shape[:2])
    squares = frame[:height * times, :width * times].reshape(height, times, width, times, 3)
    return np.rint(squares.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)


def dim(frame: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """An image that would have collected so many million electrons if it were white, brightened to what it was."""
    white = photons * 1e6 / (frame.shape[0] * frame.shape[1])
    expected = (np.arange(256) / 255) ** GAMMA * white
    electrons = rng.poisson(expected[frame]) + READ_NOISE * rng.standard_normal(frame.shape, dtype=np.float32)
    return np.rint(255 * np.clip(electrons / white, 0, 1) ** (1 / GAMMA)).astype(np.uint8)


def blurred(frames: Iterable[np.ndarray], shutter: float) -> Iterator[np.ndarray]:
    """Frames blurred along the flow to the next frame; the last along that from the one before.

    The flow is taken at the blurred frame's own pixels, which is inexact at the edges of what moves.
    """
    import cv2

    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    rest = iter(frames)
    frame = next(rest, None)
    if frame is None:
        return
    flow = np.zeros((*frame.shape[:2], 2), np.float32)
    for after in rest:
        now, then = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (frame, after))
        flow = np.asarray(finder.calc(now, then, np.zeros_like(flow)), np.float32)
        yield along(frame, flow, shutter)
        frame = after
    yield along(frame, flow, shutter)


def along(frame: np.ndarray, flow: np.ndarray, shutter: float) -> np.ndarray:
    """The mean of a frame moved by shares of a flow `(H, W, 2)` in pixels, from `-shutter / 2` to `shutter / 2`."""
    import cv2

    height, width = frame.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    total = np.zeros(frame.shape, np.float32)
    for share in np.linspace(-shutter / 2, shutter / 2, SAMPLES, dtype=np.float32):
        total += cv2.remap(frame, x - share * flow[..., 0], y - share * flow[..., 1], cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REPLICATE)
    return np.rint(total / SAMPLES).astype(np.uint8)


def compressed(frames: Iterable[np.ndarray], crf: int, fps: float) -> Iterator[np.ndarray]:
    """Frames through H.264 and back. All are encoded before the first comes out."""
    import av

    file, shape = io.BytesIO(), None
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(crf)}
        for frame in frames:
            if shape is None:
                shape = frame.shape
                stream.height, stream.width = (size + size % 2 for size in shape[:2])  # H.264 wants them even
            even = np.pad(frame, [(0, shape[0] % 2), (0, shape[1] % 2), (0, 0)], mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        if shape is None:
            return
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as container:
        for image in container.decode(video=0):
            yield np.ascontiguousarray(image.to_ndarray(format="rgb24")[:shape[0], :shape[1]])
