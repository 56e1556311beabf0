from __future__ import annotations

import hashlib
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion.capture.results import Landmarks, Results, assign, holistic_header, pose_from_results
from pose_diffusion.clip import encode
from pose_diffusion.layout import BODY, FACE, LEFT_HAND, RIGHT_HAND, WORLD
from tests.capture.mediapipe_results import (
    NormalizedLandmark,
    found,
    holistic_task,
    legacy,
    separate_legacy,
    separate_tasks,
)
from tests.poses import constructed_pose, describe, lose, part


@pytest.fixture
def pose() -> Pose:
    """Six frames, without: the right hand, the left, both, the face, everything."""
    pose = constructed_pose(6)
    pose = lose(pose, slice(1, 2), part(pose, RIGHT_HAND))
    pose = lose(pose, slice(2, 4), part(pose, LEFT_HAND))
    pose = lose(pose, slice(3, 4), part(pose, RIGHT_HAND))
    pose = lose(pose, slice(4, 5), part(pose, FACE))
    return lose(pose, slice(5, 6), slice(0, 576))


def assert_same(a: Pose, b: Pose) -> None:
    """The same points, up to the float32 of the constructed pose."""
    np.testing.assert_allclose(np.ma.getdata(a.body.data), np.ma.getdata(b.body.data), rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(a.body.confidence, b.body.confidence)
    np.testing.assert_array_equal(np.ma.getmaskarray(a.body.data), np.ma.getmaskarray(b.body.data))


@pytest.mark.parametrize("results", [legacy, holistic_task, separate_tasks, separate_legacy])
def test_every_kind_of_result_gives_the_pose(pose: Pose, results: Any) -> None:
    read = pose_from_results(results(pose), 25, 640, 480)
    assert_same(read, pose)
    assert read.body.fps == 25
    assert [(c.name, list(c.points)) for c in read.header.components] == \
        [(c.name, list(c.points)) for c in pose.header.components]


@pytest.mark.parametrize("irises", [False, True])
@pytest.mark.parametrize("wanted", [None, False, True])
def test_irises_come_with_the_face_or_as_asked_for(irises: bool, wanted: bool | None) -> None:
    pose = constructed_pose(2, irises=irises)
    read = pose_from_results(legacy(pose), 25, 640, 480, refined_face=wanted)
    points = 586 if (irises if wanted is None else wanted) else 576
    assert read.body.data.shape == (2, 1, points, 3)
    face, given = part(read, FACE), part(pose, FACE)
    shared = min(face.stop, given.stop)
    assert (read.body.confidence[..., face.start:shared] == 1).all()
    assert not read.body.confidence[..., shared:face.stop].any()
    same = slice(face.start, shared)
    for mine, theirs in ((same, same), (part(read, WORLD), part(pose, WORLD))):
        np.testing.assert_allclose(np.ma.getdata(read.body.data)[..., mine, :],
                                   np.ma.getdata(pose.body.data)[..., theirs, :], rtol=1e-6, atol=1e-4)


def test_the_result_can_be_encoded_and_written(pose: Pose) -> None:
    read = pose_from_results(legacy(pose), 29.97, 640, 480)
    clip, = encode(read)
    assert (clip.confidence[0] > 0).all()
    assert not clip.confidence[5].any()
    buffer = io.BytesIO()
    read.write(buffer)
    again = Pose.read(buffer.getvalue())
    assert again.body.fps == pytest.approx(29.97)
    np.testing.assert_allclose(np.ma.getdata(again.body.data), np.ma.getdata(read.body.data), rtol=1e-6)


@pytest.mark.parametrize(("refined", "digest"), [
    (False, "0e1d43ee9bfcf76e27c7fee88a6bc36225a467d529762ed5ced69bce8d085298"),
    (True, "bd06f7bb0d5f6afd3eb316c1dc8826f4cd11499f97e9c10d79f4c6d48ea6c5f2"),
])
def test_the_header_is_that_of_pose_format_byte_for_byte(refined: bool, digest: str) -> None:
    """The digests are of what pose-format 0.15 makes with mediapipe 0.10.21."""
    buffer = io.BytesIO()
    holistic_header(540, 720, refined_face=refined).write(buffer)
    assert hashlib.sha256(buffer.getvalue()).hexdigest() == digest


def test_headers_share_nothing() -> None:
    first = holistic_header(540, 720)
    before = describe(first)
    second = holistic_header(540, 720)
    second.components[0].points[0] = "changed"
    second.components[4].limbs.clear()
    second.components[2].colors[0] = (0, 0, 0)
    second.dimensions.width = 1
    assert describe(first) == before == describe(holistic_header(540, 720))


def test_none_is_a_frame_without_a_result() -> None:
    pose = constructed_pose(2)
    read = pose_from_results([None, *legacy(pose)], 25, 640, 480)
    assert len(read.body.data) == 3
    assert not read.body.confidence[0].any()
    assert (read.body.confidence[1:] > 0).all()


def test_kinds_can_be_mixed_and_read_once() -> None:
    pose = constructed_pose(3)
    kinds = [list(kind(pose)) for kind in (legacy, separate_tasks, holistic_task)]
    assert_same(pose_from_results((results[i] for i, results in enumerate(kinds)), 25, 640, 480), pose)


def test_visibility_is_the_bodys_confidence_and_not_the_hands() -> None:
    result = next(legacy(constructed_pose(1)))
    for i, point in enumerate(result.pose_landmarks.landmark):
        point.visibility = i / 100
    read = pose_from_results([result], 25, 640, 480)
    np.testing.assert_allclose(read.body.confidence[0, 0, :33], np.arange(33) / 100)
    assert (read.body.confidence[0, 0, part(read, LEFT_HAND)] == 1).all()
    assert (read.body.confidence[0, 0, part(read, FACE)] == 1).all()


def test_a_body_without_visibility_is_taken_as_seen() -> None:
    result = next(holistic_task(constructed_pose(1)))
    for point in result.pose_landmarks:
        point.visibility = None
    assert (pose_from_results([result], 25, 640, 480).body.confidence[0, 0, :33] == 1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
def test_a_point_that_is_not_finite_is_missing(value: float | None) -> None:
    result = next(legacy(constructed_pose(1)))
    result.left_hand_landmarks.landmark[4].y = value
    read = pose_from_results([result], 25, 640, 480)
    hand = part(read, LEFT_HAND)
    assert list(np.flatnonzero(read.body.confidence[0, 0, hand] == 0)) == [4]
    assert (np.ma.getdata(read.body.data)[0, 0, hand.start + 4] == 0).all()


def test_refined_results_keep_their_confidence() -> None:
    parts = {LEFT_HAND: np.column_stack([np.full((21, 3), .5), np.linspace(0, 1, 21)])}
    read = pose_from_results([Results.of(parts)], 25, 640, 480)
    np.testing.assert_array_equal(read.body.confidence[0, 0, part(read, LEFT_HAND)], np.linspace(0, 1, 21))


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("labels", [("Left", "Right"), ("Right", "Left"), ("Left", "Left"), ("", "")])
def test_separate_hands_go_to_the_nearer_wrist_whatever_their_label(labels: tuple[str, str], swap: bool) -> None:
    pose = constructed_pose(5)
    assert_same(pose_from_results(separate_tasks(pose, labels, swap), 25, 640, 480), pose)


def test_a_single_separate_hand_goes_to_the_nearer_wrist(pose: Pose) -> None:
    assert_same(pose_from_results(separate_tasks(pose, ("Right", "Left")), 25, 640, 480), pose)


@pytest.mark.parametrize(("results", "labels"), [(separate_tasks, ("Left", "Right")),
                                                 (separate_legacy, ("Right", "Left"))])
def test_without_a_body_the_label_decides(results: Any, labels: tuple[str, str]) -> None:
    pose = constructed_pose(2)
    pose = lose(lose(pose, slice(0, 2), part(pose, BODY)), slice(0, 2), part(pose, WORLD))
    assert_same(pose_from_results(results(pose, labels), 25, 640, 480), pose)


def test_the_image_need_not_be_square() -> None:
    """Distances are taken in the image, not in shares of its width and height."""
    body = np.zeros((33, 4))
    body[:, 3] = 1
    body[11, :2], body[12, :2] = (.6, .5), (.4, .5)
    body[15, :2], body[16, :2] = (.55, .50), (.5, .58)
    hand = np.tile([.5, .5, 0, 1], (21, 1))
    assert assign([hand], [""], body, 16 / 9) == {RIGHT_HAND: 0}
    assert assign([hand], [""], body, 1.0) == {LEFT_HAND: 0}


def test_assignment_gives_each_side_the_hand_that_is_best_for_both() -> None:
    body = np.zeros((33, 4))
    body[11, :2], body[12, :2] = (.6, .3), (.4, .3)
    body[15, :2], body[16, :2] = (.55, .5), (.45, .5)

    def hand(x: float) -> np.ndarray:
        return np.tile([x, .5, 0, 1], (21, 1))

    # both are nearer to the left wrist; the farther one is the right hand all the same
    assert assign([hand(.51), hand(.54)], ["", ""], body, 1.0) == {LEFT_HAND: 1, RIGHT_HAND: 0}
    # a third hand, and one that is far away and has no label, are nobody's
    assert assign([hand(.55), hand(.45), hand(.95)], ["", "", ""], body, 1.0) == {LEFT_HAND: 0, RIGHT_HAND: 1}
    assert assign([hand(.95)], [""], body, 1.0) == {}
    assert assign([hand(.95)], ["right"], body, 1.0) == {RIGHT_HAND: 0}
    assert assign([hand(.55)], [""], body, 1.0, free=[RIGHT_HAND], near=.4) == {}
    assert assign([], [], None, 1.0) == {}


def test_a_hand_of_holistic_is_not_replaced() -> None:
    pose = constructed_pose(1)
    moved = Pose(pose.header, pose.body.copy())
    moved.body.data[:, :, part(pose, LEFT_HAND), 0] += 3
    both = (next(legacy(pose)), next(separate_tasks(moved))[1])
    assert_same(pose_from_results([both], 25, 640, 480), pose)


@pytest.mark.parametrize(("results", "message"), [
    ([], "no results"),
    ([3], "frame 0: a int is not a result of MediaPipe"),
    ([None, SimpleNamespace(x=1)], "frame 1: a SimpleNamespace is not a result"),
    ([SimpleNamespace(left_hand_landmarks=SimpleNamespace(landmark=[NormalizedLandmark(0, 0, 0)] * 20))],
     "frame 0: left_hand_landmarks has 20 points, not 21"),
    ([SimpleNamespace(face_landmarks=[NormalizedLandmark(0, 0, 0)] * 33)], "face_landmarks has 33 points, not 468 or"),
    ([SimpleNamespace(pose_landmarks=[(0, 0, 0)] * 33)], "frame 0: pose_landmarks holds something"),
    ([SimpleNamespace(pose_landmarks="abc")], "frame 0: pose_landmarks holds something"),
    ([SimpleNamespace(hand_landmarks=[[1, 2]])], "frame 0: hand_landmarks holds something"),
])
def test_what_is_no_result_is_refused_in_one_line(results: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        pose_from_results(results, 25, 640, 480)
    assert "\n" not in str(error.value)


def test_whole_videos_side_by_side_are_refused() -> None:
    """`(all pose results, all hand results)` instead of one tuple a frame."""
    pose = constructed_pose(3)
    bodies, hands, _ = zip(*separate_tasks(pose))
    with pytest.raises(ValueError, match="give one tuple of results for each frame"):
        pose_from_results([list(bodies), list(hands)], 25, 640, 480)


@pytest.mark.parametrize(("fps", "width", "height", "message"), [
    (0, 640, 480, "frame rate is 0"), (float("nan"), 640, 480, "frame rate is nan"), (25, 0, 480, "width is 0"),
    (25, 640, 70000, "height is 70000"),
])
def test_rate_and_size_are_checked_before_anything_is_read(fps: float, width: int, height: int, message: str) -> None:
    def never() -> Any:
        raise AssertionError("results were read")
        yield

    with pytest.raises(ValueError, match=message):
        pose_from_results(never(), fps, width, height)


def test_landmarks_look_like_mediapipes() -> None:
    points = np.arange(84).reshape(21, 4) / 100
    landmark = Landmarks(points).landmark[2]
    assert (landmark.x, landmark.y, landmark.z, landmark.visibility) == (.08, .09, .1, .11)
    assert landmark.HasField("visibility")
    assert not landmark.HasField("presence")
    assert set(found(constructed_pose(1), 0)) == {BODY, FACE, LEFT_HAND, RIGHT_HAND, WORLD}
