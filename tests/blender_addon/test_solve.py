# SPDX-License-Identifier: GPL-3.0-or-later
"""From joints to bones: what goes in exactly comes out exactly, on any skeleton."""
from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blender_addon.errors import AddonError
from blender_addon.posefile import read
from blender_addon.solver.rotations import degrees_between
from blender_addon.solver.skeleton import FINGERS, SIDES, Motion, Skeleton
from blender_addon.solver.solve import Solving, solve
from blender_addon.tracks import Tracks, tracks
from tests.blender_addon.skeletons import exact_tracks, signing, upper_body

FRAMES = 80
EXACT = Solving("follow", smoothing=0)
ARM = ("upper_arm", "forearm", "hand")


def poses(skeleton: Skeleton, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """World axes `(T, B, 3, 3)` and directions `(T, B, 3)` of a solved skeleton."""
    frames = len(motion.quaternions)
    quaternions = {skeleton.bones.index(name): motion.quaternions[:, i] for i, name in enumerate(motion.bones)}
    axes, heads, tails = skeleton.posed(quaternions, frames)
    return axes, tails - heads


def directions(skeleton: Skeleton, motion: Motion, roles: list[str]) -> np.ndarray:
    return poses(skeleton, motion)[1][:, [skeleton.roles[role] for role in roles]]


def limbs(*, fingers: bool = True) -> list[str]:
    """Roles whose bones point exactly where the points are."""
    return [f"{role}.{side}" for side in SIDES for role in (
        *ARM, *(f"{finger}.{i}" for finger in FINGERS for i in (1, 2, 3) if fingers))]


def truth(seed: int = 0, frames: int = FRAMES, **how: bool) -> tuple[Skeleton, dict[int, np.ndarray], Tracks]:
    skeleton = upper_body(seed=seed)
    motion = signing(skeleton, frames, seed)
    return skeleton, motion, exact_tracks(skeleton, motion, frames, **how)


@pytest.mark.parametrize("hips", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_exact_points_give_exact_bones(seed: int, hips: bool) -> None:
    skeleton, motion, seen = truth(seed, hips=hips)
    axes, heads, tails = skeleton.posed(motion, FRAMES)
    solved = solve(seen, skeleton, EXACT)
    roles = [*limbs(), "head"]
    wanted = (tails - heads)[:, [skeleton.roles[role] for role in roles]]
    assert degrees_between(directions(skeleton, solved, roles), wanted).max() < .01
    for role in ("head", "hand.L", "hand.R"):  # the whole rotation, roll included
        bone = skeleton.roles[role]
        np.testing.assert_allclose(poses(skeleton, solved)[0][:, bone], axes[:, bone], atol=1e-4)


def test_the_elbows_plane_is_exact_where_it_is_bent() -> None:
    skeleton, motion, seen = truth(3)
    axes, solved = skeleton.posed(motion, FRAMES)[0], poses(skeleton, solve(seen, skeleton, EXACT))[0]
    for side in SIDES:
        bone = skeleton.roles[f"upper_arm.{side}"]
        np.testing.assert_allclose(solved[:, bone], axes[:, bone], atol=1e-4)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31))
def test_the_roll_of_bones_changes_nothing(seed: int) -> None:
    _, _, seen = truth(frames=20)
    for solving in (EXACT, Solving()):
        a, b = upper_body(seed=0), upper_body(seed=seed)
        made, other = (poses(skeleton, solve(seen, skeleton, solving))[1] for skeleton in (a, b))
        np.testing.assert_allclose(made, other, atol=1e-5)


@pytest.mark.parametrize("rest", ["A", "T", "down"])
@pytest.mark.parametrize("bend", [0, .15])
def test_another_rest_pose_reaches_the_same_directions(rest: str, bend: float) -> None:
    skeleton, _, seen = truth()
    other = upper_body(rest, bend=bend, seed=5)
    roles = limbs()
    wanted = directions(skeleton, solve(seen, skeleton, EXACT), roles)
    assert degrees_between(directions(other, solve(seen, other, EXACT), roles), wanted).max() < .01


def test_a_straight_rest_arm_gets_an_elbow_that_bends_like_an_elbow() -> None:
    bent, straight = upper_body("T"), upper_body("T", bend=0)
    motion = signing(bent, FRAMES, 2)
    seen = exact_tracks(bent, motion, FRAMES)
    a, b = (poses(s, solve(seen, s, EXACT))[0] @ np.swapaxes(s.rest, -1, -2) for s in (bent, straight))
    for side in SIDES:
        bone = bent.roles[f"upper_arm.{side}"]
        turned = np.swapaxes(a[:, bone], -1, -2) @ b[:, bone]
        assert np.degrees(np.arccos(np.clip((np.trace(turned, axis1=1, axis2=2) - 1) / 2, -1, 1))).max() < 10


def test_half_of_the_hands_roll_is_the_forearms() -> None:
    skeleton = upper_body()
    bone = skeleton.roles["hand.L"]
    along = skeleton.rest[bone].T @ (skeleton.heads[bone] - skeleton.heads[skeleton.roles["forearm.L"]])
    along /= np.linalg.norm(along)
    angles = np.linspace(-1.2, 1.2, 9)
    roll = np.concatenate([np.cos(angles / 2)[:, None], np.sin(angles / 2)[:, None] * along], 1)
    seen = exact_tracks(skeleton, {bone: roll}, 9)
    solved = solve(seen, skeleton, EXACT)
    for name in ("forearm", "hand"):
        turn = solved.quaternions[:, solved.bones.index(skeleton.bones[skeleton.roles[f"{name}.L"]])]
        axis = along if name == "hand" else (skeleton.rest[skeleton.roles["forearm.L"]].T @ skeleton.rest[bone] @ along)
        np.testing.assert_allclose(2 * np.arctan2(turn[:, 1:] @ axis, turn[:, 0]), angles / 2, atol=.02)


def test_a_hand_that_turns_all_the_way_round_does_not_make_the_forearm_jump() -> None:
    skeleton = upper_body()
    bone = skeleton.roles["hand.R"]
    along = skeleton.rest[bone].T @ (skeleton.heads[bone] - skeleton.heads[skeleton.roles["forearm.R"]])
    angles = np.linspace(-2 * np.pi, 2 * np.pi, 200)
    roll = np.concatenate([np.cos(angles / 2)[:, None], np.sin(angles / 2)[:, None] * along / np.linalg.norm(along)], 1)
    solved = solve(exact_tracks(skeleton, {bone: roll}, 200), skeleton, EXACT)
    forearm = solved.quaternions[:, solved.bones.index("forearm.R")]
    steps = 2 * np.arccos(np.clip((forearm[1:] * forearm[:-1]).sum(-1), -1, 1))
    assert np.degrees(steps).max() < 12


@pytest.mark.parametrize("mode", ["follow", "anatomical"])
def test_quaternions_are_finite_continuous_units(mode: str) -> None:
    skeleton, _, seen = truth(4)
    noisy = replace(seen, xyz=seen.xyz + np.random.default_rng(0).normal(scale=.02, size=seen.xyz.shape))
    quaternions = solve(noisy, skeleton, Solving(mode, smoothing=0)).quaternions
    assert np.isfinite(quaternions).all()
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1)
    assert ((quaternions[1:] * quaternions[:-1]).sum(-1) >= 0).all()


@pytest.mark.parametrize("mode", ["follow", "anatomical"])
def test_one_frame_is_enough(mode: str) -> None:
    skeleton, _, seen = truth(frames=1)
    motion = solve(seen, skeleton, Solving(mode))
    assert motion.quaternions.shape == (1, len(motion.bones), 4)
    roles = limbs(fingers=mode == "follow")
    wanted = directions(skeleton, solve(seen, skeleton, EXACT), roles)
    assert degrees_between(directions(skeleton, motion, roles), wanted).max() < 2


def test_bones_are_the_mapped_ones_of_the_parts() -> None:
    skeleton, _, seen = truth()
    everything = set(solve(seen, skeleton).bones)
    still = {"hips", "shoulder.L", "shoulder.R"}
    assert everything == {skeleton.bones[bone] for role, bone in skeleton.roles.items() if role not in still}
    left = set(solve(seen, skeleton, Solving(parts=frozenset({"left_hand"}))).bones)
    assert left == {skeleton.bones[bone] for role, bone in skeleton.roles.items()
                    if role.endswith(".L") and role.split(".")[0] in ("hand", *FINGERS)}
    head = set(solve(seen, skeleton, Solving(parts=frozenset({"head", "right_hand"}))).bones) - left
    assert {"spine.004", "spine.006", "hand.R"} <= head
    assert not {"upper_arm.R", "spine.003"} & head


@pytest.mark.parametrize("mode", ["follow", "anatomical"])
@pytest.mark.parametrize("lacking", [
    ("spine", "chest", "neck"), ("forearm.L",), ("upper_arm.L",), ("head", "neck"), ("hand.L", "hand.R"),
    tuple(f"{finger}.{i}.L" for finger in FINGERS for i in (1, 2, 3)),
    tuple(f"{finger}.{i}.R" for finger in ("middle", "ring") for i in (1, 2, 3))])
def test_roles_that_a_rig_lacks_drop_out(lacking: tuple[str, ...], mode: str) -> None:
    skeleton, _, seen = truth()
    poor = upper_body(without=lacking)
    motion = solve(seen, poor, Solving(mode, smoothing=0))
    assert not {skeleton.bones[skeleton.roles[role]] for role in lacking} & set(motion.bones)
    roles = [role for role in limbs(fingers=mode == "follow") if role in poor.roles and not role.startswith("hand")
             and not (role.startswith("forearm") and f"upper_arm.{role[-1]}" in lacking)]
    wanted = directions(skeleton, solve(seen, skeleton, EXACT), roles)
    assert degrees_between(directions(poor, motion, roles), wanted).max() < .01


def test_three_fingers_are_driven_too() -> None:
    skeleton, _, seen = truth()
    toon = upper_body(fingers=("thumb", "index", "pinky"))
    roles = [f"{finger}.{i}.{side}" for side in SIDES for finger in ("thumb", "index", "pinky") for i in (1, 2, 3)]
    wanted = directions(skeleton, solve(seen, skeleton, EXACT), roles)
    assert degrees_between(directions(toon, solve(seen, toon, EXACT), roles), wanted).max() < .01


HAND_R = tuple(f"{name}.R" for name in ("hand", *(f"{finger}.{i}" for finger in FINGERS for i in (1, 2, 3, 4))))


def lose(seen: Tracks, frames: slice, *joints: str) -> Tracks:
    """The same without some joints in some frames."""
    mask = seen.seen.copy()
    mask[frames, [seen.joints.index(joint) for joint in joints]] = False
    return replace(seen, xyz=np.where(mask[..., None], seen.xyz, 0), seen=mask)


def lose_hand(seen: Tracks, frames: slice) -> Tracks:
    return lose(seen, frames, *HAND_R)


@pytest.mark.parametrize("mode", ["follow", "anatomical"])
def test_a_hand_lost_for_long_rests_on_its_arm_and_is_reported(mode: str) -> None:
    skeleton, _, seen = truth()
    motion = solve(lose_hand(seen, slice(20, 60)), skeleton, Solving(mode, smoothing=0))
    assert dict(motion.held) == {"right_hand": ((20, 60),)}
    hand = [i for i, name in enumerate(motion.bones) if skeleton.roles.get("hand.R") == skeleton.bones.index(name)
            or (name.startswith(("f_", "thumb")) and name.endswith(".R"))]
    np.testing.assert_allclose(np.abs(motion.quaternions[30:50][:, hand, 0]), 1, atol=1e-6)
    forearm = motion.bones.index("forearm.R")
    moving = np.degrees(2 * np.arccos(np.clip((motion.quaternions[1:] * motion.quaternions[:-1]).sum(-1), -1, 1)))
    assert moving[18:62][:, [*hand, forearm]].max() < 45  # eased, and no jump
    whole = solve(seen, skeleton, Solving(mode, smoothing=0))
    np.testing.assert_allclose(motion.quaternions[:20], whole.quaternions[:20], atol=1e-6 if mode == "follow" else .3)


def test_a_short_gap_is_closed_and_not_reported() -> None:
    skeleton, _, seen = truth()
    whole, gap = solve(seen, skeleton, EXACT), solve(lose_hand(seen, slice(40, 44)), skeleton, EXACT)
    assert not gap.held
    angle = np.degrees(2 * np.arccos(np.clip(np.abs((whole.quaternions * gap.quaternions).sum(-1)), 0, 1)))
    assert angle[np.r_[0:40, 44:FRAMES]].max() < 1e-3
    assert 0 < angle[40:44].max() < 25


def test_a_hand_that_was_never_seen_rests_and_is_noted() -> None:
    skeleton, _, seen = truth()
    motion = solve(lose_hand(seen, slice(None)), skeleton, EXACT)
    assert motion.notes == ("the right hand was never seen: it stays at rest",)
    assert "right_hand" not in motion.held
    bones = [motion.bones.index(skeleton.bones[skeleton.roles[f"{role}.R"]]) for role in ("hand", "index.1", "thumb.3")]
    np.testing.assert_allclose(motion.quaternions[:, bones], np.broadcast_to([1.0, 0, 0, 0], (FRAMES, 3, 4)))


def test_an_arm_that_was_lost_is_held_and_reported() -> None:
    skeleton, _, seen = truth()
    motion = solve(lose(lose(seen, slice(10, 30), "elbow.L"), slice(25, 50), "wrist.R"), skeleton, EXACT)
    assert dict(motion.held) == {"body": ((10, 50),)}
    never = solve(lose(seen, slice(None), "elbow.L", "wrist.L", "shoulder.R"), skeleton, EXACT)
    assert never.notes == ("the body was never seen: it stays at rest",)
    one = solve(lose(seen, slice(None), "elbow.L", "wrist.L"), skeleton, EXACT)
    assert one.notes == ("the left arm was never seen: it stays at rest",)
    assert not one.held


def test_a_body_lost_at_both_ends_holds() -> None:
    skeleton, _, seen = truth()
    lost = replace(seen, xyz=seen.xyz.copy(), seen=seen.seen.copy())
    lost.seen[:20] = lost.seen[60:] = False
    lost.xyz[~lost.seen] = 0
    motion = solve(lost, skeleton, EXACT)
    assert motion.held["body"] == motion.held["head"] == motion.held["left_hand"] == ((0, 20), (60, 80))
    arm = motion.quaternions[:, motion.bones.index("upper_arm.L")]
    np.testing.assert_allclose(arm[:20], np.broadcast_to(arm[20], (20, 4)), atol=1e-9)
    np.testing.assert_allclose(arm[60:], np.broadcast_to(arm[59], (20, 4)), atol=1e-9)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_missing_the_motion_is_finite(data: st.DataObject) -> None:
    skeleton, _, seen = truth(frames=12)
    mask = np.ones_like(seen.seen)
    for _ in range(data.draw(st.integers(1, 4))):
        joints = data.draw(st.lists(st.integers(0, mask.shape[1] - 1), min_size=1, max_size=40))
        first, last = sorted(data.draw(st.tuples(st.integers(0, 12), st.integers(0, 12))))
        mask[first:last, joints] = False
    lost = replace(seen, xyz=np.where(mask[..., None], seen.xyz, 0), seen=mask)
    for mode in ("follow", "anatomical"):
        motion = solve(lost, skeleton, Solving(mode, longest_gap=.1))
        assert np.isfinite(motion.quaternions).all()


def test_points_that_coincide_do_no_harm() -> None:
    skeleton, _, seen = truth(frames=5)
    motion = solve(replace(seen, xyz=np.zeros_like(seen.xyz)), skeleton, EXACT)
    assert np.isfinite(motion.quaternions).all()


def test_smoothing_takes_shaking_out_and_0_is_off() -> None:
    skeleton, _, seen = truth()
    noisy = replace(seen, xyz=seen.xyz + np.random.default_rng(0).normal(scale=.003, size=seen.xyz.shape))
    wanted = directions(skeleton, solve(seen, skeleton, EXACT), limbs())
    raw = degrees_between(directions(skeleton, solve(noisy, skeleton, EXACT), limbs()), wanted).mean()
    calm = degrees_between(directions(skeleton, solve(noisy, skeleton, Solving("follow")), limbs()), wanted).mean()
    assert calm < .7 * raw
    # The same seconds at another frame rate are other frames.
    slow = solve(replace(noisy, fps=5.0), skeleton, Solving("follow"))
    assert degrees_between(directions(skeleton, slow, limbs()), wanted).mean() > .9 * raw


def test_an_arm_that_is_straight_for_a_while_does_not_spin() -> None:
    skeleton = upper_body()
    motion = signing(skeleton, FRAMES, 6)
    bone = skeleton.roles["forearm.L"]
    bend = np.concatenate([np.linspace(1.2, -.15, 30), np.full(20, -.15), np.linspace(-.15, 1.2, 30)])  # -.15: straight
    upper = skeleton.tails[skeleton.roles["upper_arm.L"]] - skeleton.heads[skeleton.roles["upper_arm.L"]]
    axis = skeleton.rest[bone].T @ np.cross(upper, skeleton.tails[bone] - skeleton.heads[bone])
    axis /= np.linalg.norm(axis)
    motion[bone] = np.concatenate([np.cos(bend / 2)[:, None], np.sin(bend / 2)[:, None] * axis], 1)
    seen = exact_tracks(skeleton, motion, FRAMES)
    noisy = replace(seen, xyz=seen.xyz + np.random.default_rng(0).normal(scale=.004, size=seen.xyz.shape))
    solved = solve(noisy, skeleton, Solving("follow")).quaternions
    arm = solved[:, list(solve(noisy, skeleton, EXACT).bones).index("upper_arm.L")]
    truth_steps, steps = (2 * np.arccos(np.clip(np.abs((q[1:] * q[:-1]).sum(-1)), 0, 1))
                          for q in (motion[skeleton.roles["upper_arm.L"]], arm))
    assert np.degrees(steps.max()) < np.degrees(truth_steps.max()) + 6


def test_a_head_without_face_points_follows_eyes_ears_and_mouth() -> None:
    skeleton, motion, seen = truth(face=False)
    axes, heads, _ = skeleton.posed(motion, FRAMES)
    bone = skeleton.roles["head"]
    turned = axes[:, bone] @ skeleton.rest[bone].T
    places = {"ear.L": (.07, 0, .02), "ear.R": (-.07, 0, .02), "eye.L": (.03, -.08, .05), "eye.R": (-.03, -.08, .05),
              "mouth.L": (.02, -.067, -.016), "mouth.R": (-.02, -.067, -.016), "nose": (0, -.1, 0)}
    points = {joint: heads[:, bone] + turned @ np.array(at) for joint, at in places.items()}
    for names in (tuple(points), ("ear.L", "ear.R", "nose")):
        xyz = np.concatenate([seen.xyz, np.stack([points[name] for name in names], 1)], 1)
        more = Tracks(seen.fps, (*seen.joints, *names), xyz, np.ones(xyz.shape[:2], bool))
        made = poses(skeleton, solve(more, skeleton, EXACT))[0][:, bone]
        relative = np.swapaxes(made, -1, -2) @ axes[:, bone]
        angle = np.degrees(np.arccos(np.clip((np.trace(relative, axis1=1, axis2=2) - 1) / 2, -1, 1)))
        assert angle.max() < 2.5


@pytest.mark.parametrize(("change", "message"), [
    ({"mode": "exact"}, "no mode 'exact'"), ({"parts": frozenset({"feet"})}, "no part feet"),
    ({"smoothing": -1.0}, "smoothing"), ({"longest_gap": float("nan")}, "longest gap")])
def test_senseless_settings_are_refused(change: dict[str, object], message: str) -> None:
    skeleton, _, seen = truth(frames=2)
    with pytest.raises(AddonError, match=message):
        solve(seen, skeleton, replace(Solving(), **change))  # type: ignore[arg-type]


def test_nothing_to_drive_is_said() -> None:
    skeleton, _, seen = truth(frames=2)
    with pytest.raises(AddonError, match="no bone of the armature is mapped"):
        solve(seen, replace(skeleton, roles={}))
    legs = replace(skeleton, roles={"hips": 0})
    with pytest.raises(AddonError, match="none of the file's points"):
        solve(seen, legs, Solving(parts=frozenset({"body", "left_hand"})))


def test_the_direct_solver_is_fast() -> None:
    skeleton, _, seen = truth(frames=200)
    solve(seen, skeleton, Solving("follow"))
    start = time.process_time()
    for _ in range(3):
        solve(seen, skeleton, Solving("follow"))
    assert (time.process_time() - start) / 3 < .3  # 0.03 on an idle machine


def test_real_files_move_without_jumps(lexicon_files: list[Path]) -> None:
    skeleton = upper_body()
    for path in lexicon_files:
        motion = solve(tracks(read(path)), skeleton, Solving("follow"))
        steps = 2 * np.arccos(np.clip((motion.quaternions[1:] * motion.quaternions[:-1]).sum(-1), -1, 1))
        assert np.isfinite(motion.quaternions).all()
        for name, most in (("spine.003", 5), ("spine.006", 8), ("upper_arm.L", 45), ("upper_arm.R", 45)):
            assert np.degrees(steps[:, motion.bones.index(name)]).max() < most


def longer_arms(skeleton: Skeleton, times: float) -> Skeleton:
    """The same skeleton with forearms and upper arms of other lengths; all else moves along."""
    heads, tails = skeleton.heads.copy(), skeleton.tails.copy()
    for bone, parent in enumerate(skeleton.parents):
        if parent >= 0:
            heads[bone] += tails[parent] - skeleton.tails[parent]
        along = skeleton.tails[bone] - skeleton.heads[bone]
        arm = skeleton.bones[bone].startswith(("upper_arm", "forearm"))
        tails[bone] = heads[bone] + along * (times if arm else 1)
    return replace(skeleton, heads=heads, tails=tails)


def wrists(skeleton: Skeleton, motion: Motion, frames: int = FRAMES) -> np.ndarray:
    """`(T, 2, 3)` from each shoulder."""
    quaternions = {skeleton.bones.index(name): motion.quaternions[:, i] for i, name in enumerate(motion.bones)}
    heads = skeleton.posed(quaternions, frames)[1]
    first, last = ([skeleton.roles[f"{role}.{side}"] for side in SIDES] for role in ("upper_arm", "hand"))
    return heads[:, last] - heads[:, first]


@pytest.mark.parametrize("times", [.85, 1.15])
def test_hands_keep_their_place_on_arms_of_other_lengths(times: float) -> None:
    skeleton, _, seen = truth()
    other = longer_arms(skeleton, times)
    wanted = wrists(skeleton, solve(seen, skeleton, EXACT))[..., [0, 2]]
    error = {mode: np.linalg.norm(wrists(other, solve(seen, other, Solving(mode, smoothing=0)))[..., [0, 2]] - wanted,
                                  axis=-1) for mode in ("follow", "anatomical")}
    assert error["anatomical"].mean() < .4 * error["follow"].mean()
    turned = degrees_between(directions(other, solve(seen, other, Solving(smoothing=0)), ["upper_arm.L", "forearm.L"]),
                             directions(skeleton, solve(seen, skeleton, EXACT), ["upper_arm.L", "forearm.L"]))
    assert turned.max() < 18


def test_an_arm_whose_hand_was_never_seen_points_where_its_points_are() -> None:
    skeleton, _, seen = truth()
    other, lost = longer_arms(skeleton, 1.15), lose_hand(seen, slice(None))
    roles = ["upper_arm.R", "forearm.R"]
    made, wanted = (directions(rig, solve(lost, rig, Solving(mode, smoothing=0)), roles)
                    for rig, mode in ((other, "anatomical"), (skeleton, "follow")))
    assert degrees_between(made, wanted).max() < .01
