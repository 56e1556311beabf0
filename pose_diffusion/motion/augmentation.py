"""Other bodies, other directions and other tempi, from the few takes there are.

All motions of the mocap are on two skeletons, whose arms and trunks are far from an adult's. So lengths of bones are
not varied around those: they are set, to bodies drawn around `skeletons.ADULT`. The directions of the bones stay, and
with them the motion.
"""
from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from pose_diffusion.motion.motion import Motion, resample
from pose_diffusion.motion.skeletons import BODY, adult_lengths

# Stature in metres, of women and men together: means 1.59 and 1.71 m worldwide (NCD Risk Factor Collaboration 2016),
# each with a std of .07.
STATURE = (1.66, .09)
# Given the stature, a segment of the body varies by some 4-5 % of its length, breadths by 6-7 % (the order of ANSUR II,
# Gordon et al. 2014); segments of a limb go together, so part of it is drawn for the limb.
GROUPS = {"legs": ("knee", "ankle"), "arms": ("elbow", "wrist"), "trunk": ("spine", "thorax"),
          "head": ("head", "head_top"), "hips": ("hip",), "shoulders": ("shoulder",)}
GROUP_STD = {"legs": .03, "arms": .035, "trunk": .04, "head": .05, "hips": .06, "shoulders": .06}
OWN_STD = .03
LARGEST = 2.5  # stds: nothing farther out is drawn
TEMPO = (.75, 1.33)  # beyond it motion looks slowed or hurried


def bodies(generator: torch.Generator, n: int) -> Tensor:
    """Draw bodies of adults.

    Parameters
    ----------
    generator : torch.Generator
        Of the CPU; fixes the draw.
    n : int
        How many.

    Returns
    -------
    Tensor ``(n, 16)``
        Lengths in metres of the bones of `BODY`, in their order; left and right alike.
    """
    kinds = [BODY.joints[child].removeprefix("left_").removeprefix("right_") for _, child in BODY.bones]
    draws = iter(_limited(generator, (1 + len(GROUPS) + len(set(kinds)), n)))
    stature = STATURE[0] + STATURE[1] * next(draws)
    share: dict[str, Tensor] = {}
    for group, members in GROUPS.items():
        together = GROUP_STD[group] * next(draws)
        share |= {kind: (together + OWN_STD * next(draws)).exp() for kind in members}
    proportions = torch.stack([share[kind] for kind in kinds], dim=1)
    return torch.from_numpy(adult_lengths(1.)) * proportions * stature[:, None]


def _limited(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Normal numbers; those beyond `LARGEST` are put there."""
    return torch.randn(shape, generator=generator).clamp(-LARGEST, LARGEST)


def with_lengths(xyz: Tensor, lengths: Tensor) -> Tensor:
    """The same motion with bones of other lengths.

    Parameters
    ----------
    xyz : Tensor ``(batch, frames, 17, 3)``
        Joints of `BODY` in the world.
    lengths : Tensor ``(batch, 16)``
        Of its bones, in metres.

    Returns
    -------
    Tensor ``(batch, frames, 17, 3)``
        Every bone points where it did. The way of the pelvis over the ground at y = 0 grows or shrinks with the legs,
        so that feet that stood still still do, nearly.
    """
    parents, children = torch.tensor(BODY.bones, device=xyz.device).T
    bones = xyz[:, :, children] - xyz[:, :, parents]
    old = bones.norm(dim=-1, keepdim=True)
    legs = [i for i, (_, child) in enumerate(BODY.bones) if BODY.joints[child].endswith(("knee", "ankle"))]
    growth = lengths[:, legs].sum(1) / old[:, :, legs, 0].mean(1).sum(1).clamp(min=1e-6)
    bones = bones / old.clamp(min=1e-9) * lengths[:, None, :, None]
    joints = [xyz[:, :, 0] * growth[:, None, None]]
    for bone, (parent, _) in enumerate(BODY.bones):
        joints.append(joints[parent] + bones[:, :, bone])
    return torch.stack(joints, dim=2)


def turn(xyz: Tensor, angles: Tensor) -> Tensor:
    """Motions ``(batch, frames, K, 3)`` turned about the vertical through the origin by angles ``(batch,)`` in radians;
    positive is counter-clockwise seen from above.
    """
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    x, y, z = xyz.unbind(-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], dim=-1)


def mirrored(xyz: Tensor) -> Tensor:
    """Motions ``(..., 17, 3)`` as in a mirror: x the other way, left and right exchanged."""
    return xyz[..., list(BODY.mirror), :] * xyz.new_tensor([-1., 1., 1.])


def at_tempo(motion: Motion, factor: float) -> Motion:
    """A motion played `factor` times as fast, at the same frame rate.

    Raises
    ------
    ValueError
        For a factor that is none.
    """
    if not 0 < factor < math.inf:
        raise ValueError(f"a tempo must be a number above 0, not {factor}")
    return replace(resample(replace(motion, fps=motion.fps * factor), motion.fps), fps=motion.fps)


def augment(xyz: Tensor, generator: torch.Generator) -> Tensor:
    """Motions ``(batch, frames, 17, 3)`` of other bodies, turned anyhow about the vertical, half of them mirrored."""
    batch = len(xyz)
    lengths = bodies(generator, batch)
    angles = 2 * math.pi * torch.rand(batch, generator=generator)
    flip = torch.rand(batch, generator=generator) < .5
    xyz = torch.where(flip.to(xyz.device)[:, None, None, None], mirrored(xyz), xyz)
    return turn(with_lengths(xyz, lengths.to(xyz)), angles.to(xyz))
