from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signwriting.formats.fsw_to_swu import fsw2swu
from signwriting.tokenizer import SignWritingTokenizer, normalize_signwriting

from pose_diffusion.notation import NotationError, read_text, token_ids
from pose_diffusion.notation.signwriting import _numbers
from pose_diffusion.notation.vocabulary import FIRST_SIGNWRITING
from tests.notation.signs import dictionary, letters

SIGN = "M518x529S14c20481x471S27106503x489"


def test_every_real_sign_is_read_as_the_package_normalises_it() -> None:
    for fsw in (*letters(), *dictionary()[0]):
        text = read_text(fsw)
        assert text.notation == "signwriting"
        assert text.text == normalize_signwriting(fsw)
        assert token_ids(text).min() > 0


def test_swu_of_every_real_sign_is_the_same_text() -> None:
    for fsw in (*letters()[::10], *dictionary()[0][::40]):
        assert read_text(fsw2swu(fsw)) == read_text(fsw)


def test_prefixes_are_dropped_and_signs_parted() -> None:
    one, two = "M518x529S14c20481x471", "M507x507S1f720487x492"
    for text in (f"AS14c20{one} {two}", f"{one}{two}", f"  {one}\n{two} ", fsw2swu(f"AS14c20{one}") + fsw2swu(two)):
        assert read_text(text).text == f"{one} {two}"


def test_punctuation_stands_without_a_box() -> None:
    assert read_text("S38800464x496").text == normalize_signwriting("S38800464x496") == "M500x500S38800464x496"


def test_tokens_are_those_of_the_package() -> None:
    ids = token_ids(read_text(SIGN))[2:] - FIRST_SIGNWRITING
    assert (ids + 4).tolist() == SignWritingTokenizer(starting_index=4).tokenize(SIGN)


def test_another_numbering_of_the_package_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = SignWritingTokenizer.tokens()
    monkeypatch.setattr(SignWritingTokenizer, "tokens", staticmethod(lambda: tokens[1:] + tokens[:1]))
    _numbers.cache_clear()
    with pytest.raises(RuntimeError, match="install signwriting=="):
        token_ids(read_text(SIGN))
    _numbers.cache_clear()


@pytest.mark.parametrize(("text", "message"), [
    ("M518x529S39020481x471", "position 9: SignWriting has no symbol S39020"),
    ("M518x529S0ff20481x471", "position 9: SignWriting has no symbol S0ff20"),
    ("M518x529S14c60481x471", "position 9: SignWriting has no symbol S14c60"),
    ("M518x529S38b20481x471", "position 9: SignWriting has no symbol S38b20"),  # its only fills are 0 and 1
    ("M518x529S14C20481x471", "position 9: a symbol is S and five digits"),
    ("M518x529S14c2", "position 9: a symbol is S and five digits"),
    ("M518x529S14c20481x750", "position 19: coordinate 750 is outside 250 to 749"),
    ("M518x529S14c20249x471", "position 15: coordinate 249 is outside"),
    ("M950x529S14c20481x471", "position 2: coordinate 950 is outside"),
    ("M518x52S14c20481x471", "position 2: here belongs a place"),
    ("M518x529S14c20481", "position 15: here belongs a place"),
    ("M518x529S14c20481x4711", "position 22: 1 (U+0031) is no SignWriting"),
    ("M518x529S14c20481x471!", "position 22: ! (U+0021) is no SignWriting"),
    ("M518x529", "position 9: the sign M518x529 has no symbol"),
    ("M518x529 M518x529S14c20481x471", "position 9: the sign M518x529 has no symbol"),
    ("AS14c20", "position 8: after A come symbols"),
    ("AS14c20 M518x529S14c20481x471", "position 8: after A come symbols"),
    ("M500x500" + "S10000500x500" * 25, "SignWriting of 25 symbols in 1 sign is 128 tokens long, the limit is 126"),
    ("M500x500S10000500x500" * 16, "16 symbols in 16 signs"),
    ("\U0001d803\U0001d80c", "position 2: here belongs a place"),
    ("\U0001d803" + "\U0001d80c" * 3, "position 4: "),
    ("\U0001d803" + "\U0001d80c" * 2 + "\U0004f4e1" + "\U0001d80c" * 2, "position 4: SignWriting has no symbol"),
    ("\U0001d803" + "\U0001d80c" * 2 + "7", "position 4: 7 (U+0037) is no symbol of SWU"),
    ("\U0001d805", "position 1: \U0001d805 (U+1D805) is no symbol of SWU"),
])
def test_a_mistake_is_shown_where_it_is(text: str, message: str) -> None:
    with pytest.raises(NotationError) as error:
        read_text(text)
    assert message in str(error.value)


@settings(deadline=None)
@given(st.data())
def test_a_changed_character_never_passes_in_silence(data: st.DataObject) -> None:
    """The package's own expressions skip what they do not know; every character must count here."""
    place = data.draw(st.integers(0, len(SIGN) - 1))
    other = data.draw(st.sampled_from("ABLMRSx019af g").filter(lambda c: c != SIGN[place]))
    changed = SIGN[:place] + other + SIGN[place + 1:]
    try:
        read = read_text(changed, notation="signwriting")
    except NotationError:
        return
    assert read.text == changed
