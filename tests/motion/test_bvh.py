"""BVH files: what is written is read back; joints are where an independent reckoning puts them; damage is one line."""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_diffusion.files import PoseFileError
from pose_diffusion.motion.bvh import CHANNELS, Bvh, joint_positions, read_bvh
from tests.limits import at_most
from tests.motion.bvh_files import bvhs, text

SMALL = """HIERARCHY
ROOT Hips
{
  OFFSET 1.0 2.0 3.0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Knee
  {
    OFFSET 0.0 -4.0 0.0
    CHANNELS 1 Xrotation
    End Site
    {
      OFFSET 0.0 -5.0 0.0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 0 0 0 0 0 0
10 20 30 90 0 0 -90
"""


def file_of(folder: Path, content: str | bytes) -> Path:
    path = folder / "x.bvh"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(folder: Path, content: str | bytes) -> str:
    path = file_of(folder, content)
    with pytest.raises(PoseFileError) as error:
        read_bvh(path)
    message = str(error.value)
    assert message.startswith(os.fspath(path))
    assert message.isprintable()
    assert len(message) <= 500
    return message.removeprefix(os.fspath(path))


@settings(max_examples=60, deadline=None)
@given(bvh=bvhs(), upper=st.booleans(), wrapped=st.booleans(), line_end=st.sampled_from(["\n", "\r\n"]),
       indent=st.sampled_from(["", "  ", "\t"]))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, bvh: Bvh, upper: bool, wrapped: bool,
                                      line_end: str, indent: str) -> None:
    content = text(bvh, upper=upper, wrapped=wrapped, line_end=line_end, indent=indent)
    again = read_bvh(file_of(tmp_path_factory.mktemp("bvh"), content))
    assert (again.names, again.parents, again.ends, again.channels) == (bvh.names, bvh.parents, bvh.ends, bvh.channels)
    assert np.array_equal(again.offsets, bvh.offsets)
    assert np.array_equal(again.values, bvh.values)
    assert again.frame_time == bvh.frame_time


@settings(max_examples=60, deadline=None)
@given(bvh=bvhs(), absolute=st.booleans())
def test_joints_are_where_chains_of_4x4_matrices_put_them(bvh: Bvh, absolute: bool) -> None:
    found = joint_positions(bvh, absolute=absolute)
    for t, row in enumerate(bvh.values):
        numbers = iter(row)
        matrices: list[np.ndarray] = []
        for joint, channels in enumerate(bvh.channels):
            local = np.eye(4)
            moved, turns = np.zeros(3), Rotation.identity()
            for channel in channels:
                if channel.endswith("position"):
                    moved["xyz".index(channel[0])] += next(numbers)
                else:
                    turns = turns * Rotation.from_euler(channel[0], next(numbers), degrees=True)
            instead = absolute and any(channel.endswith("position") for channel in channels)
            local[:3, 3] = moved if instead else bvh.offsets[joint] + moved
            local[:3, :3] = turns.as_matrix()
            matrices.append(local if bvh.parents[joint] < 0 else matrices[bvh.parents[joint]] @ local)
        np.testing.assert_allclose(found[t], [matrix[:3, 3] for matrix in matrices], atol=1e-9)


def test_a_small_file_by_hand(tmp_path: Path) -> None:
    bvh = read_bvh(file_of(tmp_path, SMALL))
    assert bvh.names == ("Hips", "Knee", "Knee end")
    assert bvh.ends == (False, False, True)
    rest, bent = joint_positions(bvh)
    np.testing.assert_allclose(rest, [[1, 2, 3], [1, -2, 3], [1, -7, 3]], atol=1e-9)
    # Turned by 90 degrees about z what points down points to +x; bent by -90 about its x, the shank points to +z.
    np.testing.assert_allclose(bent, [[11, 22, 33], [15, 22, 33], [15, 22, 38]], atol=1e-9)


def test_odd_but_sound_files_are_read(tmp_path: Path) -> None:
    same = joint_positions(read_bvh(file_of(tmp_path, SMALL)))
    odd = [
        "\ufeff" + SMALL,
        SMALL.replace("Hips\n{", "Hips {").replace("Knee\n  {", "Knee{").replace("    }\n  }\n}", "}}}"),
        SMALL.lower().replace("hips", "Hips"),
        SMALL.replace("Frames: 2", "  Frames :\t2 ").replace("Frame Time:", "\nFRAME  TIME:"),
        SMALL.rstrip("\n"),
        SMALL.replace("10 20 30 90", "1.0e1 2e1 +30\n 90."),
        SMALL + "\n\n  \n",
    ]
    for content in odd:
        assert np.array_equal(joint_positions(read_bvh(file_of(tmp_path, content))), same)


@pytest.mark.parametrize(("content", "said"), [
    ("", "not a BVH file"),
    ("HIERARCHY\n", "not a BVH file"),
    (SMALL.replace("OFFSET 0.0 -4.0", "OFFSET 0.0 four"), "line 8: 'four' is no number for the OFFSET of 'Knee'"),
    (SMALL.replace("-4.0", "nan"), "line 8: 'nan' is no number"),
    (SMALL.replace("1 Xrotation", "2 Xrotation"), "line 10: 'End' where"),
    (SMALL.replace("1 Xrotation", "1 Wrotation"), "line 9: 'Wrotation' where"),
    (SMALL.replace("1 Xrotation", "-1"), "line 9: -1 is no whole number"),
    (SMALL.replace("1 Xrotation", "999999999999"), "line 9: 1e+12 is no whole number"),
    (SMALL.replace("    OFFSET 0.0 -4.0 0.0\n", ""), "line 13: joint 'Knee' has no OFFSET"),
    (SMALL.replace("  CHANNELS 1 Xrotation", "  OFFSET 0 0 0"), "line 9: a second OFFSET of 'Knee'"),
    (SMALL.replace("      OFFSET 0.0 -5.0 0.0", "JOINT x { OFFSET 0 0 0 }"), "line 12: a joint inside an End Site"),
    (SMALL.replace("}\nMOTION", "MOTION"), "line 14: nothing follows where } should be"),
    (SMALL.replace("}\nMOTION", "} }\nMOTION"), "line 15: '}' after the last }"),
    (SMALL.replace("ROOT Hips", "JOINT Hips"), "line 2: 'JOINT' where ROOT"),
    (SMALL.replace("Frames: 2", "Frames: 3"), "3 frames of 7 channels are promised (21 numbers), but there are 14"),
    (SMALL.replace("Frames: 2", "Frames: 1"), "but there are 14"),
    (SMALL.replace("Frames: 2", "Frames: 0"), "no frames"),
    (SMALL.replace("Frames: 2", "Frames: 1.5"), "line 17: 1.5 is no whole number"),
    (SMALL.replace("Frames: 2\n", ""), "no 'Frames:' and 'Frame Time:'"),
    (SMALL.replace("0.0333333", "0"), "a Frame Time of 0 seconds"),
    (SMALL.replace("0.0333333", "-1"), "a Frame Time of -1 seconds"),
    (SMALL.replace("20 30", "20 inf"), "line 20: 'inf' is no number for a channel"),
    (SMALL.replace("20 30", "20 3,5"), "line 20: '3,5' is no number for a channel"),
    (SMALL.replace("6 Xposition Yposition Zposition Zrotation Xrotation Yrotation", "0").replace("1 Xrotation", "0"),
     "no joint has channels"),
    (b"\x00\xff\xfe" * 100, "not a BVH file"),
])
def test_damage_is_said_in_one_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in refused(tmp_path, content)


def test_files_that_are_not_there_or_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PoseFileError, match="no such file"):
        read_bvh(tmp_path / "none.bvh")
    with pytest.raises(PoseFileError, match="no such file"):
        read_bvh(tmp_path)
    path = file_of(tmp_path, SMALL)
    monkeypatch.setattr("pose_diffusion.motion.bvh.MAX_BYTES", 100)
    with pytest.raises(PoseFileError, match="more than 100"):
        read_bvh(path)


def test_a_promise_of_many_frames_takes_no_memory(tmp_path: Path) -> None:
    path = file_of(tmp_path, SMALL.replace("Frames: 2", "Frames: 1000000000000"))
    with at_most(1 << 20), pytest.raises(PoseFileError, match="are promised"):
        read_bvh(path)


def test_a_deep_skeleton_is_no_recursion(tmp_path: Path) -> None:
    deep = 3000
    opening = "".join(f"JOINT j{i} {{ OFFSET 0 1 0 CHANNELS 0 " for i in range(deep))
    content = f"HIERARCHY ROOT r {{ OFFSET 0 0 0 CHANNELS 1 Zrotation {opening}{'} ' * (deep + 1)}\nMOTION\n" \
              "Frames: 1\nFrame Time: .1\n90"
    end = joint_positions(read_bvh(file_of(tmp_path, content)))[0, -1]
    np.testing.assert_allclose(end, [-deep, 0, 0], atol=1e-6)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_is_an_error_of_the_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    words = SMALL.split(" ")
    place = data.draw(st.integers(0, len(words) - 1))
    odd = ["", "{", "}", "JOINT", "End Site", "-", "1e999", "CHANNELS", "\x00", "7"]
    words[place] = data.draw(st.sampled_from(odd))
    path = file_of(tmp_path_factory.mktemp("bvh"), " ".join(words))
    try:
        positions = joint_positions(read_bvh(path))
    except PoseFileError:
        return
    assert np.isfinite(positions).all()


@pytest.mark.parametrize("take", ["003_01", "006_08"])
def test_blender_puts_the_joints_of_real_takes_in_the_same_places(take: str, data_folder: Path) -> None:
    bpy = pytest.importorskip("bpy")
    path = data_folder / "bvh" / "cmu" / f"{take}.bvh"
    bvh = read_bvh(path)
    ours = joint_positions(bvh, absolute=True)  # as Blender reads position channels
    bpy.ops.import_anim.bvh(filepath=str(path), axis_forward="-Z", axis_up="Y", rotate_mode="NATIVE",
                            update_scene_fps=False)
    rig, scene = bpy.context.object, bpy.context.scene
    try:
        size = np.ptp(ours[0], axis=0).max()
        names = [i for i, end in enumerate(bvh.ends) if not end]
        for frame in (0, 40, len(bvh.values) - 1):
            scene.frame_set(frame + 1)
            theirs = np.array([rig.matrix_world @ rig.pose.bones[bvh.names[i]].head for i in names])
            theirs = theirs[:, [0, 2, 1]] * (1, 1, -1)  # z up to y up
            assert np.abs(theirs - ours[frame, names]).max() < 1e-3 * size
    finally:
        action = rig.animation_data.action
        bpy.data.objects.remove(rig)
        bpy.data.actions.remove(action)


def test_real_takes_stand_on_the_ground(data_folder: Path) -> None:
    """Offsets and position channels add up in CMU's files: with these as absolute the feet would be a metre below."""
    bvh = read_bvh(data_folder / "bvh" / "cmu" / "006_02.bvh")
    lowest = joint_positions(bvh)[..., 1].min(axis=1)
    assert np.all((lowest > 3) & (lowest < 15))  # centimetres: toes and soles have their thickness


def test_every_channel_has_a_name() -> None:
    assert sorted(CHANNELS) == sorted(a + k for a in "xyz" for k in ("position", "rotation"))
