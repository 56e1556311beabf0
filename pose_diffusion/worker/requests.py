"""What the worker is asked for: requests, read without trust."""
from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

Id = int | str

INPUTS: Mapping[str, tuple[str, ...]] = MappingProxyType({  # of each thing to do, in the order of docs/worker.md
    "generate": ("first_pose", "keyframes"),
    "refine": ("pose",),
    "fill_missing": ("pose",),
    "inbetween": ("poses",),
    "regenerate": ("pose",),
    "predict_seconds": (),
    "texts": (),
    "info": (),
    "warm": (),
    "free": (),
})
MAKES_POSE = ("generate", "refine", "fill_missing", "inbetween", "regenerate")
NEEDED = ("pose", "poses")  # inputs that must be given where there are such; others may be
FIELDS = ("id", "do", "arguments", "inputs", "folder", "preview")
MAX_ID = 100  # characters
NOTHING: Mapping[str, Any] = MappingProxyType({})


class RequestError(ValueError):
    """A request that cannot be understood.

    Parameters
    ----------
    problem : str
        What is wrong and what would be right, in one line.
    id : int, str or None
        Of the request, where that could be read.
    """

    def __init__(self, problem: str, id: Id | None = None) -> None:
        super().__init__(problem)
        self.id = id


@dataclass(frozen=True)
class Request:
    """One thing to do.

    Attributes
    ----------
    id : int or str
        Chosen by the parent; every event that belongs to the request has it.
    do : str
        One of `INPUTS`.
    arguments : mapping
        Keyword arguments of the task.
    inputs : mapping
        Name to `.pose` file, list of files (`poses`), or list of (second, file) (`keyframes`).
    folder : Path, optional
        Where files are written.
    preview : bool
        Whether a file is written after steps, too.
    """

    id: Id
    do: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    preview: bool = False


@dataclass(frozen=True)
class Cancel:
    """The wish that a request be given up."""

    id: Id


def read_request(line: bytes) -> Request | Cancel:
    """Read a line.

    Raises
    ------
    RequestError
        If it is no JSON object, or one with something unknown, missing or of the wrong kind in it.
    """
    try:
        content = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"a request is one JSON object in one line, not this ({_one_line(error)})") from error
    if not isinstance(content, dict):
        raise RequestError("a request is one JSON object in one line")
    id, do = content.get("id"), content.get("do")
    if isinstance(id, bool) or not isinstance(id, (int, str)) or len(str(id)) > MAX_ID:
        raise RequestError("a request needs an id: a whole number or a short text")
    if do == "cancel":
        return Cancel(id)
    if not isinstance(do, str) or do not in INPUTS:
        raise RequestError(f"do must be one of {', '.join(INPUTS)}, cancel, not {_shown(do)}", id)
    refuse_unknown(content, FIELDS, "a request", id)
    arguments, inputs = (_object(content, name, id) for name in ("arguments", "inputs"))
    preview = content.get("preview", False)
    if not isinstance(preview, bool):
        raise RequestError("preview must be true or false", id)
    return Request(id, do, arguments, _inputs(inputs, do, id), _folder(content.get("folder"), do, id), preview)


def refuse_unknown(given: Collection[str], known: Collection[str], whose: str, id: Id) -> None:
    """Refuse names that are not among the known ones."""
    if unknown := [name for name in given if name not in known]:
        raise RequestError(f"{whose} has no {_shown(unknown[0])}, only {', '.join(known) or 'nothing'}", id)


def checked_arguments(request: Request, known: Collection[str]) -> dict[str, Any]:
    """The arguments, each of the kind it must be; whether its value is possible is checked by the task.

    Parameters
    ----------
    request : Request
        Whose.
    known : collection of str
        Names that the task has.

    Raises
    ------
    RequestError
        If one is unknown or of another kind.
    """
    refuse_unknown(request.arguments, known, request.do, request.id)
    checked = {}
    for name, value in request.arguments.items():
        kind, fits = KINDS[name]
        if not fits(value):
            raise RequestError(f"{name} must be {kind}, not {_shown(value)}", request.id)
        checked[name] = value
    if (interval := checked.get("guidance_interval")) and interval[1] is None:
        checked["guidance_interval"] = [interval[0], math.inf]  # JSON has no infinity
    return checked


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole_or_null(value: Any) -> bool:
    return value is None or _whole(value)


def _number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value) or _whole(value) and abs(value) < 1 << 63


def _number_or_null(value: Any) -> bool:
    return value is None or _number(value)


def _frames(value: Any) -> bool:
    return _whole_or_null(value) or isinstance(value, list) and len(value) == 2 and all(map(_whole_or_null, value))


def _interval(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _number(value[0]) and _number_or_null(value[1])


def _points(value: Any) -> bool:
    return value is None or isinstance(value, list) and all(
        isinstance(name, str) or isinstance(name, list) and len(name) == 2 and all(map(_text, name)) for name in value)


Kind = tuple[str, Callable[[Any], bool]]
TEXT, WHOLE, NUMBER = ("a text", _text), ("a whole number", _whole), ("a number", _number)
SOME_TEXT, SOME_NUMBER = ("a text or null", _text_or_null), ("a number or null", _number_or_null)
NAMES = ("null or a list of component names and [component, point]", _points)
KINDS: Mapping[str, Kind] = MappingProxyType({
    "text": SOME_TEXT, "language": TEXT, "notation": SOME_TEXT, "device": TEXT, "model": SOME_TEXT,
    "steps": WHOLE, "guidance": NUMBER, "guidance_interval": ("[lowest, highest or null]", _interval),
    "temperature": NUMBER, "seed": WHOLE, "softness": NUMBER,
    "seconds": SOME_NUMBER, "frames": ("null, a whole number or [first, one after the last]", _frames), "fps": NUMBER,
    "strength": NUMBER, "only_masked": ("true or false", lambda value: isinstance(value, bool)), "keep": NAMES,
    "points": NAMES, "context_seconds": NUMBER, "hold": NUMBER, "pause": NUMBER, "tempo": NUMBER,
})


def _object(content: Mapping[str, Any], name: str, id: Id) -> dict[str, Any]:
    value = content.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"{name} must be an object", id)
    return value


def _inputs(inputs: Mapping[str, Any], do: str, id: Id) -> dict[str, Any]:
    """Files as absolute paths."""
    refuse_unknown(inputs, INPUTS[do], f"inputs of {do}", id)
    for name in INPUTS[do]:
        if name in NEEDED and not inputs.get(name):
            raise RequestError(f"{do} needs the input {name}", id)
    checked: dict[str, Any] = {}
    for name, value in inputs.items():
        if value is None:
            continue
        if name == "poses":
            if not isinstance(value, list):
                raise RequestError("poses must be a list of files", id)
            checked[name] = [_path(one, "poses", id) for one in value]
        elif name == "keyframes":
            if not (isinstance(value, list) and all(
                    isinstance(one, list) and len(one) == 2 and _number(one[0]) for one in value)):
                raise RequestError("keyframes must be a list of [second, file]", id)
            checked[name] = [(float(second), _path(file, "keyframes", id)) for second, file in value]
        else:
            checked[name] = _path(value, name, id)
    return checked


def _folder(value: Any, do: str, id: Id) -> Path | None:
    if value is None:
        if do in MAKES_POSE:
            raise RequestError(f"{do} needs a folder to write into", id)
        return None
    folder = _path(value, "folder", id)
    if not folder.is_dir():
        raise RequestError(f"{folder}: there is no such folder: make it first", id)
    return folder


def _path(value: Any, name: str, id: Id) -> Path:
    if not isinstance(value, str) or "\0" in value or not Path(value).is_absolute():
        raise RequestError(f"{name} must be the whole path of a file or folder, not {_shown(value)}", id)
    return Path(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:100]
