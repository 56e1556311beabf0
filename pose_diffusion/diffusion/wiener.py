"""A linear prior of motion: how a part of the body varies, and how long it stays as it is.

A hand has 63 coordinates, and nearly all of its motion is in a dozen directions; jitter is in all of them alike. So a
part is taken apart into the principal components of its motion, each component is filtered in time by the Wiener filter
(Wiener 1949) for its own autocovariance and the noise of `corruption.jitter`, and put together again. On people it was
not fitted to, this leaves three quarters of what the best Savitzky-Golay filter leaves of jitter
(`benchmarks/steady_prior.py`: .73 to .79 by part and level).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

HALF = 8  # frames on either side that a filter looks at
NEAR = 16  # frames on either side that a component varies around the mean of
NOISE = (.02, .06, .12)  # std of the jitter of hands in shoulder widths, one filter each
CORRELATED, DECAY = .5, .8  # share of the jitter's variance that is correlated, and its correlation from frame to frame


@dataclass(frozen=True)
class Prior:
    """How a part of n points moves.

    Attributes
    ----------
    basis : Tensor
        `(3 n, 3 n)` principal components, in columns.
    taps : Tensor
        `(len(NOISE), 3 n, 2 * HALF + 1)` a filter per level of noise and component.
    """

    basis: Tensor
    taps: Tensor


def nothing(points: int) -> Prior:
    """The prior that leaves everything as it is."""
    taps = torch.zeros(len(NOISE), 3 * points, 2 * HALF + 1)
    taps[..., HALF] = 1
    return Prior(torch.eye(3 * points), taps)


def fit(tracks: Sequence[np.ndarray], share: float) -> Prior:
    """The prior of a part.

    Parameters
    ----------
    tracks : sequence of np.ndarray
        `(T, n, 3)` points in shoulder widths, all observed; at least one.
    share : float
        Of `NOISE`, the jitter of this part.

    Returns
    -------
    Prior
    """
    varying = []
    for track in tracks:
        x = torch.from_numpy(np.ascontiguousarray(track)).double().flatten(1)[None]
        varying.append((x - local_mean(x, torch.ones(x.shape[:2], dtype=torch.bool)))[0])
    every = torch.cat(varying)
    values, basis = torch.linalg.eigh(every.T @ every / len(every))
    lags = 2 * HALF + 1
    autocovariance, counts = torch.zeros(lags, len(values), dtype=torch.float64), torch.zeros(lags, 1)
    for x in varying:
        components = x @ basis
        for lag in range(min(lags, len(x))):
            autocovariance[lag] += (components[lag:] * components[:len(x) - lag]).sum(0)
            counts[lag] += len(x) - lag
    autocovariance /= counts.clamp(min=1)
    taps = torch.stack([filters(autocovariance.T, share * std) for std in NOISE])
    return Prior(basis.float(), taps.float())


def filters(autocovariance: Tensor, std: float) -> Tensor:
    """`(C, 2 * HALF + 1)` Wiener filters `R (R + N)^-1`, middle row, from `(C, lags)` autocovariances."""
    frames = torch.arange(2 * HALF + 1)
    apart = (frames[:, None] - frames[None]).abs()
    noise = std**2 * ((1 - CORRELATED) * (apart == 0) + CORRELATED * DECAY**apart)
    signal = autocovariance[:, apart]
    values, vectors = torch.linalg.eigh(signal)  # an estimate need not be positive
    signal = vectors @ torch.diag_embed(values.clamp(min=1e-9)) @ vectors.transpose(1, 2)
    return torch.linalg.solve(signal + noise, signal[:, :, [HALF]])[..., 0]


def local_mean(x: Tensor, valid: Tensor) -> Tensor:
    """`(B, T, C)`: the mean over the `2 * NEAR + 1` frames around each, of those that are valid `(B, T)`."""
    frames = x.shape[1]
    weighted = torch.cat([x * valid.unsqueeze(-1), valid.unsqueeze(-1).to(x)], dim=-1)
    total = F.pad(weighted.cumsum(1), (0, 0, 1, 0))
    index = torch.arange(frames, device=x.device)
    around = total[:, (index + NEAR + 1).clamp(max=frames)] - total[:, (index - NEAR).clamp(min=0)]
    return around[..., :-1] / around[..., -1:].clamp(min=1)


def steadied(points: Tensor, prior: Prior, valid: Tensor) -> Tensor:
    """Points `(B, T, n, 3)` without jitter, `(len(NOISE), B, T, n, 3)`: an estimate per level of noise.

    The last valid frame stands for those after it, the ends are replicated.
    """
    batch, frames, n, _ = points.shape
    x = points.flatten(2)
    middle = local_mean(x, valid)
    last = (valid.sum(1, keepdim=True) - 1).clamp(min=0)
    index = torch.minimum(torch.arange(frames, device=x.device), last).unsqueeze(-1).expand(-1, -1, 3 * n)
    components = ((x - middle).gather(1, index) @ prior.basis).transpose(1, 2)
    padded = F.pad(components, (HALF, HALF), mode="replicate")
    levels = len(prior.taps)
    kernels = prior.taps.transpose(0, 1).reshape(-1, 1, 2 * HALF + 1)  # component by component, its levels together
    out = F.conv1d(padded, kernels, groups=3 * n).view(batch, 3 * n, levels, frames).permute(2, 0, 3, 1)
    return (out @ prior.basis.T + middle).view(levels, batch, frames, n, 3)
