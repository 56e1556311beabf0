"""Plain reading: values, what is known, and how well, coordinate by coordinate. It works for points of any layout.

The posterior mean starts from the data's mean and what is observed, feature by feature, each weighed by its variance;
the encoder does the rest. A coordinate may be known where the others of its point are not: of a point in a picture, x
and y but not z.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.layout import Layout

if TYPE_CHECKING:
    from pose_diffusion.diffusion.denoiser import Denoiser

LEVEL = .02  # std of what is observed, where nothing else is said
UNIT = .5  # points are told to the network in this many units of theirs
SLACK = .25  # stds of the data by which what is noisy may be off for other reasons: a depth that was guessed, say
TOLD = 1e-3  # std below which less noise is not told apart
FLOOR = 1e-6
LIMITS = (-4., 1.)  # of the logarithm of what features are expected to be off by, in units of the state


@dataclass(frozen=True)
class PlainStart:
    """Everything about an observation that does not change from step to step.

    Attributes
    ----------
    filled : Tensor
        `(B, T, K, 3)` features: the data's mean, or what is observed, drawn towards it by its noise.
    values, told, noise : Tensor
        `(B, T, K, 3)` coordinates of points, 0 where not known; bool: known; std, 0 where exact.
    seen, settled : Tensor
        `(B, T, K, 3)` bool: coordinates of features that are known, and those known exactly.
    vague : Tensor
        `(B, T, K, 3)` std of the features that are known.
    known, exact : Tensor
        `(B, T, K)` bool: features of which all coordinates are known; points of which all are exact.
    seconds, valid : Tensor
        As in `Observation`.
    """

    filled: Tensor
    values: Tensor
    told: Tensor
    noise: Tensor
    seen: Tensor
    settled: Tensor
    vague: Tensor
    known: Tensor
    exact: Tensor
    seconds: Tensor
    valid: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> PlainStart:
        """The same function on every tensor (cutting windows, moving to a device)."""
        return PlainStart(**{field.name: function(getattr(self, field.name)) for field in fields(self)})


class Plain:
    """The reading of networks for any layout; see `reading.Reading` for what its methods are for."""

    def inputs(self, layout: Layout) -> int:
        """Numbers a frame."""
        return 12 * len(layout) + 1

    def outputs(self, layout: Layout) -> int:
        """An error for each point and one for each coordinate of its feature."""
        return 4 * len(layout)

    def level(self, layout: Layout) -> Tensor:
        """`(K, 1)`: usual noise of the points."""
        return torch.full((len(layout), 1), LEVEL)

    def add_buffers(self, network: Denoiser) -> None:
        """None: mean and std are all it needs."""

    def add_layers(self, network: Denoiser) -> None:
        """None."""

    @torch.no_grad()
    def start(self, network: Denoiser, observation: Observation) -> PlainStart:
        """What is known of points and of features.

        A root that never moves in the data is exact wherever it was observed. Where it was not, the others are off by
        as much as whoever supposed its place was wrong.
        """
        tree, mean, std = network.tree, network.mean, network.std
        root = (~tree.has_anchor & (std == 0).all(-1)).unsqueeze(-1)
        told = observation.mask.unsqueeze(-1).expand(observation.xyz.shape)
        told = told if observation.axes is None else told & observation.axes
        exact = root | (observation.exact & observation.mask).unsqueeze(-1)
        noise = network.level.expand(-1, 3) if observation.noise is None else observation.noise
        noise = noise.unsqueeze(-1) if noise.dim() == 3 else noise
        noise = torch.where(told & ~exact, noise, 0.)
        values = torch.where(told, torch.where(root, mean, observation.xyz), 0.)
        seen, certain = told & told[..., tree.anchors, :], exact & exact[..., tree.anchors, :]
        settled = seen & certain
        anchored = tree.has_anchor.unsqueeze(-1)
        vague = (noise**2 + torch.where(anchored, noise[..., tree.anchors, :], 0.)**2).sqrt()
        weight = std**2 / (std**2 + vague**2).clamp(min=FLOOR**2)
        offset = tree.features(values)
        filled = torch.where(seen, mean + weight * (offset - mean), mean)
        filled = torch.where(settled, offset, filled)
        return PlainStart(filled, values, told, noise, seen, settled, vague, seen.all(-1),
                          (exact & told).all(-1), observation.seconds, observation.valid)

    def spread(self, network: Denoiser, begin: PlainStart) -> Tensor:
        """The data's std; of what is seen, its noise and what else may be wrong with it."""
        std = network.std.expand_as(begin.filled)
        vague = (begin.vague**2 + (SLACK * std)**2).sqrt()
        near = std * vague / (std**2 + vague**2).sqrt().clamp(min=FLOOR)
        out = torch.where(begin.seen, near, std)
        return out.masked_fill(begin.settled | ~begin.valid[..., None, None], 0)

    def look(self, network: Denoiser, begin: PlainStart) -> tuple[Tensor, Tensor, PlainStart]:
        """Values and flags of points, the logarithm of their noise, and what is told of features."""
        level = network.level.clamp(min=TOLD)
        noise = ((begin.noise + TOLD) / level).log() * begin.told
        offset = ((begin.filled - network.mean) / network.std.clamp(min=.01)).clamp(-5, 5)
        parts = (begin.values / UNIT, begin.told.to(noise), noise, offset)
        frame = torch.cat([*(part.flatten(2) for part in parts), torch.ones_like(noise[:, :, 0, :1])], dim=-1)
        return frame * begin.valid.unsqueeze(-1), frame[..., :0], begin

    def settle(self, network: Denoiser, x: Tensor, local: Tensor, begin: PlainStart) -> tuple[Tensor, Tensor]:
        """What is filled, as it is; no candidates."""
        return begin.filled, local

    def expect(self, network: Denoiser, x: Tensor, begin: PlainStart, spread: Tensor) -> tuple[Tensor, Tensor]:
        """Expected errors of points and, coordinate by coordinate, of features: depth is far less sure than the rest.

        The latter keep their gradient; what takes them as given detaches them.
        """
        out = network.error(x).float().view(*begin.valid.shape, -1)
        count = len(network.layout)
        error = F.softplus(out[..., :count] - 2).masked_fill(begin.exact, 0)
        doubt = out[..., count:].view(spread.shape)
        # Beyond the limits the gradient is that at them: a clamp alone would never let go.
        return error, (doubt + (doubt.clamp(*LIMITS) - doubt).detach()).exp()
