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
from blender_addon.solver.skeleton import FINGERS, SIDES
from blender_addon.solver.solve import Solving, solve
from blender_addon.tracks import tracks
from tests.blender_addon.skeletons import upper_body
from tests.blender_addon.solved import EXACT, FRAMES, directions, limbs, lose, lose_hand, poses, truth


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


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31))
def test_the_roll_of_bones_changes_nothing(seed: int) -> None:
    _, _, seen = truth(frames=8)
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
    assert everything == {skeleton.bones[bone] for role, bone in skeleton.roles.items() if role != "hips"}
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


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
    raw, calm = (degrees_between(directions(skeleton, solve(noisy, skeleton, solving), limbs()), wanted).mean()
                 for solving in (EXACT, Solving("follow", smoothing=.06)))
    assert calm < .7 * raw
    # The same seconds at another frame rate are other frames.
    slow = solve(replace(noisy, fps=5.0), skeleton, Solving("follow", smoothing=.06))
    assert degrees_between(directions(skeleton, slow, limbs()), wanted).mean() > .9 * raw


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
