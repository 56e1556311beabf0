# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python that the sampler runs in: find it, check it, and say how to install what it lacks."""
from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import AddonError
from .process import exit_name, start
from .protocol import PROTOCOL
from .report_script import MARK, SCRIPT

PACKAGE = "pose-diffusion"
OLDEST = (3, 10)
TIMEOUT = 60.0  # seconds: importing torch for the first time takes long on a slow disk
MAX_OUTPUT = 1 << 20  # bytes
ENVIRONMENT = "pose-diffusion"  # folder that is advised for a virtual environment, in the user's own
PROGRAM = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")  # in a virtual environment


@dataclass(frozen=True)
class Report:
    """What a Python has.

    Attributes
    ----------
    ok : bool
        Whether the sampler can run in it.
    lines : tuple of str
        For the user, most important first.
    missing : tuple of str
        Packages that are to be installed.
    command : str
        That installs them, to be pasted into a terminal; "" where nothing is missing, or nothing would help.
    interpreter : str
        The Python to choose then: another one where the one that was checked is better left alone.
    devices : tuple of str
        What it can compute on, as torch names them.
    """

    ok: bool
    lines: tuple[str, ...]
    missing: tuple[str, ...] = ()
    command: str = ""
    interpreter: str = ""
    devices: tuple[str, ...] = ()


class Check:
    """A check that is under way; see `start_check`.

    Attributes
    ----------
    interpreter, package : str
        What is checked, and what would be installed.
    """

    def __init__(self, interpreter: str, package: str, timeout: float) -> None:
        self.interpreter, self.package = interpreter, package
        self._report: Report | None = None
        self._output, self._problem = b"", ""
        self._popen = start([interpreter, "-c", SCRIPT], tempfile.gettempdir(), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._timer = threading.Timer(timeout, self._end, [f"it did not answer within {timeout:g} s: is it a Python?"])
        self._timer.daemon = True
        self._timer.start()
        self._reader = threading.Thread(target=self._read, name="pose_diffusion check", daemon=True)
        self._reader.start()

    def poll(self) -> Report | None:
        """The result, when it is there. Never blocks."""
        if self._report is None and not self._reader.is_alive():
            self._report = self._result()
        return self._report

    def wait(self) -> Report:
        """The result; blocks until it is there."""
        self._reader.join()
        return self.poll() or self._result()

    def cancel(self) -> None:
        """End it."""
        self._end("the check was cancelled")

    def _end(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._popen.kill()

    def _read(self) -> None:
        pipe = self._popen.stdout
        if pipe is None:
            raise RuntimeError("the program was started without a pipe")
        with pipe:
            while chunk := pipe.read(1 << 16):
                self._output += chunk
                if len(self._output) > MAX_OUTPUT:
                    self._end("it is no Python: it prints without end")
                    break
        self._popen.wait()
        self._timer.cancel()

    def _result(self) -> Report:
        if self._problem:
            return Report(False, (f"{self.interpreter}: {self._problem}",))
        found = _found(self._output)
        if found is None:
            said = self._output.decode("utf-8", "replace").split("\n")
            last = [line.strip() for line in said if line.strip()][-1:]
            return Report(False, (f"{self.interpreter}: this is no Python, or a broken one "
                                  f"({exit_name(self._popen.returncode)})", *last))
        return report(self.interpreter, found, self.package)


class NoCheck:
    """What could not even be started: the same as a `Check` that is over."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def poll(self) -> Report:
        """The result."""
        return self._report

    def wait(self) -> Report:
        """The result."""
        return self._report

    def cancel(self) -> None:
        """It is over."""


def start_check(interpreter: str, package: str = PACKAGE, timeout: float = TIMEOUT) -> Check | NoCheck:
    """Ask a Python what it has; returns at once.

    Parameters
    ----------
    interpreter : str
        A path, or a name on PATH.
    package : str
        What is to be installed where pose-diffusion is missing: its name, a wheel or a folder.
    timeout : float
        Seconds after which it is taken for something else than Python.

    Returns
    -------
    Check
        Poll it for the `Report`.
    """
    if not interpreter.strip():
        return NoCheck(Report(False, ("No Python is chosen.",)))
    path = os.path.expanduser(interpreter.strip())
    if os.path.isdir(path):
        return NoCheck(Report(False, (f"{path}: this is a folder: choose the python program in it",)))
    program = shutil.which(path)
    if program is None:
        there = os.path.exists(path)
        return NoCheck(Report(False, (f"{path}: " + ("this is no program that can be run" if there else
                                                     "there is no such file"),)))
    try:
        return Check(os.path.abspath(program), package.strip() or PACKAGE, timeout)
    except AddonError as error:
        return NoCheck(Report(False, (str(error),)))


def report(interpreter: str, found: Mapping[str, Any], package: str = PACKAGE) -> Report:
    """Judge what a Python said of itself.

    Parameters
    ----------
    interpreter : str
        Its path.
    found : mapping
        What `report_script.SCRIPT` prints.
    package : str
        As in `start_check`.
    """
    version = ".".join(str(number) for number in found["version"])
    if tuple(found["version"]) < OLDEST:
        return Report(False, (f"Python {version} is too old: choose one from {'.'.join(map(str, OLDEST))} on",))
    installed, errors = found["packages"], found["errors"]
    advice = ("This is Blender's own Python: another one is better, as it is replaced with Blender.",
              ) if found["of_blender"] else ()
    wanted = _missing(found, package)
    if not wanted:
        names = [f"{device} ({name}, {memory / 2**30:.0f} GB)" if memory else device
                 for device, name, memory in found["devices"]]
        lines = (f"Ready: pose-diffusion {installed['pose-diffusion']}, Python {version}",
                 f"torch {installed['torch']}, pose-format {installed.get('pose-format', '?')}",
                 f"Computes on {', '.join(names)}", *advice)
        return Report(True, lines, interpreter=interpreter, devices=tuple(device for device, *_ in found["devices"]))
    if found["protocol"] is not None and found["protocol"] > PROTOCOL:
        return Report(False, (f"pose-diffusion {installed['pose-diffusion']} is newer than this add-on: update the "
                              "add-on", f"Python {version}", *advice))
    broken = tuple(f"{name}: {errors[name]}" for name in ("torch", "pose-diffusion")
                   if name in errors and name in installed)
    command, chosen = _command(interpreter, found, wanted, package)
    lines = (f"To be installed: {', '.join(wanted)}", f"Python {version}", *broken, *advice)
    if chosen != interpreter:
        lines += (f"This Python should not be changed: the command makes another beside it, {chosen}",)
    if os.name == "nt" and '"' in command:
        lines += ("In PowerShell write & and a space before it.",)
    return Report(False, lines, wanted, command, chosen)


def candidates(beside: Path | None = None) -> list[str]:
    """Pythons that the user may mean, the likeliest first; none of them has been checked.

    Parameters
    ----------
    beside : Path, optional
        A folder, such as that of the .blend file, in which there may be a `.venv`.
    """
    environments = [Path.home() / ENVIRONMENT, *([beside / ".venv", beside / "venv"] if beside else [])]
    active = os.environ.get("VIRTUAL_ENV")
    conda = os.environ.get("CONDA_PREFIX")
    guesses = [os.environ.get("POSE_DIFFUSION_PYTHON"), str(Path(active, *PROGRAM)) if active else None,
               *(str(environment.joinpath(*PROGRAM)) for environment in environments),
               str(Path(conda, "python.exe" if os.name == "nt" else "bin/python")) if conda else None,
               shutil.which("python3"), shutil.which("python")]
    return list(dict.fromkeys(guess for guess in guesses if guess and os.path.isfile(guess)))


def _found(output: bytes) -> Mapping[str, Any] | None:
    """What was printed after the mark."""
    for line in reversed(output.decode("utf-8", "replace").splitlines()):
        if line.startswith(MARK):
            try:
                return json.loads(line[len(MARK):])
            except ValueError:
                return None
    return None


def _missing(found: Mapping[str, Any], package: str) -> tuple[str, ...]:
    """What to install: packages that are not there, too old, or do not work."""
    wanted = []
    if found["protocol"] != PROTOCOL:
        wanted.append(package)
    if "torch" in found["errors"] and (found["protocol"] == PROTOCOL or "torch" in found["packages"]):
        wanted.append("torch")  # it comes along where pose-diffusion is missing
    return tuple(wanted)


def _command(interpreter: str, found: Mapping[str, Any], wanted: Sequence[str], package: str) -> tuple[str, str]:
    """The command that installs packages, and the Python that has them then."""
    steps, python = [], interpreter
    alone = found["in_environment"]
    if not alone and (found.get("managed") or found["of_blender"]):
        folder = Path.home() / ENVIRONMENT
        steps.append([interpreter, "-m", "venv", str(folder)])
        python = str(folder.joinpath(*PROGRAM))
        wanted = [package]
    elif not found.get("pip", True):
        steps.append([interpreter, "-m", "ensurepip"])
    steps.append([python, "-m", "pip", "install", "--upgrade", *wanted])
    quote = subprocess.list2cmdline if sys.platform == "win32" else shlex.join
    return " && ".join(quote(step) for step in steps), python
