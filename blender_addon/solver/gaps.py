# SPDX-License-Identifier: GPL-3.0-or-later
"""Points over time: shaking taken out, short gaps closed, long ones held."""
from __future__ import annotations

import numpy as np

EASE = .25  # seconds in which a part that was lost goes to where it waits, and comes back
CUT = 4.0  # standard deviations at which the Gaussian ends

Spans = tuple[tuple[int, int], ...]


def smooth(values: np.ndarray, seen: np.ndarray, deviation: float) -> np.ndarray:
    """Gaussian over time of what was seen.

    Parameters
    ----------
    values : np.ndarray
        `(T, N, D)`.
    seen : np.ndarray
        `(T, N)` bool: the others have no weight, and neither has what lies beyond the ends.
    deviation : float
        Standard deviation in frames. 0 returns the values as they are.

    Returns
    -------
    np.ndarray
        `(T, N, D)`; what was not seen is as it was.
    """
    frames = len(values)
    reach = min(int(np.ceil(CUT * deviation)), frames - 1)
    if deviation <= 0 or reach < 1:
        return values
    weighted = np.concatenate([values, np.ones((*values.shape[:2], 1))], -1) * seen[..., None]
    total = weighted.copy()
    for step in range(1, reach + 1):
        weight = np.exp(-.5 * (step / deviation)**2)
        total[step:] += weight * weighted[:-step]
        total[:-step] += weight * weighted[step:]
    return np.where(seen[..., None], total[..., :-1] / np.maximum(total[..., -1:], 1e-12), values)


def fill(values: np.ndarray, seen: np.ndarray, longest: float, ease: float) -> np.ndarray:
    """Close gaps.

    Parameters
    ----------
    values : np.ndarray
        `(T, N, D)`.
    seen : np.ndarray
        `(T, N)` bool.
    longest : float
        Frames: gaps up to this are straight lines. In longer ones the last value is held until `ease` frames before
        the point comes back. Before the first and after the last value the nearest is held.
    ease : float
        Frames.

    Returns
    -------
    np.ndarray
        `(T, N, D)`; 0 for what was never seen.
    """
    if seen.all():
        return values
    frames = len(values)
    time = np.arange(frames)[:, None]
    before = np.maximum.accumulate(np.where(seen, time, -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, time, frames)[::-1], axis=0)[::-1]
    never = (before < 0) & (after >= frames)
    before, after = np.where(before < 0, after, before), np.where(after >= frames, before, after)
    before, after = np.where(never, 0, before), np.where(never, 0, after)
    length = np.maximum(after - before, 1)
    line = (time - before) / length
    late = step((time - after) / np.minimum(np.maximum(ease, 1), length) + 1)
    share = np.where(length - 1 <= longest, line, late)[..., None]
    start = np.take_along_axis(values, before[..., None], 0)
    end = np.take_along_axis(values, after[..., None], 0)
    return np.where(never[..., None], 0.0, np.where(seen[..., None], values, start + share * (end - start)))


def step(x: np.ndarray) -> np.ndarray:
    """From 0 at 0 to 1 at 1, flat at both ends."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def spans(seen: np.ndarray, longest: float) -> Spans:
    """The runs `(first, one after the last)` of more than `longest` frames in which `(T,)` is False."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], seen, [True]]).astype(int)))
    return tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a > longest)


def waiting(held: Spans, frames: int, ease: float) -> np.ndarray:
    """`(T,)`: 1 inside the spans, 0 outside, with soft ends inside the span where something was seen beside it."""
    weight = np.zeros(frames)
    time = np.arange(frames)
    for first, end in held:
        # A short span has room for half a way there and half a way back: it does not get all the way to rest.
        gone = step((time - first + 1) / max(ease, 1)) if first > 0 else np.ones(frames)
        back = step((end - time) / max(ease, 1)) if end < frames else np.ones(frames)
        weight = np.where((time >= first) & (time < end), np.minimum(gone, back), weight)
    return weight
