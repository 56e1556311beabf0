# SPDX-License-Identifier: GPL-3.0-or-later
"""A hand over time: which of its candidates it was in each frame, and how much its neighbours tell about a frame."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .hand_starts import Candidate
from .hand_steps import Hands, Normal, Prior, Seen, Shape, free_angles, moved, normal
from .rotations import to_quaternions

MOST = 50.0      # what the greatest step costs: hands do move fast


@dataclass(frozen=True)
class Movement:
    """How far a hand moves: standard deviations per second, or per frame.

    Attributes
    ----------
    turn, angle : float
        Radians of the palm, and of each finger angle.
    scale : float
        Of the log of the size.
    """

    turn: float
    angle: float
    scale: float

    def per_frame(self, fps: float) -> Movement:
        """The same at so many frames per second."""
        return Movement(self.turn / fps, self.angle / fps, self.scale / fps)


MOVEMENT = Movement(turn=1.0, angle=1.3, scale=.33)  # against a hand that rests
EVEN = Movement(turn=.3, angle=.4, scale=.1)         # against a hand that moves on as its neighbouring frames do


def turns(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Rotation vectors `(..., 3)`, in the world, from frames `start` to frames `end`."""
    quaternion = to_quaternions(end @ start.swapaxes(-1, -2))
    quaternion = np.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(quaternion[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[..., :1])
    return quaternion[..., 1:] * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2)


def best_path(candidates: list[Candidate], movement: Movement | None = None) -> tuple[Hands, np.ndarray]:
    """One of the candidates per frame, and where it takes depth to be reversed, `(T,)` bool.

    The cheapest, or so that costs and movement together are least (Viterbi 1967).
    """
    palm = np.stack([one.hands.palm for one in candidates], 1)
    angles = np.stack([one.hands.angles for one in candidates], 1)
    cost = np.stack([one.cost for one in candidates], 1)
    path = cost.argmin(1)
    if movement is not None:
        turned = (turns(palm[:-1, :, None], palm[1:, None]) ** 2).sum(-1)
        bent = ((angles[1:, None] - angles[:-1, :, None]) ** 2).sum((-1, -2))
        path = _cheapest_path(cost, np.minimum(turned / movement.turn ** 2 + bent / movement.angle ** 2, MOST))
    every = np.arange(len(cost))
    scale = np.stack([one.hands.scale for one in candidates], 1)
    return (Hands(palm[every, path], angles[every, path], scale[every, path]),
            np.array([one.mirrored for one in candidates])[path])


def _cheapest_path(cost: np.ndarray, step: np.ndarray) -> np.ndarray:
    """`(T,)` of the candidates' costs `(T, N)` and of those of the steps between them, `(T - 1, N, N)`."""
    total, came = cost[0], np.zeros(cost.shape, int)
    for t in range(1, len(cost)):
        reach = total[:, None] + step[t - 1]
        came[t] = reach.argmin(0)
        total = reach.min(0) + cost[t]
    path = np.empty(len(cost), int)
    path[-1] = total.argmin()
    for t in range(len(cost) - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path


def descend_together(shape: Shape, seen: Seen, hands: Hands, prior: Prior, movement: Movement, steps: int,
                     even: float = 0.0) -> Hands:
    """States after so many Gauss-Newton steps of the whole clip: near to what is seen, with little movement.

    Movement counts from frame to frame, or, with `even`, as far as it differs from its Gaussian mean of so many frames:
    that steadies a hand without slowing it down.
    """
    weight = np.concatenate([np.full(3, movement.turn), [movement.scale], np.full(20, movement.angle)]) ** -2.0
    damping = 1e-3
    if len(hands.scale) < 2:
        return hands
    for _ in range(steps):
        target = _mean(_between(hands), even)
        equations = normal(shape, seen, hands, prior)
        off = _between(hands) - target
        delta = _clip_step(free_angles(equations, hands.angles), off, weight, damping)
        tried = moved(hands, delta[:, :4], delta[:, 4:].reshape(-1, 5, 4))
        off_tried = _between(tried) - target
        if (normal(shape, seen, tried, prior).cost.sum() + (off_tried ** 2 * weight).sum()
                < equations.cost.sum() + (off ** 2 * weight).sum()):
            hands, damping = tried, damping * .1
        else:
            damping *= 10
    return hands


def _mean(values: np.ndarray, frames: float) -> np.ndarray:
    """Gaussian means over time of `(T, N)`; 0 for a width of 0."""
    if not frames:
        return np.zeros_like(values)
    reach = int(np.ceil(3 * frames))
    kernel = np.exp(-.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), "edge")
    return sum(part * padded[i:i + len(values)] for i, part in enumerate(kernel / kernel.sum()))


def _between(hands: Hands) -> np.ndarray:
    """`(T - 1, 24)`: how the states differ from frame to frame."""
    return np.concatenate([turns(hands.palm[:-1], hands.palm[1:]), np.diff(hands.scale)[:, None],
                           np.diff(hands.angles, axis=0).reshape(-1, 20)], -1)


def _clip_step(equations: Normal, off: np.ndarray, weight: np.ndarray, damping: float) -> np.ndarray:
    """The step `(T, 24)` of all frames, with differences `off` `(T - 1, 24)` between them that cost `weight` `(24,)`.

    A block tridiagonal system: elimination forwards, substitution back.
    """
    frames, diagonal = len(equations.cost), np.arange(24)
    blocks = _blocks(equations, damping)
    right = np.concatenate([equations.hand_slope, equations.finger_slope.reshape(frames, 20)], -1)
    for half, sign in ((slice(1, None), -1), (slice(None, -1), 1)):
        blocks[half, diagonal, diagonal] += weight
        right[half] += sign * weight * off
    link = np.diag(weight)
    passed = np.zeros((frames, 24, 25))
    passed[0] = np.linalg.solve(blocks[0], np.concatenate([link, right[0][:, None]], 1))
    for t in range(1, frames):
        left = blocks[t] - weight[:, None] * passed[t - 1, :, :24]
        passed[t] = np.linalg.solve(left, np.concatenate(
            [link, (right[t] + weight * passed[t - 1, :, 24])[:, None]], 1))
    step = passed[:, :, 24].copy()
    for t in range(frames - 2, -1, -1):
        step[t] += passed[t, :, :24] @ step[t + 1]
    return step


def _blocks(equations: Normal, damping: float) -> np.ndarray:
    """The frames' own equations as matrices `(T, 24, 24)`."""
    blocks = np.zeros((len(equations.cost), 24, 24))
    blocks[:, :4, :4] = equations.hand
    for f in range(5):
        own = slice(4 + 4 * f, 8 + 4 * f)
        blocks[:, own, own] = equations.fingers[:, f]
        blocks[:, :4, own] = equations.mixed[:, f]
        blocks[:, own, :4] = equations.mixed[:, f].swapaxes(-1, -2)
    diagonal = np.arange(24)
    blocks[:, diagonal, diagonal] *= 1 + damping
    blocks[:, diagonal, diagonal] += 1e-9
    return blocks
