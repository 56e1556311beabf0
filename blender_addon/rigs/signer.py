# SPDX-License-Identifier: GPL-3.0-or-later
"""The character that comes with the add-on."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from .signer_bones import signer_bones
from .signer_mesh import MASKED, MATERIALS, colours, signer_mesh
from .skin import Part

COLOURS = "Signer colours"  # a colour attribute of the mesh


def build_signer(context: Any, name: str = "Signer") -> Any:
    """Build the signer: an armature and, as its child, a mesh with face shapes.

    It is linked to the scene's own collection and stands at the world's origin. In object mode it becomes the active
    and only selected object; another mode, with what is active and selected in it, stays as it is.

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
    layer = context.view_layer
    active, chosen = layer.objects.active, [thing for thing in layer.objects if thing.select_get()]
    mode = active.mode if active is not None else "OBJECT"
    if mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    armature = _armature(context, name)
    _body(context, armature)
    if mode != "OBJECT":
        _select(layer, active, chosen)
        bpy.ops.object.mode_set(mode=mode)
    return armature


def _select(layer: Any, active: Any, chosen: Sequence[Any]) -> None:
    """Make objects the selected ones, and one the active one."""
    layer.objects.active = active  # first: what was just linked is in the layer only after this
    for thing in layer.objects:
        thing.select_set(thing in chosen)


def _armature(context: Any, name: str) -> Any:
    """The armature object, linked, active and alone selected."""
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    context.scene.collection.objects.link(armature)
    _select(context.view_layer, armature, [armature])
    bpy.ops.object.mode_set(mode="EDIT")
    _edit_bones(data)
    bpy.ops.object.mode_set(mode="OBJECT")
    _collections(data)
    for bone in armature.pose.bones:
        bone.rotation_mode = "QUATERNION"
    data.display_type = "STICK"  # thin: hands and face are to be seen
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
            groups[bone.group].is_visible = bone.group != "Legs"  # signing does not need them
        groups[bone.group].assign(data.bones[bone.name])


def _body(context: Any, armature: Any) -> Any:
    """The mesh object that the armature moves."""
    part = signer_mesh()
    body = bpy.data.objects.new(f"{armature.name} body", _mesh(part, f"{armature.name} body"))
    context.scene.collection.objects.link(body)
    body.parent = armature
    body.modifiers.new("Armature", "ARMATURE").object = armature
    for bone, share in part.weights.items():
        group = body.vertex_groups.new(name=bone)
        for value in np.unique(share[share > 0]):  # whole regions have the same share
            group.add(np.flatnonzero(share == value).tolist(), float(value), "REPLACE")
    if part.shapes:
        body.shape_key_add(name="Basis", from_mix=False)
    for shape, way in part.shapes.items():
        key = body.shape_key_add(name=shape, from_mix=False)
        key.data.foreach_set("co", (part.vertices + way).astype(np.float32).ravel())
        key.value = 0  # Blender 5 makes it 1
    return body


def _mesh(part: Part, name: str) -> Any:
    """Mesh data with smooth faces and materials."""
    mesh = bpy.data.meshes.new(name)
    faces = [list(dict.fromkeys(quad)) for quad in part.quads.tolist()]
    mesh.from_pydata(part.vertices.tolist(), [], faces)
    names = sorted(set(part.materials))
    for material in names:
        mesh.materials.append(_material(material))
    mesh.polygons.foreach_set("material_index", [names.index(material) for material in part.materials])
    mesh.polygons.foreach_set("use_smooth", [True] * len(faces))
    attribute = mesh.color_attributes.new(COLOURS, "FLOAT_COLOR", "POINT")
    attribute.data.foreach_set("color", colours(part).astype(np.float32).ravel())
    mesh.update()
    return mesh


def _material(name: str) -> Any:
    """A material by name; one that another signer has is used again."""
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    colour, roughness = MATERIALS[name]
    material = bpy.data.materials.new(name)
    material.diffuse_color, material.roughness = (*colour, 1), roughness  # as solid view shows it
    if material.node_tree is None:  # before Blender 5
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (*colour, 1)
    shader.inputs["Roughness"].default_value = roughness
    if name in MASKED:  # a node that exporters to glTF know
        node = material.node_tree.nodes.new("ShaderNodeVertexColor")
        node.layer_name, node.location = COLOURS, (-220, 300)
        material.node_tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    return material
