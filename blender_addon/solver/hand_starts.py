# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the fit of a hand starts: what an image leaves open is which way the palm leans, and how fingers bend.

Seen from the front, a flat palm and its mirror image in depth look the same (Necker's reversal), and the depth that
comes with the points may be that of the wrong one. All are followed; which it was is decided over the whole clip
(`hand_path`).
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fingers import KNUCKLES, LIMITS, HandRest, angles_of, directions, is_palm
from .hand_steps import COUPLING, DEPTH, Hands, Prior, Seen, Shape, descend, finger_cost
from .rotations import frame, unit

MISLED = 100.0     # what it costs to take a frame's depth to be reversed
RELAXED = np.radians([20, 0, 20, 15])
PALM_STEPS = 4     # enough for six numbers: more change the palm by less than a degree


@dataclass(frozen=True, eq=False)
class Candidate:
    """States of T frames that may be right, `mirrored` if they take the depth to be reversed, and costs `(T,)`."""

    hands: Hands
    mirrored: bool
    cost: np.ndarray

    def descended(self, shape: Shape, seen: Seen, prior: Prior, steps: int) -> Candidate:
        """The same after so many steps, by what is seen (mirrored already)."""
        hands, cost = descend(shape, seen, self.hands, prior, steps)
        return Candidate(hands, self.mirrored, cost + MISLED * self.mirrored)


def _postures() -> np.ndarray:
    """Finger postures `(G, 5, 4)` to start from: flexion of joints 1 and 2, and spread."""
    first, later, spread = (x.ravel() for x in np.meshgrid(
        np.radians([-10, 20, 50, 85]), np.radians([0, 30, 65, 105]), np.radians([-15, 5]), indexing="ij"))
    all_fingers = np.stack([first, spread, later, COUPLING * later], -1)[:, None]
    return np.clip(np.broadcast_to(all_fingers, (len(first), 5, 4)), LIMITS[..., 0], LIMITS[..., 1])


POSTURES = _postures()


def palm_frames(palm: np.ndarray, rest: HandRest, otherwise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Palm frames `(T, 3, 3)` of the vectors `(T, 5, 3)` from wrist to knuckles, and `(T,)` where they span one.

    Elsewhere the frames are `otherwise`, `(T, 3, 3)`.
    """
    along = palm[:, KNUCKLES.index(rest.along)]
    across = palm[:, KNUCKLES.index(rest.across[0])] - palm[:, KNUCKLES.index(rest.across[1])]
    there = is_palm(along, across)
    safe = frame(np.where(there[:, None], along, [0, 1, 0]), np.where(there[:, None], across, [1, 0, 0]))
    return np.where(there[:, None, None], safe, otherwise), there


def reversed_in_depth(palm: np.ndarray) -> np.ndarray:
    """Palm frames `(T, 3, 3)` that look the same from the front, but lean the other way."""
    flip = np.ones(3)
    flip[DEPTH] = -1
    x, y = palm[..., 0] * flip, palm[..., 1] * flip
    return np.stack([x, y, np.cross(x, y)], -1)


def candidates(shape: Shape, seen: Seen, palm: np.ndarray, prior: Prior, steps: int) -> list[Candidate]:
    """The states that explain what is seen: from the palm `(T, 3, 3)`, from its reversal, and with reversed points."""
    count = len(palm)
    relaxed = np.broadcast_to(np.clip(RELAXED, LIMITS[..., 0], LIMITS[..., 1]), (count, 5, 4))

    def lean(seen: Seen, palm: np.ndarray, scale: np.ndarray) -> Hands:
        no_fingers = Seen(seen.palm, seen.bones, seen.palm_weight, np.zeros_like(seen.weight))
        return descend(shape, no_fingers, Hands(palm, relaxed, scale), prior, PALM_STEPS)[0]

    as_seen = lean(seen, palm, np.zeros(count))
    other = reversed_in_depth(as_seen.palm)
    found = []
    for hands, mirrored in ((as_seen, False), (lean(seen, other, as_seen.scale), False),
                            (lean(seen.mirrored(True), other, as_seen.scale), True)):
        look = seen.mirrored(mirrored)
        start = Candidate(_with_fingers(shape, look, hands, prior), mirrored, np.zeros(count))
        found.append(start.descended(shape, look, prior, steps))
    return found


def _with_fingers(shape: Shape, seen: Seen, hands: Hands, prior: Prior) -> Hands:
    """The same palms with the better of two starts per finger: as the points say in depth, and the best posture."""
    told = angles_of(unit(np.einsum("nji,nfkj->nfki", hands.palm, seen.bones), np.array([0.0, 1, 0])))
    told = np.clip(told, LIMITS[..., 0], LIMITS[..., 1])
    best = _best_postures(shape, seen, hands)
    one, other = (finger_cost(shape, seen, Hands(hands.palm, angles, hands.scale), prior) for angles in (told, best))
    return Hands(hands.palm, np.where((one <= other)[..., None], told, best), hands.scale)


def _best_postures(shape: Shape, seen: Seen, hands: Hands) -> np.ndarray:
    """Of the postures, the one `(N, 5, 4)` per finger that is nearest to what is seen."""
    along, _ = directions(shape.own, POSTURES)
    bones = (along * shape.lengths[..., None]).reshape(len(POSTURES), 5, 9)
    # |seen - bone|^2 without the part that is the same for all, by matrix products
    local = np.einsum("nji,nfkj->nfki", hands.palm, seen.bones * seen.weight)
    squares = np.einsum("nij,nfki,nil->nfkjl", hands.palm, seen.weight, hands.palm)
    size = np.exp(hands.scale)[:, None, None]
    cross = np.einsum("gfd,nfd->nfg", bones, local.reshape(-1, 5, 9))
    outer = np.einsum("gfki,gfkj->gfkij", bones.reshape(-1, 5, 3, 3), bones.reshape(-1, 5, 3, 3)).reshape(-1, 5, 27)
    square = np.einsum("gfd,nfd->nfg", outer, squares.reshape(-1, 5, 27))
    return POSTURES[(size ** 2 * square - 2 * size * cross).argmin(-1), np.arange(5)]
