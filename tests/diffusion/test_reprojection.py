"""The energies of lifting: likelihoods by hand, gradients by differences, nothing from what is missing, any batch."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pose_diffusion.cameras import Camera, position, project, to_camera
from pose_diffusion.diffusion.energy import Energy, add, guide
from pose_diffusion.diffusion.reprojection import (
    geman_mcclure,
    ground,
    heatmaps,
    in_front,
    reprojection,
    smooth,
    student,
)
from tests.test_cameras import some_cameras

BATCH, FRAMES, POINTS = 3, 4, 5


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def bodies(batch: int = BATCH) -> Tensor:
    return torch.tensor([0., .85, 0.]) + .3 * normal(batch, FRAMES, POINTS, 3, seed=1)


def one_camera() -> Camera:
    return some_cameras(1)


def seen_by(camera: Camera) -> Callable[[Tensor], Tensor]:
    return lambda points: project(camera, points)


def flat(points: Tensor) -> Tensor:
    """A camera that drops the depth: pixels are metres."""
    return points[..., :2]


def heat(at: Tensor, size: int, cell: float) -> Tensor:
    """Gaussian blobs of a std of 1.5 cells around pixels `(..., 2)`."""
    axis = torch.arange(size) * cell
    x, y = at[..., 0, None, None] - axis, at[..., 1, None, None] - axis[:, None]
    return (-(x**2 + y**2) / (2 * (1.5 * cell)**2)).exp()


def every_energy() -> dict[str, Energy]:
    camera, truth = one_camera(), bodies(1)[0]
    pixels = project(camera, truth[None])[0]
    confidence = torch.rand(FRAMES, POINTS, generator=torch.Generator().manual_seed(2))
    lower = normal(FRAMES, POINTS, 2, 2, seed=3)
    covariance = lower @ lower.transpose(-1, -2) * 30 + 5 * torch.eye(2)
    maps = heat(torch.rand(FRAMES, POINTS, 2) * 12 + 2, 16, 1.)
    return {
        "std": reprojection(seen_by(camera), pixels + 5, confidence, 3.),
        "covariance": reprojection(seen_by(camera), pixels + 5, confidence, covariance),
        "student": reprojection(seen_by(camera), pixels + 5, confidence, 3., student(4)),
        "geman_mcclure": reprojection(seen_by(camera), pixels + 5, confidence, 3., geman_mcclure(3)),
        "heatmaps": heatmaps(lambda points: 4 + 6 * flat(points), maps, torch.zeros(2), 1.),
        "in_front": in_front(lambda points: to_camera(camera, points)[..., 2], 3., .1),
        "ground": ground([0, 1], torch.tensor([.08, .05]), .02, level=.7, slip=.1, fps=25.),
        "smooth": smooth(torch.linspace(1, 5, POINTS), 25.),
    }


ENERGIES = list(every_energy())


@pytest.mark.parametrize("name", ENERGIES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    energy, points = every_energy()[name], bodies(1)
    points.requires_grad_()
    (slope,) = torch.autograd.grad(energy(points).sum(), points)
    way = normal(*points.shape, seed=4)
    step = 1e-3
    with torch.no_grad():
        change = (energy(points + step * way) - energy(points - step * way)) / (2 * step)
    assert float(slope.abs().max()) > 0
    assert float((slope * way).sum()) == pytest.approx(float(change.sum()), rel=.02, abs=.02)


@pytest.mark.parametrize("name", ENERGIES)
def test_each_sample_has_its_own_value_whatever_the_batch(name: str) -> None:
    energy, points = every_energy()[name], bodies()
    together = energy(points)
    assert together.shape == (BATCH,)
    for i in range(BATCH):
        torch.testing.assert_close(energy(points[i:i + 1])[0], together[i], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ENERGIES)
def test_energies_guide(name: str) -> None:
    """`guide` needs second derivatives; each energy comes down, and the samples stay finite."""
    energy, clean = every_energy()[name], bodies().flatten(2)
    denoiser = guide(lambda x, sigma: clean, energy, 1., to_points=lambda c: c.unflatten(-1, (-1, 3)), steps=15)
    result = denoiser(torch.zeros_like(clean), torch.tensor(1.)).unflatten(-1, (-1, 3))
    before, after = energy(clean.unflatten(-1, (-1, 3))), energy(result)
    assert bool(result.isfinite().all())
    assert bool((after < before).all())


# Reprojection


def test_reprojection_is_a_negative_log_likelihood() -> None:
    points, pixels = bodies(), normal(BATCH, FRAMES, POINTS, 2, seed=5)
    lower = normal(FRAMES, POINTS, 2, 2, seed=6)
    covariance = lower @ lower.transpose(-1, -2) + torch.eye(2)
    found = reprojection(flat, pixels, torch.ones(FRAMES, POINTS), covariance)(points)
    likelihood = torch.distributions.MultivariateNormal(pixels, covariance)
    expected = (likelihood.log_prob(pixels) - likelihood.log_prob(flat(points))).sum((1, 2))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    isotropic = reprojection(flat, pixels, torch.ones(FRAMES, POINTS), 2.)(points)
    same = reprojection(flat, pixels, torch.ones(FRAMES, POINTS), (4 * torch.eye(2)).expand(1, 1, 2, 2))(points)
    torch.testing.assert_close(isotropic, same)
    torch.testing.assert_close(isotropic, (flat(points) - pixels).square().sum((1, 2, 3)) / 8)


def test_robust_errors_are_those_of_student_and_bounded() -> None:
    points, pixels = torch.zeros(1, 1, 1, 3), torch.zeros(1, 1, 2)
    one = torch.ones(1, 1)
    for freedom in (1., 4., 30.):
        energy = reprojection(flat, pixels, one, 2., student(freedom))
        for error in (0., 1., 7., 1e4):
            moved = points + torch.tensor([error, 0., 0.])
            # A Student-t distribution in the plane: (1 + e ** 2 / freedom) ** -(freedom + 2) / 2.
            expected = (freedom + 2) / 2 * math.log1p((error / 2)**2 / freedom)
            assert float(energy(moved)) == pytest.approx(expected, rel=1e-5)
    bounded = reprojection(flat, pixels, one, 2., geman_mcclure(3.))
    assert float(bounded(points + 1e6)) == pytest.approx(9 / 2, rel=1e-4)
    near = torch.tensor([[[[.1, 0., 0.]]]])
    assert float(bounded(near)) == pytest.approx(float(reprojection(flat, pixels, one, 2.)(near)), rel=1e-3)


def test_an_outlier_pulls_less_than_it_would() -> None:
    pixels = torch.zeros(1, 10, 2)
    pixels[0, 0] = 100.
    points = torch.zeros(1, 1, 10, 3, requires_grad=True)
    pulls = []
    for robust in (None, student(4), geman_mcclure(3)):
        energy = reprojection(lambda p: p[..., :2].mean(2, keepdim=True).expand(-1, -1, 10, -1), pixels,
                              torch.ones(1, 10), 1., robust)
        (slope,) = torch.autograd.grad(energy(points).sum(), points)
        pulls.append(float(slope.abs().sum()))
    assert pulls[0] > 100 * pulls[1] > 100 * pulls[2]


def test_confidence_is_a_share_of_an_observation_and_adds_up() -> None:
    points, pixels = bodies(), normal(FRAMES, POINTS, 2, seed=5)
    full = reprojection(flat, pixels, torch.ones(FRAMES, POINTS), .1)(points)
    half = reprojection(flat, pixels, torch.full((FRAMES, POINTS), .5), .1)
    torch.testing.assert_close(add(half, half)(points), full)


def test_missing_points_say_nothing_even_if_they_are_nan() -> None:
    points = bodies().requires_grad_()
    pixels, confidence = normal(FRAMES, POINTS, 2, seed=5), torch.ones(FRAMES, POINTS)
    lost = torch.zeros(FRAMES, POINTS, dtype=torch.bool)
    lost[1, 2] = lost[3] = True
    covariance = torch.eye(2).expand(FRAMES, POINTS, 2, 2).clone()
    pixels[lost], covariance[lost], confidence[lost] = math.nan, math.nan, math.nan
    std = torch.where(lost, math.nan, 1.)
    for spread in (covariance, std):
        for robust in (None, student(4), geman_mcclure(3)):
            (slope,) = torch.autograd.grad(reprojection(flat, pixels, confidence, spread, robust)(points).sum(), points)
            assert not slope[:, lost].any()
            assert bool(slope.isfinite().all())
            assert bool(slope[:, ~lost][..., :2].any())


def test_two_views_tell_the_depth_that_one_does_not() -> None:
    truth, cameras = bodies(1), (some_cameras(1, seed=3), some_cameras(1, seed=4))
    one, other = (reprojection(seen_by(camera), project(camera, truth)[0], torch.ones(FRAMES, POINTS), 2.)
                  for camera in cameras)
    farther = truth + .3 * (truth - position(cameras[0]))  # on the same rays
    assert float(one(farther)) < 1e-3
    assert float(add(one, other)(farther)) > 100
    assert float(add(one, other)(truth)) < 1e-3


def test_bodies_behind_the_camera_are_brought_to_the_front() -> None:
    camera = replace(one_camera(), rotation=torch.eye(3)[None], translation=torch.zeros(1, 3))
    truth = bodies(1) + torch.tensor([0., -.85, 3.])
    energy = add(reprojection(seen_by(camera), project(camera, truth)[0], torch.ones(FRAMES, POINTS), 5.),
                 in_front(lambda points: to_camera(camera, points)[..., 2], .5, .01))
    start = (bodies(1) + torch.tensor([0., -.85, -.5])).flatten(2)
    denoiser = guide(lambda x, sigma: start, energy, 1., to_points=lambda c: c.unflatten(-1, (-1, 3)), steps=200)
    found = denoiser(torch.zeros_like(start), torch.tensor(50.)).unflatten(-1, (-1, 3))
    assert float(to_camera(camera, found)[..., 2].min()) > .4


def test_bad_observations_are_refused() -> None:
    pixels, ones = torch.zeros(FRAMES, POINTS, 2), torch.ones(FRAMES, POINTS)
    with pytest.raises(ValueError, match="confidence"):
        reprojection(flat, pixels, -ones, 1.)
    for std in (0., -1., math.nan):
        with pytest.raises(ValueError, match="std of a seen point"):
            reprojection(flat, pixels, ones, std)
    with pytest.raises(ValueError, match="positive definite"):
        reprojection(flat, pixels, ones, torch.tensor([[1., 2.], [2., 1.]]).expand(1, 1, 2, 2))
    with pytest.raises(ValueError, match="degrees of freedom"):
        student(0)
    with pytest.raises(ValueError, match="limit"):
        geman_mcclure(-1)


# Heatmaps


def at_pixels(points: Tensor) -> Tensor:
    return points[..., :2]


def test_a_gaussian_heatmap_is_a_gaussian_observation() -> None:
    """A map of a Gaussian has, up to a constant, the energy of a reprojection with its std, in and between cells."""
    target = torch.tensor([[[30., 34.]]])
    energy = heatmaps(at_pixels, heat(target, 16, 4.), torch.zeros(2), 4., outlier=1e-12)
    exact = reprojection(at_pixels, target, torch.ones(1, 1), 6.)
    places = torch.tensor([30., 34., 0.]) + 9 * normal(200, 1, 1, 3, seed=7).clamp(-1, 1)
    constant = energy(torch.tensor([[[[30., 34., 0.]]]]))
    torch.testing.assert_close(energy(places) - constant, exact(places), atol=.02, rtol=.02)


def test_cells_have_their_own_values_and_the_origin_is_the_middle_of_the_first() -> None:
    likelihood = torch.rand(1, 1, 6, 7, generator=torch.Generator().manual_seed(1)) + .1
    energy = heatmaps(at_pixels, likelihood, torch.tensor([2., 3.]), 5., outlier=1e-9)
    share = likelihood / likelihood.sum()
    for row, column in ((0, 0), (2, 3), (5, 6), (5, 0)):
        place = torch.tensor([[[[2. + 5 * column, 3. + 5 * row, 0.]]]])
        assert float(energy(place)) == pytest.approx(-math.log(float(share[0, 0, row, column])), rel=1e-4)


def test_outside_the_map_the_energy_grows_with_the_distance_and_leads_back() -> None:
    energy = heatmaps(at_pixels, heat(torch.tensor([[[8., 8.]]]), 16, 1.), torch.zeros(2), 1., falloff=2.)
    places = torch.tensor([[[[16.]]], [[[20.]]], [[[1000.]]]]) * torch.tensor([1., 0., 0.]) + torch.tensor([0., 8., 0.])
    places.requires_grad_()
    values = energy(places)
    (slope,) = torch.autograd.grad(values.sum(), places)
    values = values.detach()
    assert bool(values.isfinite().all())
    assert bool((values.diff() > 0).all())
    assert bool((slope[..., 0] > 0).all())
    assert float(values[2] - values[1]) == pytest.approx(((1000 - 15)**2 - (20 - 15)**2) / 8, rel=1e-4)


def test_a_map_without_heat_says_nothing_and_two_peaks_are_two_hypotheses() -> None:
    maps = torch.zeros(1, 2, 16, 16)
    maps[0, 0] = heat(torch.tensor([4., 8.]), 16, 1.) + heat(torch.tensor([12., 8.]), 16, 1.)
    energy = heatmaps(at_pixels, maps, torch.zeros(2), 1.)
    points = torch.tensor([[[[4., 8., 0.], [3., 3., 0.]]], [[[12., 8., 0.], [99., 3., 0.]]]], requires_grad=True)
    values = energy(points)
    assert float(values.detach().diff()) == pytest.approx(0, abs=1e-5)
    (slope,) = torch.autograd.grad(values.sum(), points)
    assert not slope[:, :, 1].any()
    between = energy(torch.tensor([[[[8., 8., 0.], [3., 3., 0.]]]]))
    assert float(between) > float(values.detach()[0]) + 2


def test_each_sample_may_have_maps_of_its_own() -> None:
    maps = torch.rand(BATCH, FRAMES, POINTS, 6, 7, generator=torch.Generator().manual_seed(1))
    points = 3 + normal(BATCH, FRAMES, POINTS, 3, seed=8)
    together = heatmaps(at_pixels, maps, torch.zeros(2), 1.)(points)
    for i in range(BATCH):
        alone = heatmaps(at_pixels, maps[i], torch.zeros(2), 1.)(points[i:i + 1])
        torch.testing.assert_close(alone[0], together[i])


def test_bad_heatmaps_are_refused() -> None:
    good = torch.ones(1, 1, 4, 4)
    for maps in (-good, good[..., :3], good[0], torch.full_like(good, math.nan)):
        with pytest.raises(ValueError, match="heatmaps must have"):
            heatmaps(at_pixels, maps, torch.zeros(2), 1.)
    for outlier in (0., 1., math.nan):
        with pytest.raises(ValueError, match="outlier"):
            heatmaps(at_pixels, good, torch.zeros(2), 1., outlier=outlier)
    with pytest.raises(ValueError, match="cell"):
        heatmaps(at_pixels, good, torch.zeros(2), 0.)
    with pytest.raises(ValueError, match="falloff"):
        heatmaps(at_pixels, good, torch.zeros(2), 1., falloff=0.)


# The ground and the laws of motion


def feet(*heights: float) -> Tensor:
    """One foot, a frame for each height."""
    points = torch.zeros(1, len(heights), 1, 3)
    points[0, :, 0, 1] = torch.tensor(heights)
    return points


def test_feet_below_the_ground_cost_by_their_depth() -> None:
    energy = ground([0], torch.tensor([.08]), .02)
    assert float(energy(feet(.08, .5, 2.))) == 0
    assert float(energy(feet(.04, .02))) == pytest.approx((2**2 + 3**2) / 2, rel=1e-5)
    raised = ground([0], torch.tensor([.08]), .02, level=torch.tensor([1.]))
    assert float(raised(feet(1.04))) == pytest.approx(2, rel=1e-4)


def test_feet_that_stand_do_not_slide_and_feet_in_the_air_may() -> None:
    energy = ground([0], torch.tensor([.08]), .02, slip=.5, reach=.05, fps=10.)

    def sliding(height: float) -> float:
        points = feet(height, height)
        points[0, 1, 0, 0], points[0, 1, 0, 2] = .03, .04  # .5 m/s
        return float(energy(points))

    assert sliding(.08) == pytest.approx(.5, rel=1e-5)
    assert sliding(.13) == pytest.approx(.25, rel=1e-5)
    assert sliding(.5) < 1e-3
    assert sliding(.08) > sliding(.1) > sliding(.2)
    rising = feet(.08, .3)
    assert float(energy(rising)) == 0
    assert energy(feet(.08)).shape == (1,)


def test_a_constant_velocity_is_smooth_and_an_acceleration_is_in_metres_per_second_squared() -> None:
    t = torch.arange(6.)[None, :, None, None] / 25
    energy = smooth(2., 25.)
    assert float(energy((3 * t).expand(1, 6, 2, 3))) < 1e-4
    falling = torch.cat([torch.zeros(1, 6, 1, 1), -9.81 / 2 * t**2, torch.zeros(1, 6, 1, 1)], dim=-1)
    assert float(energy(falling)) == pytest.approx(4 * (9.81 / 2)**2 / 2, rel=1e-2)
    for frames in (1, 2):
        assert float(energy(normal(1, frames, 2, 3)).abs()) == 0


def test_bad_numbers_are_refused() -> None:
    for wrong in ({"std": 0.}, {"std": 1., "slip": 0.}, {"std": 1., "reach": -1.}, {"std": 1., "fps": 0.}):
        with pytest.raises(ValueError, match="above 0"):
            ground([0], torch.zeros(1), **wrong)
    with pytest.raises(ValueError, match="std of an acceleration"):
        smooth(0., 25.)
    with pytest.raises(ValueError, match="fps"):
        smooth(1., 0.)
    with pytest.raises(ValueError, match="std"):
        in_front(lambda points: points[..., 2], 1., 0.)
