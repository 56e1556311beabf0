"""Many poses side by side on one web page that needs nothing but itself: no network, no other file.

They are animated in step, with play and pause, speed, a bar to scrub, and the hands enlarged beside each body.
"""
from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from pose_format import Pose
from pose_format.pose_header import PoseHeader

from pose_diffusion.clip import check_pose, numpy_pose
from pose_diffusion.files import atomic
from pose_diffusion.layout import FACE, FACE_POINTS, LEFT_HAND, RIGHT_HAND, WORLD

TEMPLATE = "preview_page.html"
LEGS = ("HIP", "KNEE", "ANKLE", "HEEL", "FOOT")  # generated or guessed, and below the picture
HEAD = ("NOSE", "EYE", "EAR", "MOUTH")  # of the body, where there is a face
FINGERTIPS = ("PINKY", "INDEX", "THUMB")  # of the body, where there are hands
KINDS = {FACE: "face", LEFT_HAND: "left", RIGHT_HAND: "right"}  # of a component; all others are body
SPAN = 8192  # units of the longer edge of the picture: 16 bits reach four times as far, for points that leave it
LARGEST = 32767
ROOM = 0.5  # of the usual panel's size: how far beyond it the picture may reach
MISSING = -32768  # stands for x where a point is not there
MAX_PANELS = 64
MAX_VALUES = 30_000_000  # about 80 MB of page


@dataclass(frozen=True, eq=False)
class Panel:
    """One result.

    Attributes
    ----------
    pose : Pose
        Of one person, in pixels.
    label : str
        What is different about it, such as "guidance 2".
    note : str
        What else there is to say, such as the time it took.
    """

    pose: Pose
    label: str
    note: str = ""


def save_page(panels: Sequence[Panel], path: str | os.PathLike[str], *, title: str, description: str = "",
              columns: int | None = None) -> None:
    """Write the web page. All panels show the same area at the same scale; legs and face mesh are left out.

    Parameters
    ----------
    panels : sequence of Panel
        1 to 64, of the same points; frames and frame rates may differ, they run by the clock. Poses are only read.
    path : path
        The `.html` file; an existing one is replaced when the new one is complete.
    title, description : str
        What is written above; any text.
    columns : int, optional
        Panels in a row, for a grid of two settings; as many as fit by default.

    Raises
    ------
    ValueError
        If there is no panel, there are too many, the poses have different points, more than one person, or nothing
        that could be drawn.
    PoseFileError
        If the file cannot be written.
    """
    if not 1 <= len(panels) <= MAX_PANELS:
        raise ValueError(f"a page shows 1 to {MAX_PANELS} panels, not {len(panels)}")
    poses = [numpy_pose(panel.pose) for panel in panels]
    for pose, panel in zip(poses, panels):
        _check(pose, poses[0], panel.label)
    shown = _shown(poses)
    if sum(pose.body.data.shape[0] for pose in poses) * len(shown) * 3 > MAX_VALUES:
        raise ValueError("these poses are too long for one page: show fewer or shorter ones")
    data = _page_data(poses, panels, shown) | {"columns": columns}
    with atomic(path) as temporary:
        temporary.write_text(_fill(title, description, data), encoding="utf-8")


def _check(pose: Pose, first: Pose, label: str) -> None:
    check_pose(pose, layout=None)
    if _names(pose.header) != _names(first.header):
        raise ValueError(f"{label}: its points differ from those of the first panel: show poses of one header")
    if (people := pose.body.data.shape[1]) != 1:
        raise ValueError(f"{label}: a panel shows one person, not {people}: choose one")


def _names(header: PoseHeader) -> list[tuple[str, str]]:
    return [(component.name, point) for component in header.components for point in component.points]


def _shown(poses: Sequence[Pose]) -> np.ndarray:
    """The positions of the points that are drawn, `(N,)`: of body, face and hands each is drawn once."""
    names = _names(poses[0].header)
    seen = np.any([(np.asarray(pose.body.confidence) > 0).any((0, 1)) for pose in poses], axis=0)
    there = {component for (component, _), found in zip(names, seen) if found}
    hidden = LEGS + HEAD * (FACE in there) + FINGERTIPS * bool(there & {LEFT_HAND, RIGHT_HAND})
    return np.array([i for i, (component, point) in enumerate(names)
                     if component != WORLD and (component != FACE or point in FACE_POINTS)
                     and (component in KINDS or not any(word in point for word in hidden))], dtype=np.int64)


def _parts(header: PoseHeader, shown: np.ndarray) -> list[dict[str, Any]]:
    """The drawn points by component, hands last, with the limbs of the header; numbers are places in `shown`."""
    place = {int(position): i for i, position in enumerate(shown)}
    parts, start = [], 0
    for component in header.components:
        stop = start + len(component.points)
        own = [place[i] for i in range(start, stop) if i in place]
        if own:
            limbs = [(place[start + a], place[start + b]) for a, b in np.array(component.limbs, int).reshape(-1, 2)
                     if start + a in place and start + b in place]
            parts.append({"kind": KINDS.get(component.name, "body"), "start": own[0], "stop": own[-1] + 1,
                          "limbs": limbs})
        start = stop
    return sorted(parts, key=lambda part: part["kind"] in ("left", "right"))


def _page_data(poses: Sequence[Pose], panels: Sequence[Panel], shown: np.ndarray) -> dict[str, Any]:
    points = [_points(pose, shown) for pose in poses]
    corner, extent = _box(points)
    scale = SPAN / float(extent.max())
    parts = _parts(poses[0].header, shown)
    deepest = max((float(np.nanmax(np.abs(xyz[..., 2]), initial=0)) for xyz in points), default=0) or 1.0
    stored = []
    for pose, panel, xyz in zip(poses, panels, points):
        units = np.concatenate([(xyz[..., :2] - corner) * scale, xyz[..., 2:] / deepest * LARGEST], axis=-1)
        stored.append({"label": panel.label, "note": panel.note, "frames": len(xyz), "fps": float(pose.body.fps),
                       "xyz": _packed(units)})
    return {"points": len(shown), "box": [round(float(side * scale), 1) for side in extent], "parts": parts,
            "reach": round(_reach(points, parts) * scale, 1), "panels": stored}


def _points(pose: Pose, shown: np.ndarray) -> np.ndarray:
    """`(frames, N, 3)` float64, NaN where a point is not there; z is 0 where the pose has none."""
    data = np.ma.getdata(pose.body.data)[:, 0, shown].astype(np.float64)
    xyz = np.zeros((*data.shape[:2], 3))
    dimensions = min(3, data.shape[-1])
    xyz[..., :dimensions] = data[..., :dimensions]
    there = np.asarray(pose.body.confidence)[:, 0, shown] > 0
    if (mask := np.ma.getmask(pose.body.data)) is not np.ma.nomask:
        there &= ~mask[:, 0, shown].any(-1)
    xyz[~there] = np.nan
    return xyz


def _box(points: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Corner and extent `(2,)` in pixels of the area that is shown: what nearly all frames cover.

    Single outliers do not count, and panels that go far beyond the usual one are cut off: a result that went wrong, as
    at too high a guidance, must not make all others too small to see.
    """
    corners = []
    for xyz in points:
        xy = xyz[np.isfinite(xyz).all(-1).any(-1), :, :2]
        if len(xy):
            corners.append(np.stack([np.percentile(np.nanmin(xy, axis=1), 2, axis=0),
                                     np.percentile(np.nanmax(xy, axis=1), 98, axis=0)]))
    if not corners:
        raise ValueError("no frame has a point that could be drawn: no page")
    usual = np.median(corners, axis=0)
    room = ROOM * float((usual[1] - usual[0]).max())
    low = np.maximum(np.min(corners, axis=0)[0], usual[0] - room)
    high = np.minimum(np.max(corners, axis=0)[1], usual[1] + room)
    margin = max(1.0, 0.05 * float((high - low).max()))
    return low - margin, high - low + 2 * margin


def _reach(points: Sequence[np.ndarray], parts: Sequence[dict[str, Any]]) -> float:
    """How far in pixels a hand's points are from its middle, in nearly all frames: the same scale for all hands."""
    far = []
    for part in parts:
        if part["kind"] in ("left", "right"):
            for xyz in points:
                hand = xyz[:, part["start"]:part["stop"], :2]
                hand = hand[np.isfinite(hand).all(-1).any(-1)]
                if len(hand):
                    away = np.abs(hand - np.nanmean(hand, axis=1, keepdims=True))
                    far.append(np.percentile(np.nanmax(away, axis=(1, 2)), 98))
    return max(1.0, float(min(np.max(far), (1 + ROOM) * np.median(far)))) if far else 1.0


def _packed(units: np.ndarray) -> str:
    """`(frames, N, 3)` as base64 of little-endian 16 bits, x = -32768 where a point is not there."""
    missing = np.isnan(units).any(-1)
    whole = np.clip(np.round(np.where(missing[..., None], 0, units)), -LARGEST, LARGEST).astype("<i2")
    whole[missing, 0] = MISSING
    return base64.b64encode(whole.tobytes()).decode("ascii")


def _fill(title: str, description: str, data: dict[str, Any]) -> str:
    template = files("pose_diffusion").joinpath(TEMPLATE).read_text(encoding="utf-8")
    # "<" is escaped, so that no text given by anyone can end the script element it is in.
    values = {"title": html.escape(title), "description": html.escape(description),
              "data": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")}
    # In one pass: what is filled in is not looked through for further places.
    head, *rest = template.split("{{")
    pieces = [head]
    for piece in rest:
        name, _, text = piece.partition("}}")
        pieces += [values[name], text]
    return "".join(pieces)
