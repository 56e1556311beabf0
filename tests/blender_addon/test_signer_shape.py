"""The signer without Blender: bones like a person's, a mesh that follows them, face shapes that do what they say."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.rigs.signer_bones import BONES, SignerBone, bone_axes, signer_bones
from blender_addon.rigs.signer_hand import hand
from blender_addon.rigs.signer_mesh import MASKED, MATERIALS, signer_mesh
from blender_addon.rigs.skin import MOST_BONES, Part, along, mirrored, nearest_share
from blender_addon.rigs.surface import blend, cone, cut, ellipsoid, net
from blender_addon.solver.rotations import about
from blender_addon.solver.skeleton import FINGERS, SIDES

SHAPES = {"jawOpen", "mouthFunnel", "mouthPucker", "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft",
          "mouthStretchRight", "eyeBlinkLeft", "eyeBlinkRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
          "browDownLeft", "browDownRight"}


def length(bone: str) -> float:
    return float(np.linalg.norm(BONES[bone].tail - BONES[bone].head))


def posed(turns: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per bone the matrix and the way by which it moves points, when bones are turned `(3, 3)` in their own axes."""
    moves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for bone in signer_bones():
        turn, way = moves[bone.parent] if bone.parent else (np.eye(3), np.zeros(3))
        own = bone_axes(bone) @ turns.get(bone.name, np.eye(3)) @ bone_axes(bone).T
        moves[bone.name] = (turn @ own, turn @ (bone.head - own @ bone.head) + way)
    return moves


def skinned(part: Part, moves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Where vertices go."""
    return sum((share[:, None] * (part.vertices @ moves[bone][0].T + moves[bone][1])
                for bone, share in part.weights.items()), np.zeros_like(part.vertices))


def edges(part: Part, points: np.ndarray) -> np.ndarray:
    return np.concatenate([np.linalg.norm(points[part.quads[:, i]] - points[part.quads[:, (i + 1) % 4]], axis=1)
                           for i in range(4)])


def test_proportions_are_a_persons() -> None:
    top = max(bone.tail[2] for bone in signer_bones())
    shoulders = 2 * BONES["upper_arm.L"].head[0]
    assert top == pytest.approx(1.71, abs=.01)
    assert shoulders == pytest.approx(.36, abs=.01)
    # Ratios as in recordings of signers: otherwise hands that meet there would not meet here.
    assert length("upper_arm.L") / shoulders == pytest.approx(.85, abs=.02)
    assert length("forearm.L") / shoulders == pytest.approx(.80, abs=.02)
    knuckle = np.linalg.norm(BONES["f_middle.01.L"].head - BONES["hand.L"].head)
    assert knuckle / shoulders == pytest.approx(.28, abs=.03)
    assert np.linalg.norm(BONES["f_middle.03.L"].tail - BONES["hand.L"].head) == pytest.approx(.2, abs=.01)
    assert length("f_middle.01.L") > length("f_index.01.L") > length("f_pinky.01.L")
    for finger in ("f_index", "f_middle", "f_ring", "f_pinky"):
        assert length(f"{finger}.01.L") > length(f"{finger}.02.L") >= length(f"{finger}.03.L") - 1e-3


def test_sides_are_mirror_images() -> None:
    for name, bone in BONES.items():
        if name.endswith(".L"):
            other = BONES[f"{name[:-1]}R"]
            assert np.allclose(bone.head * [-1, 1, 1], other.head)
            assert np.allclose(bone.tail * [-1, 1, 1], other.tail)
            assert (other.parent or "").replace(".R", ".L") == bone.parent
    names = [bone.name for bone in signer_bones()]
    assert all(bone.parent is None or names.index(bone.parent) < i for i, bone in enumerate(signer_bones()))


@pytest.mark.parametrize("side", SIDES)
def test_hinges_are_bent_at_rest_and_close_about_x(side: str) -> None:
    """Turning by a positive angle about x brings a fingertip towards the palm, the hand towards the front."""
    palm = np.cross(_direction("f_index.01", "f_pinky.01", side), _way(BONES[f"hand.{side}"]))
    palm = palm / np.linalg.norm(palm) * (1 if side == "L" else -1)
    for finger in FINGERS[1:]:
        for i in (1, 2, 3):
            bone = BONES[f"f_{finger}.0{i}.{side}"]
            assert (bone_axes(bone) @ about(np.array([1.0, 0, 0]), np.array(.5)) @ [0, 1, 0] - _way(bone)) @ palm > .2
        first, second = _way(BONES[f"f_{finger}.01.{side}"]), _way(BONES[f"f_{finger}.02.{side}"])
        assert 3 < np.degrees(np.arccos(first @ second)) < 20
    thumb = bone_axes(BONES[f"thumb.02.{side}"]) @ about(np.array([1.0, 0, 0]), np.array(.5)) @ [0, 1, 0]
    assert (thumb - _way(BONES[f"thumb.02.{side}"])) @ -_direction("f_index.01", "f_pinky.01", side) < -.1
    upper, lower = _way(BONES[f"upper_arm.{side}"]), _way(BONES[f"forearm.{side}"])
    assert 5 < np.degrees(np.arccos(upper @ lower)) < 20
    bent = bone_axes(BONES[f"forearm.{side}"]) @ about(np.array([1.0, 0, 0]), np.array(.5)) @ [0, 1, 0]
    assert (bent - lower)[1] < -.2


def _way(bone: SignerBone) -> np.ndarray:
    return (bone.tail - bone.head) / np.linalg.norm(bone.tail - bone.head)


def _direction(start: str, end: str, side: str) -> np.ndarray:
    way = BONES[f"{end}.{side}"].head - BONES[f"{start}.{side}"].head
    return np.asarray(way / np.linalg.norm(way))


def test_a_net_is_closed_looks_outwards_and_lies_on_the_surface() -> None:
    def distance(points: np.ndarray) -> np.ndarray:
        body = blend(ellipsoid(points, (0, 0, 0), (.1, .06, .05)), cone(points, (0, 0, 0), (.1, 0, .1), .03, .02), .02)
        return cut(body, -.03 - points[..., 2], .01)

    vertices, quads = net(distance, (-.2, -.2, -.2), (.2, .2, .2), .008)
    assert np.abs(distance(vertices)).max() < 2e-4
    ways = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)]).tolist()
    assert sorted(map(tuple, ways)) == sorted((b, a) for a, b in ways)  # each edge once in either direction
    a, b, c, d = (vertices[quads[:, i]] for i in range(4))
    out = np.cross(c - a, d - b)
    middle = (a + b + c + d) / 4
    assert (distance(middle + 1e-3 * out / np.linalg.norm(out, axis=1, keepdims=True)) > distance(middle)).all()


def test_a_surface_that_leaves_its_box_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than its box"):
        net(lambda points: ellipsoid(points, (0, 0, 0), (.3, .1, .1)), (-.2, -.2, -.2), (.2, .2, .2), .02)


def test_shares_pass_from_bone_to_bone() -> None:
    points = np.linspace([0, 0, 0], [3, 0, 0], 31)
    share = along(points, [(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)], (.2, .2))
    assert np.allclose(share.sum(1), 1)
    assert np.allclose(share[[0, 15, 30]], np.eye(3))
    assert np.allclose(share[[10, 20]], np.array([[.5, .5, 0], [0, .5, .5]]))
    assert np.allclose(nearest_share(np.array([[0.0, 1.0], [1.0, 1.0]]), .1), np.array([[1, 0], [.5, .5]]), atol=1e-3)


def test_the_mesh_follows_bones_that_are_there() -> None:
    mesh = signer_mesh()
    share = np.stack(list(mesh.weights.values()), 1)
    assert set(mesh.weights) <= set(BONES)
    assert np.allclose(share.sum(1), 1)
    assert ((share > 0).sum(1) <= MOST_BONES).all()
    assert (share >= 0).all()
    assert np.isfinite(mesh.vertices).all()
    assert set(mesh.materials) == set(MATERIALS)
    assert {name for name, _ in MASKED.values()} == set(mesh.masks)
    assert len(mesh.materials) == len(mesh.quads)
    assert 0 <= mesh.quads.min() <= mesh.quads.max() < len(mesh.vertices) < 20_000
    assert mesh.vertices[:, 2].min() > -.005


def test_the_mesh_is_the_same_each_time() -> None:
    again = signer_mesh.__wrapped__()
    assert np.array_equal(again.vertices, signer_mesh().vertices)
    assert np.array_equal(again.quads, signer_mesh().quads)
    assert all(np.array_equal(again.weights[bone], share) for bone, share in signer_mesh().weights.items())


def test_the_skin_is_about_the_bones() -> None:
    """No vertex is farther from the bones that it follows than a body is thick."""
    mesh = signer_mesh()
    for bone, share in mesh.weights.items():
        points = mesh.vertices[share > .5]
        start, way = BONES[bone].head, BONES[bone].tail - BONES[bone].head
        part = np.clip((points - start) @ way / (way @ way), 0, 1)
        away = np.linalg.norm(points - start - part[:, None] * way, axis=1)
        limit = .03 if bone.startswith(("f_", "thumb")) else .07 if bone.startswith("hand") else .24
        assert away.max(initial=0) < limit, bone


@settings(max_examples=15)
@given(st.lists(st.floats(0, 1), min_size=15, max_size=15))
def test_a_hand_bends_without_tearing(shares: list[float]) -> None:
    most = {1: 85, 2: 100, 3: 65}
    turns = {}
    for finger, three in zip(FINGERS, np.reshape(shares, (5, 3))):
        for i, part in enumerate(three, 1):
            angle = np.radians(part * (45 if finger == "thumb" else most[i]))
            turns[f"{'' if finger == 'thumb' else 'f_'}{finger}.0{i}.L"] = about(np.array([1.0, 0, 0]), np.array(angle))
    part = _HAND
    moved = skinned(part, posed(turns))
    assert edges(part, moved).max() < 3 * edges(part, part.vertices).max()
    tip = np.linalg.norm(part.vertices - BONES["f_index.03.L"].tail, axis=1).argmin()
    turn, way = posed(turns)["f_index.03.L"]
    assert np.allclose(moved[tip], turn @ part.vertices[tip] + way, atol=1e-6)  # the tip follows its own bone


_HAND = hand()


def test_the_right_hand_is_the_left_one_mirrored() -> None:
    other = mirrored(_HAND)
    assert set(other.weights) == {f"{bone[:-1]}R" for bone in _HAND.weights}
    assert np.array_equal(other.vertices, _HAND.vertices * [-1, 1, 1])
    assert np.array_equal(mirrored(other).quads, _HAND.quads)


def test_face_shapes_have_arkits_names_and_move_the_face_alone() -> None:
    mesh = signer_mesh()
    assert set(mesh.shapes) == SHAPES
    for way in mesh.shapes.values():
        moved = np.linalg.norm(way, axis=1) > 1e-6
        assert mesh.vertices[moved, 2].min() > 1.42  # of the neck, no more than under the chin
        assert .004 < np.linalg.norm(way, axis=1).max() < .05
        assert (mesh.vertices[moved, 1] < .03).all()


@pytest.mark.parametrize("shape", sorted(shape for shape in SHAPES if shape.endswith("Left")))
def test_left_shapes_move_the_persons_left_and_right_ones_mirror_them(shape: str) -> None:
    mesh = signer_mesh()
    left, right = mesh.shapes[shape], mesh.shapes[shape.replace("Left", "Right")]
    assert mesh.vertices[np.linalg.norm(left, axis=1).argmax(), 0] > .01
    assert mesh.vertices[np.linalg.norm(right, axis=1).argmax(), 0] < -.01
    assert np.allclose(np.sort(np.linalg.norm(left, axis=1)), np.sort(np.linalg.norm(right, axis=1)), atol=2e-5)
    if shape.startswith(("eye", "brow")):
        assert (mesh.vertices[np.linalg.norm(left, axis=1) > 1e-6, 0] > 0).all()


def test_shapes_do_what_their_names_say() -> None:
    mesh = signer_mesh()

    def of(material: str) -> np.ndarray:
        return np.unique(mesh.quads[[name == material for name in mesh.materials]])

    def ups(shape: str, material: str) -> np.ndarray:
        return mesh.shapes[shape][of(material), 2]

    lips, rest = of("Signer lip"), mesh.vertices
    opened = rest[lips] + mesh.shapes["jawOpen"][lips]
    assert np.ptp(opened[:, 2]) > np.ptp(rest[lips, 2]) + .015
    assert rest[:, 2][np.argmin(mesh.shapes["jawOpen"][:, 2])] < 1.52
    for shape, wider in (("mouthPucker", -.02), ("mouthFunnel", -.012)):
        assert np.ptp((rest + mesh.shapes[shape])[lips, 0]) < np.ptp(rest[lips, 0]) + wider
        assert (rest + mesh.shapes[shape])[lips, 1].min() < rest[lips, 1].min() - .004
    assert np.ptp((rest + mesh.shapes["mouthStretchLeft"] + mesh.shapes["mouthStretchRight"])[lips, 0]) > (
        np.ptp(rest[lips, 0]) + .015)
    assert ups("mouthSmileLeft", "Signer lip").max() > .006
    assert ups("browInnerUp", "Signer brow").max() > .008
    assert ups("browOuterUpLeft", "Signer brow").max() > .008
    assert ups("browDownLeft", "Signer brow").min() < -.007
    eye = of("Signer iris")
    left = rest[eye][rest[eye, 0] > 0]
    lid = of("Signer lid")
    for shut, covered in ((0.0, False), (1.0, True)):
        lids = (rest + shut * mesh.shapes["eyeBlinkLeft"])[lid][rest[lid, 0] > 0]
        assert (lids[:, 2].min() < left[:, 2].min()) == covered
    assert (rest[lid] + mesh.shapes["eyeBlinkLeft"][lid])[:, 1].min() < rest[eye, 1].min()  # in front of the eye
