# SPDX-License-Identifier: GPL-3.0-or-later
"""`.pose` files: reading and writing with NumPy alone."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Component:
    """A part of a header: its name and its points' names."""

    name: str
    points: tuple[str, ...]
    format: str = "XYZC"
    limbs: tuple[tuple[int, int], ...] = ()
    colors: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class PoseFile:
    """The content of a `.pose` file.

    Attributes
    ----------
    components : tuple of Component
        All points, in order; K of them.
    fps : float
        Frames per second.
    data : np.ndarray
        `(T, P, K, D)` float32, P people: x, y in pixels from the top left, z in image widths.
    confidence : np.ndarray
        `(T, P, K)` float32; 0 where a point was not seen.
    width, height, depth : int
        Of the image, in pixels.
    """

    components: tuple[Component, ...]
    fps: float
    data: np.ndarray
    confidence: np.ndarray
    width: int
    height: int
    depth: int = 0
