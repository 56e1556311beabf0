# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of the model: requests made of the scene's settings and the armature.

Arguments have the names of the package's own functions and go to these as they are.
"""
from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import bpy
import numpy as np

from .. import posefile
from ..animation import keypoints, obstacles, strips
from ..animation.apply import notes_of
from ..animation.correction import solved
from ..animation.take import keypoints_of, scene_fps
from ..errors import AddonError
from ..posefile import PoseFile
from ..rigs import rigify
from ..solver.skeleton import Motion
from ..solver.solve import solve
from ..tracks import Reading, tracks
from . import known, signing
from .properties import MOST_SEED
from .provisional import Before, before
from .run import Outcome, Request, Work, Writing
from .target import Target, armature_of, bones_of, found, needed_armature, target_of

OWN = Reading(depth=float(keypoints.SIZE))  # of keypoints that were read from an armature: their depth is known
# Of the average signer, as the package draws it: a test compares. A short clip alone says little of its depth.
AVERAGE = Reading(depth=(300.0, 750.0, 1000.0))
USUAL_FPS = (10.0, 120.0)  # of scenes whose rate is asked of the model, so that keys lie on whole frames


def draw_seed(scene: bpy.types.Scene) -> None:
    """Another seed, if the settings want one each time."""
    if scene.pose_diffusion.new_seed_each_time:
        new_seed(scene)


def new_seed(scene: bpy.types.Scene) -> None:
    """Another seed, in the settings."""
    scene.pose_diffusion.seed = random.SystemRandom().randint(0, MOST_SEED)


def ready(armature: bpy.types.Object) -> None:
    """Whether a take can be made on an armature: asked before the model works for minutes.

    Raises
    ------
    AddonError
        If it is in edit mode, linked from another file, or without known bones.
    """
    obstacles.check_editable(armature)
    bones_of(armature)


def bones_to_read(armature: bpy.types.Object) -> dict[str, str]:
    """The bones whose pose is read: of a generated Rigify rig those that follow the controls."""
    bones = bones_of(armature).bones
    return rigify.bones_behind(armature, bones) if rigify.is_generated(armature) else bones


def generate(context: bpy.types.Context) -> Request:
    """Sign a text, on the armature or on a new signer.

    Raises
    ------
    AddonError
        If there is no text, or the first pose is not there.
    """
    scene, settings = context.scene, context.scene.pose_diffusion
    text = settings.text.strip()
    if not text:
        raise AddonError("there is no text: type a word, SignWriting or HamNoSys into the field Text")
    arguments: dict[str, object] = {"text": text, **reading_arguments(scene), **sampling_arguments(scene)}
    if settings.length == "SECONDS":
        arguments["seconds"] = settings.seconds
    fps = scene_fps(scene)
    if USUAL_FPS[0] <= fps <= USUAL_FPS[1]:
        arguments["fps"] = fps
    inputs = _first_pose(context)
    was: Before | None = None
    armature = armature_of(context)
    if armature is None:
        was = before(context)
        armature = signing.new_signer(context)
    else:
        ready(armature)
    start, name = float(signing.start_of(scene)), _action_name(text)
    reading = {"ARMATURE": OWN, "NONE": AVERAGE, "FILE": Reading()}[settings.first_pose]
    solving = partial(signed, target=target_of(armature), name=name, start=start, reading=reading)
    return Request(f'Generate "{name}"', "generate", arguments, inputs, target_of(armature), solving, start, reading,
                   was)


def signed(context: bpy.types.Context, pose: PoseFile, *, target: Target, name: str, start: float, reading: Reading,
           of_file: bool = False) -> Work:
    """Keypoints as a new take of an armature; `of_file` if they are those of the loaded file, refined."""
    armature = found(target)
    skeleton, how = signing.skeleton_for(armature, bones_of(armature)), signing.solving_of(context.scene)

    def work() -> Writing:
        motion = solve(tracks(pose, reading), skeleton, how)
        return partial(_write, target=target, motion=motion, name=name, start=start, of_file=of_file)

    return work


def _write(context: bpy.types.Context, *, target: Target, motion: Motion, name: str, start: float,
           of_file: bool) -> Outcome:
    armature = found(target)
    notes = signing.write(context, armature, motion, name=name, start=start)
    if of_file:
        return f'"{name}" is made of the loaded file; the action before is kept', notes
    context.scene.pose_diffusion.refine_from = "TAKE"
    return f'"{name}" is signed by "{armature.name}": press Space to play', notes


def _action_name(text: str) -> str:
    """What fits into Blender's 63 bytes."""
    return text.encode()[:50].decode(errors="ignore")


def reading_arguments(scene: bpy.types.Scene) -> dict[str, object]:
    """How the text is read."""
    settings = scene.pose_diffusion
    notation = None if settings.notation == "AUTO" else settings.notation
    return {"language": known.code_of(settings.language), "notation": notation}


def sampling_arguments(scene: bpy.types.Scene) -> dict[str, object]:
    """How the model samples."""
    settings = scene.pose_diffusion
    return {"steps": settings.steps, "guidance": settings.guidance, "temperature": settings.temperature,
            "seed": settings.seed}


def _first_pose(context: bpy.types.Context) -> dict[str, PoseFile]:
    """The first pose, if one is wanted."""
    settings = context.scene.pose_diffusion
    if settings.first_pose == "ARMATURE":
        armature = needed_armature(context)
        now = context.scene.frame_current
        return {"first_pose": keypoints_of(context, armature, bones_to_read(armature), now, now, face=True)}
    if settings.first_pose == "FILE":
        if not settings.first_pose_file:
            raise AddonError("no file is chosen for the first pose: choose one, or begin with the average signer")
        pose = posefile.read(Path(bpy.path.abspath(settings.first_pose_file)))
        return {"first_pose": posefile.frames(pose, 0, 1)}
    return {}


def inbetween(context: bpy.types.Context) -> Request:
    """Join the selected NLA strips of the armature; the ways between are generated.

    Raises
    ------
    AddonError
        If fewer than two are selected.
    """
    armature, settings = needed_armature(context), context.scene.pose_diffusion
    parts = strips.parts_of(context, armature, bones_to_read(armature))
    arguments: dict[str, object] = {"steps": settings.steps, "temperature": settings.temperature,
                                    "seed": settings.seed, "hold": settings.hold}
    if settings.transition > 0:
        arguments["seconds"] = settings.transition
    solving = partial(_joined, target=target_of(armature), parts=parts)
    return Request(f"In-between {len(parts.poses)} strips", "inbetween", arguments, {"poses": parts.poses},
                   target_of(armature), solving, float(parts.start), OWN)


def _joined(context: bpy.types.Context, pose: PoseFile, *, target: Target, parts: strips.Parts) -> Work:
    """What came back, as one take."""
    armature, mode = found(target), context.scene.pose_diffusion.mode
    skeleton = signing.skeleton_for(armature, bones_of(armature))
    return lambda: partial(_write_joined, target=target, parts=parts, pose=pose,
                           solution=solved(skeleton, pose, mode))


def _write_joined(context: bpy.types.Context, *, target: Target, parts: strips.Parts, pose: PoseFile,
                  solution: tuple[np.ndarray, set[int]]) -> Outcome:
    armature = found(target)
    action = strips.join(context, armature, bones_of(armature).bones, parts, pose, name="joined", solution=solution)
    return f'{len(parts.poses)} strips joined, as action "{action.name}"', notes_of(action)
