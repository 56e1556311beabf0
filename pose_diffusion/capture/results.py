"""MediaPipe's results as a Pose, without MediaPipe: only the names of their fields are looked at.

Three kinds of results are read: those of the legacy Solutions (Holistic, or Pose with Hands and Face Mesh, whose
landmark lists have a field `landmark`), those of a Tasks HolisticLandmarker (flat lists), and those of separate Tasks
landmarkers (a list of landmarks for each person, hand or face). The Pose is what pose-format's `load_holistic` makes
of the same landmarks, number by number.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

from pose_diffusion.layout import BODY, BODY_POINTS, FACE, HAND_POINTS, LEFT_HAND, RIGHT_HAND, WORLD

FIELDS = {BODY: "pose_landmarks", FACE: "face_landmarks", LEFT_HAND: "left_hand_landmarks",
          RIGHT_HAND: "right_hand_landmarks", WORLD: "pose_world_landmarks"}
HANDS, WRISTS = (LEFT_HAND, RIGHT_HAND), (BODY_POINTS.index("LEFT_WRIST"), BODY_POINTS.index("RIGHT_WRIST"))
SHOULDERS = [BODY_POINTS.index("LEFT_SHOULDER"), BODY_POINTS.index("RIGHT_SHOULDER")]
PLAIN_FACE, REFINED_FACE = 468, 478
SIZES = {FIELDS[BODY]: (33,), FIELDS[WORLD]: (33,), FIELDS[FACE]: (PLAIN_FACE, REFINED_FACE)}  # hands: 21
MAX_SIZE = 65535  # pixels: a .pose file stores 16 bits
# MediaPipe's hand is off the wrist of its body by .05 shoulder widths (median of 600 clips; 95 %: .13, 99 %: .7).
NEAR = 0.75
KNOWN = {*FIELDS.values(), "hand_landmarks", "multi_hand_landmarks", "multi_face_landmarks"}

Parts = dict[str, np.ndarray]  # component -> (N, 4): x, y, z as MediaPipe gives them, and the confidence


@dataclass(frozen=True)
class Landmark:
    """One point, with the fields of MediaPipe's NormalizedLandmark.

    Attributes
    ----------
    x, y : float
        As a share of the image's width and height; of a world landmark, metres.
    z : float
        As MediaPipe gives it (see `clip.py`).
    visibility : float
        Confidence, 0 to 1: here also of hands and face, where MediaPipe leaves it out.
    """

    x: float
    y: float
    z: float
    visibility: float

    def HasField(self, name: str) -> bool:
        """Whether there is such a value; asked by MediaPipe's drawing functions."""
        return name in ("x", "y", "z", "visibility")


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The points of a part, as MediaPipe's NormalizedLandmarkList.

    Attributes
    ----------
    points : np.ndarray
        `(N, 4)`: x, y, z, visibility.
    """

    points: np.ndarray

    @cached_property
    def landmark(self) -> list[Landmark]:
        """The same as objects, made when asked for."""
        return [Landmark(*point) for point in self.points.tolist()]


@dataclass(frozen=True, eq=False)
class Results:
    """One frame with the field names of a legacy Holistic result; None where a part is missing."""

    pose_landmarks: Landmarks | None = None
    face_landmarks: Landmarks | None = None
    left_hand_landmarks: Landmarks | None = None
    right_hand_landmarks: Landmarks | None = None
    pose_world_landmarks: Landmarks | None = None

    @classmethod
    def of(cls, parts: Parts) -> Results:
        """From what `read_parts` gives."""
        return cls(**{FIELDS[name]: Landmarks(points) for name, points in parts.items()})


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "holistic_header.json").read_text(encoding="utf-8"))


def holistic_header(width: int, height: int, *, depth: int = 0, refined_face: bool = False,
                    limbs: bool = True) -> PoseHeader:
    """The header that pose-format's `load_holistic` writes, without MediaPipe.

    Parameters
    ----------
    width, height, depth : int
        Of the image, pixels.
    refined_face : bool
        478 face points (with irises, 586 in all) instead of 468 (576).
    limbs : bool
        With the lines to draw. There are 2600, which take milliseconds.

    Returns
    -------
    PoseHeader
        A new one, that nothing else shares.
    """
    for name, size in (("width", width), ("height", height)):
        if not 0 < size <= MAX_SIZE:
            raise ValueError(f"the image's {name} is {size}: give it in pixels, from 1 to {MAX_SIZE}")
    schema = _schema()
    face, points = schema["face"], [str(i) for i in range(REFINED_FACE if refined_face else PLAIN_FACE)]
    mesh = {"points": points, "colors": face["colors"],
            "limbs": face["limbs"] + (face["iris_limbs"] if refined_face else [])}
    kinds = {BODY: schema["body"], FACE: mesh, LEFT_HAND: schema["hand"], RIGHT_HAND: schema["hand"],
             WORLD: schema["body"]}
    components = [PoseHeaderComponent(name, list(kind["points"]), [(a, b) for a, b in kind["limbs"] if limbs],
                                      [tuple(c) for c in kind["colors"]], "XYZC") for name, kind in kinds.items()]
    return PoseHeader(0.2, PoseHeaderDimensions(width, height, depth), components)


def pose_from_results(results: Iterable[Any], fps: float, width: int, height: int, *, depth: int = 0,
                      refined_face: bool | None = None) -> Pose:
    """MediaPipe's results, frame by frame, as a Pose.

    Parameters
    ----------
    results : iterable
        One entry a frame, in order: a legacy Holistic result; a Tasks HolisticLandmarkerResult; a tuple of the results
        of separate landmarkers of the same frame in any order (PoseLandmarkerResult and HandLandmarkerResult, with or
        without a FaceLandmarkerResult; or the legacy Pose, Hands and Face Mesh); what `RefinedHolistic` returns; or
        None for a frame without a result. Kinds can be mixed.
    fps : float
        Frames per second.
    width, height, depth : int
        Of the image, pixels.
    refined_face : bool, optional
        Whether the face has 478 points (with irises) or 468. By default as the first face found.

    Returns
    -------
    Pose
        `(T, 1, 576 or 586, 3)` in pixels, z as MediaPipe gives it, with the header of `load_holistic`. Confidence is
        the visibility of body points (1 where a result has none) and 1 for those of hands and face; 0 where a part was
        not found or a coordinate is not finite. World landmarks of hands, blend shapes and masks are left out; of
        several people the first is taken, as pose-format does.

    Raises
    ------
    ValueError
        If there are no frames, the frame rate or size is none, or an entry is not a result of MediaPipe.

    Notes
    -----
    Hands of a separate hand landmarker go to the nearer wrist of the body, each side at most one, up to `NEAR` (0.75)
    shoulder widths. Where that does not settle it (no body, or a hand near neither wrist) their handedness label does,
    if that side is free. It is right for Tasks results; the legacy Hands give it for a mirrored image, so that it is
    exchanged here.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"the frame rate is {fps} frames per second: give the video's rate")
    holistic_header(width, height)  # checks the size before the results are asked for, which can take long
    frames = []
    for i, result in enumerate(results):
        try:
            frames.append(read_parts(result, width / height))
        except ValueError as error:
            raise ValueError(f"frame {i}: {error}") from error
    if not frames:
        raise ValueError("there are no results: give at least one frame")
    if refined_face is None:
        refined_face = any(len(parts.get(FACE, ())) == REFINED_FACE for parts in frames)
    header = holistic_header(width, height, depth=depth, refined_face=refined_face)
    data, confidence = to_arrays(frames, header)
    return Pose(header, NumPyPoseBody(fps, data[:, None], confidence[:, None]))


def to_arrays(frames: Sequence[Parts], header: PoseHeader) -> tuple[np.ndarray, np.ndarray]:
    """Frames as `(T, P, 3)` float64 as a Pose holds them, and their confidence `(T, P)`.

    Parameters
    ----------
    frames : sequence of Parts
        Of `read_parts`.
    header : PoseHeader
        Of `holistic_header`.
    """
    points = np.zeros((len(frames), header.total_points(), 4))
    start = 0
    for component in header.components:
        size = len(component.points)
        for frame, parts in zip(points, frames):
            if component.name in parts:
                found = parts[component.name][:size]
                frame[start:start + len(found)] = found
        start += size
    points[~np.isfinite(points).all(-1)] = 0
    return points[..., :3] * [header.dimensions.width, header.dimensions.height, 1], points[..., 3]


def read_parts(result: Any, aspect: float) -> Parts:
    """The parts found in one frame.

    Parameters
    ----------
    result : object
        As an entry of `pose_from_results`.
    aspect : float
        The image's width over its height.

    Returns
    -------
    dict of str to np.ndarray
        By component `(N, 4)` float64: x, y, z as MediaPipe gives them, and the confidence.

    Raises
    ------
    ValueError
        If it is not a result of MediaPipe, or a part has not the points it should.
    """
    parts: Parts = {}
    hands: list[tuple[np.ndarray, str]] = []
    for single in _singles(result):
        for name, found in _found(single):
            if name in parts:
                raise ValueError(f"two results have {FIELDS[name]}: give one tuple of results for each frame")
            parts[name] = found
        hands += read_hands(single)
    free = [side for side in HANDS if side not in parts]
    if hands and free:
        sides = assign([hand for hand, _ in hands], [label for _, label in hands], parts.get(BODY), aspect, free)
        parts.update({side: hands[i][0] for side, i in sides.items()})
    return parts


def _singles(result: Any) -> Iterator[Any]:
    """The results that one frame consists of."""
    if result is None:
        return
    if any(hasattr(result, field) for field in KNOWN):
        yield result
    elif isinstance(result, (tuple, list)):
        for part in result:
            yield from _singles(part)
    else:
        raise ValueError(f"a {type(result).__name__} is not a result of MediaPipe: give what process() or detect() of "
                         "Holistic, HolisticLandmarker, PoseLandmarker or HandLandmarker returned")


def _found(single: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The parts with a name that one result has."""
    for name, field in FIELDS.items():
        value = getattr(single, field, None)
        if name == FACE and value is None:
            value = getattr(single, "multi_face_landmarks", None)  # of the legacy Face Mesh
        if (points := read_landmarks(value, field, sure=name not in (BODY, WORLD))) is not None:
            yield name, points


def read_landmarks(value: Any, field: str, sure: bool = True) -> np.ndarray | None:
    """`(N, 4)`, of the first person of several; None where there is nothing. `sure`: visibility does not count."""
    if isinstance(value, Landmarks):
        return value.points
    if (points := getattr(value, "landmark", value)) is None:
        return None
    try:
        points = list(points)
        if not points:
            return None
        if isinstance(points[0], (list, tuple, Landmarks)) or hasattr(points[0], "landmark"):
            return read_landmarks(points[0], field, sure)
        array = np.array([(p.x, p.y, p.z or 0.0, 1.0 if sure else _visibility(p)) for p in points], dtype=float)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{field} holds something that is no landmark ({error}): give MediaPipe's results as they "
                         "are") from error
    if len(array) not in (sizes := SIZES.get(field, (len(HAND_POINTS),))):
        raise ValueError(f"{field} has {len(array)} points, not {' or '.join(map(str, sizes))}: only whole parts of "
                         "MediaPipe can be read")
    return array


def _visibility(point: Any) -> float:
    """A landmark's visibility, 1 where it has none (a protobuf then says 0)."""
    value = getattr(point, "visibility", None)
    if value is None or (value == 0 and hasattr(point, "HasField") and not point.HasField("visibility")):
        return 1.0
    return value


def read_hands(single: Any) -> Iterator[tuple[np.ndarray, str]]:
    """The hands of a hand landmarker, and the side, `left` or `right`, that their label says; else an empty text."""
    for field, labels, mirrored in (("hand_landmarks", "handedness", False),
                                    ("multi_hand_landmarks", "multi_handedness", True)):
        names = [_label(item) for item in getattr(single, labels, None) or ()]
        for i, hand in enumerate(getattr(single, field, None) or ()):
            if (points := read_landmarks(hand, field)) is None:
                continue
            label = names[i] if i < len(names) else ""
            yield points, {"left": "right", "right": "left"}.get(label, "") if mirrored else label


def _label(handedness: Any) -> str:
    """A list of Tasks categories, or a legacy ClassificationList, as `left`, `right` or nothing."""
    best = next(iter(getattr(handedness, "classification", handedness)), None)
    text = str(getattr(best, "category_name", None) or getattr(best, "label", None) or "").lower()
    return text if text in ("left", "right") else ""


def assign(hands: Sequence[np.ndarray], labels: Sequence[str], body: np.ndarray | None, aspect: float,
           free: Sequence[str] = HANDS, near: float = NEAR) -> dict[str, int]:
    """Which hand is of which side.

    Parameters
    ----------
    hands : sequence of np.ndarray
        `(21, >=2)` each, shares of the image.
    labels : sequence of str
        The side each is said to be of, `left` or `right`, or an empty text.
    body : np.ndarray, optional
        `(33, 4)`.
    aspect : float
        The image's width over its height.
    free : sequence of str
        The components that want a hand.
    near : float
        Shoulder widths between a hand's wrist and the body's, at most. Beyond that, the label counts.

    Returns
    -------
    dict of str to int
        The chosen hand of each side that got one: as many sides as possible, then at the smallest distance in all.
    """
    distance = np.full((2, len(hands)), np.inf)
    if body is not None:
        distance = wrist_distances(hands, body, aspect)
    sides = [i for i, name in enumerate(HANDS) if name in free]
    best: tuple[float, dict[str, int]] = (0.0, {})
    for chosen in permutations([*range(len(hands)), *[-1] * len(sides)], len(sides)):
        pairs = [(side, hand) for side, hand in zip(sides, chosen) if hand >= 0]
        if any(not distance[pair] <= near for pair in pairs):
            continue
        gain = sum(2 * near - distance[pair] for pair in pairs)  # another side is worth more than any distance
        if gain > best[0]:
            best = float(gain), {HANDS[side]: hand for side, hand in pairs}
    out = best[1]
    for i, label in enumerate(labels):
        side = {"left": LEFT_HAND, "right": RIGHT_HAND}.get(label, "")
        if i not in out.values() and side in free and side not in out:
            out[side] = i
    return out


def wrist_distances(hands: Sequence[np.ndarray], body: np.ndarray, aspect: float) -> np.ndarray:
    """`(2, N)`: how far hands are from the left and the right wrist of the body, in shoulder widths."""
    unit = [aspect, 1]
    width = np.linalg.norm((body[SHOULDERS[0], :2] - body[SHOULDERS[1], :2]) * unit)
    at = np.array([hand[0, :2] for hand in hands]).reshape(-1, 2)
    gap = np.linalg.norm((body[list(WRISTS), None, :2] - at) * unit, axis=-1)
    return gap / width if width > 0 else np.full(gap.shape, np.inf)
