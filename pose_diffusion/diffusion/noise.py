"""Noise that looks like the errors of poses: smooth in time.

What is not known of a motion is where it went, not whether it shook. With white noise the samples of a few steps shake
several times as much as people do, as each keypoint of each frame has to be freed of noise of its own; with smooth
noise what is left of it after the last step is a plausible error. A little of it is white, so that the noise hides fine
detail as well (Rissanen et al. 2023 and Voleti et al. 2022 discuss diffusion with noise that is not white).
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pose_diffusion.diffusion.sampler import initial_noise

MARGIN = 8  # frames on either side that a frame's noise is made of
WHITE = .02  # share of the variance


def kernel() -> Tensor:
    """`(2 * MARGIN + 1,)` float64 of unit norm: a Hann window and a spike."""
    hann = torch.hann_window(2 * MARGIN + 3, periodic=False, dtype=torch.float64)[1:-1]
    mixed = (1 - WHITE)**.5 * hann / hann.norm()
    mixed[MARGIN] += WHITE**.5
    return mixed / mixed.norm()


def smoothed(white: Tensor) -> Tensor:
    """White noise `(B, T + 2 * MARGIN, ...)` to smooth noise `(B, T, ...)`, unit variance kept."""
    frames = white.shape[1] - 2 * MARGIN
    weights = kernel().tolist()
    out = weights[0] * white[:, :frames]
    for i, weight in enumerate(weights[1:], start=1):
        out = torch.add(out, white[:, i:i + frames], alpha=weight)
    return out


def smooth_noise(frames: int, rest: Sequence[int], seeds: Sequence[int], sigma: float) -> Tensor:
    """Noise to start from, `(len(seeds), frames, *rest)`: a frame's depends on the seed, not on what comes after it."""
    return smoothed(initial_noise((frames + 2 * MARGIN, *rest), seeds, sigma))
