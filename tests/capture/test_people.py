from __future__ import annotations

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.capture.people import absences, appearances, changes, notes, one_by_one, runs
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
    after = one_by_one(full)(pose)
    empty = ~(after.body.confidence > 0).any((1, 2))
    assert runs(empty) == [(0, 30), (80, 93)]  # half a second is 12.5 frames
    assert not np.ma.getdata(after.body.data)[empty].any()
    assert_same_bits(Pose(after.header, after.body[30:80]), Pose(after.header, full(pose).body[30:80]))
    assert notes(pose) == ["nobody in 43 of 100 frames (0.0 to 1.2 s, 3.2 to 3.7 s): they stay empty"]


def test_who_is_there_all_the_time_is_left_to_the_refiner() -> None:
    pose = constructed_pose(20)
    assert_same_bits(one_by_one(full)(pose), full(pose))
    assert absences(pose) == []
    assert notes(pose) == []


def test_nobody_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="no person was found in any of its 20 frames"):
        one_by_one(full)(nobody(constructed_pose(20), (0, 20)))


def test_another_person_is_told_by_a_jump() -> None:
    pose = constructed_pose(80, fps=25)
    assert changes(pose) == []
    assert changes(moved(pose, 20, .8)) == []
    other = moved(moved(pose, 20, 2), 60, -2)
    assert changes(other) == [20, 60]
    assert appearances(other) == [(0, 20), (20, 60), (60, 80)]
    assert notes(other) == ["another person from 0.8 s, 2.4 s on, it seems: MediaPipe follows one at a time; crop the "
                            "video to one"]
    assert changes(nobody(other, (19, 20))) == [20, 60]
    assert changes(nobody(other, (10, 20))) == [60]  # time enough to walk there
    assert appearances(nobody(other, (5, 19))) == [(0, 5), (19, 20), (20, 60), (60, 80)]


def test_a_jump_there_and_back_is_a_mistake() -> None:
    pose = moved(moved(constructed_pose(80, fps=25), 40, 2), 43, -2)
    assert changes(pose) == []
    assert changes(moved(pose, 60, 3)) == [60]


def test_each_person_is_refined_alone() -> None:
    """What comes out is what comes out for the two halves of the video."""
    pose = moved(constructed_pose(80, fps=25), 40, 3)
    lengths = []

    def centred(part: Pose) -> Pose:
        data = np.ma.getdata(part.body.data)
        lengths.append(len(data))
        return Pose(part.header, NumPyPoseBody(part.body.fps, data - data.mean(), part.body.confidence))

    after = one_by_one(centred)(pose)
    assert lengths == [40, 40]
    data = np.ma.getdata(pose.body.data)
    for half in (slice(0, 40), slice(40, 80)):
        assert np.allclose(np.ma.getdata(after.body.data)[half], data[half] - data[half].mean(), atol=1e-3)
    assert np.array_equal(after.body.confidence, pose.body.confidence)


def test_a_few_of_many_changes_are_named() -> None:
    pose = constructed_pose(200, fps=25)
    for frame in range(20, 200, 20):
        pose = moved(pose, frame, 3)
    assert "and 4 more" in notes(pose)[0]


def test_one_frame_does_not_jump() -> None:
    assert changes(constructed_pose(1)) == []
    assert appearances(constructed_pose(1)) == [(0, 1)]
