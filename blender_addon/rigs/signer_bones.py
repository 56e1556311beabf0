# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the signer's bones are: an adult of 1.70 m that faces -y, arms slanting down, palms down.

Arms and fingers are slightly bent, so that every hinge has a plane. Turning about its x axis by a positive angle closes
a finger, bends an elbow or bows the back. Names are those of Rigify's metarig; arms are as long against the
shoulders' width as signers' in recordings, so that hands meet; the hand is 8 % larger than life.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..solver.skeleton import FINGERS

FORWARD = np.array([0.0, -1.0, 0.0])
ARM_SLANT = np.radians(42)  # below the horizontal
HAND_SCALE = 1.08
MIRROR = np.array([-1.0, 1.0, 1.0])

# In mm, of a left hand from its wrist: along the hand, towards the thumb's side, towards the back of the hand.
KNUCKLES = {"index": (88, 25, 2), "middle": (90, 3, 4), "ring": (85, -17, 2), "pinky": (77, -35, -3)}
CARPALS = {"index": (26, 12, 1), "middle": (27, 3, 2), "ring": (26, -7, 1), "pinky": (24, -16, -1)}
PHALANGES = {"index": (43, 26, 23), "middle": (46, 29, 25), "ring": (43, 27, 24), "pinky": (34, 21, 21)}
FAN = {"index": 7, "middle": 1, "ring": -5, "pinky": -12}  # degrees towards the thumb's side
BENT = (6, 10, 6)  # degrees that each joint of a finger is bent at rest
THUMB = ((20, 22, -7), (51, 51, -19), (78, 70, -27), (103, 82, -36))  # its three joints and its tip
THUMB_PALMAR = (.1, -.8, -.6)  # where the thumb's pad looks


@dataclass(frozen=True, eq=False)
class SignerBone:
    """A bone at rest: points in metres; `z` is about the direction of its z axis; `group` its bone collection."""

    name: str
    parent: str | None
    head: np.ndarray
    tail: np.ndarray
    z: np.ndarray
    group: str = "Body"


def _chain(names: str, parent: str | None, points: list[tuple[float, float, float]],
           z: np.ndarray, group: str = "Body") -> Iterator[SignerBone]:
    """Bones one after the other."""
    for name, head, tail in zip(names.split(), points, points[1:]):
        yield SignerBone(name, parent, np.array(head), np.array(tail), z, group)
        parent = name


def _middle() -> Iterator[SignerBone]:
    """The bones in the middle of the body."""
    yield SignerBone("root", None, np.zeros(3), np.array([0, .25, 0]), np.array([0, 0, 1.0]))
    yield from _chain("spine spine.001 spine.002 spine.003 spine.004 spine.005 spine.006", "root",
                      [(0, .025, .93), (0, .015, 1.05), (0, .010, 1.17), (0, .018, 1.29), (0, .024, 1.425),
                       (0, .012, 1.475), (0, .004, 1.525), (0, .004, 1.71)], FORWARD)


def _leg() -> Iterator[SignerBone]:
    """The left leg. A knee bends backwards, hence the other z."""
    yield from _chain("thigh.L shin.L", "spine", [(.092, .02, .91), (.098, .008, .49), (.1, .03, .085)], -FORWARD,
                      "Legs")
    yield from _chain("foot.L toe.L", "shin.L", [(.1, .03, .085), (.105, -.09, .022), (.107, -.155, .02)],
                      np.array([0, 0, 1.0]), "Legs")


def _arm() -> tuple[list[SignerBone], np.ndarray, np.ndarray]:
    """The left arm down to the wrist; the wrist; the hand's axes in columns: along, to the thumb, to the back."""
    along = np.array([np.cos(ARM_SLANT), 0, -np.sin(ARM_SLANT)])
    shoulder = np.array([.178, .02, 1.366])
    elbow = shoulder + .303 * np.array([along[0], .09, along[2]])
    wrist = elbow + .283 * np.array([along[0], -.12, along[2]])
    clavicle = np.array([.018, -.03, 1.395]), np.array([.152, .012, 1.378])
    bones = [SignerBone("shoulder.L", "spine.003", *clavicle, FORWARD),
             SignerBone("upper_arm.L", "shoulder.L", shoulder, elbow, FORWARD),
             SignerBone("forearm.L", "upper_arm.L", elbow, wrist, FORWARD)]
    across = FORWARD - (FORWARD @ along) * along
    return bones, wrist, np.stack([along, across, np.cross(across, along)], -1)


def finger_joints(finger: str) -> list[np.ndarray]:
    """The three joints and the tip of a left finger, in mm in the hand's axes."""
    if finger == "thumb":
        return [np.array(point, float) for point in THUMB]
    points, fan = [np.array(KNUCKLES[finger], float)], np.radians(FAN[finger])
    for length, bent in zip(PHALANGES[finger], np.radians(np.cumsum(BENT))):
        points.append(points[-1] + length * np.array([np.cos(bent) * np.cos(fan), np.cos(bent) * np.sin(fan),
                                                      -np.sin(bent)]))
    return points


def _hand(wrist: np.ndarray, axes: np.ndarray) -> Iterator[SignerBone]:
    """The left hand."""
    def at(point: tuple[float, float, float] | np.ndarray) -> np.ndarray:
        return wrist + axes @ np.asarray(point, float) * (HAND_SCALE / 1000)

    palmar = -axes[:, 2]
    group = "Left hand"
    yield SignerBone("hand.L", "forearm.L", wrist, at((55, 1, 1)), palmar, group)
    for number, finger in enumerate(FINGERS[1:], 1):
        yield SignerBone(f"palm.0{number}.L", "hand.L", at(CARPALS[finger]), at(KNUCKLES[finger]), palmar, group)
    for number, finger in enumerate(FINGERS):
        parent, prefix = ("palm.01.L", "thumb") if finger == "thumb" else (f"palm.0{number}.L", f"f_{finger}")
        joints = [at(point) for point in finger_joints(finger)]
        z = axes @ np.array(THUMB_PALMAR) if finger == "thumb" else palmar
        for i in range(3):
            name = f"{prefix}.0{i + 1}.L"
            yield SignerBone(name, parent, joints[i], joints[i + 1], z, group)
            parent = name


def _mirrored(bone: SignerBone) -> SignerBone:
    """The same bone on the right."""
    parent = bone.parent and (bone.parent[:-1] + "R" if bone.parent.endswith(".L") else bone.parent)
    return SignerBone(bone.name[:-1] + "R", parent, bone.head * MIRROR, bone.tail * MIRROR, bone.z * MIRROR,
                      bone.group.replace("Left", "Right"))


def left_hand() -> tuple[np.ndarray, np.ndarray]:
    """The left wrist `(3,)`, and the matrix `(3, 3)` from mm in the hand's axes to metres from there."""
    _, wrist, axes = _arm()
    return wrist, axes * (HAND_SCALE / 1000)


def signer_bones() -> tuple[SignerBone, ...]:
    """All bones, parents before their children."""
    arm, wrist, axes = _arm()
    left = [*_leg(), *arm, *_hand(wrist, axes)]
    return (*_middle(), *left, *(_mirrored(bone) for bone in left))


def bone_axes(bone: SignerBone) -> np.ndarray:
    """A bone's axes `(3, 3)` in columns: y from head to tail, z as near to `bone.z` as is square to it."""
    y = bone.tail - bone.head
    y = y / np.linalg.norm(y)
    z = bone.z - (bone.z @ y) * y
    z = z / np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z], -1)


BONES: Mapping[str, SignerBone] = {bone.name: bone for bone in signer_bones()}
