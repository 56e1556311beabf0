# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that change a take: refine it, or sign a part of it anew; and how the answer is written over it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bpy

from .. import posefile
from ..animation.apply import notes_of
from ..animation.correction import Correction, corrections
from ..animation.take import keypoints_of
from ..animation.write_back import write_back
from ..errors import AddonError
from ..posefile import PoseFile
from ..solver.skeleton import FINGERS
from . import signing, span
from .run import Outcome, Request, Work
from .target import Target, bones_of, found, needed_armature, target_of
from .wanted import OWN, bones_to_read, reading_arguments, ready, sampling_arguments, signed

CONTEXT_FRAMES = 64  # around what is signed anew: as much as the model looks at
SIDES = {"L": "LEFT", "R": "RIGHT"}
HAND_ROLES = {side: ("forearm." + side, "hand." + side,
                     *(f"{finger}.{i}.{side}" for finger in FINGERS for i in (1, 2, 3))) for side in "LR"}
ARM_ROLES = {side: ("shoulder." + side, "upper_arm." + side, *HAND_ROLES[side]) for side in "LR"}
BODY_ROLES = ("hips", "spine", "chest", "neck", "head",
              *(f"{role}.{side}" for side in "LR" for role in ("shoulder", "upper_arm", "forearm")))


@dataclass(frozen=True, eq=False)
class Rewrite:
    """A part of a take that is to be written anew.

    Attributes
    ----------
    target : Target
        Whose take.
    baked : PoseFile
        Its keypoints, as the model is given them.
    first : int
        Scene frame of their first frame.
    roles : tuple of str
        Of the bones that change.
    name : str
        Of the new action.
    """

    target: Target
    baked: PoseFile
    first: int
    roles: tuple[str, ...]
    name: str


def refine(context: bpy.types.Context) -> Request:
    """Correct a take, or the file that was loaded.

    Raises
    ------
    AddonError
        If there is no take, no such frames in it, or no file.
    """
    armature, settings = needed_armature(context), context.scene.pose_diffusion
    arguments = {"steps": settings.refine_steps, "strength": settings.strength, "seed": settings.seed}
    if settings.refine_from == "FILE":
        return _refine_file(context, armature, arguments)
    parts = sorted(settings.refine_parts)
    if not parts:
        raise AddonError("no part is chosen to be refined: choose body, left hand or right hand")
    roles = [role for part in parts for role in (BODY_ROLES if part == "BODY" else HAND_ROLES[part[0]])]
    rewrite = _rewrite(context, armature, span.chosen(context, armature), roles, "refined")
    return _request(rewrite, armature, "refine", "Refine", arguments)


def _refine_file(context: bpy.types.Context, armature: bpy.types.Object, arguments: dict[str, object]) -> Request:
    """Correct the keypoints of the file themselves: there the model sees a capture's own jitter and lost hands."""
    if not armature.pose_diffusion.source:
        raise AddonError(f'no .pose was loaded onto "{armature.name}": choose to refine the take')
    ready(armature)
    path = Path(bpy.path.abspath(armature.pose_diffusion.source))
    pose, reading = posefile.read(path), signing.reading_of(context.scene)
    start = float(span.whole(armature)[0])
    solving = partial(signed, target=target_of(armature), name=f"{path.stem[:50]} refined", start=start,
                      reading=reading, of_file=True)
    return Request(f'Refine "{path.name}"', "refine", arguments, {"pose": pose}, target_of(armature), solving, start,
                   reading)


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
                 **(reading_arguments(scene) if text else {}), **sampling_arguments(scene)}
    rewrite = _rewrite(context, armature, seen, roles, "signed anew")
    return _request(rewrite, armature, "regenerate", "Regenerate", arguments)


def _points_and_roles(what: str) -> tuple[list[str | list[str]] | None, list[str]]:
    """Names for the model (None is all), and the roles of the bones that follow."""
    if what == "ALL":
        return None, [*BODY_ROLES, *HAND_ROLES["L"], *HAND_ROLES["R"]]
    sides = "LR" if what == "BOTH_HANDS" else what[0]
    points: list[str | list[str]] = [f"{SIDES[side]}_HAND_LANDMARKS" for side in sides]
    if not what.endswith("ARM"):
        return points, [role for side in sides for role in HAND_ROLES[side]]
    points += [["POSE_LANDMARKS", f"{SIDES[side]}_{point}"] for side in sides
               for point in ("ELBOW", "WRIST", "PINKY", "INDEX", "THUMB")]
    return points, [role for side in sides for role in ARM_ROLES[side]]


def _rewrite(context: bpy.types.Context, armature: bpy.types.Object, frames: tuple[int, int], roles: Sequence[str],
             done: str) -> Rewrite:
    """Read what the model is to be given."""
    ready(armature)
    baked = keypoints_of(context, armature, bones_to_read(armature), *frames)
    return Rewrite(target_of(armature), baked, frames[0], tuple(roles), f"{span.take_of(armature).name[:50]} {done}")


def _request(rewrite: Rewrite, armature: bpy.types.Object, do: str, title: str,
             arguments: dict[str, object]) -> Request:
    return Request(f'{title} "{span.take_of(armature).name}"', do, arguments, {"pose": rewrite.baked},
                   rewrite.target, partial(_rewriting, rewrite=rewrite), float(rewrite.first), OWN)


def _rewriting(context: bpy.types.Context, pose: PoseFile, *, rewrite: Rewrite) -> Work:
    """What came back, over a copy of the take."""
    armature, mode = found(rewrite.target), context.scene.pose_diffusion.mode
    skeleton = signing.skeleton_for(armature, bones_of(armature))
    return lambda: partial(_write, rewrite=rewrite, pose=pose,
                           correction=corrections(skeleton, rewrite.baked, pose, mode))


def _write(context: bpy.types.Context, *, rewrite: Rewrite, pose: PoseFile, correction: Correction) -> Outcome:
    armature = found(rewrite.target)
    action = write_back(context, armature, bones_of(armature).bones, rewrite.baked, pose, first=rewrite.first,
                        roles=rewrite.roles, name=rewrite.name, correction=correction)
    return f'"{action.name}" is made; the action before is kept', notes_of(action)
