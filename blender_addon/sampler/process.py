# SPDX-License-Identifier: GPL-3.0-or-later
"""One process of the worker, and the threads that keep its pipes from blocking anybody."""
from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ..errors import AddonError
from .protocol import LAST, MAX_LINE, Event, ProtocolError, decode

READ = 1 << 16
MAX_LOG = 1 << 20  # bytes; then it begins anew with its last half
TAIL = 4096  # bytes of it that are shown


def clean_environment() -> dict[str, str]:
    """The environment without what Blender sets, or a terminal has set, for another Python."""
    kept = {name: value for name, value in os.environ.items()
            if not name.upper().startswith("PYTHON") and name != "__PYVENV_LAUNCHER__"}
    return {**kept, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}


def start(command: Sequence[str], folder: str | os.PathLike[str], **pipes: Any) -> subprocess.Popen[bytes]:
    """Start a program that a Ctrl-C in Blender's terminal does not reach, without a window of its own.

    Raises
    ------
    AddonError
        If it cannot be started.
    """
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    try:
        return subprocess.Popen(list(command), bufsize=0, cwd=os.fspath(folder), env=clean_environment(), **pipes,
                                **apart)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AddonError(f"{command[0]}: cannot be started ({reason}): choose the Python of the sampler in the "
                         "add-on's preferences") from error


class Process:
    """A running worker. Nothing here blocks, but for `end`.

    Parameters
    ----------
    interpreter : str
        Which Python.
    log : Path
        What the process prints goes there.

    Attributes
    ----------
    events : queue
        Of `Event`; a `ProtocolError` when something else came, and None when the process is over.
    ready : bool
        Whether it has said so.
    condemned : bool
        Whether it was ended from here, so that its end is no crash.
    """

    def __init__(self, interpreter: str, log: Path) -> None:
        self.log = log
        self.popen = start([interpreter, "-m", "pose_diffusion.worker"], log.parent, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.events: queue.SimpleQueue[Event | ProtocolError | None] = queue.SimpleQueue()
        self.ready = self.condemned = False
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._doom: dict[int, threading.Timer] = {}
        self._lock = threading.Lock()
        self._tail = b""
        self._logging = threading.Thread(target=self._keep_log, name="pose_diffusion log", daemon=True)
        self._logging.start()
        threading.Thread(target=self._write, name="pose_diffusion requests", daemon=True).start()
        threading.Thread(target=self._read, name="pose_diffusion events", daemon=True).start()

    def send(self, line: bytes) -> None:
        """Send a request, when the process is able to take it."""
        self._requests.put(line)

    def doom(self, id: int, seconds: float) -> None:
        """End the process unless it says within some seconds that a request is over."""
        timer = threading.Timer(seconds, self.kill)
        timer.daemon = True
        with self._lock:
            self._doom[id] = timer
        timer.start()

    def kill(self) -> None:
        """End it at once."""
        self.condemned = True
        self.popen.kill()

    def end(self, seconds: float) -> None:
        """Ask it to end, and end it if it has not after some seconds."""
        self.condemned = True
        self._requests.put(None)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def last_words(self) -> str:
        """The end of what it has printed."""
        return self._tail.decode("utf-8", "replace").strip()

    def _write(self) -> None:
        pipe = _pipe(self.popen.stdin)
        with pipe:
            while (line := self._requests.get()) is not None:
                left = memoryview(line)
                try:
                    while left:
                        left = left[pipe.write(left):]
                except OSError:
                    return  # it is over, which the reading thread says

    def _read(self) -> None:
        rest = b""
        with _pipe(self.popen.stdout) as pipe:
            while chunk := pipe.read(READ):
                *lines, rest = (rest + chunk).split(b"\n")
                try:
                    for line in lines:
                        self._take(decode(line))
                    if len(rest) > MAX_LINE:
                        raise ProtocolError("a line without end")
                except ProtocolError as error:
                    self.events.put(error)
                    self.kill()
                    break
        self._requests.put(None)
        try:
            self.popen.wait(1)
        except subprocess.TimeoutExpired:  # it closed its end, but goes on
            self.popen.kill()
            self.popen.wait()
        self._logging.join(1)  # so that the last words are there
        self.events.put(None)

    def _take(self, event: Event) -> None:
        if event.kind == "ready":
            self.ready = True
        if event.id is not None and event.kind in LAST:
            with self._lock:
                timer = self._doom.pop(event.id, None)
            if timer:
                timer.cancel()
        self.events.put(event)

    def _keep_log(self) -> None:
        with _pipe(self.popen.stderr) as pipe:
            while chunk := pipe.read(READ):
                self._tail = (self._tail + chunk)[-TAIL:]
                try:
                    _append(self.log, chunk)
                except OSError:
                    continue  # a full disk: the process must not wait for it


def _append(log: Path, chunk: bytes) -> None:
    with open(log, "ab") as file:
        file.write(chunk)
        size = file.tell()
    if size > MAX_LOG:
        with open(log, "rb+") as file:
            file.seek(size - MAX_LOG // 2)
            last = file.read()
            file.seek(0)
            file.write(last)
            file.truncate()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("the process was started without this pipe")
    return pipe


def exit_name(code: int) -> str:
    """How a process ended, in words."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unknown"
        return f"signal {-code}, {name}"
    return f"exit code {code}" if code < 1 << 16 else f"exit code 0x{code:08X}"  # as Windows lists them
