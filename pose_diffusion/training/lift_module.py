"""The training loop's parts for the network of the body; see `module.py`, whose run they share."""
from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

from pose_diffusion.diffusion import noise as noise_shape
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.diffusion.noise import MARGIN
from pose_diffusion.diffusion.schedule import training_sigmas
from pose_diffusion.diffusion.tree import Tree
from pose_diffusion.layout import BODY_17
from pose_diffusion.notation import Text
from pose_diffusion.training.lift_data import LiftBatches, Shares, lift_batch
from pose_diffusion.training.lift_loss import LiftWeights, lift_losses, observation
from pose_diffusion.training.loss import LossWeights
from pose_diffusion.training.mocap import Pool, split, takes
from pose_diffusion.training.module import MONITOR, Batches, PoseModule, Stride

SIGMA = (.5, 1.6)  # mean and std of the logarithm of the noise level
MEASURED = 48  # windows that a validation batch has
HYPOTHESES, STEPS = 4, 8  # of a validation batch of pictures
STATISTICS = 40  # batches that mean and std are taken from


class LiftModule(PoseModule):
    """A network of the body in training, and the average of its weights.

    Parameters
    ----------
    denoiser : DenoiserConfig
        The network's size; it reads plainly.
    weights : LiftWeights
        Of the terms of the loss.
    regression : bool
        Train the mean alone by its squared error: what lifting is measured against.

    The other parameters are those of `PoseModule`.
    """

    def __init__(self, denoiser: DenoiserConfig, weights: LiftWeights, *, regression: bool = False,
                 learning_rate: float = 1e-3, warmup: int = 200, weight_decay: float = .05,
                 start: str | os.PathLike[str] | None = None, seed: int = 0):
        super().__init__(denoiser, LossWeights(), learning_rate=learning_rate, warmup=warmup,
                         weight_decay=weight_decay, start=start, seed=seed)
        self.lift_weights, self.regression = weights, regression
        self.errors: dict[str, list[float]] = {}

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch."""
        truth = batch["truth"]
        place = np.random.SeedSequence((self.seed, self.current_epoch, batch_idx))
        chance, dropout = (int(s) for s in place.generate_state(2))
        torch.manual_seed(dropout)
        generator = torch.Generator(truth.device).manual_seed(chance)
        sigma = training_sigmas(len(truth), generator, mean=SIGMA[0], std=SIGMA[1])
        frames, *rest = truth.shape[1:]
        noise = torch.randn(len(truth), frames + 2 * MARGIN, *rest, generator=generator, device=truth.device)
        with sdpa_kernel(SDPBackend.MATH):  # on a processor its gradient is far quicker than the fused kernel's
            terms = lift_losses(self.denoiser, batch, sigma, noise, self.lift_weights, not self.regression)
        self.log_dict({f"loss/{name}": value.detach() for name, value in terms.items()})
        self.log("loss", terms["total"].detach(), prog_bar=True, logger=False)
        return terms["total"]

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measure the average on pictures of takes to tune by: errors in millimetres of the mean and of hypotheses."""
        model = PoseDiffusion(self.average)
        found = lift_errors(model, batch, 1 if self.regression else HYPOTHESES)
        for name, value in found.items():
            self.errors.setdefault(name, []).append(value)

    def on_validation_epoch_end(self) -> None:
        """Log what was measured. What counts is the error of the mean, and of the best hypothesis if there are any."""
        figures = {name: float(np.mean(values)) for name, values in self.errors.items()}
        self.errors.clear()
        self.log_dict({f"tuning/{name}": value for name, value in figures.items()})
        if figures:
            counted = [figures[name] for name in ("mean", "best") if name in figures]
            self.log(MONITOR, float(np.exp(np.mean(np.log(counted)))), prog_bar=True)


@torch.no_grad()
def lift_errors(model: PoseDiffusion, batch: dict[str, Tensor], hypotheses: int) -> dict[str, float]:
    """Mean distance of the joints from the truth in millimetres: of the posterior `mean`, and, where more than one is
    asked for, of a `sample` and of the `best` one of each clip.
    """
    known, truth = observation(batch), batch["truth"]
    weight = batch["valid"].unsqueeze(-1).float() / (batch["valid"].sum(1).clamp(min=1)[:, None, None] * truth.shape[2])

    def millimetres(xyz: Tensor) -> Tensor:
        return 1000 * ((xyz - truth).norm(dim=-1) * weight).sum((1, 2))

    first = next(iter(model.sample(known)))
    found = {"mean": float(millimetres(first.xyz).mean())}
    if hypotheses == 1:
        return found
    errors = []
    for i in range(hypotheses):
        *_, estimate = model.sample(known, steps=STEPS, seeds=range(i * len(truth), (i + 1) * len(truth)))
        errors.append(millimetres(estimate.xyz))
    stacked = torch.stack(errors)
    return found | {"sample": float(stacked.mean()), "best": float(stacked.amin(0).mean())}


class LiftData(LightningDataModule):
    """Windows of motion capture in random cameras.

    Parameters
    ----------
    folder : path
        With `mocap/cmu_joints.npz` and `bvh/cmu`.
    shares : Shares
        What samples are made of.
    window, span : int
        Frames of a sample, and of a token.
    batch_size : int
        Samples of a step.
    epoch_steps : int
        Steps from one validation and checkpoint to the next.
    workers : int
        Processes that prepare batches; 0 for none.
    seed : int
        Fixes the samples.
    """

    texts: frozenset[Text] = frozenset()
    embedding_width = 0

    def __init__(self, folder: str | os.PathLike[str], shares: Shares, *, window: int = 32, span: int = 2,
                 batch_size: int = 64, epoch_steps: int = 250, workers: int = 0, seed: int = 0):
        super().__init__()
        parts = split(takes(Path(folder)))
        self.train_pool, self.tuning_pool = Pool(parts.train), Pool(parts.tuning, {25.: 1.})
        self.shares, self.window, self.span = shares, window, span
        self.batch_size, self.epoch_steps, self.workers, self.seed = batch_size, epoch_steps, workers, seed

    def statistics(self) -> dict[str, Tensor]:
        """Mean and std of the features, and how they move together."""
        tree = Tree(BODY_17, torch.device("cpu"))
        features, moves = [], []
        for i in range(STATISTICS):
            batch = lift_batch(self.train_pool, self.batch_size, self.window, torch.Generator().manual_seed(i))
            some = tree.features(batch["truth"])
            features.append(some[batch["valid"]])
            moves.append((some[:, noise_shape.MARGIN:] - some[:, :-noise_shape.MARGIN]).flatten(0, 1)[::7])
        every = torch.cat(features)
        root = torch.tensor([[anchor >= 0] for anchor in BODY_17.anchors])
        return {"mean": every.mean(0) * root, "std": every.std(0) * root,
                "body_noise": noise_shape.fit(torch.cat(moves).numpy())}

    def train_dataloader(self) -> DataLoader:
        """Batches on from where the run is."""
        batches = LiftBatches(self.train_pool, self.batch_size, self.window, self.span, sys.maxsize, self.seed,
                              self.shares)
        order = Stride(self.epoch_steps, 0, 1, lambda: self.trainer.global_step if self.trainer else 0)
        return DataLoader(batches, batch_size=None, sampler=order, num_workers=self.workers,
                          persistent_workers=self.workers > 0)

    def val_dataloader(self) -> DataLoader:
        """Pictures of the takes to tune by: short clips and single frames."""
        pictures = Shares(nothing=0., flat=1., short=0.)
        batches = []
        for i, frames in enumerate((self.window, self.window, self.span)):
            length = 1 if frames == self.span else None
            generator = torch.Generator().manual_seed(10_000 + i)
            batches.append(lift_batch(self.tuning_pool, MEASURED, frames, generator, pictures, length=length))
        return DataLoader(Batches(batches), batch_size=None)


