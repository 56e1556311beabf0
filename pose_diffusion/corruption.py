"""What capture does to keypoints: one model of the damage, for training and for the benchmark.

The shapes of the damage follow what `benchmarks/measure_capture.py` finds in 11,000 clips of real capture: of the hand
losses inside clips 61 % last one frame, 15 % two, 12 % three to five, with a heavy tail beyond ten, and 31 % of all
losses touch an end of the clip; .6 % of the hands sit on the other arm while their confidence stays high; third
differences of hands at rest have autocorrelation -.48 (white noise: -.75), so jitter is partly correlated in time.
Every function draws from the generator it is given, so a seed fixes the damage.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pose_diffusion.layout import BODY, FINGERS, HOLISTIC, LEFT_HAND, RIGHT_HAND, Layout

LEVELS = (1, 2, 3)
CASES = ("clean", "jitter", "hand_drop", "arm_drop", "point_drop", "frame_drop", "swap", "outlier", "freeze", "mixed")
HANDS = ("left_hand", "right_hand")

# Parameters of the benchmark's levels 1, 2, 3 (shoulder widths, frames, shares of frames or points).
JITTER = (.02, .05, .10)
HAND_GAP = (2, 8, 20)
POINT_SHARE = (.1, .3, .5)
KEEP_EVERY = (2, 5, 10)
SWAP_SHARE = (.02, .05, .10)
OUTLIER_SHARE = (.01, .03, .06)
FREEZE_FRAMES = (3, 6, 10)
PART_JITTER = {"body": .5, "left_hand": 1.0, "right_hand": 1.0, "face": .25}


@dataclass(frozen=True)
class Damaged:
    """A clip after damage.

    Attributes
    ----------
    xyz : np.ndarray
        `(T, K, 3)` float32, shoulder widths; 0 where nothing is observed.
    observed : np.ndarray
        `(T, K)` bool: what the detector still reports (damaged points may be reported with full confidence).
    touched : np.ndarray
        `(T, K)` bool: points that were lost or moved.
    """

    xyz: np.ndarray
    observed: np.ndarray
    touched: np.ndarray


def undamaged(xyz: np.ndarray, observed: np.ndarray) -> Damaged:
    """A clip before damage: `(T, K, 3)` points and `(T, K)` bool."""
    xyz = np.where(observed[..., None], xyz, 0).astype(np.float32)
    return Damaged(xyz, observed.copy(), np.zeros_like(observed))


def corrupt(xyz: np.ndarray, observed: np.ndarray, case: str, level: int, rng: np.random.Generator,
            layout: Layout = HOLISTIC) -> Damaged:
    """Damage a clip as one case of the benchmark does.

    Parameters
    ----------
    xyz, observed : np.ndarray
        `(T, K, 3)` points in shoulder widths and `(T, K)` bool.
    case : str
        One of `CASES`.
    level : int
        1, 2 or 3.
    rng : np.random.Generator
        Fixes the damage.
    layout : Layout
        The points.

    Returns
    -------
    Damaged

    Raises
    ------
    ValueError
        If there is no such case or level.
    """
    if case not in CASES or level not in LEVELS:
        raise ValueError(f"no corruption {case!r} at level {level!r}: cases are {', '.join(CASES)}; levels 1, 2, 3")
    clip, i = undamaged(xyz, observed), level - 1
    steps: dict[str, Callable[[Damaged], Damaged]] = {
        "clean": lambda c: c,
        "jitter": lambda c: jitter(c, JITTER[i], rng, layout),
        "hand_drop": lambda c: drop_hands(c, HAND_GAP[i], rng, layout),
        "arm_drop": lambda c: drop_hands(c, HAND_GAP[i], rng, layout, arm=True),
        "point_drop": lambda c: drop_points(c, POINT_SHARE[i], rng, layout),
        "frame_drop": lambda c: drop_frames(c, KEEP_EVERY[i]),
        "swap": lambda c: swap_hands(c, SWAP_SHARE[i], rng, layout),
        "outlier": lambda c: outliers(c, OUTLIER_SHARE[i], rng, layout),
        "freeze": lambda c: freeze(c, FREEZE_FRAMES[i], rng, layout),
        "mixed": lambda c: _mixed(c, i, rng, layout),
    }
    return steps[case](clip)


def _mixed(clip: Damaged, i: int, rng: np.random.Generator, layout: Layout) -> Damaged:
    """Level 2 of models.md 1.6 (jitter .05, gaps of 8, points 10 %, outliers 1 %, swaps 2 %); 1 and 3 around it."""
    clip = swap_hands(clip, (.01, .02, .05)[i], rng, layout)
    clip = jitter(clip, JITTER[i], rng, layout)
    clip = outliers(clip, (.005, .01, .03)[i], rng, layout)
    clip = drop_points(clip, (.05, .10, .15)[i], rng, layout)
    return drop_hands(clip, HAND_GAP[i], rng, layout)


def _lose(clip: Damaged, lost: np.ndarray) -> Damaged:
    lost = lost & clip.observed
    return Damaged(np.where(lost[..., None], np.float32(0), clip.xyz), clip.observed & ~lost, clip.touched | lost)


def _move(clip: Damaged, xyz: np.ndarray, moved: np.ndarray) -> Damaged:
    moved = moved & clip.observed
    return replace(clip, xyz=np.where(moved[..., None], xyz, clip.xyz).astype(np.float32), touched=clip.touched | moved)


def _runs(frames: int, share: float, lengths: tuple[int, int], rng: np.random.Generator, *,
          least: int = 1) -> np.ndarray:
    """`(frames,)` bool: at least `least` runs of `lengths[0]..lengths[1]` frames that cover about `share` of them."""
    mask = np.zeros(frames, bool)
    mean = (lengths[0] + lengths[1]) / 2
    for _ in range(max(least, rng.poisson(share * frames / mean))):
        start = rng.integers(0, frames)
        mask[start:start + rng.integers(lengths[0], lengths[1] + 1)] = True
    return mask


def jitter(clip: Damaged, std: float, rng: np.random.Generator, layout: Layout = HOLISTIC) -> Damaged:
    """Detector noise: half white, half AR(1) with correlation .8; in bursts of 3-8 frames three times as strong.

    `std` is that of the hands in shoulder widths; the body has half of it, the face a quarter.
    """
    frames, points = clip.observed.shape
    white, drive = rng.standard_normal((2, frames, points, 3), dtype=np.float32)
    correlated = np.empty_like(drive)
    correlated[0] = drive[0]
    for t in range(1, frames):
        correlated[t] = .8 * correlated[t - 1] + .6 * drive[t]
    scale = np.empty((points, 1), np.float32)
    for part, share in PART_JITTER.items():
        scale[layout.parts[part]] = share * std
    burst = np.where(_runs(frames, .1, (3, 8), rng), np.float32(3), np.float32(1))[:, None, None]
    noise = np.float32(np.sqrt(.5)) * (white + correlated) * scale * burst
    return _move(clip, clip.xyz + noise, np.ones_like(clip.observed))


def drop_hands(clip: Damaged, length: int, rng: np.random.Generator, layout: Layout = HOLISTIC, *,
               arm: bool = False, edge_share: float = .2) -> Damaged:
    """Lose one hand for a run of `length` frames, one run per 40 frames; in a fifth of the clips at one end.

    With `arm`, the body's wrist, elbow and hand points of that side are lost with it: the honest case, as a hand that
    is hidden hides its wrist too. One observed frame of the hand always remains where there was one.
    """
    frames = len(clip.observed)
    lost = np.zeros_like(clip.observed)
    for _ in range(max(1, round(frames / 40))):
        hand = _seen_hand(clip, rng, layout)
        if hand is None:
            return clip
        run = min(length, frames - 1)
        if rng.random() < edge_share:
            start = 0 if rng.random() < .5 else frames - run
        else:
            start = int(rng.integers(1, frames - run)) if frames - run > 1 else frames - run
        rows = np.zeros(frames, bool)
        rows[start:start + run] = True
        part = layout.parts[hand]
        if not (clip.observed[:, part] & ~lost[:, part])[~rows].any():
            continue
        columns = hand_and_arm(hand, layout) if arm else np.arange(len(layout))[part]
        lost[np.ix_(rows, columns)] = True
    return _lose(clip, lost)


def _seen_hand(clip: Damaged, rng: np.random.Generator, layout: Layout) -> str | None:
    """A hand, drawn by how often it is seen."""
    seen = np.array([clip.observed[:, layout.parts[hand]].any(axis=1).sum() for hand in HANDS], float)
    return None if seen.sum() == 0 else HANDS[rng.choice(2, p=seen / seen.sum())]


def hand_and_arm(hand: str, layout: Layout) -> np.ndarray:
    side = "LEFT" if hand == "left_hand" else "RIGHT"
    arm = [i for i, (c, p) in enumerate(layout.points)
           if c == BODY and p.startswith(side) and p.split("_")[1] in ("ELBOW", "WRIST", "PINKY", "INDEX", "THUMB")]
    return np.concatenate([np.arange(len(layout))[layout.parts[hand]], np.array(arm, int)])


def drop_points(clip: Damaged, share: float, rng: np.random.Generator, layout: Layout = HOLISTIC) -> Damaged:
    """Lose single points at random, and whole fingers for runs of 2-6 frames."""
    lost = rng.random(clip.observed.shape, dtype=np.float32) < share
    frames = len(clip.observed)
    for component in (LEFT_HAND, RIGHT_HAND):
        for finger in FINGERS.values():
            if rng.random() < share:
                columns = np.array([layout.index(component, point) for point in finger])
                lost[np.ix_(_runs(frames, share / 2, (2, 6), rng), columns)] = True
    return _lose(clip, lost)


def drop_frames(clip: Damaged, keep_every: int) -> Damaged:
    """Keep every n-th frame only (as DeciWatch does), all points."""
    lost = np.ones_like(clip.observed)
    lost[::keep_every] = False
    return _lose(clip, lost)


def swap_hands(clip: Damaged, share: float, rng: np.random.Generator, layout: Layout = HOLISTIC, *,
               least: int = 1) -> Damaged:
    """Exchange the labels of the hands for runs of 1-5 frames; their confidence stays as it was."""
    left, right = (layout.parts[hand] for hand in HANDS)
    rows = _runs(len(clip.observed), share, (1, 5), rng, least=least)
    xyz, observed, touched = clip.xyz.copy(), clip.observed.copy(), clip.touched.copy()
    for a, b in ((left, right), (right, left)):
        xyz[rows, a], observed[rows, a] = clip.xyz[rows, b], clip.observed[rows, b]
    changed = (clip.observed | observed)
    for part in (left, right):
        touched[rows, part] |= changed[rows, part]
    return Damaged(xyz, observed, touched)


def outliers(clip: Damaged, share: float, rng: np.random.Generator, layout: Layout = HOLISTIC) -> Damaged:
    """Points, or a whole hand, jump by .3 to 1 shoulder width for 1-3 frames with their confidence unchanged."""
    frames, points = clip.observed.shape
    xyz, moved = clip.xyz.copy(), np.zeros_like(clip.observed)

    def jump(rows: np.ndarray, columns: slice | int) -> None:
        angle, size = rng.uniform(0, 2 * np.pi), rng.uniform(.3, 1)
        step = np.array([np.cos(angle), np.sin(angle), rng.normal(0, .3)], np.float32) * np.float32(size)
        xyz[rows, columns] += step
        moved[rows, columns] = True

    for hand in HANDS:
        runs = rng.poisson(share * frames / 2)
        for _ in range(runs):
            start = rng.integers(0, frames)
            jump(np.arange(start, min(frames, start + rng.integers(1, 4))), layout.parts[hand])
    hand_points = layout.parts["right_hand"].stop
    for _ in range(max(1, rng.poisson(share * frames * hand_points / 2))):
        start = rng.integers(0, frames)
        jump(np.arange(start, min(frames, start + rng.integers(1, 4))), int(rng.integers(0, hand_points)))
    return _move(clip, xyz, moved)


def freeze(clip: Damaged, length: int, rng: np.random.Generator, layout: Layout = HOLISTIC) -> Damaged:
    """A tracker stalls: one hand repeats its last value for up to `length` (at least 3) frames, confidence high."""
    frames = len(clip.observed)
    xyz, moved = clip.xyz.copy(), np.zeros_like(clip.observed)
    for _ in range(max(1, round(frames / 40))):
        hand = _seen_hand(clip, rng, layout)
        if hand is None or frames < 3:
            return clip
        part = layout.parts[hand]
        run = min(int(rng.integers(min(3, length), length + 1)), frames - 1)
        starts = np.flatnonzero(clip.observed[:frames - run, part].any(axis=1)) + 1
        if len(starts) == 0:
            continue
        start = int(rng.choice(starts))
        source = clip.observed[start - 1, part]
        rows = slice(start, start + run)
        xyz[rows, part] = np.where(source[:, None], clip.xyz[start - 1, part], xyz[rows, part])
        moved[rows, part] = source
    return _move(clip, xyz, moved)
