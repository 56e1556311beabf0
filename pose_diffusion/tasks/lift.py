"""Lift points of pictures to bodies in 3D: samples of a motion prior that agree with what was seen."""
from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from pose_diffusion.cameras import Camera
from pose_diffusion.diffusion.energy import Energy
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.diffusion.reprojection import Robust
from pose_diffusion.diffusion.schedule import MAX_STEPS
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.tasks.lifting import Flat, LiftEnergy, flat_observation, lift_energy, turned, turned_back
from pose_diffusion.tasks.views import View, batched, camera_of

Mode = Literal["both", "energy", "conditioned"]
Model = PoseDiffusion | str | os.PathLike[str] | None

SHIPPED = Path(__file__).parent.parent / "weights_body"
VARIABLE = "POSE_DIFFUSION_BODY_MODEL"
MODES = ("both", "energy", "conditioned")
FPS = 25.  # frames a second that the network knows; views of other rates are thinned out, or get frames in between
SLOWEST = 17.  # frames a second: below it frames are put in between
ENERGY_STEPS = 12  # inner steps towards low energy, at every step
BUDGET = 1 << 15  # frames, of all hypotheses together, that are worked on at a time ...
SHORTEST = 128  # ... but at least so many of each
OVERLAP = 16  # frames of what was sampled before that the next part goes on from
GOES_ON = .01  # metres: how closely
NEXT_SEED = 1_000_003  # from a part to the next


@dataclass(frozen=True)
class Lifted:
    """Bodies that agree with what was seen; H hypotheses of T frames.

    Attributes
    ----------
    xyz : np.ndarray
        ``(H, T, 17, 3)`` float32: the joints of `BODY` in the camera's frame (x to the right, y down, z away from it),
        metres.
    root : np.ndarray
        ``(H, T, 3)``: the pelvis.
    error : np.ndarray
        ``(T, 17)``: how far from the truth, relative to the pelvis, the network expects its mean to be; metres.
    camera : Camera
        Of the first view, in its own frame; batch 1 if it was given, else H.
    fps : float
        Frames a second.
    """

    xyz: np.ndarray
    root: np.ndarray
    error: np.ndarray
    camera: Camera
    fps: float

    @property
    def seconds(self) -> np.ndarray:
        """``(T,)``: the time of each frame from the first."""
        return np.arange(self.xyz.shape[1]) / self.fps


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
    robust: Robust | None = None
    up: Tensor | None = None
    energy_fn: Energy | None = None


def load_body_model(model: Model = None, device: str = "cpu") -> PoseDiffusion:
    """The model itself, or that of a folder; by default that of `POSE_DIFFUSION_BODY_MODEL`, else the shipped one.

    Raises
    ------
    ModelError
        If the folder cannot be used.
    ValueError
        If the model is not one of bodies.
    """
    if not isinstance(model, PoseDiffusion):
        model = PoseDiffusion.from_pretrained(model or os.environ.get(VARIABLE) or SHIPPED, device)
    if model.layout.name != "body":
        raise ValueError(f"this model knows the keypoints {model.layout.name!r}, not bodies in 3D: choose another, or "
                         "leave it out for the shipped one")
    return model


def lift_points(views: Sequence[View], *, fps: float, hypotheses: int = 1, mode: Mode = "both", steps: int = 8,
                energy_scale: float = 1., energy_steps: int = ENERGY_STEPS, temperature: float = 1., seed: int = 0,
                robust: Robust | None = None, up: Tensor | None = None, energy_fn: Energy | None = None,
                device: str = "cpu", model: Model = None) -> Lifted:
    """Lift what one or more cameras saw.

    Parameters
    ----------
    views : sequence of View
        Of the same frames at the same time. The network reads the first one; the energy heeds all.
    fps : float
        Frames a second.
    hypotheses : int
        How many samples.
    mode : {"both", "energy", "conditioned"}
        A prior guided by an energy, a network that was told x and y, or both.
    steps : int
        1 to 1000; 1 is the mean, the same for every seed.
    energy_scale : float
        Weight of the energy: 1 takes it at its word.
    energy_steps : int
        Inner steps towards low energy at every step.
    temperature : float
        From 0 to 1: of the noise that sampling starts from.
    seed : int
        Another seed gives other samples; hypothesis h is the same whatever their number.
    robust : callable, optional
        For detections with outliers: `reprojection.student`.
    up : Tensor ``(3,)``, optional
        The vertical in the first camera's frame: feet on the ground then do not slide.
    energy_fn : callable, optional
        Anything else that is known: from points ``(H, T, 17, 3)`` in the first camera's frame, relative to the pelvis,
        to ``(H,)``. T and the frame rate are those that the network works at, see `worked_at`.
    device : str
        As torch names it.
    model : PoseDiffusion or path, optional
        By default that of `POSE_DIFFUSION_BODY_MODEL`, else the shipped one.

    Returns
    -------
    Lifted

    Raises
    ------
    ValueError
        One line that says what is wrong with the views or an argument.
    """
    settings = checked(hypotheses, mode, steps, energy_scale, energy_steps, temperature, seed, robust, up, energy_fn)
    network = load_body_model(model, device)
    frames = max(SHORTEST, BUDGET // settings.hypotheses)
    return deque(_lift(checked_views(views, fps), fps, settings, network, frames), maxlen=1).pop()


def lift_points_steps(views: Sequence[View], *, fps: float, hypotheses: int = 1, mode: Mode = "both", steps: int = 8,
                      energy_scale: float = 1., energy_steps: int = ENERGY_STEPS, temperature: float = 1.,
                      seed: int = 0, robust: Robust | None = None, up: Tensor | None = None,
                      energy_fn: Energy | None = None, device: str = "cpu", model: Model = None) -> Iterator[Lifted]:
    """`lift_points`, step by step: yields the estimate after every step, of all frames at once.

    Parameters are those of `lift_points`. The last is what that returns, but for clips so long that it works on them
    in parts.

    Yields
    ------
    Lifted
    """
    settings = checked(hypotheses, mode, steps, energy_scale, energy_steps, temperature, seed, robust, up, energy_fn)
    return _lift(checked_views(views, fps), fps, settings, load_body_model(model, device), None)


def sample(num_samples: int, num_frames: int, energy_fn: Energy | None = None, energy_scale: float = 1., *,
           observation: Observation | None = None, fps: float = FPS, steps: int = 8,
           energy_steps: int = ENERGY_STEPS, temperature: float = 1., seed: int = 0, device: str = "cpu",
           model: Model = None) -> Iterator[Tensor]:
    """Motions of the prior under an energy of one's own: yields them after every step.

    Parameters
    ----------
    num_samples, num_frames : int
        N and T.
    energy_fn : callable, optional
        From points ``(N, T, 17, 3)`` to ``(N,)``: the negative logarithm of the likelihood of something known of them,
        up to a constant; twice differentiable almost everywhere.
    energy_scale : float
        Its weight.
    observation : Observation, optional
        What is known of the points themselves, ``(N, T, 17, ...)``; without it, nothing.
    fps : float
        Frames a second.
    steps, energy_steps, temperature, seed, device, model
        As of `lift_points`.

    Yields
    ------
    Tensor ``(N, T, 17, 3)``
        The clean estimate: joints of `BODY` relative to the pelvis, metres; x to the right, y down, z away from the
        camera that looks at the body.
    """
    if num_samples < 1 or num_frames < 1:
        raise ValueError(f"{num_samples} samples of {num_frames} frames: there must be at least one of each")
    network = load_body_model(model, device)
    known = nothing_known(num_samples, num_frames, fps) if observation is None else observation
    for estimate in network.sample(known, steps=steps, seeds=[seed + i for i in range(num_samples)], energy=energy_fn,
                                   energy_scale=energy_scale, energy_steps=energy_steps, temperature=temperature):
        yield estimate.xyz


def nothing_known(batch: int, frames: int, fps: float) -> Observation:
    """An observation of bodies of whom nothing is seen."""
    mask = torch.zeros(batch, frames, len(BODY), dtype=torch.bool)
    seconds = (torch.arange(frames) / fps).expand(batch, -1)
    return Observation(torch.zeros(batch, frames, len(BODY), 3), mask, mask, seconds,
                       torch.ones(batch, frames, dtype=torch.bool))


def checked(hypotheses: int, mode: str, steps: int, energy_scale: float, energy_steps: int, temperature: float,
            seed: int, robust: Robust | None = None, up: Tensor | None = None, energy_fn: Energy | None = None
            ) -> Settings:
    """The settings; a ValueError says which is wrong and what it may be."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if int(hypotheses) != hypotheses or hypotheses < 1:
        raise ValueError(f"hypotheses must be a whole number from 1 up, not {hypotheses}")
    if steps not in range(1, MAX_STEPS + 1):
        raise ValueError(f"steps must be a whole number from 1 to {MAX_STEPS}, not {steps}")
    if not 0 <= energy_scale < math.inf:
        raise ValueError(f"energy_scale must be a number from 0 up, not {energy_scale}")
    if int(energy_steps) != energy_steps or energy_steps < 1:
        raise ValueError(f"energy_steps must be a whole number from 1 up, not {energy_steps}")
    if not 0 <= temperature <= 1:
        raise ValueError(f"temperature must be from 0 to 1, not {temperature}")
    if int(seed) != seed or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 up, not {seed}")
    kind: Mode = "both" if mode == "both" else "energy" if mode == "energy" else "conditioned"
    return Settings(int(hypotheses), kind, int(steps), float(energy_scale), int(energy_steps), float(temperature),
                    int(seed), robust, up, energy_fn)


def checked_views(views: Sequence[View], fps: float) -> list[View]:
    """Views with a batch of 1, of the same frames; a ValueError says what is wrong with them."""
    if not views:
        raise ValueError("there is no view: give one or more")
    if not 0 < fps < math.inf:
        raise ValueError(f"a frame rate must be a number above 0, not {fps}")
    for view in views:
        frames, joints, axes = view.points.shape[-3:]
        if not frames or (joints, axes) != (len(BODY), 2) or view.confidence.shape != view.points.shape[:-1]:
            raise ValueError(f"a view must have points (T, {len(BODY)}, 2) and confidence (T, {len(BODY)}), not "
                             f"{tuple(view.points.shape)} and {tuple(view.confidence.shape)}")
        if frames != views[0].points.shape[-3]:
            raise ValueError(f"views of {views[0].points.shape[-3]} and of {frames} frames: they must be of the same")
        seen = view.confidence > 0
        if not bool(view.points[seen].isfinite().all()):
            raise ValueError("a point that was seen is not finite: set its confidence to 0")
    out = [batched(view) for view in views]
    if any(len(view.points) > 1 for view in out):
        raise ValueError("lift one body at a time")
    return [replace(view, camera=given.camera) for view, given in zip(out, views)]  # supposed ones are not known


@dataclass(frozen=True)
class Rate:
    """Every `every`-th frame is worked on, or, for slow clips, `between` frames for each."""

    every: int = 1
    between: int = 1


def worked_at(fps: float) -> Rate:
    """How a clip of a frame rate is brought near to the 25 frames a second that the network knows."""
    if fps < SLOWEST:
        return Rate(between=round(FPS / fps))
    return Rate(every=max(1, round(fps / FPS)))


def _at_rate(view: View, rate: Rate) -> View:
    if rate.every > 1:
        return view.of(slice(None, None, rate.every))
    if rate.between == 1:
        return view
    frames = torch.arange((view.points.shape[1] - 1) * rate.between + 1) // rate.between
    seen = torch.arange(len(frames)) % rate.between == 0
    confidence = view.confidence[:, frames] * seen[:, None]
    return replace(view.at(frames), confidence=confidence)


def _lift(views: list[View], fps: float, settings: Settings, model: PoseDiffusion, part: int | None
          ) -> Iterator[Lifted]:
    """Yields after every step, or, in parts of so many frames, once at the end."""
    views = [view.to(model.device) for view in views]
    rate = worked_at(fps)
    slower = [_at_rate(view, rate) for view in views]
    speed = fps * rate.between / rate.every
    frames = slower[0].points.shape[1]
    whole = _flat(slower[0], speed)
    if part is None or frames <= part:
        for points, error in _walk(slower, whole, speed, settings, model, None, settings.seed):
            yield _placed(views, points, error, fps, settings, rate)
        return
    done = torch.zeros(settings.hypotheses, 0, len(BODY), 3, device=model.device)
    errors = torch.zeros(0, len(BODY), device=model.device)
    for i, first in enumerate(range(0, frames - OVERLAP, part - OVERLAP)):
        where = slice(first, min(first + part, frames))
        before = done[:, first:] if first else None
        walk = _walk([view.of(where) for view in slower], whole.of(where), speed, settings, model, before,
                     settings.seed + i * NEXT_SEED)
        points, error = deque(walk, maxlen=1).pop()
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


def _walk(views: list[View], flat: Flat, fps: float, settings: Settings, model: PoseDiffusion, before: Tensor | None,
          seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """After every step: bodies ``(H, T, 17, 3)`` in the camera's frame relative to the pelvis, and the expected error
    ``(T, 17)``.
    """
    energy = None
    if settings.mode != "conditioned":
        energy = lift_energy(views, fps, robust=settings.robust, up=settings.up)
    observation = _observation(flat, fps, settings, before)
    for estimate in model.sample(observation, steps=settings.steps, energy=_in_camera(energy, flat, settings),
                                 seeds=[seed + h for h in range(settings.hypotheses)],
                                 energy_scale=settings.energy_scale, energy_steps=settings.energy_steps,
                                 temperature=settings.temperature):
        points = turned_back(flat.turn, estimate.xyz)
        if energy is not None:
            energy.refocus(points)
        yield points, estimate.error.mean(0)


def _in_camera(energy: LiftEnergy | None, flat: Flat, settings: Settings) -> Energy | None:
    """The energies of bodies along their ray."""
    energies: list[Callable[[Tensor], Tensor]] = [e for e in (energy, settings.energy_fn) if e is not None]
    if not energies:
        return None

    def total(points: Tensor) -> Tensor:
        body = turned_back(flat.turn, points)
        return torch.stack([energy(body) for energy in energies]).sum(0)

    return total


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
    energy = lift_energy(views, fps, robust=settings.robust)
    energy.refocus(points)
    root = energy.steady_root(points)
    camera = energy.cameras[0]
    return Lifted((points + root[:, :, None]).cpu().numpy(), root.cpu().numpy(), error.clamp(min=0).cpu().numpy(),
                  camera, fps)


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
