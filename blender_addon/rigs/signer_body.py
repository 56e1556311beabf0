# SPDX-License-Identifier: GPL-3.0-or-later
"""The signer's clothes: plain and dark, as signers wear them, so that the hands stand out. Metres."""
from __future__ import annotations

import numpy as np

from .signer_bones import BONES
from .skin import Part, along, mirrored, nearest_share, settled
from .surface import blend, cone, cut, ellipsoid, net

SPINE = ("spine", "spine.001", "spine.002", "spine.003")
ARM = ("shoulder.L", "upper_arm.L", "forearm.L")
NECK, SLOPE = np.array([0, .019, 1.440]), .25  # the shirt's opening; its back is higher
LEG = ("thigh.L", "shin.L", "foot.L")


def clothes() -> list[Part]:
    """Shirt with collar and cuffs, trousers, shoes."""
    left = [_cuff(), _shoe()]
    return [_shirt(), _collar(), _trousers(), *left, *map(mirrored, left)]


def _head(bone: str) -> np.ndarray:
    return BONES[bone].head


def _tail(bone: str) -> np.ndarray:
    return BONES[bone].tail


def _line(*bones: str) -> np.ndarray:
    """Where bones begin."""
    return np.array([_head(bone) for bone in bones])


def _trunk(points: np.ndarray) -> np.ndarray:
    """Its left half, and as much of the right one as the middle needs."""
    chest = ellipsoid(points, (0, .012, 1.285), (.158, .104, .15))
    waist = ellipsoid(points, (0, .016, 1.10), (.140, .094, .17))
    whole = blend(chest, waist, .08)
    whole = blend(whole, ellipsoid(points, (0, .024, .965), (.166, .112, .10)), .06)
    yoke = cone(points, (.028, .022, 1.385), (.150, .019, 1.347), .050, .046)
    return blend(blend(whole, yoke, .05), cone(points, (0, .022, 1.37), (0, .018, 1.420), .075, .060), .05)


def _sleeve(points: np.ndarray) -> np.ndarray:
    """The left one, from the shoulder to just above the wrist."""
    shoulder, elbow, wrist = _head("upper_arm.L"), _head("forearm.L"), _head("hand.L")
    end = wrist - .034 * (wrist - elbow) / np.linalg.norm(wrist - elbow)
    whole = cone(points, shoulder - (.034, 0, .012), shoulder + .4 * (elbow - shoulder), .042, .046)
    whole = blend(whole, cone(points, shoulder - (0, 0, .008), elbow, .045, .042), .03)
    return blend(whole, cone(points, elbow, end, .042, .0365), .012)


def _both(points: np.ndarray) -> np.ndarray:
    """The same point on the left side: shapes are symmetrical."""
    return np.concatenate([np.abs(points[..., :1]), points[..., 1:]], -1)


def _shirt() -> Part:
    low = BONES["spine"].head[2] - .03

    def distance(points: np.ndarray) -> np.ndarray:
        left = _both(points)
        open_at_neck = (points[..., 2] - NECK[2] - SLOPE * (points[..., 1] - NECK[1])) / np.hypot(1, SLOPE)
        return cut(cut(blend(_trunk(left), _sleeve(left), .035), low - points[..., 2], .02), open_at_neck, .006)

    vertices, quads = net(distance, (-.66, -.16, low - .05), (.66, .19, 1.54), .0195)
    left = _both(vertices)
    arm = along(left, _line(*ARM, "hand.L"), (.07, .04))
    spine = along(left, _line(*SPINE, "spine.004"), (.05, .05, .05))
    part = nearest_share(np.stack([_trunk(left), _sleeve(left)], 1), .018)
    weights = {bone: part[:, 0] * share for bone, share in zip(SPINE, spine.T)}
    for side, here in (("L", vertices[:, 0] >= 0), ("R", vertices[:, 0] < 0)):
        weights.update({f"{bone[:-1]}{side}": part[:, 1] * share * here for bone, share in zip(ARM, arm.T)})
    return Part(vertices, quads, ("Signer shirt",), settled(weights, quads, 3))


def _collar() -> Part:
    """A ring around the neck, which hides where the shirt ends."""
    ring = _ring(NECK, np.array([[1, 0, 0], [0, 1, SLOPE], [0, -SLOPE, 1]]).T, (.0575, .0565), .0065)
    return Part(*ring, ("Signer collar",), {"spine.003": np.ones(len(ring[0]))})


def _cuff() -> Part:
    """A ring around the left wrist, likewise."""
    elbow, wrist = _head("forearm.L"), _head("hand.L")
    down = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    across = np.cross(down, [0, 1, 0])
    axes = np.stack([across, np.cross(down, across), down], -1)
    ring = _ring(wrist - .012 * down, axes, (.0345, .0345), .0055)
    return Part(*ring, ("Signer collar",), {"forearm.L": np.ones(len(ring[0]))})


def _ring(centre: np.ndarray, axes: np.ndarray, radii: tuple[float, float],
          thick: float) -> tuple[np.ndarray, np.ndarray]:
    """A tube around the third of some axes: vertices and quads."""
    steps, sides = 32, 8
    turn, tube = np.meshgrid(*(np.linspace(0, 2 * np.pi, n, endpoint=False) for n in (steps, sides)), indexing="ij")
    flat = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], -1)
    round_ = np.cos(tube)[..., None] * flat + np.sin(tube)[..., None] * np.array([0, 0, 1.5])
    points = flat * (*radii, 0) + thick * round_
    i, j = np.meshgrid(np.arange(steps), np.arange(sides), indexing="ij")
    after, beside = (i + 1) % steps * sides, (j + 1) % sides
    quads = np.stack([i * sides + j, after + j, after + beside, i * sides + beside], -1)
    return centre + points.reshape(-1, 3) @ axes.T, quads.reshape(-1, 4)


def _trousers() -> Part:
    def leg(points: np.ndarray) -> np.ndarray:
        hip, knee, ankle = map(_head, LEG)
        return blend(cone(points, hip - (.012, 0, .04), knee, .086, .060),
                     cone(points, knee, ankle - (0, 0, .02), .060, .050), .03)

    def distance(points: np.ndarray) -> np.ndarray:
        left = _both(points)
        seat = ellipsoid(left, (0, .026, .955), (.148, .100, .085))
        return blend(seat, leg(left), .05)

    vertices, quads = net(distance, (-.25, -.14, -.03), (.25, .2, 1.1), .028)
    left = _both(vertices)
    down = along(left, _line(*LEG, "toe.L"), (.06, .02))
    seat = np.clip((left[:, 2] - .82) / .12, 0, 1)
    weights = {"spine": seat}
    for side, here in (("L", vertices[:, 0] >= 0), ("R", vertices[:, 0] < 0)):
        weights.update({f"{bone[:-1]}{side}": (1 - seat) * share * here for bone, share in zip(LEG, down.T)})
    return Part(vertices, quads, ("Signer trousers",), settled(weights, quads, 3))


def _shoe() -> Part:
    def distance(points: np.ndarray) -> np.ndarray:
        heel, toe = _head("foot.L"), _tail("toe.L")
        whole = blend(ellipsoid(points, (toe[0] - .003, -.085, .035), (.047, .10, .042)),
                      ellipsoid(points, (heel[0], heel[1] + .005, .05), (.042, .065, .06)), .03)
        return cut(whole, -points[..., 2], .008)

    vertices, quads = net(distance, (.03, -.22, -.04), (.18, .13, .15), .016)
    share = along(vertices, [*_line("shin.L", "foot.L", "toe.L"), _tail("toe.L")], (.015, .025))
    weights = dict(zip(("shin.L", "foot.L", "toe.L"), share.T))
    return Part(vertices, quads, ("Signer shoe",), settled(weights, quads, 1))
