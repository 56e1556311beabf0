from __future__ import annotations

import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion.capture.draft import Draft
from pose_diffusion.capture.plausibility import ACCELERATION, LEAST, LONGER, acceleration, bone_errors, plausibility
from pose_diffusion.capture.rules import fading
from pose_diffusion.layout import BODY, LEFT_HAND, RIGHT_HAND
from tests.capture.faults import SHOULDERS, at, changed, correct, move, signing, values
from tests.poses import assert_same_bits, lose, part


def scaled(pose: Pose, frames: slice, hand: str, by: float) -> Pose:
    """A hand larger or smaller than it is, about its wrist."""
    data = np.ma.getdata(pose.body.data).copy()
    own = data[frames, 0, part(pose, hand)]
    data[frames, 0, part(pose, hand)] = own[:, :1] + np.float32(by) * (own - own[:, :1])
    return changed(pose, data)


def shaken(pose: Pose, frames: slice, hand: str, std: float) -> Pose:
    """A hand whose points jitter."""
    data = np.ma.getdata(pose.body.data).copy()
    own = data[frames, 0, part(pose, hand), :2]
    own += np.random.default_rng(0).normal(0, std * SHOULDERS, own.shape)
    return changed(pose, data)


def test_clean_hands_keep_their_confidence_bit_for_bit() -> None:
    for seed in range(8):
        assert_same_bits(correct(signing(50, seed), "plausibility"), signing(50, seed))
    slow = signing(50, fps=10.0)
    assert_same_bits(correct(slow, "plausibility"), slow)


FAULTS = {"off its arm": lambda pose, frames, hand: move(pose, frames, part(pose, hand), (.3, .3)),
          "too large": lambda pose, frames, hand: scaled(pose, frames, hand, 2.2),
          "collapsed": lambda pose, frames, hand: scaled(pose, frames, hand, .2),
          "scrambled": lambda pose, frames, hand: shaken(pose, frames, hand, .12)}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("hand", [LEFT_HAND, RIGHT_HAND])
def test_an_implausible_hand_loses_confidence_and_only_that(fault: object, hand: str) -> None:
    assert callable(fault)
    frames = slice(12, 17)
    wrong = fault(signing(50), frames, hand)
    fixed = correct(wrong, "plausibility")
    assert np.array_equal(np.ma.getdata(fixed.body.data), np.ma.getdata(wrong.body.data))
    factor = values(fixed, hand)[1] / values(wrong, hand)[1]
    assert (factor[frames] < .9).all()
    assert (factor[frames] >= LEAST - 1e-6).all()
    assert (factor[frames] == factor[frames, :1]).all()  # all points of a hand alike
    expected = wrong.body.confidence.copy()
    expected[frames, 0, part(wrong, hand)] = fixed.body.confidence[frames, 0, part(wrong, hand)]
    assert np.array_equal(fixed.body.confidence, expected)  # in other frames, and of everything else, bit for bit


def test_the_further_off_the_less_it_is_believed() -> None:
    pose = signing(50)
    factors = [plausibility(Draft(move(pose, slice(20, 30), part(pose, LEFT_HAND), (far, 0))).signer(0))[24, 0]
               for far in (0, .24, .26, .4, .6, 3)]
    assert factors[:2] == [1, 1]
    assert factors[2:5] == pytest.approx([np.exp(1 - far / .25) for far in (.26, .4, .6)], rel=1e-3)
    assert factors[5] == LEAST


def test_shaking_is_told_from_moving() -> None:
    pose = signing(50)
    data = np.ma.getdata(pose.body.data).copy()
    shake = np.where(np.arange(10) % 2, .12, -.12) * SHOULDERS
    data[20:30, 0, part(pose, RIGHT_HAND), 0] += shake[:, None].astype(np.float32)  # rigid, within the arm's reach
    factor = plausibility(Draft(changed(pose, data)).signer(0))
    assert (factor[22:28, 1] < .8).all()
    assert (factor[:, 0] == 1).all()
    assert (factor[[*range(18), *range(32, 50)], 1] == 1).all()
    arm = [at(pose, BODY, f"RIGHT_{name}") for name in ("WRIST", "PINKY", "INDEX", "THUMB")]
    data[20:30, 0, arm, 0] += shake[:, None].astype(np.float32)  # the arm does the same
    assert (plausibility(Draft(changed(pose, data)).signer(0)) == 1).all()


def test_a_frame_that_jumps_is_blamed_and_not_its_neighbours() -> None:
    pose = signing()
    jumped = acceleration(Draft(move(pose, slice(20, 21), part(pose, LEFT_HAND), (.5, 0))).signer(0))
    calm = acceleration(Draft(pose).signer(0))
    assert jumped[20, 0] > .4
    assert np.array_equal(np.delete(jumped, 20, axis=0) > ACCELERATION, np.delete(calm, 20, axis=0) > ACCELERATION)


def test_bones_are_compared_with_the_clip_and_the_other_hand() -> None:
    pose = signing(50)
    longer, shorter = bone_errors(Draft(scaled(pose, slice(20, 25), LEFT_HAND, 2.0)).signer(0))
    usual, _ = bone_errors(Draft(pose).signer(0))
    assert usual.max() < LONGER / 3
    assert longer[20:25, 0] == pytest.approx(np.full(5, np.log(2)), abs=.15)
    rare = lose(pose, slice(3, 50), part(pose, LEFT_HAND))  # seen in three frames only: the right one tells its size
    assert bone_errors(Draft(scaled(rare, slice(0, 3), LEFT_HAND, 2.0)).signer(0))[0][:3, 0].min() > LONGER
    few = signing(3)
    assert not np.any(bone_errors(Draft(scaled(few, slice(0, 1), LEFT_HAND, 3.0)).signer(0)))


def test_a_point_that_is_missing_is_not_judged() -> None:
    tips = [at(signing(1), LEFT_HAND, f"{finger}_TIP") for finger in ("THUMB", "RING_FINGER", "PINKY")]
    pose = lose(signing(), slice(10, 20), tips)
    assert (plausibility(Draft(pose).signer(0)) == 1).all()
    assert not values(correct(pose, "plausibility"))[1][10:20, tips].any()


OFFSETS = {LEFT_HAND: (.05, -.08), RIGHT_HAND: (-.12, .1)}


def apart() -> Pose:
    """Hands a little off their arms."""
    pose = signing(50)
    for hand, by in OFFSETS.items():
        pose = move(pose, slice(None), part(pose, hand), by)
    return pose


def test_the_arm_goes_to_the_hand_in_x_and_y() -> None:
    pose = apart()
    fixed = correct(pose, "wrists")
    wrists = [at(pose, BODY, f"{side}_WRIST") for side in ("LEFT", "RIGHT")]
    own = [at(pose, hand, "WRIST") for hand in OFFSETS]
    before, after = np.ma.getdata(pose.body.data), np.ma.getdata(fixed.body.data)
    assert np.array_equal(after[:, :, wrists, :2], before[:, :, own, :2])
    assert np.array_equal(after[:, :, wrists, 2], before[:, :, wrists, 2])  # the z of body and hand are not the same
    assert np.array_equal(np.delete(after, wrists, axis=2), np.delete(before, wrists, axis=2))
    assert np.array_equal(fixed.body.confidence, pose.body.confidence)


def test_hands_far_off_or_implausible_are_no_place_for_an_arm() -> None:
    pose = scaled(move(apart(), slice(10, 14), part(apart(), LEFT_HAND), (.3, .1)), slice(30, 33), RIGHT_HAND, 2.5)
    fixed = correct(pose, "wrists")
    for side, hand, bad in (("LEFT", LEFT_HAND, slice(10, 14)), ("RIGHT", RIGHT_HAND, slice(30, 33))):
        arm, own = at(pose, BODY, f"{side}_WRIST"), at(pose, hand, "WRIST")
        before, after = values(pose)[0][:, arm], values(fixed)[0][:, arm]
        good = np.delete(np.arange(50), bad)
        assert np.array_equal(after[bad], before[bad])
        assert np.array_equal(after[good, :2], values(pose)[0][good, own, :2])


def test_where_the_hand_is_lost_the_arm_keeps_its_offset_and_lets_go_of_it() -> None:
    pose = lose(lose(apart(), slice(10, 18), part(apart(), LEFT_HAND)), slice(15, 50), part(apart(), RIGHT_HAND))
    fixed = correct(pose, "wrists")
    moved = (values(fixed)[0] - values(pose)[0])[..., :2] / SHOULDERS
    left, right = (at(pose, BODY, f"{side}_WRIST") for side in ("LEFT", "RIGHT"))
    assert np.allclose(moved[:, left], OFFSETS[LEFT_HAND], atol=1e-4)  # no jump in the gap
    share = moved[:, right] / OFFSETS[RIGHT_HAND]
    assert np.allclose(share[:15 + 12], 1, atol=1e-3)  # half a second at 25 frames per second
    assert np.allclose(share[14 + 25:], 0, atol=1e-3)  # a second
    assert (np.diff(share, axis=0) < 1e-3).all()
    assert np.array_equal(values(fixed)[0][14 + 25:, right], values(pose)[0][14 + 25:, right])


def test_an_arm_that_is_not_seen_is_not_invented() -> None:
    pose = lose(apart(), slice(20, 30), [at(apart(), BODY, "LEFT_WRIST")])
    fixed = correct(pose, "wrists")
    assert np.array_equal(fixed.body.confidence, pose.body.confidence)
    assert not values(fixed)[0][20:30, at(pose, BODY, "LEFT_WRIST")].any()


def test_fading_by_hand() -> None:
    near = np.zeros((12, 2), bool)
    near[4, 0] = True
    expected = np.clip((1 - np.abs(np.arange(12) - 4) / 8) / .5, 0, 1)
    assert fading(near, 8.0)[:, 0] == pytest.approx(expected)
    assert not fading(near, 8.0)[:, 1].any()
