"""Cameras: from the world to pixels and back, and random ones to look at people with.

The world is in metres, y up; in a camera's frame x points to the right, y down and z away from it; pixels count from
the upper left corner of the picture. All is batched and differentiable.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

NEAR = .1  # metres; nearer points, and those behind the camera, are projected as `project` says
WIDEST = 2.  # distance from the axis, in focal lengths, beyond which lens distortion is not followed: 63 degrees
UNDISTORT_STEPS = 20

# Random cameras. Pictures: phones upright and lying, webcams. The field of view is that of the longer side: a phone's
# main camera has 60-70 degrees, webcams 55-80, a zoom lens or a cropped video down to 35. Heights: from a low table to
# a hand held high. Roll: held by hand. The body fills 45 to 95 % of the picture, from no nearer than 1.5 m.
SIZES = ((1080, 1920), (1920, 1080), (640, 480), (1280, 720))
VIEW = (35., 80.)  # degrees
HEIGHT = (.6, 2.2)  # metres
ROLL = (3., 10.)  # degrees: std, most
FILL = (.45, .95)
NEAREST = 1.5  # metres from the side of the cylinder around the body; its rim may be a little nearer
CENTRE = .01  # std of the principal point, in picture widths
DISTORTION = ((-.15, .08), (-.05, .05), (-.002, .002), (-.002, .002))  # k1, k2, p1, p2: phones and webcams


@dataclass(frozen=True)
class Camera:
    """Pinhole cameras; the batch may be 1 where they serve all samples.

    Attributes
    ----------
    focal, centre : Tensor ``(batch, 2)``
        Focal lengths and principal point in pixels, along x and y.
    rotation : Tensor ``(batch, 3, 3)``
        From the world's axes to the camera's.
    translation : Tensor ``(batch, 3)``
        The world's origin in the camera's frame, metres: a point is at ``rotation @ point + translation``.
    size : Tensor ``(batch, 2)``
        Width and height of the picture in pixels.
    distortion : Tensor ``(batch, 5)``, optional
        k1, k2, p1, p2, k3 of OpenCV's lens model.
    """

    focal: Tensor
    centre: Tensor
    rotation: Tensor
    translation: Tensor
    size: Tensor
    distortion: Tensor | None = None


@dataclass(frozen=True)
class WeakCamera:
    """Cameras so far away that depth does not matter: a point's pixel is ``scale * (rotation @ point)[:2] + shift``.

    Attributes
    ----------
    scale : Tensor ``(batch,)``
        Pixels a metre.
    rotation : Tensor ``(batch, 3, 3)``
        From the world's axes to the camera's.
    shift : Tensor ``(batch, 2)`` or ``(batch, frames, 2)``
        Pixel of the world's origin.
    """

    scale: Tensor
    rotation: Tensor
    shift: Tensor


def to_camera(camera: Camera, points: Tensor) -> Tensor:
    """Points ``(batch, ..., 3)`` of the world in the camera's frame; the last coordinate is their depth."""
    return _turned(camera.rotation, points) + _beside(camera.translation, points)


def to_world(camera: Camera, points: Tensor) -> Tensor:
    """Points ``(batch, ..., 3)`` of the camera's frame in the world."""
    return _turned(camera.rotation.transpose(-1, -2), points - _beside(camera.translation, points))


def position(camera: Camera) -> Tensor:
    """Where the cameras are in the world, ``(batch, 3)``."""
    return to_world(camera, torch.zeros_like(camera.translation))


def project(camera: Camera, points: Tensor) -> Tensor:
    """The pixels of points.

    A point nearer than `NEAR`, or behind the camera, has no picture. Instead of ``1 / depth`` it is multiplied with
    the tangent of that at `NEAR`: it lands on its own side of the picture, the farther out the farther behind, instead
    of on the other side and small. So what it costs grows steadily as it goes back, without a jump or a NaN, and its
    gradient leads to the front (except on the axis itself: `diffusion.reprojection.in_front` is for that).

    Parameters
    ----------
    camera : Camera
    points : Tensor ``(batch, ..., 3)``
        In the world.

    Returns
    -------
    Tensor ``(batch, ..., 2)``
    """
    seen = to_camera(camera, points)
    z = seen[..., 2:]
    inverse = torch.where(z > NEAR, 1 / z.clamp(min=NEAR), (2 - z / NEAR) / NEAR)
    return to_pixels(camera, seen[..., :2] * inverse)


def project_weak(camera: WeakCamera, points: Tensor) -> Tensor:
    """The pixels ``(batch, ..., 2)`` of points ``(batch, ..., 3)`` of the world."""
    seen = _turned(camera.rotation, points)[..., :2]
    return _beside(camera.scale[:, None], seen) * seen + _beside(camera.shift, seen)


def to_pixels(camera: Camera, plane: Tensor) -> Tensor:
    """Pixels of points ``(batch, ..., 2)`` of the plane at depth 1, through the lens."""
    if camera.distortion is not None:
        plane = _distorted(plane, _beside(camera.distortion, plane))
    return plane * _beside(camera.focal, plane) + _beside(camera.centre, plane)


def to_plane(camera: Camera, pixels: Tensor) -> Tensor:
    """Where the rays of pixels ``(batch, ..., 2)`` meet the plane at depth 1, distortion undone."""
    bent = (pixels - _beside(camera.centre, pixels)) / _beside(camera.focal, pixels)
    if camera.distortion is None:
        return bent
    lens, plane = _beside(camera.distortion, bent), bent
    for _ in range(UNDISTORT_STEPS):  # a fixed point: the lens moves points little
        plane = plane - (_distorted(plane, lens) - bent)
    return plane


def rays(camera: Camera, pixels: Tensor) -> Tensor:
    """Unit directions ``(batch, ..., 3)`` in the world from the camera through pixels ``(batch, ..., 2)``."""
    plane = to_plane(camera, pixels)
    directions = torch.cat([plane, torch.ones_like(plane[..., :1])], dim=-1)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    return _turned(camera.rotation.transpose(-1, -2), directions)


def _distorted(plane: Tensor, lens: Tensor) -> Tensor:
    """OpenCV's lens model, frozen beyond `WIDEST`, where its polynomials fold the picture over."""
    k1, k2, p1, p2, k3 = lens.unbind(-1)
    square = plane.square().sum(-1)
    inside = (WIDEST**2 / square.clamp(min=WIDEST**2)).sqrt()
    x, y = (plane * inside[..., None]).unbind(-1)
    r2 = square.clamp(max=WIDEST**2)
    radial = r2 * (k1 + r2 * (k2 + r2 * k3))
    dx = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    dy = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return plane * (1 + radial[..., None]) + torch.stack([dx, dy], dim=-1)


def looking(place: Tensor, target: Tensor, roll: Tensor | None = None) -> Tensor:
    """The rotations ``(batch, 3, 3)`` of cameras at `place` ``(batch, 3)`` that look at `target` ``(batch, 3)``.

    They are upright but for `roll` ``(batch,)``, in radians; a positive one turns the camera clockwise.

    Raises
    ------
    ValueError
        If one looks straight up or down, or nowhere.
    """
    forward = target - place
    right = torch.linalg.cross(forward, forward.new_tensor([[0., 1., 0.]]).expand_as(forward))
    if not bool((right.norm(dim=-1) > 1e-6).all()):
        raise ValueError("a camera looks straight up or down, or at its own place: move it")
    forward = forward / forward.norm(dim=-1, keepdim=True)
    right = right / right.norm(dim=-1, keepdim=True)
    upright = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=-2)
    if roll is None:
        return upright
    zero, one = torch.zeros_like(roll), torch.ones_like(roll)
    cos, sin = roll.cos(), roll.sin()
    rolled = torch.stack([cos, sin, zero, -sin, cos, zero, zero, zero, one], dim=-1).unflatten(-1, (3, 3))
    return rolled @ upright


def random_cameras(generator: torch.Generator,
                   middle: Tensor,
                   radius: Tensor,
                   height: Tensor,
                   *,
                   distorted: bool = False) -> Camera:
    """Draw cameras as people use them, one for each body: phones and webcams, from any side, the body in the picture.

    The ranges are the constants at the top of this file.

    Parameters
    ----------
    generator : torch.Generator
        Of the CPU; fixes the draw.
    middle : Tensor ``(batch, 3)``
        Of what is to be in the picture, in the world; the ground is at y = 0.
    radius, height : Tensor ``(batch,)``
        Of an upright cylinder around the middle that holds it all (`extent` finds them); metres.
    distorted : bool
        Whether lenses distort.

    Returns
    -------
    Camera
        On the CPU, float32.
    """
    middle, radius, height = (value.detach().float().cpu() for value in (middle, radius, height))
    batch = len(middle)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(batch, *shape, generator=generator)

    size = torch.tensor(SIZES, dtype=torch.float32)[torch.randint(len(SIZES), (batch,), generator=generator)]
    longer = size.amax(-1)
    focal = longer / 2 / torch.deg2rad(uniform(*VIEW) / 2).tan()
    fill = uniform(*FILL)
    needed = torch.maximum(2 * radius / size[:, 0], height / size[:, 1]) * focal / fill
    distance = radius + needed.clamp(min=NEAREST)
    fill = fill * needed / (distance - radius)
    angle, above = uniform(0, 2 * math.pi), uniform(*HEIGHT) - middle[:, 1]
    above = above.clamp(-.7 * distance, .7 * distance)
    flat = (distance.square() - above.square()).sqrt()
    place = middle + torch.stack([flat * angle.sin(), above, flat * angle.cos()], dim=-1)
    roll = (ROLL[0] * torch.randn(batch, generator=generator)).clamp(-ROLL[1], ROLL[1])
    rotation = looking(place, middle, torch.deg2rad(roll))
    aside = (1 - fill)[:, None] / 2 * uniform(-1, 1, 2) * size  # how far from the picture's middle the body is
    principal = size / 2 + CENTRE * size[:, :1] * torch.randn(batch, 2, generator=generator)
    camera = Camera(focal[:, None].expand(-1, 2).clone(), principal, rotation, -(rotation @ place[..., None])[..., 0],
                    size)
    if distorted:
        lens = [uniform(*limits) for limits in DISTORTION]
        camera = replace(camera, distortion=torch.stack([*lens, torch.zeros(batch)], dim=-1))
    return _aimed(camera, middle, size / 2 + aside)


def _aimed(camera: Camera, target: Tensor, pixel: Tensor) -> Camera:
    """The cameras turned on their spot so that a target ``(batch, 3)`` comes to lie on a pixel ``(batch, 2)``."""
    place = position(camera)
    wanted = torch.cat([to_plane(camera, pixel), torch.ones_like(pixel[:, :1])], dim=-1)
    wanted = wanted / wanted.norm(dim=-1, keepdim=True)
    is_at = _turned(camera.rotation, target - place)
    is_at = is_at / is_at.norm(dim=-1, keepdim=True)
    rotation = _shortest_turn(is_at, wanted) @ camera.rotation
    return replace(camera, rotation=rotation, translation=-(rotation @ place[..., None])[..., 0])


def _shortest_turn(start: Tensor, end: Tensor) -> Tensor:
    """Rotations ``(batch, 3, 3)`` that take unit vectors to others less than half a turn away."""
    x, y, z = torch.linalg.cross(start, end).unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    cos = (start * end).sum(-1)[:, None, None]
    return torch.eye(3).to(skew) + skew + skew @ skew / (1 + cos)


def extent(xyz: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Middle ``(batch, 3)``, radius and height ``(batch,)`` of upright cylinders around motions
    ``(batch, frames, K, 3)``.
    """
    points = xyz.flatten(1, 2)
    low, high = points.amin(1), points.amax(1)
    middle = (low + high) / 2
    radius = (points - middle[:, None])[..., [0, 2]].norm(dim=-1).amax(1)
    return middle, radius, (high - low)[:, 1]


def _turned(rotation: Tensor, points: Tensor) -> Tensor:
    """`rotation` ``(batch, 3, 3)`` times points ``(batch, ..., 3)``."""
    kind = torch.promote_types(points.dtype, rotation.dtype)  # a product, unlike a sum, does not see to it itself
    flat = points.reshape(len(points), -1, 3).to(kind) @ rotation.transpose(-1, -2).to(kind)
    return flat.reshape(-1, *points.shape[1:])


def _beside(values: Tensor, points: Tensor) -> Tensor:
    """Values ``(batch, [frames,] n)`` shaped to be broadcast over points ``(batch, frames, ..., m)``."""
    middle = [1] * (points.ndim - values.ndim)
    return values.reshape(*values.shape[:-1], *middle, values.shape[-1])
