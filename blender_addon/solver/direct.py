# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingers that point exactly where the points are: mode "follow"."""
from __future__ import annotations

import numpy as np

from .points import Points
from .rest import direction, swung
from .skeleton import FINGERS, Skeleton


def fingers(points: Points, skeleton: Skeleton, side: str, hand: np.ndarray) -> dict[str, np.ndarray]:
    """Turns of finger bones: the smallest from what the bone before does, so that nothing is twisted.

    Parameters
    ----------
    points : Points
        Of T frames.
    skeleton : Skeleton
        At rest.
    side : str
        `L` or `R`.
    hand : np.ndarray
        `(T, 3, 3)` turns of the hand.

    Returns
    -------
    dict of str to np.ndarray
        Role to `(T, 3, 3)` turns.
    """
    turns: dict[str, np.ndarray] = {}
    before = dict.fromkeys(FINGERS, hand)
    for i in (1, 2, 3):
        there = [finger for finger in FINGERS if f"{finger}.{i}.{side}" in skeleton.roles
                 and points.has(f"{finger}.{i}.{side}", f"{finger}.{i + 1}.{side}")]
        if there:
            ends = np.stack([points.at[f"{f}.{i + 1}.{side}"] - points.at[f"{f}.{i}.{side}"] for f in there], 1)
            rest = np.stack([direction(skeleton, f"{f}.{i}", side) for f in there])
            turned = swung(np.stack([before[f] for f in there], 1), rest, ends)
            before |= {finger: turned[:, n] for n, finger in enumerate(there)}
            turns |= {f"{finger}.{i}.{side}": before[finger] for finger in there}
    return turns
