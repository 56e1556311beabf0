# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion shown on an armature for a while, without a trace afterwards.

All that is needed to put things back is in the temporary action itself: so it is right after an undo, in a file that
was saved or crashed in the middle, and whatever was renamed or removed meanwhile. Nothing is remembered in Python.
"""
from __future__ import annotations

import bpy
import numpy as np

from ..solver.skeleton import Motion
from . import keys, obstacles, shapes
from .apply import check_keys, key_frames, rotations_of, write_rotations
from .state import State, remember, restore, restore_pose

NAME = "Pose Diffusion preview"
STATE, ACTION = obstacles.PREVIEW, "pose_diffusion_previous"  # custom properties of a temporary action


def show(context: bpy.types.Context, armature: bpy.types.Object, motion: Motion, *, start: float) -> None:
    """Show a motion on an armature and its meshes until `purge`; again for each further step, in place of the last.

    Parameters
    ----------
    context : bpy.types.Context
        Its scene's frame rate counts. Frame and frame range are left alone.
    armature : bpy.types.Object
        Its own action is only put aside.
    motion : Motion
        Solved on `skeleton_of(armature, ...)`.
    start : float
        Scene frame of the motion's first frame.

    Raises
    ------
    AddonError
        If it cannot be keyed: nothing has changed then.
    """
    obstacles.check_editable(armature, previewing=True)
    rotations = rotations_of(armature, motion)
    frames = key_frames(context.scene, motion, start)
    check_keys(rotations, motion, frames)
    action, slot = _temporary(armature)
    _clear(action, slot)
    write_rotations(action, slot, armature, rotations, frames)
    for face in shapes.keys_with(armature, motion.shapes):
        _show_face(face, motion, frames)
    armature.update_tag(refresh={"TIME"})
    context.view_layer.update()


def purge(context: bpy.types.Context) -> None:
    """End all previews, those that an undo or an opened file has brought back too; nothing happens if there are none.

    Actions, slots, rotation modes, poses and shapes are what they were. The frame is not changed.
    """
    temporary = [action for action in bpy.data.actions if STATE in action and action.library is None]
    if not temporary:
        return
    things = [*bpy.data.objects, *bpy.data.shape_keys]
    for action in temporary:
        state, previous = State.from_json(action[STATE]), action.get(ACTION)
        players = [thing for thing in things if keys.assigned(thing)[0] == action]
        for thing in players:
            restore(context, thing, state, previous)
        if not players and state.thing in bpy.data.objects and bpy.data.objects[state.thing].pose:
            restore_pose(bpy.data.objects[state.thing], state)  # the user has chosen another action meanwhile
        bpy.data.actions.remove(action)


end = purge


def shown(armature: bpy.types.Object) -> bool:
    """Whether an armature shows a preview."""
    action, _ = keys.assigned(armature)
    return action is not None and STATE in action


def _temporary(thing: bpy.types.ID) -> tuple[bpy.types.Action, bpy.types.ActionSlot | None]:
    """The temporary action that a thing plays; it is made and assigned if there is none."""
    playing, slot = keys.assigned(thing)
    if playing is not None and STATE in playing:
        return playing, slot
    action = bpy.data.actions.new(NAME)
    action[STATE] = remember(thing).to_json()
    if playing is not None:
        action[ACTION] = playing  # a user of it, so that it is not lost if the file is saved now
    slot = keys.ensure_slot(action, thing)
    keys.assign_on_top(thing, action, slot)
    return action, slot


def _clear(action: bpy.types.Action, slot: bpy.types.ActionSlot | None) -> None:
    keys.remove(action, slot, {curve.data_path for curve in keys.curves(action, slot)})


def _show_face(face: bpy.types.Key, motion: Motion, frames: np.ndarray) -> None:
    action, slot = _temporary(face)
    _clear(action, slot)
    for block, values in shapes.matched(face, motion.shapes):
        keys.write(action, slot, block.path_from_id("value"), frames, values[:, None])
    face.update_tag()
