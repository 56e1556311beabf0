from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_diffusion import corruption
from pose_diffusion.corruption import CASES, LEVELS, Damaged, corrupt, undamaged
from pose_diffusion.layout import BODY, HOLISTIC

LEFT, RIGHT, FACE = (HOLISTIC.parts[name] for name in ("left_hand", "right_hand", "face"))
MOVING = ("jitter", "swap", "outlier", "freeze", "mixed")


def clip(frames: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A moving clip with holes: points by themselves, the left hand in some frames."""
    rng = np.random.default_rng(seed)
    xyz = np.cumsum(rng.normal(0, .05, (frames, len(HOLISTIC), 3)), axis=0).astype(np.float32)
    observed = rng.random((frames, len(HOLISTIC))) < .95
    observed[frames // 2:frames // 2 + 3, LEFT] = False
    return np.where(observed[..., None], xyz, 0).astype(np.float32), observed


def whole(frames: int) -> tuple[np.ndarray, np.ndarray]:
    xyz, _ = clip(frames)
    return xyz + 10, np.ones(xyz.shape[:2], bool)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CASES), st.sampled_from(LEVELS), st.integers(0, 99), st.integers(1, 50))
def test_damage_is_marked_seeded_and_leaves_the_rest_bit_for_bit(case: str, level: int, seed: int, frames: int) -> None:
    xyz, observed = clip(frames, seed)
    kept = xyz.copy(), observed.copy()
    result = corrupt(xyz, observed, case, level, seeded(seed))
    assert np.array_equal(xyz, kept[0])
    assert np.array_equal(observed, kept[1])
    again = corrupt(xyz, observed, case, level, seeded(seed))
    assert all(np.array_equal(getattr(result, name), getattr(again, name)) for name in ("xyz", "observed", "touched"))
    assert result.xyz.dtype == np.float32
    assert (result.xyz[~result.observed] == 0).all()
    calm = ~result.touched
    assert np.array_equal(result.observed[calm], observed[calm])
    assert np.array_equal(result.xyz[calm], xyz[calm])
    if case not in ("swap", "mixed"):  # only exchanged hands appear where there was nothing
        assert not (result.touched & ~observed).any()
        assert not (result.observed & ~observed).any()


def test_damage_differs_from_seed_to_seed() -> None:
    xyz, observed = clip()
    for case in CASES:
        first, second = (corrupt(xyz, observed, case, 2, seeded(i)) for i in range(2))
        same = np.array_equal(first.xyz, second.xyz)
        assert same == (case in ("clean", "frame_drop")), case


@pytest.mark.parametrize("case", MOVING)
def test_moved_points_keep_being_reported(case: str) -> None:
    xyz, observed = whole(60)
    result = corrupt(xyz, observed, case, 3, seeded())
    assert (result.touched & result.observed).any()
    moved = result.touched & result.observed
    assert (result.xyz[moved] != xyz[moved]).any(axis=-1).mean() > .9


@pytest.mark.parametrize(("level", "length"), [(1, 2), (2, 8), (3, 20)])
def test_hands_are_lost_in_runs_of_the_stated_length_once_in_forty_frames(level: int, length: int) -> None:
    xyz, observed = whole(40)
    runs = []
    for seed in range(60):
        result = corrupt(xyz, observed, "hand_drop", level, seeded(seed))
        lost = np.stack([~np.any(result.observed[:, part], axis=1) for part in (LEFT, RIGHT)])
        assert lost.sum() == length
        hand = np.logical_or(lost[0], lost[1])
        assert np.abs(np.diff(hand.astype(int))).sum() == 2 - (hand[0] or hand[-1])
        assert not result.touched[:, :LEFT.start].any()
        assert not result.touched[:, FACE].any()
        runs.append(hand[0] or hand[-1])
    assert .05 < np.mean(runs) < .4  # a fifth touch an end


def test_arm_drop_takes_the_arm_of_the_same_side_along() -> None:
    xyz, observed = whole(40)
    result = corrupt(xyz, observed, "arm_drop", 2, seeded())
    side = "LEFT" if result.touched[:, LEFT].any() else "RIGHT"
    lost = {point for i, (component, point) in enumerate(HOLISTIC.points)
            if component == BODY and result.touched[:, i].any()}
    assert lost == {f"{side}_{point}" for point in ("ELBOW", "WRIST", "PINKY", "INDEX", "THUMB")}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(("hand_drop", "arm_drop")), st.sampled_from(LEVELS), st.integers(0, 999), st.integers(1, 200))
def test_a_hand_that_was_seen_is_never_lost_altogether(case: str, level: int, seed: int, frames: int) -> None:
    xyz, observed = clip(frames)
    observed[:, LEFT] = False
    observed[seed % frames, LEFT] = True
    result = corrupt(xyz, observed, case, level, seeded(seed))
    for part in (LEFT, RIGHT):
        assert result.observed[:, part].any() == observed[:, part].any()


@pytest.mark.parametrize("level", LEVELS)
def test_jitter_has_the_stated_size_and_is_half_correlated(level: int) -> None:
    xyz, observed = whole(400)
    noise = np.concatenate([corrupt(xyz, observed, "jitter", level, seeded(i)).xyz - xyz for i in range(3)])
    std = corruption.JITTER[level - 1]
    hands, body, face = (np.median(np.abs(noise[:, part])) / .6745 for part in (LEFT, slice(0, LEFT.start), FACE))
    assert 1 < hands / std < 1.2  # bursts make it larger
    assert body / hands == pytest.approx(.5, abs=.05)
    assert face / hands == pytest.approx(.25, abs=.03)
    still = np.median(np.abs(noise[:, LEFT]).mean((1, 2)))
    calm = np.abs(noise[:, LEFT]).mean((1, 2)) < 1.5 * still
    pairs = calm[1:] & calm[:-1]
    a, b = noise[:-1][pairs][:, LEFT].ravel(), noise[1:][pairs][:, LEFT].ravel()
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(.4, abs=.05)  # half of the variance at .8


@pytest.mark.parametrize("level", LEVELS)
def test_points_are_lost_at_the_stated_rate(level: int) -> None:
    xyz, observed = whole(100)
    result = corrupt(xyz, observed, "point_drop", level, seeded())
    share = corruption.POINT_SHARE[level - 1]
    assert 1 - result.observed[:, FACE].mean() == pytest.approx(share, abs=.02)
    assert 1 - result.observed[:, LEFT].mean() > share - .02  # whole fingers besides


@pytest.mark.parametrize("level", LEVELS)
def test_every_nth_frame_stays(level: int) -> None:
    result = corrupt(*whole(41), "frame_drop", level, seeded())
    every = corruption.KEEP_EVERY[level - 1]
    assert np.flatnonzero(result.observed.all(axis=1)).tolist() == list(range(0, 41, every))
    assert result.observed.any(axis=1).sum() == len(range(0, 41, every))


@pytest.mark.parametrize("level", LEVELS)
def test_hands_are_exchanged_at_the_stated_rate(level: int) -> None:
    xyz, observed = whole(2000)
    result = corrupt(xyz, observed, "swap", level, seeded())
    swapped = (result.xyz[:, LEFT] == xyz[:, RIGHT]).all(axis=(1, 2))
    assert np.array_equal(swapped, (result.xyz[:, RIGHT] == xyz[:, LEFT]).all(axis=(1, 2)))
    assert np.array_equal(swapped, result.touched[:, LEFT].all(axis=1))
    assert swapped.mean() == pytest.approx(corruption.SWAP_SHARE[level - 1], rel=.35)


@pytest.mark.parametrize("level", LEVELS)
def test_outliers_jump_far_at_the_stated_rate(level: int) -> None:
    xyz, observed = whole(1000)
    result = corrupt(xyz, observed, "outlier", level, seeded())
    jumps = np.linalg.norm((result.xyz - xyz)[..., :2], axis=-1)[result.touched]
    assert np.median(jumps) > .3
    assert (jumps > .29).mean() > .97  # two jumps may meet
    share = corruption.OUTLIER_SHARE[level - 1]
    assert result.touched[:, :LEFT.start].mean() == pytest.approx(share, rel=.35)  # single points
    assert result.touched[:, LEFT].mean() == pytest.approx(2 * share, rel=.6)  # and whole hands
    assert not result.touched[:, FACE].any()


@pytest.mark.parametrize("level", LEVELS)
def test_a_frozen_hand_repeats_its_value_for_three_frames_or_more(level: int) -> None:
    xyz, observed = whole(40)
    for seed in range(20):
        result = corrupt(xyz, observed, "freeze", level, seeded(seed))
        part = LEFT if result.touched[:, LEFT].any() else RIGHT
        rows = np.flatnonzero(result.touched[:, part].all(axis=1))
        assert 1 <= len(rows) <= corruption.FREEZE_FRAMES[level - 1]
        assert len(rows) >= 3 or rows[-1] == 39
        assert (result.xyz[rows, part] == xyz[rows[0] - 1, part]).all()


def test_without_hands_nothing_that_needs_them_happens() -> None:
    xyz, observed = whole(30)
    observed[:, LEFT] = observed[:, RIGHT] = False
    for case in ("hand_drop", "arm_drop", "swap", "freeze"):
        result = corrupt(xyz, observed, case, 3, seeded())
        assert not result.touched.any(), case
        assert np.array_equal(result.observed, observed)


def test_an_undamaged_clip_is_as_it_was_and_holds_zeros_where_nothing_is() -> None:
    xyz, observed = clip()
    result = undamaged(xyz + 1, observed)
    assert isinstance(result, Damaged)
    assert (result.xyz[~observed] == 0).all()
    assert np.array_equal(result.xyz[observed], (xyz + 1)[observed])
    assert not result.touched.any()


@pytest.mark.parametrize(("case", "level"), [("nothing", 1), ("jitter", 0), ("jitter", 4)])
def test_an_unknown_case_or_level_is_named(case: str, level: int) -> None:
    with pytest.raises(ValueError, match=f"no corruption '{case}' at level {level}"):
        corrupt(*clip(), case, level, seeded())
