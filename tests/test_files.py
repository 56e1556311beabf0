"""Reading `.pose` files: whatever is in them, the result is a pose or one line that helps."""
from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderCache, PoseHeaderDimensions
from pose_format.utils.generic import fake_pose

from pose_diffusion.files import PoseFileError, read_pose, write_pose
from pose_diffusion.layout import BODY
from tests.limits import at_most
from tests.poses import assert_same_bits, component, constructed_pose, describe, lose, one_hand, to_bytes

HEADER_END = 14_887  # where the body of a 586-point file starts


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "x.pose"
    path.write_bytes(content)
    return path


def refused(path: str | os.PathLike[str], message: str | None = None) -> str:
    with pytest.raises(PoseFileError, match=message) as error:
        read_pose(path)
    text = str(error.value)
    assert text.isprintable()
    assert text.startswith(os.fspath(path)) or len(os.fspath(path)) > 400
    assert text.count(": ") >= 2  # file, problem, way out
    return text


def version_0_1(pose: Pose) -> bytes:
    frames, people = pose.body.data.shape[:2]
    header = to_bytes(Pose(pose.header, pose.body[:0]))[4:-10]
    return struct.pack("<f", 0.1) + header + struct.pack("<HHH", int(pose.body.fps), frames % 65536, people) \
        + pose.body.data.data.tobytes() + pose.body.confidence.tobytes()


def test_real_files_are_read_as_pose_format_reads_them(lexicon_files: list[Path]) -> None:
    for path in lexicon_files:
        assert_same_bits(read_pose(path), Pose.read(path.read_bytes()))
        assert_same_bits(read_pose(str(path)), read_pose(path))


def test_missing_points_are_masked_and_data_can_be_changed(tmp_path: Path) -> None:
    pose = read_pose(file_of(tmp_path, to_bytes(lose(constructed_pose(3), slice(1, 2), [0]))))
    assert np.ma.getmaskarray(pose.body.data)[1, 0, 0].all()
    assert np.ma.getmaskarray(pose.body.data).sum() == 3
    pose.body.data[0, 0, 0] = 7.0
    pose.body.confidence[0, 0, 0] = .5


def test_each_pose_has_a_header_of_its_own(lexicon_files: list[Path]) -> None:
    a, b, other = read_pose(lexicon_files[0]), read_pose(lexicon_files[0]), Pose.read(lexicon_files[0].read_bytes())
    before = describe(b.header)
    a.header.version = 0.1
    a.header.dimensions.width = 1
    a.header.components[0].points[0] = "CHANGED"
    a.header.components.pop()
    assert describe(b.header) == describe(other.header) == before
    assert describe(Pose.read(lexicon_files[0].read_bytes()).header) == before
    assert describe(read_pose(lexicon_files[0]).header) == before


def test_the_header_cache_of_pose_format_is_neither_used_nor_changed(tmp_path: Path, real_bytes: bytes) -> None:
    shared = Pose.read(real_bytes).header
    poisoned = shared.dimensions.width
    shared.dimensions.width = 7
    try:
        path = file_of(tmp_path, real_bytes)
        assert read_pose(path).header.dimensions.width == poisoned
        refused(file_of(tmp_path, to_bytes(fake_pose(2))), "schema")
        refused(file_of(tmp_path, real_bytes[:100]))
        read_pose(file_of(tmp_path, to_bytes(one_hand())))
        assert PoseHeaderCache.header is shared
    finally:
        shared.dimensions.width = poisoned


def test_version_0_1(tmp_path: Path) -> None:
    pose = one_hand(5)
    content = version_0_1(pose)
    read = read_pose(file_of(tmp_path, content))
    assert_same_bits(read, Pose.read(content))
    assert np.array_equal(read.body.data.data, pose.body.data.data)
    for wrong in (content[:-4], content[:-pose.body.data[0].size * 4]):
        refused(file_of(tmp_path, wrong), "truncated")
    refused(file_of(tmp_path, content + b"1"), "1 bytes more")


def test_version_0_1_counts_frames_modulo_65536(tmp_path: Path) -> None:
    header = PoseHeader(0.1, PoseHeaderDimensions(10, 10), [component(BODY, ["NOSE"], "XYC")])
    data = np.arange(2 * 65540, dtype=np.float32).reshape(65540, 1, 1, 2)
    content = version_0_1(Pose(header, NumPyPoseBody(25, data, np.ones((65540, 1, 1), np.float32))))
    read = read_pose(file_of(tmp_path, content))
    assert np.array_equal(read.body.data.data, data)
    assert_same_bits(read, Pose.read(content))


@pytest.mark.parametrize(("change", "message"), [
    (lambda b: b"", "the file is empty"),
    (lambda b: b[:3], "not a .pose file"),
    (lambda b: b[:1000], "header is damaged"),
    (lambda b: b[:HEADER_END], "ends after its header"),
    (lambda b: b[:HEADER_END + 9], "ends after its header"),
    (lambda b: b[:HEADER_END + 10], "truncated: its header promises 24 frames"),
    (lambda b: b[:-1], "truncated"),
    (lambda b: b + b"\0", "1 bytes more than its header promises"),
    (lambda b: b + b, "bytes more than its header promises"),
    (lambda b: struct.pack("<f", 0.0) + b[4:], "version 0: versions 0.1 and 0.2"),
    (lambda b: struct.pack("<f", 0.3) + b[4:], "version 0.3"),
    (lambda b: struct.pack("<f", np.nan) + b[4:], "version nan"),
    (lambda b: b[:10] + struct.pack("<H", 0) + b[12:], "no components"),
    (lambda b: b[:HEADER_END] + struct.pack("<fIH", 25, 0, 1), "no frames"),
    (lambda b: b[:HEADER_END] + struct.pack("<fIH", 25, 5, 0), "0 people"),
    (lambda b: b[:HEADER_END] + struct.pack("<f", 0) + b[HEADER_END + 4:], "frame rate is 0.0"),
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


def test_places_without_a_file(tmp_path: Path) -> None:
    refused(tmp_path, "a folder: give a .pose file")
    refused(tmp_path / "none.pose", "no such file: check the name")
    refused(tmp_path / "none" / "x.pose", "no such file")
    refused(file_of(tmp_path, b"x") / "x.pose", "no such file")
    refused(tmp_path / ("x" * 300), "no such file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a regular file")


def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, b"x")

    def locked(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", locked)
    refused(path, r"cannot be read \(Permission denied\): check the file and its permissions")


def test_an_unknown_schema_is_named(tmp_path: Path) -> None:
    text = refused(file_of(tmp_path, to_bytes(fake_pose(2))), "unknown pose schema")
    assert "pose_keypoints_2d" in text


def test_junk_under_missing_points_may_be_anything(tmp_path: Path) -> None:
    pose = one_hand()
    data, sure = pose.body.data.data.copy(), pose.body.confidence.copy()
    data[1, 0, 3], sure[1, 0, 3] = np.nan, 0
    assert read_pose(file_of(tmp_path, to_bytes(Pose(pose.header, NumPyPoseBody(25, data, sure))))).body.data.shape == (
        3, 1, 21, 3)


def test_names_with_line_breaks_make_no_second_line(tmp_path: Path) -> None:
    header = PoseHeader(0.2, PoseHeaderDimensions(10, 10), [component("A\nB\x1b[31m" * 999, ["X"])])
    body = NumPyPoseBody(25, np.ones((1, 1, 1, 3), np.float32), np.ones((1, 1, 1), np.float32))
    assert len(refused(file_of(tmp_path, to_bytes(Pose(header, body))), "unknown")) <= 500


@pytest.mark.parametrize(("frames", "people"), [(2**31, 1), (2**32 - 1, 65535), (1, 65535), (10**6, 1)])
def test_promises_take_no_memory(tmp_path: Path, real_bytes: bytes, frames: int, people: int) -> None:
    path = file_of(tmp_path, real_bytes[:HEADER_END] + struct.pack("<fIH", 25, frames, people) + b"\0" * 100)
    with at_most(2 << 20):
        refused(path, f"promises {frames} frames")


def test_a_large_file_that_is_no_pose_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.pose"
    with open(path, "wb") as file:
        file.write(struct.pack("<fHHHH", .2, 1, 1, 1, 65535))
        file.truncate(1 << 33)  # zeros, without taking disk
    with at_most(20 << 20):
        refused(path)


def test_reading_takes_little_more_than_the_file(tmp_path: Path) -> None:
    pose = constructed_pose(400)
    write_pose(pose, path := tmp_path / "x.pose")
    size = path.stat().st_size
    with at_most(int(1.6 * size)):
        read_pose(path)


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
        pose = read_pose(path)
    except PoseFileError:
        refused(path)
        return
    assert end == len(content)
    assert np.isfinite(pose.body.data.data[pose.body.confidence > 0]).all()
    assert_same_bits(pose, Pose.read(bytes(content)))
