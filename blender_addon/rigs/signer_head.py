# SPDX-License-Identifier: GPL-3.0-or-later
"""The signer's head: its shape, and how the jaw opens it. Metres, in the signer's rest pose."""
from __future__ import annotations

import numpy as np

from .signer_bones import BONES
from .skin import Part, along, settled, smooth
from .surface import blend, cone, cut, ellipsoid, net

CELL = .0100
NECK = ("spine.003", "spine.004", "spine.005", "spine.006")
MOUTH = np.array([0, -.090, 1.512])  # the middle of the closed lips
HINGE = np.array([0, .004, 1.552])  # of the jaw
OPEN = np.radians(15)  # how far jawOpen turns it


def head() -> Part:
    """Head and neck."""
    vertices, quads = net(distance, (-.12, -.14, 1.34), (.12, .14, 1.73), CELL)
    line = [BONES[bone].head for bone in NECK] + [BONES[NECK[-1]].tail]
    upright = np.array([[0, 0, point[2]] for point in line])
    share = along(np.array([0, 0, 1.0]) * vertices, upright, (.012, .02, .02))
    weights = dict(zip(NECK, share.T))
    shapes = {"jawOpen": jaw(vertices) * below_lips(vertices)[:, None]}
    return Part(vertices, quads, ("Signer skin",), settled(weights, quads, 1), shapes)


def hair() -> Part:
    """A cap of short hair."""
    def cap(points: np.ndarray) -> np.ndarray:
        skull = ellipsoid(points, (0, .018, 1.612), (.088, .106, .101))
        hairline = 1.668 - points[..., 2] - 1.25 * (points[..., 1] + .072)  # from the forehead down to the neck
        return cut(skull, hairline / 1.6, .012)

    vertices, quads = net(cap, (-.12, -.14, 1.45), (.12, .16, 1.75), .0135)
    return Part(vertices, quads, ("Signer hair",), {"spine.006": np.ones(len(vertices))})


def distance(points: np.ndarray) -> np.ndarray:
    """Distance from head and neck; the same on both sides."""
    left = np.concatenate([np.abs(points[..., :1]), points[..., 1:]], -1)
    whole = blend(ellipsoid(left, (0, .016, 1.610), (.080, .097, .092)),
                  ellipsoid(left, (0, -.020, 1.545), (.064, .068, .082)), .035)
    whole = blend(whole, ellipsoid(left, (.032, -.050, 1.540), (.030, .030, .034)), .03)  # cheek
    whole = blend(whole, ellipsoid(left, (0, -.066, 1.482), (.026, .022, .018)), .025)  # chin
    nose = blend(cone(left, (0, -.085, 1.582), (0, -.100, 1.556), .0055, .0100),
                 ellipsoid(left, (.009, -.094, 1.552), (.009, .009, .007)), .008)
    whole = blend(whole, nose, .014)
    ear = cut(ellipsoid(left, (.082, .012, 1.572), (.013, .024, .034)),
              -ellipsoid(left, (.096, .006, 1.574), (.010, .013, .021)), .006)
    whole = blend(whole, ear, .010)
    neck = cone(left, (0, .020, 1.41), (0, .010, 1.53), .051, .050)
    return blend(whole, neck, .022)


def on_face(across: np.ndarray, up: np.ndarray, out: float | np.ndarray = 0.0) -> np.ndarray:
    """The points of the face `(..., 3)` at x `across` and z `up`, moved `out` of it to the front."""
    x, z = np.broadcast_arrays(np.asarray(across, float), np.asarray(up, float))
    near, far = np.full(x.shape, -.14), np.full(x.shape, .0)
    for _ in range(16):
        middle = (near + far) / 2
        inside = distance(np.stack([x, middle, z], -1)) < 0
        near, far = np.where(inside, near, middle), np.where(inside, middle, far)
    return np.stack([x, near - out, z], -1)


def jaw(points: np.ndarray) -> np.ndarray:
    """The way `(N, 3)` that points would go with the jaw when it is open: a turn about the line through its hinges."""
    y, z = points[:, 1] - HINGE[1], points[:, 2] - HINGE[2]
    cosine, sine = np.cos(OPEN), np.sin(OPEN)
    return np.stack([np.zeros(len(points)), y * (cosine - 1) - z * sine, y * sine + z * (cosine - 1)], -1)


def below_lips(points: np.ndarray) -> np.ndarray:
    """How much `(N,)` of the skin goes with the jaw: 1 below the lips and at the chin, 0 above and on the neck."""
    x, y, z = points.T
    line = MOUTH[2] + .5 * np.maximum(np.abs(x) - .02, 0)  # the cheeks rise towards the ears
    down = smooth((line - z) / (.012 + .5 * np.abs(x)) + .5)
    front = smooth((.026 - y) / .045)
    throat = 1 - smooth((1.474 - z) / .030) * smooth((y + .066) / .03)
    return down * front * throat
