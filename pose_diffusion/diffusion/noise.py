"""Noise that looks like the errors of poses: smooth in time, and a hand moves as hands do.

What is not known of a motion is where it went, not whether it shook. With white noise the samples of a few steps shake
several times as much as people do, as each keypoint of each frame has to be freed of noise of its own; with smooth
noise what is left of it after the last step is a plausible error. A little of it is white, so that the noise hides fine
detail as well (Rissanen et al. 2023 and Voleti et al. 2022 discuss diffusion with noise that is not white).

From point to point it is the same: noise of one's own for every point tears a hand apart, and a few steps do not put it
together again. So the points of a part move together in it as they do in real motion.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pose_diffusion.diffusion.sampler import initial_noise

MARGIN = 8  # frames on either side that a frame's noise is made of
WHITE = .02  # share of the variance
OWN = .03  # share of the variance that is each coordinate's own


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


@dataclass(frozen=True)
class Shape:
    """How the points of a part move together in noise.

    Attributes
    ----------
    mix : Tensor
        `(3 n, 3 n)`: the symmetric root of a correlation matrix, of the features of n points laid out x, y, z.
    """

    mix: Tensor

    def __call__(self, noise: Tensor, mirrored: bool = False) -> Tensor:
        """Independent noise `(..., n, 3)` of unit variance to noise of this shape, unit variance kept; `mirrored` for
        the other hand.
        """
        sign = noise.new_tensor([-1. if mirrored else 1., 1., 1.])
        return ((noise * sign).flatten(-2) @ self.mix).view(noise.shape) * sign


def plain(size: int) -> Tensor:
    """No shape: every coordinate for itself."""
    return torch.eye(size)


def fit(moves: np.ndarray) -> Tensor:
    """The root of a shape from real motion.

    Parameters
    ----------
    moves : np.ndarray
        `(N, n, 3)`: how far features of a part moved from one frame to another of the same clip.
    """
    x = moves.reshape(len(moves), -1).astype(np.float64)
    scale = np.sqrt(np.maximum((x**2).mean(0), 1e-8))
    correlation = (1 - OWN) * (x / scale).T @ (x / scale) / len(x)
    np.fill_diagonal(correlation, 1.)
    values, vectors = np.linalg.eigh(correlation)
    return torch.from_numpy((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T).float()
