"""`correct_capture` as a whole: its contracts with its callers."""
from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from pose_format import Pose
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

import pose_diffusion
from pose_diffusion.layout import BODY, LEFT_HAND, RIGHT_HAND, UnknownSchemaError, header_positions
from tests.capture.faults import OFF, at, changed, copied, correct, headers, move, signing, swap, values
from tests.poses import assert_same_bits, component, constructed_pose, describe, lose, part, to_bytes

HEADERS = tuple(headers(signing(2)))


def faulty(frames: int = 40, **settings: Any) -> Pose:
    """Somebody of whom everything is wrong at some time."""
    pose = copied(swap(signing(frames, **settings), slice(5, 9)), slice(12, 15), LEFT_HAND, RIGHT_HAND)
    pose = move(pose, slice(20, 21), part(pose, LEFT_HAND), (.5, -.4))
    pose = move(pose, slice(24, 28), part(pose, RIGHT_HAND), (.35, .1))
    pose = move(pose, slice(31, 32), at(pose, BODY, "LEFT_ELBOW"), (.6, .2))
    return move(pose, slice(33, 40), part(pose, LEFT_HAND), (.08, .05))


def test_every_fault_is_put_right_at_once() -> None:
    truth, fixed = signing(), pose_diffusion.correct_capture(faulty())
    data, confidence = values(fixed)
    left, right = part(fixed, LEFT_HAND), part(fixed, RIGHT_HAND)
    assert np.array_equal(data[5:9, left.start:right.stop], values(truth)[0][5:9, left.start:right.stop])
    lost = np.zeros(confidence.shape, bool)
    lost[12:15, right] = lost[20, left] = lost[31, at(fixed, BODY, "LEFT_ELBOW")] = True
    assert np.array_equal(confidence == 0, lost)
    assert not data[lost].any()
    assert np.ma.getmaskarray(fixed.body.data)[:, 0].all(-1).tolist() == lost.tolist()
    doubted = np.zeros(confidence.shape, bool)
    doubted[24:28, right] = True
    assert np.array_equal((confidence != values(truth)[1]) & ~lost, doubted)
    wrist = at(fixed, BODY, "LEFT_WRIST")
    assert np.array_equal(data[33:40, wrist, :2], data[33:40, left.start, :2])


def test_the_input_and_its_header_are_not_changed() -> None:
    content = to_bytes(faulty())
    pose, other = Pose.read(content), Pose.read(content)
    assert pose.header is other.header  # pose-format shares it
    fixed = pose_diffusion.correct_capture(pose)
    assert_same_bits(pose, Pose.read(content))
    assert fixed.header is not pose.header
    assert describe(fixed.header) == describe(pose.header)
    fixed.header.dimensions.width = 1
    fixed.header.components[0].points[0] = "changed"
    assert_same_bits(other, Pose.read(content))


def test_what_is_removed_stays_removed_in_a_file() -> None:
    fixed = pose_diffusion.correct_capture(faulty())
    again = Pose.read(to_bytes(fixed))
    assert np.array_equal(again.body.confidence, fixed.body.confidence)
    assert np.array_equal(np.ma.getdata(again.body.data), np.ma.getdata(fixed.body.data))


@pytest.mark.parametrize("kind", HEADERS)
def test_any_header(kind: str) -> None:
    pose = headers(faulty())[kind]
    fixed = pose_diffusion.correct_capture(pose)
    assert fixed.body.data.shape == pose.body.data.shape
    assert fixed.body.data.dtype == pose.body.data.dtype
    assert fixed.body.fps == pose.body.fps
    assert describe(fixed.header) == describe(pose.header)
    assert np.isfinite(np.ma.getdata(fixed.body.data)).all()
    assert (fixed.body.confidence <= pose.body.confidence.max()).all()


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("clean", [True, False])
def test_without_rules_or_faults_nothing_changes(kind: str, clean: bool) -> None:
    pose = headers(signing() if clean else faulty())[kind]
    assert_same_bits(pose_diffusion.correct_capture(pose) if clean else correct(pose), pose)


def test_reduced_and_reordered_headers_are_corrected_alike() -> None:
    kinds = headers(faulty())
    expected = headers(pose_diffusion.correct_capture(faulty()))
    for kind in ("reduced", "reordered"):
        fixed = pose_diffusion.correct_capture(kinds[kind])
        for hand in (LEFT_HAND, RIGHT_HAND):
            assert np.array_equal(values(fixed, hand)[0], values(expected[kind], hand)[0])
            assert values(fixed, hand)[1] == pytest.approx(values(expected[kind], hand)[1], rel=1e-4)
        wrists = [at(fixed, BODY, f"{side}_WRIST") for side in ("LEFT", "RIGHT")]
        assert np.array_equal(values(fixed)[0][:, wrists], values(expected[kind])[0][:, wrists])


def test_a_rule_does_nothing_without_the_points_it_needs() -> None:
    kinds = headers(faulty())
    for kind in ("no wrists", "no hands", "hands"):
        assert_same_bits(correct(kinds[kind], "hand_swap", "duplicates", "wrists"), kinds[kind])
    assert_same_bits(correct(kinds["one hand"], "hand_swap", "duplicates"), kinds["one hand"])
    assert_same_bits(correct(kinds["no hands"], "plausibility"), kinds["no hands"])
    elbow = at(kinds["no hands"], BODY, "LEFT_ELBOW")
    assert correct(kinds["no hands"], "outliers").body.confidence[31, 0, elbow] == 0


@pytest.mark.parametrize("rule", OFF)
def test_each_rule_can_be_switched_off_and_works_alone(rule: str) -> None:
    pose = copied(signing(), slice(None), LEFT_HAND, RIGHT_HAND) if rule == "duplicates" else faulty()
    assert not same(correct(pose, rule), pose)
    assert not same(pose_diffusion.correct_capture(pose, **{rule: False}), pose_diffusion.correct_capture(pose))


def same(a: Pose, b: Pose) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(values(a), values(b)))


def test_people_are_corrected_one_by_one() -> None:
    pose = signing(people=2)
    wrong = move(swap(pose, slice(5, 9), person=1), slice(20, 21), part(pose, LEFT_HAND), (.5, -.4), person=0)
    fixed = pose_diffusion.correct_capture(wrong)
    assert not values(fixed, LEFT_HAND, person=0)[1][20].any()
    assert np.array_equal(values(fixed, person=1)[0], values(pose, person=1)[0])
    alone = pose_diffusion.correct_capture(changed(one(wrong, 0), None))
    assert np.array_equal(values(fixed, person=0)[0], values(alone)[0])
    assert np.array_equal(values(fixed, person=0)[1], values(alone)[1])


def one(pose: Pose, person: int) -> Pose:
    body = pose.body
    return Pose(pose.header, type(body)(body.fps, body.data[:, [person]], body.confidence[:, [person]]))


def test_other_number_types_and_bodies() -> None:
    pose = faulty()
    fixed = pose_diffusion.correct_capture(pose)
    double = pose_diffusion.correct_capture(changed(pose, np.ma.getdata(pose.body.data).astype(np.float64)))
    assert double.body.data.dtype == np.float64
    assert np.array_equal(double.body.confidence, fixed.body.confidence)
    torch_body = Pose.read(to_bytes(pose)).torch()
    assert np.array_equal(pose_diffusion.correct_capture(torch_body).body.confidence, fixed.body.confidence)


def test_nan_in_a_point_that_is_missing_is_left_alone() -> None:
    pose = lose(signing(), slice(10, 20), part(signing(1), LEFT_HAND))
    np.ma.getdata(pose.body.data)[12, 0, part(pose, LEFT_HAND)] = np.nan
    fixed = pose_diffusion.correct_capture(pose)
    assert np.array_equal(values(fixed)[0], values(pose)[0], equal_nan=True)


def test_unusable_poses_are_refused_in_one_line() -> None:
    header = PoseHeader(0.2, PoseHeaderDimensions(10, 10, 0), [component("pose_keypoints_2d", ["Nose", "Neck"], "XYC")])
    body = type(signing(1).body)(25.0, np.zeros((3, 1, 2, 2), np.float32), np.ones((3, 1, 2), np.float32))
    with pytest.raises(UnknownSchemaError, match="pose_keypoints_2d"):
        pose_diffusion.correct_capture(Pose(header, body))
    nobody = signing(3)
    nobody.body = nobody.body[:0]
    with pytest.raises(ValueError, match="no frames"):
        pose_diffusion.correct_capture(nobody)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_few_frames(frames: int) -> None:
    assert_same_bits(pose_diffusion.correct_capture(signing(frames)), signing(frames))


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_captured_the_contracts_hold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 60))
    pose = faulty(40)
    pose.body = pose.body[:frames]
    data, confidence = np.ma.getdata(pose.body.data).copy(), pose.body.confidence.copy()
    data[..., :2] += rng.normal(0, 60, data[..., :2].shape) * (rng.random(data.shape[:3]) < .1)[..., None]
    confidence *= rng.random(confidence.shape) < rng.choice([.2, .6, .95])
    data[confidence == 0] = 0
    body = type(pose.body)(float(rng.choice([5, 25, 120])), data, confidence)
    pose = headers(Pose(pose.header, body))[HEADERS[seed % len(HEADERS)]]
    fixed = pose_diffusion.correct_capture(pose)
    after = fixed.body.confidence
    assert np.isfinite(np.ma.getdata(fixed.body.data)).all()
    assert not np.ma.getdata(fixed.body.data)[after == 0].any()
    assert ((after >= 0) & (after <= 1)).all()
    hands = [i for (name, _), i in header_positions(pose.header).items() if name in (LEFT_HAND, RIGHT_HAND)]
    rest = np.delete(after, hands, axis=2)
    assert ((rest == np.delete(pose.body.confidence, hands, axis=2)) | (rest == 0)).all()
    assert (after[:, :, hands] > 0).sum() <= (pose.body.confidence[:, :, hands] > 0).sum()
    assert_same_bits(pose_diffusion.correct_capture(pose), fixed)


def test_a_pose_that_shows_nobody() -> None:
    pose = signing(12)
    empty = changed(pose, np.zeros_like(np.ma.getdata(pose.body.data)), np.zeros_like(pose.body.confidence))
    assert_same_bits(pose_diffusion.correct_capture(empty), empty)


def test_ten_thousand_frames_take_a_second_or_two() -> None:
    pose = constructed_pose(10_000)
    start = time.process_time()
    pose_diffusion.correct_capture(pose)
    assert time.process_time() - start < 3  # .7 seconds on an idle core


def test_torch_is_not_imported() -> None:
    code = ("import sys\nfrom pose_diffusion import correct_capture\nfrom tests.capture.faults import swap, signing\n"
            "assert correct_capture(swap(signing(), slice(3, 5))).body.data.shape[0] == 40\n"
            "print('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
