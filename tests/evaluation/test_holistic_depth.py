"""The measures of depth without a true one, on bodies of which everything is known."""
from __future__ import annotations

import numpy as np
import pytest

from pose_diffusion.evaluation import holistic_depth as depth
from pose_diffusion.evaluation.holistic_depth import Signer
from pose_diffusion.motion.skeletons import ADULT, BODY, STATURE
from tests.poses import constructed_pose

FRAMES = 40
SEEN = np.ones((FRAMES, len(BODY)), bool)
PIXELS = 200.  # of a metre
ENOUGH_BEFORE = 10  # frames


def adult() -> np.ndarray:
    """`(17, 3)`: an adult who faces the camera, arms down; metres, y down, z away."""
    xyz = np.zeros((len(BODY), 3))

    def put(joint: str, parent: str, step: tuple[float, float, float]) -> None:
        xyz[BODY.index(joint)] = xyz[BODY.index(parent)] + np.array(step) * STATURE

    put("thorax", "pelvis", (0, -ADULT["spine"] - ADULT["thorax"], 0))
    put("head", "thorax", (0, -ADULT["head"], 0))
    for side, sign in (("left", 1), ("right", -1)):
        put(f"{side}_hip", "pelvis", (sign * ADULT["hip"], 0, 0))
        put(f"{side}_shoulder", "thorax", (sign * ADULT["shoulder"], 0, 0))
        put(f"{side}_elbow", f"{side}_shoulder", (0, ADULT["elbow"], 0))
        put(f"{side}_wrist", f"{side}_elbow", (0, ADULT["wrist"], 0))
    return xyz


def signing() -> np.ndarray:
    """`(FRAMES, 17, 3)`: both forearms swing up before the body, the right hand towards the middle."""
    xyz = np.repeat(adult()[None], FRAMES, axis=0)
    angle = 1.2 + np.linspace(0, 1.2, FRAMES)  # from straight down
    for side, inwards in (("left", 0.), ("right", .8)):
        step = np.stack([np.sin(angle) * np.sin(inwards), np.cos(angle), -np.sin(angle) * np.cos(inwards)], axis=1)
        xyz[:, BODY.index(f"{side}_wrist")] = (xyz[:, BODY.index(f"{side}_elbow")]
                                               + step * ADULT["wrist"] * STATURE)
    return xyz


def seen_as(xyz: np.ndarray, exaggerated: float = 1.) -> Signer:
    """What a far camera and a detector whose z is exaggerated make of a body."""
    return Signer(xyz[..., :2] * PIXELS, SEEN.astype(float), xyz[..., 2] * PIXELS * exaggerated,
                  np.ones((len(xyz), 2), bool), None)


def test_a_body_keeps_its_bones() -> None:
    assert depth.steadiness(signing(), SEEN) == pytest.approx(0, abs=1e-9)
    assert depth.asymmetry(signing(), SEEN) == pytest.approx(0, abs=1e-9)
    assert depth.off_adult(signing(), SEEN) == pytest.approx(0, abs=1e-9)


def test_measures_do_not_depend_on_the_unit() -> None:
    assert depth.off_adult(signing() * 37, SEEN) == pytest.approx(0, abs=1e-9)


def test_a_flat_body_does_not() -> None:
    varies = depth.steadiness(seen_as(signing()).with_depth(0), SEEN)
    assert varies[depth.KINDS.index("forearm")] > .2
    assert varies[depth.KINDS.index("trunk")] == pytest.approx(0, abs=1e-9)


def test_one_longer_arm() -> None:
    xyz = signing()
    shoulder, elbow, wrist = (BODY.index(f"left_{joint}") for joint in ("shoulder", "elbow", "wrist"))
    xyz[:, [elbow, wrist]] += .1 * (xyz[:, elbow] - xyz[:, shoulder])[:, None]
    assert depth.asymmetry(xyz, SEEN) == pytest.approx([np.log(1.1), 0], abs=1e-9)
    # Of four bones one is off, by half as much, as the other side's is not.
    assert depth.off_adult(xyz, SEEN) == pytest.approx(np.log(1.1) / 2 * np.sqrt(3) / 4)


def test_bones_that_are_not_seen_do_not_count() -> None:
    seen = SEEN.copy()
    seen[:, BODY.index("pelvis")] = False
    seen[depth.ENOUGH - 1:, BODY.index("left_wrist")] = False
    wild = signing()
    wild[:, BODY.index("left_wrist")] += np.random.default_rng(0).normal(size=(FRAMES, 3))
    varies, apart = depth.steadiness(wild, seen), depth.asymmetry(wild, seen)
    assert np.isnan(varies[depth.KINDS.index("trunk")])
    assert varies[depth.KINDS.index("forearm")] == pytest.approx(0, abs=1e-9)  # the right one's
    assert np.isnan(apart[1])
    assert np.isfinite(apart[0])


def test_noise_of_depth_shakes_z_only() -> None:
    still = depth.shaking(signing(), SEEN)
    noise = np.zeros((FRAMES, len(BODY), 3))
    noise[..., 2] = np.random.default_rng(0).normal(scale=.02, size=noise.shape[:2])
    shaken = depth.shaking(signing() + noise, SEEN)
    assert shaken[1:] == pytest.approx(still[1:])
    # Second differences of white noise have 6 times its variance; elbow and shoulders' middle each have their own.
    assert shaken[0] / shaken[2] == pytest.approx(6 * 2 * .02**2, rel=.4)


@pytest.mark.parametrize("exaggerated", [1., 2., 4.])
def test_the_factor_of_an_exaggerated_z_is_found(exaggerated: float) -> None:
    assert depth.best_factor([seen_as(signing(), exaggerated)]) == pytest.approx(1 / exaggerated, abs=.011)


def test_hands_before_the_trunk() -> None:
    xyz = signing()
    found = depth.in_front(xyz, seen_as(xyz))
    wrist = xyz[:, BODY.index("right_wrist")]
    down = wrist[:, 1] - xyz[:, BODY.index("thorax"), 1]
    before = (np.abs(wrist[:, 0]) < depth.SHOULDERS / 2) & (down < depth.CHEST * depth.SHOULDERS)
    assert before.sum() > ENOUGH_BEFORE
    assert len(found) == before.sum()
    assert found == pytest.approx(-wrist[before, 2])
    mirrored = xyz * [1, 1, -1]  # the same picture, all behind
    assert (depth.in_front(mirrored, seen_as(xyz)) < 0).all()


def test_of_a_body_that_turns_its_back_nothing_is_known() -> None:
    xyz = signing() * [-1, 1, -1]
    assert len(depth.in_front(xyz, seen_as(xyz))) == 0


def test_hands_that_were_not_found_prove_nothing() -> None:
    xyz = signing()
    plain = seen_as(xyz)
    assert len(depth.in_front(xyz, Signer(plain.picture, plain.confidence, plain.depth, ~plain.hands, None))) == 0


def test_a_hand_before_the_face() -> None:
    xyz = signing()
    xyz[:, BODY.index("left_wrist")] = xyz[:, BODY.index("head")] + (0, .02, -.2)
    hands = np.zeros((FRAMES, 2), bool)
    hands[:, 0] = True
    plain = seen_as(xyz)
    found = depth.in_front(xyz, Signer(plain.picture, plain.confidence, plain.depth, hands, None))
    assert found == pytest.approx(np.full(FRAMES, .2))


def test_a_trunk_that_leans() -> None:
    xyz = adult()[None].repeat(FRAMES, axis=0)
    xyz[..., 2] = .5 * xyz[..., 1] + .1 * xyz[..., 0]
    at = np.tile([.05, -.3], (FRAMES, 1))
    assert depth.trunk_depth(xyz, at) == pytest.approx(np.full(FRAMES, -.145))


def test_correlation_is_within_clips() -> None:
    rng = np.random.default_rng(0)
    sums = np.zeros(4)
    for offset in (0, 5, 10):
        a = rng.normal(size=FRAMES)
        sums += depth.moments(a + offset, -2 * a + 3 * offset, np.ones(FRAMES, bool))
    assert depth.correlation(sums) == pytest.approx(-1)
    assert sums[3] == 3 * FRAMES
    assert np.isnan(depth.correlation(np.zeros(4)))


def test_the_interval_of_nineteen_is_all_of_them() -> None:
    values = np.random.default_rng(0).permutation(np.arange(19.))[:, None]
    low, high = depth.ends(values)
    assert (low, high) == (pytest.approx([0]), pytest.approx([18]))
    with pytest.raises(ValueError, match="at least 19"):
        depth.ends(values[:18])


def test_a_pose_of_mediapipe() -> None:
    pose = constructed_pose(FRAMES)
    signer = depth.signer_of(pose)
    assert signer.picture.shape == (FRAMES, 17, 2)
    assert signer.hands.shape == (FRAMES, 2)
    names = pose.header.components[0].points
    column = names.index("LEFT_WRIST")
    stored = np.ma.getdata(pose.body.data)[:, 0, column]
    width = pose.header.dimensions.width
    assert signer.depth[:, BODY.index("left_wrist")] == pytest.approx(stored[:, 2] * width)
    assert signer.with_depth(.5)[:, BODY.index("left_wrist")] == pytest.approx(stored * [1, 1, .5 * width])


def test_a_pose_without_depth_is_refused() -> None:
    pose = constructed_pose(4)
    pose.body.data = pose.body.data[..., :2]
    with pytest.raises(ValueError, match="without z"):
        depth.signer_of(pose)
