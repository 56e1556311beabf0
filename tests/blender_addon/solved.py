# SPDX-License-Identifier: GPL-3.0-or-later
"""Solved skeletons, and truth to solve."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from blender_addon.solver.skeleton import FINGERS, SIDES, Motion, Skeleton
from blender_addon.solver.solve import Solving
from blender_addon.tracks import Tracks
from tests.blender_addon.skeletons import exact_tracks, signing, upper_body

FRAMES = 80
EXACT = Solving("follow", smoothing=0)
ARM = ("upper_arm", "forearm", "hand")
HAND_R = tuple(f"{name}.R" for name in ("hand", *(f"{finger}.{i}" for finger in FINGERS for i in (1, 2, 3, 4))))


def poses(skeleton: Skeleton, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """World axes `(T, B, 3, 3)` and directions `(T, B, 3)` of a solved skeleton."""
    frames = len(motion.quaternions)
    quaternions = {skeleton.bones.index(name): motion.quaternions[:, i] for i, name in enumerate(motion.bones)}
    axes, heads, tails = skeleton.posed(quaternions, frames)
    return axes, tails - heads


def directions(skeleton: Skeleton, motion: Motion, roles: list[str]) -> np.ndarray:
    return poses(skeleton, motion)[1][:, [skeleton.roles[role] for role in roles]]


def limbs(*, fingers: bool = True) -> list[str]:
    """Roles whose bones point exactly where the points are."""
    return [f"{role}.{side}" for side in SIDES for role in (
        *ARM, *(f"{finger}.{i}" for finger in FINGERS for i in (1, 2, 3) if fingers))]


def truth(seed: int = 0, frames: int = FRAMES, **how: bool) -> tuple[Skeleton, dict[int, np.ndarray], Tracks]:
    skeleton = upper_body(seed=seed)
    motion = signing(skeleton, frames, seed)
    return skeleton, motion, exact_tracks(skeleton, motion, frames, **how)


def lose(seen: Tracks, frames: slice, *joints: str) -> Tracks:
    """The same without some joints in some frames."""
    mask = seen.seen.copy()
    mask[frames, [seen.joints.index(joint) for joint in joints]] = False
    return replace(seen, xyz=np.where(mask[..., None], seen.xyz, 0), seen=mask)


def lose_hand(seen: Tracks, frames: slice) -> Tracks:
    return lose(seen, frames, *HAND_R)


def longer_arms(skeleton: Skeleton, times: float) -> Skeleton:
    """The same skeleton with forearms and upper arms of other lengths; all else moves along."""
    heads, tails = skeleton.heads.copy(), skeleton.tails.copy()
    for bone, parent in enumerate(skeleton.parents):
        if parent >= 0:
            heads[bone] += tails[parent] - skeleton.tails[parent]
        along = skeleton.tails[bone] - skeleton.heads[bone]
        arm = skeleton.bones[bone].startswith(("upper_arm", "forearm"))
        tails[bone] = heads[bone] + along * (times if arm else 1)
    return replace(skeleton, heads=heads, tails=tails)


def wrists(skeleton: Skeleton, motion: Motion, frames: int = FRAMES) -> np.ndarray:
    """`(T, 2, 3)` from each shoulder."""
    quaternions = {skeleton.bones.index(name): motion.quaternions[:, i] for i, name in enumerate(motion.bones)}
    heads = skeleton.posed(quaternions, frames)[1]
    first, last = ([skeleton.roles[f"{role}.{side}"] for side in SIDES] for role in ("upper_arm", "hand"))
    return heads[:, last] - heads[:, first]
