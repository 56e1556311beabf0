"""The oracle of the sampler tests: a mixture of Gaussians, whose best denoiser is known in closed form.

If ``x0 ~ sum_k w_k N(m_k, S_k)`` and ``x = x0 + sigma * noise``, then given ``x`` the clean ``x0`` is a mixture again,
and the best denoiser is its mean. What is observed of ``x0`` makes it a mixture as well, so that conditional sampling
has the same kind of oracle. Everything is computed in float64.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """``weights (k,)``, ``means (k, d)``, ``covariances (k, d, d)``; float64. A covariance may be singular."""
    weights: Tensor
    means: Tensor
    covariances: Tensor

    @staticmethod
    def of(weights: list[float], means: list[list[float]], covariances: list[list[list[float]]]) -> GaussianMixture:
        return GaussianMixture(*(torch.tensor(x, dtype=torch.float64) for x in (weights, means, covariances)))

    @property
    def mean(self) -> Tensor:
        """Mean of the mixture, ``(d,)``."""
        return self.weights @ self.means

    @property
    def covariance(self) -> Tensor:
        """Covariance of the mixture ``(d, d)``: the mean of the covariances plus the covariance of the means."""
        apart = self.means - self.mean
        return torch.einsum("k,kij->ij", self.weights, self.covariances + apart[:, :, None] * apart[:, None])

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Mean of ``x0`` given ``x`` ``(..., d)`` at noise level ``sigma``; in the type of ``x``."""
        noisy = self.covariances + sigma.double()**2 * torch.eye(self.means.shape[1], dtype=torch.float64)
        apart = x.double()[..., None, :] - self.means  # (..., k, d)
        weighed = torch.einsum("kij,...kj->...ki", torch.linalg.inv(noisy), apart)
        log_share = self.weights.log() - torch.linalg.slogdet(noisy)[1] / 2 - (apart * weighed).sum(-1) / 2
        means = self.means + torch.einsum("kij,...kj->...ki", self.covariances, weighed)
        return (log_share.softmax(-1)[..., None] * means).sum(-2).to(x.dtype)

    def given(self, coordinates: list[int], values: list[float], variance: float = 0.0) -> GaussianMixture:
        """The mixture when these coordinates of ``x0`` were seen with noise of this variance (0: exactly)."""
        seen = torch.tensor(values, dtype=torch.float64)
        cross = self.covariances[:, :, coordinates]  # (k, d, o)
        inner = cross[:, coordinates] + variance * torch.eye(len(coordinates), dtype=torch.float64)
        gain = cross @ torch.linalg.inv(inner)
        apart = seen - self.means[:, coordinates]
        log_share = (self.weights.log() - torch.linalg.slogdet(inner)[1] / 2
                     - torch.einsum("ki,kij,kj->k", apart, torch.linalg.inv(inner), apart) / 2)
        means = self.means + torch.einsum("kij,kj->ki", gain, apart)
        return GaussianMixture(log_share.softmax(0), means, self.covariances - gain @ cross.mT)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Samples of the mixture, ``(n, d)``."""
        values, vectors = torch.linalg.eigh(self.covariances)
        roots = vectors * values.clamp(min=0).sqrt()[:, None]
        parts = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        normal = torch.randn(n, self.means.shape[1], dtype=torch.float64, generator=generator)
        return self.means[parts] + torch.einsum("nij,nj->ni", roots[parts], normal)

    def cdf(self, x: Tensor, coordinate: int, sigma: float = 0.0) -> Tensor:
        """Probability that this coordinate, under noise ``sigma``, is at most ``x`` ``(n,)``."""
        spread = (self.covariances[:, coordinate, coordinate] + sigma**2).sqrt()
        z = (x.double()[:, None] - self.means[:, coordinate]) / spread
        return (self.weights * torch.erfc(-z / math.sqrt(2)) / 2).sum(-1)

    def density(self, points: Tensor) -> Tensor:
        """Probability density at ``points`` ``(n, d)``; for regular covariances."""
        parts = torch.distributions.MultivariateNormal(self.means, self.covariances)
        return (self.weights * parts.log_prob(points[:, None]).exp()).sum(-1)


GAUSSIAN = GaussianMixture.of([1.0], [[0.5, -1.0, 2.0]], [[[1.0, 0.6, 0.1], [0.6, 2.0, -0.3], [0.1, -0.3, 0.25]]])
MIXTURE = GaussianMixture.of([0.2, 0.5, 0.3], [[-3.0, 0.0], [1.0, 2.0], [2.0, -2.0]],
                             [[[0.3, 0.1], [0.1, 0.2]], [[0.5, -0.3], [-0.3, 0.4]], [[0.1, 0.0], [0.0, 0.6]]])
LINE = GaussianMixture.of([0.3, 0.7], [[-2.0], [1.0]], [[[0.25]], [[0.09]]])
