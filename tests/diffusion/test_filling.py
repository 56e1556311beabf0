"""What the network starts from: classical estimates, each of which must do what it is for."""
from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter
from torch import Tensor

from pose_diffusion.clip import encode
from pose_diffusion.diffusion.candidates import average, start
from pose_diffusion.diffusion.filling import Filler, median, smooth
from pose_diffusion.diffusion.interpolation import interpolate, pchip
from pose_diffusion.layout import BODY, HOLISTIC, LEFT_HAND, RIGHT_HAND
from tests.diffusion.people import (
    FRAMES,
    INNER,
    LEFT,
    LEFT_BODY_WRIST,
    RIGHT,
    RIGHT_BODY_WRIST,
    apart,
    candidate,
    gap,
    moving,
)
from tests.models import clip_of, observe, random_network, still_filler
from tests.poses import constructed_pose


@pytest.fixture(scope="module")
def filler() -> Filler:
    return random_network().filler


@pytest.fixture(scope="module")
def person() -> Tensor:
    """`(1, T, K, 3)` a person in smooth motion."""
    return torch.from_numpy(encode(constructed_pose(FRAMES))[0].xyz).unsqueeze(0)


def error(estimate: Tensor, truth: Tensor, mask: Tensor) -> float:
    """The largest distance from the truth where nothing was seen."""
    return float((estimate - truth[:, :, :INNER]).norm(dim=-1)[~mask[..., :INNER]].max())


# Filling


@pytest.mark.parametrize("name", ["filled", "trusted"])
@pytest.mark.parametrize("points", [LEFT, [LEFT_BODY_WRIST, 13], slice(0, INNER)])
def test_linear_motion_is_recovered_exactly(filler: Filler, name: str, points: slice | list[int]) -> None:
    truth, mask = moving(torch.linspace(0, 1, FRAMES)), gap(slice(15, 22), points)
    assert error(candidate(name, observe(truth, mask), filler), truth, mask) < 2e-6


def test_uneven_frames_are_interpolated_in_time(filler: Filler) -> None:
    seconds = torch.cat([torch.arange(20) * .04, .8 + torch.arange(20) * .1]).unsqueeze(0)
    truth, mask = moving(seconds[0]), gap(slice(17, 23), slice(0, INNER))
    observation = replace(observe(truth, mask), seconds=seconds)
    assert error(candidate("filled", observation, filler), truth, mask) < .01
    even = candidate("filled", observe(truth, mask), filler)
    assert error(even, truth, mask) > .03


def stiff_hand(person: Tensor) -> Tensor:
    """The left hand, with the body's knuckles and thumb, keeps its shape and moves along with the wrist."""
    hand = [LEFT_BODY_WRIST, *(HOLISTIC.index(BODY, f"LEFT_{point}") for point in ("PINKY", "INDEX", "THUMB")),
            *range(LEFT.start, LEFT.stop)]
    out = person.clone()
    out[:, :, hand] = person[:, :1, hand] + (person[:, :, [LEFT_BODY_WRIST]] - person[:, :1, [LEFT_BODY_WRIST]])
    return out


def test_a_hand_moves_with_its_wrist(filler: Filler, person: Tensor) -> None:
    """A stiff hand lost on a moving arm is recovered, though the arm curves."""
    truth, mask = stiff_hand(person), gap(slice(10, 30), LEFT)
    assert error(candidate("filled", observe(truth, mask), filler), truth, mask) < 2e-6


def test_what_was_never_seen_takes_the_mean_pose(filler: Filler, person: Tensor) -> None:
    mask = gap(slice(None), LEFT)
    begin = start(filler, observe(person, mask))
    fingers = slice(LEFT.start + 1, LEFT.stop)
    assert torch.allclose(begin.filled[:, :, fingers], filler.mean[fingers], atol=1e-6)
    assert (begin.filled[:, :, LEFT.start] - filler.mean[LEFT.start]).norm(dim=-1).max() < .3
    assert torch.isinf(begin.since[..., LEFT]).all()
    assert torch.isinf(begin.until[..., LEFT]).all()


def test_nothing_seen_at_all_is_the_mean_pose(filler: Filler) -> None:
    empty = torch.zeros(1, 5, len(HOLISTIC), 3)
    begin = start(filler, observe(empty, torch.zeros(1, 5, len(HOLISTIC), dtype=torch.bool)))
    assert torch.equal(begin.filled[0, 0], filler.mean)
    assert begin.candidates.isfinite().all()
    assert average(begin, INNER).isfinite().all()


def test_seconds_to_the_nearest_observations(filler: Filler, person: Tensor) -> None:
    begin = start(filler, observe(person, gap(slice(10, 14), [13])))
    assert torch.allclose(begin.since[0, 9:15, 13], torch.tensor([0, 1, 2, 3, 4, 0]) / 25, atol=1e-6)
    assert torch.allclose(begin.until[0, 9:15, 13], torch.tensor([0, 4, 3, 2, 1, 0]) / 25, atol=1e-6)


# Bent as it came and went


def bent(filler: Filler, truth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Linear in time, and the same with the bend: features `(1, T, INNER, 3)`."""
    xyz, mask = truth[:, :, :INNER], mask[..., :INNER]
    seconds = (torch.arange(truth.shape[1]) / 25).unsqueeze(0)
    linear = interpolate(filler.features(xyz), filler.known(mask), seconds, filler.mean[:INNER]).features
    return linear, filler.pchip(torch.where(mask.unsqueeze(-1), xyz, 0.), mask)


@pytest.mark.parametrize("frames", [1, 2, 7, 15])
def test_steady_acceleration_is_recovered_better_than_by_a_line(filler: Filler, frames: int) -> None:
    truth = moving(((torch.arange(FRAMES) - 5) / FRAMES)**2)
    mask = gap(slice(12, 12 + frames), slice(0, INNER))
    linear, cubic = ((x - filler.features(truth[:, :, :INNER])).norm(dim=-1)[:, 12:12 + frames].max()
                     for x in bent(filler, truth, mask))
    assert linear > 1e-4
    assert cubic < .5 * linear
    expected = candidate("pchip", observe(truth, mask), filler)
    assert error(expected, truth, mask) < error(candidate("trusted", observe(truth, mask), filler), truth, mask)


def test_the_bend_leaves_straight_motion_and_what_is_known(filler: Filler, person: Tensor) -> None:
    straight = moving(torch.linspace(0, 1, FRAMES))
    linear, cubic = bent(filler, straight, gap(slice(15, 22), slice(0, INNER)))
    assert torch.allclose(linear, cubic, atol=1e-5)
    mask = gap(slice(15, 22), LEFT)
    linear, cubic = bent(filler, person, mask)
    known = filler.known(mask[..., :INNER])
    assert torch.allclose(linear[known], cubic[known], atol=1e-6)
    assert (linear - cubic)[~known].abs().max() > 1e-3


def test_a_lost_hand_on_the_cubic_goes_with_its_wrist(filler: Filler, person: Tensor) -> None:
    """What is interpolated of a hand is where it lies from the body's wrist; the body is interpolated as it is."""
    truth = stiff_hand(person)
    mask = gap(slice(10, 30), LEFT)
    assert error(candidate("pchip", observe(truth, mask), filler), truth, mask) < 2e-6
    body = HOLISTIC.parts["body"]
    mask[:, 14:22, body] = False
    found = filler.points(filler.pchip(truth[:, :, :INNER], mask[..., :INNER]))
    assert torch.allclose(found[:, :, body], pchip(truth[:, :, body], mask[..., body]), atol=1e-5)
    rigid = truth[:, :, LEFT] - truth[:, :, [LEFT_BODY_WRIST]]
    assert torch.allclose(found[:, :, LEFT] - found[:, :, [LEFT_BODY_WRIST]], rigid, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 3, 9])
@pytest.mark.parametrize("seen", [[], [0], [1], [0, -1], [-1]])
def test_without_both_sides_there_is_no_bend(filler: Filler, frames: int, seen: list[int]) -> None:
    mask = torch.zeros(1, frames, len(HOLISTIC), dtype=torch.bool)
    mask[:, [i for i in seen if i < frames]] = True
    linear, cubic = bent(filler, moving(torch.linspace(0, 1, frames)**2), mask)
    assert torch.allclose(linear, cubic, atol=1e-5)  # a lone frame does not tell how it came or went


# Anchors


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_points_undo_features(seed: int) -> None:
    filler = still_filler()
    x = torch.randn(2, 3, len(HOLISTIC), 3, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(filler.points(filler.features(x)), x, atol=1e-6)
    expected = torch.from_numpy(HOLISTIC.from_features) @ x
    assert torch.allclose(filler.points(x), expected, atol=1e-6)
    assert torch.equal(filler.features(x[:, :, :INNER]), filler.features(x)[:, :, :INNER])


def test_a_missing_body_wrist_is_placed_by_its_hand(filler: Filler, person: Tensor) -> None:
    truth = stiff_hand(person)
    mask = gap(slice(10, 20), [LEFT_BODY_WRIST, HOLISTIC.index(BODY, "NOSE")])
    done = filler.complete_anchors(observe(truth, mask))
    assert done.mask.all()
    assert torch.allclose(done.xyz[:, :, LEFT_BODY_WRIST], truth[:, :, LEFT_BODY_WRIST], atol=1e-5)
    assert torch.equal(done.xyz[:, :10], truth[:, :10])
    known = torch.ones(len(HOLISTIC), dtype=torch.bool)
    known[[LEFT_BODY_WRIST, HOLISTIC.index(BODY, "NOSE")]] = False
    assert torch.equal(done.xyz[:, :, known], truth[:, :, known])


def test_an_anchor_that_was_never_seen_is_placed_by_the_mean(filler: Filler, person: Tensor) -> None:
    done = filler.complete_anchors(observe(person, gap(slice(None), [LEFT_BODY_WRIST])))
    offset = person[:, :, LEFT.start] - done.xyz[:, :, LEFT_BODY_WRIST]
    assert torch.allclose(offset, filler.mean[LEFT.start].expand_as(offset), atol=1e-6)


def test_without_a_hand_a_missing_wrist_stays_missing(filler: Filler, person: Tensor) -> None:
    mask = gap(slice(10, 20), [LEFT_BODY_WRIST, *range(LEFT.start, LEFT.stop)])
    assert torch.equal(filler.complete_anchors(observe(person, mask)).mask, mask)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.floats(.02, .98), st.booleans(), st.integers(0, 2**31))
def test_whatever_is_seen_stays_where_it_is(frames: int, share: float, parts: bool, seed: int) -> None:
    """Also where what it hangs on is missing, point by point or a part at a time."""
    filler, generator = still_filler(), torch.Generator().manual_seed(seed)
    filler.mean.normal_(generator=generator)
    xyz = torch.randn(2, frames, len(HOLISTIC), 3, generator=generator)
    mask = torch.rand(xyz.shape[:3], generator=generator) < share
    if parts:
        for part in HOLISTIC.parts.values():
            mask[..., part] = mask[..., part.start:part.start + 1]
    seconds = (torch.arange(frames) / 25).expand(2, -1)
    for points in (len(HOLISTIC), INNER):
        seen = mask[..., :points]
        filled = filler.fill(torch.where(seen.unsqueeze(-1), xyz[:, :, :points], 0.), seen, seconds)
        assert filled.features.isfinite().all()
        assert torch.allclose(filler.points(filled.features)[seen], xyz[:, :, :points][seen], atol=1e-5)


def test_a_finger_does_not_follow_a_wrist_that_is_guessed(filler: Filler) -> None:
    """A fingertip is seen throughout while its hand's wrist, whose way back is a surprise, is not."""
    tip, truth = LEFT.start + 8, moving(torch.sin(torch.arange(FRAMES) / 4))
    mask = gap(slice(10, 20), slice(LEFT.start, LEFT.start + 1))
    begin = start(filler, observe(truth, mask))
    assert not begin.known[:, 10:20, tip].any()
    assert torch.allclose(filler.points(begin.filled)[:, :, tip], truth[:, :, tip], atol=1e-5)


# Swapped hands


def swapped(person: Tensor, frames: slice) -> Tensor:
    out = person.clone()
    out[:, frames, LEFT], out[:, frames, RIGHT] = person[:, frames, RIGHT], person[:, frames, LEFT]
    return out


def test_swapped_hands_are_put_right(filler: Filler, person: Tensor) -> None:
    truth = apart(person)
    assert torch.equal(filler.untangle(observe(swapped(truth, slice(12, 18)))).xyz, truth)
    assert torch.equal(filler.untangle(observe(truth)).xyz, truth)


def test_the_mask_of_a_swapped_hand_goes_with_it(filler: Filler, person: Tensor) -> None:
    truth, mask = swapped(apart(person), slice(12, 18)), gap(slice(12, 18), LEFT)
    mask[:, 12:18, RIGHT.start + 3] = False
    done = filler.untangle(observe(truth, mask))
    assert torch.equal(done.mask[:, 12:18, LEFT], mask[:, 12:18, RIGHT])
    assert torch.equal(done.mask[:, 12:18, RIGHT], mask[:, 12:18, LEFT])


@pytest.mark.parametrize("at_origin", [False, True])
@pytest.mark.parametrize(("hidden", "wrist", "other"), [(LEFT, LEFT_BODY_WRIST, RIGHT),
                                                        (RIGHT, RIGHT_BODY_WRIST, LEFT)])
def test_a_hand_keeps_its_side_while_the_other_arm_is_hidden(filler: Filler, person: Tensor, hidden: slice, wrist: int,
                                                             other: slice, at_origin: bool) -> None:
    """As captures have it, not quite at its own wrist; also where what is missing is stored, at 0."""
    truth = apart(person)
    truth[:, :, other] += torch.tensor([.2, 0, 0])
    if at_origin:
        truth = truth - truth[:, :, other.start:other.start + 1]
    observation = observe(truth, gap(slice(12, 18), [wrist, *range(hidden.start, hidden.stop)]))
    done = filler.untangle(filler.complete_anchors(observation))
    assert torch.equal(done.mask, observation.mask)
    assert torch.equal(done.xyz, observation.xyz)


@pytest.mark.parametrize("hand", [LEFT, RIGHT])
def test_exact_hands_are_never_exchanged(filler: Filler, person: Tensor, hand: slice) -> None:
    wrong = swapped(apart(person), slice(12, 18))
    exact = torch.zeros(1, FRAMES, len(HOLISTIC), dtype=torch.bool)
    exact[:, 12:15, hand.start + 2] = True
    done = filler.untangle(observe(wrong, exact=exact))
    assert torch.equal(done.xyz[:, 12:15], wrong[:, 12:15])
    assert torch.equal(done.xyz[:, 15:18], apart(person)[:, 15:18])


def test_hands_at_the_same_place_stay(filler: Filler, person: Tensor) -> None:
    """Where the wrists do not tell the hands apart, they are as they were given."""
    together = person.clone()
    together[:, :, RIGHT_BODY_WRIST] = together[:, :, LEFT_BODY_WRIST]
    together[:, :, RIGHT] = together[:, :, LEFT] + .01
    assert torch.equal(filler.untangle(observe(together)).xyz, together)


def test_the_other_hand_is_a_candidate(filler: Filler, person: Tensor) -> None:
    truth = apart(person)
    other = candidate("other hand", observe(truth), filler)
    assert torch.allclose(other[:, :, LEFT], truth[:, :, RIGHT], atol=1e-5)


# Filters


@pytest.mark.parametrize("window", [3, 5, 7])
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_median_is_the_median(window: int, frames: int) -> None:
    x = torch.randn(2, frames, 4, 2, generator=torch.Generator().manual_seed(0))
    half = window // 2
    padded = torch.cat([x[:, :1].expand(-1, half, -1, -1), x, x[:, -1:].expand(-1, half, -1, -1)], dim=1)
    assert torch.equal(median(x, window), padded.unfold(1, window, 1).median(-1).values)


@pytest.mark.parametrize("window", [5, 7, 9, 13])
def test_smooth_is_savitzky_golay(window: int) -> None:
    x = torch.randn(2, 30, 4, 3, generator=torch.Generator().manual_seed(0))
    expected = savgol_filter(x.numpy(), window, 2, axis=1)
    inside = slice(window // 2, -(window // 2))
    assert np.allclose(smooth(x, window).numpy()[:, inside], expected[:, inside], atol=1e-5)
    still = torch.full((1, 3, 1, 3), 7.)
    assert torch.allclose(smooth(still, window), still, atol=1e-5)


def test_smooth_keeps_a_parabola() -> None:
    x = (torch.arange(30.)**2).view(1, 30, 1, 1) / 100
    assert torch.allclose(smooth(x, 9)[:, 4:-4], x[:, 4:-4], atol=1e-5)


def test_the_mean_is_of_what_is_trusted(filler: Filler, person: Tensor) -> None:
    elbow, jumping = HOLISTIC.index(BODY, "LEFT_ELBOW"), person.clone()
    jumping[:, 20, elbow] += .5
    rest = torch.arange(FRAMES) != 20
    assert torch.allclose(average(start(filler, observe(jumping)), INNER)[:, 0, elbow], person[:, rest, elbow].mean(1),
                          atol=1e-5)


# Batches


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(0, 2**31))
def test_padding_and_batch_change_nothing(lengths: list[int], seed: int) -> None:
    filler, generator = still_filler(), torch.Generator().manual_seed(seed)
    frames = max(lengths) + 3
    xyz = torch.randn(len(lengths), frames, len(HOLISTIC), 3, generator=generator).cumsum(1) * .05
    mask = torch.rand(xyz.shape[:3], generator=generator) < .8
    exact = mask & (torch.rand(xyz.shape[:3], generator=generator) < .1)
    valid = torch.arange(frames) < torch.tensor(lengths).unsqueeze(1)
    mask, exact = mask & valid.unsqueeze(-1), exact & valid.unsqueeze(-1)
    batch = replace(observe(xyz, mask, exact), valid=valid)
    together = start(filler, batch)
    for i, length in enumerate(lengths):
        one = clip_of(batch, i, length)
        alone = start(filler, one)
        for field in fields(alone):
            a, b = getattr(alone, field.name)[0], getattr(together, field.name)[i, :length]
            assert torch.allclose(a.float(), b.float(), atol=1e-6), field.name
        assert torch.allclose(average(alone, INNER)[0], average(together, INNER)[i], atol=1e-6)


def test_hands_exchanged_twice_are_as_before(filler: Filler, person: Tensor) -> None:
    assert HOLISTIC.index(LEFT_HAND, "WRIST") == LEFT.start
    assert HOLISTIC.index(RIGHT_HAND, "WRIST") == RIGHT.start
    twice = filler.exchange(filler.exchange(observe(person), torch.ones(1, FRAMES, dtype=torch.bool)),
                            torch.ones(1, FRAMES, dtype=torch.bool))
    assert torch.equal(twice.xyz, person)
