"""Pose -> Clip -> Pose: what was observed comes back bit for bit, what was changed comes back where it belongs."""
from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
from pose_format.utils.generic import fake_pose, reduce_holistic

from pose_diffusion.clip import check_pose, decode, encode, measure
from pose_diffusion.layout import BODY, FACE, HOLISTIC, LEFT_HAND, RIGHT_HAND, WORLD, UnknownSchemaError, locate
from tests.poses import (
    assert_same_bits,
    component,
    constructed_pose,
    describe,
    everywhere,
    flat,
    holistic_header,
    lose,
    part,
    to_bytes,
)


def without(pose: Pose, *components: str) -> Pose:
    return pose.get_components([c.name for c in pose.header.components if c.name not in components])


def with_points(pose: Pose, name: str, keep: Callable[[str], bool]) -> Pose:
    """The pose with some points of a component only."""
    names = [c.name for c in pose.header.components]
    return pose.get_components(names, {c.name: [p for p in c.points if keep(p)]
                                       for c in pose.header.components if c.name == name})


def reordered(pose: Pose) -> Pose:
    names = [c.name for c in pose.header.components][::-1]
    return pose.get_components(names, {c.name: c.points[::-1] for c in pose.header.components})


def twice(pose: Pose) -> Pose:
    """Two people, the second elsewhere and smaller, with another hand lost."""
    data, confidence = pose.body.data.data, pose.body.confidence
    other, sure = data * np.float32(.5) + np.float32(40), confidence.copy()
    sure[3:7, :, part(pose, RIGHT_HAND)] = 0
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, np.concatenate([data, other], 1),
                                           np.concatenate([confidence, sure], 1)))


def hands_lost(pose: Pose) -> Pose:
    return lose(lose(pose, slice(None), part(pose, LEFT_HAND)), slice(None), part(pose, RIGHT_HAND))


def gaps(pose: Pose) -> Pose:
    """Hands, whole frames and single points lost."""
    pose = lose(lose(pose, slice(4, 9), part(pose, RIGHT_HAND)), slice(0, 2), slice(None))
    return lose(lose(pose, slice(10, 11), part(pose, FACE)), slice(6, 15), [0, 3, 11])


def masked(pose: Pose) -> Pose:
    """Some points masked in memory although they have a confidence, with junk below."""
    data = pose.body.data.copy()
    data[5, 0, :30] = 12345.0
    data[5, 0, :30] = np.ma.masked
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, pose.body.confidence))


def at_rate(fps: float) -> Callable[[Pose], Pose]:
    return lambda pose: Pose(pose.header, NumPyPoseBody(fps, pose.body.data, pose.body.confidence))


def doubled(pose: Pose) -> Pose:
    data = pose.body.data.data.astype(np.float64) + 1e-9
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, pose.body.confidence.astype(np.float64) * .9999999999))


def one_frame(pose: Pose) -> Pose:
    return Pose(pose.header, pose.body[5:6])


KINDS: dict[str, Callable[[Pose], Pose]] = {
    "586 points": lambda pose: pose,
    "576 points": lambda pose: with_points(pose, FACE, lambda name: int(name) < 468),
    "543 points": lambda pose: without(with_points(pose, FACE, lambda name: int(name) < 468), WORLD),
    "178 points": reduce_holistic,
    "reordered": reordered,
    "reduced and reordered": lambda pose: reordered(reduce_holistic(pose)),
    "only hands": lambda pose: without(pose, BODY, FACE, WORLD),
    "only a hand": lambda pose: without(pose, BODY, FACE, WORLD, LEFT_HAND),
    "only the body": lambda pose: without(pose, FACE, WORLD, LEFT_HAND, RIGHT_HAND),
    "only the face": lambda pose: without(pose, BODY, WORLD, LEFT_HAND, RIGHT_HAND),
    "no nose": lambda pose: with_points(pose, BODY, lambda name: name != "NOSE"),
    "one shoulder": lambda pose: with_points(pose, BODY, lambda name: name != "LEFT_SHOULDER"),
    "two people": twice,
    "one frame": one_frame,
    "23.976 fps": at_rate(24000 / 1001),
    "no hand in any frame": hands_lost,
    "gaps": gaps,
    "masked in memory": masked,
    "2-D": flat,
    "float64": doubled,
    "nothing seen": lambda pose: lose(pose, slice(None), slice(None)),
}


@pytest.fixture(params=list(KINDS))
def any_pose(request: pytest.FixtureRequest, real_pose: Pose) -> Pose:
    return KINDS[request.param](real_pose)


# The way there and back


def test_nothing_changes_when_nothing_is_changed(any_pose: Pose) -> None:
    assert_same_bits(decode(encode(any_pose)), any_pose)


def test_on_real_files_of_many_languages(lexicon_files: list[Path]) -> None:
    for path in lexicon_files:
        pose = Pose.read(path.read_bytes())
        assert_same_bits(decode(encode(pose)), pose)


def test_clips_are_finite_and_zero_where_missing(any_pose: Pose) -> None:
    clips = encode(any_pose)
    frames, people = any_pose.body.data.shape[:2]
    assert [clip.person for clip in clips] == list(range(people))
    for clip in clips:
        assert clip.xyz.shape == (frames, len(HOLISTIC), 3)
        assert clip.confidence.shape == (frames, len(HOLISTIC))
        assert clip.xyz.dtype == clip.confidence.dtype == np.float32
        assert np.isfinite(clip.xyz).all()
        assert (clip.xyz[clip.confidence == 0] == 0).all()
        assert clip.normalisation.scale > 0
        assert np.isfinite([*clip.normalisation.origin, clip.normalisation.scale, clip.normalisation.depth,
                            clip.normalisation.hand_depth, *clip.normalisation.rest]).all()
        assert np.allclose(clip.seconds, np.arange(frames) / any_pose.body.fps)


def test_what_the_header_lacks_is_missing(any_pose: Pose) -> None:
    place = locate(any_pose.header, HOLISTIC)
    for clip in encode(any_pose):
        assert (clip.confidence[:, place < 0] == 0).all()
        known = clip.confidence[:, place >= 0]
        stored = np.where(np.ma.getmaskarray(any_pose.body.data).any(-1), 0, any_pose.body.confidence)
        assert np.array_equal(known, stored[:, clip.person][:, place[place >= 0]].astype(np.float32))


def test_the_input_and_its_header_are_untouched(real_bytes: bytes) -> None:
    for make in KINDS.values():
        pose, sibling = make(Pose.read(real_bytes)), Pose.read(real_bytes)
        before, header = copy.deepcopy(pose), copy.deepcopy(sibling.header)
        result = decode([everywhere(clip) for clip in encode(pose)])
        assert_same_bits(pose, before)
        assert describe(sibling.header) == describe(header)
        assert result.header is not pose.header
        result.header.dimensions.width = 1
        result.header.components[0].points[0] = "CHANGED"
        result.body.data[:] = 0
        result.body.confidence[:] = 0
        assert_same_bits(pose, before)


def test_a_changed_clip_becomes_a_pose_of_the_same_shape_that_survives_a_file(any_pose: Pose) -> None:
    result = decode([everywhere(clip) for clip in encode(any_pose)])
    assert result.body.data.shape == any_pose.body.data.shape
    assert result.body.data.dtype == any_pose.body.data.dtype
    assert result.body.fps == any_pose.body.fps
    assert describe(result.header) == describe(any_pose.header)
    assert np.isfinite(np.ma.getdata(result.body.data)[result.body.confidence > 0]).all()
    place = locate(result.header, HOLISTIC)
    again = Pose.read(to_bytes(result))
    assert (again.body.confidence[:, :, place[place >= 0]] == np.float32(.5)).all()
    assert not np.ma.getmaskarray(again.body.data)[:, :, place[place >= 0]].any()


def test_a_changed_clip_comes_back_when_encoded_again(any_pose: Pose) -> None:
    """In x and y everywhere; in z too, of body, and of hands relative to their wrist."""
    for clip in encode(any_pose):
        here = locate(any_pose.header, HOLISTIC) >= 0
        changed = everywhere(clip)
        result = decode(changed)
        again = encode(result, normalisations=[c.normalisation for c in encode(any_pose)])[clip.person]
        assert np.allclose(again.xyz[:, here, :2], changed.xyz[:, here, :2], atol=2e-5)
        if any_pose.body.data.shape[3] == 2:
            continue
        body = here & (np.arange(len(HOLISTIC)) < 25)
        assert np.allclose(again.xyz[:, body, 2], changed.xyz[:, body, 2], atol=1e-4)
        for name in (LEFT_HAND, RIGHT_HAND):
            wrist = HOLISTIC.index(name, "WRIST")
            hand = np.arange(wrist, wrist + 21)
            if here[hand].all():
                z, wanted = again.xyz[:, hand, 2], changed.xyz[:, hand, 2]
                assert np.allclose(z - z[:, :1], wanted - wanted[:, :1], atol=1e-4)


def test_torch_bodies_come_back_as_numpy(real_pose: Pose) -> None:
    pose = gaps(real_pose)
    clips = encode(pose.torch())
    assert np.array_equal(clips[0].xyz, encode(pose)[0].xyz)
    result = decode(clips)
    assert isinstance(result.body, NumPyPoseBody)
    assert_same_bits(result, pose)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 2), st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1),
       st.sampled_from([25.0, 10.0, 29.97, 120.0]), st.sampled_from([np.float32, np.float64]))
def test_any_pattern_of_loss_and_change(frames: int, people: int, seed: int, lost: float, moved: float, fps: float,
                                        number: type) -> None:
    """Observed and unchanged: the same bits. Changed: the new place. Missing: missing."""
    rng = np.random.default_rng(seed)
    pose = constructed_pose(frames, people=people, fps=fps, seed=seed % 100)
    confidence: np.ndarray = np.where(rng.random(pose.body.confidence.shape) < lost, 0, pose.body.confidence)
    confidence = confidence.astype(number)
    pose = Pose(pose.header, NumPyPoseBody(fps, pose.body.data.data.astype(number), confidence))
    clips = encode(pose)
    assert_same_bits(decode(clips), pose)
    chosen = [rng.random(clip.confidence.shape) < moved for clip in clips]
    changed = [replace(clip, xyz=np.where(which[..., None], clip.xyz + np.float32(.1), clip.xyz),
                       confidence=np.where(which, np.float32(.3), clip.confidence))
               for clip, which in zip(clips, chosen)]
    result, place = decode(changed), locate(pose.header, HOLISTIC)
    for person, which in enumerate(chosen):
        new, old = (p.body.data.data[:, person, place] for p in (result, pose))
        assert np.array_equal(new[~which], old[~which])
        shift = (new - old)[which & (confidence[:, person][:, place] > 0)][:, :2]
        assert np.allclose(shift, .1 * clips[person].normalisation.scale, rtol=1e-4)
        sure = result.body.confidence[:, person][:, place]
        assert (sure[which] == np.float32(.3)).all()
        assert np.array_equal(sure[~which], confidence[:, person][:, place][~which])


# What decode writes


def test_only_what_changed_is_written(real_pose: Pose) -> None:
    clip = encode(real_pose)[0]
    xyz, elbow = clip.xyz.copy(), HOLISTIC.index(BODY, "LEFT_ELBOW")
    xyz[7, elbow, 0] += 1
    result = decode(replace(clip, xyz=xyz))
    place = locate(real_pose.header, HOLISTIC)
    changed = np.argwhere(result.body.data.data[:, :, place] != real_pose.body.data.data[:, :, place])
    assert changed.tolist() == [[7, 0, elbow, 0]]
    assert result.body.data.data[7, 0, place[elbow], 0] - real_pose.body.data.data[7, 0, place[elbow], 0] \
        == pytest.approx(clip.normalisation.scale, rel=1e-5)
    assert np.array_equal(result.body.confidence, real_pose.body.confidence)


def test_a_new_confidence_alone_leaves_the_values(real_pose: Pose) -> None:
    clip = encode(real_pose)[0]
    sure = np.where(clip.confidence > 0, np.float32(.25), np.float32(0))
    result = decode(replace(clip, confidence=sure))
    assert np.array_equal(result.body.data.data, real_pose.body.data.data)
    place = locate(real_pose.header, HOLISTIC)
    assert np.array_equal(result.body.confidence[:, 0, place], sure)


def test_confidence_zero_in_the_clip_leaves_the_point_as_it_was(real_pose: Pose) -> None:
    clip = everywhere(encode(real_pose)[0])
    assert_same_bits(decode(replace(clip, confidence=np.zeros_like(clip.confidence))), real_pose)


def test_junk_under_missing_points_is_no_observation() -> None:
    pose = constructed_pose(20)
    data, sure = pose.body.data.data.copy(), pose.body.confidence.copy()
    sure[3:6, 0, part(pose, LEFT_HAND)] = 0
    for junk in (np.nan, np.inf, 1e30):
        data[3:6, 0, part(pose, LEFT_HAND)] = junk
        dirty = Pose(pose.header, NumPyPoseBody(25, data.copy(), sure))
        clean = lose(pose, slice(3, 6), part(pose, LEFT_HAND))
        with np.errstate(all="raise"):
            assert np.array_equal(encode(dirty)[0].xyz, encode(clean)[0].xyz)
        assert_same_bits(decode(encode(dirty)), dirty)


def test_people_without_a_clip_stay() -> None:
    pose = twice(constructed_pose(10))
    clips = encode(pose)
    result = decode(everywhere(clips[1]))
    assert np.array_equal(result.body.data.data[:, 0], pose.body.data.data[:, 0])
    assert not np.array_equal(result.body.data.data[:, 1], pose.body.data.data[:, 1])


# What is refused


def broken(**changes: object) -> Pose:
    pose = constructed_pose(4)
    data, confidence = pose.body.data.data.copy(), pose.body.confidence.copy()
    if "nan" in changes:
        data[2, 0, 11, 1] = changes["nan"]
    if "sure" in changes:
        confidence[1, 0, 0] = changes["sure"]
    body = NumPyPoseBody(changes.get("fps", 25.0), data, confidence)
    return Pose(pose.header, body if "frames" not in changes else body[:0])


@pytest.mark.parametrize(("pose", "message"), [
    (broken(frames=0), "no frames"),
    (broken(fps=0.0), "frame rate is 0.0"),
    (broken(fps=-5.0), "frame rate"),
    (broken(fps=float("nan")), "frame rate is nan"),
    (broken(nan=np.nan), "POSE_LANDMARKS/LEFT_SHOULDER of person 0 in frame 2 is NaN"),
    (broken(nan=-np.inf), "frame 2 is NaN or infinite: set its value and its confidence to 0"),
    (broken(sure=np.nan), "POSE_LANDMARKS/NOSE of person 0 in frame 1"),
])  # yapf: disable
def test_bad_poses_are_refused_in_one_line(pose: Pose, message: str) -> None:
    for refuse in (encode, measure, check_pose):
        with pytest.raises(ValueError, match=message) as error:
            refuse(pose)
        assert "\n" not in str(error.value)


def test_no_person_is_refused() -> None:
    pose = constructed_pose(4)
    body = NumPyPoseBody(25, pose.body.data.data[:, :0], pose.body.confidence[:, :0])
    with pytest.raises(ValueError, match="no person"):
        encode(Pose(pose.header, body))


def test_a_header_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode(Pose(holistic_header(irises=True), constructed_pose(4).body))


def test_unknown_schemas_are_refused_by_name() -> None:
    with pytest.raises(UnknownSchemaError, match="pose_keypoints_2d"):
        encode(fake_pose(3))
    line = PoseHeader(0.2, PoseHeaderDimensions(10, 10), [component(BODY, ["NOSE"], "XC")])
    with pytest.raises(UnknownSchemaError, match="1 dimensions"):
        encode(Pose(line, NumPyPoseBody(25, np.ones((2, 1, 1, 1), np.float32), np.ones((2, 1, 1), np.float32))))


def test_clips_that_do_not_belong_together_are_refused() -> None:
    pose = constructed_pose(4, people=2)
    clips = encode(pose)
    for wrong in ([], [clips[0], clips[0]], [clips[0], encode(constructed_pose(4, people=2))[1]]):
        with pytest.raises(ValueError, match="clip"):
            decode(wrong)


def test_clips_of_another_length_or_with_nan_are_refused() -> None:
    clip = encode(constructed_pose(4))[0]
    with pytest.raises(ValueError, match="shape"):
        decode(replace(clip, xyz=clip.xyz[:2]))
    for name in ("xyz", "confidence"):
        array = getattr(clip, name).copy()
        array[1] = np.nan
        with pytest.raises(ValueError, match="NaN"):
            decode(replace(clip, **{name: array}))


def test_the_number_of_normalisations_must_fit() -> None:
    pose = constructed_pose(4, people=2)
    with pytest.raises(ValueError, match="1 normalisations for 2 people"):
        encode(pose, normalisations=[measure(pose)])
