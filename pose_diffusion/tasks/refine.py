"""Refine a pose: complete what is missing, correct and steady what is there."""
from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from tqdm import tqdm

from pose_diffusion.clip import Clip, Normalisation, check_pose, decode, encode, measure, numpy_pose
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.model import Estimate, PoseDiffusion
from pose_diffusion.diffusion.schedule import MAX_STEPS
from pose_diffusion.layout import Layout, copy_header

Model = PoseDiffusion | str | os.PathLike[str] | None
Keep = Iterable[str | tuple[str, str]] | None

CHUNK = 2048  # frames of a long pose that are worked on at a time
MARGIN = 64  # frames by which chunks overlap; blended
BATCH = 4096  # frames of many short poses that are worked on at a time
CONFIDENT = .15  # shoulder widths of expected error at which an invented point's confidence has fallen to 1/e
LEAST, MOST = .05, .95  # confidence of invented points: they survive writing, and can be told from observed ones


@dataclass(frozen=True)
class Settings:
    """How to refine; the arguments of `refine`, checked."""

    strength: float
    keep: tuple[str | tuple[str, str], ...]
    only_masked: bool
    steps: int
    guidance: float
    seed: int


def refine(pose: Pose, *, strength: float = 1.0, only_masked: bool = False, keep: Keep = None, steps: int = 1,
           guidance: float = 1.0, seed: int = 0, device: str = "cpu", model: Model = None) -> Pose:
    """Complete and correct a pose.

    Every keypoint comes back: lost hands, frames and points are invented, jitter is steadied, swapped hands, jumps and
    stalls of the tracker are put right.

    Parameters
    ----------
    pose : Pose
        MediaPipe Holistic in pixels, any subset or order of its points, any number of frames and people. Not changed.
    strength : float
        From 0 to 1: how far observed keypoints may move. 1 is the model's own estimate of them, which takes every
        observed keypoint as a noisy measurement; a lower value goes that share of the straight way there, so the
        distance moved is proportional to it; 0 changes nothing at all (missing points stay missing, too).
    only_masked : bool
        Observed keypoints (confidence > 0) stay as they are, bit for bit, and are taken as exact.
    keep : iterable of names, optional
        Components (`"FACE_LANDMARKS"`) or points (`("POSE_LANDMARKS", "NOSE")`) whose observed values stay bit for bit.
    steps : int
        1 to 1000. 1 is the posterior mean: the smallest error, the same for every seed. More steps draw a sample, as
        sharp as real motion; 8 are enough.
    guidance : float
        Scale of classifier-free guidance; has an effect only on tasks with a text.
    seed : int
        Another seed is another sample (from 2 steps on).
    device : str
        As torch names it.
    model : PoseDiffusion or path, optional
        A loaded model or its folder; by default that of `POSE_DIFFUSION_MODEL`, else the shipped one.

    Returns
    -------
    Pose
        New, with the same points, frames, people, frame rate and units. Confidence of observed points is unchanged;
        that of invented ones is between 0.05 and 0.95 and falls with their expected error.

    Raises
    ------
    ValueError
        One line that says what is wrong with the pose or an argument.
    """
    settings = checked_settings(strength, only_masked, keep, steps, guidance, seed)
    return refine_all([pose], settings, load_model(model, device))[0]


def refine_steps(pose: Pose, *, strength: float = 1.0, only_masked: bool = False, keep: Keep = None, steps: int = 8,
                 guidance: float = 1.0, seed: int = 0, device: str = "cpu", model: Model = None) -> Iterator[Pose]:
    """`refine`, step by step: yields the pose as it is after every step. The last is what `refine` returns.

    Parameters are those of `refine`. A long pose takes more memory than there: all of it is at hand until the end.

    Yields
    ------
    Pose
    """
    settings = checked_settings(strength, only_masked, keep, steps, guidance, seed)
    return _steps(numpy_pose(pose), settings, load_model(model, device))


def _steps(pose: Pose, settings: Settings, model: PoseDiffusion) -> Iterator[Pose]:
    check_pose(pose, model.layout)
    normalisations = _normalisations(pose, model.layout)
    chunks = _chunks(len(pose.body.data))
    if len(chunks) == 1:
        for clips in _clip_steps(encode(pose, model.layout, normalisations=normalisations), settings, model):
            yield decode(clips)
        return
    walks = [_clip_steps(encode(chunk.of(pose), model.layout, normalisations=normalisations), settings, model)
             for chunk in chunks]
    for parts in zip(*walks):
        canvas = Canvas(pose)
        for chunk, clips in zip(chunks, parts):
            canvas.add(chunk, decode(clips).body)
        yield canvas.pose


def _clip_steps(clips: Sequence[Clip], settings: Settings, model: PoseDiffusion) -> Iterator[list[Clip]]:
    if settings.strength == 0:
        for _ in range(settings.steps):
            yield list(clips)
        return
    observation = observe(clips, settings)
    for estimate in model.sample(observation, steps=settings.steps, seeds=_seeds(clips, settings),
                                 guidance=settings.guidance):
        yield _apply(clips, observation, estimate, settings)


def fill_missing(pose: Pose, *, keep: Keep = None, steps: int = 1, guidance: float = 1.0, seed: int = 0,
                 device: str = "cpu", model: Model = None) -> Pose:
    """`refine(pose, only_masked=True)`: only missing keypoints change."""
    return refine(pose, only_masked=True, keep=keep, steps=steps, guidance=guidance, seed=seed, device=device,
                  model=model)


def fill_missing_steps(pose: Pose, *, keep: Keep = None, steps: int = 8, guidance: float = 1.0, seed: int = 0,
                       device: str = "cpu", model: Model = None) -> Iterator[Pose]:
    """`fill_missing`, step by step; see `refine_steps`."""
    return refine_steps(pose, only_masked=True, keep=keep, steps=steps, guidance=guidance, seed=seed, device=device,
                        model=model)


def refine_many(poses: Sequence[Pose], *, strength: float = 1.0, only_masked: bool = False, keep: Keep = None,
                steps: int = 1, guidance: float = 1.0, seed: int = 0, device: str = "cpu", model: Model = None,
                progress: bool = False) -> list[Pose]:
    """`refine` for many poses in batches; each with the same seed, so that the batch does not matter, up to rounding:
    less than a pixel where the processor computes in bfloat16.

    Parameters
    ----------
    poses : sequence of Pose
        Any lengths and headers.
    progress : bool
        Show a progress bar.

    The other parameters are those of `refine`.

    Returns
    -------
    list of Pose
        In the order given.

    Raises
    ------
    ValueError
        As `refine`; the message starts with the pose's place in the list.
    """
    settings = checked_settings(strength, only_masked, keep, steps, guidance, seed)
    return refine_all(poses, settings, load_model(model, device), progress=progress)


def refine_all(poses: Sequence[Pose], settings: Settings, model: PoseDiffusion, *,
               progress: bool = False) -> list[Pose]:
    """Refine poses in batches of about equal length; long ones in chunks."""
    poses = [numpy_pose(pose) for pose in poses]
    for i, pose in enumerate(poses):
        try:
            check_pose(pose, model.layout)
        except ValueError as error:
            if len(poses) == 1:
                raise
            raise type(error)(f"pose {i}: {error}") from error
    done: list[Pose | None] = [None] * len(poses)
    bar = tqdm(total=len(poses), unit="pose", disable=not progress)
    for group in batches([len(pose.body.data) for pose in poses]):
        if len(_chunks(len(poses[group[0]].body.data))) > 1:
            done[group[0]] = _refine_long(poses[group[0]], settings, model)
        else:
            for i, pose in zip(group, _refine_batch([poses[i] for i in group], settings, model)):
                done[i] = pose
        bar.update(len(group))
    bar.close()
    return [pose for pose in done if pose is not None]


def batches(lengths: list[int]) -> list[list[int]]:
    """Indices in groups of similar length and at most `BATCH` padded frames; what is worked on in chunks is alone."""
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i], reverse=True):
        group = groups[-1] if groups else []
        longest = lengths[group[0]] if group else 0
        if group and len(_chunks(longest)) == 1 and longest * (len(group) + 1) <= BATCH:
            group.append(i)
        else:
            groups.append([i])
    return groups


def _refine_batch(poses: Sequence[Pose], settings: Settings, model: PoseDiffusion) -> list[Pose]:
    people = [encode(pose, model.layout, normalisations=_normalisations(pose, model.layout)) for pose in poses]
    refined = iter(refine_clips([clip for clips in people for clip in clips], settings, model))
    return [decode([next(refined) for _ in clips]) for clips in people]


def refine_clips(clips: Sequence[Clip], settings: Settings, model: PoseDiffusion) -> list[Clip]:
    """Refine clips in one batch.

    Parameters
    ----------
    clips : sequence of Clip
        Of the model's layout.
    settings : Settings
        How.
    model : PoseDiffusion
        With what.

    Returns
    -------
    list of Clip
    """
    if settings.strength == 0:
        return list(clips)
    observation = observe(clips, settings)
    walk = model.sample(observation, steps=settings.steps, seeds=_seeds(clips, settings), guidance=settings.guidance)
    return _apply(clips, observation, deque(walk, maxlen=1).pop(), settings)


def _refine_long(pose: Pose, settings: Settings, model: PoseDiffusion) -> Pose:
    """Refine a long pose in overlapping chunks, so that memory does not grow with its length."""
    normalisations = _normalisations(pose, model.layout)
    canvas = Canvas(pose)
    for chunk in _chunks(len(pose.body.data)):
        clips = encode(chunk.of(pose), model.layout, normalisations=normalisations)
        canvas.add(chunk, decode(refine_clips(clips, settings, model)).body)
    return canvas.pose


@dataclass(frozen=True)
class Chunk:
    """Frames `low` to `high` of a pose; up to `first`, and as far beyond it, they overlap with the chunk before."""

    low: int
    first: int
    high: int

    def of(self, pose: Pose) -> Pose:
        return Pose(pose.header, pose.body[self.low:self.high])


def _chunks(frames: int) -> list[Chunk]:
    if frames <= CHUNK + 2 * MARGIN:
        return [Chunk(0, 0, frames)]
    return [Chunk(max(0, first - MARGIN), first, min(frames, first + CHUNK + MARGIN))
            for first in range(0, frames, CHUNK)]


class Canvas:
    """A copy of a pose, to which its chunks are added in order; where they overlap they are blended."""

    def __init__(self, pose: Pose):
        data = np.ma.getdata(pose.body.data)
        self.data = data.copy() if np.issubdtype(data.dtype, np.floating) else data.astype(np.float32)
        self.mask = np.ma.getmaskarray(pose.body.data).copy()
        self.confidence = np.array(pose.body.confidence)
        self.source = pose

    def add(self, chunk: Chunk, new: NumPyPoseBody) -> None:
        """Write a chunk; the frames it shares with the one before fade in over what is there."""
        rows, frames = slice(chunk.low, chunk.high), chunk.high - chunk.low
        fade = np.ones(frames)
        overlap = min(2 * (chunk.first - chunk.low), frames)
        fade[:overlap] = (np.arange(overlap) + 1) / (overlap + 1)
        data, confidence, mask = self.data[rows], self.confidence[rows], self.mask[rows]
        values, gone = np.ma.getdata(new.data), np.ma.getmaskarray(new.data)
        alone = (mask != gone) | (fade == 1)[:, None, None, None] | (values == data)  # nothing to blend
        data[...] = np.where(alone, values, data + fade[:, None, None, None] * (values - data))
        mask[...] = gone
        sure = new.confidence
        alone = (confidence == 0) | (sure == 0) | (fade == 1)[:, None, None] | (sure == confidence)
        confidence[...] = np.where(alone, sure, confidence + fade[:, None, None] * (sure - confidence))

    @property
    def pose(self) -> Pose:
        body = NumPyPoseBody(self.source.body.fps, np.ma.masked_array(self.data, mask=self.mask), self.confidence)
        return Pose(copy_header(self.source.header), body)


def _normalisations(pose: Pose, layout: Layout) -> list[Normalisation]:
    return [measure(pose, person, layout) for person in range(pose.body.data.shape[1])]


def observe(clips: Sequence[Clip], settings: Settings) -> Observation:
    """What is known of clips: a padded batch.

    Parameters
    ----------
    clips : sequence of Clip
        Of one layout.
    settings : Settings
        `only_masked` and `keep` say what is exact.

    Returns
    -------
    Observation
        `(B, T, K, ...)` on the CPU.
    """
    frames, points = max(len(clip.xyz) for clip in clips), len(clips[0].layout)
    kept = torch.from_numpy(kept_points(clips[0].layout, settings.keep) | settings.only_masked)
    xyz = torch.zeros(len(clips), frames, points, 3)
    mask, valid = torch.zeros(xyz.shape[:3], dtype=torch.bool), torch.zeros(xyz.shape[:2], dtype=torch.bool)
    seconds = torch.zeros(xyz.shape[:2])
    for i, clip in enumerate(clips):
        n = len(clip.xyz)
        xyz[i, :n], mask[i, :n] = torch.from_numpy(clip.xyz), torch.from_numpy(clip.confidence > 0)
        valid[i, :n] = True
        step = clip.seconds[1] if n > 1 else 0
        seconds[i] = torch.arange(frames) * step
    return Observation(xyz, mask, mask & kept, seconds, valid)


def kept_points(layout: Layout, keep: Sequence[str | tuple[str, str]], argument: str = "keep") -> np.ndarray:
    """`(K,)` bool: the layout's points among those named; `argument` is what errors call the names.

    Raises
    ------
    ValueError
        For a name that is neither a component nor a point of the layout.
    """
    kept = np.zeros(len(layout), bool)
    for name in keep:
        found = np.array([name in (component, (component, point)) for component, point in layout.points])
        if not found.any():
            components = ", ".join(dict.fromkeys(component for component, _ in layout.points))
            raise ValueError(f"{argument}: there is no {name!r}: name a component ({components}) or (component, point)")
        kept |= found
    return kept


def _apply(clips: Sequence[Clip], observation: Observation, estimate: Estimate, settings: Settings) -> list[Clip]:
    """Clips with an estimate in them: observed points moved by `strength`, missing ones invented."""
    out = []
    xyz, error, exact = (t.cpu().numpy() for t in (estimate.xyz, estimate.error, observation.exact))
    for i, clip in enumerate(clips):
        n = len(clip.xyz)
        seen = clip.confidence > 0
        moved = clip.xyz + np.float32(settings.strength) * (xyz[i, :n] - clip.xyz)
        moved = np.where(exact[i, :n, :, None], clip.xyz, moved)
        confidence = np.where(seen, clip.confidence, invented_confidence(error[i, :n]))
        out.append(replace(clip, xyz=np.where(seen[..., None], moved, xyz[i, :n]), confidence=confidence))
    return out


def invented_confidence(error: np.ndarray) -> np.ndarray:
    """Confidence of an invented point from its expected error in shoulder widths: `exp(-error / .15)`, .05 to .95."""
    return np.clip(np.exp(-error / CONFIDENT), LEAST, MOST).astype(np.float32)


def _seeds(clips: Sequence[Clip], settings: Settings) -> list[int]:
    return [settings.seed + clip.person for clip in clips]


def load_model(model: Model, device: str) -> PoseDiffusion:
    """The model itself, or that of a folder."""
    return model if isinstance(model, PoseDiffusion) else PoseDiffusion.from_pretrained(model, device)


def checked_settings(strength: float, only_masked: bool, keep: Keep, steps: int, guidance: float,
                     seed: int) -> Settings:
    """A task's settings; a ValueError says which is wrong and what it may be."""
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be from 0 (nothing changes) to 1 (the model's estimate), not {strength}")
    if steps not in range(1, MAX_STEPS + 1):
        raise ValueError(f"steps must be a whole number from 1 to {MAX_STEPS}, not {steps}")
    if not np.isfinite(guidance):
        raise ValueError(f"guidance must be a finite number, not {guidance}")
    if int(seed) != seed or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 up, not {seed}")
    if isinstance(keep, str):
        raise ValueError(f"keep must be a list of names, such as [{keep!r}]")
    names = tuple(tuple(name) if isinstance(name, list) else name for name in keep or ())
    return Settings(float(strength), names, bool(only_masked), int(steps), float(guidance), int(seed))
