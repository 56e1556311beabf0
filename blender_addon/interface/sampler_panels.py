# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar's panels for the model: generate, refine, regenerate, in-between."""
from __future__ import annotations

import bpy

from . import preferences
from .panels import Sidebar
from .target import armature_of
from .text import characters, draw_lines


def _columns(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """Names on the left, fields on the right, as in Blender's own panels."""
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def _seed(layout: bpy.types.UILayout, settings: bpy.types.AnyType) -> None:
    row = layout.row(align=True)
    row.prop(settings, "seed")
    row.operator("pose_diffusion.new_seed", text="", icon="FILE_REFRESH")


def _button(layout: bpy.types.UILayout, context: bpy.types.Context, name: str, icon: str) -> None:
    """What starts the run; without an interpreter, the way to set one."""
    if not preferences.interpreter(context):
        draw_lines(layout, ["No Python is set that runs the model."], width=characters(context), icon="INFO")
        layout.operator("pose_diffusion.open_preferences", icon="PREFERENCES")
    row = layout.row()
    row.scale_y = 1.4
    row.operator(f"pose_diffusion.{name}", icon=icon)


def _frames(layout: bpy.types.UILayout, settings: bpy.types.AnyType) -> None:
    layout.prop(settings, "range")
    if settings.range == "CUSTOM":
        column = layout.column(align=True)
        column.prop(settings, "first")
        column.prop(settings, "last")


class POSEDIFFUSION_PT_generate(Sidebar, bpy.types.Panel):
    """Text to signing."""

    bl_label = "Generate"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        """What most people need; the rest is below."""
        settings = context.scene.pose_diffusion
        column = _columns(self.layout)
        row = column.row(align=True)
        row.prop(settings, "text")
        row.operator("pose_diffusion.list_texts", text="", icon="QUESTION")
        column.prop(settings, "language")
        column.prop(settings, "steps")
        column.prop(settings, "guidance")
        _seed(column, settings)
        _button(self.layout, context, "generate", "PLAY")


class POSEDIFFUSION_PT_generate_more(Sidebar, bpy.types.Panel):
    """Less frequent settings."""

    bl_label = "More"
    bl_parent_id = "POSEDIFFUSION_PT_generate"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Notation, length, first pose, temperature; the device, and its memory."""
        settings = context.scene.pose_diffusion
        column = _columns(self.layout)
        column.prop(settings, "notation")
        column.prop(settings, "length")
        if settings.length == "SECONDS":
            column.prop(settings, "seconds")
        column.prop(settings, "first_pose")
        if settings.first_pose == "FILE":
            column.prop(settings, "first_pose_file")
        column.prop(settings, "temperature")
        column.prop(settings, "new_seed_each_time")
        column.prop(settings, "preview")
        chosen = preferences.of(context)
        if chosen is not None:
            column.prop(chosen, "device")
        self.layout.operator("pose_diffusion.free_memory", icon="TRASH")


class POSEDIFFUSION_PT_refine(Sidebar, bpy.types.Panel):
    """A take, corrected by the model."""

    bl_label = "Refine"
    bl_order = 2
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Strength, steps, where."""
        settings = context.scene.pose_diffusion
        column = _columns(self.layout)
        column.prop(settings, "strength")
        column.row().prop(settings, "refine_from", expand=True)
        column.prop(settings, "refine_steps")
        if settings.refine_steps > 1:
            _seed(column, settings)
        if settings.refine_from == "TAKE":
            column.prop(settings, "refine_parts")
            _frames(column, settings)
        _button(self.layout, context, "refine", "SMOOTHCURVE")


class POSEDIFFUSION_PT_regenerate(Sidebar, bpy.types.Panel):
    """A part of a take, made anew."""

    bl_label = "Regenerate"
    bl_order = 3
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """What and where."""
        settings = context.scene.pose_diffusion
        column = _columns(self.layout)
        column.prop(settings, "what")
        _frames(column, settings)
        column.prop(settings, "regenerate_text")
        if settings.regenerate_text.strip():
            column.prop(settings, "language")
            column.prop(settings, "guidance")
        column.prop(settings, "steps")
        _seed(column, settings)
        _button(self.layout, context, "regenerate", "BRUSH_DATA")


class POSEDIFFUSION_PT_inbetween(Sidebar, bpy.types.Panel):
    """Strips, joined."""

    bl_label = "In-between"
    bl_order = 4
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """How long the ways are."""
        settings = context.scene.pose_diffusion
        if armature_of(context) is not None:
            draw_lines(self.layout, ["Push actions down into NLA strips, select them, then join them here."],
                       width=characters(context), icon="INFO")
        column = _columns(self.layout)
        column.prop(settings, "transition")
        column.prop(settings, "hold")
        column.prop(settings, "steps")
        _seed(column, settings)
        _button(self.layout, context, "inbetween_strips", "NLA")


CLASSES = (POSEDIFFUSION_PT_generate, POSEDIFFUSION_PT_generate_more, POSEDIFFUSION_PT_refine,
           POSEDIFFUSION_PT_regenerate, POSEDIFFUSION_PT_inbetween)
