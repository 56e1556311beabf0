# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps an armature's bones from following their keys, in words for the user."""
from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import bpy

from ..errors import AddonError
from . import keys

UNEVEN = .01  # by how much a scale differs between a bone's axes
PREVIEW = "pose_diffusion_preview"  # custom property of actions that are shown for a while only


def check_editable(armature: bpy.types.Object, *, previewing: bool = False) -> None:
    """Whether an armature can be given an action.

    Raises
    ------
    AddonError
        If it is linked from another file, in the NLA's tweak mode, or shows a preview and this is not for one.
    """
    action, _ = keys.assigned(armature)
    if action is not None and PREVIEW in action and not previewing:
        raise AddonError(f"{armature.name} shows what is being made: wait until that is done, or cancel it")
    if armature.library is not None:
        raise AddonError(f"{armature.name} is linked from {armature.library.filepath}: make a library override of it "
                         "(Object, Library Override, Make) and try again")
    animation = armature.animation_data
    if animation is not None and animation.use_tweak_mode:
        raise AddonError(f"{armature.name} is in tweak mode of the NLA editor: leave it (Tab there) and try again")


def layering(armature: bpy.types.Object) -> list[str]:
    """Notes on how the action lies on others."""
    animation = armature.animation_data
    if animation is None:
        return []
    solo = next((track.name for track in animation.nla_tracks if track.is_solo), None)
    if solo is None:
        return []
    return [f"NLA track {solo} of {armature.name} is solo: the take is not played until that is switched off"]


def still(armature: bpy.types.Object, bones: Sequence[str]) -> list[str]:
    """A note on bones that were keyed and do not follow; none if there are none."""
    if not bones:
        return []
    return [f"{len(bones)} bones of {armature.name} do not follow their keys ({_some(bones)}): "
            f"{reason(armature, bones)}"]


def reason(armature: bpy.types.Object, bones: Iterable[str]) -> str:
    """Why bones may not follow: the likeliest cause that is found, and what to do."""
    chosen = list(bones)
    if found := layering(armature):
        return found[0]
    for name in chosen:
        for constraint in armature.pose.bones[name].constraints:
            if not constraint.mute and constraint.influence > 0:
                return f"bone {name} has the constraint {constraint.name}: mute it or set its influence to 0"
    if driven := set(chosen) & bones_of(curve.data_path for curve in _drivers(armature)):
        return f"bone {sorted(driven)[0]} has a driver on its rotation: remove it"
    for name in chosen:
        for above in (armature.pose.bones[name], *armature.pose.bones[name].parent_recursive):
            if max(above.scale) - min(above.scale) > UNEVEN:
                return f"bone {above.name} is scaled unevenly, which bends what hangs on it: clear its scale (Alt S)"
    return "another add-on, a constraint or a control rig may hold them; a generated Rigify rig needs its own bone map"


def euler_actions(armature: bpy.types.Object, bones: Collection[str], modes: Mapping[str, str],
                  made: Sequence[bpy.types.Action]) -> list[str]:
    """A note on other actions that turn bones by Euler angles, which do nothing once the bones are set to quaternions.

    Parameters
    ----------
    armature
        Whose bones.
    bones
        That are set to quaternions now.
    modes
        Their rotation modes before.
    made
        Actions that are not meant.
    """
    changed = {bone for bone in bones if modes[bone] != "QUATERNION"}
    if not changed:
        return []
    found = [action.name for action in bpy.data.actions if action not in made and changed & bones_of(
        curve.data_path for curve in all_curves(action) if not curve.data_path.endswith("quaternion")
        and ".rotation_" in curve.data_path)]
    if not found:
        return []
    return [f"{len(changed)} bones of {armature.name} turn by quaternions now: Euler keys of {_some(sorted(found))} "
            "do nothing on them until their rotation mode is set back"]


def bones_of(paths: Iterable[str]) -> set[str]:
    """The bones that data paths (`pose.bones["hand.L"].location`) are of."""
    found = (re.match(r'pose\.bones\["((?:[^"\\]|\\.)*)"\]', path) for path in paths)
    return {bpy.utils.unescape_identifier(match.group(1)) for match in found if match}


def _drivers(armature: bpy.types.Object) -> list[bpy.types.FCurve]:
    animation = armature.animation_data
    return [curve for curve in animation.drivers if ".rotation_" in curve.data_path] if animation else []


def all_curves(action: bpy.types.Action) -> list[bpy.types.FCurve]:
    """The curves of all slots."""
    if not keys.SLOTTED:
        return list(action.fcurves)
    return [curve for slot in action.slots for curve in keys.curves(action, slot)]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
