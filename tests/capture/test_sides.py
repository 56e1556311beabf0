from __future__ import annotations

import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion.capture.draft import Draft, Signer
from pose_diffusion.capture.sides import duplicates, exchanged
from pose_diffusion.layout import BODY, LEFT_HAND, RIGHT_HAND
from tests.capture.faults import at, changed, copied, correct, move, signing, swap, values
from tests.poses import assert_same_bits, lose, part

RUNS = {"one frame": slice(12, 13), "two": slice(20, 22), "five": slice(30, 35), "the start": slice(0, 3),
        "the end": slice(37, 40), "the last frame": slice(39, 40), "all": slice(0, 40)}


@pytest.mark.parametrize("frames", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("left_seen", [True, False])
def test_hands_under_the_wrong_label_are_put_right_bit_for_bit(frames: slice, left_seen: bool) -> None:
    pose = signing()
    if not left_seen:  # a single hand under the wrong label leaves the other component empty
        pose = lose(pose, slice(None), part(pose, LEFT_HAND))
    wrong = swap(pose, frames)
    assert not np.array_equal(values(wrong)[1] * values(wrong)[0][..., 0], values(pose)[1] * values(pose)[0][..., 0])
    assert_same_bits(correct(wrong, "hand_swap"), pose)


def test_several_runs_and_one_hand_missing_at_times() -> None:
    pose = lose(signing(), slice(8, 24), part(signing(), LEFT_HAND))
    frames = np.isin(np.arange(40), [3, 4, 10, 11, 12, 22, 23, 24, 33])
    assert_same_bits(correct(swap(pose, frames), "hand_swap"), pose)


def test_clean_hands_stay_bit_for_bit() -> None:
    for seed in range(12):  # the arms of some of them come within a tenth of a shoulder width
        pose = signing(60, seed) if seed % 2 else lose(signing(60, seed), slice(20, 30), part(signing(1), RIGHT_HAND))
        assert_same_bits(correct(pose, "hand_swap", "duplicates"), pose)


def crossing(frames: int = 31, noise: float = 0.0, apart: float = .02) -> Pose:
    """Arms that cross and go back again, the hands passing each other at `apart` shoulder widths."""
    pose = signing(frames)
    data = np.ma.getdata(pose.body.data).copy()
    way = (np.cos(np.linspace(0, 2 * np.pi, frames)) * .5 * 150).astype(np.float32)
    rng = np.random.default_rng(0)
    for side, hand, sign in (("LEFT", LEFT_HAND, 1), ("RIGHT", RIGHT_HAND, -1)):
        wrist = at(pose, BODY, f"{side}_WRIST")
        place = np.stack([320 + sign * way, np.full(frames, 300 + sign * apart * 75)], axis=1)
        points = range(part(pose, hand).start, part(pose, hand).stop)
        data[:, 0, points, :2] += (place - data[:, 0, part(pose, hand).start, :2])[:, None].astype(np.float32)
        data[:, 0, wrist, :2] = place + rng.normal(0, noise * 150, place.shape)
    return changed(pose, data)


@pytest.mark.parametrize("noise", [0.0, .05, .1])
def test_hands_that_cross_keep_their_labels(noise: float) -> None:
    pose = crossing(noise=noise)
    assert_same_bits(correct(pose, "hand_swap", "duplicates"), pose)


def test_hands_that_were_swapped_while_they_cross_are_put_right() -> None:
    assert_same_bits(correct(swap(crossing(noise=.03), slice(9, 21)), "hand_swap"), crossing(noise=.03))


def test_hands_that_touch_keep_their_labels_though_the_arms_err() -> None:
    pose = crossing(apart=.15)
    data = np.ma.getdata(pose.body.data).copy()
    data[:, 0, part(pose, LEFT_HAND), 0] += 330 - data[:, 0, [part(pose, LEFT_HAND).start], 0]
    data[:, 0, part(pose, RIGHT_HAND), 0] += 310 - data[:, 0, [part(pose, RIGHT_HAND).start], 0]
    wrists = [at(pose, BODY, f"{side}_WRIST") for side in ("LEFT", "RIGHT")]
    data[:, 0, wrists, :2] = [[330, 310], [310, 290]]
    data[10:13, 0, wrists] = data[10:13, 0, wrists[::-1]]  # so frame by frame each hand is nearer to the other arm
    data[20, 0, wrists] = data[20, 0, wrists[::-1]]
    pose = changed(pose, data)
    signer = Draft(pose).signer(0)
    nearer = np.linalg.norm(signer.hands[:, :, 0] - signer.wrists[:, ::-1], axis=-1) < signer.mismatch()[0]
    assert nearer.all(1).sum() == 4
    assert_same_bits(correct(pose, "hand_swap", "duplicates"), pose)


def test_a_single_wild_arm_does_not_move_a_hand() -> None:
    pose = lose(signing(), slice(None), part(signing(1), LEFT_HAND))
    data = np.ma.getdata(pose.body.data).copy()
    right = data[15:17, 0, at(pose, BODY, "RIGHT_WRIST"), :2]
    data[15:17, 0, at(pose, BODY, "LEFT_WRIST"), :2] = right
    data[15:17, 0, at(pose, BODY, "RIGHT_WRIST"), :2] += 20
    assert_same_bits(correct(changed(pose, data), "hand_swap"), changed(pose, data))


def test_what_only_one_hand_of_the_header_has_cannot_go_along() -> None:
    pose = signing().get_components([BODY, LEFT_HAND, RIGHT_HAND], {RIGHT_HAND: ["WRIST", "THUMB_TIP"]})
    fixed = correct(swap_partial(pose, slice(10, 14)), "hand_swap")
    for hand in (LEFT_HAND, RIGHT_HAND):
        for point in ("WRIST", "THUMB_TIP"):
            i = at(pose, hand, point)
            assert np.array_equal(fixed.body.data.data[:, 0, i], pose.body.data.data[:, 0, i])
    others = [i for i in range(part(pose, LEFT_HAND).start, part(pose, LEFT_HAND).stop)
              if i not in (at(pose, LEFT_HAND, "WRIST"), at(pose, LEFT_HAND, "THUMB_TIP"))]
    assert not fixed.body.confidence[10:14, 0, others].any()
    assert not fixed.body.data.data[10:14, 0, others].any()
    assert fixed.body.confidence[:10, 0, others].all()
    assert fixed.body.confidence[14:, 0, others].all()


def swap_partial(pose: Pose, frames: slice) -> Pose:
    data = np.ma.getdata(pose.body.data).copy()
    for point in ("WRIST", "THUMB_TIP"):
        both = [at(pose, LEFT_HAND, point), at(pose, RIGHT_HAND, point)]
        data[frames, 0, both] = data[frames, 0, both[::-1]]
    return changed(pose, data)


@pytest.mark.parametrize(("source", "target"), [(LEFT_HAND, RIGHT_HAND), (RIGHT_HAND, LEFT_HAND)])
@pytest.mark.parametrize("frames", [slice(5, 6), slice(10, 24), slice(0, 40)])
def test_a_hand_that_is_there_twice_stays_on_its_own_arm(source: str, target: str, frames: slice) -> None:
    pose = signing()
    fixed = correct(copied(pose, frames, source, target), "duplicates")
    assert_same_bits(fixed, masked(lose(pose, frames, part(pose, target))))


def masked(pose: Pose) -> Pose:
    pose.body.data = np.ma.masked_array(pose.body.data, mask=np.ma.getmaskarray(pose.body.data)
                                        | (pose.body.confidence == 0)[..., None])
    return pose


def test_which_of_two_equal_hands_goes_is_decided_over_the_run() -> None:
    pose = copied(signing(), slice(10, 16), LEFT_HAND, RIGHT_HAND)
    data = np.ma.getdata(pose.body.data).copy()
    left, right = at(pose, BODY, "LEFT_WRIST"), at(pose, BODY, "RIGHT_WRIST")
    data[12, 0, [left, right]] = data[12, 0, [right, left]]  # the arms err for a frame
    removed = duplicates(Draft(changed(pose, data)).signer(0))
    assert removed[10:16].tolist() == [[False, True]] * 6
    assert removed.sum() == 6


def test_two_hands_that_are_close_are_not_one() -> None:
    pose = crossing(apart=0)
    signer = Draft(pose).signer(0)
    gap = np.linalg.norm(signer.hands[:, 0] - signer.hands[:, 1], axis=-1).mean(1)
    assert .05 < gap.min() < .3  # wrist on wrist
    assert_same_bits(correct(pose, "duplicates"), pose)


def test_a_copy_with_noise_goes_if_the_arms_say_so() -> None:
    pose = copied(signing(), slice(10, 20), RIGHT_HAND, LEFT_HAND, noise=.06)
    fixed = correct(pose, "duplicates")
    assert not values(fixed, LEFT_HAND)[1][10:20].any()
    assert values(fixed, RIGHT_HAND)[1].all()


def test_without_arms_nothing_is_known_of_sides() -> None:
    wrong = copied(swap(signing(), slice(10, 20)), slice(30, 33), LEFT_HAND, RIGHT_HAND)
    for points in ([at(wrong, BODY, "LEFT_WRIST"), at(wrong, BODY, "RIGHT_WRIST")], part(wrong, BODY)):
        armless = masked(lose(wrong, slice(None), points))
        assert_same_bits(correct(armless, "hand_swap", "duplicates"), armless)


def test_one_arm_is_enough_if_the_hand_sits_on_it() -> None:
    pose = lose(signing(), slice(None), part(signing(1), LEFT_HAND))
    pose = masked(lose(pose, slice(None), [at(pose, BODY, "LEFT_WRIST")]))
    assert_same_bits(correct(swap(pose, slice(11, 14)), "hand_swap"), pose)
    off = move(pose, slice(11, 14), part(pose, RIGHT_HAND), (.5, -.3))  # off the arm that is seen: no other is known
    assert_same_bits(correct(masked(off), "hand_swap"), masked(off))


def test_gaps_without_hands_are_no_reason_to_change() -> None:
    hands = [*range(part(signing(1), LEFT_HAND).start, part(signing(1), RIGHT_HAND).stop)]
    pose = masked(lose(signing(), slice(10, 30), hands))
    assert not exchanged(Draft(pose).signer(0)).any()
    assert exchanged(Draft(swap(pose, slice(30, 40))).signer(0))[30:].all()


def test_no_hands_and_a_single_frame() -> None:
    nothing = Signer(np.zeros((3, 67, 2), np.float32), np.zeros((3, 67), np.float32), np.zeros((3, 67), bool), 25.0)
    assert not exchanged(nothing).any()
    assert not duplicates(nothing).any()
    assert_same_bits(correct(swap(signing(1), slice(0, 1)), "hand_swap"), signing(1))
