from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_diffusion.evaluation.cases import INNER
from pose_diffusion.evaluation.metrics import (
    bootstrap,
    calibration_error,
    interval,
    measure,
    measure_hypotheses,
    ratio,
    value,
)
from pose_diffusion.layout import HOLISTIC, LEFT_HAND
from tests.evaluation.constructed import trial

FRAMES = 12
LEFT_WRIST = HOLISTIC.index(LEFT_HAND, "WRIST")


def still(frames: int = FRAMES) -> np.ndarray:
    return np.broadcast_to(np.random.default_rng(0).normal(size=(1, INNER, 3)), (frames, INNER, 3)).copy()


def everything(frames: int = FRAMES) -> np.ndarray:
    return np.ones((frames, INNER), bool)


def test_a_constant_shift_is_its_length_in_2d_and_in_3d() -> None:
    truth = still()
    scores = measure(truth + np.array([.3, .4, 1.2]), trial(truth, everything(), everything()))
    assert value(scores["error_2d"]) == pytest.approx(.5)
    assert value(scores["error_3d"]) == pytest.approx(1.3)
    assert value(scores["hands_2d"]) == value(scores["body_2d"]) == pytest.approx(.5)
    assert value(scores["pck"]) == 0


def test_touched_and_untouched_points_are_kept_apart() -> None:
    truth, touched = still(), everything()
    touched[:, 10:] = False
    moved = truth.copy()
    moved[:, :10, 0] += .02
    moved[:, 10:, 0] += .001
    scores = measure(moved, trial(truth, everything(), touched))
    assert value(scores["error_2d"]) == pytest.approx(.02)
    assert value(scores["untouched_2d"]) == pytest.approx(.001)
    assert value(scores["pck"]) == 1
    assert np.isnan(value(scores["hands_2d"]))


def test_location_is_the_wrist_and_handshape_does_not_see_it() -> None:
    truth = still()
    moved = truth.copy()
    moved[:, HOLISTIC.parts["left_hand"], 0] += .1
    moved[:, LEFT_WRIST + 1:HOLISTIC.parts["left_hand"].stop, 1] += .03
    touched = ~everything()
    touched[:, HOLISTIC.parts["left_hand"]] = True
    scores = measure(moved, trial(truth, everything(), touched))
    assert value(scores["location_2d"]) == pytest.approx(.1)
    assert value(scores["handshape_2d"]) == pytest.approx(.03)


def test_errors_go_by_the_length_of_their_gap() -> None:
    truth, observed = still(40), everything(40)
    observed[5:7, 30] = observed[5:10, 31] = observed[30:, 32] = False
    wrong = truth.copy()
    wrong[:, 30, 0] += .1
    wrong[:, 31, 0] += .2
    wrong[:, 32, 0] += .3
    scores = measure(wrong, trial(truth, observed, ~observed))
    assert value(scores["gap 1-2"]) == pytest.approx(.1)
    assert value(scores["gap 3-8"]) == pytest.approx(.2)
    assert value(scores["gap at an end"]) == value(scores["gap long"]) == pytest.approx(.3)
    assert np.isnan(value(scores["gap 9-20"]))


def test_acceleration_of_parabolas() -> None:
    t = np.arange(FRAMES)[:, None, None]
    truth = np.broadcast_to(.5 * .02 * t**2, (FRAMES, INNER, 3)).copy()
    ours = 2 * truth
    scores = measure(ours, trial(truth, everything(), everything()))
    assert value(scores["acceleration_ratio"]) == pytest.approx(2)
    assert value(scores["acceleration_2d"]) == pytest.approx(.02 * np.sqrt(2))


def test_acceleration_does_not_cross_clips_and_leaves_out_frames_next_to_unknown_ones() -> None:
    truth = np.zeros((10, INNER, 3))
    ours = truth.copy()
    ours[5:] = 100  # the second clip is elsewhere
    scores = measure(ours, trial(truth, everything(10), everything(10), [5, 5]))
    assert value(scores["acceleration_2d"]) == 0
    ours[7] += 1
    part = trial(truth, everything(10), everything(10), [5, 5])
    part.valid[7] = False
    assert value(measure(ours, part)["acceleration_2d"]) == 0
    part.valid[7] = True
    assert value(measure(ours, part)["acceleration_2d"]) > 0


def test_bones_that_do_not_change_have_no_spread() -> None:
    truth = still()
    straight = trial(truth, everything(), everything())
    assert value(measure(truth, straight)["bones"]) == pytest.approx(0, abs=1e-6)
    breathing = truth * (1 + .1 * np.resize([1, -1], FRAMES))[:, None, None]
    assert value(measure(breathing, straight)["bones"]) == pytest.approx(.1)


def test_best_of_samples_is_per_clip_and_the_mean_is_of_points() -> None:
    truth = still()
    test = trial(truth, everything(), everything(), [6, 6])
    samples = np.stack([truth, truth])
    samples[0, :6, :, 0] += .1
    samples[0, 6:, :, 0] += .3
    samples[1, :6, :, 0] -= .2
    samples[1, 6:, :, 0] -= .1
    scores = measure_hypotheses(samples, test)
    assert value(scores["one_2d"]) == pytest.approx(.2)
    assert value(scores["best_2d"]) == pytest.approx(.1)
    assert value(scores["mean_2d"]) == pytest.approx(.075)


def test_samples_of_the_true_distribution_are_calibrated_and_narrow_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1500, INNER, 3))
    test = trial(truth, everything(1500), everything(1500))
    samples = rng.normal(size=(32, 1500, INNER, 3))
    assert calibration_error(samples, test) == pytest.approx(.025, abs=.01)
    assert value(measure_hypotheses(samples, test)["coverage"]) == pytest.approx(.9, abs=.01)
    narrow = samples / 4
    assert calibration_error(narrow, test) > .2
    assert value(measure_hypotheses(narrow, test)["coverage"]) < .5


def test_calibration_error_of_nothing_is_not_a_number() -> None:
    test = trial(still(), everything(), ~everything())
    assert np.isnan(calibration_error(np.stack([still(), still()]), test))


def test_the_bootstrap_knows_the_standard_error_and_pairs_methods() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(1, .2, 400)
    tally = np.stack([errors, np.ones(400)])
    draws = bootstrap([tally, 2 * tally * [[1], [.5]]], draws=2000)
    assert draws[0].std() == pytest.approx(.2 / 20, rel=.1)
    low, high = interval(draws[0])
    assert low < 1 < high
    assert np.allclose(draws[1] / draws[0], 2)


def test_the_interval_of_nothing_is_not_a_number() -> None:
    assert np.isnan(interval(np.full(3, np.nan))).all()


@given(st.floats(.01, 10), st.floats(.01, 10))
def test_a_ratio_is_that_of_the_values(a: float, b: float) -> None:
    assert ratio(np.array([[a], [1]]), np.array([[b], [2]])) == pytest.approx(2 * a / b)
    assert np.isnan(ratio(np.array([[a], [1]]), np.array([[0.], [1]])))
