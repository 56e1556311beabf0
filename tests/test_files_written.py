"""Writing `.pose` files: all or nothing."""
from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

from pose_diffusion.files import PoseFileError, atomic, read_pose, write_pose
from pose_diffusion.layout import FACE, LEFT_HAND
from tests.limits import at_most, full_disk
from tests.poses import assert_same_bits, component, constructed_pose, describe, lose, one_hand, part, to_bytes


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "x.pose"
    path.write_bytes(content)
    return path


def nothing_else(folder: Path, *names: str) -> bool:
    return sorted(p.name for p in folder.iterdir()) == sorted(names)


def test_what_is_written_is_read_again(tmp_path: Path, real_pose: Pose) -> None:
    for pose in (real_pose, constructed_pose(1), constructed_pose(3, people=2, fps=23.976, irises=True), one_hand()):
        write_pose(pose, path := tmp_path / "out.pose")
        read = read_pose(path)
        assert np.array_equal(read.body.data.data, pose.body.data.data)
        assert np.array_equal(read.body.confidence, pose.body.confidence)
        assert read.body.fps == pytest.approx(pose.body.fps, rel=1e-6)
        assert describe(read.header)[1:] == describe(pose.header)[1:]
        assert path.read_bytes() == to_bytes(pose)  # the same as pose-format writes


def test_long_poses_are_written_in_blocks(tmp_path: Path) -> None:
    pose = constructed_pose(4100).get_components([LEFT_HAND])
    with at_most(int(.9 * len(to_bytes(pose)))):
        write_pose(pose, tmp_path / "out.pose")
    assert (tmp_path / "out.pose").read_bytes() == to_bytes(pose)


def test_missing_points_are_written_as_zeros(tmp_path: Path) -> None:
    pose = constructed_pose(4)
    data, sure = pose.body.data.data.copy(), pose.body.confidence.copy()
    data[1, 0, 5], sure[1, 0, 5] = np.nan, 0
    hidden: np.ma.MaskedArray = np.ma.masked_array(data, mask=np.zeros(data.shape, bool))
    hidden[2, 0, 7] = np.ma.masked  # only in memory: confidence says it was seen
    write_pose(Pose(pose.header, NumPyPoseBody(25, hidden, sure)), path := tmp_path / "out.pose")
    read = read_pose(path)
    for frame, point in ((1, 5), (2, 7)):
        assert (read.body.data.data[frame, 0, point] == 0).all()
        assert read.body.confidence[frame, 0, point] == 0
    assert (read.body.confidence == 0).sum() == 2
    assert np.isnan(data[1, 0, 5]).all()
    assert sure[2, 0, 7] > 0  # the pose itself is only read


def test_torch_and_double_poses_are_written(tmp_path: Path) -> None:
    pose = one_hand()
    double = Pose(pose.header, NumPyPoseBody(25, pose.body.data.data.astype(np.float64),
                                             pose.body.confidence.astype(np.float64)))
    for kind in (pose.torch(), double):
        write_pose(kind, path := tmp_path / "out.pose")
        assert path.read_bytes() == to_bytes(pose)


def changed(value: float, fps: float = 25.0) -> Pose:
    pose = one_hand()
    data = pose.body.data.data.astype(np.float64)
    data[1, 0, 4, 0] = value
    return Pose(pose.header, NumPyPoseBody(fps, data, pose.body.confidence))


def named(name: str) -> Pose:
    pose = one_hand()
    return Pose(PoseHeader(0.2, pose.header.dimensions, [component(name, pose.header.components[0].points)]), pose.body)


def sized(width: int) -> Pose:
    pose = one_hand()
    return Pose(PoseHeader(0.2, PoseHeaderDimensions(width, 1), pose.header.components), pose.body)


@pytest.mark.parametrize(("pose", "message"), [
    (changed(np.nan), "INDEX|THUMB"),
    (changed(np.inf), "frame 1 is NaN or infinite"),
    (changed(1e300), "too large for 32 bits"),
    (changed(0, fps=0), "frame rate is 0"),
    (changed(0, fps=1e300), "too large"),
    (named("hände"), "hände' is not ASCII"),
    (sized(70_000), "Width must be between 0 and 65535"),
    (Pose(one_hand().header, one_hand().body[:0]), "no frames"),
    (Pose(one_hand().header, constructed_pose(2).body), "does not fit"),
])  # yapf: disable
def test_poses_that_cannot_be_stored_leave_the_file_as_it_was(tmp_path: Path, pose: Pose, message: str) -> None:
    path = file_of(tmp_path, b"before")
    with pytest.raises(PoseFileError, match=message) as error:
        write_pose(pose, path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert path.read_bytes() == b"before"
    assert nothing_else(tmp_path, "x.pose")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    path = file_of(tmp_path, b"before")
    os.mkfifo(tmp_path / "pipe")
    for target, message in ((tmp_path, "a folder"), (tmp_path / "none" / "y.pose", "folder does not exist: create"),
                            (path / "y.pose", "folder does not exist"), (tmp_path / ("y" * 300), "cannot be written"),
                            (tmp_path / "pipe", "not a regular file")):
        with pytest.raises(PoseFileError, match=message) as error:
            write_pose(one_hand(), target)
        assert str(error.value).startswith(f"{target}: ")
    assert nothing_else(tmp_path, "pipe", "x.pose")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("after", [0, 20_000])
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, after: int) -> None:
    path, pose = file_of(tmp_path, b"before"), constructed_pose(20)
    with full_disk(after), pytest.raises(PoseFileError, match=r"cannot be written \(.*\): free space"):
        write_pose(pose, path)
    assert path.read_bytes() == b"before"
    assert nothing_else(tmp_path, "x.pose")


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, RuntimeError, GeneratorExit])
@pytest.mark.parametrize("existing", [True, False])
def test_an_interrupt_leaves_nothing_half_written(tmp_path: Path, interrupt: type[BaseException],
                                                  existing: bool) -> None:
    path = file_of(tmp_path, b"before") if existing else tmp_path / "x.pose"

    def write() -> None:
        with atomic(path) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".pose"
            temporary.write_bytes(b"half")
            raise interrupt

    with pytest.raises(interrupt):
        write()
    assert nothing_else(tmp_path, *["x.pose"] * existing)
    assert not existing or path.read_bytes() == b"before"


def test_an_interrupt_while_writing_a_pose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, b"before")
    monkeypatch.setattr(PoseHeader, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_pose(one_hand(), path)
    assert path.read_bytes() == b"before"
    assert nothing_else(tmp_path, "x.pose")


def test_the_target_is_whole_until_the_new_file_is(tmp_path: Path) -> None:
    path = file_of(tmp_path, b"before")
    with atomic(str(path)) as temporary:
        temporary.write_bytes(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert nothing_else(tmp_path, "x.pose")


def test_errors_of_other_files_come_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="video.mp4"), atomic(tmp_path / "x.gif"):
        open(tmp_path / "video.mp4", "rb")  # noqa: SIM115
    assert nothing_else(tmp_path)


def test_permissions_are_the_usual_ones_or_those_of_the_file(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_pose(one_hand(), new := tmp_path / "new.pose")
        assert stat.S_IMODE(new.stat().st_mode) == 0o640
        new.chmod(0o604)
        write_pose(one_hand(), new)
        assert stat.S_IMODE(new.stat().st_mode) == 0o604
    finally:
        os.umask(old)


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    path = file_of(tmp_path / "far", b"before")
    (tmp_path / "link.pose").symlink_to(path)
    write_pose(one_hand(), tmp_path / "link.pose")
    assert (tmp_path / "link.pose").is_symlink()
    assert path.read_bytes() == to_bytes(one_hand())


def test_observed_points_survive_a_file_bit_for_bit(tmp_path: Path, real_pose: Pose) -> None:
    lost = lose(real_pose, slice(2, 5), part(real_pose, FACE))
    write_pose(lost, path := tmp_path / "x.pose")
    assert_same_bits(read_pose(path), lost)
