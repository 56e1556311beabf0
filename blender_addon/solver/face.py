# SPDX-License-Identifier: GPL-3.0-or-later
"""Facial shapes from the points of a face: jaw, mouth, lids and brows, by ARKit's names.

Everything is measured in the head's own frame, so that turning the head changes nothing, and in widths of the face.
What counts as 0 is found in the clip, since people differ more than expressions do, and is kept within what is usual,
since somebody may have the mouth open or the eyes closed all the time.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..tracks import Tracks
from .rotations import TINY, frame

RIGHT_EAR, LEFT_EAR, HAIRLINE, CHIN = 234, 454, 10, 152
EYE_CORNERS = (33, 133, 362, 263)  # they do not move with the expression
LIDS = {"Right": (159, 145, 33, 133), "Left": (386, 374, 263, 362)}  # upper, lower, outer corner, inner corner
MOUTH_CORNERS = {"Right": 61, "Left": 291}
UPPER_LIP, LOWER_LIP, LIPS = 13, 14, (0, 13, 14, 17)  # inner edges; the midline
INNER_BROW = {"Right": (107, 66), "Left": (336, 296)}
OUTER_BROW = {"Right": (105, 63, 70), "Left": (334, 293, 300)}
TOWARDS = {"Right": -1, "Left": 1}  # x of the head's frame
OTHER = {"Right": "Left", "Left": "Right"}

# At rest. Widths of the face, if nothing else is said.
LIPS_APART = .03  # at most
MOUTH_HALF = (.15, .21)  # from the midline to a corner
EYE_OPEN = (.24, .42)  # lids apart, in widths of the eye
EYE_CLOSED = (.25, .55)  # the same of a closed eye, in terms of the open one: MediaPipe's lids often stop half way
AROUND = .6  # seconds before and after in which the open eye is looked for: nodding opens and narrows MediaPipe's eyes
BROW_REST = 25  # percentile: brows are raised in more frames than they are lowered
# What is fully on, after what does not count.
JAW = .28
WIDE, NARROW = .25, .35  # change of a half mouth, in terms of itself
LIFT = .03  # of a corner of the mouth: less is a stretch, more a smile
RAISE, LOWER = .05, .05  # of a brow
JAW_STILL, WIDE_STILL, BROW_STILL, LID_STILL = .015, .04, .01, .12
WINK = .3, .7  # difference between the lids: below the first it is noise, from the second on a wink
BLINK = .3  # seconds
SMOOTHING = .03  # seconds: standard deviation. A blink takes .1 to .3


@dataclass(frozen=True, eq=False)
class _Face:
    """Points of a face in the head's frame, in face widths: x to the person's left, y up, z to the front."""

    fps: float
    at: dict[int, np.ndarray]  # point to (T, 3)
    seen: dict[int, np.ndarray]  # point to (T,) bool
    mirrored: bool  # the points numbered as the left ones are on the right

    def has(self, *points: int) -> bool:
        """All these were seen in one frame at least."""
        return all(p in self.at for p in points) and bool(np.all([self.seen[p] for p in points], axis=0).any())

    def curve(self, values: np.ndarray, *points: int) -> np.ndarray:
        """`(T,)` smoothed; frames in which one of the points is missing are interpolated."""
        seen = np.flatnonzero(np.all([self.seen[p] for p in points], axis=0))
        return _smoothed(np.interp(np.arange(len(values)), seen, values[seen]), SMOOTHING * self.fps)

    def x(self, points: Iterable[int]) -> np.ndarray:
        """`(T,)`: their mean."""
        return np.mean([self.at[p][:, 0] for p in points], axis=0)

    def y(self, points: Iterable[int]) -> np.ndarray:
        """`(T,)`: their mean."""
        return np.mean([self.at[p][:, 1] for p in points], axis=0)

    def numbered(self, side: str) -> str:
        """The side that the points on the person's `side` are numbered as."""
        return OTHER[side] if self.mirrored else side


def face_shapes(tracks: Tracks) -> dict[str, np.ndarray]:
    """How far each facial shape is on in each frame.

    Parameters
    ----------
    tracks : Tracks
        With points `face.N`; the 128 of MediaPipe's contour are enough.

    Returns
    -------
    dict of str to np.ndarray
        ARKit's name to `(T,)` float64 from 0 to 1; Left and Right are the person's. Frames without a face are
        interpolated, and held at both ends. A shape whose points the file lacks is left out; without a face all are.
    """
    face = _face(tracks)
    if face is None:
        return {}
    jaw = _jaw(face)
    shapes = {} if jaw is None else {"jawOpen": jaw}
    shapes |= _mouth(face, jaw)
    lids = _lids(face, "Left") | _lids(face, "Right")
    shapes |= _together(lids, round(BLINK * face.fps)) if len(lids) == 2 else lids
    shapes |= _brows(face)
    return shapes


def _face(tracks: Tracks) -> _Face | None:
    columns = {int(name[5:]): j for j, name in enumerate(tracks.joints) if name.startswith("face.")}
    skull = (RIGHT_EAR, LEFT_EAR, HAIRLINE, CHIN)
    if any(p not in columns for p in skull):
        return None
    right, left, top, bottom = (tracks.xyz[:, columns[p]] for p in skull)
    width, height = np.linalg.norm(left - right, axis=1), np.linalg.norm(top - bottom, axis=1)
    known = tracks.seen[:, [columns[p] for p in skull]].all(1) & (width > TINY) & (height > TINY)
    square = np.linalg.norm(np.cross(left - right, top - bottom), axis=1) > .1 * width * height
    known &= square
    if not known.any():
        return None
    mirrored = bool(np.median((left - right)[known, 0]) < 0)
    across = (right - left) if mirrored else (left - right)
    axes = np.tile(np.eye(3), (len(known), 1, 1))
    axes[known] = frame((top - bottom)[known], across[known])
    origin, width = (left + right) / 2, np.where(known, width, 1)
    at = {p: np.einsum("tij,ti->tj", axes, tracks.xyz[:, j] - origin) / width[:, None] for p, j in columns.items()}
    return _Face(tracks.fps, at, {p: tracks.seen[:, j] & known for p, j in columns.items()}, mirrored)


def _jaw(face: _Face) -> np.ndarray | None:
    if not face.has(UPPER_LIP, LOWER_LIP):
        return None
    apart = face.curve(face.y([UPPER_LIP]) - face.y([LOWER_LIP]), UPPER_LIP, LOWER_LIP)
    rest = min(float(np.percentile(apart, 10)), LIPS_APART)
    return _share(apart - rest, JAW_STILL, JAW)


def _mouth(face: _Face, jaw: np.ndarray | None) -> dict[str, np.ndarray]:
    """Smile, stretch; pucker (lips closed) and funnel (open)."""
    needed = (*MOUTH_CORNERS.values(), *LIPS, *EYE_CORNERS)
    if jaw is None or not face.has(*needed):
        return {}
    shapes, narrow = {}, []
    for side in ("Left", "Right"):
        corner = [MOUTH_CORNERS[face.numbered(side)]]
        half = face.curve(TOWARDS[side] * (face.x(corner) - face.x(LIPS)), *needed)
        rest = float(np.clip(np.median(half), *MOUTH_HALF))
        height = face.curve(face.y(corner) - face.y(EYE_CORNERS), *needed)
        lift = np.clip((height - np.median(height)) / LIFT, 0, 1)
        wide = _share(half / rest - 1, WIDE_STILL, WIDE)
        shapes[f"mouthSmile{side}"], shapes[f"mouthStretch{side}"] = wide * lift, wide * (1 - lift)
        narrow.append(1 - half / rest)
    round_lips = _share(np.mean(narrow, axis=0), WIDE_STILL, NARROW)
    opened = np.clip(4 * jaw, 0, 1)
    return shapes | {"mouthFunnel": round_lips * opened, "mouthPucker": round_lips * (1 - opened)}


def _lids(face: _Face, side: str) -> dict[str, np.ndarray]:
    needed = LIDS[face.numbered(side)]
    if not face.has(*needed):
        return {}
    upper, lower, outer, inner = (face.at[p] for p in needed)
    eye = np.linalg.norm(outer - inner, axis=1)
    apart = face.curve(np.linalg.norm(upper - lower, axis=1) / np.maximum(eye, TINY), *needed)
    opened = np.clip(_percentile_around(apart, 85, round(AROUND * face.fps)), *EYE_OPEN)
    closed = float(np.clip(np.percentile(apart / opened, 1), *EYE_CLOSED))
    return {f"eyeBlink{side}": _share(1 - apart / opened, LID_STILL, 1 - closed)}


def _together(lids: dict[str, np.ndarray], reach: int) -> dict[str, np.ndarray]:
    """Both lids of a blink: people blink with both eyes, and a model or a detector moves each for itself. What differs
    little in the frames up to `reach` before and after is taken for noise; a wink stays one.
    """
    left, right = lids["eyeBlinkLeft"], lids["eyeBlinkRight"]
    mean, apart = (left + right) / 2, (left - right) / 2
    apart = apart * _share(_percentile_around(2 * np.abs(apart), 100, reach), *WINK)
    return {"eyeBlinkLeft": np.clip(mean + apart, 0, 1), "eyeBlinkRight": np.clip(mean - apart, 0, 1)}


def _brows(face: _Face) -> dict[str, np.ndarray]:
    needed = {side: (*INNER_BROW[face.numbered(side)], *OUTER_BROW[face.numbered(side)]) for side in OTHER}
    if not all(face.has(*points, *EYE_CORNERS) for points in needed.values()):
        return {}
    shapes, inner_rises = {}, []
    for side, points in needed.items():
        inner, outer = (face.curve(face.y(brow[face.numbered(side)]) - face.y(EYE_CORNERS), *points, *EYE_CORNERS)
                        for brow in (INNER_BROW, OUTER_BROW))
        inner, outer = inner - np.percentile(inner, BROW_REST), outer - np.percentile(outer, BROW_REST)
        shapes[f"browOuterUp{side}"] = _share(outer, BROW_STILL, RAISE)
        shapes[f"browDown{side}"] = _share(-(inner + outer) / 2, BROW_STILL, LOWER)
        inner_rises.append(inner)
    return shapes | {"browInnerUp": _share(np.mean(inner_rises, axis=0), BROW_STILL, RAISE)}


def _share(values: np.ndarray, still: float, full: float) -> np.ndarray:
    """0 up to `still`, 1 from `full` on."""
    return np.clip((values - still) / (full - still), 0, 1)


def _percentile_around(values: np.ndarray, percent: float, reach: int) -> np.ndarray:
    """Of `(T,)`, that of the frames up to `reach` before and after each; the ends are mirrored."""
    padded = np.pad(values, reach, mode="symmetric")
    return np.percentile(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), percent, axis=1)


def _smoothed(values: np.ndarray, deviation: float) -> np.ndarray:
    """A Gaussian over `(T,)`; the ends are mirrored."""
    reach = min(int(np.ceil(3 * deviation)), len(values) - 1)
    if reach < 1:
        return values
    weights = np.exp(-.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return np.convolve(np.pad(values, reach, mode="reflect"), weights / weights.sum(), mode="valid")
