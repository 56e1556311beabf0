"""Sign a part of a pose anew: a span of frames, a hand, or both; all else stays bit for bit."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from pose_format import Pose

from pose_diffusion.clip import Clip, check_pose, decode, encode, measure, numpy_pose
from pose_diffusion.diffusion.model import Estimate, PoseDiffusion
from pose_diffusion.layout import locate
from pose_diffusion.notation import Embedding, Text
from pose_diffusion.tasks.refine import Canvas, Chunk, Model, kept_points, load_model, observe
from pose_diffusion.tasks.sampling import GUIDANCE, INTERVAL, TEMPERATURE, Sampling, made_confidence, sampling
from pose_diffusion.tasks.texts import Asked, ask

Frames = tuple[int, int] | slice | None
Points = Iterable[str | tuple[str, str]] | None

CONTEXT = 64  # frames before and after a span that the model sees: twice its window
MOST_FRAMES = 4096  # of a span: all of it is in memory at once


@dataclass(frozen=True, eq=False)
class _Job:
    """What is to be signed anew.

    Attributes
    ----------
    pose : Pose
        All of it, with a NumPy body.
    chunk : Chunk
        The frames that the model sees.
    clips : list of Clip
        These, one clip a person.
    free : np.ndarray
        `(T, K)` bool: what is made anew in them.
    text : Text, Embedding or None
        What is signed.
    span : tuple of float
        Seconds in the chunk at which that begins and ends.
    """

    pose: Pose
    chunk: Chunk
    clips: list[Clip]
    free: np.ndarray
    text: Text | Embedding | None
    span: tuple[float, float]


def regenerate(pose: Pose, *, frames: Frames = None, points: Points = None, text: Asked = None, language: str = "und",
               notation: str | None = None, steps: int = 8, guidance: float = GUIDANCE,
               guidance_interval: tuple[float, float] = INTERVAL, temperature: float = TEMPERATURE,
               seed: int = 0, device: str = "cpu", model: Model = None) -> Pose:
    """Make a part of a pose anew.

    Parameters
    ----------
    pose : Pose
        As in `refine`. Not changed. Of several people the part is made anew of all.
    frames : (int, int) or slice, optional
        The first frame and the one after the last, as in a slice: negative ones count from the end. By default all.
    points : iterable of names, optional
        Components (`"RIGHT_HAND_LANDMARKS"`) or points (`("POSE_LANDMARKS", "RIGHT_ELBOW")`). By default all that the
        model knows. What is not among them is known to the model: to move a whole arm name its body points, too.
    text : str, Text, Embedding or None
        What is signed in these frames; None for whatever fits to the rest.
    language, notation, guidance, guidance_interval, temperature, seed, device, model
        As in `generate`.
    steps : int
        1 to 1000. 1 is the mean of all that fits, more draw one of it.

    Returns
    -------
    Pose
        New, with the same points, frames, people, frame rate and units. What was to be made anew is invented, also
        where it was missing, and has a confidence between 0.05 and 0.95. All else is kept bit for bit, and stays
        missing where it was; only what the model's points carry along goes with them in these frames: the face's mesh
        with its contour, world landmarks with the body.

    Warns
    -----
    UnknownTextWarning
        As `generate`.

    Raises
    ------
    ValueError
        One line that says what is wrong with the pose, the text or an argument.
    """
    how, loaded = sampling(steps, guidance, guidance_interval, temperature, seed), load_model(model, device)
    asked = ask(text, loaded, language=language, notation=notation)
    job = _job(numpy_pose(pose), frames, points, asked, loaded)
    return _with(job, deque(_walk(job, how, loaded), maxlen=1).pop())


def regenerate_steps(pose: Pose, *, frames: Frames = None, points: Points = None, text: Asked = None,
                     language: str = "und", notation: str | None = None, steps: int = 8, guidance: float = GUIDANCE,
                     guidance_interval: tuple[float, float] = INTERVAL, temperature: float = TEMPERATURE,
                     seed: int = 0, device: str = "cpu", model: Model = None) -> Iterator[Pose]:
    """`regenerate`, step by step: yields the pose as it is after every step. The last is what `regenerate` returns.

    Parameters are those of `regenerate`; they are checked at once.

    Yields
    ------
    Pose
    """
    how, loaded = sampling(steps, guidance, guidance_interval, temperature, seed), load_model(model, device)
    asked = ask(text, loaded, language=language, notation=notation)
    job = _job(numpy_pose(pose), frames, points, asked, loaded)
    return (_with(job, estimate) for estimate in _walk(job, how, loaded))


def _job(pose: Pose, frames: Frames, points: Points, text: Text | Embedding | None, model: PoseDiffusion) -> _Job:
    check_pose(pose, model.layout)
    if frames is None and points is None:
        raise ValueError("nothing is said of what to make anew: give frames, points, or both")
    total = len(pose.body.data)
    first, last = _span(frames, total)
    low, high = max(0, first - CONTEXT), min(total, last + CONTEXT)
    chunk = Chunk(low, low, high)
    normalisations = [measure(pose, person, model.layout) for person in range(pose.body.data.shape[1])]
    clips = encode(chunk.of(pose), model.layout, normalisations=normalisations)
    free = np.zeros((high - low, len(model.layout)), bool)
    free[first - low:last - low] = _named(points, model) & (locate(pose.header, model.layout) >= 0)
    if not free.any():
        raise ValueError(f"the pose has none of the points {points}: give a pose that has, or other points")
    fps = float(pose.body.fps)
    return _Job(pose, chunk, clips, free, text, ((first - low) / fps, (last - low) / fps))


def _span(frames: Frames, total: int) -> tuple[int, int]:
    """The first frame that is made anew, and the one after the last."""
    try:
        begin, end = (frames.start, frames.stop) if isinstance(frames, slice) else frames or (0, total)
        first, last, step = slice(begin, end, frames.step if isinstance(frames, slice) else 1).indices(total)
    except (TypeError, ValueError) as error:
        raise ValueError(f"frames must be two whole numbers or a slice, not {frames}") from error
    if step != 1 or first >= last:
        raise ValueError(f"frames {frames} are none of the pose's {total} in order: give the first and the one after "
                         "the last")
    if last - first > MOST_FRAMES:
        raise ValueError(f"{last - first} frames are more than {MOST_FRAMES} at once: give one span after the other")
    return first, last


def _named(points: Points, model: PoseDiffusion) -> np.ndarray:
    """`(K,)` bool: the points that are made anew."""
    if points is None:
        return np.ones(len(model.layout), bool)
    if isinstance(points, str):
        raise ValueError(f"points must be a list of names, such as [{points!r}]")
    names = [tuple(name) if isinstance(name, list) else name for name in points]
    if not names:
        raise ValueError("points names none: leave it out for all of them")
    return kept_points(model.layout, names, "points")


def _walk(job: _Job, how: Sampling, model: PoseDiffusion) -> Iterator[Estimate]:
    rest = [replace(clip, xyz=np.where(job.free[..., None], 0, clip.xyz),
                    confidence=np.where(job.free, 0, clip.confidence)) for clip in job.clips]
    seeds = [how.settings.seed + clip.person for clip in job.clips]
    return how.walk(model, observe(rest, how.settings), seeds, [job.text] * len(rest), [job.span] * len(rest))


def _with(job: _Job, estimate: Estimate) -> Pose:
    """The pose with an estimate in it."""
    xyz, error = estimate.xyz.cpu().numpy(), estimate.error.cpu().numpy()
    clips = [replace(clip, xyz=np.where(job.free[..., None], xyz[i], clip.xyz),
                     confidence=np.where(job.free, made_confidence(error[i]), clip.confidence))
             for i, clip in enumerate(job.clips)]
    canvas = Canvas(job.pose)
    canvas.add(job.chunk, decode(clips).body)
    return canvas.pose
