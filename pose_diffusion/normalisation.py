"""How one person of a Pose is centred and scaled: measured once over the whole pose, so that its chunks agree."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_diffusion.layout import BODY, FACE, LEFT_HAND, RIGHT_HAND, Layout

# Medians of the training data: how often a size fits into the shoulder width.
SHOULDERS_PER_HAND = 3.2  # from a hand's wrist to its middle knuckle
SHOULDERS_PER_FACE = 2.2  # from ear to ear on the face mesh, points 234 and 454
SHOULDERS_PER_BOX = 0.5  # the diagonal of all that was seen: a signing space is about two shoulder widths

# The z factors of MediaPipe Holistic. Body: the depth of its own world landmarks over that of its image landmarks is
# 0.26 shoulder widths per shoulder width (quartiles 0.24 and 0.28, correlation 0.97, 100 lexicon clips). Hands: the
# bone lengths of 12 sources vary least at 0.3 to 0.8, less than the truth since noise in z pulls the estimate down.
BODY_DEPTH, BODY_DEPTH_RANGE, BODY_DEPTH_WEIGHT = 0.3, (0.15, 1.5), 150.0
HAND_DEPTH, HAND_DEPTH_RANGE, HAND_DEPTH_WEIGHT = 0.75, (0.3, 1.5), 50.0

# What is measured is settled by a few thousand frames; a longer pose is read at even steps.
MEASURED_FRAMES = 4096


@dataclass(frozen=True, eq=False)
class Normalisation:
    """From a person's pixels to shoulder widths and back.

    Attributes
    ----------
    origin : np.ndarray
        `(3,)` float64, pixels: the midpoint between the shoulders, median over time. z in x's pixels, after `depth`.
    scale : float
        Pixels per shoulder width.
    depth : float
        The factor that turns the body's z (in image widths, times the image's width) into pixels of x.
    hand_depth : float
        The same for the hands. MediaPipe estimates them with another network, whose z is less exaggerated.
    rest : np.ndarray
        `(3,)` float64, as stored: the z of the left hand's wrist, the right hand's wrist and the middle of the face.
        0 in MediaPipe's output, something else where a file was shifted.
    """

    origin: np.ndarray
    scale: float
    depth: float
    hand_depth: float
    rest: np.ndarray


def measuring_step(frames: int) -> int:
    """Every how many frames a pose is measured."""
    return max(1, -(-frames // MEASURED_FRAMES))


def measure_points(values: np.ndarray, seen: np.ndarray, width: float, layout: Layout) -> Normalisation:
    """Measure the normalisation of one person.

    Parameters
    ----------
    values : np.ndarray
        `(T, K, 3)` float64: x, y in pixels, z as MediaPipe gives it (fractions of `width`; each hand relative to its
        own wrist, the face to the head). 0 where not seen.
    seen : np.ndarray
        `(T, K)` bool.
    width : float
        The image's width in pixels, by which z is multiplied.
    layout : Layout
        The points' layout.

    Returns
    -------
    Normalisation
        Finite, with a positive scale, whatever was seen.
    """
    step = measuring_step(len(values))
    values, seen = values[::step], seen[::step]
    rest = _rest(values[..., 2], seen, layout)
    values = values * [1, 1, width]
    shoulders = [layout.index(BODY, "LEFT_SHOULDER"), layout.index(BODY, "RIGHT_SHOULDER")]
    both = seen[:, shoulders].all(1)
    scale = _scale(values, seen, layout)
    depth, hand_depth = _depths(values, seen, scale, layout)
    if both.any():
        origin = np.median(values[both][:, shoulders].mean(1), axis=0) * [1, 1, depth]
    elif seen.any():
        origin = np.append(np.median(values[seen][:, :2], axis=0), 0.0)
    else:
        origin = np.zeros(3)
    return Normalisation(origin, scale, depth, hand_depth, rest)


def _scale(values: np.ndarray, seen: np.ndarray, layout: Layout) -> float:
    """The shoulder width in pixels: the median in 2D, or from a hand, the face, the bounding box; never 0."""
    box = float(np.hypot(np.ptp(values[..., 0][seen]), np.ptp(values[..., 1][seen]))) if seen.any() else 0.0
    known = (
        ([((BODY, "LEFT_SHOULDER"), (BODY, "RIGHT_SHOULDER"))], 1.0),
        ([((hand, "WRIST"), (hand, "MIDDLE_FINGER_MCP")) for hand in (LEFT_HAND, RIGHT_HAND)], SHOULDERS_PER_HAND),
        ([((FACE, "234"), (FACE, "454"))], SHOULDERS_PER_FACE),
    )
    for pairs, factor in known:
        lengths = []
        for a, b in ((layout.index(*a), layout.index(*b)) for a, b in pairs):
            both = seen[:, a] & seen[:, b]
            lengths.append(np.hypot(*(values[both, a, :2] - values[both, b, :2]).T))
        if len(every := np.concatenate(lengths)) and (length := float(np.median(every))) * factor > 1e-3 * box:
            return length * factor
    return box * SHOULDERS_PER_BOX or 1.0


def _depths(values: np.ndarray, seen: np.ndarray, scale: float, layout: Layout) -> tuple[float, float]:
    """The z factors of the body and of the hands."""
    a, b = np.array(layout.bones).T
    both = seen[:, a] & seen[:, b]
    squared = np.square((values[:, a] - values[:, b]) / scale)
    across, along = np.where(both, squared[..., 0] + squared[..., 1], 0.0), np.where(both, squared[..., 2], 0.0)
    body = a < layout.parts["body"].stop
    return (_depth(across[:, body], along[:, body], both[:, body], BODY_DEPTH, BODY_DEPTH_RANGE, BODY_DEPTH_WEIGHT),
            _depth(across[:, ~body], along[:, ~body], both[:, ~body], HAND_DEPTH, HAND_DEPTH_RANGE, HAND_DEPTH_WEIGHT))


def _depth(across: np.ndarray, along: np.ndarray, seen: np.ndarray, usual: float, limits: tuple[float, float],
           weight: float) -> float:
    """The z factor c for which the bones' 3D lengths vary least over time.

    A bone's squared length is `across + c^2 along` (image plane, depth). Its variance over time, relative to its mean
    length, is quadratic in c^2, so the least squares solution is closed. Lengths beyond twice the bone's median are
    outliers of capture and left out. A clip of a second says little about c: the usual factor counts as much as
    `weight`, about what 100 frames of signing weigh.
    """
    if not seen.any():
        return usual
    length = across + usual**2 * along
    seen = seen & (length <= 4 * _median(length, seen))
    number = np.maximum(seen.sum(0), 1)

    def centred(x: np.ndarray) -> np.ndarray:
        return np.where(seen, x - (x * seen).sum(0) / number, 0.0)

    relative = np.maximum((length * seen).sum(0) / number, 1e-9)
    a, b = centred(across) / relative, centred(along) / relative
    square = (weight * usual**2 - (a * b).sum()) / (weight + (b * b).sum())
    return float(np.clip(np.sqrt(max(square, 0.0)), *limits))


def _median(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`(N,)`: the (lower) median over time of what was seen of `(T, N)`; inf where nothing was."""
    ordered = np.sort(np.where(seen, values, np.inf), axis=0)
    middle = np.maximum(seen.sum(0) - 1, 0) // 2
    return np.take_along_axis(ordered, middle[None], axis=0)[0]


def _rest(z: np.ndarray, seen: np.ndarray, layout: Layout) -> np.ndarray:
    """`(3,)`: the median z of both hands' wrists and of the face; what was never seen takes another's."""
    parts = [z[:, [i]][seen[:, [i]]] for i in (layout.index(LEFT_HAND, "WRIST"), layout.index(RIGHT_HAND, "WRIST"))]
    parts.append(z[:, layout.parts["face"]][seen[:, layout.parts["face"]]])
    found = [float(np.median(part)) if part.size else None for part in parts]
    left, right, face = found
    usual = next((value for value in (left, right, face, _hips(z, seen, layout)) if value is not None), 0.0)
    return np.array([usual if value is None else value for value in found])


def _hips(z: np.ndarray, seen: np.ndarray, layout: Layout) -> float | None:
    """The z between the hips, which is where MediaPipe's body has its zero."""
    hips = [layout.index(BODY, "LEFT_HIP"), layout.index(BODY, "RIGHT_HIP")]
    both = seen[:, hips].all(1)
    return float(np.median(z[both][:, hips].mean(1))) if both.any() else None
