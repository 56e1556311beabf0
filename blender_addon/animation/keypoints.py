# SPDX-License-Identifier: GPL-3.0-or-later
"""Keypoints of a posed skeleton, as MediaPipe Holistic would write them of a person seen from afar."""
from __future__ import annotations

import numpy as np

from ..errors import AddonError
from ..points import BODY, FACE, FACE_MIDLINE, FACE_MIRROR, HANDS, POINTS, SIDE_WORDS
from ..posefile import Component, PoseFile
from ..solver.body import BOW
from ..solver.skeleton import FINGERS, SIDES, Skeleton
from ..solver.upright import quarter_turn, reoriented

SIZE = 1000  # pixels, of the image's sides
SHOULDERS = 250.0  # pixels between them
MIDDLE = np.array([500.0, 350.0])  # pixels: where the shoulders' middle is
METRES = .36  # between the shoulders of the person whose head and hips these are
# Of a person that stands upright and looks along -y, in metres: medians of signers. Of the head from its joint, the
# left side's; of the hips from the pelvis. The mouth is farther back than the eyes by as much as the solver expects.
HEAD = {"NOSE": (0, -.11, .034), "EYE_INNER": (.015, -.085, .07), "EYE": (.032, -.085, .07),
        "EYE_OUTER": (.046, -.085, .07), "EAR": (.066, 0, .05), "MOUTH": (.021, -.085 + .076 * np.tan(BOW), -.006)}
HIP = (.113, 0, 0)
HAND_OF_BODY = {"PINKY": "pinky.1", "INDEX": "index.1", "THUMB": "thumb.2"}  # the joints that they are nearest to
LEGS = ("KNEE", "ANKLE", "HEEL", "FOOT_INDEX")


def _body_names() -> tuple[str, ...]:
    def both(*parts: str) -> list[str]:
        return [f"{word}_{part}" for part in parts for word in SIDE_WORDS.values()]

    eyes = [f"{word}_{part}" for word in SIDE_WORDS.values() for part in ("EYE_INNER", "EYE", "EYE_OUTER")]
    return ("NOSE", *eyes, *both("EAR"), "MOUTH_LEFT", "MOUTH_RIGHT",
            *both("SHOULDER", "ELBOW", "WRIST", *HAND_OF_BODY, "HIP", *LEGS))


def components(face: bool) -> tuple[Component, ...]:
    """The header: body, hands, and the face's contours if wanted."""
    hands = [Component(HANDS[side], tuple(name for component, name in POINTS.values() if component == HANDS[side]))
             for side in SIDES]
    contours = tuple(str(i) for i in sorted([*FACE_MIDLINE, *FACE_MIRROR]))
    return (Component(BODY, _body_names()), *([Component(FACE, contours)] if face else []), *hands)


def keypoints(skeleton: Skeleton, axes: np.ndarray, heads: np.ndarray, tails: np.ndarray, fps: float, *,
              face: bool = False) -> PoseFile:
    """Keypoints of a posed skeleton.

    Parameters
    ----------
    skeleton : Skeleton
        Its roles count; those that it lacks give points of confidence 0, as do the legs.
    axes, heads, tails : np.ndarray
        `(T, B, 3, 3)` and `(T, B, 3)`, of all bones in the armature's space.
    fps : float
        Frames per second.
    face : bool
        Whether the header has the face's contours too, with confidence 0: the model then fills them in.

    Returns
    -------
    PoseFile
        Of one person in 1000 x 1000 pixels, their shoulders 250 wide. z is in image widths: of the body from the
        middle of the hips, of a hand from its wrist. `Reading(depth=pose.width)` reads the same joints back.

    Raises
    ------
    AddonError
        If there is no left or right upper arm: they say how large the person is.
    """
    turn = quarter_turn(skeleton)
    skeleton = reoriented(skeleton, turn)
    points = _points(skeleton, turn @ axes, heads @ turn.T, tails @ turn.T)
    width, middle = _camera(skeleton, (points["LEFT_SHOULDER"] + points["RIGHT_SHOULDER"]) / 2)
    scale = SHOULDERS / width
    ground = (points["LEFT_HIP"] + points["RIGHT_HIP"])[:, 1] / 2 if "LEFT_HIP" in points else middle[1]
    header = components(face)
    data = np.zeros((len(axes), 1, sum(len(part.points) for part in header), 3), np.float32)
    seen = np.zeros(data.shape[:-1], np.float32)
    column = 0
    for part in header:
        root = points.get(f"{part.name} WRIST")
        for name in part.points:
            at = points.get(name if part.name == BODY else f"{part.name} {name}")
            if at is not None:
                depth = at[:, 1] - (ground if root is None else root[:, 1])
                data[:, 0, column, :2] = MIDDLE + scale * (at - middle)[:, [0, 2]] * [1, -1]
                data[:, 0, column, 2] = scale / SIZE * depth
                seen[:, 0, column] = 1
            column += 1
    return PoseFile(header, fps, data, seen, SIZE, SIZE)


def _camera(skeleton: Skeleton, shoulders: np.ndarray) -> tuple[float, np.ndarray]:
    """The width between the shoulders, and where their middle is `(3,)`: at rest, so that takes of one armature match.

    Where somebody has gone away from there, the camera follows to where they mostly are.
    """
    left, right = (skeleton.heads[skeleton.roles[f"upper_arm.{side}"]] for side in SIDES)
    width, rest = max(float(np.linalg.norm(left - right)), 1e-9), (left + right) / 2
    mostly = np.median(shoulders, axis=0)
    return width, rest if np.linalg.norm(mostly - rest) < width else mostly


def _points(skeleton: Skeleton, axes: np.ndarray, heads: np.ndarray, tails: np.ndarray) -> dict[str, np.ndarray]:
    """`(T, 3)` in the skeleton's axes: of the body by point, of a hand by component and point."""
    roles = skeleton.roles
    if lacking := [role for role in ("upper_arm.L", "upper_arm.R") if role not in roles]:
        raise AddonError(f"the list of bones has no {lacking[0]}: keypoints need both upper arms; match the bones "
                         "again")
    points: dict[str, np.ndarray] = {}
    for side, word in SIDE_WORDS.items():
        for name, role in (("SHOULDER", "upper_arm"), ("ELBOW", "forearm"), ("WRIST", "hand")):
            if f"{role}.{side}" in roles:
                points[f"{word}_{name}"] = heads[:, roles[f"{role}.{side}"]]
        joints = _fingers(skeleton, heads, tails, side)
        points |= {" ".join(POINTS[joint]): at for joint, at in joints.items()}
        points |= {f"{word}_{name}": joints[f"{joint}.{side}"] for name, joint in HAND_OF_BODY.items()
                   if f"{joint}.{side}" in joints}
    unit = np.linalg.norm(skeleton.heads[roles["upper_arm.L"]] - skeleton.heads[roles["upper_arm.R"]]) / METRES
    for role, parts in (("head", HEAD), ("hips", {"HIP": HIP})):
        if role in roles:
            bone = roles[role]
            turned = axes[:, bone] @ skeleton.rest[bone].T
            for name, offset in parts.items():
                points |= {full: heads[:, bone] + turned @ (unit * np.array(offset) * [sign, 1, 1])
                           for full, sign in _sided(name)}
    return points


def _sided(name: str) -> list[tuple[str, int]]:
    if name == "NOSE":
        return [(name, 1)]
    return [(f"MOUTH_{word}" if name == "MOUTH" else f"{word}_{name}", 1 if side == "L" else -1)
            for side, word in SIDE_WORDS.items()]


def _fingers(skeleton: Skeleton, heads: np.ndarray, tails: np.ndarray, side: str) -> dict[str, np.ndarray]:
    roles, joints = skeleton.roles, {}
    if f"hand.{side}" in roles:
        joints[f"hand.{side}"] = heads[:, roles[f"hand.{side}"]]
    for finger in FINGERS:
        for i in (1, 2, 3):
            bone = roles.get(f"{finger}.{i}.{side}")
            if bone is not None:
                joints[f"{finger}.{i}.{side}"] = heads[:, bone]
                joints[f"{finger}.{i + 1}.{side}"] = tails[:, bone]
    return joints
