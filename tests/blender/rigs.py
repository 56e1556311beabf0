"""Armatures of other makers' rigs: their bones' names and parents, on the signer's joints, with other rolls."""
from __future__ import annotations

from collections.abc import Mapping

import bpy
import numpy as np

from blender_addon.rigs.maps import MAPS
from blender_addon.rigs.signer_bones import BONES
from tests.blender_addon.rig_names import Parents


def armature_of(parents: Parents, roles: Mapping[str, str], name: str = "Rig") -> bpy.types.Object:
    """An armature with these bones, linked and active.

    A bone with a role lies where the signer's does; any other is a short one at the end of its parent.
    """
    joints = {bone: BONES[MAPS["Signer"][role]] for role, bone in roles.items()}
    rng = np.random.default_rng(len(parents))
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for bone, parent in parents.items():  # parents first
        made = data.edit_bones.new(bone)
        assert made.name == bone
        above = data.edit_bones[parent] if parent else None
        if bone in joints:
            made.head, made.tail = joints[bone].head, joints[bone].tail
        else:
            made.head = above.tail if above else (0, 0, .9)
            made.tail = made.head + (above.tail - above.head).normalized() * .02 if above else (0, 0, .93)
        made.roll = rng.uniform(-3, 3)
        made.parent = above
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def metarig() -> bpy.types.Object:
    """Rigify's own human metarig."""
    import addon_utils

    addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_human_metarig_add()
    return bpy.context.object


def generated() -> bpy.types.Object:
    """The rig that Rigify generates from it: some seconds."""
    metarig()
    bpy.ops.pose.rigify_generate()
    return bpy.context.object
