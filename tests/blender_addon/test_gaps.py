# SPDX-License-Identifier: GPL-3.0-or-later
"""Points over time: smoothing and gaps."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from blender_addon.solver import gaps


def walk(frames: int = 60, points: int = 3) -> np.ndarray:
    return np.cumsum(np.random.default_rng(0).normal(size=(frames, points, 3)), 0)


def test_smoothing_keeps_what_bends_evenly_and_takes_shaking_out() -> None:
    t = np.arange(60.0)
    even = np.stack([.01 * t**2 - t, 3 - t, t * 0 + 5], -1)[:, None]
    seen = np.ones((60, 1), bool)
    np.testing.assert_allclose(gaps.smooth(even, seen, 1.5)[6:-6], even[6:-6], atol=2e-3)
    noise = np.random.default_rng(0).normal(size=(2000, 1, 1))
    left = gaps.smooth(noise, np.ones((2000, 1), bool), 1.5).std()
    assert left == pytest.approx(np.linalg.norm(gaps.kernel(1.5)), rel=.1)
    assert left < .6


def test_smoothing_is_its_kernel_where_everything_is_seen() -> None:
    values = walk()
    made = gaps.smooth(values, np.ones((60, 3), bool), 1.5)
    for column in range(3):
        expected = np.convolve(values[:, 0, column], gaps.kernel(1.5)[::-1], mode="same")
        np.testing.assert_allclose(made[6:-6, 0, column], expected[6:-6], atol=1e-9)
    assert gaps.kernel(1.5).sum() == pytest.approx(1)
    assert gaps.kernel(0).tolist() == [1]


def test_smoothing_of_nothing_changes_nothing() -> None:
    values = walk()
    assert gaps.smooth(values, np.ones((60, 3), bool), 0) is values
    assert gaps.smooth(values[:1], np.ones((1, 3), bool), 3) is not None


def test_what_was_not_seen_has_no_weight() -> None:
    values, seen = walk(), np.ones((60, 3), bool)
    seen[20:30] = False
    other = values.copy()
    other[20:30] = 1e6
    made = gaps.smooth(other, seen, 2.0)
    np.testing.assert_allclose(made[seen], gaps.smooth(values, seen, 2.0)[seen])
    constant = gaps.smooth(np.ones_like(values), seen, 2.0)
    np.testing.assert_allclose(constant, 1)  # at the clip's ends too


def test_a_short_gap_is_a_line_and_a_long_one_waits() -> None:
    values = np.arange(40.0)[:, None, None] * np.ones(3)
    seen = np.ones((40, 1), bool)
    seen[10:15] = seen[20:35] = False
    made = gaps.fill(np.where(seen[..., None], values, -99), seen, 5, 4)
    np.testing.assert_allclose(made[:16], values[:16])
    np.testing.assert_allclose(made[20:32], 19)  # holds, and comes back in the last four frames
    assert (np.diff(made[31:36, 0, 0]) > 0).all()
    np.testing.assert_allclose(made[35:], values[35:])


def test_before_the_first_and_after_the_last_the_nearest_is_held() -> None:
    values = np.arange(10.0)[:, None, None] * np.ones(3)
    seen = np.zeros((10, 2), bool)
    seen[4:6, 0] = True
    made = gaps.fill(np.repeat(values, 2, 1), seen, 2, 2)
    assert made[:, 0, 0].tolist() == [4, 4, 4, 4, 4, 5, 5, 5, 5, 5]
    assert not made[:, 1].any()


@given(arrays(bool, st.tuples(st.integers(1, 30), st.just(2))), st.floats(0, 10), st.floats(0, 10))
def test_whatever_is_missing_the_seen_stays_and_the_rest_lies_between(seen: np.ndarray, longest: float,
                                                                     ease: float) -> None:
    values = walk(len(seen), 2)
    broken = np.where(seen[..., None], values, np.inf)
    made = gaps.fill(np.where(np.isfinite(broken), broken, 0), seen, longest, ease)
    assert np.isfinite(made).all()
    np.testing.assert_array_equal(made[seen], values[seen])
    for point in range(2):
        if seen[:, point].any():
            known = values[seen[:, point], point]
            assert (made[:, point] >= known.min(0) - 1e-9).all()
            assert (made[:, point] <= known.max(0) + 1e-9).all()


@pytest.mark.parametrize(("seen", "longest", "expected"), [
    ("1111", 1, ()), ("0000", 1, ((0, 4), )), ("0000", 4, ()), ("100011100", 2, ((1, 4), )),
    ("0001000", 2, ((0, 3), (4, 7)))])
def test_spans(seen: str, longest: float, expected: tuple[tuple[int, int], ...]) -> None:
    assert gaps.spans(np.array([c == "1" for c in seen]), longest) == expected


def test_waiting_is_soft_beside_what_was_seen() -> None:
    weight = gaps.waiting(((0, 20), (40, 60), (90, 100)), 100, 5)
    assert (weight[:15] == 1).all()
    assert (weight[20:40] == 0).all()
    assert (weight[46:54] == 1).all()
    assert weight[-1] == 1
    assert np.abs(np.diff(weight)).max() < .35
    assert weight[[19, 40, 59, 90]].max() < .2
