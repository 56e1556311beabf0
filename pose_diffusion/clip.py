"""One person of a Pose as normalised arrays in a layout, and back without loss. The only file that knows pixels.

The frame of a clip: x to the right and y down as in the image, z away from the camera; shoulder width = 1, the origin
between the shoulders (medians over time). A Pose holds z in three frames: the body's is relative to the hips, each
hand's to its own wrist, the face's to the head, all in image widths. A clip has one: a hand's wrist is as deep as the
body's wrist of that side, the middle of the face as deep as the nose. On the way back each is taken apart again.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_body import PoseBody

from pose_diffusion.carry import Change, carry
from pose_diffusion.layout import BODY, HOLISTIC, LEFT_HAND, RIGHT_HAND, Layout, UnknownSchemaError, copy_header, locate
from pose_diffusion.normalisation import Normalisation, measure_points, measuring_step
from pose_diffusion.timeline import fill

__all__ = ["Clip", "Normalisation", "check_pose", "decode", "encode", "measure"]

# part, its own point that the rest of it is relative to in depth, the body's point at that place
HANGING = (
    ("left_hand", (LEFT_HAND, "WRIST"), (BODY, "LEFT_WRIST")),
    ("right_hand", (RIGHT_HAND, "WRIST"), (BODY, "RIGHT_WRIST")),
    ("face", None, (BODY, "NOSE")),
)
CHECKED_FRAMES = 4096


@dataclass(frozen=True, eq=False)
class Clip:
    """One person of a Pose in a layout.

    Change a clip with `dataclasses.replace(clip, xyz=..., confidence=...)`; `decode` finds out what changed.

    Attributes
    ----------
    xyz : np.ndarray
        `(T, K, 3)` float32, in shoulder widths, the origin between the shoulders, y down. 0 where missing.
    confidence : np.ndarray
        `(T, K)` float32; 0 = missing.
    seconds : np.ndarray
        `(T,)` float64, the time of each frame from the first.
    layout : Layout
        What the K points are.
    normalisation : Normalisation
        The way back to pixels.
    source : Pose
        Where it is from, with a NumPy body; it is only read, and must not change while the clip is in use.
    person : int
        Which person of the source.
    """

    xyz: np.ndarray
    confidence: np.ndarray
    seconds: np.ndarray
    layout: Layout
    normalisation: Normalisation
    source: Pose
    person: int


def check_pose(pose: Pose, layout: Layout | None = HOLISTIC) -> None:
    """Refuse a pose that nothing can be done with.

    Parameters
    ----------
    pose : Pose
        With a NumPy body.
    layout : Layout, optional
        The header must have some of its points; None for any header.

    Raises
    ------
    UnknownSchemaError
        If it has none of them, or they have no x and y.
    ValueError
        One line that says what is wrong and what to do: no frames, no person, a frame rate that is none, a header
        that does not fit the data, NaN or infinity in a point with confidence.
    """
    shape = pose.body.data.shape
    expected = (pose.header.total_points(), pose.header.num_dims() if pose.header.components else 0)
    if len(shape) != 4 or shape[2:] != expected or pose.body.confidence.shape != shape[:3]:
        raise ValueError(f"the header ({expected[0]} points, {expected[1]} dimensions) does not fit the data {shape}: "
                         "build the pose again from matching parts")
    if layout is not None:
        locate(pose.header, layout)
        if shape[3] < 2:
            raise UnknownSchemaError(f"points of {shape[3]} dimensions: x and y are needed, save the pose with both")
    if shape[0] == 0:
        raise ValueError("the pose has no frames: record or cut it again with at least one")
    if shape[1] == 0:
        raise ValueError("the pose has no person: estimate it again from a video that shows one")
    if not (np.isfinite(pose.body.fps) and pose.body.fps > 0):
        raise ValueError(f"the frame rate is {pose.body.fps} frames per second: set body.fps to the video's rate")
    for start in range(0, shape[0], CHECKED_FRAMES):
        _check_finite(pose, slice(start, start + CHECKED_FRAMES))


def _check_finite(pose: Pose, frames: slice) -> None:
    confidence = np.asarray(pose.body.confidence[frames])
    data = np.ma.getdata(pose.body.data)[frames]
    bad = ~np.isfinite(confidence)
    if not np.isfinite(data).all():
        bad |= _observed(pose, frames) & ~np.isfinite(data).all(-1)
    if not bad.any():
        return
    frame, person, point = (int(i) for i in np.argwhere(bad)[0])
    names = [f"{c.name}/{name}" for c in pose.header.components for name in c.points]
    raise ValueError(f"point {names[point]} of person {person} in frame {frames.start + frame} is NaN or infinite: "
                     "set its value and its confidence to 0 there, which marks it as missing")


def _observed(pose: Pose, frames: slice = slice(None)) -> np.ndarray:
    """`(T, people, points)` bool: has a confidence, and is not masked in memory."""
    seen = np.asarray(pose.body.confidence[frames]) > 0
    mask = np.ma.getmask(pose.body.data)
    return seen if mask is np.ma.nomask else seen & ~mask[frames].any(-1)


def numpy_pose(pose: Pose) -> Pose:
    """The pose itself, or, of a Torch or TensorFlow body, one with a NumPy body and the same header object."""
    if isinstance(pose.body, NumPyPoseBody):
        return pose

    def array(tensor: object) -> np.ndarray:
        on_cpu = tensor.detach().cpu() if hasattr(tensor, "detach") else tensor
        return np.asarray(on_cpu)

    values, valid = array(pose.body.data.tensor), array(pose.body.data.mask)
    data: np.ma.MaskedArray = np.ma.masked_array(values, mask=~np.broadcast_to(valid, values.shape))
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, array(pose.body.confidence)))


def _stored(pose: Pose, person: int, found: np.ndarray, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A person's layout points as stored: `(T, K, 3)` float64, 0 where not seen, and what was seen `(T, K)`."""
    body, here = cast(PoseBody, pose.body), found >= 0
    chosen = found[here]
    values = np.zeros((len(body.data[::step]), len(found), 3))
    seen = np.zeros(values.shape[:2], dtype=bool)
    dims = min(3, body.data.shape[3])
    seen[:, here] = body.confidence[::step, person][:, chosen] > 0
    if (mask := np.ma.getmask(body.data)) is not np.ma.nomask:
        seen[:, here] &= ~mask[::step, person][:, chosen].any(-1)
    values[:, here, :dims] = np.ma.getdata(body.data)[::step, person][:, chosen, :dims]
    return np.where(seen[..., None], values, 0.0), seen


def _width(pose: Pose) -> float:
    """The image's width, in which z is counted; 1 where the header does not know it."""
    return float(pose.header.dimensions.width) or 1.0


def measure(pose: Pose, person: int = 0, layout: Layout = HOLISTIC) -> Normalisation:
    """Where a person's shoulders are and how wide, over the whole pose.

    Parameters
    ----------
    pose : Pose
        Any pose of a known schema. Chunks of a long one are encoded with the normalisation of the whole.
    person : int
        Which person.
    layout : Layout
        The points to look for.

    Returns
    -------
    Normalisation
        Robust medians. Without shoulders the width is told from a hand, the face, or the bounding box.
    """
    pose = numpy_pose(pose)
    check_pose(pose, layout)
    step = measuring_step(len(pose.body.data))
    return measure_points(*_stored(pose, person, locate(pose.header, layout), step), _width(pose), layout)


def encode(pose: Pose, layout: Layout = HOLISTIC, *,
           normalisations: Sequence[Normalisation] | None = None) -> list[Clip]:
    """The people of a pose as clips.

    Parameters
    ----------
    pose : Pose
        With a NumPy, Torch or TensorFlow body, in pixels; it is only read.
    layout : Layout
        The points wanted. Those the header lacks are missing (confidence 0).
    normalisations : sequence of Normalisation, optional
        One a person, from `measure` on the whole pose of which this is a chunk. Measured here by default.

    Returns
    -------
    list of Clip
        One a person.

    Raises
    ------
    UnknownSchemaError, ValueError
        See `check_pose`.
    """
    pose = numpy_pose(pose)
    check_pose(pose, layout)
    found, clips = locate(pose.header, layout), []
    frames, people = pose.body.data.shape[:2]
    if normalisations is not None and len(normalisations) != people:
        raise ValueError(f"{len(normalisations)} normalisations for {people} people: measure one for each")
    for person in range(people):
        values, seen = _stored(pose, person, found)
        normalisation = normalisations[person] if normalisations else measure_points(values, seen, _width(pose), layout)
        confidence = np.zeros(seen.shape, dtype=np.float32)
        confidence[:, found >= 0] = pose.body.confidence[:, person][:, found[found >= 0]]
        clips.append(Clip(xyz=_forward(values, seen, _width(pose), normalisation, layout),
                          confidence=np.where(seen, confidence, np.float32(0)),
                          seconds=np.arange(frames) / float(pose.body.fps), layout=layout,
                          normalisation=normalisation, source=pose, person=person))
    return clips


def _forward(values: np.ndarray, seen: np.ndarray, width: float, normalisation: Normalisation,
             layout: Layout) -> np.ndarray:
    """Stored values to a clip's `(T, K, 3)` float32."""
    xyz = values * [1.0, 1.0, width]
    z = xyz[..., 2]
    z[:, layout.parts["body"]] *= normalisation.depth
    for i, (name, own, place) in enumerate(HANGING):
        part = layout.parts[name]
        at = _held(z, seen, layout.index(*place), normalisation.origin[2])
        rest = _rest(values, seen, layout, i, own, normalisation)
        z[:, part] = (values[:, part, 2] - rest) * (width * _factor(normalisation, own)) + at
    return np.where(seen[..., None], (xyz - normalisation.origin) / normalisation.scale, 0.0).astype(np.float32)


def _backward(clip: Clip, values: np.ndarray, seen: np.ndarray, width: float) -> np.ndarray:
    """A clip's points as they are stored: `(T, K, 3)` float64. `values`, `seen`: what was stored before."""
    layout, normalisation, present = clip.layout, clip.normalisation, clip.confidence > 0
    xyz = clip.xyz.astype(np.float64) * normalisation.scale + normalisation.origin
    z = xyz[..., 2].copy()
    for i, (name, own, place) in enumerate(HANGING):
        part = layout.parts[name]
        at = _held(z, present, layout.index(*place), normalisation.origin[2])
        if own is not None:  # where the hand's own wrist is, it is what the hand is relative to
            wrist = layout.index(*own)
            at = np.where(present[:, [wrist]], z[:, [wrist]], at)
        rest = _rest(values, seen, layout, i, own, normalisation)
        xyz[:, part, 2] = (z[:, part] - at) / (width * _factor(normalisation, own)) + rest
    xyz[:, layout.parts["body"], 2] /= width * normalisation.depth
    return xyz


def _factor(normalisation: Normalisation, own: tuple[str, str] | None) -> float:
    """The z factor of a hanging part. The face's z is drawn to the scale of its x."""
    return normalisation.hand_depth if own else 1.0


def _held(z: np.ndarray, seen: np.ndarray, point: int, default: float) -> np.ndarray:
    """`(T, 1)`: a point's z, in time where it was not seen, `default` if it never was."""
    track = seen[:, [point]]
    return fill(z[:, [point]], track) if track.any() else np.full((len(z), 1), default)


def _rest(values: np.ndarray, seen: np.ndarray, layout: Layout, part: int, own: tuple[str, str] | None,
          normalisation: Normalisation) -> np.ndarray:
    """`(T, 1)`: the stored z that means "as deep as the body's point"."""
    if own is None:
        return np.full((len(values), 1), normalisation.rest[part])
    return _held(values[..., 2], seen, layout.index(*own), normalisation.rest[part])


def decode(clips: Clip | Sequence[Clip]) -> Pose:
    """A new Pose from clips: the source's own bits wherever a clip was not changed.

    Parameters
    ----------
    clips : Clip or sequence of Clip
        Of one source, at most one a person. People without a clip stay as they were.

    Returns
    -------
    Pose
        The source's points, people, frames, dimensions, rate and number type, with a NumPy body and a header of its
        own. Per point of the layout: confidence 0 in the clip leaves it as it was; a coordinate equal to what `encode`
        gives keeps its bits; anything else is converted and takes the clip's confidence. Other points: see `carry`.

    Raises
    ------
    ValueError
        If there is no clip, they do not belong together, or one is not finite.
    """
    clips = [clips] if isinstance(clips, Clip) else list(clips)
    if not clips:
        raise ValueError("no clip to decode: encode gives one for each person")
    source = clips[0].source
    if any(clip.source is not source for clip in clips) or len({clip.person for clip in clips}) < len(clips):
        raise ValueError("the clips are not different people of one pose: decode the clips of one encode call together")
    data = np.ma.getdata(source.body.data).copy()
    if not np.issubdtype(data.dtype, np.floating):
        data = data.astype(np.float32)
    confidence, mask = np.array(source.body.confidence), np.ma.getmaskarray(source.body.data).copy()
    for clip in clips:
        _write(clip, data, confidence, mask)
    body = NumPyPoseBody(source.body.fps, np.ma.masked_array(data, mask=mask), confidence)
    return Pose(copy_header(source.header), body)


def _write(clip: Clip, data: np.ndarray, confidence: np.ndarray, mask: np.ndarray) -> None:
    """Put one clip into the arrays of a pose."""
    found = locate(clip.source.header, clip.layout)
    values, seen = _stored(clip.source, clip.person, found)
    if clip.xyz.shape != values.shape or clip.confidence.shape != seen.shape:
        raise ValueError(f"the clip has shape {clip.xyz.shape} and its source {values.shape}: encode it again")
    if not (np.isfinite(clip.xyz).all() and np.isfinite(clip.confidence).all()):
        raise ValueError("the clip holds NaN or infinity: it cannot become a pose")
    width = _width(clip.source)
    before = _forward(values, seen, width, clip.normalisation, clip.layout)
    present = clip.confidence > 0
    changed = present[..., None] & ~(seen[..., None] & (clip.xyz == before))
    here, dims = found >= 0, min(3, data.shape[3])
    target = found[here]
    if changed[:, here].any():
        converted = _backward(clip, values, seen, width)[:, here, :dims]
        old = data[:, clip.person, target, :dims]
        data[:, clip.person, target, :dims] = np.where(changed[:, here, :dims], converted, old)
    old_confidence = confidence[:, clip.person, target]
    sure = np.where(seen[:, here], old_confidence, 0).astype(np.float32)
    fresh = present[:, here] & (clip.confidence[:, here] != sure)
    confidence[:, clip.person, target] = np.where(fresh, clip.confidence[:, here], old_confidence)
    mask[:, clip.person, target] &= ~present[:, here, None]
    if changed.any():
        carry(Change(clip.source, clip.person, clip.layout, found, seen, present, before, clip.xyz,
                     data[:, clip.person], confidence[:, clip.person], mask[:, clip.person]))
