"""HamNoSys 4: code points U+E000-U+E0F1 of Unicode's private use area and a little punctuation; no font is needed.

The symbols are those of the authors' own list: Schulder and Hanke (2022), the LaTeX package hamnosys 1.0.3.
"""
from __future__ import annotations

from pose_diffusion.notation.errors import NotationError, named, wrong_at
from pose_diffusion.notation.vocabulary import FIRST_HAMNOSYS, MAX_TOKENS

FIRST, LAST = 0xE000, 0xE0F1
PUNCTUATION = " !,.?{|}"  # in the order of its token ids; {a|b} is a choice
_UNASSIGNED = frozenset({
    0xE00F, *range(0xE015, 0xE020), *range(0xE032, 0xE038), *range(0xE055, 0xE058), *range(0xE05C, 0xE05F),
    *range(0xE06B, 0xE070), 0xE07B, 0xE0AB, 0xE0AC, 0xE0BF, *range(0xE0CD, 0xE0D0), 0xE0D7, 0xE0DE, 0xE0DF,
    0xE0EE, 0xE0EF})


def is_hamnosys(character: str) -> bool:
    """Whether a character is in the range of HamNoSys (assigned or not; its punctuation is not)."""
    return FIRST <= ord(character) <= LAST


def normal_hamnosys(text: str) -> str:
    """HamNoSys as the network reads it: as it is, but for spaces at its ends and double ones.

    Raises
    ------
    NotationError
        At the first character that is no symbol of HamNoSys; if there is none at all; if it is too long.
    """
    for place, character in enumerate(text):
        if is_hamnosys(character):
            if ord(character) in _UNASSIGNED:
                raise wrong_at(text, place, f"HamNoSys has no symbol {named(character)}")
        elif character not in PUNCTUATION and not character.isspace():
            raise wrong_at(text, place, f"{named(character)} is no symbol of HamNoSys")
    if not any(map(is_hamnosys, text)):
        raise NotationError("the text has no symbol of HamNoSys (U+E000-U+E0F1): give one, or another notation")
    normal = " ".join(text.split())
    if len(normal) > MAX_TOKENS - 2:
        raise NotationError(f"HamNoSys of {len(normal)} symbols, the limit is {MAX_TOKENS - 2}: one sign at a time")
    return normal


def hamnosys_tokens(text: str) -> list[int]:
    """Token ids of normalised HamNoSys, one a symbol."""
    after = LAST - FIRST + 1
    return [FIRST_HAMNOSYS + (ord(c) - FIRST if is_hamnosys(c) else after + PUNCTUATION.index(c)) for c in text]
