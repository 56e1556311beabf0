# SPDX-License-Identifier: GPL-3.0-or-later
"""The signer's hand: what is read. Seen from afar, each finger, its joints, and palm or back are to be told apart.

Lengths are mm in the hand's axes: along it, towards the thumb's side, towards its back.
"""
from __future__ import annotations

import numpy as np

from ..solver.skeleton import FINGERS
from .signer_bones import CARPALS, KNUCKLES, THUMB_PALMAR, finger_joints, left_hand
from .skin import Part, along, nearest_share, settled, smooth
from .surface import blend, cone, gradient, net

CELL = 4.5
RADII = {"thumb": (13, 11.6, 10.4, 8.6), "index": (11, 9.2, 8.1, 6.9), "middle": (11.2, 9.5, 8.3, 7.1),
         "ring": (10.8, 9.0, 7.9, 6.8), "pinky": (9.6, 7.9, 7.0, 6.1)}  # at the three joints and the tip
BENDS = dict.fromkeys(FINGERS, (9, 6, 5)) | {"thumb": (12, 8, 6)}  # over which a joint bends, to either side
WEB = 7.0  # roundness between a finger and the palm
PALMAR = .1  # skin that looks at least so much to the palm's side begins to have the palm's colour
NAIL = 5  # rows and columns of a nail


def hand() -> Part:
    """The left hand, in metres where the signer's rest pose has it."""
    vertices, quads = net(_hand, (-58, -62, -46), (206, 112, 34), CELL)
    parts = np.stack([_palm(vertices), *(_finger(finger, vertices) for finger in FINGERS)], 1)
    owner = nearest_share(parts, 2.0)
    weights = {"hand.L": owner[:, 0]}
    for column, finger in enumerate(FINGERS, 1):
        joints = finger_joints(finger)
        root = np.array(CARPALS[finger], float) if finger in CARPALS else joints[0] - .5 * (joints[1] - joints[0])
        share = along(vertices, np.array([root, *joints]), BENDS[finger]) * owner[:, [column]]
        weights["hand.L"] = weights["hand.L"] + share[:, 0]
        for i in (1, 2, 3):
            weights[_bone(finger, i)] = share[:, i]
    cuff = np.clip((-vertices[:, 0] - 4) / 24, 0, 1)  # the wrist bends over the last part of the arm
    weights = {bone: share * (1 - cuff) for bone, share in weights.items()} | {"forearm.L": cuff}
    palmar = -gradient(_hand, vertices, 1.5)[:, 2]
    return Part(_placed(vertices), quads, ("Signer skin",), settled(weights, quads, 3),
                masks={"palm": smooth((palmar - PALMAR) / .5)})


def nails() -> list[Part]:
    """The left hand's nails: they tell the back of a finger from its inside."""
    return [_nail(finger) for finger in FINGERS]


def _bone(finger: str, number: int) -> str:
    return f"{'' if finger == 'thumb' else 'f_'}{finger}.0{number}.L"


def _placed(points: np.ndarray) -> np.ndarray:
    wrist, axes = left_hand()
    return wrist + points @ axes.T


def _finger(finger: str, points: np.ndarray) -> np.ndarray:
    """Distance from a finger: three cones, rounder at the joints."""
    joints, radii = finger_joints(finger), RADII[finger]
    end = joints[3] - joints[2]
    tip = joints[3] - end / np.linalg.norm(end) * radii[3]  # the skin ends where the bone does
    ends = [*joints[:3], tip]
    whole = cone(points, ends[0], ends[1], radii[0], radii[1] - .5)
    for i in (1, 2):
        whole = blend(whole, cone(points, ends[i], ends[i + 1], radii[i], radii[i + 1]), 2.0)
    return whole


def _palm(points: np.ndarray) -> np.ndarray:
    """Distance from the palm: wrist, metacarpals, the balls of the thumb and of the little finger."""
    whole = blend(cone(points, (-32, 9, 0), (12, 9, 0), 15.5, 18),
                  cone(points, (-32, -9, 0), (12, -9, 0), 15.5, 18), 10)
    for finger, knuckle in KNUCKLES.items():
        end = np.array(knuckle, float) - (2, 0, 1)
        whole = blend(whole, cone(points, CARPALS[finger], end, 13.5, RADII[finger][0] + 1), 9)
    thumb = finger_joints("thumb")
    whole = blend(whole, cone(points, (24, 12, -8), thumb[1] - .25 * (thumb[1] - thumb[0]), 17, 12), 10)
    whole = blend(whole, cone(points, (26, -18, -8), (60, -27, -7), 14.5, 12), 10)
    return blend(whole, cone(points, (50, 22, -9), (66, 30, -8), 8, 6), 12)  # the skin between thumb and index finger


def _hand(points: np.ndarray) -> np.ndarray:
    """Distance from the hand. Fingers are blended with the palm only: they must not grow together."""
    palm = _palm(points)
    whole = palm
    for finger in FINGERS:
        whole = np.minimum(whole, blend(palm, _finger(finger, points), WEB))
    return whole


def _nail(finger: str) -> Part:
    """A rounded plate on the back of a fingertip."""
    joints, radius = finger_joints(finger), RADII[finger][3]
    end = (joints[3] - joints[2]) / np.linalg.norm(joints[3] - joints[2])
    back = -np.array(THUMB_PALMAR) if finger == "thumb" else np.array([0, 0, 1.0])
    back = back - (back @ end) * end
    back = back / np.linalg.norm(back)
    across = np.cross(back, end)
    u, v = np.meshgrid(np.linspace(-1, 1, NAIL), np.linspace(-1, 1, NAIL))
    u, v = u * np.sqrt(1 - v * v / 2), v * np.sqrt(1 - u * u / 2)  # a square made round
    angle = u * .85
    middle = joints[3] - 1.15 * radius * end
    points = (middle + (v * .75 * radius)[..., None] * end + 1.05 * radius * (
        np.sin(angle)[..., None] * across + np.cos(angle)[..., None] * back)).reshape(-1, 3)

    def distance(at: np.ndarray) -> np.ndarray:
        return _finger(finger, at)

    for _ in range(4):
        points = points - (distance(points) - .45)[:, None] * gradient(distance, points, .1)
    row, column = np.divmod(np.arange((NAIL - 1) ** 2), NAIL - 1)
    first = row * NAIL + column
    quads = np.stack([first, first + 1, first + NAIL + 1, first + NAIL], 1)
    return Part(_placed(points), quads, ("Signer nail",), {_bone(finger, 3): np.ones(len(points))})
