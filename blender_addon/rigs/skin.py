# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of a character's mesh, and how their vertices follow bones."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

LEAST = .02  # smaller shares of a bone are dropped
MOST_BONES = 4  # per vertex; game engines take no more


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of a mesh.

    Attributes
    ----------
    vertices : np.ndarray
        `(N, 3)` metres.
    quads : np.ndarray
        `(M, 4)` int, counterclockwise seen from outside; a triangle has its last vertex twice.
    materials : tuple of str
        One for all quads, or of each.
    weights : mapping of str to np.ndarray
        Bone to `(N,)`; they add up to 1.
    shapes : mapping of str to np.ndarray
        Face shape to the way `(N, 3)` that it moves the vertices.
    masks : mapping of str to np.ndarray
        Name to `(N,)` from 0 to 1, for materials.
    """

    vertices: np.ndarray
    quads: np.ndarray
    materials: tuple[str, ...]
    weights: Mapping[str, np.ndarray]
    shapes: Mapping[str, np.ndarray] = field(default_factory=dict)
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)


def mirrored(part: Part) -> Part:
    """The same on the right side: x turned round, sides of bones and shapes exchanged."""
    turn = np.array([-1.0, 1, 1])
    return replace(
        part, vertices=part.vertices * turn, quads=part.quads[:, ::-1],
        weights={bone[:-1] + "R" if bone.endswith(".L") else bone: share for bone, share in part.weights.items()},
        shapes={name.replace("Left", "Right"): way * turn for name, way in part.shapes.items()})


def rigid(vertices: np.ndarray, bone: str) -> dict[str, np.ndarray]:
    """All on one bone."""
    return {bone: np.ones(len(vertices))}


def along(points: np.ndarray, joints: ArrayLike, widths: Sequence[float]) -> np.ndarray:
    """How points `(N, 3)` are shared `(N, B)` by the B bones between B + 1 joints.

    At an inner joint, one bone passes to the next over `widths` to either side (B - 1 of them), measured along.
    """
    line = np.asarray(joints, float)
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    share = np.empty((len(points), len(lengths)))
    place, nearest = np.zeros(len(points)), np.full(len(points), np.inf)
    for a, b, length, start in zip(line, line[1:], lengths, starts):
        t = (points - a) @ (b - a) / length**2
        away = np.linalg.norm(points - a - np.clip(t, 0, 1)[:, None] * (b - a), axis=1)
        place = np.where(away < nearest, start + np.clip(t, 0, 1) * length, place)
        nearest = np.minimum(away, nearest)
    passed = [smooth((place - joint) / (2 * width) + .5) for joint, width in zip(starts[1:-1], widths)]
    edges = [np.ones(len(points)), *passed, np.zeros(len(points))]
    for i in range(len(lengths)):
        share[:, i] = edges[i] - edges[i + 1]
    return np.maximum(share, 0)


def smooth(x: np.ndarray) -> np.ndarray:
    """From 0 at 0 to 1 at 1, level at both ends."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def nearest_share(distances: np.ndarray, width: float) -> np.ndarray:
    """How points `(N, C)` away from C things are shared by them: all to the nearest, about equal within `width`."""
    share = np.exp(-(distances - distances.min(1, keepdims=True)) / width)
    return share / share.sum(1, keepdims=True)


def settled(weights: Mapping[str, np.ndarray], quads: np.ndarray, rounds: int) -> dict[str, np.ndarray]:
    """Weights made even over the mesh: each vertex takes half of its neighbours' mean, some rounds; small ones go."""
    names = list(weights)
    share = np.stack([weights[name] for name in names], 1)
    edges = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    edges = np.concatenate([edges, edges[:, ::-1]])
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    vertices, first = np.unique(edges[:, 0], return_index=True)
    number = np.diff(np.append(first, len(edges)))[:, None]
    for _ in range(rounds):
        share[vertices] = .5 * share[vertices] + .5 * np.add.reduceat(share[edges[:, 1]], first) / number
    least = np.sort(share, 1)[:, -min(MOST_BONES, share.shape[1])][:, None]
    share = np.where((share >= LEAST) & (share >= least), share, 0)
    share /= share.sum(1, keepdims=True)
    return {name: column for name, column in zip(names, share.T) if column.any()}


def joined(parts: Sequence[Part]) -> Part:
    """All parts as one, each quad with its material."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    size = int(starts[-1])
    weights: dict[str, np.ndarray] = {}
    shapes: dict[str, np.ndarray] = {}
    masks: dict[str, np.ndarray] = {}
    materials: list[str] = []
    for part, start in zip(parts, starts):
        rows = slice(start, start + len(part.vertices))
        for bone, share in part.weights.items():
            weights.setdefault(bone, np.zeros(size))[rows] = share
        for name, way in part.shapes.items():
            shapes.setdefault(name, np.zeros((size, 3)))[rows] = way
        for name, mask in part.masks.items():
            masks.setdefault(name, np.zeros(size))[rows] = mask
        materials += part.materials * len(part.quads) if len(part.materials) == 1 else part.materials
    vertices = np.concatenate([part.vertices for part in parts])
    quads = np.concatenate([part.quads + start for part, start in zip(parts, starts)])
    return Part(vertices, quads, tuple(materials), weights, shapes, masks)
