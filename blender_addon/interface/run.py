# SPDX-License-Identifier: GPL-3.0-or-later
"""The one run that the model is working on: started, looked after, shown, applied or taken back.

Operators only call what is here, so that scripts, the modal operator and tests do the same. Nothing here is saved, and
no reference to Blender's data is kept from one call to the next: an undo or another file would leave it dangling.
"""
from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from .. import posefile
from ..animation import preview
from ..errors import AddonError
from ..posefile import PoseFile
from ..rigs import rigify
from ..sampler.job import Job
from ..solver.solve import solve
from ..tracks import Reading, tracks
from . import engine, messages, signing
from .preferences import folder as own_folder
from .provisional import Before, take_back
from .target import Target, bones_of, found
from .thinking import Thought

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
REST = 4.0  # times as long as showing a preview took, the next one waits: Blender stays quick
WORDS = {"starting": "starting Python …", "loading": "loading the model (only the first time) …"}
Outcome = tuple[str, tuple[str, ...]]  # what was done, and notes
Writing = Callable[[bpy.types.Context], Outcome]
Work = Callable[[], Writing]  # touches nothing of Blender's


@dataclass(frozen=True)
class Request:
    """What is wanted of the model.

    Attributes
    ----------
    title : str
        Such as `Generate "hello"`.
    do : str
        The worker's name for it.
    arguments : mapping
        Of the package's function.
    inputs : mapping
        Keypoints, as one or more; they are written into files for the worker.
    target : Target
        The armature that it is for.
    solving : callable
        Reads what is needed of the scene to make a take of the keypoints that came back; keeps no reference to
        Blender's data. Gives the calculation, which is done beside Blender and in turn gives what writes the take.
    start : float or None
        The frame at which the result begins, for the preview; None if there is to be none.
    reading : Reading
        How the worker's files are read.
    was : Before, optional
        What there was before things were added for this run: they go if it ends without a result.
    """

    title: str
    do: str
    arguments: Mapping[str, object]
    inputs: Mapping[str, PoseFile | Sequence[PoseFile]]
    target: Target
    solving: Callable[[bpy.types.Context, PoseFile], Work]
    start: float | None = None
    reading: Reading = field(default_factory=Reading)
    was: Before | None = None


@dataclass(eq=False)
class Run:
    """A run that goes on."""

    request: Request
    job: Job
    folder: Path
    shown: Path | None = None
    next_preview: float = 0.0
    begun: float = field(default_factory=time.monotonic)
    notes: list[str] = field(default_factory=list)
    pose: PoseFile | None = None
    thought: Thought[Writing] | None = None


current: Run | None = None


def start(context: bpy.types.Context, request: Request, *, previews: bool) -> Run:
    """Ask the worker.

    Parameters
    ----------
    context : bpy.types.Context
        The present one.
    request : Request
        What is wanted.
    previews : bool
        Whether the result of each step is to be shown.

    Raises
    ------
    AddonError
        If another run goes on, or no interpreter is set; what was added for the run is gone then.
    """
    global current
    try:
        if current is not None:
            raise AddonError(f"{current.request.title} is still running: wait for it, or press Cancel")
        worker = engine.worker(context)
        folder = _new_folder()
        inputs = {name: _written(poses, folder / name) for name, poses in request.inputs.items()}
        job = worker.submit(request.do, {**request.arguments, **engine.arguments(context)}, inputs=inputs,
                            folder=folder, preview=previews and request.start is not None)
    except AddonError:
        _take_back(context, request)
        raise
    messages.forget()
    current = Run(request, job, folder)
    return current


def _new_folder() -> Path:
    """Where the worker writes."""
    try:
        return Path(tempfile.mkdtemp(prefix="run-", dir=bpy.app.tempdir))
    except OSError as error:
        raise AddonError(f"{bpy.app.tempdir}: no folder can be made there ({error.strerror}): free space, or choose "
                         "another folder in Preferences > File Paths > Temporary Files") from error


def _written(poses: PoseFile | Sequence[PoseFile], path: Path) -> Path | list[Path]:
    """Files for the worker."""
    if not isinstance(poses, PoseFile):
        return [_one(pose, path.with_name(f"{path.name}_{i}.pose")) for i, pose in enumerate(poses)]
    return _one(poses, path.with_name(f"{path.name}.pose"))


def _one(pose: PoseFile, path: Path) -> Path:
    posefile.write(pose, path)
    return path


def tick(context: bpy.types.Context) -> str:
    """Look after the run: to be called about twenty times a second.

    Returns
    -------
    str
        `RUNNING`, or how it ended: `messages.last` says more.
    """
    run = current
    if run is None:
        return CANCELLED
    run.job.poll()
    if is_rendering():  # what is rendered must not change meanwhile
        hide_preview(context)
        return RUNNING
    if run.job.state == "done":
        return _solved(context, run)
    if run.job.state == "failed":
        return _failed(context, run, run.job.message, run.job.details)
    if run.job.state == "cancelled":
        return cancel(context)
    try:
        armature = found(run.request.target)
    except AddonError as error:
        run.job.cancel()
        return _failed(context, run, str(error))
    _show(context, run, armature)
    return RUNNING


def is_rendering() -> bool:
    """Whether Blender renders."""
    return bool(bpy.app.is_job_running("RENDER"))


def _show(context: bpy.types.Context, run: Run, armature: bpy.types.Object) -> None:
    """The newest result on the armature, if there is one and the last one is shown for long enough."""
    newest, now = run.job.preview, time.monotonic()
    if newest is None or newest == run.shown or now < run.next_preview or run.request.start is None:
        return
    run.shown = newest
    if not newest.is_file() or rigify.is_generated(armature):
        return  # the worker keeps the newest ones only; a generated rig takes longer than a step
    try:
        skeleton = signing.skeleton_for(armature, bones_of(armature))
        points = tracks(posefile.read(newest), run.request.reading)
        motion = solve(points, skeleton, signing.solving_of(context.scene, "follow"))
        preview.show(context, armature, motion, start=run.request.start)
    except AddonError as error:  # the result may still be fine: the armature may be in edit mode only for now
        run.notes = [f"not shown while it was made: {error}"]
    run.next_preview = now + (time.monotonic() - now) * (1 + REST)


def _failed(context: bpy.types.Context, run: Run, why: str, details: str = "") -> str:
    end(context)
    messages.say("ERROR", f"{run.request.title}: {why}", details=details)
    return FAILED


def _solved(context: bpy.types.Context, run: Run) -> str:
    """The result on the armature, as the run's operator is to leave it, once it is calculated."""
    try:
        if run.pose is None:
            run.pose = _result(run)
        if run.thought is None:
            run.thought = Thought(run.request.solving(context, run.pose))
        if not run.thought.done:
            return RUNNING
        write = run.thought.result()
        end(context, keep=True)
        text, notes = write(context)
    except AddonError as error:
        end(context)
        _take_back(context, run.request)
        messages.say("ERROR", f"{run.request.title}: {error}", notes=_kept(run))
        return FAILED
    except BaseException:  # a bug: the next run must not wait for this one
        end(context)
        raise
    return _told(run, text, notes)


def _result(run: Run) -> PoseFile:
    if run.job.result is None:
        raise AddonError("the worker made no file: press Check in the preferences")
    return posefile.read(run.job.result)


def _kept(run: Run) -> list[str]:
    """What the model made, in a file, where it could not be made a take."""
    if run.pose is None:
        return []
    path = own_folder() / "last.pose"
    posefile.write(run.pose, path)
    return [f"what was made is kept: load {path}"]


def _told(run: Run, text: str, notes: tuple[str, ...]) -> str:
    notes = (*run.job.warnings, *run.notes, *notes)
    seconds = time.monotonic() - run.begun
    messages.say("WARNING" if notes else "INFO", f"{text} ({seconds:.1f} s)", notes=notes)
    return DONE


def cancel(context: bpy.types.Context, text: str = "", *, level: str = "INFO") -> str:
    """Stop the run, if there is one: the scene is at once as it was."""
    run = current
    if run is None:
        return CANCELLED
    run.job.cancel()
    end(context)
    messages.say(level, text or f"{run.request.title} was cancelled: nothing was changed")
    return CANCELLED


def end(context: bpy.types.Context, *, keep: bool = False) -> None:
    """No run any more: the preview goes, and unless they are kept the things that were added for it."""
    global current
    run, current = current, None
    preview.end(context)
    if run is None:
        return
    if not keep:
        _take_back(context, run.request)
    shutil.rmtree(run.folder, ignore_errors=True)


def _take_back(context: bpy.types.Context, request: Request) -> None:
    if request.was is not None:
        take_back(context, request.was)


def hide_preview(context: bpy.types.Context) -> None:
    """The scene as it is without the run, which goes on: before it is saved."""
    preview.end(context)
    if current is not None:
        current.shown = None


def block(context: bpy.types.Context, request: Request) -> str:
    """The whole run at once, for scripts without a window."""
    run = start(context, request, previews=False)
    while (state := tick(context)) == RUNNING:
        if run.thought is not None:
            run.thought.wait()
        else:
            run.job.wait(.05)
    return state


def progress() -> tuple[float, str]:
    """How far the run is, from 0 to 1, and in words."""
    if current is None:
        return 0.0, ""
    job = current.job
    if current.thought is not None:
        return 1.0, "fitting the bones …"
    if job.state == "running" and job.steps:
        return job.step / job.steps, f"step {job.step} of {job.steps}"
    return 0.0, WORDS.get(job.state, "working …")
