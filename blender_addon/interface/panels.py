# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar of the 3D view: what goes on, the signer, files, and what makes takes usable elsewhere."""
from __future__ import annotations

import bpy

from ..errors import AddonError
from ..solver.skeleton import ROLES
from . import messages, run
from .target import armature_of, bones_of, has_map
from .text import characters, draw_lines

ICONS = {"INFO": "CHECKMARK", "WARNING": "ERROR", "ERROR": "CANCEL"}
SHORT = 3  # notes that are shown; the others are in what is copied


class Sidebar:
    """Where all panels are."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Pose Diffusion"


class POSEDIFFUSION_PT_main(Sidebar, bpy.types.Panel):
    """What goes on, and which armature signs."""

    bl_label = "Signer"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        """Progress or the last message, then the armature."""
        layout = self.layout
        if run.current is not None:
            _draw_progress(layout)
        elif messages.last is not None:
            _draw_message(layout, context)
        armature = armature_of(context)
        row = layout.row(align=True)
        if armature is None:
            row.label(text="No armature is selected", icon="OUTLINER_OB_ARMATURE")
        else:
            row.label(text=armature.name, icon="OUTLINER_OB_ARMATURE")
            draw_lines(layout, [map_status(armature)], width=characters(context))
        layout.operator("pose_diffusion.create_signer", icon="ADD")
        row = layout.row()
        row.scale_y = 1.4
        row.operator("pose_diffusion.import_pose", icon="IMPORT")


def _draw_progress(layout: bpy.types.UILayout) -> None:
    """The bar and Cancel."""
    if run.current is None:
        return
    factor, words = run.progress()
    box = layout.box()
    box.label(text=run.current.request.title, icon="SORTTIME")
    box.progress(factor=factor, text=words)
    box.operator("pose_diffusion.cancel", text="Cancel (ESC)", icon="CANCEL")


def _draw_message(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    message = messages.last
    if message is None:
        return
    box = layout.box()
    box.alert = message.level == "ERROR"
    row = box.row()
    draw_lines(row, [message.text], width=characters(context) - 6, icon=ICONS[message.level])
    row.operator("pose_diffusion.clear_message", text="", icon="X", emboss=False)
    if message.notes:
        draw_lines(box, message.notes[:SHORT], width=characters(context))
    if message.details or message.level == "ERROR" or len(message.notes) > SHORT:
        box.operator("pose_diffusion.copy_text", text="Copy details", icon="COPYDOWN").text = ""


def map_status(armature: bpy.types.Object) -> str:
    """How many bones are found, by what."""
    try:
        found = bones_of(armature)
    except AddonError as error:
        return str(error)
    return f"{len(found.bones)} of {len(ROLES)} bones found: {found.rig}"


class POSEDIFFUSION_UL_bones(bpy.types.UIList):
    """Roles and the bones that play them."""

    def draw_item(self, context: bpy.types.Context, layout: bpy.types.UILayout, data: bpy.types.AnyType,
                  item: bpy.types.AnyType, icon: int, active_data: bpy.types.AnyType, active_property: str,
                  index: int = 0, flt_flag: int = 0) -> None:
        """A line."""
        row = layout.split(factor=.4)
        row.label(text=item.name)
        row.alert = bool(item.bone) and item.bone not in data.id_data.data.bones
        row.prop_search(item, "bone", data.id_data.data, "bones", text="", icon="BONE_DATA")


class POSEDIFFUSION_PT_bones(Sidebar, bpy.types.Panel):
    """The bone map."""

    bl_label = "Bone map"
    bl_parent_id = "POSEDIFFUSION_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """With an armature."""
        return armature_of(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        """The list, and how to fill it."""
        layout, armature = self.layout, armature_of(context)
        if armature is None:
            return
        settings = armature.pose_diffusion
        if has_map(armature):
            layout.template_list("POSEDIFFUSION_UL_bones", "", settings, "bones", settings, "selected", rows=8)
        else:
            draw_lines(layout, ["Bones are found by their names. Press Match to see and change them."],
                       width=characters(context))
        row = layout.row(align=True)
        row.operator("pose_diffusion.match_bones", icon="FILE_REFRESH")
        row.operator("pose_diffusion.clear_map", icon="X")
        row = layout.row(align=True)
        row.operator("pose_diffusion.save_map", text="Save", icon="FILE_TICK")
        row.operator("pose_diffusion.load_map", text="Load", icon="FILE_FOLDER")


class POSEDIFFUSION_PT_motion(Sidebar, bpy.types.Panel):
    """How keypoints become a motion."""

    bl_label = "Motion"
    bl_parent_id = "POSEDIFFUSION_PT_main"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Settings of the solver and of reading."""
        layout, settings = self.layout, context.scene.pose_diffusion
        layout.use_property_split = True
        layout.use_property_decorate = False
        for name in ("mode", "smoothing", "longest_gap", "begin"):
            layout.prop(settings, name)
        column = layout.column(align=True)
        column.prop(settings, "parts")
        column = layout.column(heading="Files")
        column.prop(settings, "mirrored")
        column.prop(settings, "person")
        layout.operator("pose_diffusion.solve_again", icon="FILE_REFRESH")


class POSEDIFFUSION_PT_export(Sidebar, bpy.types.Panel):
    """Blender's exporters, and a camera."""

    bl_label = "Render and export"
    bl_order = 5
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Buttons."""
        layout = self.layout
        layout.operator("pose_diffusion.create_studio", icon="CAMERA_DATA")
        row = layout.row(align=True)
        for name in ("fbx", "gltf", "bvh", "usd"):
            row.operator(f"pose_diffusion.export_{name}")


CLASSES = (POSEDIFFUSION_UL_bones, POSEDIFFUSION_PT_main, POSEDIFFUSION_PT_bones, POSEDIFFUSION_PT_motion,
           POSEDIFFUSION_PT_export)
