# SPDX-License-Identifier: GPL-3.0-or-later
"""Torso, head and arms: planes, rolls, other proportions."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.solver.rotations import about, degrees_between, to_quaternions
from blender_addon.solver.skeleton import SIDES
from blender_addon.solver.solve import Solving, solve
from blender_addon.tracks import Tracks
from tests.blender_addon.skeletons import exact_tracks, signing, upper_body
from tests.blender_addon.solved import EXACT, FRAMES, directions, longer_arms, lose_hand, poses, truth, wrists


def test_the_elbows_plane_is_exact_where_it_is_bent() -> None:
    skeleton, motion, seen = truth(3)
    axes, solved = skeleton.posed(motion, FRAMES)[0], poses(skeleton, solve(seen, skeleton, EXACT))[0]
    for side in SIDES:
        bone = skeleton.roles[f"upper_arm.{side}"]
        np.testing.assert_allclose(solved[:, bone], axes[:, bone], atol=1e-4)


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



def turned_by(tracks: Tracks, angle: float) -> Tracks:
    """The same person turned about the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    return replace(tracks, xyz=tracks.xyz @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]))


def test_the_chest_turns_with_the_shoulders() -> None:
    skeleton, motion, seen = truth()
    arms = [skeleton.roles[f"upper_arm.{side}"] for side in SIDES]
    _, heads, _ = skeleton.posed(motion, FRAMES)
    solved = solve(seen, skeleton, EXACT)
    quaternions = {skeleton.bones.index(name): solved.quaternions[:, i] for i, name in enumerate(solved.bones)}
    _, made, _ = skeleton.posed(quaternions, FRAMES)
    assert degrees_between(made[:, arms[0]] - made[:, arms[1]], heads[:, arms[0]] - heads[:, arms[1]]).max() < .01


@pytest.mark.parametrize("mode", ["follow", "anatomical"])
def test_arms_that_begin_at_the_elbow_point_where_whole_arms_do(mode: str) -> None:
    whole, _, seen = truth(2, frames=20)
    arms = upper_body(without=[f"{role}.{side}" for side in SIDES for role in ("shoulder", "upper_arm")])
    roles = [f"{role}.{side}" for side in SIDES for role in ("forearm", "hand", "index.1", "pinky.3")]
    wanted, made = (directions(one, solve(seen, one, Solving(mode=mode, smoothing=0)), roles) for one in (whole, arms))
    assert degrees_between(made, wanted).max() < .01


def test_the_pelvis_turns_with_hips_that_were_seen_and_rests_without() -> None:
    skeleton = upper_body()
    still = exact_tracks(skeleton, {}, FRAMES, hips=True)
    motion = solve(turned_by(still, .5), skeleton, EXACT)
    bone = skeleton.roles["hips"]
    turn = poses(skeleton, motion)[0][:, bone] @ skeleton.rest[bone].T
    np.testing.assert_allclose(np.arctan2(turn[:, 1, 0], turn[:, 0, 0]), .5, atol=1e-6)
    np.testing.assert_allclose(turn[:, 2, 2], 1)  # it does not lean: legs hang on it
    assert "spine" not in solve(turned_by(exact_tracks(skeleton, {}, FRAMES), .5), skeleton, EXACT).bones
    few = replace(still, seen=still.seen.copy())
    few.seen[10:, [joint.startswith("hip") for joint in few.joints]] = False
    assert "spine" not in solve(few, skeleton, EXACT).bones


def test_a_shrug_lifts_the_collar_bones_and_nothing_else_does() -> None:
    skeleton = upper_body()
    lift = np.where((np.arange(FRAMES) > 50) & (np.arange(FRAMES) < 65), .3, 0)
    motion = signing(skeleton, FRAMES, 5)
    for side, sign in (("L", -1), ("R", 1)):
        bone = skeleton.roles[f"shoulder.{side}"]
        turn = about(np.tile([0.0, sign, 0], (FRAMES, 1)), lift)
        motion[bone] = to_quaternions(skeleton.rest[bone].T @ turn @ skeleton.rest[bone])
    solved = solve(exact_tracks(skeleton, motion, FRAMES), skeleton, EXACT)
    for side in SIDES:
        turn = solved.quaternions[:, solved.bones.index(f"shoulder.{side}")]
        angle = 2 * np.arccos(np.clip(np.abs(turn[:, 0]), 0, 1))
        assert angle[lift == 0].max() < .03
        assert angle[lift > 0].min() > .15
        assert angle[lift > 0].max() < .35
    up = poses(skeleton, solved)[1][60, skeleton.roles["shoulder.L"]]
    assert up[2] > poses(skeleton, solved)[1][0, skeleton.roles["shoulder.L"]][2] + .02
