"""Refine and its contracts, on real files and constructed people, with a random network: they need no good weights."""
from __future__ import annotations

import copy
import tracemalloc
from collections.abc import Callable
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
from pose_diffusion.clip import encode
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import BODY, FACE, HOLISTIC, LEFT_HAND, RIGHT_HAND, UnknownSchemaError, locate
from pose_diffusion.tasks import refine as task
from pose_diffusion.tasks.refine import fill_missing_steps, refine_steps
from tests.models import TINY, random_model
from tests.poses import assert_same_bits, component, constructed_pose, describe, lose, part, to_bytes
from tests.test_clip import KINDS, at_rate, gaps, one_frame, twice

ROUNDING = 2e-3  # pixels: what float32 leaves of a result when it is computed in another batch


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return random_model()


@pytest.fixture(params=list(KINDS))
def any_pose(request: pytest.FixtureRequest, real_pose: Pose) -> Pose:
    return KINDS[request.param](real_pose)


def place(pose: Pose) -> np.ndarray:
    """The layout's points among those of the pose."""
    found = locate(pose.header, HOLISTIC)
    return found[found >= 0]


def seen(pose: Pose) -> np.ndarray:
    """`(T, people, points)` bool."""
    return (pose.body.confidence > 0) & ~np.ma.getmaskarray(pose.body.data).any(-1)


def values(pose: Pose) -> np.ndarray:
    return np.ma.getdata(pose.body.data)


def lost_hand(frames: int = 30, **options: Any) -> Pose:
    """The right hand is lost for a third of the clip."""
    pose = constructed_pose(frames, **options)
    return lose(pose, slice(frames // 3, 2 * frames // 3), part(pose, RIGHT_HAND))


def distance(a: Pose, b: Pose) -> np.ndarray:
    """`(T, people, points)` in pixels."""
    return np.linalg.norm(values(a)[..., :2] - values(b)[..., :2], axis=-1)


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


def test_many_are_as_one(real_pose: Pose, lexicon_files: list[Path], model: PoseDiffusion) -> None:
    """Any lengths, rates, headers and people at once; in the order given."""
    poses = [make(real_pose) for make in KINDS.values()]
    poses += [Pose.read(path.read_bytes()) for path in lexicon_files[1:5]]
    options: dict[str, Any] = {"steps": 3, "seed": 5, "model": model}
    together = refine_many(poses, **options)
    assert len(together) == len(poses)
    for pose, result in zip(poses, together):
        alone = refine(pose, **options)
        # A pose of which nothing is known is of no size; in it a shoulder width is one pixel.
        assert np.allclose(values(alone), values(result), rtol=1e-5, atol=ROUNDING)
        assert np.allclose(alone.body.confidence, result.body.confidence, atol=1e-4)
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


# Long poses


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "CHUNK", 64)
    monkeypatch.setattr(task, "MARGIN", 16)


def roughness(pose: Pose) -> np.ndarray:
    """`(T - 2,)` pixels: the largest second difference of any point of the body and hands."""
    inner = place(pose)[:HOLISTIC.parts["face"].start]
    return np.linalg.norm(np.diff(values(pose)[:, 0, inner, :2], n=2, axis=0), axis=-1).max(1)


def whole_and_chunked(pose: Pose, model: PoseDiffusion, steps: int,
                      monkeypatch: pytest.MonkeyPatch) -> tuple[Pose, Pose]:
    whole = refine(pose, steps=steps, model=model)
    monkeypatch.setattr(task, "CHUNK", 64)
    monkeypatch.setattr(task, "MARGIN", 16)
    return whole, refine(pose, steps=steps, model=model)


def borders(frames: int) -> list[int]:
    """Second differences that touch frames of two chunks."""
    return sorted({f for first in range(64, frames, 64) for f in range(first - 18, min(first + 17, frames - 2))})


@pytest.mark.parametrize("frames", [97, 128, 129, 200])
def test_a_long_pose_has_no_seams(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    """A network that chooses between smooth estimates: nothing jumps where chunks meet, and all is as in one piece."""
    pose = constructed_pose(frames)
    pose = lose(pose, slice(60, 70), part(pose, RIGHT_HAND))
    whole, chunked = whole_and_chunked(pose, PoseDiffusion(Denoiser(TINY)), 1, monkeypatch)
    assert (values(chunked) != values(whole)).any()
    assert roughness(chunked)[borders(frames)].max() <= 1.05 * roughness(whole)[borders(frames)].max()
    assert distance(chunked, whole)[:, :, place(pose)].mean() < .1 * distance(whole, pose)[seen(pose)].mean()


def test_samples_are_no_rougher_where_chunks_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, chunked = whole_and_chunked(lost_hand(300), PoseDiffusion(Denoiser(TINY)), 4, monkeypatch)
    assert roughness(chunked)[borders(300)].mean() <= 1.1 * roughness(whole).mean()


def test_a_chunk_border_is_where_it_was_without_a_border(model: PoseDiffusion, short_chunks: None) -> None:
    """The blend of what two chunks say lies between them, frame by frame."""
    chunks = task._chunks(200)
    assert [(c.low, c.first, c.high) for c in chunks] == [(0, 0, 80), (48, 64, 144), (112, 128, 200), (176, 192, 200)]
    pose = constructed_pose(200)
    canvas = task._Canvas(pose)
    for level, chunk in enumerate(chunks):
        body = chunk.of(pose).body
        canvas.add(chunk, NumPyPoseBody(25, np.full_like(values(pose)[chunk.low:chunk.high], level), body.confidence))
    course = values(canvas.pose)[:, 0, 0, 0]
    assert (np.diff(course) >= -1e-6).all()
    assert np.diff(course).max() < 1 / 8
    assert course[0] == 0
    assert course[100] == 1
    assert course[150] == 2


def test_contracts_hold_for_long_poses(real_bytes: bytes, model: PoseDiffusion, short_chunks: None) -> None:
    one = Pose.read(real_bytes)
    frames = np.arange(250) % len(one.body.data)
    pose = Pose(one.header, one.body[frames])
    before = copy.deepcopy(pose)
    filled = fill_missing(pose, steps=2, model=model)
    assert_same_bits(pose, before)
    kept, here = seen(pose), place(pose)
    assert values(filled)[kept].tobytes() == values(pose)[kept].tobytes()
    assert filled.body.confidence[kept].tobytes() == pose.body.confidence[kept].tobytes()
    assert seen(filled)[:, :, here].all()
    assert describe(filled.header) == describe(pose.header)
    assert filled.header is not pose.header
    assert_same_bits(refine(pose, strength=0, model=model), pose)
    result = refine(pose, model=model)
    assert np.array_equal(values(Pose.read(to_bytes(result)))[:, :, here], values(result)[:, :, here])


def test_the_last_step_of_a_long_pose_is_the_result(model: PoseDiffusion, short_chunks: None) -> None:
    pose = lost_hand(150, people=2)
    shown = list(refine_steps(pose, steps=3, model=model))
    assert len(shown) == 3
    assert_same_bits(shown[-1], refine(pose, steps=3, model=model))
    assert [values(p).shape for p in refine_steps(pose, strength=0, steps=2, model=model)] == [values(pose).shape] * 2


def test_a_long_pose_among_short_ones(model: PoseDiffusion, short_chunks: None) -> None:
    poses = [lost_hand(20), lost_hand(150), lost_hand(30)]
    for pose, result in zip(poses, refine_many(poses, model=model)):
        assert np.allclose(values(result), values(refine(pose, model=model)), atol=ROUNDING)


def peak(pose: Pose, model: PoseDiffusion) -> int:
    tracemalloc.start()
    try:
        refine(pose, model=model)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_grows_only_by_the_result(model: PoseDiffusion, short_chunks: None) -> None:
    short, long = constructed_pose(300), constructed_pose(1500)
    growth = values(long).nbytes + long.body.confidence.nbytes - values(short).nbytes - short.body.confidence.nbytes
    refine(short, model=model)
    assert peak(long, model) - peak(short, model) < 1.5 * growth


def test_the_real_sizes_of_chunks(model: PoseDiffusion) -> None:
    frames = task.CHUNK + 2 * task.MARGIN + 300
    one = constructed_pose(100).get_components([BODY, LEFT_HAND, RIGHT_HAND])
    pose = Pose(one.header, one.body[np.abs((np.arange(frames) + 99) % 198 - 99)])  # to and fro
    pose = lose(pose, slice(task.CHUNK - 5, task.CHUNK + 5), part(pose, LEFT_HAND))
    result = fill_missing(pose, model=model)
    assert values(result)[seen(pose)].tobytes() == values(pose)[seen(pose)].tobytes()
    rough = roughness(refine(pose, model=model))
    border = slice(task.CHUNK - task.MARGIN - 2, task.CHUNK + task.MARGIN + 2)
    assert np.delete(rough, np.arange(border.start, border.stop)).max() * 1.1 >= rough[border].max()


# What is refused


@pytest.mark.parametrize(("options", "word"), [
    ({"strength": -.1}, "strength"), ({"strength": 1.1}, "strength"), ({"strength": float("nan")}, "strength"),
    ({"steps": 0}, "steps"), ({"steps": 1001}, "steps"), ({"steps": 1.5}, "steps"), ({"steps": "many"}, "steps"),
    ({"seed": -1}, "seed"), ({"seed": 2**63}, "seed"), ({"seed": .5}, "seed"),
    ({"guidance": float("inf")}, "guidance"), ({"keep": FACE}, "keep"), ({"keep": ["NOSE"]}, "keep.*FACE_LANDMARKS"),
    ({"keep": [(BODY, "TAIL")]}, "keep.*TAIL"), ({"keep": [3]}, "keep"), ({"keep": [(BODY,)]}, "keep"),
])
def test_arguments_out_of_range(model: PoseDiffusion, options: dict[str, Any], word: str) -> None:
    pose = constructed_pose(3)
    for call in (lambda: refine(pose, model=model, **options),
                 lambda: refine_many([pose, pose], model=model, **options),
                 lambda: list(refine_steps(pose, model=model, **options))):
        with pytest.raises(ValueError, match=word) as caught:
            call()
        assert "\n" not in str(caught.value)


def unknown_schema(pose: Pose) -> Pose:
    header = copy.deepcopy(pose.header)
    header.components = [component("pose_keypoints_2d", [str(i) for i in range(header.total_points())])]
    return Pose(header, pose.body)


def not_finite(value: float) -> Callable[[Pose], Pose]:
    def spoil(pose: Pose) -> Pose:
        data = values(pose).copy()
        data[2, 0, 5, 1] = value
        return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, pose.body.confidence))

    return spoil


BAD: dict[str, tuple[Callable[[Pose], Pose], str]] = {
    "no frames": (lambda pose: Pose(pose.header, pose.body[:0]), "no frames"),
    "NaN": (not_finite(np.nan), "frame 2 is NaN"),
    "infinity": (not_finite(np.inf), "frame 2 is NaN or infinite"),
    "no rate": (at_rate(0), "frame rate"),
    "a rate that is no number": (at_rate(float("nan")), "frame rate"),
    "unknown schema": (unknown_schema, "pose_keypoints_2d"),
    "another header": (lambda pose: Pose(constructed_pose(1).get_components([BODY]).header, pose.body), "does not fit"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_poses_that_nothing_can_be_done_with(model: PoseDiffusion, kind: str) -> None:
    make, word = BAD[kind]
    good, bad = constructed_pose(4), make(constructed_pose(4))
    with pytest.raises(ValueError, match=word):
        refine(bad, model=model)
    with pytest.raises(ValueError, match=f"^pose 1: .*{word}"):
        refine_many([good, bad], model=model)
    with pytest.raises(ValueError, match=word):
        list(refine_steps(bad, model=model))
    with pytest.raises(ValueError, match=word):
        refine(bad, strength=0, model=model)


def test_an_unknown_schema_has_its_own_error(model: PoseDiffusion) -> None:
    with pytest.raises(UnknownSchemaError, match="pose_keypoints_2d"):
        refine_many([constructed_pose(2), unknown_schema(constructed_pose(2))], model=model)


def test_without_the_hands_of_the_header_nothing_is_invented_for_them(model: PoseDiffusion) -> None:
    pose = constructed_pose(8).get_components([BODY])
    result = refine(pose, model=model)
    assert describe(result.header) == describe(pose.header)
    assert [clip.confidence[:, HOLISTIC.parts["left_hand"]].max() for clip in encode(result)] == [0]
