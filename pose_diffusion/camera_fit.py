"""Unknown cameras and unknown places: closed forms and least squares from pairs of 3D points and pixels."""
from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pose_diffusion.cameras import NEAR, Camera, WeakCamera, to_camera, to_plane

DEPTH = 4.  # metres from the camera, where nothing is seen that tells
TRUST = .005  # focal lengths: the error of a sure point that being so far off that depth is held against
GAUSS_NEWTON = 2  # steps
ERROR = .003  # focal lengths: the error of a point that a focal length one std off is held against
ARRIVED = 1e-6  # share of the cost: a step that gains less is the last
STUCK = 1e4  # a damping at which steps are too small to gain anything
VIEWS = (35., 55., 80.)  # degrees of the longer side that a search begins with
FOCAL_STD = .35  # of the logarithm of a focal length around that of 55 degrees: it covers 30 to 90


def place(camera: Camera, points: Tensor, pixels: Tensor, weights: Tensor) -> Tensor:
    """Where in the world a body is whose shape is known, frame by frame: linear least squares, in closed form.

    On the ray of its pixel a point at ``(x, y, z)`` has ``x - u z = 0`` and ``y - v z = 0``, two equations linear in
    the translation (as in ZeDO, Jiang et al. 2024). Their errors are lengths across the ray; two Gauss-Newton steps
    from there make them errors in the picture.

    Parameters
    ----------
    camera : Camera
        Known.
    points : Tensor ``(batch, frames, K, 3)``
        The body in the world's axes about any origin, such as its pelvis.
    pixels : Tensor ``(batch or 1, frames, K, 2)``
        Where its points are seen; anything, NaN too, where the weight is 0.
    weights : Tensor ``(batch or 1, frames, K)``
        0 for what is not seen; else, for instance, the confidence.

    Returns
    -------
    Tensor ``(batch, frames, 3)``
        What to add to the points. A frame in which less than two points are seen is put 4 m before the camera, on the
        ray of the point if there is one; with more, that counts for nearly nothing.
    """
    body = _turn(camera.rotation, points.double())
    plane = to_plane(_double(camera), torch.where(weights[..., None] > 0, pixels, 0).double())
    weights = weights.double().expand(body.shape[:-1])
    plane = plane.expand(*body.shape[:-1], 2)
    moved = _solved(plane, weights, (plane * body[..., 2:] - body[..., :2]) / DEPTH, plane.new_tensor(DEPTH))
    for _ in range(GAUSS_NEWTON):
        at = body + moved[..., None, :]
        depth = at[..., 2:].clamp(min=10 * NEAR)
        seen = at[..., :2] / depth
        # Errors e + J (new - moved), with J = (1, 0, -seen x; 0, 1, -seen y) / depth
        there = (moved[..., None, :2] - seen * moved[..., None, 2:]) / depth
        moved = _solved(seen, weights, there - (seen - plane), depth)
    back = moved - camera.translation.double()[:, None]
    return _turn(camera.rotation.transpose(-1, -2), back).to(points.dtype)


def _solved(plane: Tensor, weights: Tensor, right: Tensor, depth: Tensor) -> Tensor:
    """The translation ``(B, T, 3)`` with least squares of ``(1, 0, -plane x; 0, 1, -plane y) / depth @ it - right``,
    held, by very little, to straight ahead.
    """
    rows = torch.cat([torch.eye(2).to(plane).expand(*plane.shape, 2), -plane[..., None]], dim=-1) / depth[..., None]
    ridge = (TRUST / DEPTH)**2 * torch.eye(3).to(plane)
    weighted = weights[..., None, None] * rows
    matrix = torch.einsum("btkij,btkil->btjl", weighted, rows) + ridge
    vector = torch.einsum("btkij,btki->btj", weighted, right) + ridge @ plane.new_tensor([0., 0., DEPTH])
    return torch.linalg.solve(matrix, vector)


def place_weak(rotation: Tensor, points: Tensor, pixels: Tensor, weights: Tensor) -> WeakCamera:
    """The weak-perspective cameras that see bodies of known shape best: one scale a sample, one shift a frame.

    Parameters
    ----------
    rotation : Tensor ``(batch, 3, 3)``
        From the world's axes to the camera's.
    points, pixels, weights : Tensor
        As of `place`.

    Returns
    -------
    WeakCamera
        The least-squares solution; a scale of 0 where nothing is seen.
    """
    flat = _turn(rotation, points)[..., :2]
    weights = weights.expand(flat.shape[:-1])[..., None]
    pixels = torch.where(weights > 0, pixels, 0)
    total = weights.sum(-2, keepdim=True).clamp(min=1e-9)
    centre, target = (weights * flat).sum(-2, keepdim=True) / total, (weights * pixels).sum(-2, keepdim=True) / total
    around, seen = flat - centre, pixels - target
    scale = (weights * around * seen).sum((1, 2, 3)) / (weights * around.square()).sum((1, 2, 3)).clamp(min=1e-9)
    scale = scale.clamp(min=0)
    return WeakCamera(scale, rotation, (target - scale[:, None, None, None] * centre)[..., 0, :])


@dataclass(frozen=True)
class _State:
    """A camera while it is being fitted, without distortion, and what it costs ``(batch,)``."""

    rotation: Tensor
    translation: Tensor
    log_focal: Tensor
    cost: Tensor


def refine_camera(camera: Camera, points: Tensor, pixels: Tensor, weights: Tensor, *, steps: int = 15,
                  usual_focal: Tensor | None = None) -> Camera:
    """Improve cameras by Levenberg-Marquardt: rotation, translation and focal length, each sample on its own.

    Minimised is the sum of ``weight * |projection - pixel| ** 2`` in focal lengths of the first guess, plus, where
    `usual_focal` is given, a term that keeps the logarithm of the focal length near the usual one: being one std (.35)
    off costs as much as an error of .003 focal lengths of one point. Pictures of a flat or far body hardly tell it.

    Parameters
    ----------
    camera : Camera
        A first guess; centre, size and distortion are taken as they are.
    points : Tensor ``(batch, N, 3)``
        In the world.
    pixels : Tensor ``(batch, N, 2)``
        Anything where the weight is 0.
    weights : Tensor ``(batch, N)``
    steps : int
        Most steps.
    usual_focal : Tensor ``(batch,)``, optional
        In pixels; without it the focal length is free.

    Returns
    -------
    Camera
        None costs more than its first guess. The ratio of the two focal lengths stays.
    """
    seen = weights > 0
    plane = to_plane(_double(camera), torch.where(seen[..., None], pixels, 0).double())
    points, weights = torch.where(seen[..., None], points, 0).double(), weights.double()
    first = camera.focal.double().mean(-1).log()
    usual = None if usual_focal is None else usual_focal.double().log() - first

    def evaluated(rotation: Tensor, translation: Tensor, log_focal: Tensor) -> _State:
        residual, _, own = _equations(rotation, translation, log_focal, points, plane, weights, usual)
        return _State(rotation, translation, log_focal, residual.square().sum(-1) + own.square())

    state = evaluated(camera.rotation.double(), camera.translation.double(), torch.zeros_like(first))
    damping = torch.full_like(first, 1e-3)
    arrived = torch.zeros_like(first, dtype=torch.bool)
    for _ in range(steps):
        residual, jacobian, own = _equations(state.rotation, state.translation, state.log_focal, points, plane,
                                             weights, usual)
        normal = jacobian.transpose(-1, -2) @ jacobian
        slope = (jacobian.transpose(-1, -2) @ residual[..., None])[..., 0]
        if usual is not None:
            normal[:, 6, 6] += _keeps()**2
            slope[:, 6] += _keeps() * own
        diagonal = torch.diag_embed(normal.diagonal(dim1=-2, dim2=-1) * damping[:, None] + 1e-12)
        step = -torch.linalg.solve(normal + diagonal, slope)
        trial = evaluated(torch.matrix_exp(_skew(step[:, :3])) @ state.rotation, state.translation + step[:, 3:6],
                          state.log_focal + step[:, 6].clamp(-.5, .5))
        better = (trial.cost < state.cost) & ~arrived
        arrived = arrived | torch.where(better, state.cost - trial.cost < ARRIVED * state.cost, damping > STUCK)
        if bool(arrived.all()):
            break
        state = _State(*(torch.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)
                         for new, old in zip(vars(trial).values(), vars(state).values())))
        damping = torch.where(better, damping / 5, damping * 5).clamp(min=1e-9)
    kind = camera.rotation.dtype
    return replace(camera, rotation=state.rotation.to(kind), translation=state.translation.to(kind),
                   focal=camera.focal * state.log_focal.exp().to(kind)[:, None])


def _keeps() -> float:
    return ERROR / FOCAL_STD


def _equations(rotation: Tensor, translation: Tensor, log_focal: Tensor, points: Tensor, plane: Tensor, weights: Tensor,
               usual: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted residuals ``(B, 2 N)``, their derivatives ``(B, 2 N, 7)`` by rotation, translation and logarithm of the
    focal length, and the residual ``(B,)`` of the latter.
    """
    turned = points @ rotation.transpose(-1, -2)
    x, y, z = (turned + translation[:, None]).unbind(-1)
    z = z.clamp(min=NEAR)
    factor = log_focal.exp()[:, None]
    root = weights.sqrt()
    seen = torch.stack([x / z, y / z], dim=-1) * factor[..., None]
    residual = (seen - plane) * root[..., None]
    zero = torch.zeros_like(x)
    by_place = torch.stack([torch.stack([factor / z, zero, -factor * x / z**2], -1),
                            torch.stack([zero, factor / z, -factor * y / z**2], -1)], dim=-2)  # (B, N, 2, 3)
    by_turn = by_place @ -_skew(turned)
    jacobian = torch.cat([by_turn, by_place, seen[..., None]], dim=-1) * root[..., None, None]
    own = torch.zeros_like(log_focal) if usual is None else _keeps() * (log_focal - usual)
    return residual.flatten(1), jacobian.flatten(1, 2), own


def estimate_camera(points: Tensor, pixels: Tensor, weights: Tensor, size: Tensor) -> Camera:
    """Find cameras from pairs of points and pixels, with nothing else known.

    Scaled orthographic cameras (closed form) give the rotation: one for bodies in the round, two for bodies that are
    nearly flat, which look the same tilted forwards and backwards. From these, with several focal lengths,
    `refine_camera` starts, and the cheapest result is taken.

    Parameters
    ----------
    points : Tensor ``(batch, N, 3)``
        At least 6 seen ones; the more frames of a body, the better.
    pixels : Tensor ``(batch, N, 2)``
        Anything where the weight is 0.
    weights : Tensor ``(batch, N)``
    size : Tensor ``(batch, 2)``
        Width and height of the picture; its middle is taken for the principal point.

    Returns
    -------
    Camera

    Raises
    ------
    ValueError
        If a sample has less than 6 points.
    """
    if not bool(((weights > 0).sum(1) >= 6).all()):
        raise ValueError("a camera needs at least 6 points that are seen in each sample")
    pixels = torch.where(weights[..., None] > 0, pixels, 0)
    share = (weights / weights.sum(1, keepdim=True))[..., None]
    points = torch.where(share > 0, points, 0)
    middle, target = (share * points).sum(1), (share * pixels).sum(1)
    rotations, scale = _orthographic(points - middle[:, None], pixels - target[:, None], share)
    longer = size.amax(-1)

    def begin(rotation: Tensor, degrees: float) -> Camera:
        focal = longer / 2 / torch.deg2rad(longer.new_tensor(degrees / 2)).tan()
        depth = focal / scale
        ahead = torch.cat([(target - size / 2) / scale[:, None], depth[:, None]], dim=-1)
        translation = ahead - (rotation @ middle[..., None])[..., 0]
        return Camera(focal[:, None].expand(-1, 2), size / 2, rotation, translation, size)

    starts = [begin(rotations[0], view) for view in VIEWS] + [begin(rotation, VIEWS[1]) for rotation in rotations[1:]]
    usual = starts[1].focal[:, 0]
    found = [refine_camera(start, points, pixels, weights, steps=40, usual_focal=usual) for start in starts]
    costs = torch.stack([_cost(camera, points, pixels, weights, usual) for camera in found])
    best = costs.argmin(0)
    batch = torch.arange(len(points), device=points.device)

    def chosen(name: str) -> Tensor:
        return torch.stack([getattr(camera, name) for camera in found])[best, batch]

    return Camera(*(chosen(name) for name in ("focal", "centre", "rotation", "translation", "size")))


def _cost(camera: Camera, points: Tensor, pixels: Tensor, weights: Tensor, usual: Tensor) -> Tensor:
    """What a camera without distortion costs, in squares of the usual focal length: comparable between cameras."""
    x, y, z = to_camera(camera, torch.where(weights[..., None] > 0, points, 0)).unbind(-1)
    seen = torch.stack([x, y], -1) / z.clamp(min=NEAR)[..., None] * camera.focal[:, None] + camera.centre[:, None]
    error = ((seen - pixels).square().sum(-1) * weights).sum(1) / usual**2
    return error + (_keeps() * (camera.focal[:, 0] / usual).log()).square()


def _orthographic(points: Tensor, pixels: Tensor, share: Tensor) -> tuple[list[Tensor], Tensor]:
    """Rotations ``(B, 3, 3)``, of which one may be right, and pixels a metre ``(B,)``, of centred points and pixels."""
    spread = (share * points).transpose(1, 2) @ points
    _, axes = torch.linalg.eigh(spread)  # the last is the longest
    spread = spread + 1e-4 * spread.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None] * torch.eye(3).to(spread)
    affine = torch.linalg.solve(spread, (share * points).transpose(1, 2) @ pixels).transpose(1, 2)  # (B, 2, 3)
    u, s, vh = torch.linalg.svd(affine, full_matrices=False)
    round_body = u @ vh
    # Of a rotation the upper left 2 x 2 part stretches by 1 one way and, the other way, by the cosine of the tilt.
    axes = axes.flip(-1) * torch.linalg.det(axes.flip(-1))[:, None, None]
    u, flat, vh = torch.linalg.svd(affine @ axes[..., :2])
    tilt = flat[:, 1] / flat[:, 0].clamp(min=1e-9)
    seen = u @ torch.diag_embed(torch.stack([torch.ones_like(tilt), tilt], -1)) @ vh
    hidden = (1 - tilt.square()).clamp(min=0).sqrt()[:, None] * vh[:, 1]
    rotations = [torch.cat([round_body, torch.linalg.cross(round_body[:, :1], round_body[:, 1:])], dim=1)]
    for sign in (1, -1):
        columns = torch.cat([seen, sign * hidden[:, None]], dim=1)  # (B, 3, 2)
        third = torch.linalg.cross(columns[..., 0], columns[..., 1])
        rotations.append(torch.cat([columns, third[..., None]], dim=-1) @ axes.transpose(1, 2))
    return rotations, s.mean(-1).clamp(min=1e-6)


def _skew(vectors: Tensor) -> Tensor:
    """Matrices ``(..., 3, 3)`` that multiply as the cross product with vectors ``(..., 3)`` does."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))


def _turn(rotation: Tensor, points: Tensor) -> Tensor:
    return torch.einsum("bij,b...j->b...i", rotation.to(points.dtype).expand(len(points), 3, 3), points)


def _double(camera: Camera) -> Camera:
    lens = None if camera.distortion is None else camera.distortion.double()
    return replace(camera, focal=camera.focal.double(), centre=camera.centre.double(),
                   rotation=camera.rotation.double(), translation=camera.translation.double(), distortion=lens)
