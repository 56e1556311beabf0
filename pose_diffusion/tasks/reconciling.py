"""Poses of different headers, frame rates, sizes and places, made alike so that they can be joined.

The first pose says how: the others get its points, its frame rate and number of dimensions, and their signer goes where
its signer stands, as large. What is alike already is not touched, to the last bit.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader
from scipy.interpolate import PchipInterpolator

from pose_diffusion.clip import check_pose, measure, numpy_pose
from pose_diffusion.layout import BODY, FACE, LEFT_HAND, RIGHT_HAND, WORLD, Layout, header_positions
from pose_diffusion.normalisation import Normalisation
from pose_diffusion.tasks.appearance import SAME_PLACE, SAME_SIZE
from pose_diffusion.timeline import fill

COLUMNS = 32  # points that are resampled at a time, so that a long pose does not take many times its memory
SAME_DEPTH = 2.0  # shoulder widths: no signer leans so far, so files beyond it begin their depth elsewhere
SLOWEST, FASTEST = .1, 10.0  # of tempo
# A file may claim any rate. Seconds become no more frames than these allow:
MOST_FPS = 1000
MOST_GROWTH = 100  # frames that one frame of a pose of another rate becomes


@dataclass(frozen=True, eq=False)
class Look:
    """How the joined pose is to be.

    Attributes
    ----------
    header : PoseHeader
        Of the first pose; only read.
    fps : float
        Frames per second.
    people : tuple of Normalisation
        Where each person stands and how large.
    """

    header: PoseHeader
    fps: float
    people: tuple[Normalisation, ...]

    @staticmethod
    def of(pose: Pose, layout: Layout, fps: float | None = None) -> Look:
        """That of a pose, which `checked` has seen; at another rate where that is given.

        Raises
        ------
        ValueError
            If the rate is none that poses have.
        """
        if (rate := float(pose.body.fps) if fps is None else fps) > MOST_FPS:
            raise ValueError(f"{rate:g} frames per second are more than {MOST_FPS}: set body.fps to the video's rate")
        people = tuple(measure(pose, person, layout) for person in range(pose.body.data.shape[1]))
        return Look(pose.header, rate, people)


def checked(pose: Pose, layout: Layout, name: str) -> Pose:
    """The pose with a NumPy body, or an error that begins with its `name`.

    Raises
    ------
    ValueError
        As `clip.check_pose`.
    """
    pose = numpy_pose(pose)
    try:
        check_pose(pose, layout)
    except ValueError as error:
        raise type(error)(f"{name}: {error}") from error
    return pose


def check_tempo(tempo: float) -> None:
    """Refuse a tempo that is none."""
    if not SLOWEST <= tempo <= FASTEST:
        raise ValueError(f"tempo must be from {SLOWEST:g} to {FASTEST:g}, 2 for twice as fast, not {tempo}")


def reconciled(poses: Sequence[Pose], layout: Layout, *, tempo: float = 1.0, names: Sequence[str] | None = None,
               look: Look | None = None) -> list[Pose]:
    """Poses made alike.

    Parameters
    ----------
    poses : sequence of Pose
        Any headers of the layout's schema, rates, sizes, places; only read.
    layout : Layout
        By whose points people are measured.
    tempo : float
        Above 1 speeds all of them up.
    names : sequence of str, optional
        What errors call them; by default "pose 0", "pose 1", ...
    look : Look, optional
        How they are to be; by default like the first.

    Returns
    -------
    list of Pose
        With the look's header object and rate. Points that a pose lacks are missing in it (confidence 0). Of a signer
        whose shoulders are at most 1.15 times as wide or narrow as the look's and at most .2 of their width away from
        there, in an image of the same size, every value is kept; another is moved and scaled as a whole, so that size
        and place become the look's. At another rate or tempo values are interpolated by a monotone cubic (Fritsch and
        Carlson 1980), the first and last frame stay.

    Raises
    ------
    ValueError
        One line: there are no poses, one cannot be used, has another number of people or fewer dimensions.
    """
    if not poses:
        raise ValueError("there is no pose to join: give at least one")
    check_tempo(tempo)
    names = names or [f"pose {i}" for i in range(len(poses))]
    usable = [checked(pose, layout, name) for pose, name in zip(poses, names)]
    look = look or Look.of(usable[0], layout)
    out = []
    for pose, name in zip(usable, names):
        placed = _placed(_mapped(pose, look, name), measured(pose, layout), look, pose)
        rate = float(pose.body.fps) * tempo
        if rate * MOST_GROWTH < look.fps:
            raise ValueError(f"{name} has {rate:g} frames per second at this tempo, what it is to be joined to "
                             f"{look.fps:g}: set body.fps to the video's rate")
        frames = len(placed.body.data)
        wanted = frames if rate == look.fps else max(1, round((frames - 1) * look.fps / rate) + 1)
        out.append(Pose(look.header, resampled(placed.body, wanted, look.fps)))
    return out


def measured(pose: Pose, layout: Layout) -> list[Normalisation]:
    """Where each person of a pose stands and how large."""
    return [measure(pose, person, layout) for person in range(pose.body.data.shape[1])]


def _mapped(pose: Pose, look: Look, name: str) -> Pose:
    """The pose with the look's header: the same arrays if the points are the same."""
    people, dims = pose.body.data.shape[1], look.header.num_dims()
    if people != len(look.people):
        raise ValueError(f"{name} shows {people} people, what it is to be joined to {len(look.people)}: cut both to "
                         "the same ones (body.data[:, :1] and body.confidence[:, :1])")
    if (given := pose.body.data.shape[3]) < dims:
        raise ValueError(f"{name} has {given} dimensions, what it is to be joined to {dims}: give all with depth, or "
                         "all without")
    if given == dims and _points(pose.header) == _points(look.header):
        return Pose(look.header, pose.body)
    have, want = header_positions(pose.header), header_positions(look.header)
    pairs = [(have[point], at) for point, at in want.items() if point in have]
    if not pairs:
        raise ValueError(f"{name} has none of the points of what it is to be joined to: give poses of one schema")
    source, target = np.array(pairs).T
    shape = (*pose.body.data.shape[:2], look.header.total_points())
    data: np.ndarray = np.zeros((*shape, dims), pose.body.data.dtype)
    confidence, mask = np.zeros(shape, np.asarray(pose.body.confidence).dtype), np.ones((*shape, dims), bool)
    data[:, :, target] = np.ma.getdata(pose.body.data)[:, :, source, :dims]
    confidence[:, :, target] = pose.body.confidence[:, :, source]
    mask[:, :, target] = np.ma.getmaskarray(pose.body.data)[:, :, source, :dims]
    return Pose(look.header, NumPyPoseBody(pose.body.fps, np.ma.masked_array(data, mask), confidence))


def _points(header: PoseHeader) -> list[tuple[str, str]]:
    return [(component.name, point) for component in header.components for point in component.points]


def _placed(pose: Pose, own: Sequence[Normalisation], look: Look, before: Pose) -> Pose:
    """The pose with its people where the look's are; `before` is what it was, in its own image."""
    size, wanted = before.header.dimensions, look.header.dimensions
    resized = (size.width, size.height) != (wanted.width, wanted.height)
    moved = [p for p, (a, b) in enumerate(zip(own, look.people)) if resized or not _alike(a, b)]
    if not moved:
        return pose
    data = np.ma.getdata(pose.body.data)
    data = data.copy() if np.issubdtype(data.dtype, np.floating) else data.astype(np.float32)
    world = np.array([name == WORLD for name, _ in _points(look.header)])
    stretch = np.array([(wanted.width or 1) / (size.width or 1), (wanted.height or 1) / (size.height or 1), 1.0])
    dims = min(3, data.shape[3])
    data[:, :, world, :dims] = data[:, :, world, :dims] * stretch[:dims]  # metres, stored times width and height
    components = np.array([name for name, _ in _points(look.header)])
    for person in moved:
        a, b = own[person], look.people[person]
        ratio = b.scale / a.scale
        plane = data[:, person, ~world]
        plane[..., :2] = (plane[..., :2] - a.origin[:2]) * ratio + b.origin[:2]
        data[:, person, ~world] = plane
        if dims < 3:
            continue
        zeros = [_zeros(one, dimensions.width or 1) for one, dimensions in ((a, size), (b, wanted))]
        for component, zero in zeros[0].items():
            here = components == component  # depth is stored as a share of the image's width
            data[:, person, here, 2] = (data[:, person, here, 2] - zero) * (ratio / stretch[0]) + zeros[1][component]
    body = NumPyPoseBody(pose.body.fps, np.ma.masked_array(data, np.ma.getmaskarray(pose.body.data)),
                         pose.body.confidence)
    return Pose(pose.header, body)


def _zeros(of: Normalisation, width: float) -> dict[str, float]:
    """The stored depth of the shoulders, and of a hand and a face that are as deep as what they hang on.

    Files differ in where their depth begins: poses whose appearance was removed have it at half the image's width.
    """
    left, right, face = (float(rest) for rest in of.rest)
    return {BODY: float(of.origin[2]) / (width * of.depth), LEFT_HAND: left, RIGHT_HAND: right, FACE: face}


def _alike(a: Normalisation, b: Normalisation) -> bool:
    away = np.hypot(*(a.origin - b.origin)[:2]) / b.scale
    deep = abs(a.origin[2] - b.origin[2]) / b.scale
    return bool(1 / SAME_SIZE <= a.scale / b.scale <= SAME_SIZE and away <= SAME_PLACE and deep <= SAME_DEPTH)


def resampled(body: NumPyPoseBody, frames: int, fps: float) -> NumPyPoseBody:
    """A body of another number of frames, from the first to the last of it; the same values where a frame is kept.

    Parameters
    ----------
    body : NumPyPoseBody
        `(T, people, points, dims)`.
    frames : int
        How many there are to be.
    fps : float
        The new rate, whatever it was.

    Returns
    -------
    NumPyPoseBody
        A point is seen where it is in the nearest frame.
    """
    total = len(body.data)
    if frames == total:
        return NumPyPoseBody(fps, body.data, body.confidence)
    place = np.linspace(0, total - 1, frames) if frames > 1 else np.zeros(1)
    near = np.round(place).astype(int)
    mask = np.ma.getmaskarray(body.data)
    confidence = np.asarray(body.confidence)
    seen = (confidence > 0) & ~mask.any(-1)
    data = np.ma.getdata(body.data)[near]
    data = data if np.issubdtype(data.dtype, np.floating) else data.astype(np.float32)
    between = np.flatnonzero(place != near)
    for start in range(0, data.shape[2] if total > 1 else 0, COLUMNS):
        part = slice(start, start + COLUMNS)
        track = np.where(seen[:, :, part, None], np.ma.getdata(body.data)[:, :, part], 0.0)
        curve = PchipInterpolator(np.arange(total), fill(track, seen[:, :, part]))
        here = seen[near[between]][:, :, part, None]
        data[between, :, part] = np.where(here, curve(place[between]), data[between, :, part])
    return NumPyPoseBody(fps, np.ma.masked_array(data, mask[near]), confidence[near])
