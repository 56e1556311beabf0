"""Rigs that Rigify generated: what deforms the mesh follows the motion, and nothing else of the rig is touched."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_addon.animation import keys
from blender_addon.animation.apply import key_frames, notes_of
from blender_addon.animation.evaluation import axes_of, sampled
from blender_addon.errors import AddonError
from blender_addon.rigs import rigify
from blender_addon.rigs.match import match
from blender_addon.rigs.signer import build_signer
from blender_addon.solver.rotations import degrees_between
from blender_addon.solver.skeleton import Motion, Skeleton
from tests.blender_addon.skeletons import signing

from .rigs import generated, metarig

FRAMES = 12
SWITCHES = ("upper_arm_parent.L", "upper_arm_parent.R")


@pytest.fixture(scope="module")
def rig_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated rig as a file: generating takes some seconds."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    path = tmp_path_factory.mktemp("rigify") / "rig.blend"
    generated()
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


@pytest.fixture
def rig(rig_file: Path, empty_scene: None) -> bpy.types.Object:
    bpy.ops.wm.open_mainfile(filepath=str(rig_file))
    return bpy.data.objects["rig"]


def bones_of(rig: bpy.types.Object) -> dict[str, str]:
    return match([bone.name for bone in rig.data.bones], {}).bones


def moved(skeleton: Skeleton) -> tuple[dict[int, np.ndarray], Motion]:
    quaternions = signing(skeleton, FRAMES)
    names = tuple(skeleton.bones[bone] for bone in quaternions)
    return quaternions, Motion(25.0, names, np.stack(list(quaternions.values()), 1))


def state(rig: bpy.types.Object) -> dict[str, object]:
    """All that a failed run must leave alone."""
    return {
        "objects": sorted(thing.name for thing in bpy.data.objects),
        "actions": sorted(each.name for each in bpy.data.actions),
        "constraints": [(bone.name, each.name) for bone in rig.pose.bones for each in bone.constraints],
        "switches": [rig.pose.bones[name]["IK_FK"] for name in SWITCHES],
        "pose": [list(row) for bone in rig.pose.bones for row in bone.matrix_basis],
        "modes": [bone.rotation_mode for bone in rig.pose.bones], "plays": keys.assigned(rig)[0],
        "frames": (bpy.context.scene.frame_current, bpy.context.scene.frame_start, bpy.context.scene.frame_end)}


def test_only_generated_rigs_are_taken_for_such(rig: bpy.types.Object) -> None:
    assert rigify.is_generated(rig)
    assert not rigify.is_generated(bpy.data.objects["metarig"])
    assert not rigify.is_generated(build_signer(bpy.context))
    found = match([bone.name for bone in rig.data.bones], {})
    assert found.rig == "Rigify"
    assert found.missing == ()


def test_bones_that_deform_follow_the_motion(rig: bpy.types.Object) -> None:
    bones = bones_of(rig)
    skeleton = rigify.skeleton_of_generated(rig, bones)
    quaternions, motion = moved(skeleton)
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = 24, 1.001
    before = state(rig)
    action = rigify.drive_generated(bpy.context, rig, motion, 10, "take")
    seen = axes_of(sampled(bpy.context, rig, key_frames(bpy.context.scene, motion, 10)))
    wanted, _, _ = skeleton.posed(quaternions, FRAMES)
    at = {bone.name: i for i, bone in enumerate(rig.data.bones)}
    behind = rigify.bones_behind(rig, bones)
    for role, control in bones.items():
        assert degrees_between(seen[:, at[control], :, 1], wanted[:, skeleton.roles[role], :, 1]).max() < .02, role
        assert degrees_between(seen[:, at[control], :, 0], wanted[:, skeleton.roles[role], :, 0]).max() < .02, role
        if role not in {"hips", "neck"}:  # these controls lie otherwise than their bones
            deforms = behind[role].replace("ORG-", "DEF-")
            assert behind[role].startswith("ORG-")
            assert degrees_between(seen[:, at[deforms], :, 1], wanted[:, skeleton.roles[role], :, 1]).max() < .1, role
    after = state(rig)
    assert after["objects"] == before["objects"]
    assert after["constraints"] == before["constraints"]
    assert after["actions"] == ["take"]
    assert action.frame_range[0] == 10
    assert any("FK" in note for note in notes_of(action))


def test_arms_are_switched_to_fk_also_when_the_take_is_played_again(rig: bpy.types.Object) -> None:
    _, motion = moved(rigify.skeleton_of_generated(rig, bones_of(rig)))
    rigify.drive_generated(bpy.context, rig, motion, 1, "take")
    for name in SWITCHES:
        assert rig.pose.bones[name]["IK_FK"] == 1
        rig.pose.bones[name]["IK_FK"] = 0.0
    bpy.context.scene.frame_set(3)
    assert [rig.pose.bones[name]["IK_FK"] for name in SWITCHES] == [1, 1]


def test_the_users_own_action_is_kept_as_it_was(rig: bpy.types.Object) -> None:
    skeleton = rigify.skeleton_of_generated(rig, bones_of(rig))
    own = bpy.data.actions.new("own")
    slot = keys.ensure_slot(own, rig)
    path = 'pose.bones["torso"].location'
    keys.write(own, slot, path, np.array([1.0, 50.0]), np.array([[0, 0, 0], [0, 0, 1.0]]))
    keys.assign(rig, own, slot)
    quaternions, motion = moved(skeleton)
    rigify.drive_generated(bpy.context, rig, motion, 1, "take")
    assert own.use_fake_user
    assert [len(curve.keyframe_points) for curve in keys.curves(own, slot)] == [2, 2, 2]
    assert keys.assigned(rig)[0] == bpy.data.actions["take"]


def test_only_what_the_motion_drives_is_keyed(rig: bpy.types.Object) -> None:
    skeleton = rigify.skeleton_of_generated(rig, bones_of(rig))
    chosen = [skeleton.roles[role] for role in ("hand.L", "index.1.L", "index.2.L")]
    motion = Motion(24.0, tuple(skeleton.bones[bone] for bone in chosen),
                    np.tile(np.array([.8, .6, 0, 0]), (FRAMES, len(chosen), 1)))
    action = rigify.drive_generated(bpy.context, rig, motion, 1, "take")
    paths = {curve.data_path for curve in keys.curves(action, keys.ensure_slot(action, rig))}
    driven = ("hand_fk.L", "f_index.01.L", "f_index.02.L")
    assert paths == {f'pose.bones["{bone}"].rotation_quaternion' for bone in driven}
    assert rig.pose.bones["upper_arm_parent.R"]["IK_FK"] == 0


def test_a_control_at_rest_between_two_driven_ones_is_kept_at_rest(rig: bpy.types.Object) -> None:
    """Rigify lets the neck turn half as much as the chest; for the solver it is at rest on the chest."""
    skeleton = rigify.skeleton_of_generated(rig, bones_of(rig))
    turn = np.tile(np.array([.9, 0, np.sqrt(1 - .81), 0]), (FRAMES, 2, 1))
    motion = Motion(24.0, ("spine_fk.003", "head"), turn)
    rigify.drive_generated(bpy.context, rig, motion, 1, "take")
    seen = axes_of(sampled(bpy.context, rig, np.array([4.0])))[0]
    wanted, _, _ = skeleton.posed({skeleton.roles["chest"]: turn[:, 0], skeleton.roles["head"]: turn[:, 1]}, FRAMES)
    names = [bone.name for bone in rig.data.bones]
    for role, control in (("chest", "spine_fk.003"), ("neck", "neck"), ("head", "head")):
        assert degrees_between(seen[names.index(control), :, 1], wanted[3, skeleton.roles[role], :, 1]) < .02


@pytest.mark.parametrize("wrong", ["not finite", "a bone that is gone", "tweak mode"])
def test_an_error_leaves_all_as_it_was(rig: bpy.types.Object, wrong: str) -> None:
    _, motion = moved(rigify.skeleton_of_generated(rig, bones_of(rig)))
    if wrong == "not finite":
        motion = replace(motion, quaternions=np.full_like(motion.quaternions, np.nan))
    elif wrong == "a bone that is gone":
        motion = replace(motion, bones=("gone", *motion.bones[1:]))
    else:
        keys.assign(rig, action := bpy.data.actions.new("own"), keys.ensure_slot(action, rig))
        track = rig.animation_data.nla_tracks.new()
        track.strips.new("own", 1, action)
        keys.assign(rig, None, None)
        track.select = True
        rig.animation_data.use_tweak_mode = True
    before = state(rig)
    with pytest.raises(AddonError):
        rigify.drive_generated(bpy.context, rig, motion, 1, "take")
    assert state(rig) == before


def test_a_map_that_does_not_fit_is_refused(rig: bpy.types.Object) -> None:
    with pytest.raises(AddonError, match="no bone gone"):
        rigify.skeleton_of_generated(rig, {**bones_of(rig), "head": "gone"})


def test_a_metarig_is_no_generated_rig() -> None:
    assert not rigify.is_generated(metarig())
