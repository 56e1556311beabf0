"""Lifting with a linear prior: what the same energy makes of a Gaussian instead of a network.

Poses are principal components around their mean, fitted to the motions that the network is trained on, seen by the same
random cameras. Hypotheses are *randomised maxima a posteriori* (Bardsley et al. 2014, "Randomize-then-optimize", SIAM
J. Sci. Comput. 36): each starts from a draw of the prior, has noise of the detector's size added to its observation,
and is the minimum of its own objective. For linear observations these are exact samples of the posterior.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_diffusion.cameras import extent, random_cameras, to_camera
from pose_diffusion.diffusion.energy import Energy, guide
from pose_diffusion.evaluation.lift_cases import LONGEST, stretches
from pose_diffusion.motion.augmentation import mirrored
from pose_diffusion.motion.mocap import Take

KEPT = .998  # of the variance
EVERYTHING = 1e4  # a noise level at which `guide` trusts nothing but its prior of unit variance


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


def hypotheses(prior: LinearPrior, energy: Callable[[Tensor], Energy], pixels: Tensor, spread: float, count: int,
               seed: int, *, steps: int, scale: float = 1.) -> Tensor:
    """Samples of the posterior of a linear prior under an energy of a picture.

    Parameters
    ----------
    prior : LinearPrior
        Of the observation's number of frames.
    energy : callable
        From pixels ``(count, frames, 17, 2)``, one observation for each hypothesis, to their energy.
    pixels : Tensor ``(frames, 17, 2)``
        As observed.
    spread : float
        Std of the detector in pixels.
    count, seed : int
        How many; fixes the draw.
    steps : int
        Most steps of each minimisation (conjugate gradients).
    scale : float
        Weight of the energy: 1 takes it at its word.

    Returns
    -------
    Tensor ``(count, frames, 17, 3)``
        Relative to the pelvis, in the camera's frame.
    """
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(count, len(prior.parts), generator=generator)
    noise = spread * torch.randn(count, *pixels.shape, generator=generator)
    # With an estimate that is the draw itself, and nothing else known, the guided one minimises
    # |z - draw| ** 2 / 2 + energy: the objective of randomise-then-optimise.
    minimise = guide(lambda draw, sigma: draw, energy(pixels + noise), scale, to_points=prior.points,
                     steps=steps)
    return prior.points(minimise(start, torch.tensor(EVERYTHING)))
