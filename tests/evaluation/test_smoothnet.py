from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pose_diffusion.evaluation import smoothnet
from pose_diffusion.evaluation.smoothnet import WINDOW, SmoothNet
from tests.evaluation.constructed import pack


def test_training_lowers_the_error_of_a_shaking_track() -> None:
    torch.manual_seed(0)
    model, clips = SmoothNet(dropout=0.), pack({"a": 4})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    damaged, truth, valid = next(smoothnet.batches(clips, np.arange(4), 4))
    first = smoothnet.loss(model(damaged), truth, valid).item()
    for _ in range(30):
        optimizer.zero_grad()
        smoothnet.loss(model(damaged), truth, valid).backward()
        optimizer.step()
    assert smoothnet.loss(model(damaged), truth, valid).item() < .7 * first


def test_batches_are_drawn_from_the_seed_and_count_only_true_frames() -> None:
    clips = pack({"a": 4})
    first, again = (next(smoothnet.batches(clips, np.arange(4), 3, seed=1)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert first[0].shape == first[1].shape == first[2].shape
    assert not first[2][:, 29:].any()  # clips have at most 28 frames
    assert first[2][:, :20].any()


def test_the_loss_is_that_of_the_paper() -> None:
    truth, valid = torch.zeros(1, WINDOW), torch.ones(1, WINDOW, dtype=torch.bool)
    predicted = .5 * torch.arange(WINDOW)[None]**2 * .1
    expected = predicted.mean() + .1 * .1
    assert torch.isclose(smoothnet.loss(predicted, truth, valid), expected)


def test_it_moves_with_its_input_and_takes_any_length() -> None:
    model = SmoothNet().eval()
    for frames in (1, 20, 32, 70):
        x = np.random.default_rng(0).normal(size=(frames, 5, 3)).astype(np.float32)
        assert np.allclose(smoothnet.smooth(model, x + 7), smoothnet.smooth(model, x) + 7, atol=1e-4)
        assert smoothnet.smooth(model, x).shape == x.shape


def test_training_is_seeded_and_the_weights_come_back(tmp_path: Path) -> None:
    model, twin = (smoothnet.train(pack({"a": 4}), np.arange(4), 2, size=2) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), twin.state_dict().values()))
    smoothnet.save(model, tmp_path / "smoothnet.safetensors")
    again = smoothnet.load(tmp_path / "smoothnet.safetensors")
    x = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
    assert np.allclose(smoothnet.smooth(model, x), smoothnet.smooth(again, x), atol=.02)


def test_the_shipped_weights_steady_a_shaking_track() -> None:
    rng = np.random.default_rng(0)
    truth = .2 * np.sin(np.arange(40) / 8)[:, None]
    shaking = (truth + rng.normal(0, .05, (40, 200))).astype(np.float32)
    assert np.abs(smoothnet.smooth(smoothnet.load(), shaking) - truth).mean() < .8 * np.abs(shaking - truth).mean()
