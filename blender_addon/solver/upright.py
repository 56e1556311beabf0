# SPDX-License-Identifier: GPL-3.0-or-later
"""Skeletons whose own axes are not the solver's: y up, as FBX files have it, another front, centimetres.

What turns an armature as a whole does not change its bones' rotations in their own rest axes. So a motion that is
solved for the upright skeleton is right for the armature as it is.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations, product

import numpy as np

from ..tracks import SHOULDER_WIDTH
from .rest import head
from .rotations import TINY, frame
from .skeleton import SIDES, TORSO_ROLES, Skeleton

AS_IT_IS = .3  # by how much the sum of three cosines must be better for a skeleton to be turned
ARM = ("upper_arm", "shoulder", "forearm", "hand")  # what tells left from right, the surest first


def upright(skeleton: Skeleton) -> Skeleton:
    """The same skeleton with z up, facing -y, its shoulders as wide as those of `Tracks`.

    It is turned by quarter turns only: how somebody leans at rest stays.
    """
    return reoriented(skeleton, quarter_turn(skeleton), SHOULDER_WIDTH / (_shoulders(skeleton) or SHOULDER_WIDTH))


def reoriented(skeleton: Skeleton, turn: np.ndarray, scale: float = 1.0) -> Skeleton:
    """A skeleton in other axes: turned by `(3, 3)`, and scaled."""
    return replace(skeleton, heads=scale * skeleton.heads @ turn.T, tails=scale * skeleton.tails @ turn.T,
                   rest=turn @ skeleton.rest)


def quarter_turn(skeleton: Skeleton) -> np.ndarray:
    """`(3, 3)`: brings the skeleton's left, back and up nearest to x, y and z; the identity where these are not known.

    They are told by the torso's joints, lowest to highest, and by the arms.
    """
    torso = _known(skeleton, TORSO_ROLES)
    pairs = [[head(skeleton, f"{role}.{side}") for side in SIDES] for role in ARM]
    left = next((a - b for a, b in pairs if a is not None and b is not None), None)
    if left is None and torso:
        left = next((sign * (joint - torso[-1]) for pair in pairs for sign, joint in zip((1, -1), pair)
                     if joint is not None), None)
    if left is None or len(torso) < 2:
        return np.eye(3)
    up = torso[-1] - torso[0]
    if np.linalg.norm(np.cross(up, left)) <= TINY:
        return np.eye(3)
    x, z, front = frame(up, left).T
    own = np.stack([x, -front, z], -1)
    likeness = [np.trace(turn @ own) + AS_IT_IS * (i == 0) for i, turn in enumerate(QUARTERS)]
    return QUARTERS[int(np.argmax(likeness))]


def _known(skeleton: Skeleton, roles: Iterable[str]) -> list[np.ndarray]:
    return [joint for role in roles if (joint := head(skeleton, role)) is not None]


def _shoulders(skeleton: Skeleton) -> float:
    """The distance between the shoulders' joints; 0 without both."""
    joints = _known(skeleton, (f"upper_arm.{side}" for side in SIDES))
    return float(np.linalg.norm(joints[0] - joints[1])) if len(joints) == 2 else 0.0


def _quarters() -> list[np.ndarray]:
    """The 24 rotations by quarter turns about the axes; the identity first."""
    every = [np.array(signs)[:, None] * np.eye(3)[list(order)] for order in permutations(range(3))
             for signs in product((1.0, -1.0), repeat=3)]
    return [turn for turn in every if np.linalg.det(turn) > 0]


QUARTERS = _quarters()
