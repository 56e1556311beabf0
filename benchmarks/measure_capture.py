"""What MediaPipe Holistic does to hands, measured on real captures: the figures that `corruption.py` is shaped by.

    python benchmarks/measure_capture.py --pack .cache/pack.npz

Jitter is told from motion by third differences of hands that hardly move: their autocorrelation at lags 1 to 3 is
(-.75, .3, -.05) for white noise whatever its size, and nearer to 0 the more the noise is correlated in time.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pose_diffusion.layout import BODY, HOLISTIC, LEFT_HAND, RIGHT_HAND
from pose_diffusion.training.data import Pack, load

HANDS = ("left_hand", "right_hand")
WRISTS = np.array([HOLISTIC.index(BODY, f"{side}_WRIST") for side in ("LEFT", "RIGHT")])
ROOTS = np.array([HOLISTIC.index(hand, "WRIST") for hand in (LEFT_HAND, RIGHT_HAND)])
RUNS = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 10**9))
STILL = .15  # shoulder widths that a hand's wrist moves in a stretch of eight frames, at most
STRETCH = 8
APART = .3  # shoulder widths between the body's wrists, from which on an exchange of hands can be told
RHO = .8  # of the correlated half of `corruption.jitter`


def clips(pack: Pack, source: int | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Points `(T, K, 3)` and what is seen of them `(T, K)`, of one source or of all."""
    for i in np.flatnonzero((pack.source == source) | (source is None)):
        xyz, confidence = pack.clip(int(i))
        yield xyz, confidence > 0


def losses(seen: np.ndarray) -> tuple[list[int], list[int]]:
    """Lengths of the runs of frames without a hand: inside the clip, and at its ends. Never seen is no loss."""
    inside: list[int] = []
    ends: list[int] = []
    if seen.any():
        edges = np.flatnonzero(np.diff(np.concatenate([[1], seen.astype(int), [1]])))
        for start, stop in edges.reshape(-1, 2):
            (ends if start == 0 or stop == len(seen) else inside).append(int(stop - start))
    return inside, ends


def autocorrelation(noise: np.ndarray, lags: int = 3) -> np.ndarray:
    """`(lags,)` of third differences over time of `(S, T)` tracks, about zero."""
    third = np.diff(noise, 3, axis=1)
    power = (third**2).mean()
    return np.array([(third[:, k:] * third[:, :-k]).mean() / power for k in range(1, lags + 1)])


def model(correlated: float, tracks: int = 20000) -> np.ndarray:
    """The autocorrelation of noise of which a share is correlated over time, the rest white."""
    rng = np.random.default_rng(0)
    white, drive = rng.standard_normal((2, tracks, STRETCH + 20))
    slow = np.empty_like(drive)
    slow[:, 0] = drive[:, 0]
    for t in range(1, drive.shape[1]):
        slow[:, t] = RHO * slow[:, t - 1] + np.sqrt(1 - RHO**2) * drive[:, t]
    return autocorrelation((np.sqrt(1 - correlated) * white + np.sqrt(correlated) * slow)[:, 20:])


def still_tracks(xyz: np.ndarray, seen: np.ndarray) -> list[np.ndarray]:
    """`(S, STRETCH)` tracks of x and y of hands that hardly move."""
    found = []
    for hand in HANDS:
        part = HOLISTIC.parts[hand]
        for start in range(0, len(xyz) - STRETCH + 1, STRETCH):
            rows = slice(start, start + STRETCH)
            root = xyz[rows, part.start, :2]
            if seen[rows, part].all() and np.ptp(root, axis=0).max() < STILL:
                found.append(xyz[rows, part, :2].reshape(STRETCH, -1).T)
    return found


def measure(pack: Pack, source: int | None) -> list[str]:
    """A line of the table."""
    inside: list[int] = []
    ends: list[int] = []
    tracks: list[np.ndarray] = []
    mismatch: list[np.ndarray] = []
    exchanged = together = missing = frames = 0
    for xyz, seen in clips(pack, source):
        for side, hand in enumerate(HANDS):
            hand_seen = np.any(seen[:, HOLISTIC.parts[hand]], axis=1)
            a, b = losses(hand_seen)
            inside, ends = inside + a, ends + b
            missing, frames = missing + int((~hand_seen).sum()), frames + len(hand_seen)
            both = hand_seen & seen[:, WRISTS].all(axis=1)
            own, other = (np.linalg.norm(xyz[both, ROOTS[side], :2] - xyz[both, w, :2], axis=-1)
                          for w in (WRISTS[side], WRISTS[1 - side]))
            apart = np.linalg.norm(xyz[both, WRISTS[0], :2] - xyz[both, WRISTS[1], :2], axis=-1) > APART
            mismatch.append(own)
            exchanged, together = exchanged + int((other < own)[apart].sum()), together + int(apart.sum())
        tracks += still_tracks(xyz, seen)
    lengths, distances = np.array(inside), np.concatenate(mismatch)
    shares = [f"{100 * np.mean((lengths >= a) & (lengths <= b)):.0f}" if len(lengths) else "-" for a, b in RUNS]
    at_ends = f"{100 * len(ends) / max(len(ends) + len(inside), 1):.0f}"
    jitter = " ".join(f"{r:.2f}" for r in autocorrelation(np.concatenate(tracks))) if tracks else "-"
    near, far = np.percentile(distances, [50, 95]) if len(distances) else (np.nan, np.nan)
    return [f"{100 * missing / max(frames, 1):.0f}", str(len(inside)), *shares, at_ends, jitter,
            f"{100 * exchanged / max(together, 1):.2f}", f"{near:.3f} {far:.3f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True, metavar="FILE", help="packed clips (.npz)")
    pack = load(parser.parse_args().pack)
    print("| source | hand frames missing % | losses inside clips | 1 frame % | 2 % | 3-5 % | 6-10 % | longer % | "
          "of all losses at an end % | jitter's autocorrelation | exchanged % | hand to body wrist: median, 95 % |")
    print("|" + " --- |" * 12)
    for source, name in [*enumerate(pack.sources), (None, "**all**")]:
        print("| " + " | ".join([name, *measure(pack, source)]) + " |")
    for share in (0., .5, 1.):
        text = " ".join(f"{r:.2f}" for r in model(share))
        print(f"\njitter with {100 * share:.0f} % of its variance correlated at {RHO} would have {text}")


if __name__ == "__main__":
    main()
