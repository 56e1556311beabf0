"""Reading coordinate by coordinate: what is known stays, noise is heeded, and what the network says is sampled."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pose_diffusion.diffusion.config import DenoiserConfig, checked_config
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.energy import pin
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.model import Estimate, ModelError, PoseDiffusion
from pose_diffusion.layout import BODY_17
from tests.models import observe, random_model

JOINTS = len(BODY_17)
SMALL = DenoiserConfig(layout="body", reading="plain", width=24, heads=2, encoder_layers=1, decoder_layers=1)


def body_network(*, untrained: bool = False) -> Denoiser:
    """Random weights, and a mean pose that is somewhere."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Denoiser(SMALL)
        if not untrained:
            for parameter in network.parameters():
                parameter.data += .1 * torch.randn_like(parameter)
        mean, std = .2 * torch.randn(JOINTS, 3), .05 + .2 * torch.rand(JOINTS, 3)
    moves = torch.tensor([[anchor >= 0] for anchor in BODY_17.anchors])
    network.set_statistics({"mean": mean * moves, "std": std * moves})
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return PoseDiffusion(body_network())


def bodies(count: int, frames: int, seed: int = 0) -> Tensor:
    """Points around the pelvis, which is at 0."""
    xyz = .5 * torch.randn(count, frames, JOINTS, 3, generator=torch.Generator().manual_seed(seed))
    xyz[:, :, 0] = 0
    return xyz


def known_axes(xyz: Tensor, axes: Tensor, *, exact: bool = False, noise: float | None = None) -> Observation:
    """An observation of some coordinates `(B, T, K, 3)`."""
    mask = axes.any(-1)
    return replace(observe(torch.where(axes, xyz, 0.), mask, mask & exact), axes=axes,
                   noise=None if noise is None else torch.full(mask.shape, noise))


def flat(xyz: Tensor) -> Tensor:
    """Which coordinates a picture tells: x and y of all, and the pelvis."""
    axes = torch.ones_like(xyz, dtype=torch.bool)
    axes[:, :, 1:, 2] = False
    return axes


def last(model: PoseDiffusion, observation: Observation, **options: object) -> Estimate:
    *_, estimate = model.sample(observation, **options)  # type: ignore[arg-type]
    return estimate


@pytest.mark.parametrize(("count", "frames", "steps"), [(50, 1, 3), (2, 5, 3), (1, 100, 2), (1, 33, 1)])
def test_bodies_are_sampled_from_nothing(model: PoseDiffusion, count: int, frames: int, steps: int) -> None:
    nothing = observe(bodies(count, frames), torch.zeros(count, frames, JOINTS, dtype=torch.bool))
    estimate = last(model, nothing, steps=steps, seeds=range(count))
    assert estimate.xyz.shape == (count, frames, JOINTS, 3)
    assert estimate.xyz.isfinite().all()
    assert (estimate.xyz[:, :, 0] == 0).all()
    if steps > 1 and count > 1:
        assert float(estimate.xyz.std(0)[:, 1:].mean()) > .05


@pytest.mark.parametrize("steps", [1, 4])
def test_exact_coordinates_stay_to_the_last_bit(model: PoseDiffusion, steps: int) -> None:
    xyz = bodies(2, 7)
    axes = flat(xyz)
    estimate = last(model, known_axes(xyz, axes, exact=True), steps=steps, seeds=[1, 2])
    assert torch.equal(estimate.xyz[axes], xyz[axes])
    free = estimate.xyz[..., 1:, 2] - xyz[..., 1:, 2]
    assert float(free.abs().min()) > 0


def test_exact_points_are_exact_in_all_coordinates_and_expected_to_be_right(model: PoseDiffusion) -> None:
    xyz, mask = bodies(1, 9), torch.rand(1, 9, JOINTS, generator=torch.Generator().manual_seed(1)) < .5
    estimate = last(model, observe(xyz, mask, mask), steps=3)
    assert torch.equal(estimate.xyz[mask], xyz[mask])
    assert (estimate.error[mask] == 0).all()
    assert (estimate.error[~mask] > 0).all()


def test_the_mean_of_an_untrained_network_is_what_was_seen_weighed_by_its_noise() -> None:
    """Feature by feature the posterior of two Gaussians: the data's, and that of the difference of two points."""
    network = body_network(untrained=True)
    xyz, noise = bodies(1, 4), .1
    axes = flat(xyz)
    mean = network.encode(network.start(known_axes(xyz, axes, noise=noise))).mean[0, 0]
    child, parent = 2, BODY_17.anchors[2]
    variance = 2 * noise**2
    share = network.std[child, :2]**2 / (network.std[child, :2]**2 + variance)
    seen = (xyz[0, 0, child] - xyz[0, 0, parent])[:2]
    usual = network.mean[child, :2]
    assert torch.allclose(mean[child, :2], usual + share * (seen - usual), atol=1e-5)
    assert torch.allclose(mean[1:, 2], network.mean[1:, 2], atol=1e-6)


def test_more_noise_is_less_sure(model: PoseDiffusion) -> None:
    network, xyz = model.denoiser, bodies(1, 4)
    little, much = (network.spread(network.start(known_axes(xyz, flat(xyz), noise=noise))) for noise in (0., .3))
    assert (little[:, :, 1:, :2] < much[:, :, 1:, :2]).all()
    assert torch.equal(little[:, :, 1:, 2], network.std[1:, 2].expand(1, 4, -1))
    assert (much <= network.std).all()


def test_what_is_not_known_is_not_read(model: PoseDiffusion) -> None:
    xyz = bodies(1, 8)
    axes = flat(xyz)
    observation = known_axes(xyz, axes)
    other = replace(observation, xyz=torch.where(axes, observation.xyz, 7.))
    assert torch.equal(last(model, observation, steps=2).xyz, last(model, other, steps=2).xyz)


def test_padding_and_batch_change_nothing(model: PoseDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pose_diffusion.diffusion.reader.has_bfloat16", lambda: False)
    xyz = bodies(2, 12)
    both = known_axes(xyz, flat(xyz))
    both.valid[1, 5:] = False
    alone = both.map(lambda x: x[1:, :5])
    together = last(model, both, steps=3, seeds=[1, 2]).xyz[1, :5]
    assert torch.allclose(last(model, alone, steps=3, seeds=[2]).xyz[0], together, atol=1e-4)


def test_a_pelvis_that_was_guessed_is_told_from_one_that_was_seen(model: PoseDiffusion) -> None:
    xyz = bodies(1, 4)
    seen, guessed = flat(xyz), flat(xyz)
    guessed[:, :, 0] = False
    one, other = (last(model, known_axes(xyz, axes)).xyz for axes in (seen, guessed))
    assert (other[:, :, 0] == 0).all()
    assert not torch.allclose(one, other, atol=1e-4)


def test_an_energy_pulls_bodies_to_it(model: PoseDiffusion) -> None:
    count, target = 8, bodies(1, 1, seed=3)[0]
    target = model.denoiser.tree.points(model.denoiser.mean + .5 * model.denoiser.std * torch.sign(target))
    nothing = observe(bodies(count, 1), torch.zeros(count, 1, JOINTS, dtype=torch.bool))
    energy = pin(target, torch.ones(1, JOINTS, dtype=torch.bool), .02)
    free, pulled = (last(model, nothing, steps=6, seeds=range(count), energy=some, energy_steps=15).xyz
                    for some in (None, energy))
    off, usual = (float((xyz - target).norm(dim=-1).mean()) for xyz in (pulled, free))
    assert off < .04 < usual / 5


def test_a_decoder_that_says_nothing_samples_what_the_encoder_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Gaussian around the mean of that std, coordinate by coordinate: moments over many seeds."""
    monkeypatch.setattr("pose_diffusion.diffusion.reader.has_bfloat16", lambda: False)
    network, seeds = body_network(), 400
    network.head.weight.zero_()
    network.head.bias.zero_()
    xyz = bodies(1, 4)
    one = known_axes(xyz, flat(xyz))
    read = network.encode(network.start(one))
    many = one.map(lambda x: x.expand(seeds, *x.shape[1:]))
    sampled = network.tree.features(last(PoseDiffusion(network), many, steps=30, seeds=range(seeds)).xyz)
    unit = (sampled - read.mean)[:, :, 1:] / (read.doubt * read.spread)[:, :, 1:]
    assert torch.allclose(unit.mean((0, 1)), torch.zeros(()), atol=.2)
    assert .9 < float(unit.std()) < 1.1


def test_networks_of_candidates_refuse_single_coordinates(model: PoseDiffusion) -> None:
    holistic = random_model()
    points = len(holistic.layout)
    observation = observe(torch.zeros(1, 4, points, 3))
    with pytest.raises(ModelError, match="reading is plain"):
        last(holistic, replace(observation, axes=torch.ones(1, 4, points, 3, dtype=torch.bool)))
    with pytest.raises(ModelError, match="reading is plain"):
        last(holistic, replace(observation, noise=torch.ones(1, 4, points)))


def test_a_saved_model_reads_as_before(model: PoseDiffusion, tmp_path) -> None:  # type: ignore[no-untyped-def]
    model.save(tmp_path)
    loaded = PoseDiffusion.from_pretrained(tmp_path)
    assert loaded.layout is BODY_17
    xyz = bodies(1, 4)
    observation = known_axes(xyz, flat(xyz))
    assert torch.allclose(last(loaded, observation).xyz, last(model, observation).xyz, atol=.01)


@pytest.mark.parametrize(("values", "message"), [
    ({"layout": "body"}, "set reading to plain"), ({"reading": "aloud"}, "unknown reading"),
    ({"layout": "body", "reading": "plain", "text_layers": 1}, "no text")])
def test_configurations_that_do_not_fit_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_config(values)
