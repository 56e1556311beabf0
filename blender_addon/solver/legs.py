# SPDX-License-Identifier: GPL-3.0-or-later
"""Legs from joints. Only lifted bodies have some: MediaPipe guesses those of people who sign."""
from __future__ import annotations

import numpy as np

from .body import OFTEN, rolled
from .points import Points
from .rest import LEFT, direction, swung
from .rotations import unit
from .skeleton import LEG_ROLES, SIDES, Skeleton


def legs(points: Points, skeleton: Skeleton, pelvis: np.ndarray) -> dict[str, np.ndarray]:
    """Thighs and shins; a knee is a hinge that bends backwards, so its plane says how the thigh is rolled.

    Parameters
    ----------
    points : Points
        Of T frames.
    skeleton : Skeleton
        At rest.
    pelvis : np.ndarray
        `(T, 3, 3)`: its turns.

    Returns
    -------
    dict of str to np.ndarray
        Role to `(T, 3, 3)` turns, of legs of which each joint was seen for half of the clip.
    """
    turns = {}
    for side in SIDES:
        hip, knee, ankle = joints = [f"{joint}.{side}" for joint in ("hip", "knee", "ankle")]
        roles = [f"{role}.{side}" for role in LEG_ROLES]
        if not (points.has(*joints) and set(roles) <= set(skeleton.roles)):
            continue
        if min(np.mean(points.seen[joint]) for joint in joints) < OFTEN:
            continue
        upper, lower = points.at[knee] - points.at[hip], points.at[ankle] - points.at[knee]
        rest = direction(skeleton, "thigh", side)
        hinge = unit(LEFT - (LEFT @ rest) * rest, LEFT)
        thigh = rolled(swung(pelvis, rest, upper), unit(upper), unit(lower), hinge)
        turns[roles[0]] = thigh
        turns[roles[1]] = swung(thigh, direction(skeleton, "shin", side), lower)
    return turns
