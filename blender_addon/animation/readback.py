# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether bones do what was keyed: evaluated, and compared."""
from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from ..errors import AddonError
from ..solver.skeleton import Skeleton
from . import obstacles
from .evaluation import axes_of, sampled
from .space import local_rotations

FOLLOWS = 1.0  # degrees by which a bone may be off; single precision alone makes about .001


def check(context: bpy.types.Context, armature: bpy.types.Object, skeleton: Skeleton, inherits: np.ndarray,
          frames: np.ndarray, bones: Sequence[int], keyed: np.ndarray, before: np.ndarray) -> list[str]:
    """Evaluate two frames, and compare each bone's rotation with what was keyed.

    Parameters
    ----------
    context, armature
        What plays.
    skeleton, inherits
        `skeleton_of` it and `inheriting` of it.
    frames : np.ndarray
        `(T,)` of the scene.
    bones : sequence of int
        N bones that were keyed.
    keyed : np.ndarray
        `(T, N, 3, 3)` rotations in the bones' own rest axes.
    before : np.ndarray
        The same, or `(3, 3)`: what bones do that do not follow.

    Returns
    -------
    list of str
        A note on bones that do not follow, if there are any.

    Raises
    ------
    AddonError
        If none follows of those that should move; it says why.
    """
    away = degrees(keyed, before)
    farthest = int(away.sum(1).argmax())
    chosen = sorted({farthest, int(degrees(keyed, keyed[farthest]).sum(1).argmax())})
    local = local_rotations(skeleton, inherits, axes_of(sampled(context, armature, frames[chosen])))
    follows = degrees(local[:, list(bones)], keyed[chosen]).max(0) <= FOLLOWS
    moves = away[chosen].max(0) > FOLLOWS
    names = [skeleton.bones[bone] for bone in bones]
    if moves.any() and not follows[moves].any():
        raise AddonError(f"{armature.name} does not move, though {len(names)} bones were keyed: "
                         f"{obstacles.reason(armature, names)}; nothing was changed")
    return obstacles.still(armature, [name for name, follow in zip(names, follows) if not follow])


def degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles between rotations `(..., 3, 3)`; exact for small ones."""
    return np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(a - b, axis=(-1, -2)) / np.sqrt(8), 0, 1)))
