from __future__ import annotations

import pytest

from pose_diffusion.notation import NotationError, Text, read_text, token_ids
from pose_diffusion.notation.hamnosys import FIRST, LAST, PUNCTUATION
from pose_diffusion.notation.vocabulary import FIRST_HAMNOSYS, FIRST_SIGNWRITING
from tests.notation.signs import dictionary


def test_all_of_a_real_dictionary_is_read_as_it_is() -> None:
    signs = dictionary()[1]
    assert len(signs) > 1000
    for sign in signs:
        text = read_text(sign)
        assert text == Text(sign.strip(), "hamnosys")
        assert len(token_ids(text)) == 2 + len(text.text)


def test_every_symbol_has_its_own_token() -> None:
    ids: list[int] = []
    for point in range(FIRST, LAST + 1):
        try:
            ids += token_ids(read_text(chr(point)))[2:].tolist()
        except NotationError as error:
            assert f"HamNoSys has no symbol U+{point:04X}" in str(error)  # noqa: PT017
    ids += token_ids(read_text("\ue000" + PUNCTUATION + "\ue000"))[3:-1].tolist()
    assert len(ids) == len(set(ids)) == 201 + len(PUNCTUATION)
    assert min(ids) >= FIRST_HAMNOSYS
    assert max(ids) < FIRST_SIGNWRITING


def test_a_choice_may_stand_first() -> None:
    assert read_text("{\ue001|\ue002} ").text == "{\ue001|\ue002}"


@pytest.mark.parametrize(("text", "message"), [
    ("\ue001\ue00f", "position 2: HamNoSys has no symbol U+E00F"),
    ("\ue001\ue0f2", "position 2: U+E0F2 is no symbol of HamNoSys"),
    ("\ue0011", "position 2: 1 (U+0031) is no symbol of HamNoSys"),
    ("\ue001" * 127, "HamNoSys of 127 symbols, the limit is 126"),
])
def test_a_mistake_is_shown_where_it_is(text: str, message: str) -> None:
    with pytest.raises(NotationError) as error:
        read_text(text)
    assert message in str(error.value)
