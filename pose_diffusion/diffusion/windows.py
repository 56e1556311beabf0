"""Clips of any length through a network that sees a window at a time, without seams.

Windows overlap; in the overlap their estimates are blended at every step (as in MultiDiffusion, Bar-Tal et al. 2023),
with weights that fade to zero at a window's ends unless the clip ends there.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from pose_diffusion.diffusion.reading import Begin


@dataclass(frozen=True)
class Windows:
    """Where the windows of a padded batch of clips lie.

    Attributes
    ----------
    clip, first : Tensor
        `(N,)` the clip and the first frame of each window.
    size : int
        Frames of a window.
    weight : Tensor
        `(N, size)` weights; those of a frame add up to 1 over the windows that hold it, 0 on padding.
    frames : int
        Frames of the padded batch.
    clips : int
        Clips of the batch.
    """

    clip: Tensor
    first: Tensor
    size: int
    weight: Tensor
    frames: int
    clips: int

    @property
    def index(self) -> Tensor:
        """`(N, size)` position of each window's frames in the batch laid out flat, clip by clip."""
        frame = self.first.unsqueeze(1) + torch.arange(self.size, device=self.first.device)
        return self.clip.unsqueeze(1) * (self.frames + self.size) + frame

    def cut(self, x: Tensor) -> Tensor:
        """`(B, T, ...)` -> `(N, size, ...)`; frames beyond the batch are zeros."""
        room = pad(x, (0, 0) * (x.dim() - 2) + (0, self.size))
        return room.flatten(0, 1)[self.index]

    def join(self, x: Tensor) -> Tensor:
        """`(N, size, ...)` -> `(B, T, ...)`, blended."""
        out = torch.zeros(self.clips * (self.frames + self.size), *x.shape[2:], dtype=x.dtype, device=x.device)
        weight = self.weight.view(*self.weight.shape, *[1] * (x.dim() - 2))
        out.index_add_(0, self.index.flatten(), (x * weight).flatten(0, 1))
        return out.view(self.clips, self.frames + self.size, *x.shape[2:])[:, :self.frames]


def cover(lengths: list[int], size: int, overlap: int, device: torch.device | str = "cpu", *,
          frames: int | None = None) -> Windows:
    """Cover clips with windows.

    Parameters
    ----------
    lengths : list of int
        Frames of the clips.
    size, overlap : int
        Frames of a window, and of its overlap with the next; at least one of them.
    device : torch.device or str
        Where the tensors are to be.
    frames : int, optional
        Of the padded batch; by default the longest clip's.

    Returns
    -------
    Windows
    """
    clip: list[int] = []
    first: list[int] = []
    fades = []
    for i, length in enumerate(lengths):
        starts = list(range(0, max(1, length - overlap), size - overlap))
        starts[-1] = max(0, length - size)  # the last one ends with the clip
        clip += [i] * len(starts)
        first += starts
        fades += [_fade(size, overlap, s == 0, s + size >= length) * (torch.arange(s, s + size) < length)
                  for s in starts]
    raw = Windows(torch.tensor(clip), torch.tensor(first), size, torch.ones(len(fades), size),
                  frames or max(lengths), len(lengths))
    fade = torch.stack(fades)
    total = raw.cut(raw.join(fade.unsqueeze(-1))).squeeze(-1)
    weight = torch.where(fade > 0, fade / total.clamp(min=1e-6), 0.)
    return Windows(raw.clip.to(device), raw.first.to(device), size, weight.to(device), raw.frames, raw.clips)


def _fade(size: int, overlap: int, at_start: bool, at_end: bool) -> Tensor:
    weight = torch.ones(size)
    ramp = torch.arange(1, overlap + 1) / (overlap + 1)
    if not at_start:
        weight[:overlap] = ramp
    if not at_end:
        weight[size - overlap:] = ramp.flip(0)
    return weight


def cut(begin: Begin, windows: Windows) -> Begin:
    """The windows of a batch of observations."""
    return begin.map(windows.cut)
