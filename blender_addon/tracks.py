# SPDX-License-Identifier: GPL-3.0-or-later
"""Keypoints of one person by joint, in metres and Blender's axes."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from . import depth, lifted
from .errors import AddonError
from .points import BODY, HANDS, POINTS, other_side
from .posefile import PoseFile
from .solver.skeleton import FINGERS, SIDES

SHOULDER_WIDTH = .36  # metres between an adult's shoulder joints
ARM = {("shoulder", "elbow"): .85, ("elbow", "wrist"): .8}  # shoulder widths, of 12 sources of signing clips
SHOULDERS_PER_HAND, SHOULDERS_PER_FACE = 3.2, 2.2  # wrist to middle MCP, ear to ear: medians of signing clips
# MediaPipe goes on guessing where a body leaves the image. Guessed elbows and wrists are mostly a hanging arm, which is
# better than none, and they shake no more than those that were seen (the visibility that MediaPipe gives lags behind by
# many frames); guessed hips move with the arms and would shake the torso.
HIP_VISIBILITY = .5
SURE = .5  # confidence from which a point may tell how deep z is
MEASURED_FRAMES = 4096
OUTSIDE = 1.0  # image sizes: what is farther out was not seen

__all__ = ["POINTS", "Reading", "Tracks", "tracks"]


@dataclass(frozen=True)
class Reading:
    """How a file is read.

    Attributes
    ----------
    person : int
        Which of the people in the file, from 0.
    mirrored : bool
        The video was mirrored, as front cameras do: left and right are exchanged.
    depth : float or tuple of float, optional
        Pixels per unit of z, for all points or of body, hands and face; None: found per clip.
    """

    person: int = 0
    mirrored: bool = False
    depth: float | tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Tracks:
    """Joints of one person over time.

    Attributes
    ----------
    fps : float
        Frames per second.
    joints : tuple of str
        Names; J of them, those of `POINTS` that the file has: `nose`, `eye.L`, `ear.L`, `mouth.L`, `shoulder.L`,
        `elbow.L`, `wrist.L`, `hip.L` of the body (and R), of a lifted one also `knee.L` and `ankle.L`; of a hand its
        own wrist `hand.L`, `thumb.1.L` (CMC) to `thumb.4.L` (tip), `index.1.L` (MCP) to `index.4.L` (tip), and so on;
        of the face's contours `face.N`, N being MediaPipe's number.
    xyz : np.ndarray
        `(T, J, 3)` float64 metres: x to the person's left, y to their back, z up. Finite; 0 where not seen.
    seen : np.ndarray
        `(T, J)` bool.
    """

    fps: float
    joints: tuple[str, ...]
    xyz: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True, eq=False)
class _Read:
    """What a file says of the joints: pixels `(T, J, 3)` with z as stored; what was seen, and surely so, `(T, J)`; and,
    of a lifted file, whose z is in pixels too, that it is one.
    """

    column: dict[str, int]
    values: np.ndarray
    seen: np.ndarray
    sure: np.ndarray
    width: float
    lifted: bool = False

    def bones(self, pairs: Iterable[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
        """Differences `(T, B, 3)`, 0 where not both ends are sure, and `(T, B)` whether they are.

        Of a long clip only every so many frames: a few thousand settle what is measured.
        """
        a, b = np.array([[self.column.get(joint, -1) for joint in pair] for pair in pairs]).T
        values, sure = (x[::-(-len(x) // MEASURED_FRAMES)] for x in (self.values, self.sure))
        seen = sure[:, a] & sure[:, b] & (a >= 0) & (b >= 0)
        return np.where(seen[..., None], values[:, b] - values[:, a], 0.0), seen


def tracks(pose: PoseFile, reading: Reading = Reading()) -> Tracks:
    """The joints of one person of a file.

    Each network's z gets its own factor (see `depth`); a lifted file has its joints in metres (see `lifted`). A hand's
    z is relative to its own wrist, so the hand is put at the depth of the body's wrist; in the image plane it stays
    where it was seen.

    Parameters
    ----------
    pose : PoseFile
        Any header with points of MediaPipe Holistic: full, reduced, reordered or partial.
    reading : Reading, optional
        Which person, and how.

    Returns
    -------
    Tracks
        T frames as in the file. The shoulders' middle is about the origin, the shoulders' width is 0.36 m.

    Raises
    ------
    AddonError
        If there is nothing to animate: no known point, no such person, no frame, nothing seen, or a broken number.
    """
    read = _read(pose, reading)
    body, hand, face = _factors(pose, read, reading)
    xyz, seen = read.values * [1.0, 1.0, body], read.seen
    for side in SIDES:
        own = [name for name in read.column if _of_hand(name, side)]
        _place(read, xyz, own, f"hand.{side}", [f"wrist.{side}"], hand)
    contours = [name for name in read.column if name.startswith("face.")]
    _place(read, xyz, contours, None, ["ear.L", "ear.R", "shoulder.L", "shoulder.R"], face)
    xyz -= _origin(read, xyz)
    xyz = xyz[..., [0, 2, 1]] * [1.0, 1.0, -1.0] * (SHOULDER_WIDTH / _shoulder_width(read))
    return Tracks(pose.fps, tuple(read.column), np.where(seen[..., None], xyz, 0.0), seen)


def _read(pose: PoseFile, reading: Reading) -> _Read:
    """Find the known points by name and check them."""
    frames, people, points, dimensions = pose.data.shape
    if not 0 <= reading.person < people:
        raise AddonError(f"there is no person {reading.person}: the file has {people}, counted from 0. Choose another")
    if not frames:
        raise AddonError("the file has no frame: there is nothing to animate")
    names = [(component.name, point) for component in pose.components for point in component.points]
    place = {name: i for i, name in reversed(list(enumerate(names)))}
    over = _fit(pose, reading, place)
    known = lifted.source(place) if over else POINTS
    source = {joint: known[other_side(joint) if reading.mirrored else joint] for joint in known}
    column = {joint: place[name] for joint, name in source.items() if name in place}
    if not column:
        found = ", ".join(component.name for component in pose.components) or "none"
        raise AddonError(f"no known points: the file's components are {found}. Use a file made by MediaPipe Holistic")
    columns = list(column.values())
    confidence = pose.confidence[:, reading.person, columns].astype(float)
    values = np.zeros((frames, len(columns), 3))
    values[..., :min(dimensions, 3)] = pose.data[:, reading.person, columns, :3]
    seen = confidence > 0
    joints = list(column)
    if (bad := seen & ~np.isfinite(values).all(-1)).any():
        frame, joint = np.argwhere(bad)[0]
        component, point = source[joints[joint]]
        raise AddonError(f"frame {frame} has a broken number (NaN) in {component} {point}, though it was seen")
    size = np.array([max(pose.width, 1), max(pose.height, 1)], float)
    values = np.where(seen[..., None], values, 0.0)
    for i, joint in enumerate(joints):
        if source[joint][0] == lifted.JOINTS and not joint.startswith(("shoulder", "elbow", "wrist")):
            seen[:, i] &= confidence[:, i] > lifted.GUESSED
        elif source[joint][0] == BODY:
            out = np.maximum(-values[:, i, :2], values[:, i, :2] - size).max(-1) / size.max()
            hips = joint.startswith("hip")
            seen[:, i] &= (out < (0 if hips else OUTSIDE)) & (confidence[:, i] > (HIP_VISIBILITY if hips else 0))
    if not seen.any():
        raise AddonError(f"person {reading.person} was never seen: there is nothing to animate")
    order = {joint: i for i, joint in enumerate(joints)}
    if over:
        values = lifted.together(values, order, over, size[0])
    if reading.mirrored:
        values[..., 0] *= -1
    return _Read(order, np.where(seen[..., None], values, 0.0), seen, seen & (confidence > SURE), size[0],
                 over is not None)


def _fit(pose: PoseFile, reading: Reading, place: Mapping[tuple[str, str], int]) -> lifted.Fit | None:
    """How the body in metres of a lifted file lies over the picture.

    None if the file tells of none, or of less than half of what the picture tells: so it is if a model, which knows the
    picture only, has signed on from a lifted pose.
    """
    if lifted.source(place) is POINTS or pose.data.shape[-1] < 3:
        return None
    both, told = [], []
    for source in (lifted.LIFTED, POINTS):
        columns = [place[source[other_side(joint) if reading.mirrored else joint]] for joint in lifted.FLAT]
        both.append(pose.data[:, reading.person, columns, :3].astype(float))
        told.append((pose.confidence[:, reading.person, columns] > 0) & np.isfinite(both[-1]).all(-1))
    if 2 * (told[0] & told[1]).sum() < told[1].sum():
        return None
    return lifted.fit(both[0], both[1], told[0] & told[1])


def _factors(pose: PoseFile, read: _Read, reading: Reading) -> tuple[float, float, float]:
    """Pixels per unit of z: of the body, the hands and the face. Of a lifted body it is settled."""
    if reading.depth is not None:
        body, hands, face = reading.depth if isinstance(reading.depth, tuple) else (reading.depth, ) * 3
        if not all(0 < factor < np.inf for factor in (body, hands, face)):
            raise AddonError(f"a depth of {reading.depth} is impossible: give pixels per unit of z, more than 0")
        return (1.0 if read.lifted else body), hands, face
    width = _shoulder_width(read)
    both = [read.bones([(f"{a}.{side}", f"{b}.{side}") for a, b in ARM]) for side in SIDES]
    arms = 1.0 if read.lifted else depth.depth_factor(
        np.concatenate([ends for ends, _ in both]), np.concatenate([seen for _, seen in both]), depth.BODY, read.width,
        np.array(list(ARM.values())) * width)
    fingers = [(a, b) for s in SIDES for f in FINGERS for a, b in zip(
        (f"hand.{s}", *(f"{f}.{i}.{s}" for i in (1, 2, 3))), (f"{f}.{i}.{s}" for i in (1, 2, 3, 4)))]
    skull = [(f"face.{a}", f"face.{b}") for a, b in ((234, 454), (10, 152), (234, 10), (454, 10), (33, 263), (33, 152))]
    return (arms, depth.depth_factor(*read.bones(fingers), depth.HAND, read.width),
            depth.depth_factor(*read.bones(skull), depth.FACE, read.width))


def _of_hand(joint: str, side: str) -> bool:
    return joint in POINTS and POINTS[joint][0] == HANDS[side]


def _place(read: _Read, xyz: np.ndarray, part: list[str], root: str | None, at: list[str], factor: float) -> None:
    """Give a part the depth of the body joints that it hangs on: its z counts from `root`, or from its middle."""
    columns = [read.column[name] for name in part]
    if not columns:
        return
    z, seen = read.values[:, columns, 2], read.seen[:, columns]
    own = (z * seen).sum(1) / np.maximum(seen.sum(1), 1)
    if root is not None and root in read.column:
        own = np.where(read.seen[:, read.column[root]], read.values[:, read.column[root], 2], own)
    anchors = [read.column[name] for name in at if name in read.column]
    known = read.seen[:, anchors] if anchors else np.zeros((len(z), 1), bool)
    ground = np.zeros(len(z))
    if known.any():
        mean = (xyz[:, anchors, 2] * known).sum(1) / np.maximum(known.sum(1), 1)
        frames = np.flatnonzero(known.any(1))
        ground = np.interp(np.arange(len(z)), frames, mean[frames])
    xyz[:, columns, 2] = ground[:, None] + (z - own[:, None]) * factor


def _origin(read: _Read, xyz: np.ndarray) -> np.ndarray:
    """`(3,)` pixels: between the shoulders, or the middle of what was seen."""
    shoulders = [read.column[name] for name in ("shoulder.L", "shoulder.R") if name in read.column]
    both = read.seen[:, shoulders].all(1) if len(shoulders) == 2 else np.zeros(len(xyz), bool)
    return np.median(xyz[both][:, shoulders].mean(1) if both.any() else xyz[read.seen], axis=0)


def _shoulder_width(read: _Read) -> float:
    """In pixels: the median in the image, of a lifted body in space; or from a hand, a face, or all that was seen."""
    palms = [(f"hand.{side}", f"middle.1.{side}") for side in SIDES]
    for pairs, factor in (([("shoulder.L", "shoulder.R")], 1.0), (palms, SHOULDERS_PER_HAND),
                          ([("face.234", "face.454")], SHOULDERS_PER_FACE)):
        ends, seen = read.bones(pairs)
        across = ends[seen] if read.lifted and factor == 1.0 else ends[seen][:, :2]
        if seen.any() and (length := float(np.median(np.linalg.norm(across, axis=-1)))) > 0:
            return length * factor
    box = np.ptp(read.values[read.seen][:, :2], axis=0)
    return float(np.hypot(*box)) / 2 or 1.0
