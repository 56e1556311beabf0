"""Generate signing from a text: all frames at once, beginning with a given pose, through given key frames."""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pose_format import Pose
from scipy.interpolate import CubicSpline
from tqdm import tqdm

from pose_diffusion.clip import Clip, decode
from pose_diffusion.diffusion.model import Estimate, PoseDiffusion
from pose_diffusion.notation import Embedding, Text
from pose_diffusion.tasks.appearance import Known, Times, known_frames
from pose_diffusion.tasks.refine import Model, batches, load_model, observe
from pose_diffusion.tasks.sampling import GUIDANCE, INTERVAL, TEMPERATURE, Sampling, made_confidence, sampling
from pose_diffusion.tasks.texts import Asked, ask

SHORTEST, LONGEST = .2, 30.0  # seconds, of a predicted length
MOST_FRAMES = 4096  # of one result: all are in memory at once
MOST_FPS = 1000
USUAL_FPS = 25.0  # about the rate that the model was trained at; at much higher ones fewer frames are sampled


@dataclass(frozen=True, eq=False)
class _Job:
    """One result that is to be made."""

    text: Text | Embedding | None
    known: Known
    seed: int

    @property
    def span(self) -> tuple[float, float]:
        """Seconds at which its sign begins and ends."""
        return 0.0, self.known.times.frames / self.known.times.fps


def generate(text: Asked, *, language: str = "und", notation: str | None = None, first_pose: Pose | None = None,
             keyframes: Mapping[float, Pose] | None = None, softness: float = 0.0, seconds: float | None = None,
             frames: int | None = None, fps: float = 25.0, steps: int = 8, guidance: float = GUIDANCE,
             guidance_interval: tuple[float, float] = INTERVAL, temperature: float = TEMPERATURE,
             seed: int = 0, device: str = "cpu", model: Model = None) -> Pose:
    """Sign a text.

    Parameters
    ----------
    text : str, Text, Embedding or None
        A word or gloss, SignWriting (FSW or SWU) or HamNoSys; one that was read already; a user's own embedding, for a
        model trained with such; None for signing of no text.
    language : str
        ISO 639-3 of the signed language. `"und"` is the one the model knows the text in, if that is one only.
    notation : str, optional
        One of `notation.NOTATIONS`; by default it is found out.
    first_pose : Pose, optional
        Of one person: its first frame is the result's, bit for bit where it was seen; what is missing in it is filled
        in. Header, points, units, number type and the signer's size and place are kept. By default an average signer
        in 1000 x 1000 pixels, their shoulders 250 wide.
    keyframes : mapping of float to Pose, optional
        Poses to pass through, by the second at which: the first frame of each goes to the nearest of the result's. Of
        a signer of about the same size and place in an image of the same size they are kept bit for bit, others are
        brought to the first pose's size and place.
    softness : float
        Shoulder widths, from 0 up: the standard deviation with which key frames are meant. 0 passes through them
        exactly. Else the result is first made without them, and then passes between what comes out there and the key
        frame: the nearer to the latter, the less certain the model is without.
    seconds : float, optional
        The length; by default that of `predict_seconds`, or up to the last key frame if that is later.
    frames : int, optional
        The same in frames.
    fps : float
        Frames per second. Above 37 every second (or third, ...) frame is sampled, and those between interpolated.
    steps : int
        1 to 1000. 1 is the mean of all ways to sign it; more draw one of them.
    guidance : float
        Scale of classifier-free guidance: 0 ignores the text, 1 is as trained, above follows it more closely. Another
        scale than 0 and 1 has the network run for two.
    guidance_interval : (float, float)
        Lowest and highest noise level (they go from 20 to .02) at which it has an effect; at low noise it makes samples
        shake.
    temperature : float
        From 0 to 1: how far samples are from the mean. 1 is as far as the model thinks the truth may be; below, there
        is less variety and hands are plausible more often.
    seed : int
        Another seed is another sample (from 2 steps on).
    device, model
        As in `refine`.

    Returns
    -------
    Pose
        Of one person and the length asked for. Invented points have a confidence between 0.05 and 0.95.

    Warns
    -----
    UnknownTextWarning
        If the model was never trained on the text; it names the nearest that it knows.

    Raises
    ------
    NotationError
        If the text is wrong; it says where.
    ModelError
        If the model does not understand text, or embeddings of this width.
    ValueError
        One line that says what is wrong with an argument.
    """
    how, loaded = sampling(steps, guidance, guidance_interval, temperature, seed), load_model(model, device)
    asked = ask(text, loaded, language=language, notation=notation)
    job = _job(asked, loaded, first_pose, keyframes, seconds, frames, fps, seed)
    return _finished([_soften(job, softness, how, loaded)], how, loaded)[0]


def generate_steps(text: Asked, *, language: str = "und", notation: str | None = None, first_pose: Pose | None = None,
                   keyframes: Mapping[float, Pose] | None = None, softness: float = 0.0, seconds: float | None = None,
                   frames: int | None = None, fps: float = 25.0, steps: int = 8, guidance: float = GUIDANCE,
                   guidance_interval: tuple[float, float] = INTERVAL, temperature: float = TEMPERATURE,
                   seed: int = 0, device: str = "cpu", model: Model = None) -> Iterator[Pose]:
    """`generate`, step by step: yields the pose as it is after every step. The last is what `generate` returns.

    Parameters are those of `generate`; they are checked at once.

    Yields
    ------
    Pose
    """
    how, loaded = sampling(steps, guidance, guidance_interval, temperature, seed), load_model(model, device)
    asked = ask(text, loaded, language=language, notation=notation)
    job = _soften(_job(asked, loaded, first_pose, keyframes, seconds, frames, fps, seed), softness, how, loaded)
    return (_poses([job], estimate)[0] for estimate in _walk([job], how, loaded))


def generate_many(texts: Sequence[Asked], *, language: str = "und", notation: str | None = None,
                  first_pose: Pose | Sequence[Pose | None] | None = None,
                  seconds: float | Sequence[float | None] | None = None,
                  frames: int | Sequence[int | None] | None = None, fps: float | Sequence[float] = 25.0,
                  steps: int = 8, guidance: float = GUIDANCE, guidance_interval: tuple[float, float] = INTERVAL,
                  temperature: float = TEMPERATURE,
                  seed: int | Sequence[int] = 0, device: str = "cpu", model: Model = None,
                  progress: bool = False) -> list[Pose]:
    """`generate` for many texts in batches of about equal length; what becomes of one does not depend on the others, up
    to rounding (see `refine_many`).

    Parameters
    ----------
    texts : sequence of str, Text, Embedding or None
        Any lengths and notations.
    first_pose, seconds, frames, fps, seed
        As in `generate`: one for all, or a sequence with one for each text.
    progress : bool
        Show a progress bar.

    The other parameters are those of `generate`.

    Returns
    -------
    list of Pose
        In the order given.

    Raises
    ------
    ValueError
        As `generate`; the message starts with the text's place in the list.
    """
    loaded, count = load_model(model, device), len(texts)
    firsts, lengths, numbers, rates, seeds = (_for_each(values, count, name) for values, name in (
        (first_pose, "first_pose"), (seconds, "seconds"), (frames, "frames"), (fps, "fps"), (seed, "seed")))
    how = [sampling(steps, guidance, guidance_interval, temperature, one) for one in seeds]
    jobs = []
    for i, text in enumerate(texts):
        try:
            how_read = (language, notation) if isinstance(text, str) else ("und", None)
            asked = ask(text, loaded, language=how_read[0], notation=how_read[1])
            jobs.append(_job(asked, loaded, firsts[i], None, lengths[i], numbers[i], rates[i], seeds[i]))
        except ValueError as error:
            raise type(error)(f"text {i}: {error}") from error
    done: list[Pose | None] = [None] * count
    with tqdm(total=count, unit="pose", disable=not progress) as bar:
        for group in batches([job.known.times.sampled for job in jobs]):
            for i, pose in zip(group, _finished([jobs[i] for i in group], how[0], loaded)):
                done[i] = pose
            bar.update(len(group))
    return [pose for pose in done if pose is not None]


def predict_seconds(text: Asked, *, language: str = "und", notation: str | None = None, seed: int | None = None,
                    device: str = "cpu", model: Model = None) -> float:
    """How long a text takes to sign.

    Parameters
    ----------
    text, language, notation, device, model
        As in `generate`.
    seed : int, optional
        Draws from the log-normal distribution that the model predicts; without it its median.

    Returns
    -------
    float
        Seconds, 0.2 to 30.

    Raises
    ------
    ValueError
        As `generate`; also without a text.
    """
    loaded = load_model(model, device)
    asked = ask(text, loaded, language=language, notation=notation)
    if asked is None:
        raise ValueError("there is no text to tell the length from: give seconds or frames")
    sampling(1, 1.0, INTERVAL, TEMPERATURE, seed or 0)
    return _predicted(asked, loaded, 0.0 if seed is None else float(np.random.default_rng(seed).standard_normal()))


def _predicted(text: Text | Embedding, model: PoseDiffusion, deviations: float = 0.0) -> float:
    mean, std = (float(value) for value in model.length([text]))
    return float(np.clip(np.exp(mean + deviations * std), SHORTEST, LONGEST))


def _job(text: Text | Embedding | None, model: PoseDiffusion, first_pose: Pose | None,
         keyframes: Mapping[float, Pose] | None, seconds: float | None, frames: int | None, fps: float,
         seed: int) -> _Job:
    if not 0 < fps <= MOST_FPS:
        raise ValueError(f"fps must be above 0 and at most {MOST_FPS}, not {fps}")
    every = max(1, round(fps / USUAL_FPS))
    if frames is None:
        length = _seconds(text, model, seconds)
        if seconds is None:
            length = max(length, max(keyframes or [0]) + every / fps)  # the last key frame is in it
        if length * fps > MOST_FRAMES:
            raise ValueError(f"{length:g} s at {fps:g} frames per second are more than {MOST_FRAMES} frames: make "
                             "shorter ones, and join them by inbetween")
        frames = max(1, round(length * fps))
    elif seconds is not None:
        raise ValueError(f"the length is given as {seconds:g} s and as {frames} frames: leave one of them out")
    if frames not in range(1, MOST_FRAMES + 1):
        raise ValueError(f"frames must be a whole number from 1 to {MOST_FRAMES}, not {frames}")
    return _Job(text, known_frames(model, Times(int(frames), float(fps), every), first_pose, keyframes), seed)


def _seconds(text: Text | Embedding | None, model: PoseDiffusion, seconds: float | None) -> float:
    if seconds is None:
        if text is None:
            raise ValueError("there is no text to tell the length from: give seconds or frames")
        return _predicted(text, model)
    if not (np.isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds must be above 0, not {seconds}")
    return float(seconds)


def _for_each(values: Any, count: int, name: str) -> list[Any]:
    if not isinstance(values, (list, tuple, np.ndarray)):
        return [values] * count
    if len(values) != count:
        raise ValueError(f"{name}: {len(values)} for {count} texts: give one for each, or one for all")
    return list(values)


def _finished(jobs: Sequence[_Job], how: Sampling, model: PoseDiffusion) -> list[Pose]:
    return _poses(jobs, deque(_walk(jobs, how, model), maxlen=1).pop())


def _walk(jobs: Sequence[_Job], how: Sampling, model: PoseDiffusion) -> Iterator[Estimate]:
    observation = observe([_sampled(job.known) for job in jobs], how.settings)
    return how.walk(model, observation, [job.seed for job in jobs], [job.text for job in jobs],
                    [job.span for job in jobs])


def _sampled(known: Known) -> Clip:
    """The clip, of it the frames that are sampled."""
    times, clip = known.times, known.clip
    if times.every == 1:
        return clip
    xyz = np.zeros((times.sampled, *clip.xyz.shape[1:]), np.float32)
    confidence = np.zeros(xyz.shape[:2], np.float32)
    xyz[:-(-times.frames // times.every)] = clip.xyz[::times.every]
    confidence[:-(-times.frames // times.every)] = clip.confidence[::times.every]
    return replace(clip, xyz=xyz, confidence=confidence,
                   seconds=np.arange(times.sampled) * times.every / times.fps)


def _all_frames(values: np.ndarray, times: Times) -> np.ndarray:
    """`(T, ...)` from the `(sampled, ...)` frames that were sampled: a cubic spline through them."""
    if times.every == 1 or len(values) == 1:
        return values[:times.frames]
    curve = CubicSpline(np.arange(times.sampled) * times.every, values.astype(np.float64))
    return curve(np.arange(times.frames)).astype(np.float32)


def _poses(jobs: Sequence[_Job], estimate: Estimate) -> list[Pose]:
    """Poses with an estimate in them, where nothing was known."""
    poses = []
    xyz, error = estimate.xyz.cpu().numpy(), estimate.error.cpu().numpy()
    for i, job in enumerate(jobs):
        clip, times = job.known.clip, job.known.times
        known = clip.confidence > 0
        points = _all_frames(xyz[i, :times.sampled], times)
        sure = made_confidence(np.maximum(_all_frames(error[i, :times.sampled], times), 0))
        poses.append(decode(replace(clip, xyz=np.where(known[..., None], clip.xyz, points),
                                    confidence=np.where(known, clip.confidence, sure).astype(np.float32))))
    return poses


def _soften(job: _Job, softness: float, how: Sampling, model: PoseDiffusion) -> _Job:
    """The job with its key frames between where they are and where the result would be without them.

    A key frame is taken as a measurement with a standard deviation of `softness`, and what comes out without it as one
    with the model's expected error: the two are averaged by their precision, each frame as a whole, so that hands stay
    on their arms.
    """
    if not (np.isfinite(softness) and softness >= 0):
        raise ValueError(f"softness must be a number of shoulder widths from 0 up, not {softness}")
    if softness == 0 or not job.known.key.any():
        return job
    clip, times, rows = job.known.clip, job.known.times, np.flatnonzero(job.known.key)
    confidence = clip.confidence.copy()
    confidence[rows] = 0
    without = replace(job, known=replace(job.known, clip=replace(clip, confidence=confidence)))
    estimate = deque(_walk([without], how, model), maxlen=1).pop()
    free, error = (values.cpu().numpy()[0, rows // times.every] for values in (estimate.xyz, estimate.error))
    seen = clip.confidence[rows] > 0
    expected = (error * seen).sum(-1) / np.maximum(seen.sum(-1), 1)
    share = (softness**2 / (softness**2 + expected**2)).astype(np.float32)[:, None, None]
    xyz = clip.xyz.copy()
    xyz[rows] = np.where(seen[..., None], xyz[rows] + share * (free - xyz[rows]), 0)
    return replace(job, known=replace(job.known, clip=replace(clip, xyz=xyz)))
