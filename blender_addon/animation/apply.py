# SPDX-License-Identifier: GPL-3.0-or-later
"""A motion onto an armature: a new action, read back and compared."""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import bpy
import numpy as np

from ..errors import AddonError
from ..solver.rotations import to_matrices
from ..solver.skeleton import Motion, Skeleton
from . import keys, obstacles, readback, shapes
from .space import inheriting, skeleton_of, turned
from .state import State, remember, restore

NOTES = "pose_diffusion_notes"  # custom property of an action

__all__ = ["apply_motion", "notes_of", "skeleton_of"]


@dataclass(frozen=True, eq=False)
class Rotations:
    """What is keyed on an armature.

    Attributes
    ----------
    quaternions : dict of int to np.ndarray
        `(T, 4)` by bone, as Blender wants them.
    rest : tuple of int
        Bones between driven ones that are not driven: they have to be at rest, as the solver takes them to be.
    """

    skeleton: Skeleton
    inherits: np.ndarray
    quaternions: dict[int, np.ndarray]
    rest: tuple[int, ...]


def apply_motion(context: bpy.types.Context, armature: bpy.types.Object, motion: Motion, *, start: float,
                 name: str, settle: bool = True) -> bpy.types.Action:
    """Key a motion on an armature, in a new action that it plays from then on.

    The action that it played is kept, with a fake user. Shape keys of its meshes are keyed by their ARKit names. Spans
    that were not seen are marked in the action. The scene's frame range is made longer where the take needs it.

    Parameters
    ----------
    context : bpy.types.Context
        Its scene's frame rate counts: the motion keeps its own speed, keys may lie between frames.
    armature : bpy.types.Object
        Moved, turned, scaled, parented or hidden as it may be; another object may be active.
    motion : Motion
        Solved on `skeleton_of(armature, ...)`.
    start : float
        Scene frame of the motion's first frame.
    name : str
        Of the action.
    settle : bool
        Whether bones between driven ones are keyed at rest, as the solver takes them to be, and those that do not turn
        with their parents are made up for. False where the motion has reckoned with both.

    Returns
    -------
    bpy.types.Action
        `notes_of` it tells what the user should know.

    Raises
    ------
    AddonError
        If keys cannot be written, or nothing moves; everything is as it was then.
    """
    obstacles.check_editable(armature)
    rotations = rotations_of(armature, motion, settle)
    frames = key_frames(context.scene, motion, start)
    check_keys(rotations, motion, frames)
    faces = shapes.keys_with(armature, motion.shapes)
    with ExitStack() as undo:
        before = [put_back_later(context, thing, undo) for thing in (armature, *faces)]
        action = new_action(name, undo)
        made = [action, *shapes.write(action, faces, motion.shapes, frames, undo)]
        _write(action, armature, rotations, frames)
        _settle(action, armature, rotations, before[0][1], start)
        notes = [*motion.notes, *_check(context, armature, rotations, frames)]
        undo.pop_all()
    notes += obstacles.euler_actions(armature, _names(rotations), before[0][0].rotation_modes, made)
    _mark(action, motion, frames)
    finish(context.scene, action, (frames[0], frames[-1]), notes)
    for _, old in before:
        if old is not None:
            old.use_fake_user = True
    return action


def put_back_later(context: bpy.types.Context, thing: bpy.types.ID,
                   undo: ExitStack) -> tuple[State, bpy.types.Action | None]:
    """Remember what a thing plays, and let `undo` put it back."""
    state, (action, _) = remember(thing), keys.assigned(thing)
    undo.callback(restore, context, thing, state, action)
    if thing.id_type == "OBJECT":
        undo.callback(setattr, thing.data, "pose_position", thing.data.pose_position)
    return state, action


def new_action(name: str, undo: ExitStack) -> bpy.types.Action:
    """An action that `undo` removes."""
    action = bpy.data.actions.new(name)
    undo.callback(bpy.data.actions.remove, action)
    return action


def key_frames(scene: bpy.types.Scene, motion: Motion, start: float) -> np.ndarray:
    """`(T,)`: the scene's frames on which the frames of a motion lie."""
    return start + np.arange(len(motion.quaternions)) * (scene.render.fps / scene.render.fps_base / motion.fps)


def notes_of(action: bpy.types.Action) -> tuple[str, ...]:
    """What the user should know of a take that `apply_motion` or `write_back` made: one line each."""
    text = action.get(NOTES, "")
    return tuple(text.split("\n")) if text else ()


def check_keys(rotations: Rotations, motion: Motion, frames: np.ndarray) -> None:
    """Whether a motion can be keyed; errors are those of `keys.check`."""
    for bone, values in rotations.quaternions.items():
        keys.check(rotations.skeleton.bones[bone], frames, values)
    for shape, shape_values in motion.shapes.items():
        keys.check(shape, frames, shape_values)


def rotations_of(armature: bpy.types.Object, motion: Motion, settle: bool = True) -> Rotations:
    """The motion's rotations for the armature's bones.

    Parameters and errors are those of `apply_motion`.
    """
    if not len(motion.bones) or not len(motion.quaternions):
        raise AddonError("nothing to key: the motion has no bones or no frames; check the list of bones and the file")
    skeleton = skeleton_of(armature, {})
    at = {bone: i for i, bone in enumerate(skeleton.bones)}
    if gone := [bone for bone in motion.bones if bone not in at]:
        raise AddonError(f"{armature.name} has no bone {gone[0]}: match its bones again")
    quaternions = {at[bone]: motion.quaternions[:, i] for i, bone in enumerate(motion.bones)}
    inherits = inheriting(armature)
    if not settle:
        return Rotations(skeleton, inherits, quaternions, ())
    if not inherits.all():
        frames = len(motion.quaternions)
        wanted, _, _ = skeleton.posed(quaternions, frames)
        rest = np.broadcast_to(np.eye(3), wanted.shape)
        quaternions, _ = turned(skeleton, inherits, rest, wanted, quaternions.keys())
    return Rotations(skeleton, inherits, quaternions, _between(skeleton, quaternions))


def _between(skeleton: Skeleton, driven: dict[int, np.ndarray]) -> tuple[int, ...]:
    below = np.zeros(len(skeleton.bones), bool)  # whether a bone hangs on a driven one
    for bone, parent in enumerate(skeleton.parents):
        below[bone] = parent >= 0 and (below[parent] or parent in driven)
    out = set()
    for bone in driven:
        parent = int(skeleton.parents[bone])
        while parent >= 0 and parent not in driven and below[parent]:
            out.add(parent)
            parent = int(skeleton.parents[parent])
    return tuple(sorted(out))


def _names(rotations: Rotations) -> list[str]:
    return [rotations.skeleton.bones[bone] for bone in (*rotations.quaternions, *rotations.rest)]


def _write(action: bpy.types.Action, armature: bpy.types.Object, rotations: Rotations, frames: np.ndarray) -> None:
    slot = keys.ensure_slot(action, armature)
    write_rotations(action, slot, armature, rotations, frames)
    keys.assign_on_top(armature, action, slot)
    armature.data.pose_position = "POSE"


def write_rotations(action: bpy.types.Action, slot: bpy.types.ActionSlot | None, armature: bpy.types.Object,
                    rotations: Rotations, frames: np.ndarray) -> None:
    """Key rotations, and set the bones to quaternions."""
    names = rotations.skeleton.bones
    for bone, values in rotations.quaternions.items():
        keys.write(action, slot, _path(armature, names[bone], "rotation_quaternion"), frames, values, names[bone])
    for name in _names(rotations):
        armature.pose.bones[name].rotation_mode = "QUATERNION"
    for bone in rotations.rest:
        armature.pose.bones[names[bone]].rotation_quaternion = (1, 0, 0, 0)


def _settle(action: bpy.types.Action, armature: bpy.types.Object, rotations: Rotations, old: bpy.types.Action | None,
            start: float) -> None:
    """Key what the take must not inherit from before.

    Bones between driven ones are at rest. Places and scales that the old action animated are those at rest: else they
    would stay as they were in its last frame.
    """
    slot, once = keys.ensure_slot(action, armature), np.array([start])
    names = _names(rotations)
    for bone in rotations.rest:
        name = rotations.skeleton.bones[bone]
        keys.write(action, slot, _path(armature, name, "rotation_quaternion"), once, np.array([[1.0, 0, 0, 0]]), name)
    moved = {curve.data_path for curve in obstacles.all_curves(old)} if old else set()
    for name in names:
        for prop, value in (("location", 0.0), ("scale", 1.0)):
            if (path := _path(armature, name, prop)) in moved:
                keys.write(action, slot, path, once, np.full((1, 3), value), name)


def _path(armature: bpy.types.Object, bone: str, prop: str) -> str:
    return str(armature.pose.bones[bone].path_from_id(prop))


def _check(context: bpy.types.Context, armature: bpy.types.Object, rotations: Rotations,
           frames: np.ndarray) -> list[str]:
    bones = list(rotations.quaternions)
    keyed = np.stack([to_matrices(rotations.quaternions[bone]) for bone in bones], 1)
    return readback.check(context, armature, rotations.skeleton, rotations.inherits, frames, bones, keyed, np.eye(3))


def _mark(action: bpy.types.Action, motion: Motion, frames: np.ndarray) -> None:
    """Markers in the action where a part is held because it was not seen."""
    for part, spans in motion.held.items():
        for begin, end in spans:
            action.pose_markers.new(f"{part.replace('_', ' ')} held").frame = round(frames[begin])
            if end < len(frames):
                action.pose_markers.new(f"{part.replace('_', ' ')} seen").frame = round(frames[end])


def finish(scene: bpy.types.Scene, action: bpy.types.Action, span: tuple[float, float], notes: Sequence[str]) -> None:
    """Set the ranges of the action and the scene, and keep the notes with the action."""
    action.use_frame_range = True
    action.frame_start, action.frame_end = float(span[0]), float(span[1])
    scene.frame_start = min(scene.frame_start, int(np.floor(span[0])))
    scene.frame_end = max(scene.frame_end, int(np.ceil(span[1])))
    action.pop(NOTES, None)
    if notes:
        action[NOTES] = "\n".join(notes)
