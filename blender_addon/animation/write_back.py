# SPDX-License-Identifier: GPL-3.0-or-later
"""Corrected keypoints back onto the take that they were read from.

What is written is the correction alone: each bone turns in space as the bone solved from the corrected keypoints turns
against the one solved from the keypoints as they were. So whatever the keypoints cannot tell (how a bone is rolled,
what an animator exaggerated) stays, and what the model did not change is not touched at all.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack

import bpy
import numpy as np

from ..posefile import PoseFile
from ..rigs.rigify import is_generated, skeleton_of_generated
from ..solver.rotations import to_matrices
from ..solver.skeleton import Skeleton
from . import channels, generated, keys, obstacles, readback
from .apply import finish, new_action, put_back_later
from .correction import UNCHANGED, Asked, Correction, Rewriting, check_size, corrections
from .evaluation import axes_of, sampled
from .space import inheriting, local_rotations, skeleton_of, turned
from .splice import splice


def write_back(context: bpy.types.Context, armature: bpy.types.Object, bones: Mapping[str, str], baked: PoseFile,
               refined: PoseFile, *, first: int, roles: Iterable[str] | None = None, mode: str = "anatomical",
               name: str, correction: Correction | None = None) -> bpy.types.Action:
    """Write a correction of a take, as a copy of its action that the armature plays from then on.

    In the copy only rotations of the driven bones are replaced, from the first to the last frame that the correction
    changes; other curves, keys outside and the bones' rotation modes stay. A generated Rigify rig's controls are
    written, and its arms switched to FK in these frames. The old action is kept, with a fake user.

    Parameters
    ----------
    context : bpy.types.Context
        Its scene's frame rate counts.
    armature : bpy.types.Object
        That plays the take.
    bones : mapping of str to str
        Role to bone name; of a generated Rigify rig, to the control's.
    baked : PoseFile
        What `take.keypoints_of` read of the take.
    refined : PoseFile
        The same, corrected.
    first : int
        Scene frame of their first frame.
    roles : iterable of str, optional
        Which of the driven bones are written; by default all.
    mode, name : str
        As in `Solving`; of the new action.
    correction : Correction, optional
        `corrections(skeleton, baked, refined, mode)`, if it was made in a thread before.

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
    frames = np.arange(first, first + len(baked.data))
    asked = Asked(bones, set(bones if roles is None else roles))
    skeleton = skeleton_of_generated(armature, bones) if is_generated(armature) else skeleton_of(armature, bones)
    correction = correction or corrections(skeleton, baked, refined, mode)
    check_size(skeleton, correction.turns, len(frames))
    correction, frames = _where_it_turns(correction, frames)
    new = (generated.rewriting if is_generated(armature) else rewriting)(
        context, armature, skeleton, asked, correction, frames)
    with ExitStack() as undo:
        _, old = put_back_later(context, armature, undo)
        action, slot = _copied(armature, name, undo)
        extent = tuple(old.curve_frame_range) if old else (first, int(frames[-1]))
        notes = [*new.notes, *_modified(action, slot, armature, new, extent)]
        _splice(action, slot, armature, new, frames, extent)
        notes += _check(context, armature, new, frames)
        undo.pop_all()
    _take_over(armature, old, action)
    finish(context.scene, action, _span(old, frames), notes)
    return action


def _where_it_turns(correction: Correction, frames: np.ndarray) -> tuple[Correction, np.ndarray]:
    """A correction from the first frame in which it turns a bone to the last; all of it if there is none."""
    turning = np.flatnonzero((readback.degrees(correction.turns, np.eye(3)) > UNCHANGED).any(1))
    if not len(turning):
        return correction, frames
    chosen = slice(int(turning[0]), int(turning[-1]) + 1)
    return Correction(correction.bones, correction.turns[chosen]), frames[chosen]


def rewriting(context: bpy.types.Context, armature: bpy.types.Object, skeleton: Skeleton, asked: Asked,
              correction: Correction, frames: np.ndarray) -> Rewriting:
    """A correction as rotations of an armature's bones; parameters and errors are those of `write_back`."""
    inherits = inheriting(armature)
    original = axes_of(sampled(context, armature, frames))
    local = local_rotations(skeleton, inherits, original)
    chosen = correction.bones & {bone for role, bone in skeleton.roles.items() if role in asked.roles}
    quaternions, axes = turned(skeleton, inherits, local, correction.turns @ original, chosen)
    new = local_rotations(skeleton, inherits, axes)
    changed = [bone for bone in sorted(chosen) if readback.degrees(new[:, bone], local[:, bone]).max() > UNCHANGED]
    return Rewriting(tuple(skeleton.bones[bone] for bone in changed),
                     np.stack([quaternions[bone] for bone in changed], 1) if changed else np.empty((len(frames), 0, 4)),
                     local[:, changed])


def _splice(action: bpy.types.Action, slot: bpy.types.ActionSlot | None, armature: bpy.types.Object, new: Rewriting,
            frames: np.ndarray, extent: tuple[float, float]) -> None:
    """Write rotations in the bones' own rotation modes, and switches."""
    first = int(frames[0])
    for i, bone in enumerate(new.bones):
        channel = channels.rotation(armature.pose.bones[bone])
        before = keys.sample(action, slot, channel.path, frames, channel.now)
        values = channels.values(channel, new.quaternions[:, i], before)
        splice(action, slot, channel.path, first, values, channel.now, extent, bone)
    for path, value in new.switches.items():
        now = np.array([armature.path_resolve(path)], float)
        splice(action, slot, path, first, np.full((len(frames), 1), value), now, extent)


def _modified(action: bpy.types.Action, slot: bpy.types.ActionSlot | None, armature: bpy.types.Object, new: Rewriting,
              extent: tuple[float, float]) -> list[str]:
    """A note on curves with modifiers, which become keys."""
    paths = {channels.rotation(armature.pose.bones[bone]).path: bone for bone in new.bones}
    bones = sorted({paths[curve.data_path] for curve in keys.curves(action, slot)
                    if curve.data_path in paths and len(curve.modifiers)})
    if not bones:
        return []
    which = f"{len(bones)} bones ({bones[0]}{' …' if bones[1:] else ''})"
    return [f"modifiers of curves (such as Cycles) of {which} are keys now, from frame {extent[0]:.0f} to "
            f"{extent[1]:.0f}: what they did outside is in the old action only"]


def _check(context: bpy.types.Context, armature: bpy.types.Object, new: Rewriting, frames: np.ndarray) -> list[str]:
    if not new.bones:
        return ["the model changed nothing in these frames"]
    skeleton = skeleton_of(armature, {})
    return readback.check(context, armature, skeleton, inheriting(armature), frames,
                          [skeleton.bones.index(bone) for bone in new.bones], to_matrices(new.quaternions), new.before)


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
