"""A face mesh that follows its contour: how the 350 points that no layout holds come along with the 128 it does."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 4


@dataclass(frozen=True, eq=False)
class FaceShape:
    """A clip's median face, and which contour points a mesh point follows.

    Attributes
    ----------
    contour, mesh : np.ndarray
        `(C, D)` and `(M, D)`, stored units, relative to the contour's mean.
    near, weight : np.ndarray
        `(M, NEIGHBOURS)`: the nearest contour points in the image, and their shares by inverse squared distance.
    """

    contour: np.ndarray
    mesh: np.ndarray
    near: np.ndarray
    weight: np.ndarray


def face_shape(contour: np.ndarray, mesh: np.ndarray) -> FaceShape:
    """The median face of frames in which all of it was seen.

    Parameters
    ----------
    contour, mesh : np.ndarray
        `(T, C, D)` and `(T, M, D)`, stored units, T at least 1, C at least `NEIGHBOURS`.
    """
    centre = contour.mean(1, keepdims=True)
    contour, mesh = np.median(contour - centre, axis=0), np.median(mesh - centre, axis=0)
    distance = np.square(mesh[:, None, :2] - contour[None, :, :2]).sum(-1)
    near = np.argpartition(distance, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    closest = np.take_along_axis(distance, near, axis=1)
    weight = 1 / np.maximum(closest, 1e-6 * max(float(distance.max()), 1e-12))
    return FaceShape(contour, mesh, near, weight / weight.sum(1, keepdims=True))


def blend(shape: FaceShape, values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Carry values from the contour to the mesh.

    Parameters
    ----------
    shape : FaceShape
        Who follows whom.
    values : np.ndarray
        `(T, C, D)`.
    known : np.ndarray
        `(T, C)` bool: which of them count.

    Returns
    -------
    np.ndarray
        `(T, M, D)`: the weighted mean of the nearest contour points that count, 0 where none does.
    """
    matrix = np.zeros((len(shape.mesh), len(shape.contour)))
    np.put_along_axis(matrix, shape.near, shape.weight, axis=1)
    total = np.tensordot(np.where(known[..., None], values, 0.0), matrix, axes=(1, 1)).transpose(0, 2, 1)
    return total / np.maximum(known @ matrix.T, 1e-12)[..., None]


def place(shape: FaceShape, contour: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Put the median mesh into a contour: by the least squares similarity, then by what the similarity leaves.

    In the image the similarity is one complex factor, `sum(conj(p) q) / sum(|p|^2)` for centred points; depth takes
    its modulus.

    Parameters
    ----------
    shape : FaceShape
        The clip's median face.
    contour : np.ndarray
        `(T, C, D)`, stored units.
    known : np.ndarray
        `(T, C)` bool: which points of it are there; at least one in each frame.

    Returns
    -------
    np.ndarray
        `(T, M, D)`.
    """
    share = known / known.sum(1, keepdims=True)
    middle = np.einsum("tc,cd->td", share, shape.contour)[:, None]
    target = np.einsum("tc,tcd->td", share, contour)[:, None]
    old, new = shape.contour - middle, contour - target
    p, q = old[..., 0] + 1j * old[..., 1], new[..., 0] + 1j * new[..., 1]
    size = (share * np.abs(p)**2).sum(1)
    factor = np.where(size > 0, (share * np.conj(p) * q).sum(1) / np.maximum(size, 1e-12), 1.0)[:, None]

    def similar(points: np.ndarray) -> np.ndarray:
        turned = factor * (points[..., 0] + 1j * points[..., 1])
        return np.stack([turned.real, turned.imag, *(np.abs(factor) * points[..., d]
                                                     for d in range(2, points.shape[-1]))], axis=-1) + target

    return similar(shape.mesh - middle) + blend(shape, contour - similar(old), known)
