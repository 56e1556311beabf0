"""A text that says what is to be signed: which notation it is in, checked and normalised, and its token ids."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_diffusion.notation.errors import NotationError, wrong_at
from pose_diffusion.notation.hamnosys import PUNCTUATION, hamnosys_tokens, is_hamnosys, normal_hamnosys
from pose_diffusion.notation.signwriting import find_fsw, is_swu, normal_signwriting, one_sign, signwriting_tokens
from pose_diffusion.notation.vocabulary import MAX_TOKENS, known_language, known_notation, language_id, notation_id
from pose_diffusion.notation.words import normal_words, word_tokens

MAX_CHARACTERS = 2000  # of a text as it is given; nothing is searched in a longer one
MAX_EMBEDDINGS = 64


@dataclass(frozen=True)
class Text:
    """What is to be signed.

    Attributes
    ----------
    text : str
        Normalised: words in lower case, composed (NFC), "_" and "-" between words as spaces; SignWriting as FSW without
        prefixes; HamNoSys as it is.
    notation : str
        One of `NOTATIONS`.
    language : str
        ISO 639-3 of the signed language, "und" where it is not known.

    Raises
    ------
    NotationError
        If there is no such notation or language. The text is checked by `read_text`, which makes these.
    """

    text: str
    notation: str
    language: str = "und"

    def __post_init__(self) -> None:
        known_notation(self.notation)
        if known_language(self.language) != self.language:
            raise NotationError(f"language {self.language!r}: give it in lower case")


@dataclass(frozen=True, eq=False)
class Embedding:
    """A user's own embedding of a text, e.g. of a language model; a learnt layer brings it to the network's width.

    Attributes
    ----------
    values : np.ndarray
        `(n, width)` float32, n of 1 to 64 vectors.

    Raises
    ------
    NotationError
        If they are of another shape, or not all finite.
    """

    values: np.ndarray

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim == 1:
            values = values[None]
        if values.ndim != 2 or not 1 <= len(values) <= MAX_EMBEDDINGS or not values.shape[1]:
            raise NotationError(f"embedding of shape {values.shape}: give (n, width) with n of 1 to {MAX_EMBEDDINGS}")
        if values.dtype.kind not in "fiu":
            raise NotationError(f"embedding of {values.dtype}: give numbers")
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise NotationError("embedding with infinite or missing numbers: give finite ones")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)


def read_text(text: str, *, language: str = "und", notation: str | None = None) -> Text:
    """Read what is to be signed.

    Parameters
    ----------
    text : str
        A word or gloss, SignWriting (FSW or SWU) or HamNoSys.
    language : str
        ISO 639-3 code of the signed language, one of `LANGUAGES`.
    notation : str, optional
        One of `NOTATIONS`; by default it is found out. `"picture"` is SignWriting that the network sees drawn.

    Returns
    -------
    Text
        Checked and normalised; reading its text again gives the same.

    Raises
    ------
    NotationError
        In one line that says where, if the text is empty, too long, of more than one notation, or wrong in its own;
        for a language or notation that is not known.
    """
    code = known_language(language)
    if len(text) > MAX_CHARACTERS:
        raise NotationError(f"the text has {len(text)} characters, the limit is {MAX_CHARACTERS}: one sign at a time")
    if not text.strip():
        raise NotationError("the text is empty: give a word, SignWriting (FSW or SWU) or HamNoSys")
    kind = _detect(text) if notation is None else known_notation(notation)
    if kind == "words":
        return Text(normal_words(text), kind, code)
    if kind == "hamnosys":
        return Text(normal_hamnosys(text), kind, code)
    fsw = normal_signwriting(text)
    if kind == "picture":
        one_sign(fsw)
    return Text(fsw, kind, code)


def token_ids(text: Text) -> np.ndarray:
    """Token ids of a text.

    Parameters
    ----------
    text : Text
        As `read_text` gives it.

    Returns
    -------
    np.ndarray
        `(L,)` int64, L <= `MAX_TOKENS`, ids below `VOCABULARY`: notation, language, then bytes or symbols;
        nothing after the language for a picture.
    """
    ids = [notation_id(text.notation), language_id(text.language)]
    if text.notation != "picture":
        ids += {"words": word_tokens, "hamnosys": hamnosys_tokens, "signwriting": signwriting_tokens}[text.notation](
            text.text)
    if len(ids) > MAX_TOKENS:
        raise NotationError(f"the text is {len(ids)} tokens long, the limit is {MAX_TOKENS}: read it with read_text")
    return np.array(ids, np.int64)


def _detect(text: str) -> str:
    """The one notation of a text; a `NotationError` where another begins."""
    first = len(text) - len(text.lstrip())
    fsw = find_fsw(text)
    hamnosys = next((i for i, c in enumerate(text) if is_hamnosys(c)), None)
    swu = next((i for i, c in enumerate(text) if is_swu(c)), None)
    if hamnosys is not None and all(c in PUNCTUATION or c.isspace() for c in text[:hamnosys]):
        first = hamnosys  # "{" may stand before the first symbol
    starts = {"FSW": fsw, "SWU": swu, "HamNoSys": hamnosys}
    kind = next((name for name, start in starts.items() if start == first), "words")
    changes = [(start, name) for name, start in starts.items() if start is not None and name != kind]
    if kind == "HamNoSys":
        changes += [(i, "words") for i, c in enumerate(text) if c.isalpha() and not is_swu(c)]
    if changes:
        place, name = min(changes)
        raise wrong_at(text, place, f"{_piece(text, place, name)} after {kind}: give one notation at a time")
    return {"FSW": "signwriting", "SWU": "signwriting", "HamNoSys": "hamnosys"}.get(kind, "words")


def _piece(text: str, place: int, name: str) -> str:
    """What begins at a place, for a message."""
    return f"{name} symbol U+{ord(text[place]):04X}" if name in ("SWU", "HamNoSys") else name
