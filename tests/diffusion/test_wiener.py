"""The linear prior: what it must leave alone, and that it is the best linear estimate of what it was fitted to."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter
from torch import Tensor

from pose_diffusion.clip import encode
from pose_diffusion.diffusion.filling import Filler
from pose_diffusion.diffusion.wiener import (
    CORRELATED,
    DECAY,
    HALF,
    NEAR,
    NOISE,
    Prior,
    filters,
    fit,
    local_mean,
    nothing,
    steadied,
)
from pose_diffusion.layout import HAND_POINTS, HOLISTIC
from tests.models import random_network
from tests.poses import constructed_pose

POINTS = 5


def all_valid(x: Tensor) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


def tracks(count: int, frames: int, seed: int) -> np.ndarray:
    """`(count, frames, POINTS, 3)`: smooth motion in two directions, never the same."""
    rng, directions = np.random.default_rng(seed), np.random.default_rng(99).standard_normal((2, POINTS, 3)) / 3
    t = np.arange(frames) / 25
    speed, phase = rng.uniform(2, 6, (count, 2, 3, 1)), rng.uniform(0, 7, (count, 2, 3, 1))
    course = np.sin(speed * t + phase).mean(2)
    return (np.einsum("cdt,dpx->ctpx", course, directions) + rng.standard_normal((count, 1, POINTS, 3))).astype("f4")


def jitter(shape: tuple[int, ...], std: float, seed: int) -> np.ndarray:
    """As the prior takes it to be: half white, half correlated from frame to frame."""
    rng = np.random.default_rng(seed)
    white, drive = rng.standard_normal((2, *shape)).astype("f4")
    slow = drive.copy()
    for t in range(1, shape[1]):
        slow[:, t] = DECAY * slow[:, t - 1] + (1 - DECAY**2)**.5 * drive[:, t]
    return std * ((1 - CORRELATED)**.5 * white + CORRELATED**.5 * slow)


@pytest.fixture(scope="module")
def prior() -> Prior:
    return fit(list(tracks(40, 60, 0)), 1.)


def test_nothing_leaves_everything_as_it_is() -> None:
    x = torch.randn(2, 23, POINTS, 3, generator=torch.Generator().manual_seed(0))
    out = steadied(x, nothing(POINTS), all_valid(x))
    assert out.shape == (len(NOISE), *x.shape)
    assert torch.allclose(out, x.expand_as(out), atol=1e-5)


@pytest.mark.parametrize("level", range(len(NOISE)))
def test_jitter_goes_where_motion_has_few_directions(prior: Prior, level: int) -> None:
    """On tracks it was not fitted to, against the Savitzky-Golay filter that happens to be the best for them."""
    truth = tracks(20, 60, 1)
    shaken = truth + jitter(truth.shape, NOISE[level], 2)
    x = torch.from_numpy(shaken)
    found = steadied(x, prior, all_valid(x))[level].numpy()

    def error(estimate: np.ndarray) -> float:
        return float(np.linalg.norm(estimate - truth, axis=-1).mean())

    classical = min(error(savgol_filter(shaken, window, order, axis=1))
                    for order in (1, 2, 3) for window in range(order + 2 - order % 2, 24, 2))
    assert error(found) < .75 * classical
    assert error(found) < .6 * error(shaken)


def test_the_basis_is_orthonormal_and_finds_the_directions(prior: Prior) -> None:
    assert prior.taps.shape == (len(NOISE), 3 * POINTS, 2 * HALF + 1)
    assert torch.allclose(prior.basis.T @ prior.basis, torch.eye(3 * POINTS), atol=1e-5)
    moving = prior.taps.abs().amax((0, 2)) > .01  # what does not move is taken for noise, whole
    assert moving.sum() == 2


def test_more_noise_is_smoothed_more(prior: Prior) -> None:
    x = torch.from_numpy(tracks(5, 60, 3) + jitter((5, 60, POINTS, 3), .06, 4))
    rough = steadied(x, prior, all_valid(x)).diff(n=2, dim=2).std((1, 2, 3, 4)).tolist()
    assert rough == sorted(rough, reverse=True)
    assert rough[2] < .8 * rough[0]


def autoregressive(decay: float, variance: float, lags: int) -> Tensor:
    return variance * decay**torch.arange(lags, dtype=torch.float64)


@pytest.mark.parametrize(("decay", "variance"), [(.5, 1.), (.7, .04), (.9, .01)])
@pytest.mark.parametrize("std", [.02, .12])
def test_filters_are_gaussian_conditioning(decay: float, variance: float, std: float) -> None:
    """The middle given what the filter sees, exactly; what lies beyond that would help little."""
    found = filters(autoregressive(decay, variance, 2 * HALF + 1)[None], std)[0].numpy()
    left = {}
    for half in (HALF, 40):
        t = np.arange(-half, half + 1)
        apart = np.abs(t[:, None] - t[None])
        signal = variance * decay**apart
        weights = np.linalg.solve(signal + std**2 * (.5 * (apart == 0) + .5 * .8**apart), signal[:, half])
        left[half] = variance - weights @ signal[:, half]
        assert np.allclose(found, weights[half - HALF:half + HALF + 1], atol=1e-6 if half == HALF else .015)
    assert left[40] <= left[HALF] < 1.02 * left[40]


def test_filters_of_components_are_their_own() -> None:
    both = torch.stack([autoregressive(.5, 1., 17), autoregressive(.9, .01, 17)])
    together = filters(both, .06)
    assert torch.allclose(together, torch.cat([filters(row[None], .06) for row in both]))
    spike = torch.zeros(17, dtype=torch.float64)
    spike[HALF] = 1
    assert torch.allclose(filters(both, 1e-6), spike.expand(2, -1), atol=1e-3)  # without noise nothing is to be done
    assert filters(both, 1e3).abs().max() < 1e-5  # nothing is seen but noise


def test_filters_of_an_estimate_that_is_no_autocovariance_are_finite() -> None:
    wrong = torch.zeros(1, 17, dtype=torch.float64)
    wrong[0, [0, 1]] = torch.tensor([.1, .2], dtype=torch.float64)  # more like its neighbour than like itself
    assert filters(wrong, .02).isfinite().all()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_local_mean_is_the_mean_around(frames: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, valid = rng.standard_normal((2, frames, 4)).astype("f4"), rng.random((2, frames)) < .7
    found = local_mean(torch.from_numpy(x), torch.from_numpy(valid)).numpy()
    for b in range(2):
        for t in range(frames):
            around = slice(max(0, t - NEAR), t + NEAR + 1)
            rows = x[b, around][valid[b, around]]
            assert np.allclose(found[b, t], rows.mean(0) if len(rows) else 0, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 30), st.integers(0, 2**31))
def test_padding_and_batch_change_nothing(lengths: list[int], padding: int, seed: int) -> None:
    prior = Prior(torch.linalg.qr(torch.randn(15, 15, generator=torch.Generator().manual_seed(1)))[0],
                  torch.randn(3, 15, 2 * HALF + 1, generator=torch.Generator().manual_seed(2)) / 9)
    frames = max(lengths) + padding
    x = torch.randn(len(lengths), frames, POINTS, 3, generator=torch.Generator().manual_seed(seed))
    valid = torch.arange(frames) < torch.tensor(lengths).unsqueeze(1)
    together = steadied(x, prior, valid)
    for i, length in enumerate(lengths):
        alone = steadied(x[i:i + 1, :length], prior, valid[i:i + 1, :length])
        assert torch.allclose(alone[:, 0], together[:, i, :length], atol=1e-5)


def test_where_a_clip_lies_does_not_matter(prior: Prior) -> None:
    x = torch.from_numpy(tracks(2, 40, 5))
    assert torch.allclose(steadied(x + 3, prior, all_valid(x)), steadied(x, prior, all_valid(x)) + 3, atol=1e-4)


def test_a_left_hand_is_steadied_as_the_right_one_in_a_mirror() -> None:
    network, generator = random_network(), torch.Generator().manual_seed(0)
    count = 3 * len(HAND_POINTS)
    hand = Prior(torch.linalg.qr(torch.randn(count, count, generator=generator))[0],
                 torch.randn(len(NOISE), count, 2 * HALF + 1, generator=generator) / 9)
    filler = Filler(HOLISTIC, network.mean, hand)
    xyz = torch.from_numpy(encode(constructed_pose(30))[0].xyz).unsqueeze(0)
    mirrored = xyz[:, :, list(HOLISTIC.mirror)] * torch.tensor([-1., 1., 1.])
    here, there = (points(filler, x) for x in (xyz, mirrored))
    inner = list(HOLISTIC.mirror[:filler.inner])
    assert torch.allclose(there, here[..., inner, :] * torch.tensor([-1., 1., 1.]), atol=1e-4)
    body, hands = HOLISTIC.parts["body"], slice(HOLISTIC.parts["body"].stop, filler.inner)
    assert torch.allclose(here[..., body, :], xyz[:, :, body].expand(3, -1, -1, -1, -1), atol=1e-5)
    assert (here - xyz[:, :, :filler.inner])[..., hands, :].abs().max() > .01


def points(filler: Filler, xyz: Tensor) -> Tensor:
    """`(levels, B, T, inner, 3)`: steadied, as points."""
    return filler.points(filler.steadied(filler.features(xyz[:, :, :filler.inner]), all_valid(xyz)))
