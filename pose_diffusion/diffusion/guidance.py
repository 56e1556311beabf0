"""Classifier-free guidance: follow the condition more (or less) closely than the data do."""
from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pose_diffusion.diffusion.sampler import Denoiser

ConditionalDenoiser = Callable[[Tensor, Tensor, Tensor], Tensor]


def classifier_free(denoise: ConditionalDenoiser,
                    scale: float,
                    interval: tuple[float, float] = (0.0, math.inf)) -> Denoiser:
    """Guide a denoiser by its own estimate without a condition: ``uncond + scale * (cond - uncond)``.

    Ho and Salimans 2022, arXiv 2207.12598, eq. 6 (``scale`` here is ``1 + w`` there), applied to the clean estimate,
    and only at noise levels within ``interval`` (Kynkäänniemi et al. 2024, arXiv 2404.07724: at high noise it harms, at
    low noise it does nothing).

    Parameters
    ----------
    denoise : callable
        ``denoise(x, sigma, conditional) -> clean``; ``conditional`` ``(batch,)`` bool says which samples of ``x`` see
        their condition. It is called once a step: on ``x`` twice over, ``(2 * batch, ...)``, all conditional ones
        first, where both estimates are needed, else on ``x`` itself.
    scale : float
        1 is the condition as learnt, above 1 more of it, 0 none of it.
    interval : (float, float)
        Lowest and highest noise level, both included, at which ``scale`` holds; elsewhere it is 1.

    Returns
    -------
    Denoiser
        ``D(x, sigma)``, float32 where both estimates were needed.

    Raises
    ------
    ValueError
        For a scale that is not finite or an interval that is empty.
    """
    low, high = interval
    if not math.isfinite(scale):
        raise ValueError(f"guidance must be a finite number, not {scale}")
    if not low <= high:
        raise ValueError(f"the guidance interval must have its lower end first, not {low} and {high}")
    everywhere = low <= 0 and high == math.inf  # then sigma need not be read, which on a GPU means waiting

    def guided(x: Tensor, sigma: Tensor) -> Tensor:
        batch = len(x)
        weight = scale if everywhere or low <= float(sigma) <= high else 1.0
        if weight in (0.0, 1.0):
            return denoise(x, sigma, torch.full((batch,), weight == 1.0, device=x.device))
        both = torch.arange(2 * batch, device=x.device) < batch
        cond, uncond = denoise(torch.cat([x, x]), sigma, both).float().chunk(2)
        return uncond + weight * (cond - uncond)

    return guided
