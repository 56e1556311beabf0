"""Motion capture to learn bodies from: which takes are for what, and windows of them on other bodies."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pose_diffusion.motion.augmentation import augment
from pose_diffusion.motion.mocap import Take, cmu_bvh, cmu_joints
from pose_diffusion.motion.motion import resample
from pose_diffusion.motion.skeletons import BODY

# Takes are held out whole. Where it is known who moves, so are people: 06, who plays basketball and walks, for the
# test, 07, who walks, for tuning. Of series of which that is not known the last takes are held out; whoever moves in
# them may be in others that are trained on.
TEST_SUBJECTS = frozenset({"cmu_06"})
TEST = frozenset({"soccer_4", "soccer_5", "jumping_4", "jumping_5", "running_4", "running_5", "basketball_signal_5",
                  "directing_traffic_1", *(f"walking_{i}" for i in range(45, 53))})
TUNING_SUBJECTS = frozenset({"cmu_07"})
TUNING = frozenset({"soccer_3", "jumping_3", "running_3", "basketball_signal_4",
                    *(f"walking_{i}" for i in range(40, 45))})

RATES = {25.: .5, 12.5: .1, 16.: .1, 20.: .1, 30.: .2}  # frames a second that takes are at hand in, and how often
ANKLE = .08  # metres above the ground


@dataclass(frozen=True)
class Split:
    """Takes to train on, to tune and stop by, and to test on."""

    train: list[Take]
    tuning: list[Take]
    test: list[Take]


def takes(folder: Path) -> list[Take]:
    """All takes of a folder with `mocap/cmu_joints.npz` and `bvh/cmu/*.bvh`.

    Raises
    ------
    PoseFileError
        If a file cannot be read.
    """
    files = sorted((folder / "bvh" / "cmu").glob("*.bvh"))
    return cmu_joints(folder / "mocap" / "cmu_joints.npz") + [take for path in files for take in cmu_bvh(path)]


def split(all_takes: Sequence[Take]) -> Split:
    """Which takes are for what; parts of a take stay together."""
    out = Split([], [], [])
    for take in all_takes:
        name = take.name.split(":")[0]
        if take.subject in TEST_SUBJECTS or name in TEST:
            out.test.append(take)
        elif take.subject in TUNING_SUBJECTS or name in TUNING:
            out.tuning.append(take)
        else:
            out.train.append(take)
    return out


class Pool:
    """Takes at several frame rates, to draw windows from; each is drawn by the root of its length.

    Parameters
    ----------
    some_takes : sequence of Take
        At least one.
    rates : dict of float to float
        Frames a second, and in what share of the draws.
    """

    def __init__(self, some_takes: Sequence[Take], rates: dict[float, float] = RATES):
        if not some_takes:
            raise ValueError("no takes to draw from: is the data folder the right one?")
        motions = [[resample(take.motion, rate).xyz for take in some_takes] for rate in rates]
        self.rates, self.chances = list(rates), torch.tensor(list(rates.values()))
        self.xyz = torch.from_numpy(np.concatenate([xyz for row in motions for xyz in row]))
        self.lengths = torch.tensor([[len(xyz) for xyz in row] for row in motions])
        self.starts = (self.lengths.flatten().cumsum(0) - self.lengths.flatten()).view(self.lengths.shape)
        self.weights = self.lengths[-1].double().sqrt()

    def draw(self, count: int, frames: int, generator: torch.Generator) -> tuple[Tensor, float, Tensor]:
        """Windows of other bodies, turned and mirrored.

        Returns
        -------
        tuple of Tensor, float, Tensor
            `(B, T, 17, 3)` joints in the world, the lowest ankle `ANKLE` above the ground at y = 0; frames a second;
            `(B, T)` bool: False behind the end of a take, where the last frame stays.
        """
        rate = int(torch.multinomial(self.chances, 1, generator=generator))
        take = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        length = self.lengths[rate, take]
        first = (torch.rand(count, generator=generator) * (length - frames + 1).clamp(min=1)).long()
        frame = first[:, None] + torch.arange(frames)
        valid = frame < length[:, None]
        index = self.starts[rate, take][:, None] + torch.minimum(frame, length[:, None] - 1)
        xyz = augment(self.xyz[index], generator)
        ankles = xyz[:, :, [BODY.index("left_ankle"), BODY.index("right_ankle")], 1]
        lift = ANKLE - ankles.flatten(1).amin(1)
        return xyz + torch.stack([0 * lift, lift, 0 * lift], dim=-1)[:, None, None], self.rates[rate], valid
