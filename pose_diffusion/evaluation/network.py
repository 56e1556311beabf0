"""The network as a method of the benchmark."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation.baselines import Run
from pose_diffusion.evaluation.cases import INNER, Known

FRAMES = 2048  # of a batch, with its padding
SEED_STEP = 7919  # between the samples of a clip: torch reads only 32 bits of a seed


def network(model: PoseDiffusion, *, steps: int = 1, only_masked: bool = False, hypotheses: int = 0,
            temperature: float = 1.0) -> Run:
    """A method: what the model makes of clips.

    Parameters
    ----------
    model : PoseDiffusion
        Of the layout `holistic`.
    steps : int
        Of the sampler; 1 is the posterior mean.
    only_masked : bool
        Observed points are exact.
    hypotheses : int
        0 gives `(T, K, 3)` per clip; H > 0 gives `(H, T, K, 3)`.
    temperature : float
        Of the samples.
    """
    def run(clips: Sequence[Known]) -> list[np.ndarray]:
        out: list[list[np.ndarray]] = [[] for _ in clips]
        for h in range(hypotheses or 1):
            for batch in _batches([len(clip.xyz) for clip in clips]):
                seeds = [(clips[i].seed + SEED_STEP * h) % 2**32 for i in batch]
                points = _estimate(model, [clips[i] for i in batch], seeds, steps, only_masked, temperature)
                for i, xyz in zip(batch, points):
                    out[i].append(xyz[:len(clips[i].xyz), :INNER])
        return [np.stack(samples) if hypotheses else samples[0] for samples in out]

    return run


def _batches(lengths: list[int]) -> list[list[int]]:
    """Indices in groups of similar length and at most `FRAMES` padded frames."""
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i], reverse=True):
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= FRAMES:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _estimate(model: PoseDiffusion, clips: list[Known], seeds: list[int], steps: int, only_masked: bool,
              temperature: float) -> np.ndarray:
    """`(B, T, K, 3)` of one padded batch."""
    frames = max(len(clip.xyz) for clip in clips)
    xyz = torch.zeros(len(clips), frames, len(model.layout), 3)
    mask, valid = torch.zeros(xyz.shape[:3], dtype=torch.bool), torch.zeros(xyz.shape[:2], dtype=torch.bool)
    seconds = torch.zeros(xyz.shape[:2])
    for i, clip in enumerate(clips):
        n = len(clip.xyz)
        xyz[i, :n], mask[i, :n] = torch.from_numpy(clip.xyz), torch.from_numpy(clip.observed)
        valid[i, :n] = True
        step = clip.seconds[1] if n > 1 else 0
        seconds[i] = torch.arange(frames) * step
    observation = Observation(xyz, mask, mask & only_masked, seconds, valid)
    *_, last = model.sample(observation, steps=steps, seeds=seeds, temperature=temperature)
    return last.xyz.float().cpu().numpy()
