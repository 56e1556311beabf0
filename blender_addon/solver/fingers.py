# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of a hand: three angles of the palm's frame, and four per finger.

The palm's frame is built alike from a rig's rest joints and from observed ones: y from the wrist to the middle knuckle,
x about to the thumb's side, z out of the back of the hand. All is done for a left hand: a right one is mirrored in x on
the way in and back on the way out, so that one sign of flexion holds for both.

Bone k of a finger points along `palm @ R(a, flexion) @ R(w, spread) @ R(a, later flexions) @ own[k]`. The axes a (of
flexion) and w (of spread) are fixed in the palm, the same for all rigs; own holds what is the rig's: how its rest
bones deviate from a straight finger. So angles are anatomical: 0 is a straight finger in line with the palm.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .rotations import about, frame, to_quaternions, unit
from .skeleton import FINGERS, Skeleton

MIRROR = np.array([-1.0, 1, 1])
KNUCKLES = tuple(1 + 4 * finger for finger in range(5))
WIDEST = .3  # radians between the direction of the palm and the line across it: less is no palm

LIMITS = np.radians([
    # flexion 1    spread        flexion 2    flexion 3
    [(-30, 70), (-45, 45), (-20, 80), (-25, 90)],
    [(-30, 100), (-45, 30), (-5, 120), (-10, 90)],
    [(-30, 100), (-40, 30), (-5, 120), (-10, 90)],
    [(-30, 100), (-45, 30), (-5, 120), (-10, 90)],
    [(-30, 100), (-50, 30), (-5, 120), (-10, 90)]])
"""`(5, 4, 2)` radians, thumb to little finger: the least and most of flexion of joint 1, spread (positive to the side
of the thumb; of the thumb itself: out of the palm's plane), flexion of joint 2 and of joint 3."""

_TILT = np.radians([0, 0, -5, -10, -15])  # fingers that bend come together: the axes of the outer ones are turned
_THUMB = np.array([.64, .65, -.40])       # direction of a thumb at angles 0, in the palm's frame
_THUMB_AXIS = np.array([-.10, .35, .93])  # about which it bends


def _zero() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions of straight fingers, axes of flexion and of spread, `(5, 3)` each, in the palm's frame."""
    straight = np.stack([unit(_THUMB), *[[0.0, 1, 0]] * 4])
    flex = np.stack([unit(_THUMB_AXIS - _THUMB_AXIS @ unit(_THUMB) * unit(_THUMB)), *[[-1.0, 0, 0]] * 4])
    flex = np.einsum("fij,fj->fi", about(straight, _TILT), flex)
    return straight, flex, np.cross(flex, straight)


STRAIGHT, FLEX, SPREAD = _zero()


@dataclass(frozen=True, eq=False)
class _Axes:
    """Cross products with an axis per finger as matrices `(5, 3, 3)`, and their squares: for Rodrigues' formula."""

    cross: np.ndarray
    twice: np.ndarray


def _axes(axes: np.ndarray) -> _Axes:
    cross = np.cross(axes[:, None], np.eye(3)).swapaxes(-1, -2)
    return _Axes(cross, cross @ cross)


_FLEX, _SPREAD = _axes(FLEX), _axes(SPREAD)


@dataclass(frozen=True, eq=False)
class HandRest:
    """One hand of a skeleton at rest, for the fit.

    Attributes
    ----------
    side : str
        `L` or `R`.
    axes : np.ndarray
        `(3, 3)`: the hand bone's.
    palm : np.ndarray
        `(3, 3)`: the palm's frame, of the hand mirrored if it is a right one.
    along, across : int, tuple of int
        Joints by which the frame is built: along y, and the two across the palm.
    fingers : np.ndarray
        `(5,)` bool: those that the armature has.
    own : np.ndarray
        `(5, 3, 3)`: directions of the three bones of a finger at angles 0, before they are turned.
    angles : np.ndarray
        `(5, 4)` radians, at rest.
    bones : mapping of tuple to int
        (finger, 0 to 2) to the bone's index.
    rest : mapping of int to np.ndarray
        A bone's axes at rest.
    """

    side: str
    axes: np.ndarray
    palm: np.ndarray
    along: int
    across: tuple[int, int]
    fingers: np.ndarray
    own: np.ndarray
    angles: np.ndarray
    bones: Mapping[tuple[int, int], int]
    rest: Mapping[int, np.ndarray]


def hand_rest(skeleton: Skeleton, side: str) -> HandRest | None:
    """The hand of a side, `L` or `R`; None without a hand bone, or with fewer than two fingers besides the thumb."""
    hand = skeleton.roles.get(f"hand.{side}")
    bones = {(f, k): skeleton.roles[role] for f, finger in enumerate(FINGERS) for k in range(3)
             if (role := f"{finger}.{k + 1}.{side}") in skeleton.roles}
    fingers = np.array([(f, 0) in bones for f in range(5)])
    long = [f for f in range(1, 5) if fingers[f]]
    if hand is None or len(long) < 2:
        return None
    flip = MIRROR if side == "R" else np.ones(3)
    knuckles = {f: (skeleton.heads[bones[f, 0]] - skeleton.heads[hand]) * flip for f in long}
    middle = min(long, key=lambda f: abs(f - 2))
    if not is_palm(knuckles[middle], knuckles[long[0]] - knuckles[long[-1]]):
        return None
    palm = frame(knuckles[middle], knuckles[long[0]] - knuckles[long[-1]])
    directions = np.zeros((5, 3, 3))
    for f in range(5):
        line = skeleton.rest[hand][:, 1] * flip @ palm
        for k in range(3):
            if (bone := bones.get((f, k))) is not None:
                line = unit(skeleton.tails[bone] - skeleton.heads[bone], skeleton.rest[bone][:, 1]) * flip @ palm
            directions[f, k] = line
    own, angles = _own(directions)
    bones = {key: bone for key, bone in bones.items() if fingers[key[0]]}
    return HandRest(side, skeleton.rest[hand], palm, KNUCKLES[middle], (KNUCKLES[long[0]], KNUCKLES[long[-1]]), fingers,
                    own, angles, bones, {bone: skeleton.rest[bone] for bone in bones.values()})


def is_palm(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Whether vectors `(..., 3)` along and across a palm span a plane: `(...)` bool."""
    area = np.linalg.norm(np.cross(along, across), axis=-1)
    return area > np.maximum(np.sin(WIDEST) * np.linalg.norm(along, axis=-1) * np.linalg.norm(across, axis=-1), 1e-12)


def _own(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A rig's own part of the model, and its angles at rest, of the directions `(5, 3, 3)` of its bones at rest."""
    angles = angles_of(directions)
    own = np.einsum("fji,fkj->fki", _base(angles), directions)
    own[:, 1] = np.einsum("fij,fj->fi", _turns(_FLEX, -angles[:, 2]), own[:, 1])
    own[:, 2] = np.einsum("fij,fj->fi", _turns(_FLEX, -angles[:, 2] - angles[:, 3]), own[:, 2])
    return own, angles


def _base(angles: np.ndarray) -> np.ndarray:
    """Rotations `(..., 5, 3, 3)` of the first joint, in the palm's frame."""
    return _turns(_FLEX, angles[..., 0]) @ _turns(_SPREAD, angles[..., 1])


def _turns(axes: _Axes, angles: np.ndarray) -> np.ndarray:
    """Rotations `(..., 5, 3, 3)` about the fingers' axes by angles `(..., 5)`."""
    sine, rest = np.sin(angles)[..., None, None], 1 - np.cos(angles)[..., None, None]
    return np.eye(3) + sine * axes.cross + rest * axes.twice


def angles_of(directions: np.ndarray) -> np.ndarray:
    """Angles `(..., 5, 4)` of fingers without a deviation of their own whose bones point like these `(..., 5, 3, 3)`.

    In the palm's frame. What is out of the plane in which a finger bends is left out; angles are from -pi to pi.
    """
    first = directions[..., 0, :]
    flexion = np.arctan2((first * SPREAD).sum(-1), (first * STRAIGHT).sum(-1))
    spread = np.arcsin(np.clip(-(first * FLEX).sum(-1), -1, 1))
    base = _base(np.stack([flexion, spread, flexion, spread], -1))
    later = np.einsum("...ji,...kj->...ki", base, directions[..., 1:, :])
    bent = np.arctan2(np.einsum("...ki,...i->...k", later, SPREAD), np.einsum("...ki,...i->...k", later, STRAIGHT))
    last = np.mod(bent[..., 1] - bent[..., 0] + np.pi, 2 * np.pi) - np.pi
    return np.stack([flexion, spread, bent[..., 0], last], -1)


def directions(own: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the bones of fingers point, and how that changes with their angles.

    Parameters
    ----------
    own : np.ndarray
        `(5, 3, 3)` of a `HandRest`.
    angles : np.ndarray
        `(..., 5, 4)` radians.

    Returns
    -------
    along : np.ndarray
        `(..., 5, 3, 3)`: unit vectors of the three bones, in the palm's frame.
    change : np.ndarray
        `(..., 5, 3, 3, 4)`: their derivatives by the finger's angles.
    """
    first, second = _turns(_FLEX, angles[..., 0]), _turns(_SPREAD, angles[..., 1])
    bend = np.stack([np.zeros_like(angles[..., 0]), angles[..., 2], angles[..., 2] + angles[..., 3]], -1)[..., None, :]
    straight = own.swapaxes(-1, -2)  # a bone per column
    bent = straight + np.sin(bend) * (_FLEX.cross @ straight) + (1 - np.cos(bend)) * (_FLEX.twice @ straight)
    spread = second @ bent
    along = first @ spread
    change = np.zeros((*along.shape, 4))
    change[..., 0] = _FLEX.cross @ along
    change[..., 1] = first @ (_SPREAD.cross @ spread)
    change[..., 1:, 2] = (first @ second @ (_FLEX.cross @ bent))[..., 1:]
    change[..., 2, 3] = change[..., 2, 2]
    return along.swapaxes(-1, -2), change.swapaxes(-2, -3)


def local_quaternions(rest: HandRest, angles: np.ndarray) -> dict[int, np.ndarray]:
    """Quaternions `(T, 4)` of the finger bones, in each bone's own rest axes, for angles `(T, 5, 4)`."""
    flip = MIRROR if rest.side == "R" else np.ones(3)
    base, start = _base(angles), _base(rest.angles)
    found = {}
    for (f, k), bone in rest.bones.items():
        if k == 0:
            turn = base[:, f] @ start[f].T
        else:
            axis = start[f] @ FLEX[f]
            turn = about(np.broadcast_to(axis, (len(angles), 3)), angles[:, f, k + 1] - rest.angles[f, k + 1])
        turn = (rest.palm @ turn @ rest.palm.T) * flip * flip[:, None]
        found[bone] = to_quaternions(rest.rest[bone].T @ turn @ rest.rest[bone])
    return found


def palm_of(rest: HandRest, axes: np.ndarray) -> np.ndarray:
    """Palm frames `(T, 3, 3)`, mirrored for a right hand, of a hand bone's axes `(T, 3, 3)`."""
    flip = MIRROR if rest.side == "R" else np.ones(3)
    return (axes @ rest.axes.T) * flip * flip[:, None] @ rest.palm


def axes_of(rest: HandRest, palm: np.ndarray) -> np.ndarray:
    """The hand bone's axes `(T, 3, 3)` of palm frames: the inverse of `palm_of`."""
    flip = MIRROR if rest.side == "R" else np.ones(3)
    return (palm @ rest.palm.T) * flip * flip[:, None] @ rest.axes
