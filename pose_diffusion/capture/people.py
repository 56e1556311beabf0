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


def only_present(refiner: Callable[[Pose], Pose], seconds: float = ABSENT) -> Callable[[Pose], Pose]:
    """A refiner that invents nobody where nobody is.

    Parameters
    ----------
    refiner : callable
        Pose -> new Pose. It may fill in lost frames.
    seconds : float
        Longer runs of frames without anybody stay empty.

    Returns
    -------
    callable
        Pose -> new Pose. A ValueError says so where there is nobody in any frame.
    """
    def refined(pose: Pose) -> Pose:
        frames = len(pose.body.data)
        if without_anybody(pose).all():
            raise ValueError(f"no person was found in any of its {frames} frames: nothing to refine")
        gone = absences(pose, seconds)
        after = refiner(pose)
        if not gone:
            return after
        data, confidence = np.ma.getdata(after.body.data).copy(), after.body.confidence.copy()
        for start, stop in gone:
            data[start:stop], confidence[start:stop] = 0, 0
        return Pose(copy_header(after.header), NumPyPoseBody(after.body.fps, data, confidence))

    return refined


def jumps(pose: Pose) -> list[int]:
    """Frames in which the person is somewhere else than just before: it is probably another one.

    Parameters
    ----------
    pose : Pose
        Of `load_holistic`, in pixels.

    Returns
    -------
    list of int
        Where the middle of the shoulders has moved by more than `JUMP` shoulder widths since the last frame in which
        the body was found, at most `TOGETHER` seconds before.
    """
    points = [pose.header.get_point_index(BODY, BODY_POINTS[i]) for i in SHOULDERS]
    seen = np.flatnonzero((pose.body.confidence[:, 0, points] > 0).all(1))
    shoulders = np.ma.getdata(pose.body.data)[seen][:, 0, points, :2].astype(float)
    middle, width = shoulders.mean(1), np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)
    if len(seen) < 2:
        return []
    moved = np.linalg.norm(np.diff(middle, axis=0), axis=1) / max(float(np.median(width)), 1e-6)
    near = np.diff(seen) <= max(1, round(TOGETHER * pose.body.fps))
    return seen[1:][(moved > JUMP) & near].tolist()


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
    if away := jumps(pose):
        when = _listed([f"{frame / fps:.1f} s" for frame in away])
        said.append(f"the person jumps at {when}: MediaPipe follows one person at a time and may have gone over to "
                    "another; crop the video to one")
    return said


def _listed(texts: list[str], most: int = 5) -> str:
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
