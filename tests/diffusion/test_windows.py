from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pose_diffusion.diffusion.windows import Windows, cover

LENGTHS = st.lists(st.integers(1, 90), min_size=1, max_size=4)
SIZES = st.integers(1, 8).map(lambda quarter: 4 * quarter)


def valid(lengths: list[int]) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)


def ends(windows: Windows, clip: int) -> list[tuple[int, int]]:
    """First frame and frame after the last of a clip's windows."""
    return [(int(first), int(first) + windows.size) for first in windows.first[windows.clip == clip]]


@given(LENGTHS, SIZES)
def test_the_weights_of_every_frame_add_up_to_one(lengths: list[int], size: int) -> None:
    windows = cover(lengths, size, size // 4)
    total = windows.join(windows.cut(torch.ones(len(lengths), max(lengths), 1)))[..., 0]
    assert torch.allclose(total[valid(lengths)], torch.ones(sum(lengths)), atol=1e-6)
    assert (total[~valid(lengths)] == 0).all()
    assert ((windows.weight >= 0) & (windows.weight <= 1)).all()


@given(LENGTHS, SIZES)
def test_what_is_cut_is_joined_again(lengths: list[int], size: int) -> None:
    x = torch.randn(len(lengths), max(lengths), 2, 3, generator=torch.Generator().manual_seed(0))
    windows = cover(lengths, size, size // 4)
    parts = windows.cut(x)
    assert parts.shape == (len(windows.clip), size, 2, 3)
    assert torch.allclose(windows.join(parts)[valid(lengths)], x[valid(lengths)], atol=1e-5)


@given(LENGTHS, SIZES)
def test_windows_overlap_and_the_last_ends_with_the_clip(lengths: list[int], size: int) -> None:
    windows = cover(lengths, size, size // 4)
    for clip, length in enumerate(lengths):
        places = ends(windows, clip)
        assert places[0][0] == 0
        assert places[-1][1] == max(length, size)
        for (_, end), (first, _) in zip(places, places[1:]):
            assert end - first >= size // 4


@given(LENGTHS, SIZES)
def test_the_windows_of_a_clip_do_not_depend_on_the_batch(lengths: list[int], size: int) -> None:
    together = cover(lengths, size, size // 4)
    for clip, length in enumerate(lengths):
        alone = cover([length], size, size // 4)
        assert ends(together, clip) == ends(alone, 0)
        assert torch.allclose(together.weight[together.clip == clip], alone.weight, atol=1e-6)


def test_no_more_windows_than_needed() -> None:
    assert [len(cover([length], 32, 8).clip) for length in (1, 31, 32, 33, 56, 57, 80)] == [1, 1, 1, 2, 2, 3, 3]


def test_what_is_beyond_the_batch_is_zero() -> None:
    parts = cover([5], 8, 2).cut(torch.ones(1, 5, 1, dtype=torch.int64))
    assert parts[0, :, 0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]


def test_a_step_between_windows_is_faded_over() -> None:
    """Two windows that disagree by 1 become a ramp: no frame jumps by more than its share of the overlap."""
    windows = cover([56], 32, 8)
    parts = torch.stack([torch.zeros(32, 1), torch.ones(32, 1)])
    steps = windows.join(parts)[0, :, 0].diff()
    assert steps.abs().max() == pytest.approx(1 / 9, abs=1e-6)
    assert (steps >= 0).all()
