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
        Depth in image widths per unit of z: about the median of MediaPipe Holistic's output.
    spread : float
        How far the squared factor varies from clip to clip, relative to its usual value (standard deviation).
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
BODY = Usual(.2, .4, 5, .15)
HAND = Usual(.75, .3, 50, .2)
FACE = Usual(1.0, .3, 50, .3)
LENGTH_SPREAD = .2  # relative standard deviation of a squared length among people
STRANGE = 3.0  # a file whose z differs from the usual by more than this was scaled by another tool
RANGE = 4.0  # how far the data may take the factor from where it starts
ROUNDS = 12
OUTLIER = 2.0  # lengths beyond twice the bone's median are errors of capture


def depth_factor(ends: np.ndarray, seen: np.ndarray, usual: Usual, unit: float, lengths: np.ndarray | None = None
                 ) -> float:
    """The factor for which bones' 3D lengths vary least over time, and are as long as people's are.

    With c the factor, a bone's squared length is `across + c^2 along` (image plane, depth): linear in c^2, and so is
    what it should be, one number per bone. Both are found by least squares. Noise in z pulls c towards 0, and a short
    clip says little; so the usual factor and people's usual lengths count too, the more so the more the lengths still
    vary: exact points overrule them, noisy ones hardly.

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
    square = start**2
    for _ in range(ROUNDS):
        length = across + square * along
        used = seen & (length <= OUTLIER**2 * _medians(length, seen))
        whole = np.maximum((length * used).sum(0) / np.maximum(used.sum(0), 1), 1e-12)
        whole = whole if lengths is None else np.square(lengths)
        square = _fitted(np.where(used, across / whole, 0.0), np.where(used, along / whole, 0.0), used, square, start,
                         usual, 0.0 if lengths is None else LENGTH_SPREAD**-2)
        square = float(np.clip(square, (start / RANGE)**2, (start * RANGE)**2))
    return float(np.sqrt(square))


def _medians(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`(B,)`: the (lower) median over time of what was seen; inf where nothing was."""
    ordered = np.sort(np.where(seen, values, np.inf), axis=0)
    return np.take_along_axis(ordered, (np.maximum(seen.sum(0) - 1, 0) // 2)[None], axis=0)[0]


def _fitted(across: np.ndarray, along: np.ndarray, used: np.ndarray, square: float, start: float, usual: Usual,
            strength: float) -> float:
    """One round: the squared factor, all bones' lengths given how much they vary at `square`.

    Minimises `sum_t,b (across + x along - m_b)^2 / s^2 + strength sum_b (m_b - 1)^2 + (x / start^2 - 1)^2 / spread^2`
    over x and every m_b.
    """
    number = used.sum(0)
    a, b = across.sum(0), along.sum(0)
    own = (a + square * b) / np.maximum(number, 1)
    residual = np.where(used, across + square * along - own, 0.0)
    variance = max(usual.alike * np.square(residual).sum() / max(number.sum() - len(number), 1), 1e-12)
    pull = number / variance + strength  # of m_b = ((a + x b) / variance + strength) / pull
    pull = np.maximum(pull, 1e-12)
    quadratic = (np.square(along).sum() / variance - (b**2 / pull).sum() / variance**2 + (usual.spread * start**2)**-2)
    linear = ((across * along).sum() / variance - (b * (a / variance + strength) / pull).sum() / variance
              - 1 / (usual.spread**2 * start**2))
    return float(-linear / max(quadratic, 1e-300))
