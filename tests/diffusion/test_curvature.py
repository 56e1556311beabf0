"""Curvatures against differentiation, solutions against linear algebra, guidance by them against closed forms."""
from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pose_diffusion.cameras import Camera, project
from pose_diffusion.diffusion.curvature import Expansion, Linear, differentiated, dot, expand, solve, times
from pose_diffusion.diffusion.energy import Lengths, add, body_size, bone_length, guide, steady_bones
from pose_diffusion.diffusion.reprojection import Reprojection, reprojection, student

FRAMES, POINTS = 4, 5
BONES = torch.tensor([[0, 1], [1, 3], [4, 2]])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bones(std: float = .2) -> Lengths:
    valid = torch.tensor([[True] * FRAMES, [True] * (FRAMES - 1) + [False]])
    energy = steady_bones(BONES, valid, std)
    assert isinstance(energy, Lengths)
    return energy


def matrix_of(function: object, like: Tensor) -> Tensor:
    """The matrix of a linear map of one sample's tensors."""
    assert callable(function)
    eye = torch.eye(like.numel(), dtype=like.dtype).view(-1, *like.shape[1:])
    return torch.stack([function(row[None]).flatten() for row in eye])


def test_steady_bones_know_their_slope() -> None:
    points = normal(2, FRAMES, POINTS, 3)
    energy = bones()
    own, found = energy.expand(points), expand(energy.__call__, points)
    torch.testing.assert_close(own.value, found.value)
    torch.testing.assert_close(own.slope, found.slope)


def test_the_curvature_of_bones_that_are_steady_is_the_hessian() -> None:
    points = normal(2, 1, POINTS, 3).expand(-1, FRAMES, -1, -1).clone()
    direction = normal(2, FRAMES, POINTS, 3, seed=1)
    energy = bones()
    torch.testing.assert_close(energy.expand(points).bend(direction), expand(energy.__call__, points).bend(direction),
                               rtol=1e-5, atol=1e-5)


def test_a_body_of_the_usual_size_costs_nothing_and_one_twice_as_large_what_its_stds_say() -> None:
    points = normal(1, 1, POINTS, 3).expand(-1, FRAMES, -1, -1).clone()
    lengths = (points[0, 0, BONES[:, 0]] - points[0, 0, BONES[:, 1]]).norm(dim=-1)
    energy = body_size(BONES, lengths, FRAMES, .2, .05)
    assert float(energy(points)) == pytest.approx(0, abs=1e-9)
    assert float(energy(2 * points)) == pytest.approx((3 / .2**2 + 1 / .05**2) / 2)
    other = normal(2, FRAMES, POINTS, 3, seed=1)
    assert isinstance(energy, Lengths)
    own, found = energy.expand(other), expand(energy.__call__, other)
    torch.testing.assert_close(own.slope, found.slope)
    direction = normal(1, FRAMES, POINTS, 3, seed=2)  # without errors Gauss-Newton's curvature is the Hessian
    torch.testing.assert_close(energy.expand(points).bend(direction), expand(energy.__call__, points).bend(direction))


def seen(points: Tensor, off: float, robust: bool = False) -> Reprojection:
    """What a camera saw of points, so many pixels off."""
    camera = Camera(torch.full((1, 2), 800.), torch.full((1, 2), 300.), torch.eye(3)[None],
                    torch.tensor([[0., 0., 6.]]), torch.full((1, 2), 600.), torch.tensor([[-.1, .02, 0., .001, 0.]]))
    camera = Camera(*(value.double() for value in vars(camera).values()))
    pixels = project(camera, points) + off * normal(*points.shape[:-1], 2, seed=3)
    confidence = torch.ones(points.shape[:-1], dtype=points.dtype)
    confidence[:, 0, 1], confidence[:, 1, 2] = 0, .3
    pixels[:, 0, 1] = math.nan
    spread = torch.eye(2).double().expand(*points.shape[:-1], 2, 2) * torch.tensor([4., 25.]).double()
    energy = reprojection(lambda p: project(camera, p), pixels, confidence, spread, student(4) if robust else None)
    assert isinstance(energy, Reprojection)
    return energy


@pytest.mark.parametrize("robust", [False, True])
def test_a_reprojection_is_the_squares_of_its_errors(robust: bool) -> None:
    points = normal(2, FRAMES, POINTS, 3)
    energy = seen(points, 8., robust)
    value, errors, rows = energy.linearised(points)
    found = expand(energy, points)
    torch.testing.assert_close(value, found.value)
    torch.testing.assert_close((errors[..., None] * rows).sum(-2), found.slope)


def test_the_curvature_of_a_reprojection_without_errors_is_the_hessian() -> None:
    points, direction = normal(2, FRAMES, POINTS, 3), normal(2, FRAMES, POINTS, 3, seed=1)
    energy = seen(points, 0.)
    _, _, rows = energy.linearised(points)
    bent = times(rows.transpose(-1, -2) @ rows, direction)
    torch.testing.assert_close(bent, expand(energy, points).bend(direction))


def test_the_expansion_of_a_sum_is_the_sum() -> None:
    points, direction = normal(1, FRAMES, POINTS, 3), normal(1, FRAMES, POINTS, 3, seed=1)
    one, other = bone_length(BONES, torch.ones(3).double(), .5), bone_length(BONES[:1], torch.ones(1).double(), .1)
    both, found = expand(one, points) + expand(other, points), expand(add(one, other), points)
    for a, b in ((both.value, found.value), (both.slope, found.slope), (both.bend(direction), found.bend(direction))):
        torch.testing.assert_close(a, b)


def test_an_energy_without_curvature_bends_nothing() -> None:
    points = normal(1, FRAMES, POINTS, 3)
    around = expand(lambda p: p.flatten(1).sum(1), points)
    assert not bool(around.bend(points).any())
    assert bool((around.slope == 1).all())


def test_an_energy_that_is_the_same_everywhere_has_no_slope() -> None:
    points = torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(0))
    around = expand(lambda points: torch.full((len(points),), 3.), points)
    assert around.value.tolist() == [3, 3]
    assert not around.slope.any()
    assert not around.bend(points).any()


def test_conjugate_gradients_find_each_samples_solution() -> None:
    root = normal(3, 6, 6)
    matrix, right = root @ root.transpose(1, 2) + torch.eye(6), normal(3, 6, seed=1)

    def product(x: Tensor) -> Tensor:
        return (matrix[:len(x)] @ x[..., None])[..., 0]

    found = solve(product, right, 6, 0.)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right))
    torch.testing.assert_close(solve(product, right[:1], 6, 0.), found[:1])
    near = solve(product, right, 6, .5)
    assert bool((dot(product(near) - right, product(near) - right) <= .25 * dot(right, right)).all())


def test_they_end_where_the_curvature_is_not_positive() -> None:
    curve = torch.tensor([1., 1., -5.]).double()
    found = solve(lambda x: curve * x, torch.ones(1, 3).double(), 10, 0.)
    assert bool((found == 0).all())  # the first direction already points downwards for ever


def test_the_derivative_of_a_function_and_its_transpose() -> None:
    at = normal(1, 4)
    value, linear = differentiated(lambda x: torch.stack([x[:, 0] * x[:, 1], x[:, 2].sin() + x[:, 3]], dim=1), at)
    expected = torch.tensor([[at[0, 1], at[0, 0], 0, 0], [0, 0, at[0, 2].cos(), 1]]).double()
    torch.testing.assert_close(value, torch.tensor([[at[0, 0] * at[0, 1], at[0, 2].sin() + at[0, 3]]]).double())
    torch.testing.assert_close(matrix_of(linear.ahead, at).T, expected)
    torch.testing.assert_close(matrix_of(linear.back, value), expected)


class Pin:
    """Known points, with a curvature: what guidance makes of it has a closed form."""

    def __init__(self, target: Tensor, std: float):
        self.target, self.std = target, std

    def __call__(self, points: Tensor) -> Tensor:
        return ((points - self.target) / self.std).square().sum((1, 2, 3)) / 2

    def expand(self, points: Tensor) -> Expansion:
        return Expansion(self(points), (points - self.target) / self.std**2, lambda d: d / self.std**2)


@pytest.mark.parametrize("known", [False, True])  # whether guidance is told how points move
def test_with_mixed_noise_a_pin_gives_the_posterior_of_mixed_errors(known: bool) -> None:
    clean, target = normal(2, FRAMES, POINTS * 3).float(), normal(2, FRAMES, POINTS, 3, seed=1).float()
    sigma, std = 2., .7
    mixing = normal(POINTS * 3, POINTS * 3, seed=2).float() / 4
    mix = Linear(lambda white: white[:, 1:-1] @ mixing,
                 lambda noise: torch.nn.functional.pad(noise @ mixing.T, (0, 0, 1, 1)))
    moves = Linear(lambda state: state.unflatten(-1, (-1, 3)), lambda points: points.flatten(2)) if known else None
    denoiser = guide(lambda x, level: clean, Pin(target, std), 1., to_points=lambda u: u.unflatten(-1, (-1, 3)),
                     moves=moves, mix=mix, margin=1, steps=3)
    found = denoiser(torch.zeros_like(clean), torch.tensor(sigma))
    covariance = sigma**2 / (1 + sigma**2) * mixing.T @ mixing
    gain = covariance @ torch.linalg.inv(covariance + std**2 * torch.eye(POINTS * 3))
    expected = clean + (target.flatten(2) - clean) @ gain.T
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-2)
