"""What every command does when something goes wrong: one line on stderr and an exit code, no traceback."""
from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# What a file, an option or this machine can be to blame for. torch reports its own troubles as RuntimeError.
EXPECTED = (OSError, ValueError, ImportError, MemoryError, RuntimeError)

FAILED = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells count


class CommandError(Exception):
    """Ends a command; the message is the line the user sees."""


def run(command: str, work: Callable[[], int]) -> int:
    """Do the work and return its exit code; on an error say what is wrong and return that of the failure."""
    try:
        return work()
    except CommandError as error:
        print(f"{command}: error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        return INTERRUPTED


@contextmanager
def about(subject: str | os.PathLike[str] = "") -> Iterator[None]:
    """Turn the expected errors of a block into one line that begins with what it is about."""
    try:
        yield
    except EXPECTED as error:
        raise CommandError(describe(error, subject)) from error


def describe(error: BaseException, subject: str | os.PathLike[str]) -> str:
    """`subject: what is wrong` in one line; the subject is named once, also where the error begins with it."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    elif isinstance(error, MemoryError):
        text = "not enough memory"
    else:
        text = " ".join(str(error).split()) or type(error).__name__
    subject = os.fspath(subject)
    return text if text.startswith(subject) else f"{subject}: {text}"
