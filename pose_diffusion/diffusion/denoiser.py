"""The denoiser: noisy clip, noise level, observation, condition -> clean clip.

It has two halves. The *encoder* reads the observation (and the condition) once per call of a task and gives the
posterior mean and an estimate of its own error: this is the answer at an infinite noise level, and all that a one-step
refinement needs. The *decoder* is run at every further step: it reads the noisy clip, the noise level and what the
encoder saw, and corrects the mean. So ten steps cost one encoder and nine light decoders.

State space: features (points relative to their anchors) in units of what is unknown, `u = (x - filled) / spread`. An
exact keypoint has spread 0 and cannot move.

There are two ways to read an observation: `choosing.py` for Holistic keypoints, `plain.py` for any layout.
"""
from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from pose_diffusion.diffusion.block import Block
from pose_diffusion.diffusion.choosing import Choosing
from pose_diffusion.diffusion.condition import PLACES, Condition, place
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.filling import Filler, Observation
from pose_diffusion.diffusion.gaussian import Gaussian
from pose_diffusion.diffusion.noise import Shape, plain
from pose_diffusion.diffusion.plain import Plain
from pose_diffusion.diffusion.reading import AnyStart, Reading
from pose_diffusion.diffusion.schedule import c_in, c_noise
from pose_diffusion.diffusion.telling import Telling
from pose_diffusion.diffusion.text import TextEncoder
from pose_diffusion.diffusion.tree import Tree
from pose_diffusion.diffusion.wiener import Prior
from pose_diffusion.layout import LAYOUTS, Layout

READINGS: dict[str, Reading[Any]] = {"candidates": Choosing(), "plain": Plain()}


@dataclass(frozen=True)
class Encoded:
    """What the encoder made of an observation.

    Attributes
    ----------
    mean : Tensor
        `(B, T, K, 3)` features: the posterior mean.
    error : Tensor
        `(B, T, K)` expected distance of the mean from the truth in the units of points; 0 for exact points.
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
        `(B, T, inner, C)` logarithms of the weights of the candidates; no numbers where there are none.
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
    # Of networks that choose between candidates:
    context: nn.Linear
    local: nn.Linear
    identity: nn.Parameter
    choice: nn.Linear
    face_choice: nn.Linear

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        self.layout: Layout = LAYOUTS[config.layout]
        points = len(self.layout)
        self._tree: tuple[tuple, Tree] | None = None
        self.register_buffer("mean", torch.zeros(points, 3))
        self.register_buffer("std", torch.ones(points, 3))
        self.register_buffer("rate", torch.ones(points, 3))
        self.reading.add_buffers(self)
        for part, where in self._shaped():
            self.register_buffer(f"{part}_noise", plain(3 * (where.stop - where.start)))
        self.register_buffer("level", self.reading.level(self.layout))
        width, span = config.width, config.frames_per_token
        self.stem = nn.Linear(span * self.reading.inputs(self.layout), width)
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
        self.error = nn.Linear(width, span * self.reading.outputs(self.layout))
        self.reading.add_layers(self)
        self.noisy = nn.Linear(span * 3 * points, width)
        self.bridge = nn.Linear(width, width)
        self.noise_level = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.modulation = nn.Linear(width, 6 * width)
        self.offset = nn.Parameter(torch.zeros(config.decoder_layers, 6, width))
        self.decoder = nn.ModuleList(Block(width, config.heads, config.dropout) for _ in range(config.decoder_layers))
        self.final = nn.LayerNorm(width)
        self.head = nn.Linear(width, span * 3 * points)
        self.register_load_state_dict_post_hook(lambda module, _: setattr(module, "_tree", None))
        self._reset()

    def _reset(self) -> None:
        for layer in (self.residual, self.error, self.head, self.modulation):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.offset[:, (2, 5)] = 1  # gates open: the skip connections start from plain pre-norm layers

    def _shaped(self) -> list[tuple[str, slice]]:
        """The parts whose noise has a shape of its own, the right hand for both."""
        parts = self.layout.parts
        return [(name, parts[part]) for name, part in (("body", "body"), ("hand", "right_hand"), ("face", "face"))
                if part in parts]

    @property
    def reading(self) -> Reading[Any]:
        """How it reads observations."""
        return READINGS[self.config.reading]

    @property
    def inner(self) -> int:
        """How many points are before the face; all, where there is none."""
        face = self.layout.parts.get("face")
        return len(self.layout) if face is None else face.start

    @property
    def tree(self) -> Tree:
        """How its points hang together: made once for the statistics that there are."""
        key = self.mean.device, self.mean.data_ptr()
        if self._tree is None or self._tree[0] != key:
            self._tree = key, self._made_tree()
        return self._tree[1]

    def _made_tree(self) -> Tree:
        if self.config.reading != "candidates":
            return Tree(self.layout, self.mean.device)
        buffers = dict(self.named_buffers())
        hand, body = (Prior(buffers[f"{part}_basis"], buffers[f"{part}_taps"]) for part in ("hand", "body"))
        windows = (Gaussian(*(buffers[f"{part}_window_{field.name}"] for field in fields(Gaussian)))
                   for part in ("body", "side"))
        return Filler(self.layout, self.mean, hand, body, *windows)

    @property
    def filler(self) -> Filler:
        """What fills observations before the network sees them; of networks that choose between candidates."""
        tree = self.tree
        if not isinstance(tree, Filler):
            raise TypeError(f"a network whose reading is {self.config.reading} fills nothing")
        return tree

    def window(self, frames: int) -> int:
        """Frames to run it on at a time for clips of so many: fewer than it was trained on, where it reads plainly and
        the clips are short. (Candidates look at what is beyond the end of a clip.)
        """
        size, span = self.config.window, self.config.frames_per_token
        return size if self.config.reading == "candidates" else min(size, max(1, -(-frames // span)) * span)

    def set_statistics(self, values: dict[str, Tensor]) -> None:
        """Take over what `training.statistics` found, by the names of the buffers."""
        for name, value in values.items():
            getattr(self, name).copy_(value)
        self._tree = None

    def start(self, observation: Observation) -> AnyStart:
        """All about an observation that does not change from step to step, for `encode`."""
        return self.reading.start(self, observation)

    def spread(self, begin: AnyStart) -> Tensor:
        """`(B, T, K, 3)`: how far the truth may be from the filled observation; 0 for what cannot move."""
        return self.reading.spread(self, begin)

    def encode(self, begin: AnyStart, condition: Condition | None = None) -> Encoded:
        """Read the observation: posterior mean, expected error, and context for the decoder.

        Parameters
        ----------
        begin : AnyStart
            From `start`: a batch of observations, filled; T a multiple of `frames_per_token`.
        condition : Condition, optional
            Tokens of text, or none.

        Returns
        -------
        Encoded
        """
        frame, local, begin = self.reading.look(self, begin)
        spread = self.spread(begin)
        span = self.config.frames_per_token
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
        mean, weights = self.reading.settle(self, x, local, begin)
        if usual is not None and making is not None and self.telling is not None:
            unknown = ~begin.known.unsqueeze(-1) & (spread > 0)
            mean = mean + self.telling.share(x, making) * unknown * (usual - mean)
        mean = mean + spread * self.residual(x).float().view(mean.shape)
        error, doubt = self.reading.expect(self, x, begin, spread)
        usual = mean if usual is None else usual
        return Encoded(mean, error, doubt, spread, begin.filled, x, times, keep, weights, usual)

    def _listen(self, begin: AnyStart, condition: Condition | None, like: Tensor) -> tuple[Tensor, Tensor]:
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
