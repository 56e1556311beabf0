"""A worker for all tests of a module: it takes seconds to start."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import pytest

from blender_addon.interface import engine, run
from blender_addon.sampler.job import Worker

from .chosen import chosen


@contextmanager
def used(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The add-on has this worker, and an interpreter is set; afterwards nothing runs, and the worker is still there."""
    with chosen(sys.executable):
        monkeypatch.setattr(engine, "_worker", worker)
        yield
        run.cancel(bpy.context)
        monkeypatch.setattr(engine, "_worker", None)
