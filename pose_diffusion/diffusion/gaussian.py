"""What a whole window of motion probably looked like: the posterior mean under one Gaussian, holes and all.

Where `wiener.py` knows how each component of a part goes on in time, this knows how a window as a whole varies: which
arm goes with which hand, where hands usually are. It is the conditional Gaussian of the benchmark's baselines (there a
mixture, tuned to each damage), as one more estimate for the network to choose from.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

DIRECTIONS = 80  # principal components
STDS = (.03, .1)  # noise of what is observed, shoulder widths


@dataclass(frozen=True)
class Gaussian:
    """A low-rank Gaussian over windows of W frames of n points: `mean + directions z`, z of the given variances.

    Attributes
    ----------
    mean : Tensor
        `(W, n, 3)`.
    directions : Tensor
        `(W, n, 3, P)`, orthonormal, or all zero where nothing has been fitted.
    variances : Tensor
        `(P,)`; 0 where nothing has been fitted.
    """

    mean: Tensor
    directions: Tensor
    variances: Tensor


def blank(frames: int, points: int) -> Gaussian:
    """Not fitted yet."""
    return Gaussian(torch.zeros(frames, points, 3), torch.zeros(frames, points, 3, DIRECTIONS), torch.zeros(DIRECTIONS))


def fit(windows: Sequence[np.ndarray]) -> Gaussian:
    """Principal components of complete windows `(W, n, 3)`, more than `DIRECTIONS` of them."""
    shape = windows[0].shape
    flat = torch.from_numpy(np.stack(windows)).float().flatten(1)
    mean = flat.mean(0)
    centred = flat - mean
    values, vectors = torch.linalg.eigh((centred.T @ centred / len(flat)).double())
    return Gaussian(mean.view(shape), vectors[:, -DIRECTIONS:].float().reshape(*shape, -1),
                    values[-DIRECTIONS:].clamp(min=1e-8).float())


def likely(prior: Gaussian, x: Tensor, seen: Tensor) -> Tensor:
    """Posterior means of windows, one per noise level of `STDS`; the windows as they are where nothing is fitted.

    Parameters
    ----------
    prior : Gaussian
        Of W frames and n points.
    x : Tensor
        `(N, W, n, 3)`.
    seen : Tensor
        `(N, W, n)` bool: what is observed; the rest of x does not matter.

    Returns
    -------
    Tensor
        `(len(STDS), N, W, n, 3)`: `mean + U (U'MU / s^2 + V^-1)^-1 U'M (x - mean) / s^2` (Bishop 2006, 2.3.3).
    """
    if not bool(prior.variances.any()):
        return x.expand(len(STDS), *x.shape)
    count = prior.directions.shape[-1]
    points = prior.directions.reshape(-1, 3, count)
    mask = seen.flatten(1).to(x)
    gram = (mask @ (points.transpose(1, 2) @ points).flatten(1)).view(-1, count, count)
    offset = (x - prior.mean) * seen.unsqueeze(-1)
    told = offset.flatten(1) @ points.flatten(0, 1)
    out = []
    for std in STDS:
        root = torch.linalg.cholesky(gram + torch.diag(std**2 / prior.variances))
        z = torch.cholesky_solve(told.unsqueeze(-1), root).squeeze(-1)
        out.append((z @ points.flatten(0, 1).T).view(x.shape) + prior.mean)
    return torch.stack(out)
