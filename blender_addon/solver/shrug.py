# SPDX-License-Identifier: GPL-3.0-or-later
"""Shoulders that go up and down: in sign languages a shrug says something."""
from __future__ import annotations

import numpy as np

from .points import Points
from .rest import FORWARD, UP, head
from .rotations import about
from .skeleton import SIDES, Skeleton

STILL = .012  # metres: a nod or a lean changes the distance from head to shoulders by as much
MOST = .35  # radians that a collar bone goes up or down


def shrugged(points: Points, skeleton: Skeleton, chest: np.ndarray) -> dict[str, np.ndarray]:
    """Turns of both collar bones: how far the shoulders are nearer to the head than they usually are in the clip.

    Parameters
    ----------
    points : Points
        Of T frames.
    skeleton : Skeleton
        At rest.
    chest : np.ndarray
        `(T, 3, 3)` turns of the chest.

    Returns
    -------
    dict of str to np.ndarray
        `shoulder.L` and `shoulder.R` to `(T, 3, 3)` turns; empty where head or shoulders were never seen.
    """
    ears = ("face.234", "face.454") if points.has("face.234", "face.454") else ("ear.L", "ear.R")
    lengths = [_length(skeleton, side) for side in SIDES]
    if not points.has(*ears, "shoulder.L", "shoulder.R") or None in lengths:
        return {}
    neck = points.middle(*ears) - points.middle("shoulder.L", "shoulder.R")
    distance = (neck * (chest @ UP)).sum(-1)
    both = np.all([points.seen[joint] for joint in (*ears, "shoulder.L", "shoulder.R")], axis=0)
    lift = np.median(distance[both]) - distance if both.any() else np.zeros(points.frames)
    lift = np.sign(lift) * np.maximum(np.abs(lift) - STILL, 0)
    turns = {}
    for side, length, axis in zip(SIDES, lengths, (FORWARD, -FORWARD)):
        assert length is not None
        angle = MOST * np.tanh(lift / length / MOST)
        turns[f"shoulder.{side}"] = chest @ about(np.broadcast_to(axis, (points.frames, 3)), angle)
    return turns


def _length(skeleton: Skeleton, side: str) -> float | None:
    """Metres from the collar bone's inner end to the shoulder's joint; None without both."""
    start, end = head(skeleton, f"shoulder.{side}"), head(skeleton, f"upper_arm.{side}")
    return None if start is None or end is None else max(float(np.linalg.norm(end - start)), .05)
