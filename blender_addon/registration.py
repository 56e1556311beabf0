# SPDX-License-Identifier: GPL-3.0-or-later
"""All that Blender is told of when the add-on is enabled, in order, and taken back when it is disabled."""
from __future__ import annotations

import bpy

from .interface import (
    checking,
    engine,
    export_operators,
    handlers,
    import_operators,
    messages,
    model_texts,
    panels,
    preferences,
    properties,
    rig_operators,
    run,
    sampler_operators,
    sampler_panels,
    setup_operators,
    watching,
)

CLASSES = (
    *properties.CLASSES,
    *preferences.CLASSES,
    *import_operators.CLASSES,
    *rig_operators.CLASSES,
    *export_operators.CLASSES,
    *sampler_operators.CLASSES,
    *setup_operators.CLASSES,
    *panels.CLASSES,
    *sampler_panels.CLASSES,
)


def register() -> None:
    """Tell Blender."""
    for one in CLASSES:
        bpy.utils.register_class(one)
    properties.register()
    import_operators.register()
    handlers.register()


def unregister() -> None:
    """End what runs, and take all of it back."""
    run.cancel(bpy.context)
    watching.stop()
    checking.forget()
    engine.stop()
    messages.forget()
    model_texts.forget()
    handlers.unregister()
    import_operators.unregister()
    properties.unregister()
    for one in reversed(CLASSES):
        bpy.utils.unregister_class(one)
