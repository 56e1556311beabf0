"""Small networks trained on batches that are there already."""
from __future__ import annotations

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.training.module import Batches, PoseModule


def fit_batches(module: PoseModule, batches: list[dict[str, Tensor]]) -> PoseDiffusion:
    """Train on batches in order; the statistics are those of the first. The model is the average."""
    features = module.denoiser.filler.features(batches[0]["truth"])
    rate = torch.full_like(features[0, 0], .5)
    module.set_statistics({"mean": features.mean((0, 1)), "std": features.std((0, 1)).clamp(min=.01), "rate": rate})
    trainer = Trainer(accelerator="cpu", devices=1, max_epochs=1, gradient_clip_val=1., logger=False,
                      enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(module, DataLoader(Batches(batches), batch_size=None))
    return PoseDiffusion(module.average)


def unobserved(truth: Tensor, fps: float = 25) -> dict[str, Tensor]:
    """A batch of clips `(B, T, K, 3)` of which nothing is known."""
    shape = truth.shape[:3]
    nothing, everything = torch.zeros(shape, dtype=torch.bool), torch.ones(shape, dtype=torch.bool)
    return {"xyz": torch.zeros_like(truth), "mask": nothing, "exact": nothing, "valid": everything[..., 0],
            "truth": truth, "weight": everything.float(), "touched": everything,
            "seconds": (torch.arange(shape[1]) / fps).expand(shape[:2])}
