"""Stretches of frames, known or to be generated with a text, sampled as one clip."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.clip import decode, encode
from pose_diffusion.diffusion.condition import Condition, together
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import locate
from pose_diffusion.notation import Embedding, Text
from pose_diffusion.tasks.generate import MOST_FRAMES
from pose_diffusion.tasks.inbetween import joined, nothing, with_estimate
from pose_diffusion.tasks.reconciling import Look
from pose_diffusion.tasks.refine import observe
from pose_diffusion.tasks.sampling import Sampling


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some frames of one person.

    Attributes
    ----------
    body : NumPyPoseBody
        Empty where `free`.
    free : bool
        Whether they are to be generated.
    text : Text, Embedding or None
        What is signed in them.
    lead : int
        Frames before them that count as their text's, too.
    """

    body: NumPyPoseBody
    free: bool
    text: Text | Embedding | None = None
    lead: int = 0


def unknown(look: Look, frames: int, text: Text | Embedding | None = None, lead: int = 0) -> Stretch:
    """A stretch to be generated."""
    shape = (1, 1, look.header.total_points())
    like = NumPyPoseBody(look.fps, np.zeros((*shape, look.header.num_dims()), np.float32), np.zeros(shape, np.float32))
    return Stretch(nothing(like, frames), True, text, lead)


def sampled(stretches: Sequence[Stretch], look: Look, how: Sampling, model: PoseDiffusion) -> Iterator[Pose]:
    """Sample all that is free at once: yields after every step.

    Parameters
    ----------
    stretches : sequence of Stretch
        In order, with at least one frame.
    look : Look
        Header, rate, and the size and place of one person.
    how : Sampling
        Steps, guidance, seed.
    model : PoseDiffusion
        With what.

    Yields
    ------
    Pose
        What was known is kept bit for bit, up to the number type.

    Raises
    ------
    ValueError
        If there are too many frames.
    """
    lengths = [len(stretch.body.data) for stretch in stretches]
    if sum(lengths) > MOST_FRAMES:
        raise ValueError(f"{sum(lengths)} frames are more than {MOST_FRAMES} at once: compose fewer items, and join "
                         "what comes out by inbetween")
    pose = joined([stretch.body for stretch in stretches], look.header, look.fps)
    clips = encode(pose, model.layout, normalisations=look.people)
    free = np.repeat([stretch.free for stretch in stretches], lengths)[:, None]
    free = free & (locate(look.header, model.layout) >= 0)
    condition = _condition(stretches, lengths, look.fps, model)
    settings = how.settings
    walk = model.sample(observe(clips, settings), steps=settings.steps, seeds=[settings.seed],
                        guidance=settings.guidance, guidance_interval=how.interval, temperature=how.temperature,
                        condition=condition)
    for estimate in walk:
        yield decode(with_estimate(clips, free[None], estimate, 0))


def _condition(stretches: Sequence[Stretch], lengths: Sequence[int], fps: float,
               model: PoseDiffusion) -> Condition | None:
    """What is signed when."""
    ends = np.cumsum(lengths)
    texts = [model.condition([stretch.text], [((end - length - stretch.lead) / fps, end / fps)])
             for stretch, length, end in zip(stretches, lengths, ends.tolist()) if stretch.text is not None]
    return together(texts) if texts else None


def with_rests(pose: Pose, ends: Sequence[int], rests: Sequence[int]) -> Pose:
    """The pose with the frame before each of `ends` held for so many frames more."""
    times = np.ones(len(pose.body.data), int)
    times[np.asarray(ends, int) - 1] += np.asarray(rests, int)
    if (times == 1).all():
        return pose
    return Pose(pose.header, pose.body[np.repeat(np.arange(len(times)), times)])
