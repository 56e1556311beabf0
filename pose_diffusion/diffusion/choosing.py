"""Reading by candidates: the network weighs simple estimates of a clip of Holistic keypoints, point by point."""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose_diffusion.diffusion.candidates import CANDIDATES, FACE_CANDIDATES, Start, average, start
from pose_diffusion.diffusion.filling import Filler, Observation, sides
from pose_diffusion.diffusion.gaussian import blank
from pose_diffusion.diffusion.wiener import nothing
from pose_diffusion.layout import BODY_POINTS, HAND_POINTS, Layout

if TYPE_CHECKING:
    from pose_diffusion.diffusion.denoiser import Denoiser

LEVELS = {"body": .03, "left_hand": .04, "right_hand": .04, "face": .01}  # capture noise in shoulder widths, per part
PER_COORDINATE = .8  # std of a coordinate over the mean distance in the plane, for a Gaussian
OBSERVED = .7  # errors where something is observed, over those expected, ...
STRANGERS = 1.1  # ... and in gaps, on sources left out of training, over those expected
LEAST_OWN = .5  # of a point's expected error is at least its own, the rest may be that of its anchor
HIDDEN = 48  # of the layer that chooses between a point's candidates
LOCAL = 4 * (len(CANDIDATES) - 1) + 5  # local statistics of a point that decide between the candidates


class Choosing:
    """The reading of networks for Holistic keypoints; see `reading.Reading` for what its methods are for."""

    def inputs(self, layout: Layout) -> int:
        """Numbers a frame."""
        return 3 * len(layout) + 3 + 16 * layout.parts["face"].start

    def outputs(self, layout: Layout) -> int:
        """An error for each point of body and hands, and one for the face."""
        return layout.parts["face"].start + 1

    def level(self, layout: Layout) -> Tensor:
        """`(K, 1)`: capture noise of the points."""
        level = torch.empty(len(layout), 1)
        for part, value in LEVELS.items():
            level[layout.parts[part]] = value
        return level

    def add_buffers(self, network: Denoiser) -> None:
        """The linear prior and the Gaussians."""
        for part, count in (("hand", len(HAND_POINTS)), ("body", len(BODY_POINTS))):
            prior = nothing(count)
            network.register_buffer(f"{part}_basis", prior.basis)
            network.register_buffer(f"{part}_taps", prior.taps)
        for part, indices in (("body", BODY_POINTS), ("side", sides(network.layout)[0])):
            for name, value in vars(blank(len(indices))).items():
                network.register_buffer(f"{part}_window_{name}", value)

    def add_layers(self, network: Denoiser) -> None:
        """What chooses: at first the filled observation, mostly."""
        width, span = network.config.width, network.config.frames_per_token
        network.context = nn.Linear(width, span * HIDDEN)
        network.local = nn.Linear(LOCAL, HIDDEN)
        network.identity = nn.Parameter(torch.zeros(network.inner, HIDDEN))
        network.choice = nn.Linear(HIDDEN, len(CANDIDATES))
        network.face_choice = nn.Linear(width, span * FACE_CANDIDATES)
        nn.init.zeros_(network.face_choice.weight)
        nn.init.zeros_(network.face_choice.bias)
        with torch.no_grad():
            network.choice.weight.mul_(.1)
            network.choice.bias.zero_()
            network.choice.bias[0] = 2

    def start(self, network: Denoiser, observation: Observation) -> Start:
        """The filled observation and its candidates.

        Raises
        ------
        ValueError
            If single coordinates are known, or noise levels: this reading has its own.
        """
        if observation.axes is not None or observation.noise is not None:
            raise ValueError("this network takes whole points and knows their noise: single coordinates and noise "
                             "levels are for networks whose reading is plain")
        return start(network.filler, observation)

    def spread(self, network: Denoiser, begin: Start) -> Tensor:
        """Capture noise where something is observed, a random walk from the nearest observations in gaps, the data's
        std where nothing is known.
        """
        gap = torch.minimum(begin.since, begin.until)
        both = torch.isfinite(begin.since) & torch.isfinite(begin.until)
        gap = torch.where(both, begin.since * begin.until / (begin.since + begin.until).clamp(min=1e-6), gap)
        walk = torch.minimum(network.rate * gap.clamp(max=1e4).sqrt().unsqueeze(-1) + .005, network.std)
        out = torch.where(begin.known.unsqueeze(-1), network.level.expand(-1, 3), walk)
        exact = begin.known & begin.exact & begin.exact[..., network.filler.anchors]
        return out.masked_fill((exact | ~begin.valid.unsqueeze(-1)).unsqueeze(-1), 0)  # nothing to find out there

    def look(self, network: Denoiser, begin: Start) -> tuple[Tensor, Tensor, Start]:
        """Static inputs per frame, local statistics per point `(B, T, inner, LOCAL)`, and the last candidate."""
        n = network.inner
        mean = average(begin, n).unsqueeze(-2).expand(-1, begin.candidates.shape[1], -1, -1, -1)
        begin = replace(begin, candidates=torch.cat([begin.candidates, mean], dim=-2))
        x, valid = begin.filled, begin.valid[..., None].to(begin.filled)
        centre = (x * valid.unsqueeze(-1)).sum(1, keepdim=True) / valid.unsqueeze(-1).sum(1, keepdim=True).clamp(min=1)
        centred = ((x - centre) / network.std).clamp(-5, 5)
        differences = begin.candidates[..., 1:, :] - begin.candidates[..., :1, :]
        shown = [CANDIDATES.index(name) - 1 for name in ("trusted", "steady 2", "other hand", "likely 2")]
        picked = differences[..., shown, :]
        since, until = (torch.log1p(10 * t[..., :n].clamp(max=10)) for t in (begin.since, begin.until))
        flags = torch.stack([begin.known[..., :n], begin.exact[..., :n], begin.suspicious], dim=-1).to(x)
        face = torch.stack([begin.known[..., n:].any(-1), begin.exact[..., n:].any(-1)], dim=-1).to(x)
        face = torch.cat([face, torch.log1p(10 * begin.since[..., n:n + 1].clamp(max=10))], dim=-1)
        frame = torch.cat([centred.flatten(2), flags[..., 0], flags[..., 2], since, until, face,
                           (picked / .1).clamp(-5, 5).flatten(2)], dim=-1)
        size = torch.log1p(differences.norm(dim=-1) / .01) * valid.unsqueeze(-1)
        before, after = torch.cat([size[:, :1], size[:, :-1]], 1), torch.cat([size[:, 1:], size[:, -1:]], 1)
        around = torch.cat([before, size, after, _usual(network, size, begin)], -1)
        local = torch.cat([around, flags, since.unsqueeze(-1), until.unsqueeze(-1)], dim=-1)
        return frame * valid, local, begin

    def settle(self, network: Denoiser, x: Tensor, local: Tensor, begin: Start) -> tuple[Tensor, Tensor]:
        """A convex combination of the candidates, point by point: it can be as good as the best of them. Also the
        logarithms of its weights. Not in half precision, whose rounding would depend on what is computed beside it.
        """
        batch, frames = local.shape[:2]
        context = network.context(x).float().view(batch, frames, 1, -1)
        with torch.autocast(x.device.type, enabled=False):
            weights = network.choice(F.gelu(network.local(local) + context + network.identity)).log_softmax(-1)
        settled = (begin.exact & begin.known)[..., :network.inner, None]
        first = torch.zeros_like(weights[..., :1]), torch.full_like(weights[..., 1:], -1e4)
        weights = torch.where(settled, torch.cat(first, dim=-1), weights)
        inner = (weights.exp().unsqueeze(-1) * begin.candidates).sum(-2)
        face = network.face_choice(x).float().view(batch, frames, 1, FACE_CANDIDATES, 1)
        settled = (begin.exact & begin.known)[..., network.inner:, None]
        smoothed = (face.softmax(-2) * begin.face).sum(-2)
        return torch.cat([inner, torch.where(settled, begin.filled[:, :, network.inner:], smoothed)], dim=2), weights

    def expect(self, network: Denoiser, x: Tensor, begin: Start, spread: Tensor) -> tuple[Tensor, Tensor]:
        """Expected errors of the points, the face's all alike, and from these those of the features."""
        inner = network.inner
        error = F.softplus(network.error(x).float().view(len(x), -1, inner + 1) - 3)
        error = torch.cat([error[..., :-1], error[..., -1:].expand(-1, -1, len(network.layout) - inner)], dim=-1)
        error = error.masked_fill(begin.exact, 0)
        return error, doubt(network.filler, error.detach(), begin.known, spread)


def doubt(filler: Filler, error: Tensor, known: Tensor, spread: Tensor) -> Tensor:
    """The expected error of points as that of features: what is wrong with a point may be wrong with its anchor."""
    anchor = torch.where(filler.has_anchor, error[..., filler.anchors], 0.)
    own = torch.maximum(error**2 - anchor**2, (LEAST_OWN * error)**2).sqrt()
    own = own * torch.where(known, OBSERVED, STRANGERS)
    return (PER_COORDINATE * own.unsqueeze(-1) / spread.clamp(min=1e-6)).clamp(.02, 3)


def _usual(network: Denoiser, size: Tensor, begin: Start) -> Tensor:
    """`(B, T, inner, C - 1)`: how far apart the candidates are in the whole window, by part: its jitter."""
    counted = (begin.known[..., :network.inner] & begin.valid.unsqueeze(-1)).unsqueeze(-1).to(size)
    out = torch.empty_like(size)
    for part in ("body", "left_hand", "right_hand"):
        where = network.layout.parts[part]
        total = (size[:, :, where] * counted[:, :, where]).sum((1, 2), keepdim=True)
        out[:, :, where] = total / counted[:, :, where].sum((1, 2), keepdim=True).clamp(min=1)
    return out
