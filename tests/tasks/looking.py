"""What the tests of a task look at in a pose."""
from __future__ import annotations

from typing import Any

import numpy as np
from pose_format import Pose

from pose_diffusion.layout import HOLISTIC, RIGHT_HAND, locate
from tests.poses import constructed_pose, lose, part

ROUNDING = 2e-3  # pixels: what float32 leaves of a result when it is computed in another batch


def place(pose: Pose) -> np.ndarray:
    """The layout's points among those of the pose."""
    found = locate(pose.header, HOLISTIC)
    return found[found >= 0]


def seen(pose: Pose) -> np.ndarray:
    """`(T, people, points)` bool."""
    return (pose.body.confidence > 0) & ~np.ma.getmaskarray(pose.body.data).any(-1)


def values(pose: Pose) -> np.ndarray:
    return np.ma.getdata(pose.body.data)


def lost_hand(frames: int = 30, **options: Any) -> Pose:
    """The right hand is lost for a third of the clip."""
    pose = constructed_pose(frames, **options)
    return lose(pose, slice(frames // 3, 2 * frames // 3), part(pose, RIGHT_HAND))


def distance(a: Pose, b: Pose) -> np.ndarray:
    """`(T, people, points)` in pixels."""
    return np.linalg.norm(values(a)[..., :2] - values(b)[..., :2], axis=-1)
