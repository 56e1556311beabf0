"""`.pose` files, read without trust and written whole or not at all.

The reader compares what the header promises with the size of the file before it takes any memory, and gives each pose
a header of its own: pose-format caches headers and shares them between files, so that changing one changes others.
"""
from __future__ import annotations

import os
import stat
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
from pose_format.utils.reader import BufferReader, ConstStructs

from pose_diffusion.clip import check_pose, numpy_pose
from pose_diffusion.layout import HOLISTIC, Layout

MAX_HEADER = 1 << 18  # bytes; full Holistic has 15 thousand
MAX_MESSAGE = 500  # characters: names from a damaged file can be long
BLOCK = 256  # frames written at a time
BODY_START = {0.1: struct.Struct("<HHH"), 0.2: struct.Struct("<fIH")}  # fps, frames, people
AGAIN = "copy or export it again"


class PoseFileError(ValueError):
    """A file that cannot be read or written.

    Parameters
    ----------
    path : str or Path
        Which file.
    problem : object
        What is wrong and the way out. The message is one line, `<file>: <what is wrong>: <way out>`.
    """

    def __init__(self, path: str | os.PathLike[str], problem: object) -> None:
        text = "".join(c if c.isprintable() else "?" for c in f"{os.fspath(path)}: {problem}")
        super().__init__(text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE - 3] + "...")


def read_pose(path: str | os.PathLike[str], layout: Layout | None = HOLISTIC) -> Pose:
    """Read a `.pose` file of version 0.1 or 0.2.

    Parameters
    ----------
    path : str or path
        A regular file.
    layout : Layout, optional
        The header must have some of its points; None for any header.

    Returns
    -------
    Pose
        With a NumPy body (float32, points of confidence 0 masked) and a header that no other pose shares.

    Raises
    ------
    PoseFileError
        If it is missing, a folder, empty, truncated, longer than its header says (bytes that would be lost on
        writing), not a pose, of an unknown version or schema, without frames, people or a frame rate, or has NaN or
        infinity in a point with confidence.
    """
    try:
        if os.path.isdir(path):
            raise PoseFileError(path, "this is a folder: give a .pose file")
        if not os.path.isfile(path):
            missing = not os.path.exists(path)
            raise PoseFileError(path, "there is no such file: check the name" if missing else
                                "this is not a regular file: give a .pose file")
        with open(path, "rb") as file:
            pose = _read(path, file)
        check_pose(pose, layout)
    except PoseFileError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise PoseFileError(path, f"it cannot be read ({reason}): check the file and its permissions") from error
    except MemoryError as error:
        raise PoseFileError(path, "it does not fit into memory: cut it into shorter poses") from error
    except ValueError as error:
        raise PoseFileError(path, error) from error
    return pose


def _read(path: str | os.PathLike[str], file: BinaryIO) -> Pose:
    size = os.fstat(file.fileno()).st_size
    start = file.read(min(size, MAX_HEADER))
    if not start:
        raise PoseFileError(path, f"the file is empty: {AGAIN}")
    reader = BufferReader(start)
    header = _read_header(path, reader)
    body_start = BODY_START[round(header.version, 3)]
    if len(start) < reader.read_offset + body_start.size:
        raise PoseFileError(path, f"the file ends after its header: {AGAIN}")
    fps, frames, people = body_start.unpack_from(start, reader.read_offset)
    offset = reader.read_offset + body_start.size
    points, dims = header.total_points(), header.num_dims()
    frame_bytes = 4 * people * points * (dims + 1)
    if frame_bytes == 0 or dims < 1:
        raise PoseFileError(path, f"{people} people of {points} points in {dims} dimensions hold no pose: {AGAIN}")
    if body_start is BODY_START[0.1]:  # its 16 bits count frames modulo 65536; pose-format goes by the size as well
        frames += (size - offset) // frame_bytes // 65536 * 65536
    expected = offset + frames * frame_bytes
    if size < expected:
        raise PoseFileError(path, f"the file is truncated: its header promises {frames} frames ({expected} bytes), "
                            f"it has {size} bytes: {AGAIN}")
    if size > expected:
        raise PoseFileError(path, f"the file has {size - expected} bytes more than its header promises ({frames} "
                            f"frames): {AGAIN}, or let pose-format read and write it if they can go")
    if frames == 0:
        raise PoseFileError(path, "the pose has no frames: record or cut it again with at least one")
    file.seek(offset)
    data = np.fromfile(file, "<f4", frames * people * points * dims).reshape(frames, people, points, dims)
    confidence = np.fromfile(file, "<f4", frames * people * points).reshape(frames, people, points)
    return Pose(header, NumPyPoseBody(fps, data, confidence))


def _read_header(path: str | os.PathLike[str], reader: BufferReader) -> PoseHeader:
    """The header, past pose-format's cache: neither taken from it nor left in it."""
    try:
        version = reader.unpack(ConstStructs.float)
        if round(version, 3) not in BODY_START:
            raise PoseFileError(path, f"not a .pose file, or one of version {version:.4g}: versions 0.1 and 0.2 can be "
                                "read, and what pose-format reads and writes again has version 0.2")
        dimensions = PoseHeaderDimensions.read(version, reader)
        count = reader.unpack(ConstStructs.ushort)
        components = [PoseHeaderComponent.read(version, reader) for _ in range(count)]
    except (struct.error, UnicodeDecodeError, TypeError) as error:
        # TypeError is NumPy's "buffer is too small for requested array"
        raise PoseFileError(path, f"not a .pose file, or its header is damaged: {AGAIN}") from error
    if not components:
        raise PoseFileError(path, f"unknown pose schema: the header has no components: {AGAIN}")
    return PoseHeader(version, dimensions, components)


def write_pose(pose: Pose, path: str | os.PathLike[str]) -> None:
    """Write a `.pose` file of version 0.2, whole or not at all.

    Parameters
    ----------
    pose : Pose
        Of any schema; it is only read. What is missing (confidence 0, or masked in memory) is written as zeros with
        confidence 0, since a file holds no mask.
    path : str or path
        An existing file is replaced when all is written, and untouched otherwise.

    Raises
    ------
    PoseFileError
        If the pose cannot be stored (NaN or infinity in a point with confidence, no frames, a frame rate that is none,
        a name that is not ASCII) or the file not be written (no such folder, no permission, disk full).
    """
    try:
        pose = numpy_pose(pose)
        check_pose(pose, layout=None)
        texts = [text for c in pose.header.components for text in (c.name, c.format, *c.points)]
        if odd := [text for text in texts if not text.isascii()]:
            raise PoseFileError(path, f"the name {odd[0]!r} is not ASCII, which pose-format cannot store: rename it")
        with atomic(path) as temporary, open(temporary, "wb") as file:
            _write(pose, file)
    except PoseFileError:
        raise
    except (struct.error, OverflowError, ValueError) as error:
        raise PoseFileError(path, f"the pose cannot be stored: {error}") from error


def _write(pose: Pose, file: BinaryIO) -> None:
    body = pose.body
    frames, people = body.data.shape[:2]
    pose.header.write(file)
    file.write(BODY_START[0.2].pack(body.fps, frames, people))
    mask = np.ma.getmask(body.data)
    for what in ("data", "confidence"):
        for block in (slice(i, i + BLOCK) for i in range(0, frames, BLOCK)):
            missing = body.confidence[block] == 0
            if mask is not np.ma.nomask:
                missing |= mask[block].any(-1)
            values = np.ma.getdata(body.data)[block] if what == "data" else body.confidence[block]
            with np.errstate(over="ignore"):  # said in words below
                stored = np.where(missing[..., None] if what == "data" else missing, 0, values).astype("<f4")
            if not np.isfinite(stored).all():
                raise ValueError("a value is too large for 32 bits: scale the pose down")
            file.write(stored.tobytes())


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file beside its target, then rename it: the target is whole, old or new, at any moment.

    Parameters
    ----------
    path : str or path
        The target. A link is followed.

    Yields
    ------
    Path
        An empty file of a temporary name in the target's folder, with the target's ending. It is gone whatever happens.

    Raises
    ------
    PoseFileError
        If it cannot be written. Errors of the `with` block other than those of writing come through as they are.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".pose_diffusion-{uuid.uuid4().hex[:16]}{target.suffix}")
    try:
        if target.is_dir():
            raise PoseFileError(path, "this is a folder: give a file to write")
        if not target.parent.is_dir():
            raise PoseFileError(path, "its folder does not exist: create it first")
        if target.exists() and not target.is_file():
            raise PoseFileError(path, "this is not a regular file: give a file to write")
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            if target.exists():
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.filename is not None and str(error.filename) not in (str(temporary), str(target)):
            raise  # about another file, which the `with` block was reading
        reason = error.strerror or error
        raise PoseFileError(path, f"it cannot be written ({reason}): free space or choose another folder") from error
