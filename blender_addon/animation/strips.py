# SPDX-License-Identifier: GPL-3.0-or-later
"""Strips of the NLA read one by one, and joined into one take with the ways between them."""
from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import bpy
import numpy as np

from ..errors import AddonError
from ..posefile import PoseFile
from ..rigs.legs import DRIVEN
from ..rigs.rigify import drive_generated, is_generated, skeleton_of_generated
from ..solver.rotations import to_matrices
from ..solver.skeleton import Skeleton
from . import generated, keys, obstacles, readback
from .apply import finish, new_action, put_back_later
from .correction import check_size, solved
from .evaluation import axes_of, sampled
from .joining import joined, spans
from .space import inheriting, local_rotations, skeleton_of, turned
from .state import remember, restore
from .take import check_range, keypoints_from, scene_fps

Curve = tuple[str, int]  # data path, channel
Solution = tuple[np.ndarray, set[int]]  # of `correction.solved`


@dataclass(frozen=True, eq=False)
class Part:
    """A strip's action over the strip's range, as plain data: it does not matter what becomes of the strip.

    Attributes
    ----------
    name : str
        Of the strip.
    axes : np.ndarray
        `(T, B, 3, 3)` of all bones of the armature, the action played alone.
    curves : dict
        `(T,)` of each curve of the action.
    """

    name: str
    axes: np.ndarray
    curves: dict[Curve, np.ndarray]


@dataclass(frozen=True, eq=False)
class Parts:
    """Strips in order of time.

    Attributes
    ----------
    parts : tuple of Part
    poses : list of PoseFile
        Their keypoints, at the scene's frame rate.
    bones : tuple of str
        The armature's, in the order of `Part.axes`.
    start : int
        Scene frame at which the first begins.
    legs : bool
        Whether one of them drives legs.
    """

    parts: tuple[Part, ...]
    poses: list[PoseFile]
    bones: tuple[str, ...]
    start: int
    legs: bool = False


def parts_of(context: bpy.types.Context, armature: bpy.types.Object, bones: Mapping[str, str]) -> Parts:
    """Read the selected strips of an armature.

    A strip's speed, cropping, repetition and direction count; its blending and influence do not: it is played alone.

    Parameters
    ----------
    context : bpy.types.Context
        Its scene's frame rate counts. Nothing is changed.
    armature : bpy.types.Object
        With an NLA.
    bones : mapping of str to str
        Role to bone name.

    Returns
    -------
    Parts

    Raises
    ------
    AddonError
        If fewer than two strips are selected, or one cannot be read.
    """
    obstacles.check_editable(armature)
    animation = armature.animation_data
    chosen = sorted((strip for track in (animation.nla_tracks if animation else ()) for strip in track.strips
                     if strip.select), key=lambda strip: strip.frame_start)
    if len(chosen) < 2:
        raise AddonError(f"select two or more strips of {armature.name} in the NLA editor: {len(chosen)} are selected")
    skeleton = skeleton_of(armature, bones)
    parts, poses = [], []
    for strip in chosen:
        frames = _frames(strip)
        slot = strip.action_slot if keys.SLOTTED else None
        if keys.SLOTTED and slot is None:
            raise AddonError(f"strip {strip.name} plays no slot of its action: choose one in the NLA editor's sidebar")
        with _alone(context, armature, strip.action, slot):
            matrices = sampled(context, armature, frames)
        parts.append(Part(strip.name, axes_of(matrices), {
            (curve.data_path, curve.array_index): np.array([curve.evaluate(frame) for frame in frames])
            for curve in keys.curves(strip.action, slot)}))
        poses.append(keypoints_from(skeleton, matrices, scene_fps(context.scene)))
    return Parts(tuple(parts), poses, skeleton.bones, round(chosen[0].frame_start),
                 any(DRIVEN in strip.action for strip in chosen))


def join(context: bpy.types.Context, armature: bpy.types.Object, bones: Mapping[str, str], parts: Parts,
         result: PoseFile, *, name: str, mode: str = "anatomical",
         solution: Solution | None = None) -> bpy.types.Action:
    """One take of strips and of the generated ways between them, on top of the NLA.

    The strips' own rotations are kept exactly. In a way between, bones turn as the keypoints have them; what a strip's
    bones have beyond that (how they are rolled) at its edge goes over into what the next one's have.

    Parameters
    ----------
    context, armature, bones
        As in `parts_of`.
    parts : Parts
        Of `parts_of`.
    result : PoseFile
        What the model made of `parts.poses`: all of them in order, with new frames between.
    name : str
        Of the action.
    mode : {"anatomical", "follow"}
        As in `Solving`.
    solution : tuple, optional
        `correction.solved(skeleton, result, mode)` if it was made before, in a thread: it takes most of the time.

    Returns
    -------
    bpy.types.Action
        That the armature plays from then on; the strips and the action it played are kept.

    Raises
    ------
    AddonError
        If the result is not of these parts, bones have changed, or nothing moves; everything is as it was then.
    """
    obstacles.check_editable(armature)
    skeleton = skeleton_of(armature, bones)
    if skeleton.bones != parts.bones:
        raise AddonError(f"the bones of {armature.name} have changed since its strips were read: try again")
    layout = spans([len(part.axes) for part in parts.parts], result)
    solving = skeleton_of_generated(armature, bones) if is_generated(armature) else skeleton
    made, driven = solution or solved(solving, result, mode)
    check_size(solving, made, len(result.data))
    if solving is not skeleton:
        return _join_generated(context, armature, bones, solving, parts, made, layout, result.fps, name)
    inherits = inheriting(armature)
    local = [local_rotations(skeleton, inherits, part.axes) for part in parts.parts]
    rotations, axes = joined(layout, made, [part.axes for part in parts.parts], local)
    quaternions, _ = turned(skeleton, inherits, rotations, axes, driven)
    frames = _scene_frames(context.scene, parts, len(made), result.fps)
    return _join_plain(context, armature, skeleton, inherits, parts, quaternions, layout, frames, name)


def _join_plain(context: bpy.types.Context, armature: bpy.types.Object, skeleton: Skeleton, inherits: np.ndarray,
                parts: Parts, quaternions: dict[int, np.ndarray], layout: list[tuple[int, int]], frames: np.ndarray,
                name: str) -> bpy.types.Action:
    """Key the whole, and read it back."""
    with ExitStack() as undo:
        state, old = put_back_later(context, armature, undo)
        action = new_action(name, undo)
        slot = keys.ensure_slot(action, armature)
        rest = {skeleton.bones[bone]: values for bone, values in quaternions.items()}
        _write_rotations(action, slot, armature, rest, frames)
        _write_others(action, slot, parts, layout, frames, set(rest))
        keys.assign_on_top(armature, action, slot)
        keyed = np.stack([to_matrices(values) for values in quaternions.values()], 1)
        notes = readback.check(context, armature, skeleton, inherits, frames, list(quaternions), keyed, np.eye(3))
        undo.pop_all()
    notes += obstacles.euler_actions(armature, rest.keys(), state.rotation_modes, [action])
    if parts.legs:
        action[DRIVEN] = True
    if old is not None:
        old.use_fake_user = True
    finish(context.scene, action, (frames[0], frames[-1]), notes)
    return action


def _join_generated(context: bpy.types.Context, armature: bpy.types.Object, bones: Mapping[str, str],
                    skeleton: Skeleton, parts: Parts, made: np.ndarray, layout: list[tuple[int, int]], fps: float,
                    name: str) -> bpy.types.Action:
    """The same on the controls of a rig that Rigify generated: both arms by FK."""
    own = [generated.controls_of(armature, bones, skeleton, part.axes) for part in parts.parts]
    every = np.ones(len(skeleton.bones), bool)
    _, axes = joined(layout, made, own, [local_rotations(skeleton, every, axes) for axes in own])
    motion = generated.motion_of(skeleton, axes, fps)
    action = drive_generated(context, armature, motion, float(parts.start), name, bones=bones)
    slot = keys.ensure_slot(action, armature)
    keyed = {curve.data_path for curve in keys.curves(action, slot)}
    frames = _scene_frames(context.scene, parts, len(made), fps)
    _write_others(action, slot, parts, layout, frames, set(skeleton.bones), keyed)
    return action


def _scene_frames(scene: bpy.types.Scene, parts: Parts, count: int, fps: float) -> np.ndarray:
    return parts.start + np.arange(count) * (scene_fps(scene) / fps)


def _frames(strip: bpy.types.NlaStrip) -> np.ndarray:
    """The action's frames that a strip plays, one for each frame of the scene."""
    if strip.type != "CLIP" or strip.action is None:
        raise AddonError(f"strip {strip.name} has no action of its own: select strips of actions only")
    length = strip.action_frame_end - strip.action_frame_start
    if length < 0 or strip.scale <= 0:
        raise AddonError(f"strip {strip.name} is empty: delete it, or give it a range")
    count = int(np.floor(strip.frame_end - strip.frame_start + 1e-3)) + 1
    check_range(1, count)
    along = np.arange(count) / strip.scale
    rounds = np.floor(along / length + 1e-6) if length > 0 else np.zeros(count)
    rounds = np.minimum(rounds, max(np.ceil(strip.repeat) - 1, 0))
    along = along - rounds * length
    return strip.action_frame_end - along if strip.use_reverse else strip.action_frame_start + along


@contextmanager
def _alone(context: bpy.types.Context, armature: bpy.types.Object, action: bpy.types.Action,
           slot: bpy.types.ActionSlot | None) -> Iterator[None]:
    """Let an armature play an action and nothing of its NLA."""
    state, (old, _) = remember(armature), keys.assigned(armature)
    animation = armature.animation_data
    nla = animation.use_nla
    try:
        animation.use_nla = False
        keys.assign_on_top(armature, action, slot)
        yield
    finally:
        animation.use_nla = nla
        restore(context, armature, state, old)


def _write_rotations(action: bpy.types.Action, slot: bpy.types.ActionSlot | None, armature: bpy.types.Object,
                     rotations: Mapping[str, np.ndarray], frames: np.ndarray) -> None:
    for name, values in rotations.items():
        bone = armature.pose.bones[name]
        bone.rotation_mode = "QUATERNION"
        keys.write(action, slot, bone.path_from_id("rotation_quaternion"), frames, values, name)


def _write_others(action: bpy.types.Action, slot: bpy.types.ActionSlot | None, parts: Parts,
                  layout: list[tuple[int, int]], frames: np.ndarray, turning: set[str],
                  keyed: Collection[str] = ()) -> None:
    """All other curves of the strips, in straight lines across the ways between."""
    for path, channel in sorted({curve for part in parts.parts for curve in part.curves}):
        if path in keyed or ".rotation_" in path and obstacles.bones_of([path]) & turning:
            continue
        found = [(begin, part.curves[path, channel]) for (begin, _), part in zip(layout, parts.parts)
                 if (path, channel) in part.curves]
        at = np.concatenate([frames[begin:begin + len(line)] for begin, line in found])
        keys.write_channel(action, slot, path, channel, at, np.concatenate([line for _, line in found]),
                           next(iter(obstacles.bones_of([path])), ""))
