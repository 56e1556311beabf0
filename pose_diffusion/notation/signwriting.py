"""SignWriting in its two spellings: FSW (ASCII) and SWU (Unicode), read strictly and told where they are wrong.

Slevinski, "Formal SignWriting", Internet-Draft draft-slevinski-formal-signwriting. A sign is a box (B, L, M or R) with
its lower right corner and symbols with their upper left corners, coordinates from 250 to 749. The package `signwriting`
brings the tokens, the drawing and with its font the set of symbols (ISWA 2010); its own expressions skip what they do
not know, so that the whole text is checked here.
"""
from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from pose_diffusion.notation.errors import NotationError, named, wrong_at
from pose_diffusion.notation.vocabulary import FIRST_SIGNWRITING, MAX_TOKENS

LOWEST, HIGHEST = 250, 749  # coordinates
FIRST_BASE, LAST_BASE, LAST_FILL = 0x100, 0x38B, "5"
MARKERS = {"\U0001d800": "A", "\U0001d801": "B", "\U0001d802": "L", "\U0001d803": "M", "\U0001d804": "R"}
_TOKENS_HASH = "7cff920fa91ff057598186c28dd175eac7827c6224e0aa1a1029754097905813"
_SYMBOL = re.compile(r"S[0-9a-f]{5}")
_PLACE = re.compile(r"(\d{3})x(\d{3})", re.ASCII)
_START = re.compile(r"(?<!\w)(?:A?S[0-9][0-9a-f]{4}|[BLMR][0-9]+x[0-9])")


def is_swu(character: str) -> bool:
    """Whether a character is one of SWU: a marker, a coordinate or a symbol."""
    return 0x1D800 <= ord(character) <= 0x1D9FF or 0x40001 <= ord(character) <= 0x4FFFF


def find_fsw(text: str) -> int | None:
    """Where in a text FSW begins, right or with mistakes; None where there is none."""
    found = _START.search(text)
    return found.start() if found else None


def normal_signwriting(text: str) -> str:
    """FSW as the network reads it.

    Parameters
    ----------
    text : str
        FSW or SWU of one or more signs.

    Returns
    -------
    str
        FSW without the sorting prefixes ("A..."), a space between signs.

    Raises
    ------
    NotationError
        Where the text is no SignWriting: an unknown symbol, a coordinate outside 250 to 749, a sign without symbols,
        anything else between them; or if there are more symbols than `MAX_TOKENS` allows.
    """
    fsw, places = (_from_swu(text) if any(map(is_swu, text)) else (text, list(range(len(text)))))
    places.append(len(text))
    signs, at = [], 0
    while (at := _space(fsw, at)) < len(fsw):
        sign, at = _sign(text, fsw, at, places)
        signs.append(sign)
    if not signs:
        raise NotationError("the text has no sign of SignWriting: give FSW (M518x529S14c20481x471...) or SWU")
    normal = " ".join(signs)
    count = sum(3 + 5 * sign.count("S") for sign in signs)
    if count > MAX_TOKENS - 2:
        raise NotationError(f"SignWriting of {normal.count('S')} symbols in {len(signs)} "
                            f"{'sign' if len(signs) == 1 else 'signs'} is {count} tokens long, the limit is "
                            f"{MAX_TOKENS - 2} (24 symbols in one sign): give one sign at a time")
    return normal


def one_sign(fsw: str) -> str:
    """The same normalised FSW, if it is one sign, as a picture has to be; else a `NotationError` says where not."""
    if (second := fsw.find(" ")) >= 0:
        raise wrong_at(fsw, second + 1, "a second sign: a picture is of one sign, give one at a time")
    return fsw


def signwriting_tokens(text: str) -> list[int]:
    """Token ids of normalised FSW: box, then base, fill, rotation, x and y of each symbol."""
    from signwriting.tokenizer.signwriting_normalizer import get_tokenizer

    numbers = _numbers()
    return [FIRST_SIGNWRITING + numbers[token] for token in get_tokenizer().text_to_tokens(text)]


@lru_cache(maxsize=1)
def _numbers() -> dict[str, int]:
    """Number of each of the package's tokens; checked, because a checkpoint knows them by number."""
    from signwriting.tokenizer import SignWritingTokenizer

    tokens = SignWritingTokenizer.tokens()
    if hashlib.sha256(" ".join(tokens).encode()).hexdigest() != _TOKENS_HASH:
        raise RuntimeError("this version of the package signwriting numbers its tokens in another way than the one the "
                           "models are trained with: install signwriting==0.1.19")
    return {token: i for i, token in enumerate(tokens)}


def _space(fsw: str, at: int) -> int:
    while at < len(fsw) and fsw[at].isspace():
        at += 1
    return at


def _sign(text: str, fsw: str, at: int, places: list[int]) -> tuple[str, int]:
    """One sign from index `at` on, without its prefix, and where it ends; `places` are indices in the user's text."""
    if fsw[at] == "A":
        start, at = at, at + 1
        while fsw.startswith("S", at):
            _, at = _symbol(text, fsw, at, places)
        if at == start + 1 or at == len(fsw) or fsw[at] not in "BLMR":
            raise wrong_at(text, places[at], "after A come symbols, then the sign itself: B, L, M or R")
    if fsw[at] == "S":  # punctuation stands without a box; the package gives it one in the middle
        symbol, at = _symbol(text, fsw, at, places)
        place, at = _place(text, fsw, at, places)
        return f"M500x500{symbol}{place}", at
    if fsw[at] not in "BLMR":
        raise wrong_at(text, places[at], f"{named(text[places[at]])} is no SignWriting: a sign begins with A, B, L, "
                                         "M or R")
    start = at
    place, at = _place(text, fsw, at + 1, places)
    parts = [fsw[start] + place]
    while fsw.startswith("S", at):
        symbol, at = _symbol(text, fsw, at, places)
        place, at = _place(text, fsw, at, places)
        parts.append(symbol + place)
    if len(parts) == 1:
        raise wrong_at(text, places[at], f"the sign {parts[0]} has no symbol (S, five digits, its place)")
    return "".join(parts), at


def _symbol(text: str, fsw: str, at: int, places: list[int]) -> tuple[str, int]:
    found = _SYMBOL.match(fsw, at)
    if found is None:
        raise wrong_at(text, places[at], "a symbol is S and five digits of 0-9 and a-f")
    if not _exists(found[0]):
        raise wrong_at(text, places[at], f"SignWriting has no symbol {found[0]}")
    return found[0], found.end()


@lru_cache(maxsize=4096)
def _exists(symbol: str) -> bool:
    """Whether a symbol is one of the 37811 of ISWA 2010: all that the font draws."""
    from signwriting.formats.fsw_to_swu import key2id, symbol_line
    from signwriting.visualizer.visualize import get_font

    if not FIRST_BASE <= int(symbol[1:4], 16) <= LAST_BASE or symbol[4] > LAST_FILL:
        return False  # its number would be that of another symbol
    return get_font("SuttonSignWritingLine").getmask(symbol_line(key2id(symbol))).getbbox() is not None


def _place(text: str, fsw: str, at: int, places: list[int]) -> tuple[str, int]:
    found = _PLACE.match(fsw, at)
    if found is None:
        raise wrong_at(text, places[at], "here belongs a place such as 482x483")
    for i in (1, 2):
        if not LOWEST <= int(found[i]) <= HIGHEST:
            raise wrong_at(text, places[found.start(i)], f"coordinate {found[i]} is outside {LOWEST} to {HIGHEST}")
    return found[0], found.end()


def _from_swu(text: str) -> tuple[str, list[int]]:
    """FSW of SWU, and for each of its characters the index in SWU that it comes from."""
    from signwriting.formats.swu_to_fsw import swu2key, swu2num

    pieces: list[str] = []
    places: list[int] = []
    second = False  # of a pair of coordinates
    for i, character in enumerate(text):
        number = 0x1D80C <= ord(character) <= 0x1D9FF
        if number:
            piece = "x" * second + str(swu2num(character))
        elif character in MARKERS:
            piece = MARKERS[character]
        elif is_swu(character) and ord(character) >= 0x40001:
            piece = swu2key(character)
        elif character.isspace():
            piece = " "
        else:
            raise wrong_at(text, i, f"{named(character)} is no symbol of SWU")
        second = number and not second
        pieces.append(piece)
        places += [i] * len(piece)
    return "".join(pieces), places
