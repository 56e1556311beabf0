from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion import preview
from pose_diffusion.files import PoseFileError
from pose_diffusion.layout import BODY, LEFT_HAND, RIGHT_HAND, WORLD
from pose_diffusion.preview import GAP, LABEL_HEIGHT, MARK, save_pose_preview, save_preview
from tests.poses import constructed_pose, lose, part


def signing(frames: int = 10, fps: float = 25.0, people: int = 1) -> Pose:
    """A person without a face, whose colours would be hard to tell from those of the marks."""
    return constructed_pose(frames, fps=fps, people=people).get_components([BODY, LEFT_HAND, RIGHT_HAND, WORLD])


def lost(pose: Pose, frames: slice, confidence: float = 0.0) -> Pose:
    """The same without the right hand in some frames, or less sure of it."""
    if confidence == 0:
        return lose(pose, frames, part(pose, RIGHT_HAND))
    changed = pose.body.confidence.copy()
    changed[frames, :, part(pose, RIGHT_HAND)] = confidence
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, np.ma.getdata(pose.body.data), changed))


def pictures(path: Path) -> np.ndarray:
    """All frames of a GIF, `(frames, height, width, 3)`."""
    with Image.open(path) as gif:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)]).astype(int)


def halves(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The drawings on the left and on the right, without labels and legend."""
    drawn = pictures(path)[:, LABEL_HEIGHT:-LABEL_HEIGHT]
    width = (drawn.shape[2] - GAP) // 2
    return drawn[:, :, :width], drawn[:, :, width + GAP:2 * width + GAP]


def marked(drawn: np.ndarray) -> np.ndarray:
    """How many pixels of each frame are about the colour of the marks."""
    return (np.abs(drawn - MARK).max(-1) < 60).sum((1, 2))


def test_a_pose_beside_itself_looks_the_same_on_both_sides(tmp_path: Path) -> None:
    save_preview(signing(), signing(), tmp_path / "x.gif")
    left, right = halves(tmp_path / "x.gif")
    assert np.array_equal(left, right)
    assert (left < 128).any()  # something is drawn
    assert marked(left).sum() == 0


def test_lost_points_are_ringed_and_invented_ones_coloured(tmp_path: Path) -> None:
    pose = signing()
    save_preview(lost(pose, slice(4, 7)), lost(pose, slice(4, 7), 0.9), tmp_path / "x.gif")
    left, right = halves(tmp_path / "x.gif")
    affected = np.isin(np.arange(10), (4, 5, 6))
    assert np.array_equal(marked(left) > 50, affected)
    assert np.array_equal(marked(right) > 50, affected)
    red = (np.abs(left - (255, 0, 0)).max(-1) < 60).sum((1, 2))
    assert red[affected].max() < red[~affected].min()  # the lost hand is not drawn


def test_the_less_certain_is_paler_but_visible(tmp_path: Path) -> None:
    pose, darkness = signing(1), []
    for confidence in (0.9, 0.4, 0.01):
        save_preview(lost(pose, slice(0, 1)), lost(pose, slice(0, 1), confidence), tmp_path / "x.gif")
        darkness.append((255 - halves(tmp_path / "x.gif")[1][..., 1]).sum())
    assert darkness[0] > darkness[1] > darkness[2] > 0.2 * darkness[0]


def test_the_crop_leaves_out_legs_world_landmarks_and_single_outliers(tmp_path: Path) -> None:
    pose = signing(60)
    save_preview(pose, pose, tmp_path / "x.gif", size=100)
    expected = pictures(tmp_path / "x.gif").shape
    far = pose.copy()
    far.body.data[50, 0, part(pose, LEFT_HAND)] += 20000
    save_preview(pose, far, tmp_path / "y.gif", size=100)
    assert np.allclose(pictures(tmp_path / "y.gif").shape, expected, atol=4)


def test_frames_and_times_are_those_of_the_pose(tmp_path: Path) -> None:
    pose = signing(61, fps=23.976)
    shown = save_preview(pose, pose, tmp_path / "x.gif")
    with Image.open(tmp_path / "x.gif") as gif:
        milliseconds = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
    assert shown == (0.0, pytest.approx(61 / 23.976))
    assert sum(milliseconds) == pytest.approx(1000 * 61 / 23.976, abs=10)


def test_of_a_long_pose_the_part_with_most_lost_points_is_shown(tmp_path: Path) -> None:
    pose = signing(400)
    shown = save_preview(lost(pose, slice(300, 320)), lost(pose, slice(300, 320), 0.5), tmp_path / "x.gif", seconds=2)
    assert shown[0] <= 300 / 25 < 320 / 25 <= shown[1]
    assert shown[1] - shown[0] == pytest.approx(2)
    assert len(pictures(tmp_path / "x.gif")) <= 50


def test_a_high_frame_rate_is_thinned_out(tmp_path: Path) -> None:
    pose = signing(120, fps=120)
    save_preview(pose, pose, tmp_path / "x.gif")
    assert len(pictures(tmp_path / "x.gif")) == 24


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(1, 14))
def test_busiest_part_is_the_best_of_all(invented: list[bool], length: int) -> None:
    after = np.array(invented, float).reshape(-1, 1, 1)
    frames = preview._busiest(np.zeros_like(after), after, length)
    best = max(sum(invented[i:i + length]) for i in range(max(1, len(invented) - length + 1)))
    assert len(frames) == min(length, len(invented))
    assert sum(invented[i] for i in frames) == best


def test_one_pose_is_drawn_alone_and_from_its_start(tmp_path: Path) -> None:
    pose = lost(signing(60), slice(20, 30))
    assert save_pose_preview(pose, tmp_path / "x.gif", size=200, seconds=2) == (0.0, 2.0)
    drawn = pictures(tmp_path / "x.gif")[:, LABEL_HEIGHT:-LABEL_HEIGHT]
    assert len(drawn) == 50
    assert max(drawn.shape[1:3]) <= 202
    red = (np.abs(drawn - (255, 0, 0)).max(-1) < 60).sum((1, 2))
    assert red[20] < red[19] - 100  # the lost hand is not drawn
    assert red[30] > red[29] + 100
    assert red.min() > 500
    assert marked(drawn).sum() == 0


def test_one_pose_as_mp4_and_what_cannot_be_drawn(tmp_path: Path) -> None:
    import av

    save_pose_preview(signing(30, fps=29.97), tmp_path / "x.mp4", label="hello", size=101)
    with av.open(str(tmp_path / "x.mp4")) as video:
        assert len(list(video.decode(video.streams.video[0]))) == 30
    with pytest.raises(ValueError, match=r"ends in \.gif or \.mp4"):
        save_pose_preview(signing(3), tmp_path / "x.png")
    with pytest.raises(ValueError, match="no frame has a point"):
        save_pose_preview(lose(signing(3), slice(None), range(signing(1).body.data.shape[2])), tmp_path / "y.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]


def test_mp4_has_every_frame(tmp_path: Path) -> None:
    import av

    pose = signing(30, fps=29.97)
    save_preview(pose, pose, tmp_path / "x.mp4")
    with av.open(str(tmp_path / "x.mp4")) as video:
        stream = video.streams.video[0]
        assert len(list(video.decode(stream))) == 30
        assert stream.average_rate == pytest.approx(Fraction("29.97"), rel=1e-3)


def test_each_person_gets_a_ring(tmp_path: Path) -> None:
    pose, rings = signing(1, people=2), []
    one = lost(pose, slice(0, 1))
    for before in (one, lose(one, slice(0, 1), part(pose, RIGHT_HAND), person=1)):
        save_preview(before, pose, tmp_path / "x.gif")
        rings.append(marked(halves(tmp_path / "x.gif")[0])[0])
    assert rings[1] > 1.5 * rings[0] > 0


def test_the_poses_and_the_header_are_only_read(tmp_path: Path) -> None:
    before, after = lost(signing(), slice(2, 5)), signing()
    data, confidence = np.ma.getdata(before.body.data).copy(), before.body.confidence.copy()
    colors = [component.colors for component in before.header.components]
    save_preview(before, after, tmp_path / "x.gif")
    assert np.array_equal(data, np.ma.getdata(before.body.data))
    assert np.array_equal(confidence, before.body.confidence)
    assert (before.header.dimensions.width, before.header.dimensions.height) == (640, 480)
    assert [component.colors for component in before.header.components] == colors


def test_values_that_are_no_numbers_are_not_drawn(tmp_path: Path) -> None:
    pose = signing()
    data = np.ma.getdata(pose.body.data).copy()
    data[3, 0, part(pose, RIGHT_HAND)] = np.nan
    data[4, 0, part(pose, RIGHT_HAND)] = np.inf
    broken = Pose(pose.header, NumPyPoseBody(25, data, pose.body.confidence))
    save_preview(broken, pose, tmp_path / "x.gif")
    assert np.array_equal(marked(halves(tmp_path / "x.gif")[0]) > 50, np.isin(np.arange(10), (3, 4)))


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    pose = signing(3)
    empty = lose(pose, slice(None), range(pose.body.data.shape[2]))
    for before, after, name, message in ((pose, pose, "x.png", "ends in .gif or .mp4"),
                                         (pose, signing(4), "x.gif", "shape"),
                                         (empty, empty, "x.gif", "no frame has a point")):
        with pytest.raises(ValueError, match=message):
            save_preview(before, after, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_target_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PoseFileError, match=r"file/x\.gif"):
        save_preview(signing(2), signing(2), tmp_path / "file" / "x.gif")


def test_without_its_libraries_it_says_what_to_install() -> None:
    code = ("import sys; sys.modules['PIL'] = None\n"
            "from pose_diffusion.preview import check_installed\n"
            "try:\n    check_installed()\nexcept ImportError as error:\n    print(error)")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'pose-diffusion[preview]'" in result.stdout
    assert "PIL" in result.stdout
