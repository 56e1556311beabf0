"""What generation is measured on, and the baselines: held-out clips of known words, told by text and first pose.

A task is a held-out clip as generation is told of it. What a user could have instead of a model is the training clip
of the same word that begins most alike, or the mean of the word's training clips.
"""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation.cases import INNER, NOMINAL_FPS, TUNING, UNSEEN
from pose_diffusion.evaluation.recognition import FRAMES, resampled, word
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.notation import Text
from pose_diffusion.tasks.sampling import INTERVAL, TEMPERATURE
from pose_diffusion.training.data import HANDS_ONLY, Pack

BATCH = 64  # clips of a batch
LATEST = 1 / 3  # of a clip, until which a first frame with a hand is looked for
LEAST_COMMON = 10  # points that two first frames must share to be compared
SECONDS = (.2, 30.)  # of a sign, whatever is predicted
HANDS = slice(HOLISTIC.parts["left_hand"].start, INNER)

Clip = tuple[np.ndarray, np.ndarray]  # (T, K, 3) shoulder widths, (T, K) confidence


@dataclass(frozen=True, eq=False)
class Task:
    """A held-out clip, from its first frame with a hand on.

    Attributes
    ----------
    clip : int
        Its index in the pack.
    text : Text
        What it says.
    label : str
        The class it belongs to.
    xyz, confidence : np.ndarray
        `(T, K, 3)` float32 in shoulder widths and `(T, K)`: the truth; of the first frame the model is told.
    fps : float
        Frames per second.
    source : str
        Who signs it.
    """

    clip: int
    text: Text
    label: str
    xyz: np.ndarray
    confidence: np.ndarray
    fps: float
    source: str

    @property
    def truth(self) -> Clip:
        """The clip."""
        return self.xyz, self.confidence


def whole_people(pack: Pack, names: Sequence[str] | None = None) -> list[str]:
    """The sources of whole signs by people with bodies that a network is trained on; or those of `names`."""
    wanted = [name for name in pack.sources if name not in UNSEEN + TUNING] if names is None else names
    return [name for name in wanted if name in pack.sources and not name.startswith(("lexicon-", HANDS_ONLY))]


def tasks(pack: Pack, clips: np.ndarray, labels: Sequence[str]) -> list[Task]:
    """The tasks of clips whose word is one of `labels`."""
    found = []
    for clip in clips.tolist():
        texts = pack.texts.get(clip, ())
        label = word(texts)
        if label is None or label not in labels:
            continue
        xyz, confidence = pack.clip(clip)
        hand = (confidence[:, HANDS] > 0).any(1)
        first = int(hand.argmax()) if hand.any() and hand.argmax() <= len(xyz) * LATEST else 0
        said = next(text for text in texts if text.notation == "words")
        found.append(Task(clip, said, label, xyz[first:], confidence[first:], float(pack.fps[clip] or NOMINAL_FPS),
                          pack.sources[pack.source[clip]]))
    return found


def observe(some: Sequence[Task], frames: Sequence[int], posed: bool = True) -> Observation:
    """What the model is told of clips of so many frames: their first frame, exactly; nothing if not `posed`."""
    size, longest, points = len(some), max(frames), some[0].xyz.shape[1]
    xyz, mask = torch.zeros(size, longest, points, 3), torch.zeros(size, longest, points, dtype=torch.bool)
    valid, seconds = torch.zeros(size, longest, dtype=torch.bool), torch.zeros(size, longest)
    for i, (task, length) in enumerate(zip(some, frames)):
        mask[i, 0] = torch.from_numpy(task.confidence[0] > 0) & posed
        xyz[i, 0] = torch.from_numpy(task.xyz[0]) * mask[i, 0, :, None]
        valid[i, :length] = True
        seconds[i] = torch.arange(longest) / task.fps
    return Observation(xyz, mask, mask, seconds, valid)


def generate(model: PoseDiffusion, some: Sequence[Task], *, steps: int, guidance: float,
             interval: tuple[float, float] = INTERVAL, temperature: float = TEMPERATURE, seed: int = 0,
             lengths: Sequence[int] | None = None, told: bool = True, posed: bool = True) -> Iterator[list[Clip]]:
    """Generate a clip for every task, batch by batch in the order of the tasks.

    Parameters
    ----------
    model : PoseDiffusion
        With a text encoder, of the layout `holistic`.
    some : sequence of Task
        What to generate.
    steps : int
        Of the sampler.
    guidance : float
        Its scale.
    interval, temperature
        As of `PoseDiffusion.sample`; by default those of `tasks.generate`.
    seed : int
        Another seed is another sample.
    lengths : sequence of int, optional
        Frames of each; by default those of the truth.
    told, posed : bool
        Whether the text and the first pose are told.

    Yields
    ------
    list of Clip
        Of a batch; every point counts as seen.
    """
    frames = [len(task.xyz) for task in some] if lengths is None else list(lengths)
    for start in range(0, len(some), BATCH):
        part, counts = some[start:start + BATCH], frames[start:start + BATCH]
        spans = [(0., count / task.fps) for task, count in zip(part, counts)]
        condition = model.condition([task.text for task in part], spans) if told else None
        seeds = [(seed * 7919 + task.clip) % 2**32 for task in part]
        *_, last = model.sample(observe(part, counts, posed), steps=steps, seeds=seeds, guidance=guidance,
                                guidance_interval=interval, temperature=temperature, condition=condition)
        points = last.xyz.float().cpu().numpy()
        yield [(xyz[:count], np.ones(xyz[:count].shape[:2], np.float32)) for xyz, count in zip(points, counts)]


def predicted_lengths(model: PoseDiffusion, some: Sequence[Task]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Mean and std of ln(seconds), and the frames that the median makes; of each task."""
    mean, std = (value.double().cpu().numpy() for value in model.length([task.text for task in some]))
    seconds = np.clip(np.exp(mean), *SECONDS)
    return mean, std, [max(2, round(s * task.fps)) for s, task in zip(seconds.tolist(), some)]


def exchanged(some: Sequence[Task]) -> list[Task]:
    """The tasks, each with the first pose of another word by the same signer (the next one in a fixed order of chance):
    a clip of its own word can then only come from the text. Tasks without such another keep their own.
    """
    order = np.random.default_rng(0).permutation(len(some)).tolist()
    out = list(some)
    for place, i in enumerate(order):
        for j in order[place + 1:] + order[:place]:
            if some[j].source == some[i].source and some[j].label != some[i].label:
                xyz, confidence = some[i].xyz.copy(), some[i].confidence.copy()
                xyz[0], confidence[0] = some[j].xyz[0], some[j].confidence[0]
                out[i] = replace(some[i], xyz=xyz, confidence=confidence)
                break
    return out


class Neighbours:
    """The training clips of each text: what a user without a model has.

    Parameters
    ----------
    pack : Pack
        With texts.
    clips : sequence of int
        Training clips.
    """

    def __init__(self, pack: Pack, clips: Sequence[int]):
        self.pack = pack
        self.of_text: dict[Text, list[int]] = defaultdict(list)
        for clip in clips:
            for text in pack.texts.get(clip, ()):
                self.of_text[text].append(clip)
        self._means: dict[Text, Clip] = {}
        self._firsts: dict[int, Task] = {}

    def nearest(self, task: Task) -> Task | None:
        """The training clip of the same text that begins most alike: mean 2D distance of the points of body and hands
        that both first frames show; None if there is no such clip.
        """
        best, found = math.inf, None
        for clip in self.of_text.get(task.text, ()):
            other = self._first(clip, task)
            common = (task.confidence[0, :INNER] > 0) & (other.confidence[0, :INNER] > 0)
            if common.sum() < LEAST_COMMON:
                continue
            away = np.linalg.norm((task.xyz[0, :INNER] - other.xyz[0, :INNER])[common, :2], axis=-1).mean()
            if away < best:
                best, found = float(away), other
        return found

    def another(self, task: Task) -> Task | None:
        """Any training clip of the same text by the same signer, drawn by chance; None if there is none."""
        same = [clip for clip in self.of_text.get(task.text, ())
                if self.pack.source[clip] == self.pack.source[task.clip]]
        return self._first(int(np.random.default_rng(task.clip).choice(same)), task) if same else None

    def _first(self, clip: int, task: Task) -> Task:
        if clip not in self._firsts:
            self._firsts[clip] = tasks(self.pack, np.array([clip]), [task.label])[0]
        return self._firsts[clip]

    def mean(self, task: Task) -> Clip | None:
        """The mean of all training clips of the text over the share of time, at the truth's length."""
        if task.text not in self.of_text:
            return None
        if task.text not in self._means:
            total = np.zeros((FRAMES, len(HOLISTIC), 3))
            count = np.zeros((FRAMES, len(HOLISTIC)))
            for clip in self.of_text[task.text]:
                xyz, confidence = self._first(clip, task).truth
                rows = np.linspace(0, len(xyz) - 1, FRAMES).round().astype(int)
                seen = confidence[rows] > 0
                total += np.where(seen[..., None], xyz[rows], 0)
                count += seen
            self._means[task.text] = ((total / np.maximum(count, 1)[..., None]).astype(np.float32),
                                      (count > 0).astype(np.float32))
        xyz, seen = self._means[task.text]
        rows = np.linspace(0, FRAMES - 1, len(task.xyz)).round().astype(int)
        return resampled(xyz, len(task.xyz)), seen[rows]
