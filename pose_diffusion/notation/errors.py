"""What is wrong with a text, said in one line that shows where."""
from __future__ import annotations

AROUND = 20  # characters shown on each side of the place that is wrong


class NotationError(ValueError):
    """A text that cannot be read; the message is one line and says at which position (from 1) it is wrong."""


def wrong_at(text: str, place: int, problem: str) -> NotationError:
    """The error for what is wrong with a text at a place.

    Parameters
    ----------
    text : str
        As the user gave it.
    place : int
        Index of the character, from 0; the message counts from 1.
    problem : str
        What is wrong there.

    Returns
    -------
    NotationError
        To be raised; its message quotes the text around the place, unprintable characters as escapes.
    """
    return NotationError(f"{excerpt(text, place)}: position {place + 1}: {problem}")


def excerpt(text: str, place: int = 0) -> str:
    """A text in quotes on one line, cut to what is around a place."""
    start, stop = max(0, place - AROUND), place + AROUND + 1
    if stop >= len(text) - AROUND:  # a short rest is shown
        stop = len(text)
    if start <= AROUND:
        start = 0
    inside = "".join(map(_shown, text[start:stop]))
    return f'"{"..." if start else ""}{inside}{"..." if stop < len(text) else ""}"'


def named(character: str) -> str:
    """A character as a message names it: itself where it can be printed, and its code point."""
    point = f"U+{ord(character):04X}"
    return f"{character} ({point})" if _shown(character) == character and character != " " else point


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
