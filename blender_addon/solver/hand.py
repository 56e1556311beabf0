# SPDX-License-Identifier: GPL-3.0-or-later
"""The anatomical fit of a hand: the wrist's rotation and four angles per finger, for all frames of a clip at once.

An image shows x and y well, depth badly. What helps: a person's hand has one shape, joints have limits, and hands
move evenly. Steps: the ways in which the palm may lean, each fitted with all fingers, frame by frame; from these the
person's shape and the noise; the likeliest of them over time; then all frames together.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .fingers import KNUCKLES, LIMITS, MIRROR, HandRest, axes_of, hand_rest, local_quaternions, palm_of
from .hand_path import EVEN, MOVEMENT, best_path, descend_together
from .hand_person import Noise, better_shape, first_shape, jitter, noise_of
from .hand_starts import Candidate, candidates, palm_frames
from .hand_steps import Hands, Prior, Seen, Shape, descend

__all__ = ["LIMITS", "HandFit", "HandRest", "fit_hand", "hand_rest"]

FIRST = Noise(.05, .15)      # palm lengths, before it is known
PRIOR = Prior(scale=1000, coupling=.05, spread=.05)  # weak: only what the points leave open
UNSEEN = .1                  # weight of interpolated points
STEPS = (10, 6, 6)           # per frame: before, between and after two estimates of the person's hand and of the noise
TOGETHER = 4                 # of all frames together: first to find a way without jumps, then to what the points say
FULL = .06                   # seconds of smoothing at which evenness has its full weight; less with less of it
EVEN_OVER = 4 / 3            # times the smoothing: the time over which a hand moves evenly
LEAST_NOISE = .01            # of what the fit is off: no jitter is taken to be less
BONES = np.array([[1 + 4 * finger + k for k in range(3)] for finger in range(5)])


@dataclass(frozen=True, eq=False)
class HandFit:
    """A hand over T frames.

    Attributes
    ----------
    hand : np.ndarray
        `(T, 3, 3)`: the hand bone's axes, in the armature's space.
    angles : np.ndarray
        `(T, 5, 4)` radians, thumb to little finger: flexion of joint 1, spread, flexion of joint 2, flexion of joint 3.
        Within `LIMITS`.
    local : mapping of int to np.ndarray
        A finger bone's index to quaternions `(T, 4)` in its own rest axes.
    """

    hand: np.ndarray
    angles: np.ndarray
    local: Mapping[int, np.ndarray]


def fit_hand(joints: np.ndarray, seen: np.ndarray, rest: HandRest, *, guess: np.ndarray, fps: float,
             smoothing: float) -> HandFit:
    """The motion of a rig's hand that comes nearest to observed joints, of those that a hand can make.

    Parameters
    ----------
    joints : np.ndarray
        `(T, 21, 3)` in MediaPipe's order (wrist, thumb, index, ...), finite, in the armature's axes, y being depth; in
        any unit. Filled where not seen, and smoothed already.
    seen : np.ndarray
        `(T, 21)` bool; what is not seen counts a tenth.
    rest : HandRest
        The rig's hand.
    guess : np.ndarray
        `(T, 3, 3)`: the hand bone's axes where the points do not span a palm.
    fps : float
        Frames per second.
    smoothing : float
        Seconds: the standard deviation of the weights that the joints were smoothed with. 0: each frame is fitted by
        itself in the end; its neighbours only tell which of several solutions it is.

    Returns
    -------
    HandFit
        Finite, within the limits, whatever the joints.
    """
    flip = MIRROR if rest.side == "R" else np.ones(3)
    joints = joints * flip
    palm, bones = joints[:, KNUCKLES] - joints[:, :1], joints[:, BONES + 1] - joints[:, BONES]
    frames, there = palm_frames(palm, rest, palm_of(rest, guess))
    size = float(np.median(np.linalg.norm(palm[there], axis=-1).mean(-1))) if there.any() else 0
    if size <= 0:
        angles = np.clip(rest.angles, LIMITS[..., 0], LIMITS[..., 1])
        return _fit(rest, frames, np.broadcast_to(angles, (len(joints), 5, 4)))
    bone_seen, palm_seen = seen[:, BONES] & seen[:, BONES + 1], seen[:, KNUCKLES] & seen[:, :1]
    look = _look(palm / size, bones / size, palm_seen, bone_seen, FIRST)
    known = there & seen.all(1) if (there & seen.all(1)).any() else there
    shape = first_shape(look.palm[known], look.bones[known], frames[known], rest.own)
    found, shape, noise = _frame_by_frame(shape, look, frames, palm_seen, bone_seen)
    look = _look(look.palm, look.bones, palm_seen, bone_seen, noise)
    hands = _over_time(found, shape, look, fps, smoothing,
                       max(LEAST_NOISE, min(1.0, jitter(look.bones, bone_seen, smoothing * fps) / noise.depth)))
    return _fit(rest, hands.palm, hands.angles)


def _fit(rest: HandRest, palm: np.ndarray, angles: np.ndarray) -> HandFit:
    return HandFit(axes_of(rest, palm), angles, local_quaternions(rest, angles))


def _look(palm: np.ndarray, bones: np.ndarray, palm_seen: np.ndarray, bone_seen: np.ndarray, noise: Noise) -> Seen:
    """What is seen of the vectors `(T, 5, 3)` and `(T, 5, 3, 3)`, weighted."""
    return Seen(palm, bones, np.where(palm_seen, 1, UNSEEN)[..., None] * noise.weight(),
                np.where(bone_seen, 1, UNSEEN)[..., None] * noise.weight())


def _frame_by_frame(shape: Shape, look: Seen, frames: np.ndarray, palm_seen: np.ndarray, bone_seen: np.ndarray,
                    ) -> tuple[list[Candidate], Shape, Noise]:
    """What each frame may be, the person's shape, and the noise."""
    noise = FIRST
    found = candidates(shape, look, frames, PRIOR, STEPS[0])
    for steps in STEPS[1:]:
        likely, mirrored = best_path(found)
        shape = better_shape(shape, look.mirrored(mirrored), likely)
        noise = noise_of(shape, look.mirrored(mirrored), likely, bone_seen)
        look = _look(look.palm, look.bones, palm_seen, bone_seen, noise)
        found = [one.descended(shape, look.mirrored(one.mirrored), PRIOR, steps) for one in found]
    return found, shape, noise


def _over_time(found: list[Candidate], shape: Shape, look: Seen, fps: float, smoothing: float, trust: float) -> Hands:
    """One state per frame. `trust`: noise that jitters, as a share of what the points are off."""
    hands, mirrored = best_path(found, MOVEMENT.per_frame(fps))
    look = look.mirrored(mirrored)
    hands = descend_together(shape, look, hands, PRIOR, MOVEMENT.per_frame(fps), TOGETHER)
    if not smoothing:
        return descend(shape, look, hands, PRIOR, TOGETHER)[0]
    even = EVEN.per_frame(fps * trust * smoothing / FULL)
    return descend_together(shape, look, hands, PRIOR, even, TOGETHER, EVEN_OVER * smoothing * fps)
