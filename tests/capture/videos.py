"""Small videos, written with PyAV. A frame's number can be read from its grey."""
from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT = 64, 48
STEP = 4  # of grey from one frame to the next
TICK = Fraction(1, 1000)


def grey(number: int) -> np.ndarray:
    """A frame whose upper left quarter is white, and the rest the grey of its number."""
    image = np.full((HEIGHT, WIDTH, 3), number * STEP, np.uint8)
    image[:HEIGHT // 2, :WIDTH // 2] = 255
    return image


def numbers(frames: Sequence[np.ndarray]) -> list[int]:
    """The number of each frame."""
    return [round(float(np.median(frame)) / STEP) for frame in frames]


def write_video(path: Path, frames: int | Sequence[np.ndarray] = 30, *, fps: float = 30, codec: str = "libx264",
                times: Sequence[float] | None = None, ratio: Fraction | None = None,
                options: dict[str, str] | None = None) -> Path:
    """A video of so many grey frames, or of the given ones, at a constant rate or at the given seconds."""
    images = [grey(i) for i in range(frames)] if isinstance(frames, int) else frames
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options={"crf": "4"} if "x264" in codec else {})
        stream.width, stream.height = images[0].shape[1], images[0].shape[0]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if "x264" not in codec:
            stream.bit_rate = 2_000_000
        if times is not None:
            stream.codec_context.time_base = TICK
        if ratio is not None:
            stream.codec_context.sample_aspect_ratio = ratio
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.time_base = 1 / rate if times is None else TICK
            frame.pts = i if times is None else round(times[i] / TICK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """A second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for i in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, 1000 * i, Fraction(1, 8000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turned(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """An MP4 or MOV with another display matrix, as phones write it: a pixel is shown at `(a x + c y, b x + d y)`."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    content[start:start + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path
