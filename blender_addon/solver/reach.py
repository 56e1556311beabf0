# SPDX-License-Identifier: GPL-3.0-or-later
"""Arms of other proportions than the person's: hands stay where they were seen.

In sign languages a place is part of a sign. With the person's directions on longer or shorter arms, a hand misses its
place by some centimetres. Turning both bones a little brings it back in the image plane.
"""
from __future__ import annotations

import numpy as np

from .rest import head
from .rotations import unit
from .skeleton import SIDES, Skeleton

STIFF = .1  # metres: an arm that moves the hand by this much per radian goes half of the way
MOST = .3  # radians that a bone is turned: a hanging arm is not bent by half a metre of depth for a few centimetres


def arm_lengths(skeleton: Skeleton, side: str) -> tuple[float, float] | None:
    """Of upper arm and forearm, in widths of the skeleton's shoulders; None if it lacks a joint."""
    joints = [head(skeleton, f"{role}.{side}") for role in ("upper_arm", "forearm", "hand")]
    shoulders = [head(skeleton, f"upper_arm.{side}") for side in SIDES]
    known = [joint for joint in (*joints, *shoulders) if joint is not None]
    if len(known) < 5:
        return None
    width = float(np.linalg.norm(known[3] - known[4]))
    return (float(np.linalg.norm(known[1] - known[0])) / width, float(np.linalg.norm(known[2] - known[1])) / width
            ) if width > 0 else None


def reaching(upper: np.ndarray, lower: np.ndarray, lengths: tuple[float, float], width: float, share: np.ndarray
             ) -> tuple[np.ndarray, np.ndarray]:
    """Directions of both bones with which the hand is where it was seen, as far as small turns can.

    The least squares solution of `J r = e`, damped: r are both bones' rotations, e the hand's error in the image.

    Parameters
    ----------
    upper, lower : np.ndarray
        `(T, 3)` metres: from shoulder to elbow, from elbow to wrist.
    lengths : tuple of float
        The skeleton's, in widths of its shoulders.
    width : float
        Metres: the person's shoulders.
    share : np.ndarray
        `(T,)`: how much of the turn is made; 0 where no hand was seen.

    Returns
    -------
    upper, lower : np.ndarray
        `(T, 3)` metres, as long as the skeleton's for shoulders as wide as the person's.
    """
    bones = [unit(vectors) * length * width for vectors, length in zip((upper, lower), lengths)]
    error = (upper + lower - bones[0] - bones[1])[:, [0, 2], None]
    # A small rotation r moves the end of a bone by r x bone: J = -[bone]x, of which J J^T = |bone|^2 I - bone bone^T.
    grams = [np.square(bone).sum(-1)[:, None, None] * np.eye(3) - bone[:, :, None] * bone[:, None] for bone in bones]
    plane = np.ix_(range(len(upper)), (0, 2), (0, 2))
    pull = np.zeros((len(upper), 3))
    pull[:, [0, 2]] = np.linalg.solve((grams[0] + grams[1])[plane] + STIFF**2 * np.eye(2), error)[..., 0]
    turns = [np.cross(bone, pull) for bone in bones]
    largest = np.maximum(*(np.linalg.norm(turn, axis=-1) for turn in turns))
    share = share * MOST * np.tanh(largest / MOST) / np.maximum(largest, 1e-12)
    made = [bone + np.cross(share[:, None] * turn, bone) for bone, turn in zip(bones, turns)]
    first, second = (unit(end, bone) * np.linalg.norm(bone, axis=-1, keepdims=True) for end, bone in zip(made, bones))
    return first, second
