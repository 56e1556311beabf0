# SPDX-License-Identifier: GPL-3.0-or-later
"""Armatures with other axes and units: FBX files have y up and centimetres."""
from __future__ import annotations

import numpy as np
import pytest

from blender_addon.solver.rotations import about
from blender_addon.solver.solve import Solving, solve
from blender_addon.solver.upright import QUARTERS, quarter_turn, reoriented, upright
from tests.blender_addon.skeletons import upper_body
from tests.blender_addon.solved import EXACT, truth

Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # z becomes y, the front (-y) becomes z


def test_there_are_24_quarter_turns_and_the_identity_is_the_first() -> None:
    assert len({tuple(turn.ravel()) for turn in QUARTERS}) == 24
    np.testing.assert_array_equal(QUARTERS[0], np.eye(3))
    for turn in QUARTERS:
        np.testing.assert_array_equal(turn @ turn.T, np.eye(3))
        assert np.linalg.det(turn) == pytest.approx(1)


@pytest.mark.parametrize("turn", QUARTERS)
def test_a_turned_skeleton_is_turned_back(turn: np.ndarray) -> None:
    skeleton = upper_body()
    np.testing.assert_array_equal(quarter_turn(reoriented(skeleton, turn, 100)), turn.T)


@pytest.mark.parametrize("solving", [EXACT, Solving(), Solving(mode="follow")])
def test_neither_axes_nor_units_of_an_armature_change_its_rotations(solving: Solving) -> None:
    skeleton, _, seen = truth(frames=8)
    wanted = solve(seen, skeleton, solving)
    for turn, scale in ((Y_UP, 100.0), (about(np.array([0, 0, 1.0]), np.array(np.pi)), .01)):
        made = solve(seen, reoriented(skeleton, np.round(turn), scale), solving)
        assert made.bones == wanted.bones
        np.testing.assert_allclose(made.quaternions, wanted.quaternions, atol=1e-5)


@pytest.mark.parametrize("lean", [-.6, 0, .6])
@pytest.mark.parametrize("without", [(), ("hips", "neck"), ("upper_arm.L", "shoulder.R"),
                                     tuple(f"{role}.R" for role in ("shoulder", "upper_arm", "forearm", "hand"))])
def test_who_leans_at_rest_is_not_turned(lean: float, without: tuple[str, ...]) -> None:
    bowed = reoriented(upper_body(without=without), about(np.array([1.0, 0, 0]), np.array(lean)))
    np.testing.assert_array_equal(quarter_turn(bowed), np.eye(3))


@pytest.mark.parametrize("kept", [(), ("hand.L",), ("upper_arm.L", "upper_arm.R"), ("hips", "head"),
                                  ("head", "hand.L")])
def test_what_does_not_tell_its_axes_is_left_as_it_is(kept: tuple[str, ...]) -> None:
    whole = upper_body()
    some = upper_body(without=[role for role in whole.roles if role not in kept])
    np.testing.assert_array_equal(upright(reoriented(some, Y_UP)).rest, reoriented(some, Y_UP).rest)


def test_shoulders_are_as_wide_as_those_of_tracks() -> None:
    skeleton = upright(reoriented(upper_body(), Y_UP, 100))
    left, right = (skeleton.heads[skeleton.roles[f"upper_arm.{side}"]] for side in "LR")
    np.testing.assert_allclose(left - right, [.36, 0, 0], atol=1e-9)
