"""The 17 joints of layout `body`, and how long an adult's bones are.

The joints are named and ordered as in Human3.6M, but each is defined by what keypoint detectors see, so that an
observation needs no guess: the pelvis is the middle of the hips, the thorax the middle of the shoulders, the head the
middle of the ears. Motion capture has no eyes and no nose, so there are none here.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Skeleton:
    """Joints that hang together.

    Attributes
    ----------
    name : str
        Its name.
    joints : tuple of str
        K joints, parents before children.
    parents : tuple of int
        Index of each joint's parent; -1 for the root, which is the first.
    mirror : tuple of int
        The index of each joint's mirror image.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """The column of a joint; ValueError if there is none of that name."""
        return self.joints.index(joint)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """`(parent, child)` of every joint but the root, in the order of the children: K - 1 of them."""
        return tuple((parent, child) for child, parent in enumerate(self.parents) if parent >= 0)

    def lengths(self, xyz: np.ndarray) -> np.ndarray:
        """Lengths of the bones `(..., K - 1)` of joints `(..., K, 3)`, in their unit."""
        parent, child = np.array(self.bones).T
        return np.linalg.norm(xyz[..., child, :] - xyz[..., parent, :], axis=-1)


_TREE = (
    ("pelvis", ""),
    ("right_hip", "pelvis"), ("right_knee", "right_hip"), ("right_ankle", "right_knee"),
    ("left_hip", "pelvis"), ("left_knee", "left_hip"), ("left_ankle", "left_knee"),
    ("spine", "pelvis"), ("thorax", "spine"), ("head", "thorax"), ("head_top", "head"),
    ("left_shoulder", "thorax"), ("left_elbow", "left_shoulder"), ("left_wrist", "left_elbow"),
    ("right_shoulder", "thorax"), ("right_elbow", "right_shoulder"), ("right_wrist", "right_elbow"),
)  # yapf: disable


def other_side(name: str) -> str:
    """The name of a joint's mirror image: `left_` and `right_` exchanged."""
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


def _body() -> Skeleton:
    joints = tuple(joint for joint, _ in _TREE)
    return Skeleton(name="body", joints=joints,
                    parents=tuple(joints.index(parent) if parent else -1 for _, parent in _TREE),
                    mirror=tuple(joints.index(other_side(joint)) for joint in joints))


BODY = _body()

# Bones of an adult as shares of the stature, by the bone's child: hip, knee, ankle, shoulder, elbow and wrist after
# Drillis and Contini (1966; in Winter 2009, "Biomechanics and Motor Control of Human Movement", figure 4.1), widths
# between joint centres instead of between surfaces; the trunk from the heights of hip (.530) and shoulder (.818), cut
# at 42 % from above as in the mocap; ears at .925, a little before the shoulders.
ADULT = {
    "hip": .050, "knee": .245, "ankle": .246, "spine": .167, "thorax": .121, "head": .110, "head_top": .076,
    "shoulder": .107, "elbow": .186, "wrist": .146,
}  # yapf: disable
STATURE = 1.70  # metres

# What the tests hold every source of motion against: lengths as multiples of ADULT at the stature that the legs tell.
# The skeletons of the mocap are far from an adult's: the upper arms of one have .68, the forearms of the other .76.
SANE = (.65, 1.15)


def adult_lengths(stature: float = STATURE) -> np.ndarray:
    """`(16,)` float32: lengths in metres of the bones of `BODY`, in their order, of an adult of that stature."""
    names = (BODY.joints[child].removeprefix("left_").removeprefix("right_") for _, child in BODY.bones)
    return np.array([ADULT[name] * stature for name in names], np.float32)
