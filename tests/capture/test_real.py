"""The rules on real captures: what they do to clips as they are, and to clips damaged from a fixed seed.

The bounds are a little below what is measured, so that a change for the worse is noticed.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion import corruption
from pose_diffusion.clip import decode, encode
from pose_diffusion.files import read_pose
from pose_diffusion.layout import BODY, HOLISTIC, LEFT_HAND, RIGHT_HAND, locate
from tests.capture.faults import correct, swap

LEFT, RIGHT = HOLISTIC.parts["left_hand"], HOLISTIC.parts["right_hand"]
BODY_PART = HOLISTIC.parts["body"]


@pytest.fixture(scope="module")
def clips(lexicon: Path) -> list[Pose]:
    """Every eighth clip of the lexicon, without a language of clips that leave the picture."""
    return [read_pose(path) for path in sorted(lexicon.glob("*/*.pose"))[::8] if path.parent.name != "gss"]


@pytest.fixture(scope="module")
def archive(data_folder: Path) -> list[Pose]:
    """A signer on a webcam whose hands touch often: one that no network was trained on."""
    from pose_diffusion.training.sources import archive

    path = data_folder / "sign" / "valid" / "Rishi-11-2__Sign_Language_Detection.npz"
    return [pose for pose, _ in archive(path).clips]


def points(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """`(T, K, D)` data and `(T, K)` confidence of the layout's points."""
    found = locate(pose.header, HOLISTIC)
    return np.ma.getdata(pose.body.data)[:, 0, found], pose.body.confidence[:, 0, found]


def hands_seen(pose: Pose) -> np.ndarray:
    """`(T, 2)` bool."""
    return points(pose)[1][:, [LEFT.start, RIGHT.start]] > 0


def share(part: np.ndarray | int, whole: np.ndarray | int) -> float:
    return float(np.sum(part) / np.sum(whole))


def runs(frames: int, rng: np.random.Generator) -> np.ndarray:
    """`(frames,)` bool: runs of one to five frames, as `corruption.swap_hands` has them."""
    mask = np.zeros(frames, bool)
    for _ in range(max(1, rng.poisson(.02 * frames))):
        start = rng.integers(0, frames)
        mask[start:start + rng.integers(1, 6)] = True
    return mask


def swaps(clips: list[Pose]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each clip, freed of duplicates: frames with swapped hands; frames that came out right; frames with hands."""
    rng = np.random.default_rng(0)
    for clip in clips:
        clean = correct(clip, "duplicates", "hand_swap")
        wrong = runs(len(clean.body.data), rng)
        fixed = correct(swap(clean, wrong), "hand_swap")
        right = np.all([(a == b).reshape(len(a), -1).all(1) for a, b in zip(points(fixed), points(clean))], axis=0)
        there = np.asarray(hands_seen(clean).any(axis=1))
        yield wrong & there, np.asarray(right), there


def assert_swaps_are_found(clips: list[Pose], recall: float, broken: float) -> None:
    wrong, right, there = (np.concatenate(parts) for parts in zip(*swaps(clips)))
    assert wrong.sum() > 100
    assert share(wrong & right, wrong) > recall
    assert share(there & ~wrong & ~right, there & ~wrong) < broken


def test_swapped_hands_are_put_right_and_others_left_alone(clips: list[Pose]) -> None:
    assert_swaps_are_found(clips, recall=.97, broken=.001)


def test_the_same_on_a_webcam(archive: list[Pose]) -> None:
    assert_swaps_are_found(archive, recall=.97, broken=.003)


def test_undamaged_clips_hardly_change(clips: list[Pose]) -> None:
    seen, unlike, gone, doubted, gone_points, all_points, snapped = 0, 0, 0, 0, 0, 0, 0
    for clip in clips:
        single = correct(clip, "duplicates")
        exchanged = correct(single, "hand_swap")
        unlike += int((points(exchanged)[0] != points(single)[0]).any())
        kept = correct(exchanged, "outliers")
        seen += hands_seen(clip).sum()
        gone += (hands_seen(clip) & ~hands_seen(kept)).sum()
        before, after = points(exchanged)[1] > 0, points(kept)[1] > 0
        gone_points, all_points = gone_points + (before & ~after).sum(), all_points + before[:, :RIGHT.stop].sum()
        sure = points(correct(kept, "plausibility"))[1]
        doubted += (sure != points(kept)[1])[:, [LEFT.start, RIGHT.start]].sum()
        moved = points(correct(kept, "wrists"))[0] != points(kept)[0]
        assert not np.delete(moved, [HOLISTIC.index(BODY, f"{s}_WRIST") for s in ("LEFT", "RIGHT")], axis=1).any()
        snapped += int(moved.any())
    assert unlike == 0
    assert share(gone, seen) < .006
    assert share(gone_points, all_points) < .004
    assert share(doubted, seen) < .02
    assert snapped == len(clips)


def assert_hands_come_to_their_arms(clips: list[Pose], before: float, after: float) -> None:
    near, left, seen = 0, 0, 0
    for pose in clips:
        near, seen = near + astray(pose).sum(), seen + hands_seen(pose).sum()
        left += astray(correct(pose, "duplicates", "hand_swap", "outliers")).sum()
    assert share(near, seen) > before
    assert share(left, seen) < after


def test_few_hands_stay_on_the_other_arm(clips: list[Pose]) -> None:
    assert_hands_come_to_their_arms(clips, before=.0015, after=.001)


def test_few_hands_stay_on_the_other_arm_on_a_webcam(archive: list[Pose]) -> None:
    assert_hands_come_to_their_arms(archive, before=.02, after=.004)


def astray(pose: Pose) -> np.ndarray:
    """`(T, 2)` bool: hands that are nearer to the other arm's wrist than to their own, by .1 shoulder widths."""
    clip = encode(pose)[0]
    wrists = [HOLISTIC.index(BODY, f"{side}_WRIST") for side in ("LEFT", "RIGHT")]
    hands, arms = clip.xyz[:, [LEFT.start, RIGHT.start], :2], clip.xyz[:, wrists, :2]
    own, other = (np.linalg.norm(hands - x, axis=-1) for x in (arms, arms[:, ::-1]))
    return hands_seen(pose) & (clip.confidence[:, wrists] > 0).all(1, keepdims=True) & (other + .1 < own)


def jumps(clips: list[Pose]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each clip: what jumped, what was removed, and what was there, `(T, 67)`."""
    for i, pose in enumerate(clips):
        single = correct(pose, "duplicates", "hand_swap")
        clip = encode(single)[0]
        damaged = corruption.outliers(corruption.undamaged(clip.xyz, clip.confidence > 0), .03,
                                      np.random.default_rng(i))
        wrong = decode(replace(clip, xyz=damaged.xyz))
        gone = (points(wrong)[1] > 0) & (points(correct(wrong, "outliers"))[1] == 0)
        yield tuple(x[:, :RIGHT.stop] for x in (damaged.touched, gone, clip.confidence > 0))  # type: ignore[misc]


def assert_jumps_are_found(clips: list[Pose], body: tuple[float, float], hands: tuple[float, float]) -> None:
    """`body`, `hands`: the least recall and precision."""
    wrong, gone, seen = (np.concatenate(parts) for parts in zip(*jumps(clips)))
    for part, (recall, precision) in ((slice(0, 25), body), (slice(25, 67), hands)):
        assert share((wrong & gone)[:, part], wrong[:, part]) > recall
        assert share((wrong & gone)[:, part], gone[:, part]) > precision
        assert share((gone & ~wrong)[:, part], (seen & ~wrong)[:, part]) < .01


def test_jumps_are_found(clips: list[Pose]) -> None:
    assert_jumps_are_found(clips, body=(.8, .9), hands=(.8, .8))


def test_the_same_jumps_on_a_webcam(archive: list[Pose]) -> None:
    assert_jumps_are_found(archive, body=(.8, .85), hands=(.8, .75))


@pytest.mark.parametrize("hand", [LEFT_HAND, RIGHT_HAND])
def test_scrambled_hands_are_believed_less(clips: list[Pose], hand: str) -> None:
    rng = np.random.default_rng(0)
    part = LEFT if hand == LEFT_HAND else RIGHT
    scrambled, clean = [], []
    for pose in clips:
        clip = encode(pose)[0]
        seen = clip.confidence[:, part.start] > 0
        bad = seen & (rng.random(len(seen)) < .1)
        if seen.sum() < 12 or not bad.any():
            continue
        xyz = clip.xyz.copy()
        xyz[bad, part] += rng.normal(0, .06, xyz[bad, part].shape).astype(np.float32)
        sure = points(correct(decode(replace(clip, xyz=xyz)), "plausibility"))[1][:, part.start]
        scrambled.append(sure[bad])
        clean.append(sure[seen & ~bad])
    assert share(np.concatenate(scrambled) < 1, np.concatenate(scrambled) > 0) > .7
    assert share(np.concatenate(clean) < 1, np.concatenate(clean) > 0) < .05
