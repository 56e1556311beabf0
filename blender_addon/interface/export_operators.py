# SPDX-License-Identifier: GPL-3.0-or-later
"""Buttons to Blender's own exporters, set for an armature and the meshes that it moves."""
from __future__ import annotations

from collections.abc import Mapping

import bpy
from bpy.props import StringProperty

from ..errors import AddonError
from . import messages
from .reporting import reported
from .target import armature_of, needed_armature


class _Export:
    """What the four have in common."""

    bl_options = {"REGISTER"}
    exporter = ("", "")  # module and name of Blender's operator
    needs = ""  # the add-on that brings it
    arguments: Mapping[str, object] = {}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """With an armature, an action, and the exporter."""
        armature = armature_of(context)
        why = ""
        if armature is None:
            why = "Select an armature, or create a signer"
        elif armature.animation_data is None or armature.animation_data.action is None:
            why = "The armature has no action yet"
        elif not is_there(cls.exporter):
            why = f"The exporter is off: enable {cls.needs} in Preferences > Add-ons"
        elif context.mode != "OBJECT":
            why = "Only in object mode"
        if why:
            cls.poll_message_set(why)  # type: ignore[attr-defined]
        return not why

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Blender's own file browser asks for the file."""
        return self._export(context, "INVOKE_DEFAULT", {})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """For scripts: to the file that is given."""
        if not self.filepath:  # type: ignore[attr-defined]
            return reported(self, _no_file)
        return self._export(context, "EXEC_DEFAULT", {"filepath": self.filepath})  # type: ignore[attr-defined]

    def _export(self, context: bpy.types.Context, how: str, more: Mapping[str, object]) -> set[str]:
        armature = needed_armature(context)
        select(context, armature)
        frames = {}
        if "frame_start" in _properties(self.exporter):
            first, last = armature.animation_data.action.curve_frame_range
            frames = {"frame_start": int(first), "frame_end": int(last + .999)}
        module, name = self.exporter
        ended = getattr(getattr(bpy.ops, module), name)(how, **{**self.arguments, **frames, **more})
        return {"FINISHED"} if "FINISHED" in ended else {"CANCELLED"}


def _no_file() -> messages.Message:
    raise AddonError("no file is named: give filepath")


def _properties(exporter: tuple[str, str]) -> set[str]:
    return set(getattr(getattr(bpy.ops, exporter[0]), exporter[1]).get_rna_type().properties.keys())


def is_there(exporter: tuple[str, str]) -> bool:
    """Whether Blender has this operator now."""
    return exporter[1] in dir(getattr(bpy.ops, exporter[0]))


def select(context: bpy.types.Context, armature: bpy.types.Object) -> None:
    """Select an armature, make it active, and select the meshes that it moves."""
    for thing in context.view_layer.objects:
        moved = thing.type == "MESH" and thing.find_armature() == armature
        thing.select_set(thing == armature or moved)
    context.view_layer.objects.active = armature


class POSEDIFFUSION_OT_export_bvh(_Export, bpy.types.Operator):
    """Export the armature and its action as BVH: bones only"""

    bl_idname = "pose_diffusion.export_bvh"
    bl_label = "BVH"
    exporter = ("export_anim", "bvh")
    needs = "BioVision Motion Capture (BVH) format"
    arguments = {"rotate_mode": "NATIVE"}
    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})


class POSEDIFFUSION_OT_export_fbx(_Export, bpy.types.Operator):
    """Export the armature, its meshes and its action as FBX: for Unity, Unreal, Maya"""

    bl_idname = "pose_diffusion.export_fbx"
    bl_label = "FBX"
    exporter = ("export_scene", "fbx")
    needs = "FBX format"
    arguments = {"use_selection": True, "object_types": {"ARMATURE", "MESH"}, "add_leaf_bones": False,
                 "bake_anim_use_all_actions": False, "bake_anim_use_nla_strips": False}
    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})


class POSEDIFFUSION_OT_export_gltf(_Export, bpy.types.Operator):
    """Export the armature, its meshes, shape keys and action as glTF: for the web, Godot, VRM tools"""

    bl_idname = "pose_diffusion.export_gltf"
    bl_label = "glTF"
    exporter = ("export_scene", "gltf")
    needs = "glTF 2.0 format"
    arguments = {"use_selection": True, "export_animation_mode": "ACTIONS", "export_anim_single_armature": False}
    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})


class POSEDIFFUSION_OT_export_usd(_Export, bpy.types.Operator):
    """Export the armature, its meshes and its action as USD"""

    bl_idname = "pose_diffusion.export_usd"
    bl_label = "USD"
    exporter = ("wm", "usd_export")
    needs = "USD, with which this Blender was not built"
    arguments = {"selected_objects_only": True, "export_animation": True}
    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})


CLASSES = (POSEDIFFUSION_OT_export_bvh, POSEDIFFUSION_OT_export_fbx, POSEDIFFUSION_OT_export_gltf,
           POSEDIFFUSION_OT_export_usd)
