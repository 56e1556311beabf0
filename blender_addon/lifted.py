# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies in metres, as `lift_pose` writes them, and what the picture shows beside them.

A lifted file holds the body twice: in the picture, and as joints in metres with their way through the room. The second
needs no guess of how deep z is, and has legs. Hands and face are in the picture only: they are put beside the joints.
"""
from __future__ import annotations

from collections.abc import Container, Mapping

import numpy as np

from . import depth
from .points import BODY, HANDS, POINTS, SIDE_WORDS

JOINTS = "BODY_17"
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
LIFTED: Mapping[str, tuple[str, str]] = {
    f"{joint}.{side}": (JOINTS, f"{word.lower()}_{joint}") for side, word in SIDE_WORDS.items() for joint in LIMBS}
"""Joint -> (component, point)."""
FLAT = tuple(joint for joint in LIFTED if joint in POINTS)  # those that are read from the picture as well
GUESSED = .2  # confidence up to which a hip or a leg that was not seen is too uncertain: 9 cm off, or more
SHOULDERS = ("shoulder.L", "shoulder.R")


def source(place: Container[tuple[str, str]]) -> Mapping[str, tuple[str, str]]:
    """Where each joint is in a file with these points: `POINTS`, and of a lifted file `LIFTED` instead or besides."""
    lifted = all(name in place for name in (*LIFTED.values(), *(POINTS[joint] for joint in FLAT)))
    return {**POINTS, **LIFTED} if lifted else POINTS


def together(values: np.ndarray, column: Mapping[str, int], flat: Mapping[str, np.ndarray], width: float) -> np.ndarray:
    """Joints in metres and points of the picture in one space.

    Parameters
    ----------
    values : np.ndarray
        `(T, J, 3)`: joints of `LIFTED` in metres, in the camera's axes; the others in pixels, z as stored.
    column : mapping of str to int
        Joint to its column; all of `LIFTED` are there.
    flat : mapping of str to np.ndarray
        `(T, 3)` in the picture, of those of `FLAT`.
    width : float
        Of the picture, in pixels.

    Returns
    -------
    np.ndarray
        `(T, J, 3)` in pixels of the middle size of the body, z of its joints, and of the head, as well. That of hands
        and face is in the unit in which it is stored.
    """
    scale = _scale(values, column, flat)
    size = float(np.median(scale))
    out = values * (size / scale)[:, None, None]
    for joint in LIFTED:
        out[:, column[joint]] = size * values[:, column[joint]]
    for joint, i in column.items():
        if joint in LIFTED:
            continue
        part = POINTS[joint][0]
        anchors = [f"wrist.{joint[-1]}"] if part in HANDS.values() else SHOULDERS
        seen = np.mean([flat[anchor] for anchor in anchors], axis=0)
        place = np.mean([values[:, column[anchor]] for anchor in anchors], axis=0)
        out[:, i, :2] = size * (place[:, :2] + (values[:, i, :2] - seen[:, :2]) / scale[:, None])
        if part == BODY:
            out[:, i, 2] = size * (place[:, 2] + (values[:, i, 2] - seen[:, 2]) * depth.BODY.factor * width / scale)
    return out


def _scale(values: np.ndarray, column: Mapping[str, int], flat: Mapping[str, np.ndarray]) -> np.ndarray:
    """`(T,)`: pixels per metre, by how far the joints are spread in either."""
    spread = []
    for points in (np.stack(list(flat.values()), 1), values[:, [column[joint] for joint in flat]]):
        across = points[..., :2] - points[..., :2].mean(1, keepdims=True)
        spread.append(np.sqrt(np.square(across).sum((1, 2))))
    return np.maximum(spread[0], 1e-6) / np.maximum(spread[1], 1e-6)
