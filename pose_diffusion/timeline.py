"""Filling tracks over time."""
from __future__ import annotations

import numpy as np


def fill(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Tracks without gaps: linear in time between what was seen, held before the first and after the last.

    Parameters
    ----------
    values : np.ndarray
        `(T, ...)` floats at even steps of time.
    seen : np.ndarray
        Bool, the first dimensions of `values`' shape. A track never seen stays as it is.

    Returns
    -------
    np.ndarray
        The shape of `values`. What was seen keeps its bits.
    """
    frame = np.arange(len(values)).reshape(-1, *[1] * (seen.ndim - 1))
    before = np.maximum.accumulate(np.where(seen, frame, -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, frame, len(values))[::-1], axis=0)[::-1]
    never = (before < 0) & (after == len(values))
    before, after = np.where(before < 0, after, before), np.where(after == len(values), before, after)
    before, after = np.where(never, frame, before), np.where(never, frame, after)
    weight = (frame - before) / np.maximum(after - before, 1)
    shape = (*seen.shape, *[1] * (values.ndim - seen.ndim))
    before, after, weight = before.reshape(shape), after.reshape(shape), weight.reshape(shape)
    if values.ndim > seen.ndim:
        before, after = np.broadcast_to(before, values.shape), np.broadcast_to(after, values.shape)
    first, last = np.take_along_axis(values, before, axis=0), np.take_along_axis(values, after, axis=0)
    return first + weight * (last - first)
