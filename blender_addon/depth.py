# SPDX-License-Identifier: GPL-3.0-or-later
"""How much depth a file's z means: one factor per network and clip, found by the constancy of bone lengths.

MediaPipe's z is not metric. Each of its networks (body, hands, face) exaggerates or flattens it in its own way, and
tools that write files scale it again. But bones keep their length while they turn towards the camera and away from it.
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
        Depth in image widths per unit of z: the median of MediaPipe Holistic's output.
    spread : float
        How far the squared factor varies from clip to clip, relative to its usual value (standard deviation).
    share : float
        Mean squared depth of a bone over its mean squared length in the image, in signing.
    """

    factor: float
    spread: float
    share: float


BODY = Usual(.3, .36, .6)
HAND = Usual(.75, .15, .5)
FACE = Usual(1.0, .2, .5)
STRANGE = 5.0  # a file whose z differs from the usual by more than this was scaled by another tool
RANGE = 4.0  # how far the data may take the factor from where it starts
ROUNDS = 8
OUTLIER = 2.0  # lengths beyond twice the bone's median are errors of capture


def depth_factor(ends: np.ndarray, seen: np.ndarray, usual: Usual, unit: float, known: float | None = None) -> float:
    """The factor for which bones' 3D lengths vary least over time.

    A bone's squared length is `across + c^2 along` (image plane, depth). Its variance over time relative to its mean is
    quadratic in c^2, so the least squares solution is closed. Noise in z pulls it towards 0, and a short clip says
    little, so the usual factor is a prior whose weight is the variance that the lengths still have: exact points
    overrule it, noisy ones hardly.

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
    known : float, optional
        A measured factor, in pixels per unit of z, that takes the usual one's place.

    Returns
    -------
    float
        Pixels per unit of z; positive.
    """
    across, along = np.square(ends[..., :2]).sum(-1), np.square(ends[..., 2])
    start = usual.factor * unit if known is None else known
    if not seen.any() or not (along[seen] > 0).any():
        return start
    expected = float(np.sqrt(usual.share * across[seen].mean() / along[seen].mean()))
    if known is None and not 1 / STRANGE < expected / start < STRANGE:
        start = expected
    square = start**2
    for _ in range(ROUNDS):
        a, b, variance = _relative(across, along, seen, square)
        weight = variance / (usual.spread * start**2)**2
        square = (weight * start**2 - (a * b).sum()) / max(weight + (b * b).sum(), 1e-300)
        square = float(np.clip(square, (start / RANGE)**2, (start * RANGE)**2))
    return float(np.sqrt(square))


def _relative(across: np.ndarray, along: np.ndarray, seen: np.ndarray, square: float
              ) -> tuple[np.ndarray, np.ndarray, float]:
    """Both parts of the squared lengths, centred and relative to the mean length; the variance of what they sum to."""
    length = across + square * along
    ordered = np.sort(np.where(seen, length, np.inf), axis=0)
    middle = np.take_along_axis(ordered, (np.maximum(seen.sum(0) - 1, 0) // 2)[None], axis=0)
    used = seen & (length <= OUTLIER**2 * middle)
    number = np.maximum(used.sum(0), 1)
    mean = np.maximum((length * used).sum(0) / number, 1e-12)
    a, b = (np.where(used, part - (part * used).sum(0) / number, 0.0) / mean for part in (across, along))
    freedom = max(int(used.sum()) - len(mean), 1)
    return a, b, float(np.square(a + square * b).sum() / freedom)


def world_factor(ends: np.ndarray, world: np.ndarray, seen: np.ndarray) -> float | None:
    """The body's factor from MediaPipe's world landmarks, which are metric.

    Parameters
    ----------
    ends : np.ndarray
        `(T, B, 3)` as in `depth_factor`.
    world : np.ndarray
        `(T, B, 3)` the same bones in metres.
    seen : np.ndarray
        `(T, B)` bool: both are known.

    Returns
    -------
    float or None
        Pixels per unit of z; None if the two disagree.
    """
    image, metres = ends[seen], world[seen]
    power = np.square(metres[:, :2]).sum()
    if not len(image) or power <= 0 or np.square(image[:, 2]).sum() <= 0:
        return None
    pixels_per_metre = (image[:, :2] * metres[:, :2]).sum() / power
    z, depth = image[:, 2], metres[:, 2] * pixels_per_metre
    alike = (z * depth).sum() / max(np.sqrt(np.square(z).sum() * np.square(depth).sum()), 1e-12)
    return float((z * depth).sum() / np.square(z).sum()) if alike > .8 else None
