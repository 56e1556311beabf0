"""Joining poses: what was given stays, the ways between are there. A random network is enough for most of it."""
from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.utils.generic import reduce_holistic

from pose_diffusion import inbetween, inbetween_steps
from pose_diffusion.clip import encode, measure
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import BODY, FACE, HOLISTIC, LEFT_HAND, RIGHT_HAND, WORLD
from pose_diffusion.tasks.inbetween import MOST, PER_WIDTH, START
from tests.models import random_model
from tests.poses import assert_same_bits, constructed_pose, describe, flat, lose, part, to_bytes
from tests.tasks.looking import place, seen, values

MODEL = random_model()  # for hypothesis, which takes no fixtures of a module


def people(count: int = 3, frames: int = 12, **options: Any) -> list[Pose]:
    return [constructed_pose(frames, seed=i, **options) for i in range(count)]


def frames_of(pose: Pose) -> int:
    return len(pose.body.data)


def moved(pose: Pose, by: tuple[float, float], times: float = 1.0) -> Pose:
    """The signer elsewhere in the image, and larger."""
    data = values(pose).copy()
    body = np.ones(data.shape[2], bool)
    body[part(pose, "POSE_WORLD_LANDMARKS")] = False
    data[:, :, body, :2] = data[:, :, body, :2] * times + by
    data[:, :, body, 2] *= times
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, pose.body.confidence))


# What was given stays


def test_the_given_frames_are_kept_bit_for_bit(model: PoseDiffusion) -> None:
    poses = people()
    before = copy.deepcopy(poses)
    result = inbetween(poses, seconds=.2, model=model)
    assert frames_of(result) == 3 * 12 + 2 * 5
    for start, pose in zip((0, 17, 34), poses):
        rows = slice(start, start + 12)
        assert values(result)[rows].tobytes() == values(pose).tobytes()
        assert result.body.confidence[rows].tobytes() == pose.body.confidence.tobytes()
    assert describe(result.header) == describe(poses[0].header)
    assert result.header is not poses[0].header
    assert result.body.fps == 25
    for given_pose, was in zip(poses, before):
        assert_same_bits(given_pose, was)


def test_points_lost_in_a_pose_stay_lost(model: PoseDiffusion) -> None:
    first, second = people(2)
    first = lose(first, slice(3, 6), part(first, RIGHT_HAND))
    result = inbetween([first, second], seconds=.2, model=model)
    assert np.array_equal(seen(result)[:12], seen(first))
    assert values(result)[:12].tobytes() == values(first).tobytes()


def test_transitions_are_complete_and_told_apart_by_their_confidence(model: PoseDiffusion) -> None:
    result = inbetween(people(2), seconds=.4, model=model)
    way = slice(12, 22)
    assert seen(result)[way].all()
    sure = result.body.confidence[way][:, :, place(result)]
    assert ((sure > 0) & (sure < 1)).all()
    assert np.isfinite(values(result)).all()
    assert len(np.unique(values(result)[way, 0, place(result)[20], 0])) == 10, "it moves"


def test_a_hand_that_never_was_there_does_not_come_for_a_moment(model: PoseDiffusion) -> None:
    poses = people(2)
    left, right = part(poses[0], LEFT_HAND), part(poses[0], RIGHT_HAND)
    poses = [lose(pose, slice(None), left) for pose in poses]
    poses[1] = lose(poses[1], slice(None), right)
    result = seen(inbetween(poses, seconds=.4, model=model))
    assert not result[:, :, left].any()
    assert result[12:17, :, right].all()
    assert not result[17:, :, right].any()


def test_a_hand_that_is_lost_only_for_a_moment_is_there_in_the_transition(model: PoseDiffusion) -> None:
    first, second = people(2)
    hand = part(first, RIGHT_HAND)
    first = lose(first, slice(10, 12), hand)
    assert seen(inbetween([first, second], seconds=.2, model=model))[12:17, :, hand].all()


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4), seconds=st.sampled_from([None, 0., .04, .3]),
       hold=st.sampled_from([0., .2]), steps=st.integers(1, 2))
def test_any_lengths(lengths: list[int], seconds: float | None, hold: float, steps: int) -> None:
    poses = [reduce_holistic(constructed_pose(n, seed=i)) for i, n in enumerate(lengths)]
    result = inbetween(poses, seconds=seconds, hold=hold, steps=steps, model=MODEL)
    assert np.isfinite(values(result)).all()
    start = 0
    for i, pose in enumerate(poses):
        rows = values(result)[start:start + frames_of(pose)]
        assert rows.tobytes() == values(pose).tobytes()
        start += frames_of(pose) + round(hold * 25)
        if i < len(poses) - 1 and seconds is not None:
            start += round(seconds * 25)
        elif i < len(poses) - 1:
            following = values(poses[i + 1]).tobytes()
            rest = values(result)[start:]
            start += next(k for k in range(len(rest)) if rest[k:k + lengths[i + 1]].tobytes() == following)
    assert frames_of(result) == start


def test_one_pose_comes_back_as_a_new_one(model: PoseDiffusion) -> None:
    pose = people(1)[0]
    result = inbetween([pose], model=model)
    assert_same_bits(result, pose)
    assert result is not pose
    result.body.data[:] = 0
    assert values(pose).any()


def test_the_result_survives_a_file(model: PoseDiffusion) -> None:
    result = inbetween(people(2), model=model)
    assert np.array_equal(values(Pose.read(to_bytes(result))), values(result))


# Time


def test_a_farther_way_takes_longer(model: PoseDiffusion) -> None:
    pose = constructed_pose(1)
    right = [*range(*part(pose, RIGHT_HAND).indices(10**6)), HOLISTIC.index(BODY, "RIGHT_WRIST")]
    lengths = []
    for way in (0., 1., 2., 50.):
        data = values(pose).copy()
        data[:, :, right, 0] += way * measure(pose).scale
        other = Pose(pose.header, NumPyPoseBody(25, data, pose.body.confidence))
        lengths.append(frames_of(inbetween([pose, other], model=model)) - 2)
    assert lengths == [round(25 * seconds) for seconds in (START, START + PER_WIDTH, START + 2 * PER_WIDTH, MOST)]


def test_holds_and_pauses(model: PoseDiffusion) -> None:
    poses = people()
    result = inbetween(poses, seconds=.2, hold=.12, pause=.2, model=model)
    assert frames_of(result) == 3 * 12 + 2 * 5 + 3 * 3 + 2 * 5
    held = values(result)[12:20]
    assert (held == values(poses[0])[-1]).all()
    assert (values(result)[-3:] == values(poses[2])[-1]).all()
    assert (values(result)[-4] == values(poses[2])[-1]).all()
    assert not (values(result)[20] == values(poses[0])[-1]).all()


def test_tempo(model: PoseDiffusion) -> None:
    poses = people(2, frames=21)
    result = inbetween(poses, seconds=.2, tempo=2, model=model)
    assert frames_of(result) == 2 * 11 + 5
    assert np.array_equal(values(result)[:11], values(poses[0])[::2])
    assert np.array_equal(values(result)[16:], values(poses[1])[::2])


def test_the_context_is_all_that_the_model_sees() -> None:
    poses = people(2, frames=40)
    other = [Pose(pose.header, NumPyPoseBody(25, values(pose).copy(), pose.body.confidence)) for pose in poses]
    values(other[0])[:20, :, part(poses[0], FACE), :2] += 30  # not the body: it says how large somebody is
    ways = [values(inbetween(both, seconds=.2, context_seconds=.5, model=MODEL))[40:45] for both in (poses, other)]
    assert np.array_equal(ways[0][:, :, place(poses[0])], ways[1][:, :, place(poses[0])])
    ways = [values(inbetween(both, seconds=.2, context_seconds=1.5, model=MODEL))[40:45] for both in (poses, other)]
    assert not np.array_equal(ways[0], ways[1])


# Different inputs


def test_another_frame_rate_is_resampled(model: PoseDiffusion) -> None:
    poses = people(2, frames=25)
    slow = Pose(poses[1].header, poses[1].body[::2])
    slow.body.fps = 12.5
    result = inbetween([poses[0], slow], seconds=.2, model=model)
    assert (frames_of(result), result.body.fps) == (25 + 5 + 25, 25)
    new = values(result)[30:]
    assert np.array_equal(new[::2], values(slow))
    hand = part(slow, RIGHT_HAND)
    truth = values(poses[1])[:, :, hand, :2]
    assert np.linalg.norm(new[:, :, hand, :2] - truth, axis=-1).mean() < 2  # pixels; 150 are a shoulder width


def test_a_point_that_is_lost_stays_so_when_resampled(model: PoseDiffusion) -> None:
    first, second = people(2, frames=10)
    second = lose(second, slice(4, 6), part(second, RIGHT_HAND))
    second.body.fps = 12.5
    result = inbetween([first, second], seconds=.2, model=model)
    hand = part(second, RIGHT_HAND)
    assert frames_of(result) == 15 + 19
    nearest = np.round(np.arange(19) / 2).astype(int)
    assert np.array_equal(seen(result)[15:, :, hand], seen(second)[nearest][:, :, hand])


def test_a_signer_elsewhere_and_larger_is_brought_to_the_first(model: PoseDiffusion) -> None:
    first, second = people(2)
    result = inbetween([first, moved(second, (90, -60), 1.6)], seconds=.2, model=model)
    there = values(result)[17:]
    truth, here = values(second), place(second)
    assert np.abs(there - truth)[:, :, here, :2].max() < .1
    assert np.abs(there - truth)[:, :, here, 2].max() < 1e-3
    world = part(second, "POSE_WORLD_LANDMARKS")
    assert np.array_equal(there[:, :, world], truth[:, :, world])


def test_an_image_of_another_size_is_brought_to_the_first(model: PoseDiffusion) -> None:
    first, second = people(2)
    large = constructed_pose(12, seed=1, width=1280, height=960, scale=300)
    result = inbetween([first, large], seconds=.2, model=model)
    one, other = (encode(Pose(pose.header, pose.body[-12:]))[0].xyz for pose in (result, second))
    assert np.abs(one - other).max() < .02
    world = part(second, "POSE_WORLD_LANDMARKS")
    assert np.allclose(values(result)[17:, :, world], values(second)[:, :, world], atol=1e-2)


def test_other_headers_are_brought_to_the_first(model: PoseDiffusion) -> None:
    first, second = people(2)
    for a, b in ((first, reduce_holistic(second)), (reduce_holistic(first), second)):
        result = inbetween([a, b], seconds=.2, model=model)
        assert describe(result.header) == describe(a.header)
        one, other = (encode(Pose(pose.header, pose.body[-12:]))[0] for pose in (result, b))
        both = (one.confidence > 0) & (other.confidence > 0)
        assert both[:, :67].mean() > .7
        assert np.array_equal(one.xyz[..., :2][both], other.xyz[..., :2][both])


def test_number_types_are_widened(model: PoseDiffusion) -> None:
    first, second = people(2)
    precise = Pose(second.header, NumPyPoseBody(25, values(second).astype(np.float64) + 1e-9, second.body.confidence))
    result = inbetween([first, precise], seconds=.2, model=model)
    assert values(result).dtype == np.float64
    assert np.array_equal(values(result)[17:], values(precise))


def test_real_files_of_several_signers_and_cameras(lexicon_files: list[Any]) -> None:
    poses = [Pose.read(path.read_bytes()) for path in lexicon_files[:6]]
    result = inbetween(poses, model=MODEL)
    assert np.isfinite(values(result)[seen(result)]).all()
    assert np.array_equal(values(result)[:frames_of(poses[0])], values(poses[0]))
    widths = [measure(Pose(result.header, result.body[low:low + 20])).scale for low in (0, frames_of(result) - 20)]
    assert widths[1] == pytest.approx(widths[0], rel=.25)


def test_several_people(model: PoseDiffusion) -> None:
    poses = people(2, people=2)
    result = inbetween(poses, seconds=.2, model=model)
    assert seen(result)[12:17].all()
    alone = [Pose(pose.header, pose.body[:, 1:]) for pose in poses]
    other = inbetween(alone, seconds=.2, seed=1, model=model)
    assert np.abs(values(result)[:, 1] - values(other)[:, 0])[:, place(result)].max() < .1


# Steps, seeds, refusals


def test_the_steps_end_in_what_the_function_gives(model: PoseDiffusion) -> None:
    walk = list(inbetween_steps(people(), seconds=.2, steps=3, seed=2, model=model))
    assert len(walk) == 3
    assert_same_bits(walk[-1], inbetween(people(), seconds=.2, steps=3, seed=2, model=model))
    for pose in walk:
        assert np.array_equal(values(pose)[:12], values(people()[0]))
    assert not np.array_equal(values(walk[0]), values(walk[-1]))


def test_nothing_to_generate_is_no_special_case(model: PoseDiffusion) -> None:
    walk = list(inbetween_steps(people(), seconds=0, steps=3, model=model))
    assert [frames_of(pose) for pose in walk] == [36] * 3


def test_a_seed_is_repeatable_and_another_is_another_way(model: PoseDiffusion) -> None:
    a, b, c = (inbetween(people(2), steps=3, seed=seed, model=model) for seed in (1, 1, 2))
    assert_same_bits(a, b)
    assert not np.array_equal(values(a), values(c))


def test_many_joins_are_filled_alike_whether_they_lie_close_or_not(model: PoseDiffusion) -> None:
    poses = people(5, frames=120)
    result = inbetween(poses, seconds=.2, context_seconds=.4, model=model)
    pair = inbetween([poses[0], poses[1]], seconds=.2, context_seconds=.4, model=model)
    assert np.abs(values(result)[120:125] - values(pair)[120:125])[:, :, place(pair), :2].max() < 1


@pytest.mark.parametrize(("poses", "options", "message"), [
    ([], {}, "no pose to join"),
    (people(1) + people(1, people=2), {}, "pose 1 shows 2 people, .* 1"),
    (people(1) + [flat(people(1)[0])], {}, "pose 1 has 2 dimensions, .* 3"),
    (people(1) + [Pose(people(1)[0].header, people(1)[0].body[:0])], {}, "pose 1: the pose has no frames"),
    (people(2, fps=1e6), {"hold": 60.}, "1e.06 frames per second are more than 1000"),
    (people(1) + people(1, fps=.01), {}, "pose 1 has 0.01 frames per second"),
    (people(2), {"seconds": -1}, "seconds must be from 0 to 60"),
    (people(2), {"hold": float("nan")}, "hold must be from 0 to 60"),
    (people(2), {"pause": 61}, "pause must be from 0 to 60"),
    (people(2), {"context_seconds": float("inf")}, "context_seconds must be from 0 to 60"),
    (people(2), {"tempo": 0}, "tempo must be from 0.1 to 10"),
    (people(2), {"steps": 0}, "steps must be"),
])
def test_what_cannot_be_joined(poses: list[Pose], options: dict[str, Any], message: str, model: PoseDiffusion) -> None:
    for function in (inbetween, inbetween_steps):
        with pytest.raises(ValueError, match=message) as caught:
            function(poses, model=model, **options)
        assert "\n" not in str(caught.value)


def test_a_depth_that_begins_elsewhere_is_brought_along(model: PoseDiffusion) -> None:
    """Poses whose appearance was removed have their depth around half the image's width; hands burst on the way."""
    here, there = people(2)
    shown = sum(len(component.points) for component in here.header.components if component.name != WORLD)
    data = there.body.data.astype(np.float64)
    data[:, :, :shown, 2] += 250
    elsewhere = Pose(there.header, NumPyPoseBody(there.body.fps, data, there.body.confidence))
    plain, brought = (values(inbetween([here, pose], seconds=.3, steps=1, model=model))[:, :, :shown]
                      for pose in (there, elsewhere))
    assert np.abs(brought[..., 2] - plain[..., 2]).max() < 1
    assert np.abs(brought[..., :2] - plain[..., :2]).max() < .05 * here.header.dimensions.width
