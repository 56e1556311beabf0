"""Motions on armatures: what is keyed is what Blender shows."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from blender_addon.animation import keys, obstacles
from blender_addon.animation.apply import notes_of
from blender_addon.animation.evaluation import axes_of
from blender_addon.animation.readback import degrees
from tests.blender.applying import FRAMES, apply, check_follows, face
from tests.blender.takes import seen, signed, signer, skeleton, wanted


def test_what_was_keyed_is_what_blender_shows() -> None:
    armature = signer()
    motion = signed(skeleton(armature), FRAMES)
    action = apply(armature, motion)
    check_follows(armature, motion)
    assert keys.assigned(armature)[0] == action
    assert action.name == "take"
    assert notes_of(action) == ()
    assert tuple(action.frame_range) == (1, FRAMES)


@pytest.mark.parametrize(("fps", "base"), [(24, 1.0), (24, 1.001), (60, 1.0)])
def test_a_take_keeps_its_own_speed(fps: int, base: float) -> None:
    armature = signer()
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = fps, base
    motion = signed(skeleton(armature), FRAMES, fps=25.0)
    action = apply(armature, motion, start=10)
    seconds = np.arange(FRAMES) / 25
    frames = 10 + seconds * fps / base
    check_follows(armature, motion, frames)
    driven = [curve for curve in keys.curves(*keys.assigned(armature))
              if obstacles.bones_of([curve.data_path]) <= set(motion.bones)]
    assert len(driven) == 4 * len(motion.bones)
    for curve in driven:
        np.testing.assert_allclose([point.co[0] for point in curve.keyframe_points], frames, atol=1e-4)
        assert {point.interpolation for point in curve.keyframe_points} == {"LINEAR"}
    assert action.frame_range[1] == pytest.approx(10 + 11 / 25 * fps / base)


def test_the_scenes_range_grows_and_never_shrinks() -> None:
    armature, scene = signer(), bpy.context.scene
    motion = signed(skeleton(armature), FRAMES)
    scene.frame_start, scene.frame_end, scene.frame_current = 3, 8, 5
    apply(armature, motion, start=5.5)
    assert (scene.frame_start, scene.frame_end, scene.frame_current) == (3, 17, 5)
    apply(armature, motion, start=-4)
    assert (scene.frame_start, scene.frame_end) == (0, 17)  # Blender's least


def away(armature: bpy.types.Object) -> None:
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.matrix_world = Matrix.Rotation(1, 4, "X") @ Matrix.Scale(2, 4)
    armature.parent = parent
    armature.matrix_world = Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(2, 4, "Z") @ Matrix.Scale(.01, 4)


def another_is_edited(armature: bpy.types.Object) -> None:
    other = bpy.data.objects.new("Other", bpy.data.armatures.new("Other"))
    bpy.context.scene.collection.objects.link(other)
    armature.select_set(False)
    bpy.context.view_layer.objects.active = other
    bpy.ops.object.mode_set(mode="EDIT")


def pose_mode(armature: bpy.types.Object) -> None:
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="POSE")


def rest_position(armature: bpy.types.Object) -> None:
    armature.data.pose_position = "REST"


def posed_between(armature: bpy.types.Object) -> None:
    for name in ("palm.01.L", "spine.005"):
        armature.pose.bones[name].rotation_mode = "XYZ"
        armature.pose.bones[name].rotation_euler = (.3, .4, .5)


def other_modes(armature: bpy.types.Object) -> None:
    for bone, mode in zip(armature.pose.bones, ("YXZ", "AXIS_ANGLE", "XYZ", "QUATERNION") * 100):
        bone.rotation_mode = mode


def reparented(armature: bpy.types.Object) -> None:
    """A bone that was added last is the root of all."""
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    added = armature.data.edit_bones.new("late")
    added.head, added.tail = (0, 0, .9), (.1, .2, .8)
    armature.data.edit_bones["spine"].parent = added
    bpy.ops.object.mode_set(mode="OBJECT")


@pytest.mark.parametrize("prepare", [away, another_is_edited, pose_mode, rest_position, posed_between, other_modes,
                                     reparented])
def test_it_works_however_the_armature_stands(prepare: Callable[[bpy.types.Object], None]) -> None:
    armature = signer()
    prepare(armature)
    active, mode = bpy.context.view_layer.objects.active, bpy.context.mode
    motion = signed(skeleton(armature), FRAMES)
    apply(armature, motion)
    assert (bpy.context.view_layer.objects.active, bpy.context.mode) == (active, mode)
    check_follows(armature, motion)


@pytest.mark.parametrize("how", ["object", "eye", "collection", "unlinked"])
def test_a_hidden_armature_is_read_back_as_well(how: str) -> None:
    armature = signer()
    motion = signed(skeleton(armature), FRAMES)
    if how == "object":
        armature.hide_viewport = True
    elif how == "eye":
        armature.hide_set(True)
    else:
        bpy.context.scene.collection.objects.unlink(armature)
    if how == "collection":
        collection = bpy.data.collections.new("Hidden")
        bpy.context.scene.collection.children.link(collection)
        collection.objects.link(armature)
        bpy.context.view_layer.layer_collection.children["Hidden"].exclude = True
    action = apply(armature, motion)
    assert notes_of(action) == ()
    assert armature.hide_viewport == (how == "object")
    assert [scene.name for scene in bpy.data.scenes] == ["Scene"]
    if how == "unlinked":
        assert not armature.users_collection
        bpy.context.scene.collection.objects.link(armature)
    armature.hide_viewport = False
    if how == "collection":
        bpy.context.view_layer.layer_collection.children["Hidden"].exclude = False
    check_follows(armature, motion)


def test_bones_that_do_not_turn_with_their_parents_are_made_up_for() -> None:
    armature = signer()
    for name in ("forearm.L", "palm.02.L", "f_index.02.R", "spine.006"):
        armature.data.bones[name].use_inherit_rotation = False
    rest = skeleton(armature)
    motion = signed(rest, FRAMES)
    apply(armature, motion)
    axes, _, _ = wanted(rest, motion)
    driven = [rest.bones.index(bone) for bone in motion.bones]
    assert degrees(axes_of(seen(armature, range(1, FRAMES + 1))), axes)[:, driven].max() < .01


def test_one_frame_is_a_take() -> None:
    armature = signer()
    motion = signed(skeleton(armature), 1)
    apply(armature, motion)
    check_follows(armature, motion)


def test_spans_that_were_not_seen_are_marked() -> None:
    armature = signer()
    motion = replace(signed(skeleton(armature), FRAMES, fps=12), held={"left_hand": ((0, 3), (8, 12)), "face": ()})
    action = apply(armature, motion)
    assert [(marker.name, marker.frame) for marker in action.pose_markers] == [
        ("left hand held", 1), ("left hand seen", 7), ("left hand held", 17)]


def test_the_solvers_notes_are_passed_on() -> None:
    armature = signer()
    action = apply(armature, replace(signed(skeleton(armature), FRAMES), notes=("one", "two")))
    assert notes_of(action) == ("one", "two")


# ---- what was there before


def test_the_action_that_was_played_is_kept() -> None:
    armature = signer()
    first = apply(armature, signed(skeleton(armature), FRAMES), name="first")
    second = apply(armature, signed(skeleton(armature), FRAMES, seed=1), name="first")
    assert first.use_fake_user
    assert not second.use_fake_user
    assert keys.assigned(armature)[0] == second
    assert (first.name, second.name) == ("first", "first.001")


def test_places_and_scales_of_an_older_take_do_not_stay() -> None:
    armature = signer()
    old = bpy.data.actions.new("old")
    slot = keys.ensure_slot(old, armature)
    for bone in ("spine", "palm.01.L", "f_index.01.L"):
        keys.write(old, slot, f'pose.bones["{bone}"].location', np.array([1.0]), np.full((1, 3), .1))
        keys.write(old, slot, f'pose.bones["{bone}"].scale', np.array([1.0]), np.full((1, 3), 1.5))
    keys.assign(armature, old, slot)
    bpy.context.scene.frame_set(2)
    assert armature.pose.bones["f_index.01.L"].location[0] == pytest.approx(.1)
    rest = skeleton(armature)
    motion = signed(rest, FRAMES, roles=[role for role in rest.roles if role != "hips"])
    apply(armature, motion)
    got = axes_of(seen(armature, [FRAMES])), seen(armature, [FRAMES])
    axes, heads, _ = wanted(rest, motion)
    hand, finger = rest.bones.index("hand.L"), rest.bones.index("f_index.01.L")
    assert degrees(got[0], axes[-1:]).max() < .01
    assert np.linalg.norm(got[1][0, finger, :3, 3] - got[1][0, hand, :3, 3]) == pytest.approx(
        1.5 * np.linalg.norm(heads[-1, finger] - heads[-1, hand]), rel=1e-5)  # the pelvis is not the motion's: it stays


def test_euler_keys_elsewhere_are_told_of() -> None:
    armature = signer()
    armature.pose.bones["hand.L"].rotation_mode = "XYZ"
    old = bpy.data.actions.new("wave")
    slot = keys.ensure_slot(old, armature)
    keys.write(old, slot, 'pose.bones["hand.L"].rotation_euler', np.array([1.0]), np.zeros((1, 3)))
    action = apply(armature, signed(skeleton(armature), FRAMES))
    (note,) = notes_of(action)
    assert "Euler keys of wave" in note
    assert notes_of(apply(armature, signed(skeleton(armature), FRAMES))) == ()  # they turn by quaternions already


def test_shapes_are_found_by_their_arkit_names_on_all_meshes() -> None:
    armature = signer()
    first = face(armature, "jawOpen", "Smile")
    second = face(armature, "EyeBlinkLeft", "browDown_R", "face.JawOpen", by="modifier")
    stranger = face(signer(), "jawOpen")
    up = np.linspace(0, 1, FRAMES)
    motion = replace(signed(skeleton(armature), FRAMES), shapes={
        "jawOpen": up, "eyeBlinkLeft": up / 2, "browDownRight": 1 - up, "mouthPucker": up})
    action = apply(armature, motion)
    bpy.context.scene.frame_set(FRAMES)
    values = [{block.name: round(block.value, 5) for block in one.data.shape_keys.key_blocks}
              for one in (first, second, stranger)]
    assert values[0] == {"Basis": 0, "jawOpen": 1, "Smile": 0}
    assert values[1] == {"Basis": 0, "EyeBlinkLeft": .5, "browDown_R": 0, "face.JawOpen": 1}
    assert values[2] == {"Basis": 0, "jawOpen": 0}
    if keys.SLOTTED:  # one take is one action
        assert {keys.assigned(one.data.shape_keys)[0] for one in (first, second)} == {action}
        assert len(action.slots) == 3
