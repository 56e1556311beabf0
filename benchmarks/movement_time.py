"""How long a hand takes for a way: the rule by which transitions get their length.

    python benchmarks/movement_time.py --pack .cache/pack.npz

In clips of training sources whose frame rate is known, the movements of a wrist are what lies between two minima of its
speed. Printed are the median durations by distance, and the line through them, fitted by least absolute deviations.
"""
from __future__ import annotations

import argparse

import numpy as np
from scipy.optimize import linprog
from scipy.signal import argrelmin, savgol_filter

from pose_diffusion.evaluation.cases import CONFIDENT, LEFT_OUT, TUNING, UNSEEN
from pose_diffusion.layout import BODY, HOLISTIC
from pose_diffusion.training.data import Pack, load

BINS = (.1, .2, .4, .7, 1., 1.4, 2.)  # shoulder widths
STRAIGHT = .8  # of a movement's path that its ends must be apart: what circles or trembles is no way


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", required=True)
    pack = load(parser.parse_args().pack)
    moves = np.concatenate([movements(pack, i) for i in clips(pack)])
    print(f"{len(moves)} movements")
    print("| distance, shoulder widths | movements | median s | quartiles |\n| --- | ---: | ---: | ---: |")
    for low, high in zip(BINS, BINS[1:]):
        took = moves[(moves[:, 0] >= low) & (moves[:, 0] < high), 1]
        if len(took):
            first, middle, third = np.quantile(took, [.25, .5, .75])
            print(f"| {low:g}-{high:g} | {len(took)} | {middle:.2f} | {first:.2f}-{third:.2f} |")
    offset, slope = line(moves[(moves[:, 0] >= BINS[0]) & (moves[:, 0] < BINS[-1])])
    print(f"seconds = {offset:.3f} + {slope:.3f} * distance")


def clips(pack: Pack) -> np.ndarray:
    """Those that a network may learn from, of a known rate."""
    names = [name for name in pack.sources if name not in UNSEEN + TUNING + LEFT_OUT]
    found = pack.select(names)
    return found[pack.fps[found] > 0]


def movements(pack: Pack, i: int) -> np.ndarray:
    """`(N, 2)`: distance in shoulder widths and seconds of the movements of both wrists of a clip."""
    xyz, confidence = pack.clip(i)
    out = []
    for side in ("LEFT", "RIGHT"):
        wrist = HOLISTIC.index(BODY, f"{side}_WRIST")
        seen = confidence[:, wrist] >= CONFIDENT
        if len(xyz) < 9 or not seen.any():
            continue
        track = savgol_filter(xyz[:, wrist, :2], 5, 2, axis=0)
        steps = np.linalg.norm(np.diff(track, axis=0), axis=-1)
        still = argrelmin(steps, order=2)[0]  # step k is between frames k and k + 1
        for a, b in zip(still, still[1:]):
            ends = (track[a:a + 2].mean(0), track[b:b + 2].mean(0))
            distance = float(np.linalg.norm(ends[1] - ends[0]))
            if seen[a:b + 2].all() and distance >= STRAIGHT * steps[a:b + 1].sum() > 0:
                out.append((distance, (b - a) / float(pack.fps[i])))
    return np.array(out).reshape(-1, 2)


def line(moves: np.ndarray) -> tuple[float, float]:
    """Offset and slope of the least absolute deviations."""
    n = len(moves)
    cost = np.concatenate([[0, 0], np.ones(2 * n)])
    equal = np.hstack([np.ones((n, 1)), moves[:, :1], np.eye(n), -np.eye(n)])
    found = linprog(cost, A_eq=equal, b_eq=moves[:, 1], bounds=[(None, None)] * 2 + [(0, None)] * (2 * n))
    return float(found.x[0]), float(found.x[1])


if __name__ == "__main__":
    main()
