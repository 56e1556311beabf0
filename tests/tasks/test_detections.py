"""What is read of poses, and what is not."""
from __future__ import annotations

import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion.layout import BODY as MEDIAPIPE
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.tasks.detections import joints_of, view_of
from tests.poses import constructed_pose


def moved(pose: Pose, factor: float = 1., shift: float = 0.) -> Pose:
    pose.body.data[..., :2] = pose.body.data[..., :2] * factor + shift
    return pose


def test_a_pose_in_other_units_is_refused() -> None:
    """As fractions of the picture, or normalised to shoulders of width 1."""
    with pytest.raises(ValueError, match=r"within .* pixels: give a pose in pixels"):
        joints_of(moved(constructed_pose(3), 1 / 640))
    joints_of(moved(constructed_pose(3), .2))


def test_a_pose_outside_its_picture_is_told() -> None:
    with pytest.raises(ValueError, match="all points are outside the picture"):
        joints_of(moved(constructed_pose(3), shift=5000))


def test_another_person_is_proposed() -> None:
    pose = constructed_pose(3, people=2)
    pose.body.confidence[:, 0] = 0
    with pytest.raises(ValueError, match="choose another with --person"):
        joints_of(pose)
    assert (joints_of(pose, 1)[1] > 0).any()


def test_points_in_any_order_and_number() -> None:
    pose = constructed_pose(3)
    arms = [name for name in pose.header.components[0].points
            if name.endswith(("SHOULDER", "ELBOW", "WRIST"))]
    some = pose.get_components([MEDIAPIPE], {MEDIAPIPE: arms[::-1]})
    (points, seen), (whole, _) = joints_of(some), joints_of(pose)
    joints = [BODY.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist")]
    np.testing.assert_array_equal(points[:, joints], whole[:, joints])
    assert not seen[:, BODY.index("left_knee")].any()
    assert view_of(some).confidence.shape == (3, len(BODY))


def test_what_is_hidden_may_be_anything() -> None:
    pose = constructed_pose(3)
    elbow = list(pose.header.components[0].points).index("LEFT_ELBOW")
    pose.body.confidence[1, 0, elbow] = 0
    np.ma.getdata(pose.body.data)[1, 0, elbow] = np.nan
    points, seen = joints_of(pose)
    assert np.isfinite(points).all()
    assert seen[1, BODY.index("left_elbow")] == 0
    assert (seen[[0, 2], BODY.index("left_elbow")] > 0).all()


def test_frames_with_all_points_at_one_place_show_nobody() -> None:
    pose = constructed_pose(6)
    pose.body.data[:3, ..., :2] = 300
    sure = joints_of(pose)[1]
    assert not sure[:3].any()
    assert (sure[3:] > 0).any(1).all()
    for frame in range(6):
        pose.body.data[frame, ..., :2] = 50 * frame
    with pytest.raises(ValueError, match="in every frame all joints of person 0 are at one place"):
        joints_of(pose)
