"""Trials of lifting for tests: a body of 17 joints that stands before a camera."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pose_diffusion.cameras import Camera, project
from pose_diffusion.evaluation.lift_cases import Scene, Trial
from pose_diffusion.motion.mocap import Take
from pose_diffusion.motion.motion import Motion
from pose_diffusion.motion.skeletons import BODY

HEIGHTS = {"hip": 0., "knee": -.42, "ankle": -.84, "spine": .28, "thorax": .49, "head": .68, "head_top": .81,
           "shoulder": .49, "elbow": .2, "wrist": -.05, "pelvis": 0.}
SIDES = {"hip": .09, "knee": .1, "ankle": .1, "shoulder": .18, "elbow": .25, "wrist": .28}


def standing() -> np.ndarray:
    """`(17, 3)` relative to the pelvis, y up, metres."""
    out = []
    for joint in BODY.joints:
        kind = joint.removeprefix("left_").removeprefix("right_")
        side = {"l": 1, "r": -1}[joint[0]] if kind != joint else 0
        out.append((side * SIDES.get(kind, 0.), HEIGHTS[kind], .02 * len(kind)))
    return np.array(out, np.float32)


def camera(focal: float = 1000.) -> Camera:
    """At the origin of its frame; pictures of 1280 x 720."""
    size = torch.tensor([[1280., 720.]])
    return Camera(torch.full((1, 2), focal), size / 2, torch.eye(3)[None], torch.zeros(1, 3), size)


def trial(truth: np.ndarray, seen: np.ndarray | None = None, noise_px: float = 0., seed: int = 0) -> Trial:
    """Of joints `(T, 17, 3)` in the camera's frame."""
    truth = truth.astype(np.float32)
    pixels = project(camera(), torch.from_numpy(truth)[None])[0].numpy()
    pixels = pixels + noise_px * np.random.default_rng(seed).standard_normal(pixels.shape)
    seen = np.ones(truth.shape[:2], bool) if seen is None else seen
    return Trial(Scene("take", truth, camera()), np.where(seen[..., None], pixels, 0).astype(np.float32),
                 seen.astype(np.float32), noise_px, camera())


def body(frames: int = 4) -> np.ndarray:
    """`(frames, 17, 3)` in the camera's frame, 4 m away, walking to the right."""
    return standing() * (1, -1, -1) + (0, 0, 4) + np.linspace(0, .2, frames)[:, None, None] * (1, 0, 0)


def takes(count: int = 3, *, seconds: float = 3., placed: bool = True) -> list[Take]:
    """People who stand and swing their arms, each another."""
    out = []
    for i in range(count):
        frames = round(60 * seconds)
        xyz = np.repeat(standing()[None], frames, axis=0) + (0, .92 * placed, 0)
        phase = 2 * np.pi * np.arange(frames) / 60 + i
        for side, sign in (("left", 1), ("right", -1)):
            shoulder = xyz[:, BODY.index(f"{side}_shoulder")]
            angle = sign * .6 * np.sin(phase)
            down = np.stack([0 * angle, -np.cos(angle), np.sin(angle)], axis=-1)
            xyz[:, BODY.index(f"{side}_elbow")] = shoulder + .3 * down
            xyz[:, BODY.index(f"{side}_wrist")] = shoulder + .55 * down
        motion = Motion(BODY.joints, BODY.parents, xyz.astype(np.float32), 60.)
        out.append(Take(f"take_{i}", f"subject_{i}", motion, placed))
    return out


def unplaced(take: Take) -> Take:
    """The same take with its pelvis at the origin."""
    motion = take.motion
    return replace(take, placed=False, motion=replace(motion, xyz=motion.xyz - motion.xyz[:, :1]))
