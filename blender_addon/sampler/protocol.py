# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to the worker and what it answers: one JSON object a line (docs/worker.md)."""
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROTOCOL = 1  # that of the worker must be the same
MAX_LINE = 1 << 22  # bytes of an answer
EVENTS = ("ready", "queued", "loading", "running", "step", "done", "failed", "cancelled")
LAST = ("done", "failed", "cancelled")  # nothing comes after these of the same id


class ProtocolError(ValueError):
    """A line that no worker of this protocol writes."""


@dataclass(frozen=True)
class Event:
    """What the worker said.

    Attributes
    ----------
    kind : str
        One of `EVENTS`.
    id : int or None
        Of the request it belongs to.
    protocol, version : int, str
        Of the worker (`ready`).
    step, steps : int
        Done so far, and how many there are (`running`, `step`).
    file : Path or None
        The result (`done`), or a step's preview (`step`); whole when it is named.
    answer : mapping or None
        The result, where it is not a file (`done`).
    warnings : tuple of str
        For the user (`done`).
    message, details : str
        One line for the user, and a traceback (`failed`).
    seconds : float
        It took (`done`).
    """

    kind: str
    id: int | None = None
    protocol: int = 0
    version: str = ""
    step: int = 0
    steps: int = 0
    file: Path | None = None
    answer: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = field(default=())
    message: str = ""
    details: str = ""
    seconds: float = 0.0


def encode(id: int, do: str, *, arguments: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None,
           folder: str | os.PathLike[str] | None = None, preview: bool = False) -> bytes:
    """A request as a line.

    Parameters
    ----------
    id : int
        Not one of a request that is not finished.
    do : str
        `generate`, `refine`, `cancel`, ...
    arguments : mapping, optional
        Keyword arguments of the task; plain values.
    inputs : mapping, optional
        `pose`, `first_pose`: a path; `poses`: a list of paths; `keyframes`: a list of (second, path).
    folder : path, optional
        That exists, where results go.
    preview : bool
        Whether a file is wanted after steps, too.

    Raises
    ------
    ValueError
        For NaN or infinity, which JSON does not have.
    TypeError
        For a value that is none of JSON's kinds.
    """
    request: dict[str, Any] = {"id": id, "do": do}
    request |= {"arguments": dict(arguments)} if arguments else {}
    request |= {"inputs": {name: _paths(value) for name, value in inputs.items()}} if inputs else {}
    request |= {"folder": os.path.abspath(folder)} if folder is not None else {}
    request |= {"preview": True} if preview else {}
    return (json.dumps(request, allow_nan=False) + "\n").encode("ascii")


def _paths(value: Any) -> Any:
    """Absolute paths as text; the worker runs in another folder."""
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, (str, os.PathLike)):
        return os.path.abspath(value)
    return [_paths(one) for one in value]


def decode(line: bytes) -> Event:
    """An event from a line.

    Raises
    ------
    ProtocolError
        If it is none.
    """
    try:
        content = json.loads(line)
        if not isinstance(content, dict) or content.get("event") not in EVENTS:
            raise ProtocolError(f"not an event: {line[:200]!r}")
        file, answer = content.get("file"), content.get("answer")
        return Event(content["event"], _kind(content.get("id"), int, None), _kind(content.get("protocol"), int, 0),
                     _kind(content.get("version"), str, ""), _kind(content.get("step"), int, 0),
                     _kind(content.get("steps"), int, 0), None if file is None else Path(_kind(file, str, "")),
                     _kind(answer, dict, None), tuple(str(one) for one in _kind(content.get("warnings"), list, [])),
                     _kind(content.get("message"), str, ""), _kind(content.get("details"), str, ""),
                     float(_kind(content.get("seconds"), (int, float), 0.0)))
    except ProtocolError:
        raise
    except (ValueError, RecursionError, OverflowError) as error:
        raise ProtocolError(f"not an event: {line[:200]!r}") from error


def _kind(value: Any, kind: type | tuple[type, ...], default: Any) -> Any:
    if value is None:
        return default
    if not isinstance(value, kind):
        raise ProtocolError(f"an event with {value!r}"[:200])
    return value
