"""A worker for all tests: it takes seconds to start."""
from __future__ import annotations

import atexit
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import bpy
import pytest

from blender_addon.interface import engine, run
from blender_addon.sampler.job import Worker

from .chosen import chosen


@lru_cache(maxsize=1)
def shared() -> Worker:
    """The one of this process; it starts again by itself when it was ended."""
    folder = tempfile.TemporaryDirectory(prefix="worker-log-")
    worker = Worker(sys.executable, log=Path(folder.name) / "worker.log")
    atexit.register(folder.cleanup)
    atexit.register(worker.stop)
    return worker


@contextmanager
def used(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The add-on has this worker, and an interpreter is set; afterwards nothing runs, and the worker is still there."""
    with chosen(sys.executable):
        monkeypatch.setattr(engine, "_worker", worker)
        yield
        run.cancel(bpy.context)
        monkeypatch.setattr(engine, "_worker", None)
