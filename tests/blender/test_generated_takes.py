"""Takes on rigs that Rigify generated: corrected and joined on the controls, seen on the bones that deform."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_addon.animation import keys
from blender_addon.animation.apply import notes_of
from blender_addon.animation.evaluation import axes_of, sampled
from blender_addon.animation.readback import degrees
from blender_addon.animation.strips import join, parts_of
from blender_addon.animation.take import keypoints_of
from blender_addon.animation.write_back import write_back
from blender_addon.posefile import PoseFile
from blender_addon.rigs import rigify
from blender_addon.rigs.match import match
from blender_addon.solver.skeleton import Motion
from tests.blender.rigs import generated
from tests.blender.test_strips import result
from tests.blender_addon.skeletons import signing

FRAMES = 12
SWITCHES = [f'pose.bones["upper_arm_parent.{side}"]["IK_FK"]' for side in "LR"]


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


def controls(rig: bpy.types.Object) -> dict[str, str]:
    return match([bone.name for bone in rig.data.bones], {}).bones


def play(rig: bpy.types.Object, seed: int = 0) -> bpy.types.Action:
    skeleton = rigify.skeleton_of_generated(rig, controls(rig))
    quaternions = signing(skeleton, FRAMES, seed)
    motion = Motion(24.0, tuple(skeleton.bones[bone] for bone in quaternions), np.stack(list(quaternions.values()), 1))
    return rigify.drive_generated(bpy.context, rig, motion, 1, f"take {seed}")


def taken(rig: bpy.types.Object, first: int = 1, last: int = FRAMES) -> PoseFile:
    return keypoints_of(bpy.context, rig, rigify.bones_behind(rig, controls(rig)), first, last)


def deforming(rig: bpy.types.Object, frames: range) -> np.ndarray:
    """`(T, N, 3, 3)` of the bones behind the controls."""
    names = [bone.name for bone in rig.data.bones]
    at = [names.index(bone) for bone in rigify.bones_behind(rig, controls(rig)).values()]
    return axes_of(sampled(bpy.context, rig, np.array(frames)))[:, at]


def test_a_correction_is_written_to_the_controls_in_its_frames_only(rig: bpy.types.Object) -> None:
    play(rig, 1)
    other = taken(rig, 4, 9)
    play(rig, 0)
    before, pose = deforming(rig, range(1, FRAMES + 1)), taken(rig, 4, 9)
    refined = replace(pose, data=(.9 * pose.data + .1 * other.data).astype(np.float32))
    action = write_back(bpy.context, rig, controls(rig), pose, refined, first=4, mode="follow", name="refined")
    assert keys.assigned(rig)[0] == action
    after = deforming(rig, range(1, FRAMES + 1))
    assert degrees(after, before)[[0, 1, 2, 9, 10, 11]].max() < .1
    column = (pose.confidence > 0) & (other.confidence > 0)
    off = [np.linalg.norm((one.data - refined.data)[..., :2], axis=-1)[column] for one in (taken(rig, 4, 9), pose)]
    assert off[0].mean() < .35 * off[1].mean()  # rests: bones keep their lengths, and mixed points do not
    assert bpy.data.actions["take 0"].use_fake_user
    assert "driven" not in bpy.data.actions


def test_no_correction_is_no_change(rig: bpy.types.Object) -> None:
    play(rig)
    before, pose = deforming(rig, range(1, FRAMES + 1)), taken(rig)
    action = write_back(bpy.context, rig, controls(rig), pose, pose, first=1, name="refined")
    assert notes_of(action) == ("the model changed nothing in these frames",)
    np.testing.assert_array_equal(deforming(rig, range(1, FRAMES + 1)), before)


def test_a_take_by_ik_becomes_fk_in_the_frames_written(rig: bpy.types.Object) -> None:
    for path in SWITCHES:
        rig.pose.bones[path.split('"')[1]]["IK_FK"] = 0.0
    action = bpy.data.actions.new("by IK")
    slot = keys.ensure_slot(action, rig)
    keys.assign(rig, action, slot)
    hand = rig.pose.bones["hand_ik.L"]
    keys.write(action, slot, hand.path_from_id("location"), np.array([1.0, 12]), np.array([[0, 0, 0], [0, .1, .2]]))
    frames = range(1, FRAMES + 1)
    before, pose = deforming(rig, frames), taken(rig, 5, 8)
    assert degrees(before[-1], before[0]).max() > 10
    data = pose.data.copy()
    data[:, 0, -21:, 1] += np.linspace(0, 40, 21)  # the right hand's points
    new = write_back(bpy.context, rig, controls(rig), pose, replace(pose, data=data), first=5, mode="follow",
                     roles=["hand.R", *(f"index.{i}.R" for i in (1, 2, 3))], name="refined")
    after = deforming(rig, frames)
    roles = list(rigify.bones_behind(rig, controls(rig)))
    left = [i for i, role in enumerate(roles) if role.endswith(".L")]
    assert degrees(after, before)[[*range(4), *range(8, 12)]].max() < .1
    assert degrees(after[4:8], before[4:8])[:, left].max() < .1
    assert degrees(after[4:8], before[4:8])[:, roles.index("hand.R")].min() > 1
    for path in SWITCHES:
        values = keys.sample(new, keys.find_slot(new, slot.identifier) if slot else None, path, np.arange(1, 13),
                             np.array([9.0]))
        assert values[:, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]


def test_strips_are_joined_on_the_controls(rig: bpy.types.Object) -> None:
    bones, want = controls(rig), []
    for seed, start in ((0, 1), (1, 40)):
        action = play(rig, seed)
        slot = keys.assigned(rig)[1]
        want.append(deforming(rig, range(1, FRAMES + 1)))
        keys.assign(rig, None, None)
        strip = rig.animation_data.nla_tracks.new().strips.new("strip", start, action)
        if keys.SLOTTED:
            strip.action_slot = slot
        strip.select = True
    parts = parts_of(bpy.context, rig, rigify.bones_behind(rig, bones))
    action = join(bpy.context, rig, bones, parts, result(parts, 5), name="joined")
    assert tuple(action.frame_range) == (1, 2 * FRAMES + 5)
    got = deforming(rig, range(1, 2 * FRAMES + 6))
    assert degrees(got[:FRAMES], want[0]).max() < .1
    assert degrees(got[-FRAMES:], want[1]).max() < .1
    steps, way = degrees(got[1:], got[:-1]), degrees(got[FRAMES - 1], got[-FRAMES])
    assert (steps[FRAMES - 1:FRAMES + 5].max(0) < 3 * way / 6 + 6).all()
