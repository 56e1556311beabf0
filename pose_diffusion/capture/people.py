"""Who is in the picture: frames without anybody, and another person than before.

MediaPipe Holistic follows one person. Of several it takes the one it finds first and keeps it while it can be tracked.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.capture.results import SHOULDERS
from pose_diffusion.layout import BODY, BODY_POINTS, copy_header

ABSENT = 0.5  # seconds without anybody after which the person has left; shorter, MediaPipe lost them
JUMP = 1.0  # shoulder widths from one frame to the next within `TOGETHER` seconds, which nobody can do
TOGETHER = 0.1


def without_anybody(pose: Pose) -> np.ndarray:
    """`(T,)` bool: nothing was found in the frame."""
    return np.asarray(pose.body.confidence).max((1, 2)) <= 0


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2])]


def absences(pose: Pose, seconds: float = ABSENT) -> list[tuple[int, int]]:
    """Runs of frames without anybody that are longer than so many seconds, as first and one past the last."""
    return [(start, stop) for start, stop in runs(without_anybody(pose)) if stop - start > seconds * pose.body.fps]


def appearances(pose: Pose) -> list[tuple[int, int]]:
    """First and one past the last frame of each stretch with one person: between `absences` and `changes`."""
    edges = {0, len(pose.body.data), *changes(pose)}
    gone = absences(pose)
    cuts = sorted(edges.union(*gone))
    return [(start, stop) for start, stop in zip(cuts, cuts[1:])
            if not any(first <= start and stop <= last for first, last in gone)]


def one_by_one(refiner: Callable[[Pose], Pose]) -> Callable[[Pose], Pose]:
    """A refiner for each person who appears in a video, that invents nobody where nobody is.

    What is known of one person's size and place would distort the next one.

    Parameters
    ----------
    refiner : callable
        Pose -> new Pose of the same shape. It may fill in lost frames.

    Returns
    -------
    callable
        Pose -> new Pose, in which each of the `appearances` is refined by itself and frames between them are empty.
        A ValueError says so where there is nobody in any frame.
    """
    def refined(pose: Pose) -> Pose:
        frames = len(pose.body.data)
        if without_anybody(pose).all():
            raise ValueError(f"no person was found in any of its {frames} frames: nothing to refine")
        parts = appearances(pose)
        if parts == [(0, frames)]:
            return refiner(pose)
        data = np.zeros(pose.body.data.shape, np.float32)
        confidence = np.zeros(pose.body.confidence.shape, np.float32)
        for start, stop in parts:
            after = refiner(Pose(copy_header(pose.header), pose.body[start:stop])).body
            data[start:stop], confidence[start:stop] = np.ma.getdata(after.data), after.confidence
        return Pose(copy_header(pose.header), NumPyPoseBody(pose.body.fps, data, confidence))

    return refined


def changes(pose: Pose) -> list[int]:
    """Frames from which on another person is followed.

    Parameters
    ----------
    pose : Pose
        Of `load_holistic`, in pixels.

    Returns
    -------
    list of int
        Where the middle of the shoulders has moved by more than `JUMP` shoulder widths since the last frame in which
        the body was found, at most `TOGETHER` seconds before, to stay there: who jumps again within `ABSENT` seconds
        was mistaken for something else for a moment.
    """
    points = [pose.header.get_point_index(BODY, BODY_POINTS[i]) for i in SHOULDERS]
    seen = np.flatnonzero((pose.body.confidence[:, 0, points] > 0).all(1))
    if len(seen) < 2:
        return []
    shoulders = np.ma.getdata(pose.body.data)[seen][:, 0, points, :2].astype(float)
    middle, width = shoulders.mean(1), np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)
    moved = np.linalg.norm(np.diff(middle, axis=0), axis=1) / max(float(np.median(width)), 1e-6)
    near = np.diff(seen) <= max(1, round(TOGETHER * pose.body.fps))
    kept: list[int] = []
    for frame in seen[1:][(moved > JUMP) & near].tolist():
        if kept and frame - kept[-1] < ABSENT * pose.body.fps:
            kept.pop()  # there and back
        else:
            kept.append(frame)
    return kept


def notes(pose: Pose) -> list[str]:
    """What the user of a capture should know about who is in it; one line each.

    Parameters
    ----------
    pose : Pose
        As MediaPipe found it.
    """
    said, fps, frames = [], pose.body.fps, len(pose.body.data)
    if gone := absences(pose):
        empty = sum(stop - start for start, stop in gone)
        when = _listed([f"{start / fps:.1f} to {stop / fps:.1f} s" for start, stop in gone])
        said.append(f"nobody in {empty} of {frames} frames ({when}): they stay empty")
    if away := changes(pose):
        when = _listed([f"{frame / fps:.1f} s" for frame in away])
        said.append(f"another person from {when} on, it seems: MediaPipe follows one at a time; crop the video to one")
    return said


def _listed(texts: list[str], most: int = 5) -> str:
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
