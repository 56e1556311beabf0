# SPDX-License-Identifier: GPL-3.0-or-later
"""The one process that runs the model: started when first needed, kept with its model loaded, stopped at the end."""
from __future__ import annotations

import bpy

from ..errors import AddonError
from ..sampler.job import Worker
from . import preferences

_worker: Worker | None = None


def worker(context: bpy.types.Context) -> Worker:
    """The process; another one if the preferences name another interpreter by now.

    Raises
    ------
    AddonError
        If no interpreter is set.
    """
    global _worker
    path = preferences.interpreter(context)
    if not path:
        raise AddonError("no Python is set that runs the model: set it in Preferences > Add-ons > Pose Diffusion")
    if _worker is not None and _worker.interpreter != path:
        stop()
    if _worker is None:
        _worker = Worker(path, log=preferences.log_file())
    return _worker


def arguments(context: bpy.types.Context) -> dict[str, object]:
    """Arguments that the preferences give to every run."""
    chosen = preferences.of(context)
    if chosen is None:
        return {}
    model = preferences.model(context)
    return {"device": chosen.device.strip() or "cpu", **({"model": model} if model else {})}


def stop() -> None:
    """End the process, if there is one: its memory is free then."""
    global _worker
    if _worker is not None:
        _worker.stop()
    _worker = None


def is_started() -> bool:
    """Whether there is a process."""
    return _worker is not None
