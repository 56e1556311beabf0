"""Runs methods of lifting on cases and keeps what they score."""
from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pose_diffusion.evaluation.lift_cases import Case, Trial
from pose_diffusion.evaluation.lift_metrics import calibration_error, measure, resampled, stack
from pose_diffusion.evaluation.metrics import Tally, interval, value

if TYPE_CHECKING:
    from pose_diffusion.evaluation.lift_methods import Method

REGRESSION, LINEAR = "regression", "linear prior"
OURS = ("energy guidance", "conditioned network", "both")  # ways to use the model
METHODS = (*OURS, REGRESSION, LINEAR)
DRAWS = 1000
SEED_STEP = 7919  # between sequences


@dataclass(frozen=True)
class Scores:
    """What a method scored on a case.

    Attributes
    ----------
    takes : tuple of str
        Of each of the N sequences.
    hypotheses : int
    tallies : dict of str to np.ndarray
        `(2, N)`; see `lift_metrics.measure`.
    within : np.ndarray
        `(N, 16, 21)`.
    frames, seconds : np.ndarray
        `(N,)`: of a sequence, and of the whole call.
    """

    takes: tuple[str, ...]
    hypotheses: int
    tallies: dict[str, Tally]
    within: np.ndarray
    frames: np.ndarray
    seconds: np.ndarray

    def of(self, chosen: np.ndarray) -> Scores:
        """Those of some of the sequences, `(N,)` bool."""
        return replace(self, takes=tuple(take for take, one in zip(self.takes, chosen) if one),
                       tallies={name: tally[:, chosen] for name, tally in self.tallies.items()},
                       within=self.within[chosen], frames=self.frames[chosen], seconds=self.seconds[chosen])

    def value(self, metric: str) -> float:
        """NaN where it was not measured."""
        return value(self.tallies[metric]) if metric in self.tallies else float("nan")

    def drawn(self, metric: str) -> np.ndarray:
        """`(DRAWS,)` values over bootstrapped sets of takes, which are the same for all scores of the same trials."""
        if metric not in self.tallies:
            return np.full(DRAWS, np.nan)
        sums = self.tallies[metric] @ resampled(self.takes, DRAWS).T
        return sums[0] / np.where(sums[1] > 0, sums[1], np.nan)

    def calibration(self) -> tuple[float, tuple[float, float]]:
        """The expected calibration error and its 95 % interval; NaN for one hypothesis."""
        if self.hypotheses < 2:
            return float("nan"), (float("nan"), float("nan"))
        drawn = calibration_error(self.within, self.frames, resampled(self.takes, DRAWS))
        return float(calibration_error(self.within, self.frames)), interval(drawn)


@dataclass(frozen=True)
class Results:
    """Scores by the case's name, then the method's, and the cases."""

    cases: dict[str, Case] = field(default_factory=dict)
    scores: dict[str, dict[str, Scores]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The methods."""
        return list(dict.fromkeys(name for row in self.scores.values() for name in row))


def evaluate(trials: Iterable[Trial], method: Method, hypotheses: int, seed: int) -> Scores:
    """Measure a method on trials.

    Parameters
    ----------
    trials : iterable of Trial
        At least one.
    method : Method
    hypotheses : int
        How many to draw, if it draws any.
    seed : int
        Of what it draws; each trial has its own.

    Returns
    -------
    Scores
    """
    count = hypotheses if method.draws else 1
    takes, measured, seconds = [], [], []
    for i, trial in enumerate(trials):
        began = time.perf_counter()
        estimate = method.run(trial, count, (seed + SEED_STEP * i) % 2**32)
        seconds.append(time.perf_counter() - began)
        measured.append(measure(estimate.xyz, estimate.camera, trial))
        takes.append(trial.scene.take)
    return Scores(tuple(takes), count, stack(measured), np.stack([one.within for one in measured]),
                  np.array([one.frames for one in measured], float), np.array(seconds))


def save(results: Results, path: Path) -> None:
    """Every number of every sequence as `.npz`: arrays `case/method/metric` and the like."""
    arrays: dict[str, np.ndarray] = {}
    for case, row in results.scores.items():
        for name, scores in row.items():
            key = f"{case}/{name}"
            arrays |= {f"{key}/metrics/{metric}": tally for metric, tally in scores.tallies.items()}
            arrays |= {f"{key}/{part}": getattr(scores, part) for part in ("within", "frames", "seconds")}
            arrays |= {f"{key}/takes": np.array(scores.takes), f"{key}/hypotheses": np.array(scores.hypotheses)}
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)
