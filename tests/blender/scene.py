"""The state of a scene in plain values, to be compared."""
from __future__ import annotations

from typing import Any

import bpy

from blender_addon.animation import keys


def state_of(scene: bpy.types.Scene) -> dict[str, Any]:
    """All that a run may touch: things, what they play, how bones stand, selection, frames."""
    data = bpy.data
    return {
        "data": {kind: sorted(one.name for one in getattr(data, kind)) for kind in (
            "objects", "actions", "armatures", "meshes", "materials", "collections", "cameras", "shape_keys")},
        "plays": {one.name: _played(one) for one in data.objects},
        "bones": {one.name: {bone.name: (bone.rotation_mode, tuple(bone.rotation_quaternion),
                                         tuple(bone.rotation_euler), tuple(bone.location))
                             for bone in one.pose.bones} for one in data.objects if one.type == "ARMATURE"},
        "selected": sorted(one.name for one in bpy.context.view_layer.objects if one.select_get()),
        "active": getattr(bpy.context.view_layer.objects.active, "name", None),
        "frames": (scene.frame_current, scene.frame_start, scene.frame_end),
    }


def _played(thing: bpy.types.Object) -> tuple[Any, ...]:
    action, slot = keys.assigned(thing)
    return thing.animation_data is None, action and action.name, slot and slot.identifier
