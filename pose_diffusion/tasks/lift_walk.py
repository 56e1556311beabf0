"""The walk from noise to bodies that agree with views: parts of long clips, frame rates, frames of reference."""
from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.signal import savgol_filter
from torch import Tensor
from torch.nn.functional import pad

from pose_diffusion.diffusion.curvature import Expansion, expand, values
from pose_diffusion.diffusion.energy import Energy, pin
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.diffusion.reprojection import Robust
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.tasks.lifted import Lifted
from pose_diffusion.tasks.lifting import Flat, LiftEnergy, flat_observation, lift_energy, turned, turned_back
from pose_diffusion.tasks.views import View, camera_of

Mode = Literal["both", "energy", "conditioned"]

FPS = 25.  # frames a second that the network knows best
SLOWEST, FASTEST = 12., 30.  # others that it knows: slower clips get frames in between, faster ones are thinned out
OVERLAP = 16  # frames of what was sampled before that the next part of a long clip goes on from
GOES_ON = .01  # metres: how closely
STEADY, LOOSELY = .01, .1  # metres: std of a bone's length over time, for the prior alone, and beside what it was told
HALF_STROKE = .12  # seconds to either side in which a joint moves along a parabola
NEXT_SEED = 1_000_003  # from a part to the next


@dataclass(frozen=True)
class Settings:
    """How to lift; the arguments of `lift_points`, checked."""

    hypotheses: int
    mode: Mode
    steps: int
    energy_scale: float
    energy_steps: int
    temperature: float
    seed: int
    energy_through: bool = False
    robust: Robust | None = None
    up: Tensor | None = None
    energy_fn: Energy | None = None


def nothing_known(batch: int, frames: int, fps: float) -> Observation:
    """An observation of bodies of whom nothing is seen."""
    mask = torch.zeros(batch, frames, len(BODY), dtype=torch.bool)
    seconds = (torch.arange(frames) / fps).expand(batch, -1)
    return Observation(torch.zeros(batch, frames, len(BODY), 3), mask, mask, seconds,
                       torch.ones(batch, frames, dtype=torch.bool))


@dataclass(frozen=True)
class Rate:
    """Every `every`-th frame is worked on, or, for slow clips, `between` frames for each."""

    every: int = 1
    between: int = 1


def worked_at(fps: float) -> Rate:
    """How a clip of a frame rate is brought to one that the network knows."""
    if fps < SLOWEST:
        return Rate(between=round(FPS / fps))
    return Rate(every=max(1, math.ceil(fps / FASTEST - .01)))


def _at_rate(view: View, rate: Rate) -> View:
    if rate.every > 1:
        return view.of(slice(None, None, rate.every))
    if rate.between == 1:
        return view
    frames = torch.arange((view.points.shape[1] - 1) * rate.between + 1) // rate.between
    seen = torch.arange(len(frames)) % rate.between == 0
    confidence = view.confidence[:, frames] * seen[:, None]
    return replace(view.at(frames), confidence=confidence)


def walk(views: list[View], fps: float, settings: Settings, model: PoseDiffusion, part: int | None
          ) -> Iterator[Lifted]:
    """Yields after every step, or, in parts of so many frames, once at the end."""
    views = [view.to(model.device) for view in views]
    rate = worked_at(fps)
    slower = [_at_rate(view, rate) for view in views]
    speed = fps * rate.between / rate.every
    frames = slower[0].points.shape[1]
    whole = _flat(slower[0], speed)
    if part is None or frames <= part:
        for points, error in _steps(slower, whole, speed, settings, model, None, settings.seed):
            yield _placed(views, points, error, fps, settings, rate)
        return
    done = torch.zeros(settings.hypotheses, 0, len(BODY), 3, device=model.device)
    errors = torch.zeros(0, len(BODY), device=model.device)
    for i, first in enumerate(range(0, frames - OVERLAP, part - OVERLAP)):
        where = slice(first, min(first + part, frames))
        before = done[:, first:] if first else None
        steps = _steps([view.of(where) for view in slower], whole.of(where), speed, settings, model, before,
                     settings.seed + i * NEXT_SEED)
        points, error = deque(steps, maxlen=1).pop()
        done, errors = _joined(done, points, first), _joined(errors[None, ..., None], error[None, ..., None],
                                                             first)[0, ..., 0]
    yield _placed(views, done, errors, fps, settings, rate)


def _joined(before: Tensor, after: Tensor, first: int) -> Tensor:
    """``(H, T, ...)`` with frames from `first` on added; where both have some, the second fades in."""
    both = before.shape[1] - first
    if before.shape[1] == 0:
        return after
    fade = (torch.arange(1, both + 1, device=after.device) / (both + 1))[:, None, None]
    middle = before[:, first:] + fade * (after[:, :both] - before[:, first:])
    return torch.cat([before[:, :first], middle, after[:, both:]], dim=1)


def _flat(view: View, fps: float) -> Flat:
    spread = view.spread
    if isinstance(spread, Tensor) and spread.ndim >= 4:  # of a covariance, the size
        spread = (spread.diagonal(dim1=-2, dim2=-1).mean(-1)).sqrt()
    return flat_observation(view.points, view.confidence, spread, camera_of(view), fps)


def _steps(views: list[View], flat: Flat, fps: float, settings: Settings, model: PoseDiffusion, before: Tensor | None,
          seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """After every step: bodies ``(H, T, 17, 3)`` in the camera's frame relative to the pelvis, and the expected error
    ``(T, 17)``.
    """
    energy: LiftEnergy | None = None
    if settings.mode != "conditioned":
        # A network that was told x and y knows from them how large the body is, and its bones vary little already.
        alone = settings.mode == "energy"
        energy = lift_energy(views, fps, robust=settings.robust, up=settings.up, picture=settings.energy_scale,
                             sized=alone, bones=STEADY if alone else LOOSELY)
    observation = _observation(flat, fps, settings, before)
    told: list[Energy] = [one for one in (energy, settings.energy_fn) if one is not None]
    if before is not None and energy is not None:
        told.append(_going_on(before, flat.depth.shape[1]))
    total = _InCamera(tuple(told), flat.turn) if told else None
    for estimate in model.sample(observation, steps=settings.steps, energy=total,
                                 seeds=[seed + h for h in range(settings.hypotheses)],
                                 energy_steps=settings.energy_steps,
                                 energy_through=settings.energy_through, temperature=settings.temperature):
        points = turned_back(flat.turn, estimate.xyz)
        if energy is not None:
            energy.refocus(points)
        yield points, estimate.error.mean(0)


def _going_on(before: Tensor, frames: int) -> Energy:
    """Frames that were sampled before stay as they were."""
    known = before.shape[1]
    target = pad(before, (0, 0, 0, 0, 0, frames - known))
    mask = (torch.arange(frames, device=before.device) < known)[None, :, None].expand(target.shape[:3])
    return pin(target, mask, GOES_ON)


@dataclass(frozen=True)
class _InCamera:
    """The sum of energies of bodies in the camera's frame, as one of bodies along their ray."""

    energies: tuple[Energy, ...]
    turn: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        body = turned_back(self.turn, points)
        return torch.stack([values(energy, body) for energy in self.energies]).sum(0)

    def expand(self, points: Tensor) -> Expansion:
        """See `curvature`."""
        body = turned_back(self.turn, points)
        first, *others = (expand(energy, body) for energy in self.energies)
        for other in others:
            first = first + other
        return Expansion(first.value, turned(self.turn, first.slope),
                         lambda direction: turned(self.turn, first.bend(turned_back(self.turn, direction))))


def _observation(flat: Flat, fps: float, settings: Settings, before: Tensor | None) -> Observation:
    """What the network is told: nothing, or x and y; and, of frames that were sampled before, all."""
    repeated = Flat(*(value.expand(settings.hypotheses, *value.shape[1:]) for value in vars(flat).values()))
    seen = repeated.observation(fps)
    if settings.mode == "energy":
        seen = replace(seen, mask=torch.zeros_like(seen.mask))
    if before is None:
        return seen
    known = before.shape[1]
    xyz, mask, axes, noise = (value.clone() for value in (seen.xyz, seen.mask, seen.axes, seen.noise)
                              if value is not None)
    xyz[:, :known], mask[:, :known], axes[:, :known] = turned(flat.turn[:, :known], before), True, True
    noise[:, :known] = GOES_ON
    return replace(seen, xyz=xyz, mask=mask, axes=axes, noise=noise)


def _placed(views: list[View], points: Tensor, error: Tensor, fps: float, settings: Settings, rate: Rate) -> Lifted:
    """Bodies at the frame rate of the views, where they are."""
    frames = views[0].points.shape[1]
    points, error = _at_all(points, rate, frames), _at_all(error[None, ..., None], rate, frames)[0, ..., 0]
    points = with_one_length(steadied(points, fps))
    energy = lift_energy(views, fps, robust=settings.robust)
    energy.refocus(points)
    root = energy.steady_root(points)
    camera = energy.cameras[0]
    return Lifted((points + root[:, :, None]).cpu().numpy(), root.cpu().numpy(), error.clamp(min=0).cpu().numpy(),
                  camera, fps)


def steadied(points: Tensor, fps: float) -> Tensor:
    """Motions ``(H, T, 17, 3)`` without the shake that is left of noise: each joint goes along the parabola that fits
    it best a moment before and after (Savitzky and Golay 1964).

    Noise of a detector comes through the network frame by frame, and bodies do not shake like that.
    """
    half = min(round(HALF_STROKE * fps), (points.shape[1] - 1) // 2)
    if half < 2:  # a parabola goes through three points anyway
        return points
    smooth = savgol_filter(points.double().cpu().numpy(), 2 * half + 1, 2, axis=1)
    return torch.from_numpy(smooth).to(points)


def with_one_length(points: Tensor) -> Tensor:
    """Motions ``(H, T, 17, 3)`` relative to the pelvis whose bones have, in every frame, their mean length over the
    clip; each points where it did.
    """
    if points.shape[1] == 1:
        return points
    parents, children = torch.tensor(BODY.bones, device=points.device).T
    bones = points[:, :, children] - points[:, :, parents]
    length = bones.norm(dim=-1, keepdim=True)
    bones = bones * (length.mean(1, keepdim=True) / length.clamp(min=1e-6))
    joints = [points[:, :, 0]]
    for bone, (parent, _) in enumerate(BODY.bones):
        joints.append(joints[parent] + bones[:, :, bone])
    return torch.stack(joints, dim=2)


def _at_all(values: Tensor, rate: Rate, frames: int) -> Tensor:
    """Values ``(H, T, ...)`` of the frames that were worked on, at all frames: between them on cubic splines."""
    if rate.between > 1:
        return values[:, ::rate.between]
    if rate.every == 1:
        return values
    at = np.arange(values.shape[1]) * rate.every
    wanted = np.minimum(np.arange(frames), at[-1])
    if len(at) == 1:
        return values.expand(-1, frames, *values.shape[2:])
    spline = CubicSpline(at, values.cpu().double().numpy(), axis=1)
    return torch.from_numpy(spline(wanted)).to(values)
