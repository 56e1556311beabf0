"""Unknown places and unknown cameras, from pixels of known bodies."""
from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pose_diffusion.camera_fit import DEPTH, estimate_camera, place, place_weak, refine_camera
from pose_diffusion.cameras import Camera, WeakCamera, position, project, project_weak, to_camera
from tests.test_cameras import generator, people, some_cameras


def centred(cameras: Camera) -> Camera:
    """With the principal point in the middle of the picture, as an estimate takes it."""
    return replace(cameras, centre=cameras.size / 2)


def degrees_between(a: Tensor, b: Tensor) -> Tensor:
    cos = ((a * b).sum((1, 2)) - 1) / 2
    return torch.rad2deg(cos.clamp(-1, 1).acos())


@pytest.mark.parametrize("distorted", [False, True])
def test_the_place_of_a_body_without_noise(distorted: bool) -> None:
    cameras, points = some_cameras(6, distorted=distorted), people(6)
    moved = torch.randn(6, 5, 3, generator=generator(2)) * .2
    pixels = project(cameras, points + moved[:, :, None])
    found = place(cameras, points, pixels, torch.ones(6, 5, 17))
    torch.testing.assert_close(found, moved, atol=.01, rtol=0)


def test_the_place_is_the_best_of_all_places() -> None:
    """Errors count in the picture. Of a body that reaches far back the near points then count most; plain least squares
    of distances to the rays would favour the far ones, and cost more.
    """
    cameras = some_cameras(20)
    points = people(20)
    points = points + 1.5 * (points - points.mean(2, keepdim=True)) * cameras.rotation[:, None, None, 2]
    pixels = project(cameras, points) + 8 * torch.randn(20, 5, 17, 2, generator=generator(3))
    weights = torch.rand(20, 5, 17, generator=generator(4))

    def cost(moved: Tensor) -> Tensor:
        error = (project(cameras, points + moved[:, :, None]) - pixels) / cameras.focal[:, None, None]
        return (weights * error.square().sum(-1)).sum(-1)

    found = place(cameras, points, pixels, weights)
    for seed in range(20):
        other = found + .01 * torch.randn(20, 5, 3, generator=generator(seed))
        assert float((cost(other) > cost(found)).float().mean()) > .95
    other = place(cameras, points, pixels, (weights > 0).float())
    assert float(cost(other).mean()) > 1.01 * float(cost(found).mean())


def test_points_without_weight_do_not_count() -> None:
    cameras, points = some_cameras(2), people(2)
    pixels, weights = project(cameras, points), torch.ones(2, 5, 17)
    weights[:, :, ::2] = 0
    pixels[:, :, ::2] = math.nan
    torch.testing.assert_close(place(cameras, points, pixels, weights), torch.zeros(2, 5, 3), atol=.01, rtol=0)


def test_a_frame_of_which_nothing_is_seen_is_before_the_camera() -> None:
    cameras, points = some_cameras(2), torch.zeros(2, 5, 17, 3)
    weights = torch.zeros(2, 5, 17)
    pixels = torch.full((2, 5, 17, 2), math.nan)
    weights[:, 1, 3] = 1  # one point
    pixels[:, 1, 3] = cameras.centre + .2 * cameras.focal
    found = to_camera(cameras, place(cameras, points, pixels, weights))
    torch.testing.assert_close(found[:, 0], torch.tensor([[0., 0., DEPTH]]).expand(2, -1), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, 1, :2] / found[:, 1, 2:], torch.full((2, 2), .2), atol=1e-3, rtol=0)
    assert float((found[:, 1, 2] - DEPTH).abs().max()) < .5


def test_weak_perspective_scale_and_shifts_in_closed_form() -> None:
    points, cameras = people(4), some_cameras(4)
    shift = 100 * torch.randn(4, 5, 2, generator=generator(5))
    weak = WeakCamera(torch.tensor([80., 150., 200., 320.]), cameras.rotation, shift)
    pixels = project_weak(weak, points)
    weights = (torch.rand(4, 5, 17, generator=generator(6)) > .3).float()
    found = place_weak(cameras.rotation, points, torch.where(weights[..., None] > 0, pixels, math.nan), weights)
    torch.testing.assert_close(found.scale, weak.scale, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.shift, weak.shift, rtol=0, atol=.05)
    nothing = place_weak(cameras.rotation, points, pixels, torch.zeros(4, 5, 17))
    assert float(nothing.scale.abs().max()) == 0
    assert bool(nothing.shift.isfinite().all())


def test_the_place_is_differentiable_in_the_body() -> None:
    cameras, points = some_cameras(1), people(1)[:, :1]
    pixels = project(cameras, points)
    body = points.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: place(cameras, x, pixels, torch.ones(1, 1, 17)), (body,), atol=1e-4)


def test_a_camera_nearly_right_is_made_right() -> None:
    cameras, points = some_cameras(8), people(8).flatten(1, 2)
    pixels = project(cameras, points)
    turn = torch.matrix_exp(.1 * torch.tensor([[0., -1., 1.], [1., 0., -1.], [-1., 1., 0.]]))
    off = replace(cameras, rotation=turn @ cameras.rotation, translation=cameras.translation * 1.1,
                  focal=cameras.focal * 1.2)
    found = refine_camera(off, points, pixels, torch.ones(8, 85), steps=40)
    assert float((project(found, points) - pixels).norm(dim=-1).max()) < .5
    assert float((found.focal / cameras.focal).log().abs().max()) < .005
    assert float(degrees_between(found.rotation, cameras.rotation).max()) < .1
    torch.testing.assert_close(position(found), position(cameras), atol=.03, rtol=0)


@pytest.mark.parametrize("noise", [0., 5.])
def test_a_camera_of_which_nothing_is_known_is_found(noise: float) -> None:
    cameras, points = centred(some_cameras(12)), people(12).flatten(1, 2)
    pixels = project(cameras, points) + noise * torch.randn(12, 85, 2, generator=generator(7))
    weights = (torch.rand(12, 85, generator=generator(8)) > .2).float()
    found = estimate_camera(points, torch.where(weights[..., None] > 0, pixels, math.nan), weights, cameras.size)
    assert float(degrees_between(found.rotation, cameras.rotation).max()) < (.5 if noise == 0 else 5)
    assert float((found.focal[:, 0] / cameras.focal[:, 0]).log().abs().max()) < (.05 if noise == 0 else .3)
    error = (project(found, points) - project(cameras, points)).norm(dim=-1)
    assert float(error.mean()) < (.2 if noise == 0 else 3)


def test_samples_are_found_on_their_own() -> None:
    cameras, points = centred(some_cameras(4)), people(4).flatten(1, 2)
    pixels = project(cameras, points)
    together = estimate_camera(points, pixels, torch.ones(4, 85), cameras.size)
    alone = estimate_camera(points[2:3], pixels[2:3], torch.ones(1, 85), cameras.size[2:3])
    torch.testing.assert_close(together.rotation[2:3], alone.rotation, atol=1e-4, rtol=0)
    torch.testing.assert_close(together.focal[2:3], alone.focal, rtol=1e-3, atol=0)


def test_a_flat_body_gives_a_usual_focal_length() -> None:
    cameras = centred(some_cameras(4))
    points = people(4).flatten(1, 2) * torch.tensor([1., 1., 0.])  # of which tilts look alike forwards and backwards
    pixels = project(cameras, points) + 3 * torch.randn(4, 85, 2, generator=generator(9))
    found = estimate_camera(points, pixels, torch.ones(4, 85), cameras.size)
    view = 2 * torch.rad2deg((cameras.size.amax(-1) / 2 / found.focal[:, 0]).atan())
    assert bool(((view > 15) & (view < 120)).all())
    assert float((project(found, points) - pixels).norm(dim=-1).mean()) < 8


def test_too_few_points_are_refused() -> None:
    weights = torch.zeros(1, 10)
    weights[0, :5] = 1
    with pytest.raises(ValueError, match="at least 6 points"):
        estimate_camera(torch.zeros(1, 10, 3), torch.zeros(1, 10, 2), weights, torch.tensor([[640., 480.]]))
