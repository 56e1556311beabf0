# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions of a skeleton at rest, and rotations away from it.

A bone's *turn* is its rotation from rest in the armature's space: W R^T, with W its axes now and R at rest. Turns know
nothing of roll. Bones that follow their parent have its turn.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from .rotations import between, frame, swing, to_matrices, to_quaternions, unit
from .skeleton import FINGERS, Skeleton

FORWARD, UP, LEFT = np.array([0.0, -1, 0]), np.array([0.0, 0, 1]), np.array([1.0, 0, 0])
STRAIGHT = .05  # sine of a rest elbow's angle, below which its plane means nothing
NEXT = {"upper_arm": "forearm", "forearm": "hand", "hand": "middle.1", "thigh": "shin"} | {
    f"{finger}.{i}": f"{finger}.{i + 1}" for finger in FINGERS for i in (1, 2)}


def head(skeleton: Skeleton, role: str) -> np.ndarray | None:
    """`(3,)`: the joint at which a role's bone begins."""
    bone = skeleton.roles.get(role)
    return None if bone is None else skeleton.heads[bone]


def direction(skeleton: Skeleton, role: str, side: str) -> np.ndarray:
    """`(3,)`: from a role's joint to the next one, or to the bone's tail. The skeleton must have the role."""
    start = skeleton.roles[f"{role}.{side}"]
    end = head(skeleton, f"{NEXT[role]}.{side}") if role in NEXT else None
    along = skeleton.tails[start] if end is None else end
    tail = skeleton.tails[start] - skeleton.heads[start]
    return unit(along - skeleton.heads[start], unit(tail))


def hinge(skeleton: Skeleton, side: str) -> np.ndarray:
    """`(3,)`: the axis of the elbow, square to the upper arm: the rest arm's, or that of a forearm raised forwards.

    An arm that begins at the elbow is taken to be straight.
    """
    first = "upper_arm" if f"upper_arm.{side}" in skeleton.roles else "forearm"
    upper = direction(skeleton, first, side)
    lower = direction(skeleton, "forearm", side) if f"forearm.{side}" in skeleton.roles else upper
    axis = np.cross(upper, lower)
    if np.linalg.norm(axis) < STRAIGHT:
        axis = np.cross(upper, FORWARD)
    return unit(axis, LEFT)


def turn(now: tuple[np.ndarray, np.ndarray], rest: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Turns `(T, 3, 3)` from two directions each: the first exactly, the second as near as it gets."""
    safe = [_apart(first, second) for first, second in (now, rest)]
    return frame(*safe[0]) @ np.swapaxes(frame(*safe[1]), -1, -2)


def _apart(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same directions; where one is 0 or both are parallel, others that are not."""
    first = unit(first, UP)
    second = unit(second - (second * first).sum(-1, keepdims=True) * first)
    spare = np.where(np.abs(first[..., :1]) < .9, LEFT, UP)
    return first, np.where(np.square(second).sum(-1, keepdims=True) > .5, second, spare)


def swung(parent: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Turns `(T, ..., 3, 3)` near the parent's that bring direction `start` at rest to `end`: no twist is added."""
    predicted = (parent @ start[..., None])[..., 0]
    return swing(predicted, unit(end, predicted)) @ parent


def part_way(a: np.ndarray, b: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Turns between turns: `a` at share 0, `b` at 1."""
    return to_matrices(between(to_quaternions(a), to_quaternions(b), share))


def local(skeleton: Skeleton, turns: Mapping[str, np.ndarray], roles: Iterable[str]) -> dict[int, np.ndarray]:
    """Quaternions of bones in their own rest axes.

    Parameters
    ----------
    skeleton : Skeleton
        Bones without a turn follow their parents.
    turns : mapping of str to np.ndarray
        `(T, 3, 3)` of roles.
    roles : iterable of str
        Which are wanted; those without bone or turn are left out.

    Returns
    -------
    dict of int to np.ndarray
        Bone to `(T, 4)`.
    """
    by_bone = {skeleton.roles[role]: turn for role, turn in turns.items() if role in skeleton.roles}
    quaternions = {}
    for role in roles:
        bone = skeleton.roles.get(role, -1)
        if bone in by_bone:
            ancestor = skeleton.parents[bone]
            while ancestor >= 0 and ancestor not in by_bone:
                ancestor = skeleton.parents[ancestor]
            relative = np.swapaxes(by_bone[ancestor], -1, -2) @ by_bone[bone] if ancestor >= 0 else by_bone[bone]
            quaternions[bone] = to_quaternions(skeleton.rest[bone].T @ relative @ skeleton.rest[bone])
    return quaternions
