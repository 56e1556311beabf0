# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations in batches: matrices `(..., 3, 3)` whose columns are axes, quaternions `(..., 4)` as w, x, y, z."""
from __future__ import annotations

import numpy as np

TINY = 1e-9


def unit(vectors: np.ndarray, otherwise: np.ndarray | None = None) -> np.ndarray:
    """Vectors `(..., N)` of length 1; what is shorter than 1e-9 becomes `otherwise`, or stays about 0."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled = vectors / np.maximum(length, TINY)
    return scaled if otherwise is None else np.where(length > TINY, scaled, otherwise)


def frame(y: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The right-handed frames `(..., 3, 3)` of a direction `y` and a vector that points about to +x.

    The second column is along `y`, the first as near to `across` as is square to it, the third x cross y. Neither may
    be 0, nor the two parallel.
    """
    y = unit(y)
    x = unit(across - (across * y).sum(-1, keepdims=True) * y)
    return np.stack([x, y, np.cross(x, y)], -1)


def swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotations `(..., 3, 3)` that bring directions `start` to directions `end`.

    Rodrigues' formula. For opposite directions the axis is any that is square to them.
    """
    a, b = unit(start), unit(end)
    a, b = np.broadcast_arrays(a, b)
    cosine = np.clip((a * b).sum(-1), -1, 1)
    spare = unit(np.cross(a, np.where(np.abs(a[..., :1]) < .9, [1.0, 0, 0], [0, 1.0, 0])))
    cross = np.cross(a, b)
    sine = np.linalg.norm(cross, axis=-1)
    axis = np.where((sine > TINY)[..., None], cross / np.maximum(sine, TINY)[..., None], spare)
    return about(axis, np.arctan2(sine, cosine))


def about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotations `(..., 3, 3)` about unit vectors `axis` by `angle` radians (Rodrigues' formula)."""
    x, y, z = np.moveaxis(np.asarray(axis, float), -1, 0)
    zero = np.zeros_like(x)
    k = np.stack([np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1)], -2)
    angle = np.asarray(angle, float)[..., None, None]
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def to_quaternions(matrices: np.ndarray) -> np.ndarray:
    """Quaternions `(..., 4)` of rotations, by the largest of the four components (Shepperd 1978)."""
    m = np.asarray(matrices, float)
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    squares = np.stack([trace, *(2 * m[..., i, i] - trace for i in range(3))], -1) + 1  # 4 times each component squared
    best = squares.argmax(-1)[..., None]
    d = {(i, j): m[..., i, j] for i in range(3) for j in range(3)}
    rows = np.stack([
        np.stack([squares[..., 0], d[2, 1] - d[1, 2], d[0, 2] - d[2, 0], d[1, 0] - d[0, 1]], -1),
        np.stack([d[2, 1] - d[1, 2], squares[..., 1], d[1, 0] + d[0, 1], d[0, 2] + d[2, 0]], -1),
        np.stack([d[0, 2] - d[2, 0], d[1, 0] + d[0, 1], squares[..., 2], d[2, 1] + d[1, 2]], -1),
        np.stack([d[1, 0] - d[0, 1], d[0, 2] + d[2, 0], d[2, 1] + d[1, 2], squares[..., 3]], -1)], -2)
    return unit(np.take_along_axis(rows, best[..., None], -2)[..., 0, :])


def to_matrices(quaternions: np.ndarray) -> np.ndarray:
    """Rotations `(..., 3, 3)` of quaternions of any length but 0."""
    w, x, y, z = np.moveaxis(unit(quaternions), -1, 0)
    return np.stack([
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1)], -2)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton products `(..., 4)`: first `b`, then `a`."""
    w, v = a[..., :1], a[..., 1:]
    s, u = b[..., :1], b[..., 1:]
    return np.concatenate([w * s - (v * u).sum(-1, keepdims=True), w * u + s * v + np.cross(v, u)], -1)


def inverse(quaternions: np.ndarray) -> np.ndarray:
    """Of unit quaternions."""
    return quaternions * np.array([1.0, -1, -1, -1])


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """The same rotations `(T, ..., 4)` with signs chosen so that neighbouring frames are near: the first has w >= 0."""
    signs = np.where((quaternions[1:] * quaternions[:-1]).sum(-1) < 0, -1.0, 1.0)
    first = np.where(quaternions[:1, ..., 0] < 0, -1.0, 1.0)
    return quaternions * np.cumprod(np.concatenate([first, signs]), 0)[..., None]


def between(a: np.ndarray, b: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """The shorter way from quaternions `a` (share 0) to `b` (share 1): Shoemake's slerp (1985)."""
    cosine = (a * b).sum(-1, keepdims=True)
    b, cosine = np.where(cosine < 0, -b, b), np.minimum(np.abs(cosine), 1)
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    share = np.asarray(share, float)[..., None]
    near = sine < 1e-6
    safe = np.where(near, 1, sine)
    mix = np.where(near, 1 - share, np.sin((1 - share) * angle) / safe) * a
    return unit(mix + np.where(near, share, np.sin(share * angle) / safe) * b)


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles `(...)` between directions `(..., 3)`, in degrees; exact for small ones."""
    a, b = unit(a), unit(b)
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)))
