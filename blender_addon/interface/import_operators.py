# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that need nothing but Blender: load files, make a signer, set up the scene, export."""
from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import CollectionProperty, EnumProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ..errors import AddonError
from ..rigs.studio import create_studio
from . import messages, signing
from .provisional import kept_if_done
from .reporting import reported
from .target import armature_of, needed_armature


class POSEDIFFUSION_OT_import_pose(bpy.types.Operator, ImportHelper):
    """Load .pose files onto an armature. Several files become an action each"""

    bl_idname = "pose_diffusion.import_pose"
    bl_label = "Load .pose"
    bl_options = {"REGISTER", "UNDO"}

    filename_ext = ".pose"
    filter_glob: StringProperty(default="*.pose", options={"HIDDEN"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    onto: EnumProperty(
        name="Onto", items=(("ACTIVE", "The armature", "The armature that is active; a new signer if there is none"),
                            ("NEW", "A new signer", "A signer that comes with the add-on")),
        description="What is to sign")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Files that were dropped into the window are loaded, otherwise the file browser asks."""
        if self.directory and self.files:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Load them."""
        return reported(self, lambda: self._load(context))

    def _load(self, context: bpy.types.Context) -> messages.Message:
        names = [one.name for one in self.files if one.name]
        folder = bpy.path.abspath(self.directory)
        paths = [Path(folder, name) for name in names] or [Path(bpy.path.abspath(self.filepath))]
        if not names and not self.filepath:
            raise AddonError("no file is chosen: choose a .pose file")
        with kept_if_done(context):
            text, notes = signing.load(context, paths, armature_of(context) if self.onto == "ACTIVE" else None)
        return messages.say("WARNING" if notes else "INFO", text, notes=notes)

    def draw(self, context: bpy.types.Context) -> None:
        """Beside the file browser."""
        settings, layout = context.scene.pose_diffusion, self.layout
        layout.use_property_split = True
        layout.prop(self, "onto")
        for name in ("begin", "mode", "mirrored", "person"):
            layout.prop(settings, name)


class POSEDIFFUSION_FH_pose(bpy.types.FileHandler):
    """.pose files can be dropped into the 3D view."""

    bl_idname = "POSEDIFFUSION_FH_pose"
    bl_label = "Pose"
    bl_import_operator = "pose_diffusion.import_pose"
    bl_file_extensions = ".pose"

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        """Only there."""
        return context.area is not None and context.area.type == "VIEW_3D"


class POSEDIFFUSION_OT_solve_again(bpy.types.Operator):
    """Load the last file onto the armature again, with the settings as they are now"""

    bl_idname = "pose_diffusion.solve_again"
    bl_label = "Solve again"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there was a file."""
        armature = armature_of(context)
        if armature is None or not armature.pose_diffusion.source:
            cls.poll_message_set("No .pose file was loaded onto this armature yet")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Load it."""
        return reported(self, lambda: self._load(context))

    def _load(self, context: bpy.types.Context) -> messages.Message:
        armature = needed_armature(context)
        text, notes = signing.load(context, [Path(bpy.path.abspath(armature.pose_diffusion.source))], armature)
        return messages.say("WARNING" if notes else "INFO", text, notes=notes)


class POSEDIFFUSION_OT_create_signer(bpy.types.Operator):
    """Add a signer: an armature with a body, to be moved by .pose files"""

    bl_idname = "pose_diffusion.create_signer"
    bl_label = "Create signer"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """In object mode, as all that adds objects."""
        if context.mode != "OBJECT":
            cls.poll_message_set("Only in object mode")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add it."""
        return reported(self, lambda: self._create(context))

    def _create(self, context: bpy.types.Context) -> messages.Message:
        with kept_if_done(context):
            signer = signing.new_signer(context)
        return messages.say("INFO", f'"{signer.name}" is there: load a .pose, or generate a sign')


class POSEDIFFUSION_OT_create_studio(bpy.types.Operator):
    """Add a camera and lights that show the signer from head to hips, and a plain background"""

    bl_idname = "pose_diffusion.create_studio"
    bl_label = "Set up camera and light"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """With an armature."""
        if armature_of(context) is None:
            cls.poll_message_set("Select an armature, or create a signer")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add them."""
        return reported(self, lambda: self._create(context))

    def _create(self, context: bpy.types.Context) -> messages.Message:
        with kept_if_done(context):
            create_studio(context, needed_armature(context))
        return messages.say("INFO", "camera and light are set up: press Numpad 0 to look through the camera")


def menu_entry(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    """In File > Import."""
    menu.layout.operator(POSEDIFFUSION_OT_import_pose.bl_idname, text="Pose (.pose)")


CLASSES = (POSEDIFFUSION_OT_import_pose, POSEDIFFUSION_FH_pose, POSEDIFFUSION_OT_solve_again,
           POSEDIFFUSION_OT_create_signer, POSEDIFFUSION_OT_create_studio)


def register() -> None:
    """The entry of the menu."""
    bpy.types.TOPBAR_MT_file_import.append(menu_entry)


def unregister() -> None:
    """Without it."""
    bpy.types.TOPBAR_MT_file_import.remove(menu_entry)
