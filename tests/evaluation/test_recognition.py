from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pose_diffusion.evaluation import recognition
from pose_diffusion.evaluation.recognition import (
    BODY_MIRROR,
    FEATURES,
    FRAMES,
    HAND_SCALE,
    POINTS,
    WEIGHTS,
    Recognition,
    augment,
    choose_clips,
    load_recognition,
    prepare,
    recognise,
    save_recognition,
    train,
    word,
)
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.notation import Text
from pose_diffusion.training.data import Pack, kept_back
from tests.evaluation.signs import signs

RIGHT = HOLISTIC.parts["right_hand"]
STEPS = 100


@pytest.fixture(scope="module")
def pack() -> Pack:
    return signs({"ann": 20, "bob": 20})


@pytest.fixture(scope="module")
def network(pack: Pack) -> Recognition:
    return train(pack, choose_clips(pack, pack.sources, kept_back(pack)), STEPS)


def test_signs_that_it_has_not_seen_are_recognised(pack: Pack, network: Recognition) -> None:
    held = kept_back(pack).tolist()
    assert len(held) == 12
    probabilities, features = recognise(network, prepare([pack.clip(clip) for clip in held]))
    said = [network.labels[best] for best in probabilities.argmax(1)]
    right = [got == word(pack.texts[clip]) for got, clip in zip(said, held)]
    assert np.mean(right) >= .9
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert features.shape == (len(held), FEATURES)


def test_training_is_repeatable_and_leaves_the_global_generator_alone(pack: Pack) -> None:
    clips = {"hello": [0, 3, 6, 9], "no": [2, 5, 8, 11]}
    before = torch.get_rng_state()
    one, two, other = (train(pack, clips, 3, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))
    assert not torch.equal(one.out.weight, other.out.weight)


def test_only_training_clips_of_words_with_enough_of_them_are_chosen(pack: Pack) -> None:
    rare = dict(pack.texts)
    for clip in range(4):
        rare[clip] = (Text("rare", "words", "ase"),)
    pack = Pack(pack.xyz, pack.confidence, pack.starts, pack.lens, pack.source, pack.fps, pack.sources, rare)
    held = kept_back(pack)
    chosen = choose_clips(pack, ["ann"], held)
    assert list(chosen) == ["hello", "no", "thank you"]
    every = [clip for clips in chosen.values() for clip in clips]
    assert not set(every) & set(held.tolist())
    assert {pack.sources[pack.source[clip]] for clip in every} == {"ann"}


def test_one_sign_with_two_translations_is_one_class() -> None:
    assert word((Text("thanks", "words", "und"),)) == word((Text("thank you", "words", "ase"),)) == "thank you"
    assert word((Text("M507x507S1f720487x492", "signwriting", "ase"), Text("no", "words"))) == "no"
    assert word(()) is None


def test_a_clip_at_another_frame_rate_is_the_same_to_the_network(pack: Pack) -> None:
    xyz, confidence = pack.clip(1)
    every_other = xyz[::2], confidence[::2]
    cut = len(xyz) - 1 - (len(xyz) - 1) % 2
    whole = xyz[:cut + 1], confidence[:cut + 1]
    a, b = prepare([whole]), prepare([every_other])
    assert a.body.shape == (1, FRAMES, len(POINTS), 2)
    torch.testing.assert_close(a.body, b.body, atol=.03, rtol=0)
    torch.testing.assert_close(a.hands, b.hands, atol=.09, rtol=0)


def test_a_lost_hand_is_interpolated_and_one_never_seen_lies_in_its_wrist(pack: Pack) -> None:
    xyz, confidence = pack.clip(1)
    whole = prepare([(xyz, confidence)])
    lost = confidence.copy()
    lost[10:12, RIGHT] = 0
    torch.testing.assert_close(prepare([(np.where(lost[..., None] > 0, xyz, 0), lost)]).hands, whole.hands,
                               atol=.1 * HAND_SCALE, rtol=0)
    never = confidence.copy()
    never[:, RIGHT] = 0
    hidden = prepare([(np.where(never[..., None] > 0, xyz, 0), never)])
    assert not hidden.hands[:, :, 1].any()
    assert hidden.seen.tolist() == [[True, False]]
    assert torch.equal(hidden.hands[:, :, 0], whole.hands[:, :, 0])


def test_hands_do_not_depend_on_where_the_arm_is(pack: Pack) -> None:
    xyz, confidence = pack.clip(1)
    moved = prepare([(xyz + np.float32(.7), confidence)])
    torch.testing.assert_close(moved.hands, prepare([(xyz, confidence)]).hands, atol=1e-4, rtol=1e-4)


def test_the_mirror_exchanges_the_points_that_the_layout_exchanges() -> None:
    assert [HOLISTIC.mirror[point] for point in POINTS] == [POINTS[i] for i in BODY_MIRROR]


def test_augmentation_keeps_shapes_and_numbers_finite_and_gives_unseen_hands_a_shape_sometimes(pack: Pack) -> None:
    inputs = prepare([pack.clip(clip) for clip in range(60)])
    out = augment(inputs, inputs.hands.flip(0), torch.Generator().manual_seed(0))
    assert out.body.shape == inputs.body.shape
    assert out.hands.shape == inputs.hands.shape
    assert torch.isfinite(out.body).all()
    assert torch.isfinite(out.hands).all()
    shown = out.hands.flatten(3).abs().sum(-1).amin(1) > 0
    assert 0 < shown[~inputs.seen[:, 0]].all(1).float().mean() < 1
    assert not torch.equal(out.body, inputs.body)


def test_a_saved_network_answers_alike(tmp_path: Path, pack: Pack, network: Recognition) -> None:
    save_recognition(network, tmp_path / "kept")
    again = load_recognition(tmp_path / "kept")
    inputs = prepare([pack.clip(0)])
    assert again.labels == network.labels
    assert np.array_equal(recognise(again, inputs)[0], recognise(network, inputs)[0])


def test_other_files_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         network: Recognition) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"not a network")
    with pytest.raises(ValueError, match="not a recognition network"):
        load_recognition(tmp_path)
    save_recognition(network, tmp_path)
    monkeypatch.setattr(recognition, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="too large"):
        load_recognition(tmp_path)
