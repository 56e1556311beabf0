from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_diffusion.face_mesh import NEIGHBOURS, FaceShape, blend, face_shape, place

RNG = np.random.default_rng(0)
CONTOUR, MESH = RNG.normal(0, 10, (1, 30, 3)), RNG.normal(0, 8, (1, 50, 3))
SHAPE = face_shape(CONTOUR, MESH)


def turned(points: np.ndarray, size: float, angle: float, shift: np.ndarray) -> np.ndarray:
    """A similarity in the image; depth takes the size."""
    cos, sin = np.cos(angle), np.sin(angle)
    return size * points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + shift


def test_the_shape_is_the_median_about_the_contours_mean() -> None:
    shifts = np.array([[0, 0, 0], [5, 5, 5], [-90, 3, 0.0]])[:, None]
    shape = face_shape(CONTOUR + shifts, MESH + shifts)
    assert np.allclose(shape.contour, CONTOUR[0] - CONTOUR[0].mean(0))
    assert np.allclose(shape.mesh, MESH[0] - CONTOUR[0].mean(0))


def test_a_mesh_point_follows_its_nearest_contour_points_the_nearer_the_more() -> None:
    distance = np.linalg.norm((MESH[0, :, None] - CONTOUR[0])[..., :2], axis=-1)
    for point in range(50):
        assert set(SHAPE.near[point]) == set(np.argsort(distance[point])[:NEIGHBOURS])
        order = np.argsort(distance[point, SHAPE.near[point]])
        assert (np.diff(SHAPE.weight[point][order]) <= 0).all()
    assert np.allclose(SHAPE.weight.sum(1), 1)


def test_a_mesh_point_on_a_contour_point_goes_where_it_goes() -> None:
    shape = face_shape(CONTOUR, np.concatenate([CONTOUR[:, :5], MESH], axis=1))
    move = RNG.normal(0, 3, (2, 30, 3))
    carried = blend(shape, move, np.ones((2, 30), dtype=bool))
    assert np.allclose(carried[:, :5], move[:, :5], atol=.1)


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_one_shift_of_all_that_is_known_is_the_shift_of_the_mesh(seed: int, lost: float) -> None:
    rng = np.random.default_rng(seed)
    known = np.asarray(rng.random((3, 30)) >= lost)
    shift = rng.normal(0, 5, (3, 1, 3))
    values = np.where(known[..., None], shift, 1e6)
    reached = np.any(known[:, SHAPE.near], axis=-1)
    expected = np.where(reached[..., None], shift, 0.0)
    assert np.allclose(blend(SHAPE, values, known), expected)


@given(st.floats(.2, 5), st.floats(-3, 3), st.integers(0, 2**31), st.floats(0, .6))
def test_a_similar_contour_gets_the_similar_mesh(size: float, angle: float, seed: int, lost: float) -> None:
    rng = np.random.default_rng(seed)
    shift, known = rng.normal(0, 100, 3), rng.random((1, 30)) >= lost
    known[0, :2] = True
    placed = place(SHAPE, np.where(known[..., None], turned(CONTOUR, size, angle, shift), 0.0), known)
    assert np.allclose(placed, turned(MESH, size, angle, shift), atol=1e-6)


def test_what_the_similarity_leaves_is_carried_over() -> None:
    contour = CONTOUR.copy()
    contour[0, 3] += [4, 0, 0]
    placed = place(SHAPE, contour, np.ones((1, 30), dtype=bool)) - MESH
    near = (SHAPE.near == 3).any(1)
    assert placed[0, near, 0].mean() > 3 * abs(placed[0, ~near, 0].mean())
    assert placed[0, near, 0].mean() > .3


@pytest.mark.parametrize("points", [1, 3])
def test_a_contour_in_one_place_gives_a_mesh_all_the_same(points: int) -> None:
    shape = FaceShape(np.zeros((points, 3)), np.zeros((2, 3)), np.zeros((2, 4), int), np.full((2, 4), .25))
    placed = place(shape, np.full((1, points, 3), 7.0), np.ones((1, points), dtype=bool))
    assert np.allclose(placed, 7)
