# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of the interpreter: the one that goes on, and what the last one found. Not saved."""
from __future__ import annotations

from ..sampler.interpreter import Check, NoCheck, Report, start_check

report: Report | None = None
_check: Check | NoCheck | None = None


def begin(path: str, package: str) -> None:
    """Begin a check; one that goes on is dropped."""
    global _check, report
    stop()
    report = None
    _check = start_check(path, package=package)


def look() -> bool:
    """Whether it is done; then `report` is there."""
    global _check, report
    if _check is None:
        return True
    found = _check.poll()
    if found is None:
        return False
    _check, report = None, found
    return True


def running() -> bool:
    """Whether one goes on."""
    return _check is not None


def stop() -> None:
    """Drop the check that goes on."""
    global _check
    if _check is not None:
        _check.cancel()
    _check = None


def forget() -> None:
    """As if there never was one."""
    global report
    stop()
    report = None
