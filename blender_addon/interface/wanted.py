# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of the model: requests made of the scene's settings and the armature.

Arguments have the names of the package's own functions and go to these as they are.
"""
from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import bpy

from .. import posefile
from ..animation import keypoints, strips
from ..animation.apply import notes_of
from ..animation.take import keypoints_of, scene_fps
from ..animation.write_back import write_back
from ..errors import AddonError
from ..posefile import PoseFile
from ..rigs import rigify
from ..solver.skeleton import FINGERS
from ..tracks import Reading
from . import known, signing, span
from .properties import MOST_SEED
from .provisional import Before, before
from .run import Outcome, Request
from .target import Target, armature_of, bones_of, found, needed_armature, target_of

OWN = Reading(depth=float(keypoints.SIZE))  # of keypoints that were read from an armature: their depth is known
CONTEXT_FRAMES = 64  # around what is signed anew: as much as the model looks at
USUAL_FPS = (10.0, 120.0)  # of scenes whose rate is asked of the model, so that keys lie on whole frames
HAND_ROLES = {side: ("forearm." + side, "hand." + side,
                     *(f"{finger}.{i}.{side}" for finger in FINGERS for i in (1, 2, 3))) for side in "LR"}
ARM_ROLES = {side: ("shoulder." + side, "upper_arm." + side, *HAND_ROLES[side]) for side in "LR"}
BODY_ROLES = ("hips", "spine", "chest", "neck", "head",
              *(f"{role}.{side}" for side in "LR" for role in ("shoulder", "upper_arm", "forearm")))
SIDES = {"L": "LEFT", "R": "RIGHT"}


def draw_seed(scene: bpy.types.Scene) -> None:
    """Another seed, if the settings want one each time."""
    if scene.pose_diffusion.new_seed_each_time:
        new_seed(scene)


def new_seed(scene: bpy.types.Scene) -> None:
    """Another seed, in the settings."""
    scene.pose_diffusion.seed = random.SystemRandom().randint(0, MOST_SEED)


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
    arguments: dict[str, object] = {"text": text, **_reading_arguments(scene), **_sampling_arguments(scene)}
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
    start, name = float(signing.start_of(scene)), _action_name(text)
    reading = OWN if settings.first_pose == "ARMATURE" else Reading()
    apply = partial(_signed, target=target_of(armature), name=name, start=start, reading=reading)
    return Request("generate", f'Generate "{name}"', "generate", arguments, inputs, target_of(armature), apply, start,
                   reading, was)


def _signed(context: bpy.types.Context, pose: PoseFile, *, target: Target, name: str, start: float,
            reading: Reading) -> Outcome:
    """What came back, as a take."""
    armature = found(target)
    notes = signing.sign(context, armature, pose, name=name, start=start, reading=reading,
                         solving=signing.solving_of(context.scene))
    return f'"{name}" signed by "{armature.name}"', notes


def _action_name(text: str) -> str:
    """What fits into Blender's 63 bytes."""
    return text.encode()[:50].decode(errors="ignore")


def _reading_arguments(scene: bpy.types.Scene) -> dict[str, object]:
    settings = scene.pose_diffusion
    notation = None if settings.notation == "AUTO" else settings.notation
    return {"language": known.code_of(settings.language), "notation": notation}


def _sampling_arguments(scene: bpy.types.Scene) -> dict[str, object]:
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


def refine(context: bpy.types.Context) -> Request:
    """Correct a take.

    Raises
    ------
    AddonError
        If there is no take, or no such frames in it.
    """
    armature, settings = needed_armature(context), context.scene.pose_diffusion
    first, last = span.chosen(context, armature)
    roles = [role for part in sorted(settings.refine_parts) for role in
             (BODY_ROLES if part == "BODY" else HAND_ROLES[part[0]])]
    if not roles:
        raise AddonError("no part is chosen to be refined: choose body, left hand or right hand")
    arguments = {"steps": settings.refine_steps, "strength": settings.strength, "seed": settings.seed}
    return _rewriting(context, armature, "refine", arguments, (first, last), roles, "refined")


def regenerate(context: bpy.types.Context) -> Request:
    """Sign a hand, an arm or everything anew in some frames of a take.

    Raises
    ------
    AddonError
        As `refine`.
    """
    armature, scene = needed_armature(context), context.scene
    settings = scene.pose_diffusion
    first, last = span.chosen(context, armature)
    take = span.whole(armature)
    seen = max(take[0], first - CONTEXT_FRAMES), min(take[1], last + CONTEXT_FRAMES)
    points, roles = _points_and_roles(settings.what)
    text = settings.regenerate_text.strip() or None
    arguments = {"frames": [first - seen[0], last + 1 - seen[0]], "points": points, "text": text,
                 **(_reading_arguments(scene) if text else {}), **_sampling_arguments(scene)}
    return _rewriting(context, armature, "regenerate", arguments, seen, roles, "signed anew")


def _points_and_roles(what: str) -> tuple[list[str | list[str]] | None, list[str] | None]:
    """Names for the model, and the roles of the bones that follow; None is all."""
    if what == "ALL":
        return None, None
    sides = "LR" if what == "BOTH_HANDS" else what[0]
    points: list[str | list[str]] = [f"{SIDES[side]}_HAND_LANDMARKS" for side in sides]
    if what.endswith("ARM"):
        points += [["POSE_LANDMARKS", f"{SIDES[side]}_{point}"] for side in sides
                   for point in ("ELBOW", "WRIST", "PINKY", "INDEX", "THUMB")]
    of = ARM_ROLES if what.endswith("ARM") else HAND_ROLES
    return points, [role for side in sides for role in of[side]]


def _rewriting(context: bpy.types.Context, armature: bpy.types.Object, do: str, arguments: dict[str, object],
               frames: tuple[int, int], roles: Sequence[str] | None, done: str) -> Request:
    """A request for keypoints of a take, whose answer is written back onto it."""
    name = span.take_of(armature).name
    baked = keypoints_of(context, armature, bones_to_read(armature), *frames)
    apply = partial(_rewritten, target=target_of(armature), baked=baked, first=frames[0], roles=roles,
                    name=f"{name[:50]} {done}", done=done)
    title = {"refine": "Refine", "regenerate": "Regenerate"}[do]
    return Request(do, f'{title} "{name}"', do, arguments, {"pose": baked}, target_of(armature), apply,
                   float(frames[0]), OWN)


def _rewritten(context: bpy.types.Context, pose: PoseFile, *, target: Target, baked: PoseFile, first: int,
               roles: Sequence[str] | None, name: str, done: str) -> Outcome:
    """What came back, written over a copy of the take."""
    armature = found(target)
    if rigify.is_generated(armature):
        return _signed(context, pose, target=target, name=name, start=float(first), reading=OWN)
    action = write_back(context, armature, bones_of(armature).bones, baked, pose, first=first, roles=roles,
                        mode=context.scene.pose_diffusion.mode, name=name)
    return f'{done.capitalize()}, as action "{action.name}"; the old one is kept', notes_of(action)


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
    apply = partial(_joined, target=target_of(armature), parts=parts)
    return Request("inbetween_strips", f"In-between {len(parts.poses)} strips", "inbetween", arguments,
                   {"poses": parts.poses}, target_of(armature), apply, float(parts.start), OWN)


def _joined(context: bpy.types.Context, pose: PoseFile, *, target: Target, parts: strips.Parts) -> Outcome:
    """What came back, as one take."""
    armature = found(target)
    if rigify.is_generated(armature):
        return _signed(context, pose, target=target, name="joined", start=float(parts.start),
                       reading=OWN)
    action = strips.join(context, armature, bones_of(armature).bones, parts, pose, name="joined",
                         mode=context.scene.pose_diffusion.mode)
    return f'{len(parts.poses)} strips joined, as action "{action.name}"', notes_of(action)
