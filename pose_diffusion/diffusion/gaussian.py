"""What a stretch of motion probably looked like: the posterior mean under one Gaussian, holes and all.

Where `wiener.py` knows how each component of a part goes on in time, this knows how 24 frames as a whole vary: which
arm goes with which hand, where hands usually are, which finger moves with which. It is the conditional Gaussian of the
benchmark's baselines (there a mixture, tuned to each damage), as more estimates for the network to choose from.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

FRAMES = 24  # of a window: most training clips have 25 to 30
HOP = 12  # frames from one window to the next
AT_ONCE = 64  # windows that are asked about; the matrices of more do not fit into the cache
DIRECTIONS = 160  # principal components
Told = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian over windows of `FRAMES` frames of n points: `mean + directions z + white noise`.

    Attributes
    ----------
    mean : Tensor
        `(FRAMES, n, 3)`.
    directions : Tensor
        `(FRAMES, n, 3, P)`, orthonormal, or all zero where nothing has been fitted.
    variances : Tensor
        `(P,)` of z; 0 where nothing has been fitted.
    rest : Tensor
        `()` variance per coordinate outside of the directions.
    """

    mean: Tensor
    directions: Tensor
    variances: Tensor
    rest: Tensor

    @property
    def fitted(self) -> bool:
        """Whether it has seen data."""
        return bool(self.variances.any())

    @cached_property
    def triangle(self) -> Tensor:
        """`(P (P + 1) / 2,)` places of the lower triangle in a matrix laid out flat."""
        rows, columns = torch.tril_indices(len(self.variances), len(self.variances), device=self.mean.device)
        return rows * len(self.variances) + columns

    @cached_property
    def products(self) -> Tensor:
        """`(FRAMES n, P (P + 1) / 2)`: what each observed point adds to the lower triangle of U'U."""
        points = self.directions.reshape(-1, 3, len(self.variances))
        return torch.stack([(point.T @ point).flatten()[self.triangle] for point in points])


def blank(points: int) -> Gaussian:
    """Not fitted yet."""
    return Gaussian(torch.zeros(FRAMES, points, 3), torch.zeros(FRAMES, points, 3, DIRECTIONS), torch.zeros(DIRECTIONS),
                    torch.zeros(()))


def fit(windows: Sequence[np.ndarray]) -> Gaussian:
    """Principal components of complete windows `(FRAMES, n, 3)`, more than `DIRECTIONS` of them."""
    shape = windows[0].shape
    flat = torch.from_numpy(np.stack(windows)).float().flatten(1)
    mean = flat.mean(0)
    centred = flat - mean
    values, vectors = torch.linalg.eigh((centred.T @ centred / len(flat)).double())
    rest = values[:-DIRECTIONS].sum() / max(len(values) - DIRECTIONS, 1)
    return Gaussian(mean.view(shape), vectors[:, -DIRECTIONS:].float().reshape(*shape, -1),
                    values[-DIRECTIONS:].clamp(min=1e-8).float(), rest.float())


def ask(prior: Gaussian, seen: Tensor) -> Told:
    """Prepare for windows of which the same points are observed, whatever their values and noise.

    Parameters
    ----------
    prior : Gaussian
        Of n points, fitted.
    seen : Tensor
        `(N, FRAMES, n)` bool: what is observed.

    Returns
    -------
    callable
        From values `(N, FRAMES, n, 3)` (those not seen do not matter) and the standard deviation of the noise per
        coordinate to the posterior means `(N, FRAMES, n, 3)`. It computes in the precision of the prior; single
        precision is enough for the shipped one (tested: within .002 shoulder widths of double).

    Notes
    -----
    `mean + U (U'MU + s^2 V^-1)^-1 U'M (x - mean)` with V the variances, M the mask and s^2 that of the noise plus what
    is outside of the directions (Bishop 2006, 2.3.3). Where all is seen, U'MU is the identity.
    """
    if len(seen) > AT_ONCE:
        parts = [ask(prior, some) for some in seen.split(AT_ONCE)]
        return lambda x, std: torch.cat([part(some, std) for part, some in zip(parts, x.split(AT_ONCE))])
    count = len(prior.variances)
    flat = prior.directions.reshape(-1, count)
    holes = (~seen.flatten(1).all(1)).nonzero().squeeze(1)
    alike = _Alike(packed(seen[holes].flatten(1)))  # real clips have few patterns: a point is often never there
    gram = flat.new_zeros(len(alike.first), count, count)
    gram.view(-1, count**2)[:, prior.triangle] = seen[holes[alike.first]].flatten(1).to(flat) @ prior.products
    roots: dict[float, Tensor] = {}

    def told(x: Tensor, std: float) -> Tensor:
        damping = (std**2 + prior.rest) / prior.variances
        offset = ((x.to(flat) - prior.mean) * seen.unsqueeze(-1)).flatten(1) @ flat
        z = offset / (1 + damping)
        if len(holes):
            if std not in roots:  # reads the lower triangle only
                roots[std] = torch.linalg.cholesky(gram + torch.diag(damping))
            z[holes] = alike.solve(roots[std], offset[holes])
        return ((z @ flat.T).view(x.shape) + prior.mean).to(x)

    return told


class _Alike:
    """Rows that are the same, `(N, n)`: `first` is the place of one of each kind."""

    def __init__(self, rows: Tensor):
        _, which, counts = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)
        order, ends = which.argsort(stable=True), counts.cumsum(0)
        self.first = order[ends - counts]
        several = (counts > 1).nonzero().squeeze(1).tolist()
        self.others = [(kind, order[ends[kind] - counts[kind] + 1:ends[kind]]) for kind in several]

    def solve(self, roots: Tensor, x: Tensor) -> Tensor:
        """Solve `(N, P)` rows, each with the triangle of its kind `(kinds, P, P)`, none of which is copied for it."""
        out = torch.empty_like(x)
        out[self.first] = torch.cholesky_solve(x[self.first].unsqueeze(-1), roots).squeeze(-1)
        for kind, rows in self.others:
            out[rows] = torch.cholesky_solve(x[rows].T, roots[kind]).T
        return out


def packed(bits: Tensor) -> Tensor:
    """Rows of bool `(N, n)` as int64 `(N, n / 62)`, 62 bits in each, which are quick to compare."""
    words = -(-bits.shape[1] // 62)
    bits = torch.nn.functional.pad(bits, (0, -bits.shape[1] % 62)).view(len(bits), words, 62)
    return (bits.long() << torch.arange(62, device=bits.device)).sum(-1)


@dataclass(frozen=True)
class Cover:
    """How overlapping windows of `FRAMES` frames lie over a padded batch of clips.

    Attributes
    ----------
    index : Tensor
        `(N, FRAMES)` places in the batch laid out flat, clip by clip, each clip as long as `frames`.
    frames, clips : int
        Of the batch; at least `FRAMES` frames.
    """

    index: Tensor
    frames: int
    clips: int

    def cut(self, x: Tensor) -> Tensor:
        """`(B, T, ...)` -> `(N, FRAMES, ...)`; zeros beyond T."""
        if x.shape[1] < self.frames:
            x = torch.cat([x, x.new_zeros(len(x), self.frames - x.shape[1], *x.shape[2:])], dim=1)
        return x.flatten(0, 1)[self.index]

    def join(self, x: Tensor, frames: int) -> Tensor:
        """`(N, FRAMES, n, 3)` -> `(B, frames, n, 3)`, blended by triangular weights; 0 where no window lies."""
        ramp = torch.arange(1, FRAMES + 1, device=x.device)
        ramp = torch.minimum(ramp, ramp.flip(0)).to(x).expand(len(x), -1)
        rows = self.index.flatten()
        total = x.new_zeros(self.clips * self.frames).index_add_(0, rows, ramp.flatten())
        share = (ramp / total[self.index]).view(*ramp.shape, 1, 1)
        out = x.new_zeros(self.clips * self.frames, *x.shape[2:])
        out.index_add_(0, rows, (x * share).flatten(0, 1))
        return out.view(self.clips, self.frames, *x.shape[2:])[:, :frames]


def cover(valid: Tensor) -> Cover:
    """Windows every `HOP` frames, the last ones pushed back into their clip: `(B, T)` bool, True up to a clip's end."""
    frames = max(valid.shape[1], FRAMES)
    starts = torch.arange(0, frames - FRAMES + HOP, HOP, device=valid.device).unsqueeze(1)
    last = (valid.sum(1) - FRAMES).clamp(min=0)
    first = torch.minimum(starts, last) + torch.arange(len(valid), device=valid.device) * frames  # (windows, clips)
    index = first[starts < last + HOP].unsqueeze(1) + torch.arange(FRAMES, device=valid.device)
    return Cover(index, frames, len(valid))
