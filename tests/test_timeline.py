from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pose_diffusion.timeline import fill


@given(st.integers(1, 30), st.integers(1, 4), st.floats(0, 1), st.integers(0, 2**31))
def test_as_numpy_interpolates_each_track(frames: int, tracks: int, lost: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, seen = rng.normal(0, 100, (frames, tracks, 3)), rng.random((frames, tracks)) >= lost
    filled = fill(values, seen)
    for track in range(tracks):
        there = seen[:, track]
        for d in range(3):
            expected = np.interp(np.arange(frames), np.flatnonzero(there), values[there, track, d]) if there.any() \
                else values[:, track, d]
            assert np.allclose(filled[:, track, d], expected, atol=1e-9)
        assert np.array_equal(filled[there, track], values[there, track])


def test_values_without_further_dimensions() -> None:
    values, seen = np.array([[9.0], [1], [9], [3], [9]]), np.array([[False], [True], [False], [True], [False]])
    assert fill(values, seen)[:, 0].tolist() == [1, 1, 2, 3, 3]


def test_the_input_is_only_read() -> None:
    values, seen = np.ones((3, 1)), np.array([[True], [False], [False]])
    values[1:] = np.nan
    fill(values, seen)
    assert np.isnan(values[1:]).all()
