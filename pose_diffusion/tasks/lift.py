"""Lift points of pictures to bodies in 3D: samples of a motion prior that agree with what was seen."""
from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pose_format import Pose
from torch import Tensor

from pose_diffusion.diffusion.energy import Energy
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.model import VARIABLE as OTHER_VARIABLE
from pose_diffusion.diffusion.model import ModelError, PoseDiffusion
from pose_diffusion.diffusion.reprojection import Robust, student
from pose_diffusion.diffusion.schedule import MAX_STEPS
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.tasks.camera_spec import CameraSpec
from pose_diffusion.tasks.detections import picture_size, view_of
from pose_diffusion.tasks.lift_walk import FPS, Mode, Settings, nothing_known, walk
from pose_diffusion.tasks.lifted import Lifted, joined, lifted_pose
from pose_diffusion.tasks.views import View, batched

__all__ = ["CameraSpec", "Lifted", "Mode", "View", "lift", "lift_points", "lift_points_steps", "lift_steps",
           "lifted_pose", "load_body_model", "sample"]

Model = PoseDiffusion | str | os.PathLike[str] | None

SHIPPED = Path(__file__).parent.parent / "weights_body"
VARIABLE = "POSE_DIFFUSION_BODY_MODEL"
MODES = ("both", "energy", "conditioned")
ENERGY_STEPS = 5  # inner steps towards low energy, at every step, of an energy of one's own

# Each mode's energy_scale and energy_steps, chosen on takes that are for tuning. With "both" the picture counts twice,
# through the network and through the energy, which is why the latter is not taken at its word.
OF_MODES = {"both": (.05, 2), "energy": (1., 4), "conditioned": (1., ENERGY_STEPS)}
BUDGET = 1 << 15  # frames, of all hypotheses together, that are worked on at a time
PART = 2048  # frames; longer clips are cut, at the same frames whatever the number of hypotheses
TAILS = 4.  # degrees of freedom of the errors of detectors


def lift(pose: Pose, *, hypotheses: int = 1, camera: CameraSpec | None = None, person: int = 0, steps: int = 8,
         mode: Mode = "both", noise_px: float | None = None, energy_scale: float | None = None,
         energy_steps: int | None = None, temperature: float = 1., seed: int = 0, device: str = "cpu",
         model: Model = None) -> Lifted:
    """Lift a person of a pose to 3D.

    Parameters
    ----------
    pose : Pose
        In pixels, with a body of MediaPipe, OpenPose, AlphaPose or COCO-WholeBody; any subset or order of its points,
        any number of frames. Frames in which nothing was seen get a motion between.
    hypotheses : int
        How many samples: all agree with what was seen.
    camera : CameraSpec, optional
        What is known of the camera; without it a focal length is estimated with each sample.
    person : int
        Which of the people, from 0.
    noise_px : float, optional
        Std in pixels of a detected joint of confidence 1; without it 1 % of the person's height in the picture.
    steps, mode, energy_scale, energy_steps, temperature, seed, device, model
        As of `lift_points`.

    Returns
    -------
    Lifted

    Raises
    ------
    ValueError
        One line that says what is wrong with the pose or an argument.
    """
    views, up = [view_of(pose, person, camera, noise_px)], _up(pose, camera)
    return lift_points(views, fps=float(pose.body.fps), hypotheses=hypotheses, mode=mode, steps=steps,
                       energy_scale=energy_scale, energy_steps=energy_steps, temperature=temperature, seed=seed,
                       robust=student(TAILS), up=up, device=device, model=model)


def lift_steps(pose: Pose, *, hypotheses: int = 1, camera: CameraSpec | None = None, person: int = 0, steps: int = 8,
               mode: Mode = "both", noise_px: float | None = None, energy_scale: float | None = None,
               energy_steps: int | None = None, temperature: float = 1., seed: int = 0, device: str = "cpu",
               model: Model = None) -> Iterator[Lifted]:
    """`lift`, step by step: yields the estimate after every step, of all frames at once.

    Parameters are those of `lift`. A long pose takes more memory than there.

    Yields
    ------
    Lifted
    """
    views, up = [view_of(pose, person, camera, noise_px)], _up(pose, camera)
    return lift_points_steps(views, fps=float(pose.body.fps), hypotheses=hypotheses, mode=mode, steps=steps,
                             energy_scale=energy_scale, energy_steps=energy_steps, temperature=temperature, seed=seed,
                             robust=student(TAILS), up=up, device=device, model=model)


def _up(pose: Pose, camera: CameraSpec | None) -> Tensor | None:
    return None if camera is None else camera.up(picture_size(pose))


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
        try:
            model = PoseDiffusion.from_pretrained(model or os.environ.get(VARIABLE) or SHIPPED, device)
        except ModelError as error:  # bodies have a variable of their own
            raise ModelError(str(error).replace(OTHER_VARIABLE, VARIABLE)) from error
    if model.layout.name != "body":
        raise ValueError(f"this model knows the keypoints {model.layout.name!r}, not bodies in 3D: choose another, or "
                         "leave it out for the shipped one")
    return model


def lift_points(views: Sequence[View], *, fps: float, hypotheses: int = 1, mode: Mode = "both", steps: int = 8,
                energy_scale: float | None = None, energy_steps: int | None = None, temperature: float = 1.,
                seed: int = 0, robust: Robust | None = None, up: Tensor | None = None,
                energy_fn: Energy | None = None, energy_through: bool = False, device: str = "cpu",
                model: Model = None) -> Lifted:
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
    energy_scale : float, optional
        Weight of what the views show: 1 takes it at its word. Without it, that of the mode (`OF_MODES`). Other energies
        (bones, ground, one's own) count in full.
    energy_steps : int, optional
        Inner steps towards low energy at every step. Without it, that of the mode.
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
    energy_through : bool
        Take the gradient of the energies through the network: much slower.
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
    settings = checked(hypotheses, mode, steps, energy_scale, energy_steps, temperature, seed, robust, up, energy_fn,
                       energy_through)
    network = load_body_model(model, device)
    known = checked_views(views, fps)
    at_once = max(1, BUDGET // min(PART, known[0].points.shape[1]))
    parts = [deque(walk(known, fps, some, network, PART), maxlen=1).pop() for some in groups(settings, at_once)]
    return joined(parts)


def lift_points_steps(views: Sequence[View], *, fps: float, hypotheses: int = 1, mode: Mode = "both", steps: int = 8,
                      energy_scale: float | None = None, energy_steps: int | None = None, temperature: float = 1.,
                      seed: int = 0, robust: Robust | None = None, up: Tensor | None = None,
                      energy_fn: Energy | None = None, energy_through: bool = False, device: str = "cpu",
                      model: Model = None) -> Iterator[Lifted]:
    """`lift_points`, step by step: yields the estimate after every step, of all frames at once.

    Parameters are those of `lift_points`. The last is what that returns, but for clips so long that it works on them
    in parts.

    Yields
    ------
    Lifted
    """
    settings = checked(hypotheses, mode, steps, energy_scale, energy_steps, temperature, seed, robust, up, energy_fn,
                       energy_through)
    return walk(checked_views(views, fps), fps, settings, load_body_model(model, device), None)


def sample(num_samples: int, num_frames: int, energy_fn: Energy | None = None, energy_scale: float = 1., *,
           observation: Observation | None = None, fps: float = FPS, steps: int = 8,
           energy_steps: int = ENERGY_STEPS, energy_through: bool = False, temperature: float = 1., seed: int = 0,
           device: str = "cpu", model: Model = None) -> Iterator[Tensor]:
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
    steps, energy_steps, energy_through, temperature, seed, device, model
        As of `lift_points`.

    Yields
    ------
    Tensor ``(N, T, 17, 3)``
        The clean estimate: joints of `BODY` relative to the pelvis, metres; x to the right, y down, z away from the
        camera that looks at the body.
    """
    if num_samples < 1 or num_frames < 1:
        raise ValueError(f"{num_samples} samples of {num_frames} frames: there must be at least one of each")
    if not 0 < fps < math.inf:
        raise ValueError(f"a frame rate must be a number above 0, not {fps}")
    network = load_body_model(model, device)
    known = nothing_known(num_samples, num_frames, fps) if observation is None else observation
    for estimate in network.sample(known, steps=steps, seeds=[seed + i for i in range(num_samples)], energy=energy_fn,
                                   energy_scale=energy_scale, energy_steps=energy_steps, energy_through=energy_through,
                                   temperature=temperature):
        yield estimate.xyz


def checked(hypotheses: int, mode: str, steps: int, energy_scale: float | None, energy_steps: int | None,
            temperature: float, seed: int, robust: Robust | None = None, up: Tensor | None = None,
            energy_fn: Energy | None = None, energy_through: bool = False) -> Settings:
    """The settings; a ValueError says which is wrong and what it may be."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    usual_scale, usual_steps = OF_MODES[mode]
    energy_scale = usual_scale if energy_scale is None else energy_scale
    energy_steps = usual_steps if energy_steps is None else energy_steps
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
    if up is not None and (up.shape != (3,) or not 0 < float(up.norm()) < math.inf):
        raise ValueError(f"up must be a direction of three numbers, not {up.tolist()}")
    kind: Mode = "both" if mode == "both" else "energy" if mode == "energy" else "conditioned"
    return Settings(int(hypotheses), kind, int(steps), float(energy_scale), int(energy_steps), float(temperature),
                    int(seed), energy_through, robust, up, energy_fn)


def groups(settings: Settings, at_once: int) -> Iterator[Settings]:
    """The same settings for some hypotheses after the others, no more than so many at once."""
    for first in range(0, settings.hypotheses, at_once):
        yield replace(settings, hypotheses=min(at_once, settings.hypotheses - first), seed=settings.seed + first)


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
        if bool(view.confidence.isinf().any()):
            raise ValueError("a confidence is infinite: give one from 0 to 1")
        _check_details(view)
    out = [batched(view) for view in views]
    if any(len(view.points) > 1 for view in out):
        raise ValueError("lift one body at a time")
    return [replace(view, camera=given.camera) for view, given in zip(out, views)]  # supposed ones are not known


def _check_details(view: View) -> None:
    """A ValueError says what is wrong with how far its points scatter, or with its heatmaps."""
    spread, shape = torch.as_tensor(view.spread, device=view.points.device), view.points.shape[:-1]
    confidence = view.confidence.reshape(-1, *shape[-2:])
    if spread.ndim < 4:  # of covariances `batched` knows
        try:
            seen = spread.expand(confidence.shape)[confidence > 0]
        except RuntimeError as error:
            raise ValueError(f"a spread of shape {tuple(spread.shape)} does not fit points {tuple(shape)}") from error
        if not bool(((seen > 0) & seen.isfinite()).all()):
            raise ValueError("the std of a seen point must be a number of pixels above 0")
    if view.heatmaps is not None and view.heatmaps.likelihood.shape[:-2] != shape:
        raise ValueError(f"heatmaps {tuple(view.heatmaps.likelihood.shape)} do not fit points {tuple(shape)}")
