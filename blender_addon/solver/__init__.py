# SPDX-License-Identifier: GPL-3.0-or-later
"""From keypoints to bone rotations: NumPy only."""
from __future__ import annotations
