from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pose_diffusion.diffusion.guidance import classifier_free
from pose_diffusion.diffusion.sampler import initial_noise, sample
from pose_diffusion.diffusion.schedule import karras_sigmas

from .gaussian_mixture import GaussianMixture

X = torch.arange(24, dtype=torch.float32).reshape(3, 4, 2)
SIGMA = torch.tensor(2.0)


class Recorder:
    """A denoiser that answers 2 x with the condition and x without, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor, sigma: Tensor, conditional: Tensor) -> Tensor:
        assert conditional.dtype == torch.bool
        assert conditional.shape == x.shape[:1]
        self.asked.append((x, conditional))
        return x * torch.where(conditional, 2.0, 1.0)[:, None, None]


@pytest.mark.parametrize("scale", [0.5, 2.0, 7.5, -1.0])
def test_both_estimates_come_from_one_call_on_the_doubled_batch(scale: float) -> None:
    recorder = Recorder()
    result = classifier_free(recorder, scale)(X, SIGMA)
    ((x, conditional),) = recorder.asked
    assert x.shape == (6, 4, 2)
    assert conditional.tolist() == [True] * 3 + [False] * 3
    torch.testing.assert_close(result, X + scale * (2 * X - X))


@pytest.mark.parametrize(("scale", "conditional"), [(1.0, True), (0.0, False), (1, True), (0, False)])
def test_scales_of_one_and_zero_need_one_estimate(scale: float, conditional: bool) -> None:
    recorder = Recorder()
    result = classifier_free(recorder, scale)(X, SIGMA)
    ((x, asked),) = recorder.asked
    assert x is X
    assert asked.tolist() == [conditional] * 3
    torch.testing.assert_close(result, X * (1 + conditional))


@pytest.mark.parametrize(("sigma", "inside"), [(0.2, False), (0.5, True), (2.0, True), (8.0, True), (9.0, False)])
def test_outside_of_its_interval_guidance_is_off(sigma: float, inside: bool) -> None:
    recorder = Recorder()
    result = classifier_free(recorder, 3.0, (0.5, 8.0))(X, torch.tensor(sigma))
    torch.testing.assert_close(result, 4 * X if inside else 2 * X)
    assert len(recorder.asked[0][0]) == (6 if inside else 3)
    # None of the condition is also meant within the interval only.
    unconditional = classifier_free(recorder, 0.0, (0.5, 8.0))
    torch.testing.assert_close(unconditional(X, torch.tensor(sigma)), X if inside else 2 * X)


def test_a_small_difference_is_not_lost_in_half_precision() -> None:
    """The two halves differ in the last bits of bfloat16: scaled in bfloat16, the sum would round to another value."""

    def denoise(x: Tensor, sigma: Tensor, conditional: Tensor) -> Tensor:
        return torch.where(conditional, 1.0078125, 1.0)[:, None, None].expand(x.shape).bfloat16()

    result = classifier_free(denoise, 1.5)(X, SIGMA)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, torch.full_like(X, 1 + 1.5 * 0.0078125), atol=1e-7, rtol=0)


def test_guided_samples_of_a_gaussian_are_those_of_the_guided_gaussian() -> None:
    """For N(m, s) against N(0, s) guidance moves the mean to scale * m and leaves the variance, exactly."""
    unconditional = GaussianMixture.of([1.0], [[0.0]], [[[0.5]]])
    conditional = GaussianMixture.of([1.0], [[1.5]], [[[0.5]]])
    guided_truth = GaussianMixture.of([1.0], [[1.5 * 2.5]], [[[0.5]]])

    def denoise(x: Tensor, sigma: Tensor, seen: Tensor) -> Tensor:
        return torch.where(seen[:, None, None], conditional.denoise(x, sigma), unconditional.denoise(x, sigma))

    start, sigmas = initial_noise((100, 1), [0, 1], 80.0), karras_sigmas(20, 0.02, 80.0, 3.0)
    *_, guided = sample(classifier_free(denoise, 2.5), start, sigmas)
    *_, truth = sample(guided_truth.denoise, start, sigmas)
    torch.testing.assert_close(guided.state, truth.state, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("scale", "interval"), [(math.nan, (0.0, 1.0)), (math.inf, (0.0, 1.0)), (2.0, (1.0, 0.5)),
                                                 (2.0, (math.nan, 1.0))])
def test_bad_arguments_are_refused(scale: float, interval: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="guidance"):
        classifier_free(Recorder(), scale, interval)
