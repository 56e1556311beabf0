"""What a network is told of its training data, on constructed people."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from pose_format import Pose
from torch import Tensor

from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.filling import sides
from pose_diffusion.diffusion.gaussian import FRAMES
from pose_diffusion.layout import BODY, HOLISTIC, LEFT_HAND
from pose_diffusion.training.data import Pack
from pose_diffusion.training.statistics import statistics
from tests.models import TINY
from tests.poses import constructed_pose, lose, part
from tests.training.packs import pack

BODY_PART, HAND = HOLISTIC.parts["body"], HOLISTIC.parts["left_hand"]
FLIP = torch.tensor([-1., 1., 1.])


def told(poses: list[Pose]) -> tuple[Pack, dict[str, Tensor]]:
    packed = pack({"ann": poses})
    return packed, statistics(packed, np.arange(len(poses)), HOLISTIC)


def windows(packed: Pack, clip: int) -> list[Tensor]:
    """The first, middle and last windows of a clip, `(FRAMES, K, 3)`."""
    xyz = torch.from_numpy(packed.clip(clip)[0])
    return [xyz[start:start + FRAMES] for start in (0, (len(xyz) - FRAMES) // 2, len(xyz) - FRAMES)]


def side(window: Tensor) -> Tensor:
    """A left hand from its body wrist, and its arm."""
    hand, arm = window[:, HAND], window[:, sides(HOLISTIC)[0][HAND.stop - HAND.start:]]
    return torch.cat([hand - window[:, [HOLISTIC.index(BODY, "LEFT_WRIST")]], arm], dim=1)


def mirrored(window: Tensor) -> Tensor:
    return window[:, list(HOLISTIC.mirror)] * FLIP


@pytest.fixture(scope="module")
def full() -> tuple[Pack, dict[str, Tensor]]:
    """Of 54 clips of which all is seen: 162 windows of each side, 324 of the body."""
    return told([constructed_pose(60, seed=seed) for seed in range(54)])


def test_it_is_all_that_a_network_is_told(full: tuple[Pack, dict[str, Tensor]]) -> None:
    buffers = dict(Denoiser(TINY).named_buffers())
    del buffers["level"]  # the same for all data
    assert {name: value.shape for name, value in full[1].items()} == {n: b.shape for n, b in buffers.items()}
    assert all(value.isfinite().all() and value.dtype == torch.float32 for value in full[1].values())


def test_mean_std_and_rate_are_those_of_the_features(full: tuple[Pack, dict[str, Tensor]]) -> None:
    packed, found = full
    x = np.stack([np.einsum("kj,tjd->tkd", HOLISTIC.to_features, packed.clip(i)[0]) for i in range(54)])
    assert np.allclose(found["mean"], x.mean((0, 1)), atol=1e-4)
    assert np.allclose(found["std"], np.maximum(x.std((0, 1)), 1e-3), atol=1e-3)
    walked = ((x[:, 4:] - x[:, :-4])**2).mean((0, 1)) * 25 / 4
    assert np.allclose(found["rate"], np.sqrt(np.maximum(walked, 1e-6)), atol=1e-3)


def test_windows_are_of_the_body_and_its_mirror_image_and_of_both_sides(full: tuple[Pack, dict[str, Tensor]]) -> None:
    packed, found = full
    x = [window for i in range(54) for window in windows(packed, i)]
    both = torch.stack([*x, *(mirrored(window) for window in x)])
    assert torch.allclose(found["body_window_mean"], both[:, :, BODY_PART].mean(0), atol=1e-4)
    assert torch.allclose(found["side_window_mean"], torch.stack([side(w) for w in both]).mean(0), atol=1e-4)
    total = both[:, :, BODY_PART].flatten(1).var(0, unbiased=False).sum()
    assert float(found["body_window_variances"].sum()) == pytest.approx(float(total), rel=.01)


def test_a_hand_that_is_missing_is_not_learnt_from() -> None:
    """Clips without a left hand tell of the right side only; those too short for a window tell nothing."""
    whole = [constructed_pose(60, seed=seed) for seed in range(54)]
    poses = [lose(pose, slice(None), part(pose, LEFT_HAND)) for pose in whole]
    short = [constructed_pose(FRAMES - 1, seed=seed) for seed in range(100, 110)]
    packed, found = told([*poses, *short])
    rights = torch.stack([side(mirrored(window)) for i in range(54) for window in windows(packed, i)])
    assert torch.allclose(found["side_window_mean"], rights.mean(0), atol=1e-4)


def test_too_few_windows_are_not_fitted_to() -> None:
    _, found = told([constructed_pose(40, seed=seed) for seed in range(6)])
    assert not any("window" in name for name in found)
    assert {"mean", "std", "rate", "hand_taps", "body_taps"} <= found.keys()
