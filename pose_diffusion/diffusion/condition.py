"""What a sample is conditioned on: embedded tokens of a text, or none."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

SHORTEST = .05  # seconds: the logarithm of a shorter sign is no number to learn from
FARTHEST = 3.  # seconds: how far away a sign's beginning or end lies is not told beyond this
PLACES = 5  # numbers that say where a sign lies
WAVES = 4  # half periods that say how far a sign has come
MOMENTS = 2 * WAVES + 1  # numbers that do


@dataclass(frozen=True, eq=False)
class Condition:
    """Embedded text for a batch. A sample whose tokens are all masked out has no condition.

    Attributes
    ----------
    tokens : Tensor ``(batch, length, width)``, float32
        Length may be 0.
    mask : Tensor ``(batch, length)``, bool
        True where there is a token, False for padding.
    span : Tensor ``(batch, length, 2)``, float32, optional
        Seconds in the clip at which the sign of each token begins and ends; None where that is not known.

    Raises
    ------
    ValueError
        Where shapes or types do not fit.
    """
    tokens: Tensor
    mask: Tensor
    span: Tensor | None = None

    def __post_init__(self) -> None:
        if self.span is not None and self.span.shape != (*self.mask.shape, 2):
            raise ValueError(f"spans of tokens must be {(*self.mask.shape, 2)}, not {tuple(self.span.shape)}")
        if self.tokens.ndim != 3 or self.mask.shape != self.tokens.shape[:2]:
            raise ValueError("a condition needs tokens (batch, length, width) and a mask (batch, length), "
                             f"not {tuple(self.tokens.shape)} and {tuple(self.mask.shape)}")
        if self.tokens.dtype != torch.float32 or self.mask.dtype != torch.bool:
            raise ValueError("a condition needs float32 tokens and a bool mask, "
                             f"not {self.tokens.dtype} and {self.mask.dtype}")


    def rows(self, index: Tensor) -> Condition:
        """The condition of some of the samples, or of some several times."""
        return Condition(self.tokens[index], self.mask[index], None if self.span is None else self.span[index])

    def to(self, device: torch.device | str) -> Condition:
        """On another device."""
        span = None if self.span is None else self.span.to(device)
        return Condition(self.tokens.to(device), self.mask.to(device), span)


def none(batch: int, width: int) -> Condition:
    """No condition: no tokens at all, ``(batch, 0, width)``."""
    return Condition(torch.zeros(batch, 0, width), torch.zeros(batch, 0, dtype=torch.bool))


def keep(condition: Condition, kept: Tensor) -> Condition:
    """The condition where ``kept`` ``(batch,)`` bool is True; none elsewhere, all tokens there masked out."""
    return replace(condition, mask=condition.mask & kept[:, None])


def together(conditions: Sequence[Condition]) -> Condition:
    """The texts of several signs of the same clips, one after the other: their spans tell them apart.

    Raises
    ------
    ValueError
        For an empty list, tokens of different widths or batches, or a condition without a span.
    """
    if not conditions:
        raise ValueError("no conditions to put together")
    spans = [condition.span for condition in conditions if condition.span is not None]
    if len(spans) < len(conditions):
        raise ValueError("conditions can only be put together if each says where in the clip its sign is")
    if len({(condition.tokens.shape[0], condition.tokens.shape[2]) for condition in conditions}) > 1:
        raise ValueError("conditions to put together must be of the same clips and width")
    return Condition(torch.cat([condition.tokens for condition in conditions], dim=1),
                     torch.cat([condition.mask for condition in conditions], dim=1), torch.cat(spans, dim=1))


def stack(conditions: Sequence[Condition]) -> Condition:
    """One batch of several, in order, padded with masked zero tokens to the longest.

    Raises
    ------
    ValueError
        For an empty list, tokens of different widths, or spans in some only.
    """
    widths = {condition.tokens.shape[2] for condition in conditions}
    if len(widths) != 1:
        raise ValueError(f"conditions to stack must have one width, not {sorted(widths) or 'none'}")
    longest = max(condition.tokens.shape[1] for condition in conditions)
    missing = [longest - condition.tokens.shape[1] for condition in conditions]
    tokens = torch.cat([pad(condition.tokens, (0, 0, 0, n)) for condition, n in zip(conditions, missing)])
    mask = torch.cat([pad(condition.mask, (0, n)) for condition, n in zip(conditions, missing)])
    spans = [pad(c.span, (0, 0, 0, n)) for c, n in zip(conditions, missing) if c.span is not None]
    if spans and len(spans) < len(conditions):
        raise ValueError("conditions to stack must all have spans, or none")
    return Condition(tokens, mask, torch.cat(spans) if spans else None)


def place(span: Tensor) -> Tensor:
    """Where signs lie, as the network is told: ``(..., 2)`` seconds of beginning and end from the window's first frame
    to ``(..., PLACES)`` numbers of about unit size, finest near the window's start and for short signs.
    """
    begin, end = span.unbind(-1)
    length = (end - begin).clamp(min=SHORTEST)
    return torch.stack([begin.clamp(-FARTHEST, FARTHEST), end.clamp(-FARTHEST, FARTHEST), torch.exp(-2 * begin.abs()),
                        torch.exp(-2 * end.abs()), length.log()], dim=-1)


def moments(condition: Condition, times: Tensor) -> tuple[Tensor, Tensor]:
    """Which sign is being made at each moment, and how far it has come.

    Parameters
    ----------
    condition : Condition
        ``(B, L)`` tokens with spans.
    times : Tensor
        ``(B, N)`` seconds in the clip.

    Returns
    -------
    tuple of Tensor
        ``(B, N, width + MOMENTS)``: the mean of the tokens of the signs that are being made and how far they have come,
        from 0 to 1, and its cosines and sines; ``(B, N)`` bool: whether there is any.
    """
    if condition.span is None:
        raise ValueError("a condition without spans does not say when its signs are made")
    begin, end = condition.span[:, None].unbind(-1)  # (B, 1, L)
    moment = times[..., None]
    inside = condition.mask[:, None] & (moment >= begin) & (moment <= end)
    done = ((moment - begin) / (end - begin).clamp(min=SHORTEST)).clamp(0, 1)
    angle = torch.pi * done.unsqueeze(-1) * torch.arange(1, WAVES + 1, device=times.device)
    told = torch.cat([done.unsqueeze(-1), angle.cos(), angle.sin()], dim=-1)  # (B, N, L, MOMENTS)
    share = inside / inside.sum(-1, keepdim=True).clamp(min=1)
    told = (share.unsqueeze(-1) * told).sum(2)
    return torch.cat([share @ condition.tokens, told], dim=-1), inside.any(-1)
