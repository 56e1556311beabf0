"""Diffusion over sign language keypoints: `.pose` in, a better `.pose` out.

The public functions are imported when they are first used, so that `import pose_diffusion` is quick and does not import
torch.
"""
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pose_diffusion.cameras import Camera
    from pose_diffusion.capture.rules import correct_capture
    from pose_diffusion.diffusion.model import PoseDiffusion
    from pose_diffusion.preview import save_preview
    from pose_diffusion.preview_turntable import save_lift_preview
    from pose_diffusion.tasks.camera_spec import CameraSpec
    from pose_diffusion.tasks.compose import compose, compose_steps
    from pose_diffusion.tasks.generate import generate, generate_many, generate_steps, predict_seconds
    from pose_diffusion.tasks.inbetween import inbetween, inbetween_steps
    from pose_diffusion.tasks.joining import smooth_concatenate_poses
    from pose_diffusion.tasks.lift import lift, lift_points, lift_points_steps, lift_steps, sample
    from pose_diffusion.tasks.lifted import Lifted, lifted_pose, save_lifted
    from pose_diffusion.tasks.refine import fill_missing, fill_missing_steps, refine, refine_many, refine_steps
    from pose_diffusion.tasks.regenerate import regenerate, regenerate_steps
    from pose_diffusion.tasks.views import Heatmaps, View
    from pose_diffusion.transforms import available_transforms, get_transform, register

__version__ = "0.1.0"
__all__ = ["Camera", "CameraSpec", "Heatmaps", "Lifted", "PoseDiffusion", "View", "available_transforms", "compose",
           "compose_steps", "correct_capture", "fill_missing", "fill_missing_steps", "generate", "generate_many",
           "generate_steps", "get_transform", "inbetween", "inbetween_steps", "lift", "lift_points",
           "lift_points_steps", "lift_steps", "lifted_pose", "predict_seconds", "refine", "refine_many", "refine_steps",
           "regenerate", "regenerate_steps", "register", "sample", "save_lifted", "save_lift_preview", "save_preview",
           "smooth_concatenate_poses"]

_HOMES = {
    "PoseDiffusion": "diffusion.model",
    "refine": "tasks.refine", "refine_steps": "tasks.refine", "refine_many": "tasks.refine",
    "fill_missing": "tasks.refine", "fill_missing_steps": "tasks.refine",
    "generate": "tasks.generate", "generate_steps": "tasks.generate", "generate_many": "tasks.generate",
    "predict_seconds": "tasks.generate",
    "regenerate": "tasks.regenerate", "regenerate_steps": "tasks.regenerate",
    "inbetween": "tasks.inbetween", "inbetween_steps": "tasks.inbetween",
    "compose": "tasks.compose", "compose_steps": "tasks.compose",
    "smooth_concatenate_poses": "tasks.joining",
    "correct_capture": "capture.rules",
    "lift": "tasks.lift", "lift_steps": "tasks.lift", "lift_points": "tasks.lift", "lift_points_steps": "tasks.lift",
    "sample": "tasks.lift", "CameraSpec": "tasks.camera_spec", "View": "tasks.views",
    "Heatmaps": "tasks.views", "Camera": "cameras",
    "Lifted": "tasks.lifted", "lifted_pose": "tasks.lifted", "save_lifted": "tasks.lifted",
    "save_lift_preview": "preview_turntable",
    "register": "transforms", "get_transform": "transforms", "available_transforms": "transforms",
    "save_preview": "preview",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
