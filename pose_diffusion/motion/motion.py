"""A motion: the joints of a body in 3D, frame by frame."""
from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline


@dataclass(frozen=True)
class Motion:
    """Joints over time in the world: metres, y up, right-handed.

    Attributes
    ----------
    names : tuple of str
        J joints.
    parents : tuple of int
        Index of each joint's parent, -1 for a root. Parents come before their children.
    xyz : np.ndarray
        ``(T, J, 3)`` float32.
    fps : float
        Frames per second.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    xyz: np.ndarray
    fps: float

    def __len__(self) -> int:
        return len(self.xyz)

    def index(self, name: str) -> int:
        """The column of a joint.

        Raises
        ------
        ValueError
            If there is no joint of that name.
        """
        if name not in self.names:
            raise ValueError(f"no joint {name!r}: there are {', '.join(self.names[:20])}")
        return self.names.index(name)

    @property
    def seconds(self) -> float:
        """How long it takes, counted as ``frames / fps``."""
        return len(self.xyz) / self.fps


def resample(motion: Motion, fps: float) -> Motion:
    """A motion at another frame rate, from its first frame on.

    Between frames the joints move on cubic splines, which keep the lengths of bones steadier than straight lines do.
    Motion faster than half the new rate is not filtered out first: bodies have little of it from 20 fps up.

    Parameters
    ----------
    motion : Motion
        At least one frame.
    fps : float
        Above 0.

    Returns
    -------
    Motion
        The frames at ``i / fps`` up to the last one; the same motion where the rate is the same.

    Raises
    ------
    ValueError
        For a frame rate that is none.
    """
    if not 0 < fps < math.inf:
        raise ValueError(f"a frame rate must be a number above 0, not {fps}")
    if fps == motion.fps:
        return motion
    last = (len(motion) - 1) / motion.fps
    times = np.arange(math.floor(last * fps + 1e-6) + 1) / fps
    if len(motion) == 1:
        return replace(motion, fps=fps)
    at = np.arange(len(motion)) / motion.fps
    spline = CubicSpline(at, motion.xyz.astype(np.float64), axis=0)
    return replace(motion, xyz=spline(np.minimum(times, last)).astype(np.float32), fps=fps)
