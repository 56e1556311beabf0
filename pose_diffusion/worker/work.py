"""Doing what is asked for, with the functions of the package."""
from __future__ import annotations

import gc
import inspect
import os
import sys
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_diffusion.worker.channel import Channel
from pose_diffusion.worker.inbox import Inbox
from pose_diffusion.worker.machine import devices, memory, versions
from pose_diffusion.worker.requests import INPUTS, MAKES_POSE, Request, RequestError, checked_arguments

if TYPE_CHECKING:
    from pose_format import Pose

    from pose_diffusion.diffusion.model import PoseDiffusion

PREVIEW_SECONDS = .05  # between two previews: nobody could look at more
PREVIEWS = 10  # that are kept in the folder; older ones are removed
MAX_MESSAGE, MAX_DETAILS = 500, 20_000  # characters


class CancelledError(Exception):
    """The request is given up."""


class Work:
    """Does one request after the other.

    Parameters
    ----------
    channel : Channel
        Where events go.
    inbox : Inbox
        Where requests come from.
    """

    def __init__(self, channel: Channel, inbox: Inbox) -> None:
        self.channel, self.inbox = channel, inbox
        self.loaded: set[tuple[str | None, str]] = set()  # models in memory: their folder and device

    def next(self) -> None:
        """Wait for a request, do it, and say how it ended."""
        request = self.inbox.next()
        event, fields = self._outcome(request)
        self.inbox.finish()
        self.channel.send(event, id=request.id, **fields)

    def _outcome(self, request: Request) -> tuple[str, dict[str, Any]]:
        begin = time.perf_counter()
        try:
            with user_warnings() as said:
                found = self._do(request)
            return "done", {**found, "warnings": said, "seconds": round(time.perf_counter() - begin, 3)}
        except CancelledError:
            return "cancelled", {}
        except Exception as error:  # noqa: BLE001 - told to the parent with its traceback; the worker goes on
            details = traceback.format_exc()[-MAX_DETAILS:]
            message = explained(error)
        give_memory_back()  # what the failed attempt held; its frames are gone with the error
        return "failed", {"message": message, "details": details}

    def _do(self, request: Request) -> dict[str, Any]:
        if request.do == "free":
            return {"file": None, "answer": self._free()}
        if request.do in MAKES_POSE:
            return {"file": str(self._pose(request)), "answer": None}
        answers: dict[str, Callable[[Request], dict[str, Any]]] = {
            "predict_seconds": self._seconds, "texts": self._texts, "info": self._info, "warm": self._warm}
        return {"file": None, "answer": answers[request.do](request)}

    def _pose(self, request: Request) -> Path:
        arguments = self._arguments(request, request.do)
        if request.do == "generate" and "text" not in arguments:
            raise RequestError("generate needs a text, or null for signing of none", request.id)
        given = read_inputs(request)
        arguments["model"] = self._model(request, arguments)
        steps = arguments["steps"]
        self.channel.send("running", id=request.id, steps=steps)
        name, pose = f"{request.do}-{uuid.uuid4().hex[:12]}", None
        previews = Previews(request, name)
        for step, pose in enumerate(task(request.do, "_steps")(**given, **arguments), 1):
            self._stop_if_given_up()
            self.channel.send("step", id=request.id, step=step, steps=steps, file=previews.of(pose, step))
        return written(pose, request, f"{name}.pose")

    def _seconds(self, request: Request) -> dict[str, Any]:
        arguments = self._arguments(request, "predict_seconds")
        if arguments.get("text") is None:
            raise RequestError("predict_seconds needs a text", request.id)
        arguments["model"] = self._model(request, arguments)
        return {"seconds": task("predict_seconds")(**arguments)}

    def _texts(self, request: Request) -> dict[str, Any]:
        model = self._model(request, checked_arguments(request, ("model", "device")))
        return {"texts": sorted([text.language, text.notation, text.text] for text in model.texts)}

    def _info(self, request: Request) -> dict[str, Any]:
        model = self._model(request, checked_arguments(request, ("model", "device")))
        from pose_diffusion.diffusion.model import SHIPPED, VARIABLE

        folder = request.arguments.get("model") or os.environ.get(VARIABLE) or SHIPPED
        return {"versions": versions(), "executable": sys.executable, "devices": devices(), "model": str(folder),
                "languages": sorted({text.language for text in model.texts}), "memory": memory()}

    def _warm(self, request: Request) -> dict[str, Any]:
        self._model(request, checked_arguments(request, ("model", "device")))
        return {"memory": memory()}

    def _free(self) -> dict[str, Any]:
        before = memory()
        if model := sys.modules.get("pose_diffusion.diffusion.model"):
            model._load.cache_clear()  # where from_pretrained keeps what it loaded
        self.loaded.clear()
        give_memory_back()
        return {"before": before, "after": memory()}

    def _arguments(self, request: Request, name: str) -> dict[str, Any]:
        """The arguments of a task with the defaults of the function that users call (that of steps is another in its
        iterator twin).
        """
        self._loading(request, None)
        parameters = inspect.signature(task(name)).parameters
        files = INPUTS[request.do]
        known = [one for one in parameters if one not in files]
        defaults = {one: parameters[one].default for one in known if parameters[one].default is not inspect._empty}
        return {**defaults, **checked_arguments(request, known)}

    def _model(self, request: Request, arguments: dict[str, Any]) -> PoseDiffusion:
        folder, device = arguments.get("model"), arguments.get("device", "cpu")
        self._loading(request, (folder, device))
        from pose_diffusion.diffusion.model import PoseDiffusion

        self._stop_if_given_up()
        model = PoseDiffusion.from_pretrained(folder, device=device)
        self.loaded.add((folder, device))
        self._stop_if_given_up()
        return model

    def _loading(self, request: Request, model: tuple[str | None, str] | None) -> None:
        """Say that it takes a while, if it does: torch, or the model, is not in memory yet."""
        self._stop_if_given_up()
        if "torch" not in sys.modules or (model is not None and model not in self.loaded):
            self.channel.send("loading", id=request.id)

    def _stop_if_given_up(self) -> None:
        if self.inbox.given_up:
            raise CancelledError


class Previews:
    """Files of what steps made: whole when they are named, some of the newest at a time."""

    def __init__(self, request: Request, name: str) -> None:
        self.request, self.name = request, name
        self.files: list[Path] = []
        self.due = 0.0

    def of(self, pose: Pose, step: int) -> str | None:
        """The file of a step; None if none is wanted, or the last one was written just now."""
        if not self.request.preview or time.monotonic() < self.due:
            return None
        self.files.append(written(pose, self.request, f"{self.name}-step-{step}.pose"))
        if len(self.files) > PREVIEWS:
            self._remove(self.files.pop(0))
        self.due = time.monotonic() + PREVIEW_SECONDS
        return str(self.files[-1])

    def _remove(self, file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
        except PermissionError:
            self.files.insert(0, file)  # Windows keeps it while the parent reads it: next time


def task(name: str, ending: str = "") -> Callable[..., Any]:
    """A task function of the package, or its iterator twin."""
    import pose_diffusion

    return getattr(pose_diffusion, name + ending)


def read_inputs(request: Request) -> dict[str, Any]:
    """The poses a task is given."""
    from pose_diffusion.files import read_pose

    given: dict[str, Any] = {}
    for name, files in request.inputs.items():
        if name == "poses":
            given[name] = [read_pose(file) for file in files]
        elif name == "keyframes":
            given[name] = {second: read_pose(file) for second, file in files}
        else:
            given[name] = read_pose(files)
    return given


def written(pose: Pose | None, request: Request, name: str) -> Path:
    """Write a pose into the request's folder, whole or not at all."""
    from pose_diffusion.files import write_pose

    if pose is None or request.folder is None:
        raise RuntimeError(f"{request.do} made nothing")
    file = request.folder / name
    write_pose(pose, file)
    return file


def explained(error: BaseException) -> str:
    """One line for users."""
    text = " ".join(str(error).split())[:MAX_MESSAGE]
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in text:
        return "not enough memory: make it shorter, free memory, or choose another device"
    if isinstance(error, ValueError) and text:  # of this package: they are written for users
        return text
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}"
    return f"unexpected {type(error).__name__}: {text or 'no message'}"


@contextmanager
def user_warnings() -> Iterator[list[str]]:
    """Collect the warnings that this package has for users; others go to stderr."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            yield said
        finally:
            for warning in caught:
                if warning.category.__module__.startswith("pose_diffusion."):
                    said.append(" ".join(str(warning.message).split())[:MAX_MESSAGE])
                else:
                    sys.stderr.write(warnings.formatwarning(warning.message, warning.category, warning.filename,
                                                            warning.lineno))


def give_memory_back() -> None:
    """To the system and to other programs that use the GPU, as far as torch does."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch and torch.backends.mps.is_available():
        torch.mps.empty_cache()
