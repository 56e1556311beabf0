# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the sampler in the other process. Nothing here blocks but `wait` and, for less than a second, `stop`."""
from __future__ import annotations

import itertools
import os
import queue
import shutil
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import AddonError
from .process import Process, exit_name
from .protocol import PROTOCOL, Event, ProtocolError, encode

GRACE = .3  # seconds in which the process has to obey before it is ended
START_SECONDS = 120.0  # in which it has to say that it is there
SAYS = {"starting": "Starting the sampler", "queued": "Waiting for the run before", "loading": "Loading the model",
        "running": "Sampling", "done": "Done", "cancelled": "Cancelled"}
LAST_STATES = ("done", "failed", "cancelled")


class Job:
    """One request to the worker, and how far it is. Made by `Worker.submit`.

    Attributes
    ----------
    do : str
        What is done.
    state : str
        "starting", "loading", "running", "done", "failed" or "cancelled".
    step, steps : int
        Done so far and how many there are; 0 until that is known.
    preview : Path or None
        The newest step's `.pose` file. Read it soon: the worker keeps the ten newest.
    result : Path or None
        The `.pose` file that was made.
    answer : mapping or None
        The result of what makes no file.
    warnings : tuple of str
        For the user, e.g. that a text is not known.
    message, details : str
        One line for the user, and what more there is to know of a failure.
    """

    def __init__(self, worker: Worker, id: int, do: str, line: bytes) -> None:
        self.do, self.state, self.message, self.details = do, "starting", SAYS["starting"], ""
        self.step = self.steps = 0
        self.preview: Path | None = None
        self.result: Path | None = None
        self.answer: Mapping[str, Any] | None = None
        self.warnings: tuple[str, ...] = ()
        self.id, self.line = id, line
        self._worker = worker
        self._new: list[Event] = []
        self._begin = time.monotonic()
        self._end: float | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.state in LAST_STATES

    @property
    def seconds(self) -> float:
        """Since it was submitted; until its end, once it is over."""
        return (self._end or time.monotonic()) - self._begin

    def poll(self) -> list[Event]:
        """Take in what the worker has said, and return what is new for this job. Never blocks."""
        self._worker.poll()
        new, self._new = self._new, []
        return new

    def cancel(self) -> None:
        """Give it up: it is cancelled when this returns. The process obeys within a third of a second, or is ended."""
        if not self.finished:
            self.finish("cancelled", SAYS["cancelled"])
            self._worker.give_up(self)

    def wait(self, timeout: float | None = None, each: Callable[[Job], None] | None = None) -> bool:
        """Block until it is over: for scripts, where there is nothing to freeze.

        Parameters
        ----------
        timeout : float, optional
            Seconds.
        each : callable, optional
            Called with the job when there is something new.

        Returns
        -------
        bool
            Whether it is over. After Ctrl-C it is cancelled.
        """
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                if self.poll() and each:
                    each(self)
                if self.finished or (until is not None and time.monotonic() >= until):
                    return self.finished
                time.sleep(.01)
        except KeyboardInterrupt:
            self.cancel()
            raise

    def take(self, event: Event) -> None:
        """Bring the state up to date with an event."""
        self._new.append(event)
        if event.kind in LAST_STATES:
            self.result, self.answer, self.warnings = event.file, event.answer, event.warnings
            self.finish(event.kind, event.message or SAYS.get(event.kind, ""), event.details)
            return
        self.message = SAYS.get(event.kind, self.message)
        if event.kind == "loading":
            self.state = "loading"
        elif event.kind in ("running", "step"):
            self.state, self.step, self.steps = "running", event.step, event.steps
            self.message = f"Step {event.step} of {event.steps}" if event.step else SAYS["running"]
            self.preview = event.file or self.preview

    def finish(self, state: str, message: str, details: str = "") -> None:
        """Nothing more will come."""
        self.state, self.message, self.details, self._end = state, message, details, time.monotonic()

    def begin_again(self) -> None:
        """The process was ended for another job's sake: this one is sent to the next."""
        self.state, self.message, self.step, self.steps = "starting", SAYS["starting"], 0, 0


class Worker:
    """The other process: started with the first job, kept with the model in memory, started again when it is gone.

    Use it from one thread.

    Parameters
    ----------
    interpreter : str
        Python in which pose-diffusion is installed: a path, or a name on PATH.
    log : Path
        What the process prints goes there; at most a megabyte. Its folder, which should hold nothing else that is
        Python's, is the one the process runs in.
    """

    def __init__(self, interpreter: str, *, log: Path) -> None:
        self.interpreter, self.log = interpreter, Path(log)
        self._ids = itertools.count(1)
        self._jobs: dict[int, Job] = {}  # not finished
        self._process: Process | None = None
        self._started = 0.0

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.popen.poll() is None

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return self._process.popen.pid if self._process else None

    def submit(self, do: str, arguments: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None,
               folder: str | os.PathLike[str] | None = None, preview: bool = False) -> Job:
        """Ask for something; returns at once.

        Parameters
        ----------
        do, arguments, inputs, folder, preview
            As in `protocol.encode`.

        Raises
        ------
        AddonError
            If the request cannot be said, or the process not be started.
        """
        self.poll()
        id = next(self._ids)
        try:
            line = encode(id, do, arguments=arguments, inputs=inputs, folder=folder, preview=preview)
        except (ValueError, TypeError) as error:
            raise AddonError(f"{do}: a setting is no plain number or text ({error}): set it again") from error
        if self._process is None or self._process.condemned:
            self._start()
        job = self._jobs[id] = Job(self, id, do, line)
        if self._process is not None:
            self._process.send(line)
        return job

    def poll(self) -> None:
        """Take in what the process has said. Never blocks."""
        while (process := self._process) is not None:
            try:
                item = process.events.get_nowait()
            except queue.Empty:
                self._check_start(process)
                return
            if item is None:
                self._over(process)
            elif isinstance(item, ProtocolError):
                self._fail_all(f"{self.interpreter}: what it started is not the sampler: press Check in the "
                               "preferences", str(item))
            else:
                self._take(item)

    def stop(self) -> None:
        """End the process: all memory, that of the GPU too, is given back. The next job starts another."""
        for job in list(self._jobs.values()):
            job.finish("cancelled", SAYS["cancelled"])
        self._jobs.clear()
        if self._process is not None:
            self._process.end(GRACE)
            self._process = None

    def give_up(self, job: Job) -> None:
        """Let the process leave a job, or end it."""
        self._jobs.pop(job.id, None)
        if self._process is not None and not self._process.condemned:
            self._process.send(encode(job.id, "cancel"))
            self._process.doom(job.id, GRACE)

    def _start(self) -> None:
        """Start a process, and send it what an ended one has left."""
        interpreter = shutil.which(os.path.expanduser(self.interpreter))
        if not interpreter:
            raise AddonError(f"{self.interpreter or 'no Python'}: there is no such program: choose the Python of the "
                             "sampler in the add-on's preferences")
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.touch()
        except OSError as error:
            raise AddonError(f"{self.log}: cannot be written ({error.strerror}): free space or check its "
                             "permissions") from error
        self._process = Process(os.path.abspath(interpreter), self.log)
        self._started = time.monotonic()
        weakref.finalize(self, self._process.end, GRACE)  # also when this program ends
        for job in self._jobs.values():
            job.begin_again()
            self._process.send(job.line)

    def _take(self, event: Event) -> None:
        if event.kind == "ready" and event.protocol != PROTOCOL:
            self._fail_all(f"{self.interpreter}: its pose-diffusion {event.version} and this add-on do not understand "
                           f"each other (protocols {event.protocol} and {PROTOCOL}): update the older one")
            return
        if (job := self._jobs.get(event.id or 0)) is None:
            return  # of a job that was cancelled
        job.take(event)
        if job.finished:
            del self._jobs[job.id]

    def _check_start(self, process: Process) -> None:
        if not process.ready and not process.condemned and time.monotonic() - self._started > START_SECONDS:
            self._fail_all(f"{self.interpreter}: the sampler did not start within {START_SECONDS:.0f} s: press Check "
                           "in the preferences", process.last_words())

    def _fail_all(self, message: str, details: str = "") -> None:
        """No job can be done by this process: end it."""
        for job in self._jobs.values():
            job.finish("failed", message, details)
        self._jobs.clear()
        if self._process is not None:
            self._process.kill()

    def _over(self, process: Process) -> None:
        """The process has ended."""
        self._process = None
        if not process.condemned:
            words = process.last_words()
            how = exit_name(process.popen.returncode)
            if process.ready:
                message = (f"the sampler ended unexpectedly ({how}); start the run again. What it said last is in "
                           f"{self.log}")
            else:
                said = words.splitlines()[-1] if words else "nothing"
                message = (f"{self.interpreter}: it could not start the sampler ({how}; it said: {said}): press Check "
                           "in the preferences")
            self._fail_all(message, words)
        elif self._jobs:
            try:
                self._start()
            except AddonError as error:
                self._fail_all(str(error))
