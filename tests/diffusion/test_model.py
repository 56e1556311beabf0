"""The bundle: what it loads, what it refuses and in which words, and how it samples."""
from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pose_diffusion.clip import encode
from pose_diffusion.diffusion import model as model_module
from pose_diffusion.diffusion import reader as reader_module
from pose_diffusion.diffusion.candidates import start
from pose_diffusion.diffusion.condition import Condition
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.energy import pin
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.model import VARIABLE, Estimate, ModelError, PoseDiffusion
from pose_diffusion.diffusion.noise import kernel
from pose_diffusion.files import PoseFileError
from pose_diffusion.layout import BODY, HOLISTIC
from tests.limits import at_most, full_disk
from tests.models import TINY, observe, random_model
from tests.poses import constructed_pose

FRAMES = 40
ELBOW, LEFT = HOLISTIC.index(BODY, "LEFT_ELBOW"), HOLISTIC.parts["left_hand"]


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return random_model()


@pytest.fixture
def folder(model: PoseDiffusion, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="module")
def observation() -> Observation:
    """Two people whose left hands are lost for a while; the body is exact."""
    xyz = torch.stack([torch.from_numpy(encode(constructed_pose(FRAMES, seed=seed))[0].xyz) for seed in range(2)])
    mask = torch.ones(xyz.shape[:3], dtype=torch.bool)
    mask[:, 10:25, LEFT] = False
    exact = torch.zeros_like(mask)
    exact[..., HOLISTIC.parts["body"]] = True
    return observe(xyz, mask, exact)


def last(model: PoseDiffusion, observation: Observation, **options: object) -> Estimate:
    *_, estimate = model.sample(observation, **options)  # type: ignore[arg-type]
    return estimate


# Saving and loading


def test_saved_and_loaded(model: PoseDiffusion, folder: Path, observation: Observation) -> None:
    loaded = PoseDiffusion.from_pretrained(folder)
    assert loaded.denoiser.config == model.denoiser.config
    for name, value in model.denoiser.named_parameters():
        assert torch.equal(loaded.denoiser.state_dict()[name], value.half().float()), name
    for name, buffer in model.denoiser.named_buffers():  # what is measured, not learnt, is kept as it is
        assert torch.equal(loaded.denoiser.state_dict()[name], buffer), name
    assert not any(parameter.requires_grad for parameter in loaded.denoiser.parameters())
    assert not loaded.denoiser.training
    assert torch.allclose(last(loaded, observation).xyz, last(model, observation).xyz, atol=.01)
    loaded.save(folder.parent / "again")
    assert (folder.parent / "again" / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_loaded_once_and_again_when_it_changed(folder: Path) -> None:
    first = PoseDiffusion.from_pretrained(folder)
    assert PoseDiffusion.from_pretrained(str(folder)) is first
    random_model(DenoiserConfig(width=48, heads=2, encoder_layers=1, decoder_layers=1)).save(folder)
    assert PoseDiffusion.from_pretrained(folder).denoiser.config.width == 48


def test_which_model_is_taken(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument, else the environment variable, else the shipped one."""
    for name, width in (("shipped", 8), ("variable", 16)):
        random_model(replace(TINY, width=width)).save(tmp_path / name)
    monkeypatch.setattr(model_module, "SHIPPED", tmp_path / "shipped")
    monkeypatch.delenv(VARIABLE, raising=False)
    assert PoseDiffusion.from_pretrained().denoiser.config.width == 8
    monkeypatch.setenv(VARIABLE, str(tmp_path / "variable"))
    assert PoseDiffusion.from_pretrained().denoiser.config.width == 16
    assert PoseDiffusion.from_pretrained(folder).denoiser.config.width == 24


def test_saving_leaves_nothing_else(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_model_is_replaced_whole_or_not_at_all(model: PoseDiffusion, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with full_disk(after=10_000), pytest.raises(PoseFileError, match=r"model\.safetensors"):
        random_model(seed=1).save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# What cannot be loaded


def edit_config(**changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config["denoiser"].update(changes)
        (folder / "config.json").write_text(json.dumps(config))

    return edit


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return edit


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut_short(name: str, length: int) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:length])


def folder_instead(name: str) -> Callable[[Path], None]:
    def replaced(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return replaced


HUGE_HEADER = b'{"w":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
DAMAGE: dict[str, Callable[[Path], object]] = {
    "random weights": write("model.safetensors", bytes(range(256)) * 40),
    "empty weights": write("model.safetensors", b""),
    "truncated weights": cut_short("model.safetensors", 5000),
    "one byte less": cut_short("model.safetensors", -1),
    "a header of 2^60 bytes": write("model.safetensors", struct.pack("<Q", 2**60) + b"{}"),
    "a promise of terabytes": write("model.safetensors", struct.pack("<Q", len(HUGE_HEADER)) + HUGE_HEADER),
    "a pickle": write("model.safetensors", pickle.dumps({"weights": [1, 2, 3]})),
    "NaN weights": edit_weights(lambda weights: weights["stem.weight"].fill_(torch.nan)),
    "a weight too few": edit_weights(lambda weights: weights.pop("stem.weight")),
    "a weight too many": edit_weights(lambda weights: weights.update(other=torch.zeros(3))),
    "another shape": edit_weights(lambda weights: weights.update({"stem.weight": torch.zeros(3, 3)})),
    "random configuration": write("config.json", bytes(range(256))),
    "empty configuration": write("config.json", b""),
    "truncated configuration": cut_short("config.json", 40),
    "a configuration that is a list": write("config.json", b"[1, 2]"),
    "nested too deep": write("config.json", b"[" * 100_000),
    "another format": write("config.json", b'{"format": "diffusers 1", "denoiser": {}}'),
    "no sizes": write("config.json", b'{"format": "pose_diffusion 1"}'),
    "sizes that are a list": write("config.json", b'{"format": "pose_diffusion 1", "denoiser": [1]}'),
    "sizes that are nothing": write("config.json", b'{"format": "pose_diffusion 1", "denoiser": null}'),
    "a huge width": edit_config(width=10**12),
    "the largest sizes allowed": edit_config(width=2048, heads=16, encoder_layers=64, decoder_layers=64),
    "an unknown setting": edit_config(depth=3),
    "an unknown layout": edit_config(layout="coco"),
    "a layout that is a list": edit_config(layout=["holistic"]),
    "missing weights": lambda folder: (folder / "model.safetensors").unlink(),
    "missing configuration": lambda folder: (folder / "config.json").unlink(),
    "weights that are a folder": folder_instead("model.safetensors"),
    "a configuration that is a folder": folder_instead("config.json"),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_model_that_cannot_be_used(folder: Path, damage: str) -> None:
    """One line that names the folder and the way out, and no memory taken on its word."""
    DAMAGE[damage](folder)
    with at_most(20 * 2**20), pytest.raises(ModelError) as caught:
        PoseDiffusion.from_pretrained(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    assert len(message) < 600
    assert any(way in message for way in ("copy it again", "name a folder", "leave"))


def test_no_folder_at_all(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ModelError, match="name a folder with config.json") as caught:
            PoseDiffusion.from_pretrained(path)
        assert str(path) in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="name a folder"):
        PoseDiffusion.from_pretrained(tmp_path / "file")


def test_nothing_is_unpickled(folder: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    (folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError):
        PoseDiffusion.from_pretrained(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("device", ["banana", "cuda:99"])
def test_a_device_that_is_none(folder: Path, device: str) -> None:
    with pytest.raises(ModelError, match=f"{device}.*cpu") as caught:
        PoseDiffusion.from_pretrained(folder, device)
    assert "\n" not in str(caught.value)


# Sampling


@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_as_many_estimates_as_steps(model: PoseDiffusion, observation: Observation, steps: int) -> None:
    short = first_frames(observation, 12)
    estimates = [(e.step, e.steps, bool(e.xyz.isfinite().all())) for e in model.sample(short, steps=steps)]
    assert estimates == [(i + 1, steps, True) for i in range(steps)]


def first_frames(observation: Observation, frames: int) -> Observation:
    return observation.map(lambda x: x[:, :frames])


@pytest.mark.parametrize("steps", [0, 1001, 1.5])
def test_steps_out_of_range(model: PoseDiffusion, observation: Observation, steps: float) -> None:
    with pytest.raises(ValueError, match="steps"):
        next(model.sample(observation, steps=steps))  # type: ignore[arg-type]


def test_it_may_be_left_early(model: PoseDiffusion, observation: Observation) -> None:
    walk = model.sample(observation, steps=1000)
    assert next(walk).step == 1
    assert next(walk).step == 2
    walk.close()  # type: ignore[attr-defined]
    assert list(walk) == []
    assert torch.is_grad_enabled()


def test_the_first_estimate_is_the_mean_whatever_the_seed(model: PoseDiffusion, observation: Observation) -> None:
    means = [next(model.sample(observation, steps=steps, seeds=seeds)).xyz for steps, seeds in
             ((1, [0, 0]), (1, [5, 6]), (8, [5, 6]))]
    assert torch.equal(means[0], means[1])
    assert torch.equal(means[0], means[2])


def test_seeds(model: PoseDiffusion, observation: Observation) -> None:
    same, again, other = (last(model, observation, steps=2, seeds=seeds).xyz for seeds in ([1, 2], [1, 2], [1, 3]))
    assert torch.equal(same, again)
    assert torch.allclose(same[0], other[0], atol=1e-6)
    assert (same[1] - other[1]).abs().max() > .01


def test_a_sample_does_not_depend_on_its_batch(model: PoseDiffusion, observation: Observation) -> None:
    valid = torch.arange(FRAMES) < torch.tensor([[FRAMES], [21]])
    padded = observe(observation.xyz, observation.mask & valid.unsqueeze(-1), observation.exact & valid.unsqueeze(-1))
    padded = replace(padded, valid=valid)
    together = last(model, padded, steps=4, seeds=[3, 4])
    one = padded.map(lambda x: x[1:, :21])
    alone = last(model, one, steps=4, seeds=[4])
    assert torch.allclose(alone.xyz[0], together.xyz[1, :21], atol=1e-4)
    assert torch.allclose(alone.error[0], together.error[1, :21], atol=1e-4)


def test_exact_points_come_back_bit_for_bit(model: PoseDiffusion, observation: Observation) -> None:
    for estimate in model.sample(observation, steps=3):
        assert torch.equal(estimate.xyz[observation.exact], observation.xyz[observation.exact])
        assert (estimate.error[observation.exact] == 0).all()
        assert (estimate.error[~observation.exact] > 0).all()
        assert (estimate.xyz - observation.xyz)[~observation.exact].abs().max() > 1e-3


def test_a_decoder_that_says_nothing_samples_what_the_encoder_doubts(observation: Observation,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """A Gaussian around the mean of that std, smooth as the noise is: moments over many seeds."""
    monkeypatch.setattr(reader_module, "has_bfloat16", lambda: False)
    model, seeds, frames = random_model(), 200, 32
    model.denoiser.head.weight.zero_()
    model.denoiser.head.bias.zero_()
    one = observation.map(lambda x: x[:1, :frames])
    read = model.denoiser.encode(start(model.denoiser.filler, one))
    many = one.map(lambda x: x.expand(seeds, *x.shape[1:]))
    sampled = model.denoiser.filler.features(last(model, many, steps=30, seeds=range(seeds)).xyz)
    free = (read.spread > 0) & (read.doubt > .1)
    share = (sampled - read.mean) / (read.doubt * read.spread).clamp(min=1e-9)
    lost = torch.zeros_like(free)
    lost[:, 10:25, LEFT] = True
    for which in (free & lost, free & ~lost):
        assert which.sum() > 300
        some = share[:, which[0]]
        assert float(some.mean()) == pytest.approx(0, abs=.03)
        assert float(some.var(0).mean()) == pytest.approx(1, abs=.05)
        assert some.var(0).min() > .5
        assert some.var(0).max() < 1.7
    pairs = (share[:, 1:] * share[:, :-1]).mean(0)[(free[:, 1:] & free[:, :-1])[0]]
    assert float(pairs.mean()) == pytest.approx(float((kernel()[1:] * kernel()[:-1]).sum()), abs=.05)


def test_an_energy_pulls_points_to_its_pin_but_not_exact_ones(model: PoseDiffusion, observation: Observation) -> None:
    tip = LEFT.start + 8
    pinned = torch.zeros_like(observation.mask)
    pinned[:, 15, [tip, ELBOW]] = True
    plain = last(model, observation, steps=6)
    target = plain.xyz + .1
    pulled = last(model, observation, steps=6, energy=pin(target, pinned, .002))
    before, after = ((e.xyz - target)[:, 15, tip].norm(dim=-1).max() for e in (plain, pulled))
    assert after < .2 * before
    assert torch.equal(pulled.xyz[:, 15, ELBOW], observation.xyz[:, 15, ELBOW])
    half = last(model, observation, steps=6, energy=pin(target, pinned, .002), energy_scale=0)
    assert torch.allclose(half.xyz, plain.xyz, atol=1e-6)


def text(seed: int = 0) -> Condition:
    tokens = torch.randn(2, 3, TINY.condition_width, generator=torch.Generator().manual_seed(seed))
    return Condition(5 * tokens, torch.ones(2, 3, dtype=torch.bool))


def test_guidance_needs_a_condition(model: PoseDiffusion, observation: Observation) -> None:
    plain = last(model, observation, steps=3).xyz
    assert torch.equal(last(model, observation, steps=3, guidance=4.).xyz, plain)
    told = last(model, observation, steps=3, condition=text()).xyz
    assert (told - plain).abs().max() > 1e-3


def test_guidance_goes_beyond_the_condition(model: PoseDiffusion, observation: Observation) -> None:
    """In one step: uncond + scale * (cond - uncond), exactly."""
    without, told, more, none = (last(model, observation, **options).xyz for options in (
        {}, {"condition": text()}, {"condition": text(), "guidance": 3.}, {"condition": text(), "guidance": 0.}))
    assert torch.allclose(none, without, atol=1e-5)
    assert torch.allclose(more, without + 3 * (told - without), atol=1e-4)


def test_a_guided_batch_with_many_windows(model: PoseDiffusion, observation: Observation,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are worked on in groups; their number changes nothing."""
    options = {"steps": 3, "condition": text(), "guidance": 2.}
    together = last(model, observation, **options).xyz
    monkeypatch.setattr(reader_module, "WINDOWS_AT_ONCE", 1)
    assert torch.allclose(last(model, observation, **options).xyz, together, atol=1e-4)


def test_windows_leave_no_seam(observation: Observation) -> None:
    """Where windows meet, a long clip is no rougher than elsewhere."""
    model = random_model()
    frames = 200
    xyz = torch.from_numpy(encode(constructed_pose(frames))[0].xyz).unsqueeze(0)
    mask = torch.ones(xyz.shape[:3], dtype=torch.bool)
    rough = last(model, observe(xyz, mask), steps=1).xyz.diff(dim=1).diff(dim=1).norm(dim=-1).mean(-1)[0]
    size = model.denoiser.config.window
    starts = range(size * 3 // 4, frames - size, size * 3 // 4)
    seams = [f for start in starts for f in (start - 2, start + size // 4 - 2)]
    assert rough[seams].max() <= 1.05 * rough.max()
    assert rough[seams].mean() < 1.2 * rough.mean()


@pytest.mark.parametrize("steps", [1, 8])
def test_bfloat16_changes_little(observation: Observation, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside what the network does to the observation."""
    model = random_model(DenoiserConfig(width=96, heads=3))
    answers = []
    for able in (False, True):
        monkeypatch.setattr(reader_module, "has_bfloat16", lambda able=able: able)
        answers.append(last(model, observation, steps=steps))
    exact, rounded = answers
    done = (exact.xyz - observation.xyz).norm(dim=-1)[observation.mask & ~observation.exact].mean()
    off = (exact.xyz - rounded.xyz).norm(dim=-1)[~observation.exact].mean()
    assert 0 < off < .02 * done
    assert torch.allclose(exact.error, rounded.error, rtol=.05, atol=1e-3)


def test_the_network_is_not_changed_by_sampling(model: PoseDiffusion, observation: Observation) -> None:
    before = {name: value.clone() for name, value in model.denoiser.state_dict().items()}
    last(model, observation, steps=2)
    assert all(torch.equal(value, before[name]) for name, value in model.denoiser.state_dict().items())


def test_an_untrained_network_can_be_saved(tmp_path: Path) -> None:
    PoseDiffusion(Denoiser(TINY)).save(tmp_path)
    assert PoseDiffusion.from_pretrained(tmp_path).layout is HOLISTIC
