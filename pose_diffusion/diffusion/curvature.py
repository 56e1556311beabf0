"""Energies that are sums of squares: their slope and how they curve, without second derivatives.

Gauss-Newton's curvature is that of the squares of errors that were linear (Nocedal and Wright 2006, section 10.3). It
is never negative, and a product with it costs a small part of what one with the Hessian does.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

Energy = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Expansion:
    """An energy around some points.

    Attributes
    ----------
    value : Tensor ``(batch,)``
        What it is there.
    slope : Tensor
        Its gradient, as the points.
    bend : callable
        Multiplies a direction, as the points, by the curvature, which must be symmetric.
    """

    value: Tensor
    slope: Tensor
    bend: Callable[[Tensor], Tensor]

    def __add__(self, other: Expansion) -> Expansion:
        """That of the sum of two energies."""
        return Expansion(self.value + other.value, self.slope + other.slope, lambda d: self.bend(d) + other.bend(d))


@runtime_checkable
class Expandable(Protocol):
    """An energy that knows its curvature."""

    def __call__(self, points: Tensor) -> Tensor:
        """``(batch,)``, differentiable."""

    def expand(self, points: Tensor) -> Expansion:
        """Around points ``(batch, frames, points, 3)``, without gradients."""


def expand(energy: Energy, points: Tensor) -> Expansion:
    """The energy's own expansion; of one without, value, gradient and Hessian by automatic differentiation."""
    if isinstance(energy, Expandable):
        return energy.expand(points)
    with torch.enable_grad():
        points = points.detach().requires_grad_()
        value = energy(points)
        if not value.requires_grad:  # it is the same for all points, or comes from where torch cannot look
            return Expansion(value, torch.zeros_like(points), torch.zeros_like)
        (slope,) = torch.autograd.grad(value.sum(), points, create_graph=True)

    def bend(direction: Tensor) -> Tensor:
        if not slope.requires_grad:  # it is the same everywhere
            return torch.zeros_like(direction)
        with torch.enable_grad():
            along = (slope * direction).sum()
        return torch.autograd.grad(along, points, retain_graph=True)[0]

    return Expansion(value.detach(), slope.detach(), bend)


def values(energy: Energy, points: Tensor) -> Tensor:
    """What an energy gives, ``(batch,)``; a ValueError says if it gives something else."""
    value = energy(points)
    if not isinstance(value, Tensor) or value.shape != points.shape[:1]:
        given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"an energy must give {len(points)} values, one a sample, not {given}")
    return value


@dataclass(frozen=True)
class Linear:
    """A linear map of tensors, sample by sample.

    Attributes
    ----------
    ahead, back : callable
        The map, and its transpose.
    """

    ahead: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]

    def then(self, other: Linear) -> Linear:
        """The map that is first the one, then the other."""
        return Linear(lambda x: other.ahead(self.ahead(x)), lambda x: self.back(other.back(x)))


def differentiated(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Linear]:
    """A function's value and derivative. (What pulls back is linear in what it pulls: its derivative leads ahead.)"""
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        value = function(at)
        nothing = torch.zeros_like(value, requires_grad=True)
        (pulled,) = torch.autograd.grad(value, at, nothing, create_graph=True)
    return value.detach(), Linear(lambda x: torch.autograd.grad(pulled, nothing, x, retain_graph=True)[0],
                                  lambda x: torch.autograd.grad(value, at, x, retain_graph=True)[0])


def solve(product: Callable[[Tensor], Tensor], right: Tensor, steps: int, near: float) -> Tensor:
    """Conjugate gradients for ``product(x) = right``, every sample of the batch on its own.

    A sample ends when what is left of its right side is `near` times as long as that, or where the curvature is not
    positive (Steihaug 1983): what it has by then lowers the quadratic function all the same.

    Parameters
    ----------
    product : callable
        A symmetric linear map of tensors ``(batch, ...)``, sample by sample.
    right : Tensor ``(batch, ...)``
    steps : int
        Most steps.
    near : float
        From 0 to 1.
    """
    left = right
    x, direction = torch.zeros_like(right), right
    square = dot(left, left)
    enough = near**2 * square
    for _ in range(steps):
        going = square > enough
        if not bool(going.any()):
            break
        bent = product(direction)
        curve = dot(direction, bent)
        going = going & (curve > 0)
        length = torch.where(going, square / torch.where(going, curve, 1), 0)
        x = x + length * direction
        left = left - length * bent
        new = torch.where(going, dot(left, left), 0)  # one whose curvature is not positive ends here
        direction = left + torch.where(going, new / torch.where(going, square, 1), 0) * direction
        square = new
    return x


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product per sample, shaped ``(batch, 1, ...)`` to multiply either."""
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.ndim - 1))


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Matrices ``(..., 3, 3)`` by vectors ``(..., 3)``: of very many, quicker than one product each."""
    x, y, z = vector.split(1, dim=-1)
    first, second, third = matrix.unbind(-1)
    return first * x + second * y + third * z
