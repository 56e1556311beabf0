# SPDX-License-Identifier: GPL-3.0-or-later
"""The character that comes with the add-on."""
from __future__ import annotations

from typing import Any

import bpy
from mathutils import Vector

from .signer_bones import signer_bones


def build_signer(context: Any, name: str = "Signer") -> Any:
    """Build the signer: an armature and, as its child, a mesh with face shapes.

    It is linked to the scene's own collection, stands at the world's origin, and becomes the active and only selected
    object. Another object's edit or pose mode is left for object mode.

    Parameters
    ----------
    context : bpy.types.Context
        Its scene and view layer are used.
    name : str
        Of the armature; Blender appends a number where it is taken.

    Returns
    -------
    bpy.types.Object
        The armature. Its bones are those of `maps.MAPS["Signer"]`.
    """
    if context.object is not None and context.object.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    armature = _armature(context, name)
    return armature


def _armature(context: Any, name: str) -> Any:
    """The armature object, linked, active and alone selected."""
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    context.scene.collection.objects.link(armature)
    for other in context.view_layer.objects:
        other.select_set(False)
    context.view_layer.objects.active = armature
    armature.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    _edit_bones(data)
    bpy.ops.object.mode_set(mode="OBJECT")
    _collections(data)
    for bone in armature.pose.bones:
        bone.rotation_mode = "QUATERNION"
    data.display_type = "OCTAHEDRAL"
    data.relation_line_position = "HEAD"
    armature.show_in_front = True
    return armature


def _edit_bones(data: Any) -> None:
    """Bones of an armature in edit mode."""
    for bone in signer_bones():
        made = data.edit_bones.new(bone.name)
        made.head, made.tail = bone.head, bone.tail
        made.align_roll(Vector(bone.z))
        if bone.parent:
            made.parent = data.edit_bones[bone.parent]
            made.use_connect = bool((made.parent.tail - made.head).length < 1e-5)


def _collections(data: Any) -> None:
    """Bone collections, so that an animator can hide what is not worked on."""
    groups: dict[str, Any] = {}
    for bone in signer_bones():
        if bone.group not in groups:
            groups[bone.group] = data.collections.new(bone.group)
        groups[bone.group].assign(data.bones[bone.name])
