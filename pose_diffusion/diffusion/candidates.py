"""The simple estimates of a clip that the network chooses between, point by point."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from pose_diffusion.diffusion.filling import Filler, Observation, broad, held, smooth
from pose_diffusion.diffusion.likely import likely

CANDIDATES = ("filled", "smooth 5", "smooth 9", "broad", "trusted", "trusted smooth", "steady 1", "steady 2",
              "steady 3", "other hand", "pchip", "likely 1", "likely 2", "likely kept", "likely all",
              "mean")
FACE_CANDIDATES = 4  # the face has the first four only


@dataclass(frozen=True)
class Start:
    """Everything about an observation that does not change from step to step.

    Attributes
    ----------
    filled : Tensor
        `(B, T, K, 3)` features of the filled observation, hands untangled: the origin of the residual.
    candidates : Tensor
        `(B, T, inner, C - 1, 3)` features of body and hands, all but the last one, which belongs to a window;
        `face`: `(B, T, faces, FACE_CANDIDATES, 3)`.
    known, exact, suspicious : Tensor
        `(B, T, K)` bool; `suspicious` `(B, T, inner)`.
    since, until : Tensor
        As in `Filled`.
    seconds, valid : Tensor
        As in `Observation`.
    """

    filled: Tensor
    candidates: Tensor
    face: Tensor
    known: Tensor
    exact: Tensor
    suspicious: Tensor
    since: Tensor
    until: Tensor
    seconds: Tensor
    valid: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> Start:
        """The same function on every tensor (cutting windows, moving to a device)."""
        return Start(**{field.name: function(getattr(self, field.name)) for field in fields(self)})


@torch.no_grad()
def start(filler: Filler, observation: Observation) -> Start:
    """Fill an observation and gather the candidates: in float32, whatever the network runs in."""
    with torch.autocast(observation.xyz.device.type, enabled=False):
        return _start(filler, observation)


def _start(filler: Filler, observation: Observation) -> Start:
    raw = filler.complete_anchors(observation)
    obs = filler.untangle(raw)
    filled = filler.fill(obs.xyz, obs.mask, obs.seconds)
    filled = replace(filled, features=held(filled.features, obs.valid))
    n = filler.inner
    stalled = filler.stalled(obs)
    jumping = filler.jumping(obs, filled.features)
    suspicious = jumping | stalled
    mask = obs.mask[..., :n] & ~suspicious
    trusted = filler.fill(obs.xyz[:, :, :n], mask, obs.seconds)
    swapped = filler.exchange(obs, torch.ones_like(obs.valid))
    other = filler.fill(swapped.xyz[:, :, :n], swapped.mask[..., :n], obs.seconds)
    x = filled.features
    smoothed = [smooth(x, 5), smooth(x, 9), broad(x)]
    calm = held(trusted.features, obs.valid)
    known = filler.known(obs.mask)
    through = filler.pchip(obs.xyz[:, :, :n], obs.mask[..., :n] & ~stalled)
    candidates = torch.stack([x[:, :, :n], *(s[:, :, :n] for s in smoothed), calm, smooth(calm, 7),
                              *filler.steadied(calm, obs.valid), other.features, through,
                              *likely(filler, obs, stalled, jumping, calm)], dim=3)
    face = torch.stack([x[:, :, n:], *(s[:, :, n:] for s in smoothed)], dim=3)
    return Start(x, candidates, face, known, obs.exact, suspicious, filled.since, filled.until, obs.seconds, obs.valid)


def average(begin: Start, inner: int) -> Tensor:
    """`(B, 1, inner, 3)`: the mean over time of what is trusted, or of the filled track where nothing is."""
    calm = begin.candidates[..., CANDIDATES.index("trusted"), :]
    weight = (begin.known[..., :inner] & ~begin.suspicious & begin.valid.unsqueeze(-1)).unsqueeze(-1).float()
    weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, begin.valid[..., None, None].float())
    return (calm * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
