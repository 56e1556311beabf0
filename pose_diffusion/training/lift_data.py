"""Samples to learn lifting from: bodies in random cameras, of which something is known.

Everything the network is told is made by the functions that are used on real pictures (`tasks.lifting`), noise, hidden
joints and wrong focal lengths included. Batches are drawn as a whole, from the seed and their number alone.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pose_diffusion.cameras import Camera, extent, project, random_cameras, to_camera
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.tasks.lifting import flat_observation, turned
from pose_diffusion.training.mocap import Pool

NOTHING, FLAT, SOLID = range(3)  # what is known of a sample: nothing, a picture, some joints in 3D
AT_TEMPO = .4  # of the samples are said to have another frame rate than they have, ...
TEMPO = .15  # ... the logarithm of the factor has this std, ...
TEMPI = (.75, 1.33)  # ... and these are the least and the most
NOISE = 15.  # pixels: most of the noise in a picture
TOLD_NOISE = .2  # std of the logarithm of how wrong the noise is told
CLEAN = .1  # of the pictures have no noise
FOCAL = .2  # std of the logarithm of how wrong the focal length is, in half of the samples
CLOSE = .15  # of the pictures show the body from the hips up
SOLID_NOISE = .05  # metres: most of the noise of joints in 3D

_UPPER = ("thorax", "head", "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow",
          "right_wrist")
UPPER = [BODY.index(joint) for joint in ("pelvis", "left_hip", "right_hip", "spine", *_UPPER)]
LOWER = [BODY.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
# What is hidden together, for a while.
GROUPS = [[BODY.index(joint) for joint in joints] for joints in (
    *((f"{side}_wrist",) for side in ("left", "right")), *((f"{side}_ankle",) for side in ("left", "right")),
    *((f"{side}_elbow", f"{side}_wrist") for side in ("left", "right")),
    *((f"{side}_knee", f"{side}_ankle") for side in ("left", "right")),
    ("left_knee", "left_ankle", "right_knee", "right_ankle"),
    ("left_elbow", "left_wrist", "right_elbow", "right_wrist"),
    *((*(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "knee", "ankle")),)
      for side in ("left", "right")),
    ("head", "head_top"), ("spine", "head_top"),
    ("pelvis", "left_hip", "right_hip", "spine", "left_knee", "right_knee", "left_ankle", "right_ankle"))]


@dataclass(frozen=True)
class Shares:
    """What samples are made of.

    Attributes
    ----------
    nothing, flat : float
        Shares of the samples of which nothing, or a picture, is known; of the others some joints in 3D are.
    single : float
        Share of the batches that are of single frames, `crowd` times as many of them.
    crowd : int
        How many times.
    short : float
        Share of the other samples that are shorter than the window.
    """

    nothing: float = .35
    flat: float = .5
    single: float = .2
    crowd: int = 4
    short: float = .15


def lift_batch(pool: Pool, count: int, frames: int, generator: torch.Generator, shares: Shares = Shares(),
               *, length: int | None = None) -> dict[str, Tensor]:
    """Draw samples.

    Parameters
    ----------
    pool : Pool
        Where motions come from.
    count, frames : int
        How many, and how long.
    generator : torch.Generator
        Fixes the draw.
    shares : Shares
        What they are made of.
    length : int, optional
        Frames that are there, of each sample; the others are padding.

    Returns
    -------
    dict of str to Tensor
        The fields of an `Observation` by name, `truth` `(B, T, 17, 3)`: metres from the pelvis, along the body's ray;
        and `kind` `(B,)`.
    """
    xyz, rate, valid = pool.draw(count, frames, generator)
    if length is None:
        short = torch.rand(count, generator=generator) < shares.short
        least = torch.where(short, (1 + torch.rand(count, generator=generator) * frames).long(), frames)
        valid = valid & (torch.arange(frames) < least[:, None])
    else:
        valid = valid & (torch.arange(frames) < length)
    tempo = torch.rand(count, generator=generator) < AT_TEMPO
    fps = rate * torch.where(tempo, (TEMPO * torch.randn(count, generator=generator)).exp(), 1.).clamp(*TEMPI)
    camera, close = _cameras(xyz, generator)
    pixels = project(camera, xyz)
    noise = NOISE * torch.rand(count, generator=generator)
    noise = torch.where(torch.rand(count, generator=generator) < CLEAN, 0., noise)
    pixels = pixels + noise[:, None, None, None] * torch.randn(pixels.shape, generator=generator)
    seen = _seen(count, frames, close, generator) & valid.unsqueeze(-1)
    told = (noise * (TOLD_NOISE * torch.randn(count, generator=generator)).exp())[:, None, None]
    supposed = _supposed(camera, generator)
    flat = flat_observation(pixels, seen.float(), told.clamp(min=.1), supposed, rate)
    there = to_camera(camera, xyz)
    truth = turned(flat.turn, there - there[:, :, :1])
    kind = torch.rand(count, generator=generator)
    picture, solid = (kind >= shares.nothing), kind >= shares.nothing + shares.flat
    some = _some(count, frames, generator) & valid.unsqueeze(-1)
    some[..., 0] = valid  # all is taken from the pelvis
    exact = some & (torch.rand(count, 1, 1, generator=generator) < .5)
    vague = SOLID_NOISE * torch.rand(count, 1, 1, generator=generator)
    around = truth + (vague * ~exact).unsqueeze(-1) * torch.randn(truth.shape, generator=generator)
    by_kind = solid[:, None, None]
    axes = torch.where(by_kind.unsqueeze(-1), some.unsqueeze(-1), flat.axes & picture[:, None, None, None])
    return {"xyz": torch.where(axes, torch.where(by_kind.unsqueeze(-1), around, flat.xyz), 0.),
            "mask": axes.any(-1), "exact": exact & by_kind, "axes": axes,
            "noise": torch.where(by_kind, vague.expand_as(flat.noise), flat.noise), "valid": valid,
            "seconds": torch.arange(frames) / fps[:, None], "truth": truth,
            "kind": picture.long() + solid.long()}


def _cameras(xyz: Tensor, generator: torch.Generator) -> tuple[Camera, Tensor]:
    """Random cameras, and which of them show the body from the hips up, `(B,)`."""
    close = torch.rand(len(xyz), generator=generator) < CLOSE
    whole, upper = extent(xyz), extent(xyz[:, :, UPPER])
    middle, radius, height = (torch.where(close.view(-1, *[1] * (a.dim() - 1)), b, a) for a, b in zip(whole, upper))
    return random_cameras(generator, middle, radius, height), close


def _supposed(camera: Camera, generator: torch.Generator) -> Camera:
    """The cameras as they are thought to be: half of them as they are."""
    count = len(camera.focal)
    factor = (FOCAL * torch.randn(count, generator=generator)).exp()
    factor = torch.where(torch.rand(count, generator=generator) < .5, 1., factor)[:, None]
    return Camera(camera.focal * factor, camera.centre, camera.rotation, camera.translation, camera.size)


def _seen(count: int, frames: int, close: Tensor, generator: torch.Generator) -> Tensor:
    """Which joints are seen, `(B, T, 17)`: some lost here and there, groups hidden for a while, frames lost."""
    def chance(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    lost = .3 * chance(1, 1) * (chance(1, 1) < .4)
    seen = chance(frames, len(BODY)) >= lost
    time = torch.arange(frames)
    for _ in range(2):
        group = torch.randint(len(GROUPS), (count,), generator=generator)
        hidden = torch.stack([torch.isin(torch.arange(len(BODY)), torch.tensor(joints)) for joints in GROUPS])[group]
        seen &= ~(hidden[:, None] & (_run(count, frames, time, generator) & (chance(1) < .4)).unsqueeze(-1))
    seen &= ~(_run(count, frames, time, generator) & (chance(1) < .1)).unsqueeze(-1)
    seen[:, :, LOWER] &= ~close[:, None, None]
    return seen


def _run(count: int, frames: int, time: Tensor, generator: torch.Generator) -> Tensor:
    """`(B, T)` bool: a run of frames, a third of them the whole window."""
    middle, size, whole = (torch.rand(count, 1, generator=generator) for _ in range(3))
    size = torch.where(whole < .33, 4., size)
    return (time - middle * frames).abs() <= size * frames / 2


def _some(count: int, frames: int, generator: torch.Generator) -> Tensor:
    """`(B, T, 17)` bool: some joints throughout, or all in some frames, or both."""
    joints = torch.rand(count, 1, len(BODY), generator=generator) < torch.rand(count, 1, 1, generator=generator)
    moments = torch.rand(count, frames, 1, generator=generator) < .5 * torch.rand(count, 1, 1, generator=generator)
    way = torch.rand(count, 1, 1, generator=generator)
    return torch.where(way < .4, joints.expand(-1, frames, -1), torch.where(way < .8, moments, joints & moments))


class LiftBatches(Dataset):
    """Batches by their number.

    Parameters
    ----------
    pool : Pool
        Where motions come from.
    count, frames : int
        Samples of a batch, and frames of a sample.
    span : int
        Frames of a token: what single frames are padded to.
    batches : int
        How many there are.
    seed : int
        Fixes them.
    shares : Shares
        What they are made of.
    """

    def __init__(self, pool: Pool, count: int, frames: int, span: int, batches: int, seed: int,
                 shares: Shares = Shares()):
        self.pool, self.count, self.frames, self.span = pool, count, frames, span
        self.batches, self.seed, self.shares = batches, seed, shares

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        state = int(np.random.SeedSequence((self.seed, i)).generate_state(1)[0])
        generator = torch.Generator().manual_seed(state)
        if float(torch.rand((), generator=generator)) < self.shares.single:
            return lift_batch(self.pool, self.shares.crowd * self.count, self.span, generator, self.shares, length=1)
        return lift_batch(self.pool, self.count, self.frames, generator, self.shares)
