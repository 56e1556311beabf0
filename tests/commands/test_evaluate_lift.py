"""`evaluate_lift`: settings from YAML and the command line, what is refused, and a small run of every method."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pose_diffusion.commands.evaluate_lift import chosen, main, make_parser, named_configs
from pose_diffusion.diffusion.config import checked_config
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation.lift_benchmark import METHODS

LEAST = ["--data", "data", "--out", "out"]
ROWS = ["1 frame", "32 frames hidden"]


def settings(*argv: str) -> Any:
    parser = make_parser()
    return parser.instantiate(parser.parse_args(named_configs([*LEAST, *argv])))


@pytest.fixture
def mocap(data_folder: Path, tmp_path: Path) -> Path:
    """The data without the BVH files, which take long to read."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mocap").symlink_to(data_folder / "mocap")
    return tmp_path / "data"


@pytest.fixture
def untrained(tmp_path: Path) -> Path:
    """A small network that knows how large bodies are, and nothing else."""
    torch.manual_seed(0)
    config = checked_config({"layout": "body", "reading": "plain", "width": 32, "heads": 2, "encoder_layers": 1,
                             "decoder_layers": 1})
    denoiser = Denoiser(config)
    std = torch.full((17, 3), .2)
    std[0] = 0
    denoiser.set_statistics({"mean": torch.zeros(17, 3), "std": std})
    PoseDiffusion(denoiser).save(tmp_path / "model")
    return tmp_path / "model"


def test_the_command_line_wins_over_the_files_of_the_package() -> None:
    plain, quick, more = settings(), settings("--config", "lift_quick"), settings("--config", "lift_quick",
                                                                                  "--hypotheses", "7", "--seed=5")
    assert plain.hypotheses > quick.hypotheses > more.hypotheses == 7
    assert (plain.seed, more.seed) == (1, 5)
    assert {case.frames for case in plain.cases} == {1, 32}
    assert {case.noise_px for case in plain.cases} == {0, 5, 10}


def test_cases_are_cut_to_what_was_asked_for() -> None:
    assert [case.name for case in chosen(settings("--rows", "1 frame, 32 frames"))] == ["1 frame", "32 frames"]
    assert [case.name for case in chosen(settings("--rows", "1 frame clean"))] == ["1 frame clean"]
    asked = settings("--sequences", "4", "--hypotheses", "60", "--rows", '["1 frame", "1 frame noisy"]')
    assert [(case.name, case.sequences, case.hypotheses) for case in chosen(asked)] == [("1 frame", 4, 60),
                                                                                       ("1 frame noisy", 4, 50)]


@pytest.mark.parametrize(("argv", "reason"), [
    (["--rows", '["five frames"]'], "no case five frames: there are 1 frame clean, 1 frame,"),
    (["--part", "train"], "--part must be test or tuning, not 'train'"),
    (["--data", "nowhere"], "nowhere"),
])
def test_a_wrong_setting_is_one_line(argv: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LEAST, *argv]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("option", [["--config", "lift_quick"], ["--config=lift_quick"]])
def test_a_settings_file_of_the_package_is_named_as_one_likes(option: list[str]) -> None:
    assert settings(*option).hypotheses < settings().hypotheses


def test_a_folder_that_cannot_be_written_is_known_before_the_work(mocap: Path, untrained: Path, tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("pose_diffusion.commands.evaluate_lift._measure", lambda *_: pytest.fail("hours of work"))
    (tmp_path / "file").touch()
    assert main(["--data", str(mocap), "--out", str(tmp_path / "file"), "--model", str(untrained), "--methods",
                 '["both"]']) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_methods_that_there_are_not_are_refused(mocap: Path, tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    for methods, reason in (("[oracle]", "no method oracle"), ("[regression]", "there is nothing to measure")):
        assert main(["--data", str(mocap), "--out", str(tmp_path), "--methods", methods]) == 1
        assert reason in capsys.readouterr().err


def test_every_method_is_measured_and_written(mocap: Path, untrained: Path, tmp_path: Path,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code = main(["--config", "lift_quick", "--data", str(mocap), "--out", str(out), "--model", str(untrained),
                 "--regression", str(untrained), "--rows", str(ROWS).replace("'", '"'), "--sequences", "1",
                 "--steps", "2", "--linear_windows", "300", "--energy_steps", "3"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    text = (out / "lift.md").read_text(encoding="utf-8")
    assert text.strip() == printed.out.strip()
    with np.load(out / "lift.npz", allow_pickle=False) as data:
        assert {key.split("/")[0] for key in data.files} == set(ROWS)
        assert {key.split("/")[1] for key in data.files} == set(METHODS)
        for key in data.files:
            if "/metrics/" in key:
                assert np.isfinite(data[key]).all(), key
    assert settings("--config", str(out / "config.yaml")).steps == 2
