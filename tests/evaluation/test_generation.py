from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation import generation
from pose_diffusion.evaluation import generation_metrics as metrics
from pose_diffusion.evaluation.generation import (
    Neighbours,
    Task,
    exchanged,
    generate,
    observe,
    predicted_lengths,
    tasks,
    whole_people,
)
from pose_diffusion.evaluation.generation_metrics import COMPARED
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.training.data import Pack, kept_back
from tests.evaluation.signs import PATHS, signs
from tests.models import TINY_WITH_TEXT, random_model

RIGHT, LEFT = HOLISTIC.parts["right_hand"], HOLISTIC.parts["left_hand"]


@pytest.fixture(scope="module")
def pack() -> Pack:
    return signs({"ann": 11, "bob": 11})


@pytest.fixture(scope="module")
def held(pack: Pack) -> list[Task]:
    return tasks(pack, kept_back(pack), list(PATHS))


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return random_model(TINY_WITH_TEXT)


def seen(xyz: np.ndarray) -> generation.Clip:
    return xyz, np.ones(xyz.shape[:2], np.float32)


def test_a_task_is_told_in_words_and_begins_where_a_hand_is_seen(pack: Pack) -> None:
    confidence = pack.confidence.copy()
    confidence[pack.starts[0]:pack.starts[0] + 4, LEFT.start:RIGHT.stop] = 0
    confidence[pack.starts[1]:pack.starts[1] + 20, LEFT.start:RIGHT.stop] = 0
    late, far = tasks(replace(pack, confidence=confidence), np.array([0, 1]), list(PATHS))
    assert len(late.xyz) == pack.lens[0] - 4
    assert len(far.xyz) == pack.lens[1]
    assert (late.text.text, late.text.notation, late.label, late.source) == ("hello", "words", "hello", "ann")
    assert tasks(pack, np.array([0]), ["no"]) == []


def test_letters_and_hands_without_bodies_are_no_whole_people(pack: Pack) -> None:
    names = ["ann", "lexicon-ase", "hands-x", "Mujster__Sign-Language-DL"]
    other = replace(pack, sources=names)
    assert whole_people(other) == ["ann"]
    assert whole_people(other, ["Mujster__Sign-Language-DL", "missing"]) == ["Mujster__Sign-Language-DL"]


def test_the_model_is_told_the_first_pose_and_nothing_else(held: list[Task]) -> None:
    observation = observe(held[:2], [9, 5])
    assert observation.valid.sum(1).tolist() == [9, 5]
    assert not observation.mask[:, 1:].any()
    assert np.array_equal(observation.mask[0, 0], held[0].confidence[0] > 0)
    assert observation.exact.equal(observation.mask)
    assert not observe(held[:2], [9, 5], posed=False).mask.any()


def test_clips_are_generated_from_their_first_pose_whatever_the_batch(model: PoseDiffusion, held: list[Task],
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    def made(seed: int = 0) -> list[generation.Clip]:
        return [clip for batch in generate(model, held, steps=2, guidance=2., seed=seed) for clip in batch]

    whole = made()
    shown = held[0].confidence[0] > 0
    assert np.array_equal(whole[0][0][0, shown], held[0].xyz[0, shown])
    assert [len(xyz) for xyz, _ in whole] == [len(task.xyz) for task in held]
    monkeypatch.setattr(generation, "BATCH", 1)
    for (one, _), (other, _) in zip(whole, made()):
        np.testing.assert_allclose(one, other, atol=.02)
    assert not np.allclose(whole[0][0], made(seed=1)[0][0], atol=1e-3)


def test_lengths_are_the_models_own_or_given(model: PoseDiffusion, held: list[Task]) -> None:
    mean, std, frames = predicted_lengths(model, held)
    assert mean.shape == std.shape == (len(held),)
    assert frames == [max(2, round(float(np.clip(np.exp(m), .2, 30)) * task.fps)) for m, task in zip(mean, held)]
    given = [7] * len(held)
    made = [clip for batch in generate(model, held, steps=1, guidance=1., lengths=given) for clip in batch]
    assert {len(xyz) for xyz, _ in made} == {7}


def test_an_exchanged_first_pose_is_of_another_word_by_the_same_signer(held: list[Task]) -> None:
    for before, after in zip(held, exchanged(held)):
        assert np.array_equal(before.xyz[1:], after.xyz[1:])
        origin = [task for task in held if np.array_equal(task.xyz[0], after.xyz[0])]
        assert origin[0].source == before.source
        assert origin[0].label != before.label


def test_the_nearest_neighbour_is_the_clip_that_begins_alike(pack: Pack, held: list[Task]) -> None:
    train = np.setdiff1d(np.arange(len(pack.lens)), kept_back(pack)).tolist()
    near = Neighbours(pack, train)
    task = held[0]
    twin = next(clip for clip in train if pack.texts[clip][0] == task.text and pack.source[clip] == 1)
    xyz = pack.xyz.copy()
    xyz[pack.starts[twin]] = pack.xyz[pack.starts[task.clip]]
    found = Neighbours(replace(pack, xyz=xyz), train).nearest(task)
    assert found is not None
    assert found.clip == twin
    other = near.another(task)
    assert other is not None
    assert (other.source, other.text) == (task.source, task.text)
    assert other.clip in train
    assert Neighbours(pack, []).nearest(task) is Neighbours(pack, []).mean(task) is None


def test_the_mean_clip_is_the_mean(pack: Pack, held: list[Task]) -> None:
    task = held[0]
    pair = [clip for clip in range(40) if pack.texts[clip][0] == task.text][:2]
    mean = Neighbours(pack, pair).mean(task)
    assert mean is not None
    assert len(mean[0]) == len(task.xyz)
    expected = np.mean([pack.clip(clip)[0][0, 0] for clip in pair], axis=0)
    np.testing.assert_allclose(mean[0][0, 0], expected, atol=1e-3)


def brute(a: np.ndarray, b: np.ndarray) -> float:
    """Dynamic time warping of one point, by its definition."""
    cost = np.full((len(a) + 1, len(b) + 1), np.inf)
    cost[0, 0] = 0
    for i, j in product(range(len(a)), range(len(b))):
        cost[i + 1, j + 1] = np.linalg.norm(a[i] - b[j]) + min(cost[i, j], cost[i, j + 1], cost[i + 1, j])
    return float(cost[-1, -1])


def test_warped_error_is_that_of_the_definition_and_0_for_another_tempo(held: list[Task]) -> None:
    truth = seen(held[0].xyz)
    slow = seen(np.repeat(held[0].xyz, 2, axis=0))
    assert metrics.ndtw_mje([(truth, truth), (truth, slow)]) == pytest.approx([0, 0])
    other = seen(held[1].xyz[:-3])
    points = [brute(truth[0][:, k], other[0][:, k]) for k in COMPARED]
    assert metrics.ndtw_mje([(truth, other)])[0] == pytest.approx(np.mean(points) / len(truth[0]), rel=1e-4)


def test_what_the_reference_lacks_is_free_and_what_the_other_lacks_costs_half(held: list[Task]) -> None:
    xyz = held[0].xyz
    without = np.ones(xyz.shape[:2], np.float32)
    without[:, RIGHT] = 0
    wrong = xyz.copy()
    wrong[:, RIGHT] += 5
    assert metrics.ndtw_mje([((xyz, without), seen(wrong))])[0] == pytest.approx(0)
    expected = np.linalg.norm(xyz[:, RIGHT], axis=-1).sum() / 2 / len(xyz) / len(COMPARED)
    assert metrics.ndtw_mje([(seen(xyz), (xyz, without))])[0] == pytest.approx(expected, rel=1e-4)


def test_frechet_distance_of_normal_distributions() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (20000, 3))
    assert metrics.frechet(x, x) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet(x, x + [3, 0, 0]) == pytest.approx(9, rel=1e-6)
    assert metrics.frechet(x, 2 * x) == pytest.approx(3, rel=.03)  # (2 - 1)^2 in each direction
    assert metrics.frechet(x, 2 * x) == pytest.approx(metrics.frechet(2 * x, x))


def test_steady_motion_has_no_jerk_and_shaking_has(held: list[Task]) -> None:
    steady = np.zeros((12, len(HOLISTIC), 3), np.float32)
    steady[..., 0] = np.arange(12)[:, None] * .1
    assert metrics.moving([seen(steady)], 1) == pytest.approx(.1, rel=1e-4)
    assert metrics.moving([seen(steady)], 3) == pytest.approx(0, abs=1e-5)
    shaken = steady + np.where(np.arange(12) % 2, .1, -.1)[:, None, None]
    assert metrics.moving([seen(shaken)], 3) == pytest.approx(.8 * np.sqrt(2), rel=1e-4)
    hidden = shaken.copy(), np.zeros(shaken.shape[:2], np.float32)
    assert np.isnan(metrics.moving([seen(shaken)], 3, like=[hidden]))


def test_hands_that_turn_keep_their_bones_and_hands_that_grow_do_not(held: list[Task]) -> None:
    rng = np.random.default_rng(0)
    shape = rng.normal(0, .1, (len(HOLISTIC), 3)).astype(np.float32)
    angle = np.linspace(0, 1, 10)
    turn = np.stack([np.stack([np.cos(angle), -np.sin(angle)], -1), np.stack([np.sin(angle), np.cos(angle)], -1)], -2)
    turned = np.broadcast_to(shape, (10, *shape.shape)).copy()
    turned[..., :2] = np.einsum("tij,kj->tki", turn, shape[:, :2])
    assert metrics.hand_bones([seen(turned)]) == pytest.approx(0, abs=1e-5)
    size = np.array([.5, 1.5] * 5, np.float32)[:, None, None]
    assert metrics.hand_bones([seen(turned * size)]) == pytest.approx(.5, rel=1e-3)


def test_straight_fingers_are_whole_and_fingers_that_fold_back_are_broken() -> None:
    hand = np.zeros((4, len(HOLISTIC), 3), np.float32)
    for part in (LEFT, RIGHT):
        hand[:, part, 0] = [0, *([1, 2, 3, 4] * 5)]
    assert metrics.broken_fingers([seen(hand)]) == 0
    folded = hand.copy()
    folded[:, RIGHT.start + 8, 0] = 2.5  # the tip of the index finger goes back over its end joint
    assert metrics.broken_fingers([seen(folded)]) == pytest.approx(1 / 24)
    alone = np.ones(hand.shape[:2], np.float32)
    alone[:, LEFT] = 0
    assert metrics.broken_fingers([seen(folded)], like=[(folded, alone)]) == pytest.approx(1 / 12)


def test_clips_are_compared_over_the_share_of_time(held: list[Task]) -> None:
    a = seen(held[0].xyz)
    assert metrics.apart(a, a) == 0
    assert metrics.apart(a, seen(held[0].xyz + [.3, .4, 0])) == pytest.approx(.5, rel=1e-4)
    assert np.isnan(metrics.apart(a, (held[0].xyz, np.zeros(held[0].xyz.shape[:2], np.float32))))


def test_calibrated_lengths_are_told_from_sure_ones() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(0, .5, 4000)
    seconds = np.exp(mean + rng.normal(0, .3, 4000))
    good = metrics.calibration(mean, np.full(4000, .3), seconds)
    assert good["covered 50"] == pytest.approx(.5, abs=.03)
    assert good["covered 90"] == pytest.approx(.9, abs=.02)
    assert good["pit"] < .03
    assert good["crps"] < good["crps constant"]
    sure = metrics.calibration(mean, np.full(4000, .1), seconds)
    assert sure["covered 90"] < .5
    assert sure["pit"] > .1
    assert sure["crps"] > good["crps"]


def test_ranked_probability_score_is_the_integral_that_defines_it() -> None:
    mean, std, truth = .2, .4, 1.7
    below = quad(lambda x: norm.cdf((np.log(x) - mean) / std)**2, 1e-9, truth)[0]
    above = quad(lambda x: (1 - norm.cdf((np.log(x) - mean) / std))**2, truth, 60)[0]
    got = metrics.calibration(np.array([mean]), np.array([std]), np.array([truth]))["crps"]
    assert got == pytest.approx(below + above, rel=1e-4)
