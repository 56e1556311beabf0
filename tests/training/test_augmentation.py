"""Other tempi and other bodies."""
from __future__ import annotations

import numpy as np
import pytest

from pose_diffusion.layout import HOLISTIC
from pose_diffusion.training.augmentation import augment, change_tempo


def track(frames: int) -> np.ndarray:
    """A line, a parabola and a wave: `(T, 1, 3)`."""
    t = np.arange(frames, dtype=np.float32)
    return np.stack([t, t**2 / 20, np.sin(t / 3)], axis=-1)[:, None]


def test_the_same_tempo_changes_nothing() -> None:
    xyz, seen = track(9), np.ones((9, 1), np.float32)
    again, confidence = change_tempo(xyz, seen, 1.)
    assert np.allclose(again, xyz, atol=1e-6)
    assert np.array_equal(confidence, seen)


@pytest.mark.parametrize("factor", [.8, 1.3, 2.])
def test_between_frames_motion_is_curved(factor: float) -> None:
    slow, _ = change_tempo(track(20), np.ones((20, 1), np.float32), factor)
    at = np.linspace(0, 19, len(slow))
    inside = (at > 1) & (at < 18)
    assert np.allclose(slow[inside, 0, 0], at[inside], atol=1e-4)
    assert np.allclose(slow[inside, 0, 1], at[inside]**2 / 20, atol=1e-4)  # straight lines would miss it by .006
    assert np.allclose(slow[inside, 0, 2], np.sin(at[inside] / 3), atol=2e-3)


def test_what_is_next_to_a_lost_frame_is_not_made_up() -> None:
    xyz, seen = track(10), np.ones((10, 1), np.float32)
    seen[5], xyz[5] = 0, 0
    slow, confidence = change_tempo(xyz, seen, 2.)
    at = np.linspace(0, 9, len(slow))
    assert (confidence[(at > 4) & (at < 6)] == 0).all()
    known = confidence[:, 0] > 0
    assert known.sum() == len(at) - ((at > 4) & (at < 6)).sum()
    assert np.abs(slow[known, 0, 0] - at[known]).max() < 1e-4


def test_a_body_is_changed_but_stays_one() -> None:
    rng = np.random.default_rng(0)
    xyz = rng.standard_normal((12, len(HOLISTIC), 3)).astype(np.float32)
    seen = rng.random((12, len(HOLISTIC))).astype(np.float32)
    one, its = augment(xyz, seen, np.random.default_rng(1), HOLISTIC)
    two, _ = augment(xyz, seen, np.random.default_rng(1), HOLISTIC)
    assert np.array_equal(one, two)
    assert one.shape == xyz.shape
    assert np.isfinite(one).all()
    assert not np.allclose(one, xyz)
    assert sorted(its.flatten()) == sorted(seen.flatten())
