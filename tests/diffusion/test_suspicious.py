"""Which observations are not to be trusted: what jumps, and what stands still."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pose_diffusion.clip import encode
from pose_diffusion.diffusion.candidates import start
from pose_diffusion.diffusion.filling import Filler, Observation
from pose_diffusion.layout import BODY, HOLISTIC
from tests.diffusion.people import FRAMES, INNER, LEFT, RIGHT, apart, candidate, gap, moving
from tests.models import observe, random_network
from tests.poses import constructed_pose


@pytest.fixture(scope="module")
def filler() -> Filler:
    return random_network().filler


@pytest.fixture(scope="module")
def person() -> Tensor:
    """`(1, T, K, 3)` a person in smooth motion."""
    return torch.from_numpy(encode(constructed_pose(FRAMES))[0].xyz).unsqueeze(0)


def suspicious(filler: Filler, observation: Observation) -> Tensor:
    return start(filler, observation).suspicious


def test_smooth_motion_is_not_suspicious(filler: Filler, person: Tensor) -> None:
    assert not suspicious(filler, observe(person)).any()


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6, 7, 8, 25])
@pytest.mark.parametrize("speed", [0., .03, -.1, .1])
def test_steady_motion_is_not_suspicious_anywhere(filler: Filler, frames: int, speed: float) -> None:
    """`speed` is in shoulder widths per frame."""
    truth = apart(torch.from_numpy(encode(constructed_pose(1))[0].xyz).unsqueeze(0)).expand(-1, frames, -1, -1)
    way = speed * torch.arange(frames).view(1, -1, 1, 1) * torch.tensor([.6, .8, .5])
    assert not suspicious(filler, observe(truth + way)).any()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("speed", [0., .03])
def test_a_clip_that_starts_or_ends_with_outliers_is_not_taken_for_them(filler: Filler, count: int, end: bool,
                                                                        speed: float) -> None:
    elbow, wrong = HOLISTIC.index(BODY, "LEFT_ELBOW"), range(FRAMES - count, FRAMES) if end else range(count)
    jumping = moving(speed * torch.arange(FRAMES))
    jumping[:, wrong, elbow, 0] += .5
    found = suspicious(filler, observe(jumping))
    assert found.nonzero().tolist() == [[0, frame, elbow] for frame in wrong]


def test_a_jump_is_suspicious(filler: Filler) -> None:
    jumping = moving(torch.linspace(0, 1, FRAMES))
    elbow = HOLISTIC.index(BODY, "LEFT_ELBOW")
    jumping[:, 20, elbow, 0] += .5
    assert suspicious(filler, observe(jumping)).nonzero().tolist() == [[0, 20, elbow]]


def test_a_jump_of_the_wrist_takes_the_hand_along(filler: Filler, person: Tensor) -> None:
    jumping = apart(person)
    jumping[:, 20, LEFT] += .5
    found = suspicious(filler, observe(jumping))
    assert found[0, 20, LEFT].all()
    assert not found[0, :20].any()
    assert not found[0, :, RIGHT].any()


def test_a_stalled_hand_on_a_moving_arm_is_suspicious(filler: Filler, person: Tensor) -> None:
    stalled = apart(person)
    stalled[:, 20:24, LEFT] = stalled[:, 19:20, LEFT]
    found = suspicious(filler, observe(stalled))
    assert found[0, 20:24, LEFT].all()
    assert not found[0, :20, LEFT].any()
    stalled[:, 20:24] = stalled[:, 19:20]  # all stand still: nothing is wrong
    assert not suspicious(filler, observe(stalled))[0, 20:24].any()


def test_exact_and_missing_points_are_not_suspicious(filler: Filler, person: Tensor) -> None:
    jumping = apart(person)
    jumping[:, 20, LEFT] += .5
    exact = torch.ones(1, FRAMES, len(HOLISTIC), dtype=torch.bool)
    assert suspicious(filler, observe(jumping))[0, 20, LEFT].all()
    assert not suspicious(filler, observe(jumping, exact=exact)).any()
    assert not suspicious(filler, observe(jumping, gap(slice(20, 21), LEFT)))[0, 20].any()


def test_trusted_fills_in_for_what_is_suspicious(filler: Filler) -> None:
    truth = moving(torch.linspace(0, 1, FRAMES))
    elbow, jumping = HOLISTIC.index(BODY, "LEFT_ELBOW"), moving(torch.linspace(0, 1, FRAMES))
    jumping[:, 20, elbow] += .5
    trusted = candidate("trusted", observe(jumping), filler)
    assert torch.allclose(trusted, truth[:, :, :INNER], atol=1e-5)
