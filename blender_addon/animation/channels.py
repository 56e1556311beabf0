# SPDX-License-Identifier: GPL-3.0-or-later
"""The property that turns a bone in its rotation mode, and rotations as its values."""
from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Euler, Quaternion

from ..solver.rotations import unit

PROPERTIES = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}


@dataclass(frozen=True, eq=False)
class Channel:
    """A bone's rotation.

    Attributes
    ----------
    mode : str
        `QUATERNION`, `AXIS_ANGLE`, or the order of Euler angles.
    path : str
        Of the property, from the object.
    now : np.ndarray
        `(C,)`: its values as they are.
    """

    mode: str
    path: str
    now: np.ndarray


def rotation(bone: bpy.types.PoseBone) -> Channel:
    """The channel that a bone turns by."""
    prop = PROPERTIES.get(bone.rotation_mode, "rotation_euler")
    return Channel(bone.rotation_mode, bone.path_from_id(prop), np.array(getattr(bone, prop), float))


def values(channel: Channel, quaternions: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Rotations as values of a channel.

    Of the values that are the same rotation those are taken that are nearest to what was keyed, so that no curve jumps
    where new keys meet old ones.

    Parameters
    ----------
    channel : Channel
    quaternions : np.ndarray
        `(T, 4)`.
    before : np.ndarray
        `(T, C)`: the channel's values in these frames until now.

    Returns
    -------
    np.ndarray
        `(T, C)`.
    """
    if channel.mode == "QUATERNION":
        return quaternions * _sign((quaternions * before).sum(-1))
    if channel.mode == "AXIS_ANGLE":
        return _axis_angles(quaternions, before)
    return np.array([Quaternion(new).to_euler(channel.mode, Euler(old, channel.mode))
                     for new, old in zip(quaternions, before)])


def _axis_angles(quaternions: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Angle and axis, the axis on the side of the one before; without an angle it is that one."""
    axis, sine = unit(quaternions[:, 1:]), np.linalg.norm(quaternions[:, 1:], axis=-1)
    axis = np.where(sine[:, None] > 1e-6, axis, before[:, 1:])
    sign = _sign((axis * before[:, 1:]).sum(-1))
    angle = 2 * np.arctan2(sine, quaternions[:, 0]) * sign[:, 0]
    angle -= 2 * np.pi * np.round((angle - before[:, 0]) / (2 * np.pi))
    return np.column_stack([angle, axis * sign])


def _sign(cosine: np.ndarray) -> np.ndarray:
    return np.where(cosine < 0, -1.0, 1.0)[:, None]
