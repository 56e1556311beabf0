# SPDX-License-Identifier: GPL-3.0-or-later
"""The joints that bones are made of, without gaps."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..tracks import Tracks
from . import gaps
from .skeleton import FINGERS, SIDES

# Joints hang on each other, so that a lost hand rides on its arm. A parent comes before what hangs on it.
HANGS_ON = {f"{joint}.{side}": f"{on}.{side}" for side in SIDES for joint, on in (
    ("elbow", "shoulder"), ("wrist", "elbow"), ("hand", "wrist"), ("knee", "hip"), ("ankle", "knee"),
    *((f"{finger}.{i}", "hand") for finger in FINGERS for i in (1, 2, 3, 4)))}
FACE_JOINTS = tuple(f"face.{i}" for i in (10, 152, 234, 454))
HEAD_JOINTS = ("nose", "eye.L", "eye.R", "ear.L", "ear.R", "mouth.L", "mouth.R")
TORSO_JOINTS = ("shoulder.L", "shoulder.R", "hip.L", "hip.R")
PARTS = {  # by which joints a part is known to be seen
    "body": tuple(f"{joint}.{side}" for side in SIDES for joint in ("shoulder", "elbow", "wrist")),
    "head": ("face.10", ), "left_hand": ("hand.L", ), "right_hand": ("hand.R", ), "face": ("face.10", )}
JOINTS = (*TORSO_JOINTS, *HANGS_ON, *FACE_JOINTS, *HEAD_JOINTS)


@dataclass(frozen=True, eq=False)
class Points:
    """What drives a skeleton.

    Attributes
    ----------
    fps : float
        Frames per second.
    at : mapping of str to np.ndarray
        `(T, 3)` metres of each joint that was seen at least once. Finite everywhere.
    seen : mapping of str to np.ndarray
        `(T,)` bool of the same joints.
    away : mapping of str to np.ndarray
        `(T,)` per side: 1 where a hand was not seen for so long that it is at rest, or never; softly 0 elsewhere.
    held : mapping of str to tuple
        Part to the spans in which it is held, or a joint of it; nothing of joints that were never seen.
    """

    fps: float
    at: Mapping[str, np.ndarray]
    seen: Mapping[str, np.ndarray]
    away: Mapping[str, np.ndarray]
    held: Mapping[str, gaps.Spans]

    @property
    def frames(self) -> int:
        """T."""
        return len(self.away["L"])

    def has(self, *joints: str) -> bool:
        """Whether all of them were seen, each at least once."""
        return all(joint in self.at for joint in joints)

    def middle(self, *joints: str) -> np.ndarray:
        """`(T, 3)`: the mean of joints."""
        return np.mean([self.at[joint] for joint in joints], axis=0)


def points(tracks: Tracks, smoothing: float, longest_gap: float) -> Points:
    """Smooth what was seen, close short gaps, hold in long ones.

    Parameters
    ----------
    tracks : Tracks
        Of T frames.
    smoothing : float
        Seconds: standard deviation of the weights.
    longest_gap : float
        Seconds: longer gaps are held.
    """
    fps, frames = tracks.fps, len(tracks.xyz)
    index = {joint: i for i, joint in enumerate(tracks.joints)}
    names = [joint for joint in JOINTS if joint in index and tracks.seen[:, index[joint]].any()]
    columns = [index[joint] for joint in names]
    seen = tracks.seen[:, columns]
    xyz = gaps.smooth(tracks.xyz[:, columns], seen, smoothing * fps)
    at = {joint: xyz[:, i] for i, joint in enumerate(names)}
    visible = {joint: seen[:, i] for i, joint in enumerate(names)}
    longest, ease = longest_gap * fps, gaps.EASE * fps
    held = {part: _held([visible[joint] for joint in joints if joint in visible], longest)
            for part, joints in PARTS.items()}
    away = {side: gaps.waiting(held[part], frames, ease) if f"hand.{side}" in at else np.ones(frames)
            for side, part in (("L", "left_hand"), ("R", "right_hand"))}
    return Points(fps, _closed(at, visible, longest, ease, away), visible, away, held)


def _held(seen: list[np.ndarray], longest: float) -> gaps.Spans:
    """The spans in which one of some joints was lost for more than `longest` frames."""
    if not seen:
        return ()
    lost = np.zeros(len(seen[0]), bool)
    for first, end in (span for joint in seen for span in gaps.spans(joint, longest)):
        lost[first:end] = True
    return gaps.spans(~lost, 0)


def _closed(at: dict[str, np.ndarray], seen: dict[str, np.ndarray], longest: float, ease: float,
            away: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Fill the gaps of each joint relative to the joint it hangs on, layer by layer."""
    whole: dict[str, np.ndarray] = {}
    todo = list(at)
    while todo:
        layer = [joint for joint in todo if HANGS_ON.get(joint) not in todo]
        todo = [joint for joint in todo if joint not in layer]
        ground = np.stack([whole.get(HANGS_ON.get(joint, ""), np.zeros_like(at[joint])) for joint in layer], 1)
        offset = gaps.fill(np.stack([at[joint] for joint in layer], 1) - ground,
                           np.stack([seen[joint] for joint in layer], 1), longest, ease)
        for i, joint in enumerate(layer):
            if joint.startswith("hand."):  # the hand's own wrist and the body's differ: no jump when the hand is lost
                offset[:, i] *= 1 - away[joint[-1]][:, None]
            whole[joint] = ground[:, i] + offset[:, i]
    return whole
