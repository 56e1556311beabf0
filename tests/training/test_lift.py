"""Learning to lift: which takes are for what, what samples hold, what the loss is, and a run of the command."""
from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from pose_diffusion.commands.train import main
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.diffusion.noise import MARGIN
from pose_diffusion.motion.mocap import Take
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.training import lift_module
from pose_diffusion.training.lift_data import FLAT, NOTHING, SOLID, LiftBatches, Shares, lift_batch
from pose_diffusion.training.lift_loss import LiftWeights, lift_losses, observation
from pose_diffusion.training.lift_module import lift_errors
from pose_diffusion.training.mocap import ANKLE, Pool, split, takes
from tests.evaluation.lift_people import takes as people

SMALL = DenoiserConfig(layout="body", reading="plain", width=48, heads=2, encoder_layers=1, decoder_layers=1)
NAMES = ("walking_1", "walking_2", "walking_40", "walking_45")  # of which the last two are held out


@pytest.fixture(scope="module")
def some_takes() -> list[Take]:
    return [replace(take, name=name, subject="walking") for take, name in zip(people(4), NAMES)]


@pytest.fixture(scope="module")
def pool(some_takes: list[Take]) -> Pool:
    return Pool(some_takes)


def drawn(pool: Pool, count: int = 64, frames: int = 16, shares: Shares | None = None) -> dict[str, Tensor]:
    return lift_batch(pool, count, frames, torch.Generator().manual_seed(0), shares or Shares())


# The takes


def test_nobody_whose_name_is_known_is_in_two_parts(data_folder: Path) -> None:
    parts = split(takes(data_folder))
    known = [{take.subject for take in part if take.subject.startswith("cmu_")}
             for part in (parts.train, parts.tuning, parts.test)]
    assert known == [{"cmu_02", "cmu_03", "cmu_05"}, {"cmu_07"}, {"cmu_06"}]
    names = [{take.name.split(":")[0] for take in part} for part in (parts.train, parts.tuning, parts.test)]
    assert not names[0] & names[1]
    assert not (names[0] | names[1]) & names[2]
    assert sum(take.motion.seconds for take in parts.test) > 120


def test_a_pool_draws_other_bodies_that_stand_on_the_ground(pool: Pool) -> None:
    xyz, rate, valid = pool.draw(200, 16, torch.Generator().manual_seed(0))
    assert rate in pool.rates
    assert valid.all()
    lowest = xyz[:, :, [BODY.index("left_ankle"), BODY.index("right_ankle")], 1].flatten(1).amin(1)
    assert torch.allclose(lowest, torch.full((200,), ANKLE), atol=1e-5)
    height = xyz[:, 0, BODY.index("head_top"), 1]
    assert .05 < float(height.std()) < .15
    lengths = torch.from_numpy(BODY.lengths(xyz.numpy()))
    assert float((lengths - lengths[:, :1]).abs().max()) < 1e-4


def test_takes_that_are_too_short_end_in_padding(pool: Pool) -> None:
    xyz, rate, valid = pool.draw(50, 120, torch.Generator().manual_seed(0))
    assert torch.equal(valid.sum(1), torch.full((50,), round(3 * rate)).clamp(max=120))
    assert torch.equal(xyz[:, -1], xyz[:, -2])


def test_an_empty_folder_is_refused() -> None:
    with pytest.raises(ValueError, match="no takes"):
        Pool([])


# The samples


def test_samples_know_what_their_kind_says(pool: Pool) -> None:
    batch = drawn(pool, 300)
    axes, truth, valid = batch["axes"], batch["truth"], batch["valid"]
    of = {kind: batch["kind"] == kind for kind in (NOTHING, FLAT, SOLID)}
    assert [round(float(some.float().mean()), 1) for some in of.values()] == [.4, .5, .2]
    assert not axes[of[NOTHING]].any()
    assert not axes[of[FLAT]][..., 2].any()
    assert torch.equal(axes[of[FLAT]][..., 0], axes[of[FLAT]][..., 1])
    solid = axes[of[SOLID]]
    assert torch.equal(solid[..., 0], solid[..., 2])
    assert torch.equal(solid[:, :, 0, 0], valid[of[SOLID]])  # the pelvis is where all is taken from
    exact = batch["exact"]
    assert exact.any()
    assert torch.equal(batch["xyz"][exact], truth[exact])
    assert not exact[~of[SOLID]].any()
    assert (batch["xyz"][~axes] == 0).all()
    assert not batch["mask"][~valid].any()
    assert (truth[:, :, 0] == 0).all()
    assert all(bool(value.float().isfinite().all()) for value in batch.values())


def test_a_picture_tells_x_and_y_up_to_its_noise_and_a_depth_that_was_guessed(pool: Pool) -> None:
    batch = drawn(pool, 300, shares=Shares(nothing=0., flat=1.))
    seen = batch["axes"][..., :2] & batch["mask"][:, :, :1].unsqueeze(-1)  # where the pelvis was seen, too
    error = (batch["xyz"] - batch["truth"])[..., :2][seen]
    std = batch["truth"][..., :2][seen].std()
    assert float(error.abs().median()) < .15 * float(std)
    assert float(error.std()) < .3 * float(std)
    assert 0 < float(batch["noise"][batch["mask"]].median()) < .1


def test_single_frames_are_padded_to_a_token(pool: Pool) -> None:
    batches = LiftBatches(pool, 4, 16, 4, 10, 0, Shares(single=1., crowd=3))
    batch = batches[0]
    assert batch["truth"].shape == (12, 4, len(BODY), 3)
    assert batch["valid"].sum(1).tolist() == [1] * 12
    assert not torch.equal(batch["truth"], batches[1]["truth"])
    assert torch.equal(batch["truth"], batches[0]["truth"])


# The loss


def trained(pool: Pool, batch: dict[str, Tensor], steps: int, *, diffusion: bool = True) -> Denoiser:
    torch.manual_seed(0)
    network = Denoiser(SMALL)
    features = network.tree.features(batch["truth"]).flatten(0, 1)
    network.set_statistics({"mean": features.mean(0), "std": features.std(0)})
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        sigma = (1.5 * torch.randn(len(batch["truth"]), generator=generator)).exp()
        frames = batch["truth"].shape[1] + 2 * MARGIN
        noise = torch.randn(len(sigma), frames, len(BODY), 3, generator=generator)
        terms = lift_losses(network, batch, sigma, noise, LiftWeights(), diffusion)
        optimizer.zero_grad()
        terms["total"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.)
        optimizer.step()
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pictures(pool: Pool) -> dict[str, Tensor]:
    return drawn(pool, 8, 8, shares=Shares(nothing=0., flat=1., short=0.))


def test_a_few_pictures_are_learnt_by_heart(pool: Pool, pictures: dict[str, Tensor]) -> None:
    before = lift_errors(PoseDiffusion(trained(pool, pictures, 0)), pictures, 2)
    after = lift_errors(PoseDiffusion(trained(pool, pictures, 150)), pictures, 2)
    assert after["mean"] < .35 * before["mean"]
    assert after["sample"] < .35 * before["sample"]
    assert after["best"] <= after["sample"]


def test_a_regression_learns_its_mean_alone(pool: Pool, pictures: dict[str, Tensor]) -> None:
    before, after = (trained(pool, pictures, steps, diffusion=False) for steps in (0, 100))
    assert lift_errors(PoseDiffusion(after), pictures, 1)["mean"] < \
        .4 * lift_errors(PoseDiffusion(before), pictures, 1)["mean"]
    assert torch.equal(before.head.weight, after.head.weight)
    assert torch.equal(before.error.weight, after.error.weight)


def test_expected_errors_become_those_that_there_are(pool: Pool) -> None:
    """Without a residual to learn with, only what the network expects of its errors can get better."""
    batch = drawn(pool, 16, 8, shares=Shares(nothing=1., flat=0., short=0., single=0.))
    torch.manual_seed(0)
    network = Denoiser(SMALL)
    features = network.tree.features(batch["truth"]).flatten(0, 1)
    network.set_statistics({"mean": features.mean(0), "std": features.std(0)})
    optimizer = torch.optim.Adam(network.error.parameters(), lr=.03)
    noise = torch.zeros(16, 8 + 2 * MARGIN, len(BODY), 3)
    for _ in range(150):
        terms = lift_losses(network, batch, torch.ones(16), noise, LiftWeights())
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
    with torch.no_grad():
        read = network.encode(network.start(observation(batch)))
    away = (network.tree.points(read.mean) - batch["truth"]).norm(dim=-1)
    assert torch.allclose(read.error.mean((0, 1)), away.mean((0, 1)), rtol=.15, atol=.005)
    spread = (network.tree.features(batch["truth"]) - read.mean)[:, :, 1:].abs().mean((0, 1))
    assert torch.allclose((read.doubt * read.spread)[:, :, 1:].mean((0, 1)), 1.25 * spread, rtol=.2, atol=.005)


def test_padding_does_not_count(pool: Pool, pictures: dict[str, Tensor]) -> None:
    network = trained(pool, pictures, 3)
    batch = {name: value.clone() for name, value in pictures.items()}
    batch["valid"][:, 4:] = False
    batch["axes"][:, 4:], batch["mask"][:, 4:] = False, False
    spoilt = {name: value.clone() for name, value in batch.items()}
    spoilt["truth"][:, 4:] += 1.
    noise = torch.randn(8, 8 + 2 * MARGIN, len(BODY), 3)
    one, other = (lift_losses(network, b, torch.ones(8), noise, LiftWeights()) for b in (batch, spoilt))
    for name in one:
        assert torch.allclose(one[name], other[name], rtol=1e-4), name


# A run


@pytest.fixture
def arguments(some_takes: list[Take], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(lift_module, "takes", lambda folder: some_takes)
    monkeypatch.setattr(lift_module, "MEASURED", 4)
    monkeypatch.setattr(lift_module, "STATISTICS", 2)
    config = {"model": {"denoiser": {"width": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1, "window": 16},
                        "warmup": 2},
              "data": {"batch_size": 4, "epoch_steps": 2},
              "trainer": {"max_epochs": 2, "precision": "32-true", "default_root_dir": str(tmp_path),
                          "enable_progress_bar": False, "enable_model_summary": False,
                          "logger": {"class_path": "lightning.pytorch.loggers.CSVLogger",
                                     "init_args": {"save_dir": str(tmp_path), "name": "log"}}}}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(config))
    return ["lift", "--config", str(tmp_path / "settings.yaml"), "--out", str(tmp_path / "model")]


def test_the_command_trains_a_model_that_lifts(arguments: list[str], tmp_path: Path, pool: Pool,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "mm" in capsys.readouterr().out
    model = PoseDiffusion.from_pretrained(tmp_path / "model")
    assert model.denoiser.config.reading == "plain"
    assert (model.denoiser.std[0] == 0).all()
    assert (model.denoiser.std[1:] > 0).all()
    found = lift_errors(model, drawn(pool, 4, 16, shares=Shares(nothing=0., flat=1.)), 2)
    assert set(found) == {"mean", "sample", "best"}
    assert 0 < found["mean"] < 1000


def test_a_run_goes_on_where_it_stopped(arguments: list[str], tmp_path: Path) -> None:
    assert main(arguments) == 0
    whole = load_file(tmp_path / "model" / "model.safetensors")
    assert main([*arguments, "--model.regression", "true"]) == 1  # there is a run already
    assert main([*arguments, "--trainer.max_epochs", "3", "--resume"]) == 0
    logs = sorted(tmp_path.glob("log/version_*"))
    assert len(logs) == 2
    assert set(whole) == set(load_file(tmp_path / "model" / "model.safetensors"))


def test_batches_have_all_that_an_observation_has(pool: Pool) -> None:
    known = observation(drawn(pool, 2))
    assert all(getattr(known, field.name) is not None for field in fields(known))
