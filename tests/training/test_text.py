"""A condition is learnt, left out at the given rate, and can be followed more closely by guidance."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_diffusion.clip import encode
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.notation import Text
from pose_diffusion.training.data import observation, tell
from pose_diffusion.training.loss import LossWeights
from pose_diffusion.training.module import PoseModule
from tests.poses import constructed_pose
from tests.training.fitting import fit_batches, unobserved

FRAMES, ROWS, STEPS = 8, 16, 300
CONFIG = DenoiserConfig(width=64, heads=2, encoder_layers=1, decoder_layers=1, window=FRAMES, frames_per_token=2,
                        condition_width=16, text_layers=1)
WORDS = (Text("hello", "words", "ase"), Text("bye", "words", "ase"))
SECONDS = (.5, 2.)


def clips() -> Tensor:
    """`(2, T, K, 3)`."""
    return torch.from_numpy(np.stack([encode(constructed_pose(FRAMES, seed=seed))[0].xyz for seed in (0, 1)]))


def two_clips() -> dict[str, Tensor]:
    """A batch of two clips in turn of which nothing is known but a word.

    The second half lacks that, too, and has their middle in it, so that the best guess without a word is one.
    """
    which = torch.arange(ROWS) % 2
    truth = clips()[which]
    truth[-ROWS // 4:] = clips().mean(0)
    batch = unobserved(truth)
    rows = [tell(WORDS[i] if row < ROWS // 2 else None, (0., FRAMES / 25), SECONDS[i])
            for row, i in enumerate(which.tolist())]
    return batch | {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}


@pytest.fixture(scope="module")
def trained() -> tuple[PoseDiffusion, dict[str, Tensor]]:
    batch = two_clips()
    module = PoseModule(CONFIG, LossWeights(), learning_rate=2e-3, warmup=20, weight_decay=0, condition_dropout=0)
    return fit_batches(module, [batch] * STEPS), {name: value[:2] for name, value in batch.items()}


def sampled(trained: tuple[PoseDiffusion, dict[str, Tensor]], steps: int, guidance: float | None) -> Tensor:
    """`(2, T, K, 3)`: a sample for each clip's word; without a condition where there is no guidance."""
    model, batch = trained
    condition = None if guidance is None else model.condition(WORDS, [(0., FRAMES / 25)] * 2)
    *_, last = model.sample(observation(batch), steps=steps, seeds=[3, 3], condition=condition,
                            guidance=1. if guidance is None else guidance)
    return last.xyz


def away(points: Tensor, truth: Tensor) -> Tensor:
    """Mean distance of each sample from a clip."""
    return (points - truth).norm(dim=-1).mean((-1, -2))


@pytest.mark.parametrize(("steps", "share"), [(1, .15), (4, .4)])
def test_the_word_says_which_clip_is_sampled(trained: tuple[PoseDiffusion, dict[str, Tensor]], steps: int,
                                              share: float) -> None:
    truth, found = trained[1]["truth"], sampled(trained, steps, 1.)
    assert (away(found, truth) < share * away(found, truth.flip(0))).all()


def test_guidance_pushes_away_from_the_other_clip_and_none_is_between(
        trained: tuple[PoseDiffusion, dict[str, Tensor]]) -> None:
    truth = trained[1]["truth"]
    line = truth[1] - truth[0]

    def place(points: Tensor) -> list[float]:
        """Where on the way from the first clip, 0, to the second, 1."""
        return ((points - truth[0]) * line).sum((1, 2, 3)).div((line * line).sum()).tolist()

    plain, strong, without = (place(sampled(trained, 1, guidance)) for guidance in (1., 2., None))
    assert plain == pytest.approx([0, 1], abs=.1)
    assert without[0] == without[1]
    assert .3 < without[0] < .7
    assert strong[0] < plain[0] - .2
    assert strong[1] > plain[1] + .2
    assert place(sampled(trained, 1, 0.)) == pytest.approx(without, abs=1e-4)


def test_each_word_has_its_length(trained: tuple[PoseDiffusion, dict[str, Tensor]]) -> None:
    mean, std = trained[0].length(WORDS)
    assert mean.exp().tolist() == pytest.approx(SECONDS, rel=.25)
    assert (std < .4).all()


class Recorder:
    """Stands for the loss: keeps what it is told of who hears their text."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def __call__(self, model: torch.nn.Module, *args: object) -> dict[str, Tensor]:
        heard = args[-1]
        assert isinstance(heard, Tensor)
        self.kept.append(heard.clone())
        return {"total": sum((p.sum() for p in model.parameters()), torch.zeros(())) * 0}


def test_conditions_are_left_out_at_the_given_rate() -> None:
    batch = two_clips()
    module = PoseModule(CONFIG, LossWeights(), condition_dropout=.25)
    module.losses = recorder = Recorder()
    fit_batches(module, [batch] * 100)
    share = torch.cat(recorder.kept).float().mean()
    assert share == pytest.approx(.75, abs=.045)  # four standard deviations of 1600 draws
