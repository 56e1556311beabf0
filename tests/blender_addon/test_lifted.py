# SPDX-License-Identifier: GPL-3.0-or-later
"""Joints in metres, and what the picture shows beside them; the legs of known rigs."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_addon.errors import AddonError
from blender_addon.lifted import FLAT, JOINTS, LIFTED, fit, source
from blender_addon.points import BODY, HANDS, POINTS
from blender_addon.posefile import Component, PoseFile, column
from blender_addon.rigs.legs import LEFT, leg_bones
from blender_addon.rigs.maps import MAPS
from blender_addon.tracks import Reading, tracks

from .rig_names import RIGS

WIDTH, FOCAL, FRAMES = 1000, 800., 5


def person() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Joint to `(T, 3)` metres in the camera's axes of somebody who comes nearer, and pixels per metre `(T,)`."""
    away = np.linspace(5, 3, FRAMES)
    still = {"shoulder": (.18, -.5, 0), "elbow": (.25, -.25, .1), "wrist": (.2, -.1, -.2), "hip": (.09, 0, 0),
             "knee": (.1, .4, -.1), "ankle": (.1, .8, .1)}
    body = {f"{joint}.{side}": np.stack([sign * np.full(FRAMES, x), np.full(FRAMES, y), away + z], 1)
            for joint, (x, y, z) in still.items() for side, sign in (("L", 1), ("R", -1))}
    return body, FOCAL / away


def file() -> PoseFile:
    """As `lift_pose` writes it, without perspective within the body, with the wrist of a hand and a nose."""
    body, scale = person()
    away = FOCAL / scale
    flat = {joint: np.concatenate([500 + scale[:, None] * body[joint][:, :2],
                                   scale[:, None] * (body[joint][:, 2:] - away[:, None]) / (.2 * WIDTH)], 1)
            for joint in FLAT}
    hand = flat["wrist.L"] * [1, 1, 0] + np.stack([.05 * scale, 0 * scale, 0 * scale], 1)
    nose = np.stack([500 + 0 * scale, 500 - .8 * scale, -.1 * scale / (.2 * WIDTH)], 1)
    columns = [(POINTS[joint], xyz) for joint, xyz in flat.items()] + [(POINTS["hand.L"], hand), (POINTS["nose"], nose)]
    columns += [(LIFTED[joint], xyz) for joint, xyz in body.items()]
    parts = tuple(Component(name, tuple(point for (part, point), _ in columns if part == name))
                  for name in (BODY, HANDS["L"], JOINTS))
    order = [xyz for part in parts for (name, _), xyz in columns if name == part.name]
    data = np.stack(order, 1)[:, None].astype(np.float32)
    return PoseFile(parts, 25., data, np.ones(data.shape[:-1], np.float32), WIDTH, WIDTH)


def test_the_body_is_as_in_the_file_in_every_direction() -> None:
    read = tracks(file())
    body, _ = person()
    for joint in ("elbow.R", "wrist.L", "knee.L", "ankle.R", "hip.L"):
        got = read.xyz[:, read.joints.index(joint)] - read.xyz[:, read.joints.index("shoulder.L")]
        want = (body[joint] - body["shoulder.L"])[:, [0, 2, 1]] * [1, 1, -1]
        np.testing.assert_allclose(got, want, atol=1e-5)  # its shoulders are .36 m wide


def test_hands_and_head_hang_on_it() -> None:
    read = tracks(file())
    at = {joint: read.xyz[:, i] for i, joint in enumerate(read.joints)}
    np.testing.assert_allclose(at["hand.L"] - at["wrist.L"], np.broadcast_to([.05, 0, 0], (FRAMES, 3)), atol=1e-4)
    neck = (at["shoulder.L"] + at["shoulder.R"]) / 2
    np.testing.assert_allclose(at["nose"] - neck, np.broadcast_to([0, -.1, .3], (FRAMES, 3)), atol=1e-4)


def test_a_mirrored_one_has_left_and_right_exchanged() -> None:
    plain, other = tracks(file()), tracks(file(), Reading(mirrored=True))
    np.testing.assert_allclose(other.xyz[:, other.joints.index("knee.R")],
                               plain.xyz[:, plain.joints.index("knee.L")] * [-1, 1, 1], atol=1e-6)


def test_legs_are_read_of_lifted_files_only() -> None:
    places = set(POINTS.values())
    assert source(places) == POINTS
    assert source(places | set(LIFTED.values()))["knee.L"] == (JOINTS, "left_knee")
    assert source(set(LIFTED.values())) == POINTS  # without the picture there is nothing to hang hands on


def at(pose: PoseFile, *points: tuple[str, str]) -> list[int]:
    """Their columns."""
    return [found for name in points if (found := column(pose, *name)) is not None]


def check_same(one: PoseFile, other: PoseFile, atol: float = 1e-9) -> None:
    """Both are read as the same joints."""
    first, second = tracks(one), tracks(other)
    assert first.joints == second.joints
    np.testing.assert_array_equal(first.seen, second.seen)
    np.testing.assert_allclose(first.xyz, second.xyz, atol=atol)


def without_metres(pose: PoseFile) -> PoseFile:
    """The same without the joints in metres."""
    count = len(LIFTED)
    return replace(pose, components=pose.components[:-1], data=pose.data[:, :, :-count],
                   confidence=pose.confidence[:, :, :-count])


@pytest.mark.parametrize("how", ["a joint is missing", "other names", "never told", "told at first", "no extent",
                                 "no depth"])
def test_without_a_whole_body_in_metres_the_picture_counts(how: str) -> None:
    pose = file()
    metres, knee = at(pose, *LIFTED.values()), at(pose, LIFTED["knee.L"])[0]
    part = pose.components[-1]
    points, data, confidence = part.points, pose.data.copy(), pose.confidence.copy()
    if how == "a joint is missing":
        points = tuple(name for name in points if name != "left_knee")
        data, confidence = np.delete(data, knee, 2), np.delete(confidence, knee, 2)
    elif how == "other names":
        points = tuple(name.upper() for name in points)
    elif how == "never told":
        data[:, :, metres], confidence[:, :, metres] = np.nan, 0
    elif how == "told at first":  # a model signed on from a lifted pose
        data[1:, :, metres], confidence[1:, :, metres] = 0, 0
    elif how == "no extent":
        data[:, :, metres] = 7
    else:
        data = data[..., :2]
    components = (*pose.components[:-1], replace(part, points=points))
    plain = without_metres(pose)
    if how == "no depth":
        components = tuple(replace(one, format="XYC") for one in components)
        plain = replace(plain, data=plain.data[..., :2])
    check_same(replace(pose, components=components, data=data, confidence=confidence), plain)


@pytest.mark.parametrize("source", [LIFTED, POINTS])
def test_joints_that_are_not_told_do_not_count(source: dict[str, tuple[str, str]]) -> None:
    """Whatever their numbers are: neither for how large the body is, nor for where hands and head are."""
    pose = file()
    lost = at(pose, source["wrist.L"], source["hip.R"])
    data, confidence = pose.data.copy(), pose.confidence.copy()
    data[2, :, lost], confidence[2, :, lost] = np.nan, 0
    whole, holed = tracks(pose), tracks(replace(pose, data=data, confidence=confidence))
    assert np.isfinite(holed.xyz).all()
    both = whole.seen & holed.seen
    assert both.sum() >= both.size - 2
    np.testing.assert_allclose(holed.xyz[both], whole.xyz[both], atol=.02)  # depth within the body, and no more


def test_frames_without_a_body_are_as_those_around() -> None:
    pose = file()
    body = at(pose, *LIFTED.values(), *(POINTS[joint] for joint in FLAT))
    data, confidence = pose.data.copy(), pose.confidence.copy()
    data[2, :, body], confidence[2, :, body] = np.nan, 0
    whole, holed = tracks(pose), tracks(replace(pose, data=data, confidence=confidence))
    hand = whole.joints.index("hand.L")
    assert holed.seen[2, hand]
    np.testing.assert_allclose(holed.xyz[2, hand], whole.xyz[2, hand], atol=.05)


def test_the_unit_and_the_number_of_frames_do_not_matter() -> None:
    pose = file()
    data = pose.data.copy()
    data[:, :, at(pose, *LIFTED.values())] *= 1000
    check_same(replace(pose, data=data), pose, 1e-5)
    one = tracks(replace(pose, data=pose.data[:1], confidence=pose.confidence[:1]))
    knee = one.xyz[0, one.joints.index("knee.L")] - one.xyz[0, one.joints.index("hip.L")]
    np.testing.assert_allclose(knee, [.01, -.1, -.4], atol=1e-5)


def test_a_broken_number_is_named() -> None:
    pose = file()
    pose.data[1, 0, at(pose, LIFTED["ankle.R"])] = np.nan
    with pytest.raises(AddonError, match="frame 1 .* BODY_17 right_ankle"):
        tracks(pose)


def test_a_body_without_extent_lies_nowhere() -> None:
    points, told = np.zeros((2, len(FLAT), 3)), np.ones((2, len(FLAT)), bool)
    assert fit(points, points, told) is None
    assert fit(points + np.arange(len(FLAT))[:, None], points, told) is None


def test_legs_are_found_with_an_edited_bone_map() -> None:
    """It may have roles that the rig's own map has not, and lack others."""
    bones = {"upper_arm.L": "LeftArm", "thumb.9.L": "Extra", "hand.R": "Other"}
    assert set(leg_bones("Mixamo", bones, {"LeftUpLeg", "LeftLeg", *bones.values()})) == {"thigh.L", "shin.L"}


@pytest.mark.parametrize("name", [name for name in RIGS if RIGS[name][1] in LEFT])
def test_legs_of_known_rigs_have_a_left_and_a_right(name: str) -> None:
    _, rig = RIGS[name]
    bones = dict(MAPS[rig])
    left = LEFT[rig]
    every = leg_bones(rig, bones, {*left, *(other for other in _others(left)), *bones.values()})
    assert set(every) == {"thigh.L", "shin.L", "thigh.R", "shin.R"}
    assert len(set(every.values())) == 4
    prefixed = {role: f"mixamorig:{bone}" for role, bone in bones.items()}
    assert leg_bones(rig, prefixed, {f"mixamorig:{bone}" for bone in left}) == {
        "thigh.L": f"mixamorig:{left[0]}", "shin.L": f"mixamorig:{left[1]}"}
    assert leg_bones(rig, bones, set(bones.values())) == {}
    assert leg_bones("by name", bones, set(left)) == {}


def _others(left: tuple[str, str]) -> set[str]:
    """What may be the right leg's names."""
    pairs = (("Left", "Right"), ("left", "right"), ("_L_", "_R_"), (".L", ".R"), ("_l", "_r"), ("L ", "R "))
    out = {name.replace(a, b, 1) for a, b in pairs for name in left if a in name}
    return out or {"r" + name[1:] for name in left}
