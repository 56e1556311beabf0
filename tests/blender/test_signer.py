"""The signer in Blender: built the same each time, it follows its bones, shows its face, and stands in a studio."""
from __future__ import annotations

import json
import struct
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Matrix, Quaternion

from blender_addon.errors import AddonError
from blender_addon.rigs.maps import MAPS
from blender_addon.rigs.match import match
from blender_addon.rigs.signer import build_signer
from blender_addon.rigs.signer_bones import BONES, bone_axes
from blender_addon.rigs.signer_mesh import signer_mesh
from blender_addon.rigs.studio import create_studio


def body_of(armature: bpy.types.Object) -> bpy.types.Object:
    (body,) = armature.children
    return body


def vertices(body: bpy.types.Object) -> np.ndarray:
    """Where the evaluated mesh is, in the world."""
    bpy.context.view_layer.update()
    evaluated = body.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.empty(3 * len(evaluated.data.vertices), np.float32)
    evaluated.data.vertices.foreach_get("co", points)
    matrix = np.array(evaluated.matrix_world)
    return np.asarray(points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])


def test_bones_are_where_the_table_says_and_have_all_roles() -> None:
    armature = build_signer(bpy.context)
    assert set(armature.data.bones.keys()) == set(BONES)
    for bone in armature.data.bones:
        assert np.allclose(np.array(bone.matrix_local)[:3, :3], bone_axes(BONES[bone.name]), atol=1e-5)
        assert np.allclose(bone.head_local, BONES[bone.name].head, atol=1e-6)
        assert np.allclose(bone.tail_local, BONES[bone.name].tail, atol=1e-6)
    found = match(list(armature.data.bones.keys()), {})
    assert found.rig == "Signer"
    assert found.bones == MAPS["Signer"]
    assert {collection.name for collection in armature.data.collections} == {"Body", "Legs", "Left hand", "Right hand"}
    assert all(len(bone.collections) == 1 for bone in armature.data.bones)


def test_two_signers_are_alike_and_share_materials() -> None:
    started = time.perf_counter()
    first, second = build_signer(bpy.context), build_signer(bpy.context)
    assert time.perf_counter() - started < 10  # about 1 s on an idle machine
    assert (first.name, second.name) == ("Signer", "Signer.001")
    assert np.array_equal(vertices(body_of(first)), vertices(body_of(second)))
    assert body_of(first).data.materials[:] == body_of(second).data.materials[:]
    assert bpy.context.object == second
    assert bpy.context.selected_objects == [second]


def test_the_mesh_is_skinned_by_its_own_armature() -> None:
    armature = build_signer(bpy.context, "Ada")
    body = body_of(armature)
    assert body.name == "Ada body"
    assert [(each.type, each.object) for each in body.modifiers] == [("ARMATURE", armature)]
    assert {group.name for group in body.vertex_groups} == set(signer_mesh().weights)
    assert np.allclose(vertices(body), signer_mesh().vertices, atol=1e-5)
    assert body.data.validate() is False  # nothing to mend
    assert {key.name for key in body.data.shape_keys.key_blocks} == {"Basis", *signer_mesh().shapes}
    assert all(key.value == 0 for key in body.data.shape_keys.key_blocks[1:])


def test_a_bone_moves_its_part_and_no_other() -> None:
    armature = build_signer(bpy.context)
    body = body_of(armature)
    rest = vertices(body)
    armature.pose.bones["f_index.02.L"].rotation_quaternion = Quaternion((1, 0, 0), 1.0)
    moved = np.linalg.norm(vertices(body) - rest, axis=1)
    follows = signer_mesh().weights["f_index.02.L"] + signer_mesh().weights["f_index.03.L"]
    assert moved[follows > .9].max() > .02
    assert moved[follows == 0].max() < 1e-6
    armature.pose.bones["upper_arm.R"].rotation_quaternion = Quaternion((1, 0, 0), .5)
    moved = np.linalg.norm(vertices(body) - rest, axis=1)
    assert moved[signer_mesh().weights["hand.R"] > .9].min() > .05


def test_a_face_shape_moves_the_mesh() -> None:
    body = body_of(build_signer(bpy.context))
    rest = vertices(body)
    body.data.shape_keys.key_blocks["jawOpen"].value = 1
    assert np.allclose(vertices(body) - rest, signer_mesh().shapes["jawOpen"], atol=1e-5)


@pytest.mark.parametrize("mode", ["EDIT", "POSE", "SCULPT"])
def test_another_objects_mode_stays_as_it_is(mode: str) -> None:
    if mode == "POSE":
        other = build_signer(bpy.context, "Other")
    else:
        other = bpy.data.objects.new("Other", bpy.data.meshes.new("Other"))
        bpy.context.scene.collection.objects.link(other)
        bpy.context.view_layer.objects.active = other
        other.select_set(True)
    bpy.ops.object.mode_set(mode=mode)
    signer = build_signer(bpy.context)
    assert bpy.context.object == other
    assert other.mode == mode
    assert signer.mode == "OBJECT"
    assert bpy.context.view_layer.objects.selected[:] == [other]


def test_a_picture_shows_a_person() -> None:
    """One frame of Cycles against nothing: about as much of the picture as a person fills, the same on both sides."""
    armature = build_signer(bpy.context)
    create_studio(bpy.context, armature)
    scene = bpy.context.scene
    bpy.data.objects["Backdrop"].hide_render = True
    scene.render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", 2
    scene.cycles.use_denoising = False
    scene.render.film_transparent = True
    scene.render.resolution_x, scene.render.resolution_y = 96, 64
    scene.render.image_settings.file_format = "PNG"
    path = Path(bpy.app.tempdir) / "signer.png"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    picture = np.array(image.pixels).reshape(64, 96, 4)
    shape = picture[..., 3] > .5
    assert .15 < shape.mean() < .45
    assert (shape ^ shape[:, ::-1]).mean() < .04
    skin = picture[40:56, 44:52, :3].mean((0, 1))
    shirt = picture[12:26, 44:52, :3].mean((0, 1))
    assert skin[0] > shirt[0] + .1  # hands and face are lighter than what is behind them


def test_bones_shapes_and_the_hands_colours_survive_an_export(tmp_path: Path) -> None:
    import addon_utils  # there once bpy is imported

    addon_utils.enable("io_scene_gltf2", default_set=True)
    armature = build_signer(bpy.context)
    bpy.ops.export_scene.gltf(filepath=str(tmp_path / "signer.glb"))
    content = (tmp_path / "signer.glb").read_bytes()
    (size,) = struct.unpack("<I", content[12:16])
    scene = json.loads(content[20:20 + size])
    assert len(scene["skins"][0]["joints"]) == len(armature.data.bones)
    materials = [material["name"] for material in scene["materials"]]
    (skin,) = [part for part in scene["meshes"][0]["primitives"] if materials[part["material"]] == "Signer skin"]
    assert len(skin["targets"]) == len(signer_mesh().shapes)
    assert {"JOINTS_0", "COLOR_0"} <= skin["attributes"].keys()
    assert "JOINTS_1" not in skin["attributes"]  # four bones for a vertex, as game engines take


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (500, 500)])
def test_the_studio_frames_hips_to_head_and_the_room_for_hands(size: tuple[int, int]) -> None:
    armature = build_signer(bpy.context)
    armature.matrix_world = Matrix.LocRotScale((3, -2, 1), Quaternion((0, 0, 1), 1.2), (2, 2, 2))
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = size
    bpy.context.view_layer.update()
    camera = create_studio(bpy.context, armature)
    bpy.context.view_layer.update()
    assert scene.camera == camera
    for point in ((0, 0, 1.72), (0, -.1, .93), (.55, -.25, 1.2), (-.55, -.25, 1.2)):
        seen = world_to_camera_view(scene, camera, armature.matrix_world @ Matrix.Translation(point).to_translation())
        assert 0 < seen.x < 1
        assert 0 < seen.y < 1
        assert seen.z > 0


def test_a_studio_takes_the_place_of_the_former_one() -> None:
    armature = build_signer(bpy.context)
    kept = {kind: len(getattr(bpy.data, kind)) for kind in ("objects", "meshes", "materials", "collections")}
    create_studio(bpy.context, armature)
    one = {kind: len(getattr(bpy.data, kind)) for kind in (*kept, "lights", "cameras")}
    create_studio(bpy.context, armature)
    assert {kind: len(getattr(bpy.data, kind)) for kind in one} == one
    assert one["objects"] == kept["objects"] + 5


def test_no_studio_for_an_armature_without_bones() -> None:
    empty = bpy.data.objects.new("Empty", bpy.data.armatures.new("Empty"))
    with pytest.raises(AddonError, match="Empty has no height"):
        create_studio(bpy.context, empty)
    assert not bpy.data.cameras
