"""Motion capture as motions of 17 joints: real takes, defects, subjects, and files of another kind."""
from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_diffusion.files import PoseFileError
from pose_diffusion.motion.bvh import Bvh
from pose_diffusion.motion.mocap import Take, body_motion, cmu_bvh, cmu_joints, sound
from pose_diffusion.motion.mocap_skeletons import CMU_38
from pose_diffusion.motion.motion import Motion
from pose_diffusion.motion.skeletons import BODY


@pytest.fixture(scope="module")
def archive(data_folder: Path) -> list[Take]:
    return cmu_joints(data_folder / "mocap" / "cmu_joints.npz")


@pytest.fixture(scope="module")
def files(data_folder: Path) -> list[Take]:
    return [take for path in sorted((data_folder / "bvh" / "cmu").glob("*.bvh")) for take in cmu_bvh(path)]


def standing(frames: int = 240, *, placed: bool = True) -> Take:
    """A person who stands still, arms hanging."""
    place: dict[str, tuple[float, ...]] = {"pelvis": (0, 1, 0), "spine": (0, 1.3, 0), "thorax": (0, 1.5, 0),
                                           "head": (0, 1.7, 0), "head_top": (0, 1.8, 0)}
    for side, x in (("left", .1), ("right", -.1)):
        place |= {f"{side}_hip": (x, 1, 0), f"{side}_knee": (x, .5, .02), f"{side}_ankle": (x, .08, 0)}
        place |= {f"{side}_{joint}": (2 * x, y, 0) for joint, y in (("shoulder", 1.5), ("elbow", 1.2), ("wrist", .9))}
    xyz = np.array([place[joint] for joint in BODY.joints], np.float32)
    if not placed:
        xyz = xyz - xyz[0]
    return Take("still", "cmu_01", Motion(BODY.joints, BODY.parents, np.repeat(xyz[None], frames, 0), 60.), placed)


def test_the_archive_is_whole_but_for_its_defects(archive: list[Take]) -> None:
    seconds = sum(take.motion.seconds for take in archive)
    assert 430 < seconds < 26869 / 60
    assert len({take.name.split(":")[0] for take in archive}) == 72
    for take in archive:
        xyz = take.motion.xyz
        assert take.motion.fps == 60
        assert not take.placed
        assert np.abs(xyz[:, 0]).max() == 0
        assert (xyz[:, BODY.index("thorax"), 1] > .2).all()  # nobody lies down or tumbles
        assert (xyz[:, BODY.index("head_top"), 1] > xyz[:, BODY.index("thorax"), 1]).all()


def test_people_of_the_files_stand_on_the_ground_and_face_where_they_walk(files: list[Take]) -> None:
    assert 55 < sum(take.motion.seconds for take in files) < 62
    ankles = [BODY.index("left_ankle"), BODY.index("right_ankle")]
    for take in files:
        xyz = take.motion.xyz
        assert take.placed
        assert take.motion.fps == 60
        if not take.name.startswith("003"):  # walks on a heap of things
            assert .04 < np.quantile(xyz[:, ankles, 1].min(axis=1), .05) < .14
    walk = next(take for take in files if take.name == "002_01").motion.xyz
    way = walk[-1, 0] - walk[0, 0]
    left = (walk[:, BODY.index("left_shoulder")] - walk[:, BODY.index("right_shoulder")]).mean(axis=0)
    assert np.cross(left, [0, 1, 0]) @ way / np.linalg.norm(way) / np.linalg.norm(left) > .95


def test_a_person_is_in_one_subject_only(archive: list[Take], files: list[Take]) -> None:
    """The folder and the archive share takes: the same seconds, by the angles of knees and elbows, on two skeletons."""
    def angles(take: Take) -> np.ndarray:
        out = []
        for side in ("left", "right"):
            for a, b, c in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
                at = [take.motion.xyz[:, BODY.index(f"{side}_{name}")] for name in (a, b, c)]
                u, v = at[0] - at[1], at[2] - at[1]
                cos = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
                out.append(np.arccos(np.clip(cos, -1, 1)))
        return np.stack(out, axis=1)

    by_name = {take.name: take for take in [*archive, *files]}
    for one, other in (("walking_1", "002_01"), ("walking_2", "005_01"), ("walking_4", "007_01"),
                       ("basketball_1", "006_02"), ("basketball_3", "006_04"), ("basketball_5", "006_06")):
        a, b = angles(by_name[one]), angles(by_name[other])
        frames = min(len(a), len(b)) - 2
        a, b = a[:frames], b[:frames]
        assert np.abs((a - a.mean(0)) - (b - b.mean(0))).mean() < .1 * np.abs(a - a.mean(0)).max()
        assert by_name[one].subject == by_name[other].subject
    subjects = defaultdict(set)
    for take in [*archive, *files]:
        subjects[take.name.split(":")[0]].add(take.subject)
    assert all(len(some) == 1 for some in subjects.values())


def test_a_jump_is_cut_out_with_what_is_around_it() -> None:
    take = standing()
    xyz = take.motion.xyz.copy()
    xyz[100:103, BODY.index("left_knee")] += (0, 0, .5)  # .5 m in 1/60 s
    found = list(sound(replace(take, motion=replace(take.motion, xyz=xyz))))
    assert [(part.name, len(part.motion)) for part in found] == [("still:0", 94), ("still:109", 131)]
    assert all(np.array_equal(part.motion.xyz, take.motion.xyz[:len(part.motion)]) for part in found)
    assert list(sound(take))[0].name == "still"


def test_a_rest_of_less_than_a_second_goes_too_and_nothing_may_be_left() -> None:
    take = standing(100)
    xyz = take.motion.xyz.copy()
    xyz[50:, 0] += (2, 0, 0)
    assert list(sound(replace(take, motion=replace(take.motion, xyz=xyz)))) == []


def test_tumbling_is_cut_out_of_takes_that_are_not_placed() -> None:
    take = standing(300, placed=False)
    lean = np.interp(np.arange(300), [0, 100, 150, 200, 300], [0, 0, 90, 0, 0])

    def leaning(degrees: np.ndarray) -> Take:
        turns = Rotation.from_euler("x", degrees[:, None], degrees=True).as_matrix()
        turned = np.einsum("tij,tkj->tki", turns, take.motion.xyz).astype(np.float32)
        return replace(take, motion=replace(take.motion, xyz=turned))

    found = list(sound(leaning(lean)))
    assert [part.name for part in found] == ["still:0", f"still:{found[1].name.split(':')[1]}"]
    assert 108 < len(found[0].motion) < 114  # 20 degrees
    assert len(list(sound(leaning(lean / 3)))) == 1


def small_bvh(names: tuple[str, ...]) -> Bvh:
    offsets = np.random.default_rng(0).normal(size=(len(names), 3))
    channels = (("xposition", "yposition", "zposition"), *(() for _ in names[1:]))
    return Bvh(names, (-1, *(0 for _ in names[1:])), (False,) * len(names), offsets, channels, np.zeros((3, 3)), .02)


def test_a_bvh_of_cmus_joints_in_any_unit_and_axis() -> None:
    bvh = small_bvh(CMU_38)
    metres = body_motion(bvh, metres=1.)
    assert metres.names == BODY.joints
    assert metres.fps == pytest.approx(50)
    np.testing.assert_allclose(body_motion(bvh).xyz * 100, metres.xyz, rtol=1e-5, atol=1e-5)
    z_up = replace(bvh, offsets=bvh.offsets[:, [0, 2, 1]] * (1, -1, 1))  # x, -z, y: what was y points along z
    np.testing.assert_allclose(body_motion(z_up, metres=1., up="z").xyz, metres.xyz, atol=1e-6)


def test_unknown_skeletons_units_and_axes_are_refused() -> None:
    bvh = small_bvh(CMU_38)
    with pytest.raises(ValueError, match="unknown skeleton.*LeftLeg"):
        body_motion(small_bvh(tuple(name for name in CMU_38 if name != "LeftLeg")))
    with pytest.raises(ValueError, match="no axis 'x'"):
        body_motion(bvh, up="x")
    with pytest.raises(ValueError, match="0 metres"):
        body_motion(bvh, metres=0)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    good = {"xyz": np.zeros((5, 38, 3), np.float16), "joints": np.array(CMU_38), "lens": np.array([2, 3]),
            "files": np.array(["a_1.txt", "b_1.txt"]), "fps": np.array(60.)}
    np.savez(tmp_path / "good.npz", **good)
    assert cmu_joints(tmp_path / "good.npz") == []  # too short to be of use, but an archive
    for name, value in (("lens", np.array([2, 2])), ("lens", np.array([-1, 6])), ("fps", np.array(0.)),
                        ("joints", np.array([*CMU_38[:-1], "Tail"])), ("files", np.array(["a_1.txt"])),
                        ("xyz", np.zeros((5, 38, 2), np.float16))):
        np.savez(tmp_path / "bad.npz", **{**good, name: value})
        with pytest.raises(PoseFileError, match="give cmu_joints.npz"):
            cmu_joints(tmp_path / "bad.npz")
    del good["lens"]
    np.savez(tmp_path / "bad.npz", **good)
    (tmp_path / "text.npz").write_text("text")
    np.savez(tmp_path / "object.npz", **{**good, "lens": np.array([{}], dtype=object)})
    for path in ("bad.npz", "text.npz", "object.npz"):
        with pytest.raises(PoseFileError, match="no archive of joints"):
            cmu_joints(tmp_path / path)
    with pytest.raises(PoseFileError, match="there is no such file"):
        cmu_joints(tmp_path / "none.npz")
    (tmp_path / "x_1.bvh").write_text("HIERARCHY ROOT a { OFFSET 0 0 0 CHANNELS 1 Xrotation }\nMOTION\nFrames: 1\n"
                                      "Frame Time: .02\n0\n")
    with pytest.raises(PoseFileError, match="x_1.bvh: unknown skeleton"):
        cmu_bvh(tmp_path / "x_1.bvh")
