"""A stand-in for MediaPipe, called like `load_refined_holistic`."""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.capture.results import WRISTS, holistic_header
from pose_diffusion.layout import BODY_POINTS, RIGHT_HAND, copy_header
from tests.poses import constructed_pose, lose, part


@dataclass
class FakeCapture:
    """A person in every frame, whose right hand is lost in the second quarter; it can be sent to other processes.

    Attributes
    ----------
    nobody : (int, int)
        Frames without anybody.
    slow : float
        Seconds a frame takes.
    deadly : int
        The process dies of a video with so many frames, as MediaPipe can.
    calls : list
        The arguments of each call, with the number of frames and the grey of each.
    """

    nobody: tuple[int, int] = (0, 0)
    slow: float = 0
    deadly: int = -1
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, frames: Iterable[np.ndarray], fps: float, width: int, height: int, *,
                 refiner: Callable[[Pose], Pose], **options: Any) -> tuple[Pose, Pose]:
        greys = []
        for frame in frames:
            assert frame.shape == (height, width, 3)
            greys.append(float(np.median(frame)))
            time.sleep(self.slow)
        if len(greys) == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls.append({"fps": fps, "width": width, "height": height, "greys": greys, **options})
        raw = captured(len(greys), fps, width, height, self.nobody)
        return refiner(raw), raw


def captured(frames: int, fps: float, width: int, height: int, nobody: tuple[int, int] = (0, 0)) -> Pose:
    """What the fake finds; the body's wrists are a little off those of the hands, as MediaPipe's are."""
    person = constructed_pose(frames, fps=fps)
    assert person.body.data.shape[2] == 576
    data = np.ma.getdata(person.body.data) * [width / 640, height / 480, 1]
    shoulders = data[..., [BODY_POINTS.index("LEFT_SHOULDER"), BODY_POINTS.index("RIGHT_SHOULDER")], 0]
    data[..., list(WRISTS), 0] += .1 * np.abs(np.diff(shoulders))
    pose = Pose(holistic_header(width, height), NumPyPoseBody(fps, data, person.body.confidence))
    pose = lose(pose, slice(frames // 4, frames // 2), part(pose, RIGHT_HAND))
    pose = lose(pose, slice(*nobody), range(576))
    return Pose(copy_header(pose.header), pose.body)
