from __future__ import annotations

import numpy as np
import pytest

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation import network as module
from pose_diffusion.evaluation.cases import INNER, Known, Row, damage
from pose_diffusion.evaluation.network import network
from tests.evaluation.constructed import pack
from tests.models import random_model


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return random_model()


@pytest.fixture(scope="module")
def clips() -> list[Known]:
    return damage(pack({"a": 4}), [0, 1, 2, 3], Row("hand_drop", 2)).known


def test_body_and_hands_come_back_complete_in_the_clips_own_lengths(model: PoseDiffusion, clips: list[Known]) -> None:
    for clip, xyz in zip(clips, network(model)(clips)):
        assert xyz.shape == (len(clip.xyz), INNER, 3)
        assert np.isfinite(xyz).all()


def test_only_masked_keeps_what_is_observed_bit_for_bit(model: PoseDiffusion, clips: list[Known]) -> None:
    for clip, xyz in zip(clips, network(model, only_masked=True)(clips)):
        seen = clip.observed[:, :INNER]
        assert np.array_equal(xyz[seen], clip.xyz[:, :INNER][seen])


def test_samples_differ_and_the_first_is_that_of_one(model: PoseDiffusion, clips: list[Known]) -> None:
    several, one = network(model, steps=2, hypotheses=3)(clips), network(model, steps=2)(clips)
    for samples, single in zip(several, one):
        assert samples.shape == (3, *single.shape)
        assert np.array_equal(samples[0], single)
        assert not np.allclose(samples[0], samples[1])


def test_the_batch_does_not_matter(model: PoseDiffusion, clips: list[Known], monkeypatch: pytest.MonkeyPatch) -> None:
    together = network(model, steps=2)(clips)
    monkeypatch.setattr(module, "FRAMES", 30)
    for a, b in zip(together, network(model, steps=2)(clips)):
        assert np.allclose(a, b, atol=1e-4)
