# SPDX-License-Identifier: GPL-3.0-or-later
"""Take back what was added to the file, when what it was added for did not work out."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

KINDS = ("objects", "armatures", "meshes", "actions", "materials", "collections", "cameras", "lights", "node_groups")


def identities() -> frozenset[int]:
    """Of all that is in the file, of the kinds that a signer is made of."""
    return frozenset(one.session_uid for kind in KINDS for one in getattr(bpy.data, kind))


def remove_since(before: frozenset[int]) -> None:
    """Remove what is not among these identities."""
    bpy.data.batch_remove([one for kind in KINDS for one in getattr(bpy.data, kind) if one.session_uid not in before])


@contextmanager
def kept_if_done(context: bpy.types.Context) -> Iterator[None]:
    """What is added inside stays only if no error comes; the active and the selected objects are put back otherwise."""
    before = identities()
    active = context.view_layer.objects.active
    selected = [thing.session_uid for thing in context.view_layer.objects if thing.select_get()]
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            remove_since(before)
            for thing in context.view_layer.objects:
                thing.select_set(thing.session_uid in selected)
            context.view_layer.objects.active = active
