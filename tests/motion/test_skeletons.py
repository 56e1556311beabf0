"""The skeleton of layout `body` and the combinations that lead to it and from it."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pose_format import Pose
from pose_format.pose_header import PoseHeaderComponent
from pose_format.utils.alphapose import get_alphapose_components
from pose_format.utils.cocowholebody133_header import cocowholebody_components
from pose_format.utils.openpose import OpenPose_Components
from pose_format.utils.openpose_135 import OpenPose_Components as OpenPose135Components

from pose_diffusion.layout import BODY as LANDMARKS
from pose_diffusion.layout import header_positions
from pose_diffusion.motion import combinations, mocap_skeletons
from pose_diffusion.motion.combinations import (
    COCO_17,
    DETECTORS,
    FROM_COCO,
    FROM_HUMAN36M,
    FROM_MEDIAPIPE,
    FROM_OPENPOSE,
    TO_COCO,
    TO_HUMAN36M,
    TO_MEDIAPIPE,
    TO_OPENPOSE,
    Combination,
    combine,
    of_rows,
)
from pose_diffusion.motion.mocap import Take, cmu_bvh, cmu_joints
from pose_diffusion.motion.skeletons import ADULT, BODY, SANE, adult_lengths, other_side
from pose_diffusion.training.sources import lexicon_folder

ALL = {name: value for module in (combinations, mocap_skeletons) for name, value in vars(module).items()
       if isinstance(value, Combination)}


@pytest.fixture(scope="module")
def takes(data_folder: Path) -> dict[str, Take]:
    """One on each skeleton of the mocap."""
    return {"cmu": cmu_joints(data_folder / "mocap" / "cmu_joints.npz")[0],
            "cc": cmu_bvh(data_folder / "bvh" / "cmu" / "006_02.bvh")[0]}


def sides(names: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Points and their mirror images, in the ways of writing that occur."""
    for i, name in enumerate(names):
        for left, right in (("left_", "right_"), ("Left", "Right"), ("LEFT", "RIGHT"), ("_L_", "_R_"), ("L", "R")):
            for a, b in ((left, right), (right, left)):
                if a in name[:9] and (other := name.replace(a, b, 1)) in names:
                    yield i, names.index(other)


def test_the_tree() -> None:
    assert len(BODY) == 17
    assert len(BODY.bones) == 16
    assert all(parent < child for parent, child in BODY.bones)
    assert [BODY.joints[m] for m in BODY.mirror] == [other_side(joint) for joint in BODY.joints]
    assert [BODY.mirror[m] for m in BODY.mirror] == list(range(17))
    assert all(BODY.mirror[BODY.parents[i]] == BODY.parents[BODY.mirror[i]] for i in range(1, 17))


def test_an_adult_stands_as_tall_as_told() -> None:
    by_name = dict(zip((BODY.joints[child] for _, child in BODY.bones), adult_lengths(1.)))
    upright = sum(by_name[name] for name in ("left_knee", "left_ankle", "spine", "thorax", "head", "head_top"))
    assert .93 < upright < .98  # without the foot, and the neck leans forward
    assert 2 * by_name["left_shoulder"] + 2 * by_name["left_elbow"] + 2 * by_name["left_wrist"] < 1  # span less hands
    np.testing.assert_allclose(adult_lengths(1.8), adult_lengths(.9) * 2, rtol=1e-6)
    assert set(ADULT) == {other_side(name).removeprefix("left_").removeprefix("right_") for name in by_name}


@pytest.mark.parametrize("name", ALL)
def test_rows_sum_to_one_and_mirror_each_other(name: str) -> None:
    known = ALL[name]
    sums = known.weights.sum(axis=1)
    np.testing.assert_allclose(sums, known.available, atol=1e-12)
    assert not known.measured[~known.available].any()
    source, target = dict(sides(known.source)), dict(sides(known.target))
    assert len(source) >= 12
    assert len(target) >= 12
    for row, other in target.items():
        if not known.available[row]:
            continue
        for column in np.flatnonzero(known.weights[row]):
            assert known.weights[row, column] == known.weights[other, source.get(column, column)]


def test_every_combination_to_the_body_is_whole_but_for_guesses() -> None:
    for name, known in ALL.items():
        if name.startswith("FROM_"):
            assert known.target == BODY.joints
            assert known.available.all()
            guessed = {BODY.joints[i] for i in np.flatnonzero(~known.measured)}
            assert guessed <= {"spine", "head", "head_top"}


def test_the_bones_of_the_mocap_are_rigid_sane_and_alike_on_both_sides(takes: dict[str, Take]) -> None:
    for take in takes.values():
        lengths = BODY.lengths(take.motion.xyz)
        by_name = {BODY.joints[child]: lengths[:, i] for i, (_, child) in enumerate(BODY.bones)}
        for joint, length in by_name.items():
            # In one piece but where the trunk and the neck bend between two joints.
            assert length.std() < (.006 if joint in ("spine", "thorax", "head") else .0003), joint
            assert length.mean() == pytest.approx(by_name[other_side(joint)].mean(), rel=.04), joint
        legs = np.mean([by_name[f"{side}_{joint}"].mean() for side in ("left", "right") for joint in ("knee", "ankle")])
        ratio = lengths.mean(0) / adult_lengths(float(2 * legs) / (ADULT["knee"] + ADULT["ankle"]))
        assert (ratio > SANE[0]).all()
        assert (ratio < SANE[1]).all()


def test_the_same_take_on_both_skeletons_holds_the_head_alike(data_folder: Path) -> None:
    """002_01 is walking_1: the way from shoulders to ears, seen from the trunk, differs by a few degrees only."""
    bvh = cmu_bvh(data_folder / "bvh" / "cmu" / "002_01.bvh")[0].motion.xyz
    archive = next(take for take in cmu_joints(data_folder / "mocap" / "cmu_joints.npz") if take.name == "walking_1")
    pitch = []
    for xyz in (bvh[:150], archive.motion.xyz[:150]):
        def at(name: str, of: np.ndarray = xyz) -> np.ndarray:
            return of[:, BODY.index(name)]
        right, up = at("right_shoulder") - at("left_shoulder"), at("thorax") - at("pelvis")
        forward = np.cross(right, up)
        head = at("head") - at("thorax")
        pitch.append(np.degrees(np.arctan2((head * forward).sum(-1) / np.linalg.norm(forward, axis=-1),
                                           (head * up).sum(-1) / np.linalg.norm(up, axis=-1))))
    assert abs(pitch[0].mean() - pitch[1].mean()) < 8
    assert np.corrcoef(pitch[0], pitch[1])[0, 1] > .8


def test_from_the_body_and_back_is_the_same(takes: dict[str, Take]) -> None:
    xyz = takes["cmu"].motion.xyz
    for there, back in ((TO_COCO, FROM_COCO), (TO_MEDIAPIPE, FROM_MEDIAPIPE), (TO_OPENPOSE, FROM_OPENPOSE)):
        points, confidence = combine(there, xyz)
        again, known = combine(back, points, confidence)
        shown = back.measured & (known > 0).all(axis=0)
        assert {BODY.joints[i] for i in np.flatnonzero(~shown)} == {"spine", "head", "head_top"}
        np.testing.assert_allclose(again[:, shown], xyz[:, shown], atol=1e-6)
    again, known = combine(FROM_HUMAN36M, *combine(TO_HUMAN36M, xyz))
    np.testing.assert_allclose(again, xyz, atol=1e-5)
    assert (known == 1).all()


def test_what_is_made_of_missing_points_is_missing() -> None:
    points = np.random.default_rng(0).normal(size=(2, 17, 2)).astype(np.float32)
    confidence = np.full((2, 17), .8, np.float32)
    confidence[0, COCO_17.index("left_ear")] = .3
    confidence[1, COCO_17.index("left_hip")] = 0
    points[1, COCO_17.index("left_hip")] = np.nan
    body, known = combine(FROM_COCO, points, confidence)
    assert body.dtype == points.dtype
    assert np.isfinite(body).all()
    assert known[0, BODY.index("head")] == pytest.approx(.3)
    lost = [BODY.index(name) for name in ("pelvis", "left_hip", "spine")]
    assert (known[1, lost] == 0).all()
    assert (body[1, lost] == 0).all()
    np.testing.assert_allclose(body[1, BODY.index("thorax")], points[1, 5:7].mean(axis=0), atol=1e-6)


def test_bad_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 0.9"):
        of_rows(("a", "b"), ("c",), {"c": {"a": .4, "b": .5}})
    with pytest.raises(ValueError, match="'c' names points that are not there: x"):
        of_rows(("a", "b"), ("c",), {"c": {"x": 1}})
    with pytest.raises(ValueError, match="'d' names points"):
        of_rows(("a", "b"), ("c",), {"d": {"a": 1}})


@pytest.mark.parametrize("components", [cocowholebody_components(), get_alphapose_components(), OpenPose_Components,
                                        OpenPose135Components])
def test_detectors_are_found_by_the_names_of_their_headers(components: list[PoseHeaderComponent]) -> None:
    found = [component for component in components if component.name in DETECTORS]
    assert len(found) == 1
    assert set(DETECTORS[found[0].name].source) <= set(found[0].points)


def test_mediapipe_is_found_in_real_files_and_gives_a_person() -> None:
    pose = Pose.read(next(lexicon_folder().glob("ase/*.pose")).read_bytes())
    position = header_positions(pose.header)
    for component in (LANDMARKS, "POSE_WORLD_LANDMARKS"):
        columns = [position[component, name] for name in DETECTORS[component].source]
        points = np.ma.getdata(pose.body.data)[:, 0, columns]
        body, known = combine(DETECTORS[component], points, pose.body.confidence[:, 0, columns])
        trunk = [BODY.index(name) for name in ("head_top", "head", "thorax", "spine", "pelvis")]
        assert (known[:, trunk] > 0).all()
        down = body[:, :, 1].mean(axis=0)
        assert down[BODY.index("head_top")] < down[BODY.index("head")] < down[BODY.index("thorax")]
        assert down[BODY.index("thorax")] < down[BODY.index("spine")] < down[BODY.index("pelvis")]
