# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferences: which Python runs the model, on what, and whether it can."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..errors import AddonError
from ..sampler.interpreter import PACKAGE
from . import checking
from .text import draw_lines

ADDON = __package__.rpartition(".")[0]  # "bl_ext.user_default.pose_diffusion", or "blender_addon" in tests
DEVICES = (("cpu", "the processor: works everywhere"), ("cuda", "a graphics card by NVIDIA (or AMD, with ROCm)"),
           ("mps", "a Mac's graphics processor"))
WIDTH = 90  # letters in a line


def _devices(preferences: PoseDiffusionPreferences, context: bpy.types.Context,
             edit_text: str) -> Iterator[tuple[str, str]]:
    found = dict.fromkeys(checking.report.devices, "found in this machine") if checking.report else {}
    yield from {**dict(DEVICES), **found}.items()


class PoseDiffusionPreferences(bpy.types.AddonPreferences):
    """Of the add-on; saved with Blender's own."""

    bl_idname = ADDON

    interpreter: StringProperty(
        name="Python", subtype="FILE_PATH", maxlen=1024,
        description="The Python in which pose-diffusion is installed, such as .venv/bin/python or "
                    ".venv\\Scripts\\python.exe. Nothing is installed into Blender")
    device: StringProperty(
        name="Device", default="cpu", search=_devices, search_options={"SUGGESTION"}, maxlen=40,
        description="Where the model runs, as PyTorch names it")
    package: StringProperty(
        name="Install from", default=PACKAGE, maxlen=1024,
        description="What the command for installing names: the package, or the path of a wheel or of a folder")
    model: StringProperty(
        name="Model", subtype="DIR_PATH", maxlen=1024,
        description="Folder of a model of your own. Empty: the one that comes with pose-diffusion")

    def draw(self, context: bpy.types.Context) -> None:
        """The form, and what the check found."""
        layout = self.layout
        layout.use_property_split = True
        layout.label(text="Loading .pose files needs nothing of this. Generating and refining does.", icon="INFO")
        row = layout.row(align=True)
        row.prop(self, "interpreter")
        row.operator("pose_diffusion.find_interpreter", text="", icon="VIEWZOOM")
        layout.prop(self, "device")
        layout.prop(self, "model")
        layout.prop(self, "package")
        row = layout.row()
        row.operator("pose_diffusion.check_interpreter", icon="CHECKMARK")
        row.operator("pose_diffusion.open_log", icon="TEXT")
        row.operator("pose_diffusion.free_memory", icon="TRASH")
        _draw_check(layout, self.interpreter)


def _draw_check(layout: bpy.types.UILayout, chosen: str) -> None:
    if checking.running():
        layout.label(text="Checking …", icon="SORTTIME")
        return
    report = checking.report
    if report is None:
        return
    box = layout.box()
    draw_lines(box, report.lines, width=WIDTH, icon="CHECKMARK" if report.ok else "ERROR")
    if report.command:
        box.label(text="Install what is missing by this command in a terminal, then check again:", icon="CONSOLE")
        draw_lines(box, [report.command], width=WIDTH)
        box.operator("pose_diffusion.copy_text", text="Copy command", icon="COPYDOWN").text = report.command
    if report.interpreter not in ("", chosen):
        box.operator("pose_diffusion.use_interpreter", text=f"Use {report.interpreter}").path = report.interpreter


def of(context: bpy.types.Context) -> PoseDiffusionPreferences | None:
    """The preferences; None while Blender has the add-on not among the enabled ones."""
    addon = context.preferences.addons.get(ADDON)
    return addon.preferences if addon else None


def interpreter(context: bpy.types.Context) -> str:
    """Path of the Python that runs the model; empty if none is set."""
    preferences = of(context)
    return bpy.path.abspath(preferences.interpreter.strip()) if preferences else ""


def model(context: bpy.types.Context) -> str:
    """Folder of the user's own model; empty for the one that comes with the package."""
    preferences = of(context)
    return bpy.path.abspath(preferences.model.strip()) if preferences else ""


def folder() -> Path:
    """Where the add-on may write; made if need be.

    Raises
    ------
    AddonError
        If it cannot be made.
    """
    try:
        return Path(bpy.utils.extension_path_user(ADDON, create=True))
    except ValueError:  # not installed as an extension: in tests, and while developing
        return Path(bpy.app.tempdir)
    except OSError as error:
        raise AddonError(f"the add-on's folder cannot be made ({error}): check the permissions of Blender's own "
                         "folders") from error


def log_file() -> Path:
    """What the worker prints."""
    return folder() / "worker.log"


CLASSES = (PoseDiffusionPreferences,)
