"""SmoothNet's architecture, retrained on this project's damage: the learned baseline.

Zeng et al. 2022 (arXiv 2112.13715, section 4): one multi-layer perceptron over time, the same for every coordinate,
with residual blocks; loss L1 of positions plus a tenth of the L1 of accelerations; a sliding window whose outputs are
averaged. Here it gets clips filled linearly relative to the wrist, and every track's mean is taken out (the paper's
reports of failure on other data are of its normalisation). The window moves by 8 frames instead of 1, to save time.
"""
from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pose_diffusion.evaluation.baselines import linear_on_wrist
from pose_diffusion.evaluation.cases import CONFIDENT, INNER
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.training.data import Pack, known

WINDOW = 32
STEP = 8
POINTS = 12  # of a clip in a batch: the rest move much alike
WEIGHTS = Path(__file__).with_name("smoothnet.safetensors")


class Block(nn.Module):
    """A residual block of the perceptron."""

    def __init__(self, width: int, inner: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, inner), nn.Dropout(dropout), nn.LeakyReLU(.2),
                                    nn.Linear(inner, width), nn.Dropout(dropout), nn.LeakyReLU(.2))

    def forward(self, x: Tensor) -> Tensor:
        """`(..., width)` to the same."""
        return x + self.layers(x)


class SmoothNet(nn.Module):
    """The network: tracks `(..., 32)` to tracks `(..., 32)`."""

    def __init__(self, width: int = 512, inner: int = 128, blocks: int = 3, dropout: float = .25):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(WINDOW, width), nn.LeakyReLU(.1),
                                    *(Block(width, inner, dropout) for _ in range(blocks)), nn.Linear(width, WINDOW))

    def forward(self, tracks: Tensor) -> Tensor:
        """Steady tracks."""
        mean = tracks.mean(-1, keepdim=True)
        return self.layers(tracks - mean) + mean


def loss(predicted: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """L1 of positions plus .1 L1 of accelerations, over true points `valid` `(..., 32)`."""
    def acceleration(x: Tensor) -> Tensor:
        return x[..., 2:] - 2 * x[..., 1:-1] + x[..., :-2]

    three = valid[..., 2:] & valid[..., 1:-1] & valid[..., :-2]
    position = ((predicted - truth).abs() * valid).sum() / valid.sum().clamp(min=1)
    change = ((acceleration(predicted) - acceleration(truth)).abs() * three).sum() / three.sum().clamp(min=1)
    return position + .1 * change


def batches(pack: Pack, clips: np.ndarray, size: int, seed: int = 0) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless batches of damaged tracks, true tracks `(S, 32)` and what is known to be true of them.

    The damage is that of the network's own training (`training.data.known`); sources count equally. Short clips are
    continued with their last frame, which is not counted.
    """
    rng = np.random.default_rng(seed)
    by_source = [clips[pack.source[clips] == s] for s in np.unique(pack.source[clips])]
    while True:
        parts = []
        for _ in range(size):
            xyz, confidence = pack.clip(rng.choice(by_source[rng.integers(len(by_source))]))
            start = rng.integers(0, max(1, len(xyz) - WINDOW + 1))
            xyz, confidence = xyz[start:start + WINDOW], confidence[start:start + WINDOW]
            damaged, _ = known(xyz, confidence > 0, rng, HOLISTIC)
            observed = damaged.observed[:, :INNER]
            filled = linear_on_wrist(damaged.xyz[:, :INNER], observed)
            valid = (confidence[:, :INNER] >= CONFIDENT) & observed.any(axis=0)
            pad = ((0, WINDOW - len(xyz)), (0, 0))
            used = rng.permutation(np.flatnonzero(valid.any(axis=0)))[:POINTS]
            parts.append((np.pad(filled, (*pad, (0, 0)), mode="edge")[:, used],
                          np.pad(xyz[:, :INNER], (*pad, (0, 0)))[:, used],
                          np.repeat(np.pad(valid, pad)[:, used, None], 3, axis=2)))
        yield tuple(torch.from_numpy(np.concatenate([p.reshape(WINDOW, -1) for p in part], axis=1).T.copy())
                    for part in zip(*parts))  # type: ignore[misc]


def train(pack: Pack, clips: np.ndarray, steps: int, *, size: int = 32, rate: float = 1e-3, seed: int = 0) -> SmoothNet:
    """Train; the learning rate falls to zero on a cosine.

    Parameters
    ----------
    pack : Pack
        The clips.
    clips : np.ndarray
        Indices of those to train on.
    steps : int
        Batches.
    size : int
        Clips of a batch.
    rate : float
        Adam's learning rate at the start, as in the paper.
    seed : int
        Of weights and draws.
    """
    torch.manual_seed(seed)
    model = SmoothNet().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for damaged, truth, valid in islice(batches(pack, clips, size, seed), steps):
        optimizer.zero_grad()
        loss(model(damaged), truth, valid).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def save(model: SmoothNet, path: Path = WEIGHTS) -> None:
    """Write the weights in half precision, which is more than enough here."""
    save_file({name: value.half() for name, value in model.state_dict().items()}, path)


def load(path: Path = WEIGHTS) -> SmoothNet:
    """Read what `save` wrote."""
    model = SmoothNet()
    model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return model.eval()


def smooth(model: SmoothNet, x: np.ndarray) -> np.ndarray:
    """Steady a complete stack `(T, ...)`: windows every `STEP` frames, their outputs averaged."""
    frames = len(x)
    flat = torch.from_numpy(x.reshape(frames, -1)).float()
    flat = torch.cat([flat, flat[-1:].expand(max(0, WINDOW - frames), -1)])
    last = len(flat) - WINDOW
    total, count = torch.zeros_like(flat), torch.zeros(len(flat), 1)
    with torch.inference_mode():
        for start in sorted({*range(0, last + 1, STEP), last}):
            rows = slice(start, start + WINDOW)
            total[rows] += model(flat[rows].T).T
            count[rows] += 1
    return (total / count)[:frames].numpy().reshape(x.shape).astype(x.dtype)
