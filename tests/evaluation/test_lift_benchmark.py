"""The benchmark of lifting as a whole: stand-in methods of known quality, their tables, and the file of numbers."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose_diffusion.evaluation.lift_benchmark import OURS, REGRESSION, Results, Scores, evaluate, save
from pose_diffusion.evaluation.lift_cases import Case, Trial, trials
from pose_diffusion.evaluation.lift_methods import Estimate, Method
from pose_diffusion.evaluation.lift_report import markdown, ratio, strangers_table, targets_table
from tests.evaluation.lift_people import takes

CASE = Case("one", 1, 5., sequences=6, hypotheses=50)


def around_truth(std: float, *, draws: bool = True) -> Method:
    """Hypotheses around something that is itself about as far from the truth as they are from it."""
    def run(trial: Trial, hypotheses: int, seed: int) -> Estimate:
        generator = np.random.default_rng(seed)
        noise = std * generator.standard_normal((1 + hypotheses, *trial.truth.shape))
        noise[:, :, 0] = 0
        return Estimate((trial.truth + noise[0] + draws * noise[1:]).astype(np.float32), trial.scene.camera)

    return Method(run, draws)


def results(case: Case = CASE, hypotheses: int = 50) -> Results:
    made = trials(takes(), case, 1)
    methods = {OURS[0]: around_truth(.02), OURS[1]: around_truth(.05), REGRESSION: around_truth(.05, draws=False)}
    row = {name: evaluate(made, method, hypotheses, 1) for name, method in methods.items()}
    return Results({case.name: case}, {case.name: row})


def test_a_method_without_hypotheses_gives_one() -> None:
    row = results().scores["one"]
    assert row[REGRESSION].hypotheses == 1
    assert row[OURS[0]].hypotheses == 50
    assert np.isnan(row[REGRESSION].value("best 50"))
    assert np.isnan(row[REGRESSION].calibration()[0])


def test_the_ratio_is_paired_and_its_interval_holds_it() -> None:
    row = results().scores["one"]
    found, (low, high) = ratio(row[OURS[1]], row[REGRESSION])
    assert found == pytest.approx(row[OURS[1]].value("best 50") / row[REGRESSION].value("one"))
    assert low <= found <= high
    assert ratio(row[REGRESSION], row[REGRESSION], "one") == (1., (1., 1.))


def test_evaluating_again_gives_the_same_numbers() -> None:
    first, again = (results().scores["one"][OURS[0]] for _ in range(2))
    for metric, tally in first.tallies.items():
        assert (tally == again.tallies[metric]).all(), metric


def test_targets_are_judged() -> None:
    text = targets_table(results(replace(CASE, occluded=True)))
    lines = {line.split("|")[1].split(":")[0].strip(): line for line in text.splitlines()[2:]}
    assert set(lines) == {"best of 50 over the regression's error",
                          "best of 50 per joint over the regression's error", "calibration error",
                          "hidden coordinates in the middle 90 %", "seconds for 50 hypotheses of 1 frame"}
    seconds = lines["seconds for 50 hypotheses of 1 frame"].split("|")
    assert "yes" in seconds[3]
    assert "yes" in lines["best of 50 over the regression's error"].split("|")[3]
    assert "**no**" in lines["best of 50 over the regression's error"].split("|")[4]


def test_the_report_names_cases_methods_and_settings() -> None:
    text = markdown(results(), "made so.")
    assert text.startswith("made so.")
    for word in ("## one: 1 frame, noise 5 px, 6 sequences", *OURS[:2], REGRESSION, "calibration error", "## Time"):
        assert word in text
    assert "velocity" not in text  # of one frame
    assert "nan" not in text


def test_strangers_are_told_apart() -> None:
    found = results()
    scores = found.scores["one"][OURS[1]]
    chosen = np.array([take == scores.takes[0] for take in scores.takes])
    part, rest = scores.of(chosen), scores.of(~chosen)
    assert set(part.takes) == {scores.takes[0]}
    weights = np.array([chosen.sum(), (~chosen).sum()]) / len(chosen)
    assert weights @ (part.value("mean"), rest.value("mean")) == pytest.approx(scores.value("mean"))
    strange = replace(scores, takes=tuple(f"cmu_06/{i}" for i in range(6)))
    lines = strangers_table(Results(found.cases, {"one": {"all": strange, "none": scores}})).splitlines()
    assert lines[2].endswith("| - |")
    assert "| 6 |" in lines[2]
    assert "| 0 | - |" in lines[3]


def test_every_number_is_kept(tmp_path: Path) -> None:
    found = results(hypotheses=3)
    save(found, tmp_path / "lift.npz")
    with np.load(tmp_path / "lift.npz", allow_pickle=False) as data:
        scores: Scores = found.scores["one"][OURS[0]]
        assert (data[f"one/{OURS[0]}/metrics/mean"] == scores.tallies["mean"]).all()
        assert data[f"one/{OURS[0]}/takes"].tolist() == list(scores.takes)
        assert data[f"one/{OURS[0]}/within"].shape == (6, 16, 21)
        assert data[f"one/{REGRESSION}/hypotheses"] == 1
