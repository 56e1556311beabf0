# SPDX-License-Identifier: GPL-3.0-or-later
"""Suggestions for the fields "Text" and "Language": what the model said that it knows. No Blender in it."""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MOST_SUGGESTIONS = 200
IN_BRACKETS = re.compile(r"\((\w+)\)\s*$")

# Those of the model that comes with the package, and the most frequent others. Any other code can be typed.
LANGUAGES = {
    "und": "any", "ase": "American", "asf": "Australian", "asq": "Austrian", "bfi": "British", "bzs": "Brazilian",
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


def shown(code: str) -> str:
    """A language as the field shows it: `American (ase)`."""
    return f"{LANGUAGES[code]} ({code})" if code in LANGUAGES else code


def code_of(typed: str) -> str:
    """The code in what the field shows, or what was typed instead; `und` if that is nothing."""
    found = IN_BRACKETS.search(typed)
    return (found.group(1) if found else typed.strip().lower()) or "und"


def suggested_texts(typed: str, language: str) -> Iterator[tuple[str, str]]:
    """Known texts that contain what was typed, and what they are: those of the language's code, or of all (`und`).

    What was typed comes first, if it is not one of them.
    """
    needle = typed.strip().lower()
    found: dict[str, list[str]] = {}
    for one in texts:
        if needle in one.text.lower() and (language == "und" or one.language in (language, "und")):
            found.setdefault(one.text, []).append(shown(one.language))
    if needle and typed not in found:
        yield typed, "as it was typed" if texts else ""  # an empty list of suggestions looks like an error
    for text in list(found)[:MOST_SUGGESTIONS]:
        yield text, ", ".join(found[text])


def suggested_languages(typed: str) -> Iterator[tuple[str, str]]:
    """Signed languages that contain what was typed, and whether the model knows texts in them."""
    needle, trained = typed.strip().lower(), {one.language for one in texts}
    for text in sorted(map(shown, {*LANGUAGES, *trained})):
        if needle in text.lower():
            yield text, "known to the model" if code_of(text) in trained else ""
