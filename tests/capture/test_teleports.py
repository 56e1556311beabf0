from __future__ import annotations

import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion.capture.draft import Draft
from pose_diffusion.capture.teleports import MOST_SHARE, excursions, running_median, teleports
from pose_diffusion.layout import BODY, FACE, LEFT_HAND, RIGHT_HAND
from tests.capture.faults import at, changed, correct, move, signing
from tests.poses import assert_same_bits, lose, part

WHEN = {"one frame": slice(17, 18), "two": slice(17, 19), "three": slice(17, 20), "the first": slice(0, 1),
        "the first three": slice(0, 3), "the last": slice(39, 40), "the last two": slice(38, 40)}
WHAT = ((BODY, "NOSE"), (BODY, "LEFT_ELBOW"), (BODY, "RIGHT_WRIST"), (BODY, "LEFT_INDEX"), (BODY, "RIGHT_HIP"),
        (LEFT_HAND, "INDEX_FINGER_TIP"), (RIGHT_HAND, "WRIST"), (RIGHT_HAND, "MIDDLE_FINGER_MCP"))


def without(pose: Pose, frames: slice, points: slice | list[int]) -> Pose:
    gone = lose(pose, frames, points)
    mask = np.ma.getmaskarray(pose.body.data) | (gone.body.confidence == 0)[..., None]
    gone.body.data = np.ma.masked_array(gone.body.data, mask=mask)
    return gone


@pytest.mark.parametrize("frames", WHEN.values(), ids=WHEN)
@pytest.mark.parametrize(("component", "point"), WHAT)
def test_a_point_that_jumps_is_removed_and_nothing_else(component: str, point: str, frames: slice) -> None:
    pose = signing()
    i = at(pose, component, point)
    for by in ((.5, .35), (-.6, -.1)):
        assert_same_bits(correct(move(pose, frames, i, by), "outliers"), without(pose, frames, [i]))


@pytest.mark.parametrize("frames", WHEN.values(), ids=WHEN)
@pytest.mark.parametrize("hand", [LEFT_HAND, RIGHT_HAND])
def test_a_hand_that_jumps_off_its_arm_is_removed_as_a_whole(hand: str, frames: slice) -> None:
    pose = signing()
    wrong = move(pose, frames, part(pose, hand), (.35, -.3))
    assert_same_bits(correct(wrong, "outliers"), without(pose, frames, part(pose, hand)))


def test_a_hand_off_its_arm_for_longer_is_removed_but_only_a_share_of_it() -> None:
    pose = signing()
    for length in (5, 9, 20, 40):
        wrong = move(pose, slice(40 - length, 40), part(pose, RIGHT_HAND), (.7, -.6))
        gone = correct(wrong, "outliers").body.confidence[:, 0] == 0
        assert gone[:, part(pose, RIGHT_HAND)].sum() == 21 * min(length, int(MOST_SHARE * 40))
        assert gone.sum() == gone[40 - length:, part(pose, RIGHT_HAND)].sum()


def test_of_too_many_jumps_the_farthest_go() -> None:
    pose = signing()
    wrong, i = pose, at(pose, BODY, "NOSE")
    sizes = np.linspace(.3, .95, 14)
    frames = np.random.default_rng(0).permutation(np.arange(1, 40, 3)[:13])
    for frame, size in zip(frames, sizes):
        wrong = move(wrong, slice(frame, frame + 1), i, (size, 0))
    gone = np.flatnonzero(correct(wrong, "outliers").body.confidence[:, 0, i] == 0)
    assert len(gone) == int(MOST_SHARE * 40)
    assert set(gone) == set(frames[-len(gone):])


@pytest.mark.parametrize("share", [.1, .3, .6])
def test_never_more_than_its_share_of_any_point(share: float) -> None:
    rng = np.random.default_rng(1)
    pose = signing(60)
    data = np.ma.getdata(pose.body.data).copy()
    data[..., :2] += rng.normal(0, 120, data[..., :2].shape) * (rng.random((*data.shape[:3], 1)) < share)
    gone = teleports(Draft(changed(pose, data)).signer(0))
    assert gone.any()
    assert gone.mean(0).max() <= MOST_SHARE


def quick(pose: Pose, frames: int = 40, *, fast: float = 1.0) -> Pose:
    """The right arm strikes once: a shoulder width up and down again within eight frames."""
    data = np.ma.getdata(pose.body.data).copy()
    strike = fast * 150 * np.exp(-((np.arange(frames) - 20) / 2.2)**2)
    arm = {"ELBOW": .5, "WRIST": 1, "PINKY": 1, "INDEX": 1, "THUMB": 1}
    for name, share in arm.items():
        data[:, 0, at(pose, BODY, f"RIGHT_{name}"), 1] -= (share * strike).astype(np.float32)
    data[:, 0, part(pose, RIGHT_HAND), 1] -= strike[:, None].astype(np.float32)
    return changed(pose, data)


def test_a_quick_movement_is_none() -> None:
    for seed in range(6):
        for fast in (.3, .7, 1.2):
            pose = quick(signing(40, seed), fast=fast)
            assert_same_bits(correct(pose, "outliers"), pose)


def test_a_clip_cut_out_of_a_movement_keeps_its_ends() -> None:
    for seed in range(3):
        whole = quick(signing(40, seed), fast=1.2)
        for start, stop in ((18, 40), (0, 19), (21, 40), (17, 24)):
            pose = changed(whole, np.ma.getdata(whole.body.data)[start:stop].copy(),
                           whole.body.confidence[start:stop].copy())
            assert_same_bits(correct(pose, "outliers"), pose)


def test_a_finger_that_moves_quickly_is_none() -> None:
    pose = signing()
    data = np.ma.getdata(pose.body.data).copy()
    wrist = data[20, 0, part(pose, RIGHT_HAND).start, :2].copy()
    for place, joint in ((.9, "PIP"), (.8, "DIP"), (.6, "TIP")):  # the finger bends for a frame
        i = at(pose, RIGHT_HAND, f"INDEX_FINGER_{joint}")
        data[20, 0, i, :2] = wrist + place * (data[20, 0, i, :2] - wrist)
    assert_same_bits(correct(changed(pose, data), "outliers"), changed(pose, data))


def test_a_step_to_another_place_is_no_jump() -> None:
    pose = signing()
    stays = move(pose, slice(20, 40), at(pose, BODY, "NOSE"), (.6, 0))
    assert_same_bits(correct(stays, "outliers"), stays)


def test_a_jump_beside_missing_frames_is_found() -> None:
    pose = signing()
    hand = part(pose, LEFT_HAND)
    holes = without(pose, slice(12, 14), hand)
    assert_same_bits(correct(masked(move(holes, slice(14, 15), hand, (.3, .4))), "outliers"),
                     without(holes, slice(14, 15), hand))


def masked(pose: Pose) -> Pose:
    missing = (pose.body.confidence == 0)[..., None]
    data = np.where(missing, 0, np.ma.getdata(pose.body.data)).astype(np.float32)
    pose.body.data = np.ma.masked_array(data, mask=np.broadcast_to(missing, data.shape))
    return pose


def test_a_hand_of_which_the_header_has_only_the_tips() -> None:
    tips = ["THUMB_TIP", "INDEX_FINGER_TIP", "MIDDLE_FINGER_TIP", "RING_FINGER_TIP", "PINKY_TIP"]
    pose = signing().get_components([BODY, LEFT_HAND], {LEFT_HAND: tips})
    i = at(pose, LEFT_HAND, "RING_FINGER_TIP")
    assert_same_bits(correct(move(pose, slice(20, 22), i, (.4, .4)), "outliers"), without(pose, slice(20, 22), [i]))


def test_the_face_is_left_alone() -> None:
    wrong = move(signing(), slice(20, 21), part(signing(1), FACE), (1, 1))
    assert_same_bits(correct(wrong, "outliers"), wrong)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6])
def test_short_clips(frames: int) -> None:
    pose = signing(frames)
    assert_same_bits(correct(pose, "outliers"), pose)
    wrong = move(pose, slice(frames // 2, frames // 2 + 1), part(pose, LEFT_HAND), (.8, .8))
    gone = correct(wrong, "outliers").body.confidence == 0
    assert gone.sum() == (21 if frames >= 4 else 0)


def test_excursions_of_a_track_by_hand() -> None:
    x = np.zeros((20, 1, 2), np.float32)
    x[7:9, 0, 0] = [.5, .6]
    far, at_end = excursions(x, np.arange(20))
    assert np.flatnonzero(far[:, 0]).tolist() == [7, 8]
    assert np.allclose(far[7:9, 0], [.5, .6])
    assert not at_end.any()
    x[7:11, 0, 0] = .5  # four frames are too many
    assert not excursions(x, np.arange(20))[0].any()
    x[:] = 0
    x[7, 0, 0] = .14  # below the floor
    assert not excursions(x, np.arange(20))[0].any()
    x[5:10, 0, 0] = [.15, .3, .5, .3, .15]  # speeds up and slows down: a movement
    assert not excursions(x, np.arange(20))[0].any()
    x[:] = 0
    x[18:, 0, 1] = -.4
    far, at_end = excursions(x, np.arange(20))
    assert np.flatnonzero(far[:, 0]).tolist() == np.flatnonzero(at_end[:, 0]).tolist() == [18, 19]


def test_the_running_median_is_that_of_numpy() -> None:
    x = np.random.default_rng(0).normal(size=(30, 4, 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, 7, axis=0)
    expected = np.median(windows, axis=-1)
    assert np.array_equal(running_median(x, 7)[3:-3], expected)
    assert np.array_equal(running_median(x, 7)[:3], expected[[0, 0, 0]])
    assert np.array_equal(running_median(x, 7)[-3:], expected[[-1, -1, -1]])
