# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender add-on of pose_diffusion: an armature that signs, and the sampler in the sidebar.

Blender is imported only when the add-on is registered: the reader, the solver and the job work, and are tested, without
it.
"""
from __future__ import annotations


def register() -> None:
    """Called by Blender when the add-on is enabled."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the add-on is disabled."""
    from . import registration

    registration.unregister()
