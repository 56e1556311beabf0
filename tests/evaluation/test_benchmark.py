from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pose_diffusion.commands.benchmark import main
from pose_diffusion.evaluation import cases, methods, report, tuning
from pose_diffusion.evaluation.baselines import Run, hold, linear_on_wrist, stacked
from pose_diffusion.evaluation.benchmark import Results, evaluate
from pose_diffusion.evaluation.cases import ROWS, TUNING, UNSEEN, Known, Row
from pose_diffusion.evaluation.methods import Method
from pose_diffusion.training.data import Pack
from tests.evaluation.constructed import pack

SOURCES = {"a": 4, UNSEEN[0]: 3, TUNING[0]: 3}
JITTER, GAPS = Row("jitter", 1), Row("hand_drop", 2)


def noisy(run: Run, copies: int = 0) -> Run:
    """A stand-in for a network: another method, a little off; or samples of it."""
    def shaken(clips: Sequence[Known]) -> list[np.ndarray]:
        out = []
        for clip, xyz in zip(clips, run(clips)):
            rng = np.random.default_rng(clip.seed)
            out.append(xyz + rng.normal(0, .01, (copies, *xyz.shape) if copies else xyz.shape).astype(np.float32))
        return out

    return shaken


def results(rows: tuple[Row, ...] = ROWS) -> Results:
    filled = stacked(linear_on_wrist)
    tried = {"hold": Method(lambda row: stacked(hold)), "linear": Method(lambda row: filled),
             "network": Method(lambda row: noisy(filled), "network", 1),
             "network, 4 steps": Method(lambda row: noisy(filled), "ablation", 4, (JITTER,)),
             "network, 8 samples": Method(lambda row: noisy(filled, 8), "samples", 64, (GAPS,))}
    clips = pack(SOURCES)
    return Results(tried, {row.name: scores for row, scores in evaluate(clips, range(4), tried, rows)})


@pytest.fixture(scope="module")
def measured() -> Results:
    return results()


def test_every_row_is_measured_and_methods_only_where_they_ask_for_it(measured: Results) -> None:
    assert list(measured.scores) == [row.name for row in ROWS]
    assert measured.measured("network, 4 steps", [JITTER.name])
    assert not measured.measured("network, 4 steps", [JITTER.name, GAPS.name])
    assert math.isfinite(measured.scores[GAPS.name]["network, 8 samples"].calibration)
    assert math.isnan(measured.scores[GAPS.name]["network"].calibration)


def test_results_are_the_same_again(measured: Results) -> None:
    again = results((JITTER, GAPS))
    for row, scores in again.scores.items():
        for name, score in scores.items():
            for metric, tally in score.tallies.items():
                assert np.array_equal(tally, measured.scores[row][name].tallies[metric]), (row, name, metric)


def test_the_ratio_is_over_the_best_baseline_of_the_row(measured: Results) -> None:
    row = GAPS.name
    assert report.best_baseline(measured, "error_2d", [row]) == "linear"
    ours, theirs = (measured.tally(name, "error_2d", [row]) for name in ("network", "linear"))
    expected = (ours[0].sum() / ours[1].sum()) / (theirs[0].sum() / theirs[1].sum())
    assert report.ratio_to_best(measured, "error_2d", [row]) == pytest.approx(expected)
    assert expected > 1


def test_the_headline_is_the_geometric_mean_over_damaged_rows(measured: Results) -> None:
    ratios = [report.ratio_to_best(measured, "error_2d", [row]) for row in measured.scores if row != "clean"]
    assert len(ratios) == 27
    assert report.headline(measured) == pytest.approx(np.prod(ratios)**(1 / 27))


def test_the_tables_name_every_row_target_and_set(measured: Results) -> None:
    sets = {"unseen": measured, "training": measured}
    main_table, targets = report.main_table(sets), report.targets_table(sets)
    assert all(f"| {row.name} |" in main_table for row in ROWS)
    assert main_table.splitlines()[2].startswith("| clean |")
    assert all(target.name in targets for target in report.TARGETS)
    assert "missed" in targets
    assert "| network, 4 steps | 4 |" in report.steps_table(measured)
    assert "network, 8 samples" in report.samples_table(measured)
    assert "network" in report.gaps_table(measured, "hand_drop")
    for text in (main_table, targets, report.methods_table(measured), report.cost_table(measured),
                 report.detail_table(measured, [GAPS.name])):
        widths = {line.count("|") for line in text.splitlines()}
        assert len(widths) == 1, text


def test_without_a_network_the_tables_say_so() -> None:
    alone = Results({"hold": Method(lambda row: stacked(hold))})
    for row, scores in evaluate(pack(SOURCES), range(2), alone.methods, (ROWS[0], GAPS)):
        alone.scores[row.name] = scores
    assert math.isnan(report.headline(alone))
    assert "not measured" in report.targets_table({"unseen": alone})
    assert "| hold |" in report.main_table({"unseen": alone})


def test_numbers_are_printed_short() -> None:
    assert [report.number(x) for x in (.1234, 1.5, -.25, float("nan"))] == [".123", "1.500", "-.250", "-"]


def test_tuning_finds_the_best_of_the_grid_and_keeps_other_methods(tmp_path: Path) -> None:
    trial = cases.damage(pack(SOURCES), [0, 1, 2], JITTER)
    name = "Kalman smoother"
    chosen = tuning.best(name, JITTER, trial, None)
    candidates = methods.grid(name, JITTER)
    scores = [tuning.score(np.concatenate(methods.make(name, p)(trial.known)), trial) for p in candidates]
    assert candidates[int(np.argmin(scores))] == chosen
    path = tmp_path / "tuned.json"
    tuning.write({name: {JITTER.name: chosen}}, path)
    tuning.write({"Butterworth": {GAPS.name: {"cutoff": .1, "order": 2}}}, path)
    assert methods.read_tuned(path) == {name: {JITTER.name: chosen},
                                        "Butterworth": {GAPS.name: {"cutoff": .1, "order": 2}}}


def test_every_baseline_is_tuned_for_every_row() -> None:
    tuned = methods.read_tuned()
    assert set(tuned) == {*methods.FILTERS, methods.MIXTURE}
    for name, rows in tuned.items():
        assert list(rows) == [row.name for row in ROWS]
        for row in ROWS:
            assert rows[row.name] in methods.grid(name, row), (name, row.name)


def save(clips: Pack, path: Path) -> None:
    np.savez(path, xyz=clips.xyz, confidence=clips.confidence, lens=clips.lens, source=clips.source, fps=clips.fps,
             sources=np.array(clips.sources))


def test_the_command_prints_one_table_and_writes_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    save(pack(SOURCES), tmp_path / "pack.npz")
    listed = tmp_path / "clips.txt"
    listed.write_text(f"[unseen]\n{UNSEEN[0]}/0\n{UNSEEN[0]}/1\n[training]\na/0\na/1\n[tuning]\n{TUNING[0]}/0\n")
    monkeypatch.setattr(cases.read_clips, "__defaults__", (listed,))
    folders = [part for name in ("out", "cache") for part in (f"--{name}", str(tmp_path / name))]
    assert main(["--pack", str(tmp_path / "pack.npz"), *folders, "--model", "none", "--threads", "1",
                 "--rows", "clean", "hand_drop", "jitter"]) == 0
    printed = capsys.readouterr().out
    assert "| jitter 3 |" in printed
    assert printed.count("\n| ---") == 1
    text = (tmp_path / "out" / "benchmark.md").read_text()
    assert printed.strip() in text
    assert "## Targets" in text
    with open(tmp_path / "out" / "benchmark.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} >= {"none", "Gaussian mixture", "SmoothNet", "Kalman smoother",
                                               "pose.interpolate cubic"}
    assert len(json.loads((tmp_path / "out" / "benchmark.json").read_text())) == len(rows)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(pack(SOURCES), tmp_path / "pack.npz")
    assert main(["--pack", str(tmp_path / "pack.npz"), "--out", str(tmp_path / "out")]) == 1
    assert "the pack has no clip" in capsys.readouterr().err
    assert main(["--pack", str(tmp_path / "none.npz"), "--out", str(tmp_path / "out")]) == 1
    assert "none.npz" in capsys.readouterr().err
