# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies in metres, as `lift_pose` writes them, and what the picture shows beside them.

A lifted file holds the body twice: in the picture, and as joints in metres with their way through the room. The second
needs no guess of how deep z is, and has legs. Hands and face are in the picture only: they are put beside the joints.
"""
from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from . import depth
from .points import BODY, HANDS, POINTS, SIDE_WORDS

JOINTS = "BODY_17"
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LIFTED: Mapping[str, tuple[str, str]] = {
    f"{joint}.{side}": (JOINTS, f"{word.lower()}_{joint}") for side, word in SIDE_WORDS.items() for joint in LIMBS}
"""Joint -> (component, point)."""
FLAT = tuple(joint for joint in LIFTED if joint in POINTS)  # those that are read from the picture as well
LEAST = 1e-6  # spread, in pixels or metres, below which joints do not tell how large a body is
GUESSED = .2  # confidence up to which a hip or a leg that was not seen is too uncertain: 9 cm off, or more
SHOULDERS = ("shoulder.L", "shoulder.R")


def source(place: Container[tuple[str, str]]) -> Mapping[str, tuple[str, str]]:
    """Where each joint is in a file with these points: `POINTS`, and of a lifted file `LIFTED` instead or besides."""
    lifted = all(name in place for name in (*LIFTED.values(), *(POINTS[joint] for joint in FLAT)))
    return {**POINTS, **LIFTED} if lifted else POINTS


@dataclass(frozen=True, eq=False)
class Fit:
    """How a body in metres lies over the picture.

    Attributes
    ----------
    body, flat : np.ndarray
        `(T, F, 3)`: the joints of `FLAT` in metres, and in the picture; 0 where they are not told.
    told : np.ndarray
        `(T, F)` bool: which are told in both.
    scale : np.ndarray
        `(T,)`: pixels per metre.
    middles : tuple of np.ndarray
        `(T, 3)` of `body` and of `flat`.
    """

    body: np.ndarray
    flat: np.ndarray
    told: np.ndarray
    scale: np.ndarray
    middles: tuple[np.ndarray, np.ndarray]

    def anchors(self, joints: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """`(T, 3)` in metres and in the picture: the middle of joints, or of all where one of them is not told."""
        columns = [FLAT.index(joint) for joint in joints]
        told = self.told[:, columns].all(1)[:, None]
        return (np.where(told, self.body[:, columns].mean(1), self.middles[0]),
                np.where(told, self.flat[:, columns].mean(1), self.middles[1]))


def fit(body: np.ndarray, flat: np.ndarray, told: np.ndarray) -> Fit | None:
    """Lay a body over the picture: by how far its joints are spread in either, in each frame.

    Where fewer than two joints are told, as in the frames around; None if they are nowhere.

    Parameters
    ----------
    body, flat : np.ndarray
        `(T, F, 3)`, of `FLAT`; what is not told may be anything.
    told : np.ndarray
        `(T, F)` bool.
    """
    body, flat = (np.where(told[..., None], points, 0.0) for points in (body, flat))
    count = np.maximum(told.sum(1), 1)[:, None]
    middles = [points.sum(1) / count for points in (body, flat)]
    spread = [np.sqrt((np.square((points - middle[:, None])[..., :2]) * told[..., None]).sum((1, 2)))
              for points, middle in zip((body, flat), middles)]
    frames = np.flatnonzero((told.sum(1) >= 2) & (spread[0] > LEAST) & (spread[1] > LEAST))
    if not len(frames):
        return None
    time = np.arange(len(told))
    scale = np.interp(time, frames, spread[1][frames] / spread[0][frames])
    place = [np.stack([np.interp(time, frames, line[frames]) for line in middle.T], -1) for middle in middles]
    return Fit(body, flat, told, scale, (place[0], place[1]))


def together(values: np.ndarray, column: Mapping[str, int], over: Fit, width: float) -> np.ndarray:
    """Joints in metres and points of the picture in one space.

    Parameters
    ----------
    values : np.ndarray
        `(T, J, 3)`: joints of `LIFTED` in metres, in the camera's axes; the others in pixels, z as stored.
    column : mapping of str to int
        Joint to its column; all of `LIFTED` are there.
    over : Fit
        Of the same joints.
    width : float
        Of the picture, in pixels.

    Returns
    -------
    np.ndarray
        `(T, J, 3)` in pixels of the middle size of the body, z of its joints, and of the head, as well. That of hands
        and face is in the unit in which it is stored.
    """
    scale, size = over.scale, float(np.median(over.scale))
    out = values * (size / scale)[:, None, None]
    for joint, i in column.items():
        if joint in LIFTED:
            out[:, i] = size * values[:, i]
            continue
        part = POINTS[joint][0]
        place, seen = over.anchors((f"wrist.{joint[-1]}", ) if part in HANDS.values() else SHOULDERS)
        out[:, i, :2] = size * (place[:, :2] + (values[:, i, :2] - seen[:, :2]) / scale[:, None])
        if part == BODY:
            out[:, i, 2] = size * (place[:, 2] + (values[:, i, 2] - seen[:, 2]) * depth.BODY.factor * width / scale)
    return out
