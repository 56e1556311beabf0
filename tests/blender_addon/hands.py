# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands that move as the model of a hand can, through forward kinematics of the whole skeleton, and their joints."""
from __future__ import annotations

import numpy as np

from blender_addon.solver.fingers import LIMITS, HandRest, axes_of, hand_rest, local_quaternions
from blender_addon.solver.rotations import about, degrees_between, frame, to_quaternions, unit
from blender_addon.solver.skeleton import FINGERS, Skeleton
from tests.blender_addon.skeletons import waves

FPS = 25.0
BASE = np.arange(20).reshape(5, 4)[:, :3].ravel() + 1  # the joint at which each finger bone begins
FACING = frame(np.array([0.0, 0, 1]), np.array([1.0, 0, 0]))  # fingers up, the back of a left hand to the camera


def rest_of(skeleton: Skeleton, side: str) -> HandRest:
    rest = hand_rest(skeleton, side)
    assert rest is not None
    return rest


def movement(frames: int, seed: int, turn: float = .7, share: float = .95, pace: float = 1
             ) -> tuple[np.ndarray, np.ndarray]:
    """Palm frames `(T, 3, 3)` and angles `(T, 5, 4)` of a smooth motion.

    The palm turns by up to `turn` radians, the angles use a share of the range within the limits; at a pace of 1 there
    and back takes .7 to 5 seconds.
    """
    rng = np.random.default_rng(seed)
    low, high = (LIMITS.mean(-1) + side * share * np.ptp(LIMITS, -1) / 2 for side in (-1, 1))
    angles = np.stack([waves(rng, frames, a, b, FPS / pace) for a, b in zip(low.ravel(), high.ravel())], -1)
    angles = angles.reshape(frames, 5, 4)
    angles[..., 1] = .3 * angles[..., 1]
    axis = np.stack([waves(rng, frames, -turn, turn, FPS / pace) for _ in range(3)], -1)
    return about(unit(axis), np.linalg.norm(axis, axis=-1)) @ FACING, angles


def joints_of(skeleton: Skeleton, side: str, palm: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """`(T, 21, 3)`: the joints of a skeleton's hand in these states, by forward kinematics of all its bones."""
    rest, hand = rest_of(skeleton, side), skeleton.roles[f"hand.{side}"]
    turn = to_quaternions(skeleton.rest[hand].T @ axes_of(rest, palm))
    _, heads, tails = skeleton.posed({hand: turn, **local_quaternions(rest, angles)}, len(palm))
    joints = np.zeros((len(palm), 21, 3))
    joints[:, 0] = heads[:, hand]
    for f, finger in enumerate(FINGERS):
        for k in (1, 2, 3):
            if (bone := skeleton.roles.get(f"{finger}.{k}.{side}")) is not None:
                joints[:, 4 * f + k], joints[:, 4 * f + k + 1] = heads[:, bone], tails[:, bone]
    return joints


def bones(joints: np.ndarray) -> np.ndarray:
    """`(T, 15, 3)`: the finger bones."""
    return joints[:, BASE + 1] - joints[:, BASE]


def errors(found: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees between finger bones `(T, 15)`, and metres between fingertips relative to the wrist `(T, 5)`."""
    tips = [(joints - joints[:, :1])[:, 4::4] for joints in (found, wanted)]
    return degrees_between(bones(found), bones(wanted)), np.linalg.norm(tips[0] - tips[1], axis=-1)


def image_errors(found: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Degrees between finger bones `(..., 3)` as they look from the front: y is depth."""
    (x, z), (u, w) = (np.moveaxis(np.delete(vectors, 1, -1), -1, 0) for vectors in (found, seen))
    return np.degrees(np.abs(np.arctan2(x * w - z * u, x * u + z * w)))


def smoothed(joints: np.ndarray, frames: float) -> np.ndarray:
    """With a Gaussian over time, ends repeated."""
    reach = int(4 * frames)
    kernel = np.exp(-.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    padded = np.pad(joints, ((reach, reach), (0, 0), (0, 0)), "edge")
    return np.asarray(sum(k * padded[i:i + len(joints)] for i, k in enumerate(kernel / kernel.sum())))
