# SPDX-License-Identifier: GPL-3.0-or-later
"""Points over time: shaking taken out, short gaps closed, long ones held."""
from __future__ import annotations

import numpy as np

EASE = .25  # seconds in which a part that was lost goes to where it waits, and comes back
CUT = 4.0  # standard deviations at which the weights end
STRAIGHT = .05  # frames: how much evidence it takes to bend the curve. At a clip's end little is seen

Spans = tuple[tuple[int, int], ...]


def smooth(values: np.ndarray, seen: np.ndarray, deviation: float) -> np.ndarray:
    """A parabola over time through what was seen around each frame, with Gaussian weights.

    Local quadratic regression (Cleveland 1979, without its robust weights; of even steps a Savitzky-Golay filter). A
    Gaussian mean cuts the corners of fast movement, and signing is fast.

    Parameters
    ----------
    values : np.ndarray
        `(T, N, D)`.
    seen : np.ndarray
        `(T, N)` bool: the others have no weight, and neither has what lies beyond the ends.
    deviation : float
        Standard deviation of the weights in frames. 0 returns the values as they are.

    Returns
    -------
    np.ndarray
        `(T, N, D)`; what was not seen is as it was.
    """
    frames = len(values)
    reach = min(int(np.ceil(CUT * deviation)), frames - 1)
    if deviation <= 0 or reach < 1:
        return values
    moments, sums = np.zeros((5, *seen.shape)), np.zeros((3, *values.shape))
    for step in range(-reach, reach + 1):
        to, source = (slice(max(0, -s), frames - max(0, s)) for s in (step, -step))
        weight = np.exp(-.5 * (step / deviation)**2) * seen[source]
        for power in range(5):
            moments[power, to] += weight * (step / deviation)**power
        for power in range(3):
            sums[power, to] += (weight * (step / deviation)**power)[..., None] * values[source]
    row = _intercept(moments)
    return np.where(seen[..., None], np.einsum("p...,p...d->...d", row, sums), values)


def _intercept(moments: np.ndarray) -> np.ndarray:
    """`(3, ...)`: what the sums of a regression are multiplied with for the value in the middle, by Cramer's rule."""
    s0, s1, s2, s3, s4 = moments
    linear, square = s2 + STRAIGHT, s4 + STRAIGHT
    row = np.stack([linear * square - s3 * s3, s2 * s3 - s1 * square, s1 * s3 - linear * s2])
    return row / np.maximum(s0 * row[0] + s1 * row[1] + s2 * row[2], 1e-12)


def kernel(deviation: float) -> np.ndarray:
    """The weights `(2 R + 1,)` that `smooth` gives the frames around one, where all is seen; they add up to about 1."""
    steps = np.arange(-int(np.ceil(CUT * deviation)), int(np.ceil(CUT * deviation)) + 1)
    place = steps / max(deviation, 1e-9)
    weight = np.exp(-.5 * place**2)
    row = _intercept(np.stack([(weight * place**power).sum() for power in range(5)]))
    return weight * (row[0] + row[1] * place + row[2] * place**2)


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
