"""Other bodies, directions and tempi: what must change, and what must not."""
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_diffusion.motion.augmentation import at_tempo, augment, bodies, mirrored, turn, with_lengths
from pose_diffusion.motion.motion import Motion
from pose_diffusion.motion.skeletons import BODY, adult_lengths


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def walkers(batch: int = 3, frames: int = 8) -> Tensor:
    """Bodies of any posture that wander over the ground."""
    random = generator(5)
    directions = torch.randn(batch, frames, len(BODY), 3, generator=random)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    joints = [torch.tensor([0., 1., 0.]) + .1 * torch.randn(batch, frames, 3, generator=random)]
    for (parent, child), length in zip(BODY.bones, adult_lengths()):
        joints.append(joints[parent] + directions[:, :, child] * length)
    return torch.stack(joints, dim=2)


def lengths(xyz: Tensor) -> np.ndarray:
    return BODY.lengths(xyz.numpy())


def test_bodies_are_adults_and_alike_on_both_sides() -> None:
    drawn = bodies(generator(), 4000)
    assert drawn.shape == (4000, 16)
    mirror = [next(i for i, (_, c) in enumerate(BODY.bones) if c == BODY.mirror[child]) for _, child in BODY.bones]
    assert torch.equal(drawn, drawn[:, mirror])
    ratio = drawn.numpy() / adult_lengths(1.66)
    np.testing.assert_allclose(ratio.mean(axis=0), 1, atol=.01)
    assert ((ratio.std(axis=0) > .05) & (ratio.std(axis=0) < .1)).all()
    assert ratio.min() > .6
    assert ratio.max() < 1.6
    # Legs given the stature vary little against each other: thigh and shank go together.
    assert np.corrcoef(drawn[:, 1], drawn[:, 2])[0, 1] > .6


def test_the_draw_is_fixed_by_the_generator() -> None:
    assert torch.equal(bodies(generator(3), 5), bodies(generator(3), 5))
    assert not torch.equal(bodies(generator(3), 5), bodies(generator(4), 5))
    xyz = walkers()
    assert torch.equal(augment(xyz, generator(3)), augment(xyz, generator(3)))


def test_bones_get_their_lengths_and_keep_their_directions() -> None:
    xyz, wanted = walkers(), bodies(generator(), 3)
    out = with_lengths(xyz, wanted)
    np.testing.assert_allclose(lengths(out), np.repeat(wanted[:, None].numpy(), 8, 1), rtol=1e-4)
    for parent, child in BODY.bones:
        before, after = xyz[:, :, child] - xyz[:, :, parent], out[:, :, child] - out[:, :, parent]
        assert float(torch.cosine_similarity(before, after, dim=-1).min()) > 1 - 1e-5
    np.testing.assert_allclose(with_lengths(xyz, torch.from_numpy(adult_lengths()).expand(3, -1)), xyz, atol=1e-5)


def test_a_larger_body_goes_farther() -> None:
    xyz = walkers()
    out = with_lengths(xyz, 1.2 * torch.from_numpy(adult_lengths()).expand(3, -1))
    torch.testing.assert_close(out, 1.2 * xyz, atol=1e-5, rtol=1e-5)


def test_a_bone_without_a_length_stays_finite() -> None:
    xyz = torch.zeros(1, 2, 17, 3)
    assert bool(with_lengths(xyz, bodies(generator(), 1)).isfinite().all())


def test_turns_are_about_the_vertical() -> None:
    xyz = walkers()
    torch.testing.assert_close(turn(xyz, torch.full((3,), 2 * math.pi)), xyz, atol=1e-5, rtol=0)
    quarter = turn(xyz, torch.full((3,), math.pi / 2))
    torch.testing.assert_close(quarter[..., 1], xyz[..., 1])
    torch.testing.assert_close(quarter[..., 0], xyz[..., 2], atol=1e-6, rtol=0)  # z comes to point along x
    torch.testing.assert_close(quarter[..., 2], -xyz[..., 0], atol=1e-6, rtol=0)
    there = turn(xyz, torch.tensor([.3, 1., -2.]))
    torch.testing.assert_close(turn(there, -torch.tensor([.3, 1., -2.])), xyz, atol=1e-5, rtol=0)


def test_a_mirror_image_is_a_body_with_its_sides_exchanged() -> None:
    xyz = walkers()
    out = mirrored(xyz)
    torch.testing.assert_close(mirrored(out), xyz)
    np.testing.assert_allclose(lengths(out)[..., 1], lengths(xyz)[..., 4], rtol=1e-5)
    left, right = BODY.index("left_wrist"), BODY.index("right_wrist")
    torch.testing.assert_close(out[..., left, :], xyz[..., right, :] * torch.tensor([-1., 1., 1.]))


def test_augmented_bodies_keep_their_height_above_the_ground_in_proportion() -> None:
    xyz = walkers(64)
    out = augment(xyz, generator())
    assert out.shape == xyz.shape
    ratio = out[:, :, 0, 1] / xyz[:, :, 0, 1]
    assert float((ratio - ratio[:, :1]).abs().max()) < 1e-4
    yaw = torch.atan2(out[:, 0, 4, 0] - out[:, 0, 1, 0], out[:, 0, 4, 2] - out[:, 0, 1, 2])
    assert float(yaw.std()) > 1  # all directions


@pytest.mark.parametrize("factor", [.75, 1.0, 1.25])
def test_tempo(factor: float) -> None:
    t = np.arange(90) / 30
    xyz = np.repeat(np.stack([np.sin(t), t, 0 * t], -1)[:, None], 17, 1).astype(np.float32)
    fast = at_tempo(Motion(BODY.joints, BODY.parents, xyz, 30.), factor)
    assert fast.fps == 30
    assert len(fast) == math.floor(89 / factor + 1e-6) + 1
    np.testing.assert_allclose(fast.xyz[:, 0, 1], factor * np.arange(len(fast)) / 30, atol=1e-5)
    np.testing.assert_allclose(fast.xyz[:, 0, 0], np.sin(fast.xyz[:, 0, 1]), atol=1e-4)


def test_no_such_tempo() -> None:
    with pytest.raises(ValueError, match="a tempo"):
        at_tempo(Motion(("a",), (-1,), np.zeros((2, 1, 3), np.float32), 30.), 0)
