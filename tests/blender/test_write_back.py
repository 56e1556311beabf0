"""Corrections written onto a take: what changed is written, the rest is the animator's."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import bpy
import numpy as np
import pytest

from blender_addon import posefile
from blender_addon.animation import channels, keys
from blender_addon.animation.apply import apply_motion, notes_of
from blender_addon.animation.correction import corrections
from blender_addon.animation.evaluation import axes_of
from blender_addon.animation.readback import degrees
from blender_addon.animation.take import keypoints_of
from blender_addon.animation.write_back import write_back
from blender_addon.errors import AddonError
from blender_addon.posefile import PoseFile
from blender_addon.solver.rotations import about, degrees_between, multiply, to_quaternions
from blender_addon.solver.skeleton import FINGERS
from blender_addon.tracks import Reading, tracks
from tests.blender.applying import everything, face, hold_all
from tests.blender.takes import BONES, seen, signed, signer, skeleton

FIRST, LAST = 1, 30
RANGE = range(FIRST, LAST + 1)


def playing(seed: int = 0) -> bpy.types.Object:
    armature = signer()
    apply_motion(bpy.context, armature, signed(skeleton(armature), LAST, seed=seed), start=FIRST, name="take")
    return armature


def taken(armature: bpy.types.Object, first: int = FIRST, last: int = LAST) -> PoseFile:
    return keypoints_of(bpy.context, armature, BONES, first, last)


def changed(pose: PoseFile, share: float = .1) -> PoseFile:
    """A part of the way to another motion of the same armature."""
    armature = playing(1)
    other = keypoints_of(bpy.context, armature, BONES, FIRST, FIRST + len(pose.data) - 1)
    bpy.data.objects.remove(armature)
    return replace(pose, data=((1 - share) * pose.data + share * other.data).astype(np.float32))


def write(armature: bpy.types.Object, baked: PoseFile, refined: PoseFile, first: int = FIRST, mode: str = "follow",
          roles: Sequence[str] | None = None) -> bpy.types.Action:
    return write_back(bpy.context, armature, BONES, baked, refined, first=first, roles=roles, mode=mode, name="refined")


def limbs(pose: PoseFile) -> np.ndarray:
    """`(T, N, 3)`: upper arms, forearms and finger bones."""
    read = tracks(pose, Reading(depth=pose.width))
    at = {joint: read.xyz[:, i] for i, joint in enumerate(read.joints)}
    fingers = [(f"{finger}.{i}", f"{finger}.{i + 1}") for finger in FINGERS for i in (1, 2, 3)]
    return np.stack([at[f"{b}.{side}"] - at[f"{a}.{side}"] for side in "LR"
                     for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), *fingers)], 1)


@pytest.mark.parametrize("mode", ["follow", "anatomical"])
def test_no_correction_is_no_change(mode: str) -> None:
    armature = playing()
    before = seen(armature, RANGE)
    pose = taken(armature)
    action = write(armature, pose, pose, mode=mode)
    np.testing.assert_array_equal(seen(armature, RANGE), before)
    assert keys.assigned(armature)[0] == action
    assert notes_of(action) == ("the model changed nothing in these frames",)


def test_bones_point_where_the_corrected_keypoints_do() -> None:
    armature = playing()
    pose = taken(armature)
    refined = changed(pose)
    assert degrees_between(limbs(refined), limbs(pose)).mean() > 2
    action = write(armature, pose, refined)
    assert degrees_between(limbs(refined), limbs(taken(armature))).max() < .05
    assert notes_of(action) == ()
    assert bpy.data.actions["take"].use_fake_user
    assert keys.assigned(armature)[0] == action


def test_anatomical_hands_move_towards_the_corrected_keypoints() -> None:
    armature = playing()
    pose = taken(armature)
    refined = changed(pose)
    write(armature, pose, refined, mode="anatomical")
    off = degrees_between(limbs(refined), limbs(taken(armature))).mean()
    assert off < .6 * degrees_between(limbs(refined), limbs(pose)).mean()


def test_what_keypoints_cannot_tell_stays() -> None:
    """Here: how the last bones of the fingers are rolled."""
    armature = signer()
    rest = skeleton(armature)
    motion = signed(rest, LAST)
    rolled = [i for i, bone in enumerate(motion.bones) if bone.startswith("f_") and ".03." in bone]
    roll = to_quaternions(about(np.array([0.0, 1, 0]), np.array(.7)))
    for i in rolled:
        motion.quaternions[:, i] = multiply(motion.quaternions[:, i], np.broadcast_to(roll, (LAST, 4)))
    apply_motion(bpy.context, armature, motion, start=FIRST, name="take")
    plain = playing()
    pose = taken(plain)
    np.testing.assert_allclose(taken(armature).data, pose.data, atol=1e-3)
    refined = changed(pose)
    for one in (armature, plain):
        write(one, pose, refined)
    got, want = axes_of(seen(armature, RANGE)), axes_of(seen(plain, RANGE))
    bones = [rest.bones.index(motion.bones[i]) for i in rolled]
    assert degrees(got[:, bones], want[:, bones] @ about(np.array([0.0, 1, 0]), np.array(.7))).max() < .05


def test_only_the_roles_asked_for_are_written() -> None:
    armature = playing()
    pose = taken(armature)
    before = seen(armature, RANGE)
    hand = ["hand.R", *(f"{finger}.{i}.R" for finger in FINGERS for i in (1, 2, 3))]
    write(armature, pose, changed(pose), roles=hand)
    after, rest = seen(armature, RANGE), skeleton(armature)
    bones = {rest.roles[role] for role in hand}
    below = {bone for bone in range(len(rest.bones)) if bone in bones or rest.parents[bone] in bones}
    others = [bone for bone in range(len(rest.bones)) if bone not in below]
    np.testing.assert_array_equal(after[:, others], before[:, others])
    assert degrees(axes_of(after), axes_of(before))[:, sorted(bones)].mean() > 1


def keyed_by_hand(armature: bpy.types.Object, mode: str = "QUATERNION") -> bpy.types.Action:
    """A take as animators make them: few keys on curves, other properties too."""
    rest = skeleton(armature)
    motion = signed(rest, LAST + 20)
    action = bpy.data.actions.new("by hand")
    keys.assign(armature, action, keys.ensure_slot(action, armature))
    for i, name in enumerate(motion.bones):
        bone = armature.pose.bones[name]
        for frame in (-10, 1, 6, 13, 20, 28, 40):
            bone.rotation_mode = "QUATERNION"
            bone.rotation_quaternion = motion.quaternions[max(0, frame), i]
            bone.rotation_mode = mode
            bone.keyframe_insert(channels.rotation(bone).path.rpartition(".")[2], frame=frame)
    armature.pose.bones["spine"].location = (0, 0, .1)
    armature.pose.bones["spine"].keyframe_insert("location", frame=5)
    armature["happy"] = 1.0
    armature.keyframe_insert('["happy"]', frame=5)
    return action


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "ZYX", "AXIS_ANGLE"])
def test_outside_the_range_a_take_made_by_hand_stays(mode: str) -> None:
    armature = signer()
    old = keyed_by_hand(armature, mode)
    outside = [*range(-12, 10), *range(18, 50)]
    before = seen(armature, outside)
    pose = taken(armature, 10, 17)
    refined = changed(pose)
    write(armature, pose, refined, first=10)
    assert degrees_between(limbs(refined), limbs(taken(armature, 10, 17))).max() < .05
    np.testing.assert_allclose(seen(armature, outside), before, atol=2e-5)
    assert {bone.rotation_mode for bone in armature.pose.bones if bone.name in BONES.values()} <= {mode, "QUATERNION"}
    assert armature.pose.bones["hand.L"].rotation_mode == mode
    _, slot = keys.assigned(armature)
    paths = {curve.data_path for curve in keys.curves(keys.assigned(armature)[0], slot)}
    assert {'pose.bones["spine"].location', '["happy"]'} <= paths
    keys.assign(armature, old, keys.ensure_slot(old, armature))
    np.testing.assert_array_equal(seen(armature, outside), before)  # the old action is untouched


def test_between_frames_there_are_no_jumps() -> None:
    """Curves of the other sign, or of another turn, would spin between two frames."""
    for mode in ("QUATERNION", "XYZ"):
        armature = signer()
        action = keyed_by_hand(armature, mode)
        if mode == "QUATERNION":
            for curve in keys.curves(*keys.assigned(armature)):
                for point in curve.keyframe_points if "quaternion" in curve.data_path else ():
                    for part in (point.co, point.handle_left, point.handle_right):
                        part[1] *= -1
        pose = taken(armature, 10, 17)
        write(armature, pose, changed(pose), first=10)
        fine = axes_of(seen(armature, np.arange(7, 21.25, .25)))
        steps = degrees(fine[1:], fine[:-1]).reshape(-1, 4, fine.shape[1])
        whole = degrees(fine[4::4], fine[:-4:4])
        assert whole.max() > 5
        assert (steps.max(1) < .5 * whole + .1).all()
        bpy.data.objects.remove(armature)
        bpy.data.actions.remove(action)


def test_a_bone_without_keys_gets_some_only_where_it_turns() -> None:
    armature = signer()
    rest = skeleton(armature)
    motion = signed(rest, LAST, roles=[role for role in rest.roles if not role.startswith("index")])
    apply_motion(bpy.context, armature, motion, start=FIRST, name="take")
    before = seen(armature, range(FIRST, LAST + 1))
    pose = taken(armature, 10, 20)
    data = pose.data.copy()
    for name in ("PIP", "DIP", "TIP"):
        data[:, :, posefile.column(pose, "LEFT_HAND_LANDMARKS", f"INDEX_FINGER_{name}"), 1] += 8
    write(armature, pose, replace(pose, data=data), first=10)
    found = [{name for curve in keys.curves(bpy.data.actions[name], keys.ensure_slot(bpy.data.actions[name], armature))
              for name in [curve.data_path.split('"')[1]]} for name in ("take", "refined")]
    assert "f_index.01.L" in found[1] - found[0] <= {"f_index.01.L", "f_index.02.L", "f_index.03.L"}
    after = seen(armature, range(FIRST, LAST + 1))
    np.testing.assert_allclose(after[:9], before[:9], atol=1e-6)
    np.testing.assert_allclose(after[20:], before[20:], atol=1e-6)
    assert degrees(axes_of(after), axes_of(before))[9:20, rest.roles["index.1.L"]].min() > 1


def test_the_face_of_the_take_comes_along() -> None:
    armature = signer()
    mesh = face(armature, "jawOpen")
    motion = replace(signed(skeleton(armature), LAST), shapes={"jawOpen": np.linspace(0, 1, LAST)})
    apply_motion(bpy.context, armature, motion, start=FIRST, name="take")
    pose = taken(armature)
    action = write(armature, pose, changed(pose))
    bpy.context.scene.frame_set(LAST)
    assert mesh.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(1)
    if keys.SLOTTED:
        assert keys.assigned(mesh.data.shape_keys)[0] == action


def test_a_take_of_the_nla_gets_an_action_on_top_in_its_frames_only() -> None:
    armature = playing()
    action, slot = keys.assigned(armature)
    keys.assign(armature, None, None)
    strip = armature.animation_data.nla_tracks.new().strips.new("strip", FIRST, action)
    if keys.SLOTTED:
        strip.action_slot = slot
    before = seen(armature, RANGE)
    pose = taken(armature, 10, 20)
    refined = changed(pose)
    write(armature, pose, refined, first=10)
    assert degrees_between(limbs(refined), limbs(taken(armature, 10, 20))).max() < .05
    np.testing.assert_allclose(seen(armature, [*range(1, 10), *range(21, 31)]),
                               before[[*range(9), *range(20, 30)]], atol=1e-5)


def test_a_pose_that_nothing_plays_gets_a_take() -> None:
    armature = signer()
    pose = taken(armature, 1, 5)
    refined = changed(pose)
    write(armature, pose, refined)
    assert degrees_between(limbs(refined), limbs(taken(armature, 1, 5))).max() < .05


def test_a_correction_that_was_solved_before_is_written_as_it_is() -> None:
    armature = playing()
    pose = taken(armature)
    refined = changed(pose)
    made = corrections(skeleton(armature), pose, refined, "follow")
    write_back(bpy.context, armature, BONES, pose, refined, first=FIRST, name="refined", correction=made)
    assert degrees_between(limbs(refined), limbs(taken(armature))).max() < .05
    before = everything(armature)
    with pytest.raises(AddonError, match="has changed meanwhile"):
        write_back(bpy.context, armature, BONES, posefile.frames(pose, 0, 5), posefile.frames(refined, 0, 5),
                   first=FIRST, name="refined", correction=made)
    assert everything(armature) == before


def fewer_frames(pose: PoseFile) -> PoseFile:
    return posefile.frames(pose, 0, 10)


def other_points(pose: PoseFile) -> PoseFile:
    return replace(pose, components=pose.components[1:], data=pose.data[:, :, 33:],
                   confidence=pose.confidence[:, :, 33:])


@pytest.mark.parametrize(("change", "message"), [(fewer_frames, "10 frames, the take 30"),
                                                 (other_points, "other keypoints")])
def test_what_does_not_fit_is_refused(change: Callable[[PoseFile], PoseFile], message: str) -> None:
    armature = playing()
    pose = taken(armature)
    before = everything(armature)
    with pytest.raises(AddonError, match=message):
        write(armature, pose, change(pose))
    assert everything(armature) == before


def test_bones_that_something_holds_are_refused() -> None:
    armature = playing()
    hold_all(armature)
    pose = taken(armature)
    refined = changed(pose)
    before = everything(armature)
    with pytest.raises(AddonError, match="does not move.*Copy Rotation"):
        write(armature, pose, refined)
    assert everything(armature) == before


def test_points_that_the_model_made_up_do_not_count() -> None:
    armature = playing()
    some = {role: bone for role, bone in BONES.items() if not role.startswith(("pinky", "hips"))}
    pose = keypoints_of(bpy.context, armature, some, FIRST, LAST)
    made = replace(pose, confidence=np.where(pose.confidence > 0, pose.confidence, np.float32(.5)),
                   data=np.where(pose.confidence[..., None] > 0, pose.data, np.float32(444)))
    before = seen(armature, RANGE)
    write_back(bpy.context, armature, some, pose, made, first=FIRST, mode="follow", name="refined")
    np.testing.assert_array_equal(seen(armature, RANGE), before)


def test_frames_that_the_model_left_alone_are_not_touched() -> None:
    """The anatomical fit looks at the whole clip, and would turn bones a little in all frames."""
    armature = playing()
    pose, other = taken(armature), changed(taken(armature), .5)
    data = pose.data.copy()
    data[10:20] = other.data[10:20]
    before = seen(armature, RANGE)
    refined = replace(pose, data=data)
    plain = corrections(skeleton(armature), pose, replace(pose, data=np.where(data == pose.data, data + 1e-4, data)),
                        "anatomical")
    np.testing.assert_array_equal(plain.turns[:10], np.broadcast_to(np.eye(3), plain.turns[:10].shape))
    write(armature, pose, refined, mode="anatomical")
    after = seen(armature, RANGE)
    np.testing.assert_allclose(after[[*range(10), *range(20, LAST)]], before[[*range(10), *range(20, LAST)]], atol=1e-6)
    assert degrees(axes_of(after[10:20]), axes_of(before[10:20])).max() > 5


def test_modifiers_of_curves_that_become_keys_are_told() -> None:
    armature = playing()
    for curve in keys.curves(*keys.assigned(armature)):
        if "upper_arm" in curve.data_path:
            curve.modifiers.new("CYCLES")
    pose = taken(armature)
    (note,) = notes_of(write(armature, pose, changed(pose)))
    assert "2 bones (upper_arm.L …)" in note
    assert "from frame 1 to 30" in note
