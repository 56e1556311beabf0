# SPDX-License-Identifier: GPL-3.0-or-later
"""Take back what was added to the file, when what it was added for did not work out."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import bpy

KINDS = ("objects", "armatures", "meshes", "actions", "materials", "collections", "cameras", "lights", "node_groups",
         "worlds")


@dataclass(frozen=True)
class Before:
    """What was in the file, and what was selected; by identities, so that an undo in between does no harm."""

    there: frozenset[int]
    selected: frozenset[int]
    active: int | None
    camera: int | None


def before(context: bpy.types.Context) -> Before:
    """As it is now."""
    things = context.view_layer.objects
    return Before(frozenset(one.session_uid for kind in KINDS for one in getattr(bpy.data, kind)),
                  frozenset(thing.session_uid for thing in things if thing.select_get()), _uid(things.active),
                  _uid(context.scene.camera))


def take_back(context: bpy.types.Context, was: Before) -> None:
    """Remove what was added since, and select what was selected."""
    everything = (one for kind in KINDS for one in getattr(bpy.data, kind))
    bpy.data.batch_remove([one for one in everything if one.session_uid not in was.there])
    things = context.view_layer.objects
    if context.mode == "OBJECT":
        for thing in things:
            thing.select_set(thing.session_uid in was.selected)
        things.active = next((thing for thing in things if thing.session_uid == was.active), None)
    context.scene.camera = next((thing for thing in context.scene.objects if thing.session_uid == was.camera), None)


@contextmanager
def kept_if_done(context: bpy.types.Context) -> Iterator[None]:
    """What is added inside stays only if no error comes."""
    was, done = before(context), False
    try:
        yield
        done = True
    finally:
        if not done:
            take_back(context, was)


def _uid(thing: bpy.types.Object | None) -> int | None:
    return None if thing is None else thing.session_uid
