from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from pose_diffusion.commands import generate_benchmark as command
from pose_diffusion.commands.generate_benchmark import main
from pose_diffusion.evaluation import generation_benchmark as benchmark
from pose_diffusion.evaluation import generation_report as report
from pose_diffusion.evaluation.cases import TUNING, UNSEEN
from pose_diffusion.evaluation.generation_benchmark import (
    GUIDANCE,
    HELD,
    LENGTH,
    MODEL,
    REAL,
    STEPS,
    TRUTH,
    Results,
    Size,
)
from pose_diffusion.evaluation.joins import BASELINES
from pose_diffusion.evaluation.recognition import WEIGHTS
from tests.evaluation.signs import write_signs
from tests.models import TINY_WITH_TEXT, random_model

SMALL = Size(curve=2, diverse=2, seeds=2, joins=6, judging=2)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_signs(tmp_path_factory.mktemp("pack") / "pack.npz", {"ann": 10, UNSEEN[0]: 2, TUNING[2]: 1})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    random_model(TINY_WITH_TEXT).save(folder)
    return folder


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recognizer")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "QUICK", SMALL)
    monkeypatch.setattr(benchmark, "STEPS", (1, 4, 50))
    monkeypatch.setattr(benchmark, "GUIDANCE", (1., 2.))
    monkeypatch.setattr(command, "QUICK_STEPS", 2)


def results(recognised: float = .95, bones: float = .1, joined: float = .06, jerk: float = .04,
            real: float = .4) -> Results:
    """Of a benchmark whose figures are known."""
    rows = {REAL: {"recognised": 1., "bones": .13}, HELD: {"recognised": .8, "bones": 0.},
            MODEL: {"recognised": recognised, "bones": bones, "frechet": 2., "ndtw": .1, "jerk": 1.},
            LENGTH: {"recognised": recognised, "bones": bones}}
    hits = {REAL: [True] * 20, MODEL: [True] * round(20 * recognised) + [False] * round(20 * (1 - recognised))}
    joins = {name: {"error": .07, "jerk": .05, "of one": .2, "of all": .2} for name in BASELINES}
    joins |= {name: {"error": joined, "jerk": jerk, "of one": real, "of all": real} for name in benchmark.JOIN_STEPS}
    curve = {"recognised": .9, "frechet": 2., "ndtw": .1, "jerk": 1., "bones": .1, "broken": .01}
    return Results({"kept back": rows}, {"kept back": hits}, dict.fromkeys(GUIDANCE, curve),
                   dict.fromkeys(STEPS, curve), 2., {"generated, other seeds": .2}, {},
                   {TRUTH: {"jerk": .05}, **joins})


def test_the_command_measures_every_row_and_writes_it(pack: Path, model: Path, recognizer: Path, tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--pack", str(pack), "--model", str(model), "--recognizer", str(recognizer), "--quick", "--threads",
                 "1"]
    assert main([*arguments, "--out", str(tmp_path / "one")]) == 0
    shown = capsys.readouterr().out
    assert "recognised, share of real clips" in shown
    assert (recognizer / WEIGHTS).exists()
    written = json.loads((tmp_path / "one" / "generation.json").read_text())
    assert set(written["rows"]) == {"kept back", "unseen"}
    assert set(written["rows"]["kept back"]) == {REAL, benchmark.ANOTHER, benchmark.NEAREST, benchmark.MEAN, HELD,
                                                 MODEL, LENGTH, benchmark.ALONE, benchmark.EXCHANGED, benchmark.SILENT}
    assert written["rows"]["kept back"][REAL]["ndtw"] == 0
    assert written["rows"]["kept back"][HELD]["motion"] == 0
    assert set(written["steps"]) == {"1", "4", "50"}
    by_scale = {float(scale): figures["recognised"] for scale, figures in written["guidance"].items()}
    assert by_scale[written["best"]] == max(by_scale.values())
    assert set(written["joins"]) == {TRUTH, *BASELINES, *benchmark.JOIN_STEPS}
    assert set(written["lengths"]) == {"kept back", "letters of unseen languages"}
    table = (tmp_path / "one" / "generation.md").read_text()
    assert shown.strip() in table
    assert "lexicon" not in table
    stamp = (recognizer / WEIGHTS).stat().st_mtime_ns
    assert main([*arguments, "--out", str(tmp_path / "two")]) == 0
    assert (recognizer / WEIGHTS).stat().st_mtime_ns == stamp
    assert json.loads((tmp_path / "two" / "generation.json").read_text()) == written


def test_a_model_without_text_is_refused(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random_model().save(tmp_path / "mute")
    assert main(["--pack", str(pack), "--out", str(tmp_path / "out"), "--model", str(tmp_path / "mute")]) == 1
    error = capsys.readouterr().err
    assert "does not understand text" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_recognition_network_of_other_words_is_refused(pack: Path, model: Path, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    from pose_diffusion.evaluation.recognition import Recognition, save_recognition

    save_recognition(Recognition(["cat", "dog"]), tmp_path)
    assert main(["--pack", str(pack), "--out", str(tmp_path / "out"), "--model", str(model), "--recognizer",
                 str(tmp_path), "--quick"]) == 1
    assert "tells other words apart" in capsys.readouterr().err


def test_a_pack_without_texts_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.training.packs import write_pack

    path = write_pack(tmp_path / "plain.npz")
    assert main(["--pack", str(path), "--out", str(tmp_path / "out"), "--model", str(model)]) == 1
    assert "fewer than two words" in capsys.readouterr().err


def reached(some: Results) -> list[bool]:
    return [found for *_, found in report.targets(some)]


def test_targets_are_reached_where_figures_are_good_and_missed_one_by_one() -> None:
    assert all(reached(results()))
    assert reached(results(recognised=.85)).count(False) == 1
    assert reached(results(recognised=.75)).count(False) == 2  # the first pose held is recognised more often, too
    assert reached(results(bones=.14)).count(False) == 1
    assert reached(results(joined=.069)).count(False) == 1
    assert reached(results(jerk=.051)).count(False) == 2
    assert reached(results(real=.1)).count(False) == 4


def test_few_steps_are_compared_by_their_worst_figure() -> None:
    some = results()
    worse = {**some.steps[4], "ndtw": some.steps[50]["ndtw"] * 1.2}
    found = report.targets(replace(some, steps={**some.steps, 4: worse}))
    missed = [row for row in found if not row[-1]]
    assert len(missed) == 1
    assert "+20% (nDTW-MJE)" in missed[0][2]


def test_the_interval_of_recognition_holds_the_ratio() -> None:
    hits = results(recognised=.8).hits["kept back"]
    low, high = report.recognition_interval(hits)
    assert .5 < low < .8 < high <= 1
    assert report.recognition_interval({REAL: [True] * 9, MODEL: [True] * 9}) == (1, 1)


def test_curves_are_an_image_of_every_value() -> None:
    image = ET.fromstring(report.curves(results()))
    space = "{http://www.w3.org/2000/svg}"
    assert len(image.findall(f"{space}circle")) == 4 * (len(GUIDANCE) + len(STEPS))
    assert all(np.isfinite([float(dot.attrib["cx"]), float(dot.attrib["cy"])]).all()
               for dot in image.findall(f"{space}circle"))


def test_json_has_no_numbers_that_json_does_not_know() -> None:
    some = replace(results(), diversity={"generated, other seeds": float("nan")})
    assert command._finite(asdict(some))["diversity"] == {"generated, other seeds": None}
