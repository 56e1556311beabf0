"""BVH files: a skeleton and its motion, read without trust, and where its joints are.

A joint's place in its parent is ``offset + translation``, its rotation the product of its rotation channels in the
order in which the file names them: three channels of any order, two, one, none, or some axis twice.
"""
from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_diffusion.files import PoseFileError

MAX_BYTES = 1 << 29  # an hour at 60 fps of 100 joints has 6e8 characters; longer takes have to be cut
MAX_JOINTS = 10_000
MAX_CHANNELS = 12  # of one joint; files of practice have 0, 3 or 6
BLOCK = 1 << 12  # lines of numbers taken at a time
CHANNELS = {f"{axis}{kind}": (kind, i) for i, axis in enumerate("xyz") for kind in ("position", "rotation")}
AGAIN = "export it again"


@dataclass(frozen=True)
class Bvh:
    """A BVH file as it stands, in its own units and axes.

    Attributes
    ----------
    names : tuple of str
        J joints, parents before children; an end site is called after its joint: ``"<joint> end"``.
    parents : tuple of int
        Index of each joint's parent, -1 for a root (there may be several).
    ends : tuple of bool
        Which of them are end sites.
    offsets : np.ndarray
        ``(J, 3)`` float64: each joint's place in its parent at rest.
    channels : tuple of tuple of str
        For each joint its channels in the order of the file, such as ``"xposition"`` or ``"zrotation"``.
    values : np.ndarray
        ``(T, C)`` float64: the channels of all joints in order, rotations in degrees.
    frame_time : float
        Seconds from frame to frame.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    ends: tuple[bool, ...]
    offsets: np.ndarray
    channels: tuple[tuple[str, ...], ...]
    values: np.ndarray
    frame_time: float


@dataclass(frozen=True)
class _Skeleton:
    """What stands above MOTION, while it is being read."""

    names: list[str]
    parents: list[int]
    ends: list[bool]
    offsets: list[tuple[float, float, float] | None]
    channels: list[tuple[str, ...] | None]


class _Words:
    """The words of a text one by one, with the line each stands in."""

    def __init__(self, path: str | os.PathLike[str], lines: list[str]) -> None:
        self.path = path
        self.line = 0
        self._words: Iterator[tuple[int, str]] = ((i, word) for i, line in enumerate(lines, 1) for word in line.split())

    def take(self) -> str:
        """The next word; nothing at the end."""
        self.line, word = next(self._words, (self.line, ""))
        return word

    def next(self, wanted: str) -> str:
        if word := self.take():
            return word
        raise self.wrong(f"nothing follows where {wanted} should be")

    def expect(self, *keywords: str) -> str:
        """The next word, which has to be one of these (in lower case), whatever its case."""
        word = self.next(keywords[0].upper())
        if word.lower() not in keywords:
            raise self.wrong(f"{word!r} where {' or '.join(k.upper() for k in keywords)} should be")
        return word.lower()

    def number(self, what: str) -> float:
        word = self.next(what)
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.wrong(f"{word!r} is no number for {what}")
        return value

    def count(self, what: str, most: int) -> int:
        value = self.number(what)
        if value != int(value) or not 0 <= value <= most:
            raise self.wrong(f"{value:g} is no whole number from 0 to {most} for {what}")
        return int(value)

    def wrong(self, problem: str) -> PoseFileError:
        return PoseFileError(self.path, f"line {self.line}: {problem}: {AGAIN}")


def read_bvh(path: str | os.PathLike[str]) -> Bvh:
    """Read a BVH file.

    Parameters
    ----------
    path : str or path
        A regular file of at most 512 MB. Upper or lower case, tabs or blanks, any line ends; the numbers of a frame
        need not be on one line.

    Returns
    -------
    Bvh

    Raises
    ------
    PoseFileError
        If it is missing, too large, not a BVH file, damaged (the message names the line), without channels or frames,
        or has more or fewer numbers than its header says.
    """
    try:
        if not os.path.isfile(path):
            raise PoseFileError(path, "there is no such file: give a .bvh file")
        if (size := os.path.getsize(path)) > MAX_BYTES:
            raise PoseFileError(path, f"the file has {size} bytes, more than {MAX_BYTES}: cut it into shorter takes")
        text = Path(path).read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        reason = error.strerror or error
        raise PoseFileError(path, f"it cannot be read ({reason}): check the file and its permissions") from error
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip().lower() == "motion"), None)
    if start is None:
        raise PoseFileError(path, f"not a BVH file, or one without a MOTION part: {AGAIN}")
    above = [line.replace("{", " { ").replace("}", " } ") for line in lines[:start]]  # some leave out the blanks
    skeleton = _read_skeleton(_Words(path, above))
    channels = tuple(of_joint or () for of_joint in skeleton.channels)
    count = sum(map(len, channels))
    if count == 0:
        raise PoseFileError(path, f"no joint has channels, so nothing moves: {AGAIN}")
    values, frame_time = _read_motion(path, lines, start + 1, count)
    offsets = np.array([offset or (0, 0, 0) for offset in skeleton.offsets], np.float64)
    return Bvh(tuple(skeleton.names), tuple(skeleton.parents), tuple(skeleton.ends), offsets, channels, values,
               frame_time)


def _read_skeleton(words: _Words) -> _Skeleton:
    words.expect("hierarchy")
    skeleton = _Skeleton([], [], [], [], [])
    words.expect("root")
    _begin(words, skeleton, -1, end=False)
    inside = [0]  # the joints whose braces are open
    for keyword in iter(lambda: _keyword(words, inside), ""):
        if keyword == "}":
            joint = inside.pop()
            if skeleton.offsets[joint] is None:
                raise words.wrong(f"joint {skeleton.names[joint]!r} has no OFFSET")
        elif keyword == "root":
            _begin(words, skeleton, -1, end=False)
            inside.append(len(skeleton.names) - 1)
        elif keyword in ("joint", "end"):
            if skeleton.ends[inside[-1]]:
                raise words.wrong("a joint inside an End Site")
            _begin(words, skeleton, inside[-1], end=keyword == "end")
            inside.append(len(skeleton.names) - 1)
        else:
            _describe(words, skeleton, inside[-1], keyword)
    return skeleton


def _keyword(words: _Words, inside: list[int]) -> str:
    """What comes next; nothing when all braces are closed and the words are at an end."""
    if inside:
        return words.expect("}", "joint", "end", "offset", "channels")
    word = words.take()
    if word.lower() not in ("root", ""):
        raise words.wrong(f"{word!r} after the last }}")
    return word.lower()


def _begin(words: _Words, skeleton: _Skeleton, parent: int, *, end: bool) -> None:
    if len(skeleton.names) >= MAX_JOINTS:
        raise words.wrong(f"more than {MAX_JOINTS} joints")
    if end:
        words.expect("site")
        words.expect("{")
        name = f"{skeleton.names[parent]} end"
    else:
        parts = []
        while (word := words.next("{")) != "{":  # a name may hold blanks
            parts.append(word)
        name = " ".join(parts)
    skeleton.names.append(name)
    skeleton.parents.append(parent)
    skeleton.ends.append(end)
    skeleton.offsets.append(None)
    skeleton.channels.append(() if end else None)


def _describe(words: _Words, skeleton: _Skeleton, joint: int, keyword: str) -> None:
    name = skeleton.names[joint]
    known = skeleton.offsets if keyword == "offset" else skeleton.channels
    if known[joint] is not None:
        raise words.wrong(f"a second {keyword.upper()} of {name!r}" if not skeleton.ends[joint] else
                          f"{keyword.upper()} in an End Site that has no use for it")
    if keyword == "offset":
        x, y, z = (words.number(f"the OFFSET of {name!r}") for _ in range(3))
        skeleton.offsets[joint] = x, y, z
    else:
        count = words.count(f"the CHANNELS of {name!r}", MAX_CHANNELS)
        skeleton.channels[joint] = tuple(words.expect(*CHANNELS) for _ in range(count))


def _read_motion(path: str | os.PathLike[str], lines: list[str], start: int, count: int) -> tuple[np.ndarray, float]:
    """The values ``(T, count)`` and the frame time; `start` is the index of the line after MOTION."""
    head: dict[str, float] = {}
    for line in range(start, len(lines)):
        key, colon, value = lines[line].partition(":")
        name = " ".join(key.lower().split())
        if not lines[line].strip():
            continue
        if not colon or name not in ("frames", "frame time"):
            break
        words = _Words(path, [""] * line + [value])
        head[name] = words.count("Frames", 1 << 40) if name == "frames" else words.number("Frame Time")
        start = line + 1
    if len(head) < 2:
        raise PoseFileError(path, f"line {start + 1}: no 'Frames:' and 'Frame Time:' below MOTION: {AGAIN}")
    frames, frame_time = int(head["frames"]), head["frame time"]
    if frames < 1:
        raise PoseFileError(path, "the file has no frames: record or export it again with at least one")
    if frame_time <= 0:
        raise PoseFileError(path, f"a Frame Time of {frame_time:g} seconds: {AGAIN}")
    blocks = [_numbers(path, lines, i) for i in range(start, len(lines), BLOCK)]
    values = np.concatenate(blocks) if blocks else np.empty(0)
    if len(values) != frames * count:
        raise PoseFileError(path, f"{frames} frames of {count} channels are promised ({frames * count} numbers), "
                            f"but there are {len(values)} numbers: {AGAIN}")
    return values.reshape(frames, count), frame_time


def _numbers(path: str | os.PathLike[str], lines: list[str], start: int) -> np.ndarray:
    """The numbers of a block of lines."""
    block = lines[start:start + BLOCK]
    try:
        values = np.array(" ".join(block).split(), np.float64)
    except ValueError:
        values = np.array([math.nan])
    if not np.isfinite(values).all():
        words = _Words(path, [""] * start + block)
        for _ in range(sum(len(line.split()) for line in block)):
            words.number("a channel")
    return values


def joint_positions(bvh: Bvh, *, absolute: bool = False) -> np.ndarray:
    """Where the joints are in every frame (forward kinematics).

    Parameters
    ----------
    bvh : Bvh
        Skeleton and motion.
    absolute : bool
        Whether a joint's position channels, where it has some, are its place in its parent themselves instead of being
        added to its offset. The format's definition adds them, and so did the makers of the CMU files; Blender reads
        and writes them as absolute. It only matters for joints with both an offset and position channels.

    Returns
    -------
    np.ndarray
        ``(T, J, 3)`` float64, in the file's units and axes.
    """
    frames, joints = len(bvh.values), len(bvh.names)
    positions, turns = np.empty((frames, joints, 3)), np.empty((joints, frames, 3, 3))
    column = 0
    for joint, (parent, channels) in enumerate(zip(bvh.parents, bvh.channels)):
        place = np.broadcast_to(bvh.offsets[joint], (frames, 3)).copy()
        if absolute and any(CHANNELS[channel][0] == "position" for channel in channels):
            place[:] = 0
        turn = np.broadcast_to(np.eye(3), (frames, 3, 3))
        for channel in channels:
            kind, axis = CHANNELS[channel]
            if kind == "position":
                place[:, axis] += bvh.values[:, column]
            else:
                turn = turn @ _rotations(axis, bvh.values[:, column])
            column += 1
        if parent < 0:
            positions[:, joint], turns[joint] = place, turn
        else:
            positions[:, joint] = positions[:, parent] + np.einsum("tij,tj->ti", turns[parent], place)
            turns[joint] = turns[parent] @ turn
    return positions


def _rotations(axis: int, degrees: np.ndarray) -> np.ndarray:
    """``(T, 3, 3)``: rotations about x, y or z, to be applied to column vectors."""
    angle = np.radians(degrees)
    second, third = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.zeros((len(angle), 3, 3))
    matrices[:, axis, axis] = 1
    matrices[:, second, second] = matrices[:, third, third] = np.cos(angle)
    matrices[:, third, second], matrices[:, second, third] = np.sin(angle), -np.sin(angle)
    return matrices
