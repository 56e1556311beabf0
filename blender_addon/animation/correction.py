# SPDX-License-Identifier: GPL-3.0-or-later
"""How bones turn in space from keypoints as they were to keypoints as they are now."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import AddonError
from ..posefile import PoseFile
from ..solver.skeleton import Skeleton
from ..solver.solve import Solving, solve
from ..tracks import Reading, tracks
from .joining import ways

UNCHANGED = .01  # degrees: a bone that no frame turns by more keeps its keys
SAME = 1e-3  # pixels, of 1000: what was written and read as 32 bits is off by less


@dataclass(frozen=True)
class Asked:
    """What is to be written.

    Attributes
    ----------
    bones : mapping of str to str
        Role to bone name.
    roles : set of str
        Which of them.
    """

    bones: Mapping[str, str]
    roles: set[str]


@dataclass(frozen=True, eq=False)
class Rewriting:
    """Rotations for a take.

    Attributes
    ----------
    bones : tuple of str
        N of them.
    quaternions : np.ndarray
        `(T, N, 4)` in the bones' own rest axes.
    before : np.ndarray
        `(T, N, 3, 3)`: the rotations until now.
    switches : mapping of str to float
        Data path of a property, and its value in these frames.
    notes : tuple of str
        For the user.
    """

    bones: tuple[str, ...]
    quaternions: np.ndarray
    before: np.ndarray
    switches: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Correction:
    """How bones turn in space from one solution to the other.

    Attributes
    ----------
    bones : set of int
        That both have.
    turns : np.ndarray
        `(T, B, 3, 3)`, of all bones; the identity in frames whose keypoints are the same.
    """

    bones: set[int]
    turns: np.ndarray


def corrections(skeleton: Skeleton, baked: PoseFile, refined: PoseFile, mode: str) -> Correction:
    """Solve both, without smoothing: what was smooth stays so. Needs no Blender: it may run in a thread.

    Parameters
    ----------
    skeleton : Skeleton
        `skeleton_of` the armature; of a generated Rigify rig, `skeleton_of_generated`.
    baked, refined : PoseFile
        Keypoints as they were and as they are now.
    mode : {"anatomical", "follow"}
        As in `Solving`.

    Raises
    ------
    AddonError
        If the two do not match.
    """
    if baked.data.shape[:1] != refined.data.shape[:1]:
        raise AddonError(f"the corrected take has {len(refined.data)} frames, the take {len(baked.data)}: "
                         "nothing was written")
    if baked.components != refined.components and _names(baked) != _names(refined):
        raise AddonError("the corrected take has other keypoints than the take: nothing was written")
    never = ~(baked.confidence > 0).any(0)  # what the armature lacks, the model may have made up
    refined = replace(refined, confidence=np.where(never, 0, refined.confidence).astype(np.float32))
    before, first = solved(skeleton, baked, mode)
    after, second = solved(skeleton, refined, mode)
    return Correction(first & second, settled(after @ before.swapaxes(-1, -2), unchanged(baked, refined)))


def unchanged(baked: PoseFile, refined: PoseFile) -> np.ndarray:
    """`(T,)` bool: frames that have the same keypoints in both."""
    seen = (baked.confidence > 0) | (refined.confidence > 0)
    away = np.abs(baked.data - refined.data).max(-1) > SAME
    return ~(seen & (away | (baked.confidence == 0) | (refined.confidence == 0))).any((1, 2))


def settled(turns: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Turns `(T, B, 3, 3)` that are none in frames `(T,)` with the same keypoints.

    The fit of a hand looks at a whole clip, so that other keypoints in some frames turn bones a little in all. What
    they turn by beside a stretch of changed frames is taken out of it: bones do not jump where it begins and ends.
    """
    out = np.where(same[:, None, None, None], np.eye(3), turns)
    edges = np.flatnonzero(np.diff(np.concatenate([[True], same, [True]]).astype(int)))
    for begin, end in edges.reshape(-1, 2):
        beside = [turns[i] for i in (begin - 1, end) if 0 <= i < len(turns)]
        if beside:
            share = np.arange(1, end - begin + 1) / (end - begin + 1)
            out[begin:end] = turns[begin:end] @ ways(beside[0], beside[-1], share).swapaxes(-1, -2)
    return out


def solved(skeleton: Skeleton, pose: PoseFile, mode: str) -> tuple[np.ndarray, set[int]]:
    """Axes `(T, B, 3, 3)` of all bones as the keypoints have them, and which bones these drive. Needs no Blender."""
    parts = Solving().parts - {"face"}
    motion = solve(tracks(pose, Reading(depth=float(pose.width))), skeleton,
                   Solving(mode, smoothing=0, longest_gap=len(pose.data) / pose.fps, parts=parts))
    at = {skeleton.bones.index(bone): motion.quaternions[:, i] for i, bone in enumerate(motion.bones)}
    return skeleton.posed(at, len(pose.data))[0], set(at)


def check_size(skeleton: Skeleton, axes: np.ndarray, frames: int) -> None:
    """Whether axes that were solved before are of a skeleton and of so many frames.

    Raises
    ------
    AddonError
        If not.
    """
    if axes.shape[:2] != (frames, len(skeleton.bones)):
        raise AddonError("the take or the armature has changed meanwhile ("
                         f"{axes.shape[1]} bones and {len(axes)} frames "
                         f"were solved, there are {len(skeleton.bones)} and {frames}): try again")


def _names(pose: PoseFile) -> list[tuple[str, tuple[str, ...]]]:
    return [(part.name, part.points) for part in pose.components]
