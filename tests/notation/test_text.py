from __future__ import annotations

import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_diffusion.notation import (
    LANGUAGES,
    MAX_TOKENS,
    NOTATIONS,
    VOCABULARY,
    Embedding,
    NotationError,
    Text,
    read_text,
    token_ids,
)
from pose_diffusion.notation.text import MAX_CHARACTERS

SIGN = "M518x529S14c20481x471"
PIECES = st.sampled_from([SIGN, "AS14c20", "M518x529", "S14c20", "481x471", "B", "\U0001d803", "\U0001d916\U0001d921",
                          "\U0004000b", "\ue001", "\ue020", "{", "|", "}", " ", "_", "-", "\u2010", "\u200d", "hello",
                          "İ", "ΟΔΟΣ", "e\u0301", "\u0345", "K", "ẞ", "1", "\n", "\x00", "\ud800", "\U000f0000"])
ANY_TEXT = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=8).map("".join),
                     st.text(st.characters(min_codepoint=0xE000, max_codepoint=0xE0F3), max_size=10),
                     st.text("ABLMRSx0123456789abcdef ", max_size=40))


def read_or_message(text: str, language: str, notation: str | None = None) -> Text | str:
    try:
        return read_text(text, language=language, notation=notation)
    except NotationError as error:
        return str(error)


@settings(deadline=None)
@given(ANY_TEXT, st.sampled_from([None, *NOTATIONS]))
def test_any_text_is_read_or_refused(text: str, notation: str | None) -> None:
    read = read_or_message(text, "ase", notation)
    if isinstance(read, str):
        assert len(read.splitlines()) == 1
        return
    assert notation in (None, read.notation)
    assert read_text(read.text, language="ase", notation=read.notation) == read
    if notation is None:  # and it is found again in what was normalised
        assert read_text(read.text, language="ase") == read
    ids = token_ids(read)
    assert ids.dtype == np.int64
    assert 2 <= len(ids) <= MAX_TOKENS
    assert (ids > 0).all()
    assert (ids < VOCABULARY).all()


def test_every_letter_of_unicode_is_read_as_it_is_normalised() -> None:
    for point in range(sys.maxunicode + 1):
        character = chr(point)
        if unicodedata.category(character)[0] == "L":
            text = read_text(character + "a" + character)
            assert text.notation == "words"
            assert read_text(text.text) == text


@pytest.mark.parametrize(("text", "normal"), [
    ("GUTEN_MORGEN", "guten morgen"),
    ("  Guten\n\tMorgen ", "guten morgen"),
    ("auto-bahn", "auto bahn"),
    ("auto\u2011bahn", "auto bahn"),
    ("-5 Grad", "-5 grad"),
    ("cafe\u0301", "café"),
    ("Спасибо", "спасибо"),
    ("नमस्ते", "नमस्ते"),
    ("می\u200cخواهم", "می\u200cخواهم"),
    (".", "."),
    ("Bx5 S1 M2x", "bx5 s1 m2x"),  # not FSW
    ("SEEBAD Seebad", "seebad seebad"),
])
def test_words(text: str, normal: str) -> None:
    assert read_text(text) == Text(normal, "words")


def test_words_are_bytes() -> None:
    a, b = token_ids(read_text("a")), token_ids(read_text("é"))
    assert len(a) == 3
    assert len(b) == 4
    assert a[0] == b[0] == token_ids(read_text("hello"))[0]
    assert token_ids(read_text("A")).tolist() == a.tolist()


def test_the_language_is_a_token() -> None:
    und, ase = token_ids(read_text("a")), token_ids(read_text("a", language="ASE"))
    assert np.flatnonzero(und != ase).tolist() == [1]


@pytest.mark.parametrize(("text", "message"), [
    ("", "the text is empty"),
    (" \n ", "the text is empty"),
    ("__", "the text is empty"),
    ("\u200d", "the text is empty"),
    ("hello \ue001", '"hello \\ue001": position 7: HamNoSys symbol U+E001 after words: give one notation at a time'),
    ("\ue001 hallo", '"\\ue001 hallo": position 3: words after HamNoSys: give one notation at a time'),
    (f"hello {SIGN}", f'"hello {SIGN}": position 7: FSW after words: give one notation at a time'),
    (f"{SIGN} \ue001", "position 23: HamNoSys symbol U+E001 after FSW: give one notation at a time"),
    ("\U0004000b a \ue001", "position 5: HamNoSys symbol U+E001 after SWU"),
    ("a \U0004000b", "position 3: SWU symbol U+4000B after words"),
    (f"{SIGN} hello", "position 23: h (U+0068) is no SignWriting"),
    ("a\x00b", '"a\\x00b": position 2: U+0000 is no character of words'),
    ("a\ud800b", '"a\\ud800b": position 2: U+D800 is no character of words'),
    ("a\n\x1b[31m", '"a\\n\\x1b[31m": position 3: U+001B is no character of words'),
    ("x" * 101, "words are 101 bytes of UTF-8 long, the limit is 100"),
    ("é" * 51, "words are 102 bytes"),
    ("x" * (MAX_CHARACTERS + 1), f"the text has {MAX_CHARACTERS + 1} characters, the limit is {MAX_CHARACTERS}"),
])
def test_a_bad_text_is_refused_where_it_is_bad(text: str, message: str) -> None:
    with pytest.raises(NotationError) as error:
        read_text(text)
    assert message in str(error.value)


def test_a_long_text_is_quoted_around_the_place() -> None:
    with pytest.raises(NotationError) as error:
        read_text("a" * 60 + "\x00" + "b" * 60)
    assert str(error.value).startswith('"...' + "a" * 20 + "\\x00" + "b" * 20 + '...": position 61: ')


def test_the_limits_themselves_are_allowed() -> None:
    assert len(token_ids(read_text("x" * 100))) == 102
    assert len(token_ids(read_text("\ue001" * (MAX_TOKENS - 2)))) == MAX_TOKENS
    assert len(token_ids(read_text("M500x500" + "S10000500x500" * 24))) == 2 + 3 + 24 * 5


@pytest.mark.parametrize(("text", "notation"), [
    ("hello", "signwriting"), ("hello", "picture"), ("hello", "hamnosys"), ("...", "hamnosys"), ("\ue001", "words"),
    ("\ue001", "signwriting"), (SIGN, "hamnosys"), ("\U0004000b", "words"),
])
def test_a_text_of_another_notation_than_asked_for_is_refused(text: str, notation: str) -> None:
    with pytest.raises(NotationError):
        read_text(text, notation=notation)


def test_a_notation_asked_for_is_not_detected() -> None:
    assert read_text(SIGN, notation="words") == Text(SIGN.lower(), "words")


def test_an_unknown_notation_names_all() -> None:
    with pytest.raises(NotationError, match="words, signwriting, hamnosys, picture"):
        read_text("a", notation="fsw")


@pytest.mark.parametrize(("language", "near"), [
    ("asl", "is ase"), ("LIBRAS", "is bzs"), ("gsgg", "are .*gsg"), ("as", "are .*ase")])
def test_an_unknown_language_names_the_nearest(language: str, near: str) -> None:
    with pytest.raises(NotationError, match=f"language '{language}' is not .*: nearest {near}"):
        read_text("a", language=language)


@settings(deadline=None)
@given(st.text())
def test_any_language_is_known_or_refused(language: str) -> None:
    read = read_or_message("a", language)
    assert len(read.splitlines()) == 1 if isinstance(read, str) else read.language in LANGUAGES


def test_a_text_made_by_hand_is_of_a_known_notation_and_language() -> None:
    with pytest.raises(NotationError):
        Text("a", "gloss")
    with pytest.raises(NotationError):
        Text("a", "words", "english")
    with pytest.raises(NotationError, match="lower case"):
        Text("a", "words", "ASE")


def test_a_text_made_by_hand_too_long_gets_no_tokens() -> None:
    with pytest.raises(NotationError, match="limit is 128"):
        token_ids(Text("x" * 127, "words"))


def test_embeddings() -> None:
    given_values = np.arange(6.).reshape(2, 3)
    kept = Embedding(given_values).values
    given_values[:] = 0  # a copy is kept
    assert kept.dtype == np.float32
    assert kept.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert Embedding(np.zeros(5)).values.shape == (1, 5)
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 1


@pytest.mark.parametrize("values", [
    np.zeros((0, 3)), np.zeros((65, 3)), np.zeros((1, 0)), np.zeros((1, 2, 3)), np.array(1.), np.array([[np.nan]]),
    np.array([[1e300]]), np.array([["a"]]), np.array([[1j]]),
])
def test_a_bad_embedding_is_refused(values: np.ndarray) -> None:
    with pytest.raises(NotationError, match="embedding"):
        Embedding(values)
