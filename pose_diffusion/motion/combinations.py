"""From one set of points to another by linear combinations, as data.

Each row makes one point of the target out of points of the source with weights that sum to 1, so that it moves with
them wherever they go and the same row holds in 3D and (very nearly, see `combine`) in the image. Rows that follow from
a definition are *measured*; rows that suppose something about a body, such as how long a head is, are *guessed*.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pose_diffusion.motion.skeletons import BODY

Rows = Mapping[str, Mapping[str, float]]

SIDES = ("left", "right")
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")

COCO_17 = ("nose", "left_eye", "right_eye", "left_ear", "right_ear",
           *(f"{side}_{limb}" for limb in LIMBS for side in SIDES))
HUMAN36M_17 = ("Hip", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax", "Neck/Nose", "Head",
               "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist")
MEDIAPIPE_33 = (
    "NOSE", "LEFT_EYE_INNER", "LEFT_EYE", "LEFT_EYE_OUTER", "RIGHT_EYE_INNER", "RIGHT_EYE", "RIGHT_EYE_OUTER",
    "LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT", "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW",
    "RIGHT_ELBOW", "LEFT_WRIST", "RIGHT_WRIST", "LEFT_PINKY", "RIGHT_PINKY", "LEFT_INDEX", "RIGHT_INDEX",
    "LEFT_THUMB", "RIGHT_THUMB", "LEFT_HIP", "RIGHT_HIP", "LEFT_KNEE", "RIGHT_KNEE", "LEFT_ANKLE", "RIGHT_ANKLE",
    "LEFT_HEEL", "RIGHT_HEEL", "LEFT_FOOT_INDEX", "RIGHT_FOOT_INDEX",
)  # yapf: disable
OPENPOSE_25 = ("Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip",
               "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe",
               "LHeel", "RBigToe", "RSmallToe", "RHeel")
OPENPOSE_135 = ("Nose", "LEye", "REye", "LEar", "REar",
                *(f"{side}{limb.capitalize()}" for limb in LIMBS for side in "LR"), "UpperNeck", "HeadTop", "LBigToe",
                "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel")
WHOLEBODY_BODY = (*COCO_17, "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
                  "right_heel")
ALPHAPOSE_BODY = (*COCO_17, "head_top", "neck", "pelvis", "left_big_toe", "right_big_toe", "left_small_toe",
                  "right_small_toe", "left_heel", "right_heel")

# How far above the ears the head ends, as a multiple of the way from shoulders to ears (skeletons.ADULT), and where the
# spine's middle joint is between shoulders (0) and hips (1) in the mocap.
HEAD_ABOVE = .7
SPINE_AT = .42


@dataclass(frozen=True)
class Combination:
    """The points of a target, each a linear combination of the points of a source.

    Attributes
    ----------
    source, target : tuple of str
        S and K points.
    weights : np.ndarray
        `(K, S)` float64; a row sums to 1, or is all 0 where the source cannot tell the point.
    measured : np.ndarray
        `(K,)` bool: the row is a definition, not a guess about bodies. False where there is none.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: np.ndarray
    measured: np.ndarray

    @property
    def available(self) -> np.ndarray:
        """`(K,)` bool: the target points that the source can tell."""
        return self.weights.any(axis=1)


def combine(combination: Combination, points: np.ndarray, confidence: np.ndarray | None = None
            ) -> tuple[np.ndarray, np.ndarray]:
    """Make the target's points.

    Of points in an image it makes, strictly, not the image of the combination: the middle of two hips of which one is
    .2 m farther from a camera 3 m away is off by 3 mm, far below what a detector can tell.

    Parameters
    ----------
    combination : Combination
        From what to what.
    points : np.ndarray
        `(..., S, D)` in any unit; anything, NaN too, where the confidence is 0.
    confidence : np.ndarray, optional
        `(..., S)`, 0 where a point is missing. Without it, all points are there.

    Returns
    -------
    tuple of np.ndarray
        `(..., K, D)`, 0 where it cannot be told, and its confidence `(..., K)`: that of the least sure point it is made
        of.
    """
    if confidence is None:
        confidence = np.ones(points.shape[:-1], np.float32)
    used = combination.weights != 0
    least = np.where(used, confidence[..., None, :], np.inf).min(axis=-1)
    least = np.where(combination.available, least, 0)
    out = combination.weights @ np.where(confidence[..., None] > 0, points, 0)
    return (np.where(least[..., None] > 0, out, 0).astype(points.dtype), least.astype(confidence.dtype))


def of_rows(source: Sequence[str], target: Sequence[str], rows: Rows, guessed: Rows | None = None) -> Combination:
    """A combination from its rows by name.

    Raises
    ------
    ValueError
        If a name is neither in the source nor the target, or a row's weights do not sum to 1.
    """
    weights, measured = np.zeros((len(target), len(source))), np.zeros(len(target), bool)
    for some, known in ((guessed or {}, False), (rows, True)):
        for point, parts in some.items():
            if point not in target or (missing := set(parts) - set(source)):
                raise ValueError(f"the row of {point!r} names points that are not there"
                                 f"{': ' + ', '.join(sorted(missing)) if point in target else ''}")
            if abs(sum(parts.values()) - 1) > 1e-9:
                raise ValueError(f"the weights of {point!r} sum to {sum(parts.values()):g}, not 1")
            i = target.index(point)
            weights[i], measured[i] = [parts.get(name, 0) for name in source], known
    return Combination(tuple(source), tuple(target), weights, measured)


def _middle(left: str, right: str) -> dict[str, float]:
    return {left: .5, right: .5}


def _detected(source: Sequence[str], name: Mapping[str, str], head_top: str = "") -> Combination:
    """From a detector's points to `BODY`; `name` tells what it calls the limbs' joints and the ears."""
    rows = {f"{side}_{limb}": {name[f"{side}_{limb}"]: 1.} for side in SIDES for limb in LIMBS}
    hips, shoulders, ears = (_middle(name[f"left_{end}"], name[f"right_{end}"]) for end in ("hip", "shoulder", "ear"))
    rows |= {"pelvis": hips, "thorax": shoulders, "head": ears}
    guessed = {
        "spine": _sum((SPINE_AT, hips), (1 - SPINE_AT, shoulders)),
        "head_top": _sum((1 + HEAD_ABOVE, ears), (-HEAD_ABOVE, shoulders)),
    }
    if head_top:
        rows["head_top"] = {head_top: 1.}
    return of_rows(source, BODY.joints, rows, guessed)


def _sum(*terms: tuple[float, Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for _, parts in terms for name in parts)
    return {name: sum(factor * parts.get(name, 0) for factor, parts in terms) for name in names}


_ENDS = [*LIMBS, "ear"]
_PLAIN = {f"{side}_{end}": f"{side}_{end}" for side in SIDES for end in _ENDS}
_CAPITALS = {name: name.upper() for name in _PLAIN}
_SHORT = {f"{side}_{end}": f"{side[0].upper()}{end.capitalize()}" for side in SIDES for end in _ENDS}

FROM_COCO = _detected(COCO_17, _PLAIN)
FROM_WHOLEBODY = _detected(WHOLEBODY_BODY, _PLAIN)
FROM_ALPHAPOSE = _detected(ALPHAPOSE_BODY, _PLAIN, "head_top")
FROM_MEDIAPIPE = _detected(MEDIAPIPE_33, _CAPITALS)
FROM_OPENPOSE = _detected(OPENPOSE_25, _SHORT)
FROM_OPENPOSE_135 = _detected(OPENPOSE_135, _SHORT, "HeadTop")

# By the name of the component that holds the body in the headers of pose-format.
DETECTORS = {
    "POSE_LANDMARKS": FROM_MEDIAPIPE, "POSE_WORLD_LANDMARKS": FROM_MEDIAPIPE, "BODY": FROM_WHOLEBODY,
    "BODY_136": FROM_ALPHAPOSE, "pose_keypoints_2d": FROM_OPENPOSE, "BODY_135": FROM_OPENPOSE_135,
}  # yapf: disable

_H36M_LIMBS = {f"{side}_{limb}": f"{side[0].upper()}{'Foot' if limb == 'ankle' else limb.capitalize()}"
               for side in SIDES for limb in LIMBS}
# Human3.6M's joint between thorax and top of the head lies about as far below the ears as the top is above them.
FROM_HUMAN36M = of_rows(
    HUMAN36M_17, BODY.joints,
    {joint: {name: 1.} for joint, name in _H36M_LIMBS.items()}
    | {"pelvis": _middle("LHip", "RHip"), "thorax": _middle("LShoulder", "RShoulder"), "head_top": {"Head": 1.}},
    {"spine": {"Spine": 1.}, "head": _middle("Neck/Nose", "Head")})
TO_HUMAN36M = of_rows(
    BODY.joints, HUMAN36M_17,
    {name: {joint: 1.} for joint, name in _H36M_LIMBS.items()} | {"Hip": {"pelvis": 1.}, "Head": {"head_top": 1.}},
    {"Spine": {"spine": 1.}, "Thorax": {"thorax": 1.}, "Neck/Nose": {"head": 2., "head_top": -1.}})

# What detectors see of a body of 17 joints; eyes, ears and nose it cannot tell.
TO_COCO = of_rows(BODY.joints, COCO_17, {name: {name: 1.} for name in COCO_17[5:]})
TO_WHOLEBODY = of_rows(BODY.joints, WHOLEBODY_BODY, {name: {name: 1.} for name in COCO_17[5:]})
TO_MEDIAPIPE = of_rows(BODY.joints, MEDIAPIPE_33, {name.upper(): {name: 1.} for name in COCO_17[5:]})
TO_OPENPOSE = of_rows(BODY.joints, OPENPOSE_25, {_SHORT[name]: {name: 1.} for name in COCO_17[5:]}
                      | {"Neck": {"thorax": 1.}, "MidHip": {"pelvis": 1.}})
TO_OPENPOSE_135 = of_rows(BODY.joints, OPENPOSE_135, {_SHORT[name]: {name: 1.} for name in COCO_17[5:]}
                          | {"HeadTop": {"head_top": 1.}})
