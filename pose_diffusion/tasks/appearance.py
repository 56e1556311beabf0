"""Who signs, and where in the image: the pose that a result begins with, and key frames that it passes through.

What is known of a result before it is made is itself a pose, of the result's length and nearly empty. Encoded like any
other it gives the observation to sample from, and decoded with the sample in it the result: so header, units, number
type, place and size are those of the first pose, and what was given comes back bit for bit.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader

from pose_diffusion.capture.results import holistic_header
from pose_diffusion.clip import Clip, Normalisation, check_pose, encode, measure, numpy_pose
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import BODY, Layout, copy_header, header_positions, locate
from pose_diffusion.normalisation import BODY_DEPTH, HAND_DEPTH

WIDTH, HEIGHT = 1000, 1000  # pixels of the image in which a signer of no first pose stands, ...
SHOULDERS, PLACE = 250.0, (500.0, 450.0)  # ... how wide their shoulders are, and where

# Key frames of a signer whose shoulders are at most so many times as wide, and so many shoulder widths away, are taken
# as they are. In the frames of one clip of the lexicon (300 frames compared with their clip's first) the width varies
# by up to 1.07 and the place by up to .15, at the 99th percentile.
SAME_SIZE, SAME_PLACE = 1.15, .2


@dataclass(frozen=True)
class Times:
    """The frames of a result.

    Attributes
    ----------
    frames : int
        How many.
    fps : float
        At which rate.
    every : int
        One in so many is sampled, the first among them; key frames lie on these.
    """

    frames: int
    fps: float
    every: int = 1

    @property
    def sampled(self) -> int:
        """How many are sampled; the last may lie beyond the end."""
        return -(-(self.frames - 1) // self.every) + 1

    def frame(self, seconds: float) -> int | None:
        """The sampled frame nearest to a time; None beyond the last frame."""
        if seconds * self.fps > self.frames - .5:
            return None
        return self.every * min(round(seconds * self.fps / self.every), (self.frames - 1) // self.every)


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a result.

    Attributes
    ----------
    clip : Clip
        Of the result's length; missing (confidence 0) where nothing is known.
    key : np.ndarray
        `(T,)` bool: the key frames, without the first pose.
    times : Times
        Of its frames.
    """

    clip: Clip
    key: np.ndarray
    times: Times


def known_frames(model: PoseDiffusion, times: Times, first_pose: Pose | None = None,
                 keyframes: Mapping[float, Pose] | None = None) -> Known:
    """What a first pose and key frames say of a result.

    Parameters
    ----------
    model : PoseDiffusion
        That will make it.
    times : Times
        Its frames.
    first_pose : Pose, optional
        Its first frame is the result's; others of its frames only say how large the signer is.
    keyframes : mapping of float to Pose, optional
        Poses by the second at which the result is to be like their first frame; it goes to the nearest sampled frame.

    Returns
    -------
    Known
        Without a first pose the earliest key frame's header and size are taken; without either, an average signer's.

    Raises
    ------
    ValueError
        In one line, if a pose cannot be used, or a time is not within the result or given twice.
    """
    keys = _key_poses(keyframes or {}, model.layout)
    first = None if first_pose is None else one_person(first_pose, "first_pose", model.layout)
    reference = first if first is not None else next(iter(keys.values()), None)
    if reference is None:
        header, normalisation = average_header(model.layout), average_signer(model)
    else:
        header, normalisation = copy_header(reference.header), measure(reference, 0, model.layout)
    blank = _Blank.make(header, times.frames, reference)
    if first is not None:
        blank.start(first)
    taken = set() if first is None else {0}
    key, brought = np.zeros(times.frames, bool), {}
    for seconds, pose in keys.items():
        frame, own = _place(seconds, times, taken), measure(pose, 0, model.layout)
        key[frame] = True
        if _alike((pose, reference or pose), (own, normalisation), model.layout, f"key frame at {seconds:g} s"):
            blank.copy(pose, frame)
        else:
            brought[frame] = encode(Pose(pose.header, pose.body[:1]), model.layout, normalisations=[own])[0]
    clip = encode(blank.pose(times.fps), model.layout, normalisations=[normalisation])[0]
    return Known(_bring(clip, brought), key, times)


def one_person(pose: Pose, name: str, layout: Layout) -> Pose:
    """A pose of one person who is seen in its first frame; errors begin with its `name`."""
    pose = numpy_pose(pose)
    try:
        check_pose(pose, layout)
    except ValueError as error:
        raise type(error)(f"{name}: {error}") from error
    people = pose.body.data.shape[1]
    if people > 1:
        raise ValueError(f"{name} shows {people} people: cut it to the one who is to sign "
                         "(body.data[:, :1] and body.confidence[:, :1])")
    if not encode(Pose(pose.header, pose.body[:1]), layout)[0].confidence.any():
        raise ValueError(f"{name} shows nobody in its first frame: cut it so that it begins where the signer is seen")
    return pose


def average_header(layout: Layout) -> PoseHeader:
    """MediaPipe Holistic's header, with the points of a layout only."""
    header = holistic_header(WIDTH, HEIGHT)
    names: dict[str, list[str]] = {}
    for component, point in layout.points:
        names.setdefault(component, []).append(point)
    empty = np.zeros((1, 1, header.total_points(), 3), np.float32)
    pose = Pose(header, NumPyPoseBody(25, empty, empty[..., 0]))
    return pose.get_components(list(names), names).header


def average_signer(model: PoseDiffusion) -> Normalisation:
    """The size and place of a signer of whom there is no pose: as MediaPipe would see the model's mean pose."""
    hips = [model.layout.index(BODY, f"{side}_HIP") for side in ("LEFT", "RIGHT")]
    depth = float(model.denoiser.filler.rest[hips, 2].mean())  # MediaPipe's body has its zero of depth there
    return Normalisation(np.array([*PLACE, -SHOULDERS * depth]), SHOULDERS, BODY_DEPTH, HAND_DEPTH, np.zeros(3))


def _key_poses(keyframes: Mapping[float, Pose], layout: Layout) -> dict[float, Pose]:
    """Key frames, checked, in order of time."""
    for seconds in keyframes:
        if not (np.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"key frame at {seconds} s: give seconds from the result's beginning, from 0 up")
    return {float(seconds): one_person(keyframes[seconds], f"key frame at {seconds:g} s", layout)
            for seconds in sorted(keyframes)}


def _place(seconds: float, times: Times, taken: set[int]) -> int:
    """The frame of a time, which is marked as taken."""
    frame = times.frame(seconds)
    if frame is None:
        raise ValueError(f"key frame at {seconds:g} s: the result has {times.frames} frames, the last at "
                         f"{(times.frames - 1) / times.fps:.4g} s: give more seconds, or an earlier time")
    if frame in taken:
        there = "the first pose" if frame == 0 else "another key frame"
        raise ValueError(f"key frame at {seconds:g} s: {there} is at this frame: leave one of them out")
    taken.add(frame)
    return frame


def _alike(poses: tuple[Pose, Pose], sizes: tuple[Normalisation, Normalisation], layout: Layout, name: str) -> bool:
    """Whether a key pose's values can stand as they are in another's image: the signer is as large and where they are.
    Where shoulders were not seen, which are the only reliable measure, an image of the same size is enough.
    """
    dims, wanted = (pose.body.data.shape[3] for pose in poses)
    if dims < wanted:
        raise ValueError(f"{name} has {dims} dimensions, the pose that the result is to look like {wanted}: give both "
                         "with depth, or both without")
    images = {(pose.header.dimensions.width, pose.header.dimensions.height) for pose in poses}
    ratio = sizes[0].scale / sizes[1].scale
    away = np.hypot(*(sizes[0].origin - sizes[1].origin)[:2]) / sizes[1].scale
    near = 1 / SAME_SIZE <= ratio <= SAME_SIZE and away <= SAME_PLACE
    return len(images) == 1 and bool(near or not all(_shows_shoulders(pose, layout) for pose in poses))


def _shows_shoulders(pose: Pose, layout: Layout) -> bool:
    shoulders = locate(pose.header, layout)[[layout.index(BODY, f"{side}_SHOULDER") for side in ("LEFT", "RIGHT")]]
    return bool((shoulders >= 0).all() and (pose.body.confidence[:, 0, shoulders] > 0).all(-1).any())


def _bring(clip: Clip, brought: dict[int, Clip]) -> Clip:
    """The clip with the first frames of others in it, each in its own shoulder widths."""
    here = locate(clip.source.header, clip.layout) >= 0
    kept = np.array([1, 1, clip.source.body.data.shape[3] > 2], np.float32)  # a flat pose has no depth
    xyz, confidence = clip.xyz.copy(), clip.confidence.copy()
    for frame, other in brought.items():
        xyz[frame] = other.xyz[0] * kept
        confidence[frame] = np.where(here, other.confidence[0], 0)
        xyz[frame, confidence[frame] == 0] = 0
    return replace(clip, xyz=xyz, confidence=confidence)


@dataclass(frozen=True, eq=False)
class _Blank:
    """The arrays of a pose of one person of whom nothing is known yet."""

    header: PoseHeader
    data: np.ndarray
    confidence: np.ndarray

    @staticmethod
    def make(header: PoseHeader, frames: int, like: Pose | None) -> _Blank:
        """Of the number types of another pose."""
        shape = (frames, 1, header.total_points())
        kinds = [array.dtype for array in (like.body.data, like.body.confidence)] if like is not None else [None, None]
        data, sure = (kind if kind is not None and kind.kind == "f" else np.dtype(np.float32) for kind in kinds)
        return _Blank(header, np.zeros((*shape, header.num_dims()), data), np.zeros(shape, sure))

    def start(self, first: Pose) -> None:
        """The first pose as frame 0; all of it, whatever is stored in it."""
        self.data[0] = np.ma.getdata(first.body.data)[0]
        hidden = np.ma.getmaskarray(first.body.data)[0].any(-1)
        self.confidence[0] = np.where(hidden, 0, first.body.confidence[0])

    def copy(self, pose: Pose, frame: int) -> None:
        """What is seen in a pose's first frame, by the names of its points."""
        names = header_positions(pose.header)
        pairs = [(target, names[name]) for name, target in header_positions(self.header).items() if name in names]
        target, source = np.array(pairs).T
        seen = (pose.body.confidence[0, 0, source] > 0) & ~np.ma.getmaskarray(pose.body.data)[0, 0, source].any(-1)
        target, source = target[seen], source[seen]
        self.data[frame, 0, target] = np.ma.getdata(pose.body.data)[0, 0, source, :self.data.shape[3]]
        self.confidence[frame, 0, target] = pose.body.confidence[0, 0, source]

    def pose(self, fps: float) -> Pose:
        return Pose(self.header, NumPyPoseBody(fps, self.data, self.confidence))
