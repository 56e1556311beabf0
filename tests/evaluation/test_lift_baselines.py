"""The linear prior: what it holds, and that its hypotheses are those of the posterior where that is known."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pose_diffusion.evaluation.lift_baselines import fit, hypotheses, priors
from tests.evaluation.lift_people import takes


def gaussian(count: int, frames: int = 1) -> Tensor:
    """Poses of three independent ways to move."""
    generator = torch.Generator().manual_seed(3)
    axes = torch.randn(3, frames, 17, 3, generator=generator)
    weights = torch.randn(count, 3, generator=generator) * torch.tensor([1., .5, .2])
    return 2 + torch.einsum("nc,ctkd->ntkd", weights, axes)


def test_a_prior_has_the_mean_and_covariance_of_what_it_was_fitted_to() -> None:
    xyz = gaussian(500)
    prior = fit(xyz, kept=.99999)
    assert len(prior.parts) == 3
    assert torch.allclose(prior.mean, xyz.mean(0), atol=1e-4)
    parts = prior.parts.flatten(1)
    assert torch.allclose(parts.T @ parts, xyz.flatten(1).T.cov(), atol=1e-3)
    assert len(fit(xyz, kept=.5).parts) == 1


def test_hypotheses_are_samples_of_the_posterior_of_a_linear_observation() -> None:
    """Orthographic pictures of a Gaussian: mean and covariance of the posterior are known in closed form."""
    prior, spread = fit(gaussian(500), kept=.99999), .7
    pixels = prior.points(torch.tensor([[1., -1., .5]]))[0, ..., :2]

    def energy(points: Tensor) -> Tensor:
        return ((points[..., :2] - pixels) / spread).square().sum((1, 2, 3)) / 2

    drawn = hypotheses(prior, energy, 4000, 1, steps=24, energy_steps=6).flatten(1)
    seen = prior.parts[..., :2].flatten(1)
    covariance = torch.linalg.inv(torch.eye(3) + seen @ seen.T / spread**2)
    mean = covariance @ seen @ (pixels - prior.mean[..., :2]).flatten() / spread**2
    parts = prior.parts.flatten(1)
    wanted = prior.mean.flatten() + mean @ parts
    std = (parts.T @ covariance @ parts).diagonal().sqrt()
    # Sampling begins at a noise of 20 stds, where a posterior 2 stds off is not quite forgotten yet.
    assert ((drawn.mean(0) - wanted).abs() / std).max() < .15
    assert torch.allclose(drawn.std(0) / std, torch.ones(51), atol=.1)


def test_without_energy_hypotheses_are_the_prior_and_those_of_their_seed() -> None:
    prior = fit(gaussian(100))

    def free(points: Tensor) -> Tensor:
        return 0 * points.sum((1, 2, 3))

    one, again, other = (hypotheses(prior, free, 2000, seed, steps=24, energy_steps=1) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    std = prior.parts.square().sum(0).sqrt()
    assert ((one.mean(0) - prior.mean).abs() / std).max() < .1
    assert torch.allclose(one.std(0), std, rtol=.1)


def test_priors_of_motions_are_relative_to_the_pelvis() -> None:
    found = priors(takes(), (1, 8), 60, seed=0)
    assert {frames: prior.mean.shape[0] for frames, prior in found.items()} == {1: 1, 8: 8}
    for prior in found.values():
        assert prior.points(torch.randn(5, len(prior.parts)))[:, :, 0].abs().max() < 1e-6
        assert prior.mean[:, 8, 1].max() == pytest.approx(-.49, abs=.15)  # the thorax is above: y points down
