from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pose_diffusion.diffusion.schedule import c_in, c_noise, c_out, c_skip, karras_sigmas, training_sigmas


def test_the_grid_of_four_steps_by_hand() -> None:
    # rho 1 is linear: from 8 towards 0.5 in quarters of 7.5, the last of them replaced by 0.
    assert karras_sigmas(4, 0.5, 8.0, 1.0).tolist() == [8.0, 6.125, 4.25, 2.375, 0.0]
    # rho 3: cube roots from 4 down to 1 in thirds.
    torch.testing.assert_close(karras_sigmas(3, 1.0, 64.0, 3.0), torch.tensor([64.0, 27.0, 8.0, 0.0]))


def test_one_step_is_one_call_at_the_top() -> None:
    assert karras_sigmas(1, 0.02, 80.0, 7.0).tolist() == [80.0, 0.0]


@given(st.integers(1, 1000), st.floats(0.001, 1.0), st.floats(2.0, 1000.0), st.floats(1.0, 10.0))
def test_levels_fall_strictly_from_sigma_max_to_zero_and_end_above_sigma_min(steps: int, low: float, high: float,
                                                                             rho: float) -> None:
    sigmas = karras_sigmas(steps, low, high, rho)
    assert sigmas.shape == (steps + 1,)
    assert sigmas.dtype == torch.float32
    assert sigmas[0] == torch.tensor(high, dtype=torch.float32)
    assert sigmas[-1] == 0
    assert bool((sigmas.diff() < 0).all())
    assert sigmas[-2] > low


@pytest.mark.parametrize("steps", [0, -1, 1001, 2.5, math.nan, math.inf])
def test_steps_out_of_range_are_refused_in_one_line(steps: float) -> None:
    with pytest.raises(ValueError, match=r"^steps must be a whole number from 1 to 1000, not \S+$"):
        karras_sigmas(steps, 0.02, 80.0, 7.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("low", "high", "rho"), [(0.0, 1.0, 7.0), (1.0, 1.0, 7.0), (2.0, 1.0, 7.0), (0.1, 1.0, 0.5),
                                                  (math.nan, 1.0, 7.0), (0.1, math.inf, 7.0), (0.1, 1.0, math.nan)])
def test_levels_out_of_range_are_refused(low: float, high: float, rho: float) -> None:
    with pytest.raises(ValueError, match="noise levels|rho"):
        karras_sigmas(4, low, high, rho)


def test_training_levels_are_log_normal_and_clipped() -> None:
    n = 20_000
    sigmas = training_sigmas(n, torch.Generator().manual_seed(0))
    assert sigmas.shape == (n,)
    assert sigmas.dtype == torch.float32
    assert sigmas.min() == torch.tensor(0.01)  # of 20,000 draws some are caught at either end
    assert sigmas.max() == 100.0
    logs = sigmas.double().log()
    assert float(logs.median()) == pytest.approx(1.0, abs=5 * 1.2533 * 1.6 / math.sqrt(n))
    # Clipping at ln 100 (2.25 standard deviations above the mean) catches 1.2 % of the draws.
    beyond = 0.5 * math.erfc((math.log(100) - 1.0) / 1.6 / math.sqrt(2))
    assert float((sigmas == 100.0).double().mean()) == pytest.approx(beyond, abs=5 * math.sqrt(beyond / n))
    for quantile, z in ((0.16, -0.994458), (0.84, 0.994458)):
        assert float(logs.quantile(quantile)) == pytest.approx(1.0 + 1.6 * z, abs=0.08)


def test_training_levels_are_repeatable_and_follow_their_arguments() -> None:
    draws = [training_sigmas(64, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    flat = training_sigmas(8, torch.Generator().manual_seed(0), mean=math.log(3.0), std=0.0)
    torch.testing.assert_close(flat, torch.full((8,), 3.0))
    narrow = training_sigmas(1000, torch.Generator().manual_seed(0), low=1.0, high=2.0)
    assert narrow.min() == 1.0
    assert narrow.max() == 2.0


@given(st.floats(0.01, 100.0), st.floats(0.1, 3.0))
def test_scalings_give_unit_variance_in_and_out(level: float, data: float) -> None:
    """What the scalings are for: where the data have std sigma_data, input and training target have variance 1."""
    sigma = torch.tensor(level, dtype=torch.float64)
    skip, out = c_skip(sigma, data), c_out(sigma, data)
    assert float(c_in(sigma, data)**2 * (data**2 + level**2)) == pytest.approx(1)
    # The target is (x0 - skip (x0 + noise)) / out.
    assert float(((1 - skip)**2 * data**2 + skip**2 * level**2) / out**2) == pytest.approx(1)
    # And skip is the choice that asks least of the network: the derivative of out ** 2 with respect to it is 0.
    assert float(skip * level**2 - (1 - skip) * data**2) == pytest.approx(0, abs=1e-9 * (level**2 + data**2))


def test_a_network_that_returns_zero_is_the_best_linear_denoiser_of_unit_data() -> None:
    sigma = torch.tensor([0.1, 1.0, 10.0])
    torch.testing.assert_close(c_skip(sigma), 1 / (1 + sigma**2))
    torch.testing.assert_close(c_out(sigma), sigma / (1 + sigma**2).sqrt())
    torch.testing.assert_close(c_noise(torch.tensor([1.0, math.exp(4.0)])), torch.tensor([0.0, 1.0]))
