"""What a model knows of texts, and what is said of those that it does not."""
from __future__ import annotations

import time

import numpy as np
import pytest

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.notation import Embedding, Text
from pose_diffusion.tasks.sampling import made_confidence
from pose_diffusion.tasks.texts import UnknownTextWarning, ask, nearest
from tests.models import TEXTS, TINY_WITH_TEXT, random_model


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return random_model(TINY_WITH_TEXT)


def knowing(*texts: Text) -> PoseDiffusion:
    return PoseDiffusion(random_model(TINY_WITH_TEXT).denoiser, texts)


@pytest.mark.filterwarnings("error")
def test_known_texts_are_taken_as_they_are(model: PoseDiffusion) -> None:
    for text in TEXTS:
        assert ask(text, model) == text
        assert ask(text.text, model, language=text.language) == text
    embedding = Embedding(np.ones((2, 4)))
    assert ask(embedding, model) is embedding
    assert ask(None, model) is None


@pytest.mark.filterwarnings("error")
def test_an_unknown_language_becomes_the_one_that_is_known(model: PoseDiffusion) -> None:
    assert ask("Hello", model) == Text("hello", "words", "ase")
    both = knowing(Text("a", "words", "ase"), Text("a", "words"))
    assert ask("a", both) == Text("a", "words")


@pytest.mark.filterwarnings("error")
def test_a_picture_is_known_by_its_signwriting(model: PoseDiffusion) -> None:
    read = ask(TEXTS[3].text, model, notation="picture")
    assert read == Text(TEXTS[3].text, "picture", "ase")
    with pytest.raises(ValueError, match="never trained on signwriting, only on words"):
        ask(TEXTS[3].text, knowing(TEXTS[0]), notation="picture")


def test_a_model_of_embeddings_knows_no_text() -> None:
    with pytest.raises(ValueError, match="never trained on words, only on none: train"):
        ask("hello", knowing())


def test_many_languages_are_not_all_listed() -> None:
    languages = ("ase", "asq", "bzs", "cse", "csq", "eso", "fsl", "gsg", "gss", "ise", "jos", "lls", "mfs", "psr")
    with pytest.warns(UnknownTextWarning, match="is known in ase, asq, .*jos, lls and others: say which"):
        ask("b", knowing(*(Text("b", "words", language) for language in languages)))


def test_the_nearest_are_of_the_same_language_first() -> None:
    known = [Text(word, "words", language) for word, language in
             (("thanks", "gsg"), ("thank you", "ase"), ("tank", "gsg"), ("bank", "ase"), ("house", "ase"),
              ("thanks", "und"))]
    assert nearest(Text("thank", "words", "ase"), known) == ["thank you (ase)", "bank (ase)", "thanks (gsg, und)"]
    assert nearest(Text("thank", "words"), known) == ["thanks (gsg, und)", "tank (gsg)", "thank you (ase)"]
    assert nearest(Text("xyz", "words"), known) == []


def test_looking_for_the_nearest_of_many_is_quick() -> None:
    rng = np.random.default_rng(0)
    letters = [chr(c) for c in range(97, 123)]
    known = [Text("".join(rng.choice(letters, 40)), "words", "ase") for _ in range(2000)]
    start = time.process_time()
    nearest(Text(known[7].text[:-2], "words", "ase"), known)
    assert time.process_time() - start < 5


def test_confidence_falls_with_the_expected_error() -> None:
    sure = made_confidence(np.array([0, .1, .5, 1, 2, 10, np.inf]))
    assert (np.diff(sure) <= 0).all()
    assert sure[3] == pytest.approx(np.exp(-1))
    assert ((sure > 0) & (sure < 1)).all()
