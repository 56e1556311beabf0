"""A handful of clips, learnt by heart in seconds on one core, comes back from whatever is known of it."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pose_format import Pose
from torch import Tensor

from pose_diffusion import corruption
from pose_diffusion.clip import encode
from pose_diffusion.corruption import Damaged
from pose_diffusion.diffusion.candidates import start
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.training.data import observation, padded
from pose_diffusion.training.loss import LossWeights
from pose_diffusion.training.module import PoseModule
from tests.poses import constructed_pose
from tests.training.fitting import fit_batches

FRAMES, STEPS = 16, 250
CONFIG = DenoiserConfig(width=64, heads=2, encoder_layers=1, decoder_layers=1, window=FRAMES, frames_per_token=2)
KNOWN = ("key frames", "the rest", "nothing")


def damaged(xyz: np.ndarray, observed: np.ndarray) -> list[Damaged]:
    """The clip with what is known of it: its first and last frame; all but a hand and its arm for 8 frames; nothing."""
    clip = corruption.undamaged(xyz, observed)
    arm = corruption.drop_hands(clip, 8, np.random.default_rng(0), arm=True)
    nothing = Damaged(np.zeros_like(clip.xyz), np.zeros_like(observed), observed)
    return [corruption.drop_frames(clip, FRAMES - 1), arm, nothing]


@pytest.fixture(scope="module")
def batch(lexicon_files: list[Path]) -> dict[str, Tensor]:
    """Two constructed clips and two real ones, each as often as there are `KNOWN`."""
    poses = [constructed_pose(FRAMES, seed=0), constructed_pose(FRAMES, seed=1),
             *(Pose.read(path.read_bytes()) for path in lexicon_files[1:3])]
    rows = []
    for pose in poses:
        clip = encode(pose)[0]
        xyz, confidence = clip.xyz[:FRAMES], clip.confidence[:FRAMES]
        rows += [padded(FRAMES, xyz, confidence, after, after.observed, True, pose.body.fps)
                 for after in damaged(xyz, confidence > 0)]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}


@pytest.fixture(scope="module")
def model(batch: dict[str, Tensor]) -> PoseDiffusion:
    module = PoseModule(CONFIG, LossWeights(), learning_rate=3e-3, warmup=20, weight_decay=0)
    return fit_batches(module, [batch] * STEPS)


def sampled(model: PoseDiffusion, batch: dict[str, Tensor], steps: int, seed: int) -> Tensor:
    *_, last = model.sample(observation(batch), steps=steps, seeds=[seed] * len(batch["truth"]))
    return last.xyz


def error(points: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """`(clips, KNOWN)`: mean distance of what was not known from the truth, where there is truth."""
    counted = (batch["weight"] > 0) & batch["touched"]
    miss = (points - batch["truth"]).norm(dim=-1)
    return ((miss * counted).sum((1, 2)) / counted.sum((1, 2))).view(-1, len(KNOWN))


@pytest.mark.parametrize(("steps", "share"), [(1, .25), (4, .35)])
def test_clips_come_back_from_what_is_known(model: PoseDiffusion, batch: dict[str, Tensor], steps: int,
                                            share: float) -> None:
    filled = model.denoiser.filler.points(start(model.denoiser.filler, observation(batch)).filled)
    ratio = error(sampled(model, batch, steps, 0), batch) / error(filled, batch)
    assert (ratio[:, :2] < share).all(), ratio
    assert torch.equal(sampled(model, batch, steps, 0)[batch["exact"]], batch["xyz"][batch["exact"]])


def test_samples_from_nothing_differ_and_are_off_by_what_is_expected(model: PoseDiffusion,
                                                                     batch: dict[str, Tensor]) -> None:
    """A decoder as small as this does not free them of all noise: what is left is to be of the size of the doubt."""
    rows = range(2, len(batch["truth"]), len(KNOWN))
    nothing = {name: value[rows] for name, value in batch.items()}
    (mean,) = model.sample(observation(nothing), steps=1)
    expected = mean.error[:1][nothing["weight"][:1] > 0].mean()

    def nearest(points: Tensor) -> tuple[Tensor, Tensor]:
        """The least distance of each sample from the clips, and from which."""
        counted = (nothing["weight"] > 0).unsqueeze(0)
        miss = (points.unsqueeze(1) - nothing["truth"]).norm(dim=-1)
        return ((miss * counted).sum((2, 3)) / counted.sum((2, 3))).min(1)

    found = [nearest(sampled(model, nothing, 4, seed)[:1]) for seed in range(6)]
    distance = torch.stack([distance for distance, _ in found]).mean()
    assert distance < 2 * expected
    assert len({int(which) for _, which in found}) > 1  # a sample, not the mean
