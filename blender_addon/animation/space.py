# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the axes of bones in the armature's space and what is keyed: rotations in the bones' own rest axes."""
from __future__ import annotations

from collections.abc import Collection, Mapping

import bpy
import numpy as np

from ..errors import AddonError
from ..solver.rotations import continuous, to_quaternions
from ..solver.skeleton import Skeleton


def skeleton_of(armature: bpy.types.Object, bones: Mapping[str, str]) -> Skeleton:
    """The rest pose of an armature.

    Parameters
    ----------
    armature : bpy.types.Object
        Not in Edit Mode.
    bones : mapping of str to str
        Role to bone name.

    Returns
    -------
    Skeleton
        Of all bones, in the order of `armature.data.bones`: parents before their children.

    Raises
    ------
    AddonError
        If it is no armature, is being edited, or has not the bones; it names them.
    """
    if armature.type != "ARMATURE":
        raise AddonError(f"{armature.name} is no armature: select one")
    if armature.data.is_editmode:
        raise AddonError(f"{armature.name} is in Edit Mode: leave it (Tab) and try again")
    rest = list(armature.data.bones)
    names = [bone.name for bone in rest]
    at = {name: i for i, name in enumerate(names)}
    gone = sorted({name for name in bones.values() if name not in at})
    if gone:
        raise AddonError(f"{armature.name} has no bone {', '.join(gone[:5])}{' …' if len(gone) > 5 else ''}: "
                         "match its bones again, or edit the list")
    if len(set(bones.values())) < len(bones):
        twice = sorted({name for name in bones.values() if list(bones.values()).count(name) > 1})
        raise AddonError(f"bone {twice[0]} of {armature.name} is listed twice: edit the list of bones")
    return Skeleton(
        tuple(names), np.array([at[bone.parent.name] if bone.parent else -1 for bone in rest]),
        np.array([bone.head_local for bone in rest], float).reshape(-1, 3),
        np.array([bone.tail_local for bone in rest], float).reshape(-1, 3),
        np.array([bone.matrix_local.to_3x3() for bone in rest], float).reshape(-1, 3, 3),
        {role: at[name] for role, name in bones.items()})


def inheriting(armature: bpy.types.Object) -> np.ndarray:
    """`(B,)` bool: which bones turn with their parents."""
    return np.array([bone.use_inherit_rotation for bone in armature.data.bones], bool)


def unkeyed(skeleton: Skeleton, inherits: np.ndarray, axes: np.ndarray, bone: int) -> np.ndarray:
    """The axes `(T, 3, 3)` a bone would have with no rotation of its own; `axes` are `(T, B, 3, 3)` of all bones."""
    parent = skeleton.parents[bone]
    if parent < 0 or not inherits[bone]:
        return np.broadcast_to(skeleton.rest[bone], (len(axes), 3, 3))
    return axes[:, parent] @ skeleton.rest[parent].T @ skeleton.rest[bone]


def local_rotations(skeleton: Skeleton, inherits: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """What each bone is turned by, in its own rest axes: `(T, B, 3, 3)`, as are the axes in the armature's space."""
    out = np.empty_like(axes)
    for bone in range(len(skeleton.bones)):
        out[:, bone] = unkeyed(skeleton, inherits, axes, bone).swapaxes(-1, -2) @ axes[:, bone]
    return out


def turned(skeleton: Skeleton, inherits: np.ndarray, local: np.ndarray, wanted: np.ndarray,
           chosen: Collection[int]) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Bring chosen bones to wanted axes, while all others keep their rotations against their parents.

    Parameters
    ----------
    skeleton : Skeleton
    inherits : np.ndarray
        `(B,)`, of `inheriting`.
    local : np.ndarray
        `(T, B, 3, 3)`, of `local_rotations`; those of chosen bones do not matter.
    wanted : np.ndarray
        `(T, B, 3, 3)`, in the armature's space; those of chosen bones matter.
    chosen : collection of int
        Bones.

    Returns
    -------
    quaternions : dict of int to np.ndarray
        `(T, 4)` of each chosen bone, without changes of sign.
    axes : np.ndarray
        `(T, B, 3, 3)` of all bones.
    """
    axes = np.empty_like(wanted)
    quaternions = {}
    for bone in range(len(skeleton.bones)):
        base = unkeyed(skeleton, inherits, axes, bone)
        if bone in chosen:
            axes[:, bone] = wanted[:, bone]
            quaternions[bone] = continuous(to_quaternions(base.swapaxes(-1, -2) @ wanted[:, bone]))
        else:
            axes[:, bone] = base @ local[:, bone]
    return quaternions, axes
