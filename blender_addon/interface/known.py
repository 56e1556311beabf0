# SPDX-License-Identifier: GPL-3.0-or-later
"""Suggestions for the fields "Text" and "Language": what the model said that it knows. No Blender in it."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

MOST_SUGGESTIONS = 200

# Those of the model that comes with the package, and the most frequent others. Any other code can be typed.
LANGUAGES = {
    "und": "not said", "ase": "American", "asf": "Australian", "asq": "Austrian", "bfi": "British", "bzs": "Brazilian",
    "cse": "Czech", "csl": "Chinese", "dse": "Dutch", "eso": "Estonian", "fsl": "French", "gsg": "German",
    "gss": "Greek", "ins": "Indian", "ise": "Italian", "isr": "Israeli", "jos": "Jordanian", "jsl": "Japanese",
    "kvk": "Korean", "lls": "Lithuanian", "mfs": "Mexican", "psr": "Portuguese", "rsl": "Russian",
    "sgg": "Swiss German", "ssp": "Spanish", "swl": "Swedish", "tsm": "Turkish",
}


class Known(NamedTuple):
    """A text that the model was trained on."""

    language: str
    notation: str
    text: str


texts: list[Known] = []  # as the worker told; lasts as long as Blender


def remember(told: Iterable[Iterable[str]]) -> None:
    """Keep the texts `(language, notation, text)` that the worker told."""
    texts[:] = sorted(Known(*one) for one in told)


def suggested_texts(typed: str, language: str) -> Iterator[tuple[str, str]]:
    """Known texts that contain what was typed, and what they are: those of the language, or of all (`und`)."""
    needle, count = typed.strip().lower(), 0
    for one in texts:
        if needle in one.text.lower() and (language in ("und", "") or one.language in (language, "und")):
            yield one.text, f"{LANGUAGES.get(one.language, one.language)}, {one.notation}"
            count += 1
            if count == MOST_SUGGESTIONS:
                return


def suggested_languages(typed: str) -> Iterator[tuple[str, str]]:
    """Codes of signed languages whose code or name contains what was typed, and their names."""
    needle = typed.strip().lower()
    everything = LANGUAGES | {one.language: one.language for one in texts if one.language not in LANGUAGES}
    for code, name in sorted(everything.items(), key=lambda pair: pair[1]):
        if needle in code or needle in name.lower():
            yield code, name
