"""What no layout holds comes along: face mesh, world landmarks, legs."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion.clip import Clip, decode, encode
from pose_diffusion.layout import BODY, BODY_POINTS, FACE, FACE_POINTS, HOLISTIC, WORLD
from tests.poses import METRES, constructed_pose, lose, part

INNER = [i for i in range(478) if str(i) not in FACE_POINTS]
CONTOUR = HOLISTIC.parts["face"]
BODY_PART = HOLISTIC.parts["body"]
LOST = slice(8, 14)


def faces(pose: Pose) -> np.ndarray:
    """`(T, N, 3)` pixels, z as stored."""
    return pose.body.data.data[:, 0, part(pose, FACE)]


def worlds(pose: Pose) -> np.ndarray:
    """`(T, 33, 3)` metres."""
    size = pose.header.dimensions
    return pose.body.data.data[:, 0, part(pose, WORLD)] / [size.width, size.height, 1]


def sure(pose: Pose, name: str) -> np.ndarray:
    return pose.body.confidence[:, 0, part(pose, name)]


def filled_with(clip: Clip, truth: Clip, confidence: float = .4) -> Clip:
    """What is missing takes its true place."""
    missing = (clip.confidence == 0) & (truth.confidence > 0)
    return replace(clip, xyz=np.where(missing[..., None], truth.xyz, clip.xyz),
                   confidence=np.where(missing, np.float32(confidence), clip.confidence))


def moved(clip: Clip, frames: slice, points: slice | int, by: tuple[float, float, float]) -> Clip:
    xyz = clip.xyz.copy()
    xyz[frames, points] += np.array(by, dtype=np.float32)
    return replace(clip, xyz=xyz)


# The face mesh


def test_the_mesh_and_the_irises_move_with_the_contour(real_pose: Pose) -> None:
    clip = encode(real_pose)[0]
    result = decode(moved(clip, slice(3, 5), CONTOUR, (.2, -.1, 0)))
    shift = faces(result) - faces(real_pose)
    expected = np.array([.2, -.1]) * clip.normalisation.scale
    assert shift.shape[1] == 478
    assert np.allclose(shift[3:5, :, :2], expected, atol=1e-3)
    assert (shift[:3] == 0).all()
    assert (shift[5:] == 0).all()
    assert np.array_equal(result.body.confidence, real_pose.body.confidence)


def test_only_the_mesh_around_a_moved_point_moves(real_pose: Pose) -> None:
    clip = encode(real_pose)[0]
    result = decode(moved(clip, slice(0, 1), HOLISTIC.index(FACE, "152"), (0, .1, 0)))  # the chin
    changed = np.flatnonzero((faces(result) != faces(real_pose))[0, INNER].any(-1))
    chin = np.linalg.norm((faces(real_pose)[0, INNER] - faces(real_pose)[0, 152])[:, :2], axis=-1)
    assert 1 <= len(changed) < 60
    assert chin[changed].max() < .5 * chin.max()
    assert int(np.argmin(chin)) in changed


def test_a_lost_face_gets_its_mesh_from_the_contour() -> None:
    pose = constructed_pose(30, irises=True)
    lost = lose(pose, LOST, part(pose, FACE))
    result = decode(filled_with(encode(lost)[0], encode(pose)[0]))
    error = np.abs(faces(result) - faces(pose))[:, INNER] * [1, 1, 640]
    assert error.max() < .1  # pixels
    assert (sure(result, FACE)[LOST] == np.float32(.4)).all()
    assert not np.ma.getmaskarray(result.body.data)[LOST, 0, part(pose, FACE)].any()
    before = np.delete(np.arange(30), np.arange(30)[LOST])
    assert np.array_equal(faces(result)[before], faces(pose)[before])


@pytest.mark.parametrize("seed", range(3))
def test_a_lost_real_face_gets_its_mesh_from_the_contour(real_pose: Pose, seed: int) -> None:
    frame = np.random.default_rng(seed).integers(5, 20)
    lost = lose(real_pose, slice(frame, frame + 1), part(real_pose, FACE))
    result = decode(filled_with(encode(lost)[0], encode(real_pose)[0]))
    width = np.ptp(faces(real_pose)[frame, :, 0])
    assert np.linalg.norm((faces(result) - faces(real_pose))[frame, INNER, :2], axis=-1).max() < .05 * width


def test_the_mesh_turns_and_grows_with_the_contour() -> None:
    """A similarity of the contour is one of the mesh, also where the mesh is far from the contour."""
    pose = constructed_pose(20)
    lost = lose(pose, LOST, part(pose, FACE))
    truth = encode(pose)[0]
    turn = 1.3 * np.array([[np.cos(.5), np.sin(.5)], [-np.sin(.5), np.cos(.5)]])
    middle = truth.xyz[:, CONTOUR, :2].mean(1, keepdims=True)
    turned = truth.xyz.copy()
    turned[:, CONTOUR, :2] = (truth.xyz[:, CONTOUR, :2] - middle) @ turn + middle
    result = decode(filled_with(encode(lost)[0], replace(truth, xyz=turned)))
    contour = [int(p) for p in FACE_POINTS]
    centre = faces(pose)[:, contour, :2].mean(1, keepdims=True)
    expected = (faces(pose)[..., :2] - centre) @ turn + centre
    assert np.abs(faces(result)[..., :2] - expected)[LOST].max() < .05


def test_a_mesh_never_seen_stays_missing() -> None:
    pose = constructed_pose(10)
    start = part(pose, FACE).start
    inner = [start + i for i in INNER if i < 468]
    no_mesh = lose(pose, slice(None), inner)
    no_face = lose(pose, slice(None), part(pose, FACE))
    for lost in (no_mesh, no_face):
        clip = filled_with(encode(lost)[0], encode(pose)[0])
        result = decode(moved(clip, slice(None), CONTOUR, (.1, 0, 0)))
        assert (result.body.confidence[:, 0, inner] == 0).all()


def test_a_hidden_mesh_stays_hidden_where_the_face_was_seen() -> None:
    """Nothing is invented in frames that lost nothing else."""
    pose = constructed_pose(20)
    inner = [part(pose, FACE).start + i for i in INNER if i < 468]
    clip = encode(lose(pose, LOST, inner))[0]
    result = decode(moved(clip, slice(None), CONTOUR, (.1, 0, 0)))
    assert (result.body.confidence[LOST, 0][:, inner] == 0).all()
    assert (result.body.confidence[:8, 0][:, inner] == 1).all()


# The world landmarks


def test_world_points_move_as_their_body_points_do_in_metres() -> None:
    pose = constructed_pose(20)
    clip = encode(pose)[0]
    result = decode(moved(clip, slice(4, 6), HOLISTIC.index(BODY, "LEFT_WRIST"), (.1, -.2, .3)))
    shift = worlds(result) - worlds(pose)
    wrist = BODY_POINTS.index("LEFT_WRIST")
    assert np.allclose(shift[4:6, wrist], np.array([.1, -.2, .3]) * METRES, atol=1e-5)
    shift[4:6, wrist] = 0
    assert (shift == 0).all()
    assert np.array_equal(sure(result, WORLD), sure(pose, WORLD))


def test_lost_world_points_come_back_with_the_body() -> None:
    pose = constructed_pose(30)
    lost = lose(lose(pose, LOST, part(pose, BODY)), LOST, part(pose, WORLD))
    result = decode(filled_with(encode(lost)[0], encode(pose)[0]))
    known = list(range(len(BODY_POINTS)))
    assert np.abs(worlds(result) - worlds(pose))[:, known].max() < 2e-3
    assert (sure(result, WORLD)[LOST][:, known] == np.float32(.4)).all()
    assert np.array_equal(sure(result, WORLD)[:8], sure(pose, WORLD)[:8])


def test_world_points_never_seen_take_their_place_from_the_body() -> None:
    pose = constructed_pose(30)
    wrist = BODY_POINTS.index("LEFT_WRIST")
    lost = lose(lose(pose, slice(None), [wrist]), slice(None), [part(pose, WORLD).start + wrist])
    result = decode(filled_with(encode(lost)[0], encode(pose)[0]))
    assert np.abs(worlds(result) - worlds(pose))[:, wrist].max() < 2e-3
    assert (sure(result, WORLD)[:, wrist] == np.float32(.4)).all()


def test_missing_world_points_of_an_unchanged_body_stay_missing() -> None:
    pose = constructed_pose(20)
    lost = lose(pose, LOST, part(pose, WORLD))
    clip = encode(lost)[0]
    result = decode(moved(clip, slice(0, 2), BODY_PART, (.1, 0, 0)))
    assert (sure(result, WORLD)[LOST] == 0).all()


@pytest.mark.parametrize("frames", [slice(None), LOST])
def test_without_world_shoulders_world_points_stay(frames: slice) -> None:
    pose = constructed_pose(20)
    start = part(pose, WORLD).start
    lost = lose(pose, slice(None), [start + BODY_POINTS.index("LEFT_SHOULDER")])
    result = decode(moved(encode(lost)[0], frames, BODY_PART, (.1, .1, .1)))
    assert np.array_equal(worlds(result), worlds(lost))


def test_where_no_world_point_is_seen_beside_its_body_point_there_is_no_measure() -> None:
    pose = constructed_pose(6)
    lost = lose(lose(pose, slice(0, 1), part(pose, BODY)), slice(1, 6), part(pose, WORLD))
    result = decode(filled_with(encode(lost)[0], encode(pose)[0]))
    assert np.array_equal(sure(result, WORLD), sure(lost, WORLD))
    assert np.isfinite(worlds(result)).all()


def test_real_world_points_of_lost_frames_stay_close(real_pose: Pose) -> None:
    lost = lose(real_pose, slice(9, 13), slice(None))
    result = decode(filled_with(encode(lost)[0], encode(real_pose)[0]))
    points = np.arange(25)[(sure(real_pose, BODY)[:, :25] > 0).all(0)]
    before, after = (p.body.data.data[9:13, 0, part(p, WORLD)][:, points, :2] for p in (real_pose, result))
    assert np.linalg.norm(after - before, axis=-1).max() < .05 * 200  # shoulder width in this file's units
    assert (sure(result, WORLD)[9:13][:, points] > 0).all()


def test_a_body_point_that_is_not_taken_over_leaves_its_world_point() -> None:
    pose = constructed_pose(10)
    clip, wrist = encode(pose)[0], BODY_POINTS.index("LEFT_WRIST")
    certain = clip.confidence.copy()
    certain[:, wrist] = 0
    result = decode(replace(moved(clip, slice(None), BODY_PART, (.1, 0, 0)), confidence=certain))
    shift = np.abs(worlds(result) - worlds(pose)).max((0, 2))
    assert shift[wrist] == 0
    assert shift[BODY_POINTS.index("RIGHT_WRIST")] == pytest.approx(.1 * METRES, rel=1e-3)


# The legs


def test_legs_of_lost_frames_are_interpolated_and_less_sure() -> None:
    pose = constructed_pose(20)
    lost = lose(pose, LOST, slice(None))
    result = decode(filled_with(encode(lost)[0], encode(pose)[0]))
    for name, atol in ((BODY, .2), (WORLD, .3)):
        legs = slice(part(pose, name).start + len(BODY_POINTS), part(pose, name).stop)
        assert np.allclose(result.body.data.data[:, 0, legs], pose.body.data.data[:, 0, legs], atol=atol)
        certain = result.body.confidence[:, 0, legs]
        assert np.allclose(certain[LOST], .95 / 2)
        assert np.array_equal(np.delete(certain, LOST, 0), np.delete(pose.body.confidence[:, 0, legs], LOST, 0))


def test_legs_never_seen_and_hidden_legs_stay_missing() -> None:
    pose = constructed_pose(20)
    legs = list(range(len(BODY_POINTS), part(pose, BODY).stop))
    never = lose(lose(pose, slice(None), legs), LOST, part(pose, BODY))
    result = decode(filled_with(encode(never)[0], encode(pose)[0]))
    assert (result.body.confidence[:, 0, legs] == 0).all()
    elsewhere = lose(lose(pose, slice(2, 4), legs), LOST, part(pose, BODY))
    result = decode(filled_with(encode(elsewhere)[0], encode(pose)[0]))
    assert (result.body.confidence[2:4, 0, legs] == 0).all()
    assert (result.body.confidence[LOST, 0][:, legs] > 0).all()
    hidden = lose(pose, LOST, legs)
    result = decode(moved(encode(hidden)[0], slice(None), BODY_PART, (.1, 0, 0)))
    assert (result.body.confidence[LOST, 0][:, legs] == 0).all()
    assert np.array_equal(result.body.data.data[:, 0, legs], hidden.body.data.data[:, 0, legs])


def test_the_second_person_is_carried_too() -> None:
    pose = constructed_pose(10, people=2)
    clips = encode(pose)
    result = decode([clips[0], moved(clips[1], slice(None), CONTOUR, (.1, 0, 0))])
    shift = (result.body.data.data - pose.body.data.data)[:, :, part(pose, FACE), 0]
    assert (shift[:, 0] == 0).all()
    assert np.allclose(shift[:, 1], .1 * clips[1].normalisation.scale, atol=1e-3)
