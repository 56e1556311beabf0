# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators for the bone map of an armature."""
from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ..errors import AddonError
from ..rigs.map_files import load_map, save_map
from ..rigs.match import match
from ..solver.skeleton import ROLES
from . import messages
from .reporting import reported
from .target import armature_of, bones_of, clear_map, needed_armature, set_map


class _OfArmature:
    """For operators that need one."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """With an armature."""
        if armature_of(context) is None:
            cls.poll_message_set("Select an armature, or create a signer")  # type: ignore[attr-defined]
            return False
        return True


class POSEDIFFUSION_OT_match_bones(_OfArmature, bpy.types.Operator):
    """Find the armature's bones by their names, and list them so that they can be changed"""

    bl_idname = "pose_diffusion.match_bones"
    bl_label = "Match"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Match, and keep what was found."""
        return reported(self, lambda: self._match(context))

    def _match(self, context: bpy.types.Context) -> messages.Message:
        armature = needed_armature(context)
        bones = armature.data.bones
        result = match([bone.name for bone in bones],
                       {bone.name: bone.parent.name if bone.parent else None for bone in bones})
        set_map(armature, result.bones, result.rig)
        text = f'{len(result.bones)} of {len(ROLES)} bones of "{armature.name}" found: {result.rig}'
        return messages.say("INFO", text)


class POSEDIFFUSION_OT_clear_map(_OfArmature, bpy.types.Operator):
    """Forget the list: bones are found by their names again"""

    bl_idname = "pose_diffusion.clear_map"
    bl_label = "Clear"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forget it."""
        return reported(self, lambda: self._clear(context))

    def _clear(self, context: bpy.types.Context) -> messages.Message:
        armature = needed_armature(context)
        clear_map(armature)
        return messages.say("INFO", f'the bones of "{armature.name}" are found by their names again')


class POSEDIFFUSION_OT_save_map(_OfArmature, bpy.types.Operator, ExportHelper):
    """Save the bone map as a file, for other characters with the same bones"""

    bl_idname = "pose_diffusion.save_map"
    bl_label = "Save bone map"

    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Save it."""
        return reported(self, lambda: self._save(context))

    def _save(self, context: bpy.types.Context) -> messages.Message:
        bones = bones_of(needed_armature(context)).bones
        path = Path(bpy.path.abspath(self.filepath))
        save_map(path, bones)
        return messages.say("INFO", f"{len(bones)} bones saved as {path.name}")


class POSEDIFFUSION_OT_load_map(_OfArmature, bpy.types.Operator, ImportHelper):
    """Load a bone map that was saved"""

    bl_idname = "pose_diffusion.load_map"
    bl_label = "Load bone map"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Load it."""
        return reported(self, lambda: self._load(context))

    def _load(self, context: bpy.types.Context) -> messages.Message:
        armature = needed_armature(context)
        path = Path(bpy.path.abspath(self.filepath))
        bones = load_map(path)
        there = {role: bone for role, bone in bones.items() if bone in armature.data.bones}
        if not there:
            raise AddonError(f'none of the bones of {path.name} is in "{armature.name}": choose the map of this rig')
        missing = sorted(bone for bone in bones.values() if bone not in armature.data.bones)
        notes = [f'"{armature.name}" has no bone {", ".join(missing[:5])}' + (" …" if len(missing) > 5 else "")]
        set_map(armature, there, path.stem)
        text = f'{len(there)} of {len(bones)} bones of {path.name} are in "{armature.name}"'
        return messages.say("WARNING" if missing else "INFO", text, notes=notes if missing else ())


CLASSES = (POSEDIFFUSION_OT_match_bones, POSEDIFFUSION_OT_clear_map, POSEDIFFUSION_OT_save_map,
           POSEDIFFUSION_OT_load_map)
