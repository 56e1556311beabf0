"""The add-on among the enabled ones, with its preferences: Blender does this when a user enables it."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from blender_addon.interface import preferences


@contextmanager
def chosen(interpreter: str = "") -> Iterator[preferences.PoseDiffusionPreferences]:
    """Preferences with this interpreter; the classes must be registered."""
    addons = bpy.context.preferences.addons
    entry = addons.new()
    entry.module = preferences.ADDON
    form = preferences.of(bpy.context)
    assert form is not None
    form.interpreter = interpreter
    try:
        yield form
    finally:
        if preferences.ADDON in addons:
            addons.remove(addons[preferences.ADDON])
