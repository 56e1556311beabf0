"""Noise that is smooth in time: still standard normal, and a frame's own whatever comes after it."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_diffusion.diffusion.noise import MARGIN, OWN, Shape, fit, kernel, plain, smooth_noise, smoothed


def test_an_impulse_becomes_the_kernel() -> None:
    white = torch.zeros(1, 1 + 4 * MARGIN, 1)
    white[0, 2 * MARGIN] = 1
    assert torch.allclose(smoothed(white)[0, :, 0], kernel().float())
    assert float((kernel()**2).sum()) == pytest.approx(1)
    assert torch.allclose(kernel(), kernel().flip(0))


def test_every_value_has_unit_variance() -> None:
    noise = smooth_noise(30, (4, 3), range(2000), 1.)
    assert noise.shape == (2000, 30, 4, 3)
    assert noise.mean(0).abs().max() < .12
    assert (noise.var(0) - 1).abs().max() < .16
    assert float(noise.var(0).mean()) == pytest.approx(1, abs=.01)
    assert torch.allclose(smooth_noise(30, (4, 3), [5], 7.), 7 * smooth_noise(30, (4, 3), [5], 1.), atol=1e-4)


def test_frames_are_alike_as_the_kernel_says() -> None:
    noise, weights = smooth_noise(40, (30,), range(300), 1.), kernel()
    for lag in range(1, 2 * MARGIN + 3):
        found = (noise[:, lag:] * noise[:, :-lag]).mean()
        expected = float((weights[lag:] * weights[:-lag]).sum()) if lag < len(weights) else 0
        assert float(found) == pytest.approx(expected, abs=.02), lag


def test_it_shakes_far_less_than_white_noise() -> None:
    noise = smooth_noise(200, (30,), [0], 1.)
    rough = noise.diff(n=2, dim=1).std() / 6**.5  # 1 for white noise
    assert .01 < rough < .3


def test_coordinates_are_independent() -> None:
    noise = smooth_noise(3, (2, 3), range(5000), 1.)[:, 1].flatten(1)
    assert (noise.T @ noise / len(noise) - torch.eye(6)).abs().max() < .08


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**31))
def test_a_longer_clip_begins_with_the_same_noise(frames: int, more: int, seed: int) -> None:
    short, long = (smooth_noise(n, (2, 3), [seed], 20.) for n in (frames, frames + more))
    assert torch.equal(short, long[:, :frames])


def test_a_seed_does_not_see_its_batch() -> None:
    together = smooth_noise(20, (5, 3), [3, 4, 3], 20.)
    assert torch.equal(together[1:2], smooth_noise(20, (5, 3), [4], 20.))
    assert torch.equal(together[0], together[2])
    assert (together[0] - together[1]).abs().max() > 1


def moves(count: int = 4000) -> np.ndarray:
    """`(N, 2, 3)`: the second point goes twice as far as the first in x; y and z are for themselves."""
    x = np.random.default_rng(0).normal(size=(count, 2, 3))
    x[:, 1, 0] = 2 * x[:, 0, 0]
    return x


def test_noise_takes_on_the_correlations_of_real_moves_and_keeps_its_variance() -> None:
    noise = Shape(fit(moves()))(torch.randn(20000, 2, 3, generator=torch.Generator().manual_seed(0)))
    found = np.corrcoef(noise.flatten(1).numpy().T)
    expected = np.eye(6)
    expected[0, 3] = expected[3, 0] = 1 - OWN
    np.testing.assert_allclose(found, expected, atol=.05)
    assert noise.var(0).tolist() == [pytest.approx([1, 1, 1], abs=.05)] * 2


def test_the_other_hand_has_the_mirror_image() -> None:
    x = moves()
    x[:, 1, 1] = x[:, 0, 0]  # a correlation of x with y changes its sign in the mirror
    white = torch.randn(20000, 2, 3, generator=torch.Generator().manual_seed(0))
    right, left = (np.corrcoef(Shape(fit(x))(white, mirrored=m).flatten(1).numpy().T) for m in (False, True))
    assert right[0, 4] == pytest.approx(1 - OWN, abs=.03)
    assert left[0, 4] == pytest.approx(OWN - 1, abs=.03)
    assert left[0, 3] == pytest.approx(right[0, 3], abs=.02)


def test_without_a_shape_noise_stays_as_it_is() -> None:
    white = torch.randn(5, 7, 3)
    assert torch.equal(Shape(plain(21))(white), white)
