"""The Gaussian over windows: against brute force, and as candidates."""
from __future__ import annotations

import numpy as np
import torch

from pose_diffusion.diffusion.candidates import CANDIDATES, likely_motion, sides, start
from pose_diffusion.diffusion.filling import Filler, Observation
from pose_diffusion.diffusion.gaussian import DIRECTIONS, STDS, Gaussian, blank, fit, likely
from pose_diffusion.layout import HOLISTIC, mirrored


def random_prior(frames: int, points: int, count: int = 6) -> Gaussian:
    generator = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn(frames * points * 3, count, generator=generator)).Q
    return Gaussian(torch.randn(frames, points, 3, generator=generator), directions.view(frames, points, 3, count),
                    torch.linspace(.5, 3, count))


def test_it_is_the_conditional_mean_of_the_gaussian() -> None:
    prior = random_prior(4, 5)
    generator = torch.Generator().manual_seed(1)
    x, seen = torch.randn(3, 4, 5, 3, generator=generator), torch.rand(3, 4, 5, generator=generator) < .6
    got = likely(prior, x, seen)
    basis = prior.directions.reshape(60, -1).double()
    covariance = basis @ torch.diag(prior.variances.double()) @ basis.T
    for level, std in enumerate(STDS):
        for window in range(3):
            known = seen[window].flatten().repeat_interleave(3)
            offset = (x[window] - prior.mean).flatten().double()[known]
            noisy = covariance[known][:, known] + std**2 * torch.eye(int(known.sum()), dtype=torch.float64)
            expected = prior.mean.flatten() + covariance[:, known] @ torch.linalg.solve(noisy, offset)
            assert torch.allclose(got[level, window].flatten().double(), expected, atol=2e-4)


def test_what_is_not_seen_does_not_matter() -> None:
    prior = random_prior(4, 5)
    x, seen = torch.randn(2, 4, 5, 3), torch.ones(2, 4, 5, dtype=torch.bool)
    seen[:, 1] = False
    other = x.clone()
    other[:, 1] = 100
    assert torch.equal(likely(prior, x, seen), likely(prior, other, seen))


def test_nothing_seen_gives_the_mean_and_nothing_fitted_gives_the_input() -> None:
    prior = random_prior(4, 5)
    x = torch.randn(2, 4, 5, 3)
    nothing = likely(prior, x, torch.zeros(2, 4, 5, dtype=torch.bool))
    assert torch.allclose(nothing, prior.mean.expand(len(STDS), 2, -1, -1, -1), atol=1e-5)
    unfitted = likely(blank(4, 5), x, torch.ones(2, 4, 5, dtype=torch.bool))
    assert torch.equal(unfitted, x.expand(len(STDS), -1, -1, -1, -1))


def test_fitting_finds_the_directions_that_windows_were_made_of() -> None:
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.standard_normal((6 * 7 * 3, 3)))[0]
    z = rng.standard_normal((400, 3)) * (1, 2, 4)
    windows = [(5 + directions @ row).reshape(6, 7, 3).astype(np.float32) for row in z]
    prior = fit(windows)
    assert prior.directions.shape == (6, 7, 3, DIRECTIONS)
    found = prior.directions.reshape(-1, DIRECTIONS)[:, -3:].numpy()
    assert np.allclose(np.linalg.norm(directions.T @ found, axis=0), 1, atol=1e-3)
    assert np.allclose(prior.variances[-3:], (1, 4, 16), rtol=.2)
    assert float(prior.variances[:-3].max()) < 1e-4


def test_the_two_sides_are_each_others_mirror_image() -> None:
    left, right = sides(HOLISTIC)
    assert [HOLISTIC.points[i] for i in right] == [mirrored(*HOLISTIC.points[i]) for i in left]


def test_known_points_stay_and_gaps_are_filled_in_the_last_candidate() -> None:
    filler = Filler(HOLISTIC, torch.zeros(len(HOLISTIC), 3))
    generator = torch.Generator().manual_seed(2)
    xyz = torch.randn(1, 8, len(HOLISTIC), 3, generator=generator) * .01
    mask = torch.ones(1, 8, len(HOLISTIC), dtype=torch.bool)
    mask[:, 3:5, HOLISTIC.parts["left_hand"]] = False
    seconds, valid = torch.arange(8.)[None] / 20, torch.ones(1, 8, dtype=torch.bool)
    begin = start(filler, Observation(torch.where(mask[..., None], xyz, 0.), mask, mask & False, seconds, valid))
    priors = random_prior(8, 25), random_prior(8, 26)
    filled = likely_motion(filler, begin, *priors)[..., -1, :]
    calm = begin.candidates[..., CANDIDATES.index("trusted"), :]
    known = begin.known[..., :filler.inner]
    assert torch.equal(filled[known], calm[known])
    assert not torch.allclose(filled[~known], calm[~known])
    assert bool(filled.isfinite().all())
