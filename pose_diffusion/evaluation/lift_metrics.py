"""What is measured of lifted motion. Lengths are in millimetres, of all 17 joints (the pelvis, 0 by definition, too, as
the published protocols have it); hypotheses and truth are in the camera's frame.

Each metric is a numerator and a denominator per sequence (`metrics.Tally`, one column), so that a value over any set of
sequences is the sum of the one over the sum of the other.

By name; "relative" is with the pelvis laid on the true one, frame by frame:

* `one`: relative error (MPJPE) of a hypothesis, mean over them; `mean`: of their mean
* `best N`: expected least error of N hypotheses, one and the same for the whole sequence;
  `joint best N`: the same, but every joint in every frame may be of another one
* `J-Agg N`: of every joint in every frame that of the first N hypotheses which the picture shows to be best
  (the mean where it does not show the joint): no truth is needed for it
* `PA one`, `PA mean`, `PA best N`: after the best similarity transform of each frame
* `scaled mean`: of the mean, relative, after one scale for the sequence, as the picture does not tell it
* `placed mean`: not relative, after one scale about the camera, which leaves the picture as it is
* `too large`: minus the logarithm of that scale: above 0 where bodies are too large; `size`: its absolute value
* `hidden mean`: relative, of the mean, hidden joints only
* `velocity`: error of the velocity (MPJVE) in mm/frame at 25 fps, of the hypotheses
* `reprojection`: pixels from where seen joints were observed, of the hypotheses
* `cover 50`, `cover 90`: share of the coordinates (of all joints but the pelvis, relative) inside the interval
  between the hypotheses' quantiles; `... depth`: z only; `... hidden`, `... seen`: by whether the joint was
* `width`: of the 90 % interval; `width hidden`

Sources: protocols 1 and 2 of Human3.6M (MPJPE, PA-MPJPE); MPJVE of Pavllo et al. 2019 (arXiv 1811.11742); best per
joint and J-Agg of D3DP (Shan et al. 2023, arXiv 2303.11579); calibration error of cGNF (Pierzchlewicz et al. 2022,
arXiv 2210.11179).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammaln

from pose_diffusion.cameras import Camera, project
from pose_diffusion.evaluation.lift_cases import Trial
from pose_diffusion.evaluation.metrics import QUANTILES, Tally

COUNTS = (1, 10, 50, 200)
INTERVALS = (.5, .9)
ENOUGH = 19  # hypotheses: the 90 % interval of fewer has no ends
MM = 1000.


@dataclass(frozen=True)
class Measured:
    """What one sequence scored.

    Attributes
    ----------
    tallies : dict of str to np.ndarray
        `(2,)`, numerator and denominator, by metric; see `measure`.
    within : np.ndarray
        `(16, 21)`: of each joint but the pelvis, in how many frames the truth is nearer to the median than the q-th
        quantile of the hypotheses, for q = 0, .05, ..., 1.
    frames : int
    """

    tallies: dict[str, np.ndarray]
    within: np.ndarray
    frames: int


def measure(xyz: np.ndarray, camera: Camera, trial: Trial) -> Measured:
    """All metrics of the hypotheses for one sequence.

    Parameters
    ----------
    xyz : np.ndarray
        `(H, T, 17, 3)` in the camera's frame, metres, root included.
    camera : Camera
        The method's: the given one, or its estimate, which may be another one for each hypothesis.
    trial : Trial
        The truth.

    Returns
    -------
    Measured
        Its tallies are those of the top of this file.
    """
    truth = trial.truth - trial.truth[:, :1]
    relative = xyz - xyz[:, :, :1]
    middle = relative.mean(0)
    errors = _distance(relative, truth)  # (H, T, 17)
    sequence = errors.mean((1, 2))
    aligned = _distance(procrustes(relative, truth), truth).mean((1, 2))
    scale = _scale(middle, truth)
    size = _scale(xyz.mean(0), trial.truth)
    out = {
        "one": _one(sequence.mean()), "mean": _one(_distance(middle, truth).mean()), "PA one": _one(aligned.mean()),
        "PA mean": _one(_distance(procrustes(middle, truth), truth).mean()),
        "scaled mean": _one(_distance(scale * middle, truth).mean()),
        "placed mean": _one(_distance(size * xyz.mean(0), trial.truth).mean()),
        "size": _one(abs(np.log(max(size, 1e-6)))), "too large": _one(-np.log(max(size, 1e-6))),
        "hidden mean": _mean(_distance(middle, truth), ~trial.seen),
    }  # yapf: disable
    pixels = _pixels(xyz, camera)
    offset = np.linalg.norm(pixels - trial.points, axis=-1)  # (H, T, 17)
    out["reprojection"] = _mean(offset.mean(0), trial.seen)
    for count in COUNTS:
        out |= _best(count, errors, sequence, aligned, np.where(trial.seen, offset, np.nan), middle - truth,
                     relative - truth)
    if len(truth) > 1:
        velocity = np.diff(relative, axis=1) - np.diff(truth, axis=0)
        out["velocity"] = _one(MM * np.linalg.norm(velocity, axis=-1).mean())
    if len(xyz) >= ENOUGH:
        out |= _coverage(relative[:, :, 1:], truth[:, 1:], trial.seen[:, 1:])
    return Measured({name: np.asarray(tally, float) for name, tally in out.items()},
                    _within(relative[:, :, 1:], truth[:, 1:]), len(truth))


def _distance(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return MM * np.linalg.norm(points - truth, axis=-1)


def _one(value: float | np.floating) -> np.ndarray:
    return np.array([value, 1.])


def _mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.array([values[mask].sum(), mask.sum()])


def _scale(points: np.ndarray, truth: np.ndarray) -> float:
    """By which points have to be multiplied to come nearest to the truth."""
    return float((points * truth).sum() / max(float((points * points).sum()), 1e-12))


def _pixels(xyz: np.ndarray, camera: Camera) -> np.ndarray:
    with torch.no_grad():
        return project(camera, torch.from_numpy(np.ascontiguousarray(xyz, np.float32))).numpy()


def procrustes(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Points `(..., K, 3)` after the similarity transform that brings them nearest to the truth `(..., K, 3)`.

    Rotation, translation and scale, no reflection (Umeyama 1991).
    """
    points, truth = points.astype(np.float64), truth.astype(np.float64)
    centre, target = points.mean(-2, keepdims=True), truth.mean(-2, keepdims=True)
    around, wanted = points - centre, truth - target
    u, s, vh = np.linalg.svd(np.swapaxes(around, -1, -2) @ wanted)
    s[..., 2] *= np.sign(np.linalg.det(u @ vh))
    u[..., 2] *= np.sign(np.linalg.det(u @ vh))[..., None]
    scale = s.sum(-1) / np.maximum(np.square(around).sum((-1, -2)), 1e-12)
    return scale[..., None, None] * (around @ u @ vh) + target


def expected_best(errors: np.ndarray, count: int) -> np.ndarray:
    """The least of `count` of H errors `(H, ...)`, drawn without putting back, on average: `(...)`.

    It needs no luck with the order of the hypotheses, and is what drawing `count` of them again and again would give.
    """
    total = len(errors)
    rank = np.arange(total - count + 1)  # how many are lower

    def choose(n: np.ndarray | int, k: int) -> np.ndarray:
        return gammaln(np.asarray(n) + 1.) - gammaln(k + 1) - gammaln(np.asarray(n) - k + 1.)

    chance = np.exp(choose(total - 1 - rank, count - 1) - choose(total, count))
    return np.tensordot(chance, np.sort(errors, axis=0)[:len(rank)], axes=1)


def _best(count: int, errors: np.ndarray, sequence: np.ndarray, aligned: np.ndarray, offset: np.ndarray,
          middle: np.ndarray, error: np.ndarray) -> dict[str, np.ndarray]:
    if count > len(errors):
        return {}
    shown = np.nan_to_num(offset[:count], nan=np.inf).argmin(0)
    taken = np.take_along_axis(error, shown[None, ..., None], axis=0)[0]
    taken = np.where(np.isnan(offset[0])[..., None], middle, taken)
    return {f"best {count}": _one(expected_best(sequence, count).mean()),
            f"joint best {count}": _one(expected_best(errors, count).mean()),
            f"PA best {count}": _one(expected_best(aligned, count).mean()),
            f"J-Agg {count}": _one(MM * np.linalg.norm(taken, axis=-1).mean())}


def _coverage(points: np.ndarray, truth: np.ndarray, seen: np.ndarray) -> dict[str, np.ndarray]:
    """Quantiles are those at rank p (H + 1), between which the truth is with chance .5 or .9 if it is one more draw."""
    out: dict[str, np.ndarray] = {}
    every = np.ones_like(seen)
    for share in INTERVALS:
        low, high = np.quantile(points, [(1 - share) / 2, (1 + share) / 2], axis=0, method="weibull")
        inside = (low <= truth) & (truth <= high)
        name = f"cover {100 * share:.0f}"
        out |= {name: _mean(inside.mean(-1), every), f"{name} depth": _mean(inside[..., 2], every),
                f"{name} hidden": _mean(inside.mean(-1), ~seen), f"{name} seen": _mean(inside.mean(-1), seen)}
    width = MM * (high - low).mean(-1)
    return out | {"width": _mean(width, every), "width hidden": _mean(width, ~seen)}


def _within(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    middle = np.median(points, axis=0)
    spread = np.linalg.norm(points - middle, axis=-1)
    error = np.linalg.norm(truth - middle, axis=-1)
    return (error < np.quantile(spread, QUANTILES, axis=0)).sum(1).T.astype(float)


def calibration_error(within: np.ndarray, frames: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """How far the hypotheses' spread is from that of the truth, over sequences: 0 is calibrated.

    Per joint, m is the median of the hypotheses, e_h = |x_h - m| and e = |truth - m|; F(q) is the share of all frames
    with e below the q-quantile of e_h; the error is the mean over q = 0, .05, ..., 1 of |median over the joints of F(q)
    - q|. A perfect sampler has .034 with 20 hypotheses, .014 with 50 and .003 with 200, as the quantiles of few fall
    short.

    Parameters
    ----------
    within : np.ndarray
        `(N, 16, 21)` of `Measured`.
    frames : np.ndarray
        `(N,)`.
    weights : np.ndarray, optional
        `(draws, N)`: how often each sequence counts; without it, once.

    Returns
    -------
    np.ndarray
        `(draws,)`, or `()` without weights.
    """
    counted = np.ones(len(frames)) if weights is None else weights
    share = np.tensordot(counted, within, axes=1) / (counted @ frames)[..., None, None]
    return np.abs(np.median(share, axis=-2) - QUANTILES).mean(-1)


def stack(measured: Sequence[Measured]) -> dict[str, Tally]:
    """The tallies of several sequences, `(2, N)` by name; 0 over 0 where one has none."""
    names = list(dict.fromkeys(name for one in measured for name in one.tallies))
    return {name: np.stack([one.tallies.get(name, np.zeros(2)) for one in measured], axis=1) for name in names}


def resampled(groups: Sequence[str], draws: int, seed: int = 0) -> np.ndarray:
    """How often each sequence counts in bootstrapped sets, `(draws, N)`: sequences of a take are drawn together, since
    they are not independent of each other.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return drawn[:, group].astype(float)


