from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

from pose_diffusion.layout import (
    BODY,
    FACE,
    FACE_ANCHOR,
    FACE_POINTS,
    HAND_POINTS,
    HOLISTIC,
    LEFT_HAND,
    RIGHT_HAND,
    UnknownSchemaError,
    copy_header,
    header_positions,
    locate,
    mirrored,
)
from tests.poses import component, constructed_pose, describe, holistic_header, moving_person


def names(header: PoseHeader) -> list[tuple[str, str]]:
    return [(c.name, point) for c in header.components for point in c.points]


def test_the_parts_are_the_body_the_hands_and_the_face_contour_in_order() -> None:
    assert len(HOLISTIC) == 25 + 21 + 21 + 128
    assert len(set(HOLISTIC.points)) == len(HOLISTIC)
    assert list(HOLISTIC.parts) == ["body", "left_hand", "right_hand", "face"]
    ends = [(s.start, s.stop) for s in HOLISTIC.parts.values()]
    assert ends[0][0] == 0
    assert ends[-1][1] == len(HOLISTIC)
    assert all(a[1] == b[0] for a, b in zip(ends, ends[1:]))
    for part, name in zip(HOLISTIC.parts.values(), (BODY, LEFT_HAND, RIGHT_HAND, FACE)):
        assert {c for c, _ in HOLISTIC.points[part]} == {name}


def test_there_are_no_legs() -> None:
    assert not [p for _, p in HOLISTIC.points if any(word in p for word in ("KNEE", "ANKLE", "HEEL", "FOOT"))]


def test_the_face_contour_is_that_of_the_reduced_header(reduced_pose: Pose) -> None:
    face = next(c for c in reduced_pose.header.components if c.name == FACE)
    assert tuple(face.points) == FACE_POINTS


def test_index_finds_a_point_by_name() -> None:
    assert HOLISTIC.points[HOLISTIC.index(RIGHT_HAND, "PINKY_TIP")] == (RIGHT_HAND, "PINKY_TIP")
    with pytest.raises(KeyError):
        HOLISTIC.index(BODY, "TAIL")



def test_a_hand_hangs_on_its_wrist_which_hangs_on_the_body_of_its_side() -> None:
    for hand, side in ((LEFT_HAND, "LEFT"), (RIGHT_HAND, "RIGHT")):
        wrist = HOLISTIC.index(hand, "WRIST")
        assert HOLISTIC.points[HOLISTIC.anchors[wrist]] == (BODY, f"{side}_WRIST")
        assert {HOLISTIC.anchors[HOLISTIC.index(hand, p)] for p in HAND_POINTS[1:]} == {wrist}
    forehead = HOLISTIC.index(FACE, FACE_ANCHOR)
    assert HOLISTIC.points[HOLISTIC.anchors[forehead]] == (BODY, "NOSE")


def test_features_are_points_minus_anchors_and_invert_exactly() -> None:
    points = np.random.default_rng(0).standard_normal((len(HOLISTIC), 3)).astype(np.float32)
    features = HOLISTIC.to_features @ points
    tip, wrist = HOLISTIC.index(LEFT_HAND, "THUMB_TIP"), HOLISTIC.index(LEFT_HAND, "WRIST")
    assert np.allclose(features[tip], points[tip] - points[wrist], atol=1e-6)
    assert np.array_equal(HOLISTIC.to_features @ HOLISTIC.from_features, np.eye(len(HOLISTIC), dtype=np.float32))
    assert np.allclose(HOLISTIC.from_features @ features, points, atol=1e-5)


def test_mirroring_twice_changes_nothing_and_bones_and_anchors_go_along() -> None:
    mirror = np.array(HOLISTIC.mirror)
    assert np.array_equal(mirror[mirror], np.arange(len(HOLISTIC)))
    bones = {frozenset(bone) for bone in HOLISTIC.bones}
    assert {frozenset((mirror[a], mirror[b])) for a, b in HOLISTIC.bones} == bones
    for point, anchor in enumerate(HOLISTIC.anchors):
        assert HOLISTIC.anchors[mirror[point]] == (mirror[anchor] if anchor >= 0 else -1)


def test_mirrored_names() -> None:
    assert mirrored(LEFT_HAND, "WRIST") == (RIGHT_HAND, "WRIST")
    assert mirrored(BODY, "MOUTH_LEFT") == (BODY, "MOUTH_RIGHT")
    assert mirrored(FACE, "33") == (FACE, "263")
    assert mirrored(FACE, "10") == (FACE, "10")


def test_mirrored_faces_lie_on_the_other_side_of_real_faces(real_pose: Pose) -> None:
    """On a frontal face a point's mirror image is at the mirrored place: the pairs are right."""
    place = locate(real_pose.header, HOLISTIC)
    face, mirror = np.arange(len(HOLISTIC))[HOLISTIC.parts["face"]], np.array(HOLISTIC.mirror)
    xy = real_pose.body.data.data[:, 0, place, :2].mean(0)
    middle = xy[face, 0].mean()
    width = np.ptp(xy[face, 0])
    assert np.abs((2 * middle - xy[face, 0]) - xy[mirror[face], 0]).max() < .12 * width
    assert np.abs(xy[face, 1] - xy[mirror[face], 1]).max() < .12 * width


def test_bones_keep_their_length_in_a_rigid_person() -> None:
    person = moving_person(30)
    header = holistic_header(world=False)
    points = np.concatenate([person[c.name] for c in header.components], axis=1)[:, locate(header, HOLISTIC)]
    a, b = np.array(HOLISTIC.bones).T
    assert np.linalg.norm(points[:, a] - points[:, b], axis=-1).std(0).max() < 1e-9


@pytest.mark.parametrize(("irises", "world", "points"), [(False, True, 576), (True, True, 586), (False, False, 543)])
def test_full_headers_have_every_point(irises: bool, world: bool, points: int) -> None:
    header = holistic_header(irises=irises, world=world)
    assert header.total_points() == points
    listed = names(header)
    assert [listed[i] for i in locate(header, HOLISTIC)] == list(HOLISTIC.points)


def test_the_constructed_header_is_that_of_real_files(real_pose: Pose) -> None:
    assert names(holistic_header(irises=True)) == names(real_pose.header)


def test_the_reduced_header_lacks_most_of_the_body(reduced_pose: Pose) -> None:
    place = locate(reduced_pose.header, HOLISTIC)
    assert (place >= 0).sum() == 178
    listed = names(reduced_pose.header)
    assert all(listed[i] == HOLISTIC.points[k] for k, i in enumerate(place) if i >= 0)


@given(st.data())
def test_any_order_and_any_part_of_a_header(data: st.DataObject) -> None:
    order = data.draw(st.permutations((BODY, FACE, LEFT_HAND, RIGHT_HAND)))
    full = {c.name: c.points for c in holistic_header().components}
    kept = [component(name, data.draw(st.permutations(full[name]))[data.draw(st.integers(0, 20)):]) for name in order]
    header = PoseHeader(0.2, PoseHeaderDimensions(10, 10), kept)
    listed = names(header)
    for k, i in enumerate(locate(header, HOLISTIC)):
        if i < 0:
            assert HOLISTIC.points[k] not in listed
        else:
            assert listed[i] == HOLISTIC.points[k]


def test_the_first_of_equal_names_wins() -> None:
    header = PoseHeader(0.2, PoseHeaderDimensions(10, 10), [component("X", ["A", "B", "A"]), component("X", ["B"])])
    assert header_positions(header) == {("X", "A"): 0, ("X", "B"): 1}


@pytest.mark.parametrize("components", [[component("pose_keypoints_2d", ["Nose", "Neck"])], []])
def test_an_unknown_schema_names_what_it_found(components: list) -> None:
    header = PoseHeader(0.2, PoseHeaderDimensions(10, 10), components)
    with pytest.raises(UnknownSchemaError, match="pose_keypoints_2d" if components else "none") as error:
        locate(header, HOLISTIC)
    assert "\n" not in str(error.value)
    assert BODY in str(error.value)


def test_locating_reads_only() -> None:
    pose = constructed_pose(1)
    before = names(pose.header)
    locate(pose.header, HOLISTIC)
    assert names(pose.header) == before


def test_a_copied_header_is_equal_and_shares_nothing_that_can_change(real_pose: Pose) -> None:
    for header in (real_pose.header, holistic_header(), listed := holistic_header()):
        listed.components[0].limbs = [[0, 1], [1, 2]]
        before, fresh = describe(header), copy_header(header)
        assert describe(fresh) == before
        assert type(fresh.components[0].colors) is type(header.components[0].colors)
        fresh.version, fresh.dimensions.width = 0.1, 1
        for c in fresh.components:
            c.name, c.format, c.points[0], c.colors[0], c.relative_limbs[0] = "X", "XY", "CHANGED", (1, 2, 3), 99
            if isinstance(c.limbs[0], list):
                c.limbs[0][0] = 99
            c.limbs[-1] = (5, 5)
        fresh.components.pop()
        assert describe(header) == before
        assert header.components[0].relative_limbs[0] != 99
