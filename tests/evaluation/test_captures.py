"""What is measured between two captures of one video."""
from __future__ import annotations

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.evaluation.baselines import linear_on_wrist
from pose_diffusion.evaluation.captures import (
    Scene,
    as_it_is,
    jitter,
    limits,
    on_clock,
    points,
    scene,
    tallies,
    value,
)
from pose_diffusion.layout import BODY, HOLISTIC, LEFT_HAND, copy_header
from tests.poses import constructed_pose, lose, part

FRAMES = 31
SCALE = 150.  # pixels of a shoulder width
LEFT, RIGHT = HOLISTIC.parts["left_hand"], HOLISTIC.parts["right_hand"]


@pytest.fixture
def clean() -> Pose:
    return constructed_pose(FRAMES, scale=SCALE)


def copied(pose: Pose, data: np.ndarray | None = None, every: int = 1) -> Pose:
    """Every n-th frame of a pose, or of other values."""
    values = np.ma.getdata(pose.body.data).copy() if data is None else data
    confidence = np.array(pose.body.confidence)[::every]
    mask = np.broadcast_to(confidence[..., None] == 0, values[::every].shape)
    body = NumPyPoseBody(pose.body.fps / every, np.ma.masked_array(values[::every], mask), confidence)
    return Pose(copy_header(pose.header), body)


def moved(pose: Pose, by: np.ndarray, points: slice) -> Pose:
    """Points moved in x by so many pixels per frame."""
    data = np.ma.getdata(pose.body.data).copy()
    data[:, 0, points, 0] += by[:, None]
    return copied(pose, data)


def figures(estimate: np.ndarray, at: Scene) -> dict[str, float]:
    return {name: value(sums) for name, sums in tallies(estimate, at).items()}


def test_the_same_capture_has_no_error(clean: Pose) -> None:
    at = scene(clean, copied(clean))
    measured = figures(at.given.xyz[..., :2], at)
    assert measured["hands"] == measured["kept hands"] == measured["kept body"] == 0
    assert measured["near"] == 1
    assert np.isnan(measured["recovered"])
    assert np.isnan(measured["near recovered"])


def test_a_smaller_picture_is_brought_to_the_size_of_the_clean_one(clean: Pose) -> None:
    data = np.ma.getdata(clean.body.data).copy()
    data[..., :2] /= 3
    at = scene(clean, copied(clean, data), shrink=3)
    assert figures(at.given.xyz[..., :2], at)["hands"] < 1e-5


def test_a_reduced_rate_has_empty_frames_in_between(clean: Pose) -> None:
    at = scene(clean, copied(clean, every=3), every=3)
    kept = np.arange(FRAMES) % 3 == 0
    np.testing.assert_array_equal(at.given.observed.all(1), kept)
    np.testing.assert_array_equal(at.given.observed.any(1), kept)
    placed = on_clock(at.pose, clean, 3)
    assert placed.body.fps == clean.body.fps
    np.testing.assert_array_equal(np.ma.getdata(placed.body.data)[kept], np.ma.getdata(clean.body.data)[kept])
    measured = figures(linear_on_wrist(at.given.xyz, at.given.observed)[..., :2], at)
    assert measured["kept hands"] < 1e-6
    assert 0 < measured["recovered"] < .1
    assert value(as_it_is(at)["near"]) == pytest.approx(kept.mean())


def test_captures_of_different_videos_are_refused(clean: Pose) -> None:
    with pytest.raises(ValueError, match=r"16 frames are not every 3\. of 31"):
        scene(clean, copied(clean, every=2), every=3)


def test_a_shift_is_measured_in_shoulder_widths(clean: Pose) -> None:
    at = scene(clean, moved(clean, np.full(FRAMES, .1 * SCALE), part(clean, LEFT_HAND)))
    measured = figures(at.given.xyz[..., :2], at)
    assert measured["hands"] == pytest.approx(.05, rel=.05)  # one hand of two
    assert measured["kept hands"] == measured["hands"]
    assert measured["kept body"] == 0


def test_a_lost_hand_counts_as_found_where_the_estimate_is_near(clean: Pose) -> None:
    at = scene(clean, lose(clean, slice(5, 15), part(clean, LEFT_HAND)))
    estimate = at.truth.copy()
    estimate[5:10, LEFT] += [.1, 0]
    estimate[10:15, LEFT] += [.4, 0]
    measured = figures(estimate, at)
    assert measured["recovered"] == pytest.approx(.25)
    assert measured["place"] == pytest.approx(.25)
    assert measured["shape"] == pytest.approx(0, abs=1e-6)
    assert measured["near recovered"] == .5
    assert measured["near"] == pytest.approx(1 - 5 / (2 * FRAMES))
    assert measured["kept hands"] == 0
    assert value(as_it_is(at)["near"]) == pytest.approx(1 - 10 / (2 * FRAMES))


def test_a_hand_that_is_never_seen_is_not_found_and_has_no_error(clean: Pose) -> None:
    at = scene(clean, lose(clean, slice(0, FRAMES), part(clean, LEFT_HAND)))
    measured = figures(np.where(at.given.observed[..., None], at.truth, 9), at)
    assert measured["near"] == .5
    assert measured["near recovered"] == 0
    assert measured["hands"] == 0
    assert np.isnan(measured["recovered"])


def test_what_the_clean_capture_lacks_is_not_measured(clean: Pose) -> None:
    at = scene(lose(clean, slice(0, 20), part(clean, LEFT_HAND)), clean)
    assert not at.valid[:20, LEFT].any()
    assert at.valid[:, RIGHT].all()
    estimate = at.truth.copy()
    estimate[:20, LEFT] += 9
    assert figures(estimate, at)["hands"] == 0


def test_jitter_is_the_mean_length_of_white_noise() -> None:
    noise = np.random.default_rng(0).normal(0, .02, (2000, 10, 2))
    seen = np.ones(noise.shape[:2], bool)
    seen[500:600] = False
    assert value(jitter(noise, seen)) == pytest.approx(np.linalg.norm(noise, axis=-1).mean(), rel=.02)
    motion = np.linspace(0, 3, 2000)[:, None, None] ** 2 + noise
    assert value(jitter(motion, seen)) == pytest.approx(value(jitter(noise, seen)), rel=.001)


def test_only_what_is_wrong_for_many_frames_is_slow(clean: Pose) -> None:
    hands = part(clean, LEFT_HAND)
    lasting = limits(scene(clean, moved(clean, np.full(FRAMES, 15.), hands)))
    shaking = limits(scene(clean, moved(clean, 15. * (-1)**np.arange(FRAMES), hands)))
    assert value(lasting["slow"]) == pytest.approx(value(lasting["lost exact"]), rel=.01)
    assert value(shaking["slow"]) < .2 * value(shaking["lost exact"])


def test_the_filter_told_the_truth_takes_away_what_a_filter_can(clean: Pose) -> None:
    """Every frame as far to one side as the next to the other: the mean over a few frames has none of it."""
    at = scene(clean, moved(clean, 15. * (-1)**np.arange(FRAMES), slice(0, clean.header.total_points())))
    error = figures(at.given.xyz[..., :2], at)["hands"]
    assert value(limits(at)["fitted"]) < .1 * error


def test_the_corrected_truth_has_the_wrists_of_the_hands() -> None:
    clean = constructed_pose(FRAMES, scale=SCALE)
    clean = moved(clean, np.full(FRAMES, .1 * SCALE), part(clean, LEFT_HAND))
    at = scene(clean, copied(clean))
    wrist = HOLISTIC.index(BODY, "LEFT_WRIST")
    np.testing.assert_allclose(at.corrected[:, wrist], at.truth[:, LEFT.start], atol=1e-5)
    measured = figures(at.corrected, at)
    assert measured["kept body, corrected"] == 0
    assert measured["kept body"] > .001


def test_points_are_those_of_the_body_and_hands_and_flat(clean: Pose) -> None:
    at = scene(clean, copied(clean))
    xyz, confidence = points(clean, at.unit)
    assert xyz.shape == (FRAMES, RIGHT.stop, 3)
    assert not xyz[..., 2].any()
    assert confidence.min() > 0
