"""The methods that the benchmark of lifting compares, each as a function of a trial."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from pose_diffusion.cameras import Camera
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation import lift_baselines
from pose_diffusion.evaluation.lift_baselines import LinearPrior
from pose_diffusion.evaluation.lift_benchmark import OURS
from pose_diffusion.evaluation.lift_cases import FPS, Trial
from pose_diffusion.tasks.lift import lift_points
from pose_diffusion.tasks.lifting import View, lift_energy

LINEAR_STEPS = 2  # inner steps of the linear prior: its best on takes that are for tuning; with more, bodies shrink
LEAST_PX = 1.  # what a method is told where there is no noise: no detector is surer
MODES: dict[str, Literal["energy", "conditioned", "both"]] = dict(zip(OURS, ("energy", "conditioned", "both")))


@dataclass(frozen=True)
class Estimate:
    """What a method makes of a trial.

    Attributes
    ----------
    xyz : np.ndarray
        `(H, T, 17, 3)` in the camera's frame, metres, root included.
    camera : Camera
        The given one, or the method's estimate; batch of 1 or H.
    """

    xyz: np.ndarray
    camera: Camera


@dataclass(frozen=True)
class Method:
    """A method.

    Attributes
    ----------
    run : callable
        From a trial, a number of hypotheses and a seed to an `Estimate`.
    draws : bool
        Whether it draws hypotheses; if not, it is asked for one.
    estimates_camera : bool
        Whether it can do without a given one.
    """

    run: Callable[[Trial, int, int], Estimate]
    draws: bool = True
    estimates_camera: bool = True


def view(trial: Trial, told_px: float | None = None) -> View:
    """What a method is told.

    Parameters
    ----------
    trial : Trial
    told_px : float, optional
        The detector's noise; without it, the true one, at least 1 px.
    """
    spread = max(trial.noise_px, LEAST_PX) if told_px is None else told_px
    width, height = trial.scene.camera.size[0].tolist()
    return View(points=torch.from_numpy(trial.points), confidence=torch.from_numpy(trial.confidence), spread=spread,
                camera=trial.camera, size=(int(width), int(height)))


def network(model: PoseDiffusion, mode: Literal["energy", "conditioned", "both"], *, steps: int,
            energy_steps: int | None, energy_scale: float | None, told_px: float | None) -> Method:
    """The diffusion model in one of its modes, by default with the mode's own settings."""
    def run(trial: Trial, hypotheses: int, seed: int) -> Estimate:
        lifted = lift_points([view(trial, told_px)], hypotheses=hypotheses, fps=FPS, mode=mode, steps=steps,
                             energy_steps=energy_steps, energy_scale=energy_scale, seed=seed, model=model)
        return Estimate(lifted.xyz, lifted.camera)

    return Method(run)


def regression(model: PoseDiffusion, *, told_px: float | None) -> Method:
    """A network of the same size that gives the mean in one step."""
    def run(trial: Trial, hypotheses: int, seed: int) -> Estimate:
        lifted = lift_points([view(trial, told_px)], hypotheses=1, fps=FPS, mode="conditioned", steps=1, seed=seed,
                             model=model)
        return Estimate(lifted.xyz, lifted.camera)

    return Method(run, draws=False)


def linear(priors: Mapping[int, LinearPrior], *, steps: int, energy_steps: int | None, energy_scale: float | None,
           told_px: float | None) -> Method:
    """A linear prior with the same energy, by default at its word; for known cameras.

    Parameters
    ----------
    priors : mapping
        By number of frames.
    """
    scale = 1. if energy_scale is None else energy_scale
    inner = LINEAR_STEPS if energy_steps is None else energy_steps

    def run(trial: Trial, hypotheses: int, seed: int) -> Estimate:
        told = view(trial, told_px)
        if told.camera is None:
            raise ValueError("the linear prior needs a known camera")
        energy = lift_energy([told], fps=FPS)
        points = lift_baselines.hypotheses(priors[len(trial.points)], energy, hypotheses, seed, steps=steps,
                                           energy_steps=inner, scale=scale)
        return Estimate((points + energy.steady_root(points)[:, :, None]).numpy(), told.camera)

    return Method(run, estimates_camera=False)
