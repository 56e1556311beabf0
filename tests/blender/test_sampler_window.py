"""Operators that ask the model, with the real worker, event by event as a window does."""
from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import bpy
import pytest

from blender_addon.interface import engine, run, sampler_operators, wanted
from blender_addon.sampler.job import Worker

from .scene import state_of

pytestmark = pytest.mark.usefixtures("ready_to_sample")


def settings() -> Any:
    """Of the scene."""
    return bpy.context.scene.pose_diffusion


class Manager:
    """A window manager that counts timers and modal operators."""

    def __init__(self) -> None:
        self.timers = self.modal = 0
        self.windows: list[Any] = []

    def event_timer_add(self, period: float, *, window: Any) -> object:
        """One more."""
        self.timers += 1
        return object()

    def event_timer_remove(self, timer: object) -> None:
        """One less."""
        self.timers -= 1

    def modal_handler_add(self, operator: object) -> None:
        """One more."""
        self.modal += 1


class Window:
    """The context of a window."""

    def __init__(self) -> None:
        self.window_manager, self.window = Manager(), None

    def __getattr__(self, name: str) -> Any:
        return getattr(bpy.context, name)


class Button(sampler_operators._Asking):
    """Generate, as Blender runs it in a window: operators cannot be made in Python."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, str]] = []

    def report(self, level: set[str], text: str) -> None:
        """Keep it."""
        self.reports.append((next(iter(level)), text))

    def request(self, context: Any) -> run.Request:
        """As the panel has it."""
        return wanted.generate(context)

    def press(self, context: Any) -> set[str]:
        """As `execute` does where there is a window."""
        return self._begin(context, self.request(context))


def event(type: str, value: str = "PRESS") -> Any:
    """An event."""
    return SimpleNamespace(type=type, value=value)


def test_button_event_by_event() -> None:
    """Timer events bring it to its end, others are left to Blender."""
    button, window = Button(), Window()
    assert button.press(window) == {"RUNNING_MODAL"}
    assert (window.window_manager.timers, window.window_manager.modal) == (1, 1)
    assert button.modal(window, event("MOUSEMOVE")) == {"PASS_THROUGH"}
    ended = {"PASS_THROUGH"}
    while ended == {"PASS_THROUGH"}:
        time.sleep(.01)
        ended = button.modal(window, event("TIMER"))
    assert ended == {"FINISHED"}
    assert window.window_manager.timers == 0
    assert button.reports[-1][0] == "INFO"
    assert "UNDO" in sampler_operators.POSEDIFFUSION_OT_generate.bl_options


@pytest.mark.parametrize("how", ["ESC", "button", "window closes"])
def test_cancelled_event_by_event(how: str) -> None:
    """In under half a second, and the scene is as it was."""
    bpy.ops.pose_diffusion.create_signer()
    before = state_of(bpy.context.scene)
    settings().steps = 1000
    button, window = Button(), Window()
    button.press(window)
    end = time.monotonic() + 30
    while run.current is not None and run.current.shown is None and time.monotonic() < end:
        button.modal(window, event("TIMER"))
    begin = time.monotonic()
    if how == "ESC":
        ended = button.modal(window, event("ESC"))
    elif how == "button":
        bpy.ops.pose_diffusion.cancel()
        ended = button.modal(window, event("TIMER"))
    else:
        button.cancel(window)
        ended = {"CANCELLED"}
    assert time.monotonic() - begin < .5
    assert ended == {"CANCELLED"}
    assert run.current is None
    assert window.window_manager.timers == 0
    assert state_of(bpy.context.scene) == before


def test_errors_in_a_window_are_reports() -> None:
    """Never a traceback."""
    settings().text = "M518x529S14c20481x471 hello"
    button, window = Button(), Window()
    button.press(window)
    while button.modal(window, event("TIMER")) == {"PASS_THROUGH"}:
        time.sleep(.01)
    assert button.reports[-1][0] == "ERROR"
    assert "is no SignWriting" in button.reports[-1][1]


def test_free_memory(worker: Worker) -> None:
    """By ending the process."""
    bpy.ops.pose_diffusion.generate()
    assert worker.running
    bpy.ops.pose_diffusion.free_memory()
    assert not worker.running
    assert not engine.is_started()
    assert not bpy.ops.pose_diffusion.free_memory.poll()
