# SPDX-License-Identifier: GPL-3.0-or-later
"""Which armature is driven, by which bones, in which frames."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import bpy

from ..errors import AddonError
from ..rigs.match import Match, match
from ..solver.skeleton import ROLES


@dataclass(frozen=True)
class Target:
    """An armature object, to be found again after an undo: no reference to it is kept."""

    name: str
    uid: int


def armature_of(context: bpy.types.Context) -> bpy.types.Object | None:
    """The armature that is driven: the active object, or the one that deforms it; else the one used last."""
    active = context.view_layer.objects.active if context.view_layer else None
    if active is not None:
        if active.type == "ARMATURE":
            return active
        deforming = active.find_armature()
        if deforming is not None:
            return deforming
    last = context.scene.objects.get(context.scene.pose_diffusion.last_used)
    return last if last is not None and last.type == "ARMATURE" else None


def needed_armature(context: bpy.types.Context) -> bpy.types.Object:
    """The same, or an `AddonError`."""
    armature = armature_of(context)
    if armature is None:
        raise AddonError("there is no armature: select one, or press Create signer")
    return armature


def target_of(armature: bpy.types.Object) -> Target:
    """To find it again."""
    return Target(armature.name, armature.session_uid)


def found(target: Target) -> bpy.types.Object:
    """The armature, wherever it is by now.

    Raises
    ------
    AddonError
        If it was deleted.
    """
    for thing in bpy.data.objects:
        if thing.session_uid == target.uid and thing.type == "ARMATURE":
            return thing
    raise AddonError(f'the armature "{target.name}" is gone: select another one and try again')


def bones_of(armature: bpy.types.Object) -> Match:
    """The bone map of an armature: the one that the user made, else what is found by the bones' names.

    Raises
    ------
    AddonError
        If nothing is found.
    """
    settings = armature.pose_diffusion
    if has_map(armature):
        bones = {line.name: line.bone for line in settings.bones if line.bone and line.name in ROLES}
        if not bones:
            raise AddonError(f'no bone of "{armature.name}" is in its bone map: fill it in, or press Match again')
        return Match(settings.map_name or "edited", bones, tuple(role for role in ROLES if role not in bones))
    return _matched(tuple((bone.name, bone.parent.name if bone.parent else None) for bone in armature.data.bones))


@lru_cache(maxsize=8)
def _matched(bones: tuple[tuple[str, str | None], ...]) -> Match:
    """Panels are drawn often: the same bones are matched once."""
    return match([name for name, _ in bones], dict(bones))


def has_map(armature: bpy.types.Object) -> bool:
    """Whether an armature has a bone map of its own. One that is cleared may still have lines, without bones."""
    settings = armature.pose_diffusion
    return bool(settings.map_name) or any(line.bone for line in settings.bones)


def set_map(armature: bpy.types.Object, bones: Mapping[str, str], name: str) -> None:
    """Make this the armature's bone map, with a line for each role."""
    clear_map(armature)
    settings = armature.pose_diffusion
    for role in ROLES:
        line = settings.bones.get(role) or settings.bones.add()
        line.name, line.bone = role, bones.get(role, "")
    settings.map_name = name


def clear_map(armature: bpy.types.Object) -> None:
    """Let the armature have no bone map of its own."""
    settings = armature.pose_diffusion
    settings.bones.clear()
    for line in settings.bones:  # of an override: those of the linked file stay
        line.bone = ""
    settings.map_name = ""
