from __future__ import annotations

import errno
import tracemalloc
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pose_diffusion.capture.recording import PoseRecording, record_pictures, record_pose
from pose_diffusion.capture.results import holistic_header, pose_from_results, read_parts
from pose_diffusion.files import PoseFileError, read_pose, write_pose
from pose_diffusion.layout import BODY, FACE, LEFT_HAND, RIGHT_HAND
from tests.capture.mediapipe_results import legacy
from tests.poses import constructed_pose, lose, part

SIZE = (640, 480)


@pytest.fixture
def results() -> list[Any]:
    """Of 12 images; a hand is lost in four, everybody in one."""
    pose = constructed_pose(12)
    pose = lose(pose, slice(3, 7), part(pose, RIGHT_HAND))
    return list(legacy(lose(pose, slice(9, 10), slice(0, 576))))


def add(recording: PoseRecording, results: list[Any]) -> None:
    header = holistic_header(*SIZE)
    for result in results:
        recording.add(header, read_parts(result, SIZE[0] / SIZE[1]))


def test_it_is_the_file_that_is_written_at_once(results: list[Any], tmp_path: Path) -> None:
    with record_pose(tmp_path / "a.pose") as recording:
        add(recording, results)
        recording.finish(29.917)
    write_pose(pose_from_results(results, 29.917, *SIZE), tmp_path / "b.pose")
    assert (tmp_path / "a.pose").read_bytes() == (tmp_path / "b.pose").read_bytes()
    assert recording.frames == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pose", "b.pose"]


def test_what_is_not_finite_is_missing(tmp_path: Path) -> None:
    points = np.full((33, 4), .5)
    points[0, 0], points[1, 1], points[2, 2], points[3, 0] = np.nan, np.inf, -np.inf, 1e38
    with record_pose(tmp_path / "a.pose") as recording:
        recording.add(holistic_header(*SIZE), {BODY: points})
        recording.finish(25)
    confidence = read_pose(tmp_path / "a.pose").body.confidence[0, 0, :33]
    np.testing.assert_array_equal(confidence, [0] * 4 + [.5] * 29)


def test_hours_take_no_memory(tmp_path: Path) -> None:
    header, parts = holistic_header(*SIZE), {name: np.full((n, 4), .5) for name, n in
                                             ((BODY, 33), (FACE, 468), (LEFT_HAND, 21), (RIGHT_HAND, 21))}
    with record_pose(tmp_path / "a.pose") as recording:
        recording.add(header, parts)
        tracemalloc.start()
        try:
            for _ in range(400):
                recording.add(header, parts)
            recording.finish(25)
            used = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert used < 3_000_000
    assert (tmp_path / "a.pose").stat().st_size > 401 * 576 * 16 > 3_600_000


def test_nothing_is_left_of_what_was_not_finished(results: list[Any], tmp_path: Path) -> None:
    (tmp_path / "a.pose").write_text("before")

    def fail_in_the_middle() -> None:
        with record_pose(tmp_path / "a.pose") as recording:
            add(recording, results)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_in_the_middle()
    with pytest.raises(ValueError, match="no image"), record_pose(tmp_path / "a.pose") as recording:
        recording.finish(25)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_a_full_disk_is_said_with_the_files_name(results: list[Any], tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    def record() -> None:
        with record_pose(tmp_path / "a.pose") as recording:
            add(recording, results)
            recording.finish(25)

    with pytest.raises(PoseFileError, match=r"a\.pose: .*No space left"):
        record()
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_shown_at_their_times(tmp_path: Path) -> None:
    times = [0, .04, .04, .2, .9]
    with record_pictures(tmp_path / "a.mp4") as recording:
        for i, time in enumerate(times):
            recording.add(np.full((48, 64, 3), 40 * i, np.uint8), time)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frames = list(container.decode(video=0))
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=1e-4)
    grey = [np.median(frame.to_ndarray(format="rgb24")) for frame in frames]
    np.testing.assert_allclose(grey, [0, 40, 80, 120, 160], atol=4)


def test_a_video_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("before")

    def fail_in_the_middle() -> None:
        with record_pictures(tmp_path / "a.mp4") as recording:
            recording.add(np.zeros((48, 64, 3), np.uint8), 0)
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        fail_in_the_middle()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]
    with pytest.raises(PoseFileError, match="folder does not exist"), record_pictures(tmp_path / "none" / "a.mp4"):
        pass
