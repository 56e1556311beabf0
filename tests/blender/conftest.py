"""Blender as a Python module: real armatures, actions and operators, without a window.

Blender keeps one scene per process. Each test starts with an empty one, and with settings that are nobody's own.
"""
from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from blender_addon.sampler.job import Worker

NEEDED = "POSE_DIFFUSION_NEEDS_BLENDER"  # set where a missing Blender is a failure, not a test to skip
FOUND = importlib.util.find_spec("bpy") is not None
# Read when bpy is imported: tests see nobody's own settings and add-ons, and change none.
settings = tempfile.TemporaryDirectory(prefix="blender-user-")
os.environ["BLENDER_USER_RESOURCES"] = settings.name


class WithoutBlender(pytest.Module):
    """A module of tests that cannot even be imported."""

    def collect(self) -> list[pytest.Item]:
        """Skip it, or fail where Blender is needed."""
        message = "needs Blender as a Python module: pip install --editable '.[blender]', with Python 3.11"
        if os.environ.get(NEEDED):
            pytest.fail(message, pytrace=False)
        pytest.skip(message, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """None leaves the module to pytest."""
    return None if FOUND else WithoutBlender.from_parent(parent, path=module_path)


@pytest.fixture(autouse=True)
def empty_scene() -> None:
    """No objects, no actions, 24 frames per second, Blender's own settings."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)


@pytest.fixture
def addon() -> Iterator[ModuleType]:
    """The add-on, registered as the plain package `blender_addon`."""
    import blender_addon

    blender_addon.register()
    try:
        yield blender_addon
    finally:
        blender_addon.unregister()


@pytest.fixture
def worker() -> Worker:
    """One for all tests."""
    from .workers import shared

    return shared()


@pytest.fixture
def ready_to_sample(addon: ModuleType, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A short text, few steps."""
    import bpy

    from .workers import used

    with used(worker, monkeypatch):
        settings = bpy.context.scene.pose_diffusion
        settings.text, settings.steps, settings.seed = "thanks", 2, 7
        settings.mode = "follow"  # the other takes longer, and is tested elsewhere
        yield
