# SPDX-License-Identifier: GPL-3.0-or-later
"""Between armatures and the solver: rest bones out, keys in, keypoints of a take out."""
from __future__ import annotations
