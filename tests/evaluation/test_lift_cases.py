"""What lifting is measured on: nothing of the truth is told, and cases are paired."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pose_diffusion.cameras import project
from pose_diffusion.evaluation.lift_cases import ANKLE, LONGEST, Case, occlusion, scenes, stretches, trials
from pose_diffusion.motion.skeletons import BODY
from tests.evaluation.lift_people import takes, unplaced

CASE = Case("case", 8, 5., sequences=6)


def test_trials_are_the_same_again_and_not_with_another_seed() -> None:
    first, again, other = (trials(takes(), CASE, seed) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other):
        assert (a.points == b.points).all()
        assert (a.points != c.points).any()


def test_cases_see_the_same_scenes_with_the_same_noise_of_another_size() -> None:
    clean, noisy, noisier = (trials(takes(), replace(CASE, noise_px=px), 1) for px in (0., 5., 10.))
    for a, b, c in zip(clean, noisy, noisier):
        assert (a.truth == b.truth).all()
        assert np.abs(c.points - a.points - 2 * (b.points - a.points)).max() < 1e-2
    noise = np.concatenate([b.points - a.points for a, b in zip(clean, noisy)])
    assert noise.std() == pytest.approx(5, rel=.05)


def test_a_single_frame_is_the_middle_of_the_sequence() -> None:
    one, many = (trials(takes(), replace(CASE, frames=frames), 1) for frames in (1, LONGEST))
    for short, long in zip(one, many):
        assert (short.truth[0] == long.truth[(LONGEST - 1) // 2]).all()


def test_pixels_without_noise_are_the_projection_in_the_picture() -> None:
    for trial in trials(takes(), replace(CASE, noise_px=0.), 3):
        pixels = project(trial.scene.camera, torch.from_numpy(trial.truth)[None])[0].numpy()
        assert np.abs(pixels - trial.points).max() < 1e-2
        inside = (trial.points >= 0) & (trial.points <= trial.scene.camera.size[0].numpy())
        assert inside.mean() > .97
        assert trial.truth[..., 2].min() > .5


def test_hidden_joints_are_0_and_the_pelvis_is_seen() -> None:
    for trial in trials(takes(), replace(CASE, occluded=True), 1):
        assert not trial.seen.all()
        assert trial.seen[:, 0].all()
        assert (trial.points[~trial.seen] == 0).all()


def test_limbs_are_hidden_in_one_run_of_a_share_of_the_frames() -> None:
    for seed in range(40):
        hidden = occlusion(30, np.random.default_rng(seed))
        joints = hidden.any(0)
        assert joints.any()
        assert hidden.sum(0)[joints].min() >= 9
        assert (np.diff(hidden[:, joints].astype(int), axis=0) == 1).sum(0).max() <= 2  # two limbs may share joints
    assert occlusion(1, np.random.default_rng(0)).any()


def test_only_the_size_of_the_picture_is_told() -> None:
    assert all(trial.camera is None for trial in trials(takes(), replace(CASE, camera="size"), 1))


def test_feet_are_on_the_ground_whether_the_way_was_kept_or_not() -> None:
    people = [unplaced(take) for take in takes()]
    world, _ = stretches(people, 5, torch.Generator().manual_seed(0))
    ankles = world[:, :, [BODY.index("left_ankle"), BODY.index("right_ankle")], 1]
    assert torch.allclose(ankles.flatten(1).amin(1), torch.tensor(ANKLE), atol=1e-5)
    placed, _ = stretches(takes(), 5, torch.Generator().manual_seed(0), drawn=False)
    assert torch.allclose(placed[:, :, 0, 1], torch.tensor(.92), atol=1e-4)


def test_bodies_are_drawn_or_those_of_the_capture() -> None:
    own, drawn = (scenes(takes(), 4, 1, drawn=value) for value in (False, True))
    lengths = BODY.lengths(takes()[0].motion.xyz[0])
    for a, b in zip(own, drawn):
        assert np.allclose(BODY.lengths(a.xyz[0]), lengths, atol=1e-3)
        assert np.abs(BODY.lengths(b.xyz[0]) - lengths).max() > .01
        assert a.take == b.take


def test_takes_come_in_turn() -> None:
    _, names = stretches(takes(3), 6, torch.Generator().manual_seed(0))
    assert sorted(names[:3]) == sorted(names[3:]) == [f"subject_{i}/take_{i}" for i in range(3)]


def test_impossible_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="frames must be 1 to 32"):
        trials(takes(), replace(CASE, frames=33), 0)
    with pytest.raises(ValueError, match="no take is as long"):
        trials(takes(seconds=1.), CASE, 0)
