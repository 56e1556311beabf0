# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes a moment in another process: looked at again and again until done, without holding Blender up."""
from __future__ import annotations

import time
from collections.abc import Callable

import bpy

PAUSE = .1  # seconds

_watched: list[Callable[[], bool]] = []


def watch(is_done: Callable[[], bool]) -> None:
    """Call this until it says that it is done: by a timer, or at once where there is no window."""
    if bpy.app.background:
        while not is_done():
            time.sleep(PAUSE)
        return
    _watched.append(is_done)
    if not bpy.app.timers.is_registered(_look):
        bpy.app.timers.register(_look, first_interval=PAUSE, persistent=True)


def _look() -> float | None:
    """What the timer calls; None ends it."""
    for is_done in list(_watched):
        if is_done():
            _watched.remove(is_done)
    redraw()
    return PAUSE if _watched else None


def stop() -> None:
    """Watch nothing any more."""
    _watched.clear()
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)


def redraw() -> None:
    """Have the panels and the preferences drawn again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "PREFERENCES"):
                area.tag_redraw()
