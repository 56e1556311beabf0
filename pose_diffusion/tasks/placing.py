"""Where a body is whose shape is known: its root, from one or several pictures, in closed form.

On the ray of its pixel a point at ``(x, y, z)`` has ``x - u z = 0`` and ``y - v z = 0``, two equations linear in the
translation (as in ZeDO, Jiang et al. 2024). Divided by the depth of the last solution they are errors in the picture;
each counts by how far its detection scatters.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import solveh_banded
from torch import Tensor

from pose_diffusion.cameras import NEAR, Camera, to_plane

NEAREST = .5  # metres before the first camera: nobody is nearer
DEPTH, LOOSE = 4., 10.  # metres: mean and std of where a body is of which nothing is known
REWEIGHTED = 3
HEAVY = 3.  # metres per second squared: std of the acceleration of the pelvis of people who walk
HURRY = 1.5  # metres per second: std of its velocity, drawn anew every second: who is no longer seen stays near
FIRM = 1e3  # of what all rays say together, for a depth that is kept
STIFFEST = 1e-6  # of what is needed to see a frame without observations at all, against rounding


@dataclass(frozen=True)
class Sight:
    """What one camera says about the place of a body, in the common frame; b is 1 or the batch.

    Attributes
    ----------
    centre, axis : Tensor ``(b, 3)``
        Where the camera is and in which direction it looks, a unit vector.
    squares : Tensor ``(b, T, K, 3, 3)``
        How far a point is from the ray on which it was seen, squared: ``x @ square @ x`` of x from the camera to the
        point, in stds of the detection at depth 1; 0 for what is not seen.
    """

    centre: Tensor
    axis: Tensor
    squares: Tensor


def sight(camera: Camera, pixels: Tensor, confidence: Tensor, spread: float | Tensor) -> Sight:
    """What a camera says.

    Parameters
    ----------
    camera : Camera
        Batch b.
    pixels, confidence : Tensor ``(b, T, K, 2)``, ``(b, T, K)``
        Anything where the confidence is 0.
    spread : float or Tensor
        Std in pixels, broadcast over ``(b, T, K)``, or covariances ``(b, T, K, 2, 2)``.
    """
    seen = confidence > 0
    middle = camera.centre[:, None, None].to(pixels)
    plane = to_plane(camera, torch.where(seen[..., None], pixels, middle)).double()
    eye = torch.eye(2).to(plane)
    ray = torch.cat([eye.expand(*plane.shape, 2), -plane[..., None]], dim=-1)
    given = torch.as_tensor(spread).to(plane)
    if given.ndim >= 4:
        root = torch.linalg.cholesky(torch.where(seen[..., None, None], given, eye))
        sharp = torch.linalg.solve_triangular(root, eye.expand_as(root), upper=False)
    else:
        sharp = eye / torch.where(seen, given, 1)[..., None, None]
    sharp = sharp * camera.focal[:, None, None, None].double() * confidence.double().sqrt()[..., None, None]
    rotation = camera.rotation.double()
    rows = (sharp @ ray) @ rotation[:, None, None]
    centre = -(rotation.transpose(-1, -2) @ camera.translation.double()[..., None])[..., 0]
    return Sight(centre, rotation[:, 2], rows.transpose(-1, -2) @ rows)


def place(sights: list[Sight], points: Tensor) -> Tensor:
    """The roots ``(batch, T, 3)`` of bodies ``(batch, T, K, 3)`` relative to them, frame by frame; differentiable.

    Everything in the common frame. Where nothing is seen the root is 4 m in front of the first camera.
    """
    body = points.double()
    usual = (sights[0].centre + DEPTH * sights[0].axis)[:, None]  # (b, 1, 3)
    with torch.no_grad():
        root = usual.expand(len(body), body.shape[1], 3)
        for _ in range(REWEIGHTED - 1):
            root = _solve(sights, body, root, usual)
    return _solve(sights, body, root, usual).to(points.dtype)


def _solve(sights: list[Sight], body: Tensor, last: Tensor, usual: Tensor) -> Tensor:
    matrix, vector = _normal(sights, body, last)
    loose = LOOSE**-2
    matrix, vector = matrix + loose * torch.eye(3).to(body), vector + loose * usual
    root = torch.linalg.solve(matrix, vector)
    # A body that faces the other way than its picture fits it best behind the camera: there the last depth is kept.
    axis, centre = sights[0].axis[:, None], sights[0].centre[:, None]
    behind = ((root.detach() - centre) * axis).sum(-1, keepdim=True) < NEAREST
    if not bool(behind.any()):
        return root
    kept = ((last - centre) * axis).sum(-1, keepdim=True).clamp(min=NEAREST) + (centre * axis).sum(-1, keepdim=True)
    firm = FIRM * matrix.detach().diagonal(dim1=-2, dim2=-1).sum(-1)[..., None]
    held = torch.linalg.solve(matrix + (firm * axis)[..., :, None] * axis[..., None, :], vector + firm * kept * axis)
    return torch.where(behind, held, root)


def _normal(sights: list[Sight], body: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The normal equations ``(batch, T, 3, 3)`` and ``(batch, T, 3)``; the depths are those of the last solution."""
    batch, frames, points = body.shape[:3]
    matrix = body.new_zeros(batch, frames, 9)
    vector = body.new_zeros(batch, frames, 3)
    for view in sights:
        axis, centre = view.axis[:, None], view.centre[:, None]
        ahead = ((last - centre) * axis).sum(-1, keepdim=True)  # (batch, T, 1)
        depth = (body.detach() @ view.axis[:, None, :, None])[..., 0] + ahead
        weight = depth.clamp(min=10 * NEAR)**-2
        square = _mixed(weight, view.squares.flatten(-2))
        weighted = (body * weight[..., None]).flatten(-2)
        vector = vector - _mixed(weighted, view.squares.flatten(2, 3))
        vector = vector + (square.view(batch, frames, 3, 3) @ centre[..., None])[..., 0]
        matrix = matrix + square
    return matrix.view(batch, frames, 3, 3), vector


def _mixed(values: Tensor, rows: Tensor) -> Tensor:
    """``(batch, T, n)`` times ``(b, T, n, m)``: ``(batch, T, m)``."""
    if len(rows) == 1:  # all samples at once
        return (values.transpose(0, 1) @ rows[0]).transpose(0, 1)
    return (values[..., None, :] @ rows)[..., 0, :]


def steady_place(sights: list[Sight], points: Tensor, fps: float) -> Tensor:
    """`place` for bodies that do not jump: with the acceleration of the root as a Gaussian of 3 m/s² along each axis,
    and its velocity as one of 1.5 m/s, so that nobody walks on for ever where nothing is seen.

    So where nothing is seen for a while the root goes on as it came, and depth, which one picture hardly tells, does
    not shake. Solved exactly, all frames of a sample at once. Not differentiable.
    """
    body, last = points.detach().double(), place(sights, points.detach()).double()
    frames = body.shape[1]
    if frames < 3:
        return last.to(points.dtype)
    matrix, vector = _normal(sights, body, last)
    seen = matrix.diagonal(dim1=-2, dim2=-1).sum(-1) > 0
    bend = torch.zeros(5, frames, dtype=torch.float64)  # diagonals of D'D, D the second difference
    for i, a in enumerate((1., -2., 1.)):
        for j, b in enumerate((1., -2., 1.)):
            if j <= i:
                bend[i - j, j:frames - 2 + j] += a * b
    bend *= fps**4 / HEAVY**2
    bend[0] += fps / HURRY**2 * torch.tensor([1., *[2.] * (frames - 2), 1.], dtype=bend.dtype)
    bend[1, :frames - 1] -= fps / HURRY**2
    out = last.clone()
    for sample in range(len(body)):
        if not bool(seen[sample].any()):
            continue
        # Solved for the way from the middle, which differences do not see: what keeps rounding at bay pulls there.
        middle = last[sample, seen[sample]].mean(0)
        away = vector[sample] - matrix[sample] @ middle
        bands = _bands(matrix[sample].cpu().numpy(), bend.numpy())
        way = torch.from_numpy(solveh_banded(bands, away.cpu().numpy().ravel(), lower=True))
        out[sample] = middle + way.view(frames, 3).to(out)
    return out.to(points.dtype)


def _bands(blocks: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Lower bands ``(7, 3 T)`` of a matrix with blocks ``(T, 3, 3)`` on its diagonal and diagonals ``(5, T)`` of a
    matrix over time, the same for each axis.
    """
    frames = len(blocks)
    bands = np.zeros((7, frames, 3))
    for down in range(3):
        for column in range(3 - down):
            bands[down, :, column] += blocks[:, column + down, column]
    for later in range(3):
        bands[3 * later] += bend[later][:, None]
    weak = STIFFEST * max(float(np.abs(bands[0]).max()), 1e-12)
    bands[0] += weak * 1e-3
    return bands.reshape(7, 3 * frames)
