"""What the benchmark measures on: which clips, which damage, and the truth to compare with.

A *row* is one kind of damage at one level. The clips of a row are damaged by `pose_diffusion.corruption`, each from a
seed of its own, so a clip is damaged in the same way on every machine, whatever else is measured.
"""
from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_diffusion.corruption import CASES, LEVELS, corrupt
from pose_diffusion.layout import BODY, HOLISTIC
from pose_diffusion.training.data import HANDS_ONLY, Pack

TEST_CLIPS = Path(__file__).with_name("test_clips.txt")
UNSEEN = ("Mujster__Sign-Language-DL", "Rishi-11-2__Sign_Language_Detection",
          *(f"lexicon-{language}" for language in ("ise", "tsm", "csq", "svk", "ukl")))
TUNING = ("Prakhar-1401__Sign_detection_project", "surtecha__SignLangNET", "lexicon-swl", "lexicon-ssp")
LEFT_OUT = ("lexicon-gss",)  # half of its clips have six frames, others reach 30 shoulder widths beyond the picture
INNER = HOLISTIC.parts["right_hand"].stop  # body and hands come first; the face is not measured
NOMINAL_FPS = 20.  # of the archives, which do not know theirs
CONFIDENT = .5  # of the original estimate, from which on it counts as the truth
ON_ARM = .5  # shoulder widths between a hand's wrist and the body's; a hand further off is no truth but a capture error
GAPS = ((1, 2), (3, 8), (9, 20), (21, 10**9))
EDGE = len(GAPS)


@dataclass(frozen=True)
class Row:
    """One kind of damage (`corruption.CASES`) at one level."""

    case: str
    level: int

    @property
    def name(self) -> str:
        """As the tables call it; undamaged clips have no level."""
        return self.case if self.case == "clean" else f"{self.case} {self.level}"


ROWS = (Row("clean", 1), *(Row(case, level) for case in CASES if case != "clean" for level in LEVELS))


@dataclass(frozen=True, eq=False)
class Known:
    """What a method is given of one clip.

    Attributes
    ----------
    xyz : np.ndarray
        `(T, K, 3)` float32, shoulder widths, 0 where missing.
    observed : np.ndarray
        `(T, K)` bool.
    seconds : np.ndarray
        `(T,)` time of each frame.
    seed : int
        For methods that draw.
    """

    xyz: np.ndarray
    observed: np.ndarray
    seconds: np.ndarray
    seed: int


@dataclass(frozen=True, eq=False)
class Trial:
    """Damaged clips, and what they were. The frames of all clips lie end to end: N in sum; K is body and hands.

    Attributes
    ----------
    known : list of Known
        What a method is given, one per clip.
    truth : np.ndarray
        `(N, K, 3)` float32.
    valid : np.ndarray
        `(N, K)` bool: the original estimate was confident, a hand sat on its own arm (`ON_ARM`), and the damaged clip
        shows the point in some frame. (What is never seen cannot be interpolated; a constant would stand for every
        baseline.)
    touched, observed : np.ndarray
        `(N, K)` bool: lost or moved; still reported.
    gap : np.ndarray
        `(N, K)` int8: index into `GAPS` of the run of unobserved frames, `EDGE` if it reaches an end of the clip, -1
        for what is observed.
    clip : np.ndarray
        `(N,)` the clip of each frame.
    """

    known: list[Known]
    truth: np.ndarray
    valid: np.ndarray
    touched: np.ndarray
    observed: np.ndarray
    gap: np.ndarray
    clip: np.ndarray


def clip_id(pack: Pack, i: int) -> str:
    """`source/index`: the clip's place among those of its source."""
    first = int(np.argmax(pack.source == pack.source[i]))
    return f"{pack.sources[pack.source[i]]}/{i - first}"


def find_clips(pack: Pack, ids: Sequence[str]) -> list[int]:
    """The clips of the given ids.

    Raises
    ------
    ValueError
        If the pack lacks one.
    """
    first = {name: int(np.argmax(pack.source == i)) for i, name in enumerate(pack.sources)}
    count = {name: int((pack.source == i).sum()) for i, name in enumerate(pack.sources)}
    found = []
    for name in ids:
        source, _, index = name.rpartition("/")
        if source not in first or int(index) >= count[source]:
            raise ValueError(f"the pack has no clip {name}: make it again with pose_diffusion.training.pack")
        found.append(first[source] + int(index))
    return found


def read_clips(path: Path = TEST_CLIPS) -> dict[str, list[str]]:
    """The fixed lists of a file: `{"unseen": ids, "training": ids, "tuning": ids}`."""
    lists: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            ids = lists[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            ids.append(line)
    return lists


def draw_clips(counts: dict[str, int]) -> dict[str, list[str]]:
    """How `test_clips.txt` was made.

    Parameters
    ----------
    counts : dict
        Clips per source.

    Returns
    -------
    dict
        `unseen`: every clip of `UNSEEN`. `training`: as many clips of archives and of lexicon languages as there, drawn
        evenly over the sources that a network is trained on. `tuning`: 40 of each source of `TUNING`, or all.
    """
    unseen = [f"{name}/{i}" for name in UNSEEN for i in range(counts[name])]
    training = []
    for lexicon in (False, True):
        sources = [name for name in sorted(counts)
                   if name not in UNSEEN + TUNING + LEFT_OUT and not name.startswith(HANDS_ONLY)
                   and name.startswith("lexicon-") == lexicon]
        wanted = sum(name.startswith("lexicon-") == lexicon for name in unseen)
        for name, share in zip(sources, np.array_split(np.arange(wanted), len(sources))):
            training += _draw(name, counts[name], len(share))
    return {"unseen": unseen, "training": training, "tuning": [i for n in TUNING for i in _draw(n, counts[n], 40)]}


def _draw(source: str, count: int, wanted: int) -> list[str]:
    rng = np.random.default_rng(zlib.crc32(source.encode()))
    return [f"{source}/{i}" for i in sorted(rng.permutation(count)[:wanted])]


def training_clips(pack: Pack) -> np.ndarray:
    """The clips of all sources of people that a network, the mixture and SmoothNet may learn from."""
    return pack.select([name for name in pack.sources
                        if name not in UNSEEN + TUNING and not name.startswith(HANDS_ONLY)])


def damage(pack: Pack, clips: Sequence[int], row: Row) -> Trial:
    """Damage clips as a row says.

    Parameters
    ----------
    pack : Pack
        With points of the layout `holistic`.
    clips : sequence of int
        Which of its clips.
    row : Row
        The damage.

    Returns
    -------
    Trial
    """
    known, truths, parts = [], [], []
    for i in clips:
        xyz, confidence = pack.clip(i)
        seed = zlib.crc32(clip_id(pack, i).encode())
        rng = np.random.default_rng(seed ^ zlib.crc32(f"{row.case} {row.level}".encode()))
        damaged = corrupt(xyz, confidence > 0, row.case, row.level, rng)
        known.append(Known(damaged.xyz, damaged.observed, np.arange(len(xyz)) / (pack.fps[i] or NOMINAL_FPS), seed))
        observed = damaged.observed[:, :INNER]
        valid = trusted(xyz, confidence) & observed.any(axis=0)
        truths.append(xyz[:, :INNER])
        parts.append((valid, damaged.touched[:, :INNER], observed, gaps(observed)))
    valid, touched, observed, gap = (np.concatenate(part) for part in zip(*parts))
    clip = np.repeat(np.arange(len(known)), [len(k.xyz) for k in known])
    return Trial(known, np.concatenate(truths), valid, touched, observed, gap, clip)


def trusted(xyz: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Which points of an undamaged clip are true: `(T, K, 3)` and `(T, K)` to `(T, INNER)` bool."""
    true = confidence[:, :INNER] >= CONFIDENT
    for hand, side in (("left_hand", "LEFT"), ("right_hand", "RIGHT")):
        part, wrist = HOLISTIC.parts[hand], HOLISTIC.index(BODY, f"{side}_WRIST")
        off = np.linalg.norm((xyz[:, part.start] - xyz[:, wrist])[:, :2], axis=-1) > ON_ARM
        true[:, part] &= ~(off & (confidence[:, wrist] > 0))[:, None]
    return true


def gaps(observed: np.ndarray) -> np.ndarray:
    """What kind of gap each missing point is in.

    Parameters
    ----------
    observed : np.ndarray
        `(T, K)` bool.

    Returns
    -------
    np.ndarray
        `(T, K)` int8, as `Trial.gap`.
    """
    frames = len(observed)
    index = np.arange(frames)[:, None]
    before = np.maximum.accumulate(np.where(observed, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(observed, index, frames)[::-1], axis=0)[::-1]
    kind = np.searchsorted([longest for _, longest in GAPS], after - before - 1).astype(np.int8)
    kind[(before < 0) | (after == frames)] = EDGE
    kind[observed] = -1
    return kind
