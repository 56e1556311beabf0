# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender does in the middle of a run: another file, undo, saving. The scene is put back first."""
from __future__ import annotations

import bpy
from bpy.app.handlers import persistent

from ..animation import preview
from . import run


@persistent
def before_load(*_: object) -> None:
    """Another file comes: there is nothing left to sign on."""
    run.cancel(bpy.context, _stopped("another file was opened"))


@persistent
def before_undo(*_: object) -> None:
    """Undo or redo: the run's armature may not be there any more."""
    run.cancel(bpy.context, _stopped("undo or redo came in between"))


@persistent
def after_undo(*_: object) -> None:
    """What is undone to may be a state in which a preview was shown."""
    preview.purge(bpy.context)


@persistent
def before_save(*_: object) -> None:
    """No preview in the saved file; the run goes on."""
    run.hide_preview(bpy.context)


def _stopped(why: str) -> str:
    return f"{run.current.request.title} was stopped, as {why}: nothing was changed by it" if run.current else ""


HANDLERS = (("load_pre", before_load), ("undo_pre", before_undo), ("redo_pre", before_undo), ("undo_post", after_undo),
            ("redo_post", after_undo), ("load_post", after_undo), ("save_pre", before_save))


def register() -> None:
    """Have Blender call them."""
    for name, handler in HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    """No more."""
    for name, handler in HANDLERS:
        getattr(bpy.app.handlers, name).remove(handler)
