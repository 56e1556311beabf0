# SPDX-License-Identifier: GPL-3.0-or-later
"""Keypoints of one person by joint, in metres and Blender's axes."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Tracks:
    """Joints of one person over time.

    Attributes
    ----------
    fps : float
        Frames per second.
    joints : tuple of str
        Names; J of them. `nose`, `eye.L`, `ear.L`, `mouth.L`, `shoulder.L`, `elbow.L`, `wrist.L`, `hip.L` of the body (and R);
        of a hand its own wrist `hand.L`, `thumb.1.L` (CMC) to `thumb.4.L` (tip), `index.1.L` (MCP) to `index.4.L` (tip), and
        so on; of the face `face.N`, N being MediaPipe's number.
    xyz : np.ndarray
        `(T, J, 3)` float64 metres: x to the person's left, y to their back, z up. Finite; 0 where not seen.
    seen : np.ndarray
        `(T, J)` bool.
    """

    fps: float
    joints: tuple[str, ...]
    xyz: np.ndarray
    seen: np.ndarray
