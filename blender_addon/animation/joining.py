# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that stay as they are, and what was made between them, in one."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import AddonError
from ..posefile import PoseFile
from ..solver.rotations import between, to_matrices, to_quaternions

KEPT = .999  # confidence of keypoints that were read from an armature; what the model makes has less


def spans(lengths: Sequence[int], result: PoseFile) -> list[tuple[int, int]]:
    """Where the parts are in a result: first frame and the one after the last, which may be held.

    Parameters
    ----------
    lengths : sequence of int
        Frames of each part.
    result : PoseFile
        All parts in order, of full confidence, with generated frames between, of less.

    Raises
    ------
    AddonError
        If these parts are not found in it.
    """
    kept = (result.confidence[:, 0] >= KEPT).any(1) if result.confidence.shape[1] else np.zeros(len(result.data), bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]]).astype(int)))
    runs = [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2])]
    held, rest = divmod(len(kept) - sum(lengths), len(lengths))
    if runs == [(0, len(kept))] and held >= 0 and not rest:  # no time between, each held as long
        ends = np.cumsum([length + held for length in lengths])
        return [(int(end) - length - held, int(end)) for end, length in zip(ends, lengths)]
    if len(runs) != len(lengths) or any(end - begin < length for (begin, end), length in zip(runs, lengths)):
        raise AddonError(f"the result of {len(result.data)} frames does not have the {len(lengths)} strips in it: "
                         "nothing was written; please report this")
    return runs


def joined(layout: Sequence[tuple[int, int]], made: np.ndarray, parts: Sequence[np.ndarray],
           locals_: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rotations of all bones over the whole.

    Parameters
    ----------
    layout : sequence of (int, int)
        Of `spans`.
    made : np.ndarray
        `(T, B, 3, 3)`: axes solved from the result, in the parts too.
    parts : sequence of np.ndarray
        `(t, B, 3, 3)`: each part's own axes.
    locals_ : sequence of np.ndarray
        The same in the bones' own rest axes.

    Returns
    -------
    rotations : np.ndarray
        `(T, B, 3, 3)` in the bones' own rest axes, for bones that nothing drives: in straight ways from part to part.
    axes : np.ndarray
        `(T, B, 3, 3)`, for driven bones. Between parts the solved ones, with what the parts' own have beyond them at
        both edges, gone over into each other.
    """
    rotations, axes = np.empty_like(made), np.empty_like(made)
    for (begin, end), part, own in zip(layout, parts, locals_):
        frames = np.minimum(np.arange(end - begin), len(part) - 1)
        axes[begin:end], rotations[begin:end] = part[frames], own[frames]
    for (_, left), (right, _) in zip(layout, layout[1:]):
        if left == right:
            continue
        share = np.arange(1, right - left + 1) / (right - left + 1)
        beyond = [made[i].swapaxes(-1, -2) @ axes[i] for i in (left - 1, right)]
        axes[left:right] = made[left:right] @ ways(beyond[0], beyond[1], share)
        rotations[left:right] = ways(rotations[left - 1], rotations[right], share)
    return rotations, axes


def ways(first: np.ndarray, last: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`(t, B, 3, 3)`: at each share `(t,)` of the way from rotations `(B, 3, 3)` to others."""
    return to_matrices(between(to_quaternions(first)[None], to_quaternions(last)[None], share[:, None]))
