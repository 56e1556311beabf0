"""Keypoint layouts: which points a model knows, by component and point *name*, and how they hang together.

Only this file knows headers. A layout never holds an index into a header: `locate` finds its points in any header,
full, reduced, reordered or partial.
"""
from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pose_diffusion.motion.skeletons import BODY as SKELETON

if TYPE_CHECKING:
    from pose_format.pose_header import PoseHeader

BODY = "POSE_LANDMARKS"
FACE = "FACE_LANDMARKS"
LEFT_HAND = "LEFT_HAND_LANDMARKS"
RIGHT_HAND = "RIGHT_HAND_LANDMARKS"
WORLD = "POSE_WORLD_LANDMARKS"
JOINTS = "BODY_17"

BODY_POINTS = (
    "NOSE", "LEFT_EYE_INNER", "LEFT_EYE", "LEFT_EYE_OUTER", "RIGHT_EYE_INNER", "RIGHT_EYE", "RIGHT_EYE_OUTER",
    "LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT", "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW",
    "RIGHT_ELBOW", "LEFT_WRIST", "RIGHT_WRIST", "LEFT_PINKY", "RIGHT_PINKY", "LEFT_INDEX", "RIGHT_INDEX",
    "LEFT_THUMB", "RIGHT_THUMB", "LEFT_HIP", "RIGHT_HIP",
)  # yapf: disable
FINGERS = {
    "THUMB": ("THUMB_CMC", "THUMB_MCP", "THUMB_IP", "THUMB_TIP"),
    "INDEX": tuple(f"INDEX_FINGER_{joint}" for joint in ("MCP", "PIP", "DIP", "TIP")),
    "MIDDLE": tuple(f"MIDDLE_FINGER_{joint}" for joint in ("MCP", "PIP", "DIP", "TIP")),
    "RING": tuple(f"RING_FINGER_{joint}" for joint in ("MCP", "PIP", "DIP", "TIP")),
    "PINKY": tuple(f"PINKY_{joint}" for joint in ("MCP", "PIP", "DIP", "TIP")),
}
HAND_POINTS = ("WRIST", *(point for finger in FINGERS.values() for point in finger))

# The 128 points of MediaPipe's face contours, as the pairs (signer's right, signer's left) that mirror each other.
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
FACE_POINTS = tuple(str(i) for i in sorted([*FACE_MIDLINE, *(i for pair in FACE_PAIRS for i in pair)]))
FACE_ANCHOR = "10"  # the top of the forehead: it moves with the skull, not with the mouth


class UnknownSchemaError(ValueError):
    """The header is of a schema that no layout covers."""


@dataclass(frozen=True)
class Layout:
    """The ordered keypoints a model works on.

    Attributes
    ----------
    name : str
        Its name in a model's configuration.
    points : tuple of (str, str)
        `(component, point)` names, in order; K of them.
    parts : dict of str to slice
        Which points are the body, the hands and the face, if it has them. The slices cover all points in order.
    anchors : tuple of int
        For each point the index of the point it is taken relative to, or -1. A tree: hands hang on their wrist, the
        hand's wrist on the body's wrist, the face on its forehead, the forehead on the nose.
    bones : tuple of (int, int)
        Pairs whose distance is constant in 3D.
    mirror : tuple of int
        The index of each point's mirror image.
    """

    name: str
    points: tuple[tuple[str, str], ...]
    parts: dict[str, slice]
    anchors: tuple[int, ...]
    bones: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.points)

    def index(self, component: str, point: str) -> int:
        """The index of a point by its names."""
        return self._indices[component, point]

    @cached_property
    def _indices(self) -> dict[tuple[str, str], int]:
        return {name: i for i, name in enumerate(self.points)}

    @cached_property
    def to_features(self) -> np.ndarray:
        """`(K, K)` float32: features = to_features @ points; each point minus its anchor. Invertible."""
        matrix = np.eye(len(self), dtype=np.float32)
        for point, anchor in enumerate(self.anchors):
            if anchor >= 0:
                matrix[point, anchor] = -1
        return matrix

    @cached_property
    def from_features(self) -> np.ndarray:
        """`(K, K)` float32: the inverse of `to_features`: a point is the sum of the features on its way to the root."""
        return np.round(np.linalg.inv(self.to_features)).astype(np.float32)


def _holistic() -> Layout:
    points = tuple([(BODY, p) for p in BODY_POINTS] + [(LEFT_HAND, p) for p in HAND_POINTS] +
                   [(RIGHT_HAND, p) for p in HAND_POINTS] + [(FACE, p) for p in FACE_POINTS])
    index = {name: i for i, name in enumerate(points)}
    anchors: dict[tuple[str, str], tuple[str, str] | None] = {(BODY, p): None for p in BODY_POINTS}
    anchors |= {(BODY, p): (BODY, "NOSE") for p in BODY_POINTS if "EYE" in p or "EAR" in p or "MOUTH" in p}
    bones: list[tuple[tuple[str, str], tuple[str, str]]] = []
    for side, hand in (("LEFT", LEFT_HAND), ("RIGHT", RIGHT_HAND)):
        wrist = (BODY, f"{side}_WRIST")
        anchors |= {(BODY, f"{side}_{p}"): wrist for p in ("PINKY", "INDEX", "THUMB")}
        anchors |= {(hand, p): (hand, "WRIST") for p in HAND_POINTS[1:]} | {(hand, "WRIST"): wrist}
        bones += [((BODY, f"{side}_SHOULDER"), (BODY, f"{side}_ELBOW")), ((BODY, f"{side}_ELBOW"), wrist)]
        for finger in FINGERS.values():
            bones += [((hand, a), (hand, b)) for a, b in zip(("WRIST", *finger), finger)]
    bones.append(((BODY, "LEFT_SHOULDER"), (BODY, "RIGHT_SHOULDER")))
    anchors |= {(FACE, p): (FACE, FACE_ANCHOR) for p in FACE_POINTS} | {(FACE, FACE_ANCHOR): (BODY, "NOSE")}
    starts = np.cumsum([0, len(BODY_POINTS), len(HAND_POINTS), len(HAND_POINTS), len(FACE_POINTS)]).tolist()
    parts = {n: slice(a, b) for n, a, b in zip(("body", "left_hand", "right_hand", "face"), starts, starts[1:])}
    return Layout(name="holistic", points=points, parts=parts,
                  anchors=tuple(-1 if (a := anchors[p]) is None else index[a] for p in points),
                  bones=tuple((index[a], index[b]) for a, b in bones),
                  mirror=tuple(index[mirrored(*p)] for p in points))


def mirrored(component: str, point: str) -> tuple[str, str]:
    """The names of a Holistic point's mirror image."""
    if component == FACE:
        pairs = {str(a): str(b) for pair in FACE_PAIRS for a, b in (pair, pair[::-1])}
        return component, pairs.get(point, point)
    swap = {"LEFT": "RIGHT", "RIGHT": "LEFT"}

    def other(name: str) -> str:
        return "_".join(swap.get(word, word) for word in name.split("_"))

    return other(component), other(point)


def _body() -> Layout:
    """The joints of `motion.skeletons.BODY`, in metres from the pelvis: each hangs on its parent."""
    return Layout(name="body", points=tuple((JOINTS, joint) for joint in SKELETON.joints),
                  parts={"body": slice(0, len(SKELETON))}, anchors=SKELETON.parents, bones=SKELETON.bones,
                  mirror=SKELETON.mirror)


HOLISTIC = _holistic()
BODY_17 = _body()
LAYOUTS = {layout.name: layout for layout in (HOLISTIC, BODY_17)}


def locate(header: PoseHeader, layout: Layout) -> np.ndarray:
    """Find the layout's points in a header.

    Parameters
    ----------
    header : PoseHeader
        Any header; it is only read.
    layout : Layout
        What to look for.

    Returns
    -------
    np.ndarray
        `(K,)` int: the index of each layout point among the header's points, -1 where the header lacks it.

    Raises
    ------
    UnknownSchemaError
        If the header has none of the layout's points. The message names the components found.
    """
    position = header_positions(header)
    found = np.array([position.get(name, -1) for name in layout.points])
    if (found < 0).all():
        names = ", ".join(c.name for c in header.components) or "none"
        wanted = ", ".join(dict.fromkeys(component for component, _ in layout.points))
        raise UnknownSchemaError(f"unknown pose schema: the components are {names}; layout {layout.name!r} needs some "
                                 f"of {wanted} (MediaPipe Holistic)")
    return found


def header_positions(header: PoseHeader) -> dict[tuple[str, str], int]:
    """`(component, point)` -> index among the header's points. The first of equal names wins."""
    positions: dict[tuple[str, str], int] = {}
    offset = 0
    for component in header.components:
        for i, point in enumerate(component.points):
            positions.setdefault((component.name, point), offset + i)
        offset += len(component.points)
    return positions


def copy_header(header: PoseHeader) -> PoseHeader:
    """A header that shares nothing with the other that could be changed; ten times faster than `copy.deepcopy`."""
    fresh = copy.copy(header)
    fresh.dimensions = copy.copy(header.dimensions)
    fresh.components = [copy.copy(component) for component in header.components]
    for component in fresh.components:
        component.points = list(component.points)
        component.limbs = [limb if isinstance(limb, tuple) else copy.copy(limb) for limb in component.limbs]
        component.colors = copy.deepcopy(component.colors)
        component.relative_limbs = list(component.relative_limbs)
    return fresh
