# SPDX-License-Identifier: GPL-3.0-or-later
"""Least squares of the hand model: Levenberg-Marquardt steps, all frames at once, inside the limits of the joints."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fingers import LIMITS, directions
from .rotations import about, unit

DEPTH = 1          # the axis that points away from the camera
COUPLING = 2 / 3   # of the last joint's flexion to the one before it: the tendons' (Rijpkema and Girard 1991)
SETTLED = 1e-3    # share of a frame's cost: once a step wins less, the frame is left
BLOCK = 200         # frames at a time: more would not stay in the processor's cache
LOOSEST = 1e6      # damping at which a step is given up


@dataclass(frozen=True, eq=False)
class Hands:
    """N states of a hand: `palm` `(N, 3, 3)`, `angles` `(N, 5, 4)`, and the log of its size, `scale` `(N,)`."""

    palm: np.ndarray
    angles: np.ndarray
    scale: np.ndarray

    def __getitem__(self, which: np.ndarray | slice) -> Hands:
        """Some of the frames."""
        return Hands(self.palm[which], self.angles[which], self.scale[which])


@dataclass(frozen=True, eq=False)
class Shape:
    """A person's hand, and how a rig's bones deviate from it.

    Attributes
    ----------
    palm : np.ndarray
        `(5, 3)`: from the wrist to the knuckles, in the palm's frame.
    lengths : np.ndarray
        `(5, 3)` of the finger bones.
    own : np.ndarray
        `(5, 3, 3)`, of `HandRest`.
    """

    palm: np.ndarray
    lengths: np.ndarray
    own: np.ndarray


@dataclass(frozen=True, eq=False)
class Seen:
    """What N frames show.

    Attributes
    ----------
    palm : np.ndarray
        `(N, 5, 3)`: from the wrist to the knuckles.
    bones : np.ndarray
        `(N, 5, 3, 3)`: the finger bones.
    palm_weight, weight : np.ndarray
        `(N, 5, 3)` and `(N, 5, 3, 3)`: inverse variances.
    """

    palm: np.ndarray
    bones: np.ndarray
    palm_weight: np.ndarray
    weight: np.ndarray

    def __getitem__(self, which: np.ndarray | slice) -> Seen:
        """Some of the frames."""
        return Seen(self.palm[which], self.bones[which], self.palm_weight[which], self.weight[which])

    def mirrored(self, which: np.ndarray | bool) -> Seen:
        """The same with depth reversed in some frames, `(N,)` bool."""
        flip = np.ones((len(self.palm), 1, 3))
        flip[:, 0, DEPTH] = np.where(which, -1, 1)
        return Seen(self.palm * flip, self.bones * flip[:, None], self.palm_weight, self.weight)


@dataclass(frozen=True)
class Prior:
    """Inverse variances of what is more likely without looking, in the units of `Seen`'s weights."""

    scale: float
    coupling: float
    spread: float


@dataclass(frozen=True, eq=False)
class Normal:
    """The normal equations of N frames by block: hand (rotation and scale, 4) and fingers (4 each), and the costs."""

    hand: np.ndarray       # (N, 4, 4)
    mixed: np.ndarray      # (N, 5, 4, 4): hand by finger
    fingers: np.ndarray    # (N, 5, 4, 4)
    hand_slope: np.ndarray     # (N, 4): minus the gradient
    finger_slope: np.ndarray   # (N, 5, 4)
    cost: np.ndarray       # (N,)


def finger_cost(shape: Shape, seen: Seen, hands: Hands, prior: Prior) -> np.ndarray:
    """Costs `(N, 5)` of the fingers."""
    along, _ = directions(shape.own, hands.angles)
    size = np.exp(hands.scale)[:, None, None, None]
    off = seen.bones - size * shape.lengths[..., None] * np.einsum("nij,nfkj->nfki", hands.palm, along)
    bend = hands.angles[..., 3] - COUPLING * hands.angles[..., 2]
    return (np.einsum("nfki,nfki->nf", off ** 2, seen.weight)
            + prior.coupling * bend ** 2 + prior.spread * hands.angles[..., 1] ** 2)


def normal(shape: Shape, seen: Seen, hands: Hands, prior: Prior) -> Normal:
    """The equations of a Gauss-Newton step from these states."""
    along, change = directions(shape.own, hands.angles)
    size = np.exp(hands.scale)
    turned = hands.palm * size[:, None, None]
    bones = shape.lengths[..., None] * (along @ turned[:, None].swapaxes(-1, -2))
    slopes = shape.lengths[..., None, None] * (turned[:, None, None] @ change)
    palm = shape.palm @ turned.swapaxes(-1, -2)
    count = len(palm)
    by_hand, slopes = _by_hand(bones).reshape(count, 5, 9, 4), slopes.reshape(count, 5, 9, 4)
    by_palm = _by_hand(palm).reshape(count, 15, 4)
    off, weight = (seen.bones - bones).reshape(count, 5, 9, 1), seen.weight.reshape(count, 5, 9, 1)
    off_palm, palm_weight = (seen.palm - palm).reshape(count, 15, 1), seen.palm_weight.reshape(count, 15, 1)
    hand_side = (by_hand * weight).swapaxes(-1, -2)
    finger_side = (slopes * weight).swapaxes(-1, -2)
    palm_side = (by_palm * palm_weight).swapaxes(-1, -2)
    cost = (off_palm ** 2 * palm_weight).sum((1, 2)) + (off ** 2 * weight).sum((1, 2, 3))
    equations = Normal(
        palm_side @ by_palm + (hand_side @ by_hand).sum(1), hand_side @ slopes, finger_side @ slopes,
        (palm_side @ off_palm + (hand_side @ off).sum(1))[..., 0], (finger_side @ off)[..., 0], cost)
    return _with_prior(equations, hands, prior)


def _by_hand(vectors: np.ndarray) -> np.ndarray:
    """Derivatives `(..., 3, 4)` of vectors by a small rotation in the world, and by the log of the scale."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    rows = (zero, z, -y, x), (-z, zero, x, y), (y, -x, zero, z)
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _with_prior(equations: Normal, hands: Hands, prior: Prior) -> Normal:
    hand, fingers = equations.hand.copy(), equations.fingers.copy()
    hand_slope, finger_slope = equations.hand_slope.copy(), equations.finger_slope.copy()
    hand[:, 3, 3] += prior.scale
    hand_slope[:, 3] -= prior.scale * hands.scale
    angles = hands.angles
    bend = angles[..., 3] - COUPLING * angles[..., 2]
    row = np.array([0, 0, -COUPLING, 1])
    fingers += prior.coupling * row[:, None] * row
    finger_slope -= prior.coupling * bend[..., None] * row
    fingers[..., 1, 1] += prior.spread
    finger_slope[..., 1] -= prior.spread * angles[..., 1]
    cost = (equations.cost + prior.scale * hands.scale ** 2
            + (prior.coupling * bend ** 2 + prior.spread * angles[..., 1] ** 2).sum(-1))
    return Normal(hand, equations.mixed, fingers, hand_slope, finger_slope, cost)


def free_angles(equations: Normal, angles: np.ndarray) -> Normal:
    """The same equations without the angles that are at a limit and would go beyond it."""
    out = (((angles <= LIMITS[..., 0]) & (equations.finger_slope < 0))
           | ((angles >= LIMITS[..., 1]) & (equations.finger_slope > 0)))
    keep = (~out).astype(float)
    fingers = equations.fingers * keep[..., :, None] * keep[..., None, :]
    fingers[..., range(4), range(4)] += out * equations.fingers[..., range(4), range(4)].max(-1, keepdims=True) + out
    return Normal(equations.hand, equations.mixed * keep[..., None, :], fingers, equations.hand_slope,
                  equations.finger_slope * keep, equations.cost)


def moved(hands: Hands, hand_step: np.ndarray, finger_step: np.ndarray) -> Hands:
    """States after steps `(N, 4)` and `(N, 5, 4)`, inside the limits."""
    turn = hand_step[:, :3]
    angle = np.minimum(np.linalg.norm(turn, axis=-1), 1)
    palm = about(unit(turn), angle) @ hands.palm
    angles = np.clip(hands.angles + np.clip(finger_step, -1, 1), LIMITS[..., 0], LIMITS[..., 1])
    return Hands(palm, angles, np.clip(hands.scale + np.clip(hand_step[:, 3], -.3, .3), -1, 1))


def descend(shape: Shape, seen: Seen, hands: Hands, prior: Prior, steps: int) -> tuple[Hands, np.ndarray]:
    """States after so many Levenberg-Marquardt steps per frame, or once they are settled, and their costs `(N,)`.

    A cost never rises.
    """
    if len(hands.scale) > BLOCK:
        blocks = [slice(first, first + BLOCK) for first in range(0, len(hands.scale), BLOCK)]
        found, costs = zip(*(descend(shape, seen[block], hands[block], prior, steps) for block in blocks))
        return Hands(*(np.concatenate([getattr(part, name) for part in found])
                       for name in Hands.__dataclass_fields__)), np.concatenate(costs)
    hands = Hands(*(np.array(part) for part in (hands.palm, hands.angles, hands.scale)))
    equations = normal(shape, seen, hands, prior)
    cost = equations.cost.copy()
    active, damping = np.arange(len(cost)), np.full(len(cost), 1e-3)
    for _ in range(steps):
        if not len(active):
            break
        before, look = hands[active], seen[active]
        tried = moved(before, *_step(free_angles(equations, before.angles), damping))
        after = normal(shape, look, tried, prior)
        better = after.cost < equations.cost
        for part in ("palm", "angles", "scale"):
            getattr(hands, part)[active[better]] = getattr(tried, part)[better]
        cost[active[better]] = after.cost[better]
        going = ~better | (equations.cost - after.cost > SETTLED * after.cost)
        equations = Normal(*(_choose(better, getattr(after, name), getattr(equations, name))[going]
                             for name in Normal.__dataclass_fields__))
        damping = np.clip(np.where(better, damping * .2, damping * 8), 1e-7, LOOSEST)[going]
        active = active[going]
    return hands, cost


def _choose(which: np.ndarray, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    return np.where(which.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def _step(equations: Normal, damping: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps of the hand `(N, 4)` and the fingers `(N, 5, 4)`: the fingers are eliminated first (Schur's complement)."""
    diagonal = range(4)
    fingers = equations.fingers.copy()
    fingers[..., diagonal, diagonal] *= 1 + damping[:, None, None]
    fingers[..., diagonal, diagonal] += 1e-9
    hand = equations.hand.copy()
    hand[:, diagonal, diagonal] *= 1 + damping[:, None]
    hand[:, diagonal, diagonal] += 1e-9
    right = np.concatenate([equations.mixed.swapaxes(-1, -2), equations.finger_slope[..., None]], -1)
    solved = np.linalg.solve(fingers, right)
    hand = hand - (equations.mixed @ solved[..., :4]).sum(1)
    slope = equations.hand_slope - (equations.mixed @ solved[..., 4:]).sum(1)[..., 0]
    hand_step = np.linalg.solve(hand, slope[..., None])[..., 0]
    return hand_step, solved[..., 4] - (solved[..., :4] @ hand_step[:, None, :, None])[..., 0]
