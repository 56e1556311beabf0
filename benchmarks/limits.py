"""How good could it get? Estimators that are told what nobody knows, on clips of the benchmark.

    python benchmarks/limits.py --pack .cache/pack.npz

For jitter: the best linear estimator (Gauss-Markov) under the mean and covariance of training windows, told the exact
covariance of the noise in every frame: how strong it is, how it is correlated in time, where its bursts are. For
outliers and stalls: the network and the Gaussian, told which points are wrong. Ratios are to the Gaussian mixture as
tuned for the row, the best baseline there; the network as it is stands beside them.
"""
from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pose_diffusion.commands.benchmark import _mixture
from pose_diffusion.corruption import JITTER, PART_JITTER, _runs
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation import cases
from pose_diffusion.evaluation.cases import INNER, Known, Row, Trial
from pose_diffusion.evaluation.methods import MIXTURE, make, read_tuned
from pose_diffusion.evaluation.mixture import BODY_PART, LEFT, RIGHT, WINDOW, training_windows
from pose_diffusion.evaluation.network import network
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.training.data import Pack, load

EVERY = 6  # of the unseen clips, every n-th
FLOOR = .01  # shoulder widths: noise of the training windows themselves
FLIP = np.array([-1, 1, 1], np.float32)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--model", help="folder of the model (default: the shipped one)")
    args = parser.parse_args()
    pack = load(args.pack)
    clips = cases.find_clips(pack, cases.read_clips()["unseen"])[::EVERY]
    mixture, model = _mixture(pack, Path(".cache")), PoseDiffusion.from_pretrained(args.model)
    priors = [Prior(windows) for windows in training_windows(pack, cases.training_clips(pack))]
    print(f"{len(clips)} unseen clips\n| damage | Gaussian mixture | network | told the noise, or what is wrong | |")
    print("| --- | ---: | ---: | ---: | --- |")
    for case in ("jitter", "outlier", "freeze"):
        for level in (1, 2, 3):
            row = Row(case, level)
            trial = cases.damage(pack, clips, row)
            base = error(make(MIXTURE, read_tuned()[MIXTURE][row.name], mixture)(trial.known), trial)
            told = [("best linear estimator", jitter_known(pack, clips, trial, row, priors))] if case == "jitter" else [
                ("network", network(model, only_masked=True)(told_wrong(trial))),
                ("Gaussian", make(MIXTURE, {"noise": .1, "trim": 0., "exact": 1.}, mixture)(told_wrong(trial)))]
            plain = error(network(model)(trial.known), trial)
            for name, out in told:
                best = error(out, trial)
                print(f"| {row.name} | {base:.4f} | {plain:.4f} ({plain / base:.2f}) | {best:.4f} ({best / base:.2f}) "
                      f"| {name} |", flush=True)


def error(out: Sequence[np.ndarray], trial: Trial) -> float:
    """Mean 2D error of lost and moved points."""
    distance = np.linalg.norm((np.concatenate(out) - trial.truth)[..., :2], axis=-1)
    return float(distance[trial.valid & trial.touched].mean())


def told_wrong(trial: Trial) -> list[Known]:
    """The clips without the points that were moved."""
    out, start = [], 0
    for known in trial.known:
        rows = slice(start, start + len(known.xyz))
        observed = known.observed.copy()
        observed[:, :INNER] &= ~trial.touched[rows]
        out.append(replace(known, observed=observed, xyz=np.where(observed[..., None], known.xyz, 0)))
        start = rows.stop
    return out


class Prior:
    """Mean and covariance of windows `(S, WINDOW, K, 3)`, all points absolute: a hand's are moved to its wrist."""

    def __init__(self, windows: np.ndarray):
        self.points = windows.shape[2]
        if self.points != len(BODY_PART):
            windows = windows.copy()
            size = HOLISTIC.parts["left_hand"].stop - HOLISTIC.parts["left_hand"].start
            windows[:, :, :size] += windows[:, :, size + 1:size + 2]  # LEFT: the hand, the elbow, the wrist
        flat = windows.reshape(len(windows), -1).astype(np.float64)
        self.mean = flat.mean(0)
        self.covariance = np.cov(flat.T) + FLOOR**2 * np.eye(flat.shape[1])

    def estimate(self, x: np.ndarray, seen: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """A window `(WINDOW, K, 3)` from what is seen of it `(WINDOW, K)`; `noise` `(K, WINDOW, WINDOW)` covariance
        over time of each point's coordinates.
        """
        rows = np.flatnonzero(np.repeat(seen.reshape(-1), 3))
        if len(rows) == 0:
            return self.mean.reshape(x.shape)
        frame, point = rows // (3 * self.points), rows // 3 % self.points
        same = rows[:, None] % (3 * self.points) == rows % (3 * self.points)
        own = np.where(same, noise[point[:, None], frame[:, None], frame], 0)
        gain = np.linalg.solve(self.covariance[np.ix_(rows, rows)] + own, x.reshape(-1)[rows] - self.mean[rows])
        return (self.mean + self.covariance[:, rows] @ gain).reshape(x.shape)


def jitter_known(pack: Pack, clips: Sequence[int], trial: Trial, row: Row, priors: Sequence[Prior]) -> list[np.ndarray]:
    """The best linear estimate of every clip."""
    out = []
    for i, known in zip(tqdm(clips, desc=row.name, leave=False), trial.known):
        strength = noise_strength(pack, i, row)
        xyz, seen = known.xyz[:, :INNER], known.observed[:, :INNER]
        result = xyz.copy()
        result[:, BODY_PART] = over_windows(priors[0], xyz[:, BODY_PART], seen[:, BODY_PART], strength[:, BODY_PART])
        for hand, chosen, flip in (("left_hand", LEFT, abs(FLIP)), ("right_hand", RIGHT, FLIP)):
            part = HOLISTIC.parts[hand]
            side = over_windows(priors[1], xyz[:, chosen] * flip, seen[:, chosen], strength[:, chosen]) * flip
            result[:, part] = side[:, :part.stop - part.start]
        out.append(result)
    return out


def noise_strength(pack: Pack, i: int, row: Row) -> np.ndarray:
    """`(T, INNER)` standard deviation that `corruption.jitter` gave each point: its draws, made once more."""
    frames = int(pack.lens[i])
    seed = zlib.crc32(cases.clip_id(pack, i).encode()) ^ zlib.crc32(f"{row.case} {row.level}".encode())
    rng = np.random.default_rng(seed)
    rng.standard_normal((2, frames, len(HOLISTIC), 3), dtype=np.float32)
    burst = np.where(_runs(frames, .1, (3, 8), rng), 3., 1.)
    scale = np.empty(len(HOLISTIC))
    for part, share in PART_JITTER.items():
        scale[HOLISTIC.parts[part]] = share * JITTER[row.level - 1]
    return burst[:, None] * scale[:INNER]


def over_windows(prior: Prior, xyz: np.ndarray, seen: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Overlapping windows of a clip, blended by triangular weights; a short clip is a window with an unseen rest."""
    frames = len(xyz)
    short = [(0, max(0, WINDOW - frames)), (0, 0)]
    xyz, seen = np.pad(xyz, [*short, (0, 0)]), np.pad(seen, short)
    strength = np.pad(strength, short, mode="edge")
    time = np.arange(WINDOW)
    shape = .5 * (np.eye(WINDOW) + .8 ** abs(time[:, None] - time))
    ramp = (np.minimum(time, time[::-1]) + 1.)[:, None, None]
    total, weight = np.zeros(xyz.shape), np.zeros((len(xyz), 1, 1))
    for start in sorted({*range(0, len(xyz) - WINDOW + 1, WINDOW // 2), len(xyz) - WINDOW}):
        rows = slice(start, start + WINDOW)
        std = strength[rows].T
        total[rows] += ramp * prior.estimate(xyz[rows], seen[rows], std[:, :, None] * std[:, None, :] * shape)
        weight[rows] += ramp
    return (total / weight)[:frames].astype(np.float32)


if __name__ == "__main__":
    main()
