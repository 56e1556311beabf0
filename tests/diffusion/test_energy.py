"""Energy guidance against closed forms, for states that are points and for states in another basis."""
from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pose_diffusion.diffusion.energy import Energy, add, bone_length, guide, pin, steady_bones
from pose_diffusion.diffusion.sampler import Denoiser, initial_noise, sample
from pose_diffusion.diffusion.schedule import karras_sigmas

FRAMES, POINTS = 4, 5


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def to_points(state: Tensor) -> Tensor:
    return state.unflatten(-1, (-1, 3))


def fixed(clean: Tensor) -> Denoiser:
    """A denoiser that knows the answer already."""
    return lambda x, sigma: clean


def guided(clean: Tensor, energy: Energy, sigma: float, scale: float = 1.0, steps: int = 5) -> Tensor:
    denoiser = guide(fixed(clean), energy, scale, to_points=to_points, steps=steps)
    return denoiser(torch.zeros_like(clean), torch.tensor(sigma))


def some_mask(seed: int = 5) -> Tensor:
    return normal(FRAMES, POINTS, seed=seed) > 0


# The energies


def test_pin_is_the_negative_log_likelihood_of_the_pinned_points() -> None:
    points, target, mask = normal(2, FRAMES, POINTS, 3), normal(FRAMES, POINTS, 3, seed=1), some_mask()
    energy = pin(target.masked_fill(~mask[..., None], math.nan), mask, 0.3)(points)
    likelihood = torch.distributions.Normal(target, 0.3)
    expected = (likelihood.log_prob(target) - likelihood.log_prob(points)) * mask[..., None]
    torch.testing.assert_close(energy, expected.sum((1, 2, 3)))


def test_steady_bones_is_how_much_lengths_vary_in_what_is_valid() -> None:
    points, bones = normal(2, FRAMES, POINTS, 3), torch.tensor([[0, 1], [1, 3], [4, 2]])
    valid = torch.tensor([[True] * FRAMES, [True] * (FRAMES - 1) + [False]])
    found = steady_bones(bones, valid, .2)(points)
    for i, frames in enumerate((FRAMES, FRAMES - 1)):
        length = (points[i, :frames, bones[:, 0]] - points[i, :frames, bones[:, 1]]).norm(dim=-1)
        expected = frames * float(length.var(0, correction=0).sum()) / (2 * .2**2)
        assert float(found[i]) == pytest.approx(expected, rel=1e-4)
    stretched = points.clone()
    stretched[1, -1] *= 100  # padding
    torch.testing.assert_close(steady_bones(bones, valid, .2)(stretched), found)
    still = points[:, :1].expand(-1, FRAMES, -1, -1)
    assert float(steady_bones(bones, valid, .2)(still).max()) < 1e-8


def test_guided_samples_have_steadier_bones() -> None:
    clean, bones = normal(2, FRAMES, 3 * POINTS), torch.tensor([[0, 1], [2, 3]])
    valid = torch.ones(2, FRAMES, dtype=torch.bool)
    steadier = guided(clean, steady_bones(bones, valid, .05), sigma=1.)

    def varied(state: Tensor) -> Tensor:
        points = to_points(state)
        return (points[:, :, bones[:, 0]] - points[:, :, bones[:, 1]]).norm(dim=-1).std(1).mean()

    assert float(varied(steadier)) < .2 * float(varied(clean))
    assert bool(torch.isfinite(steadier).all())


def test_pins_may_differ_from_sample_to_sample_and_in_their_std() -> None:
    points, target = normal(2, FRAMES, POINTS, 3), normal(2, FRAMES, POINTS, 3, seed=1)
    mask, std = normal(2, FRAMES, POINTS, seed=2) > 0, normal(FRAMES, POINTS, seed=3).exp()
    together = pin(target, mask, std)(points)
    apart = [pin(target[i], mask[i], std)(points[i:i + 1])[0] for i in range(2)]
    torch.testing.assert_close(together, torch.stack(apart))
    by_hand = sum(float((points[0, t, k] - target[0, t, k]).square().sum() / (2 * std[t, k]**2))
                  for t in range(FRAMES) for k in range(POINTS) if mask[0, t, k])
    assert float(together[0]) == pytest.approx(by_hand, rel=1e-5)


def test_bone_length_by_hand() -> None:
    points = torch.tensor([[[[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [3.0, 4.0, 2.0]]]])
    bones, lengths = torch.tensor([[0, 1], [2, 1]]), torch.tensor([4.0, 2.5])
    energy = bone_length(bones, lengths, 0.5)(points)
    torch.testing.assert_close(energy, torch.tensor([(1.0**2 + 0.5**2) / (2 * 0.25)]))


def test_a_bone_of_no_length_does_not_break_the_gradient() -> None:
    clean = torch.zeros(1, 1, 6)
    energy = add(bone_length(torch.tensor([[0, 1]]), torch.tensor([1.0]), 0.1),
                 pin(torch.ones(1, 2, 3), torch.tensor([[True, False]]), 0.1))
    result = guided(clean, energy, 1.0)
    assert bool(result.isfinite().all())
    assert float(energy(to_points(result))) < float(energy(to_points(clean)))


def test_energies_add_up() -> None:
    points = normal(3, FRAMES, POINTS, 3)
    one = pin(torch.zeros(FRAMES, POINTS, 3), some_mask(), 1.0)
    other = pin(torch.ones(FRAMES, POINTS, 3), some_mask(6), 0.5)
    torch.testing.assert_close(add(one, other, one)(points), 2 * one(points) + other(points))
    with pytest.raises(ValueError, match="no energy"):
        add()


@pytest.mark.parametrize("std", [0.0, -1.0, math.nan])
def test_a_std_that_is_not_positive_is_refused(std: float) -> None:
    with pytest.raises(ValueError, match="std of a pin must be above 0"):
        pin(torch.zeros(FRAMES, POINTS, 3), some_mask(), std)
    with pytest.raises(ValueError, match="std of a bone length must be above 0"):
        bone_length(torch.tensor([[0, 1]]), torch.tensor([1.0]), std)


# Guidance by pins: closed forms


@given(sigma=st.floats(0.01, 100), std=st.floats(0.001, 30), scale=st.floats(0.1, 10), steps=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_pin_moves_points_to_their_posterior_mean_in_one_step(sigma: float, std: float, scale: float,
                                                                steps: int) -> None:
    clean, target, mask = normal(2, FRAMES, POINTS * 3), 3 * normal(FRAMES, POINTS, 3, seed=1), some_mask()
    result = guided(clean, pin(target, mask, std), sigma, scale, steps)
    variance = sigma**2 / (1 + sigma**2)
    share = variance / (variance + std**2 / scale)
    expected = to_points(clean) + share * (target - to_points(clean)) * mask[..., None]
    torch.testing.assert_close(to_points(result), expected, atol=5e-5, rtol=1e-5)


def hand_of(state: Tensor) -> Tensor:
    """Points of a state like the model's: scaled, the first absolute, two relative to it, the others to the second."""
    raw = to_points(state) * torch.tensor([2.0, 0.4, 0.3, 0.2, 0.1])[:, None]
    first = raw[..., :1, :]
    second = first + raw[..., 1:2, :]
    return torch.cat([first, second, first + raw[..., 2:3, :], second + raw[..., 3:, :]], dim=-2)


def exact_minimum(clean: Tensor, target: Tensor, mask: Tensor, std: Tensor, sigma: float) -> Tensor:
    """The minimum for a linear map, by the normal equations in float64."""
    variance = sigma**2 / (1 + sigma**2)
    basis = torch.eye(clean[0].numel()).reshape(-1, *clean.shape[1:])
    matrix = hand_of(basis).flatten(1).T.double()  # (frames * points * 3, features): the map has no constant
    weight = torch.where(mask, std.double()**-2, 0)[..., None].expand(-1, -1, 3).flatten()
    left = torch.eye(matrix.shape[1], dtype=torch.float64) / variance + (matrix.T * weight) @ matrix
    right = clean.double().flatten(1) / variance + (matrix.T @ (weight * target.double().flatten()))
    return torch.linalg.solve(left, right.T).T.reshape(clean.shape)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 3.0, 80.0])
@pytest.mark.parametrize("level", [0.01, 0.1, 1.0])
def test_pins_through_a_change_of_basis_come_to_the_exact_minimum(sigma: float, level: float) -> None:
    clean, target = normal(3, FRAMES, POINTS * 3), normal(FRAMES, POINTS, 3, seed=1)
    mask, std = torch.tensor([True, False, False, True, True]).expand(FRAMES, -1), torch.full((FRAMES, POINTS), level)
    denoiser = guide(fixed(clean), pin(target, mask, std), 1.0, to_points=hand_of)
    result = denoiser(torch.zeros_like(clean), torch.tensor(sigma)).double()
    torch.testing.assert_close(result, exact_minimum(clean, target, mask, std, sigma), atol=2e-3, rtol=2e-3)


def test_more_inner_steps_come_closer_where_pins_differ_in_their_std() -> None:
    clean, target, mask = normal(3, FRAMES, POINTS * 3), normal(FRAMES, POINTS, 3, seed=1), some_mask()
    std = 0.3 * normal(FRAMES, POINTS, seed=2).exp()
    exact = exact_minimum(clean, target, mask, std, 2.0)
    errors = []
    for steps in (1, 4, 16, 64):
        denoiser = guide(fixed(clean), pin(target, mask, std), 1.0, to_points=hand_of, steps=steps)
        errors.append(float((denoiser(torch.zeros_like(clean), torch.tensor(2.0)).double() - exact).abs().max()))
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[3] < 1e-3


@pytest.mark.parametrize("std", [0.05, 0.5, 2.0])
def test_pinned_samples_of_unit_data_have_the_exact_posterior(std: float) -> None:
    """For data N(0, 1) the assumption of `guide` is exact, so the guided sampler draws from the true posterior."""
    frames = 2000
    mask, target = torch.tensor([True, False]).expand(frames, 2), torch.full((frames, 2, 3), 1.5)
    denoiser = guide(lambda x, sigma: x / (1 + sigma**2), pin(target, mask, std), 1.0, to_points=to_points)
    # The grid must go well below the std: what is finer than the last level is not resolved.
    *_, end = sample(denoiser, initial_noise((frames, 6), [0], 80.0), karras_sigmas(100, 0.002, 80.0, 7.0))
    points = to_points(end.state)[0].double()
    posterior = std**2 / (1 + std**2)
    n = 3 * frames
    for k, (mean, variance) in enumerate([(1.5 / (1 + std**2), posterior), (0.0, 1.0)]):
        assert float(points[:, k].mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / n) + 1e-3)
        assert float(points[:, k].var()) == pytest.approx(variance, rel=5 * math.sqrt(2 / n) + 0.01)


# Guidance by other energies


@pytest.mark.parametrize("sigma", [0.05, 1.0, 80.0])
@pytest.mark.parametrize("std", [1e-4, 0.01, 1.0])
def test_bones_get_better_and_stay_finite(std: float, sigma: float) -> None:
    clean = normal(8, FRAMES, POINTS * 3)
    bones, lengths = torch.tensor([[0, 1], [1, 2], [1, 3], [3, 4]]), torch.tensor([0.5, 1.0, 2.0, 0.1])
    energy = bone_length(bones, lengths, std)
    before, after = energy(to_points(clean)), energy(to_points(guided(clean, energy, sigma)))
    assert bool((after < before).all())


def test_bones_trusted_fully_get_their_length() -> None:
    clean = normal(8, FRAMES, POINTS * 3)
    bones, lengths = torch.tensor([[0, 1], [1, 2], [1, 3], [3, 4]]), torch.tensor([0.5, 1.0, 2.0, 0.1])
    points = to_points(guided(clean, bone_length(bones, lengths, 0.01), 80.0, steps=30))
    got = (points[:, :, bones[:, 0]] - points[:, :, bones[:, 1]]).norm(dim=-1)
    torch.testing.assert_close(got, lengths.expand_as(got), atol=0.02, rtol=0)


def test_one_bone_alone_has_the_closed_form_of_a_spring() -> None:
    """Along the bone the problem is one Gaussian against another: both ends move by the same, its middle stays."""
    clean, sigma, std = torch.tensor([[[0.0, 0.0, 0.0, 0.0, 2.0, 0.0]]]), 2.0, 0.3
    energy = bone_length(torch.tensor([[0, 1]]), torch.tensor([1.0]), std)
    result = to_points(guided(clean, energy, sigma, steps=1))[0, 0]
    variance = 2 * sigma**2 / (1 + sigma**2)  # of a difference of two coordinates
    length = 2 + variance / (variance + std**2) * (1.0 - 2.0)
    torch.testing.assert_close(result[:, 1], torch.tensor([1 - length / 2, 1 + length / 2]), atol=1e-5, rtol=0)
    assert not result[:, [0, 2]].any()


def test_an_energy_without_curvature_moves_the_estimate_by_its_gradient() -> None:
    clean, sigma = normal(2, FRAMES, POINTS * 3), 0.7
    result = guided(clean, lambda points: 3.0 * points[..., 1].sum((1, 2)), sigma)
    moved = to_points(result - clean)
    torch.testing.assert_close(moved[..., 1], torch.full_like(moved[..., 1], -3.0 * sigma**2 / (1 + sigma**2)))
    assert not moved[..., [0, 2]].any()


def test_an_energy_that_curves_downwards_is_followed_down_and_stays_finite() -> None:
    clean = 0.1 * normal(4, FRAMES, POINTS * 3)

    def double_well(points: Tensor) -> Tensor:
        return 50 * (points.square() - 1).square().sum((1, 2, 3))

    result = guided(clean, double_well, 80.0, steps=20)
    assert bool((double_well(to_points(result)) < 0.2 * double_well(to_points(clean))).all())


# What guidance must not depend on


@pytest.mark.parametrize("energy", [
    pin(normal(FRAMES, POINTS, 3, seed=1), some_mask(), 0.1),
    bone_length(torch.tensor([[0, 1], [1, 2], [1, 3]]), torch.tensor([0.5, 1.0, 2.0]), 0.05),
])
def test_the_strength_does_not_depend_on_the_batch(energy: Energy) -> None:
    clean = normal(6, FRAMES, POINTS * 3) * torch.logspace(-2, 2, 6)[:, None, None]
    together = guided(clean, energy, 1.0)
    for i in range(6):
        torch.testing.assert_close(together[i:i + 1], guided(clean[i:i + 1], energy, 1.0), atol=1e-5, rtol=1e-4)


def test_no_gradient_goes_through_the_network() -> None:
    weight = torch.ones((), requires_grad=True)

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        return weight * x

    energy = pin(torch.zeros(FRAMES, POINTS, 3), some_mask(), 0.1)
    result = guide(denoiser, energy, 1.0, to_points=to_points)(normal(1, FRAMES, POINTS * 3), torch.tensor(1.0))
    assert not result.requires_grad


def test_the_estimate_of_the_network_is_not_changed_in_place() -> None:
    clean = normal(1, FRAMES, POINTS * 3)
    copy = clean.clone()
    guided(clean, pin(torch.zeros(FRAMES, POINTS, 3), some_mask(), 0.1), 1.0)
    assert torch.equal(clean, copy)


def test_a_scale_of_zero_is_the_denoiser_itself() -> None:
    denoiser = fixed(torch.zeros(1, FRAMES, POINTS * 3))
    assert guide(denoiser, pin(torch.zeros(FRAMES, POINTS, 3), some_mask(), 1.0), 0.0, to_points=to_points) is denoiser


def test_bad_arguments_are_refused() -> None:
    clean, energy = torch.zeros(2, FRAMES, POINTS * 3), pin(torch.zeros(FRAMES, POINTS, 3), some_mask(), 1.0)
    for scale in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="scale of an energy"):
            guided(clean, energy, 1.0, scale)
    with pytest.raises(ValueError, match="inner step"):
        guided(clean, energy, 1.0, steps=0)
    with pytest.raises(ValueError, match=r"2 values, one a sample, not \(\)"):
        guided(clean, lambda points: points.sum(), 1.0)
    with pytest.raises(ValueError, match="not finite"):
        guided(clean, lambda points: points.sum((1, 2, 3)) * math.nan, 1.0)


def test_a_sample_that_has_arrived_costs_and_changes_no_more() -> None:
    """A pin needs one step and one look at its slope; with a harder sample beside it, it stays where it was."""
    looks = 0
    energy = pin(torch.zeros(FRAMES, POINTS, 3), some_mask(), 0.5)

    def counted(points: Tensor) -> Tensor:
        nonlocal looks
        looks += 1
        return energy(points)

    clean = normal(2, FRAMES, POINTS * 3)
    easy = guided(clean[:1], counted, 1.0, steps=100)
    assert looks <= 4

    def mixed(points: Tensor) -> Tensor:
        return torch.cat([energy(points[:1]), (points[1:]**4).sum((1, 2, 3))])

    both = guided(clean, mixed, 1.0, steps=100)
    torch.testing.assert_close(both[:1], easy, atol=1e-6, rtol=0)


# What the estimate is expected to be off by, and the gradient through the network


@pytest.mark.parametrize("through", [False, True])
def test_a_pin_of_a_gaussian_is_its_posterior(through: bool) -> None:
    """Whatever std each coordinate has, and whichever way the gradient takes."""
    std = normal(1, FRAMES, 3 * POINTS, seed=3).exp()
    x, target = 2 * normal(2, FRAMES, 3 * POINTS), normal(FRAMES, 3 * POINTS, seed=1)
    sigma, known = torch.tensor(.8), .4
    mask = torch.ones(FRAMES, POINTS, dtype=torch.bool)

    def gaussian(state: Tensor, level: Tensor) -> Tensor:
        return state * std**2 / (std**2 + level**2)

    denoiser = guide(gaussian, pin(to_points(target), mask, known), 1., to_points=to_points, steps=60, std=std,
                     through=through)
    precision = 1 / std**2 + 1 / sigma**2 + 1 / known**2
    torch.testing.assert_close(denoiser(x, sigma), (x / sigma**2 + target / known**2) / precision, atol=1e-3, rtol=1e-3)


def test_through_the_network_others_go_along() -> None:
    """Where the network knows that two coordinates are the same, pulling one of them moves both."""
    def same(state: Tensor, level: Tensor) -> Tensor:
        return state.mean(-1, keepdim=True).expand_as(state) * state.shape[-1] / (state.shape[-1] + level**2)

    state, mask = torch.zeros(1, 1, 6), torch.tensor([[True, False]])
    energy = pin(torch.ones(1, 2, 3), mask, .1)
    beside, along = (guide(same, energy, 1., to_points=to_points, steps=30, through=through)(state, torch.tensor(1.))
                     for through in (False, True))
    assert (beside[0, 0, :3] > .9).all()
    assert (beside[0, 0, 3:] == 0).all()
    assert (along > .9).all()
