"""Rigs as Blender's FBX importer brings them: y up and centimetres inside the armature, which is turned and scaled."""
from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix

from blender_addon.animation.apply import apply_motion
from blender_addon.animation.space import skeleton_of
from blender_addon.animation.take import keypoints_of
from blender_addon.rigs.match import match
from blender_addon.rigs.studio import create_studio
from blender_addon.solver.solve import solve
from blender_addon.tracks import Reading, tracks
from tests.blender.rigs import armature_of
from tests.blender.takes import seen
from tests.blender_addon.rig_names import mixamo
from tests.blender_addon.skeletons import exact_tracks, signing, upper_body

FRAMES = 6
Y_UP = Matrix(((100, 0, 0, 0), (0, 0, 100, 0), (0, -100, 0, 0), (0, 0, 0, 1)))


def character() -> tuple[bpy.types.Object, dict[str, str]]:
    """A Mixamo character in Blender's own axes, and its bone map."""
    parents = mixamo()
    bones = match(list(parents), parents).bones
    return armature_of(parents, bones), bones


def as_fbx(armature: bpy.types.Object) -> bpy.types.Object:
    """The same as from an FBX file: it looks the same in the world."""
    armature.data.transform(Y_UP)
    armature.matrix_world = Y_UP.inverted()
    bpy.context.view_layer.update()
    return armature


def in_the_world(armature: bpy.types.Object) -> np.ndarray:
    """`(T, B, 3)`: where the bones' heads are."""
    return (np.array(armature.matrix_world) @ seen(armature, range(1, FRAMES + 1)))[..., :3, 3]


def test_it_signs_as_the_same_character_in_blenders_axes_does() -> None:
    body = upper_body()
    joints = exact_tracks(body, signing(body, FRAMES), FRAMES, 24)
    places, keypoints = [], []
    for change in (lambda armature: armature, as_fbx):
        armature, bones = character()
        change(armature)
        apply_motion(bpy.context, armature, solve(joints, skeleton_of(armature, bones)), start=1, name="take")
        places.append(in_the_world(armature))
        keypoints.append(keypoints_of(bpy.context, armature, bones, 1, FRAMES))
    assert np.ptp(places[0], axis=0).max() > .05
    np.testing.assert_allclose(places[1], places[0], atol=1e-4)
    np.testing.assert_allclose(keypoints[1].data, keypoints[0].data, atol=.1)
    np.testing.assert_array_equal(keypoints[1].confidence, keypoints[0].confidence)
    at, other = (tracks(pose, Reading(depth=1000.0)).xyz for pose in keypoints)
    np.testing.assert_allclose(at, other, atol=1e-3)


def test_the_studio_stands_before_its_face() -> None:
    cameras = []
    for change in (lambda armature: armature, as_fbx):
        armature, _ = character()
        cameras.append(create_studio(bpy.context, change(armature)).matrix_world.copy())
    np.testing.assert_allclose(cameras[1], cameras[0], atol=1e-4)
