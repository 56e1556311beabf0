"""Results as MediaPipe gives them, made of a Pose: no MediaPipe is needed."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from pose_format import Pose

from pose_diffusion.capture.results import FIELDS
from pose_diffusion.layout import BODY, FACE, LEFT_HAND, RIGHT_HAND, WORLD
from tests.poses import part


def solution_outputs(**parts: Any) -> Any:
    """As legacy Solutions return them: a class of named tuples, made for this frame, with values for attributes."""
    fields = [*FIELDS.values(), "segmentation_mask"]
    outputs = NamedTuple("SolutionOutputs", [(name, Any) for name in fields])  # type: ignore[misc]
    for name in fields:
        setattr(outputs, name, parts.get(name))
    return outputs


@dataclass
class NormalizedLandmark:
    """As in MediaPipe's Tasks."""

    x: float | None = None
    y: float | None = None
    z: float | None = None
    visibility: float | None = None
    presence: float | None = None


@dataclass
class Category:
    """As in MediaPipe's Tasks."""

    index: int
    score: float
    display_name: str
    category_name: str


def found(pose: Pose, frame: int) -> dict[str, list[NormalizedLandmark]]:
    """The parts of a frame that have confidence, by component."""
    size = pose.header.dimensions
    parts = {}
    for name in FIELDS:
        here = part(pose, name)
        sure = pose.body.confidence[frame, 0, here]
        if (sure > 0).any():
            points = np.ma.getdata(pose.body.data)[frame, 0, here].astype(float) / [size.width, size.height, 1]
            shown = sure if name in (BODY, WORLD) else np.zeros(len(sure))  # as MediaPipe leaves hands and face
            parts[name] = [NormalizedLandmark(x, y, z, visible) for (x, y, z), visible in zip(points.tolist(), shown)]
    return parts


def legacy(pose: Pose) -> Iterator[Any]:
    """Of `mp.solutions.holistic`, frame by frame."""
    for frame in range(len(pose.body.data)):
        yield solution_outputs(**{FIELDS[name]: SimpleNamespace(landmark=points)
                                  for name, points in found(pose, frame).items()})


def holistic_task(pose: Pose) -> Iterator[Any]:
    """Of a Tasks HolisticLandmarker: flat lists, empty where nothing was found."""
    for frame in range(len(pose.body.data)):
        parts = found(pose, frame)
        yield SimpleNamespace(**{field: parts.get(name, []) for name, field in FIELDS.items()},
                              left_hand_world_landmarks=[], right_hand_world_landmarks=[], face_blendshapes=None)


def separate_tasks(pose: Pose, labels: tuple[str, str] = ("Left", "Right"), swap: bool = False) -> Iterator[Any]:
    """Of a PoseLandmarker, a HandLandmarker and a FaceLandmarker; `labels` of the left and the right hand."""
    for frame in range(len(pose.body.data)):
        parts = found(pose, frame)
        hands = [(parts[name], label) for name, label in zip((LEFT_HAND, RIGHT_HAND), labels) if name in parts]
        hands = hands[::-1] if swap else hands
        pose_result = SimpleNamespace(pose_landmarks=[parts[BODY]] if BODY in parts else [],
                                      pose_world_landmarks=[parts[WORLD]] if WORLD in parts else [],
                                      segmentation_masks=None)
        hand_result = SimpleNamespace(hand_landmarks=[points for points, _ in hands], hand_world_landmarks=[],
                                      handedness=[[Category(0, .9, label, label)] for _, label in hands])
        face_result = SimpleNamespace(face_landmarks=[parts[FACE]] if FACE in parts else [], face_blendshapes=[])
        yield pose_result, hand_result, face_result


def separate_legacy(pose: Pose, labels: tuple[str, str] = ("Right", "Left")) -> Iterator[Any]:
    """Of `mp.solutions.pose`, `hands` and `face_mesh`; None where nothing was found. Labels are of a mirrored image."""
    def one(points: Any) -> Any:
        return SimpleNamespace(landmark=points)

    for frame in range(len(pose.body.data)):
        parts = found(pose, frame)
        hands = [(parts[name], label) for name, label in zip((LEFT_HAND, RIGHT_HAND), labels) if name in parts]
        named = [SimpleNamespace(classification=[SimpleNamespace(score=.9, label=label)]) for _, label in hands]
        yield (SimpleNamespace(pose_landmarks=one(parts[BODY]) if BODY in parts else None,
                               pose_world_landmarks=one(parts[WORLD]) if WORLD in parts else None),
               SimpleNamespace(multi_hand_landmarks=[one(points) for points, _ in hands] or None,
                               multi_handedness=named or None, multi_hand_world_landmarks=None),
               SimpleNamespace(multi_face_landmarks=[one(parts[FACE])] if FACE in parts else None))


class FakeHolistic:
    """A detector that knows beforehand what it will see. It starts again where there is no more."""

    def __init__(self, results: Sequence[Any]):
        self.results, self.images, self.resets, self.closed = results, 0, 0, 0

    def process(self, image: np.ndarray) -> Any:
        self.images += 1
        return self.results[(self.images - 1) % len(self.results)]

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed += 1
