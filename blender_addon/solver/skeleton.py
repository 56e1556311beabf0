# SPDX-License-Identifier: GPL-3.0-or-later
"""An armature at rest, and a motion of it.

Axes are the armature's: metres, x to the character's left, y to its back, z up; it faces -y. A bone's own axes are
Blender's: y from head to tail. Nothing here relies on a bone's roll.

A *role* is what a bone is for, whatever it is called. Bone `index.2.L` goes from joint `index.2.L` to
joint `index.3.L`.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .rotations import to_matrices

SIDES = ("L", "R")
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
TORSO_ROLES = ("hips", "spine", "chest", "neck", "head")
ARM_ROLES = ("shoulder", "upper_arm", "forearm", "hand")
LEG_ROLES = ("thigh", "shin")  # only lifted bodies drive them: they are in no bone map
ROLES = (*TORSO_ROLES, *(f"{role}.{side}" for side in SIDES for role in (
    *ARM_ROLES, *(f"{finger}.{i}" for finger in FINGERS for i in (1, 2, 3)))))


@dataclass(frozen=True, eq=False)
class Skeleton:
    """An armature in its rest pose.

    Attributes
    ----------
    bones : tuple of str
        Names of all bones, parents before their children; B of them.
    parents : np.ndarray
        `(B,)` int: index of each bone's parent, -1 for none.
    heads, tails : np.ndarray
        `(B, 3)` metres, in the armature's space.
    rest : np.ndarray
        `(B, 3, 3)`: the bones' axes at rest (`Bone.matrix_local` without translation).
    roles : mapping of str to int
        Index of the bone that plays a role; those of `ROLES` that the armature has.
    """

    bones: tuple[str, ...]
    parents: np.ndarray
    heads: np.ndarray
    tails: np.ndarray
    rest: np.ndarray
    roles: Mapping[str, int]

    def posed(self, quaternions: Mapping[int, np.ndarray], frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Forward kinematics, as Blender does it for bones that inherit rotation.

        Parameters
        ----------
        quaternions : mapping of int to np.ndarray
            `(T, 4)` of each posed bone, in its own rest axes (`PoseBone.rotation_quaternion`). Others stay at rest.
        frames : int
            T.

        Returns
        -------
        axes : np.ndarray
            `(T, B, 3, 3)`.
        heads, tails : np.ndarray
            `(T, B, 3)`.
        """
        axes = np.empty((frames, len(self.bones), 3, 3))
        heads = np.empty((frames, len(self.bones), 3))
        for bone, parent in enumerate(self.parents):
            if parent < 0:
                axes[:, bone], heads[:, bone] = self.rest[bone], self.heads[bone]
            else:
                turned = axes[:, parent] @ self.rest[parent].T
                axes[:, bone] = turned @ self.rest[bone]
                heads[:, bone] = heads[:, parent] + turned @ (self.heads[bone] - self.heads[parent])
            if bone in quaternions:
                axes[:, bone] = axes[:, bone] @ to_matrices(quaternions[bone])
        along = np.einsum("bji,bj->bi", self.rest, self.tails - self.heads)  # in each bone's own axes
        return axes, heads, heads + np.einsum("tbij,bj->tbi", axes, along)


@dataclass(frozen=True, eq=False)
class Motion:
    """What the solver makes of keypoints for one skeleton.

    Attributes
    ----------
    fps : float
        Of the keypoints; keys may lie between the scene's frames.
    bones : tuple of str
        Names of the driven bones; N of them.
    quaternions : np.ndarray
        `(T, N, 4)` w, x, y, z, in each bone's own rest axes, finite, without changes of sign.
    shapes : mapping of str to np.ndarray
        `(T,)` from 0 to 1 of each facial shape, by its ARKit name (`jawOpen`); empty without a face.
    held : mapping of str to tuple
        Part (`"body"`, `"head"`, `"left_hand"`, `"right_hand"`, `"face"`) to the spans `(first frame, the one after the
        last)` in which it was not seen for so long that it is held.
    notes : tuple of str
        What the user should know: one line each.
    """

    fps: float
    bones: tuple[str, ...]
    quaternions: np.ndarray
    shapes: Mapping[str, np.ndarray] = field(default_factory=dict)
    held: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
