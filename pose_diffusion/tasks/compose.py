"""Compose texts and poses into one pose, one after the other or all at once."""
from __future__ import annotations

import math
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.notation import Embedding, Text, read_text
from pose_diffusion.tasks.appearance import average_header, average_signer, one_person
from pose_diffusion.tasks.generate import LONGEST, SHORTEST, USUAL_FPS
from pose_diffusion.tasks.inbetween import Timing, checked_timing, join, joined, transition_frames
from pose_diffusion.tasks.reconciling import MOST_FPS, Look, check_tempo, reconciled, resampled
from pose_diffusion.tasks.refine import Model, load_model
from pose_diffusion.tasks.sampling import GUIDANCE, INTERVAL, TEMPERATURE, Sampling, sampling
from pose_diffusion.tasks.stretches import Stretch, sampled, unknown, with_rests
from pose_diffusion.tasks.texts import ask

Item: TypeAlias = str | Text | Embedding | Pose
FULL_STOP = "."
TAIL = 4  # frames of what comes before that a text is generated from: in training it saw up to five
TO_POSE = .3  # seconds from a text to a pose, if it is not known yet where the text's sign will end


@dataclass(frozen=True, eq=False)
class _Part:
    """An item, ready.

    Attributes
    ----------
    sign : Pose, Text or Embedding
        A pose is alike to the result already.
    seconds : float
        Of a text, how long it takes.
    rest : int
        Frames for which its last frame is held.
    """

    sign: Pose | Text | Embedding
    seconds: float
    rest: int


@dataclass(frozen=True, eq=False)
class _Score:
    """What is to be composed.

    Attributes
    ----------
    parts : tuple of _Part
        In order.
    look : Look
        Header, rate and signer.
    first : NumPyPoseBody, optional
        The frame that the result begins with.
    timing : Timing
        Of the ways from and to poses.
    """

    parts: tuple[_Part, ...]
    look: Look
    first: NumPyPoseBody | None
    timing: Timing

    @property
    def every(self) -> int:
        """One in so many frames of a text is sampled; those between are interpolated."""
        return max(1, round(self.look.fps / USUAL_FPS))


def compose(items: Sequence[Item], *, language: str = "und", first_pose: Pose | None = None, together: bool = False,
            seconds: float | None = None, hold: float = 0.0, pause: float = 0.0, tempo: float = 1.0,
            fps: float | None = None, steps: int = 8, guidance: float = GUIDANCE,
            guidance_interval: tuple[float, float] = INTERVAL, temperature: float = TEMPERATURE,
            seed: int = 0, device: str = "cpu", model: Model = None) -> Pose:
    """Sign several texts and poses in one.

    Parameters
    ----------
    items : sequence of str, Text, Embedding or Pose
        In order. A text is generated (see `generate`), a Pose is put in as it is (see `inbetween`), `"."` is a full
        stop. A word that the model does not know is not spelled by itself: `spell` gives its letters as items.
    language : str
        ISO 639-3 of the signed language, for items that are str.
    first_pose : Pose, optional
        Of one person: its first frame is the result's, as in `generate`. Without it header, place and size are those of
        the first Pose among the items; without any, an average signer's.
    together : bool
        All in one long sampling, in overlapping windows that agree, so that a sign can prepare for the next; by default
        each text is generated from the last frames of what comes before it. Up to 37 frames per second.
    seconds : float, optional
        Length of each transition. By default a sign's text begins where what is before it ends, so that the way to it
        is part of it, and transitions to a Pose are as long as in `inbetween`.
    hold : float
        Seconds for which the last frame of each item is held.
    pause : float
        Seconds for which it is held on at a full stop; readers want about 0.5.
    tempo : float
        2 makes all items twice as fast. From 0.1 to 10.
    fps : float, optional
        Frames per second; by default the first pose's, or 25.
    steps, guidance, guidance_interval, temperature, seed, device, model
        As in `generate`.

    Returns
    -------
    Pose
        Of one person. Given frames are kept bit for bit where they did not have to be reconciled.

    Warns
    -----
    UnknownTextWarning
        As `generate`.

    Raises
    ------
    ValueError
        One line that says what is wrong with an item or an argument.
    """
    return deque(compose_steps(items, language=language, first_pose=first_pose, together=together, seconds=seconds,
                               hold=hold, pause=pause, tempo=tempo, fps=fps, steps=steps, guidance=guidance,
                               guidance_interval=guidance_interval, temperature=temperature, seed=seed, device=device,
                               model=model),
                 maxlen=1).pop()


def compose_steps(items: Sequence[Item], *, language: str = "und", first_pose: Pose | None = None,
                  together: bool = False, seconds: float | None = None, hold: float = 0.0, pause: float = 0.0,
                  tempo: float = 1.0, fps: float | None = None, steps: int = 8, guidance: float = GUIDANCE,
                  guidance_interval: tuple[float, float] = INTERVAL, temperature: float = TEMPERATURE,
                  seed: int = 0, device: str = "cpu", model: Model = None) -> Iterator[Pose]:
    """`compose`, step by step. Parameters are those of `compose`; they are checked at once.

    Yields
    ------
    Pose
        After every step all that is there so far: of items that are generated one after the other, those before as they
        will stay. The last is what `compose` returns.
    """
    how, loaded = sampling(steps, guidance, guidance_interval, temperature, seed), load_model(model, device)
    score = _score(items, language, first_pose, (seconds, hold, pause, tempo), fps, loaded)
    if not together:
        return _one_by_one(score, how, loaded)
    if score.every > 1:
        raise ValueError(f"together is for up to 37 frames per second, not {score.look.fps:g}: leave it out, or give "
                         "fps")
    return _at_once(score, how, loaded)


def spell(word: str, language: str, *, letters: Sequence[str] = ()) -> list[Text]:
    """The letters of a word, as items for `compose`.

    Parameters
    ----------
    word : str
        Spaces and hyphens in it are left out. An accent stays with its letter.
    language : str
        ISO 639-3 of the signed language.
    letters : sequence of str
        Letters of the language's alphabet that are written with several characters, such as "ch".

    Returns
    -------
    list of Text
        One a letter.

    Raises
    ------
    ValueError
        If there is no letter in the word.
    """
    rest = "".join(c for c in unicodedata.normalize("NFC", word).lower() if not c.isspace() and c not in "-_")
    long = sorted((unicodedata.normalize("NFC", one).lower() for one in letters if one), key=len, reverse=True)
    out: list[Text] = []
    while rest:
        size = next((len(one) for one in long if rest.startswith(one)), 1)
        while size < len(rest) and unicodedata.combining(rest[size]):
            size += 1
        out.append(read_text(rest[:size], language=language, notation="words"))
        rest = rest[size:]
    if not out:
        raise ValueError(f"there is no letter in {word!r}: give a word to spell")
    return out


def _score(items: Sequence[Item], language: str, first_pose: Pose | None,
           times: tuple[float | None, float, float, float], fps: float | None, model: PoseDiffusion) -> _Score:
    """Arguments, checked; `times` are seconds, hold, pause and tempo."""
    if isinstance(items, (str, Text, Embedding, Pose)):
        raise ValueError(f"items must be a list, such as [{items!r}]" if isinstance(items, str) else
                         "items must be a list, also of one")
    seconds, hold, pause, tempo = times
    timing = checked_timing(seconds, hold, [pause])
    check_tempo(tempo)
    if fps is not None and not 0 < fps <= MOST_FPS:
        raise ValueError(f"fps must be above 0 and at most {MOST_FPS}, not {fps}")
    signs = [(i, item) for i, item in enumerate(items) if item != FULL_STOP]
    if not signs:
        raise ValueError("there is nothing to compose: give at least one text or pose")
    if signs[0][0] > 0:
        raise ValueError("there is nothing before the first full stop: begin with a text or pose")
    first = None if first_pose is None else one_person(first_pose, "first_pose", model.layout)
    poses = {i: one_person(item, f"item {i}", model.layout) for i, item in signs if isinstance(item, Pose)}
    look = _look(first or next(iter(poses.values()), None), fps, model)
    alike = reconciled(list(poses.values()), model.layout, tempo=tempo, names=[f"item {i}" for i in poses],
                       look=look) if poses else []
    ready = dict(zip(poses, alike))
    ends = [index for index, _ in signs[1:]] + [len(items)]
    parts = []
    for (i, item), end in zip(signs, ends):
        rest = round((hold + pause * (end - i - 1)) * look.fps)
        text = ready[i] if i in ready else _text(item, i, language, model)
        parts.append(_Part(text, 0.0 if isinstance(text, Pose) else _seconds(text, model) / tempo, rest))
    begin = None if first is None else resampled(first.body[:1], 1, look.fps)
    return _Score(tuple(parts), look, begin, replace(timing, hold=0, pauses=(0, 0)))


def _seconds(text: Text | Embedding, model: PoseDiffusion) -> float:
    """The median of how long a text takes."""
    return min(max(math.exp(float(model.length([text])[0])), SHORTEST), LONGEST)


def _text(item: str | Text | Embedding, i: int, language: str, model: PoseDiffusion) -> Text | Embedding:
    try:
        text = ask(item, model, language=language if isinstance(item, str) else "und")
    except ValueError as error:
        raise type(error)(f"item {i}: {error}") from error
    if text is None:
        raise ValueError(f"item {i} is None: give a text, a Pose or \".\"")
    return text


def _look(pose: Pose | None, fps: float | None, model: PoseDiffusion) -> Look:
    """That of a pose, or of an average signer."""
    if pose is not None:
        return Look.of(pose, model.layout, fps)
    return Look(average_header(model.layout), fps or USUAL_FPS, (average_signer(model),))


def _one_by_one(score: _Score, how: Sampling, model: PoseDiffusion) -> Iterator[Pose]:
    done = None if score.first is None else Pose(score.look.header, score.first)
    for i, part in enumerate(score.parts):
        settings = replace(how.settings, seed=how.settings.seed + i)
        if isinstance(part.sign, Pose):
            several = [part.sign] if done is None else [done, part.sign]
            walk = join(several, score.timing, settings, model)
        else:
            walk = _next_sign(score, part, done, replace(how, settings=settings), model)
        for so_far in walk:
            done = with_rests(so_far, [len(so_far.body.data)], [part.rest])
            yield done


def _next_sign(score: _Score, part: _Part, done: Pose | None, how: Sampling, model: PoseDiffusion) -> Iterator[Pose]:
    """What is there, and a text generated from its end; `done` is read at once, though it changes while this runs."""
    assert not isinstance(part.sign, Pose)
    every, fps = score.every, score.look.fps
    look = replace(score.look, fps=fps / every)
    if done is None:
        stretches = [unknown(look, max(1, round(part.seconds * look.fps)), part.sign)]
        return (Pose(pose.header, _upsampled(pose.body, every, fps)) for pose in sampled(stretches, look, how, model))
    last = len(done.body.data) - 1
    tail = done.body[[frame for frame in range(last - every * (TAIL - 1), last + 1, every) if frame >= 0]]
    way = round((score.timing.transition or 0) * look.fps)
    frames = max(1, round(part.seconds * look.fps) - (not way))  # without a way to it a sign begins with what is there
    stretches = [Stretch(tail, free=False), *([unknown(look, way)] if way else []),
                 unknown(look, frames, part.sign, lead=int(not way))]
    return (joined([done.body, _upsampled(pose.body[len(tail.data) - 1:], every, fps)[1:]], pose.header, fps)
            for pose in sampled(stretches, look, how, model))


def _upsampled(body: NumPyPoseBody, every: int, fps: float) -> NumPyPoseBody:
    """A body with `every` times the rate."""
    return resampled(body, (len(body.data) - 1) * every + 1, fps)


def _at_once(score: _Score, how: Sampling, model: PoseDiffusion) -> Iterator[Pose]:
    stretches = [] if score.first is None else [Stretch(score.first, free=False)]
    before = None if score.first is None else Pose(score.look.header, score.first)  # the pose before, if it is known
    ends, rests, total = [], [], len(stretches)
    for part in score.parts:
        way = _way_to(part, before, score, model) if stretches else 0
        stretches += [unknown(score.look, way)] if way else []
        if isinstance(part.sign, Pose):
            stretches.append(Stretch(part.sign.body, free=False))
        else:
            lead = int(bool(stretches) and not way and not stretches[-1].free)
            frames = max(1, round(part.seconds * score.look.fps) - lead)
            stretches.append(unknown(score.look, frames, part.sign, lead))
        before = part.sign if isinstance(part.sign, Pose) else None
        total += way + len(stretches[-1].body.data)
        ends.append(total)
        rests.append(part.rest)
    return (with_rests(pose, ends, rests) for pose in sampled(stretches, score.look, how, model))


def _way_to(part: _Part, before: Pose | None, score: _Score, model: PoseDiffusion) -> int:
    """Frames of the way to a sign in a long sampling."""
    if score.timing.transition is not None:
        return round(score.timing.transition * score.look.fps)
    if not isinstance(part.sign, Pose):
        return 0
    if before is None:
        return round(TO_POSE * score.look.fps)
    return transition_frames(before, part.sign, score.timing, model.layout)
