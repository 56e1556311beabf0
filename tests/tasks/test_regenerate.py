"""Regenerate and its contracts, with a random network that reads texts."""
from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion import regenerate, regenerate_steps
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import BODY, FACE, LEFT_HAND, RIGHT_HAND, WORLD
from pose_diffusion.tasks import regenerate as task
from tests.models import TINY_WITH_TEXT, random_model
from tests.poses import assert_same_bits, constructed_pose, describe, lose, part
from tests.tasks.looking import distance, lost_hand, place, seen, values
from tests.test_clip import KINDS, gaps, twice


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return random_model(TINY_WITH_TEXT)


@pytest.fixture(params=[kind for kind in KINDS if kind != "one frame"])
def any_pose(request: pytest.FixtureRequest, real_pose: Pose) -> Pose:
    return KINDS[request.param](real_pose)


def assert_same_points(a: Pose, b: Pose, points: Any) -> None:
    """Equal values, confidences and masks of some points in all frames."""
    for x, y in ((values(a), values(b)), (a.body.confidence, b.body.confidence),
                 (np.ma.getmaskarray(a.body.data), np.ma.getmaskarray(b.body.data))):
        assert x[:, :, points].tobytes() == y[:, :, points].tobytes()


def outside(pose: Pose, first: int, last: int) -> Pose:
    """The pose without some frames."""
    rows = np.r_[0:first, last:len(values(pose))]
    return Pose(pose.header, pose.body[rows])


def test_a_span_is_made_anew_and_the_rest_is_kept(any_pose: Pose, model: PoseDiffusion) -> None:
    before = copy.deepcopy(any_pose)
    result = regenerate(any_pose, frames=(6, 11), text="hello", steps=2, model=model)
    assert_same_bits(any_pose, before)
    assert_same_bits(outside(result, 6, 11), outside(any_pose, 6, 11))
    assert describe(result.header) == describe(any_pose.header)
    assert result.header is not any_pose.header
    here = place(any_pose)
    assert seen(result)[6:11, :, here].all()
    assert np.isfinite(values(result)[seen(result)]).all()
    sure = result.body.confidence[6:11, :, here]
    assert ((sure >= .049) & (sure <= .951)).all()
    was = seen(any_pose)[6:11, :, here]
    assert (distance(result, any_pose)[6:11, :, here][was] > 0).sum() >= .9 * was.sum()


def test_a_hand_is_made_anew_and_the_rest_is_kept(real_pose: Pose, model: PoseDiffusion) -> None:
    pose, hand = gaps(real_pose), part(real_pose, RIGHT_HAND)
    result = regenerate(pose, points=[RIGHT_HAND], steps=2, model=model)
    assert seen(result)[:, :, hand].all()
    assert (distance(result, pose)[:, :, hand][seen(pose)[:, :, hand]] > 0).all()
    others = np.delete(np.arange(values(pose).shape[2]), np.r_[hand])
    assert_same_points(result, pose, others)


def test_a_hand_in_a_span(model: PoseDiffusion) -> None:
    pose = constructed_pose(30)
    hand = part(pose, LEFT_HAND)
    result = regenerate(pose, frames=slice(10, 20), points=[LEFT_HAND, (BODY, "LEFT_INDEX")], steps=2, model=model)
    changed = (distance(result, pose) > 0)[:, 0]
    expected = np.zeros_like(changed)
    expected[10:20, np.r_[hand, 19]] = True  # 19: the body's left index
    in_metres = part(pose, WORLD)
    assert np.array_equal(np.delete(changed, np.r_[in_metres], 1), np.delete(expected, np.r_[in_metres], 1))
    assert changed[10:20, in_metres.start + 19].all()
    assert changed[:, in_metres].sum() == 10


def test_the_face_takes_its_mesh_along(model: PoseDiffusion) -> None:
    pose = constructed_pose(12)
    result = regenerate(pose, frames=(4, 8), points=[FACE], steps=2, model=model)
    mesh = part(pose, FACE)
    changed = distance(result, pose)[:, 0] > 0
    assert changed[4:8, mesh].mean() > .99
    changed[4:8, mesh] = False
    assert not changed.any()


def test_what_is_missing_elsewhere_stays_missing(model: PoseDiffusion) -> None:
    pose = lost_hand(30)
    result = regenerate(pose, frames=(12, 15), points=[LEFT_HAND], steps=1, model=model)
    assert_same_points(result, pose, part(pose, RIGHT_HAND))


def test_what_joins_the_rest_is_near_it(model: PoseDiffusion) -> None:
    """One step is the mean of what fits, so it goes on from what is known before and after."""
    pose = constructed_pose(40)
    near = regenerate(pose, frames=(20, 22), steps=1, model=model)
    far = regenerate(pose, frames=(8, 34), steps=1, model=model)
    hands = np.r_[part(pose, LEFT_HAND), part(pose, RIGHT_HAND)]
    assert distance(near, pose)[20:22, 0, hands].mean() < distance(far, pose)[20:22, 0, hands].mean()


def test_only_frames_around_a_span_are_seen(model: PoseDiffusion) -> None:
    """The rest of a long pose is not even read; but it tells the signer's size."""
    pose = constructed_pose(300)
    short = Pose(pose.header, pose.body[150 - task.CONTEXT:153 + task.CONTEXT])
    a = regenerate(pose, frames=(150, 153), steps=2, model=model)
    b = regenerate(short, frames=(task.CONTEXT, task.CONTEXT + 3), steps=2, model=model)
    here = place(pose)
    difference = values(a)[150:153, :, here] - values(b)[task.CONTEXT:task.CONTEXT + 3, :, here]
    assert np.abs(difference[..., :2]).mean() < 1


def test_spans_are_counted_as_in_a_slice(model: PoseDiffusion) -> None:
    pose = constructed_pose(20)
    options: dict[str, Any] = {"steps": 1, "model": model}
    expected = regenerate(pose, frames=(15, 20), **options)
    for frames in (slice(15, None), slice(-5, None), (-5, 20), [15, 20], (15, 30), (np.int64(15), 20)):
        assert_same_bits(regenerate(pose, frames=frames, **options), expected)  # type: ignore[arg-type]
    assert_same_bits(regenerate(pose, frames=slice(None), **options), regenerate(pose, frames=(0, 20), **options))


def test_a_text_says_what_is_signed(model: PoseDiffusion) -> None:
    pose = constructed_pose(30)
    options: dict[str, Any] = {"frames": (5, 25), "steps": 3, "model": model}
    results = [regenerate(pose, text=text, **options) for text in (None, "hello", "thank you")]
    assert all(distance(a, b)[5:25].max() > .05 for i, a in enumerate(results) for b in results[:i])
    assert_same_bits(regenerate(pose, text="a", **options), regenerate(pose, text="a", language="gsg", **options))
    ignored = regenerate(pose, text="hello", guidance=0, **options)
    assert distance(ignored, results[0]).max() < .05


def test_seeds_are_variants(model: PoseDiffusion) -> None:
    pose = constructed_pose(30)
    a, again, other = (regenerate(pose, points=[RIGHT_HAND], seed=seed, steps=4, model=model) for seed in (1, 1, 2))
    assert_same_bits(a, again)
    assert distance(a, other)[:, 0, part(pose, RIGHT_HAND)].max() > .5


def test_of_several_people_all(reduced_pose: Pose, model: PoseDiffusion) -> None:
    pose = twice(reduced_pose)
    result = regenerate(pose, frames=(5, 9), steps=2, model=model)
    assert (distance(result, pose)[5:9][seen(pose)[5:9]] > 0).mean() > .9
    assert_same_bits(outside(result, 5, 9), outside(pose, 5, 9))


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_the_last_step_is_the_result(reduced_pose: Pose, model: PoseDiffusion, steps: int) -> None:
    options: dict[str, Any] = {"frames": (3, 9), "points": [RIGHT_HAND, LEFT_HAND], "text": "hello", "steps": steps,
                               "seed": 5, "model": model}
    shown = list(regenerate_steps(reduced_pose, **options))
    assert len(shown) == steps
    assert_same_bits(shown[-1], regenerate(reduced_pose, **options))
    for one in shown:
        assert_same_bits(outside(one, 3, 9), outside(reduced_pose, 3, 9))


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 60), st.data(), st.integers(1, 2), st.sampled_from([10.0, 23.976, 60.0]), st.booleans())
def test_any_length_span_and_rate(frames: int, data: st.DataObject, people: int, fps: float, hand: bool) -> None:
    first = data.draw(st.integers(0, frames - 1))
    last = data.draw(st.integers(first + 1, frames))
    pose = lose(constructed_pose(frames, people=people, fps=fps), slice(0, 2), [0, 12, 40])
    result = regenerate(pose, frames=(first, last), points=[LEFT_HAND] if hand else None, steps=2,
                        model=random_model(TINY_WITH_TEXT))
    rest = np.r_[0:first, last:frames]
    assert values(result)[rest].tobytes() == values(pose)[rest].tobytes()
    assert result.body.confidence[rest].tobytes() == pose.body.confidence[rest].tobytes()
    new = np.r_[part(pose, LEFT_HAND)] if hand else place(pose)
    assert seen(result)[first:last, :, new].all()
    assert np.isfinite(values(result)).all()


@pytest.mark.parametrize(("options", "word"), [
    ({}, "give frames, points, or both"), ({"frames": (5, 5)}, "none of the pose's 20"),
    ({"frames": (30, 40)}, "none of the pose's 20"), ({"frames": slice(0, 9, 2)}, "in order"),
    ({"frames": (1.5, 3)}, "two whole numbers"), ({"frames": (3,)}, "two whole numbers"), ({"frames": 3}, "two whole"),
    ({"frames": "ab"}, "two whole numbers"), ({"points": RIGHT_HAND}, r"points must be a list of names, such as \['RI"),
    ({"points": []}, "points names none"), ({"points": ["NOSE"]}, "points: there is no 'NOSE'"),
    ({"points": [(BODY, "LEFT_KNEE")]}, "points: there is no"), ({"frames": (1, 2), "steps": 0}, "steps"),
    ({"frames": (1, 2), "text": ""}, "empty"), ({"frames": (1, 2), "text": "\ue001\ue010"}, "never trained on hamno"),
    ({"frames": (1, 2), "guidance_interval": (1, 0)}, "interval"), ({"frames": (1, 2), "seed": -1}, "seed"),
])
def test_arguments_out_of_range(model: PoseDiffusion, options: dict[str, Any], word: str) -> None:
    for call in (regenerate, regenerate_steps):
        with pytest.raises(ValueError, match=word) as caught:
            call(constructed_pose(20), model=model, **options)
        assert "\n" not in str(caught.value)


def test_points_that_the_pose_does_not_have(model: PoseDiffusion) -> None:
    pose = constructed_pose(4).get_components([BODY])
    with pytest.raises(ValueError, match="has none of the points"):
        regenerate(pose, points=[RIGHT_HAND], model=model)
    assert seen(regenerate(pose, points=[RIGHT_HAND, BODY], steps=1, model=model))[:, :, :25].all()


def test_spans_that_are_too_long_at_once(model: PoseDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "MOST_FRAMES", 10)
    with pytest.raises(ValueError, match="11 frames are more than 10 at once: give one span after"):
        regenerate(constructed_pose(20), frames=(3, 14), model=model)


def test_bad_poses_are_refused(model: PoseDiffusion) -> None:
    pose = constructed_pose(5)
    data = values(pose).copy()
    data[2, 0, 5] = np.nan
    for bad, word in ((Pose(pose.header, NumPyPoseBody(25, data, pose.body.confidence)), "frame 2 is NaN"),
                      (Pose(pose.header, pose.body[:0]), "no frames")):
        with pytest.raises(ValueError, match=word):
            regenerate(bad, frames=(0, 1), model=model)


def test_a_text_never_trained_on_is_warned_of(model: PoseDiffusion) -> None:
    with pytest.warns(UserWarning, match="nearest it knows: hello"):
        regenerate(constructed_pose(5), frames=(1, 3), text="helo", steps=1, model=model)
