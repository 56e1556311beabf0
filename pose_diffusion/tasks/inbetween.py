"""Join poses: the ways between them are generated, what was given stays as it was."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader

from pose_diffusion.clip import Clip, decode, encode
from pose_diffusion.diffusion.model import Estimate, PoseDiffusion
from pose_diffusion.layout import BODY, LEFT_HAND, RIGHT_HAND, Layout, copy_header, locate
from pose_diffusion.tasks.reconciling import measured, reconciled
from pose_diffusion.tasks.refine import (
    CHUNK,
    Canvas,
    Chunk,
    Model,
    Settings,
    batches,
    checked_settings,
    load_model,
    observe,
)
from pose_diffusion.tasks.sampling import TEMPERATURE, check_temperature, made_confidence

CONTEXT_SECONDS = 1.0
STEPS = 8  # nearer to real ways than lines on tuning signers, and nearly as rough
LONGEST = 60.0  # seconds, of a transition, a hold or a pause
# How long a hand takes for a way of d shoulder widths: .22 s + .09 s * d, as it does in training clips
# (benchmarks/movement_time.py), at most .6 s.
START, PER_WIDTH, MOST = .22, .09, .6


@dataclass(frozen=True)
class Timing:
    """Seconds of what is put between poses.

    Attributes
    ----------
    transition : float, optional
        Of each transition; None for as long as its way takes.
    hold : float
        For which the end of each pose is held.
    pauses : tuple of float
        After each pose, for which it is held on.
    context : float
        Of what is known on both sides of a transition, that the model sees.
    least : float
        Of a transition that is as long as its way takes.
    """

    transition: float | None
    hold: float
    pauses: tuple[float, ...]
    context: float
    least: float = 0.0


@dataclass(frozen=True, eq=False)
class Plan:
    """Poses in one, with gaps where transitions are to be.

    Attributes
    ----------
    pose : Pose
        All frames; zeros without confidence in the gaps. Its header is its own.
    gaps : tuple of (int, int)
        The first frame of each gap and the one after the last.
    chunks : tuple of Chunk
        What the model sees: gaps and what is around them.
    context : int
        Frames.
    """

    pose: Pose
    gaps: tuple[tuple[int, int], ...]
    chunks: tuple[Chunk, ...]
    context: int


def inbetween(poses: Sequence[Pose], *, seconds: float | None = None, context_seconds: float = CONTEXT_SECONDS,
              hold: float = 0.0, pause: float = 0.0, tempo: float = 1.0, steps: int = STEPS, guidance: float = 1.0,
              temperature: float = TEMPERATURE, seed: int = 0, device: str = "cpu", model: Model = None) -> Pose:
    """Join poses into one: the ways between them are generated.

    Parameters
    ----------
    poses : sequence of Pose
        One or more, in order, not changed. Headers, frame rates and the signers' sizes and places may differ: see
        `reconciling.reconciled`. One frame is enough.
    seconds : float, optional
        Length of each transition; 0 puts the poses end to end. By default as long as a hand takes for the longer of the
        two hands' ways: 0.22 s and 0.09 s for each shoulder width, at most 0.6 s.
    context_seconds : float
        How much of what is on each side of a transition the model sees; 0 for one frame. It may reach over more than
        one pose.
    hold : float
        Seconds for which the last frame of each pose is held, as readers of fingerspelling want letters to be.
    pause : float
        Seconds for which it is held on, of each pose but the last: for poses that are sentences, about 0.5.
    tempo : float
        2 makes all poses twice as fast: signs of dictionaries are slower than signing. From 0.1 to 10.
    steps : int
        1 to 1000. 1 is the mean of all ways, smoother than real ones; more draw one of them.
    guidance : float
        Has no effect: there is no text.
    temperature : float
        From 0 to 1: how far from the mean, as in `generate`.
    seed, device, model
        As in `refine`.

    Returns
    -------
    Pose
        New, with the first pose's header, points, rate and units. The given frames are in it bit for bit (of poses that
        had to be reconciled, as that made them); points that were lost in them stay lost. In a transition a point is
        generated in the half next to a side on which it is seen within `context_seconds`, so that a hand that never was
        in the picture does not come for a moment. Its confidence is between 0.05 and 0.95.

    Raises
    ------
    ValueError
        One line that says what is wrong with a pose or an argument.
    """
    return deque(inbetween_steps(poses, seconds=seconds, context_seconds=context_seconds, hold=hold, pause=pause,
                                 tempo=tempo, steps=steps, guidance=guidance, temperature=temperature, seed=seed,
                                 device=device, model=model),
                 maxlen=1).pop()


def inbetween_steps(poses: Sequence[Pose], *, seconds: float | None = None, context_seconds: float = CONTEXT_SECONDS,
                    hold: float = 0.0, pause: float = 0.0, tempo: float = 1.0, steps: int = STEPS,
                    guidance: float = 1.0, temperature: float = TEMPERATURE, seed: int = 0, device: str = "cpu",
                    model: Model = None) -> Iterator[Pose]:
    """`inbetween`, step by step: yields the pose as it is after every step. The last is what `inbetween` returns.

    Parameters are those of `inbetween`; they are checked at once.

    Yields
    ------
    Pose
    """
    settings = checked_settings(1.0, True, None, steps, guidance, seed)
    check_temperature(temperature)
    timing = checked_timing(seconds, hold, [pause] * max(0, len(poses) - 1) + [0.0], context_seconds)
    loaded = load_model(model, device)
    return join(reconciled(poses, loaded.layout, tempo=tempo), timing, settings, loaded, temperature)


def checked_timing(transition: float | None, hold: float, pauses: Sequence[float],
                   context: float = CONTEXT_SECONDS) -> Timing:
    """Timing, checked.

    Raises
    ------
    ValueError
        One line that says which argument is wrong, and what it may be.
    """
    for name, value in (("seconds", transition), ("hold", hold), ("context_seconds", context),
                        *(("pause", pause) for pause in pauses)):
        if value is not None and not 0 <= value <= LONGEST:
            raise ValueError(f"{name} must be from 0 to {LONGEST:g} seconds, not {value}")
    return Timing(transition, hold, tuple(pauses), context)


def join(poses: Sequence[Pose], timing: Timing, settings: Settings, model: PoseDiffusion,
         temperature: float = TEMPERATURE) -> Iterator[Pose]:
    """Join poses that are alike: yields after every step.

    Parameters
    ----------
    poses : sequence of Pose
        As `reconciled` gives them.
    timing : Timing
        With a pause for each of them.
    settings : Settings
        Steps and seed.
    model : PoseDiffusion
        That fills the gaps.
    temperature : float
        As in `inbetween`.
    """
    plan = planned(poses, timing, model.layout)
    return _walk(plan, settings, model, temperature)


def planned(poses: Sequence[Pose], timing: Timing, layout: Layout) -> Plan:
    """Lay out poses, holds and gaps in time."""
    fps = float(poses[0].body.fps)
    bodies: list[NumPyPoseBody] = []
    gaps: list[tuple[int, int]] = []
    total = 0
    for i, pose in enumerate(poses):
        if i:
            gap = transition_frames(poses[i - 1], pose, timing, layout)
            if gap:
                gaps.append((total, total + gap))
                bodies.append(nothing(pose.body, gap))
                total += gap
        held = round((timing.hold + timing.pauses[i]) * fps)
        bodies += [pose.body, *([pose.body[[-1] * held]] if held else [])]
        total += len(pose.body.data) + held
    context = max(1, round(timing.context * fps))
    return Plan(joined(bodies, poses[0].header, fps), tuple(gaps), _chunks(gaps, context, total), context)


def transition_frames(before: Pose, after: Pose, timing: Timing, layout: Layout) -> int:
    """How many frames a transition has."""
    fps = float(before.body.fps)
    if timing.transition is not None:
        return round(timing.transition * fps)
    width = measured(before, layout)
    way = max(_way(before, after, person, layout) / one.scale for person, one in enumerate(width))
    return max(1, round(max(timing.least, min(MOST, START + PER_WIDTH * way)) * fps))


def _way(before: Pose, after: Pose, person: int, layout: Layout) -> float:
    """How far in pixels it is from the last frame of one pose to the first of another for the hand that goes farther: a
    wrist, or the middle of a hand; 0 where none is seen in both.
    """
    found = locate(before.header, layout)
    ends = [(np.ma.getdata(pose.body.data)[at, person], np.asarray(pose.body.confidence)[at, person] > 0)
            for pose, at in ((before, -1), (after, 0))]
    ways = [0.0]
    for side, hand in (("LEFT", LEFT_HAND), ("RIGHT", RIGHT_HAND)):
        for points in ([layout.index(BODY, f"{side}_WRIST")],
                       [i for i, (component, _) in enumerate(layout.points) if component == hand]):
            chosen = found[points][found[points] >= 0]
            chosen = chosen[ends[0][1][chosen] & ends[1][1][chosen]]
            if len(chosen):
                ways.append(float(np.linalg.norm((ends[1][0] - ends[0][0])[chosen, :2].mean(0))))
    return max(ways)


def nothing(like: NumPyPoseBody, frames: int) -> NumPyPoseBody:
    """So many frames in which nothing is known, of the same points, people and number types."""
    shape = (frames, *like.data.shape[1:])
    data: np.ma.MaskedArray = np.ma.masked_array(np.zeros(shape, like.data.dtype), np.ones(shape, bool))
    return NumPyPoseBody(like.fps, data, np.zeros(shape[:-1], np.asarray(like.confidence).dtype))


def joined(bodies: Sequence[NumPyPoseBody], header: PoseHeader, fps: float) -> Pose:
    """Bodies end to end, in the number type that holds all of their values; the header is copied."""
    kind = np.result_type(*(body.data.dtype for body in bodies))
    kind = kind if np.issubdtype(kind, np.floating) else np.dtype(np.float32)
    data = np.concatenate([np.ma.getdata(body.data).astype(kind, copy=False) for body in bodies])
    mask = np.concatenate([np.ma.getmaskarray(body.data) for body in bodies])
    confidence = np.concatenate([np.asarray(body.confidence) for body in bodies])
    return Pose(copy_header(header), NumPyPoseBody(fps, np.ma.masked_array(data, mask), confidence))


def _chunks(gaps: Sequence[tuple[int, int]], context: int, total: int) -> tuple[Chunk, ...]:
    """What the model sees of the whole: gaps whose surroundings overlap are filled together, unless that gets long."""
    out: list[list[int]] = []  # first frame, first gap, the frame after the last gap, the frame after the last
    for begin, end in gaps:
        low, high = max(0, begin - context), min(total, end + context)
        if out and low < out[-1][3] and high - out[-1][0] <= CHUNK:
            out[-1][2:] = [end, high]
            continue
        if out:
            low, out[-1][3] = max(low, out[-1][2]), min(out[-1][3], begin)
        out.append([low, begin, end, high])
    return tuple(Chunk(low, low, high) for low, _, _, high in out)


def _walk(plan: Plan, settings: Settings, model: PoseDiffusion, temperature: float) -> Iterator[Pose]:
    if not plan.chunks:
        for _ in range(settings.steps):
            yield Canvas(plan.pose).pose
        return
    normalisations = measured(plan.pose, model.layout)
    clips = [encode(chunk.of(plan.pose), model.layout, normalisations=normalisations) for chunk in plan.chunks]
    free = [wanted(plan, chunk, people) for chunk, people in zip(plan.chunks, clips)]
    groups = batches([chunk.high - chunk.low for chunk in plan.chunks])
    walks = [_estimates([clip for i in group for clip in clips[i]], settings, model, temperature) for group in groups]
    for parts in zip(*walks):
        canvas = Canvas(plan.pose)
        for group, estimate in zip(groups, parts):
            row = 0
            for i in group:
                people = len(clips[i])
                filled = with_estimate(clips[i], free[i], estimate, row)
                canvas.add(plan.chunks[i], decode(filled).body)
                row += people
        yield canvas.pose


def _estimates(clips: Sequence[Clip], settings: Settings, model: PoseDiffusion,
               temperature: float) -> Iterator[Estimate]:
    seeds = [settings.seed + clip.person for clip in clips]
    return model.sample(observe(clips, settings), steps=settings.steps, seeds=seeds, guidance=settings.guidance,
                        temperature=temperature)


def wanted(plan: Plan, chunk: Chunk, clips: Sequence[Clip]) -> np.ndarray:
    """`(people, T, K)` bool: what is to be generated in a chunk.

    In each half of a gap, those points that are seen on its side of it. The outer halves of gaps that lie close
    together see across each other.
    """
    seen = np.stack([clip.confidence > 0 for clip in clips])
    out = np.zeros_like(seen)
    for begin, end in plan.gaps:
        if not chunk.low <= begin < chunk.high:
            continue
        first, last = begin - chunk.low, end - chunk.low
        middle = (first + last + 1) // 2
        out[:, first:middle] = seen[:, max(0, first - plan.context):first].any(1, keepdims=True)
        out[:, middle:last] = seen[:, last:last + plan.context].any(1, keepdims=True)
    return out


def with_estimate(clips: Sequence[Clip], free: np.ndarray, estimate: Estimate, row: int) -> list[Clip]:
    """The people of a chunk, with what was generated of them where that is wanted; `row` is the first of them."""
    out = []
    xyz, error = estimate.xyz.cpu().numpy(), estimate.error.cpu().numpy()
    for i, clip in enumerate(clips):
        n = len(clip.xyz)
        sure = np.where(free[i], made_confidence(error[row + i, :n]), clip.confidence)
        out.append(replace(clip, xyz=np.where(free[i, ..., None], xyz[row + i, :n], clip.xyz), confidence=sure))
    return out
