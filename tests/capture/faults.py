"""Poses with what captures get wrong about hands, and what became of them."""
from __future__ import annotations

from typing import Any

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.utils.generic import reduce_holistic

import pose_diffusion
from pose_diffusion.layout import BODY, LEFT_HAND, RIGHT_HAND, copy_header, header_positions
from tests.poses import constructed_pose, flat, part

SHOULDERS = 150.0  # pixels: the width of the constructed person's shoulders
OFF = {"duplicates": False, "hand_swap": False, "outliers": False, "plausibility": False, "wrists": False}
HANDS = (LEFT_HAND, RIGHT_HAND)


def correct(pose: Pose, *rules: str) -> Pose:
    """`correct_capture` with these rules only."""
    return pose_diffusion.correct_capture(pose, **{**OFF, **dict.fromkeys(rules, True)})


def signing(frames: int = 40, seed: int = 3, **settings: Any) -> Pose:
    """A constructed person whose hands sit exactly on their arms, which stay .6 shoulder widths apart, or more."""
    pose = constructed_pose(frames, seed=seed, **settings)
    data, positions = np.ma.getdata(pose.body.data).copy(), header_positions(pose.header)
    for person in range(data.shape[1]):
        left, right = (data[:, person, positions[BODY, f"{side}_WRIST"], 0] for side in ("LEFT", "RIGHT"))
        shift = max(0.0, .6 * SHOULDERS - (left - right).min()) / 2
        for side, hand, sign in (("LEFT", LEFT_HAND, 1), ("RIGHT", RIGHT_HAND, -1)):
            arm = [positions[BODY, f"{side}_{name}"] for name in ("ELBOW", "WRIST", "PINKY", "INDEX", "THUMB")]
            points = [*arm, *range(part(pose, hand).start, part(pose, hand).stop)]
            data[:, person, points, 0] += np.float32(sign * shift)
    return changed(pose, data)


def changed(pose: Pose, data: np.ndarray | None = None, confidence: np.ndarray | None = None) -> Pose:
    """A new pose with other values or confidence."""
    data = np.ma.getdata(pose.body.data).copy() if data is None else data
    confidence = pose.body.confidence.copy() if confidence is None else confidence
    return Pose(copy_header(pose.header), NumPyPoseBody(pose.body.fps, data, confidence))


def values(pose: Pose, component: str | None = None, person: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A person's data `(T, N, D)` and confidence `(T, N)`, of one component or all."""
    where = part(pose, component) if component else slice(None)
    return np.ma.getdata(pose.body.data)[:, person, where], pose.body.confidence[:, person, where]


def at(pose: Pose, component: str, point: str) -> int:
    """The index of a point."""
    return header_positions(pose.header)[component, point]


def swap(pose: Pose, frames: Any, person: int = 0) -> Pose:
    """The hands exchanged in some frames."""
    data, confidence = np.ma.getdata(pose.body.data).copy(), pose.body.confidence.copy()
    rows = np.arange(len(data))[frames]
    left, right = (np.arange(len(data[0, 0]))[part(pose, hand)] for hand in HANDS)
    for array in (data, confidence):
        own = array[:, person]
        a, b = np.ix_(rows, left), np.ix_(rows, right)
        own[a], own[b] = own[b], own[a]
    return changed(pose, data, confidence)


def move(pose: Pose, frames: Any, points: Any, by: tuple[float, float], person: int = 0) -> Pose:
    """Points moved in some frames, by shoulder widths of the constructed person."""
    data = np.ma.getdata(pose.body.data).copy()
    data[frames, person, points, :2] += np.array(by, np.float32) * np.float32(SHOULDERS)
    return changed(pose, data)


def copied(pose: Pose, frames: Any, source: str, target: str, noise: float = .01) -> Pose:
    """One hand reported as the other one, too, with a little noise (shoulder widths)."""
    data, confidence = np.ma.getdata(pose.body.data).copy(), pose.body.confidence.copy()
    shake = np.random.default_rng(0).normal(0, noise * SHOULDERS, (*data[frames, 0, part(pose, source), :2].shape,))
    data[frames, 0, part(pose, target)] = data[frames, 0, part(pose, source)]
    data[frames, 0, part(pose, target), :2] += shake.astype(np.float32)
    confidence[frames, 0, part(pose, target)] = confidence[frames, 0, part(pose, source)]
    return changed(pose, data, confidence)


def headers(pose: Pose) -> dict[str, Pose]:
    """The same pose with headers of every kind."""
    return {
        "full": pose, "reduced": reduce_holistic(pose), "flat": flat(pose),
        "reordered": pose.get_components([RIGHT_HAND, BODY, LEFT_HAND]),
        "partial": pose.get_components([BODY, LEFT_HAND, RIGHT_HAND], {RIGHT_HAND: ["WRIST", "THUMB_TIP"]}),
        "no wrists": pose.get_components([BODY, LEFT_HAND, RIGHT_HAND], {BODY: ["LEFT_SHOULDER", "RIGHT_SHOULDER"]}),
        "no hands": pose.get_components([BODY]), "hands": pose.get_components([LEFT_HAND, RIGHT_HAND]),
        "one hand": pose.get_components([BODY, RIGHT_HAND]),
    }
