"""The denoiser: noisy clip, noise level, observation, condition -> clean clip.

It has two halves. The *encoder* reads the observation (and the condition) once per call of a task and gives the
posterior mean and an estimate of its own error: this is the answer at an infinite noise level, and all that a one-step
refinement needs. The *decoder* is run at every further step: it reads the noisy clip, the noise level and what the
encoder saw, and corrects the mean. So ten steps cost one encoder and nine light decoders.

State space: features (points relative to their anchors) in units of what is unknown, `u = (x - filled) / spread`. An
exact keypoint has spread 0 and cannot move.
"""
from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose_diffusion.diffusion.block import Block
from pose_diffusion.diffusion.candidates import CANDIDATES, FACE_CANDIDATES, Start, average
from pose_diffusion.diffusion.condition import PLACES, Condition, place
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.filling import Filler, sides
from pose_diffusion.diffusion.gaussian import Gaussian, blank
from pose_diffusion.diffusion.noise import Shape, plain
from pose_diffusion.diffusion.schedule import c_in, c_noise
from pose_diffusion.diffusion.telling import Telling
from pose_diffusion.diffusion.text import TextEncoder
from pose_diffusion.diffusion.wiener import Prior, nothing
from pose_diffusion.layout import BODY_POINTS, HAND_POINTS, LAYOUTS, Layout

LEVELS = {"body": .03, "left_hand": .04, "right_hand": .04, "face": .01}  # capture noise in shoulder widths, per part
PER_COORDINATE = .8  # std of a coordinate over the mean distance in the plane, for a Gaussian
OBSERVED = .7  # errors where something is observed, over those expected, ...
STRANGERS = 1.1  # ... and in gaps, on sources left out of training, over those expected
LEAST_OWN = .5  # of a point's expected error is at least its own, the rest may be that of its anchor
HIDDEN = 48  # of the layer that chooses between a point's candidates
LOCAL = 4 * (len(CANDIDATES) - 1) + 5  # local statistics of a point that decide between the candidates


@dataclass(frozen=True)
class Encoded:
    """What the encoder made of an observation.

    Attributes
    ----------
    mean : Tensor
        `(B, T, K, 3)` features: the posterior mean.
    error : Tensor
        `(B, T, K)` expected distance of the mean from the truth in shoulder widths; 0 for exact points.
    doubt : Tensor
        `(B, T, K, 3)` std of what is wrong with the features of the mean, in units of the state space.
    spread : Tensor
        `(B, T, K, 3)` units of the state space.
    filled : Tensor
        `(B, T, K, 3)` features: origin of the state space.
    tokens : Tensor
        `(B, N, width)` context for the decoder.
    times, keep : Tensor
        `(B, N)` seconds of the tokens; bool, False where padding.
    weights : Tensor
        `(B, T, inner, C)` logarithms of the weights of the candidates.
    usual : Tensor
        `(B, T, K, 3)` features: how the sign that the text tells of is usually made; the mean where there is no text.
    """

    mean: Tensor
    error: Tensor
    doubt: Tensor
    spread: Tensor
    filled: Tensor
    tokens: Tensor
    times: Tensor
    keep: Tensor
    weights: Tensor
    usual: Tensor

    def beside(self, other: Encoded) -> Encoded:
        """Two batches as one, this one first."""
        return Encoded(*(torch.cat([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))

    @cached_property
    def per_spread(self) -> Tensor:
        """`(B, T, K, 3)`: 1 / spread; 0 where that is 0."""
        return torch.where(self.spread > 0, 1 / self.spread.clamp(min=1e-6), 0.)


def patch(x: Tensor, frames: int) -> Tensor:
    """`(B, T, C)` -> `(B, T / frames, frames * C)`."""
    return x.reshape(x.shape[0], x.shape[1] // frames, -1)


class Denoiser(nn.Module):
    """The network. `encode` once, then `decode` at every step.

    Parameters
    ----------
    config : DenoiserConfig
        Its size.
    """

    mean: Tensor
    std: Tensor
    rate: Tensor
    level: Tensor
    hand_basis: Tensor
    hand_taps: Tensor
    body_basis: Tensor
    body_taps: Tensor

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        self.layout: Layout = LAYOUTS[config.layout]
        points, inner = len(self.layout), self.layout.parts["face"].start
        self.inner = inner
        self._filler: tuple[tuple, Filler] | None = None
        self.register_buffer("mean", torch.zeros(points, 3))
        self.register_buffer("std", torch.ones(points, 3))
        self.register_buffer("rate", torch.ones(points, 3))
        for part, count in (("hand", len(HAND_POINTS)), ("body", len(BODY_POINTS))):
            prior = nothing(count)
            self.register_buffer(f"{part}_basis", prior.basis)
            self.register_buffer(f"{part}_taps", prior.taps)
        for part, indices in (("body", BODY_POINTS), ("side", sides(self.layout)[0])):
            for name, value in vars(blank(len(indices))).items():
                self.register_buffer(f"{part}_window_{name}", value)
        for part, where in self._shaped():
            self.register_buffer(f"{part}_noise", plain(3 * (where.stop - where.start)))
        level = torch.empty(points, 1)
        for part, value in LEVELS.items():
            level[self.layout.parts[part]] = value
        self.register_buffer("level", level)
        width, span = config.width, config.frames_per_token
        static = 3 * points + 4 * inner + 3 + 12 * inner
        self.stem = nn.Linear(span * static, width)
        self.condition = nn.Linear(config.condition_width, width)
        self.null = nn.Parameter(torch.zeros(1, 1, width))
        self.text = self.place = self.telling = None
        if config.text_layers:
            self.text = TextEncoder(config.condition_width, config.text_layers, config.embedding_width)
            self.place = nn.Linear(PLACES, width)
            self.telling = Telling(config.condition_width, width, points, span)
        self.encoder = nn.ModuleList(Block(width, config.heads, config.dropout) for _ in range(config.encoder_layers))
        self.norm = nn.LayerNorm(width)
        self.residual = nn.Linear(width, span * 3 * points)
        self.error = nn.Linear(width, span * (inner + 1))
        self.context = nn.Linear(width, span * HIDDEN)
        self.local = nn.Linear(LOCAL, HIDDEN)
        self.identity = nn.Parameter(torch.zeros(inner, HIDDEN))
        self.choice = nn.Linear(HIDDEN, len(CANDIDATES))
        self.face_choice = nn.Linear(width, span * FACE_CANDIDATES)
        self.noisy = nn.Linear(span * 3 * points, width)
        self.bridge = nn.Linear(width, width)
        self.noise_level = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.modulation = nn.Linear(width, 6 * width)
        self.offset = nn.Parameter(torch.zeros(config.decoder_layers, 6, width))
        self.decoder = nn.ModuleList(Block(width, config.heads, config.dropout) for _ in range(config.decoder_layers))
        self.final = nn.LayerNorm(width)
        self.head = nn.Linear(width, span * 3 * points)
        self.register_load_state_dict_post_hook(lambda module, _: setattr(module, "_filler", None))
        self._reset()

    def _reset(self) -> None:
        for layer in (self.residual, self.error, self.head, self.modulation, self.face_choice):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.offset[:, (2, 5)] = 1  # gates open: the skip connections start from plain pre-norm layers
            self.choice.weight.mul_(.1)
            self.choice.bias.zero_()
            self.choice.bias[0] = 2

    def _shaped(self) -> list[tuple[str, slice]]:
        """The parts whose noise has a shape of its own, the right hand for both."""
        return [("body", self.layout.parts["body"]), ("hand", self.layout.parts["right_hand"]),
                ("face", self.layout.parts["face"])]

    @property
    def filler(self) -> Filler:
        """What fills observations before the network sees them: made once for the statistics that there are."""
        key = self.mean.device, self.mean.data_ptr()
        if self._filler is None or self._filler[0] != key:
            buffers = dict(self.named_buffers())
            hand, body = (Prior(buffers[f"{part}_basis"], buffers[f"{part}_taps"]) for part in ("hand", "body"))
            windows = (Gaussian(*(buffers[f"{part}_window_{field.name}"] for field in fields(Gaussian)))
                       for part in ("body", "side"))
            self._filler = key, Filler(self.layout, self.mean, hand, body, *windows)
        return self._filler[1]

    def set_statistics(self, values: dict[str, Tensor]) -> None:
        """Take over what `training.statistics` found, by the names of the buffers."""
        for name, value in values.items():
            getattr(self, name).copy_(value)
        self._filler = None

    def spread(self, begin: Start) -> Tensor:
        """`(B, T, K, 3)`: how far the truth may be from the filled observation: capture noise where something is
        observed, a random walk from the nearest observations in gaps, the data's std where nothing is known.
        """
        gap = torch.minimum(begin.since, begin.until)
        both = torch.isfinite(begin.since) & torch.isfinite(begin.until)
        gap = torch.where(both, begin.since * begin.until / (begin.since + begin.until).clamp(min=1e-6), gap)
        walk = torch.minimum(self.rate * gap.clamp(max=1e4).sqrt().unsqueeze(-1) + .005, self.std)
        out = torch.where(begin.known.unsqueeze(-1), self.level.expand(-1, 3), walk)
        anchors = self.filler.anchors
        exact = begin.known & begin.exact & begin.exact[..., anchors]
        return out.masked_fill((exact | ~begin.valid.unsqueeze(-1)).unsqueeze(-1), 0)  # nothing to find out there

    def _statistics(self, begin: Start) -> tuple[Tensor, Tensor]:
        """Static inputs per frame `(B, T, C)` and local statistics per point `(B, T, inner, LOCAL)`."""
        n = self.inner
        x, valid = begin.filled, begin.valid[..., None].to(begin.filled)
        centre = (x * valid.unsqueeze(-1)).sum(1, keepdim=True) / valid.unsqueeze(-1).sum(1, keepdim=True).clamp(min=1)
        centred = ((x - centre) / self.std).clamp(-5, 5)
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
        around = torch.cat([before, size, after, self._usual(size, begin)], -1)
        return frame * valid, torch.cat([around, flags, since.unsqueeze(-1), until.unsqueeze(-1)], dim=-1)

    def _usual(self, size: Tensor, begin: Start) -> Tensor:
        """`(B, T, inner, C - 1)`: how far apart the candidates are in the whole window, by part: its jitter."""
        counted = (begin.known[..., :self.inner] & begin.valid.unsqueeze(-1)).unsqueeze(-1).to(size)
        out = torch.empty_like(size)
        for part in ("body", "left_hand", "right_hand"):
            where = self.layout.parts[part]
            total = (size[:, :, where] * counted[:, :, where]).sum((1, 2), keepdim=True)
            out[:, :, where] = total / counted[:, :, where].sum((1, 2), keepdim=True).clamp(min=1)
        return out

    def encode(self, begin: Start, condition: Condition | None = None) -> Encoded:
        """Read the observation: posterior mean, expected error, and context for the decoder.

        Parameters
        ----------
        begin : Start
            A batch of observations, filled; T a multiple of `frames_per_token`.
        condition : Condition, optional
            Tokens of text, or none.

        Returns
        -------
        Encoded
        """
        mean = average(begin, self.inner).unsqueeze(-2).expand(-1, begin.candidates.shape[1], -1, -1, -1)
        begin = replace(begin, candidates=torch.cat([begin.candidates, mean], dim=-2))
        spread = self.spread(begin)
        frame, local = self._statistics(begin)
        span, batch = self.config.frames_per_token, len(frame)
        tokens = self.stem(patch(frame, span))
        times = begin.seconds[:, ::span] - begin.seconds[:, :1]  # a window looks the same wherever in its clip it lies
        keep = begin.valid[:, ::span]
        text, heard = self._listen(begin, condition, tokens)
        usual = making = None
        if condition is not None and condition.span is not None and self.telling is not None:
            told, usual, making = self.telling(condition, begin.seconds[:, ::span])
            tokens, usual = tokens + told.to(tokens), self.mean + self.std * usual
        x = torch.cat([text, tokens], dim=1)
        when = torch.cat([torch.zeros_like(heard, dtype=times.dtype), times], dim=1)
        for block in self.encoder:
            x = block(x, when, torch.cat([heard, keep], dim=1))
        x = self.norm(x[:, text.shape[1]:])
        mean, weights = self._choose(x, local, begin)
        if usual is not None and making is not None and self.telling is not None:
            unknown = ~begin.known.unsqueeze(-1) & (spread > 0)
            mean = mean + self.telling.share(x, making) * unknown * (usual - mean)
        mean = mean + spread * self.residual(x).float().view(mean.shape)
        error = F.softplus(self.error(x).float().view(batch, -1, self.inner + 1) - 3)
        error = torch.cat([error[..., :-1], error[..., -1:].expand(-1, -1, len(self.layout) - self.inner)], dim=-1)
        error = error.masked_fill(begin.exact, 0)
        doubt = self._doubt(error.detach(), begin.known, spread)
        usual = mean if usual is None else usual
        return Encoded(mean, error, doubt, spread, begin.filled, x, times, keep, weights, usual)

    def _listen(self, begin: Start, condition: Condition | None, like: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of the condition `(B, L, width)`, the first one learnt, and which are heard `(B, L)`: those of signs
        that are in the window.
        """
        text = self.null.expand(len(like), -1, -1).to(like)
        heard = torch.ones(len(like), 1, dtype=torch.bool, device=like.device)
        if condition is None:
            return text, heard
        tokens, mask = self.condition(condition.tokens.to(like)), condition.mask
        if condition.span is not None:
            if self.place is None:
                raise ValueError("this network was not made for text: it cannot be told where in a clip a sign is")
            first = begin.seconds[:, :1, None]
            last = torch.where(begin.valid, begin.seconds, 0).amax(1)[:, None, None]
            tokens = tokens + self.place(place(condition.span - first).to(like))
            mask = mask & ((condition.span[..., 1:] >= first) & (condition.span[..., :1] <= last)).squeeze(-1)
        return torch.cat([text, tokens], dim=1), torch.cat([heard, mask], dim=1)

    def noise(self, smooth: Tensor) -> Tensor:
        """Noise `(B, T, K, 3)` of unit variance, independent from point to point, to noise in which the points of a
        part move as they do in real motion (see `noise.Shape`).
        """
        out = smooth.clone()
        buffers = dict(self.named_buffers())
        for part, points in self._shaped():
            shape = Shape(buffers[f"{part}_noise"])
            for where in ((points,) if part != "hand" else (self.layout.parts["left_hand"], points)):
                out[:, :, where] = shape(smooth[:, :, where], mirrored=where != points)
        return out

    def _doubt(self, error: Tensor, known: Tensor, spread: Tensor) -> Tensor:
        """The expected error of points as that of features: what is wrong with a point may be wrong with its anchor."""
        filler = self.filler
        anchor = torch.where(filler.has_anchor, error[..., filler.anchors], 0.)
        own = torch.maximum(error**2 - anchor**2, (LEAST_OWN * error)**2).sqrt()
        own = own * torch.where(known, OBSERVED, STRANGERS)
        return (PER_COORDINATE * own.unsqueeze(-1) / spread.clamp(min=1e-6)).clamp(.02, 3)

    def _choose(self, x: Tensor, local: Tensor, begin: Start) -> tuple[Tensor, Tensor]:
        """A convex combination of the candidates, point by point: it can be as good as the best of them. Also the
        logarithms of its weights. Not in half precision, whose rounding would depend on what is computed beside it.
        """
        batch, frames = local.shape[:2]
        context = self.context(x).float().view(batch, frames, 1, -1)
        with torch.autocast(x.device.type, enabled=False):
            weights = self.choice(F.gelu(self.local(local) + context + self.identity)).log_softmax(-1)
        settled = (begin.exact & begin.known)[..., :self.inner, None]
        first = torch.zeros_like(weights[..., :1]), torch.full_like(weights[..., 1:], -1e4)
        weights = torch.where(settled, torch.cat(first, dim=-1), weights)
        inner = (weights.exp().unsqueeze(-1) * begin.candidates).sum(-2)
        face = self.face_choice(x).float().view(batch, frames, 1, FACE_CANDIDATES, 1)
        settled = (begin.exact & begin.known)[..., self.inner:, None]
        smoothed = (face.softmax(-2) * begin.face).sum(-2)
        return torch.cat([inner, torch.where(settled, begin.filled[:, :, self.inner:], smoothed)], dim=2), weights

    def decode(self, encoded: Encoded, x: Tensor, sigma: Tensor) -> Tensor:
        """One step: the clean clip from a noisy one.

        Parameters
        ----------
        encoded : Encoded
            The observation, read.
        x : Tensor
            `(B, T, K, 3)` noisy features: clean + sigma * spread * noise.
        sigma : Tensor
            `(B,)` noise levels.

        Returns
        -------
        Tensor
            `(B, T, K, 3)` features. EDM preconditioning (Karras et al. 2022, eq. 7) around the posterior mean, where
            sigma_data is what the encoder expects to be wrong there: were its errors Gaussian and smooth as the noise
            is, an untrained decoder would sample them.
        """
        level = sigma.view(-1, 1, 1, 1)
        away, inwards = x - encoded.mean, c_in(level, encoded.doubt)
        seen = (inwards * encoded.per_spread * away).clamp(-8, 8)
        hidden = self.noisy(patch(seen.flatten(2), self.config.frames_per_token)) + self.bridge(encoded.tokens)
        modulation = self.modulation(self.noise_level(embed(c_noise(sigma))).to(hidden)).view(len(x), 6, -1)
        for block, offset in zip(self.decoder, self.offset):
            hidden = block(hidden, encoded.times, encoded.keep, modulation + offset)
        out = self.head(self.final(hidden)).float().view(x.shape)
        share = inwards * encoded.doubt  # c_skip is its square, c_out `level` times this: no more roots
        return encoded.mean + share * (share * away + level * encoded.spread * out)


def embed(c_noise: Tensor) -> Tensor:
    """`(B,)` noise levels as `(B, 64)` sines and cosines."""
    frequency = torch.exp(torch.linspace(-1, 4, 32, device=c_noise.device))
    angle = c_noise.view(-1, 1) * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=-1)
