# SPDX-License-Identifier: GPL-3.0-or-later
"""Keypoints of what an armature plays."""
from __future__ import annotations

from collections.abc import Mapping

import bpy
import numpy as np

from ..errors import AddonError
from ..posefile import PoseFile
from ..solver.skeleton import Skeleton
from .evaluation import axes_of, sampled
from .keypoints import keypoints
from .space import skeleton_of

LONGEST = 20_000  # frames; more is a mistake, and would take minutes


def keypoints_of(context: bpy.types.Context, armature: bpy.types.Object, bones: Mapping[str, str], first: int,
                 last: int, *, face: bool = False) -> PoseFile:
    """Keypoints of an armature from its evaluated bones, frame by frame.

    Parameters
    ----------
    context : bpy.types.Context
        Its scene's frame rate is that of the result. Frame, selection and poses are not touched.
    armature : bpy.types.Object
        Anything may move it: an action, the NLA, constraints, drivers. Hidden or not.
    bones : mapping of str to str
        Role to bone name.
    first, last : int
        Scene frames, both included.
    face : bool
        Whether the header has the face's contours too, with confidence 0: the model then fills them in.

    Returns
    -------
    PoseFile
        As `keypoints.keypoints` makes it.

    Raises
    ------
    AddonError
        If the range is empty or too long, a bone is gone, or there is no pose to be read.
    """
    check_range(first, last)
    skeleton = skeleton_of(armature, bones)
    matrices = sampled(context, armature, np.arange(first, last + 1))
    return keypoints_from(skeleton, matrices, scene_fps(context.scene), face=face)


def keypoints_from(skeleton: Skeleton, matrices: np.ndarray, fps: float, *, face: bool = False) -> PoseFile:
    """The same of the bones' matrices `(T, B, 4, 4)`."""
    heads = matrices[..., :3, 3]
    lengths = np.linalg.norm(skeleton.tails - skeleton.heads, axis=-1)
    tails = heads + matrices[..., :3, 1] * lengths[:, None]
    return keypoints(skeleton, axes_of(matrices), heads, tails, fps, face=face)


def scene_fps(scene: bpy.types.Scene) -> float:
    """Frames per second: 23.976 is 24 with a base of 1.001."""
    return scene.render.fps / scene.render.fps_base


def check_range(first: int, last: int) -> None:
    """Whether frames can be read; errors are those of `keypoints_of`."""
    if not 1 <= last - first + 1 <= LONGEST:
        raise AddonError(f"frames {first} to {last} cannot be read: choose a range of 1 to {LONGEST} frames")
