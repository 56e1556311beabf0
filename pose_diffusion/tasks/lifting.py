"""What pictures say of a body in 3D: as an observation that a network reads, and as an energy that guides one.

The network's body is relative to its pelvis, in metres, and seen along *its own ray*: in the camera's frame (x to the
right, y down, z away), turned frame by frame so that the pelvis is straight ahead. A body at the picture's edge then
looks as one in the middle does, and x and y are what the picture shows.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from pose_diffusion.camera_fit import FOCAL_STD
from pose_diffusion.cameras import Camera, project, to_plane
from pose_diffusion.diffusion.curvature import Expansion, expand, times
from pose_diffusion.diffusion.energy import Energy, add, body_size, steady_bones
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.reprojection import Reprojection, Robust, ground, heatmaps, reprojection, smooth
from pose_diffusion.motion.skeletons import ADULT, BODY, adult_lengths
from pose_diffusion.tasks.placing import LOOSE, Sight, place, sight, steady_place
from pose_diffusion.tasks.views import Heatmaps, View, batched, camera_of

__all__ = ["Flat", "Heatmaps", "LiftEnergy", "View", "apparent_size", "flat_observation", "lift_energy", "towards",
           "turned", "turned_back", "upright"]

STATURE = 1.66  # metres, of women and men together (motion.augmentation)
SIZE, OWN_SIZE = .06, .2  # stds, as shares, of adults' sizes and of a bone's, wide enough for all of the mocap
DEPTH = 4.  # metres from the camera of a body of which nothing is seen that tells
NORM = 8  # of the mean over the body's lengths: foreshortening pulls down their middle, not their largest
SHARE = 1.034  # by that mean a body looks so many times as far away as it is (the mocap in random cameras)
SIZE_SECONDS, RAY_SECONDS = .6, .25  # std of the Gaussian over time that steadies the apparent size, and the ray
LEAST = 1e-3  # of the smoothing's weight comes from the whole clip: gaps of any length are bridged
LONGEST = 4  # stds of that Gaussian, after which it ends
TRIED, FARTHEST = 9, 2.  # focal lengths that are tried, up to so many stds from the supposed one
LOW = .05  # the ground is where the lowest ankles are, but for so many of the frames
SINK, SLIP = .02, .15  # metres, and metres a second: stds of what feet do on the ground

# Lengths by which the body's apparent size is told, as shares of the stature.
_LIMBS = tuple((f"{side}_{a}", f"{side}_{b}", ADULT[b]) for side in ("left", "right")
               for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")))
LENGTHS = (*_LIMBS, ("pelvis", "thorax", ADULT["spine"] + ADULT["thorax"]), ("thorax", "head", ADULT["head"]),
           ("left_shoulder", "right_shoulder", 2 * ADULT["shoulder"]), ("left_hip", "right_hip", 2 * ADULT["hip"]))

# How far below the pelvis the others are when one stands, and how far that may be off; shares of the stature.
_BELOW = {"hip": (0, .05), "knee": (.245, .12), "ankle": (.491, .2), "spine": (-.167, .03), "thorax": (-.288, .06),
          "head": (-.398, .08), "head_top": (-.474, .1), "shoulder": (-.288, .1), "elbow": (-.13, .13),
          "wrist": (-.1, .2)}  # yapf: disable


@dataclass(frozen=True)
class Flat:
    """Pictures of bodies as observations: x and y known, z not.

    Attributes
    ----------
    xyz : Tensor ``(B, T, 17, 3)``
        Metres along the body's ray (see the top of this file), relative to the pelvis; 0 where not known.
    axes : Tensor ``(B, T, 17, 3)``, bool
        What of it is known: x and y of what was seen.
    noise : Tensor ``(B, T, 17)``
        Std of x and of y in metres; 0 where not seen.
    turn : Tensor ``(B, T, 3, 3)``
        From the camera's axes to those of the ray.
    depth : Tensor ``(B, T)``
        How far away the body was supposed to be for pixels to become metres: metres.
    """

    xyz: Tensor
    axes: Tensor
    noise: Tensor
    turn: Tensor
    depth: Tensor

    def of(self, frames: slice) -> Flat:
        """Some of the frames."""
        return Flat(*(value[:, frames] for value in vars(self).values()))

    def observation(self, fps: float, valid: Tensor | None = None) -> Observation:
        """For a network; `valid` ``(B, T)`` is False on padding."""
        batch, frames = self.depth.shape
        seconds = (torch.arange(frames, device=self.xyz.device) / fps).expand(batch, -1)
        valid = torch.ones_like(self.depth, dtype=torch.bool) if valid is None else valid
        mask = self.axes.any(-1)
        return Observation(self.xyz, mask, torch.zeros_like(mask), seconds.to(self.xyz), valid, axes=self.axes,
                           noise=self.noise)


def flat_observation(pixels: Tensor, confidence: Tensor, spread: float | Tensor, camera: Camera, fps: float) -> Flat:
    """What a picture tells of the body's x and y; the same in training and use.

    How far away the body is, is told by its apparent size, held against an adult's; the network learns how far off
    that is. A pelvis that is not seen is supposed where it would be if the body stood upright.

    Parameters
    ----------
    pixels : Tensor ``(B, T, 17, 2)``
        Joints of `BODY`; anything, NaN too, where the confidence is 0.
    confidence : Tensor ``(B, T, 17)``
        From 0, not seen, to 1: as what share of an observation a point counts.
    spread : float or Tensor, broadcast over ``(B, T, 17)``
        Std in pixels of an observation of confidence 1.
    camera : Camera
        Batch of B or 1; its place and direction do not matter.
    fps : float
        Frames a second.

    Returns
    -------
    Flat
    """
    seen = confidence > 0
    plane = to_plane(camera, torch.where(seen[..., None], pixels, camera.centre[:, None, None]))
    plane = torch.where(seen[..., None], plane, 0)
    size, told = apparent_size(plane, seen)
    size = torch.exp(_steady(size.clamp(.01, 3).log(), told, SIZE_SECONDS * fps, -math.log(DEPTH)))
    root = _root(plane, confidence, size * STATURE)
    ray = _steady(root, confidence.amax(-1), RAY_SECONDS * fps, 0.)
    turn = towards(ray)
    ahead = torch.cat([plane, torch.ones_like(plane[..., :1])], dim=-1) @ turn.transpose(-1, -2)
    centre = torch.cat([root, torch.ones_like(root[..., :1])], dim=-1)[..., None, :] @ turn.transpose(-1, -2)
    beside = ahead[..., :2] / ahead[..., 2:].clamp(min=.1) - centre[..., :2] / centre[..., 2:].clamp(min=.1)
    depth = 1 / size
    known = torch.stack([seen, seen, torch.zeros_like(seen)], dim=-1)
    flat = torch.where(known, F.pad(beside * depth[..., None, None], (0, 1)), 0)
    std = torch.as_tensor(spread).to(flat) / confidence.clamp(min=1e-4).sqrt()
    std = std / camera.focal.mean(-1)[:, None, None] * depth[..., None]
    return Flat(flat, known, torch.where(seen, std, 0), turn, depth)


def turned(turn: Tensor, points: Tensor) -> Tensor:
    """Points ``(batch, T, K, 3)`` by rotations ``(batch or 1, T, 3, 3)``."""
    return times(turn.unsqueeze(2), points)


def turned_back(turn: Tensor, points: Tensor) -> Tensor:
    """The inverse of `turned`."""
    return times(turn.transpose(-1, -2).unsqueeze(2), points)


def towards(plane: Tensor) -> Tensor:
    """The least rotations ``(..., 3, 3)`` that bring rays through points ``(..., 2)`` at depth 1 to the z axis."""
    x, y = F.normalize(torch.cat([plane, torch.ones_like(plane[..., :1])], dim=-1), dim=-1)[..., :2].unbind(-1)
    z = (1 - x.square() - y.square()).clamp(min=0).sqrt()
    share = 1 / (1 + z)
    rows = [1 - x.square() * share, -x * y * share, -x, -x * y * share, 1 - y.square() * share, -y, x, y, z]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def apparent_size(plane: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """How large a metre of a body ``(B, T, 17, 2)`` looks, ``(B, T)``, and by how much of it that is told, 0 to 1."""
    a, b = torch.tensor([(BODY.index(a), BODY.index(b)) for a, b, _ in LENGTHS], device=plane.device).T
    metres = STATURE * plane.new_tensor([share for _, _, share in LENGTHS])
    weight = (seen[..., a] & seen[..., b]) * metres
    ratio = (plane[..., a, :] - plane[..., b, :]).norm(dim=-1) / metres
    total = weight.sum(-1)
    mean = ((weight * ratio**NORM).sum(-1) / total.clamp(min=1e-6))**(1 / NORM)
    return mean * SHARE, total / metres.sum()


def _root(plane: Tensor, confidence: Tensor, stature: Tensor) -> Tensor:
    """Where the pelvis is ``(B, T, 2)`` in the plane: where it was seen, else where the others say."""
    kinds = [joint.removeprefix("left_").removeprefix("right_") for joint in BODY.joints[1:]]
    below = plane.new_tensor([_BELOW[kind][0] for kind in kinds])
    weight = confidence[..., 1:] / plane.new_tensor([_BELOW[kind][1] for kind in kinds]).square()
    supposed = plane[..., 1:, :] - F.pad((below * stature[..., None])[..., None], (1, 0))
    mean = (weight[..., None] * supposed).sum(-2) / weight.sum(-1, keepdim=True).clamp(min=1e-6)
    return torch.where(confidence[..., :1] > 0, plane[..., 0, :], mean)


def _steady(values: Tensor, weight: Tensor, frames: float, usual: float) -> Tensor:
    """Values ``(B, T, ...)`` smoothed over time by a Gaussian, each counting by its weight ``(B, T)``; where there is
    nothing near, those of the whole clip, and where there is nothing at all, the usual one.
    """
    columns = values.reshape(*values.shape[:2], -1)
    reach = max(1, math.ceil(LONGEST * frames))
    times = torch.arange(-reach, reach + 1, device=values.device)
    kernel = torch.exp(-(times / frames).square() / 2).to(values)
    kernel = kernel / kernel.sum()
    stacked = torch.cat([columns * weight[..., None], weight[..., None]], dim=-1).transpose(1, 2)
    near = F.conv1d(stacked.reshape(-1, 1, stacked.shape[-1]), kernel[None, None], padding=reach)
    near = near.view(stacked.shape).transpose(1, 2)
    total = stacked.sum(-1)[:, None]
    whole = torch.where(total[..., -1:] > 0, total[..., :-1] / total[..., -1:].clamp(min=1e-9), usual)
    smooth = (near[..., :-1] + LEAST * whole) / (near[..., -1:] + LEAST)
    return smooth.view(values.shape)


class LiftEnergy:
    """What views say of bodies ``(batch, T, 17, 3)`` relative to their pelvis, in the first camera's frame: one value a
    sample, the negative logarithm of a likelihood up to a constant.

    The root, which nobody tells, is placed in closed form each time, so the energy is that of the shape alone. Cameras
    that were not known have a focal length of their own for every sample once `refocus` was called.

    Attributes
    ----------
    cameras : list of Camera
        Of the views, in the first one's frame, as they are known now.
    """

    def __init__(self, views: Sequence[View], fps: float, *, robust: Robust | None = None, bones: float = .01,
                 acceleration: float | None = None, up: Tensor | None = None, picture: float = 1.,
                 sized: bool = True):
        if not views:
            raise ValueError("there is no view: give one or more")
        self.views = [batched(view) for view in views]
        self.known = [view.camera is not None for view in views]
        self.cameras = _beside_first([camera_of(view) for view in self.views])
        self.supposed = [camera.focal for camera in self.cameras]
        self.fps, self.robust, self.picture = fps, robust, picture
        self.sights, self.seen = self._sights(self.cameras), self._seen(self.cameras)
        frames = self.views[0].points.shape[1]
        pairs = torch.tensor(BODY.bones, device=self.views[0].points.device)
        adult = torch.from_numpy(adult_lengths(STATURE)).to(pairs.device)
        others = [body_size(pairs, adult, frames, OWN_SIZE, SIZE)] if sized else []
        if frames > 1:
            others.append(steady_bones(pairs, torch.ones(1, frames, dtype=torch.bool, device=pairs.device), bones))
        self.shape = others
        self.place: list[Energy] = [] if acceleration is None else [smooth(acceleration, fps)]
        if up is not None and frames > 1:
            self.place.append(_standing(up, fps))

    def __call__(self, points: Tensor) -> Tensor:
        """``(batch,)``, differentiable."""
        placed = points + self.root(points)[:, :, None]
        values = [self.picture * energy(placed) for energy in self.seen]
        values += [energy(placed) for energy in self.place] + [energy(points) for energy in self.shape]
        return torch.stack(values).sum(0)

    def expand(self, points: Tensor) -> Expansion:
        """Gauss-Newton's, the root going along with the points (variable projection, Golub and Pereyra 1973); other
        energies than of single points, and their root, by automatic differentiation.
        """
        sharp = [energy for energy in self.seen if isinstance(energy, Reprojection)]
        if len(sharp) < len(self.seen):
            return expand(self.__call__, points)
        root = self.root(points)
        out = _with_root([energy.linearised(points + root[:, :, None]) for energy in sharp], self.picture)
        if self.place:
            out = out + expand(lambda free: add(*self.place)(free + self.root(free)[:, :, None]), points)
        for energy in self.shape:
            out = out + expand(energy, points)
        return out

    def root(self, points: Tensor) -> Tensor:
        """Where the pelvis is, ``(batch, T, 3)`` in the first camera's frame: frame by frame, differentiable."""
        return place(self.sights, points)

    def steady_root(self, points: Tensor) -> Tensor:
        """The same, without a shake."""
        return steady_place(self.sights, points, self.fps)

    def refocus(self, points: Tensor) -> None:
        """Find the focal length of each camera that was not known, for each sample on its own, from clean bodies.

        Of some focal lengths around the supposed one that is taken which explains the picture best, the logarithm of
        a focal length being Gaussian around that of 55 degrees, with a std of .35.
        """
        if all(self.known):
            return
        offsets = torch.linspace(-FARTHEST, FARTHEST, TRIED, device=points.device)
        costs = []
        with torch.no_grad():
            for offset in offsets:
                trial = self._scaled((FOCAL_STD * offset).exp().expand(len(points)))
                root = place(self._sights(trial), points)[:, :, None]
                seen = [energy(points + root) for energy in self._seen(trial)]
                costs.append(torch.stack(seen).sum(0) + offset.square() / 2)
        self.cameras = self._scaled((FOCAL_STD * _lowest(offsets, torch.stack(costs))).exp())
        self.sights, self.seen = self._sights(self.cameras), self._seen(self.cameras)

    def _scaled(self, factor: Tensor) -> list[Camera]:
        return [camera if known else _repeated(replace(camera, focal=focal * factor[:, None]), len(factor))
                for camera, known, focal in zip(self.cameras, self.known, self.supposed)]

    def _sights(self, cameras: list[Camera]) -> list[Sight]:
        return [sight(camera, view.points, view.confidence, view.spread) for view, camera in zip(self.views, cameras)]

    def _seen(self, cameras: list[Camera]) -> list[Energy]:
        return [_seen(view, camera, self.robust) for view, camera in zip(self.views, cameras)]


def _with_root(views: Sequence[tuple[Tensor, Tensor, Tensor]], weight: float) -> Expansion:
    """The expansion, times a weight, of errors that `Reprojection.linearised` has of each view, when for every change
    of the points all are shifted to where the errors are smallest.
    """
    value = torch.stack([value for value, _, _ in views]).sum(0)
    errors, rows = (torch.cat(parts, dim=3) for parts in list(zip(*views))[1:])
    square = (rows[..., :, None] * rows[..., None, :]).sum(3)  # (batch, T, K, 3, 3)
    loose = LOOSE**-2 * torch.eye(3).to(square)
    shares = square @ torch.linalg.inv(square.sum(2) + loose).unsqueeze(2)  # of what pulls at the root, by points

    def freed(pull: Tensor) -> Tensor:
        return pull - times(shares, pull.sum(2, keepdim=True))

    square = weight * square
    return Expansion(weight * value, freed(weight * (rows * errors[..., None]).sum(3)),
                     lambda points: freed(times(square, points)))


def lift_energy(views: Sequence[View], fps: float, *, robust: Robust | None = None, bones: float = .01,
                acceleration: float | None = None, up: Tensor | None = None, picture: float = 1.,
                sized: bool = True) -> LiftEnergy:
    """The energy of what views show.

    Parameters
    ----------
    views : sequence of View
        Of the same frames.
    fps : float
        Frames a second.
    robust : callable, optional
        For detections with outliers: `reprojection.student`.
    bones : float
        Std in metres of the length of a bone around its mean over the frames.
    acceleration : float, optional
        Std in metres per second squared of that of every joint, the root's included; without it motion is free.
    up : Tensor ``(3,)``, optional
        The vertical in the first camera's frame: then feet on the ground do not slide.
    picture : float
        Weight of what the views show.
    sized : bool
        Whether bodies are about as large as adults: without it, what explains a picture is the smaller the less likely
        a motion is.

    Returns
    -------
    LiftEnergy
    """
    return LiftEnergy(views, fps, robust=robust, bones=bones, acceleration=acceleration, up=up, picture=picture,
                      sized=sized)


def _seen(view: View, camera: Camera, robust: Robust | None) -> Energy:
    if view.heatmaps is not None:
        maps = view.heatmaps
        return heatmaps(partial(project, camera), maps.likelihood, maps.origin, maps.cell)
    return reprojection(partial(project, camera), view.points, view.confidence, view.spread, robust)


def _standing(up: Tensor, fps: float) -> Energy:
    """Ankles that are lowest do not slide; the ground is as high as the lowest ankle of the clip."""
    turn = upright(up)
    feet = [BODY.index("left_ankle"), BODY.index("right_ankle")]

    def energy(points: Tensor) -> Tensor:
        world = points @ turn.to(points).T
        lowest = world[:, :, feet, 1].detach().flatten(1).quantile(LOW, dim=1)
        return ground(feet, torch.zeros(2).to(points), SINK, level=lowest, slip=SLIP, fps=fps)(world)

    return energy


def upright(up: Tensor) -> Tensor:
    """A rotation ``(3, 3)`` that brings a direction to the y axis."""
    y = F.normalize(up.float(), dim=0)
    aside = torch.eye(3)[y.abs().argmin()].to(y)
    x = F.normalize(torch.linalg.cross(y, aside), dim=0)
    return torch.stack([x, y, torch.linalg.cross(x, y)])


def _beside_first(cameras: list[Camera]) -> list[Camera]:
    """Cameras in the frame of the first one."""
    first = cameras[0]
    out = []
    for camera in cameras:
        rotation = camera.rotation @ first.rotation.transpose(-1, -2)
        shift = camera.translation - (rotation @ first.translation[..., None])[..., 0]
        out.append(replace(camera, rotation=rotation, translation=shift))
    return out


def _repeated(camera: Camera, batch: int) -> Camera:
    given = {name: value for name, value in vars(camera).items() if value is not None}
    return replace(camera, **{name: value.expand(batch, *value.shape[1:]) for name, value in given.items()})


def _lowest(at: Tensor, costs: Tensor) -> Tensor:
    """Where each column of costs ``(n, batch)``, taken at n even places, is lowest: by a parabola through three."""
    i = costs.argmin(0).clamp(1, len(at) - 2)
    before, here, after = (costs.gather(0, (i + step)[None])[0] for step in (-1, 0, 1))
    bend = (before - 2 * here + after).clamp(min=1e-9)
    return at[i] + ((before - after) / (2 * bend)).clamp(-1, 1) * (at[1] - at[0])
