"""Energies: steer a sample by a function of the clean points, without training for it.

An energy maps clean points ``(batch, frames, points, 3)`` to one value per sample ``(batch,)``: the negative logarithm
of the likelihood of something known about them (up to a constant), in whatever frame and units its targets are given.
`guide` bends the denoiser's estimate towards low energy and returns a denoiser again.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from pose_diffusion.diffusion.curvature import Energy as Energy
from pose_diffusion.diffusion.curvature import Expandable, Expansion, Linear, differentiated, dot, solve, values
from pose_diffusion.diffusion.sampler import Denoiser

ARRIVED = 2e-5  # largest slope, in standard deviations of the state: no nearer than that is asked for
HALVINGS = 20
ARMIJO = 1e-4  # share of the promised decrease that a step must bring (Nocedal and Wright 2006, section 3.1)
SOLVED, TRIES = .1, 20  # Gauss-Newton: share of the slope that may be left of a linear system, and steps at most


def pin(target: Tensor, mask: Tensor, std: float | Tensor) -> Energy:
    """Points known up to Gaussian noise: the sum over pinned points of ``|point - target| ** 2 / (2 std ** 2)``.

    Parameters
    ----------
    target : Tensor ``([batch,] frames, points, 3)``
        Where the points should be; anything (NaN, too) where the mask is False.
    mask : Tensor ``([batch,] frames, points)``, bool
        Which points are pinned.
    std : float or Tensor, broadcast over ``([batch,] frames, points)``
        How far each coordinate is to be trusted, in the units of the points; above 0.
    """
    spread = _positive("std of a pin", std, target)[..., None]
    target = torch.where(mask[..., None], target, 0)  # NaN times 0 would be NaN

    def energy(points: Tensor) -> Tensor:
        error = torch.where(mask[..., None], (points - target) / spread, 0)
        return error.square().sum(dim=(1, 2, 3)) / 2

    return energy


def bone_length(bones: Tensor, lengths: Tensor, std: float | Tensor) -> Energy:
    """Bones of known length: the sum over frames and bones of ``(length - known) ** 2 / (2 std ** 2)``.

    Parameters
    ----------
    bones : Tensor ``(bones, 2)``, int64
        The two points of each bone.
    lengths : Tensor, broadcast over ``([batch,] frames, bones)``
        In the units of the points.
    std : float or Tensor, broadcast over ``([batch,] frames, bones)``
        Above 0, in the same units.
    """
    spread = _positive("std of a bone length", std, lengths)

    def energy(points: Tensor) -> Tensor:
        bone = points[:, :, bones[:, 0]] - points[:, :, bones[:, 1]]
        # A bone of length 0 points nowhere: the small number makes its gradient 0 instead of NaN.
        length = (bone.square().sum(-1) + 1e-12).sqrt()
        return ((length - lengths) / spread).square().sum(dim=(1, 2)) / 2

    return energy


def steady_bones(bones: Tensor, valid: Tensor, std: float) -> Energy:
    """Bones of unknown length that keep it: the sum over frames and bones of ``(length - mean) ** 2 / (2 std ** 2)``,
    the mean being that bone's over the frames of its sample.

    Parameters
    ----------
    bones : Tensor ``(bones, 2)``, int64
        The two points of each bone.
    valid : Tensor ``(batch, frames)``, bool
        False on padding, which does not count.
    std : float
        Above 0, in the units of the points. At .05 shoulder widths bones of samples vary as those of real captures.
    """
    spread, counted = _positive("std of a bone length", std, valid.float()), valid.unsqueeze(-1).float()
    share = counted / counted.sum(1, keepdim=True).clamp(min=1)

    def ahead(length: Tensor) -> Tensor:
        return (length - (length * share).sum(1, keepdim=True)) / spread * counted

    def back(errors: Tensor) -> Tensor:
        pull = errors / spread * counted
        return pull - share * pull.sum(1, keepdim=True)

    return Lengths(bones, Linear(ahead, back), torch.zeros(1))


def body_size(bones: Tensor, lengths: Tensor, frames: int, own: float, common: float) -> Energy:
    """Bodies about as large as others: of each bone's mean length over the frames, and of all of these together, as
    shares of the usual, the sum of ``(share - 1) ** 2 / (2 std ** 2)``.

    Parameters
    ----------
    bones : Tensor ``(bones, 2)``, int64
        The two points of each bone.
    lengths : Tensor ``(bones,)``
        Usual ones, in the units of the points.
    frames : int
        How many there are.
    own, common : float
        Stds, above 0, of the share of a bone, and of that of all bones together.
    """
    each = 1 / (_positive("std of a bone's share", own, lengths) * lengths * frames)
    every = 1 / (_positive("std of the size", common, lengths) * lengths.sum() * frames)

    def ahead(length: Tensor) -> Tensor:
        total = length.sum(1)
        return torch.cat([total * each, total.sum(1, keepdim=True) * every], dim=1)

    def back(errors: Tensor) -> Tensor:
        return (errors[:, :-1] * each + errors[:, -1:] * every).unsqueeze(1).expand(-1, frames, -1)

    target = torch.cat([torch.full_like(lengths, 1 / own), lengths.new_tensor([1 / common])])
    return Lengths(bones, Linear(ahead, back), target)


@dataclass(frozen=True)
class Lengths:
    """Squared errors, halved, that are linear in the lengths of bones: ``linear(lengths) - target``. Its curvature is
    known.
    """

    bones: Tensor
    linear: Linear
    target: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """``(batch,)``."""
        return self._errors(self._lengths(points)[1]).square().flatten(1).sum(1) / 2

    def expand(self, points: Tensor) -> Expansion:
        """Gauss-Newton's."""
        bone, length = self._lengths(points)
        along = bone / length.unsqueeze(-1)
        errors = self._errors(length)
        ends = torch.zeros(len(self.bones), points.shape[2]).to(points)
        row = torch.arange(len(self.bones), device=points.device)
        ends[row, self.bones[:, 0]], ends[row, self.bones[:, 1]] = 1, -1
        matrix = torch.kron(ends, torch.eye(3).to(points))  # from points to bones

        def back(change: Tensor) -> Tensor:
            pull = self.linear.back(change).unsqueeze(-1) * along
            return (pull.flatten(2) @ matrix).view_as(points)

        def bend(direction: Tensor) -> Tensor:
            turned = (direction.flatten(2) @ matrix.T).view_as(along) * along
            return back(self.linear.ahead(turned[..., 0] + turned[..., 1] + turned[..., 2]))

        return Expansion(errors.square().flatten(1).sum(1) / 2, back(errors), bend)

    def _errors(self, length: Tensor) -> Tensor:
        return self.linear.ahead(length) - self.target.to(length)

    def _lengths(self, points: Tensor) -> tuple[Tensor, Tensor]:
        bone = points[:, :, self.bones[:, 0]] - points[:, :, self.bones[:, 1]]
        return bone, (bone.square().sum(-1) + 1e-12).sqrt()  # as in `bone_length`


def add(*energies: Energy) -> Energy:
    """Several energies at once: independent things known, so that their values add up. At least one."""
    if not energies:
        raise ValueError("there is no energy to add")
    return lambda points: torch.stack([energy(points) for energy in energies]).sum(0)


def guide(denoiser: Denoiser,
          energy: Energy,
          scale: float,
          *,
          to_points: Callable[[Tensor], Tensor],
          steps: int = 5,
          std: float | Tensor = 1.,
          moves: Linear | None = None,
          mix: Linear | None = None,
          margin: int = 0,
          through: bool = False) -> Denoiser:
    """A denoiser whose clean estimate also heeds an energy.

    Given the noisy state, the clean one is taken to be Gaussian around the network's estimate ``c0`` with variance ``v
    = sigma ** 2 / (1 + sigma ** 2)``: what noise of level sigma leaves open of data of unit variance. The guided
    estimate is the most likely clean state under this and the energy, the minimum over ``c`` of ::

        J(c) = |c - c0| ** 2 / (2 v) + scale * energy(to_points(c))

    For pinned coordinates of a state this is exact, ``c0 + v / (v + std ** 2 / scale) * (target - c0)``, for any
    ``std``: it neither overshoots nor needs tuning, and fades out by itself where the network is sure (``v`` tends to 0
    with sigma). The gradient is taken with respect to the estimate only, not through the network unless asked for, and
    each sample is minimised on its own: nothing depends on the batch.

    Parameters
    ----------
    denoiser : callable
        ``D(x, sigma) -> clean``, in state space.
    energy : callable
        Points ``(batch, frames, points, 3)`` to ``(batch,)``; twice differentiable almost everywhere.
    scale : float
        Weight of the energy: 1 takes it at its word, 0 turns it off.
    to_points : callable
        A differentiable map from the clean state to points, one sample's points being made of its own state only.
    steps : int
        Most steps of the inner minimisation, which ends when every sample has arrived. One is enough for pins of one
        std on coordinates of the state itself; for a linear ``to_points``, as many as there are different curvatures;
        others come closer with each.
    std : float or Tensor ``(batch, ...)`` as the state
        How far off the network's own estimate from nothing but noise is expected to be, where that is not 1: ``v =
        (std * sigma) ** 2 / (std ** 2 + sigma ** 2)``, coordinate by coordinate. Above 0.
    moves : Linear, optional
        The derivative of `to_points`, where that is the same everywhere; without it, it is found by differentiation.
    mix : Linear, optional
        How the noise of the sampler was mixed, where it is not white: the map that made it from white noise ``(batch,
        frames + 2 * margin, ...)``. Errors of the estimate are then taken to be mixed like it: what pulls at a joint in
        a frame takes along what usually moves with it, and the frames around.
    margin : int
        Frames on either side that mixing uses up.
    through : bool
        Move the noisy state instead, as far as makes the network's estimate of it as likely: the gradient goes through
        the network, so that all of a body goes along with what is pulled. Twenty times as slow, at least. The same for
        a Gaussian. (Diffusion posterior sampling, Chung et al. 2023, with steps that are minimised along.)

    Returns
    -------
    Denoiser

    Raises
    ------
    ValueError
        For a negative scale or no steps; on a call, where the energy is not one finite value per sample.
    """
    if not 0 <= scale < math.inf:
        raise ValueError(f"the scale of an energy must be a number from 0 up, not {scale}")
    if steps < 1:
        raise ValueError(f"energy guidance needs at least 1 inner step, not {steps}")
    if scale == 0:
        return denoiser
    mixed = mix.ahead if mix is not None else (lambda w: w)

    def guided(x: Tensor, sigma: Tensor) -> Tensor:
        variance = sigma**2 / (1 + sigma**2)
        share = std * ((1 + sigma**2) / (std**2 + sigma**2))**.5  # the root of v over that of a std of 1
        with torch.no_grad():
            clean = denoiser(x, sigma).float()

        def moved(w: Tensor) -> Tensor:
            if not through:
                return clean + share * mixed(w)
            # To a Gaussian of that std the network is a factor of v / sigma ** 2.
            return denoiser(x + sigma**2 / (variance * share) * mixed(w), sigma).float()

        def objective(w: Tensor) -> Tensor:
            # In units of 1 / v, which keeps the numbers of the same size at every noise level.
            return w.square().flatten(1).sum(1) / 2 + variance * scale * values(energy, to_points(moved(w)))

        with torch.no_grad():
            if not bool(values(energy, to_points(clean)).isfinite().all()):
                raise ValueError("the energy of the estimate is not finite: check its targets and its std")
        batch, frames, *rest = clean.shape
        start = clean.new_zeros(batch, frames + 2 * margin, *rest)
        if isinstance(energy, Expandable) and not through:
            def linear(w: Tensor) -> tuple[Tensor, Linear]:
                if moves is None or mix is None:
                    return differentiated(lambda w: to_points(moved(w)), w)
                return to_points(moved(w)), mix.then(Linear(lambda d: share * d, lambda d: share * d)).then(moves)

            found = _gauss_newton(objective, linear, energy, variance * scale, start, steps)
            with torch.no_grad():
                return moved(found)
        # The fused kernels of attention have no second derivative.
        with sdpa_kernel(SDPBackend.MATH) if through else nullcontext():
            found = _minimise(objective, start, steps)
            with torch.no_grad():
                return moved(found)

    return guided


def _gauss_newton(objective: Energy, linear: Callable[[Tensor], tuple[Tensor, Linear]], energy: Expandable,
                  weight: Tensor, start: Tensor, steps: int) -> Tensor:
    """The minimum of ``|w| ** 2 / 2 + weight * energy(points)``: linearised, solved, linearised again, every sample on
    its own; a step is halved until the objective falls.
    """
    point = start
    for _ in range(steps):
        points, moves = linear(point)
        around = energy.expand(points)
        slope = point + weight * moves.back(around.slope)
        arrived = _like(slope.abs().flatten(1).amax(1) <= ARRIVED, point)
        if bool(arrived.all()):
            break
        bend = Linear(around.bend, around.bend)
        product = moves.then(bend).then(Linear(moves.back, moves.ahead)).ahead
        direction = solve(partial(_damped, product, weight), -slope, TRIES, SOLVED)
        value = point.square().flatten(1).sum(1) / 2 + weight * around.value
        descent = dot(slope, direction)
        point = _backtrack(objective, point, value, direction, descent, (~arrived).to(descent))
    return point


def _damped(curvature: Callable[[Tensor], Tensor], weight: Tensor, direction: Tensor) -> Tensor:
    return direction + weight * curvature(direction)


def _minimise(objective: Energy, start: Tensor, steps: int) -> Tensor:
    """Non-linear conjugate gradients (Polak-Ribière, restarted), every sample of the batch on its own.

    The length of a step is exact for a quadratic objective (from its curvature along the direction, Nocedal and Wright
    2006, eq. 5.7 and section 5.2); for others it is halved until the objective falls, so that no step makes a sample
    worse.
    """
    point, direction, gradient = start, torch.zeros_like(start), torch.zeros_like(start)
    for _ in range(steps):
        value, slope, bend = _expand(objective, point)
        # The prior alone curves by 1: a convex objective has its minimum no farther away than its slope is long.
        arrived = _like(slope.abs().flatten(1).amax(1) <= ARRIVED, point)
        if bool(arrived.all()):
            break
        turn = _divide(dot(slope, slope - gradient), dot(gradient, gradient)).clamp(min=0)
        direction = turn * direction - slope
        gradient = slope
        descent = dot(slope, direction)
        curvature = dot(direction, bend(direction))
        # Where the objective curves downwards the same length is a fair first trial. (Should the direction point
        # upwards, the length is negative.)
        length = torch.where(curvature.abs() > 0, -descent / curvature.abs(), 1).masked_fill(arrived, 0)
        point = _backtrack(objective, point, value, direction, descent, length)
    return point


def _expand(objective: Energy, point: Tensor) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """Value ``(batch,)``, gradient, and the function that multiplies a direction by the Hessian."""
    with torch.enable_grad():
        point = point.detach().requires_grad_()
        value = objective(point)
        (slope,) = torch.autograd.grad(value.sum(), point, create_graph=True)

    def bend(direction: Tensor) -> Tensor:
        with torch.enable_grad():
            along = (slope * direction).sum()
        return torch.autograd.grad(along, point)[0]

    return value.detach(), slope.detach(), bend


def _backtrack(objective: Energy, point: Tensor, value: Tensor, direction: Tensor, descent: Tensor,
               length: Tensor) -> Tensor:
    """Halve each sample's step until its objective falls; a sample for which it never does stays where it is."""
    best, moved = point, torch.zeros_like(value, dtype=torch.bool)
    rounding = 8 * torch.finfo(value.dtype).eps * value.abs()
    for _ in range(HALVINGS):
        trial = point + length * direction
        with torch.no_grad():
            promised = ARMIJO * (length * descent).flatten()
            better = (objective(trial) <= value + promised + rounding) & ~moved
        best = torch.where(_like(better, point), trial, best)
        moved = moved | better
        if bool(moved.all()):
            break
        length = length / 2
    return best


def _like(per_sample: Tensor, state: Tensor) -> Tensor:
    return per_sample.reshape(-1, *[1] * (state.ndim - 1))


def _divide(a: Tensor, b: Tensor) -> Tensor:
    """``a / b``, and 0 where ``b`` is 0."""
    return torch.where(b == 0, 0, a / torch.where(b == 0, 1, b))


def _positive(name: str, value: float | Tensor, like: Tensor) -> Tensor:
    tensor = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if not bool((tensor > 0).all()):
        raise ValueError(f"the {name} must be above 0")
    return tensor
