# SPDX-License-Identifier: GPL-3.0-or-later
"""Keypoints onto an armature: read, solve, key. What loading a file and generating have in common."""
from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from .. import posefile
from ..animation import keys
from ..animation.apply import apply_motion, notes_of, skeleton_of
from ..posefile import PoseFile
from ..rigs import rigify
from ..rigs.legs import DRIVEN, leg_bones
from ..rigs.match import Match
from ..rigs.signer import build_signer
from ..solver.skeleton import Motion, Skeleton
from ..solver.solve import Solving, solve
from ..tracks import Reading, tracks
from .target import bones_of

UNTOUCHED = (1, 250)  # frames of a new scene
FEW_ROLES = 12  # of 43: with fewer, something is likely to be wrong with the map


def reading_of(scene: bpy.types.Scene) -> Reading:
    """How a file is read, by the scene's settings."""
    settings = scene.pose_diffusion
    return Reading(person=settings.person, mirrored=settings.mirrored)


def solving_of(scene: bpy.types.Scene, mode: str | None = None) -> Solving:
    """How it is solved, by the scene's settings, or in another mode."""
    settings = scene.pose_diffusion
    return Solving(mode=mode or settings.mode, smoothing=settings.smoothing, longest_gap=settings.longest_gap,
                   parts=frozenset(settings.parts))


def skeleton_for(armature: bpy.types.Object, found: Match) -> Skeleton:
    """The armature at rest, its legs among the roles; of a generated Rigify rig, its controls."""
    if rigify.is_generated(armature):
        return rigify.skeleton_of_generated(armature, found.bones)
    return skeleton_of(armature, found.bones | leg_bones(found.rig, found.bones, armature.data.bones.keys()))


def sign(context: bpy.types.Context, armature: bpy.types.Object, pose: PoseFile, *, name: str, start: float,
         reading: Reading, solving: Solving) -> tuple[str, ...]:
    """Make a take of keypoints: a new action on the armature, which was solved for it.

    Parameters
    ----------
    context : bpy.types.Context
        The present one.
    armature : bpy.types.Object
        That signs.
    pose : PoseFile
        Keypoints.
    name : str
        Of the action.
    start : float
        The scene's frame at which it begins.
    reading, solving
        As the settings have it.

    Returns
    -------
    tuple of str
        What the user should know, a line each.

    Raises
    ------
    AddonError
        If there is nothing to animate or nothing to animate it with; then nothing is changed.
    """
    motion = solve(tracks(pose, reading), skeleton_for(armature, bones_of(armature)), solving)
    return write(context, armature, motion, name=name, start=start)


def _with_legs_at_rest(armature: bpy.types.Object, motion: Motion, legs: Collection[str]) -> Motion:
    """The motion, with legs at rest if the present action is of a lifted file: else they would stay as it left them."""
    action, _ = keys.assigned(armature)
    if action is None or DRIVEN not in action:
        return motion
    bones = [bone for bone in legs if bone not in motion.bones]
    still = np.broadcast_to(np.array([1.0, 0, 0, 0]), (len(motion.quaternions), len(bones), 4))
    return replace(motion, bones=(*motion.bones, *bones), quaternions=np.concatenate([motion.quaternions, still], 1))


def write(context: bpy.types.Context, armature: bpy.types.Object, motion: Motion, *, name: str,
          start: float) -> tuple[str, ...]:
    """Make a take of a motion that was solved for `skeleton_for(armature, ...)`.

    Parameters and what is returned and raised are those of `sign`.
    """
    found, scene = bones_of(armature), context.scene
    fitted = (scene.frame_start, scene.frame_end) == UNTOUCHED or scene.frame_end == scene.pose_diffusion.fitted_end
    legs = leg_bones(found.rig, found.bones, armature.data.bones.keys()).values()
    action = key(context, armature, _with_legs_at_rest(armature, motion, legs), start=start, name=name)
    if set(legs) & set(motion.bones):
        action[DRIVEN] = True
    notes = notes_of(action)
    scene.pose_diffusion.last_used = armature.name
    scene.frame_set(int(start))
    if fitted and action.frame_range[1] >= scene.frame_start:  # Space plays the take, and not much else
        scene.frame_end = scene.pose_diffusion.fitted_end = max(scene.frame_start, math.ceil(action.frame_range[1]))
    if len(found.bones) < FEW_ROLES:
        notes += f'only {len(found.bones)} bones of "{armature.name}" are driven: see Bone map',
    return notes


def key(context: bpy.types.Context, armature: bpy.types.Object, motion: Motion, *, start: float,
        name: str) -> bpy.types.Action:
    """Keys of a motion that was solved for `skeleton_for(armature)`."""
    if rigify.is_generated(armature):
        return rigify.drive_generated(context, armature, motion, start, name, bones=bones_of(armature).bones)
    return apply_motion(context, armature, motion, start=start, name=name)


def new_signer(context: bpy.types.Context) -> bpy.types.Object:
    """A new signer, which is active, selected and in view from now on, if the mode allows that."""
    signer = build_signer(context)
    if context.mode == "OBJECT":
        for thing in context.selected_objects:
            thing.select_set(False)
        signer.select_set(True)
        context.view_layer.objects.active = signer
        _bring_into_view(context)
    context.scene.pose_diffusion.last_used = signer.name
    return signer


def _bring_into_view(context: bpy.types.Context) -> None:
    """From the front, in the 3D view whose button was pressed: Blender starts with a view of ten metres."""
    area = context.area
    if bpy.app.background or area is None or area.type != "VIEW_3D":
        return
    region = next(region for region in area.regions if region.type == "WINDOW")
    context.view_layer.update()
    with context.temp_override(area=area, region=region):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected()


def load(context: bpy.types.Context, paths: list[Path],
         armature: bpy.types.Object | None) -> tuple[str, tuple[str, ...]]:
    """Load files, one take each; the last one is the armature's action then.

    Parameters
    ----------
    context : bpy.types.Context
        The present one.
    paths : list of Path
        All are read before anything is changed.
    armature : bpy.types.Object or None
        None: a new signer.

    Returns
    -------
    str
        What was done, for the user.
    tuple of str
        Notes.

    Raises
    ------
    AddonError
        If a file cannot be read or applied.
    """
    poses = [posefile.read(path) for path in paths]
    scene = context.scene
    notes: list[str] = []
    reading, solving = reading_of(scene), solving_of(scene)
    if armature is None:
        armature = new_signer(context)
    for path, pose in zip(paths, poses):
        own = sign(context, armature, pose, name=path.stem, start=start_of(scene), reading=reading, solving=solving)
        notes += [f"{path.name}: {note}" for note in own] if len(paths) > 1 else own
    armature.pose_diffusion.source = str(paths[-1])
    scene.pose_diffusion.refine_from = "FILE"
    what = f'"{paths[0].name}"' if len(paths) == 1 else f"{len(paths)} files, each as an action,"
    return f'{what} loaded onto "{armature.name}": press Space to play', tuple(notes)


def start_of(scene: bpy.types.Scene) -> int:
    """The frame at which new takes begin."""
    return scene.frame_current if scene.pose_diffusion.begin == "CURRENT" else scene.frame_start
