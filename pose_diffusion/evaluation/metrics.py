"""What is measured, each metric as a numerator and a denominator per clip.

The value of a metric over any set of clips is the sum of its numerators over that of its denominators, so that the
bootstrap and ratios of two methods need no second pass. Lengths are in shoulder widths (SW), time in frames. Only body
and hands are measured, and only points whose original estimate was confident (`Trial.valid`).

Sources: MPJPE and acceleration error as in SmoothNet (Zeng et al. 2022, arXiv 2112.13715), without its padding with
zeros and without frames next to an unobserved frame; PCK as in DeciWatch (Zeng et al. 2022); calibration error as in
cGNF (Pierzchlewicz et al. 2022, arXiv 2210.11179) and PlatyPose.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from pose_diffusion.evaluation.cases import EDGE, GAPS, INNER, Trial
from pose_diffusion.layout import HOLISTIC, LEFT_HAND, RIGHT_HAND

GAP_NAMES = ("1-2", "3-8", "9-20", "over 20", "at an end")
NEAR = .05  # SW, of PCK
QUANTILES = np.linspace(0, 1, 21)
COVERED = .9

HANDS = np.zeros(INNER, bool)
HANDS[HOLISTIC.parts["left_hand"].start:] = True
ROOTS = np.array([HOLISTIC.index(hand, "WRIST") for hand in (LEFT_HAND, RIGHT_HAND)])
HAND_BONES = np.array([bone for bone in HOLISTIC.bones if max(bone) < INNER])

Tally = np.ndarray  # (2, clips): numerators and denominators


def measure(prediction: np.ndarray, trial: Trial) -> dict[str, Tally]:
    """All metrics of a point estimate.

    Parameters
    ----------
    prediction : np.ndarray
        `(N, K, 3)` the estimate of all frames of the trial, end to end.
    trial : Trial
        The truth.

    Returns
    -------
    dict of str to np.ndarray
        `(2, clips)` by name:

        * `error_2d`, `error_3d`: mean distance from the truth (MPJPE) over the points that were lost or moved; the same
          for `hands` and `body` alone (`hands_2d`, ...)
        * `untouched_2d`, `untouched_3d`: the same over observed points that were neither (how far they were moved)
        * `location_2d`: of a hand's wrist where lost or moved; `handshape_2d`: of the rest of the hand, after the
          wrists were laid on each other
        * `gap 1-2`, ...: `error_2d` of lost points by the length of their gap in frames; `gap long`: over 20 or at an
          end of the clip
        * `pck`: share of lost or moved points nearer than .05 SW to the truth, in 2D
        * `acceleration_2d`: mean distance of the second differences, over runs of three true frames;
          `acceleration_ratio`: mean length of the estimate's second differences over that of the truth's, in 2D
        * `bones`: standard deviation over time of a bone's 3D length over its mean; mean over hands' and arms' bones
    """
    offset = prediction - trial.truth
    corrupted, kept = trial.valid & trial.touched, trial.valid & ~trial.touched & trial.observed
    plane, space = (np.linalg.norm(offset[..., :d], axis=-1) for d in (2, 3))
    out = {}
    for name, error in (("2d", plane), ("3d", space)):
        out[f"error_{name}"] = _mean(error, corrupted, trial)
        out[f"hands_{name}"] = _mean(error, corrupted & HANDS, trial)
        out[f"body_{name}"] = _mean(error, corrupted & ~HANDS, trial)
        out[f"untouched_{name}"] = _mean(error, kept, trial)
    out |= _location_and_shape(offset, plane, corrupted, trial)
    for i, name in enumerate(GAP_NAMES):
        out[f"gap {name}"] = _mean(plane, corrupted & (trial.gap == i), trial)
    out["gap long"] = _mean(plane, corrupted & ((trial.gap == EDGE) | (trial.gap == len(GAPS) - 1)), trial)
    out["pck"] = _mean((plane < NEAR).astype(np.float32), corrupted, trial)
    return out | _acceleration(prediction, trial) | {"bones": _bones(prediction, trial)}


def _per_clip(values: np.ndarray, trial: Trial) -> np.ndarray:
    return np.bincount(trial.clip, weights=values, minlength=len(trial.known))


def _mean(values: np.ndarray, mask: np.ndarray, trial: Trial) -> Tally:
    """The mean of `(N, K)` values where a mask holds."""
    return np.stack([_per_clip(np.where(mask, values, 0).sum(1), trial), _per_clip(mask.sum(1), trial)])


def _location_and_shape(offset: np.ndarray, plane: np.ndarray, corrupted: np.ndarray, trial: Trial) -> dict[str, Tally]:
    roots = np.repeat(ROOTS, HANDS.sum() // 2)
    fingers = np.setdiff1d(np.flatnonzero(HANDS), ROOTS) - HANDS.argmax()
    shape = np.linalg.norm((offset[:, HANDS] - offset[:, roots])[:, fingers, :2], axis=-1)
    both = (corrupted[:, HANDS] & trial.valid[:, roots])[:, fingers]
    return {"location_2d": _mean(plane[:, ROOTS], corrupted[:, ROOTS], trial),
            "handshape_2d": _mean(shape, both, trial)}


def _acceleration(prediction: np.ndarray, trial: Trial) -> dict[str, Tally]:
    """Second differences where a point is true in three neighbouring frames of one clip."""
    same = (trial.clip[2:] == trial.clip[:-2])[:, None] & trial.valid[2:] & trial.valid[1:-1] & trial.valid[:-2]
    mask = np.zeros_like(trial.valid)
    mask[1:-1] = same

    def second(x: np.ndarray) -> np.ndarray:
        out = np.zeros_like(x[..., :2])
        out[1:-1] = x[2:, :, :2] - 2 * x[1:-1, :, :2] + x[:-2, :, :2]
        return out

    ours, true = second(prediction), second(trial.truth)
    lengths = [_mean(np.linalg.norm(a, axis=-1), mask, trial) for a in (ours, true)]
    return {"acceleration_2d": _mean(np.linalg.norm(ours - true, axis=-1), mask, trial),
            "acceleration_ratio": np.stack([lengths[0][0], lengths[1][0]])}


def _bones(prediction: np.ndarray, trial: Trial) -> Tally:
    a, b = HAND_BONES.T
    length = np.linalg.norm(prediction[:, a] - prediction[:, b], axis=-1).astype(np.float64)
    mask = trial.valid[:, a] & trial.valid[:, b]
    index = trial.clip[:, None] * len(a) + np.arange(len(a))
    size = len(trial.known) * len(a)
    count, total, square = (np.bincount(index.ravel(), weights=(w * mask).ravel(), minlength=size)
                            for w in (np.ones_like(length), length, length**2))
    known = count >= 2
    mean = total / np.maximum(count, 1)
    spread = np.sqrt(np.maximum(square / np.maximum(count, 1) - mean**2, 0)) / np.maximum(mean, 1e-9)
    shape = (len(trial.known), len(a))
    return np.stack([np.where(known, spread, 0).reshape(shape).sum(1), known.reshape(shape).sum(1)])


def measure_hypotheses(samples: np.ndarray, trial: Trial, best_of: int = 8) -> dict[str, Tally]:
    """Metrics of several samples for the same observation.

    Parameters
    ----------
    samples : np.ndarray
        `(H, N, K, 3)`.
    trial : Trial
        The truth.
    best_of : int
        How many of the samples the first three metrics take.

    Returns
    -------
    dict of str to np.ndarray
        * `one_2d`, `mean_2d`, `best_2d`: `error_2d` of the first sample, of the mean of the first `best_of` samples, of
          that sample among them which is best for the clip as a whole
        * `coverage`: share of lost or moved coordinates (x and y) inside the 90 % interval
          `mean +- t(.95, H - 1) * std * sqrt(1 + 1 / H)`, Student's prediction interval for one more draw. (The
          quantiles of 8 samples themselves could not cover more than 78 %.)
        * `sharpness`: mean width of that interval
    """
    corrupted = trial.valid & trial.touched
    few = samples[:best_of]
    errors = [_mean(np.linalg.norm((s - trial.truth)[..., :2], axis=-1), corrupted, trial) for s in few]
    middle = np.linalg.norm((few.mean(0) - trial.truth)[..., :2], axis=-1)
    count = len(samples)
    reach = float(student.ppf((1 + COVERED) / 2, count - 1)) * samples[..., :2].std(0, ddof=1) * np.sqrt(1 + 1 / count)
    inside = np.abs(trial.truth[..., :2] - samples[..., :2].mean(0)) <= reach
    return {"one_2d": errors[0], "mean_2d": _mean(middle, corrupted, trial),
            "best_2d": np.stack([np.min([e[0] for e in errors], axis=0), errors[0][1]]),
            "coverage": _mean(inside.mean(-1), corrupted, trial),
            "sharpness": _mean(2 * reach.mean(-1), corrupted, trial)}


def calibration_error(samples: np.ndarray, trial: Trial) -> float:
    """How far the samples' spread is from that of the truth: 0 is calibrated.

    Per point of the layout, m is the median of H samples, e_h = |x_h - m|, e = |truth - m| (2D); F(q) is the share of
    frames with e below the q-quantile of e_h; the error is the mean over q = 0, .05, ..., 1 of
    |median over the points of F(q) - q| (cGNF, arXiv 2210.11179). Only lost or moved points count. A perfect sampler
    has .088 with 8 samples, .047 with 16, .025 with 32, .013 with 64, as the quantiles of few samples fall short.

    Parameters
    ----------
    samples : np.ndarray
        `(H, N, K, 3)`.
    trial : Trial
        The truth.

    Returns
    -------
    float
    """
    plane, truth = samples[..., :2], trial.truth[..., :2]
    shares = []
    for point in range(plane.shape[2]):
        rows = (trial.valid & trial.touched)[:, point]
        if not rows.any():
            continue
        middle = np.median(plane[:, rows, point], axis=0)
        spread = np.linalg.norm(plane[:, rows, point] - middle, axis=-1)
        error = np.linalg.norm(truth[rows, point] - middle, axis=-1)
        shares.append((error < np.quantile(spread, QUANTILES, axis=0)).mean(1))
    return float(np.abs(np.median(shares, axis=0) - QUANTILES).mean()) if shares else float("nan")


def value(tally: Tally) -> float:
    """A metric over all clips; NaN if nothing was measured."""
    return float(tally[0].sum() / tally[1].sum()) if tally[1].sum() > 0 else float("nan")


def ratio(ours: Tally, theirs: Tally) -> float:
    """One method's value of a metric over another's; NaN where the other's is 0 or nothing was measured."""
    below = value(theirs)
    return value(ours) / below if below > 0 else float("nan")


def bootstrap(tallies: Sequence[Tally], draws: int = 500, seed: int = 0) -> np.ndarray:
    """Values of metrics over resampled clips (Efron 1979).

    Parameters
    ----------
    tallies : sequence of np.ndarray
        `(2, clips)` each, over the same clips, which are drawn together (so ratios of two methods are paired).
    draws : int
        How many sets of clips.
    seed : int
        Fixes them.

    Returns
    -------
    np.ndarray
        `(len(tallies), draws)`.
    """
    clips = tallies[0].shape[1]
    weights = np.random.default_rng(seed).multinomial(clips, np.full(clips, 1 / clips), size=draws).astype(float)
    sums = np.stack([tally @ weights.T for tally in tallies])
    return sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of bootstrapped values."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [.025, .975])
    return float(low), float(high)
