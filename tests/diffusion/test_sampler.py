"""The sampler against closed forms: every denoiser here is exact, so that what is left is the solver's own error."""
from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pose_diffusion.diffusion.sampler import Denoiser, Step, initial_noise, sample
from pose_diffusion.diffusion.schedule import karras_sigmas

from .gaussian_mixture import GAUSSIAN, LINE, MIXTURE, GaussianMixture

METHODS = ["dpmpp_2m", "ddim", "ancestral"]

def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def last(denoiser: Denoiser, start: Tensor, sigmas: Tensor, method: str = "dpmpp_2m", eta: float = 1.0) -> Tensor:
    """The state after the last step."""
    steps = list(sample(denoiser, start, sigmas, method=method, eta=eta, generator=generators(*range(len(start)))))
    return steps[-1].state


def uniform_in_log(steps: int, high: float, low: float) -> Tensor:
    return torch.logspace(math.log10(high), math.log10(low), steps + 1, dtype=torch.float64)


# One step


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mixture", [MIXTURE, MIXTURE.given([0], [0.7]), MIXTURE.given([1], [-1.0], 0.3)])
def test_one_step_is_the_mean_given_the_observation(mixture: GaussianMixture, method: str) -> None:
    start = initial_noise((50, 2), [0, 1], 1e5)
    sigmas = karras_sigmas(1, 0.02, 1e5, 7.0)
    (step,) = sample(mixture.denoise, start, sigmas, method=method, generator=generators(0, 1))
    assert torch.equal(step.state, mixture.denoise(start, torch.tensor(1e5)))
    torch.testing.assert_close(step.state, mixture.mean.float().expand(2, 50, 2), atol=1e-3, rtol=0)


def test_one_step_from_the_usual_noise_is_near_the_mean() -> None:
    start = initial_noise((500, 2), [0], 80.0)
    result = last(MIXTURE.denoise, start, karras_sigmas(1, 0.02, 80.0, 7.0))
    # What the first state still tells of the clean one: covariance / sigma ** 2 times a state of 4 sigma.
    bound = 4 * float(torch.linalg.eigvalsh(MIXTURE.covariance).max()) / 80
    assert float((result - MIXTURE.mean.float()).abs().max()) < bound


# A single Gaussian: every step is affine, the output distribution exact


def output_of_gaussian(denoiser: Denoiser, dim: int, sigmas: Tensor, method: str) -> tuple[Tensor, Tensor]:
    """Mean and covariance of what a deterministic method makes of ``N(0, sigmas[0] ** 2)``, from its affine map."""
    unit = torch.eye(dim)[None] * float(sigmas[0])
    offset = last(denoiser, torch.zeros(1, 1, dim), sigmas, method)[0, 0].double()
    rows = last(denoiser, unit, sigmas, method)[0].double() - offset
    return offset, rows.T @ rows


def expected_of_gaussian(mixture: GaussianMixture, sigmas: Tensor, method: str) -> tuple[Tensor, Tensor]:
    """The same from the recursion of each eigenvector's coefficient.

    For an eigenvalue ``s`` the estimate is ``g = s / (s + sigma ** 2)`` times the distance ``a`` from the mean, and a
    step takes ``a`` to ``r a + (1 - r) e`` where ``r`` is the ratio of the levels and ``e`` the (extrapolated)
    estimate.
    """
    values, vectors = torch.linalg.eigh(mixture.covariances[0])
    levels = sigmas.double().tolist()
    coefficients = []
    for s in values.tolist():
        a, before = 1.0, 0.0
        for i in range(len(levels) - 1):
            estimate = s / (s + levels[i]**2) * a
            ratio = levels[i + 1] / levels[i]
            ahead = estimate
            if method == "dpmpp_2m" and i > 0 and ratio > 0:
                ahead += (estimate - before) * math.log(ratio) / math.log(levels[i] / levels[i - 1]) / 2
            a, before = ratio * a + (1 - ratio) * ahead, estimate
        coefficients.append(a)
    gains = torch.tensor(coefficients, dtype=torch.float64)
    mean = mixture.mean - vectors @ (gains * (vectors.T @ mixture.mean))
    return mean, levels[0]**2 * (vectors * gains**2) @ vectors.T


@pytest.mark.parametrize("method", ["dpmpp_2m", "ddim"])
@pytest.mark.parametrize("steps", [1, 4, 10, 100])
@pytest.mark.parametrize("mixture", [GAUSSIAN, GAUSSIAN.given([1], [0.3]), GAUSSIAN.given([0, 2], [1.0, 1.5], 0.2)])
def test_mean_and_covariance_of_a_gaussian_are_those_of_the_recursion(mixture: GaussianMixture, steps: int,
                                                                      method: str) -> None:
    sigmas = karras_sigmas(steps, 0.02, 80.0, 3.0)
    mean, covariance = output_of_gaussian(mixture.denoise, 3, sigmas, method)
    expected_mean, expected_covariance = expected_of_gaussian(mixture, sigmas, method)
    torch.testing.assert_close(mean, expected_mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(covariance, expected_covariance, atol=1e-4, rtol=0)


@pytest.mark.parametrize("mixture", [GAUSSIAN, GAUSSIAN.given([1], [0.3]), GAUSSIAN.given([0, 2], [1.0, 1.5], 0.2)])
def test_a_hundred_steps_reach_the_distribution_itself(mixture: GaussianMixture) -> None:
    errors = []
    for steps in (4, 10, 100):
        mean, covariance = output_of_gaussian(mixture.denoise, 3, karras_sigmas(steps, 0.02, 80.0, 3.0), "dpmpp_2m")
        errors.append(float((covariance - mixture.covariances[0]).abs().max()))
    assert errors[0] > errors[1] > errors[2]
    torch.testing.assert_close(covariance, mixture.covariances[0], atol=1e-4, rtol=0.01)
    # The start is centred at 0 where it should be centred at the mean: some of that is left.
    torch.testing.assert_close(mean, mixture.mean, atol=0.05, rtol=0)
    if bool((mixture.covariances[0].diagonal() < 1e-9).any()):
        assert float(mean[1]) == pytest.approx(0.3, abs=1e-5)


# Order of convergence


@pytest.mark.parametrize(("method", "order"), [("ddim", 1), ("dpmpp_2m", 2)])
def test_halving_the_step_divides_the_error_by_two_to_the_order(method: str, order: int) -> None:
    """Against the exact solution for N(0, s): ``x(sigma) = x(start) sqrt((s + sigma ** 2) / (s + start ** 2))``."""
    variance, high, low = 0.7, 10.0, 0.1
    line = GaussianMixture.of([1.0], [[0.0]], [[[variance]]])
    start = torch.full((1, 1, 1), high)
    exact = high * math.sqrt((variance + low**2) / (variance + high**2))
    errors = [abs(float(last(line.denoise, start, uniform_in_log(n, high, low), method)) - exact) for n in (16, 32, 64)]
    for coarse, fine in zip(errors, errors[1:]):
        assert coarse / fine == pytest.approx(2**order, rel=0.15)


def test_ddim_is_the_euler_method_for_the_probability_flow_equation() -> None:
    sigmas = karras_sigmas(12, 0.02, 80.0, 5.0)
    x = start = initial_noise((20, 2), [3], 80.0)
    steps = sample(MIXTURE.denoise, start, sigmas, method="ddim")
    for step, sigma, following in zip(steps, sigmas, sigmas[1:]):
        x = x + (following - sigma) * (x - MIXTURE.denoise(x, sigma)) / sigma
        torch.testing.assert_close(step.state, x, atol=1e-4, rtol=1e-5)


def test_two_steps_are_of_first_order_whatever_the_method() -> None:
    """The first call has no call before it, the last one goes to 0: nothing is left for the second order."""
    start = initial_noise((20, 2), [3], 80.0)
    for steps, same in ((2, True), (3, False)):
        sigmas = karras_sigmas(steps, 0.02, 80.0, 3.0)
        one, other = (last(MIXTURE.denoise, start, sigmas, method) for method in ("dpmpp_2m", "ddim"))
        assert torch.equal(one, other) == same


# Mixtures: the flow is no longer affine


@pytest.mark.parametrize("method", ["dpmpp_2m", "ddim"])
def test_on_a_line_every_quantile_goes_to_its_quantile(method: str) -> None:
    """In one dimension the flow cannot cross itself: a state at a quantile of the noisy mixture ends at that of the
    clean.

    No sampling error enters: the states are placed, not drawn.
    """
    start = torch.linspace(-200, 200, 401)[None, :, None]
    quantiles = LINE.cdf(start.flatten(), 0, sigma=80.0)
    errors = []
    for steps in (4, 10, 100):
        result = last(LINE.denoise, start, karras_sigmas(steps, 0.02, 80.0, 3.0), method)
        errors.append(float((LINE.cdf(result.flatten(), 0) - quantiles).abs().max()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < {"dpmpp_2m": 0.003, "ddim": 0.03}[method]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("mixture", "free"), [(MIXTURE, [0, 1]), (MIXTURE.given([0], [1.4]), [1]),
                                               (MIXTURE.given([1], [-1.0], 0.3), [0, 1])])
def test_samples_of_a_mixture_have_its_weights_moments_and_cdf(mixture: GaussianMixture, free: list[int],
                                                               method: str) -> None:
    n = 4000
    start = initial_noise((n, 2), [7], 80.0)
    result = last(mixture.denoise, start, karras_sigmas(100, 0.02, 80.0, 3.0), method)[0].double()
    bias = 0.0 if method == "dpmpp_2m" else 0.02  # of a method of first order
    margin = 5 / math.sqrt(n) + bias
    spread = mixture.covariance.diagonal().sqrt()
    assert bool(((result.mean(0) - mixture.mean).abs() <= margin * spread + 1e-4).all())
    scale = spread[:, None] * spread
    assert bool(((result.T.cov() - mixture.covariance).abs() <= 2 * margin * scale + 1e-4).all())
    exact = mixture.draw(25 * n, torch.Generator().manual_seed(0))
    shares = [torch.cdist(x[:, free], mixture.means[:, free]).argmin(1).bincount(minlength=3) / len(x)
              for x in (result, exact)]
    torch.testing.assert_close(shares[0], shares[1], atol=margin / 2, rtol=0)  # standard error at most 1 / (2 sqrt(n))
    for coordinate in free:
        ordered = result[:, coordinate].sort().values
        ranks = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        distance = float((mixture.cdf(ordered, coordinate) - ranks).abs().max())  # Kolmogorov-Smirnov
        assert distance < 2.2 / math.sqrt(n) + bias  # chance of 1 in 10,000


@pytest.mark.parametrize("steps", [4, 10, 100])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_observed_exactly_comes_out_as_observed(method: str, steps: int) -> None:
    mixture = MIXTURE.given([0], [0.7])
    result = last(mixture.denoise, initial_noise((50, 2), [1], 80.0), karras_sigmas(steps, 0.02, 80.0, 3.0), method)
    torch.testing.assert_close(result[..., 0], torch.full((1, 50), 0.7), atol=1e-5, rtol=0)


# The ancestral sampler


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("steps", [4, 10, 100])
def test_ancestral_variance_is_that_of_its_recursion(steps: int, eta: float) -> None:
    n, variance = 20_000, 0.7
    line = GaussianMixture.of([1.0], [[0.0]], [[[variance]]])
    sigmas = karras_sigmas(steps, 0.02, 80.0, 3.0)
    result = last(line.denoise, initial_noise((n, 1), [5], 80.0), sigmas, "ancestral", eta)
    levels = sigmas.double().tolist()
    expected = levels[0]**2
    for level, following in zip(levels, levels[1:]):
        fresh = eta**2 * following**2 * (1 - (following / level)**2)
        kept = math.sqrt(following**2 - fresh) / level
        gain = kept + (1 - kept) * variance / (variance + level**2)
        expected = gain**2 * expected + fresh
    assert float(result.var()) == pytest.approx(expected, rel=5 * math.sqrt(2 / n))


def test_ancestral_without_fresh_noise_is_ddim() -> None:
    start, sigmas = initial_noise((20, 2), [3], 80.0), karras_sigmas(10, 0.02, 80.0, 3.0)
    assert torch.equal(last(MIXTURE.denoise, start, sigmas, "ancestral", eta=0.0),
                       last(MIXTURE.denoise, start, sigmas, "ddim"))


def test_fresh_noise_is_new_at_every_step_and_is_not_the_first_noise_again() -> None:
    """With a denoiser of zeros the state is noise alone, and what each step adds can be read off."""
    seed, frames = 11, 2000
    sigmas = torch.tensor([4.0, 2.0, 1.0, 0.5])
    start = initial_noise((frames, 1), [seed], 4.0)
    added, before = [start / 4], start
    for step, (level, following) in zip(sample(lambda x, sigma: torch.zeros_like(x), start, sigmas, method="ancestral",
                                               generator=generators(seed)), zip(sigmas, sigmas[1:])):
        fresh = following * (1 - (following / level)**2).sqrt()
        kept = (following**2 - fresh**2).sqrt() / level
        added.append((step.state - kept * before) / fresh)
        before = step.state
    noises = torch.stack(added).flatten(1)
    torch.testing.assert_close(torch.corrcoef(noises), torch.eye(4), atol=5 / math.sqrt(frames), rtol=0)
    torch.testing.assert_close(noises.std(1), torch.ones(4), atol=4 / math.sqrt(frames), rtol=0)


# Seeds, batches, frames


@pytest.mark.parametrize("method", METHODS)
def test_a_sample_does_not_depend_on_its_batch(method: str) -> None:
    sigmas, seeds = karras_sigmas(6, 0.02, 80.0, 3.0), [4, 9, 2]
    *_, together = sample(MIXTURE.denoise, initial_noise((30, 2), seeds, 80.0), sigmas, method=method,
                          generator=generators(*seeds))
    for i, seed in enumerate(seeds):
        *_, alone = sample(MIXTURE.denoise, initial_noise((30, 2), [seed], 80.0), sigmas, method=method,
                           generator=generators(seed))
        torch.testing.assert_close(together.state[i], alone.state[0], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_frame_does_not_depend_on_the_number_of_frames(method: str) -> None:
    """For a denoiser that looks at one frame at a time, a longer sample begins with the shorter one."""
    sigmas = karras_sigmas(6, 0.02, 80.0, 3.0)
    short, long = (list(sample(MIXTURE.denoise, initial_noise((frames, 2), [4], 80.0), sigmas, method=method,
                               generator=generators(4)))[-1].state for frames in (21, 50))
    torch.testing.assert_close(short, long[:, :21], atol=1e-6, rtol=1e-6)


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**40))
@settings(max_examples=50, deadline=None)
def test_noise_of_a_frame_is_that_of_its_seed(short: int, more: int, width: int, seed: int) -> None:
    one = initial_noise((short, width), [seed], 3.0)
    assert one.shape == (1, short, width)
    assert torch.equal(one[0], initial_noise((short + more, width), [seed + 1, seed], 3.0)[1, :short])


def test_noise_is_normal_repeatable_and_different_for_every_seed() -> None:
    noise = initial_noise((500, 40), [1, 2, 1], 3.0)
    assert noise.dtype == torch.float32
    assert torch.equal(noise[0], noise[2])
    assert abs(float(torch.corrcoef(noise[:2].flatten(1))[0, 1])) < 5 / math.sqrt(20_000)
    assert float(noise[0].std()) == pytest.approx(3.0, rel=0.03)
    ordered = noise[0].flatten().double().sort().values
    ranks = (torch.arange(20_000) + 0.5) / 20_000
    assert float((torch.special.ndtr(ordered / 3) - ranks).abs().max()) < 2.2 / math.sqrt(20_000)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_bits(method: str) -> None:
    start, sigmas = initial_noise((30, 2), [1, 2], 80.0), karras_sigmas(6, 0.02, 80.0, 3.0)
    assert torch.equal(last(MIXTURE.denoise, start, sigmas, method), last(MIXTURE.denoise, start, sigmas, method))


# The loop


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", [1, 2, 3, 1000])
def test_every_step_is_reported_and_calls_the_denoiser_once(method: str, steps: int) -> None:
    calls = []

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        assert x.dtype == torch.float32
        assert sigma.shape == ()
        assert sigma.dtype == torch.float32
        calls.append(float(sigma))
        return (x / (1 + sigma**2)).bfloat16()

    sigmas = karras_sigmas(steps, 0.02, 80.0, 7.0)
    reports = list(sample(denoiser, initial_noise((5, 3), [0], 80.0), sigmas, method=method, generator=generators(0)))
    assert calls == sigmas[:-1].tolist()
    assert [step.index for step in reports] == list(range(1, steps + 1))
    assert {step.total for step in reports} == {steps}
    assert [step.sigma for step in reports] == sigmas[1:].tolist()
    assert all(step.state.dtype == step.clean.dtype == torch.float32 for step in reports)
    assert all(bool(step.state.isfinite().all()) for step in reports)
    assert torch.equal(reports[-1].state, reports[-1].clean)


def test_stopping_early_calls_no_more_and_a_step_can_be_gone_on_from() -> None:
    calls = 0

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return MIXTURE.denoise(x, sigma)

    start, sigmas = initial_noise((5, 2), [0], 80.0), karras_sigmas(8, 0.02, 80.0, 3.0)
    steps = sample(denoiser, start, sigmas, method="ddim")
    assert calls == 0
    next(steps)
    third = [next(steps), next(steps)][-1]
    steps.close()  # type: ignore[attr-defined]
    assert calls == 3
    assert isinstance(third, Step)
    rest = last(MIXTURE.denoise, third.state, sigmas[third.index:], "ddim")
    assert torch.equal(rest, last(MIXTURE.denoise, start, sigmas, "ddim"))


def test_autograd_is_off_inside_and_untouched_outside() -> None:
    weight = torch.ones((), requires_grad=True)

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        return weight * x / (1 + sigma**2)

    for step in sample(denoiser, initial_noise((5, 2), [0], 80.0), karras_sigmas(4, 0.02, 80.0, 3.0)):
        assert torch.is_grad_enabled()
        assert not step.state.requires_grad


def test_the_start_is_left_as_it_was() -> None:
    start = initial_noise((5, 2), [0], 80.0)
    copy = start.clone()
    last(MIXTURE.denoise, start, karras_sigmas(4, 0.02, 80.0, 3.0))
    assert torch.equal(start, copy)


@pytest.mark.parametrize("sigmas", [[1.0], [1.0, 1.0, 0.0], [1.0, 2.0], [1.0, -0.1], [math.nan, 0.0], [[2.0, 1.0]]])
def test_levels_that_do_not_fall_are_refused(sigmas: list[float]) -> None:
    with pytest.raises(ValueError, match="falling noise levels"):
        sample(MIXTURE.denoise, torch.zeros(1, 5, 2), torch.tensor(sigmas))


def test_bad_arguments_are_refused_at_once() -> None:
    start, sigmas = torch.zeros(2, 5, 2), torch.tensor([1.0, 0.0])
    with pytest.raises(ValueError, match="method must be one of dpmpp_2m, ddim, ancestral, not 'euler'"):
        sample(MIXTURE.denoise, start, sigmas, method="euler")
    with pytest.raises(ValueError, match="each of the 2 samples"):
        sample(MIXTURE.denoise, start, sigmas, method="ancestral", generator=generators(1))
    with pytest.raises(ValueError, match="each of the 2 samples"):
        sample(MIXTURE.denoise, start, sigmas, method="ancestral")
    with pytest.raises(ValueError, match="eta"):
        sample(MIXTURE.denoise, start, sigmas, method="ancestral", eta=1.5, generator=generators(1, 2))
