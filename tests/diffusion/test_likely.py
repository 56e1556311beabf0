"""What body and hands probably did, on motion of few directions that the Gaussians were fitted to."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pose_diffusion.clip import encode
from pose_diffusion.diffusion.candidates import CANDIDATES, start
from pose_diffusion.diffusion.filling import Filler, Observation
from pose_diffusion.diffusion.gaussian import FRAMES, fit
from pose_diffusion.diffusion.likely import ESTIMATES, likely
from pose_diffusion.layout import BODY, HOLISTIC
from tests.models import clip_of, observe
from tests.poses import constructed_pose

LITTLE, LOT, KEPT, ALL = range(ESTIMATES)
LEFT, RIGHT, INNER = HOLISTIC.parts["left_hand"], HOLISTIC.parts["right_hand"], HOLISTIC.parts["face"].start
ELBOW, WRIST = HOLISTIC.index(BODY, "LEFT_ELBOW"), HOLISTIC.index(BODY, "LEFT_WRIST")
PALM = [HOLISTIC.index(BODY, f"LEFT_{point}") for point in ("PINKY", "INDEX", "THUMB")]
TIP = LEFT.start + 8
FLIP = torch.tensor([-1., 1., 1.])
MIRROR = list(HOLISTIC.mirror[:INNER])


def motion(clips: int, frames: int, seed: int) -> Tensor:
    """`(clips, frames, INNER, 3)`: someone sways, moves both arms, and opens and closes both hands, never the same."""
    rng = np.random.default_rng(seed)
    t, shape = np.arange(frames) / 25, (clips, 10, 3, 1)
    waves = np.sin(2 * np.pi * (rng.uniform(.2, 1, shape) * t + rng.uniform(size=shape))).mean(2)
    sway, arms, grips = np.split(np.float32(waves), (2, 8), axis=1)
    x = torch.from_numpy(encode(constructed_pose(1))[0].xyz)[:, :INNER].repeat(clips, frames, 1, 1)
    x[..., :2] += .1 * torch.from_numpy(sway).transpose(1, 2).unsqueeze(2)
    for side, hand, arm, grip in (("LEFT", LEFT, arms[:, :3], grips[:, 0]), ("RIGHT", RIGHT, arms[:, 3:], grips[:, 1])):
        wrist = HOLISTIC.index(BODY, f"{side}_WRIST")
        palm = [HOLISTIC.index(BODY, f"{side}_{point}") for point in ("PINKY", "INDEX", "THUMB")]
        open_wide = 1 + .5 * torch.from_numpy(grip)[..., None, None]
        for points in (hand, palm):
            x[:, :, points] = x[:, :, [wrist]] + open_wide * (x[:, :, points] - x[:, :, [wrist]])
        away = .4 * torch.from_numpy(arm).transpose(1, 2).unsqueeze(2)
        x[:, :, [HOLISTIC.index(BODY, f"{side}_ELBOW")]] += .5 * away
        x[:, :, [wrist, *palm, *range(hand.start, hand.stop)]] += away
    return x


def relative(x: Tensor, hand: slice, chosen: list[int], wrist: int) -> Tensor:
    """A hand relative to the body's wrist, and its arm as it is."""
    return torch.cat([x[:, :, hand] - x[:, :, [wrist]], x[:, :, chosen[hand.stop - hand.start:]]], dim=2)


@pytest.fixture(scope="module")
def filler() -> Filler:
    x = motion(110, FRAMES, 0)
    x = x + .003 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    plain, body = Filler(HOLISTIC, torch.zeros(len(HOLISTIC), 3)), HOLISTIC.parts["body"]
    mirrored = x[:, :, MIRROR] * FLIP
    sides = [relative(view, LEFT, plain.sides[0], WRIST) for view in (x, mirrored)]
    mean = torch.zeros(len(HOLISTIC), 3)
    mean[:INNER] = plain.features(x).mean((0, 1))
    return Filler(HOLISTIC, mean, body_window=fit(list(torch.cat([x, mirrored])[:, :, body].numpy())),
                  side_window=fit(list(torch.cat(sides).numpy())))


def seen_of(x: Tensor, mask: Tensor | None = None, valid: Tensor | None = None) -> Observation:
    """An observation of body and hands; no face."""
    whole = torch.zeros(*x.shape[:2], len(HOLISTIC), 3)
    whole[:, :, :INNER] = x
    seen = torch.zeros(whole.shape[:3], dtype=torch.bool)
    seen[..., :INNER] = True if mask is None else mask
    out = observe(whole, seen)
    return out if valid is None else replace(out, valid=valid)


def answers(filler: Filler, observation: Observation, stalled: Tensor | None = None,
            jumping: Tensor | None = None) -> Tensor:
    """`(ESTIMATES, B, T, INNER, 3)` as points. What jumps is found as it is in use, by default."""
    xyz, mask = observation.xyz[:, :, :INNER], observation.mask[..., :INNER]
    if jumping is None:
        jumping = filler.jumping(observation, filler.fill(xyz, mask, observation.seconds).features)
    found = likely(filler, observation, torch.zeros_like(mask) if stalled is None else stalled, jumping, xyz)
    assert len(found) == ESTIMATES
    return filler.points(torch.stack(found))


def apart(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).norm(dim=-1)


# Outliers


@pytest.mark.parametrize("points", [[ELBOW], [TIP], [WRIST], [*range(LEFT.start, LEFT.stop)]],
                         ids=["elbow", "fingertip", "wrist", "hand"])
@pytest.mark.parametrize("wrong", [[17], [0], [39], [20, 21]])
def test_an_outlier_is_dropped_except_where_all_is_kept(filler: Filler, points: list[int], wrong: list[int]) -> None:
    truth = motion(1, 40, 1)
    shaken = truth.clone()
    for point in points:
        shaken[:, wrong, point] += torch.tensor([.4, -.3, 0])
    found = answers(filler, seen_of(shaken))
    at = [[frame] for frame in wrong]
    off = apart(found, truth)[:, 0, at, points]
    assert off[[LITTLE, LOT, KEPT]].max() < .1
    assert apart(found[ALL], shaken)[0, at, points].max() < 1e-5
    others = torch.ones(40, INNER, dtype=torch.bool)
    others[at, points] = False
    assert apart(found[KEPT], truth)[0][others].max() < (.1 if points == [WRIST] else 1e-4)  # the hand hangs on it


def test_clean_motion_is_kept(filler: Filler) -> None:
    truth = motion(3, 40, 2)
    found = answers(filler, seen_of(truth))
    assert apart(found[KEPT], truth).max() < 1e-5
    assert apart(found[ALL], truth).max() < 1e-5
    assert apart(found[LITTLE], truth).max() < .05


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 70), st.floats(.05, 1), st.integers(0, 2**31))
def test_all_goes_through_whatever_is_seen(filler: Filler, frames: int, share: float, seed: int) -> None:
    """However unlikely it is, and whatever is missing."""
    generator = torch.Generator().manual_seed(seed)
    x = motion(2, frames, seed) + .2 * torch.randn(2, frames, INNER, 3, generator=generator)
    mask = torch.rand(x.shape[:3], generator=generator) < share
    found = answers(filler, seen_of(x, mask))
    assert found.isfinite().all()
    assert apart(found[ALL], x)[mask].max() < 1e-5 if mask.any() else True


def test_a_stalled_hand_is_not_gone_through(filler: Filler) -> None:
    truth = motion(1, 40, 3)
    stalled = truth.clone()
    stalled[:, 18:22, LEFT] = truth[:, 17:18, LEFT]
    begin = start(filler, seen_of(stalled))
    found = filler.points(begin.candidates[..., CANDIDATES.index("likely all"), :])
    assert apart(stalled, truth)[:, 21, LEFT].min() > .1
    assert apart(found, truth)[:, 18:22, LEFT].max() < .05
    rest = torch.ones(40, INNER, dtype=torch.bool)
    rest[18:22, LEFT] = False
    assert apart(found, truth)[0][rest].max() < 1e-5


def test_stalled_observations_are_not_looked_at(filler: Filler) -> None:
    truth = motion(1, 30, 4)
    stalled = torch.rand(truth.shape[:3], generator=torch.Generator().manual_seed(0)) < .2
    junk, calm = torch.where(stalled.unsqueeze(-1), 7., truth), torch.zeros_like(stalled)
    here, there = (answers(filler, seen_of(x), stalled, calm) for x in (truth, junk))
    assert torch.allclose(here, there, atol=1e-5)
    assert apart(here[ALL], truth).max() < .05


def test_a_jump_that_is_likely_is_no_jump(filler: Filler) -> None:
    """What is taken for a jump comes in again where it agrees with the others; what does not is found all the same."""
    truth = motion(1, 30, 4)
    jumping = torch.rand(truth.shape[:3], generator=torch.Generator().manual_seed(0)) < .3
    jumping[:, 10, TIP] = True
    shaken = truth.clone()
    shaken[:, 10, TIP, 0] += .5
    found = answers(filler, seen_of(shaken), jumping=jumping)
    rest = torch.ones_like(jumping)
    rest[:, 10, TIP] = False
    assert apart(found[KEPT], truth)[rest].max() < 1e-5
    assert float(apart(found[KEPT], truth)[0, 10, TIP]) < .05
    assert torch.equal(*(answers(filler, seen_of(truth), jumping=x) for x in (jumping & False, jumping)))


# Gaps and noise


@pytest.mark.parametrize("frames", [14, 24, 40, 75])
def test_a_lost_arm_comes_back_nearer_than_on_a_line(filler: Filler, frames: int) -> None:
    truth, middle = motion(20, frames, 5), frames // 2
    lost, rows = [ELBOW, WRIST, *PALM, *range(LEFT.start, LEFT.stop)], slice(middle - 4, middle + 4)
    mask = torch.ones(truth.shape[:3], dtype=torch.bool)
    mask[:, rows, lost] = False
    observation = seen_of(truth, mask)
    found = answers(filler, observation)
    line = filler.points(start(filler, observation).candidates[..., CANDIDATES.index("filled"), :])
    errors = apart(torch.stack([*found, line]), truth)[:, :, rows, lost].mean((1, 2, 3))
    assert errors[LITTLE] < .5 * errors[-1]
    assert errors[[KEPT, ALL]].max() < .7 * errors[-1]


def test_what_is_never_seen_is_told_by_the_rest(filler: Filler) -> None:
    """How far the hand is open tells where a fingertip is."""
    truth = motion(10, 30, 6)
    mask = torch.ones(truth.shape[:3], dtype=torch.bool)
    mask[..., TIP] = False
    found = answers(filler, seen_of(truth, mask))
    typical = filler.points(filler.mean)[:INNER].expand_as(truth)
    assert apart(found, truth)[..., TIP].mean() < .1 * apart(typical, truth)[..., TIP].mean()


@pytest.mark.parametrize(("std", "best"), [(.02, LITTLE), (.12, LOT)])
def test_noise_is_taken_away(filler: Filler, std: float, best: int) -> None:
    truth = motion(5, 40, 7)
    shaken = truth + std * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    found = answers(filler, seen_of(shaken))
    errors = apart(found, truth).mean((1, 2, 3))
    assert errors[best] == errors.min()
    assert errors[best] < .5 * apart(shaken, truth).mean()


# What must not matter


def test_without_both_gaussians_what_else_there_is_comes_back(filler: Filler) -> None:
    truth, other = motion(1, 30, 8), torch.randn(1, 30, INNER, 3)
    nothing = torch.zeros(1, 30, INNER, dtype=torch.bool)
    for body, side in ((None, None), (filler.body_window, None), (None, filler.side_window)):
        unfitted = Filler(HOLISTIC, filler.mean, body_window=body, side_window=side)
        found = likely(unfitted, seen_of(truth), nothing, nothing, other)
        assert len(found) == ESTIMATES
        assert all(torch.equal(estimate, other) for estimate in found)


def test_a_mirrored_clip_has_mirrored_answers(filler: Filler) -> None:
    x = motion(1, 30, 9)
    mask = torch.rand(x.shape[:3], generator=torch.Generator().manual_seed(2)) < .7
    here = answers(filler, seen_of(x, mask))
    there = answers(filler, seen_of(x[:, :, MIRROR] * FLIP, mask[..., MIRROR]))
    assert torch.allclose(here[..., MIRROR, :] * FLIP, there, atol=1e-3)


@pytest.mark.parametrize(("lengths", "padding"), [
    ([7], 40), ([25], 3), ([30], 30), ([1, 24, 13], 0), ([60, 36, 48], 0), ([60, 26, 37], 5),
])
def test_padding_and_batch_change_nothing(filler: Filler, lengths: list[int], padding: int) -> None:
    frames, generator = max(lengths) + padding, torch.Generator().manual_seed(0)
    valid = torch.arange(frames) < torch.tensor(lengths).unsqueeze(1)
    x = motion(len(lengths), frames, 10)
    mask = (torch.rand(x.shape[:3], generator=generator) < .8) & valid.unsqueeze(-1)
    x = x + .5 * (torch.rand(x.shape[:3], generator=generator) < .02).unsqueeze(-1)
    batch = seen_of(x, mask, valid)
    together = answers(filler, batch)
    for i, length in enumerate(lengths):
        one = clip_of(batch, i, length)
        assert torch.allclose(answers(filler, one)[:, 0], together[:, i, :length], atol=1e-4)
