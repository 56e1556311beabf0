from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pose_diffusion.diffusion.condition import PLACES, Condition, keep, none, place, stack, together


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


def placed(batch: int, begin: float, end: float, seed: int = 0) -> Condition:
    given = condition(batch, 2, seed=seed)
    return replace(given, span=torch.tensor([begin, end]).expand(batch, 2, 2))


def test_together_keeps_each_sign_with_its_place() -> None:
    first, second = placed(3, 0., 1.), placed(3, 1., 2.5, seed=1)
    both = together([first, second])
    assert torch.equal(both.tokens, torch.cat([first.tokens, second.tokens], dim=1))
    assert both.span is not None
    assert both.span[0].tolist() == [[0., 1.]] * 2 + [[1., 2.5]] * 2


@pytest.mark.parametrize(("parts", "message"), [
    ([], "no conditions"), ([condition(1, 2), condition(1, 2)], "where in the clip"),
    ([placed(1, 0, 1), placed(2, 0, 1)], "same clips"),
])
def test_together_refuses_what_does_not_belong_together(parts: list[Condition], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        together(parts)


def test_rows_repeats_and_reorders() -> None:
    given = placed(3, 0, 1)
    some = given.rows(torch.tensor([2, 0, 2]))
    assert torch.equal(some.tokens, given.tokens[[2, 0, 2]])
    assert some.span is not None
    assert some.span.shape == (3, 2, 2)


def test_places_are_told_from_the_windows_start_and_stay_finite() -> None:
    spans = torch.tensor([[0., 1.], [-50., 80.], [.5, .5], [2., 2.4]])
    told = place(spans)
    assert told.shape == (4, PLACES)
    assert told.isfinite().all()
    assert told.abs().max() < 6
    assert told[0, :2].tolist() == [0., 1.]


def test_stack_wants_spans_everywhere_or_nowhere() -> None:
    stacked = stack([placed(1, 0, 1), placed(2, 1, 2)])
    assert stacked.span is not None
    assert stacked.span[:, 0].tolist() == [[0., 1.], [1., 2.], [1., 2.]]
    with pytest.raises(ValueError, match="spans"):
        stack([placed(1, 0, 1), condition(1, 2)])


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


def test_a_span_of_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="spans"):
        replace(condition(2, 3), span=torch.zeros(2, 2, 2))


@pytest.mark.parametrize(("tokens", "mask"), [
    (torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)),
    (torch.zeros(2, 3, 4), torch.ones(2, 2, dtype=torch.bool)),
    (torch.zeros(2, 3, 4), torch.ones(2, 3)),
    (torch.zeros(2, 3, 4, dtype=torch.float64), torch.ones(2, 3, dtype=torch.bool)),
])
def test_a_condition_of_wrong_shapes_or_types_is_refused(tokens: torch.Tensor, mask: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="a condition needs"):
        Condition(tokens, mask)
