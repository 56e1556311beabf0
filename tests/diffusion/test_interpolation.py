"""Between observations and beyond them: against NumPy and SciPy."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from pose_diffusion.diffusion.interpolation import interpolate, neighbours, pchip

POINTS = 4


def drawn(frames: int, share: float, seed: int, grain: float = 0.) -> tuple[Tensor, Tensor]:
    """Values `(2, frames, POINTS, 3)` that turn and stand still, rounded to `grain`, and what is seen of them."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(2, frames, POINTS, 3, generator=generator)
    values = (values / grain).round() * grain if grain else values
    return values, torch.rand(2, frames, POINTS, generator=generator) < share


def columns(values: Tensor, mask: Tensor) -> list[tuple[tuple[int, int], np.ndarray, np.ndarray]]:
    """Clip and point, rows seen, and values `(rows, 3)` there in double precision."""
    return [((b, k), mask[b, :, k].nonzero()[:, 0].numpy(), values[b, mask[b, :, k], k].double().numpy())
            for b in range(len(values)) for k in range(values.shape[2])]


# Shape-preserving cubic


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.sampled_from([.1, .3, .6, .9, 1.]), st.sampled_from([0., .5]), st.integers(0, 2**31))
def test_pchip_is_that_of_scipy(frames: int, share: float, grain: float, seed: int) -> None:
    values, mask = drawn(frames, share, seed, grain)
    found = pchip(torch.where(mask.unsqueeze(-1), values, 99.), mask)
    for (b, k), rows, seen in columns(values, mask):
        expected = np.zeros((frames, 3))
        if len(rows) > 1:
            expected = PchipInterpolator(rows, seen, axis=0)(np.arange(frames).clip(rows[0], rows[-1]))
        elif len(rows):
            expected[:] = seen
        assert np.allclose(found[b, :, k], expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.floats(0, 1), st.integers(0, 2**31))
def test_pchip_keeps_what_is_seen_and_does_not_overshoot(frames: int, share: float, seed: int) -> None:
    values, mask = drawn(frames, share, seed)
    found = pchip(values, mask)
    assert torch.equal(found[mask], values[mask])
    for (b, k), rows, seen in columns(values, mask):
        for first, last, left, right in zip(rows, rows[1:], seen, seen[1:]):
            between = found[b, first:last + 1, k].numpy()
            assert (between >= np.minimum(left, right) - 1e-5).all()
            assert (between <= np.maximum(left, right) + 1e-5).all()


def test_pchip_bends_where_a_line_would_not() -> None:
    """Through a gap in an acceleration it is much nearer than the line, and on a straight track it is the line."""
    t = torch.arange(20.).view(1, 20, 1, 1).expand(1, 20, 1, 3)
    mask = torch.ones(1, 20, 1, dtype=torch.bool)
    mask[:, 8:14] = False
    squared = (t / 20)**2
    line = torch.lerp(squared[:, 7:8], squared[:, 14:15], (t[:, 7:15] - 7) / 7)
    assert (pchip(squared, mask) - squared).abs().max() < .3 * (line - squared[:, 7:15]).abs().max()
    assert torch.allclose(pchip(t, mask), t, atol=1e-5)


# Linear


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.floats(0, 1), st.booleans(), st.integers(0, 2**31))
def test_interpolation_is_that_of_numpy(frames: int, share: float, paced: bool, seed: int) -> None:
    """On uneven frames, in time or in step with something else; the default for what is never seen."""
    values, mask = drawn(frames, share, seed)
    steps = torch.rand(2, 2, frames, generator=torch.Generator().manual_seed(seed)) + .05
    seconds, progress = steps.cumsum(-1)
    default = torch.arange(3. * POINTS).view(POINTS, 3)
    filled = interpolate(torch.where(mask.unsqueeze(-1), values, 99.), mask, seconds, default,
                         progress if paced else None)
    assert torch.equal(filled.features[mask], values[mask])
    for (b, k), rows, seen in columns(values, mask):
        clock, pace = seconds[b].double().numpy(), (progress if paced else seconds)[b].double().numpy()
        expected = np.tile(default[k].numpy(), (frames, 1)).astype(float)
        since, until = np.full(frames, np.inf), np.full(frames, np.inf)
        if len(rows):
            expected = np.stack([np.interp(pace, pace[rows], column) for column in seen.T], axis=1)
            since[rows[0]:] = (clock - clock[rows[np.searchsorted(rows, np.arange(frames), "right") - 1]])[rows[0]:]
            until[:rows[-1] + 1] = (clock[rows[np.searchsorted(rows, np.arange(rows[-1] + 1))]]
                                    - clock[:rows[-1] + 1])
        assert np.allclose(filled.features[b, :, k], expected, atol=1e-4)
        assert np.allclose(filled.since[b, :, k], since, atol=1e-5)
        assert np.allclose(filled.until[b, :, k], until, atol=1e-5)


@pytest.mark.parametrize(("seen", "before", "after"), [
    ([], [-1, -1, -1, -1], [4, 4, 4, 4]),
    ([0], [0, 0, 0, 0], [0, 4, 4, 4]),
    ([1, 2], [-1, 1, 2, 2], [1, 1, 2, 4]),
    ([0, 3], [0, 0, 0, 3], [0, 3, 3, 3]),
])
def test_neighbours(seen: list[int], before: list[int], after: list[int]) -> None:
    mask = torch.zeros(1, 4, 1, dtype=torch.bool)
    mask[:, seen] = True
    found = neighbours(mask)
    assert found[0][0, :, 0].tolist() == before
    assert found[1][0, :, 0].tolist() == after
