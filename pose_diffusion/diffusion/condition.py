"""What a sample is conditioned on: embedded tokens of a text, or none."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True, eq=False)
class Condition:
    """Embedded text for a batch. A sample whose tokens are all masked out has no condition.

    Attributes
    ----------
    tokens : Tensor ``(batch, length, width)``, float32
        Length may be 0.
    mask : Tensor ``(batch, length)``, bool
        True where there is a token, False for padding.

    Raises
    ------
    ValueError
        Where shapes or types do not fit.
    """
    tokens: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        if self.tokens.ndim != 3 or self.mask.shape != self.tokens.shape[:2]:
            raise ValueError("a condition needs tokens (batch, length, width) and a mask (batch, length), "
                             f"not {tuple(self.tokens.shape)} and {tuple(self.mask.shape)}")
        if self.tokens.dtype != torch.float32 or self.mask.dtype != torch.bool:
            raise ValueError("a condition needs float32 tokens and a bool mask, "
                             f"not {self.tokens.dtype} and {self.mask.dtype}")


def none(batch: int, width: int) -> Condition:
    """No condition: no tokens at all, ``(batch, 0, width)``."""
    return Condition(torch.zeros(batch, 0, width), torch.zeros(batch, 0, dtype=torch.bool))


def keep(condition: Condition, kept: Tensor) -> Condition:
    """The condition where ``kept`` ``(batch,)`` bool is True; none elsewhere, all tokens there masked out."""
    return Condition(condition.tokens, condition.mask & kept[:, None])


def drop(condition: Condition, probability: float, generator: torch.Generator) -> Condition:
    """Take the condition from each sample with this probability, so that the network learns to do without as well.

    Raises
    ------
    ValueError
        For a probability outside of 0 to 1.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"the probability of dropping a condition must be from 0 to 1, not {probability}")
    draw = torch.rand(len(condition.mask), generator=generator, device=generator.device)
    return keep(condition, (draw >= probability).to(condition.mask.device))


def stack(conditions: Sequence[Condition]) -> Condition:
    """One batch of several, in order, padded with masked zero tokens to the longest.

    Raises
    ------
    ValueError
        For an empty list or tokens of different widths.
    """
    widths = {condition.tokens.shape[2] for condition in conditions}
    if len(widths) != 1:
        raise ValueError(f"conditions to stack must have one width, not {sorted(widths) or 'none'}")
    longest = max(condition.tokens.shape[1] for condition in conditions)
    missing = [longest - condition.tokens.shape[1] for condition in conditions]
    tokens = torch.cat([pad(condition.tokens, (0, 0, 0, n)) for condition, n in zip(conditions, missing)])
    mask = torch.cat([pad(condition.mask, (0, n)) for condition, n in zip(conditions, missing)])
    return Condition(tokens, mask)
