# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera, lights and a plain background in front of which a character signs."""
from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..errors import AddonError
from ..solver.skeleton import Skeleton
from ..solver.upright import quarter_turn
from .match import match

COLLECTION = "Studio"
MARK = "pose_diffusion_studio"  # custom property of the collection
LENS, SENSOR = 70.0, 36.0  # mm; long, so that a hand in front is not much larger
BACKGROUND = (.42, .47, .50)  # linear; neither like skin nor like dark clothes
# Shares of the character's height: the picture goes from the hips to above the head; a signer's hands reach so far.
LOWEST, HIGHEST, REACH = .48, 1.08, .36
# Name, place in heights (left, back, up), watts for a character of 1.70 m, size in heights.
LIGHTS = (("Key light", (.75, -1.2, 1.45), 85.0, .5), ("Fill light", (-1.1, -1.1, 1.0), 40.0, .9),
          ("Rim light", (-.5, .9, 1.5), 45.0, .4))


def create_studio(context: Any, armature: Any) -> Any:
    """Set up a camera, three lights and a background for a character, as it stands now.

    A studio that is there already is taken away first; nothing else is changed but the scene's camera.

    Parameters
    ----------
    context : bpy.types.Context
        Its scene is used.
    armature : bpy.types.Object
        The character. Its bones tell where it looks; where they are not known, it is taken to face its own -y.

    Returns
    -------
    bpy.types.Object
        The camera, framing hips to head and the room that hands need.

    Raises
    ------
    AddonError
        The armature has no height.
    """
    place, height = _stand(armature)
    _remove(context.scene)
    collection = bpy.data.collections.new(COLLECTION)
    collection[MARK] = True
    context.scene.collection.children.link(collection)
    middle = height * (LOWEST + HIGHEST) / 2
    camera = _camera(collection, place, height, middle, context.scene.render)
    for name, (left, back, up), watts, size in LIGHTS:
        light = bpy.data.lights.new(name, "AREA")
        light.energy, light.size = watts * (height / 1.7) ** 2, size * height  # as bright at any size
        _add(collection, name, light, place, Vector((left, back, up)) * height, Vector((0, 0, middle)))
    backdrop = _backdrop(height)
    collection.objects.link(backdrop)
    backdrop.matrix_world = place
    context.scene.camera = camera
    return camera


def _stand(armature: Any) -> tuple[Matrix, float]:
    """Where the character stands and how it is turned, without its scale; and its height, in the scene's units."""
    at, turn, scale = armature.matrix_world.decompose()
    upright = _upright(armature)
    ends = [upright @ (scale * end) for bone in armature.data.bones for end in (bone.head_local, bone.tail_local)]
    top, bottom = (pick([end.z for end in ends], default=0.0) for pick in (max, min))
    if not top - bottom > 1e-6:
        raise AddonError(f"{armature.name} has no height that a camera could frame: select the character's armature")
    sideways = float(np.mean([end.x for end in ends]))
    axes = turn.to_matrix() @ upright.transposed()
    return Matrix.Translation(at) @ axes.to_4x4() @ Matrix.Translation((sideways, 0, bottom)), top - bottom


def _upright(armature: Any) -> Matrix:
    """What brings the character's own up and front to z and -y."""
    bones = armature.data.bones
    try:
        roles = match([bone.name for bone in bones], {bone.name: bone.parent and bone.parent.name for bone in bones})
    except AddonError:
        return Matrix.Identity(3)
    joints = np.array([bone.head_local for bone in bones], float)
    at = {role: bones.find(bone) for role, bone in roles.bones.items()}
    return Matrix(quarter_turn(Skeleton(tuple(bones.keys()), np.full(len(bones), -1), joints, joints,
                                        np.tile(np.eye(3), (len(bones), 1, 1)), at)))


def _camera(collection: Any, place: Matrix, height: float, middle: float, render: Any) -> Any:
    """A camera so far away that the picture holds what it should, at the scene's resolution."""
    wide = render.resolution_x * render.pixel_aspect_x / (render.resolution_y * render.pixel_aspect_y)
    half = SENSOR / 2 / LENS  # of the longer side, at a distance of 1
    need_up, need_across = height * (HIGHEST - LOWEST) / 2, height * REACH
    distance = max(need_across / (half * min(wide, 1)), need_up / (half / max(wide, 1)))
    data = bpy.data.cameras.new("Camera")
    data.lens, data.sensor_width, data.sensor_fit = LENS, SENSOR, "AUTO"
    data.clip_start, data.clip_end = .01 * height, 100 * height
    return _add(collection, "Studio camera", data, place, Vector((0, -distance - .1 * height, middle)),
                Vector((0, 0, middle)))


def _add(collection: Any, name: str, data: Any, place: Matrix, at: Vector, to: Vector) -> Any:
    """An object that looks from one point to another, both in the character's own axes."""
    thing = bpy.data.objects.new(name, data)
    collection.objects.link(thing)
    thing.matrix_world = place @ Matrix.Translation(at) @ (to - at).to_track_quat("-Z", "Y").to_matrix().to_4x4()
    return thing


def _backdrop(height: float) -> Any:
    """A wall that runs round into the floor."""
    curve = [(-3.0, 0.0), (.9, 0.0), *((.9 + .6 * np.sin(turn), .6 - .6 * np.cos(turn))
                                       for turn in np.linspace(0, np.pi / 2, 9)[1:]), (1.5, 4.0)]
    points = [(side * 4 * height, y * height, z * height) for y, z in curve for side in (-1, 1)]
    mesh = bpy.data.meshes.new("Backdrop")
    mesh.from_pydata(points, [], [(2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2) for i in range(len(curve) - 1)])
    mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    material = bpy.data.materials.new("Backdrop")
    material.diffuse_color = (*BACKGROUND, 1)
    if material.node_tree is None:  # before Blender 5
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (*BACKGROUND, 1)
    shader.inputs["Roughness"].default_value = 1.0
    mesh.materials.append(material)
    return bpy.data.objects.new("Backdrop", mesh)


def _remove(scene: Any) -> None:
    """Take a former studio away, with its data."""
    for collection in [child for child in scene.collection.children if child.get(MARK)]:
        for thing in list(collection.objects):
            data = thing.data
            materials = list(getattr(data, "materials", ()))
            bpy.data.objects.remove(thing)
            bpy.data.batch_remove([each for each in (data, *materials) if each.users <= (each in materials)])
        bpy.data.collections.remove(collection)
