# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of a hand: what its angles do to a rig's bones."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.solver.fingers import LIMITS, angles_of, axes_of, directions, hand_rest, local_quaternions, palm_of
from blender_addon.solver.rotations import degrees_between, to_quaternions
from blender_addon.solver.skeleton import FINGERS, SIDES
from tests.blender_addon.hands import bones, joints_of, movement, rest_of
from tests.blender_addon.skeletons import upper_body

MIRROR = np.array([-1.0, 1, 1])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("rest_pose", ["A", "T", "down"])
def test_bones_of_a_rig_go_where_the_model_says(side: str, rest_pose: str) -> None:
    skeleton = upper_body(rest_pose, seed=3)
    rest = rest_of(skeleton, side)
    palm, angles = movement(20, 0)
    modelled = np.einsum("tij,tfkj->tfki", palm, directions(rest.own, angles)[0]).reshape(20, 15, 3)
    posed = bones(joints_of(skeleton, side, palm, angles)) * (MIRROR if side == "R" else 1)
    assert degrees_between(posed, modelled).max() < 1e-5


@pytest.mark.parametrize("side", SIDES)
def test_angles_at_rest_are_the_rest_pose(side: str) -> None:
    rest = rest_of(upper_body(seed=1), side)
    for quaternions in local_quaternions(rest, rest.angles[None]).values():
        np.testing.assert_allclose(np.abs(quaternions), [[1, 0, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(axes_of(rest, rest.palm[None])[0], rest.axes, atol=1e-12)
    np.testing.assert_allclose(palm_of(rest, rest.axes[None])[0], rest.palm, atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_fingers_bend_to_the_palm_and_spread_to_the_thumb(side: str) -> None:
    skeleton = upper_body("T")  # palms down, thumbs to the front
    rest = rest_of(skeleton, side)
    straight = np.zeros((1, 5, 4))

    def tips(angles: np.ndarray) -> np.ndarray:
        return joints_of(skeleton, side, rest.palm[None], angles)[0, 4::4]

    for joint in (0, 2, 3):
        bent = straight.copy()
        bent[..., joint] = .4
        assert (tips(bent)[1:, 2] < tips(straight)[1:, 2] - .005).all()
    spread = straight.copy()
    spread[..., 1] = .3
    assert (tips(spread)[1:, 1] < tips(straight)[1:, 1] - .005).all()  # -y is the front
    assert tips(spread)[0, 2] < tips(straight)[0, 2] - .005  # the thumb's spread: out of the palm's plane
    bent = straight.copy()
    bent[:, 0, :] = [.6, 0, .6, .6]
    to_pinky = np.linalg.norm(tips(bent)[0] - tips(straight)[4]) < np.linalg.norm(tips(straight)[0] - tips(straight)[4])
    assert to_pinky


def test_left_and_right_are_mirror_images() -> None:
    skeleton = upper_body(seed=5)
    palm, angles = movement(10, 1)
    left, right = (joints_of(skeleton, side, palm, angles) for side in SIDES)
    np.testing.assert_allclose((right - right[:, :1]) * MIRROR, left - left[:, :1], atol=1e-12)


def test_slopes_are_those_of_the_directions() -> None:
    rest = rest_of(upper_body(), "L")
    angles = movement(5, 2)[1]
    along, change = directions(rest.own, angles)
    for i in range(4):
        step = angles.copy()
        step[..., i] += 1e-6
        np.testing.assert_allclose((directions(rest.own, step)[0] - along) / 1e-6, change[..., i], atol=2e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_angles_are_read_from_straight_fingers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = rng.uniform(LIMITS[..., 0], LIMITS[..., 1])
    along, _ = directions(np.broadcast_to(directions(rest_of(upper_body(), "L").own, np.zeros((5, 4)))[0][:, :1],
                                          (5, 3, 3)), angles)
    np.testing.assert_allclose(angles_of(along), angles, atol=1e-9)


def test_rolls_do_not_matter() -> None:
    palm, angles = movement(5, 3)
    one, other = (joints_of(upper_body(seed=seed), "R", palm, angles) for seed in (1, 2))
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_fingers_that_a_rig_lacks_are_left_out() -> None:
    skeleton = upper_body(fingers=("thumb", "index", "ring"))
    rest = rest_of(skeleton, "L")
    assert list(rest.fingers) == [True, True, False, True, False]
    assert {skeleton.bones[bone].split(".")[0] for bone in rest.bones.values()} == {"thumb", "f_index", "f_ring"}
    assert set(local_quaternions(rest, np.zeros((2, 5, 4)))) == set(rest.bones.values())


def test_last_bones_that_a_rig_lacks_are_left_out() -> None:
    skeleton = upper_body(without=[f"{finger}.3.L" for finger in FINGERS])
    rest = rest_of(skeleton, "L")
    assert {k for _, k in rest.bones} == {0, 1}
    np.testing.assert_allclose(rest.angles[1:, 3], 0, atol=1e-6)


def test_a_hand_without_a_palm_is_none() -> None:
    assert hand_rest(upper_body(without=["hand.L"]), "L") is None
    assert hand_rest(upper_body(fingers=["thumb", "index"]), "L") is None


def test_knuckles_on_one_line_with_the_wrist_are_no_palm() -> None:
    skeleton = upper_body()
    wrist = skeleton.heads[skeleton.roles["hand.L"]]
    for i, finger in enumerate(FINGERS[1:], 1):
        skeleton.heads[skeleton.roles[f"{finger}.1.L"]] = wrist + np.array([.02 * i, 0, 0])
    assert hand_rest(skeleton, "L") is None


def test_quaternions_are_of_unit_length() -> None:
    rest = rest_of(upper_body(), "R")
    for quaternions in local_quaternions(rest, movement(10, 4)[1]).values():
        np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1)
    assert to_quaternions(rest.axes).shape == (4,)
