from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_diffusion.evaluation import baselines
from pose_diffusion.evaluation.baselines import Filter, filtered, pose_interpolate, stacked
from pose_diffusion.evaluation.cases import INNER, Known
from pose_diffusion.layout import BODY, HOLISTIC

FILLS = [baselines.hold, baselines.hold_on_wrist, baselines.linear, baselines.linear_on_wrist, baselines.pchip_on_wrist]
FILTERS = [baselines.savitzky_golay(7, 2), baselines.median_savitzky_golay(3, 5, 2), baselines.butterworth(.3),
           baselines.one_euro(.1, .3), baselines.kalman(.1)]
WRIST = HOLISTIC.index(BODY, "LEFT_WRIST")
HAND = HOLISTIC.parts["left_hand"]


def walk(frames: int = 20, degree: int = 1) -> np.ndarray:
    """`(T, K, 3)`: every point on a polynomial of its own."""
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, frames)[:, None, None]
    return np.sum([rng.normal(size=(1, INNER, 3)) * t**k for k in range(degree + 1)], axis=0).astype(np.float32)


def known(xyz: np.ndarray, observed: np.ndarray | None = None) -> Known:
    observed = np.ones(xyz.shape[:2], bool) if observed is None else observed
    return Known(np.where(observed[..., None], xyz, 0).astype(np.float32), observed, np.arange(len(xyz)) / 20, 0)


def holes(frames: int = 20, seed: int = 1) -> np.ndarray:
    observed = np.random.default_rng(seed).random((frames, INNER)) < .6
    observed[[0, -1]] = True
    return observed


INTERPOLATIONS = [stacked(baselines.linear), stacked(baselines.linear_on_wrist), stacked(baselines.pchip_on_wrist),
                  pose_interpolate("linear"), pose_interpolate("cubic")]


@pytest.mark.parametrize("run", INTERPOLATIONS)
def test_motion_along_lines_is_filled_exactly(run: baselines.Run) -> None:
    assert np.allclose(run([known(walk(), holes())])[0], walk(), atol=1e-5)


def test_a_cubic_is_filled_exactly_by_cubic_interpolation_only() -> None:
    truth, observed = walk(degree=3), holes()
    assert np.allclose(pose_interpolate("cubic")([known(truth, observed)])[0], truth, atol=1e-4)
    assert not np.allclose(pose_interpolate("linear")([known(truth, observed)])[0], truth, atol=1e-2)


@pytest.mark.parametrize("fill", FILLS)
def test_filling_keeps_what_is_observed(fill: baselines.Fill) -> None:
    truth, observed = walk(degree=3), holes()
    observed[[0, -1], 40:] = False
    result = stacked(fill)([known(truth, observed)])[0]
    assert np.allclose(result[observed], truth[observed], atol=1e-6)


def test_what_lies_at_the_ends_is_held() -> None:
    truth, observed = walk(), np.ones((20, INNER), bool)
    observed[:5, 0] = observed[15:, 0] = False
    for run in (stacked(baselines.hold), *INTERPOLATIONS):
        result = run([known(truth, observed)])[0]
        assert np.allclose(result[:5, 0], truth[5, 0], atol=1e-5)
        assert np.allclose(result[15:, 0], truth[14, 0], atol=1e-5)


def test_a_lost_hand_goes_with_the_wrist() -> None:
    truth = np.zeros((20, INNER, 3), np.float32)
    truth[:, WRIST, 0] = np.sin(np.arange(20))
    truth[:, HAND, 0] = np.sin(np.arange(20))[:, None]
    truth[:, HAND, 1] = .1
    observed = np.ones((20, INNER), bool)
    observed[5:15, HAND] = False
    clip = known(truth, observed)
    assert np.allclose(stacked(baselines.hold_on_wrist)([clip])[0], truth, atol=1e-6)
    assert not np.allclose(stacked(baselines.hold)([clip])[0], truth, atol=.1)


@pytest.mark.parametrize("smooth", FILTERS)
def test_filters_leave_still_points_and_quieten_shaking_ones(smooth: Filter) -> None:
    still = np.broadcast_to(walk(1), (30, INNER, 3)).astype(np.float32)
    assert np.allclose(filtered(smooth)([known(still)])[0], still, atol=1e-4)
    shaking = still + np.random.default_rng(0).normal(0, .1, still.shape).astype(np.float32)
    assert np.abs(filtered(smooth)([known(shaking)])[0] - still).mean() < .8 * np.abs(shaking - still).mean()


@pytest.mark.parametrize("smooth", FILTERS)
@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_short_clips_come_back_whole(smooth: Filter, frames: int) -> None:
    result = filtered(smooth)([known(walk(frames))])[0]
    assert result.shape == (frames, INNER, 3)
    assert np.isfinite(result).all()


@pytest.mark.parametrize("frames", [1, 2])
def test_pose_interpolate_takes_short_clips(frames: int) -> None:
    observed = np.ones((frames, INNER), bool)
    observed[0, 3] = False
    assert np.isfinite(pose_interpolate("cubic")([known(walk(frames), observed)])[0]).all()


def test_clips_of_different_lengths_come_back_in_their_order() -> None:
    clips = [known(walk(n)) for n in (5, 9, 5, 7)]
    for clip, result in zip(clips, stacked(baselines.linear)(clips)):
        assert np.array_equal(clip.xyz, result)


def test_zero_phase_filters_do_not_lag() -> None:
    bump = np.exp(-.5 * ((np.arange(61) - 30) / 4)**2)[:, None, None].astype(np.float32)
    for smooth in (baselines.butterworth(.3), baselines.one_euro(.2, 0.), baselines.kalman(.1)):
        assert abs(int(smooth(bump)[:, 0, 0].argmax()) - 30) <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 12), st.floats(1e-3, 10))
def test_the_kalman_smoother_is_the_mean_of_the_gaussian_it_stands_for(frames: int, stiffness: float) -> None:
    """States of all times are jointly Gaussian: the posterior mean, by brute force, in one linear solve."""
    a, q = baselines.JERK_TRANSITION, stiffness * baselines.JERK_NOISE
    size = 3 * frames
    precision = np.zeros((size, size))
    precision[:3, :3] = np.linalg.inv(baselines.DIFFUSE)
    inverse = np.linalg.inv(q)
    for t in range(frames - 1):
        now, then = slice(3 * t, 3 * t + 3), slice(3 * t + 3, 3 * t + 6)
        precision[now, now] += a.T @ inverse @ a
        precision[then, then] += inverse
        precision[now, then] -= a.T @ inverse
        precision[then, now] -= inverse @ a
    measured = np.zeros((frames, size))
    measured[np.arange(frames), 3 * np.arange(frames)] = 1
    expected = measured @ np.linalg.solve(precision + measured.T @ measured, measured.T)
    assert np.allclose(baselines.smoother_matrix(frames, stiffness), expected, atol=1e-4)


def test_the_one_euro_filter_is_the_published_recursion() -> None:
    x = np.array([0., 1., 1.])[:, None]
    cutoff, alpha = .1, 1 / (1 + 1 / (2 * np.pi * .1))
    forward = [0., alpha, alpha + alpha * (1 - alpha)]
    second = forward[1] * alpha + forward[2] * (1 - alpha)
    expected = [second * (1 - alpha), second, forward[2]]
    assert np.allclose(baselines.one_euro(cutoff, 0.)(x)[:, 0], expected)
