"""The picture of hypotheses: what is in it, where, and in which colours."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

from pose_diffusion.cameras import project, to_camera
from pose_diffusion.layout import BODY as MEDIAPIPE
from pose_diffusion.motion.combinations import MEDIAPIPE_33, TO_MEDIAPIPE, combine
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.preview_turntable import COLOURS, LABEL, save_lift_preview
from pose_diffusion.tasks.lifted import Lifted, component
from tests.tasks.lifting import camera, own_frame, walker

SIZE = 160


def scene(frames: int = 10, hypotheses: int = 2, lost: tuple[str, ...] = ()) -> tuple[Pose, Lifted]:
    """A walker as seen and as lifted: the hypotheses differ in depth only."""
    xyz = to_camera(camera(), walker(frames))
    points, confidence = combine(TO_MEDIAPIPE, project(own_frame(camera()), xyz)[0].numpy())
    confidence[:, [MEDIAPIPE_33.index(name) for name in lost]] = 0
    header = PoseHeader(.2, PoseHeaderDimensions(1280, 720, 0), [component(MEDIAPIPE, MEDIAPIPE_33, ())])
    data = np.concatenate([points, 0 * points[..., :1]], axis=-1)[:, None].astype(np.float32)
    bodies = np.concatenate([xyz.numpy()] * hypotheses)
    away = bodies - bodies[:, :, :1]
    away[..., 2] *= np.linspace(1, -1, hypotheses)[:, None, None]
    error = np.zeros((frames, len(BODY)), np.float32)
    lifted = Lifted(bodies[:, :, :1] + away, bodies[:, :, 0], error, own_frame(camera()), 25.)
    return Pose(header, NumPyPoseBody(25., data, confidence[:, None].astype(np.float32))), lifted


def pages(path: Path) -> list[np.ndarray]:
    """Left and right picture of each page, without the labels: `(pages, 2, SIZE, SIZE, 3)`."""
    with Image.open(path) as picture:
        every = [np.asarray(page.convert("RGB"), int)[LABEL:LABEL + SIZE] for page in ImageSequence.Iterator(picture)]
    return [np.stack([page[:, :SIZE], page[:, SIZE:2 * SIZE]]) for page in every]


def amount(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Pixels of about that colour."""
    return int((np.abs(image - np.array(colour)).max(-1) < 40).sum())


def test_each_hypothesis_has_a_colour_of_its_own(tmp_path: Path) -> None:
    pose, lifted = scene(hypotheses=3)
    save_lift_preview(pose, lifted, tmp_path / "a.gif", size=SIZE)
    first, side = pages(tmp_path / "a.gif")[0][1], pages(tmp_path / "a.gif")[18][1]
    for colour in COLOURS[:3]:
        assert amount(side, colour) > 5
    assert all(amount(image, COLOURS[3]) < 5 for image in (first, side))


def test_only_what_was_seen_is_black(tmp_path: Path) -> None:
    for lost, name in (((), "whole"), (("LEFT_ELBOW", "LEFT_WRIST", "LEFT_KNEE", "LEFT_ANKLE"), "lost")):
        save_lift_preview(*scene(1, lost=lost), tmp_path / f"{name}.gif", size=SIZE)
    whole, lost_limbs = (amount(pages(tmp_path / f"{name}.gif")[0][0], (25, 25, 25)) for name in ("whole", "lost"))
    assert 0 < lost_limbs < .8 * whole


def test_the_table_turns_once_and_the_end_meets_the_start(tmp_path: Path) -> None:
    pose, lifted = scene(1)
    assert save_lift_preview(pose, lifted, tmp_path / "a.gif", size=SIZE) == (0, 1 / 25)
    every = pages(tmp_path / "a.gif")
    assert len(every) == 90
    widths = [np.ptp(np.flatnonzero((np.ptp(page[1], axis=-1) > 60).any(0))) for page in every]  # of what is coloured
    still = [np.abs(a[1] - b[1]).mean() for a, b in zip(every, every[1:] + every[:1])]
    assert min(still) > 0
    assert still[-1] < 2 * np.median(still)  # no jump
    assert max(widths) > 1.3 * min(widths)
    assert all(np.array_equal(page[0], every[0][0]) for page in every)  # the camera's picture stands still


def test_legs_that_were_never_seen_are_left_out(tmp_path: Path) -> None:
    legs = tuple(f"{side}_{joint}" for side in ("LEFT", "RIGHT") for joint in ("HIP", "KNEE", "ANKLE"))
    for lost, name in (((), "whole"), (legs, "upper")):
        save_lift_preview(*scene(1, 1, lost), tmp_path / f"{name}.gif", size=SIZE)
    whole, upper = (pages(tmp_path / f"{name}.gif")[0] for name in ("whole", "upper"))
    edges = [_black(page[0]) for page in (whole, upper)]
    assert edges[1] > 1.2 * edges[0]  # the rest is drawn larger


def _black(image: np.ndarray) -> int:
    """How wide the detected joints are drawn."""
    return int(np.ptp(np.flatnonzero((image.max(-1) < 60).any(0))))


@pytest.mark.parametrize(("frames", "fps", "count"), [(100, 25., 100), (150, 25., 63), (30, 60., 90), (2, 5., 30),
                                                     (300, 30., 75)])
def test_long_and_short_clips(tmp_path: Path, frames: int, fps: float, count: int) -> None:
    pose, lifted = scene(frames)
    pose.body.fps = fps
    _, end = save_lift_preview(pose, replace(lifted, fps=fps), tmp_path / "a.gif", size=40, seconds=5.)
    assert end == pytest.approx(min(frames / fps, 5))
    with Image.open(tmp_path / "a.gif") as picture:
        assert abs(picture.n_frames - count) <= 2  # type: ignore[attr-defined]


def test_cameras_of_each_hypothesis(tmp_path: Path) -> None:
    pose, lifted = scene(1, 2)
    one = lifted.camera
    two = replace(one, focal=torch.cat([one.focal, 2 * one.focal]))
    save_lift_preview(pose, replace(lifted, camera=two), tmp_path / "a.gif", size=SIZE)
    assert (tmp_path / "a.gif").stat().st_size < 600_000


def test_the_wrong_pose_or_ending_is_refused(tmp_path: Path) -> None:
    pose, lifted = scene(4)
    with pytest.raises(ValueError, match="4 frames were lifted, the pose has 3"):
        save_lift_preview(scene(3)[0], lifted, tmp_path / "a.gif")
    with pytest.raises(ValueError, match="ends in"):
        save_lift_preview(pose, lifted, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
