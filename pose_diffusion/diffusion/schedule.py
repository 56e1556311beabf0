"""Noise levels: the grid a sampler walks down, the levels training draws, and the scalings of the network at a level.

``sigma`` is the standard deviation of the noise on the state, in units of the state (features of standard deviation
``sigma_data``, 1 by construction). Equations are those of Karras et al. 2022, "Elucidating the Design Space of
Diffusion-Based Generative Models" (arXiv 2206.00364), called EDM below.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_STEPS = 1000


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    """The noise levels of a sampler: from ``sigma_max`` down, evenly spaced in ``sigma ** (1 / rho)``, then 0.

    This is EDM eq. (5) with one change: the ramp reaches ``sigma_min`` at index ``steps`` instead of ``steps - 1``, and
    that entry is then replaced by 0. No call is thus spent at ``sigma_min``, where the estimate hardly changes any more
    and which few steps cannot afford. One step is a single call at ``sigma_max``.

    Parameters
    ----------
    steps : int
        Calls of the denoiser, 1 to 1000.
    sigma_min, sigma_max : float
        Lowest (never quite reached) and highest level, ``0 < sigma_min < sigma_max``.
    rho : float
        Above 1: the larger, the more of the steps are spent at low levels; 1 is a uniform grid.

    Returns
    -------
    Tensor ``(steps + 1,)``, float32
        Strictly falling; the last entry is exactly 0.

    Raises
    ------
    ValueError
        For steps or levels out of their range.
    """
    if steps not in range(1, MAX_STEPS + 1):
        raise ValueError(f"steps must be a whole number from 1 to {MAX_STEPS}, not {steps}")
    if not 0 < sigma_min < sigma_max < math.inf:
        raise ValueError(f"noise levels must satisfy 0 < sigma_min < sigma_max, not {sigma_min} and {sigma_max}")
    if not 1 <= rho < math.inf:
        raise ValueError(f"rho must be a number from 1 up, not {rho}")
    ramp = torch.arange(int(steps) + 1, dtype=torch.float64) / int(steps)
    top, bottom = sigma_max**(1 / rho), sigma_min**(1 / rho)
    sigmas = (top + ramp * (bottom - top))**rho
    sigmas[0], sigmas[-1] = sigma_max, 0.0
    return sigmas.float()


def training_sigmas(n: int,
                    generator: torch.Generator,
                    *,
                    mean: float = 1.0,
                    std: float = 1.6,
                    low: float = 0.01,
                    high: float = 100.0) -> Tensor:
    """Noise levels for ``n`` training clips: ``ln sigma ~ N(mean, std)``, clipped to ``[low, high]`` (EDM table 1,
    "Training").

    The default centre is far above that of images (EDM uses -1.2): a pose sequence repeats itself so much that its
    large movements are still visible under noise many times the spread of a single coordinate.

    Returns
    -------
    Tensor ``(n,)``, float32, on the generator's device
    """
    normal = torch.randn(n, generator=generator, device=generator.device)
    return (mean + std * normal).exp().clamp(low, high)


# The network F sees and returns values of unit variance; the denoiser around it is EDM eq. (7):
#     D(x, sigma) = c_skip(sigma) x + c_out(sigma) F(c_in(sigma) x, c_noise(sigma))
# with the four scalings of EDM table 1 ("Network and preconditioning", last column), derived in its appendix B.6.
# Training and sampling both call these four functions, so that they cannot drift apart.


def c_skip(sigma: Tensor, sigma_data: float | Tensor = 1.0) -> Tensor:
    """Share of the noisy input in the output: the best linear guess of the clean value (EDM eq. 7, table 1)."""
    return sigma_data**2 / (sigma**2 + sigma_data**2)


def c_out(sigma: Tensor, sigma_data: float | Tensor = 1.0) -> Tensor:
    """Scale of the network's output: the standard deviation that this linear guess leaves open (EDM eq. 7, table 1)."""
    return sigma * sigma_data / (sigma**2 + sigma_data**2).sqrt()


def c_in(sigma: Tensor, sigma_data: float | Tensor = 1.0) -> Tensor:
    """Scale of the network's noisy input, for unit variance at every level (EDM eq. 7, table 1)."""
    return 1 / (sigma**2 + sigma_data**2).sqrt()


def c_noise(sigma: Tensor) -> Tensor:
    """The noise level as the network is told of it: ``ln(sigma) / 4`` (EDM eq. 7, table 1). Needs ``sigma > 0``."""
    return sigma.log() / 4
