"""Runs methods on damaged clips and keeps what they score, row by row."""
from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pose_diffusion.evaluation.cases import Row, Trial, damage
from pose_diffusion.evaluation.methods import Method
from pose_diffusion.evaluation.metrics import Tally, calibration_error, measure, measure_hypotheses
from pose_diffusion.training.data import Pack


@dataclass(frozen=True)
class Score:
    """What one method scored on one row.

    Attributes
    ----------
    tallies : dict of str to np.ndarray
        Numerators and denominators per clip, by metric; see `metrics.measure` and `metrics.measure_hypotheses`.
    milliseconds : float
        Per clip, the whole call on all clips of the row.
    calibration : float
        Of samples; NaN otherwise.
    """

    tallies: dict[str, Tally]
    milliseconds: float
    calibration: float = float("nan")


@dataclass(frozen=True)
class Results:
    """Scores on one set of clips.

    Attributes
    ----------
    methods : dict of str to Method
        What was measured.
    scores : dict
        By row's name, then method's name.
    """

    methods: dict[str, Method]
    scores: dict[str, dict[str, Score]] = field(default_factory=dict)

    def tally(self, method: str, metric: str, rows: Sequence[str]) -> Tally:
        """A method's numerators and denominators over several rows, which are all of the same clips."""
        return np.sum([self.scores[row][method].tallies[metric] for row in rows], axis=0)

    def measured(self, method: str, rows: Sequence[str]) -> bool:
        """Whether a method was measured on all of these rows."""
        return all(method in self.scores.get(row, {}) for row in rows)

    def names(self, kind: str) -> list[str]:
        """The methods of a kind."""
        return [name for name, method in self.methods.items() if method.kind == kind]


def evaluate(pack: Pack, clips: Sequence[int], methods: dict[str, Method], rows: Sequence[Row],
             few: int = 3) -> Iterator[tuple[Row, dict[str, Score]]]:
    """Measure methods row by row.

    Parameters
    ----------
    pack : Pack
        The clips.
    clips : sequence of int
        Which.
    methods : dict of str to Method
        By name.
    rows : sequence of Row
        The damage.
    few : int
        Samples are drawn, and other methods that only some rows ask for are run, on every `few`-th clip.

    Yields
    ------
    Row and dict of str to Score
    """
    for row in rows:
        trial = damage(pack, clips, row)
        wanted = {name: method for name, method in methods.items() if row in method.rows}
        part = damage(pack, clips[::few], row) if any(m.kind == "samples" for m in wanted.values()) else trial
        yield row, {name: _score(method, row, part if method.kind == "samples" else trial)
                    for name, method in wanted.items()}


def _score(method: Method, row: Row, trial: Trial) -> Score:
    run = method.run(row)
    began = time.perf_counter()
    out = run(trial.known)
    milliseconds = 1000 * (time.perf_counter() - began) / len(trial.known)
    if method.kind != "samples":
        return Score(measure(np.concatenate(out), trial), milliseconds)
    samples = np.concatenate(out, axis=1)
    return Score(measure_hypotheses(samples, trial), milliseconds, calibration_error(samples, trial))
