# SPDX-License-Identifier: GPL-3.0-or-later
"""The other process, which runs pose_diffusion: no Blender in it, and none needed."""
from __future__ import annotations
