# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes of quads from distance functions: negative inside, positive outside, 0 on the surface.

Shapes are the simple ones of Inigo Quilez's articles on distance functions; the mesh is a naive surface net
(Gibson 1998): one vertex in each cell that the surface passes, one quad around each edge that crosses it.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

COARSE = 4  # cells along each side of a block that is sampled once
NEAR = 6.0  # cells: a block is sampled in full if the surface is so near to its middle
Distance = Callable[[np.ndarray], np.ndarray]  # points (..., 3) to (...)


def blend(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """The union of two shapes, rounded where they meet within about `width`."""
    share = np.clip(.5 + .5 * (second - first) / width, 0, 1)
    return second + share * (first - second) - width * share * (1 - share)


def cut(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """What is in both shapes, rounded likewise."""
    return -blend(-first, -second, width)


def cone(points: np.ndarray, start: ArrayLike, end: ArrayLike, radius: float,
         radius_at_end: float | None = None) -> np.ndarray:
    """A line with round ends, thick as the radii say."""
    a, b = np.asarray(start, points.dtype), np.asarray(end, points.dtype)
    along = b - a
    share = np.clip((points - a) @ along / (along @ along), 0, 1)
    return np.linalg.norm(points - a - share[..., None] * along, axis=-1) - (
        radius + ((radius if radius_at_end is None else radius_at_end) - radius) * share)


def ellipsoid(points: np.ndarray, centre: Sequence[float], radii: Sequence[float]) -> np.ndarray:
    """About the distance from an ellipsoid with axes x, y, z."""
    away = (points - np.asarray(centre, points.dtype)) / np.asarray(radii, points.dtype)
    length = np.linalg.norm(away, axis=-1)
    slope = np.linalg.norm(away / np.asarray(radii, points.dtype), axis=-1)
    return length * (length - 1) / np.maximum(slope, 1e-6)


def gradient(distance: Distance, points: np.ndarray, step: float) -> np.ndarray:
    """Unit vectors `(N, 3)` out of the surface, by central differences."""
    offsets = step * np.eye(3)
    slope = np.stack([distance(points + offset) - distance(points - offset) for offset in offsets], -1)
    return slope / np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), 1e-9)


def net(distance: Distance, low: Sequence[float], high: Sequence[float], step: float) -> tuple[np.ndarray, np.ndarray]:
    """The surface between two corners of a box, which must be closed in it.

    Parameters
    ----------
    distance : callable
        Of points `(..., 3)`.
    low, high : sequence of float
        Corners of the box, metres.
    step : float
        Size of a cell, and about of a quad.

    Returns
    -------
    vertices : np.ndarray
        `(N, 3)`, on the surface.
    quads : np.ndarray
        `(M, 4)` int, counterclockwise seen from outside.

    Raises
    ------
    ValueError
        The surface reaches the box's side.
    """
    values = _sampled(distance, low, high, step)
    inside = values < 0
    if any(inside.take(end, axis).any() for axis in range(3) for end in (0, -1)):
        raise ValueError("the surface is larger than its box")
    cells = np.array(values.shape) - 1
    total, count = np.zeros((cells.prod(), 3)), np.zeros(cells.prod())
    quads = []
    for axis in range(3):
        near, far = (np.take(values, range(start, values.shape[axis] - 1 + start), axis) for start in (0, 1))
        at = np.stack(np.nonzero((near < 0) != (far < 0)), -1)
        before, after = near[tuple(at.T)], far[tuple(at.T)]
        crossing = at.astype(float)
        crossing[:, axis] += before / (before - after)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        around = []
        for di, dj in ((0, 0), (1, 0), (1, 1), (0, 1)):
            cell = at.copy()
            cell[:, i] -= di
            cell[:, j] -= dj
            around.append(np.ravel_multi_index(tuple(cell.T), tuple(cells)))
            np.add.at(total, around[-1], crossing)
            np.add.at(count, around[-1], 1)
        quad = np.stack(around, -1)
        quads.append(np.where((before < 0)[:, None], quad, quad[:, ::-1]))
    used = np.flatnonzero(count)
    number = np.full(len(count), -1)
    number[used] = np.arange(len(used))
    vertices: np.ndarray = np.asarray(low, float) + step * total[used] / count[used, None]
    for _ in range(2):  # the mean of crossings lies a little inside of a curved surface
        vertices = vertices - distance(vertices)[:, None] * gradient(distance, vertices, step / 10)
    return vertices, number[np.concatenate(quads)]


def _sampled(distance: Distance, low: Sequence[float], high: Sequence[float], step: float) -> np.ndarray:
    """Distances on the corners of all cells; far from the surface, where the sign counts, those of a near corner."""
    sizes = [int(np.ceil((b - a) / step / COARSE)) * COARSE for a, b in zip(low, high)]
    grid = np.stack(np.meshgrid(*(a + step * np.arange(size) for a, size in zip(low, sizes)), indexing="ij"), -1)
    middle = COARSE // 2
    values = distance(grid[middle::COARSE, middle::COARSE, middle::COARSE])
    for axis in range(3):
        values = values.repeat(COARSE, axis)
    near = np.abs(values) < NEAR * step
    values[near] = distance(grid[near])
    return values
