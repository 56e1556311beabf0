"""A run: what it logs and writes, that it can be killed and resumed, and that several processes do what one does."""
from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Trainer

from pose_diffusion.commands.train import CONFIGS, main, make_parser, named_configs
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.training.loss import LossWeights
from pose_diffusion.training.module import MONITOR, PoseData, PoseModule, Stride, rate
from tests.training.packs import write_pack

TINY: dict[str, Any] = {"width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "window": 16,
                        "dropout": .1}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("pack") / "pack.npz")


def settings(packed: Path, folder: Path, **trainer: Any) -> list[str]:
    """Arguments of a short, exact run in a folder; the model goes to `folder / "model"`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model": {"denoiser": TINY, "warmup": 2},
        "data": {"pack": str(packed), "held_out": ["held"], "unseen": ["test"], "batch_size": 4, "epoch_steps": 2},
        "trainer": {"devices": 1, "max_epochs": 3, "precision": "32-true", "default_root_dir": str(folder),
                    "log_every_n_steps": 1, "enable_progress_bar": False, "enable_model_summary": False,
                    "logger": {"class_path": "lightning.pytorch.loggers.CSVLogger",
                               "init_args": {"save_dir": str(folder), "name": "log"}}, **trainer},
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(config))
    return ["--config", "cpu", "--config", str(folder / "settings.yaml"), "--out", str(folder / "model")]


def metrics(folder: Path) -> list[dict[str, str]]:
    """The rows of the CSV log, of the newest run in the folder."""
    path = sorted(folder.glob("log/version_*/metrics.csv"))[-1]
    with open(path) as file:
        return list(csv.DictReader(file))


def column(folder: Path, name: str) -> list[float]:
    return [float(row[name]) for row in metrics(folder) if row.get(name)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The network in training and the average, as the last checkpoint has them."""
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def finished(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was not disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    assert main(settings(packed, folder)) == 0
    return folder


def test_a_run_logs_the_loss_and_the_ratio_on_sources_held_out(finished: Path) -> None:
    assert len(column(finished, "loss/total")) == 6
    assert len(column(finished, MONITOR)) == 3
    for case in ("jitter", "hand_drop", "swap"):
        assert len(column(finished, f"held_out/{case}")) == 3
    assert column(finished, "seen/ratio")[0] != column(finished, MONITOR)[0]


def test_the_model_folder_holds_the_average_of_the_best_epoch(finished: Path) -> None:
    ratios = column(finished, MONITOR)
    best = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["global_step"] == 2 * (1 + int(np.argmin(ratios)))
    network = PoseDiffusion.from_pretrained(finished / "model").denoiser
    for name, value in network.named_parameters():
        assert torch.equal(value, best["state_dict"][f"average.{name}"].half().float())
    assert network.config.width == TINY["width"]
    assert sorted(p.name for p in (finished / "model").iterdir()) == ["config.json", "model.safetensors"]


def test_the_average_lags_behind_the_weights(finished: Path) -> None:
    state = weights(finished)
    assert not torch.equal(state["average.stem.weight"], state["denoiser.stem.weight"])
    assert torch.equal(state["average.std"], state["denoiser.std"])
    assert (state["denoiser.std"] != 1).any()  # the data's, not the default


class Killed(RuntimeError):
    """Stands for a kill signal in the middle of an epoch."""


def test_a_killed_run_ends_with_the_same_weights_when_resumed(finished: Path, packed: Path, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    step = PoseModule.training_step

    def dies(self: PoseModule, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        if (self.current_epoch, batch_idx) == (1, 1):
            raise Killed
        return step(self, batch, batch_idx)

    arguments = settings(packed, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(PoseModule, "training_step", dies)
        assert main(arguments) == 1
    assert main(arguments) == 1  # not over an unfinished run
    torch.rand(100)  # another state of the global generator
    assert main([*arguments, "--resume"]) == 0
    assert len(column(tmp_path, "loss/total")) == 4  # the log of the second part
    expected, found = weights(finished), weights(tmp_path)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    assert column(tmp_path, MONITOR) == column(finished, MONITOR)[1:]


def test_a_run_without_checkpoint_is_not_overwritten_and_resume_starts_it(packed: Path, tmp_path: Path) -> None:
    assert main([*settings(packed, tmp_path, max_epochs=1), "--resume"]) == 0
    assert len(column(tmp_path, "loss/total")) == 2


def test_two_processes_have_the_loss_and_the_weights_of_one(packed: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    no_dropout = ["--model.denoiser.dropout", "0"]
    assert main([*settings(packed, one, max_epochs=2), *no_dropout]) == 0
    command = [sys.executable, "-m", "pose_diffusion.commands.train",
               *settings(packed, two, max_epochs=2, devices=2, strategy="ddp"), *no_dropout]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("loss/total", "loss/mean", "loss/diffusion", MONITOR):
        np.testing.assert_allclose(column(two, name), column(one, name), rtol=1e-4, err_msg=name)
    expected = weights(one)
    for name, value in weights(two).items():
        # Where a gradient is next to nothing, Adam makes whole steps of the learning rate out of its rounding.
        apart = (value - expected[name]).abs() > 1e-5 + 1e-3 * expected[name].abs()
        assert apart.float().mean() < .02, name


def test_processes_share_the_samples_of_an_epoch_in_turn() -> None:
    parts = [Stride(8, rank, 2, lambda: 24) for rank in range(2)]
    assert [list(part) for part in parts] == [[24, 26, 28, 30], [25, 27, 29, 31]]
    assert [len(part) for part in parts] == [4, 4]


def test_time_ends_a_run_with_its_learning_rate_at_the_end_and_a_model(packed: Path, tmp_path: Path) -> None:
    arguments = settings(packed, tmp_path, max_epochs=100000, max_time="00:00:00:08")
    assert main(arguments) == 0
    falling = column(tmp_path, "lr-AdamW/pg1")
    assert falling[-1] < .5 * max(falling)  # how near to the end the last step is depends on the machine
    assert (tmp_path / "model" / "model.safetensors").exists()
    rows = metrics(tmp_path)
    assert rows[-1][MONITOR] or rows[-2][MONITOR]  # the last weights were measured, too


def test_the_rate_rises_for_the_warm_up_and_falls_to_its_last_share() -> None:
    assert rate(0, 10, 0) == pytest.approx(.1)
    assert rate(9, 10, 0) == pytest.approx(1)
    assert rate(1000, 10, .5) == pytest.approx(.51)
    assert rate(1000, 10, 1) == pytest.approx(.02)


@pytest.fixture(scope="module")
def data(packed: Path) -> PoseData:
    return PoseData(packed, ["held"], ["test"], batch_size=4, epoch_steps=2, window=16)


def test_sources_held_out_or_unseen_are_not_trained_on(data: PoseData) -> None:
    assert data.seen == ["ann", "bob"]
    assert set(data.pack.source[data.clips]) == {0, 1}
    drawn = next(iter(data.train_dataloader()))
    assert drawn["truth"].shape == (4, 16, 195, 3)


def test_validation_is_the_same_every_time(data: PoseData) -> None:
    def batches() -> Iterator[dict[str, torch.Tensor]]:
        for loader in data.val_dataloader():
            yield from loader

    for first, second in zip(batches(), batches()):
        assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("change", "words"), [
    ({"held_out": []}, "held_out is empty"),
    ({"held_out": ["carol"]}, "no source carol"),
    ({"held_out": ["ann", "bob", "held"]}, "no source is left"),
    ({"pack": "missing.npz"}, "missing.npz: not a packed file"),
    ({"pack": __file__}, "not a packed file"),
])
def test_what_is_wrong_with_the_data_is_said(packed: Path, change: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"pack": packed, "held_out": ["held"], "unseen": ["test"]} | change
    with pytest.raises(ValueError, match=words):
        PoseData(**arguments)


def test_a_batch_that_cannot_be_shared_out_is_refused(data: PoseData, packed: Path) -> None:
    odd = PoseData(packed, ["held"], ["test"], batch_size=5)
    odd.trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False)
    with pytest.raises(ValueError, match="batch_size 5"):
        odd.train_dataloader()


def test_the_weights_follow_the_seed() -> None:
    def stem(seed: int) -> torch.Tensor:
        return PoseModule(DenoiserConfig(**TINY), LossWeights(), seed=seed).denoiser.stem.weight

    assert torch.equal(stem(1), stem(1))
    assert not torch.equal(stem(1), stem(2))


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_shipped_configs_are_complete(name: str) -> None:
    config = make_parser().parse_args([*named_configs(["--config", name]), "--out", "model"])
    assert config.trainer.precision == "bf16-mixed"
    assert config.data.window == config.model.denoiser.window
    assert config.model.seed == config.data.seed == config.seed
    assert {"lexicon-ise", "lexicon-tsm", "lexicon-csq", "lexicon-svk", "lexicon-ukl"} < set(config.data.unseen)


def test_sizes_that_do_not_fit_are_refused_in_one_line(packed: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*settings(packed, tmp_path), "--model.denoiser.width", "17"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("train_pose_diffusion: error: width must be")
    assert not (tmp_path / "model").exists()


def test_prepared_by_workers_the_samples_are_the_same(finished: Path, packed: Path, tmp_path: Path) -> None:
    assert main([*settings(packed, tmp_path), "--data.workers", "1"]) == 0
    assert column(tmp_path, "loss/total") == column(finished, "loss/total")


def test_a_file_named_cpu_goes_before_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = named_configs(["--config", "cpu", "--out", "cpu"])
    assert shipped == ["--config", str(CONFIGS / "cpu.yaml"), "--out", "cpu"]
    monkeypatch.chdir(tmp_path)
    Path("cpu").write_text("seed: 5\n")
    assert named_configs(["--config", "cpu"]) == ["--config", "cpu"]


def test_the_command_line_goes_before_the_files() -> None:
    arguments = ["--config", "cpu", "--out", "m", "--seed", "9", "--trainer.logger", "TensorBoardLogger",
                 "--trainer.logger.save_dir", "logs"]
    config = make_parser().parse_args(named_configs(arguments))
    assert config.seed == 9
    assert config.trainer.logger.class_path.endswith("TensorBoardLogger")


def test_a_tensorboard_log_is_written(packed: Path, tmp_path: Path) -> None:
    logger = {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": {"save_dir": str(tmp_path)}}
    assert main(settings(packed, tmp_path, max_epochs=1, logger=logger)) == 0
    assert list(tmp_path.glob("**/events.out.tfevents.*"))


def test_importing_the_package_does_not_import_what_only_training_needs() -> None:
    code = "import sys, pose_diffusion, pose_diffusion.commands.train; " \
           "sys.exit(any(name in sys.modules for name in ('lightning', 'torch', 'jsonargparse')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
