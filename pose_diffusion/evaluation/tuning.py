"""Tunes the baselines on clips of sources that no network is trained on: every grid, for every row.

So each filter comes with the parameters that an oracle who knows the damage would choose; a user has no such help.
"""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pose_diffusion.evaluation.cases import ROWS, Row, Trial, damage
from pose_diffusion.evaluation.methods import FILTERS, MIXTURE, TUNED, Params, grid, make
from pose_diffusion.evaluation.mixture import Mixture
from pose_diffusion.files import atomic
from pose_diffusion.training.data import Pack


def score(prediction: np.ndarray, trial: Trial) -> float:
    """What is tuned for: the 2D error of lost or moved points, on undamaged clips that of all."""
    error = np.linalg.norm((prediction - trial.truth)[..., :2], axis=-1)
    counted = trial.valid & trial.touched
    return float(error[counted if counted.any() else trial.valid & trial.observed].mean())


def best(name: str, row: Row, trial: Trial, mixture: Mixture | None) -> Params:
    """The parameters of a method's grid with the lowest score."""
    candidates = grid(name, row)
    scores = [score(np.concatenate(make(name, params, mixture)(trial.known)), trial) for params in candidates]
    return candidates[int(np.argmin(scores))]


def tune(pack: Pack, clips: Sequence[int], mixture: Mixture | None, *, names: Sequence[str] = (*FILTERS, MIXTURE),
         rows: Sequence[Row] = ROWS) -> dict[str, dict[str, Params]]:
    """The best parameters by method and row's name.

    Parameters
    ----------
    pack : Pack
        The clips.
    clips : sequence of int
        Those to tune on.
    mixture : Mixture, optional
        Needed for the method of that name.
    names : sequence of str
        Which methods.
    rows : sequence of Row
        Which damage.
    """
    chosen: dict[str, dict[str, Params]] = {name: {} for name in names}
    for row in rows:
        trial, half = damage(pack, clips, row), damage(pack, clips[::2], row)
        for name in names:  # the mixture is slow: half of the clips must do
            chosen[name][row.name] = best(name, row, half if name == MIXTURE else trial, mixture)
    return chosen


def write(chosen: dict[str, dict[str, Params]], path: Path = TUNED) -> None:
    """Put parameters into the file, beside those of other methods and rows."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, rows in chosen.items():
        stored.setdefault(name, {}).update(rows)
    ordered = {name: {row.name: rows[row.name] for row in ROWS if row.name in rows} for name, rows in stored.items()}
    lines = [f'  "{name}": {{\n' + ",\n".join(f'    "{row}": {json.dumps(p)}' for row, p in rows.items()) + "\n  }"
             for name, rows in ordered.items()]
    with atomic(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
