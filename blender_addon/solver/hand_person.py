# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays the same in a clip: the size and shape of the person's hand, and how far its points are off."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import gaps
from .fingers import directions
from .hand_steps import DEPTH, Hands, Seen, Shape

EXACT = 1e-6       # palm lengths: noise is never taken as less
ABSORBED = 1.5     # the fit takes a third of the noise in the image for movement: on known noise, measured
DEPTH_WORSE = 2.0, 4.0  # least and most: how many times worse than the image depth is taken to be
STEADY = .05        # frames' worth of the first estimate, per frame, that the next one keeps
SHORTEST = .3      # of its first estimate: no bone becomes shorter
ROBUST = 1.4826    # standard deviations in a median of absolute deviations


@dataclass(frozen=True)
class Noise:
    """Standard deviations of a bone's vector, in palm lengths: in the image, and in depth."""

    image: float
    depth: float

    def weight(self) -> np.ndarray:
        """The inverse variances, `(3,)`."""
        variances = np.full(3, self.image ** 2)
        variances[DEPTH] = self.depth ** 2
        return 1 / variances


def first_shape(palm: np.ndarray, bones: np.ndarray, frames: np.ndarray, own: np.ndarray) -> Shape:
    """From the vectors `(T, 5, 3)` and `(T, 5, 3, 3)` in space and the palm's frames `(T, 3, 3)`: medians over time.

    Relative to the size of the palm in each frame: hands come near to cameras. Palms may not have the size 0.
    """
    size = np.linalg.norm(palm, axis=-1).mean(-1)[:, None, None]
    return Shape(np.median(np.einsum("tji,tfj->tfi", frames, palm) / size, 0),
                 np.median(np.linalg.norm(bones, axis=-1) / size, 0), own)


def better_shape(shape: Shape, seen: Seen, hands: Hands) -> Shape:
    """The lengths and the palm that fit best to what is seen, given the states: least squares, drawn to the former."""
    size = np.exp(hands.scale)[:, None, None]
    along = np.einsum("nij,nfkj->nfki", hands.palm * size, directions(shape.own, hands.angles)[0])
    weighted = along * seen.weight
    keep = STEADY * seen.weight.sum((0, -1)) / 3
    lengths = (((weighted * seen.bones).sum((0, -1)) + keep * shape.lengths)
               / ((weighted * along).sum((0, -1)) + keep))
    turned = hands.palm * size
    square = np.einsum("nji,nfj,njl->fil", turned, seen.palm_weight, turned)
    right = np.einsum("nji,nfj->fi", turned, seen.palm_weight * seen.palm)
    hold = STEADY * seen.palm_weight.sum((0, -1))[:, None] / 3
    palm = np.linalg.solve(square + hold[..., None] * np.eye(3), (right + hold * shape.palm)[..., None])[..., 0]
    return Shape(palm, np.maximum(lengths, SHORTEST * shape.lengths), shape.own)


def noise_of(shape: Shape, seen: Seen, hands: Hands, valid: np.ndarray) -> Noise:
    """How far the points are off the model, by medians. `valid` `(T, 5, 3)`: bones that were seen."""
    size = np.exp(hands.scale)[:, None, None]
    along = np.einsum("nij,nfkj->nfki", hands.palm * size, directions(shape.own, hands.angles)[0])
    off = np.abs(seen.bones - shape.lengths[..., None] * along)[valid]
    if not len(off):
        return Noise(1.0, DEPTH_WORSE[1])
    image = max(ABSORBED * ROBUST * float(np.median(np.delete(off, DEPTH, -1))), EXACT)
    depth = ROBUST * float(np.median(off[:, DEPTH]))
    return Noise(image, min(max(depth, image * DEPTH_WORSE[0]), image * DEPTH_WORSE[1]))


def jitter(bones: np.ndarray, valid: np.ndarray, smoothed: float) -> float:
    """The standard deviation of white noise in the depth of bones `(T, 5, 3, 3)`, by their third differences.

    After `gaps.smooth` over `smoothed` frames, whose effect on these is counted in. Movement makes it larger, never
    less.
    """
    whole = valid.all((1, 2))
    off = np.abs(np.diff(bones[..., DEPTH], 3, axis=0))[whole[3:] & whole[:-3]]
    if not len(off):
        return 0.0
    weights = gaps.kernel(smoothed)
    seen_of_it = np.linalg.norm(np.convolve(weights, [1, -3, 3, -1])) / np.linalg.norm(weights)
    return ROBUST * float(np.median(off)) / float(seen_of_it)
