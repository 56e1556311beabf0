"""The check of the Python that the sampler is to run in: real Pythons, and what is none."""
from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blender_addon.sampler.interpreter import Report, candidates, report, start_check
from blender_addon.sampler.report_script import MARK, SCRIPT
from pose_diffusion import __version__

COMPLETE: dict[str, Any] = {
    "version": [3, 11, 4], "packages": {"pose-diffusion": "0.1.0", "pose-format": "0.15.0", "torch": "2.9.0"},
    "errors": {}, "devices": [["cpu", "", 0], ["cuda:0", "NVIDIA X", 24 * 2**30]], "protocol": 1, "system": "Linux",
    "in_environment": True, "of_blender": False, "managed": False, "pip": True, "ensurepip": True}
NO_PACKAGES: dict[str, Any] = {"packages": {}, "protocol": None, "devices": [], "errors": {
    "torch": "ModuleNotFoundError: No module named 'torch'", "pose-diffusion": "ModuleNotFoundError: No module named"}}


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Makes a program that is taken for a Python."""
    def make(script: str) -> str:
        path = tmp_path / "python3"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return make


def test_this_python_is_ready() -> None:
    begin = time.monotonic()
    check = start_check(sys.executable)
    assert check.poll() is None
    assert time.monotonic() - begin < .5
    found = check.wait()
    assert found.ok
    assert found.lines[0] == f"Ready: pose-diffusion {__version__}, Python {sys.version.split()[0]}"
    assert "cpu" in found.devices
    assert found.lines[2].startswith("Computes on cpu")
    assert (found.missing, found.command) == ((), "")
    assert check.poll() == found


def test_the_command_for_an_empty_python_installs_what_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "an environment, 手"
    venv.create(folder, with_pip=False, symlinks=True)
    python = str(folder / "bin" / "python")
    found = start_check(python, "./my wheel.whl").wait()
    assert not found.ok
    assert found.missing == ("./my wheel.whl",)
    assert found.lines[0] == "To be installed: ./my wheel.whl"
    first, second = found.command.split(" && ")
    assert shlex.split(first) == [python, "-m", "ensurepip"]
    assert shlex.split(second) == [python, "-m", "pip", "install", "--upgrade", "./my wheel.whl"]
    assert found.interpreter == python


def test_another_python_is_not_told_of_this_ones_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    assert not start_check(str(tmp_path / "env" / "bin" / "python")).wait().ok


@pytest.mark.parametrize(("interpreter", "says"), [
    ("", "No Python is chosen"),
    ("  ", "No Python is chosen"),
    ("/nowhere/python", "/nowhere/python: there is no such file"),
    ("/etc/passwd", "this is no program that can be run"),
    ("/etc", "this is a folder"),
])
def test_what_cannot_be_started(interpreter: str, says: str) -> None:
    found = start_check(interpreter).poll()
    assert found is not None
    assert not found.ok
    assert says in found.lines[0]


@pytest.mark.parametrize(("script", "says"), [
    ("exit 0", "this is no Python, or a broken one (exit code 0)"),
    ("echo 'error while loading shared libraries' >&2; exit 127", "error while loading shared libraries"),
    ("kill -SEGV $$", "signal 11, SIGSEGV"),
    ("echo hello", "hello"),
    (f"echo '{MARK}nonsense'", "this is no Python"),
    ("yes", "it prints without end"),
    ("exec sleep 60", "it did not answer within 0.3 s"),
])
def test_what_is_no_python(program: Callable[[str], str], script: str, says: str) -> None:
    timeout = .3 if "sleep" in script else 20
    found = start_check(program(script), timeout=timeout).wait()
    assert not found.ok
    assert says in " ".join(found.lines)
    assert len(found.lines) <= 2


def test_a_check_is_cancelled(program: Callable[[str], str]) -> None:
    check = start_check(program("exec sleep 60"))
    check.cancel()
    assert check.wait().lines[0].endswith("the check was cancelled")


def test_devices_are_named() -> None:
    found = report("/opt/py/bin/python", COMPLETE)
    assert found == Report(True, (
        "Ready: pose-diffusion 0.1.0, Python 3.11.4", "torch 2.9.0, pose-format 0.15.0",
        "Computes on cpu, cuda:0 (NVIDIA X, 24 GB)"), interpreter="/opt/py/bin/python", devices=("cpu", "cuda:0"))


def test_an_old_python_is_named() -> None:
    found = report("python", {**COMPLETE, **NO_PACKAGES, "version": [3, 9, 1]})
    assert (found.ok, found.command) == (False, "")
    assert found.lines == ("Python 3.9.1 is too old: choose one from 3.10 on",)


@pytest.mark.parametrize("changed", [{"managed": True}, {"of_blender": True}])
def test_a_python_that_others_need_is_left_alone(changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
                                                 tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "my home"))
    found = report("/usr/bin/python3", {**COMPLETE, **NO_PACKAGES, "in_environment": False, **changed})
    python = str(tmp_path / "my home" / "pose-diffusion" / "bin" / "python")
    assert [shlex.split(step) for step in found.command.split(" && ")] == [
        ["/usr/bin/python3", "-m", "venv", str(tmp_path / "my home" / "pose-diffusion")],
        [python, "-m", "pip", "install", "--upgrade", "pose-diffusion"]]
    assert found.interpreter == python
    assert any(python in line for line in found.lines)
    assert any("Blender's own" in line for line in found.lines) == ("of_blender" in changed)


def test_blenders_own_python_is_usable_but_not_advised() -> None:
    found = report("python", {**COMPLETE, "of_blender": True})
    assert found.ok
    assert found.lines[-1].startswith("This is Blender's own Python")


def test_a_broken_torch_is_shown() -> None:
    found = report("python", {**COMPLETE, "devices": [], "errors": {"torch": "OSError: libtorch.so"}})
    assert found.missing == ("torch",)
    assert "torch: OSError: libtorch.so" in found.lines
    assert found.command == "python -m pip install --upgrade torch"


@pytest.mark.parametrize(("protocol", "missing"), [(0, ("pose-diffusion",)), (99, ())])
def test_versions_that_do_not_fit(protocol: int, missing: tuple[str, ...]) -> None:
    found = report("python", {**COMPLETE, "protocol": protocol})
    assert not found.ok
    assert found.missing == missing
    assert bool(found.command) == bool(missing)
    assert ("update the add-on" in found.lines[0]) == (protocol == 99)


def test_candidates_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("project/.venv", "home/pose-diffusion", "active"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "no conda"))
    monkeypatch.setenv("POSE_DIFFUSION_PYTHON", sys.executable)
    found = candidates(tmp_path / "project")
    assert found[:4] == [sys.executable, *(str(tmp_path / name / "bin" / "python")
                                           for name in ("active", "home/pose-diffusion", "project/.venv"))]
    assert len(set(found)) == len(found)
    assert all(os.path.isfile(path) for path in found)


def test_the_script_is_for_any_python() -> None:
    done = subprocess.run([sys.executable, "-I", "-S", "-c", SCRIPT], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.rpartition(MARK)[2])
    assert found["protocol"] is None
    assert "No module named 'torch'" in found["errors"]["torch"]
    for word in ('f"', "f'", ":=", "match ", "nonlocal", " -> "):  # Python 2 and old 3 could not even read it
        assert word not in SCRIPT
