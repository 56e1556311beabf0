# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that ask the model: generate, refine, in-between, regenerate; cancel and a new seed.

In a window each of them is one modal operator from the press of the button to the finished take, so that undo is one
step. Without a window they wait, so that scripts can use them.
"""
from __future__ import annotations

import bpy

from ..errors import AddonError
from . import engine, messages, model_texts, preferences, rewriting, run, wanted
from .reporting import tell
from .target import armature_of
from .watching import redraw

PERIOD = .05  # seconds between two looks at the run


def why_not(context: bpy.types.Context) -> str:
    """Why the model cannot be asked now; empty if it can."""
    if run.current is not None:
        return f"{run.current.request.title} is still running"
    if not preferences.interpreter(context):
        return "No Python is set that runs the model: see Preferences"
    return ""


class _Asking:
    """From the press of the button to the result."""

    bl_options = {"REGISTER", "UNDO"}
    _run: run.Run | None = None
    _timer: bpy.types.Timer | None = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """While nothing else runs."""
        why = why_not(context) or cls.missing(context)
        if why:
            cls.poll_message_set(why)  # type: ignore[attr-defined]
        return not why

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        """What else this operator needs."""
        armature = armature_of(context)
        if armature is None:
            return "Select an armature"
        if armature.animation_data is None or armature.animation_data.action is None:
            return f"{armature.name} has no action yet: load a .pose, or generate a sign"
        return ""

    def request(self, context: bpy.types.Context) -> run.Request:
        """What is wanted."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """The button."""
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """The whole run where there is no window, the begin of it where there is."""
        wanted.draw_seed(context.scene)
        try:
            request = self.request(context)
            if bpy.app.background:
                return self._ended(run.block(context, request))
            return self._begin(context, request)
        except AddonError as error:
            messages.say("ERROR", str(error))
            return self._ended(run.FAILED)

    def _begin(self, context: bpy.types.Context, request: run.Request) -> set[str]:
        """What goes on in `modal`."""
        self._run = run.start(context, request, previews=context.scene.pose_diffusion.preview)
        manager = context.window_manager
        self._timer = manager.event_timer_add(PERIOD, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Each event: ESC cancels, the timer looks, all else is Blender's."""
        if run.current is not self._run:  # cancelled by the button, an undo, another file
            return self._finish(context, run.CANCELLED)
        if event.type == "ESC" and event.value == "PRESS":
            return self._finish(context, run.cancel(context))
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        redraw()
        state = run.tick(context)
        return {"PASS_THROUGH"} if state == run.RUNNING else self._finish(context, state)

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender ends the operator: the window closes, another file comes."""
        if run.current is self._run:
            run.cancel(context)
        self._without_timer(context)

    def _finish(self, context: bpy.types.Context, state: str) -> set[str]:
        self._without_timer(context)
        if state == run.DONE:
            model_texts.fetch_if_unknown(context)
        redraw()
        return self._ended(state)

    def _without_timer(self, context: bpy.types.Context) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
        self._timer = None

    def _ended(self, state: str) -> set[str]:
        if messages.last is not None:
            tell(self, messages.last)
        return {"FINISHED"} if state == run.DONE else {"CANCELLED"}


class POSEDIFFUSION_OT_generate(_Asking, bpy.types.Operator):
    """Sign the text: on the active armature, or on a new signer. ESC cancels"""

    bl_idname = "pose_diffusion.generate"
    bl_label = "Generate"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        """A text."""
        return "" if context.scene.pose_diffusion.text.strip() else "Type what is to be signed into the field Text"

    def request(self, context: bpy.types.Context) -> run.Request:
        """As the panel has it."""
        return wanted.generate(context)


class POSEDIFFUSION_OT_refine(_Asking, bpy.types.Operator):
    """Steady and correct the armature's take; the old action is kept. ESC cancels"""

    bl_idname = "pose_diffusion.refine"
    bl_label = "Refine"

    def request(self, context: bpy.types.Context) -> run.Request:
        """As the panel has it."""
        return rewriting.refine(context)


class POSEDIFFUSION_OT_regenerate(_Asking, bpy.types.Operator):
    """Sign a hand, an arm or some frames of the take anew; the old action is kept. ESC cancels"""

    bl_idname = "pose_diffusion.regenerate"
    bl_label = "Regenerate"

    def request(self, context: bpy.types.Context) -> run.Request:
        """As the panel has it."""
        return rewriting.regenerate(context)


class POSEDIFFUSION_OT_inbetween_strips(_Asking, bpy.types.Operator):
    """Join the selected NLA strips of the armature, and make the ways between them. ESC cancels"""

    bl_idname = "pose_diffusion.inbetween_strips"
    bl_label = "In-between selected strips"

    @classmethod
    def missing(cls, context: bpy.types.Context) -> str:
        """Two strips."""
        armature = armature_of(context)
        if armature is None:
            return "Select an armature"
        if selected_strips(armature) < 2:
            return "Select two strips or more of the armature in the NLA editor"
        return ""

    def request(self, context: bpy.types.Context) -> run.Request:
        """As the panel has it."""
        return wanted.inbetween(context)


def selected_strips(armature: bpy.types.Object) -> int:
    """How many NLA strips of an armature are selected."""
    data = armature.animation_data
    return sum(strip.select for track in data.nla_tracks for strip in track.strips) if data else 0


class POSEDIFFUSION_OT_cancel(bpy.types.Operator):
    """Stop the run; nothing is changed"""

    bl_idname = "pose_diffusion.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """While something runs."""
        if run.current is None:
            cls.poll_message_set("Nothing is running")
        return run.current is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Stop it."""
        run.cancel(context)
        redraw()
        return {"FINISHED"}


class POSEDIFFUSION_OT_new_seed(bpy.types.Operator):
    """Another seed, for another way to sign it"""

    bl_idname = "pose_diffusion.new_seed"
    bl_label = "New seed"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Draw it."""
        wanted.new_seed(context.scene)
        return {"FINISHED"}


class POSEDIFFUSION_OT_free_memory(bpy.types.Operator):
    """End the process that runs the model: its memory, the graphics card's too, is free. It starts again when needed"""

    bl_idname = "pose_diffusion.free_memory"
    bl_label = "Free memory"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """If there is one."""
        if not engine.is_started():
            cls.poll_message_set("It was not started yet")
        return engine.is_started()

    def execute(self, context: bpy.types.Context) -> set[str]:
        """End it, and the run first."""
        run.cancel(context)
        engine.stop()
        tell(self, messages.say("INFO", "the Python process was ended: its memory is free"))
        return {"FINISHED"}


CLASSES = (POSEDIFFUSION_OT_generate, POSEDIFFUSION_OT_refine, POSEDIFFUSION_OT_regenerate,
           POSEDIFFUSION_OT_inbetween_strips, POSEDIFFUSION_OT_cancel, POSEDIFFUSION_OT_new_seed,
           POSEDIFFUSION_OT_free_memory)
