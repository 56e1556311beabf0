"""Generate and its contracts, with a random network that reads texts: they need no good weights."""
from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion import generate, generate_many, generate_steps, predict_seconds
from pose_diffusion.clip import encode, measure
from pose_diffusion.diffusion import reader as networks
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import BODY, HOLISTIC, LEFT_HAND, RIGHT_HAND
from pose_diffusion.notation import Embedding, Text
from pose_diffusion.tasks import refine as batching
from pose_diffusion.tasks.appearance import Times
from tests.models import TINY_WITH_TEXT, random_model
from tests.poses import assert_same_bits, constructed_pose, describe, flat, lose, part, to_bytes
from tests.tasks.looking import ROUNDING, distance, place, seen, values
from tests.test_clip import KINDS, doubled, masked, without

SEVERAL = ("two people", "nothing seen", "gaps")  # kinds of poses that cannot be a first pose
FSW = "M507x507S1f720487x492"


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return random_model(TINY_WITH_TEXT)


@pytest.fixture(params=[kind for kind in KINDS if kind not in SEVERAL])
def first(request: pytest.FixtureRequest, real_pose: Pose) -> Pose:
    return KINDS[request.param](real_pose)


def moved(pose: Pose, by: float = 0.0, size: float = 1.0) -> Pose:
    """The pose elsewhere in the image, and larger."""
    data = values(pose).copy()
    data *= size
    data[..., :2] += by
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, pose.body.confidence))


def frame(pose: Pose, i: int) -> Pose:
    return Pose(pose.header, pose.body[i:i + 1])


def assert_kept(result: Pose, at: int, pose: Pose, i: int = 0) -> None:
    """Frame `at` of the result is frame i of the pose, bit for bit, wherever that was seen."""
    kept = seen(pose)[i]
    assert kept.any()
    assert values(result)[at][kept].tobytes() == values(pose)[i][kept].tobytes()
    assert result.body.confidence[at][kept].tobytes() == pose.body.confidence[i][kept].tobytes()


# The first pose


def test_the_first_frame_is_the_first_pose(first: Pose, model: PoseDiffusion) -> None:
    before, header = copy.deepcopy(first), first.header
    result = generate("hello", first_pose=first, seconds=.8, steps=2, model=model)
    assert_kept(result, 0, first)
    assert_same_bits(first, before)
    assert first.header is header
    assert result.header is not header
    assert describe(result.header) == describe(header)
    assert values(result).shape == (20, 1, *values(first).shape[2:])
    assert (values(result).dtype, result.body.confidence.dtype) == (values(first).dtype, first.body.confidence.dtype)
    assert result.body.fps == 25
    here = place(first)
    assert seen(result)[:, :, here].all()
    assert np.isfinite(values(result)).all()
    sure = result.body.confidence[:, :, here]
    assert ((sure[1:] >= .049) & (sure[1:] <= .951)).all()


def test_what_the_first_pose_lacks_is_filled_in(model: PoseDiffusion) -> None:
    pose = lose(constructed_pose(3), slice(0, 1), part(constructed_pose(1), RIGHT_HAND))
    result = generate("hello", first_pose=pose, frames=5, model=model)
    hand = part(pose, RIGHT_HAND)
    assert not seen(pose)[0, 0, hand].any()
    assert seen(result)[0, 0, hand].all()
    assert np.ptp(values(result)[0, 0, hand, 0]) > 1
    assert_kept(result, 0, pose)


def test_what_is_masked_in_memory_counts_as_missing(real_pose: Pose, model: PoseDiffusion) -> None:
    pose = frame(masked(real_pose), 5)
    result = generate("hello", first_pose=pose, frames=4, model=model)
    assert_kept(result, 0, pose)
    assert (values(result)[0, 0, :25] != 12345).all()
    assert seen(result)[0, 0, :25].all()
    assert np.isfinite(values(result)[seen(result)]).all()


def test_the_signer_stays_as_large_and_where_they_are(model: PoseDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    """In single precision: half makes more of the rounding of pixels than there is."""
    monkeypatch.setattr(networks, "has_bfloat16", lambda: False)
    pose = constructed_pose(1)
    result = generate("hello", first_pose=pose, seconds=1, steps=3, model=model)
    other = generate("hello", first_pose=moved(pose, 40, 1.5), seconds=1, steps=3, model=model)
    here = place(pose)
    expected = values(result)[:, :, here, :2] * 1.5 + 40
    assert np.allclose(values(other)[:, :, here, :2], expected, atol=.5)


def test_only_the_first_frame_is_taken(model: PoseDiffusion) -> None:
    """Of a still signer, so that the others do not tell the size otherwise."""
    pose = constructed_pose(1)
    longer = Pose(pose.header, NumPyPoseBody(25, np.repeat(values(pose), 9, 0), np.repeat(pose.body.confidence, 9, 0)))
    spoilt = lose(longer, slice(1, 9), part(pose, LEFT_HAND))
    a, b = (generate("hello", first_pose=p, frames=6, steps=2, model=model) for p in (longer, spoilt))
    assert np.allclose(values(a), values(b), atol=ROUNDING)
    assert_kept(a, 0, pose)


def test_points_beyond_the_layout_come_along(model: PoseDiffusion) -> None:
    pose = constructed_pose(2)
    result = generate("hello", first_pose=pose, frames=8, model=model)
    assert seen(result)[1:, 0].all()  # mesh, world landmarks, legs
    assert np.ptp(values(result)[:, 0, part(pose, BODY)][:, 26, 0]) == 0  # a knee


def test_without_a_first_pose_an_average_signer(model: PoseDiffusion) -> None:
    result = generate("hello", seconds=1, steps=1, model=model)
    assert [(c.name, p) for c in result.header.components for p in c.points] == list(HOLISTIC.points)
    assert (result.header.dimensions.width, result.header.dimensions.height) == (1000, 1000)
    assert seen(result).all()
    shoulders = [HOLISTIC.index(BODY, f"{side}_SHOULDER") for side in ("LEFT", "RIGHT")]
    assert 100 < np.linalg.norm(np.diff(values(result)[:, 0, shoulders, :2], axis=1), axis=-1).mean() < 400
    assert all(c.limbs for c in result.header.components)  # it can be drawn
    again = Pose.read(to_bytes(result))
    assert np.array_equal(values(again), values(result))


def test_its_depth_is_read_back_as_it_was_meant(model: PoseDiffusion) -> None:
    """Hips are where MediaPipe has its zero of depth."""
    result = generate(None, frames=30, steps=1, model=model)
    hips = [HOLISTIC.index(BODY, f"{side}_HIP") for side in ("LEFT", "RIGHT")]
    rest = model.denoiser.filler.rest[hips, 2].mean() - encode(result)[0].xyz[:, hips, 2].mean()
    assert abs(values(result)[:, 0, hips, 2].mean()) < .1
    assert abs(float(rest)) < .5


# Key frames


@pytest.mark.parametrize("make", [lambda pose: pose, flat, doubled, lambda pose: without(pose, BODY)])
def test_key_frames_are_passed_through_bit_for_bit(model: PoseDiffusion, make: Callable[[Pose], Pose]) -> None:
    pose = make(constructed_pose(30))
    keys = {.2: frame(pose, 8), .52: frame(pose, 20), .76: frame(pose, 29)}
    result = generate("hello", first_pose=pose, keyframes=keys, seconds=.8, steps=3, model=model)
    assert_kept(result, 0, pose)
    for at, i in ((5, 8), (13, 20), (19, 29)):
        assert_kept(result, at, pose, i)
    assert (result.body.confidence[6:13][:, :, place(pose)] < .96).all()


def test_without_a_first_pose_the_earliest_key_frame_is_the_signer(model: PoseDiffusion) -> None:
    pose = constructed_pose(30)
    result = generate("hello", keyframes={.8: moved(frame(pose, 3), 70, 2), .4: frame(pose, 20)}, seconds=1,
                      model=model)
    assert describe(result.header) == describe(pose.header)
    assert_kept(result, 10, pose, 20)
    assert (result.body.confidence[0] < .96).all()


def test_missing_points_of_a_key_frame_are_filled_in(model: PoseDiffusion) -> None:
    pose = constructed_pose(4)
    lost = lose(pose, slice(0, 4), part(pose, LEFT_HAND))
    result = generate("hello", first_pose=pose, keyframes={.2: lost}, frames=8, model=model)
    assert_kept(result, 5, lost)
    assert seen(result).all()


def test_a_key_frame_of_another_size_is_brought_to_the_signer(model: PoseDiffusion) -> None:
    pose = constructed_pose(30)
    other = moved(pose, 90, 1.7)
    near, far = (generate("hello", first_pose=pose, keyframes={.4: frame(p, 12)}, seconds=1, steps=2, model=model)
                 for p in (pose, other))
    own = measure(frame(pose, 12)).scale / measure(pose).scale
    here = place(pose)
    size = [np.ptp(values(p)[10, 0, here, 0]) for p in (near, far)]
    assert size[1] == pytest.approx(size[0] / own, rel=.02)
    assert np.array_equal(far.body.confidence[10, 0, here], pose.body.confidence[12, 0, here])
    assert values(far)[10, 0, here].tobytes() != values(other)[12, 0, here].tobytes()


def test_key_frames_of_other_headers_go_by_names(real_pose: Pose, model: PoseDiffusion) -> None:
    reduced = KINDS["reduced and reordered"](real_pose)
    result = generate("hello", first_pose=real_pose, keyframes={.4: frame(reduced, 7)}, seconds=1, model=model)
    names = {(c.name, p) for c in reduced.header.components for p in c.points}
    own = [(c.name, p) for c in real_pose.header.components for p in c.points]
    shared = np.array([name in names for name in own]) & seen(real_pose)[7, 0]
    assert shared.sum() > 100
    assert values(result)[10, 0, shared].tobytes() == values(real_pose)[7, 0, shared].tobytes()


def test_a_longer_length_than_predicted_where_a_key_frame_is_later(model: PoseDiffusion) -> None:
    pose = constructed_pose(1)
    late = predict_seconds("hello", model=model) + 1
    result = generate("hello", first_pose=pose, keyframes={late: pose}, steps=1, model=model)
    assert_kept(result, len(values(result)) - 1, pose)


def test_softness_leaves_the_key_frame_by_degrees(model: PoseDiffusion) -> None:
    pose = constructed_pose(30)
    options: dict[str, Any] = {"first_pose": pose, "frames": 20, "steps": 3, "model": model}
    key = frame(pose, 25)
    free = generate("hello", **options)
    soft = [generate("hello", keyframes={.4: key}, softness=s, **options) for s in (0, .01, .05, .3, 100)]
    away = [np.linalg.norm((values(p)[10] - values(key)[0])[..., :2], axis=-1)[0, place(pose)].mean() for p in soft]
    assert away[0] == 0
    assert (np.diff(away) > 0).all()
    assert np.allclose(values(soft[-1])[10, 0, place(pose), :2], values(free)[10, 0, place(pose), :2], atol=.1)
    assert all(np.array_equal(p.body.confidence[10], key.body.confidence[0]) for p in soft)
    for p in soft:
        assert_kept(p, 0, pose)


# Length and rate


def test_the_length_is_what_is_predicted_or_asked(model: PoseDiffusion) -> None:
    seconds = predict_seconds("hello", model=model)
    assert len(values(generate("hello", steps=1, model=model))) == round(25 * seconds)
    assert len(values(generate("hello", seconds=.5, fps=30, steps=1, model=model))) == 15
    assert len(values(generate("hello", frames=7, fps=23.976, steps=1, model=model))) == 7
    assert len(values(generate("hello", seconds=.001, steps=1, model=model))) == 1


def test_a_predicted_length_can_be_drawn(model: PoseDiffusion) -> None:
    mean, std = model.length([Text("hello", "words", "ase")])
    drawn = np.log([predict_seconds("hello", seed=seed, model=model) for seed in range(200)])
    assert predict_seconds("hello", model=model) == pytest.approx(float(mean.exp()))
    assert predict_seconds("hello", seed=3, model=model) == predict_seconds("hello", seed=3, model=model)
    assert abs(drawn.mean() - float(mean)) < 4 * float(std) / 200**.5
    assert drawn.std() == pytest.approx(float(std), rel=.2)


@pytest.mark.parametrize(("mean", "expected"), [(-9, .2), (9, 30)])
def test_predicted_lengths_have_limits(mean: float, expected: float) -> None:
    model = random_model(TINY_WITH_TEXT)
    assert model.denoiser.text is not None
    model.denoiser.text.length.weight.data[0] = 0
    model.denoiser.text.length.bias.data[0] = mean
    assert predict_seconds("hello", model=model) == expected


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 90), st.sampled_from([10.0, 23.976, 25.0, 29.97, 50.0, 60.0, 120.0]), st.integers(0, 2**40))
def test_any_length_and_rate(frames: int, fps: float, seed: int) -> None:
    pose = constructed_pose(1, seed=seed % 50)
    result = generate("hello", first_pose=pose, frames=frames, fps=fps, steps=2, seed=seed,
                      model=random_model(TINY_WITH_TEXT))
    assert (len(values(result)), result.body.fps) == (frames, fps)
    assert np.isfinite(values(result)).all()
    assert seen(result)[:, :, place(pose)].all()
    assert_kept(result, 0, pose)


def test_at_high_rates_it_is_the_same_motion(model: PoseDiffusion) -> None:
    """Every second frame is sampled, and key frames lie on these."""
    pose = constructed_pose(30)
    options: dict[str, Any] = {"first_pose": pose, "keyframes": {.4: frame(pose, 20)}, "steps": 2, "model": model}
    usual = generate("hello", frames=25, fps=25, **options)
    double = generate("hello", frames=49, fps=50, **options)
    assert_kept(double, 20, pose, 20)
    here = place(pose)
    # The sign lasts 1 s in one and .98 s in the other.
    assert np.abs(values(double)[::2, 0, here, :2] - values(usual)[:, 0, here, :2]).mean() < 2
    steps = np.abs(np.diff(values(double)[:, 0, here, :2], axis=0)).mean((1, 2))
    assert steps[1::2].mean() == pytest.approx(steps[::2].mean(), rel=.3)


@pytest.mark.parametrize(("frames", "fps", "every"), [(1, 25, 1), (25, 25, 1), (120, 120, 5), (61, 60, 2), (7, 100, 4)])
def test_times_within_a_result_have_the_nearest_sampled_frame(frames: int, fps: float, every: int) -> None:
    times = Times(frames, fps, every)
    sampled = np.arange(0, frames, every)
    for seconds in np.linspace(0, (frames - 1) / fps, 50):
        frame = times.frame(seconds)
        assert frame in sampled
        assert abs(frame - seconds * fps) == pytest.approx(np.abs(sampled - seconds * fps).min())
    assert times.frame(frames / fps) is None
    assert (times.sampled - 1) * every >= frames - 1 > (times.sampled - 2) * every


# Texts


@pytest.mark.parametrize("text", ["hello", "Thank_You", FSW, Text("a", "words", "gsg"), None])
def test_texts_that_it_was_trained_on_raise_no_warning(model: PoseDiffusion, text: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generate(text, frames=3, steps=1, model=model)


def test_a_text_makes_a_difference_and_guidance_too(model: PoseDiffusion) -> None:
    options: dict[str, Any] = {"first_pose": constructed_pose(1), "frames": 20, "steps": 3, "model": model}
    results = [generate(text, guidance=scale, **options) for text, scale in
               ((None, 2), ("hello", 0), ("hello", 1), ("hello", 3), ("thank you", 1))]
    none, ignored, *others = [values(result) for result in results]
    assert np.allclose(none, ignored, atol=.05)
    assert all(np.abs(a - b).max() > .05 for i, a in enumerate(others) for b in [none, *others[:i]])
    nowhere = generate("hello", guidance=3, guidance_interval=(50, 60), **options)
    assert np.allclose(values(nowhere), others[0], atol=.05)


def test_a_picture_is_signwriting_drawn(model: PoseDiffusion) -> None:
    drawn = generate(FSW, notation="picture", frames=8, steps=2, model=model)
    assert np.abs(values(drawn) - values(generate(FSW, frames=8, steps=2, model=model))).max() > .05


def test_the_language_is_that_of_the_model_if_none_is_given(model: PoseDiffusion) -> None:
    assert_same_bits(generate("a", frames=5, model=model), generate("a", language="gsg", frames=5, model=model))


@pytest.mark.parametrize(("text", "language", "words"), [
    ("helo", "und", r'"helo" is not among .*nearest it knows: hello \(ase\)'),
    ("a", "ase", r'"a" \(ase\) is known in gsg only'), ("xyz", "und", r'"xyz" is not among .* a guess$'),
])
def test_a_text_never_trained_on_is_warned_of(model: PoseDiffusion, text: str, language: str, words: str) -> None:
    with pytest.warns(UserWarning, match=words) as caught:
        generate(text, language=language, frames=3, steps=1, model=model)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # where the user called it
    with pytest.warns(UserWarning, match=words):
        predict_seconds(text, language=language, model=model)


def test_a_word_of_several_languages_asks_for_one(model: PoseDiffusion) -> None:
    texts = [*model.texts, Text("a", "words", "ase")]
    with pytest.warns(UserWarning, match=r'"a" is known in ase, gsg: say which'):
        generate("a", frames=3, steps=1, model=PoseDiffusion(model.denoiser, texts))


# Seeds and steps


def test_seeds_tell_samples_apart(model: PoseDiffusion) -> None:
    pose = constructed_pose(1)
    a, again, other = (generate("hello", first_pose=pose, seed=seed, model=model) for seed in (3, 3, 4))
    assert_same_bits(a, again)
    assert distance(a, other)[1:].max() > .5
    assert distance(a, other)[0].max() == 0


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_last_step_is_the_result(model: PoseDiffusion, steps: int) -> None:
    pose = constructed_pose(20)
    options: dict[str, Any] = {"first_pose": pose, "keyframes": {.5: frame(pose, 19)}, "softness": .1, "steps": steps,
                               "fps": 50, "seed": 2, "model": model}
    shown = list(generate_steps("hello", **options))
    assert len(shown) == steps
    assert_same_bits(shown[-1], generate("hello", **options))
    assert len({values(one).tobytes() for one in shown}) == steps
    for one in shown:
        assert_kept(one, 0, pose)


def test_one_may_stop_at_any_step(model: PoseDiffusion) -> None:
    assert len(list(islice(generate_steps("hello", frames=5, steps=1000, model=model), 2))) == 2


def test_arguments_are_checked_before_the_first_step(model: PoseDiffusion) -> None:
    with pytest.raises(ValueError, match="steps"):
        generate_steps("hello", steps=0, model=model)
    with pytest.raises(ValueError, match="seconds"):
        generate_steps("hello", seconds=-1, model=model)


# Many


@pytest.mark.parametrize("half", [False, True])
def test_many_are_as_one(real_pose: Pose, model: PoseDiffusion, half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision rounds otherwise with other clips beside one: by less than a hundredth of the shoulders' width."""
    monkeypatch.setattr(networks, "has_bfloat16", lambda: half)
    texts = ["hello", None, Text("a", "words", "gsg"), FSW, "thank you"]
    firsts = [real_pose, None, constructed_pose(2), KINDS["only hands"](real_pose), None]
    seconds, rates, seeds = [None, 1.0, .4, 2.1, .04], [25.0, 30.0, 50.0, 25.0, 25.0], [0, 1, 2, 3, 4]
    together = generate_many(texts, first_pose=firsts, seconds=seconds, fps=rates, seed=seeds, steps=3, model=model)
    for i, (text, result) in enumerate(zip(texts, together)):
        alone = generate(text, first_pose=firsts[i], seconds=seconds[i], fps=rates[i], seed=seeds[i], steps=3,
                         model=model)
        scale = 250 if firsts[i] is None else measure(alone).scale
        assert values(result).shape == values(alone).shape
        assert np.allclose(values(alone)[..., :2], values(result)[..., :2], rtol=1e-5,
                           atol=.01 * scale if half else ROUNDING)
        assert np.allclose(alone.body.confidence, result.body.confidence, atol=.02 if half else 1e-4)


def test_the_size_of_the_batches_does_not_matter(model: PoseDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"frames": [5, 40, 17, 29], "steps": 2, "model": model}
    together = generate_many(["hello"] * 4, **options)
    monkeypatch.setattr(batching, "BATCH", 30)
    for a, b in zip(together, generate_many(["hello"] * 4, **options)):
        assert np.allclose(values(a), values(b), atol=ROUNDING)


def test_none_are_none_and_progress_is_shown(model: PoseDiffusion, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate_many([], model=model) == []
    generate_many(["hello"] * 3, frames=4, steps=1, model=model, progress=True)
    assert "3/3" in capsys.readouterr().err


# Refused


def unmarked(pose: Pose) -> Pose:
    return lose(pose, slice(0, 1), slice(None))


@pytest.mark.parametrize(("options", "word"), [
    ({"steps": 0}, "steps"), ({"guidance": float("nan")}, "guidance"), ({"guidance_interval": (3, 2)}, "interval"),
    ({"guidance_interval": (-1, 2)}, "interval"), ({"seed": -1}, "seed"), ({"fps": 0}, "fps"),
    ({"fps": float("nan")}, "fps"), ({"seconds": 0}, "seconds must be above 0"), ({"seconds": float("inf")}, "seconds"),
    ({"seconds": 1000}, "more than 4096 frames"), ({"frames": 0}, "frames must be"), ({"frames": 2.5}, "frames must"),
    ({"frames": 5000}, "from 1 to 4096"), ({"frames": 5, "seconds": 1}, "leave one of them out"),
    ({"softness": -1}, "softness"), ({"softness": float("nan")}, "softness"), ({"language": "xx"}, "language"),
    ({"notation": "sutton"}, "sutton"),
    ({"first_pose": constructed_pose(2, people=2)}, "first_pose shows 2 people: cut it"),
    ({"first_pose": unmarked(constructed_pose(2))}, "first_pose shows nobody in its first frame"),
    ({"first_pose": Pose(constructed_pose(1).header, constructed_pose(1).body[:0])}, "first_pose: the pose has no fr"),
    ({"keyframes": {-.1: constructed_pose(1)}}, "key frame at -0.1 s"),
    ({"keyframes": {float("nan"): constructed_pose(1)}}, "key frame at nan s"),
    ({"keyframes": {1.0: constructed_pose(1)}, "frames": 25}, "the last at 0.96 s"),
    ({"keyframes": {0: constructed_pose(1)}, "first_pose": constructed_pose(1)}, "the first pose is at this frame"),
    ({"keyframes": {.52: constructed_pose(1), .525: constructed_pose(1)}}, "another key frame is at this frame"),
    ({"keyframes": {.5: constructed_pose(1, people=2)}}, "key frame at 0.5 s shows 2 people"),
    ({"keyframes": {.5: flat(constructed_pose(1))}, "first_pose": constructed_pose(1)}, "0.5 s has 2 dimensions"),
])
def test_arguments_out_of_range(model: PoseDiffusion, options: dict[str, Any], word: str) -> None:
    for call in (generate, generate_steps):
        with pytest.raises(ValueError, match=word) as caught:
            call("hello", model=model, **options)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "word"), [
    ("", "empty"), ("\ue001\ue010", "never trained on hamnosys, only on signwriting, words: train"),
    ("hello \ue001", "position 7"), (3, "the text is int"), (None, "give seconds or frames"),
    (Embedding(np.ones((1, 8))), "embedding of width 8, but this model has none: train"),
])
def test_texts_that_are_refused(model: PoseDiffusion, text: Any, word: str) -> None:
    for call in (generate, generate_steps, predict_seconds):
        with pytest.raises(ValueError, match=word):
            call(text, model=model)
    with pytest.raises(ValueError, match=f"^text 1: .*{word}"):
        generate_many(["hello", text], frames=None, model=model)


def test_a_text_that_was_read_has_its_own_language(model: PoseDiffusion) -> None:
    with pytest.raises(ValueError, match="a Text has its own"):
        generate(Text("hello", "words", "ase"), language="ase", model=model)


def test_a_model_without_texts_signs_none() -> None:
    model = random_model()
    with pytest.raises(ValueError, match="does not understand text"):
        generate("hello", frames=4, model=model)
    with pytest.raises(ValueError, match="does not understand text"):
        predict_seconds("hello", model=model)
    assert len(values(generate(None, frames=4, model=model))) == 4


def test_many_need_one_of_each_or_one_for_all(model: PoseDiffusion) -> None:
    with pytest.raises(ValueError, match="seconds: 2 for 3 texts"):
        generate_many(["hello"] * 3, seconds=[1.0, 2.0], model=model)
