# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators around the interpreter and its process: check, find, free memory, what the model knows, copy."""
from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..errors import AddonError
from ..sampler.interpreter import candidates
from ..sampler.job import Job
from . import checking, known, messages, model_texts, preferences
from .reporting import reported
from .sampler_operators import why_not
from .watching import redraw, watch


class POSEDIFFUSION_OT_check_interpreter(bpy.types.Operator):
    """Ask the interpreter what it has: version, devices, and what is missing"""

    bl_idname = "pose_diffusion.check_interpreter"
    bl_label = "Check"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """With one that is set, not twice at once."""
        if checking.running():
            cls.poll_message_set("A check is running")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask; the answer is shown below the button."""
        return reported(self, lambda: self._check(context))

    def _check(self, context: bpy.types.Context) -> messages.Message:
        path, chosen = preferences.interpreter(context), preferences.of(context)
        if not path or chosen is None:
            raise AddonError("no Python is set: choose the file of one, or press the magnifying glass beside the field")
        checking.begin(path, chosen.package)
        said = messages.say("INFO", "checking …")
        watch(_checked)
        return messages.last or said


def _checked() -> bool:
    """Whether the check is done; then it is told, and the texts of the model are asked for."""
    if not checking.look():
        return False
    report = checking.report
    if report is not None:
        messages.say("INFO" if report.ok else "WARNING", report.lines[0], notes=() if report.ok else report.lines[1:])
        if report.ok:
            model_texts.fetch_if_unknown(bpy.context)
    return True


class POSEDIFFUSION_OT_find_interpreter(bpy.types.Operator):
    """Look where a Python with pose-diffusion may be: in a virtual environment, beside the .blend file, on the path"""

    bl_idname = "pose_diffusion.find_interpreter"
    bl_label = "Find Python"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take the next of those that are found."""
        return reported(self, lambda: self._find(context))

    def _find(self, context: bpy.types.Context) -> messages.Message:
        chosen = preferences.of(context)
        paths = [str(path) for path in candidates(Path(bpy.data.filepath).parent if bpy.data.filepath else None)]
        if not paths or chosen is None:
            raise AddonError("no Python was found: install one from python.org, then choose its file here")
        at = paths.index(chosen.interpreter) + 1 if chosen.interpreter in paths else 0
        chosen.interpreter = paths[at % len(paths)]
        checking.forget()
        return messages.say("INFO", f"found {at % len(paths) + 1} of {len(paths)}: press Check, or again for the next")


class POSEDIFFUSION_OT_use_interpreter(bpy.types.Operator):
    """Choose the Python that the check advises, once the command has made it"""

    bl_idname = "pose_diffusion.use_interpreter"
    bl_label = "Use it"
    bl_options = {"INTERNAL"}

    path: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Choose it."""
        return reported(self, lambda: self._use(context))

    def _use(self, context: bpy.types.Context) -> messages.Message:
        chosen = preferences.of(context)
        if chosen is None or not Path(self.path).is_file():
            raise AddonError(f"{self.path} is not there yet: run the command in a terminal first")
        chosen.interpreter = self.path
        checking.forget()
        return messages.say("INFO", "chosen: press Check")


class POSEDIFFUSION_OT_open_preferences(bpy.types.Operator):
    """Open the preferences of this add-on, where the Python that runs the model is set"""

    bl_idname = "pose_diffusion.open_preferences"
    bl_label = "Open preferences"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Open them."""
        bpy.ops.preferences.addon_show(module=preferences.ADDON)
        return {"FINISHED"}


class POSEDIFFUSION_OT_open_log(bpy.types.Operator):
    """Open the folder with what the Python process printed"""

    bl_idname = "pose_diffusion.open_log"
    bl_label = "Open log folder"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Open it."""
        return reported(self, self._open)

    def _open(self) -> messages.Message:
        folder = preferences.folder()
        bpy.ops.wm.path_open(filepath=str(folder))
        return messages.say("INFO", f"the log is {preferences.log_file()}")


class POSEDIFFUSION_OT_copy_text(bpy.types.Operator):
    """Copy it, to paste it elsewhere"""

    bl_idname = "pose_diffusion.copy_text"
    bl_label = "Copy"
    bl_options = {"INTERNAL"}

    text: StringProperty(options={"SKIP_SAVE", "HIDDEN"}, description="What is copied; empty: the last message")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Into the clipboard."""
        context.window_manager.clipboard = self.text or (messages.last.whole() if messages.last else "")
        return {"FINISHED"}


class POSEDIFFUSION_OT_clear_message(bpy.types.Operator):
    """Remove the message"""

    bl_idname = "pose_diffusion.clear_message"
    bl_label = "Clear"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove it."""
        messages.forget()
        redraw()
        return {"FINISHED"}


class _Errand:
    """For operators that ask the process something small."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """While nothing runs."""
        why = why_not(context)
        if why:
            cls.poll_message_set(why)  # type: ignore[attr-defined]
        return not why


class POSEDIFFUSION_OT_list_texts(_Errand, bpy.types.Operator):
    """Ask the model which texts it was trained on: they are suggested in the field Text from then on"""

    bl_idname = "pose_diffusion.list_texts"
    bl_label = "What it knows"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask."""
        return reported(self, lambda: self._ask(context))

    def _ask(self, context: bpy.types.Context) -> messages.Message:
        said = messages.say("INFO", "asking the model …")
        job = model_texts.ask(context)

        def look() -> bool:
            nonlocal said
            if job.finished:
                said = _told(job)
            return job.finished

        watch(look)
        return said


def _told(job: Job) -> messages.Message:
    if job.state != "done":
        return messages.say("ERROR", job.message, details=job.details)
    return messages.say("INFO", f"{len(known.texts)} texts are known: they are suggested in the field Text")


CLASSES = (POSEDIFFUSION_OT_check_interpreter, POSEDIFFUSION_OT_find_interpreter, POSEDIFFUSION_OT_use_interpreter,
           POSEDIFFUSION_OT_open_preferences, POSEDIFFUSION_OT_open_log, POSEDIFFUSION_OT_copy_text,
           POSEDIFFUSION_OT_clear_message, POSEDIFFUSION_OT_list_texts)
