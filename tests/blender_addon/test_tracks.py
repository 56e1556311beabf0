# SPDX-License-Identifier: GPL-3.0-or-later
"""Joints in metres from the keypoints of a file."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pose_format import Pose

from blender_addon.errors import AddonError
from blender_addon.points import BODY, HANDS, POINTS, other_side
from blender_addon.posefile import Component, PoseFile, read
from blender_addon.solver.rotations import degrees_between, unit
from blender_addon.solver.solve import Solving, solve
from blender_addon.tracks import SHOULDER_WIDTH, Reading, Tracks, tracks
from tests.blender_addon.files import DEPTHS, flipped, holistic_file, shuffled
from tests.blender_addon.skeletons import exact_tracks, signing, upper_body

FRAMES = 100


@pytest.fixture(scope="module")
def truth() -> Tracks:
    """Exact joints of a signing body."""
    skeleton = upper_body()
    return exact_tracks(skeleton, signing(skeleton, FRAMES, 4), FRAMES, hips=True)


@pytest.fixture(scope="module")
def file(truth: Tracks) -> PoseFile:
    """A file of it."""
    return holistic_file(truth)


def segments(found: Tracks) -> np.ndarray:
    """`(T, S, 3)`: of the arms and of both hands, up to scale."""
    index = {joint: i for i, joint in enumerate(found.joints)}
    pairs = [(f"{a}.{s}", f"{b}.{s}") for s in "LR" for a, b in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("hand", "index.1"), ("index.1", "index.2"), ("hand", "pinky.1"))]
    return np.stack([found.xyz[:, index[b]] - found.xyz[:, index[a]] for a, b in pairs], 1)


def same(a: Tracks, b: Tracks) -> None:
    order = [b.joints.index(joint) for joint in a.joints]
    np.testing.assert_array_equal(a.seen, b.seen[:, order])
    np.testing.assert_allclose(a.xyz, b.xyz[:, order], atol=2e-4)


def test_the_joints_come_back_in_metres_and_blenders_axes(truth: Tracks, file: PoseFile) -> None:
    found = tracks(file)
    across = found.xyz[:, found.joints.index("shoulder.L")] - found.xyz[:, found.joints.index("shoulder.R")]
    assert np.median(np.hypot(across[:, 0], across[:, 2])) == pytest.approx(SHOULDER_WIDTH, rel=1e-3)
    assert (across[:, 0] > 0).all()
    assert degrees_between(segments(found), segments(truth)).max() < 1.5


@pytest.mark.parametrize("times", [.3, .7, 1.6, 3])
def test_the_depth_is_found_however_z_was_scaled(truth: Tracks, times: float) -> None:
    found = tracks(holistic_file(truth, depths={name: depth * times for name, depth in DEPTHS.items()}))
    for part in (slice(0, 2), slice(2, 5)):
        depth, true = segments(found)[:, part, 1].ravel(), segments(truth)[:, part, 1].ravel()
        width, wide = segments(found)[:, part, 0].ravel(), segments(truth)[:, part, 0].ravel()
        factor = (depth @ true) / (true @ true) / ((width @ wide) / (wide @ wide))
        assert factor == pytest.approx(1, abs=.03)


def test_noise_in_z_does_not_flatten_the_signer(truth: Tracks) -> None:
    file = holistic_file(truth)
    noise = np.random.default_rng(0).normal(scale=.02 * .36 * 300 / (640 * .2), size=file.data.shape[:-1])
    found = tracks(replace(file, data=file.data + noise[..., None] * np.array([0, 0, 1], np.float32)))
    depth, true = segments(found)[:, :2, 1].ravel(), segments(truth)[:, :2, 1].ravel()
    assert .85 < (depth @ true) / (true @ true) * .36 / SHOULDER_WIDTH < 1.3


def test_a_given_depth_overrules(truth: Tracks) -> None:
    flat = {BODY: 1.0, "FACE_LANDMARKS": 1.0, HANDS["L"]: 1.0, HANDS["R"]: 1.0}
    found = tracks(holistic_file(truth, depths=flat), Reading(depth=640))
    assert degrees_between(segments(found), segments(truth)).max() < .1
    twice = tracks(holistic_file(truth, depths=flat), Reading(depth=1280))
    np.testing.assert_allclose(segments(twice)[..., 1], 2 * segments(found)[..., 1], atol=1e-4)
    same(tracks(holistic_file(truth), Reading(depth=(640 * DEPTHS[BODY], 640 * DEPTHS[HANDS["L"]], 640.0))), found)


def test_a_mirrored_video_swaps_sides(file: PoseFile) -> None:
    same(tracks(file), tracks(flipped(file), Reading(mirrored=True)))
    same(tracks(flipped(file)), tracks(file, Reading(mirrored=True)))
    same(tracks(file), tracks(flipped(flipped(file))))


def test_names_count_and_not_the_order(file: PoseFile) -> None:
    same(tracks(file), tracks(shuffled(file)))


def test_a_larger_image_changes_nothing(truth: Tracks) -> None:
    same(tracks(holistic_file(truth)), tracks(holistic_file(truth, width=1280, height=960, scale=600)))


def test_a_hand_is_at_the_depth_of_its_wrist(file: PoseFile) -> None:
    moved = file.data.copy()
    hand = [point[0] == HANDS["R"] for point in (POINTS[joint] for joint in joints_of(file))]
    moved[:, :, hand, 2] += 3.0  # as files that were shifted are
    same(tracks(file), tracks(replace(file, data=moved)))
    found = tracks(file)
    np.testing.assert_allclose(found.xyz[:, found.joints.index("hand.R")], found.xyz[:, found.joints.index("wrist.R")],
                               atol=1e-4)


def joints_of(file: PoseFile) -> list[str]:
    joints = {name: joint for joint, name in POINTS.items()}
    return [joints[component.name, point] for component in file.components for point in component.points]


def only(file: PoseFile, *components: str) -> PoseFile:
    keep = [component.name in components for component in file.components for _ in component.points]
    return replace(file, components=tuple(c for c in file.components if c.name in components),
                   data=file.data[:, :, keep], confidence=file.confidence[:, :, keep])


def test_hands_alone_are_enough(truth: Tracks, file: PoseFile) -> None:
    found = tracks(only(file, HANDS["L"]))
    assert set(found.joints) == {joint for joint, (component, _) in POINTS.items() if component == HANDS["L"]}
    knuckle = {t: t.xyz[:, t.joints.index("index.1.L")] - t.xyz[:, t.joints.index("hand.L")] for t in (found, truth)}
    assert degrees_between(knuckle[found], knuckle[truth]).max() < 2


def test_a_file_without_z_is_flat(file: PoseFile) -> None:
    found = tracks(replace(file, data=file.data[..., :2]))
    assert np.ptp(found.xyz[..., 1]) == 0
    assert found.seen.all()


def test_the_right_person_is_read(file: PoseFile) -> None:
    nobody = np.zeros_like(file.data), np.zeros_like(file.confidence)
    two = replace(file, data=np.concatenate([nobody[0], file.data], 1),
                  confidence=np.concatenate([nobody[1], file.confidence], 1))
    same(tracks(file), tracks(two, Reading(person=1)))
    with pytest.raises(AddonError, match="person 0 was never seen"):
        tracks(two)
    with pytest.raises(AddonError, match="no person 2: the file has 2, counted from 0"):
        tracks(two, Reading(person=2))


def test_guessed_hips_do_not_count(file: PoseFile) -> None:
    hips = [joint.startswith("hip") for joint in joints_of(file)]
    for change in ("below the image", "guessed"):
        data, confidence = file.data.copy(), file.confidence.copy()
        if change == "guessed":
            confidence[:, :, hips] = .3
        else:
            data[:, :, hips, 1] = file.height + 5
        found = tracks(replace(file, data=data, confidence=confidence))
        assert not found.seen[:, [joint.startswith("hip") for joint in found.joints]].any()
        assert found.seen[:, [not joint.startswith("hip") for joint in found.joints]].all()


@pytest.mark.parametrize(("change", "message"), [
    (lambda file: replace(file, components=(Component("pose_keypoints_2d", tuple(map(str, joints_of(file)))),)),
     "no known points.*pose_keypoints_2d"),
    (lambda file: replace(file, data=file.data[:0], confidence=file.confidence[:0]), "no frame"),
    (lambda file: replace(file, confidence=file.confidence * 0), "never seen"),
    (lambda file: replace(file, data=np.where(np.arange(FRAMES)[:, None, None, None] == 7, np.nan, file.data)),
     "frame 7 has a broken number"),
])
def test_what_cannot_be_animated_is_said(file: PoseFile, change: object, message: str) -> None:
    assert callable(change)
    with pytest.raises(AddonError, match=message):
        tracks(change(file))


def test_broken_numbers_where_nothing_was_seen_do_no_harm(file: PoseFile) -> None:
    data, confidence = file.data.copy(), file.confidence.copy()
    confidence[5], data[5] = 0, np.nan
    found = tracks(replace(file, data=data, confidence=confidence))
    assert np.isfinite(found.xyz).all()
    assert not found.seen[5].any()
    assert not found.xyz[5].any()


@pytest.mark.parametrize("depth", [0, -1, float("nan"), (1.0, 0.0, 1.0)])
def test_an_impossible_depth_is_refused(file: PoseFile, depth: float | tuple[float, float, float]) -> None:
    with pytest.raises(AddonError, match="depth"):
        tracks(file, Reading(depth=depth))


def test_joints_and_their_mirror_images() -> None:
    assert {other_side(joint) for joint in POINTS} == set(POINTS)
    assert all(other_side(other_side(joint)) == joint for joint in POINTS)
    assert other_side("face.234") == "face.454"
    assert other_side("index.2.L") == "index.2.R"


def test_real_files_give_people(lexicon_files: list[Path]) -> None:
    for path in lexicon_files:
        found = tracks(read(path))
        index = {joint: i for i, joint in enumerate(found.joints)}
        assert np.isfinite(found.xyz).all()
        right = np.flatnonzero(found.seen[:, index["wrist.R"]] & found.seen[:, index["hand.R"]])
        reach = found.xyz[right, index["wrist.R"]] - found.xyz[right, index["shoulder.R"]]
        assert not len(right) or np.linalg.norm(reach, axis=-1).max() < 1.0
        face = unit(found.xyz[:, index["face.10"]] - found.xyz[:, index["face.152"]])
        assert np.median(face[:, 2]) > .9


def test_a_reduced_file_moves_a_skeleton_as_the_full_one(real_pose: Pose, reduced_pose: Pose, tmp_path: Path) -> None:
    skeleton, motions = upper_body(), []
    for name, pose in (("full", real_pose), ("reduced", reduced_pose)):
        with (tmp_path / name).open("wb") as file:
            pose.write(file)
        motions.append(solve(tracks(read(tmp_path / name)), skeleton, Solving("follow")))
    full, reduced = motions
    assert full.bones == reduced.bones
    np.testing.assert_allclose(full.quaternions, reduced.quaternions, atol=1e-3)


def test_a_long_clip_is_measured_quickly(file: PoseFile) -> None:
    many = replace(file, data=np.tile(file.data, (100, 1, 1, 1)), confidence=np.tile(file.confidence, (100, 1, 1)))
    short, long = tracks(file), tracks(many)
    np.testing.assert_allclose(long.xyz[:FRAMES], short.xyz, atol=.01)
