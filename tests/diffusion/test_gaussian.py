"""The Gaussian over windows: against brute force, and how windows lie over clips."""
from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pose_diffusion.diffusion.gaussian import DIRECTIONS, FRAMES, HOP, Gaussian, ask, blank, cover, fit
from pose_diffusion.diffusion.likely import STDS
from pose_diffusion.diffusion.model import PoseDiffusion

POINTS = 3


def random_prior(rest: float = .01, count: int = 6) -> Gaussian:
    """Of `POINTS` points."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(FRAMES * POINTS * 3, count, generator=generator)).Q
    return Gaussian(torch.randn(FRAMES, POINTS, 3, generator=generator), directions.view(FRAMES, POINTS, 3, count),
                    torch.linspace(.5, 3, count), torch.tensor(rest))


def drawn(windows: int, seed: int = 1) -> Tensor:
    return torch.randn(windows, FRAMES, POINTS, 3, generator=torch.Generator().manual_seed(seed))


def expected(prior: Gaussian, x: Tensor, seen: Tensor, std: float) -> Tensor:
    """The mean of the joint Gaussian of one window given its noisy observations, in double precision."""
    basis = prior.directions.flatten(0, 2).double()
    covariance = basis @ torch.diag(prior.variances.double()) @ basis.T
    known = seen.flatten().repeat_interleave(3)
    offset = (x - prior.mean).flatten().double()[known]
    noisy = covariance[known][:, known] + (std**2 + prior.rest) * torch.eye(int(known.sum()), dtype=torch.float64)
    return (prior.mean.flatten() + covariance[:, known] @ torch.linalg.solve(noisy, offset)).view(x.shape)


# Asking


@pytest.mark.parametrize("share", [0., .1, .5, .9])
def test_single_precision_is_enough_for_the_shipped_prior(share: float) -> None:
    """Whatever is lost: single points, whole frames, all but the first few points."""
    filler = PoseDiffusion.from_pretrained().denoiser.filler
    generator = torch.Generator().manual_seed(0)
    for prior in (filler.body_window, filler.side_window):
        seen = torch.rand(12, *prior.mean.shape[:2], generator=generator) >= share
        seen[::3, 4:16] = False
        seen[1::3, :, 4:] = False
        z = torch.randn(12, len(prior.variances), generator=generator) * prior.variances.sqrt()
        x = prior.mean + torch.einsum("tkdp,np->ntkd", prior.directions, z)
        double = Gaussian(*(getattr(prior, field.name).double() for field in fields(Gaussian)))
        for std in STDS:
            assert (ask(prior, seen)(x, std) - ask(double, seen)(x.double(), std)).abs().max() < 2e-3


@pytest.mark.parametrize("rest", [.001, .1])
@pytest.mark.parametrize("std", [.03, .3])
def test_it_is_the_conditional_mean_of_the_gaussian(rest: float, std: float) -> None:
    """Of windows with holes, of complete ones, and of one of which nothing is seen, all together."""
    prior, x = random_prior(rest), drawn(6)
    seen = torch.rand(x.shape[:3], generator=torch.Generator().manual_seed(2)) < .6
    seen[1], seen[3], seen[4], seen[5] = True, False, seen[0], True
    found = ask(prior, seen)(x, std)
    for window in range(len(x)):
        truth = expected(prior, x[window], seen[window], std)
        assert torch.allclose(found[window].double(), truth, atol=2e-4), window
    assert torch.allclose(found[3], prior.mean, atol=1e-6)


@pytest.mark.parametrize("patterns", [1, 3, 30])
def test_one_question_is_for_all_values_and_noise(patterns: int) -> None:
    """As factors are kept and shared, neither what was asked before nor which windows look alike may matter."""
    prior, seen = random_prior(), torch.rand(30, FRAMES, POINTS, generator=torch.Generator().manual_seed(2)) < .6
    seen = seen[torch.arange(30) * 7 % patterns]
    told = ask(prior, seen)
    for std, seed in ((.1, 1), (.03, 1), (.1, 2), (.03, 3)):
        x = drawn(30, seed)
        found = told(x, std)
        for window in range(0, 30, 4):
            truth = expected(prior, x[window], seen[window], std)
            assert torch.allclose(found[window].double(), truth, atol=2e-4), window


def test_windows_that_differ_in_one_point_are_told_apart() -> None:
    """The k-th window lacks the first and the k-th point; some lack nothing; some lack the same as others."""
    prior, count = random_prior(), FRAMES * POINTS
    seen = ~torch.eye(count, dtype=torch.bool)
    seen[:, 0] = False
    seen = seen.view(count, FRAMES, POINTS)
    seen = torch.cat([seen, torch.ones_like(seen[:2]), seen[:5]])
    x = drawn(len(seen))
    together = ask(prior, seen)(x, .1)
    for i in range(len(seen)):
        assert torch.allclose(together[i:i + 1], ask(prior, seen[i:i + 1])(x[i:i + 1], .1), atol=1e-5), i
    others = ask(prior, seen.roll(1, 0))(x, .1)
    assert (together - others)[1:count].abs().amax((1, 2, 3)).min() > 1e-3  # so that this test can fail


def test_what_is_not_seen_does_not_matter() -> None:
    prior, x = random_prior(), drawn(2)
    seen = torch.ones(2, FRAMES, POINTS, dtype=torch.bool)
    seen[:, 1] = False
    other = x.clone()
    other[:, 1] = 100
    assert torch.equal(ask(prior, seen)(x, .1), ask(prior, seen)(other, .1))


def test_without_noise_what_has_few_directions_is_recovered_from_few_points() -> None:
    prior = random_prior(1e-9)
    z = torch.randn(5, 6, generator=torch.Generator().manual_seed(3)) * prior.variances.sqrt()
    truth = prior.mean + (z @ prior.directions.flatten(0, 2).T).view(5, FRAMES, POINTS, 3)
    seen = torch.zeros(5, FRAMES, POINTS, dtype=torch.bool)
    seen[:, ::4, 1] = True
    assert torch.allclose(ask(prior, seen)(truth, .001), truth, atol=.02)
    assert (ask(prior, seen)(truth, 100.) - prior.mean).abs().max() < .02  # what is all noise tells nothing


# Fitting


def windows_of(directions: np.ndarray, noise: float, count: int = 400) -> list[np.ndarray]:
    """Windows around 5 along some directions, of standard deviations 1, 2, 4 ..., with white noise."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((count, directions.shape[1])) * 2**np.arange(directions.shape[1])
    x = 5 + z @ directions.T + noise * rng.standard_normal((count, len(directions)))
    return list(x.reshape(count, FRAMES, POINTS, 3).astype(np.float32))


def test_fitting_finds_the_directions_that_windows_were_made_of() -> None:
    directions = np.linalg.qr(np.random.default_rng(1).standard_normal((FRAMES * POINTS * 3, 3)))[0]
    prior = fit(windows_of(directions, 0.))
    assert prior.fitted
    assert prior.directions.shape == (FRAMES, POINTS, 3, DIRECTIONS)
    flat = prior.directions.reshape(-1, DIRECTIONS)
    assert torch.allclose(flat.T @ flat, torch.eye(DIRECTIONS), atol=1e-4)
    assert np.allclose(np.linalg.norm(directions.T @ flat[:, -3:].numpy(), axis=0), 1, atol=1e-3)
    assert np.allclose(prior.variances[-3:], (1, 4, 16), rtol=.2)
    assert 0 < float(prior.variances[:-3].min()) <= float(prior.variances[:-3].max()) < 1e-4
    assert abs(float(prior.rest)) < 1e-6


def test_the_rest_is_the_variance_outside_of_the_directions() -> None:
    windows = windows_of(np.zeros((FRAMES * POINTS * 3, 1)), .1, 2000)
    prior = fit(windows)
    total = float(np.stack(windows).reshape(2000, -1).var(0).sum())
    others = FRAMES * POINTS * 3 - DIRECTIONS
    assert float(prior.variances.sum() + others * prior.rest) == pytest.approx(total, rel=1e-3)
    assert .3 * .01 < float(prior.rest) < .01  # the smallest of its directions, by chance below the true variance


def test_nothing_has_been_fitted_to_a_blank_one() -> None:
    prior = blank(POINTS)
    assert not prior.fitted
    assert {name: value.shape for name, value in vars(prior).items()} == {
        name: value.shape for name, value in vars(fit(windows_of(np.zeros((216, 1)), .1))).items()}


# Windows over clips


lengths_of_clips = st.lists(st.integers(1, 90), min_size=1, max_size=4)


def valid_frames(lengths: list[int], padding: int) -> Tensor:
    return torch.arange(max(lengths) + padding) < torch.tensor(lengths).unsqueeze(1)


@settings(max_examples=40, deadline=None)
@given(lengths_of_clips, st.integers(0, 50))
def test_every_frame_lies_in_a_window_of_its_own_clip(lengths: list[int], padding: int) -> None:
    over = cover(valid_frames(lengths, padding))
    rows = over.index
    assert rows.shape[1] == FRAMES
    assert (rows.diff(dim=1) == 1).all()
    assert torch.equal(rows[:, 0] // over.frames, rows[:, -1] // over.frames)
    for clip, length in enumerate(lengths):
        starts = [int(row[0]) - clip * over.frames for row in rows if row[0] // over.frames == clip]
        assert all(start == 0 or start + FRAMES <= length for start in starts)
        covered = {frame for start in starts for frame in range(start, start + FRAMES)}
        assert covered >= set(range(length))
        assert len(set(starts)) <= max(1, -(-(length - FRAMES) // HOP) + 1)  # no more than it takes


@settings(max_examples=40, deadline=None)
@given(lengths_of_clips, st.integers(0, 50), st.integers(0, 2**31))
def test_joining_undoes_cutting(lengths: list[int], padding: int, seed: int) -> None:
    valid = valid_frames(lengths, padding)
    x = torch.randn(*valid.shape, 2, 3, generator=torch.Generator().manual_seed(seed))
    over = cover(valid)
    joined = over.join(over.cut(x), valid.shape[1])
    assert joined.shape == x.shape
    assert torch.allclose(joined[valid], x[valid], atol=1e-5)


def test_a_short_clip_is_followed_by_nothing() -> None:
    valid = torch.ones(2, 10, dtype=torch.bool)
    over = cover(valid)
    assert not over.cut(valid)[:, 10:].any()
    assert over.cut(valid)[:, :10].all()
    assert over.join(torch.ones(2, FRAMES, 1, 3), 10).shape == (2, 10, 1, 3)


def test_one_window_is_blended_into_the_next() -> None:
    over = cover(torch.ones(1, FRAMES + HOP, dtype=torch.bool))
    assert over.index[:, 0].tolist() == [0, HOP]
    x = torch.arange(2.).view(2, 1, 1, 1).expand(2, FRAMES, 1, 3)
    track = over.join(x, FRAMES + HOP)[0, :, 0, 0]
    assert (track[:HOP] == 0).all()
    assert torch.allclose(track[-HOP:], torch.ones(HOP))
    assert (track[HOP - 1:FRAMES + 1].diff() > 0).all()
    assert float(track.diff().max()) < 1.01 / (FRAMES - HOP + 1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=3), st.integers(0, 50), st.integers(0, 2**31))
def test_padding_and_batch_change_nothing(lengths: list[int], padding: int, seed: int) -> None:
    """Whatever stands in the padding, and however long it is."""
    prior, valid = random_prior(), valid_frames(lengths, padding)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*valid.shape, POINTS, 3, generator=generator)
    seen = (torch.rand(x.shape[:3], generator=generator) < .7) & valid.unsqueeze(-1)

    def told(x: Tensor, seen: Tensor, valid: Tensor) -> Tensor:
        over = cover(valid)
        return over.join(ask(prior, over.cut(seen))(over.cut(x), .1), x.shape[1])

    together = told(x, seen, valid)
    for i, length in enumerate(lengths):
        alone = told(x[i:i + 1, :length], seen[i:i + 1, :length], valid[i:i + 1, :length])
        assert torch.allclose(together[i, :length], alone[0], atol=1e-4)
