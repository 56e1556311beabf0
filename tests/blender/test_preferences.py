"""The interpreter: found, checked, and what is missing."""
from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import pytest

from blender_addon.interface import checking, messages, preferences, watching

from .chosen import chosen


@pytest.fixture
def form(addon: ModuleType) -> Iterator[preferences.PoseDiffusionPreferences]:
    """The preferences, empty."""
    with chosen() as one:
        yield one


def test_check_says_what_is_there(form: preferences.PoseDiffusionPreferences) -> None:
    """Of this Python: all that is needed."""
    form.interpreter = sys.executable
    assert bpy.ops.pose_diffusion.check_interpreter() == {"FINISHED"}
    assert checking.report is not None
    assert checking.report.ok
    assert "cpu" in checking.report.devices
    assert ("cpu", "found in this machine") in list(preferences._devices(form, bpy.context, ""))


def test_check_says_what_is_missing(form: preferences.PoseDiffusionPreferences, tmp_path: Path) -> None:
    """With the command that installs it, of the package that is named."""
    import venv

    venv.create(tmp_path / "empty", with_pip=False)
    form.interpreter = str(tmp_path / "empty" / "bin" / "python")
    form.package = "a wheel.whl"
    bpy.ops.pose_diffusion.check_interpreter()
    assert checking.report is not None
    assert not checking.report.ok
    assert "'a wheel.whl'" in checking.report.command
    assert messages.last is not None
    assert messages.last.level == "WARNING"


@pytest.mark.parametrize("path", ["", "/there/is/no/python"])
def test_check_of_nothing(form: preferences.PoseDiffusionPreferences, path: str) -> None:
    """One line, no traceback."""
    form.interpreter = path
    if path:
        bpy.ops.pose_diffusion.check_interpreter()
        assert checking.report is not None
        assert not checking.report.ok
    else:
        with pytest.raises(RuntimeError, match="no Python is set"):
            bpy.ops.pose_diffusion.check_interpreter()


def test_check_does_not_hold_a_window_up(form: preferences.PoseDiffusionPreferences,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer looks; when the add-on goes in between, nothing is left."""
    form.interpreter = sys.executable
    monkeypatch.setattr("blender_addon.interface.watching.bpy", SimpleNamespace(app=_App(), context=bpy.context))
    begin = time.monotonic()
    bpy.ops.pose_diffusion.check_interpreter()
    assert time.monotonic() - begin < .3
    assert checking.running()
    assert not bpy.ops.pose_diffusion.check_interpreter.poll()
    while checking.running():
        time.sleep(.01)
        again = watching._look()
    assert again is None
    assert messages.last is not None
    assert messages.last.text.startswith("Ready")


class _App:
    """As `bpy.app` of a window."""

    background = False

    class timers:
        """That call nothing."""

        @staticmethod
        def is_registered(function: object) -> bool:
            """None is."""
            return False

        @staticmethod
        def register(function: object, **options: object) -> None:
            """Accepted."""


def test_find_takes_one_after_the_other(form: preferences.PoseDiffusionPreferences, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is the one that the environment names."""
    monkeypatch.setenv("POSE_DIFFUSION_PYTHON", sys.executable)
    bpy.ops.pose_diffusion.find_interpreter()
    assert form.interpreter == sys.executable
    seen = [form.interpreter]
    while True:
        bpy.ops.pose_diffusion.find_interpreter()
        if form.interpreter == seen[0]:
            break
        seen.append(form.interpreter)
    assert len(set(seen)) == len(seen)


def test_use_what_the_command_makes(form: preferences.PoseDiffusionPreferences) -> None:
    """Only when it is there."""
    with pytest.raises(RuntimeError, match="run the command"):
        bpy.ops.pose_diffusion.use_interpreter(path="/not/yet/python")
    bpy.ops.pose_diffusion.use_interpreter(path=sys.executable)
    assert form.interpreter == sys.executable


def test_texts_are_copied(form: preferences.PoseDiffusionPreferences) -> None:
    """A command, or all of the last message."""
    messages.say("ERROR", "it broke", notes=["a note"], details="Traceback")
    assert messages.last is not None
    assert messages.last.whole() == "it broke\na note\nTraceback"
    assert bpy.ops.pose_diffusion.copy_text(text="pip install") == {"FINISHED"}


def test_writes_only_where_extensions_may(form: preferences.PoseDiffusionPreferences) -> None:
    """As a plain package: into Blender's temporary folder."""
    assert preferences.log_file().parent == Path(bpy.app.tempdir)


def test_enabled_as_an_addon_is_found(addon: ModuleType) -> None:
    """Without preferences nothing breaks: there is no interpreter then."""
    assert preferences.of(bpy.context) is None
    assert preferences.interpreter(bpy.context) == ""
