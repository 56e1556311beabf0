"""Cameras: against OpenCV, against closed forms, there and back, and in front of people."""
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pose_diffusion.cameras import (
    HEIGHT,
    NEAR,
    NEAREST,
    ROLL,
    SIZES,
    VIEW,
    Camera,
    WeakCamera,
    extent,
    looking,
    position,
    project,
    project_weak,
    random_cameras,
    rays,
    to_camera,
    to_pixels,
    to_plane,
    to_world,
)

LENS = torch.tensor([[-.12, .04, .001, -.002, .003]])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_cameras(n: int, seed: int = 0, *, distorted: bool = False) -> Camera:
    """Cameras around a person of 1.7 m who stands at the origin."""
    middle = torch.tensor([[0., .85, 0.]]).expand(n, -1)
    return random_cameras(generator(seed), middle, torch.full((n,), .5), torch.full((n,), 1.7), distorted=distorted)


def people(n: int, seed: int = 1) -> Tensor:
    """`(n, 5, 17, 3)`: points within .5 m of the axis and 1.7 m of height."""
    random = torch.rand(n, 5, 17, 3, generator=generator(seed))
    angle = 2 * math.pi * random[..., 0]
    radius = .5 * random[..., 2]
    return torch.stack([radius * angle.cos(), 1.7 * random[..., 1], radius * angle.sin()], dim=-1)


def plain(*, focal: float = 1000., size: tuple[float, float] = (640., 480.)) -> Camera:
    """A camera at the origin of a world whose axes are its own."""
    both = torch.tensor([size])
    return Camera(torch.full((1, 2), focal), both / 2, torch.eye(3)[None], torch.zeros(1, 3), both)


@pytest.mark.parametrize("distorted", [False, True])
def test_pixels_are_those_of_opencv(distorted: bool) -> None:
    cv2 = pytest.importorskip("cv2")
    cameras, points = some_cameras(6, distorted=distorted), people(6)
    pixels = project(cameras, points)
    for i in range(6):
        fx, fy = cameras.focal[i].tolist()
        cx, cy = cameras.centre[i].tolist()
        lens = np.zeros(5) if cameras.distortion is None else cameras.distortion[i].double().numpy()
        matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        turn, _ = cv2.Rodrigues(cameras.rotation[i].double().numpy())
        theirs, _ = cv2.projectPoints(points[i].reshape(-1, 3).double().numpy(), turn,
                                      cameras.translation[i].double().numpy(), matrix, lens)
        np.testing.assert_allclose(pixels[i].reshape(-1, 2), theirs[:, 0], atol=.01)


def test_pixels_by_hand() -> None:
    points = torch.tensor([[[0., 0., 2.], [.2, 0., 2.], [0., .1, 4.]]])
    torch.testing.assert_close(project(plain(), points), torch.tensor([[[320., 240.], [420., 240.], [320., 265.]]]))


def test_one_camera_serves_many_samples() -> None:
    points = torch.randn(4, 3, 2, 3, generator=generator()) + torch.tensor([0., 0., 5.])
    together = project(plain(), points)
    assert together.shape == (4, 3, 2, 2)
    torch.testing.assert_close(together[2:3], project(plain(), points[2:3]))


def test_points_of_double_precision_keep_it() -> None:
    camera, points = some_cameras(2), people(2)
    exact = project(camera, points.double())
    assert exact.dtype == torch.double
    torch.testing.assert_close(exact.float(), project(camera, points), atol=.01, rtol=0)


@pytest.mark.parametrize("distorted", [False, True])
def test_there_and_back(distorted: bool) -> None:
    cameras, points = some_cameras(8, distorted=distorted), people(8)
    torch.testing.assert_close(to_world(cameras, to_camera(cameras, points)), points, atol=1e-5, rtol=0)
    pixels = project(cameras, points)
    torch.testing.assert_close(to_pixels(cameras, to_plane(cameras, pixels)), pixels, atol=.01, rtol=0)
    # A point lies on the ray of its pixel.
    place, direction = position(cameras)[:, None, None], rays(cameras, pixels)
    torch.testing.assert_close(direction.norm(dim=-1), torch.ones(8, 5, 17))
    along = ((points - place) * direction).sum(-1, keepdim=True)
    assert float(along.min()) > 0
    torch.testing.assert_close(place + along * direction, points, atol=1e-4, rtol=0)


def test_gradients() -> None:
    cameras = some_cameras(2, distorted=True)
    tensors = [getattr(cameras, name).double().requires_grad_()
               for name in ("focal", "centre", "rotation", "translation", "distortion")]
    points = people(2)[:, :1, :3].double().requires_grad_()

    def pixels(*parts: Tensor) -> Tensor:
        focal, centre, rotation, translation, distortion, xyz = parts
        return project(Camera(focal, centre, rotation, translation, cameras.size, distortion), xyz) / 100

    assert torch.autograd.gradcheck(pixels, (*tensors, points), atol=1e-4)
    weak = [torch.rand(2, dtype=torch.double).requires_grad_(), cameras.rotation.double().requires_grad_(),
            torch.rand(2, 2, dtype=torch.double).requires_grad_()]
    assert torch.autograd.gradcheck(lambda s, r, t, x: project_weak(WeakCamera(s, r, t), x), (*weak, points))


@settings(max_examples=60, deadline=None)
@given(x=st.floats(-3, 3), y=st.floats(-3, 3), z=st.floats(-10, 10), bent=st.booleans())
def test_points_behind_the_camera_stay_on_their_side_and_finite(x: float, y: float, z: float, bent: bool) -> None:
    camera = replace(plain(), distortion=LENS if bent else None)
    point = torch.tensor([[[x, y, z]]]).requires_grad_()
    pixel = project(camera, point)
    (slope,) = torch.autograd.grad(pixel.sum(), point)
    assert bool(pixel.isfinite().all())
    assert bool(slope.isfinite().all())
    if not bent:
        aside = pixel.detach()[0, 0] - torch.tensor([320., 240.])
        assert float(aside[0]) * x >= 0
        assert float(aside[1]) * y >= 0


def test_what_lies_farther_behind_lands_farther_out_without_a_jump() -> None:
    depth = torch.linspace(.5, -3, 2000)
    points = torch.stack([torch.full_like(depth, .1), torch.zeros_like(depth), depth], dim=-1)[None]
    across = project(plain(), points)[0, :, 0]
    assert bool((across.diff() > 0).all())
    near = torch.tensor([[[.1, 0., NEAR + 1e-4], [.1, 0., NEAR - 1e-4]]])
    assert float(project(plain(), near)[0, :, 0].diff()) == pytest.approx(2e-4 * 1000 * .1 / NEAR**2, rel=.02)


def test_a_lens_is_not_followed_where_it_folds_the_picture() -> None:
    camera = replace(plain(), distortion=torch.tensor([[-.3, .1, 0., 0., 0.]]))
    points = torch.stack([torch.linspace(0, 50, 500), torch.zeros(500), torch.ones(500)], dim=-1)[None]
    assert bool((project(camera, points)[0, 100:, 0].diff() > 0).all())


def test_weak_perspective_is_what_a_far_camera_sees() -> None:
    points = people(3)
    rotation = looking(torch.tensor([[3., 1., 2.]]).expand(3, -1), torch.zeros(3, 3))
    far = Camera(torch.full((3, 2), 1e6), torch.zeros(3, 2), rotation, torch.tensor([[0., 0., 1e4]]).expand(3, -1),
                 torch.ones(3, 2))
    weak = WeakCamera(torch.full((3,), 100.), rotation, torch.zeros(3, 2))
    torch.testing.assert_close(project_weak(weak, points), project(far, points), atol=.05, rtol=0)
    shifted = replace(weak, shift=torch.arange(30.).reshape(3, 5, 2))
    expected = project_weak(weak, points) + shifted.shift[:, :, None]
    torch.testing.assert_close(project_weak(shifted, points), expected)


def test_looking() -> None:
    place, target = torch.tensor([[0., 1., 5.], [4., 1., 0.]]), torch.tensor([[0., 1., 0.], [0., 1., 0.]])
    rotation = looking(place, target)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(2, -1, -1), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(2))
    up, ahead = torch.tensor([0., 1., 0.]), torch.tensor([[0., 0., -1.], [-1., 0., 0.]])
    torch.testing.assert_close(rotation @ up, torch.tensor([[0., -1., 0.]]).expand(2, -1))  # up is -y of a picture
    torch.testing.assert_close((rotation @ ahead[..., None])[..., 0], torch.tensor([[0., 0., 1.]]).expand(2, -1))
    # A camera turned clockwise sees what is above it move to its left.
    rolled = looking(place, target, torch.tensor([.1, .1])) @ up
    torch.testing.assert_close(rolled[0], torch.tensor([-math.sin(.1), -math.cos(.1), 0.]), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="straight up or down"):
        looking(torch.tensor([[0., 5., 0.]]), torch.zeros(1, 3))


def test_random_cameras_are_where_people_hold_them_and_see_all() -> None:
    n = 3000
    cameras, bodies = some_cameras(n), people(n)
    pixels = project(cameras, bodies)
    inside = ((pixels > -.02 * cameras.size[:, None, None]) & (pixels < 1.02 * cameras.size[:, None, None])).all(-1)
    assert float(inside.float().mean()) > .995
    place = position(cameras)
    assert float(place[:, 1].min()) > HEIGHT[0] - .01
    assert float(place[:, 1].max()) < HEIGHT[1] + .01
    assert float((bodies.flatten(1, 2) - place[:, None]).norm(dim=-1).min()) > NEAREST - .4
    assert float((place[:, [0, 2]].norm(dim=-1)).max()) < 16
    view = 2 * torch.rad2deg((cameras.size.amax(-1) / 2 / cameras.focal[:, 0]).atan())
    assert VIEW[0] - .01 < float(view.min()) < VIEW[0] + 2
    assert VIEW[1] - 2 < float(view.max()) < VIEW[1] + .01
    assert {tuple(size) for size in cameras.size.tolist()} == set(SIZES)
    up = cameras.rotation @ torch.tensor([0., 1., 0.])
    roll = torch.rad2deg(torch.atan2(up[:, 0], -up[:, 1])).abs()
    assert float(roll.median()) < ROLL[0]
    assert float(roll.max()) < 3 * ROLL[1]
    around = torch.atan2(place[:, 0], place[:, 2])
    assert float(around.cos().mean().abs()) < .1
    assert float(around.sin().mean().abs()) < .1
    tall = (pixels[..., 1].amax((1, 2)) - pixels[..., 1].amin((1, 2))) / cameras.size[:, 1]
    assert float(tall.quantile(.05)) > .2
    torch.testing.assert_close(cameras.rotation @ cameras.rotation.transpose(1, 2), torch.eye(3).expand(n, -1, -1),
                               atol=1e-5, rtol=0)


def test_random_cameras_are_fixed_by_the_generator() -> None:
    one, same, other = (some_cameras(3, seed, distorted=True) for seed in (1, 1, 2))
    for name in vars(one):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.rotation, other.rotation)
    assert one.distortion is not None
    assert some_cameras(3).distortion is None


def test_the_extent_holds_the_motion() -> None:
    motion = torch.randn(4, 6, 17, 3, generator=generator())
    middle, radius, height = extent(motion)
    away = motion.flatten(1, 2) - middle[:, None]
    assert bool((away[..., [0, 2]].norm(dim=-1) <= radius[:, None] + 1e-6).all())
    assert bool((away[..., 1].abs() <= height[:, None] / 2 + 1e-6).all())
    torch.testing.assert_close(away[..., [0, 2]].norm(dim=-1).amax(1), radius)
