# SPDX-License-Identifier: GPL-3.0-or-later
"""`.pose` files: reading and writing with NumPy alone.

A file is little-endian: version (float32), width, height, depth, number of components (uint16 each), the components,
frame rate, frames, people, then all coordinates and all confidences as float32. Files come from strangers: what a
header promises is compared with the file's size before memory is taken.
"""
from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import AddonError

MAX_HEADER = 1 << 18  # bytes; that of full MediaPipe Holistic has 15 thousand
MAX_MESSAGE, MAX_NAME = 500, 80  # characters; names in a damaged file can be long
MAX_RATE = 10_000  # frames per second; below its inverse nothing would be left of Blender's timeline
BODY = {0.1: struct.Struct("<HHH"), 0.2: struct.Struct("<fIH")}  # frame rate, frames, people
SIZE = struct.Struct("<HHH")
VERSION, COUNT, PAIR = struct.Struct("<f"), struct.Struct("<H"), struct.Struct("<HH")
AGAIN = "copy or export it again"


@dataclass(frozen=True)
class Component:
    """A part of a header: its name and its points' names."""

    name: str
    points: tuple[str, ...]
    format: str = "XYZC"
    limbs: tuple[tuple[int, int], ...] = ()
    colors: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class PoseFile:
    """The content of a `.pose` file.

    Attributes
    ----------
    components : tuple of Component
        All points, in order; K of them.
    fps : float
        Frames per second.
    data : np.ndarray
        `(T, P, K, D)` float32, P people, D at least 2: x, y in pixels from the top left, z in image widths. Where
        confidence is 0 it may be anything, even NaN.
    confidence : np.ndarray
        `(T, P, K)` float32; 0 where a point was not seen.
    width, height, depth : int
        Of the image, in pixels.
    """

    components: tuple[Component, ...]
    fps: float
    data: np.ndarray
    confidence: np.ndarray
    width: int
    height: int
    depth: int = 0


def read(path: str | os.PathLike[str]) -> PoseFile:
    """Read a `.pose` file of version 0.1 or 0.2, of any points.

    Parameters
    ----------
    path : str or path
        A regular file.

    Returns
    -------
    PoseFile
        Exactly what is in the file.

    Raises
    ------
    AddonError
        If it is missing, a folder, empty, truncated, longer than its header says, not a pose, of an unknown version,
        without frames, people or a frame rate, or has NaN or infinity in a point with confidence.
    """
    try:
        if os.path.isdir(path):
            raise _refusal(path, "this is a folder: choose a .pose file")
        if not os.path.isfile(path):
            missing = not os.path.exists(path)
            raise _refusal(path, "there is no such file: check the name" if missing else
                           "this is not a regular file: choose a .pose file")
        with open(path, "rb") as file:
            pose = _read(path, file)
    except OSError as error:
        reason = error.strerror or error
        raise _refusal(path, f"it cannot be read ({reason}): check the file and its permissions") from error
    except MemoryError as error:
        raise _refusal(path, "it does not fit into memory: cut it into shorter poses") from error
    if problem := _problem(pose):
        raise _refusal(path, problem)
    return pose


def write(pose: PoseFile, path: str | os.PathLike[str]) -> None:
    """Write a `.pose` file of version 0.2, whole or not at all.

    Parameters
    ----------
    pose : PoseFile
        Points of confidence 0 are written as zeros.
    path : str or path
        An existing file is replaced once all is written, and untouched otherwise.

    Raises
    ------
    AddonError
        If the pose cannot be stored (arrays that do not fit each other, NaN or infinity in a point with confidence, no
        frames) or the file not be written (no such folder, no permission, disk full).
    """
    if problem := _problem(pose):
        raise _refusal(path, problem)
    try:
        header = _header_bytes(pose)
        body = BODY[0.2].pack(pose.fps, *pose.data.shape[:2])
    except (struct.error, OverflowError) as error:
        raise _refusal(path, f"a name or a number is too large for the format ({error}): make it smaller") from error
    with np.errstate(over="ignore"):  # said in words below
        data = np.where(pose.confidence[..., None] == 0, 0, pose.data).astype("<f4")
        confidence = pose.confidence.astype("<f4")
    if not (np.isfinite(data).all() and np.isfinite(confidence).all()):
        raise _refusal(path, "a coordinate is too large for 32 bits: scale the pose down")
    with _atomic(path) as file:
        file.write(header + body)
        file.write(data.tobytes())
        file.write(confidence.tobytes())


def column(pose: PoseFile, component: str, point: str) -> int | None:
    """Where a point is among the K of `pose.data`, by name; None if the file lacks it."""
    start = 0
    for part in pose.components:
        if part.name == component and point in part.points:
            return start + part.points.index(point)
        start += len(part.points)
    return None


def frames(pose: PoseFile, first: int, last: int) -> PoseFile:
    """The frames from `first` to the one before `last`; they share memory with `pose`.

    Raises
    ------
    AddonError
        If there are no such frames.
    """
    if not 0 <= first < last <= len(pose.data):
        raise AddonError(f"frames {first} to {last} of a pose with {len(pose.data)}: choose a range inside it")
    return replace(pose, data=pose.data[first:last], confidence=pose.confidence[first:last])


def _refusal(path: str | os.PathLike[str], problem: str) -> AddonError:
    text = "".join(c if c.isprintable() else "?" for c in f"{os.fspath(path)}: {problem}")
    return AddonError(text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE - 3] + "...")


def _problem(pose: PoseFile) -> str | None:
    """What makes a pose useless, and the way out; None if nothing does."""
    points = sum(len(part.points) for part in pose.components)
    dims = max((len(part.format) for part in pose.components), default=0) - 1
    shape = pose.data.shape
    if len(shape) != 4 or shape[2:] != (points, dims) or pose.confidence.shape != shape[:3]:
        return (f"the header ({points} points of {dims} dimensions) does not fit the data {shape} and the confidence "
                f"{pose.confidence.shape}: make the pose again from matching parts")
    if dims < 2:
        return f"points of {dims} dimensions, x and y are needed: export it again with both"
    if shape[0] == 0:
        return "the pose has no frames: record or cut it again with at least one"
    if shape[1] == 0 or points == 0:
        return f"{shape[1]} people of {points} points are no pose: estimate it again from a video that shows a person"
    if not 1 / MAX_RATE <= pose.fps <= MAX_RATE:
        return f"the frame rate is {pose.fps:g} frames per second: export it again with the video's rate"
    for start in range(0, shape[0], 4096):  # in blocks, for the sake of memory
        block = slice(start, start + 4096)
        bad = ~np.isfinite(pose.confidence[block])
        bad |= (pose.confidence[block] != 0) & ~np.isfinite(pose.data[block]).all(-1)
        if bad.any():
            frame, person, point = (int(i) for i in np.argwhere(bad)[0])
            name = [f"{part.name}/{name}" for part in pose.components for name in part.points][point]
            return (f"point {name[:MAX_NAME]} of person {person} in frame {start + frame} is NaN or infinite: set its "
                    "value and its confidence to 0 there, which marks it as not seen")
    return None


def _read(path: str | os.PathLike[str], file: BinaryIO) -> PoseFile:
    size = os.fstat(file.fileno()).st_size
    start = file.read(min(size, MAX_HEADER))
    if not start:
        raise _refusal(path, f"the file is empty: {AGAIN}")
    version, (width, height, depth), components, offset = _read_header(path, start)
    body = BODY[version]
    if len(start) < offset + body.size:
        raise _refusal(path, f"the file ends after its header: {AGAIN}")
    fps, count, people = body.unpack_from(start, offset)
    offset += body.size
    points = sum(len(part.points) for part in components)
    dims = max((len(part.format) for part in components), default=0) - 1
    frame_bytes = 4 * people * points * (dims + 1)
    if frame_bytes == 0 or dims < 1:
        raise _refusal(path, f"{people} people of {points} points in {max(dims, 0)} dimensions hold no pose: {AGAIN}")
    if version == 0.1:  # its 16 bits count frames modulo 65536
        count += (size - offset) // frame_bytes // 65536 * 65536
    expected = offset + count * frame_bytes
    if size < expected:
        raise _refusal(path, f"the file is truncated: its header promises {count} frames ({expected} bytes), it has "
                       f"{size} bytes: {AGAIN}")
    if size > expected:
        raise _refusal(path, f"the file has {size - expected} bytes more than its header promises ({count} frames): "
                       f"{AGAIN}")
    file.seek(offset)
    data = np.fromfile(file, "<f4", count * people * points * dims)
    confidence = np.fromfile(file, "<f4", count * people * points)
    if data.size + confidence.size != count * people * points * (dims + 1):
        raise _refusal(path, "the file became shorter while it was read: wait until it is written, and try again")
    return PoseFile(components, float(fps), data.astype(np.float32, copy=False).reshape(count, people, points, dims),
                    confidence.astype(np.float32, copy=False).reshape(count, people, points), width, height, depth)


def _read_header(path: str | os.PathLike[str], content: bytes
                 ) -> tuple[float, tuple[int, int, int], tuple[Component, ...], int]:
    """Version, width, height and depth, the components, and where the body starts."""
    try:
        version = round(VERSION.unpack_from(content)[0], 3)
        if version not in BODY:
            raise _refusal(path, f"not a .pose file, or one of version {version:.4g}: versions 0.1 and 0.2 can be "
                           "read, and what pose-format reads and writes again has version 0.2")
        width, height, depth = SIZE.unpack_from(content, VERSION.size)
        at = VERSION.size + SIZE.size
        count, at = COUNT.unpack_from(content, at)[0], at + COUNT.size
        components = []
        for _ in range(count):
            component, at = _read_component(content, at)
            components.append(component)
    except (struct.error, UnicodeDecodeError) as error:
        raise _refusal(path, f"not a .pose file, or its header is damaged: {AGAIN}") from error
    return version, (width, height, depth), tuple(components), at


def _read_component(content: bytes, at: int) -> tuple[Component, int]:
    """A component, and where it ends."""
    name, at = _read_text(content, at)
    form, at = _read_text(content, at)
    counts, at = SIZE.unpack_from(content, at), at + SIZE.size
    points = []
    for _ in range(counts[0]):
        point, at = _read_text(content, at)
        points.append(point)
    limbs = tuple(PAIR.unpack_from(content, at + PAIR.size * i) for i in range(counts[1]))
    at += PAIR.size * counts[1]
    colors = tuple(SIZE.unpack_from(content, at + SIZE.size * i) for i in range(counts[2]))
    at += SIZE.size * counts[2]
    return Component(name, tuple(points), form, limbs, colors), at


def _read_text(content: bytes, at: int) -> tuple[str, int]:
    end = at + COUNT.size + COUNT.unpack_from(content, at)[0]
    if end > len(content):
        raise struct.error("text beyond the end")
    return content[at + COUNT.size:end].decode(), end


def _header_bytes(pose: PoseFile) -> bytes:
    parts = [VERSION.pack(.2), SIZE.pack(pose.width, pose.height, pose.depth), COUNT.pack(len(pose.components))]
    for part in pose.components:
        for text in (part.name, part.format):
            parts.append(_text_bytes(text))
        parts.append(SIZE.pack(len(part.points), len(part.limbs), len(part.colors)))
        parts += map(_text_bytes, part.points)
        parts += [PAIR.pack(*limb) for limb in part.limbs]
        parts += [SIZE.pack(*color) for color in part.colors]
    return b"".join(parts)


def _text_bytes(text: str) -> bytes:
    content = text.encode()
    return COUNT.pack(len(content)) + content


@contextmanager
def _atomic(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write beside the target, then rename: the target is whole, old or new, at any moment."""
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
    try:
        if target.is_dir():
            raise _refusal(path, "this is a folder: give a file to write")
        if not target.parent.is_dir():
            raise _refusal(path, "its folder does not exist: create it first")
        if target.exists() and not target.is_file():
            raise _refusal(path, "this is not a regular file: give a file to write")
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise _refusal(path, f"it cannot be written ({reason}): free space or choose another folder") from error
