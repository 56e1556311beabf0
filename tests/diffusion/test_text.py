"""Texts become a few tokens and a length; what one text becomes does not depend on those beside it."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.model import ModelError, PoseDiffusion
from pose_diffusion.diffusion.text import SUMMARY, TextEncoder, read
from pose_diffusion.notation import Embedding, Text
from tests.models import TEXTS, TINY, TINY_WITH_TEXT, observe, random_model

HELLO, _, _, LETTER = TEXTS
DRAWN = Text(LETTER.text, "picture", LETTER.language)
HAMNOSYS = Text("\ue000\ue00d\ue020", "hamnosys", "gsg")
OWN = Embedding(np.random.default_rng(0).normal(size=(2, 7)).astype(np.float32))
EVERYTHING = (HELLO, LETTER, DRAWN, HAMNOSYS, OWN, None)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(16, 2, embedding_width=7).eval()


def tokens(encoder: TextEncoder, texts: tuple[Text | Embedding | None, ...]) -> Tensor:
    with torch.no_grad():
        return encoder(read(texts, 7))[0]


def test_every_notation_becomes_as_many_tokens(encoder: TextEncoder) -> None:
    with torch.no_grad():
        found, mean, std = encoder(read(EVERYTHING, 7))
    assert found.shape == (len(EVERYTHING), SUMMARY, 16)
    assert found.isfinite().all()
    assert mean.shape == std.shape == (len(EVERYTHING),)
    assert (std > 0).all()
    assert read(EVERYTHING, 7).given.tolist() == [True] * 5 + [False]


def test_texts_differ_and_so_do_their_notations_and_languages(encoder: TextEncoder) -> None:
    others = (HELLO, Text("hell", "words", "ase"), Text("olleh", "words", "ase"), Text("hello", "words", "gsg"), LETTER,
              DRAWN, HAMNOSYS, OWN)
    found = tokens(encoder, others)
    for i in range(len(others)):
        for j in range(i):
            assert (found[i] - found[j]).abs().max() > 1e-3, (others[i], others[j])


@pytest.mark.parametrize("i", range(len(EVERYTHING)))
def test_a_text_does_not_see_its_batch(encoder: TextEncoder, i: int) -> None:
    alone = tokens(encoder, EVERYTHING[i:i + 1])
    assert torch.allclose(tokens(encoder, EVERYTHING)[i], alone[0], atol=1e-5)


def test_an_embedding_of_another_width_is_refused_with_the_way_out(encoder: TextEncoder) -> None:
    with pytest.raises(ValueError, match="--model.denoiser.embedding_width 7"):
        read([OWN], 5)
    with pytest.raises(ModelError, match="has none"):
        random_model(TINY_WITH_TEXT).condition([OWN], [(0., 1.)])


def test_a_model_without_text_says_so() -> None:
    with pytest.raises(ModelError, match="does not understand text"):
        random_model(TINY).condition([HELLO], [(0., 1.)])
    with pytest.raises(ModelError, match="does not understand text"):
        random_model(TINY).length([HELLO])


def sampled(model: PoseDiffusion, texts: tuple[Text | None, ...], spans: list[tuple[float, float]], frames: int = 40,
            steps: int = 3) -> Tensor:
    nothing = torch.zeros(len(texts), frames, len(model.layout), 3)
    known = observe(nothing, torch.zeros(nothing.shape[:3], dtype=torch.bool))
    *_, last = model.sample(known, steps=steps, seeds=[0] * len(texts), condition=model.condition(texts, spans))
    return last.xyz


def test_text_and_place_of_a_sign_change_the_sample_and_a_sign_elsewhere_does_not() -> None:
    model = random_model(TINY_WITH_TEXT)
    here, other = sampled(model, (HELLO, LETTER), [(0., 1.6)] * 2)
    assert (here - other).abs().max() > 1e-2
    later, = sampled(model, (HELLO,), [(.3, 1.2)])
    assert (here - later).abs().max() > 1e-3
    far, silent = sampled(model, (HELLO, None), [(30., 31.), (0., 1.6)])
    assert torch.allclose(far, silent, atol=2e-2)


def test_guidance_has_an_effect_only_in_its_interval() -> None:
    model = random_model(TINY_WITH_TEXT)
    nothing = torch.zeros(1, 24, len(model.layout), 3)
    known = observe(nothing, torch.zeros(nothing.shape[:3], dtype=torch.bool))
    condition = model.condition([HELLO], [(0., 1.)])

    def end(guidance: float, interval: tuple[float, float]) -> Tensor:
        *_, last = model.sample(known, steps=4, condition=condition, guidance=guidance, guidance_interval=interval)
        return last.xyz

    plain = end(1., (0., 100.))
    assert torch.allclose(end(3., (50., 100.)), plain, atol=2e-2)
    assert (end(3., (.1, 100.)) - plain).abs().max() > .05


def test_a_saved_model_keeps_its_texts(tmp_path: Path) -> None:
    model = random_model(TINY_WITH_TEXT)
    model.save(tmp_path)
    again = PoseDiffusion.from_pretrained(tmp_path)
    assert again.texts == frozenset(TEXTS)
    assert torch.allclose(again.length([HELLO])[0], model.length([HELLO])[0], atol=1e-2)


def test_a_model_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    random_model(TINY_WITH_TEXT).save(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"vocabulary": ', '"vocabulary": 1'))
    with pytest.raises(ModelError, match="vocabulary"):
        PoseDiffusion.from_pretrained(tmp_path)


def test_sizes_that_do_not_fit_are_refused() -> None:
    from pose_diffusion.diffusion.config import checked_config

    with pytest.raises(ValueError, match="text encoder"):
        checked_config(DenoiserConfig(embedding_width=4).as_dict())
    with pytest.raises(ValueError, match="multiple of 4"):
        checked_config(DenoiserConfig(condition_width=6, text_layers=1).as_dict())


def test_temperature_scales_the_distance_of_a_sample_from_the_mean() -> None:
    model = random_model(TINY_WITH_TEXT)
    model.denoiser.head.weight.zero_()  # a decoder that has learnt nothing samples Gaussian errors
    model.denoiser.head.bias.zero_()
    nothing = torch.zeros(1, 24, len(model.layout), 3)
    known = observe(nothing, torch.zeros(nothing.shape[:3], dtype=torch.bool))

    def end(temperature: float, steps: int = 4) -> Tensor:
        *_, last = model.sample(known, steps=steps, temperature=temperature)
        return last.xyz

    mean = end(1., steps=1)
    far = [float((end(temperature) - mean).norm()) for temperature in (1., .3)]
    assert far[1] == pytest.approx(.3 * far[0], rel=.1)
