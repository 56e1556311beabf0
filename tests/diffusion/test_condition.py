from __future__ import annotations

import math

import pytest
import torch

from pose_diffusion.diffusion.condition import Condition, drop, keep, none, stack


def condition(batch: int, length: int, width: int = 3, seed: int = 0) -> Condition:
    tokens = torch.randn(batch, length, width, generator=torch.Generator().manual_seed(seed))
    return Condition(tokens, torch.ones(batch, length, dtype=torch.bool))


def test_none_has_no_tokens() -> None:
    empty = none(4, 16)
    assert empty.tokens.shape == (4, 0, 16)
    assert empty.mask.shape == (4, 0)


def test_keep_masks_all_tokens_of_the_others_and_changes_nothing_else() -> None:
    given = condition(3, 5)
    kept = keep(given, torch.tensor([True, False, True]))
    assert kept.mask.all(1).tolist() == [True, False, True]
    assert not kept.mask[1].any()
    assert torch.equal(kept.tokens, given.tokens)
    assert given.mask.all()


def test_keep_does_not_bring_padding_back() -> None:
    padded = stack([condition(1, 2), condition(1, 4)])
    assert torch.equal(keep(padded, torch.tensor([True, True])).mask, padded.mask)


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.6, 1.0])
def test_drop_takes_whole_samples_with_its_probability(probability: float) -> None:
    n = 10_000
    mask = drop(condition(n, 3), probability, torch.Generator().manual_seed(0)).mask
    assert torch.equal(mask.any(1), mask.all(1))
    dropped = float((~mask.any(1)).double().mean())
    assert dropped == pytest.approx(probability, abs=5 * math.sqrt(probability * (1 - probability) / n))


def test_drop_is_repeatable_and_moves_its_generator_on() -> None:
    given, generator = condition(64, 2), torch.Generator().manual_seed(0)
    first, second = drop(given, 0.5, generator), drop(given, 0.5, generator)
    assert torch.equal(first.mask, drop(given, 0.5, torch.Generator().manual_seed(0)).mask)
    assert not torch.equal(first.mask, second.mask)


def test_drop_of_no_condition_is_no_condition() -> None:
    assert drop(none(4, 3), 0.5, torch.Generator()).tokens.shape == (4, 0, 3)


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_drop_refuses_what_is_no_probability(probability: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        drop(condition(2, 2), probability, torch.Generator())


def test_stack_pads_with_masked_zeros_and_keeps_the_order() -> None:
    parts = [condition(1, 2, seed=1), condition(2, 4, seed=2), none(1, 3)]
    stacked = stack(parts)
    assert stacked.tokens.shape == (4, 4, 3)
    assert stacked.mask.sum(1).tolist() == [2, 4, 4, 0]
    assert torch.equal(stacked.tokens[:1, :2], parts[0].tokens)
    assert torch.equal(stacked.tokens[1:3], parts[1].tokens)
    assert not stacked.tokens[~stacked.mask].any()


@pytest.mark.parametrize("widths", [[], [3, 4]])
def test_stack_refuses_an_empty_list_and_different_widths(widths: list[int]) -> None:
    with pytest.raises(ValueError, match="one width"):
        stack([condition(1, 2, width) for width in widths])


@pytest.mark.parametrize(("tokens", "mask"), [
    (torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)),
    (torch.zeros(2, 3, 4), torch.ones(2, 2, dtype=torch.bool)),
    (torch.zeros(2, 3, 4), torch.ones(2, 3)),
    (torch.zeros(2, 3, 4, dtype=torch.float64), torch.ones(2, 3, dtype=torch.bool)),
])
def test_a_condition_of_wrong_shapes_or_types_is_refused(tokens: torch.Tensor, mask: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="a condition needs"):
        Condition(tokens, mask)
