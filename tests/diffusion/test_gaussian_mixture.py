"""The oracle of the sampler tests, itself against Bayes' rule on a grid."""
from __future__ import annotations

import pytest
import torch

from .gaussian_mixture import LINE, MIXTURE


def test_the_oracle_denoises_as_bayes_rule_on_a_grid() -> None:
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    prior = LINE.density(grid[:, None])
    for x, sigma in ((0.3, 0.4), (-1.0, 1.5), (4.0, 3.0)):
        posterior = prior * (-(x - grid)**2 / (2 * sigma**2)).exp()
        expected = (posterior * grid).sum() / posterior.sum()
        got = LINE.denoise(torch.tensor([[x]], dtype=torch.float64), torch.tensor(sigma))
        assert float(got) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("variance", [0.0, 0.16])
def test_the_conditional_oracle_agrees_with_bayes_rule_on_a_grid(variance: float) -> None:
    conditional = MIXTURE.given([0], [0.7], variance)
    side = torch.linspace(-7, 7, 701, dtype=torch.float64)
    points = torch.cartesian_prod(side, side) if variance else torch.stack([torch.full_like(side, 0.7), side], 1)
    weight = MIXTURE.density(points)
    if variance:
        weight = weight * (-(points[:, 0] - 0.7)**2 / (2 * variance)).exp()
    weight = weight / weight.sum()
    mean = weight @ points
    torch.testing.assert_close(conditional.mean, mean, atol=1e-6, rtol=0)
    apart = points - mean
    torch.testing.assert_close(conditional.covariance, (weight[:, None] * apart).T @ apart, atol=1e-6, rtol=0)
