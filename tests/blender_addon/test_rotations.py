# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations in batches, compared with SciPy where it has the same."""
from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation, Slerp

from blender_addon.solver.rotations import (
    about,
    between,
    continuous,
    degrees_between,
    frame,
    inverse,
    multiply,
    swing,
    to_matrices,
    to_quaternions,
    unit,
)

vectors = arrays(float, (5, 3), elements=st.floats(-10, 10)).map(
    lambda x: x + np.where(np.abs(x).sum(-1, keepdims=True) < .1, 1, 0))


def some(count: int = 200, seed: int = 0) -> Rotation:
    return Rotation.random(count, random_state=seed)


def wxyz(rotation: Rotation) -> np.ndarray:
    return np.roll(rotation.as_quat(), 1, -1)


def test_matrices_and_quaternions_there_and_back() -> None:
    half_turns = Rotation.from_rotvec(np.pi * np.concatenate([np.eye(3), -np.eye(3), [[.6, .8, 0], [0, -.6, .8]]]))
    for rotation in (some(), half_turns, Rotation.identity(3)):
        quaternions = to_quaternions(rotation.as_matrix())
        np.testing.assert_allclose(np.abs((quaternions * wxyz(rotation)).sum(-1)), 1, atol=1e-12)
        np.testing.assert_allclose(to_matrices(quaternions), rotation.as_matrix(), atol=1e-12)


def test_products_and_inverses() -> None:
    a, b = some(seed=1), some(seed=2)
    np.testing.assert_allclose(to_matrices(multiply(wxyz(a), wxyz(b))), (a * b).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(to_matrices(inverse(wxyz(a))), a.inv().as_matrix(), atol=1e-12)


@given(vectors, vectors)
def test_a_swing_brings_one_direction_to_the_other_the_short_way(start: np.ndarray, end: np.ndarray) -> None:
    turned = swing(start, end)
    np.testing.assert_allclose(turned @ np.swapaxes(turned, -1, -2), np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-9)
    assert degrees_between((turned @ start[..., None])[..., 0], end).max() < 1e-5
    angle = np.degrees(np.arccos(np.clip((np.trace(turned, axis1=-2, axis2=-1) - 1) / 2, -1, 1)))
    np.testing.assert_allclose(angle, degrees_between(start, end), atol=1e-4)


def test_opposite_directions_swing_half_a_turn() -> None:
    start = np.concatenate([np.eye(3), unit(np.array([[1.0, 2, 3], [1, 1e-9, 0]]))])
    turned = swing(start, -start)
    np.testing.assert_allclose((turned @ start[..., None])[..., 0], -start, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(turned), 1)


@given(vectors, vectors)
def test_a_frame_is_a_rotation_along_its_first_direction(y: np.ndarray, across: np.ndarray) -> None:
    for other in (np.roll(y, 1, -1) + [.5, -.7, .3], np.array([1.0, -2, .4])):
        apart = degrees_between(y, across)
        across = np.where((np.minimum(apart, 180 - apart) < 1)[:, None], other, across)
    made = frame(y, across)
    np.testing.assert_allclose(np.linalg.det(made), 1, atol=1e-6)
    np.testing.assert_allclose(made[..., 1], unit(y), atol=1e-9)
    assert ((made[..., 0] * across).sum(-1) > 0).all()


def test_turning_about_an_axis() -> None:
    axis, angle = unit(np.random.default_rng(0).normal(size=(50, 3))), np.linspace(-4, 4, 50)
    np.testing.assert_allclose(about(axis, angle), Rotation.from_rotvec(axis * angle[:, None]).as_matrix(), atol=1e-12)


def test_the_way_between_two_rotations() -> None:
    a, b = some(20, 3), some(20, 4)
    for share in (0.0, .3, 1.0):
        made = to_matrices(between(wxyz(a), wxyz(b), share))
        wanted = [Slerp([0, 1], Rotation.concatenate([p, q]))(share).as_matrix() for p, q in zip(a, b)]
        np.testing.assert_allclose(made, wanted, atol=1e-9)
    np.testing.assert_allclose(between(wxyz(a), -wxyz(a), .5) ** 2, wxyz(a)**2, atol=1e-9)


@given(arrays(bool, 30))
def test_signs_become_continuous(flips: np.ndarray) -> None:
    steps = Rotation.from_rotvec(np.cumsum(np.random.default_rng(1).normal(scale=.3, size=(30, 3)), 0))
    quaternions = wxyz(steps) * np.where(flips, -1, 1)[:, None]
    made = continuous(quaternions)
    assert ((made[1:] * made[:-1]).sum(-1) >= 0).all()
    assert made[0, 0] >= 0
    np.testing.assert_allclose(np.abs(made), np.abs(quaternions))


def test_small_angles_are_exact() -> None:
    turned = about(np.array([[0.0, 0, 1]]), np.array([1e-7])) @ np.array([1.0, 0, 0])
    np.testing.assert_allclose(degrees_between(turned, np.array([1.0, 0, 0])), np.degrees(1e-7), rtol=1e-6)
