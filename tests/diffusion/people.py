"""A person for tests of what the network starts from, and what is seen of them."""
from __future__ import annotations

import torch
from torch import Tensor

from pose_diffusion.clip import encode
from pose_diffusion.diffusion.candidates import CANDIDATES, start
from pose_diffusion.diffusion.filling import Filler, Observation
from pose_diffusion.layout import BODY, HOLISTIC
from tests.poses import constructed_pose

FRAMES = 40
LEFT, RIGHT, INNER = HOLISTIC.parts["left_hand"], HOLISTIC.parts["right_hand"], HOLISTIC.parts["face"].start
LEFT_BODY_WRIST, RIGHT_BODY_WRIST = HOLISTIC.index(BODY, "LEFT_WRIST"), HOLISTIC.index(BODY, "RIGHT_WRIST")


def candidate(name: str, observation: Observation, filler: Filler) -> Tensor:
    """`(B, T, INNER, 3)` one estimate, as points."""
    begin = start(filler, observation)
    features = begin.candidates[..., CANDIDATES.index(name), :]
    return filler.points(torch.cat([features, begin.filled[:, :, INNER:]], dim=2))[:, :, :INNER]


def apart(person: Tensor) -> Tensor:
    """The arms well away from each other."""
    out = person.clone()
    out[:, :, [LEFT_BODY_WRIST, *range(LEFT.start, LEFT.stop)]] += torch.tensor([1., 0, 0])
    out[:, :, [RIGHT_BODY_WRIST, *range(RIGHT.start, RIGHT.stop)]] -= torch.tensor([1., 0, 0])
    return out


def moving(position: Tensor) -> Tensor:
    """`(1, T, K, 3)`: a stiff person with the hands well apart moves by the course `(T,)`."""
    places = apart(torch.from_numpy(encode(constructed_pose(1))[0].xyz).unsqueeze(0))[0]
    directions = torch.tensor([1., -.5, .2])
    return (places + position.view(-1, 1, 1) * directions).unsqueeze(0)


def gap(frames: slice, points: slice | list[int], total: int = FRAMES) -> Tensor:
    """`(1, T, K)`: all seen but some points in some frames."""
    mask = torch.ones(1, total, len(HOLISTIC), dtype=torch.bool)
    mask[:, frames, points] = False
    return mask
