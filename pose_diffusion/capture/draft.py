"""A copy of a Pose that the rules edit: measured in shoulder widths, written in the file's own numbers.

A rule decides on `Signer`, one person in shoulder widths. What it decides is done to the stored values, not to
converted ones: a hand that is put on the other side, and all that no rule touches, keeps its bits.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.clip import check_pose, measure, numpy_pose
from pose_diffusion.layout import BODY, HOLISTIC, LEFT_HAND, RIGHT_HAND, copy_header, header_positions, locate
from pose_diffusion.timeline import fill

HANDS = (LEFT_HAND, RIGHT_HAND)
BODY_PART = HOLISTIC.parts["body"]
HAND_PARTS = (HOLISTIC.parts["left_hand"], HOLISTIC.parts["right_hand"])
POINTS = HAND_PARTS[1].stop  # of the layout, body and hands, which come before the face
WRISTS = (HOLISTIC.index(BODY, "LEFT_WRIST"), HOLISTIC.index(BODY, "RIGHT_WRIST"))
HAND_BONES = np.array([(a - HAND_PARTS[0].start, b - HAND_PARTS[0].start) for a, b in HOLISTIC.bones
                       if HAND_PARTS[0].start <= a < HAND_PARTS[0].stop])  # (20, 2), by place within a hand


@dataclass(frozen=True, eq=False)
class Signer:
    """One person as the rules see them. Left is 0, right is 1.

    Attributes
    ----------
    xy : np.ndarray
        `(T, 67, 2)` float32, shoulder widths: the body's 25 and both hands' 21 points of the layout; 0 where missing.
    depth : np.ndarray
        `(T, 67)` float32, shoulder widths: z of the hands, each relative to its own wrist; 0 of the body, and in a pose
        without z.
    seen : np.ndarray
        `(T, 67)` bool.
    fps : float
        Frames per second.
    """

    xy: np.ndarray
    depth: np.ndarray
    seen: np.ndarray
    fps: float

    @property
    def hands(self) -> np.ndarray:
        """`(T, 2, 21, 2)` float32."""
        return np.stack([self.xy[:, part] for part in HAND_PARTS], axis=1)

    @property
    def hands_seen(self) -> np.ndarray:
        """`(T, 2, 21)` bool."""
        return np.stack([self.seen[:, part] for part in HAND_PARTS], axis=1)

    @property
    def wrists(self) -> np.ndarray:
        """`(T, 2, 2)` float32: the body's wrists."""
        return self.xy[:, WRISTS]

    @property
    def wrists_seen(self) -> np.ndarray:
        """`(T, 2)` bool."""
        return self.seen[:, WRISTS]

    def mismatch(self) -> tuple[np.ndarray, np.ndarray]:
        """`(T, 2)` how far a hand's wrist is from the body's, 0 where that is not known, and `(T, 2)` where it is."""
        known = self.hands_seen[:, :, 0] & self.wrists_seen
        distance = np.linalg.norm(self.hands[:, :, 0] - self.wrists, axis=-1)
        return np.where(known, distance, np.float32(0)), known


class Draft:
    """The arrays of a new Pose.

    Parameters
    ----------
    pose : Pose
        Any body; only read.

    Raises
    ------
    UnknownSchemaError, ValueError
        See `pose_diffusion.clip.check_pose`.
    """

    def __init__(self, pose: Pose):
        pose = numpy_pose(pose)
        check_pose(pose, HOLISTIC)
        data = np.ma.getdata(pose.body.data)
        self.data = data.copy() if np.issubdtype(data.dtype, np.floating) else data.astype(np.float32)
        self.mask = np.ma.getmaskarray(pose.body.data).copy()
        self.confidence = np.array(pose.body.confidence)
        self.source = pose
        self.found = locate(pose.header, HOLISTIC)[:POINTS]
        self.people = self.data.shape[1]
        self.normalisations = [measure(pose, person) for person in range(self.people)]
        positions = header_positions(pose.header)
        names = [{name for component, name in positions if component == hand} for hand in HANDS]
        self.components = [np.array([positions[hand, name] for name in sorted(own)], dtype=int)
                           for hand, own in zip(HANDS, names)]
        self.pairs = np.array([[positions[hand, name] for hand in HANDS] for name in sorted(names[0] & names[1])],
                              dtype=int).reshape(-1, 2)
        self.single = np.array([positions[hand, name] for hand, own, other in zip(HANDS, names, names[::-1])
                                for name in sorted(own - other)], dtype=int)

    def signer(self, person: int) -> Signer:
        """A person as they are now."""
        here, normalisation = self.found >= 0, self.normalisations[person]
        chosen, shape = self.found[here], (len(self.data), POINTS)
        xy, depth, seen = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32), np.zeros(shape, bool)
        seen[:, here] = (self.confidence[:, person, chosen] > 0) & ~self.mask[:, person, chosen].any(-1)
        values = np.where(seen[:, here, None], self.data[:, person, chosen], 0)
        xy[:, here] = (values[..., :2] - normalisation.origin[:2]) / normalisation.scale
        if values.shape[-1] > 2:
            width = float(self.source.header.dimensions.width) or 1.0
            depth[:, here] = values[..., 2] * (width * normalisation.hand_depth / normalisation.scale)
        depth[:, BODY_PART] = 0
        return Signer(np.where(seen[..., None], xy, np.float32(0)), depth, seen, float(self.source.body.fps))

    def exchange(self, person: int, frames: np.ndarray) -> None:
        """Exchange the hands in frames `(T,)` bool, values, confidence and mask.

        A point that only one hand of the header has cannot go along: it is removed. A header with one hand only has
        nothing to exchange.
        """
        rows = np.flatnonzero(frames)
        if len(rows) == 0 or len(self.pairs) == 0:
            return
        for array in (self.data, self.confidence, self.mask):
            left, right = np.ix_(rows, self.pairs[:, 0]), np.ix_(rows, self.pairs[:, 1])
            own = array[:, person]
            own[left], own[right] = own[right], own[left]
        gone = np.zeros((len(self.data), self.data.shape[2]), bool)
        gone[np.ix_(rows, self.single)] = True
        self._remove(person, gone)

    def remove(self, person: int, points: np.ndarray) -> None:
        """Make points `(T, 67)` bool missing, as MediaPipe's are: value and confidence 0."""
        gone = np.zeros((len(self.data), self.data.shape[2]), bool)
        here = self.found >= 0
        gone[:, self.found[here]] = points[:, here]
        self._remove(person, gone)

    def remove_hands(self, person: int, hands: np.ndarray) -> None:
        """Make whole hands `(T, 2)` bool missing, with all that the header has of them."""
        gone = np.zeros((len(self.data), self.data.shape[2]), bool)
        for side, points in enumerate(self.components):
            gone[np.ix_(hands[:, side], points)] = True
        self._remove(person, gone)

    def _remove(self, person: int, gone: np.ndarray) -> None:
        self.data[:, person][gone] = 0
        self.confidence[:, person][gone] = 0
        self.mask[:, person][gone] = True

    def doubt(self, person: int, factor: np.ndarray) -> None:
        """Multiply the confidence of the hands' points by `(T, 2)`. A factor of 1 keeps the bits."""
        for side, part in enumerate(HAND_PARTS):
            rows, columns = np.flatnonzero(factor[:, side] < 1), self.found[part][self.found[part] >= 0]
            where = np.ix_(rows, columns)
            own = self.confidence[:, person]
            own[where] = own[where] * factor[rows, side, None].astype(own.dtype)

    def snap(self, person: int, near: np.ndarray, weight: np.ndarray) -> None:
        """Put the body's wrist on the hand's, in x and y.

        Parameters
        ----------
        person : int
            Whose.
        near : np.ndarray
            `(T, 2)` bool: in which frames, of which hand.
        weight : np.ndarray
            `(T, 2)`: how much of the offset, interpolated in time, the body's wrist moves by in other frames.
        """
        own = self.data[:, person]
        for side, part in enumerate(HAND_PARTS):
            rows, body, hand = near[:, side], self.found[WRISTS[side]], self.found[part.start]
            if not rows.any():
                continue
            offset = np.zeros((len(own), 2))
            offset[rows] = own[rows, hand, :2].astype(float) - own[rows, body, :2]
            others = np.flatnonzero(~rows & (weight[:, side] > 0))
            own[others, body, :2] += (fill(offset, rows) * weight[:, [side]])[others].astype(own.dtype)
            own[rows, body, :2] = own[rows, hand, :2]

    def pose(self) -> Pose:
        """What has become of it, with a header of its own."""
        body = NumPyPoseBody(self.source.body.fps, np.ma.masked_array(self.data, mask=self.mask), self.confidence)
        return Pose(copy_header(self.source.header), body)
