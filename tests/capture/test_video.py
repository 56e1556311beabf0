"""Capture with MediaPipe on a real video."""
from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion.capture.live import RefinedHolistic
from pose_diffusion.capture.mediapipe import NEAR_WRIST, load_refined_holistic
from pose_diffusion.capture.results import pose_from_results
from pose_diffusion.diffusion.model import VARIABLE
from pose_diffusion.layout import BODY, FACE, LEFT_HAND, RIGHT_HAND
from tests.models import random_model
from tests.poses import assert_same_bits, part

mediapipe = pytest.importorskip("mediapipe", reason='needs MediaPipe: pip install "pose-diffusion[mediapipe]"')
LEGACY = hasattr(mediapipe, "solutions")
legacy_only = pytest.mark.skipif(not LEGACY, reason="needs the Solutions of mediapipe<0.10.30")
WIDTH, HEIGHT = 540, 720
FPS = 29.917


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """58 frames in which the right hand is lost three times while it is in view."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data" / "video"
    path = Path(os.environ.get("POSE_DIFFUSION_VIDEOS", default)) / "selfie_540x720.mp4"
    if not path.is_file():
        pytest.skip("needs selfie_540x720.mp4: set POSE_DIFFUSION_VIDEOS to its folder")
    from simple_video_utils.frames import read_frames_exact  # type: ignore[import-untyped]

    return list(read_frames_exact(str(path)))


@pytest.fixture(autouse=True)
def no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """pose-format's detectors remember something of the last video; each test has new ones."""
    if LEGACY:
        from pose_format.utils.holistic import HolisticPool

        monkeypatch.setattr(HolisticPool, "_instances", {})


@pytest.fixture(scope="module")
def raw(frames: list[np.ndarray]) -> Pose:
    """What pose-format makes of it."""
    if not LEGACY:
        pytest.skip("needs the Solutions of mediapipe<0.10.30")
    from pose_format.utils.holistic import load_holistic

    return load_holistic(frames, FPS, WIDTH, HEIGHT, additional_holistic_config={}, reuse=False)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """`.task` files of body and hands: those of `POSE_DIFFUSION_TASKS`, or made from the models of an old MediaPipe."""
    if folder := os.environ.get("POSE_DIFFUSION_TASKS"):
        return [Path(folder) / f"{kind}_landmarker.task" for kind in ("pose", "hand")]
    if not LEGACY:
        pytest.skip("needs pose_landmarker.task and hand_landmarker.task: set POSE_DIFFUSION_TASKS to their folder")
    from mediapipe.tasks.python.metadata.metadata_writers.metadata_writer import MetadataWriter

    models, folder_here = Path(mediapipe.__file__).parent / "modules", tmp_path_factory.mktemp("tasks")
    files = []
    for kind, parts in (("pose", (("detector", "pose_detection/pose_detection", 127.5),
                                  ("landmarks_detector", "pose_landmark/pose_landmark_full", 0))),
                        ("hand", (("detector", "palm_detection/palm_detection_full", 0),
                                  ("landmarks_detector", "hand_landmark/hand_landmark_full", 0)))):
        files.append(folder_here / f"{kind}_landmarker.task")
        with zipfile.ZipFile(files[-1], "w", zipfile.ZIP_STORED) as archive:
            for name, model, mean in parts:
                writer = MetadataWriter.create(bytearray((models / f"{model}.tflite").read_bytes()))
                writer.add_general_info(name, name)
                writer.add_image_input([mean], [mean or 255])
                archive.writestr(f"{kind}_{name}.tflite", bytes(writer.populate()[0]))
    return files


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small model of no training instead of the shipped one."""
    random_model().save(tmp_path / "model")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "model"))


def unchanged(pose: Pose) -> Pose:
    return pose


def hand_frames(pose: Pose, hand: str) -> np.ndarray:
    return np.flatnonzero((pose.body.confidence[:, 0, part(pose, hand)] > 0).all(1))


@legacy_only
def test_raw_is_what_load_holistic_gives(frames: list[np.ndarray], raw: Pose) -> None:
    config: dict[str, Any] = {"min_tracking_confidence": .5}
    refined, before = load_refined_holistic(iter(frames), FPS, WIDTH, HEIGHT, 3, additional_holistic_config=config,
                                            return_raw=True)
    assert before.header.dimensions.depth == 3
    before.header.dimensions.depth = 0
    assert_same_bits(before, raw)
    assert config == {"min_tracking_confidence": .5}
    assert refined.body.data.shape == raw.body.data.shape
    assert (refined.body.confidence[:, 0, part(raw, RIGHT_HAND)] > 0).all()
    assert len(hand_frames(raw, RIGHT_HAND)) < 30


@legacy_only
def test_a_refiner_that_changes_its_pose_does_not_change_the_raw_one(frames: list[np.ndarray]) -> None:
    def zeros(pose: Pose) -> Pose:
        pose.body.data[:] = 0
        pose.body.confidence[:] = 0
        pose.header.dimensions.width = 1
        return pose

    refined, before = load_refined_holistic(frames[:3], FPS, WIDTH, HEIGHT, refiner=zeros, return_raw=True)
    assert not refined.body.confidence.any()
    assert before.body.confidence.any()
    assert before.header.dimensions.width == WIDTH


@legacy_only
@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_detector_recovers_hands(frames: list[np.ndarray], raw: Pose, workers: int) -> None:
    """It finds hands that Holistic lost, near the wrist; all else is as it was."""
    plain, config = raw, {}
    if workers > 1:  # which do not track
        config = {"static_image_mode": True}
        plain = load_refined_holistic(frames, FPS, WIDTH, HEIGHT, additional_holistic_config=config,
                                      pose_workers=workers, reuse=False, refiner=unchanged)
    pose = load_refined_holistic(frames, FPS, WIDTH, HEIGHT, additional_holistic_config=config, pose_workers=workers,
                                 reuse=False, refiner=unchanged, second_hands=True)
    new = np.setdiff1d(hand_frames(pose, RIGHT_HAND), hand_frames(plain, RIGHT_HAND))
    assert len(new) >= (3 if workers == 1 else 1)
    assert len(hand_frames(pose, LEFT_HAND)) == 0  # it is never in view
    old = np.setdiff1d(np.arange(len(frames)), new)
    np.testing.assert_array_equal(np.ma.getdata(pose.body.data)[old], np.ma.getdata(plain.body.data)[old])
    data, body = np.ma.getdata(pose.body.data)[:, 0, :, :2], part(pose, BODY).start
    width = np.linalg.norm(data[:, body + 11] - data[:, body + 12], axis=1)
    away = np.linalg.norm(data[:, part(pose, RIGHT_HAND).start] - data[:, body + 16], axis=1) / width
    assert (away[new] <= NEAR_WRIST).all()


@legacy_only
def test_nothing_is_left_in_the_pool_of_pose_format(frames: list[np.ndarray]) -> None:
    from pose_format.utils.holistic import HolisticPool

    for _ in range(2):
        load_refined_holistic(frames[:2], FPS, WIDTH, HEIGHT, refiner=unchanged, second_hands=True)
    held = [type(each).__name__ for each in sum(HolisticPool._instances.values(), [])]
    assert set(held) <= {"Holistic"}
    broken = (frames[i // 0] for i in range(2))
    with pytest.raises(ZeroDivisionError):
        load_refined_holistic(broken, FPS, WIDTH, HEIGHT, refiner=unchanged, second_hands=True)
    assert [type(each).__name__ for each in sum(HolisticPool._instances.values(), [])] == held


@legacy_only
def test_a_refined_face_has_irises(frames: list[np.ndarray]) -> None:
    config = {"refine_face_landmarks": True}
    pose = load_refined_holistic(frames[:3], FPS, WIDTH, HEIGHT, additional_holistic_config=config, second_hands=True)
    assert pose.body.data.shape == (3, 1, 586, 3)
    assert config == {"refine_face_landmarks": True}


@legacy_only
@pytest.mark.parametrize("second_hands", [False, True])
def test_kinect_depth_is_a_fourth_dimension(frames: list[np.ndarray], second_hands: bool) -> None:
    kinect = np.full((2, HEIGHT, WIDTH, 1), 700)
    pose = load_refined_holistic(frames[:2], FPS, WIDTH, HEIGHT, 0, kinect, refiner=unchanged,
                                 second_hands=second_hands)
    assert pose.body.data.shape == (2, 1, 576, 4)
    assert (np.ma.getdata(pose.body.data)[:, 0, 0, 3] == 700).all()


@legacy_only
@pytest.mark.parametrize("second_hands", [False, True])
def test_a_video_without_frames_is_refused(second_hands: bool) -> None:
    with pytest.raises(ValueError, match="the video has no frames"):
        load_refined_holistic(iter([]), FPS, WIDTH, HEIGHT, refiner=unchanged, second_hands=second_hands)


@legacy_only
def test_nobody_is_invented_where_nobody_is(frames: list[np.ndarray]) -> None:
    """With half a second and more of black in the middle; the pieces around it are complete."""
    empty = [np.zeros_like(frames[0])] * 20
    refined, raw = load_refined_holistic([*frames[:12], *empty, *frames[12:24]], FPS, WIDTH, HEIGHT, reuse=False,
                                         return_raw=True)
    nobody = (raw.body.confidence[:, 0] <= 0).all(1)
    assert 15 < nobody.sum() <= 20
    assert np.array_equal((refined.body.confidence[:, 0] <= 0).all(1), nobody)
    assert (refined.body.confidence[~nobody][:, 0, part(raw, RIGHT_HAND)] > 0).all()


@legacy_only
def test_a_video_with_nobody_is_refused(frames: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="no person was found in any of its 2 frames"):
        load_refined_holistic([np.zeros_like(frames[0])] * 2, FPS, WIDTH, HEIGHT)


@legacy_only
def test_an_option_that_holistic_does_not_have_is_refused() -> None:
    for call in (lambda: load_refined_holistic([], additional_holistic_config={"complexity": 1}, refiner=unchanged),
                 lambda: RefinedHolistic(complexity=1, refiner=unchanged)):
        with pytest.raises(ValueError, match="Holistic has no option 'complexity': it has static_image_mode"):
            call()


@legacy_only
def test_live_landmarks_are_those_of_the_video(frames: list[np.ndarray], raw: Pose) -> None:
    with RefinedHolistic(refiner=unchanged, latency=3, smooth_landmarks=True) as holistic:
        refined = [result for frame in frames if (result := holistic.process(frame)) is not None] + holistic.flush()
    pose = pose_from_results(refined, FPS, WIDTH, HEIGHT)
    np.testing.assert_allclose(np.ma.getdata(pose.body.data), np.ma.getdata(raw.body.data), atol=1e-3)
    np.testing.assert_allclose(pose.body.confidence, raw.body.confidence, atol=1e-6)


@legacy_only
def test_live_landmarks_can_be_drawn_by_mediapipe(frames: list[np.ndarray]) -> None:
    with RefinedHolistic(latency=2, second_hands=True) as holistic:
        result = [holistic.process(frame) for frame in frames[18:24]][-1]
    assert result is not None
    solutions, image = mediapipe.solutions, frames[0].copy()
    solutions.drawing_utils.draw_landmarks(image, result.pose_landmarks, solutions.holistic.POSE_CONNECTIONS)
    drawn = np.abs(image.astype(int) - frames[0]).sum()
    solutions.drawing_utils.draw_landmarks(image, result.right_hand_landmarks, solutions.holistic.HAND_CONNECTIONS)
    assert 0 < drawn < np.abs(image.astype(int) - frames[0]).sum()


def test_separate_tasks_give_body_and_hands(frames: list[np.ndarray], tasks: list[Path]) -> None:
    pose = load_refined_holistic(frames, FPS, WIDTH, HEIGHT, task=tasks, refiner=unchanged,
                                 additional_holistic_config={"min_detection_confidence": .5})
    assert pose.body.data.shape == (58, 1, 576, 3)
    assert len(hand_frames(pose, BODY)) == 58
    assert len(hand_frames(pose, RIGHT_HAND)) > 10
    assert len(hand_frames(pose, LEFT_HAND)) == 0
    assert len(hand_frames(pose, FACE)) == 0
    again = load_refined_holistic(frames, FPS, WIDTH, HEIGHT, task=tasks[::-1], refiner=unchanged)
    np.testing.assert_array_equal(np.ma.getdata(again.body.data), np.ma.getdata(pose.body.data))
    more = load_refined_holistic(frames, FPS, WIDTH, HEIGHT, task=tasks, refiner=unchanged, second_hands=True)
    assert set(hand_frames(more, RIGHT_HAND)) > set(hand_frames(pose, RIGHT_HAND))


@legacy_only
def test_separate_tasks_agree_with_holistic(frames: list[np.ndarray], raw: Pose, tasks: list[Path]) -> None:
    pose = load_refined_holistic(frames, FPS, WIDTH, HEIGHT, task=tasks, refiner=unchanged)
    both = np.intersect1d(hand_frames(pose, RIGHT_HAND), hand_frames(raw, RIGHT_HAND))
    width = np.median(np.linalg.norm(np.ma.getdata(raw.body.data)[:, 0, 11, :2] - raw.body.data[:, 0, 12, :2], axis=1))
    for component in (BODY, RIGHT_HAND):
        here = part(raw, component)
        away = np.linalg.norm(np.ma.getdata(pose.body.data)[both, 0, here, :2]
                              - np.ma.getdata(raw.body.data)[both, 0, here, :2], axis=-1) / width
        assert np.median(away) < .05


def test_tasks_live_and_again(frames: list[np.ndarray], tasks: list[Path]) -> None:
    with RefinedHolistic(task=tasks, refiner=unchanged, latency=2, second_hands=True, fps=FPS) as holistic:
        first = [holistic.process(frame) for frame in frames[15:25]]
        holistic.reset()
        second = [holistic.process(frame) for frame in frames[15:25]]
    assert first[2] is not None
    assert first[9] is not None
    assert second[9] is not None
    assert first[9].pose_landmarks is not None
    assert second[9].pose_landmarks is not None
    np.testing.assert_array_equal(first[9].pose_landmarks.points, second[9].pose_landmarks.points)
    assert any(result is not None and result.right_hand_landmarks is not None for result in first)


def test_tasks_refuse_options_of_legacy_holistic(tasks: list[Path]) -> None:
    with pytest.raises(ValueError, match="no option 'smooth_landmarks'.*min_hand_detection_confidence"):
        RefinedHolistic(task=tasks, refiner=unchanged, smooth_landmarks=True)
