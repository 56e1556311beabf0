# SPDX-License-Identifier: GPL-3.0-or-later
"""Joints and the keypoints of MediaPipe Holistic that they are."""
from __future__ import annotations

from collections.abc import Mapping

from .solver.skeleton import FINGERS, SIDES

BODY, FACE, WORLD = "POSE_LANDMARKS", "FACE_LANDMARKS", "POSE_WORLD_LANDMARKS"
HANDS = {"L": "LEFT_HAND_LANDMARKS", "R": "RIGHT_HAND_LANDMARKS"}
SIDE_WORDS = {"L": "LEFT", "R": "RIGHT"}

# The 128 points of the face's contours, as pairs (signer's right, signer's left) that mirror each other.
FACE_PAIRS = (
    (7, 249), (21, 251), (33, 263), (37, 267), (39, 269), (40, 270), (46, 276), (52, 282), (53, 283), (54, 284),
    (55, 285), (58, 288), (61, 291), (63, 293), (65, 295), (66, 296), (67, 297), (70, 300), (78, 308), (80, 310),
    (81, 311), (82, 312), (84, 314), (87, 317), (88, 318), (91, 321), (93, 323), (95, 324), (103, 332), (105, 334),
    (107, 336), (109, 338), (127, 356), (132, 361), (133, 362), (136, 365), (144, 373), (145, 374), (146, 375),
    (148, 377), (149, 378), (150, 379), (153, 380), (154, 381), (155, 382), (157, 384), (158, 385), (159, 386),
    (160, 387), (161, 388), (162, 389), (163, 390), (172, 397), (173, 398), (176, 400), (178, 402), (181, 405),
    (185, 409), (191, 415), (234, 454), (246, 466),
)  # yapf: disable
FACE_MIDLINE = (0, 10, 13, 14, 17, 152)
FACE_MIRROR = {point: other for pair in FACE_PAIRS for point, other in (pair, pair[::-1])}


def _points() -> dict[str, tuple[str, str]]:
    points = {"nose": (BODY, "NOSE")}
    for side, word in SIDE_WORDS.items():
        points |= {f"{joint}.{side}": (BODY, f"{word}_{joint.upper()}")
                   for joint in ("eye", "ear", "shoulder", "elbow", "wrist", "hip")}
        points[f"mouth.{side}"] = (BODY, f"MOUTH_{word}")
        points[f"hand.{side}"] = (HANDS[side], "WRIST")
        for finger in FINGERS:
            prefix = finger.upper() + ("_FINGER" if finger in ("index", "middle", "ring") else "")
            names = ("CMC", "MCP", "IP", "TIP") if finger == "thumb" else ("MCP", "PIP", "DIP", "TIP")
            points |= {f"{finger}.{i}.{side}": (HANDS[side], f"{prefix}_{name}") for i, name in enumerate(names, 1)}
    return points | {f"face.{i}": (FACE, str(i)) for i in sorted([*FACE_MIDLINE, *FACE_MIRROR])}


POINTS: Mapping[str, tuple[str, str]] = _points()
"""Joint -> (component, point)."""


def other_side(joint: str) -> str:
    """The joint's mirror image."""
    name, _, last = joint.rpartition(".")
    if name == "face":
        return f"face.{FACE_MIRROR.get(int(last), int(last))}"
    return f"{name}.{SIDES[1 - SIDES.index(last)]}" if last in SIDES else joint
