# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes of rigs that Rigify generated: read from the bones behind the controls, written to the controls."""
from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

import bpy
import numpy as np

from ..rigs.rigify import SWITCH, bones_behind, drive_generated
from ..solver.rotations import continuous, to_quaternions
from ..solver.skeleton import Motion, Skeleton
from . import keys
from .apply import notes_of, put_back_later
from .correction import UNCHANGED, Asked, Correction, Rewriting
from .evaluation import axes_of, sampled
from .readback import degrees
from .space import inheriting, local_rotations, skeleton_of
from .take import scene_fps

TURN = ".rotation_quaternion"


def rewriting(context: bpy.types.Context, armature: bpy.types.Object, skeleton: Skeleton, asked: Asked,
              correction: Correction, frames: np.ndarray) -> Rewriting:
    """A correction as rotations of the controls; parameters and errors are those of `write_back.write_back`.

    All driven controls are written, since the arms are switched to FK; those not asked for as they were.
    """
    seen = axes_of(sampled(context, armature, frames))
    original = controls_of(armature, asked.bones, skeleton, seen)
    chosen = correction.bones & {bone for role, bone in skeleton.roles.items() if role in asked.roles}
    turns = np.where(np.isin(np.arange(len(skeleton.bones)), list(chosen))[:, None, None], correction.turns, np.eye(3))
    if degrees(turns, np.eye(3)).max() <= UNCHANGED:
        return Rewriting((), np.empty((len(frames), 0, 4)), np.empty((len(frames), 0, 3, 3)))
    motion = motion_of(skeleton, turns @ original, scene_fps(context.scene))
    rotations, switches, notes = _driven(context, armature, asked.bones, motion, frames)
    whole = skeleton_of(armature, {})
    before = local_rotations(whole, inheriting(armature), seen)[:, [whole.bones.index(bone) for bone in rotations]]
    return Rewriting(tuple(rotations), np.stack(list(rotations.values()), 1), before, switches, notes)


def controls_of(armature: bpy.types.Object, bones: Mapping[str, str], skeleton: Skeleton,
                axes: np.ndarray) -> np.ndarray:
    """How the controls would have to stand: `(T, N, 3, 3)` of all bones' axes `(T, B, 3, 3)`.

    The bones behind them are what is seen, whether FK or IK moves them.
    """
    whole = skeleton_of(armature, {})
    behind = bones_behind(armature, bones)
    out = np.empty((len(axes), len(skeleton.bones), 3, 3))
    for role, bone in skeleton.roles.items():
        at = whole.bones.index(behind[role])
        out[:, bone] = axes[:, at] @ whole.rest[at].T @ skeleton.rest[bone]
    return out


def motion_of(skeleton: Skeleton, axes: np.ndarray, fps: float) -> Motion:
    """Axes `(T, N, 3, 3)` of a skeleton's bones as a motion of it."""
    local = local_rotations(skeleton, np.ones(len(skeleton.bones), bool), axes)
    return Motion(fps, skeleton.bones, continuous(to_quaternions(local)))


def _driven(context: bpy.types.Context, armature: bpy.types.Object, bones: Mapping[str, str], motion: Motion,
            frames: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, float], tuple[str, ...]]:
    """The controls' rotations `(T, 4)` that make a motion, switches and their values, and notes. Nothing else stays."""
    scene, old = context.scene, keys.assigned(armature)[0]
    span, fake = (scene.frame_start, scene.frame_end), old is not None and old.use_fake_user
    before = {bone.name: bone[SWITCH] for bone in armature.pose.bones if SWITCH in bone}
    with ExitStack() as undo:
        put_back_later(context, armature, undo)
        action = drive_generated(context, armature, motion, float(frames[0]), "driven", bones=bones)
        undo.callback(bpy.data.actions.remove, action)
        paths = {curve.data_path for curve in keys.curves(*_played(armature))}
        found = {path: keys.sample(*_played(armature), path, frames, np.zeros(4 if path.endswith(TURN) else 1))
                 for path in sorted(paths)}
        notes = notes_of(action)
    for name, value in before.items():
        armature.pose.bones[name][SWITCH] = value
    scene.frame_start, scene.frame_end = span
    if old is not None:
        old.use_fake_user = fake
    rotations = {armature.path_resolve(path.removesuffix(TURN)).name: turns
                 for path, turns in found.items() if path.endswith(TURN)}
    switches = {path: float(line[0, 0]) for path, line in found.items() if path.endswith(f'["{SWITCH}"]')}
    return rotations, switches, notes


def _played(armature: bpy.types.Object) -> tuple[bpy.types.Action, bpy.types.ActionSlot | None]:
    action, slot = keys.assigned(armature)
    assert action is not None
    return action, slot
