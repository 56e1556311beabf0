"""What lifting is measured on: stretches of motion capture seen by random cameras, noisy, and with limbs hidden.

The truth is in the camera's frame (x right, y down, z away, metres), the root's place included. A method is given the
pixels, which of them are seen, how noisy they are (one number for the detector) and the camera or only the size of its
picture: nothing of the truth.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pose_diffusion.cameras import Camera, extent, project, random_cameras, to_camera
from pose_diffusion.motion.augmentation import bodies, with_lengths
from pose_diffusion.motion.mocap import Take
from pose_diffusion.motion.motion import resample
from pose_diffusion.motion.skeletons import BODY

FPS = 25.
LONGEST = 32  # frames of a stretch; shorter ones are cut out of its middle, so that all lengths see the same
ANKLE = .08  # metres above the ground

_ARM, _LEG = ("elbow", "wrist"), ("knee", "ankle")
# What people hide: behind a body, a table, a door frame, or out of the picture.
HIDDEN = {
    **{f"{side} arm": tuple(f"{side}_{joint}" for joint in _ARM) for side in ("left", "right")},
    **{f"{side} leg": tuple(f"{side}_{joint}" for joint in _LEG) for side in ("left", "right")},
    **{f"{side} wrist": (f"{side}_wrist",) for side in ("left", "right")},
    "both legs": tuple(f"{side}_{joint}" for side in ("left", "right") for joint in _LEG),
    **{f"{side} side": tuple(f"{side}_{joint}" for joint in ("shoulder", *_ARM, *_LEG)) for side in ("left", "right")},
}
TOGETHER = 2  # most of these at once
SHARE = (.3, 1.)  # of the frames that they are hidden, in one run


@dataclass(frozen=True)
class Case:
    """A row of the benchmark.

    Attributes
    ----------
    name : str
        Of the row.
    frames : int
        Of a sequence, from 1 to `LONGEST`.
    noise_px : float
        Std of the noise on each pixel coordinate.
    occluded : bool
        Whether limbs are hidden.
    camera : {"known", "size"}
        What is told of the camera: everything, or the size of the picture only.
    bodies : {"drawn", "mocap"}
        Whose limbs: of adults drawn at random, or those of the skeletons of the capture, which are no adult's.
    sequences : int
        How many.
    hypotheses : int
        How many for each.
    """

    name: str
    frames: int
    noise_px: float
    occluded: bool = False
    camera: Literal["known", "size"] = "known"
    bodies: Literal["drawn", "mocap"] = "drawn"
    sequences: int = 50
    hypotheses: int = 50


@dataclass(frozen=True)
class Scene:
    """A stretch of motion and the camera that sees it.

    Attributes
    ----------
    take : str
        Of which it is a part, as `subject/take`.
    xyz : np.ndarray
        `(T, 17, 3)` in the camera's frame, metres.
    camera : Camera
        A batch of 1, at the origin of its own frame.
    """

    take: str
    xyz: np.ndarray
    camera: Camera


@dataclass(frozen=True)
class Trial:
    """A sequence to lift.

    Attributes
    ----------
    scene : Scene
        The truth; its `xyz` has the frames of the trial.
    points : np.ndarray
        `(T, 17, 2)` observed pixels; 0 where hidden.
    confidence : np.ndarray
        `(T, 17)` 1, or 0 where hidden.
    noise_px : float
        Of the detector.
    camera : Camera or None
        What a method is told of the camera; None if only the size of the picture, which is `scene.camera.size`.
    """

    scene: Scene
    points: np.ndarray
    confidence: np.ndarray
    noise_px: float
    camera: Camera | None

    @property
    def truth(self) -> np.ndarray:
        """`(T, 17, 3)` in the camera's frame, metres."""
        return self.scene.xyz

    @property
    def seen(self) -> np.ndarray:
        """`(T, 17)` bool."""
        return self.confidence > 0


def stretches(takes: Sequence[Take], count: int, generator: torch.Generator, *, drawn: bool = True
              ) -> tuple[Tensor, list[str]]:
    """Stretches of `LONGEST` frames from anywhere in the takes, each take as often as the others.

    Parameters
    ----------
    takes : sequence of Take
        Those too short are left out.
    count : int
        How many stretches.
    generator : torch.Generator
        Of the CPU; fixes which.
    drawn : bool
        Whether each is of another body, drawn at random.

    Returns
    -------
    tuple of Tensor and list of str
        `(count, 32, 17, 3)` in the world, feet on the ground at y = 0; and the takes' names, as `subject/take`.

    Raises
    ------
    ValueError
        If all takes are too short.
    """
    motions = [(take, resample(take.motion, FPS).xyz) for take in takes]
    motions = [(take, xyz) for take, xyz in motions if len(xyz) >= LONGEST]
    if not motions:
        raise ValueError(f"no take is as long as {LONGEST} frames at {FPS:g} fps")
    chosen, order = [], torch.randperm(len(motions), generator=generator).tolist()
    for i in range(count):
        take, xyz = motions[order[i % len(order)]]
        start = int(torch.randint(len(xyz) - LONGEST + 1, (), generator=generator))
        chosen.append((take, xyz[start:start + LONGEST]))
    world = torch.from_numpy(np.stack([xyz for _, xyz in chosen]))
    lengths = bodies(generator, count)
    if drawn:
        world = with_lengths(world, lengths)
    placed = torch.tensor([take.placed for take, _ in chosen])
    # Where the way through the world was not kept, the lowest ankle of the stretch stands.
    ankles = world[:, :, [BODY.index("left_ankle"), BODY.index("right_ankle")], 1]
    lift = torch.where(placed, 0., ANKLE - ankles.flatten(1).amin(1))
    world = world + lift[:, None, None, None] * world.new_tensor([0., 1., 0.])
    return world, [f"{take.subject}/{take.name.split(':')[0]}" for take, _ in chosen]


def scenes(takes: Sequence[Take], count: int, seed: int, *, drawn: bool = True) -> list[Scene]:
    """Stretches seen by random cameras; the first of them are the same whatever the bodies."""
    generator = torch.Generator().manual_seed(seed)
    world, names = stretches(takes, count, generator, drawn=drawn)
    camera = random_cameras(generator, *extent(world))
    seen = to_camera(camera, world).numpy()
    return [Scene(name, seen[i], _own_frame(camera, i)) for i, name in enumerate(names)]


def _own_frame(camera: Camera, i: int) -> Camera:
    """The i-th camera, at the origin of its frame."""
    return Camera(camera.focal[i:i + 1], camera.centre[i:i + 1], torch.eye(3)[None], torch.zeros(1, 3),
                  camera.size[i:i + 1])


def trials(takes: Sequence[Take], case: Case, seed: int) -> list[Trial]:
    """The sequences of a case. Cases with the same bodies have the same scenes, and the same noise but for its size.

    Raises
    ------
    ValueError
        If the case asks for a length or a noise that there is not.
    """
    if not 1 <= case.frames <= LONGEST or not case.noise_px >= 0:
        raise ValueError(f"case {case.name!r}: frames must be 1 to {LONGEST}, the noise 0 or more")
    middle = (LONGEST - case.frames) // 2
    out = []
    for i, scene in enumerate(scenes(takes, case.sequences, seed, drawn=case.bodies == "drawn")):
        generator = np.random.default_rng((seed, i))
        noise = generator.standard_normal((LONGEST, len(BODY), 2))[middle:middle + case.frames]
        scene = replace(scene, xyz=scene.xyz[middle:middle + case.frames])
        pixels = project(scene.camera, torch.from_numpy(scene.xyz)[None])[0].numpy()
        seen = ~occlusion(case.frames, generator) if case.occluded else np.ones((case.frames, len(BODY)), bool)
        points = np.where(seen[..., None], pixels + case.noise_px * noise, 0).astype(np.float32)
        out.append(Trial(scene, points, seen.astype(np.float32), case.noise_px,
                         scene.camera if case.camera == "known" else None))
    return out


def occlusion(frames: int, generator: np.random.Generator) -> np.ndarray:
    """`(frames, 17)` bool: one or two of `HIDDEN`, each hidden for one run of frames."""
    hidden = np.zeros((frames, len(BODY)), bool)
    names = list(HIDDEN)
    for name in generator.choice(names, generator.integers(1, TOGETHER + 1), replace=False):
        length = max(1, round(frames * generator.uniform(*SHARE)))
        start = generator.integers(frames - length + 1)
        hidden[start:start + length, [BODY.index(joint) for joint in HIDDEN[name]]] = True
    return hidden
