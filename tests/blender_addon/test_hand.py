# SPDX-License-Identifier: GPL-3.0-or-later
"""The anatomical fit of a hand: truth comes back, noise and wrong depth do not get through, limits always hold."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from blender_addon.posefile import read
from blender_addon.solver.fingers import LIMITS
from blender_addon.solver.hand import HandFit, fit_hand
from blender_addon.solver.rotations import to_quaternions
from blender_addon.solver.skeleton import FINGERS, SIDES, Skeleton
from blender_addon.solver.solve import Solving, solve
from blender_addon.tracks import tracks
from tests.blender_addon.hands import FPS, bones, errors, image_errors, joints_of, movement, rest_of, smoothed
from tests.blender_addon.skeletons import upper_body

SMOOTHING = .06


def fitted(skeleton: Skeleton, side: str, joints: np.ndarray, smoothing: float = 0.0,
           seen: np.ndarray | None = None) -> HandFit:
    rest = rest_of(skeleton, side)
    return fit_hand(joints, np.ones(joints.shape[:2], bool) if seen is None else seen, rest,
                    guess=np.broadcast_to(rest.axes, (len(joints), 3, 3)), fps=FPS, smoothing=smoothing)


def posed(skeleton: Skeleton, side: str, fit: HandFit) -> np.ndarray:
    """The joints `(T, 21, 3)` of a fit, through the bones' quaternions."""
    hand = skeleton.roles[f"hand.{side}"]
    turn = to_quaternions(skeleton.rest[hand].T @ fit.hand)
    _, heads, tails = skeleton.posed({hand: turn, **fit.local}, len(fit.hand))
    joints = np.zeros((len(fit.hand), 21, 3))
    joints[:, 0] = heads[:, hand]
    for f, finger in enumerate(FINGERS):
        for k in (1, 2, 3):
            if (bone := skeleton.roles.get(f"{finger}.{k}.{side}")) is not None:
                joints[:, 4 * f + k], joints[:, 4 * f + k + 1] = heads[:, bone], tails[:, bone]
    return joints


def within(fit: HandFit) -> bool:
    return bool((fit.angles >= LIMITS[..., 0]).all() and (fit.angles <= LIMITS[..., 1]).all())


@pytest.mark.parametrize("smoothing", [0, SMOOTHING])
@pytest.mark.parametrize("side", SIDES)
def test_exact_points_give_the_exact_motion(side: str, smoothing: float) -> None:
    skeleton = upper_body(seed=2)
    palm, angles = movement(60, 0)
    joints = joints_of(skeleton, side, palm, angles)
    fit = fitted(skeleton, side, joints, smoothing)
    turned, off = errors(posed(skeleton, side, fit), joints)
    assert turned.max() < .1
    assert off.max() < 1e-4
    np.testing.assert_allclose(fit.angles, angles, atol=np.radians(.2))  # twists too, which points do not show


def test_noise_of_a_good_camera() -> None:
    skeleton = upper_body(seed=2)
    turned: list[np.ndarray] = []
    off: list[np.ndarray] = []
    for seed, side in enumerate(SIDES):
        joints = joints_of(skeleton, side, *movement(200, seed, share=.6, pace=.5))
        noise = np.random.default_rng(seed).normal(size=joints.shape) * [.002, .008, .002]
        fit = fitted(skeleton, side, smoothed(joints + noise, SMOOTHING * FPS), SMOOTHING)
        assert within(fit)
        for into, error in zip((turned, off), errors(posed(skeleton, side, fit), joints)):
            into.append(error)
    assert np.mean(turned) < 3.7
    assert np.percentile(turned, 95) < 9.1
    assert np.mean(off) < .0042
    assert np.percentile(off, 95) < .0085


def test_reversed_depth_is_set_right() -> None:
    """Fingers do not bend backwards: so where they seem to, it is the depth that is wrong."""
    skeleton = upper_body(seed=2)
    joints = joints_of(skeleton, "L", *movement(80, 3))
    wrong = (np.arange(80) // 10 % 2).astype(bool)
    given_joints = joints.copy()
    given_joints[wrong, :, 1] = 2 * joints[wrong, :1, 1] - joints[wrong, :, 1]
    assert errors(given_joints[wrong], joints[wrong])[0].mean() > 40
    turned = errors(posed(skeleton, "L", fitted(skeleton, "L", given_joints)), joints)[0]
    assert turned.mean() < 8


def test_the_palm_does_not_jump_where_points_do_not() -> None:
    skeleton = upper_body(seed=2)
    joints = joints_of(skeleton, "R", *movement(100, 5, turn=.5))
    joints[:, :, 1] *= .3  # depth too flat, as it often is
    fit = fitted(skeleton, "R", smoothed(joints, SMOOTHING * FPS), SMOOTHING)
    steps = np.linalg.norm(np.diff(fit.hand, axis=0), axis=(1, 2)) / np.sqrt(2)
    assert np.degrees(steps).max() < 15


def test_units_do_not_matter() -> None:
    skeleton = upper_body()
    joints = joints_of(skeleton, "L", *movement(10, 6))
    joints += np.random.default_rng(0).normal(size=joints.shape) * .002
    one, other = (fitted(skeleton, "L", size * joints).angles for size in (1, 1000))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_hand_that_comes_nearer_does_not_tilt() -> None:
    skeleton = upper_body(seed=2)
    joints = joints_of(skeleton, "L", *movement(60, 7))
    nearer = joints * np.linspace(.9, 1.1, 60)[:, None, None]
    assert errors(posed(skeleton, "L", fitted(skeleton, "L", nearer)), joints)[0].max() < 2


def test_what_was_not_seen_counts_little() -> None:
    skeleton = upper_body(seed=2)
    joints = joints_of(skeleton, "L", *movement(60, 8))
    seen = np.ones((60, 21), bool)
    seen[:, 17:] = False  # the little finger
    wrong = joints.copy()
    wrong[:, 17:] = wrong[:, 17:][::-1]
    turned = errors(posed(skeleton, "L", fitted(skeleton, "L", wrong, seen=seen)), joints)[0]
    assert np.median(turned[:, :12]) < 1.5 < np.median(errors(
        posed(skeleton, "L", fitted(skeleton, "L", wrong)), joints)[0][:, :12])


def test_a_rig_with_fewer_fingers() -> None:
    skeleton = upper_body(fingers=("thumb", "index", "ring"))
    whole = upper_body()
    joints = joints_of(whole, "L", *movement(30, 9))
    fit = fitted(skeleton, "L", joints)
    turned = errors(posed(skeleton, "L", fit), joints)[0].reshape(30, 5, 3)
    assert np.median(turned[:, [0, 1, 3]]) < 5
    assert len(fit.local) == 9


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_short_clips(frames: int) -> None:
    skeleton = upper_body(seed=2)
    joints = joints_of(skeleton, "L", *movement(5, 10))[:frames]
    fit = fitted(skeleton, "L", joints, SMOOTHING)
    assert fit.hand.shape == (frames, 3, 3)
    if frames:
        assert errors(posed(skeleton, "L", fit), joints)[0].max() < .2


def test_a_long_clip() -> None:
    skeleton = upper_body(seed=2)
    joints = joints_of(skeleton, "L", *movement(450, 11))
    assert errors(posed(skeleton, "L", fitted(skeleton, "L", joints)), joints)[0].max() < .1


@settings(max_examples=60, deadline=None)
@given(arrays(float, (4, 21, 3), elements=st.floats(-1, 1)), arrays(bool, (4, 21)), st.sampled_from([0, SMOOTHING]),
       st.sampled_from([0.0, 1e-9, 1.0, 1e6]))
def test_whatever_comes_a_hand_can_do_it(joints: np.ndarray, seen: np.ndarray, smoothing: float, size: float) -> None:
    fit = fitted(upper_body(), "R", joints * size, smoothing, seen)
    assert within(fit)
    assert np.isfinite(fit.hand).all()
    np.testing.assert_allclose(np.einsum("tji,tjk->tik", fit.hand, fit.hand), [np.eye(3)] * 4, atol=1e-6)
    for quaternions in fit.local.values():
        np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1, atol=1e-9)


def test_real_clips_look_from_the_front_as_they_were_seen(lexicon_files: list[Path]) -> None:
    skeleton, found = upper_body(), []
    for path in lexicon_files[2:12:5]:
        given_tracks = tracks(read(path))
        motion = solve(given_tracks, skeleton, Solving(smoothing=0))
        _, heads, tails = skeleton.posed(
            {skeleton.bones.index(name): motion.quaternions[:, i] for i, name in enumerate(motion.bones)},
            len(motion.quaternions))
        for side in SIDES:
            names = [f"hand.{side}", *(f"{finger}.{i}.{side}" for finger in FINGERS for i in (1, 2, 3, 4))]
            columns = [given_tracks.joints.index(name) for name in names if name in given_tracks.joints]
            roles = [skeleton.roles[f"{finger}.{i}.{side}"] for finger in FINGERS for i in (1, 2, 3)]
            if len(columns) == 21:
                whole = given_tracks.seen[:, columns].all(1)
                found.append(image_errors((tails - heads)[whole][:, roles], bones(given_tracks.xyz[whole][:, columns])))
    together = np.concatenate(found)
    assert len(together) > 20
    assert np.median(together) < 4
    assert np.percentile(together, 95) < 25
