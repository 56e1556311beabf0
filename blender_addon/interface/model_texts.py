# SPDX-License-Identifier: GPL-3.0-or-later
"""What the model knows, for suggestions: asked for in the background, and remembered in a file for the next time."""
from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path

import bpy

from ..errors import AddonError
from ..sampler.job import Job
from . import engine, known, preferences
from .watching import watch

LARGEST = 20_000_000  # bytes of the file
FILE = "texts.json"

_read_for: tuple[str, str] | None = None  # the interpreter and the model that the list was looked up for
log = logging.getLogger(__name__)


def suggest(context: bpy.types.Context) -> None:
    """Have `known.texts` hold what is remembered of the model that is set now."""
    global _read_for
    now = _source(context)
    if now != _read_for:
        known.remember(_remembered(now))
        _read_for = now


def fetch_if_unknown(context: bpy.types.Context) -> None:
    """Ask the worker in the background, once; not where waiting would hold a script up."""
    suggest(context)
    if not known.texts and not bpy.app.background and preferences.interpreter(context):
        try:
            ask(context)
        except AddonError as error:
            log.warning("texts of the model: %s", error)  # whoever generates is told, too


def ask(context: bpy.types.Context) -> Job:
    """Ask the worker; what it answers is remembered."""
    now = _source(context)
    job = engine.worker(context).submit("texts", {"model": now[1]} if now[1] else {})
    watch(lambda: _look(job, now))
    return job


def _look(job: Job, source: tuple[str, str]) -> bool:
    """Whether the answer is there; then it is remembered."""
    global _read_for
    job.poll()
    if job.state == "done" and job.answer is not None:
        known.remember(job.answer["texts"])
        _read_for = source
        _write(source)
    elif job.finished:
        log.warning("texts of the model: %s", job.message)
    return job.finished


def forget() -> None:
    """As if nothing was read yet."""
    global _read_for
    _read_for = None
    known.texts.clear()


def _source(context: bpy.types.Context) -> tuple[str, str]:
    return preferences.interpreter(context), preferences.model(context)


def _write(source: tuple[str, str]) -> None:
    folder = preferences.folder()
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=FILE)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"source": source, "texts": known.texts}, file)
        os.replace(name, folder / FILE)
    except OSError as error:
        log.warning("texts of the model cannot be kept for the next time: %s", error)


def _remembered(source: tuple[str, str]) -> list[list[str]]:
    """Texts in the file, if it is of this model; none if it is not, or is damaged: the worker is asked again then."""
    path = Path(preferences.folder(), FILE)
    if not path.is_file() or path.stat().st_size > LARGEST:
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return []
    if not isinstance(content, dict) or content.get("source") != list(source):
        return []
    texts = content.get("texts")
    if not isinstance(texts, list) or not all(
            isinstance(one, list) and len(one) == 3 and all(isinstance(part, str) for part in one) for one in texts):
        return []
    return texts
