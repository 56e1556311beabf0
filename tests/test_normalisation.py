"""Where a person is and how large, in pixels; and how three frames of depth become one."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

from pose_diffusion.clip import Normalisation, decode, encode, measure
from pose_diffusion.layout import BODY, FACE, HOLISTIC, LEFT_HAND, RIGHT_HAND, locate
from tests.poses import (
    assert_same_bits,
    constructed_pose,
    everywhere,
    flat,
    holistic_header,
    lose,
    moving_person,
    part,
)


def test_shoulders_are_one_apart_around_the_origin(lexicon_files: list[Path]) -> None:
    for path in lexicon_files:
        xyz = encode(Pose.read(path.read_bytes()))[0].xyz
        left, right = (xyz[:, HOLISTIC.index(BODY, f"{side}_SHOULDER")] for side in ("LEFT", "RIGHT"))
        assert np.median(np.linalg.norm((left - right)[:, :2], axis=-1)) == pytest.approx(1, abs=1e-5)
        assert np.median((left + right) / 2, axis=0) == pytest.approx(0, abs=1e-5)
        assert np.median(left[:, 0]) > 0  # the signer's left is to the right of the image
        assert np.median(xyz[:, HOLISTIC.index(BODY, "NOSE"), 1]) < 0  # y is down


def truth(frames: int, seed: int = 0) -> np.ndarray:
    person = moving_person(frames, seed)
    header = holistic_header(world=False)
    return np.concatenate([person[c.name] for c in header.components], 1)[:, locate(header, HOLISTIC)]


def test_three_frames_of_depth_become_one() -> None:
    """The constructed person has known 3D positions; its pose holds z as MediaPipe does."""
    assert np.abs(encode(constructed_pose(100))[0].xyz - truth(100)).max() < 1e-5


@pytest.mark.parametrize(("depth", "hand_depth"), [(.2, .4), (.3, .75), (.5, 1.2)])
def test_the_depth_factors_are_found_from_constant_bones(depth: float, hand_depth: float) -> None:
    found = measure(constructed_pose(1000, depth=depth, hand_depth=hand_depth))
    assert found.depth == pytest.approx(depth, rel=.03)
    assert found.hand_depth == pytest.approx(hand_depth, rel=.03)


def test_the_depth_factors_are_the_usual_ones_where_there_is_nothing_to_measure() -> None:
    still = Pose((pose := constructed_pose(1)).header, pose.body)
    found = measure(still)
    assert (found.depth, found.hand_depth) == pytest.approx((.3, .75), rel=.01)


def test_outliers_do_not_disturb_the_measure() -> None:
    pose = constructed_pose(200, depth=.4)
    clean, rng = measure(pose), np.random.default_rng(0)
    data = pose.body.data.data.copy()
    hit = rng.random(data.shape[:3]) < .05
    data[hit] += rng.normal(0, 300, (hit.sum(), 3)) * [1, 1, .01]
    found = measure(Pose(pose.header, NumPyPoseBody(25, data, pose.body.confidence)))
    assert found.scale == pytest.approx(clean.scale, rel=.01)
    assert found.origin[:2] == pytest.approx(clean.origin[:2], abs=.02 * clean.scale)
    assert found.depth == pytest.approx(clean.depth, rel=.25)


def test_a_shifted_z_gives_the_same_clip() -> None:
    """Normalised files have z around half of their width, each part a little elsewhere."""
    pose = lose(constructed_pose(30), slice(5, 12), slice(501, 522))
    data = pose.body.data.data.copy()
    for name, shift in ((BODY, 250), (LEFT_HAND, 250), (RIGHT_HAND, 250.25), (FACE, 250.5)):
        data[..., part(pose, name), 2] += shift
    moved = Pose(pose.header, NumPyPoseBody(25, data, pose.body.confidence))
    assert np.abs(encode(moved)[0].xyz - encode(pose)[0].xyz).max() < 2e-2  # 250 leaves z 5 digits
    filled = decode(everywhere(encode(moved)[0]))
    hand = filled.body.data.data[5:12, 0, part(filled, LEFT_HAND), 2]
    assert np.abs(hand - 250).max() < 1
    assert (hand[:, 0] == 250).all()


def test_a_hand_follows_the_depth_of_the_bodys_wrist_also_where_that_is_lost() -> None:
    pose, wrist = constructed_pose(40), HOLISTIC.index(BODY, "LEFT_WRIST")
    lost = encode(lose(pose, slice(10, 20), [15]))[0]
    whole = encode(pose)[0]
    hand = lost.xyz[:, HOLISTIC.index(LEFT_HAND, "WRIST"), 2]
    assert np.allclose(hand[:10], whole.xyz[:10, wrist, 2], atol=1e-5)
    between = np.interp(np.arange(10, 20), [9, 20], whole.xyz[[9, 20], wrist, 2])
    assert np.allclose(hand[10:20], between, atol=1e-5)


def test_a_decoded_hand_is_relative_to_its_own_wrist_and_a_face_to_the_nose() -> None:
    pose = constructed_pose(30)
    lost = lose(lose(lose(pose, slice(8, 14), part(pose, RIGHT_HAND)), slice(8, 14), part(pose, FACE)), slice(8, 14),
                [0, 16])
    clip = encode(lost)[0]
    filled = replace(clip, xyz=np.where((clip.confidence == 0)[..., None], encode(pose)[0].xyz, clip.xyz),
                     confidence=np.where(clip.confidence == 0, np.float32(.6), clip.confidence))
    result, place = decode(filled), locate(pose.header, HOLISTIC)
    difference = np.abs(result.body.data.data - pose.body.data.data)[:, 0, place] * [1, 1, 640]
    assert difference.max() < .05  # pixels; the median of the face moves a little when some of it is lost
    assert (result.body.data.data[8:14, 0, part(pose, RIGHT_HAND).start, 2] == 0).all()


def test_two_dimensional_poses_stay_flat() -> None:
    pose = flat(constructed_pose(10))
    clip = encode(pose)[0]
    assert (clip.xyz[..., 2] == 0).all()
    assert decode(everywhere(clip)).body.data.shape == pose.body.data.shape


@pytest.mark.parametrize("seen", [(LEFT_HAND,), (RIGHT_HAND,), (LEFT_HAND, RIGHT_HAND), (FACE,), (LEFT_HAND, FACE)])
def test_without_shoulders_the_scale_is_about_right(lexicon_files: list[Path], seen: tuple[str, ...]) -> None:
    for path in lexicon_files:
        pose = Pose.read(path.read_bytes())
        if not all((pose.body.confidence[:, 0, part(pose, name)] > 0).any() for name in seen):
            continue
        scale = measure(pose).scale
        assert measure(pose.get_components(list(seen))).scale == pytest.approx(scale, rel=.45)


def test_without_any_measure_the_scale_is_that_of_the_box() -> None:
    pose = constructed_pose(10)
    elbows = pose.get_components([BODY], {BODY: ["NOSE", "LEFT_ELBOW", "RIGHT_ELBOW"]})
    assert measure(elbows).scale == pytest.approx(measure(pose).scale, rel=.7)


@pytest.mark.parametrize("value", [0.0, 100.0, -1e6])
def test_a_person_shrunk_to_a_point_has_a_scale(value: float) -> None:
    pose = constructed_pose(5)
    body = NumPyPoseBody(25, np.full_like(pose.body.data.data, value), pose.body.confidence)
    point = Pose(pose.header, body)
    assert measure(point).scale > 0
    assert_same_bits(decode(encode(point)), point)


def test_an_image_without_a_width_does_not_divide_by_zero() -> None:
    pose = constructed_pose(5)
    unknown = Pose(PoseHeader(0.2, PoseHeaderDimensions(0, 0), pose.header.components), pose.body)
    clip = encode(unknown)[0]
    assert np.isfinite(clip.xyz).all()
    assert np.isfinite(decode(everywhere(clip)).body.data.data).all()


def test_chunks_share_the_normalisation_of_the_whole() -> None:
    pose = constructed_pose(60, people=2)
    whole = encode(pose)
    measured = [measure(pose, person) for person in range(2)]
    for start in (0, 20, 40):
        chunk = Pose(pose.header, pose.body[start:start + 20])
        for clip, expected in zip(encode(chunk, normalisations=measured), whole):
            assert np.array_equal(clip.xyz, expected.xyz[start:start + 20])


def test_a_long_pose_is_measured_at_steps() -> None:
    short = constructed_pose(500)
    body = NumPyPoseBody(25, np.tile(short.body.data.data[:, :, :33], (20, 1, 1, 1)),
                         np.tile(short.body.confidence[:, :, :33], (20, 1, 1)))
    long = Pose(PoseHeader(0.2, short.header.dimensions, short.header.components[:1]), body)
    found, expected = measure(long), measure(short)
    assert found.scale == pytest.approx(expected.scale, rel=1e-3)
    assert np.array_equal(encode(long)[0].normalisation.origin, found.origin)


def test_a_normalisation_given_is_used() -> None:
    pose = constructed_pose(4)
    given = Normalisation(np.array([1.0, 2.0, 0.0]), 10.0, .3, .75, np.zeros(3))
    clip = encode(pose, normalisations=[given])[0]
    nose = pose.body.data.data[:, 0, 0, :2]
    assert np.allclose(clip.xyz[:, HOLISTIC.index(BODY, "NOSE"), :2], (nose - [1, 2]) / 10, atol=1e-5)
