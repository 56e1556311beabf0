"""Words and glosses: any script, as bytes of UTF-8."""
from __future__ import annotations

import re
import unicodedata

from pose_diffusion.notation.errors import NotationError, named, wrong_at
from pose_diffusion.notation.vocabulary import FIRST_BYTE

MAX_BYTES = 100
_HYPHEN = re.compile(r"(?<=[^\s-])-+(?=[^\s-])")  # between words; the one of "-5" stays
_HYPHENS = str.maketrans({"\u2010": "-", "\u2011": "-", "_": " "})
_JOINERS = "\u200c\u200d"  # part of the spelling in Persian and in the scripts of India


def normal_words(text: str) -> str:
    """Words as the network reads them.

    Parameters
    ----------
    text : str
        Words or glosses, e.g. `"GUTEN_MORGEN"`.

    Returns
    -------
    str
        In lower case, composed (NFC), "_" and "-" between words as spaces, single spaces: `"guten morgen"`.

    Raises
    ------
    NotationError
        For what is no writing (control characters, private use, unassigned code points), nothing but spaces, or more
        than `MAX_BYTES` of UTF-8.
    """
    for place, character in enumerate(text):
        if unicodedata.category(character)[0] == "C" and character not in _JOINERS and not character.isspace():
            raise wrong_at(text, place, f"{named(character)} is no character of words")
    lower = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    words = " ".join(_HYPHEN.sub(" ", lower.translate(_HYPHENS)).split())
    if not words.strip(_JOINERS):
        raise NotationError("the text is empty: give a word, SignWriting (FSW or SWU) or HamNoSys")
    size = len(words.encode())
    if size > MAX_BYTES:
        raise NotationError(f"words are {size} bytes of UTF-8 long, the limit is {MAX_BYTES}: give one sign at a time")
    return words


def word_tokens(text: str) -> list[int]:
    """Token ids of normalised words, one a byte."""
    return [FIRST_BYTE + byte for byte in text.encode()]
