"""Through gaps: what is between observations, and what lies beyond them."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Filled:
    """The filled observation.

    Attributes
    ----------
    features : Tensor
        `(B, T, K, 3)`: each point relative to its anchor; known everywhere.
    since, until : Tensor
        `(B, T, K)` seconds to the nearest observation before and after; infinite where there is none.
    """

    features: Tensor
    since: Tensor
    until: Tensor


def neighbours(mask: Tensor) -> tuple[Tensor, Tensor]:
    """`(B, T, K)` index of the last observed frame up to each frame (-1: none) and of the next from it (T: none)."""
    frames = mask.shape[1]
    index = torch.arange(frames, device=mask.device).view(1, -1, 1)
    before = torch.where(mask, index, -1).cummax(dim=1).values
    after = torch.where(mask, index, frames).flip(1).cummin(dim=1).values.flip(1)
    return before, after


def _at(values: Tensor, index: Tensor) -> Tensor:
    """Values `(B, T, K, 3)` at frame `index` `(B, T, K)`, clamped into the clip."""
    return values.gather(1, index.clamp(0, values.shape[1] - 1).unsqueeze(-1).expand(*index.shape, values.shape[-1]))


def _frame(values: Tensor, index: Tensor) -> Tensor:
    """Values `(B, T, K)` at frame `index` `(B, T, K)`, clamped into the clip."""
    return values.gather(1, index.clamp(0, values.shape[1] - 1))


def interpolate(values: Tensor, mask: Tensor, seconds: Tensor, default: Tensor,
                progress: Tensor | None = None) -> Filled:
    """Linear between observations, constant beyond the outer ones, `default` `(K, 3)` for points never observed.

    Linear in `seconds` `(B, T)`, or in `progress` `(B, T)` where that is given.
    """
    before, after = neighbours(mask)
    has_before, has_after = before >= 0, after < mask.shape[1]
    time = seconds.unsqueeze(-1)
    clamp = mask.shape[1] - 1
    since = time - seconds.unsqueeze(-1).expand_as(before).gather(1, before.clamp(0, clamp))
    until = seconds.unsqueeze(-1).expand_as(after).gather(1, after.clamp(0, clamp)) - time
    run, rest = since, until
    if progress is not None:
        ticks = progress.unsqueeze(-1).expand_as(before)
        run = progress.unsqueeze(-1) - ticks.gather(1, before.clamp(0, clamp))
        rest = ticks.gather(1, after.clamp(0, clamp)) - progress.unsqueeze(-1)
    weight = run / (run + rest).clamp(min=1e-6)
    weight = torch.where(has_before, torch.where(has_after, weight, 0.), 1.).unsqueeze(-1)
    filled = torch.lerp(_at(values, before), _at(values, after), weight)
    filled = torch.where(mask.unsqueeze(-1), values, filled)
    filled = torch.where((has_before | has_after).unsqueeze(-1), filled, default)
    infinity = torch.tensor(torch.inf, device=values.device)
    return Filled(filled, torch.where(has_before, since, infinity), torch.where(has_after, until, infinity))


def pchip(values: Tensor, mask: Tensor) -> Tensor:
    """Shape-preserving cubic through gaps (Fritsch and Butland 1984), constant beyond the outer observations.

    Parameters
    ----------
    values : Tensor
        `(B, T, K, 3)`; 0 comes back for points never observed.
    mask : Tensor
        `(B, T, K)` bool: observed.
    """
    before, after = neighbours(mask)
    frames = values.shape[1]
    hold = torch.where(before >= 0, before, after)
    x = torch.where((hold < frames).unsqueeze(-1), _at(values, hold), 0.)
    inside = (before >= 0) & (after < frames) & ~mask
    clips, points = inside.any(1).any(1).nonzero().squeeze(1), inside.any(1).any(0).nonzero().squeeze(1)
    if len(clips):  # most have no gaps
        place = clips[:, None, None], torch.arange(frames, device=values.device)[:, None], points
        x[place] = torch.where(inside[place].unsqueeze(-1), _bent(values[place], before[place], after[place]), x[place])
    return x


def _bent(values: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """The cubic at all frames `(B, T, K, 3)`; only what lies between two observations is meaningful."""
    frames = values.shape[1]
    earlier = _frame(F.pad(before[:, :-1], (0, 0, 1, 0), value=-1), before)  # the observation before that before
    later = _frame(F.pad(after[:, 1:], (0, 0, 0, 1), value=frames), after)
    length = (after - before).clamp(min=1).unsqueeze(-1)
    s = (torch.arange(frames, device=values.device).view(1, -1, 1) - before).unsqueeze(-1) / length
    left, right = _at(values, before), _at(values, after)
    chord = (right - left) / length
    back, ahead = (before - earlier).clamp(min=1).unsqueeze(-1), (later - after).clamp(min=1).unsqueeze(-1)
    coming, going = (left - _at(values, earlier)) / back, (_at(values, later) - right) / ahead
    has_earlier, has_later = (earlier >= 0).unsqueeze(-1), (later < frames).unsqueeze(-1)
    start = torch.where(has_later, _end_slope(chord, length, going, ahead), chord)
    start = torch.where(has_earlier, _slope(chord, length, coming, back), start)
    end = torch.where(has_earlier, _end_slope(chord, length, coming, back), chord)
    end = torch.where(has_later, _slope(chord, length, going, ahead), end)
    bend = s * (1 - s) * length * ((1 - s) * (start - chord) - s * (end - chord))
    return torch.lerp(left, right, s) + bend


def _slope(chord: Tensor, length: Tensor, other: Tensor, width: Tensor) -> Tensor:
    """At an inner observation: the weighted harmonic mean of the chords on its sides, 0 where they turn."""
    near, far = 2 * length + width, length + 2 * width
    straight = chord * other > 0
    mean = (near + far) / (near / torch.where(straight, other, 1.) + far / torch.where(straight, chord, 1.))
    return torch.where(straight, mean, 0.)


def _end_slope(chord: Tensor, length: Tensor, other: Tensor, width: Tensor) -> Tensor:
    """At the first or last observation: that of the parabola, limited (as SciPy's PchipInterpolator does)."""
    slope = ((2 * length + width) * chord - length * other) / (length + width)
    slope = torch.where(slope * chord > 0, slope, 0.)
    return torch.where((chord * other < 0) & (slope.abs() > 3 * chord.abs()), 3 * chord, slope)
