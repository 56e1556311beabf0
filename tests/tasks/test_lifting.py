"""What pictures say of bodies: as observations, and as an energy with the root placed in closed form."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pose_diffusion.cameras import project, to_camera
from pose_diffusion.diffusion.curvature import expand
from pose_diffusion.diffusion.reprojection import student
from pose_diffusion.tasks.lifting import View, flat_observation, lift_energy, towards, turned, turned_back, upright
from tests.tasks.lifting import camera, own_frame, walker

ONES = torch.ones(1, 24, 17)


@pytest.fixture
def seen() -> tuple[torch.Tensor, torch.Tensor]:
    """The walker in the camera's frame ``(1, T, 17, 3)``, and in its picture ``(1, T, 17, 2)``."""
    return to_camera(camera(), walker()), project(camera(), walker())


def test_a_picture_tells_x_and_y_nearly(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    xyz, pixels = seen
    flat = flat_observation(pixels, ONES, 5., camera(), 25.)
    truth = turned(flat.turn, xyz - xyz[:, :, :1])
    assert (flat.xyz - truth)[..., :2].norm(dim=-1).mean() < .04
    assert not flat.axes[..., 2].any()
    assert flat.axes[..., :2].all()
    assert (flat.depth / xyz[:, :, 0, 2]).log().abs().max() < .15
    torch.testing.assert_close(flat.noise, (5 / 1000 * flat.depth)[..., None].expand(-1, -1, 17))


def test_missing_points_are_not_known_and_may_be_nan(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    _, pixels = seen
    confidence = ONES.clone()
    confidence[:, 5:9] = 0
    confidence[:, :, 0] = 0
    flat = flat_observation(torch.where(confidence[..., None] > 0, pixels, torch.nan), confidence, 5., camera(), 25.)
    assert all(bool(value.isfinite().all()) for value in vars(flat).values())
    assert torch.equal(flat.axes[..., 0], confidence > 0)
    assert (flat.xyz[~flat.axes] == 0).all()
    whole = flat_observation(pixels, ONES, 5., camera(), 25.)
    assert (flat.depth / whole.depth).log().abs().max() < .1  # the gap is bridged


def test_nothing_seen_at_all_is_four_metres_away() -> None:
    flat = flat_observation(torch.full((1, 3, 17, 2), torch.nan), torch.zeros(1, 3, 17), 5., camera(), 25.)
    torch.testing.assert_close(flat.depth, torch.full((1, 3), 4.))


def test_a_batch_is_its_samples(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    _, pixels = seen
    both = flat_observation(torch.cat([pixels, pixels / 2]), ONES.expand(2, -1, -1), 5., camera(), 25.)
    for i, one in enumerate((pixels, pixels / 2)):
        for name, value in vars(flat_observation(one, ONES, 5., camera(), 25.)).items():
            torch.testing.assert_close(getattr(both, name)[i:i + 1], value, msg=name)


def test_turns_bring_rays_straight_ahead() -> None:
    plane = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    turn = towards(plane)
    ray = torch.cat([plane, torch.ones(50, 1)], dim=-1)
    ahead = (turn @ ray[..., None])[..., 0]
    torch.testing.assert_close(ahead[:, :2], torch.zeros(50, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(turn @ turn.transpose(-1, -2), torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0)
    points = torch.randn(1, 50, 4, 3)
    torch.testing.assert_close(turned_back(turn[None], turned(turn[None], points)), points, atol=1e-5, rtol=0)


def test_the_root_is_where_it_was(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    xyz, pixels = seen
    energy = lift_energy([View(pixels, ONES, 2., own_frame(camera()))], 25., sized=False)
    body = xyz - xyz[:, :, :1]
    torch.testing.assert_close(energy.root(body), xyz[:, :, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(energy.steady_root(body), xyz[:, :, 0], atol=1e-2, rtol=0)
    assert energy(body) < 1e-3


def test_the_root_goes_on_where_nothing_is_seen(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    xyz, pixels = seen
    confidence = ONES.clone()
    confidence[:, 10:18] = 0
    energy = lift_energy([View(pixels, confidence, 2., own_frame(camera()))], 25.)
    torch.testing.assert_close(energy.steady_root(xyz - xyz[:, :, :1]), xyz[:, :, 0], atol=.03, rtol=0)


def test_nobody_is_behind_the_camera(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Not even a body that faces the other way than what was seen, which fits the picture best from behind it."""
    xyz, pixels = seen
    energy = lift_energy([View(pixels, ONES, 2., own_frame(camera()))], 25.)
    body = (xyz - xyz[:, :, :1]) * torch.tensor([-1., -1., 1.])
    body.requires_grad_()
    root = energy.root(body)
    assert root[..., 2].min() > .4
    (slope,) = torch.autograd.grad(energy(body).sum(), body)
    assert slope.isfinite().all()


def test_high_frame_rates_do_not_pull_the_root_to_the_camera() -> None:
    still = walker(1).expand(1, 500, 17, 3)
    xyz = to_camera(camera(), still)
    view = View(project(camera(), still), torch.ones(1, 500, 17), 2., own_frame(camera()))
    root = lift_energy([view], 1000.).steady_root(xyz - xyz[:, :, :1])
    torch.testing.assert_close(root, xyz[:, :, 0], atol=.02, rtol=0)


def test_who_is_seen_for_a_moment_does_not_walk_on_for_ever() -> None:
    xyz = to_camera(camera(), walker(100))
    confidence = torch.zeros(1, 100, 17)
    confidence[:, :5] = 1
    energy = lift_energy([View(project(camera(), walker(100)), confidence, 2., own_frame(camera()))], 25.)
    root = energy.steady_root(xyz - xyz[:, :, :1])
    assert (root - xyz[:, :1, 0]).norm(dim=-1).max() < 3
    assert (root[:, -1] - root[:, -20]).norm() < .5


def test_its_slope_is_that_of_its_values(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    xyz, pixels = (value[:, :4].double() for value in seen)
    one = own_frame(camera())
    precise = replace(one, **{name: value.double() for name, value in vars(one).items() if value is not None})
    noise = torch.randn(2, *xyz.shape[1:], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for robust in (None, student(4.)):
        energy = lift_energy([View(pixels, ONES[:, :4].double(), 50., precise)], 25., robust=robust)
        body = (xyz - xyz[:, :, :1] + .02 * noise).requires_grad_()
        (slope,) = torch.autograd.grad(energy(body).sum(), body)
        along, step = noise.flip(0), 1e-6
        with torch.no_grad():
            rise = (energy(body + step * along) - energy(body - step * along)) / (2 * step)
        # The root is that of a weighted least-squares fit, whose weights count as constant: nearly the best.
        torch.testing.assert_close((slope * along).sum((1, 2, 3)), rise, rtol=.02, atol=.02)


def test_it_knows_how_it_curves(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Where the picture is explained, Gauss-Newton's curvature is that of the energy, root and all."""
    xyz, pixels = seen
    energy = lift_energy([View(pixels, ONES, 2., own_frame(camera()))], 25., sized=False, picture=.3)
    body = (xyz - xyz[:, :, :1]).double()
    direction = torch.randn(body.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    own, found = energy.expand(body), expand(energy.__call__, body)
    torch.testing.assert_close(own.value, found.value)
    curve, expected = own.bend(direction), found.bend(direction)
    assert float((curve - expected).norm()) < .02 * float(expected.norm())
    moved = body + .01 * direction
    own, found = energy.expand(moved), expand(energy.__call__, moved)
    assert float((own.slope - found.slope).norm()) < .05 * float(found.slope.norm())


def test_smaller_bodies_farther_off_are_the_less_likely_the_smaller(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    xyz, pixels = seen
    energy = lift_energy([View(pixels, ONES, 2., own_frame(camera()))], 25.)
    plain = lift_energy([View(pixels, ONES, 2., own_frame(camera()))], 25., sized=False)
    body = xyz - xyz[:, :, :1]
    told = [float(energy(scale * body) - plain(scale * body)) for scale in (1., .8, .6)]
    assert told[0] < 2
    assert told[1] > 3 + told[0]
    assert told[2] > 10 + told[1]


def test_samples_do_not_see_each_other(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    xyz, pixels = seen
    energy = lift_energy([View(pixels, ONES, 2., own_frame(camera()))], 25.)
    noise = torch.randn(3, *xyz.shape[1:], generator=torch.Generator().manual_seed(0))
    bodies = xyz - xyz[:, :, :1] + .03 * noise
    torch.testing.assert_close(energy(bodies), torch.cat([energy(body[None]) for body in bodies]), rtol=1e-4, atol=0)


def test_a_second_camera_adds_up_in_the_frame_of_the_first(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    xyz, pixels = seen
    other = camera(place=(-2., 1.2, 3.))
    views = [View(pixels, ONES, 2., camera()), View(project(other, walker()), ONES, 2., other)]
    energy = lift_energy(views, 25., sized=False)
    body = xyz - xyz[:, :, :1]
    torch.testing.assert_close(energy.root(body), xyz[:, :, 0], atol=1e-3, rtol=0)
    assert energy(body) < 1e-2
    flat = body * torch.tensor([1., 1., .5])
    assert energy(flat) > 2 * lift_energy(views[:1], 25.)(flat)  # what one camera takes for depth the other sees


def test_an_unknown_focal_length_is_found_for_each_sample(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    xyz, pixels = seen
    energy = lift_energy([View(pixels, ONES, 1., size=(1280., 720.))], 25.)
    assert float(energy.supposed[0][0, 0]) == pytest.approx(1229.4, abs=1)
    body = (xyz - xyz[:, :, :1]).expand(3, -1, -1, -1)
    energy.refocus(body)
    assert energy.cameras[0].focal.shape == (3, 2)
    torch.testing.assert_close(energy.cameras[0].focal, torch.full((3, 2), 1000.), rtol=.05, atol=0)


def test_standing_feet_do_not_slide(seen: tuple[torch.Tensor, torch.Tensor]) -> None:
    xyz, pixels = seen
    up = camera().rotation[0] @ torch.tensor([0., 1., 0.])
    view = View(pixels, ONES, 2., own_frame(camera()))
    body = xyz - xyz[:, :, :1]
    slides = lift_energy([view], 25., up=up)(body) - lift_energy([view], 25.)(body)
    assert slides > 1  # the walker's feet move along with the body
    torch.testing.assert_close(upright(up) @ up, torch.tensor([0., 1., 0.]), atol=1e-6, rtol=0)


def test_frames_of_a_view() -> None:
    frames = torch.arange(6.)
    points = frames[:, None, None].expand(6, 17, 2)
    covariance = (frames + 1)[:, None, None, None] * torch.eye(2).expand(6, 17, 2, 2)
    for spread in (frames[:, None].expand(6, 17) + 1, covariance):
        part = View(points, torch.ones(6, 17), spread).of(slice(2, 5))
        assert part.points[:, 0, 0].tolist() == [2, 3, 4]
        assert isinstance(part.spread, torch.Tensor)
        assert part.spread.flatten(1)[:, 0].tolist() == [3, 4, 5]
