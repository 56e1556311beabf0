from __future__ import annotations

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.capture.people import absences, jumps, notes, only_present, runs
from tests.poses import assert_same_bits, constructed_pose, lose


def nobody(pose: Pose, *gaps: tuple[int, int]) -> Pose:
    """The pose without anybody in some frames."""
    for start, stop in gaps:
        pose = lose(pose, slice(start, stop), range(pose.body.data.shape[2]))
    return pose


def full(pose: Pose) -> Pose:
    """A refiner that invents a person in every frame."""
    data = np.ma.getdata(pose.body.data)
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, np.where(data == 0, 7, data),
                                           np.where(pose.body.confidence == 0, .5, pose.body.confidence)))


def moved(pose: Pose, frame: int, shoulder_widths: float) -> Pose:
    """The same with the person somewhere else from a frame on."""
    data = np.ma.getdata(pose.body.data).copy()
    width = np.linalg.norm(data[0, 0, 11, :2] - data[0, 0, 12, :2])
    data[frame:, ..., 0] += shoulder_widths * width
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, pose.body.confidence))


def test_who_is_away_for_long_is_not_invented() -> None:
    pose = nobody(constructed_pose(100, fps=25), (0, 30), (50, 60), (80, 93))
    after = only_present(full)(pose)
    empty = ~(after.body.confidence > 0).any((1, 2))
    assert runs(empty) == [(0, 30), (80, 93)]  # half a second is 12.5 frames
    assert not np.ma.getdata(after.body.data)[empty].any()
    assert_same_bits(Pose(after.header, after.body[30:80]), Pose(after.header, full(pose).body[30:80]))
    assert notes(pose) == ["nobody in 43 of 100 frames (0.0 to 1.2 s, 3.2 to 3.7 s): they stay empty"]


def test_who_is_there_all_the_time_is_left_to_the_refiner() -> None:
    pose = constructed_pose(20)
    assert_same_bits(only_present(full)(pose), full(pose))
    assert absences(pose) == []
    assert notes(pose) == []


def test_nobody_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="no person was found in any of its 20 frames"):
        only_present(full)(nobody(constructed_pose(20), (0, 20)))


def test_another_person_is_told_by_a_jump() -> None:
    pose = constructed_pose(50, fps=25)
    assert jumps(pose) == []
    assert jumps(moved(pose, 20, .8)) == []
    other = moved(moved(pose, 20, 2), 40, -2)
    assert jumps(other) == [20, 40]
    assert notes(other)[0].startswith("the person jumps at 0.8 s, 1.6 s: MediaPipe follows one person")
    assert jumps(nobody(other, (19, 20))) == [20]  + [40]
    assert jumps(nobody(other, (10, 20))) == [40]  # time enough to walk there


def test_a_few_of_many_jumps_are_named() -> None:
    pose = constructed_pose(50, fps=25)
    for frame in range(0, 50, 5):
        pose = moved(pose, frame, 3)
    assert "and 4 more" in notes(pose)[0]


def test_one_frame_does_not_jump() -> None:
    assert jumps(constructed_pose(1)) == []
