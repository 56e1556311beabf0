"""Refine and its contracts, on real files and constructed people, with a random network: they need no good weights."""
from __future__ import annotations

import copy
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion import fill_missing, refine, refine_many
from pose_diffusion.diffusion import reader as networks
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import BODY, FACE, LEFT_HAND, RIGHT_HAND
from pose_diffusion.tasks import refine as task
from pose_diffusion.tasks.refine import fill_missing_steps, refine_steps
from tests.models import random_model
from tests.poses import assert_same_bits, constructed_pose, describe, to_bytes
from tests.tasks.looking import ROUNDING, distance, lost_hand, place, seen, values
from tests.test_clip import KINDS, gaps, one_frame, twice


@pytest.fixture(params=list(KINDS))
def any_pose(request: pytest.FixtureRequest, real_pose: Pose) -> Pose:
    return KINDS[request.param](real_pose)


# Pose in, new Pose out


def test_of_every_kind_a_pose_of_the_same_kind(any_pose: Pose, model: PoseDiffusion) -> None:
    before, header = copy.deepcopy(any_pose), any_pose.header
    result = refine(any_pose, steps=2, model=model)
    assert_same_bits(any_pose, before)
    assert any_pose.header is header
    assert result.header is not header
    assert describe(result.header) == describe(header)
    assert values(result).shape == values(any_pose).shape
    assert values(result).dtype == values(any_pose).dtype
    assert result.body.confidence.dtype == any_pose.body.confidence.dtype
    assert result.body.fps == any_pose.body.fps
    assert isinstance(result.body, NumPyPoseBody)


def test_every_keypoint_comes_back(any_pose: Pose, model: PoseDiffusion) -> None:
    result, here = refine(any_pose, model=model), place(any_pose)
    assert seen(result)[:, :, here].all()
    assert np.isfinite(values(result)[:, :, here]).all()
    invented = ~seen(any_pose)[:, :, here]
    sure = result.body.confidence[:, :, here]
    assert ((sure[invented] > 0) & (sure[invented] < 1)).all()
    assert np.array_equal(sure[~invented], any_pose.body.confidence[:, :, here][~invented])


def test_the_result_survives_a_file(any_pose: Pose, model: PoseDiffusion) -> None:
    result = refine(any_pose, model=model)
    again = Pose.read(to_bytes(result))
    here = place(any_pose)
    assert np.array_equal(values(again)[:, :, here], values(result)[:, :, here].astype(np.float32))
    assert seen(again)[:, :, here].all()


def test_the_header_that_pose_format_shares_is_untouched(real_bytes: bytes, model: PoseDiffusion) -> None:
    pose, sibling = Pose.read(real_bytes), Pose.read(real_bytes)
    header = describe(sibling.header)
    result = refine(pose, model=model)
    result.header.dimensions.width = 1
    result.header.components[0].points[0] = "CHANGED"
    assert describe(sibling.header) == describe(pose.header) == header


def test_a_torch_body_is_taken(reduced_pose: Pose, model: PoseDiffusion) -> None:
    pose = gaps(reduced_pose)
    result = refine(Pose(pose.header, pose.body.torch()), model=model)
    assert np.allclose(values(result), values(refine(pose, model=model)), atol=1e-3)


def test_nonsense_below_the_mask_does_not_matter(reduced_pose: Pose, model: PoseDiffusion) -> None:
    pose = gaps(reduced_pose)
    data = values(pose).copy()
    data[~seen(pose)] = np.nan
    spoilt = Pose(pose.header, NumPyPoseBody(pose.body.fps, data, pose.body.confidence))
    assert_same_bits(refine(spoilt, model=model), refine(pose, model=model))


# Observed is kept


def test_only_masked_keeps_what_was_observed_bit_for_bit(any_pose: Pose, model: PoseDiffusion) -> None:
    for result in (refine(any_pose, only_masked=True, model=model), fill_missing(any_pose, steps=3, model=model)):
        kept = seen(any_pose)
        assert values(result)[kept].tobytes() == values(any_pose)[kept].tobytes()
        assert result.body.confidence[kept].tobytes() == any_pose.body.confidence[kept].tobytes()
        assert seen(result)[:, :, place(any_pose)].all()


def test_without_it_observed_points_move(reduced_pose: Pose, model: PoseDiffusion) -> None:
    moved = distance(refine(reduced_pose, model=model), reduced_pose)[seen(reduced_pose)]
    assert (moved > 0).mean() > .9


def test_fill_missing_is_refine_only_masked(reduced_pose: Pose, model: PoseDiffusion) -> None:
    pose = gaps(reduced_pose)
    for steps in (1, 3):
        assert_same_bits(fill_missing(pose, steps=steps, seed=4, model=model),
                         refine(pose, only_masked=True, steps=steps, seed=4, model=model))
        *_, end = fill_missing_steps(pose, steps=steps, seed=4, model=model)
        assert_same_bits(end, fill_missing(pose, steps=steps, seed=4, model=model))


@pytest.mark.parametrize("keep", [[FACE], [LEFT_HAND, RIGHT_HAND], [(BODY, "NOSE")], [[BODY, "LEFT_ELBOW"], FACE],
                                  (BODY,)])
def test_what_is_kept_stays(real_pose: Pose, model: PoseDiffusion, keep: Any) -> None:
    pose = gaps(real_pose)
    result = refine(pose, keep=keep, model=model)
    names = [(c.name, p) for c in pose.header.components for p in c.points]
    kept = np.array([name[0] in keep or name in keep or list(name) in list(keep) for name in names]) & seen(pose)
    assert values(result)[kept].tobytes() == values(pose)[kept].tobytes()
    free = ~kept & seen(pose)
    free[:, :, np.setdiff1d(np.arange(free.shape[2]), place(pose))] = False
    assert (distance(result, pose)[free] > 0).mean() > .9
    assert seen(result)[:, :, place(pose)].all()


# Strength


def test_strength_0_changes_nothing(any_pose: Pose, model: PoseDiffusion) -> None:
    assert_same_bits(refine(any_pose, strength=0, model=model), any_pose)
    for pose in refine_steps(any_pose, strength=0, steps=3, model=model):
        assert_same_bits(pose, any_pose)


def test_the_distance_moved_is_proportional_to_strength(reduced_pose: Pose, model: PoseDiffusion) -> None:
    pose = gaps(reduced_pose)
    here = seen(pose)
    whole = distance(refine(pose, model=model), pose)[here]
    before = np.zeros_like(whole)
    for strength in (.1, .25, .5, .9, 1):
        moved = distance(refine(pose, strength=strength, model=model), pose)[here]
        assert np.allclose(moved, strength * whole, atol=2e-3)
        assert (moved >= before - 2e-3).all()
        before = moved


def test_what_is_missing_is_invented_at_any_strength(reduced_pose: Pose, model: PoseDiffusion) -> None:
    pose = gaps(reduced_pose)
    weak, strong = refine(pose, strength=.01, model=model), refine(pose, model=model)
    lost = ~seen(pose)
    assert seen(weak).all()
    assert np.allclose(values(weak)[..., :2][lost], values(strong)[..., :2][lost], atol=2e-3)


# Invented confidence


def test_confidence_falls_with_the_expected_error() -> None:
    sure = task.invented_confidence(np.array([0, .01, .1, .15, .3, 10, np.inf]))
    assert (np.diff(sure) <= 0).all()
    assert sure[3] == pytest.approx(np.exp(-1))
    assert ((sure > 0) & (sure < 1)).all()


# Seeds and steps


def test_the_same_seed_gives_the_same_pose(reduced_pose: Pose, model: PoseDiffusion) -> None:
    pose = gaps(reduced_pose)
    assert_same_bits(refine(pose, steps=4, seed=7, model=model), refine(pose, steps=4, seed=7, model=model))


def test_another_seed_is_another_sample_from_two_steps_on(reduced_pose: Pose, model: PoseDiffusion) -> None:
    pose = gaps(reduced_pose)
    assert_same_bits(refine(pose, steps=1, seed=1, model=model), refine(pose, steps=1, seed=2, model=model))
    for steps in (2, 5):
        a, b = (refine(pose, steps=steps, seed=seed, model=model) for seed in (1, 2))
        assert distance(a, b)[~seen(pose)].max() > .5


def test_people_are_different_samples(model: PoseDiffusion) -> None:
    pose = lost_hand()
    data, confidence = (np.concatenate([x, x], 1) for x in (values(pose), pose.body.confidence))
    both = Pose(pose.header, NumPyPoseBody(25, data, confidence))
    result = refine(both, steps=3, model=model)
    assert np.abs(values(result)[:, 0] - values(result)[:, 1]).max() > .5
    assert np.array_equal(*values(refine(both, model=model)).transpose(1, 0, 2, 3))


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_the_last_step_is_the_result(reduced_pose: Pose, model: PoseDiffusion, steps: int) -> None:
    pose = gaps(twice(reduced_pose))
    shown = list(refine_steps(pose, steps=steps, seed=3, strength=.7, keep=[FACE], model=model))
    assert len(shown) == steps
    assert_same_bits(shown[-1], refine(pose, steps=steps, seed=3, strength=.7, keep=[FACE], model=model))
    assert all(seen(step)[:, :, place(pose)].all() for step in shown)
    assert len({values(step).tobytes() for step in shown}) == steps


def test_a_thousand_steps(model: PoseDiffusion) -> None:
    result = refine(lost_hand(6), steps=1000, model=model)
    assert np.isfinite(values(result)).all()


def test_one_may_stop_at_any_step(reduced_pose: Pose, model: PoseDiffusion) -> None:
    walk = refine_steps(reduced_pose, steps=1000, model=model)
    assert len(list(islice(walk, 2))) == 2


def test_arguments_are_checked_before_the_first_step(reduced_pose: Pose, model: PoseDiffusion) -> None:
    with pytest.raises(ValueError, match="steps"):
        refine_steps(reduced_pose, steps=0, model=model)


# Many poses


@pytest.mark.parametrize("half", [False, True])
def test_many_are_as_one(real_pose: Pose, lexicon_files: list[Path], model: PoseDiffusion, half: bool,
                         monkeypatch: pytest.MonkeyPatch) -> None:
    """Any lengths, rates, headers and people at once; in the order given. Half precision rounds otherwise with other
    clips beside one: by less than a pixel.
    """
    monkeypatch.setattr(networks, "has_bfloat16", lambda: half)
    poses = [make(real_pose) for make in KINDS.values()]
    poses += [Pose.read(path.read_bytes()) for path in lexicon_files[1:5]]
    options: dict[str, Any] = {"steps": 3, "seed": 5, "model": model}
    together = refine_many(poses, **options)
    assert len(together) == len(poses)
    for pose, result in zip(poses, together):
        alone = refine(pose, **options)
        # A pose of which nothing is known is of no size; in it a shoulder width is one pixel.
        assert np.allclose(values(alone), values(result), rtol=1e-5, atol=1 if half else ROUNDING)
        assert np.allclose(alone.body.confidence, result.body.confidence, atol=.02 if half else 1e-4)
        assert np.array_equal(seen(alone), seen(result))


def test_what_is_exact_is_so_in_a_batch(real_pose: Pose, model: PoseDiffusion) -> None:
    poses = [gaps(real_pose), one_frame(real_pose), real_pose]
    for pose, result in zip(poses, refine_many(poses, only_masked=True, model=model)):
        assert values(result)[seen(pose)].tobytes() == values(pose)[seen(pose)].tobytes()


def test_no_poses_are_no_poses(model: PoseDiffusion) -> None:
    assert refine_many([], model=model) == []


def test_the_size_of_the_batches_does_not_matter(model: PoseDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    poses = [lost_hand(frames, seed=frames) for frames in (5, 40, 17, 29)]
    together = refine_many(poses, steps=2, model=model)
    monkeypatch.setattr(task, "BATCH", 30)
    for a, b in zip(together, refine_many(poses, steps=2, model=model)):
        assert np.allclose(values(a), values(b), atol=ROUNDING)


def test_progress_is_shown(model: PoseDiffusion, capsys: pytest.CaptureFixture[str]) -> None:
    refine_many([lost_hand(5)] * 3, model=model, progress=True)
    assert "3/3" in capsys.readouterr().err
    refine_many([lost_hand(5)] * 3, model=model)
    assert capsys.readouterr().err == ""


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 50), st.integers(1, 2), st.floats(0, 1), st.integers(0, 2**31),
       st.sampled_from([10.0, 23.976, 25.0, 120.0]))
def test_any_length_rate_and_pattern_of_loss(frames: int, people: int, lost: float, seed: int, fps: float) -> None:
    rng = np.random.default_rng(seed)
    pose = constructed_pose(frames, people=people, fps=fps, seed=seed % 100)
    confidence = np.where(rng.random(pose.body.confidence.shape) < lost, np.float32(0), pose.body.confidence)
    pose = Pose(pose.header, NumPyPoseBody(fps, values(pose), confidence))
    result = fill_missing(pose, steps=2, model=random_model())
    assert values(result)[seen(pose)].tobytes() == values(pose)[seen(pose)].tobytes()
    assert seen(result)[:, :, place(pose)].all()
    assert np.isfinite(values(result)).all()
