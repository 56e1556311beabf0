# SPDX-License-Identifier: GPL-3.0-or-later
"""How much depth a file's z means: one factor per network and clip, found by the constancy of bone lengths.

MediaPipe's z is not metric. Each of its networks (body, hands, face) exaggerates or flattens it in its own way, and
tools that write files scale it again. But bones keep their length while they turn towards the camera and away from it.

MediaPipe's world landmarks, which are metric, are not used: many files lack them, and with the factor found here an
arm's lengths vary no more in the image's landmarks than in the world's.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Usual:
    """What is known of a network's z before a clip is seen.

    Attributes
    ----------
    factor : float
        Depth in image widths per unit of z: about the median of MediaPipe Holistic's output.
    spread : float
        How far the factor varies from clip to clip: standard deviation of its logarithm.
    alike : float
        How many observations say as much as one would that is independent: frames follow each other, fingers move
        together.
    share : float
        Mean squared depth of a bone over its mean squared length in the image, in signing.
    """

    factor: float
    spread: float
    alike: float
    share: float


# Body: with 0.2 the forearms of 12 sources of signing clips are 0.8 shoulder widths long, as people's are.
BODY = Usual(.2, .4, 25, .15)
HAND = Usual(.75, .2, 200, .2)
FACE = Usual(1.0, .2, 200, .3)
LENGTH_SPREAD = .2  # standard deviation of the logarithm of a squared length among people
STRANGE = 5.0  # a file whose z differs from the usual by more than this was scaled by another tool
RANGE = 6.0  # how far the data may take the factor from where it starts
OUTLIER = 2.0  # lengths beyond twice the bone's median are errors of capture
EXACT = 1e-6  # squared relative deviation of lengths that is as good as none


def depth_factor(ends: np.ndarray, seen: np.ndarray, usual: Usual, unit: float, lengths: np.ndarray | None = None
                 ) -> float:
    """The factor for which bones' 3D lengths vary least over time, and are as long as people's are.

    Noise in z makes lengths vary as much as a wrong factor does, and a short clip says little; so the usual factor and
    people's usual lengths count too, the less the better the lengths agree: exact points overrule them, noisy ones
    hardly. The cost of a factor, `N log(variance of lengths) + (deviation from the usual)^2 / spread^2`, is looked up
    on a grid, since it may have two minima.

    Parameters
    ----------
    ends : np.ndarray
        `(T, B, 3)` differences between the ends of B bones: x, y in pixels, z as stored.
    seen : np.ndarray
        `(T, B)` bool.
    usual : Usual
        Of the network.
    unit : float
        The image's width in pixels.
    lengths : np.ndarray, optional
        `(B,)` pixels: what the bones' lengths usually are.

    Returns
    -------
    float
        Pixels per unit of z; positive.
    """
    across, along = np.square(ends[..., :2]).sum(-1), np.square(ends[..., 2])
    start = usual.factor * unit
    if not (along[seen] > 0).any():
        return start
    expected = float(np.sqrt(usual.share * across[seen].mean() / along[seen].mean()))
    if not 1 / STRANGE < expected / start < STRANGE:
        start = expected
    factor, reach = start, RANGE
    for _ in range(4):
        length = across + factor**2 * along
        used = seen & (length <= OUTLIER**2 * _medians(length, seen))
        grid = factor * np.geomspace(1 / reach, reach, 41)
        grid = grid[(grid >= start / RANGE * .999) & (grid <= start * RANGE * 1.001)]
        costs = _costs(grid, np.where(used, across, 0.0), np.where(used, along, 0.0), used, lengths, usual.alike)
        factor = float(grid[np.argmin(costs + np.square(np.log(grid / start) / usual.spread))])
        reach = reach**.25
    return factor


def _medians(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`(B,)`: the (lower) median over time of what was seen; inf where nothing was."""
    ordered = np.sort(np.where(seen, values, np.inf), axis=0)
    return np.take_along_axis(ordered, (np.maximum(seen.sum(0) - 1, 0) // 2)[None], axis=0)[0]


def _costs(factors: np.ndarray, across: np.ndarray, along: np.ndarray, used: np.ndarray, lengths: np.ndarray | None,
           alike: float) -> np.ndarray:
    """`(F,)`: what speaks against each factor. A squared length is `across + factor^2 along`."""
    square = np.square(factors)[:, None]
    number = np.maximum(used.sum(0), 1)
    mean = np.maximum((across.sum(0) + square * along.sum(0)) / number, 1e-12)
    power = ((across**2).sum(0) + 2 * square * (across * along).sum(0) + square**2 * (along**2).sum(0)) / number
    deviation = np.maximum(power / mean**2 - 1, 0)
    costs = used.sum() / alike * np.log((deviation * used.sum(0)).sum(1) / used.sum() + EXACT)
    if lengths is not None:
        costs += np.square(np.where(used.any(0), np.log(mean / np.square(lengths)), 0) / LENGTH_SPREAD).sum(1)
    return costs
