"""Blind pairing of joins: a judge sees a real transition and a filled one, and says which is real.

Stretches of .2 to .5 s are cut out of real clips and filled from what is around them. A judge is a small network that
is trained on clips of training signers to tell real stretches from filled ones, and asked about clips of others. Where
it takes the filled one for the real one in half of the pairs, it cannot tell them apart. A judge `of one` has been
trained against the very method that it judges, which is the hardest test; the judge `of all` against all of them.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.signal import butter, filtfilt
from torch import Tensor, nn
from torch.nn import functional as F

from pose_diffusion.evaluation.baselines import Run, hold, linear
from pose_diffusion.evaluation.cases import INNER, NOMINAL_FPS, Known, trusted
from pose_diffusion.layout import BODY, FINGERS, HOLISTIC
from pose_diffusion.training.data import Pack

SECONDS = (.2, .5)  # of a join
CONTEXT = 6  # frames on either side that the judge sees
WINDOW = 28  # frames; joins of .5 s at 30 frames per second fit
CUTOFF, ORDER = 6., 4  # Hz, of spoken-to-signed's filter
ARMS = [HOLISTIC.index(BODY, f"{side}_{joint}") for side in ("LEFT", "RIGHT") for joint in ("ELBOW", "WRIST")]
OF_HAND = [0, *(4 * finger + joint for finger in range(len(FINGERS)) for joint in (1, 4))]  # wrist, knuckles, tips
HAND_STARTS = tuple(HOLISTIC.parts[part].start for part in ("left_hand", "right_hand"))
SHOWN = np.array([*ARMS, *(start + point for start in HAND_STARTS for point in OF_HAND)])
LEAST_KNOTS = 4  # of a cubic spline
BATCH, LEARNING_RATE, WEIGHT_DECAY = 48, 2e-3, .05


@dataclass(frozen=True, eq=False)
class Join:
    """A stretch cut out of a clip.

    Attributes
    ----------
    known : Known
        What is left of the clip.
    truth : np.ndarray
        `(T, INNER, 3)` shoulder widths.
    start, stop : int
        The frames that were cut out.
    judged : np.ndarray
        `(INNER,)` bool: arms, and the hands that the clip shows in all frames of the window.
    """

    known: Known
    truth: np.ndarray
    start: int
    stop: int
    judged: np.ndarray

    @property
    def rows(self) -> slice:
        """What the judge sees: the stretch and `CONTEXT` frames on either side."""
        return slice(max(0, self.start - CONTEXT), self.stop + CONTEXT)


def cut(pack: Pack, clips: Sequence[int], seed: int = 0, each: int = 1) -> list[Join]:
    """Cut stretches out of the middle of clips, `each` so many times, where a hand is seen steadily."""
    joins = []
    for clip in clips:
        xyz, confidence = pack.clip(clip)
        fps = float(pack.fps[clip] or NOMINAL_FPS)
        rng = np.random.default_rng((seed, clip))
        for _ in range(each):
            length = round(rng.uniform(*SECONDS) * fps)
            if len(xyz) < length + 6:
                continue
            start = int(rng.integers(3, len(xyz) - length - 2))
            observed = confidence > 0
            observed[start:start + length] = False
            known = Known(np.where(observed[..., None], xyz, np.float32(0)), observed, np.arange(len(xyz)) / fps, clip)
            join = Join(known, xyz[:, :INNER], start, start + length, np.zeros(INNER, bool))
            steady = np.all(trusted(xyz, confidence)[join.rows], axis=0)
            judged = np.zeros(INNER, bool)
            judged[ARMS] = True
            for part in ("left_hand", "right_hand"):
                judged[HOLISTIC.parts[part]] = steady[HOLISTIC.parts[part]].all()
            if judged.sum() > len(ARMS):
                joins.append(replace(join, judged=judged))
    return joins


def spoken_to_signed(clips: Sequence[Known]) -> list[np.ndarray]:
    """What spoken-to-signed does at a join: straight lines, then a Butterworth filter of 6 Hz forwards and backwards
    over all body and hand points. (The clip is changed outside of the join, too; only the join is measured.)
    """
    out = []
    for clip in clips:
        filled = linear(clip.xyz[:, :INNER], clip.observed[:, :INNER])
        fps = 1 / (clip.seconds[1] - clip.seconds[0])
        b, a = butter(ORDER, min(CUTOFF / (fps / 2), .99))
        pad = min(3 * max(len(a), len(b)), len(filled) - 1)
        out.append(filtfilt(b, a, filled, axis=0, padlen=pad).astype(np.float32))
    return out


def straight(clips: Sequence[Known]) -> list[np.ndarray]:
    """Straight lines, as `pose.interpolate(kind="linear")` of pose-format draws them."""
    return [linear(clip.xyz[:, :INNER], clip.observed[:, :INNER]) for clip in clips]


def cubic(clips: Sequence[Known]) -> list[np.ndarray]:
    """The spline of `pose.interpolate(kind="cubic")` of pose-format, for all points with the same gaps at once."""
    out = []
    for clip in clips:
        xyz, observed = clip.xyz[:, :INNER], clip.observed[:, :INNER]
        filled = hold(xyz, observed)
        for pattern in np.unique(observed, axis=1).T:
            rows = np.flatnonzero(pattern)
            if LEAST_KNOTS <= len(rows) < len(pattern):
                points = np.flatnonzero((observed == pattern[:, None]).all(0))
                inside = np.arange(rows[0], rows[-1] + 1)
                filled[np.ix_(inside, points)] = CubicSpline(rows, xyz[np.ix_(rows, points)])(inside)
        out.append(filled)
    return out


BASELINES: dict[str, Run] = {"linear": straight, "cubic": cubic, "spoken-to-signed": spoken_to_signed}


def fill(joins: Sequence[Join], method: Run) -> list[np.ndarray]:
    """`(T, INNER, 3)` of every join: the clip with the stretch filled by a method, real outside of it."""
    out = []
    for join, filled in zip(joins, method([join.known for join in joins])):
        whole = join.truth.copy()
        whole[join.start:join.stop] = filled[join.start:join.stop]
        out.append(whole)
    return out


def errors(joins: Sequence[Join], filled: Sequence[np.ndarray]) -> np.ndarray:
    """`(N,)` mean 2D distance from the truth of the judged points of each stretch, shoulder widths."""
    return np.array([np.linalg.norm((xyz - join.truth)[join.start:join.stop, join.judged, :2], axis=-1).mean()
                     for join, xyz in zip(joins, filled)])


def jerks(joins: Sequence[Join], filled: Sequence[np.ndarray]) -> np.ndarray:
    """`(N,)` mean length of the third differences that take frames on both sides of an edge of the stretch."""
    out = []
    for join, xyz in zip(joins, filled):
        lengths = np.linalg.norm(np.diff(xyz[:, join.judged, :2], n=3, axis=0), axis=-1).mean(-1)
        out.append(np.concatenate([lengths[max(0, edge - 3):edge] for edge in (join.start, join.stop)]).mean())
    return np.array(out)


def views(joins: Sequence[Join], filled: Sequence[np.ndarray]) -> Tensor:
    """`(N, channels, WINDOW)`: what a judge sees of stretches: points, their first and second differences, where it is.
    Hands that are not judged are hidden, in real ones as in filled ones.
    """
    out = np.zeros((len(joins), WINDOW, 6 * len(SHOWN) + 1), np.float32)
    for i, (join, xyz) in enumerate(zip(joins, filled)):
        rows = join.rows
        plane = (xyz[:, SHOWN, :2] - xyz[rows.start, SHOWN, :2]) * join.judged[SHOWN, None]
        first, second = np.gradient(plane, axis=0), np.gradient(np.gradient(plane, axis=0), axis=0)
        parts = [part[rows].reshape(-1, 2 * len(SHOWN)) for part in (3 * plane, 10 * first, 30 * second)]
        frames = len(parts[0])
        out[i, :frames, :-1] = np.concatenate(parts, axis=1)
        out[i, join.start - rows.start:join.stop - rows.start, -1] = 1
    return torch.from_numpy(out).transpose(1, 2).contiguous()


class Judge(nn.Module):
    """Stretches `(N, channels, WINDOW)` to how real they look `(N,)`."""

    def __init__(self, channels: int, width: int = 64):
        super().__init__()
        self.stem = nn.Conv1d(channels, width, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(2))
        self.drop = nn.Dropout(.2)
        self.out = nn.Linear(2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Higher is more real."""
        x = F.gelu(self.stem(self.drop(x)))
        for layer in self.layers:
            x = x + F.gelu(layer(self.drop(x)))
        return self.out(torch.cat([x.mean(-1), x.amax(-1)], dim=-1)).squeeze(-1)


def train_judge(real: Tensor, fakes: Sequence[Tensor], steps: int = 400, seed: int = 0,
                progress: Callable[[range], Sequence[int]] | None = None) -> Judge:
    """Train a judge to prefer real stretches to each method's filling of the same.

    Parameters
    ----------
    real : Tensor
        `(N, channels, WINDOW)` of `views`.
    fakes : sequence of Tensor
        The same, filled; all methods are drawn equally.
    steps, seed, progress
        As of `recognition.train`.
    """
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = Judge(real.shape[1]).train()
        optimiser = torch.optim.AdamW(judge.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
        every = torch.stack(list(fakes))
        for _ in progress(range(steps)) if progress else range(steps):
            rows = torch.randint(len(real), (BATCH,), generator=draw)
            method = torch.randint(len(every), (BATCH,), generator=draw)
            scale = .8 + .4 * torch.rand(BATCH, 1, 1, generator=draw)  # other sizes and speeds, of both alike
            scores = judge(torch.cat([real[rows] * scale, every[method, rows] * scale]))
            loss = F.softplus(scores[BATCH:] - scores[:BATCH]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return judge.eval().requires_grad_(False)


@torch.no_grad()
def taken_for_real(judge: Judge, real: Tensor, fake: Tensor) -> np.ndarray:
    """`(N,)`: 1 where the filled stretch of a pair looks more real than the real one, 0 where less, .5 for a tie."""
    difference = judge(fake) - judge(real)
    return ((difference > 0).double() + .5 * (difference == 0).double()).numpy()


def pairing(train: Mapping[str, Tensor], test: Mapping[str, Tensor], real: str, seed: int = 0,
            steps: int = 400) -> dict[str, dict[str, float]]:
    """How often each method is taken for real on the test joins.

    Parameters
    ----------
    train, test : mapping of str to Tensor
        Views by method, the real ones under the name `real`.
    real : str
        That name.
    seed, steps : int
        Of the judges and their training.

    Returns
    -------
    dict of str to dict
        By method `of one` and `of all`: the share of pairs in which it is taken for real.
    """
    methods = [name for name in train if name != real]
    common = train_judge(train[real], [train[name] for name in methods], steps, seed)
    out = {}
    for name in methods:
        own = train_judge(train[real], [train[name]], steps, seed)
        out[name] = {"of one": float(taken_for_real(own, test[real], test[name]).mean()),
                     "of all": float(taken_for_real(common, test[real], test[name]).mean())}
    return out
