# SPDX-License-Identifier: GPL-3.0-or-later
"""Facial shape keys of an armature's meshes, by their ARKit names."""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

import bpy
import numpy as np

from . import keys


def plain(name: str) -> str:
    """A shape's name without what exporters do to it: `face.eyeBlink_L` and `EyeBlinkLeft` are both `eyeblinkleft`."""
    name = name.rsplit(".", 1)[-1]
    name = re.sub(r"_L$", "Left", re.sub(r"_R$", "Right", name))
    return re.sub(r"[^a-z0-9]", "", name.lower())


def meshes_of(armature: bpy.types.Object) -> list[bpy.types.Object]:
    """Meshes that are the armature's children, or have an Armature modifier with it."""
    return [thing for thing in bpy.data.objects if thing.type == "MESH" and (
        thing.parent == armature
        or any(modifier.type == "ARMATURE" and modifier.object == armature for modifier in thing.modifiers))]


def keys_with(armature: bpy.types.Object, shapes: Iterable[str]) -> list[bpy.types.Key]:
    """The shape keys (one for a mesh, however many objects share it) that have at least one of the shapes.

    Those of linked files cannot be animated and are left out.
    """
    wanted = {plain(shape) for shape in shapes}
    out: list[bpy.types.Key] = []
    for mesh in meshes_of(armature):
        shape_keys = mesh.data.shape_keys
        if shape_keys and shape_keys.library is None and shape_keys not in out and any(
                plain(block.name) in wanted for block in shape_keys.key_blocks):
            out.append(shape_keys)
    return out


def write(action: bpy.types.Action, faces: Sequence[bpy.types.Key], shapes: Mapping[str, np.ndarray],
          frames: np.ndarray, undo: ExitStack) -> list[bpy.types.Action]:
    """Key shapes `(T,)` and let the meshes play them.

    They go to slots of the same action; before Blender 4.4 each mesh needs an action of its own: these are given back,
    and `undo` removes them.
    """
    further = []
    for shape_keys in faces:
        own = action
        if not keys.SLOTTED:
            own = bpy.data.actions.new(f"{action.name} face")
            undo.callback(bpy.data.actions.remove, own)
            further.append(own)
        slot = keys.ensure_slot(own, shape_keys)
        for block, values in matched(shape_keys, shapes):
            keys.write(own, slot, block.path_from_id("value"), frames, values[:, None])
        keys.assign(shape_keys, own, slot)
    return further


def matched(shape_keys: bpy.types.Key, shapes: Mapping[str, np.ndarray]) -> list[tuple[bpy.types.ShapeKey, np.ndarray]]:
    """The shape keys that have a name of `shapes`, with their values `(T,)`; the first of several alike."""
    left = {plain(shape): values for shape, values in shapes.items()}
    return [(block, left.pop(plain(block.name))) for block in shape_keys.key_blocks if plain(block.name) in left]
