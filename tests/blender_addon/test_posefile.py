"""The add-on's own reader and writer against pose-format, and against files from strangers."""
from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
from pose_format.utils.generic import fake_pose, reduce_holistic
from pose_format.utils.openpose import OpenPose_Components

from blender_addon.errors import AddonError
from blender_addon.posefile import Component, PoseFile, column, frames, read, write
from pose_diffusion.files import read_pose
from pose_diffusion.layout import BODY
from tests.limits import at_most, full_disk
from tests.poses import component, constructed_pose, flat, holistic_header, lose, one_hand, to_bytes

HEADER_END = 14_887  # where the body of a 586-point file starts


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "x.pose"
    path.write_bytes(content)
    return path


def refused(path: str | os.PathLike[str], message: str | None = None) -> str:
    with pytest.raises(AddonError, match=message) as error:
        read(path)
    text = str(error.value)
    assert text.isprintable()
    assert len(text) <= 500
    assert text.startswith(os.fspath(path)) or len(os.fspath(path)) > 400
    assert text.count(": ") >= 2  # file, problem, way out
    return text


def assert_same(ours: PoseFile, theirs: Pose) -> None:
    """All that pose-format finds, bit for bit."""
    assert ours.data.dtype == ours.confidence.dtype == np.float32
    assert ours.data.shape == theirs.body.data.shape
    assert ours.data.tobytes() == np.ma.getdata(theirs.body.data).tobytes()
    assert ours.confidence.tobytes() == theirs.body.confidence.tobytes()
    assert ours.fps == theirs.body.fps
    size = theirs.header.dimensions
    assert (ours.width, ours.height, ours.depth) == (size.width, size.height, size.depth)
    assert ours.components == tuple(
        Component(c.name, tuple(c.points), c.format, tuple((int(a), int(b)) for a, b in c.limbs),
                  tuple((int(r), int(g), int(b)) for r, g, b in c.colors)) for c in theirs.header.components)


def version_0_1(pose: Pose) -> bytes:
    count, people = pose.body.data.shape[:2]
    header = to_bytes(Pose(pose.header, pose.body[:0]))[4:-10]
    return struct.pack("<f", 0.1) + header + struct.pack("<HHH", int(pose.body.fps), count % 65536, people) \
        + pose.body.data.data.tobytes() + pose.body.confidence.tobytes()


def openpose(people: int = 2) -> Pose:
    """Two dimensions, 137 points, several people."""
    header = PoseHeader(.2, PoseHeaderDimensions(640, 480), OpenPose_Components)
    rng = np.random.default_rng(0)
    data = rng.uniform(1, 400, (4, people, header.total_points(), 2)).astype(np.float32)
    return Pose(header, NumPyPoseBody(29.97, data, rng.uniform(.1, 1, data.shape[:3]).astype(np.float32)))


def test_real_files_come_and_go_bit_for_bit(lexicon_files: list[Path], tmp_path: Path) -> None:
    for path in lexicon_files:
        pose = read(path)
        assert_same(pose, Pose.read(path.read_bytes()))
        write(pose, tmp_path / "again.pose")
        assert (tmp_path / "again.pose").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("make", [
    lambda: constructed_pose(3),
    lambda: constructed_pose(3, people=3, irises=True, fps=29.97),
    lambda: reduce_holistic(Pose(holistic_header(), constructed_pose(3).body)),
    lambda: flat(constructed_pose(3)),
    lambda: lose(constructed_pose(3), slice(1, 2), [0, 5]),
    openpose,
    lambda: one_hand(1),
    lambda: fake_pose(2),
], ids=["full", "three people", "178 points", "flat", "missing points", "OpenPose", "one frame", "fake_pose"])
def test_what_pose_format_writes_comes_and_goes(make: Callable[[], Pose], tmp_path: Path) -> None:
    content = to_bytes(make())
    pose = read(file_of(tmp_path, content))
    assert_same(pose, Pose.read(content))
    write(pose, tmp_path / "again.pose")
    assert (tmp_path / "again.pose").read_bytes() == content


def test_version_0_1(tmp_path: Path) -> None:
    pose = one_hand(5)
    content = version_0_1(pose)
    assert_same(read(file_of(tmp_path, content)), Pose.read(content))
    for wrong in (content[:-4], content[:-pose.body.data[0].size * 4]):
        refused(file_of(tmp_path, wrong), "truncated")
    refused(file_of(tmp_path, content + b"1"), "1 bytes more")


def test_version_0_1_counts_frames_modulo_65536(tmp_path: Path) -> None:
    header = PoseHeader(0.1, PoseHeaderDimensions(10, 10), [component(BODY, ["NOSE"], "XYC")])
    data = np.arange(2 * 65540, dtype=np.float32).reshape(65540, 1, 1, 2)
    content = version_0_1(Pose(header, NumPyPoseBody(25, data, np.ones((65540, 1, 1), np.float32))))
    assert_same(read(file_of(tmp_path, content)), Pose.read(content))


def test_a_name_that_is_not_ascii(tmp_path: Path) -> None:
    """Counted in bytes, as pose-format reads them; it counts characters when it writes."""
    ones = np.ones((1, 1, 1, 2), np.float32)
    pose = PoseFile((Component("ГУБЫ", ("手",), "XYC"),), 25, ones, ones[..., 0], 10, 10)
    write(pose, tmp_path / "x.pose")
    assert read(tmp_path / "x.pose").components == pose.components
    assert_same(read(tmp_path / "x.pose"), Pose.read((tmp_path / "x.pose").read_bytes()))


@pytest.mark.parametrize(("change", "message"), [
    (lambda b: b"", "the file is empty"),
    (lambda b: b[:3], "not a .pose file"),
    (lambda b: b[:1000], "header is damaged"),
    (lambda b: b[:HEADER_END], "ends after its header"),
    (lambda b: b[:HEADER_END + 9], "ends after its header"),
    (lambda b: b[:HEADER_END + 10], "truncated: its header promises 24 frames"),
    (lambda b: b[:-1], "truncated"),
    (lambda b: b + b"\0", "1 bytes more than its header promises"),
    (lambda b: struct.pack("<f", 0.0) + b[4:], "version 0: versions 0.1 and 0.2"),
    (lambda b: struct.pack("<f", 0.3) + b[4:], "version 0.3"),
    (lambda b: struct.pack("<f", np.nan) + b[4:], "version nan"),
    (lambda b: b[:10] + struct.pack("<H", 0) + b[12:], "0 points in 0 dimensions hold no pose"),
    (lambda b: b[:HEADER_END] + struct.pack("<fIH", 25, 0, 1), "no frames"),
    (lambda b: b[:HEADER_END] + struct.pack("<fIH", 25, 5, 0), "0 people"),
    (lambda b: b[:HEADER_END] + struct.pack("<f", 0) + b[HEADER_END + 4:], "frame rate is 0 frames"),
    (lambda b: b[:HEADER_END] + struct.pack("<f", 1e-30) + b[HEADER_END + 4:], "frame rate is 1e-30"),
    (lambda b: b[:HEADER_END] + struct.pack("<f", np.nan) + b[HEADER_END + 4:], "frame rate is nan"),
    (lambda b: b[:HEADER_END] + struct.pack("<f", np.inf) + b[HEADER_END + 4:], "frame rate is inf"),
    (lambda b: b[:HEADER_END] + struct.pack("<f", -25) + b[HEADER_END + 4:], "frame rate is -25"),
    (lambda b: b[:HEADER_END + 10] + struct.pack("<f", np.nan) + b[HEADER_END + 14:],
     "POSE_LANDMARKS/NOSE of person 0 in frame 0 is NaN"),
    (lambda b: b[:-4] + struct.pack("<f", np.inf), "person 0 in frame 23 is NaN or infinite: set"),
    (lambda b: b"GIF89a" + bytes(range(256)) * 40, "not a .pose file"),
    (lambda b: b"\x89PNG\r\n\x1a\n" + b"\0" * 5000, "not a .pose file"),
])  # yapf: disable
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, real_bytes: bytes, change: Callable[[bytes], bytes],
                                               message: str) -> None:
    refused(file_of(tmp_path, change(real_bytes)), message)


def test_one_dimension_is_none_to_animate(tmp_path: Path) -> None:
    header = PoseHeader(.2, PoseHeaderDimensions(10, 10), [component(BODY, ["NOSE"], "XC")])
    body = NumPyPoseBody(25, np.ones((1, 1, 1, 1), np.float32), np.ones((1, 1, 1), np.float32))
    refused(file_of(tmp_path, to_bytes(Pose(header, body))), "x and y are needed")


def test_places_without_a_file(tmp_path: Path) -> None:
    refused(tmp_path, "a folder: choose a .pose file")
    refused(tmp_path / "none.pose", "no such file: check the name")
    refused(file_of(tmp_path, b"x") / "x.pose", "no such file")
    refused(tmp_path / ("x" * 300), "no such file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a regular file")


def test_names_with_line_breaks_make_no_second_line(tmp_path: Path) -> None:
    header = PoseHeader(.2, PoseHeaderDimensions(10, 10), [component("A\nB\x1b[31m" * 999, ["X"])])
    body = NumPyPoseBody(25, np.full((1, 1, 1, 3), np.nan, np.float32), np.ones((1, 1, 1), np.float32))
    refused(file_of(tmp_path, to_bytes(Pose(header, body))), r"A\?B")


@pytest.mark.parametrize(("count", "people"), [(2**31, 1), (2**32 - 1, 65535), (1, 65535), (10**6, 1)])
def test_promises_take_no_memory(tmp_path: Path, real_bytes: bytes, count: int, people: int) -> None:
    path = file_of(tmp_path, real_bytes[:HEADER_END] + struct.pack("<fIH", 25, count, people) + b"\0" * 100)
    with at_most(2 << 20):
        refused(path, f"promises {count} frames")


def test_a_large_file_that_is_no_pose_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.pose"
    with open(path, "wb") as file:
        file.write(struct.pack("<fHHHH", .2, 1, 1, 1, 65535))
        file.truncate(1 << 33)  # zeros, without taking disk
    with at_most(20 << 20):
        refused(path)


def test_reading_takes_little_more_than_the_file(tmp_path: Path) -> None:
    path = file_of(tmp_path, to_bytes(constructed_pose(400)))
    with at_most(int(1.6 * path.stat().st_size)):
        read(path)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
@example(struct.pack("<f", .2))
@example(struct.pack("<fHHHH", .2, 0, 0, 0, 65535) + b"\0" * 200)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.pose"
    for start in (b"", struct.pack("<f", .1), struct.pack("<f", .2)):
        path.write_bytes(start + content)
        refused(path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_real_bytes_mutated_and_cut(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(to_bytes(one_hand()))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.one_of(st.integers(0, 40), st.integers(0, len(content) - 1)))
        content[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path_factory.getbasetemp() / "mutated.pose"
    path.write_bytes(content[:end])
    try:
        pose = read(path)
    except AddonError:
        refused(path)
        return
    assert end == len(content)
    assert np.isfinite(pose.data[pose.confidence > 0]).all()
    assert_same(pose, Pose.read(bytes(content)))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    name = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    dims = data.draw(st.integers(2, 3))
    components = tuple(
        Component(data.draw(name), tuple(data.draw(st.lists(name, min_size=1, max_size=3))), "XYZ"[:dims] + "C",
                  tuple(data.draw(st.lists(st.tuples(*[st.integers(0, 65535)] * 2), max_size=2))),
                  tuple(data.draw(st.lists(st.tuples(*[st.integers(0, 65535)] * 3), max_size=2))))
        for _ in range(data.draw(st.integers(1, 3))))
    shape = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2)), sum(len(c.points) for c in components))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    pose = PoseFile(components, data.draw(st.floats(1, 120, width=32)), rng.normal(size=(*shape, dims)).astype("f4"),
                    rng.uniform(.1, 1, shape).astype("f4"), *data.draw(st.tuples(*[st.integers(0, 65535)] * 3)))
    path = tmp_path_factory.getbasetemp() / "written.pose"
    write(pose, path)
    again = read(path)
    assert again.components == pose.components
    assert (again.fps, again.width, again.height, again.depth) == (pose.fps, pose.width, pose.height, pose.depth)
    assert again.data.tobytes() == pose.data.tobytes()
    assert again.confidence.tobytes() == pose.confidence.tobytes()


def test_the_package_reads_what_the_add_on_writes(tmp_path: Path, real_bytes: bytes) -> None:
    write(frames(read(file_of(tmp_path, real_bytes)), 2, 9), tmp_path / "part.pose")
    assert_same(read(tmp_path / "part.pose"), read_pose(tmp_path / "part.pose"))


def test_what_is_not_seen_is_written_as_zero(tmp_path: Path) -> None:
    pose = read(file_of(tmp_path, to_bytes(one_hand())))
    pose.data[1, 0, 3], pose.confidence[1, 0, 3] = np.nan, 0
    write(pose, tmp_path / "out.pose")
    again = read(tmp_path / "out.pose")
    assert (again.data[1, 0, 3] == 0).all()
    assert np.isnan(pose.data[1, 0, 3]).all()


@pytest.mark.parametrize(("change", "message"), [
    (lambda p: {"data": p.data[:0], "confidence": p.confidence[:0]}, "no frames"),
    (lambda p: {"data": p.data[..., :2]}, "does not fit the data"),
    (lambda p: {"confidence": p.confidence[:1]}, "does not fit the data"),
    (lambda p: {"fps": 0.0}, "frame rate is 0"),
    (lambda p: {"data": np.full_like(p.data, np.nan)}, "WRIST of person 0 in frame 0 is NaN"),
    (lambda p: {"data": np.full(p.data.shape, 1e300)}, "too large for 32 bits"),
    (lambda p: {"width": 65536}, "too large for the format"),
    (lambda p: {"components": (replace(p.components[0], name="x" * 65536),)}, "too large for the format"),
])
def test_what_cannot_be_stored_leaves_the_old_file(tmp_path: Path, change: Callable[[PoseFile], dict[str, object]],
                                                   message: str) -> None:
    pose = read(file_of(tmp_path, to_bytes(one_hand())))
    path = tmp_path / "old.pose"
    path.write_bytes(b"old")
    with pytest.raises(AddonError, match=message) as error:
        write(replace(pose, **change(pose)), path)  # type: ignore[arg-type]
    assert str(error.value).startswith(str(path))
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.pose", "x.pose"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    pose = read(file_of(tmp_path, to_bytes(constructed_pose(20))))
    path = tmp_path / "old.pose"
    path.write_bytes(b"old")
    with full_disk(50_000), pytest.raises(AddonError, match="cannot be written .*: free space or choose another"):
        write(pose, path)
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.pose", "x.pose"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    pose = read(file_of(tmp_path, to_bytes(one_hand())))
    with pytest.raises(AddonError, match="a folder: give a file"):
        write(pose, tmp_path)
    with pytest.raises(AddonError, match="folder does not exist: create it"):
        write(pose, tmp_path / "none" / "x.pose")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    pose = read(file_of(tmp_path, to_bytes(one_hand())))
    (tmp_path / "link.pose").symlink_to(tmp_path / "target.pose")
    write(pose, tmp_path / "link.pose")
    assert (tmp_path / "link.pose").is_symlink()
    assert (tmp_path / "target.pose").stat().st_size > 1000


def test_columns_are_found_by_name(tmp_path: Path, real_bytes: bytes) -> None:
    pose = read(file_of(tmp_path, real_bytes))
    header = Pose.read(real_bytes).header
    for part in header.components:
        for point in (part.points[0], part.points[-1]):
            assert column(pose, part.name, point) == header.get_point_index(part.name, point)
    assert column(pose, "FACE_LANDMARKS", "NOSE") is None
    assert column(pose, "NONE", "NOSE") is None


def test_a_slice(tmp_path: Path) -> None:
    pose = read(file_of(tmp_path, to_bytes(one_hand(5))))
    part = frames(pose, 1, 3)
    assert np.array_equal(part.data, pose.data[1:3])
    assert np.array_equal(part.confidence, pose.confidence[1:3])
    for first, last in ((-1, 2), (2, 2), (3, 2), (0, 6)):
        with pytest.raises(AddonError, match="choose a range inside it"):
            frames(pose, first, last)
