# SPDX-License-Identifier: GPL-3.0-or-later
"""The message about what was done last, for the panel: lasts as long as Blender, not saved. No Blender in it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """What the panel shows.

    Attributes
    ----------
    level : str
        `"INFO"`, `"WARNING"` or `"ERROR"`, as Blender's reports have it.
    text : str
        One line.
    notes : tuple of str
        What else is worth knowing, a line each.
    details : str
        For a report to the developers: a traceback, the end of a log.
    """

    level: str
    text: str
    notes: tuple[str, ...] = ()
    details: str = ""

    def whole(self) -> str:
        """All of it, to be copied."""
        return "\n".join(part for part in (self.text, *self.notes, self.details) if part)


last: Message | None = None


def say(level: str, text: str, *, notes: Sequence[str] = (), details: str = "") -> Message:
    """Make this the message that the panel shows."""
    global last
    last = Message(level, text, tuple(dict.fromkeys(notes)), details)
    return last


def forget() -> None:
    """Show none."""
    global last
    last = None
