"""Training data: packed arrays of clips, and windows of them with what is known drawn per clip.

A packed file is an `.npz` without pickles: `xyz` float16 `(N, K, 3)` in shoulder widths, `confidence` uint8 `(N, K)`,
`lens` `(S,)`, `source` `(S,)` index into `sources`, `fps` `(S,)` (0: unknown); where there are texts `text` `(M,)`,
`language` `(M,)` and `text_clip` `(M,)`, the clip of each; where there are embeddings of texts `embedding` `(E, width)`
and `embedding_clip` `(E,)`. `pack.py` makes it.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from pose_diffusion import corruption
from pose_diffusion.corruption import Damaged
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.layout import BODY, Layout
from pose_diffusion.notation import MAX_TOKENS, Text, picture, read_text, token_ids
from pose_diffusion.training.augmentation import augment, change_tempo

USUAL_FPS = 20.  # taken where the frame rate is not known
PICTURED = .5  # share of SignWriting that is read as a picture
EMBEDDED = .5  # share of the clips with both that are told by their embedding
GENERATED = .55  # share of the clips with a text that are made from little more than that
TOLD = .2  # share of the others whose text the network is told
EVERY = 10  # of the clips of a source with the same text, one in so many is kept back
HANDS_ONLY = "hands-"  # what the names of sources without bodies begin with; they count for half
REDUCED_BODY = ("SHOULDER", "ELBOW", "WRIST", "HIP")  # what reduce_holistic leaves of the body


@dataclass(frozen=True)
class Pack:
    """Clips in one array.

    Attributes
    ----------
    xyz, confidence : np.ndarray
        `(N, K, 3)` float16 and `(N, K)` uint8 over all frames.
    starts, lens, source, fps : np.ndarray
        `(S,)` per clip.
    sources : list of str
        Names; one signer and camera, or one language of the lexicon.
    texts : dict of int to tuple of Text
        What is signed in a clip, in one or several notations; clips that nothing is known of are not in it.
    embeddings : dict of int to np.ndarray
        `(width,)` float32: a user's own embedding of what is signed in a clip.
    """

    xyz: np.ndarray
    confidence: np.ndarray
    starts: np.ndarray
    lens: np.ndarray
    source: np.ndarray
    fps: np.ndarray
    sources: list[str]
    texts: dict[int, tuple[Text, ...]] = field(default_factory=dict)
    embeddings: dict[int, np.ndarray] = field(default_factory=dict)

    def clip(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """`(T, K, 3)` float32 and `(T, K)` float32 confidence in 0..1 of clip i."""
        rows = slice(self.starts[i], self.starts[i] + self.lens[i])
        return self.xyz[rows].astype(np.float32), self.confidence[rows].astype(np.float32) / 255

    def seconds(self, i: int) -> float:
        """How long clip i takes; at 20 frames per second where that is not known."""
        return float(self.lens[i] / (self.fps[i] or USUAL_FPS))

    def select(self, names: list[str]) -> np.ndarray:
        """Indices of the clips whose source is one of `names`.

        Raises
        ------
        ValueError
            If a name is not in the pack.
        """
        unknown = sorted(set(names) - set(self.sources))
        if unknown:
            raise ValueError(f"no source {', '.join(unknown)} in the pack: it has {', '.join(self.sources)}")
        return np.flatnonzero(np.isin(self.source, [self.sources.index(name) for name in names]))


def load(path: str | Path) -> Pack:
    """Read a packed file."""
    with np.load(path, allow_pickle=False) as data:
        lens = data["lens"]
        return Pack(data["xyz"], data["confidence"], np.concatenate([[0], np.cumsum(lens)[:-1]]), lens, data["source"],
                    data["fps"], [str(name) for name in data["sources"]], _texts(data), _embeddings(data))


def _texts(data: Mapping[str, np.ndarray]) -> dict[int, tuple[Text, ...]]:
    if "text" not in data:
        return {}
    rows = list(zip(data["text_clip"].tolist(), data["text"].tolist(), data["language"].tolist()))
    known = {pair: read_text(pair[0], language=pair[1]) for pair in {(text, language) for _, text, language in rows}}
    texts = defaultdict(list)
    for clip, text, language in rows:
        texts[clip].append(known[text, language])
    return {clip: tuple(some) for clip, some in texts.items()}


def _embeddings(data: Mapping[str, np.ndarray]) -> dict[int, np.ndarray]:
    if "embedding" not in data:
        return {}
    return dict(zip(data["embedding_clip"].tolist(), data["embedding"].astype(np.float32)))


def kept_back(pack: Pack) -> np.ndarray:
    """Clips that generation is tested on: of those of a source with the same first text every tenth. Never trained on.

    Returns
    -------
    np.ndarray
        Their indices.
    """
    groups = defaultdict(list)
    for clip in sorted(pack.texts):
        groups[pack.source[clip], pack.texts[clip][0]].append(clip)
    return np.array(sorted(clip for clips in groups.values() for clip in clips[EVERY - 1::EVERY]), np.int64)


def sparse(xyz: np.ndarray, observed: np.ndarray, rng: np.random.Generator, layout: Layout) -> tuple[Damaged, bool]:
    """Draw what is known of a clip that is made from a text: its first frame in half of the cases, nothing, both ends,
    some frames, or all but a hand.

    Returns
    -------
    tuple of Damaged and bool
        As of `known`.
    """
    clip = corruption.undamaged(xyz, observed)
    draw = rng.random()
    if draw < .16:
        return keep_frames(clip, np.zeros(len(observed), bool)), True
    if draw < .66:
        first = 1 if rng.random() < .8 else int(rng.integers(2, 6))
        return keep_frames(clip, np.arange(len(observed)) < first), True
    if draw < .9:
        return _key_frames(clip, rng), bool(rng.random() < .85)
    hand = layout.parts["left_hand" if rng.random() < .3 else "right_hand"]
    lost = np.zeros_like(clip.observed)
    lost[:, hand] = clip.observed[:, hand]
    return _without(clip, lost), True


def known(xyz: np.ndarray, observed: np.ndarray, rng: np.random.Generator, layout: Layout) -> tuple[Damaged, bool]:
    """Draw what is known of a clip, and whether it is exact.

    Two fifths are mixed damage as users have it, three tenths clean gaps, the rest single kinds of damage, undamaged
    clips, and key frames (the first, both ends, some, none), so that one network refines, in-betweens and generates.

    Returns
    -------
    tuple of Damaged and bool
        The damaged clip; True if all that is left of it is to be kept exactly.
    """
    clip = corruption.undamaged(xyz, observed)
    draw = rng.random()
    if draw < .42:
        return _mixed(clip, rng, layout), False
    if draw < .72:
        return _gaps(clip, rng, layout), bool(rng.random() < .5)
    if draw < .82:
        return corruption.jitter(clip, _log_uniform(rng, .01, .12), rng, layout), False
    if draw < .92:
        kind = rng.random()
        if kind < .2:
            return corruption.swap_hands(clip, rng.uniform(.02, .12), rng, layout), False
        if kind < .7:
            return corruption.outliers(clip, rng.uniform(.005, .06), rng, layout), False
        return corruption.freeze(clip, int(rng.integers(3, 11)), rng, layout), False
    if draw < .95:
        return clip, False
    return _key_frames(clip, rng), bool(rng.random() < .7)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _gap_length(rng: np.random.Generator, frames: int) -> int:
    """A heavy tail from 1 frame up, as hand losses have it."""
    return int(min(frames - 1, max(1, round(_log_uniform(rng, 1, 26)))))


def _mixed(clip: Damaged, rng: np.random.Generator, layout: Layout) -> Damaged:
    frames = len(clip.observed)
    if rng.random() < .5:
        clip = corruption.swap_hands(clip, rng.uniform(.005, .1), rng, layout)
    if rng.random() < .9:
        clip = corruption.jitter(clip, _log_uniform(rng, .005, .12), rng, layout)
    if rng.random() < .5:
        clip = corruption.outliers(clip, rng.uniform(.003, .05), rng, layout)
    if rng.random() < .15:
        clip = corruption.freeze(clip, int(rng.integers(3, 11)), rng, layout)
    if rng.random() < .5:
        clip = corruption.drop_points(clip, rng.uniform(.02, .3), rng, layout)
    if rng.random() < .1:
        clip = corruption.drop_frames(clip, int(rng.integers(2, 6)))
    for _ in range(rng.integers(0, 3)):
        clip = corruption.drop_hands(clip, _gap_length(rng, frames), rng, layout, arm=rng.random() < .3)
    return clip


def _gaps(clip: Damaged, rng: np.random.Generator, layout: Layout) -> Damaged:
    kind, frames = rng.random(), len(clip.observed)
    if kind < .5:
        for _ in range(rng.integers(1, 3)):
            clip = corruption.drop_hands(clip, _gap_length(rng, frames), rng, layout, arm=rng.random() < .5,
                                         edge_share=.35)
        return clip
    if kind < .87:
        return corruption.drop_frames(clip, int(rng.integers(2, 11)))
    return corruption.drop_points(clip, rng.uniform(.05, .5), rng, layout)


def _key_frames(clip: Damaged, rng: np.random.Generator) -> Damaged:
    frames = len(clip.observed)
    keep = np.zeros(frames, bool)
    kind = rng.integers(4)
    if kind == 0:
        keep[0] = True
    elif kind == 1:
        keep[:rng.integers(1, 4)] = keep[frames - rng.integers(1, 4):] = True
    elif kind == 2:
        keep[rng.choice(frames, min(frames, int(rng.integers(1, 5))), replace=False)] = True
    return keep_frames(clip, keep)


def keep_frames(clip: Damaged, keep: np.ndarray) -> Damaged:
    """What is left of a clip if only the frames `keep` `(T,)` are known."""
    return _without(clip, clip.observed & ~keep[:, None])


def _without(clip: Damaged, lost: np.ndarray) -> Damaged:
    return Damaged(np.where(lost[..., None], np.float32(0), clip.xyz), clip.observed & ~lost, clip.touched | lost)


class Windows(Dataset):
    """Random windows: sample i of epoch-free, seeded training. Every sample is drawn from `(seed, i)` alone.

    Parameters
    ----------
    pack : Pack
        The clips.
    clips : np.ndarray
        Indices of those to use.
    layout : Layout
        The points.
    window : int
        Frames of a sample.
    samples : int
        Length of the data set.
    seed : int
        Fixes every sample.
    """

    def __init__(self, pack: Pack, clips: np.ndarray, layout: Layout, window: int, samples: int, seed: int):
        self.pack, self.clips, self.layout, self.window = pack, clips, layout, window
        self.samples, self.seed = samples, seed
        share = np.sqrt(np.bincount(pack.source[clips], minlength=len(pack.sources)))  # small sources count for more
        weight = (share / np.maximum(share**2, 1))[pack.source[clips]]
        self.width = next((len(value) for value in pack.embeddings.values()), 0)
        alone = np.array([name.startswith(HANDS_ONLY) for name in pack.sources])
        weight = weight * np.where(alone, .5, 1.)[pack.source[clips]]
        self.cumulative = np.cumsum(weight / weight.sum())
        reduced = [c != BODY or any(word in p for word in REDUCED_BODY) for c, p in layout.points]
        self.extra = ~np.array(reduced)

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.seed, i))
        clip = self.clips[min(int(np.searchsorted(self.cumulative, rng.random())), len(self.clips) - 1)]
        xyz, confidence = self.pack.clip(clip)
        text, embedding = _text(self.pack, clip, rng)
        told = text is not None or embedding is not None
        if len(xyz) > 4 and rng.random() < .6:
            xyz, confidence = change_tempo(xyz, confidence, _log_uniform(rng, .8, 1.6))
        frames = len(xyz)
        start = rng.integers(0, max(1, frames - self.window + 1))
        xyz, confidence = xyz[start:start + self.window], confidence[start:start + self.window]
        if not told and len(xyz) > 12 and rng.random() < .15:
            cut = rng.integers(4, len(xyz))
            xyz, confidence = xyz[:cut], confidence[:cut]
        xyz, confidence = augment(xyz, confidence, rng, self.layout, backwards=not told, mirrored=not told)
        observed = confidence > 0
        making = told and rng.random() < GENERATED / (GENERATED + TOLD * (1 - GENERATED))
        damaged, exact = (sparse if making else known)(xyz, observed, rng, self.layout)
        seen = damaged.observed.copy()
        if rng.random() < .2:
            seen[:, self.extra] = False
        if rng.random() < .15:
            seen[:, self.layout.parts["face"]] = False
        fps = 1 / _log_uniform(rng, 1 / 30, 1 / 14) if self.pack.fps[clip] == 0 else self.pack.fps[clip]
        about = tell(text, (-start / fps, (frames - start) / fps), self.pack.seconds(clip))
        if self.width:
            about["embedding"] = np.zeros((1, self.width), np.float32) if embedding is None else embedding[None]
            about["embedded"] = np.array([embedding is not None])
        return padded(self.window, xyz, confidence, damaged, seen, exact, fps) | about


def _text(pack: Pack, clip: int, rng: np.random.Generator) -> tuple[Text | None, np.ndarray | None]:
    """One of the texts of a clip, or its embedding; or neither: they are told as often as the constants above say."""
    texts, embedding = pack.texts.get(int(clip), ()), pack.embeddings.get(int(clip))
    if not (texts or embedding is not None) or rng.random() > GENERATED + TOLD * (1 - GENERATED):
        return None, None
    if embedding is not None and (not texts or rng.random() < EMBEDDED):
        return None, embedding
    text = texts[rng.integers(len(texts))]
    drawn = text.notation == "signwriting" and " " not in text.text and rng.random() < PICTURED
    return replace(text, notation="picture") if drawn else text, None


def tell(text: Text | None, span: tuple[float, float], seconds: float) -> dict[str, np.ndarray]:
    """The part of a sample that is about its text.

    Parameters
    ----------
    text : Text, optional
        What is signed.
    span : tuple of float
        Seconds, from the window's first frame, at which the sign begins and ends.
    seconds : float
        How long it takes in truth (the clip may have been slowed down).

    Returns
    -------
    dict of str to np.ndarray
        `ids` `(MAX_TOKENS,)`, `picture` `(64, 64)`, `span` `(2,)` and `length`.
    """
    ids = np.zeros(MAX_TOKENS, np.int64)
    drawn = np.zeros((64, 64), np.float32)
    if text is not None:
        found = token_ids(text)
        ids[:len(found)] = found
        if text.notation == "picture":
            drawn = picture(text)
    return {"ids": ids, "picture": drawn, "span": np.array(span, np.float32),
            "length": np.array(seconds, np.float32)}


def padded(window: int, xyz: np.ndarray, confidence: np.ndarray, damaged: Damaged, seen: np.ndarray, exact: bool,
           fps: float) -> dict[str, np.ndarray]:
    """One sample: a damaged clip of up to `window` frames, its truth, and padding.

    Parameters
    ----------
    window : int
        Frames of the sample.
    xyz, confidence : np.ndarray
        `(T, K, 3)` shoulder widths and `(T, K)`: the truth.
    damaged : Damaged
        What became of it.
    seen : np.ndarray
        `(T, K)` bool: what the network is shown of that.
    exact : bool
        Whether what is shown is to be kept.
    fps : float
        Frames per second.
    """
    def pad(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.zeros((window - len(x), *x.shape[1:]), x.dtype)])

    touched = damaged.touched | (damaged.observed & ~seen)
    return {
        "xyz": pad(np.where(seen[..., None], damaged.xyz, 0).astype(np.float32)), "mask": pad(seen),
        "exact": pad(seen & exact), "valid": pad(np.ones(len(xyz), bool)), "truth": pad(xyz),
        "weight": pad(confidence), "touched": pad(touched),
        "seconds": (np.arange(window) / fps).astype(np.float32),
    }


def observation(batch: dict[str, Tensor]) -> Observation:
    """The known part of a batch of `Windows`."""
    return Observation(batch["xyz"], batch["mask"], batch["exact"], batch["seconds"], batch["valid"])
