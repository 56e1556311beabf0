from __future__ import annotations

import numpy as np
import pytest

from pose_diffusion.notation import NotationError, picture, read_text
from tests.notation.signs import dictionary, letters


def draw(fsw: str) -> np.ndarray:
    return picture(read_text(fsw, notation="picture"))


def ink_size(image: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(image > .1)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


@pytest.mark.parametrize("fsw", [*letters()[::60], *dictionary()[0][::400]])
def test_a_real_sign_has_ink_in_the_middle(fsw: str) -> None:
    image = draw(fsw)
    assert image.shape == (64, 64)
    assert image.dtype == np.float32
    assert image.min() == 0
    assert .5 < image.max() <= 1
    rows, columns = np.nonzero(image > .1)
    assert abs(rows.min() + rows.max() - 63) < 6
    assert abs(columns.min() + columns.max() - 63) < 6


def test_where_a_sign_stands_makes_no_difference() -> None:
    assert np.array_equal(draw("M518x529S14c20481x471"), draw("M618x629S14c20581x571"))


def test_a_wrong_box_cuts_nothing_off() -> None:
    assert np.array_equal(draw("M518x529S14c20481x471"), draw("M250x250S14c20481x471"))
    assert np.array_equal(draw("M518x529S14c20481x471"), draw("M749x749S14c20481x471"))


def test_a_symbol_has_one_size_until_a_sign_is_too_large() -> None:
    alone, small, large = (draw(f"M500x500S14720493x485{more}") for more in ("", "S14720530x485", "S14720700x485"))
    height, _ = ink_size(alone)
    assert ink_size(small)[0] == height
    assert ink_size(large)[0] < height / 2
    assert ink_size(large)[1] >= 60


def test_the_layout_is_seen() -> None:
    left, right = draw("M500x500S14720460x485S2ff00482x483"), draw("M500x500S14720520x485S2ff00482x483")
    assert np.abs(left - right).sum() > 20


def test_the_largest_sign_there_can_be() -> None:
    image = draw("M749x749S10000250x250S10000749x749")
    assert ink_size(image)[0] >= 60


def test_it_is_kept_and_cannot_be_changed() -> None:
    image = draw("M518x529S14c20481x471")
    assert draw("M518x529S14c20481x471") is image
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 1


def test_the_same_again_when_drawn_anew() -> None:
    before = draw("M518x529S14c20481x471").copy()
    picture.cache_clear()
    assert np.array_equal(draw("M518x529S14c20481x471"), before)


def test_two_signs_are_refused() -> None:
    two = "M518x529S14c20481x471 M507x507S1f720487x492"
    with pytest.raises(NotationError, match="position 23: a second sign"):
        draw(two)
    with pytest.raises(NotationError, match="a second sign"):
        picture(read_text(two))


@pytest.mark.parametrize("text", ["hello", "\ue001"])
def test_only_signwriting_is_drawn(text: str) -> None:
    with pytest.raises(NotationError, match="a picture is of SignWriting"):
        picture(read_text(text))
