"""Lifting with a linear prior: what the same energy and the same sampler make of a Gaussian instead of a network.

Poses are principal components around their mean, fitted to the motions that the network is trained on, seen by the same
random cameras. The best denoiser of a Gaussian of unit variance is ``x / (1 + sigma ** 2)``; everything else is as with
the network. For an observation that is linear in the pose the guided estimate is the exact posterior mean at every
noise level, so that samples are exact, but for the number of steps.

Two other ways to sample from this posterior did worse on the tuning takes: randomised maxima a posteriori (Bardsley et
al. 2014) make bodies too large, a Laplace approximation too small.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_diffusion.cameras import extent, random_cameras, to_camera
from pose_diffusion.diffusion.energy import Energy, guide
from pose_diffusion.diffusion.model import RHO, SIGMA_MAX, SIGMA_MIN
from pose_diffusion.diffusion.sampler import sample
from pose_diffusion.diffusion.schedule import karras_sigmas
from pose_diffusion.evaluation.lift_cases import LONGEST, stretches
from pose_diffusion.motion.augmentation import mirrored
from pose_diffusion.motion.mocap import Take

KEPT = .998  # of the variance


@dataclass(frozen=True)
class LinearPrior:
    """Poses ``mean + parts @ z`` with z standard normal.

    Attributes
    ----------
    mean : Tensor ``(frames, 17, 3)``
        In the camera's frame, relative to the pelvis, metres.
    parts : Tensor ``(C, frames, 17, 3)``
        Principal components, each times its std.
    """

    mean: Tensor
    parts: Tensor

    def points(self, weights: Tensor) -> Tensor:
        """Poses ``(batch, frames, 17, 3)`` of weights ``(batch, C)``."""
        return self.mean + torch.einsum("bc,ctkd->btkd", weights, self.parts)


def fit(xyz: Tensor, kept: float = KEPT) -> LinearPrior:
    """The principal components of poses.

    Parameters
    ----------
    xyz : Tensor ``(N, frames, 17, 3)``
        Relative to the pelvis.
    kept : float
        Share of the variance that the components hold, from the largest on.

    Returns
    -------
    LinearPrior
    """
    shape = xyz.shape[1:]
    flat = xyz.reshape(len(xyz), -1).double()
    mean = flat.mean(0)
    values, axes = torch.linalg.eigh((flat - mean).T @ (flat - mean) / max(1, len(flat) - 1))
    values, axes = values.flip(0).clamp(min=0), axes.flip(1)
    enough = int((values.cumsum(0) < kept * values.sum()).sum()) + 1
    parts = axes[:, :enough] * values[:enough].sqrt()
    return LinearPrior(mean.reshape(shape).float(), parts.T.reshape(-1, *shape).float())


def seen_motions(takes: Sequence[Take], count: int, seed: int) -> Tensor:
    """`(count, 32, 17, 3)`: motions of takes as random cameras see them, relative to the pelvis, half of them mirrored:
    what linear priors are fitted to.
    """
    generator = torch.Generator().manual_seed(seed)
    world, _ = stretches(takes, count, generator)
    flip = torch.rand(count, generator=generator) < .5
    world = torch.where(flip[:, None, None, None], mirrored(world), world)
    seen = to_camera(random_cameras(generator, *extent(world)), world)
    return seen - seen[:, :, :1]


def priors(takes: Sequence[Take], lengths: Sequence[int], count: int, seed: int) -> dict[int, LinearPrior]:
    """A prior for each number of frames."""
    xyz = seen_motions(takes, count, seed)
    out = {}
    for frames in lengths:
        start = (LONGEST - frames) // 2
        out[frames] = fit(xyz[:, start:start + frames])
    return out


def hypotheses(prior: LinearPrior, energy: Energy, count: int, seed: int, *, steps: int, energy_steps: int,
               scale: float = 1.) -> Tensor:
    """Samples of the posterior of a linear prior under an energy.

    Parameters
    ----------
    prior : LinearPrior
        Of the number of frames that the energy is of.
    energy : callable
        Of poses ``(count, frames, 17, 3)``.
    count, seed : int
        How many; fixes the draw.
    steps : int
        Of the sampler.
    energy_steps : int
        Inner steps of each.
    scale : float
        Weight of the energy: 1 takes it at its word.

    Returns
    -------
    Tensor ``(count, frames, 17, 3)``
        Relative to the pelvis, in the camera's frame.
    """
    sigmas = karras_sigmas(steps, SIGMA_MIN, SIGMA_MAX, RHO)
    guided = guide(lambda x, sigma: x / (1 + sigma**2), energy, scale, to_points=prior.points, steps=energy_steps)
    generator = torch.Generator().manual_seed(seed)
    start = sigmas[0] * torch.randn(count, len(prior.parts), generator=generator)
    return prior.points(deque(sample(guided, start, sigmas), maxlen=1).pop().state)
