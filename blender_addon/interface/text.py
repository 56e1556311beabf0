# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of text in a panel: Blender does not wrap them."""
from __future__ import annotations

import textwrap
from collections.abc import Iterable

import bpy

CHARACTER = 7.0  # pixels, about, of a letter at a scale of 1
MARGIN = 60  # pixels, for borders and the icon


def characters(context: bpy.types.Context) -> int:
    """How many letters fit into a line of the region that is drawn."""
    region = context.region
    if region is None:
        return 40
    return max(16, int((region.width / context.preferences.system.ui_scale - MARGIN) / CHARACTER))


def draw_lines(layout: bpy.types.UILayout, lines: Iterable[str], *, width: int, icon: str = "NONE") -> None:
    """Lines, wrapped; the icon is before the first."""
    column = layout.column(align=True)
    for i, part in enumerate(part for line in lines for part in textwrap.wrap(line, width) or [""]):
        column.label(text=part, icon=icon if i == 0 else "BLANK1" if icon != "NONE" else "NONE")
