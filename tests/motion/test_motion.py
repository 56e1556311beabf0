"""Motions at other frame rates."""
from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_diffusion.motion.mocap import cmu_bvh
from pose_diffusion.motion.motion import Motion, resample
from pose_diffusion.motion.skeletons import BODY


def swinging(frames: int, fps: float) -> Motion:
    t = np.arange(frames) / fps
    xyz = np.stack([np.sin(2 * np.pi * t), np.cos(2 * np.pi * t), t], axis=-1)[:, None]
    return Motion(("hand",), (-1,), xyz.astype(np.float32), fps)


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(1, 90), fps=st.floats(20, 120), other=st.floats(10, 120))
def test_a_smooth_motion_is_where_it_was_at_every_time(frames: int, fps: float, other: float) -> None:
    again = resample(swinging(frames, fps), other)
    assert again.fps == other
    exact = swinging(len(again), other).xyz
    assert len(again) == math.floor((frames - 1) / fps * other + 1e-6) + 1
    # A cubic through few frames a second errs at its ends; inside, and with four frames to go by, hardly.
    assert np.abs(again.xyz - exact).max() < (.002 if frames > 8 else .06)


def test_the_same_rate_is_the_same_motion() -> None:
    motion = swinging(9, 25)
    assert resample(motion, 25) is motion
    assert resample(swinging(1, 25), 10).xyz.shape == (1, 1, 3)
    assert swinging(50, 25).seconds == 2


def test_bones_stay_steady(data_folder: Path) -> None:
    take, = cmu_bvh(data_folder / "bvh" / "cmu" / "006_04.bvh")
    down = resample(take.motion, 25)
    thigh = BODY.lengths(down.xyz)[:, 1]
    assert thigh.std() < 1e-4
    assert thigh.mean() == pytest.approx(.4767, abs=1e-4)
    # Straight lines between every second frame would shorten it by more.
    halved = BODY.lengths((take.motion.xyz[:-2:2] + take.motion.xyz[2::2]) / 2)[:, 1]
    assert halved.std() > 2 * thigh.std()


@pytest.mark.parametrize("fps", [0, -1, math.nan, math.inf])
def test_no_such_rate(fps: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        resample(swinging(3, 25), fps)


def test_joints_by_name() -> None:
    motion = swinging(2, 25)
    assert motion.index("hand") == 0
    with pytest.raises(ValueError, match="no joint 'foot': there are hand"):
        motion.index("foot")
