from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_diffusion.evaluation import mixture
from pose_diffusion.evaluation.baselines import pchip_on_wrist, stacked
from pose_diffusion.evaluation.cases import INNER, Row, damage
from pose_diffusion.evaluation.mixture import Mixture, Prior, fit_mixture, fit_prior, posterior_mean
from tests.evaluation.constructed import pack

SHAPE, COUNT = (4, 2, 3), 5


def prior(components: int, seed: int = 0) -> Prior:
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(np.prod(SHAPE), COUNT)))[0].reshape(*SHAPE, COUNT)
    roots = rng.normal(size=(components, COUNT, COUNT))
    return Prior(rng.normal(size=SHAPE), directions, .01, rng.dirichlet(np.ones(components)),
                 rng.normal(size=(components, COUNT)), roots @ roots.swapaxes(1, 2) + .1 * np.eye(COUNT))


@pytest.mark.parametrize("components", [1, 3])
def test_the_posterior_is_the_conditional_of_the_joint_gaussians(components: int) -> None:
    """By brute force: condition each Gaussian of all coordinates on those observed, weigh by their likelihood."""
    model, noise = prior(components), .3
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1, *SHAPE))
    observed = rng.random((1, *SHAPE[:2])) < .6
    o = np.repeat(observed.reshape(-1), 3)
    u, y = model.directions.reshape(-1, COUNT), (x - model.mean).reshape(-1)[o]
    means, logs = [], []
    for weight, m, s in zip(model.weights, model.means, model.covariances):
        joint = u @ s @ u.T
        inner = joint[np.ix_(o, o)] + (noise**2 + model.rest) * np.eye(o.sum())
        residual = y - u[o] @ m
        means.append(u @ m + joint[:, o] @ np.linalg.solve(inner, residual))
        square, spread = residual @ np.linalg.solve(inner, residual), np.linalg.slogdet(inner)[1]
        logs.append(np.log(weight) - .5 * (square + spread))
    share = np.exp(logs - np.max(logs))
    expected = model.mean + (np.array(means).T @ (share / share.sum())).reshape(SHAPE)
    assert np.allclose(posterior_mean(model, x, observed, noise)[0], expected, atol=1e-5)


def test_what_is_known_of_one_window_does_not_reach_another() -> None:
    model, rng = prior(3), np.random.default_rng(2)
    x, observed = rng.normal(size=(6, *SHAPE)), rng.random((6, *SHAPE[:2])) < .5
    together = posterior_mean(model, x, observed, .1)
    assert np.allclose(together[3], posterior_mean(model, x[3:4], observed[3:4], .1)[0])


def test_a_prior_of_little_data_keeps_what_it_was_fitted_to() -> None:
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(400, *SHAPE)) @ np.diag([1., .5, .1]) + 2
    fitted = fit_prior(windows, components=1, directions=24)
    assert np.allclose(fitted.mean, windows.mean(0))
    flat = fitted.directions.reshape(24, -1)
    assert np.allclose(flat.T @ flat, np.eye(flat.shape[1]), atol=1e-8)
    exact = posterior_mean(fitted, windows[:5], np.ones((5, *SHAPE[:2]), bool), 1e-4)
    assert np.allclose(exact, windows[:5], atol=1e-2)


def test_two_clusters_are_found() -> None:
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(-5, 1, (300, 2)), rng.normal(5, 1, (900, 2))])
    weights, means, _ = fit_mixture(z, 2, seed=0)
    order = means[:, 0].argsort()
    assert np.allclose(means[order], [[-5, -5], [5, 5]], atol=.3)
    assert np.allclose(weights[order], [.25, .75], atol=.02)


@pytest.fixture(scope="module")
def fitted() -> Mixture:
    return mixture.fit(pack({"a": 9, "b": 9}), np.arange(18))


def test_sides_are_mirror_images() -> None:
    assert sorted(mixture.LEFT.tolist() + mixture.RIGHT.tolist()) == sorted({*mixture.LEFT.tolist(),
                                                                            *mixture.RIGHT.tolist()})
    assert len(mixture.LEFT) == len(mixture.RIGHT) == 26


@pytest.mark.parametrize("frames", [3, 26, 50])
def test_exact_completion_keeps_what_is_observed_at_any_length(fitted: Mixture, frames: int) -> None:
    trial = damage(pack({"a": 3}, frames), [1, 2], Row("hand_drop", 1))
    for clip, result in zip(trial.known, stacked(fitted.method(.1, 0., True))(trial.known)):
        seen = clip.observed[:, :INNER]
        assert np.isfinite(result).all()
        assert np.allclose(result[seen], clip.xyz[:, :INNER][seen], atol=1e-4)


def test_with_much_noise_exact_completion_is_pchip(fitted: Mixture) -> None:
    trial = damage(pack({"a": 3}), [1, 2], Row("hand_drop", 2))
    ours, plain = (np.concatenate(stacked(f)(trial.known)) for f in (fitted.method(1e4, 0., True), pchip_on_wrist))
    assert np.allclose(ours, plain, atol=.02)


def test_it_denoises_and_drops_outliers(fitted: Mixture) -> None:
    clips = pack({"a": 9, "b": 9})
    for row, params in ((Row("jitter", 2), (.05, 0., False)), (Row("outlier", 3), (.05, .2, True))):
        trial = damage(clips, [1, 10], row)
        counted = trial.valid & trial.touched
        before = np.concatenate([clip.xyz[:, :INNER] for clip in trial.known]) - trial.truth
        after = np.concatenate(stacked(fitted.method(*params))(trial.known)) - trial.truth
        assert np.linalg.norm(after, axis=-1)[counted].mean() < .7 * np.linalg.norm(before, axis=-1)[counted].mean()


def test_priors_come_back_from_their_file(fitted: Mixture, tmp_path: Path) -> None:
    mixture.save(fitted, tmp_path / "mixture.npz")
    again = mixture.load(tmp_path / "mixture.npz")
    trial = damage(pack({"a": 3}), [1], Row("mixed", 1))
    first, second = (stacked(m.method(.1, .2, False))(trial.known)[0] for m in (fitted, again))
    assert np.array_equal(first, second)
