# SPDX-License-Identifier: GPL-3.0-or-later
"""The bones of the legs of well-known rigs. They are in no bone map: only lifted bodies drive them."""
from __future__ import annotations

from collections.abc import Collection, Mapping

from ..solver.skeleton import LEG_ROLES, SIDES
from .maps import MAPS

# Of the left leg, by the map's name; Rigify's generated legs have IK and FK, and stay with their animator.
LEFT: Mapping[str, tuple[str, str]] = {
    "Signer": ("thigh.L", "shin.L"), "Rigify metarig": ("thigh.L", "shin.L"), "Mixamo": ("LeftUpLeg", "LeftLeg"),
    "VRM": ("leftUpperLeg", "leftLowerLeg"), "VRM 0": ("leftUpperLeg", "leftLowerLeg"),
    "VRoid": ("J_Bip_L_UpperLeg", "J_Bip_L_LowerLeg"), "MakeHuman": ("upperleg01.L", "lowerleg01.L"),
    "Unreal": ("thigh_l", "calf_l"), "Daz Genesis 3/8": ("lThighBend", "lShin"),
    "Character Creator": ("CC_Base_L_Thigh", "CC_Base_L_Calf"), "SMPL-X": ("left_hip", "left_knee"),
    "3ds Max Biped": ("L Thigh", "L Calf"),
}  # yapf: disable
DRIVEN = "pose_diffusion_legs"  # custom property of actions that drive legs
RIGHT = {"Left": "Right", "left": "right", "_L_": "_R_", ".L": ".R", "_l": "_r", "L ": "R ", "l": "r"}


def leg_bones(rig: str, bones: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The leg bones of an armature.

    Parameters
    ----------
    rig : str
        The map's name.
    bones : mapping of str to str
        Role to bone, as found: they tell the prefix of all names (`mixamorig:`).
    names : collection of str
        Of all bones of the armature.

    Returns
    -------
    dict of str to str
        Role to bone, of whole legs only; empty for other rigs.
    """
    found: dict[str, str] = {}
    if rig not in LEFT:
        return found
    prefix = _prefix(rig, bones)
    for side in SIDES:
        leg = [prefix + (name if side == "L" else _mirrored(name)) for name in LEFT[rig]]
        if set(leg) <= set(names) and not set(leg) & set(bones.values()):
            found |= {f"{role}.{side}": bone for role, bone in zip(LEG_ROLES, leg)}
    return found


def _prefix(rig: str, bones: Mapping[str, str]) -> str:
    """What stands before the names of a map in an armature."""
    for role, name in MAPS[rig].items():  # a bone map that was edited may have roles that the rig's has not
        if role in bones and bones[role].endswith(name):
            return bones[role].removesuffix(name)
    return ""


def _mirrored(name: str) -> str:
    left, right = next((left, right) for left, right in RIGHT.items() if left in name)
    return name.replace(left, right, 1)
