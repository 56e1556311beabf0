"""Keypoints of what an armature plays."""
from __future__ import annotations

import time
from pathlib import Path

import bpy
import numpy as np
import pytest
from pose_format import Pose

from blender_addon import posefile
from blender_addon.animation import evaluation, keys
from blender_addon.animation.apply import apply_motion
from blender_addon.animation.take import keypoints_of
from blender_addon.errors import AddonError
from blender_addon.posefile import PoseFile
from blender_addon.solver.rotations import degrees_between
from blender_addon.solver.solve import Solving, solve
from blender_addon.tracks import Reading, tracks
from pose_diffusion import refine
from tests.blender.takes import BONES, signed, signer, skeleton, wanted
from tests.blender_addon.skeletons import exact_tracks, signing

FRAMES = 30


def taken(armature: bpy.types.Object, first: int = 1, last: int = FRAMES, **options: bool) -> PoseFile:
    return keypoints_of(bpy.context, armature, BONES, first, last, **options)


def playing(frames: int = FRAMES, start: float = 1) -> bpy.types.Object:
    armature = signer()
    apply_motion(bpy.context, armature, signed(skeleton(armature), frames), start=start, name="take")
    return armature


def test_reading_the_keypoints_gives_the_joints_back(tmp_path: Path) -> None:
    """Within a hundredth of a millimetre, through a file too."""
    armature = playing()
    posefile.write(taken(armature), tmp_path / "take.pose")
    pose = posefile.read(tmp_path / "take.pose")
    rest = skeleton(armature)
    read = tracks(pose, Reading(depth=pose.width))
    truth = exact_tracks(rest, signing(rest, FRAMES, 0), FRAMES, face=False)
    got = read.xyz[:, [read.joints.index(joint) for joint in truth.joints]]
    assert read.seen.all()
    shoulders = [truth.joints.index(f"shoulder.{side}") for side in "LR"]
    got, want = (xyz - xyz[:, shoulders].mean(1, keepdims=True) for xyz in (got, truth.xyz))
    scale = (want * got).sum() / (got * got).sum()  # the reader makes all people as wide
    assert abs(scale - 1) < .1
    assert np.abs(scale * got - want).max() < 1e-5


def test_solving_them_gives_the_bones_directions_back() -> None:
    armature = playing()
    rest = skeleton(armature)
    pose = taken(armature)
    motion = solve(tracks(pose, Reading(depth=pose.width)), rest, Solving("follow", smoothing=0))
    axes, _, _ = wanted(rest, motion)
    truth, _, _ = wanted(rest, signed(rest, FRAMES))
    arms = [bone for role, bone in rest.roles.items() if role[-1] in "LR" and not role.startswith("shoulder")]
    assert degrees_between(axes[:, arms, :, 1], truth[:, arms, :, 1]).max() < .05
    head = rest.roles["head"]
    assert degrees_between(axes[:, head, :, 1], truth[:, head, :, 1]).max() < .05


def test_it_is_read_frame_by_frame_and_nothing_is_touched() -> None:
    armature = playing(start=11)
    bpy.context.scene.frame_set(7, subframe=.5)
    pose = armature.pose.bones["hand.L"].matrix.copy()
    whole = taken(armature, 11, 40)
    assert whole.data.shape == (30, 1, 75, 3)
    np.testing.assert_array_equal(taken(armature, 15, 15).data[0], whole.data[4])
    assert bpy.context.scene.frame_current_final == 7.5
    assert armature.pose.bones["hand.L"].matrix == pose
    assert [scene.name for scene in bpy.data.scenes] == ["Scene"]


@pytest.mark.parametrize(("fps", "base"), [(25, 1.0), (24, 1.001)])
def test_the_rate_is_the_scenes(fps: int, base: float) -> None:
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = fps, base
    assert taken(playing(), 1, 2).fps == pytest.approx(fps / base)


def test_a_picture_has_the_shoulders_where_signers_have_them() -> None:
    pose = taken(signer(), 1, 1)
    at = {name: pose.data[0, 0, posefile.column(pose, "POSE_LANDMARKS", name)] for name in
          ("LEFT_SHOULDER", "RIGHT_SHOULDER", "NOSE", "LEFT_HIP", "LEFT_EYE", "RIGHT_EYE", "MOUTH_LEFT")}
    assert at["LEFT_SHOULDER"][0] - at["RIGHT_SHOULDER"][0] == pytest.approx(250, abs=1)
    assert at["LEFT_EYE"][0] > at["RIGHT_EYE"][0]  # the signer's left is on the picture's right
    assert at["NOSE"][1] < at["MOUTH_LEFT"][1] < at["LEFT_SHOULDER"][1] < at["LEFT_HIP"][1] < pose.height
    assert at["NOSE"][2] < at["LEFT_EYE"][2] < at["LEFT_HIP"][2] == pytest.approx(0, abs=1e-6)


def test_the_camera_goes_where_the_signer_went() -> None:
    armature = signer()
    still = taken(armature, 1, 1)
    armature.pose.bones["spine"].location = (5, 5, 5)
    bpy.context.view_layer.update()
    np.testing.assert_allclose(taken(armature, 1, 1).data, still.data, atol=1e-3)


def test_what_the_rig_lacks_was_not_seen() -> None:
    armature = playing()
    some = {role: bone for role, bone in BONES.items() if not role.startswith(("pinky", "hips", "index.3.L"))}
    pose = keypoints_of(bpy.context, armature, some, 1, 2)

    def seen(component: str, point: str) -> bool:
        return bool(pose.confidence[0, 0, posefile.column(pose, component, point)])

    assert not seen("LEFT_HAND_LANDMARKS", "PINKY_TIP")
    assert not seen("POSE_LANDMARKS", "LEFT_PINKY")
    assert not seen("LEFT_HAND_LANDMARKS", "INDEX_FINGER_TIP")
    assert seen("LEFT_HAND_LANDMARKS", "INDEX_FINGER_DIP")
    assert seen("RIGHT_HAND_LANDMARKS", "INDEX_FINGER_TIP")
    assert not seen("POSE_LANDMARKS", "LEFT_HIP")
    assert not seen("POSE_LANDMARKS", "LEFT_KNEE")
    assert np.isfinite(pose.data).all()


def test_a_face_to_be_filled_in_is_in_the_header_only() -> None:
    armature = signer()
    face = taken(armature, 1, 1, face=True)
    assert [part.name for part in face.components] == [
        "POSE_LANDMARKS", "FACE_LANDMARKS", "LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS"]
    assert [len(part.points) for part in face.components] == [33, 128, 21, 21]
    assert not face.confidence[:, :, 33:161].any()
    plain = taken(armature, 1, 1)
    np.testing.assert_array_equal(np.delete(face.data, np.s_[33:161], 2), plain.data)


def test_names_and_order_are_those_of_mediapipe(real_pose: Pose) -> None:
    theirs = {part.name: list(part.points) for part in real_pose.header.components}
    for part in taken(signer(), 1, 1).components:
        assert list(part.points) == theirs[part.name]


def test_whatever_moves_the_bones_counts() -> None:
    armature = signer()
    target = bpy.data.objects.new("Target", None)
    bpy.context.scene.collection.objects.link(target)
    target.rotation_euler = (0, .8, 0)
    still = taken(armature, 1, 1)
    armature.pose.bones["forearm.L"].constraints.new("COPY_ROTATION").target = target
    bpy.context.view_layer.update()
    moved = taken(armature, 1, 1)
    column = posefile.column(still, "POSE_LANDMARKS", "LEFT_WRIST")
    assert np.linalg.norm((moved.data - still.data)[0, 0, column, :2]) > 30
    armature.hide_viewport = True
    np.testing.assert_array_equal(taken(armature, 1, 1).data, moved.data)
    assert armature.hide_viewport


def test_ten_seconds_take_less_than_one() -> None:
    armature = playing(250)
    begin = time.perf_counter()
    taken(armature, 1, 250)
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize(("first", "last", "message"), [(5, 4, "frames 5 to 4"), (1, 100_000, "20000 frames")])
def test_impossible_ranges_are_refused(first: int, last: int, message: str) -> None:
    with pytest.raises(AddonError, match=message):
        taken(signer(), first, last)


def test_an_armature_without_a_pose_or_without_arms_is_refused() -> None:
    armature = signer()
    with pytest.raises(AddonError, match=r"no upper_arm\.R"):
        keypoints_of(bpy.context, armature, {role: bone for role, bone in BONES.items() if role != "upper_arm.R"}, 1, 1)
    armature.data.pose_position = "REST"
    with pytest.raises(AddonError, match="Rest Position"):
        taken(armature, 1, 1)
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(AddonError, match="Edit Mode"):
        taken(armature, 1, 1)
    twin = bpy.data.objects.new("Twin", armature.data)  # in object mode, but its bones are being edited
    with pytest.raises(AddonError, match="Twin is in Edit Mode"):
        taken(twin, 1, 1)


def test_more_than_the_memory_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    armature = signer()
    monkeypatch.setattr(evaluation, "MOST", 3 * len(armature.pose.bones))
    assert len(taken(armature, 1, 3).data) == 3
    with pytest.raises(AddonError, match=r"choose at most 3 frames"):
        taken(armature, 1, 4)


def test_the_model_takes_them_and_leaves_a_clean_take_as_it_is(tmp_path: Path) -> None:
    """Less than a pixel of 250 between the shoulders in the mean: .12 when this was written."""
    armature = playing()
    before = taken(armature)
    posefile.write(before, tmp_path / "take.pose")
    refined = refine(Pose.read((tmp_path / "take.pose").read_bytes()))
    seen = before.confidence > 0
    moved = np.asarray(refined.body.data.filled(0)) - before.data
    assert np.isfinite(moved).all()
    assert 0 < np.linalg.norm(moved[..., :2], axis=-1)[seen].mean() < 1
    assert keys.assigned(armature)[0] is not None
