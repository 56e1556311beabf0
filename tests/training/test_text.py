"""A condition is learnt, left out at the given rate, and can be followed more closely by guidance."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_diffusion.clip import encode
from pose_diffusion.diffusion.condition import Condition
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.training.data import observation
from pose_diffusion.training.loss import LossWeights
from pose_diffusion.training.module import PoseModule
from tests.poses import constructed_pose
from tests.training.fitting import fit_batches, unobserved

FRAMES, ROWS, STEPS = 8, 16, 300
CONFIG = DenoiserConfig(width=64, heads=2, encoder_layers=1, decoder_layers=1, window=FRAMES, frames_per_token=2,
                        condition_width=4)


def clips() -> Tensor:
    """`(2, T, K, 3)`."""
    return torch.from_numpy(np.stack([encode(constructed_pose(FRAMES, seed=seed))[0].xyz for seed in (0, 1)]))


def two_clips() -> dict[str, Tensor]:
    """A batch of two clips in turn of which nothing is known but a token.

    The second half lacks that, too, and has their middle in it, so that the best guess without a token is one.
    """
    which = torch.arange(ROWS) % 2
    truth = clips()[which]
    truth[-ROWS // 4:] = clips().mean(0)
    batch = unobserved(truth)
    batch["tokens"] = 4 * torch.nn.functional.one_hot(which, 4).float().unsqueeze(1)
    batch["token_mask"] = torch.arange(ROWS).unsqueeze(1) < ROWS // 2
    return batch


@pytest.fixture(scope="module")
def trained() -> tuple[PoseDiffusion, dict[str, Tensor]]:
    batch = two_clips()
    module = PoseModule(CONFIG, LossWeights(), learning_rate=2e-3, warmup=20, weight_decay=0, condition_dropout=0)
    return fit_batches(module, [batch] * STEPS), {name: value[:2] for name, value in batch.items()}


def sampled(trained: tuple[PoseDiffusion, dict[str, Tensor]], steps: int, guidance: float | None) -> Tensor:
    """`(2, T, K, 3)`: a sample for each clip's token; without a condition where there is no guidance."""
    model, batch = trained
    condition = None if guidance is None else Condition(batch["tokens"], batch["token_mask"])
    *_, last = model.sample(observation(batch), steps=steps, seeds=[3, 3], condition=condition,
                            guidance=1. if guidance is None else guidance)
    return last.xyz


def away(points: Tensor, truth: Tensor) -> Tensor:
    """Mean distance of each sample from a clip."""
    return (points - truth).norm(dim=-1).mean((-1, -2))


@pytest.mark.parametrize(("steps", "share"), [(1, .15), (4, .4)])
def test_the_token_says_which_clip_is_sampled(trained: tuple[PoseDiffusion, dict[str, Tensor]], steps: int,
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


class Recorder:
    """Stands for the loss: keeps the conditions it is given."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def __call__(self, model: torch.nn.Module, *args: object) -> dict[str, Tensor]:
        condition = args[-1]
        assert isinstance(condition, Condition)
        self.kept.append(condition.mask.clone())
        return {"total": sum((p.sum() for p in model.parameters()), torch.zeros(())) * 0}


def test_conditions_are_left_out_at_the_given_rate() -> None:
    batch = two_clips()
    batch["token_mask"][:] = True
    module = PoseModule(CONFIG, LossWeights(), condition_dropout=.25)
    module.losses = recorder = Recorder()
    fit_batches(module, [batch] * 100)
    share = torch.cat(recorder.kept).float().mean()
    assert share == pytest.approx(.75, abs=.045)  # four standard deviations of 1600 draws


def test_batches_without_text_have_no_tokens() -> None:
    batch = {name: value for name, value in two_clips().items() if "token" not in name}
    module = PoseModule(CONFIG, LossWeights())
    module.losses = recorder = Recorder()
    fit_batches(module, [batch])
    assert recorder.kept[0].shape == (ROWS, 0)
