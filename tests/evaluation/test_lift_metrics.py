"""Metrics of lifting against what can be worked out by hand."""
from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_diffusion.evaluation.lift_metrics import (
    Measured,
    calibration_error,
    expected_best,
    measure,
    procrustes,
    resampled,
    stack,
)
from pose_diffusion.evaluation.metrics import value
from pose_diffusion.motion.skeletons import BODY
from tests.evaluation.lift_people import body, camera, trial

RNG = np.random.default_rng


def measured(xyz: np.ndarray, seen: np.ndarray | None = None) -> dict[str, float]:
    scores = measure(xyz, camera(), trial(body(xyz.shape[1]), seen)).tallies
    return {name: value(tally[:, None]) for name, tally in scores.items()}


def scattered(count: int, std: float, seed: int = 0, frames: int = 4) -> np.ndarray:
    """Hypotheses around the truth; the pelvis is not moved."""
    noise = std * RNG(seed).standard_normal((count, frames, 17, 3))
    noise[:, :, 0] = 0
    return body(frames) + noise


def test_the_truth_scores_nothing() -> None:
    scores = measured(np.repeat(body()[None], 20, 0))
    for name in ("one", "mean", "best 1", "best 10", "joint best 10", "J-Agg 10", "scaled mean", "velocity",
                 "placed mean", "size", "reprojection", "width"):
        assert scores[name] == pytest.approx(0, abs=2e-3), name
    assert scores["PA mean"] == pytest.approx(0, abs=2e-3)
    assert "best 50" not in scores


def test_a_root_elsewhere_costs_nothing_but_in_the_picture() -> None:
    scores = measured(body()[None] + (.1, 0, 0))
    assert scores["one"] == pytest.approx(0, abs=1e-3)
    assert scores["placed mean"] == pytest.approx(100, rel=.02)  # the fitted scale takes a little of it away
    assert scores["reprojection"] == pytest.approx(1000 * .1 / 4, rel=.05)


def test_one_joint_off_by_a_known_length() -> None:
    xyz = np.repeat(body()[None], 2, 0)
    xyz[0, :, BODY.index("left_wrist")] += (.03, .04, 0)
    scores = measured(xyz)
    assert scores["one"] == pytest.approx(50 / 17 / 2, rel=1e-3)
    assert scores["mean"] == pytest.approx(25 / 17, rel=1e-3)
    assert scores["best 1"] == pytest.approx(50 / 17 / 2, rel=1e-3)


def test_hidden_joints_are_measured_apart() -> None:
    xyz, wrist = body()[None].copy(), BODY.index("left_wrist")
    xyz[0, :, wrist, 2] += .2
    seen = np.ones((4, 17), bool)
    seen[1:3, wrist] = False
    assert measured(xyz, seen)["hidden mean"] == pytest.approx(200, rel=1e-3)
    assert np.isnan(measured(xyz)["hidden mean"])


def test_a_scale_about_the_camera_is_told_by_nothing_but_size() -> None:
    scores = measured(1.1 * body()[None])
    assert scores["placed mean"] == pytest.approx(0, abs=2e-3)
    assert scores["scaled mean"] == pytest.approx(0, abs=2e-3)
    assert scores["reprojection"] == pytest.approx(0, abs=2e-2)
    assert scores["size"] == scores["too large"] == pytest.approx(np.log(1.1), rel=1e-4)
    assert scores["one"] > 10


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(.2, 5))
def test_procrustes_undoes_similarities_and_no_reflection(seed: int, scale: float) -> None:
    generator = RNG(seed)
    truth = generator.standard_normal((3, 17, 3))
    turn = Rotation.random(3, random_state=seed).as_matrix()
    moved = scale * truth @ np.swapaxes(turn, 1, 2) + generator.standard_normal((3, 1, 3))
    assert np.abs(procrustes(moved, truth) - truth).max() < 1e-9
    assert np.abs(procrustes(moved * (1, 1, -1), truth) - truth).max() > .05


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_procrustes_is_the_best_similarity(seed: int) -> None:
    generator = RNG(seed)
    points, truth = generator.standard_normal((2, 17, 3))
    found = procrustes(points, truth)
    least = np.square(found - truth).sum()
    for _ in range(10):
        turn = Rotation.from_rotvec(.1 * generator.standard_normal(3)).as_matrix()
        other = (1 + .1 * generator.standard_normal()) * found @ turn.T + .1 * generator.standard_normal(3)
        assert np.square(other - truth).sum() >= least


@given(errors=st.lists(st.floats(0, 100), min_size=1, max_size=7), count=st.integers(1, 7))
def test_the_expected_best_is_the_mean_over_all_choices(errors: list[float], count: int) -> None:
    count = min(count, len(errors))
    every = np.mean([min(choice) for choice in combinations(errors, count)])
    assert expected_best(np.array(errors), count) == pytest.approx(every, abs=1e-9)


def test_more_choice_is_never_worse() -> None:
    scores = measured(scattered(60, .05))
    assert scores["one"] == pytest.approx(scores["best 1"])
    assert scores["best 1"] > scores["best 10"] > scores["best 50"] > scores["joint best 50"]
    assert scores["mean"] < scores["one"]
    assert scores["PA best 50"] < scores["PA best 10"] < scores["PA one"] < scores["one"]


def test_j_agg_takes_what_the_picture_shows() -> None:
    """Of two hypotheses one has the left arm right, the other the right one: together both."""
    xyz = np.repeat(body()[None], 10, 0)
    xyz[:5, :, BODY.index("left_wrist"), 0] += .3
    xyz[5:, :, BODY.index("right_wrist"), 0] += .3
    scores = measured(xyz)
    assert scores["J-Agg 10"] == pytest.approx(0, abs=1e-3)
    assert scores["best 10"] == pytest.approx(300 / 17, rel=1e-3)
    seen = np.ones((4, 17), bool)
    seen[:, BODY.index("left_wrist")] = False
    assert measured(xyz, seen)["J-Agg 10"] == pytest.approx(150 / 17, rel=1e-3)  # the mean of all


def gaussian(count: int, sequences: int, spread: float = 1., seed: int = 0) -> list[Measured]:
    """Hypotheses around an unknown middle, of which the truth is one more draw where `spread` is 1."""
    generator, out = RNG(seed), []
    for _ in range(sequences):
        offsets = generator.standard_normal((count + 1, 5, 17, 3)) * (.03, .05, .2)
        offsets[:, :, 0] = 0
        offsets[1:] *= spread
        truth = body(5) + offsets[0]
        out.append(measure((body(5) + offsets[1:]).astype(np.float32), camera(), trial(truth)))
    return out


def calibration(several: list[Measured]) -> float:
    within, frames = np.stack([one.within for one in several]), np.array([one.frames for one in several])
    return float(calibration_error(within, frames))


def test_a_perfect_sampler_is_calibrated() -> None:
    several = gaussian(50, 100)
    assert calibration(several) < .03
    assert calibration(gaussian(200, 60)) < .02
    scores = stack(several)
    assert value(scores["cover 50"]) == pytest.approx(.5, abs=.02)
    assert value(scores["cover 90"]) == pytest.approx(.9, abs=.012)
    assert value(scores["cover 90 depth"]) == pytest.approx(.9, abs=.015)


def test_too_narrow_and_too_wide_samplers_are_not() -> None:
    for spread, low, high in ((.5, 0., .7), (2., .97, 1.)):
        several = gaussian(50, 40, spread)
        assert calibration(several) > .15
        assert low <= value(stack(several)["cover 90"]) <= high


def test_intervals_of_few_hypotheses_are_not_measured() -> None:
    assert "cover 90" not in measured(scattered(10, .1))


def test_sequences_of_a_take_are_drawn_together() -> None:
    weights = resampled(["a", "b", "a", "c"], 200)
    assert weights.shape == (200, 4)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()
    assert weights.std(0).min() > .5


def test_the_weighted_calibration_of_equal_weights_is_the_plain_one() -> None:
    several = gaussian(20, 10, .5)
    within, frames = np.stack([one.within for one in several]), np.array([one.frames for one in several])
    assert calibration_error(within, frames, np.full((3, 10), 2.)) == pytest.approx([calibration(several)] * 3)
