"""A body that walks past a camera, and a small model of bodies, for the tests of lifting."""
from __future__ import annotations

import functools

import torch
from torch import Tensor

from pose_diffusion.cameras import Camera, looking, to_camera
from pose_diffusion.diffusion.config import checked_config
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.motion.skeletons import BODY, adult_lengths

SIDE = {"left": 1., "right": -1.}
DIRECTIONS = {"hip": (.99, -.1, 0.), "knee": (0., -1., .1), "ankle": (0., -1., -.15), "spine": (0., 1., 0.),
              "thorax": (0., 1., .1), "head": (0., 1., .1), "head_top": (0., 1., 0.), "shoulder": (.99, .1, 0.),
              "elbow": (.2, -.9, -.3), "wrist": (.1, -.5, .8)}  # yapf: disable


def walker(frames: int = 24) -> Tensor:
    """``(1, T, 17, 3)`` in the world, 25 frames a second: an adult who swings limbs and walks along x."""
    time = torch.arange(frames) / 25
    joints = [torch.stack([1.2 * time, torch.full_like(time, .95), 0 * time], dim=-1)]
    for length, (parent, child) in zip(adult_lengths().tolist(), BODY.bones):
        name = BODY.joints[child]
        side, _, kind = name.partition("_") if name.startswith(("left", "right")) else ("", "", name)
        x, y, z = DIRECTIONS[kind]
        swing = .4 * torch.sin(6 * time) * SIDE.get(side, 0.) * (kind in ("knee", "ankle", "elbow", "wrist"))
        bone = torch.stack([x * SIDE.get(side, 0.) + 0 * time, y + 0 * time, z + swing], dim=-1)
        joints.append(joints[parent] + length * bone / bone.norm(dim=-1, keepdim=True))
    return torch.stack(joints, dim=1)[None]


def camera(focal: float = 1000., place: tuple[float, float, float] = (1., 1.4, 4.)) -> Camera:
    """It stands in the world and looks at the walker."""
    at = torch.tensor([place])
    rotation = looking(at, torch.tensor([[.5, 1., 0.]]))
    shift = -(rotation @ at[..., None])[..., 0]
    size = torch.tensor([[1280., 720.]])
    return Camera(torch.full((1, 2), focal), size / 2, rotation, shift, size)


def own_frame(one: Camera) -> Camera:
    """The same camera as the origin of everything."""
    return Camera(one.focal, one.centre, torch.eye(3)[None], torch.zeros(1, 3), one.size)


@functools.lru_cache(maxsize=1)
def body_model() -> PoseDiffusion:
    """Untrained; its mean and std are those of the walker."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Denoiser(checked_config({"layout": "body", "reading": "plain", "frames_per_token": 2, "width": 24,
                                           "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "window": 32}))
    seen = to_camera(camera(), walker())[0]
    features = seen - seen[:, [max(parent, 0) for parent in BODY.parents]]
    std = torch.full((len(BODY), 3), .12)
    std[0] = 0
    network.set_statistics({"mean": features.mean(0), "std": std})
    return PoseDiffusion(network)
