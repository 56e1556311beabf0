"""Energies of lifting: what pictures, the ground and the laws of motion say about bodies in 3D.

As in `energy.py` each maps clean points ``(batch, frames, points, 3)``, here in the world (metres, y up), to one value
a sample, the negative logarithm of a likelihood up to a constant, so that they add up and a scale of 1 takes them at
their word. Their sizes come from the stds they are given, in pixels or metres; no energy is a mean over points or
frames, so twice the evidence counts twice. Missing points may be NaN.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_diffusion.diffusion.energy import Energy

Projection = Callable[[Tensor], Tensor]  # points (batch, frames, points, 3) to pixels (batch, frames, K, 2)
Robust = Callable[[Tensor], Tensor]  # squared error in stds to what it counts for


def student(freedom: float) -> Robust:
    """Errors with heavy tails: those of a Student-t distribution in the plane, the logarithm of which grows slowly.

    Parameters
    ----------
    freedom : float
        Degrees of freedom, above 0: the fewer, the heavier the tails; 4 suits keypoint detectors. Below 2 stds or so it
        is the Gaussian's energy times ``(freedom + 2) / freedom``.
    """
    _above_zero("degrees of freedom", freedom)
    return lambda square: (freedom + 2) * torch.log1p(square / freedom)


def geman_mcclure(limit: float) -> Robust:
    """Errors that stop counting: ``square / (1 + square / limit ** 2)``, at most ``limit ** 2``.

    It is no likelihood (it would have no sum), and where all points are far off its gradient tells nothing: for
    refining what is nearly right.

    Parameters
    ----------
    limit : float
        In stds, above 0.
    """
    _above_zero("limit", limit)
    return lambda square: square / (1 + square / limit**2)


def reprojection(project: Projection,
                 pixels: Tensor,
                 confidence: Tensor,
                 spread: float | Tensor,
                 robust: Robust | None = None) -> Energy:
    """Points seen in a picture: the sum of ``confidence * r' covariance ** -1 r / 2`` over what is seen.

    Here r is how far the projection of a point is from where it was seen, so that a point of confidence 1 is at its
    word a Gaussian around that. Several views are several of these, added.

    Parameters
    ----------
    project : callable
        Points ``(batch, frames, points, 3)`` to pixels ``(batch, frames, K, 2)``: `cameras.project` with a camera, and,
        where the picture shows other points than the motion has, their combinations.
    pixels : Tensor ``([batch,] frames, K, 2)``
        Where points were seen; anything, NaN too, where the confidence is 0.
    confidence : Tensor ``([batch,] frames, K)``
        From 0, not seen, to 1: as what share of an observation it counts.
    spread : float or Tensor
        How far detections scatter, in pixels: a std, broadcast over ``([batch,] frames, K)``, or covariances
        ``([batch,] frames, K, 2, 2)``.
    robust : callable, optional
        Of the squared error in stds: `student` or `geman_mcclure`. Without it errors are Gaussian.

    Raises
    ------
    ValueError
        If a confidence is below 0, or a std or covariance not positive, where something was seen.
    """
    confidence = torch.nan_to_num(confidence)
    if not bool((confidence >= 0).all()):
        raise ValueError("the confidence of a point must be from 0 up")
    seen = confidence > 0
    target = torch.where(seen[..., None], pixels, 0)
    return Reprojection(project, target, confidence, seen, _whitening(spread, seen, target), robust)


@dataclass(frozen=True)
class Reprojection:
    """The energy of `reprojection`."""

    project: Projection
    target: Tensor
    confidence: Tensor
    seen: Tensor
    whiten: Tensor
    robust: Robust | None

    def __call__(self, points: Tensor) -> Tensor:
        """``(batch,)``."""
        square = self._whitened(self.project(points)).square().sum(-1)
        if self.robust is not None:
            square = self.robust(square)
        return (self.confidence * square).sum(dim=(1, 2)) / 2

    def linearised(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The energy as squares of errors, where every pixel is that of one point.

        Robust errors count as squared ones that have the same slope (iteratively reweighted least squares).

        Returns
        -------
        tuple of Tensor
            The energy ``(batch,)``; weighted errors ``(batch, frames, K, 2)``; and the derivatives ``(batch, frames, K,
            2, 3)`` of these by the points.
        """
        with torch.enable_grad():
            points = points.detach().requires_grad_()
            pixels = self.project(points)
            rows = torch.stack([torch.autograd.grad(pixels[..., i].sum(), points, retain_graph=i == 0)[0]
                                for i in range(2)], dim=-2)
        error = self._whitened(pixels.detach())
        rows = (self.whiten[..., None] * rows[..., None, :, :]).sum(-2)
        square, weight = error.square().sum(-1), self.confidence
        if self.robust is not None:
            with torch.enable_grad():
                plain = square.requires_grad_()
                square = self.robust(plain)
                weight = weight * torch.autograd.grad(square.sum(), plain)[0]
        value = (self.confidence * square.detach()).sum(dim=(1, 2)) / 2
        root = weight.clamp(min=0).sqrt()[..., None]
        return value, root * error, root[..., None] * rows

    def _whitened(self, pixels: Tensor) -> Tensor:
        error = torch.where(self.seen[..., None], pixels - self.target, 0)
        return (self.whiten * error[..., None, :]).sum(-1)


def _whitening(spread: float | Tensor, seen: Tensor, like: Tensor) -> Tensor:
    """Matrices ``(..., 2, 2)`` that bring errors to unit variance; of what is not seen, the identity."""
    given = torch.as_tensor(spread, dtype=like.dtype, device=like.device)
    eye = torch.eye(2, dtype=like.dtype, device=like.device)
    if given.ndim >= 4:
        covariance = torch.where(seen[..., None, None], given, eye)
    else:
        std = torch.where(seen, given, 1)
        if not bool((std > 0).all()):
            raise ValueError("the std of a seen point must be above 0")
        covariance = std.square()[..., None, None] * eye
    root, wrong = torch.linalg.cholesky_ex(covariance)
    if bool(wrong.any()) or not bool(root.isfinite().all()):
        raise ValueError("the covariance of a seen point must be positive definite")
    return torch.linalg.solve_triangular(root, eye.expand_as(root), upper=False)


def heatmaps(project: Projection, likelihood: Tensor, origin: Tensor, cell: float, *, outlier: float = .01,
             falloff: float = 1.) -> Energy:
    """Points seen as heatmaps: minus the logarithm of the heatmaps where the points are projected to.

    Parameters
    ----------
    project : callable
        As of `reprojection`.
    likelihood : Tensor ``([batch,] frames, K, height, width)``
        What the detector gives for each cell, from 0 up; only ratios within a map count. A map without any heat says
        nothing. It is read off in between cells by cubic convolution of the logarithm (Keys 1981), which has a gradient
        everywhere and draws on 4 x 4 cells.
    origin : Tensor ``(2,)``
        The pixel of the middle of the first cell.
    cell : float
        Pixels from cell to cell.
    outlier : float
        Chance, between 0 and 1, that the detector is wrong and the point anywhere: the floor of the maps.
    falloff : float
        Beyond the map's edge the energy grows with the squared distance to it; std in cells, above 0.

    Raises
    ------
    ValueError
        For numbers out of their range, or maps below 0 or smaller than 4 cells.
    """
    _above_zero("cell", cell)
    _above_zero("falloff", falloff)
    if not 0 < outlier < 1:
        raise ValueError(f"the chance of an outlier must be between 0 and 1, not {outlier}")
    if likelihood.ndim not in (4, 5) or min(likelihood.shape[-2:]) < 4 or not bool((likelihood >= 0).all()):
        raise ValueError("heatmaps must have shape ([batch,] frames, points, height, width) of at least 4 x 4 cells, "
                         "without anything below 0")
    if likelihood.ndim == 4:
        likelihood = likelihood[None]
    height, width = likelihood.shape[-2:]
    total = likelihood.sum((-2, -1), keepdim=True)
    share = likelihood / torch.where(total > 0, total, 1)
    logs = ((1 - outlier) * share + outlier / (height * width)).log()
    told = (total > 0)[..., 0, 0]
    last = logs.new_tensor([width - 1, height - 1])

    def energy(points: Tensor) -> Tensor:
        place = (project(points) - origin) / cell
        inside = place.clamp(min=torch.zeros_like(last), max=last)
        away = ((place - inside) / falloff).square().sum(-1) / 2
        return torch.where(told, away - _cubic(logs, inside), 0).sum(dim=(1, 2))

    return energy


def _cubic(maps: Tensor, place: Tensor) -> Tensor:
    """Maps ``(1 or B, T, K, height, width)`` at places ``(B, T, K, 2)`` in cells, x first, by cubic convolution.

    Own code because the second derivative, which `guide` needs, is not there for torch's `grid_sample`.
    """
    height, width = maps.shape[-2:]
    cell = torch.stack([place[..., 0].detach().floor().clamp(0, width - 2),
                        place[..., 1].detach().floor().clamp(0, height - 2)], dim=-1)
    wx, wy = _keys(place - cell).unbind(-2)
    around = torch.arange(-1, 3, device=place.device)
    columns = (cell[..., 0, None].long() + around).clamp(0, width - 1)
    rows = (cell[..., 1, None].long() + around).clamp(0, height - 1)
    index = (rows[..., :, None] * width + columns[..., None, :]).flatten(-2)
    flat = maps.flatten(-2).expand(*place.shape[:-1], -1)
    values = flat.gather(-1, index).unflatten(-1, (4, 4))
    return (wy[..., :, None] * values * wx[..., None, :]).sum((-2, -1))


def _keys(fraction: Tensor) -> Tensor:
    """Weights ``(..., 4)`` of the cells around for fractions ``(...)`` of the way from the second to the third."""
    t = fraction
    return torch.stack([t * (-.5 + t * (1 - .5 * t)), 1 + t * t * (-2.5 + 1.5 * t), t * (.5 + t * (2 - 1.5 * t)),
                        t * t * (-.5 + .5 * t)], dim=-1)


def in_front(depth: Callable[[Tensor], Tensor], nearest: float, std: float) -> Energy:
    """No point nearer to the camera than this: the sum of ``((nearest - depth) / std) ** 2 / 2`` over those that are.

    Parameters
    ----------
    depth : callable
        Points ``(batch, frames, points, 3)`` to metres in front of the camera ``(batch, frames, points)``.
    nearest, std : float
        In metres; std above 0.
    """
    _above_zero("std", std)
    return lambda points: ((nearest - depth(points)) / std).clamp(min=0).square().flatten(1).sum(1) / 2


def ground(feet: list[int], height: Tensor, std: float, *, level: float | Tensor = 0., slip: float = math.inf,
           reach: float = .05, fps: float = 1.) -> Energy:
    """Feet stand on the ground: they do not go below it, and where they touch it they do not slide.

    The sum over feet and frames of ``(depth below / std) ** 2 / 2``, and from frame to frame of ``touch * (speed along
    the ground / slip) ** 2 / 2``. How much a foot touches falls from 1 on the ground (and below) to .5 at `reach` above
    it and on to 0, by its mean height in the two frames: it is smooth, so that there is a way down to the ground.

    Parameters
    ----------
    feet : list of int
        Which points.
    height : Tensor, broadcast over ``(feet,)``
        How high above the ground each is when the foot stands: .08 m for the ankle of an adult.
    std : float
        Metres: how far they may sink in.
    level : float or Tensor ``(batch,)``
        Height of the ground in the world.
    slip : float
        Metres a second a standing foot may slide; without it sliding is free.
    reach : float
        Metres, above 0.
    fps : float
        Frames a second.
    """
    for name, value in (("std", std), ("slip", slip), ("reach", reach), ("fps", fps)):
        _above_zero(name, value)

    def energy(points: Tensor) -> Tensor:
        floor = torch.as_tensor(level, dtype=points.dtype, device=points.device).reshape(-1, 1, 1)
        foot = points[:, :, feet]
        above = foot[..., 1] - floor - height
        value = (above / std).clamp(max=0).square().sum((1, 2)) / 2
        if slip == math.inf or points.shape[1] < 2:
            return value
        touch = 2 * torch.sigmoid(-((above[:, 1:] + above[:, :-1]) / 2).clamp(min=0) * (math.log(3) / reach))
        speed = (foot[:, 1:] - foot[:, :-1])[..., [0, 2]].square().sum(-1) * fps**2
        return value + (touch * speed).sum((1, 2)) / (2 * slip**2)

    return energy


def smooth(std: float | Tensor, fps: float) -> Energy:
    """Bodies are heavy: the sum of ``|acceleration| ** 2 / (2 std ** 2)`` over points and inner frames.

    Parameters
    ----------
    std : float or Tensor, broadcast over ``(points,)``
        Of each coordinate, in metres per second squared, above 0. People who walk have, at 25 fps, 2 at the thorax, 3
        at the wrists and 8 at the ankles; dancing wrists have 14.
    fps : float
        Frames a second, above 0.
    """
    _above_zero("fps", fps)
    if not bool((torch.as_tensor(std) > 0).all()):
        raise ValueError("the std of an acceleration must be above 0")

    def energy(points: Tensor) -> Tensor:
        bend = (points[:, 2:] - 2 * points[:, 1:-1] + points[:, :-2]) * fps**2
        scale = torch.as_tensor(std, dtype=points.dtype, device=points.device)[..., None]
        return (bend / scale).square().sum(dim=(1, 2, 3)) / 2

    return energy


def _above_zero(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"the {name} must be above 0, not {value}")
