# SPDX-License-Identifier: GPL-3.0-or-later
"""Corrected keypoints back onto the take that they were read from.

What is written is the correction alone: each bone turns in space as the bone solved from the corrected keypoints turns
against the one solved from the keypoints as they were. So whatever the keypoints cannot tell (how a bone is rolled,
what an animator exaggerated) stays, and what the model did not change is not touched at all.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

import bpy
import numpy as np

from ..errors import AddonError
from ..posefile import PoseFile
from ..solver.skeleton import Skeleton
from ..solver.solve import Solving, solve
from ..tracks import Reading, tracks
from . import channels, keys, obstacles, readback
from .apply import finish, new_action, put_back_later
from .evaluation import axes_of, sampled
from .space import inheriting, local_rotations, skeleton_of, turned
from .splice import splice

UNCHANGED = .01  # degrees: a bone that no frame turns by more keeps its keys


def write_back(context: bpy.types.Context, armature: bpy.types.Object, bones: Mapping[str, str], baked: PoseFile,
               refined: PoseFile, *, first: int, roles: Iterable[str] | None = None, mode: str = "anatomical",
               name: str) -> bpy.types.Action:
    """Write a correction of a take, as a copy of its action that the armature plays from then on.

    In the copy only rotations of the driven bones are replaced, between the first and the last frame; other curves,
    keys outside and the bones' rotation modes stay. The old action is kept, with a fake user.

    Parameters
    ----------
    context : bpy.types.Context
        Its scene's frame rate counts.
    armature : bpy.types.Object
        That plays the take.
    bones : mapping of str to str
        Role to bone name.
    baked : PoseFile
        What `take.keypoints_of` read of the take.
    refined : PoseFile
        The same, corrected.
    first : int
        Scene frame of their first frame.
    roles : iterable of str, optional
        Which of the driven bones are written; by default all.
    mode : {"anatomical", "follow"}
        As in `Solving`.
    name : str
        Of the new action.

    Returns
    -------
    bpy.types.Action
        `notes_of` it tells what the user should know.

    Raises
    ------
    AddonError
        If the two do not match, a bone is gone, or nothing moves; everything is as it was then.
    """
    obstacles.check_editable(armature)
    skeleton, inherits = skeleton_of(armature, bones), inheriting(armature)
    correction = corrections(skeleton, baked, refined, mode)
    frames = np.arange(first, first + len(baked.data))
    original = axes_of(sampled(context, armature, frames))
    local = local_rotations(skeleton, inherits, original)
    chosen = {skeleton.roles[role] for role in (skeleton.roles if roles is None else roles) if role in skeleton.roles}
    chosen &= correction.bones
    quaternions, axes = turned(skeleton, inherits, local, correction.turns @ original, chosen)
    new = local_rotations(skeleton, inherits, axes)
    changed = [bone for bone in sorted(chosen) if readback.degrees(new[:, bone], local[:, bone]).max() > UNCHANGED]
    with ExitStack() as undo:
        _, old = put_back_later(context, armature, undo)
        action, slot = _copied(armature, name, undo)
        extent = tuple(old.curve_frame_range) if old else (first, int(frames[-1]))
        for bone in changed:
            channel = channels.rotation(armature.pose.bones[skeleton.bones[bone]])
            span = np.array([*frames], float)
            before = keys.sample(action, slot, channel.path, span, channel.now)
            splice(action, slot, channel.path, first, channels.values(channel, quaternions[bone], before), channel.now,
                   extent, skeleton.bones[bone])
        notes = readback.check(context, armature, skeleton, inherits, frames, changed, new[:, changed],
                               local[:, changed]) if changed else ["the model changed nothing in these frames"]
        undo.pop_all()
    _take_over(armature, old, action)
    finish(context.scene, action, _span(old, frames), notes)
    return action


@dataclass(frozen=True, eq=False)
class Correction:
    """How bones turn in space from one solution to the other.

    Attributes
    ----------
    bones : set of int
        That both have.
    turns : np.ndarray
        `(T, B, 3, 3)`, of all bones.
    """

    bones: set[int]
    turns: np.ndarray


def corrections(skeleton: Skeleton, baked: PoseFile, refined: PoseFile, mode: str) -> Correction:
    """Solve both, without smoothing: what was smooth stays so."""
    if baked.data.shape[:1] != refined.data.shape[:1]:
        raise AddonError(f"the corrected take has {len(refined.data)} frames, the take {len(baked.data)}: "
                         "nothing was written")
    if baked.components != refined.components and _names(baked) != _names(refined):
        raise AddonError("the corrected take has other keypoints than the take: nothing was written")
    never = ~(baked.confidence > 0).any(0)  # what the armature lacks, the model may have made up
    refined = replace(refined, confidence=np.where(never, 0, refined.confidence).astype(np.float32))
    before, first = solved(skeleton, baked, mode)
    after, second = solved(skeleton, refined, mode)
    return Correction(first & second, after @ before.swapaxes(-1, -2))


def solved(skeleton: Skeleton, pose: PoseFile, mode: str) -> tuple[np.ndarray, set[int]]:
    """Axes `(T, B, 3, 3)` of all bones as the keypoints have them, and which bones these drive."""
    parts = Solving().parts - {"face"}
    motion = solve(tracks(pose, Reading(depth=float(pose.width))), skeleton,
                   Solving(mode, smoothing=0, longest_gap=len(pose.data) / pose.fps, parts=parts))
    at = {skeleton.bones.index(bone): motion.quaternions[:, i] for i, bone in enumerate(motion.bones)}
    return skeleton.posed(at, len(pose.data))[0], set(at)


def _names(pose: PoseFile) -> list[tuple[str, tuple[str, ...]]]:
    return [(part.name, part.points) for part in pose.components]


def _copied(armature: bpy.types.Object, name: str,
            undo: ExitStack) -> tuple[bpy.types.Action, bpy.types.ActionSlot | None]:
    """A copy of the armature's action, or a new one, that it plays."""
    old, old_slot = keys.assigned(armature)
    if old is None:
        action = new_action(name, undo)
        slot = keys.ensure_slot(action, armature)
    else:
        action = old.copy()
        undo.callback(bpy.data.actions.remove, action)
        action.name = name
        slot = keys.find_slot(action, old_slot.identifier) if old_slot else keys.ensure_slot(action, armature)
    keys.assign(armature, action, slot)
    return action, slot


def _take_over(armature: bpy.types.Object, old: bpy.types.Action | None, action: bpy.types.Action) -> None:
    """Let the meshes that play the old take's shapes play the new one's; over the NLA, the take ends where it ends."""
    if old is None:
        if armature.animation_data.nla_tracks:
            armature.animation_data.action_extrapolation = "NOTHING"
        return
    old.use_fake_user = True
    for shape_keys in bpy.data.shape_keys:
        playing, slot = keys.assigned(shape_keys)
        if playing == old and slot is not None:
            keys.assign(shape_keys, action, keys.find_slot(action, slot.identifier))


def _span(old: bpy.types.Action | None, frames: np.ndarray) -> tuple[float, float]:
    if old is None:
        return float(frames[0]), float(frames[-1])
    return min(old.frame_range[0], frames[0]), max(old.frame_range[1], frames[-1])
