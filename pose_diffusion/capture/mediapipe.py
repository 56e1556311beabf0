"""From video to a refined Pose: pose-format's `load_holistic`, then `correct_capture` and `refine`.

MediaPipe is an extra (`pip install "pose-diffusion[mediapipe]"`) and is imported when a function here is called. The
legacy Holistic of mediapipe<0.10.30 brings its models along. With MediaPipe 1.x, which has neither, give `.task` files
(see `landmarkers.py`).
"""
from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, Literal, overload

import numpy as np
from pose_format import Pose
from tqdm import tqdm

from pose_diffusion.capture.landmarkers import (
    INSTALL,
    Task,
    TaskHolistic,
    image_maker,
    import_mediapipe,
    kinds_of,
    open_landmarkers,
)
from pose_diffusion.capture.people import one_by_one
from pose_diffusion.capture.results import (
    FIELDS,
    HANDS,
    SHOULDERS,
    WRISTS,
    Landmarks,
    assign,
    pose_from_results,
    read_hands,
    read_landmarks,
)
from pose_diffusion.layout import BODY, copy_header

Refiner = Callable[[Pose], Pose]

# A second detector's hand must be this near to the body's wrist, in shoulder widths: those it found on a test video
# were at .05 to .2, and MediaPipe's own hands are at .05 (median), .13 (95 %).
NEAR_WRIST = 0.4
SAME_HAND = 0.15  # mean distance of two hands, in shoulder widths, below which they are one hand found twice
OUTSIDE = 0.1  # how far out of the image a wrist may be, in shares of it, for its hand to be looked for
PALM_CONFIDENCE = 0.3  # lower than MediaPipe's .5: where the hand has to be is known


def capture_refiner(*, rules: dict[str, Any] | None = None, model: Any = None, device: str = "cpu",
                    **settings: Any) -> Refiner:
    """What is done to a capture by default: `correct_capture` without its rule `wrists`, then `refine`.

    Parameters
    ----------
    rules : dict, optional
        Arguments of `correct_capture`. The network knows how far apart the two wrists of an arm usually are; on
        degraded videos putting them together first makes the body worse and the hands no better
        (`benchmarks/degraded_video.py`).
    model, device, **settings
        Arguments of `refine`. The model is loaded now, so that what is wrong with it is said before the capture.

    Returns
    -------
    callable
        Pose -> new Pose.
    """
    from pose_diffusion.capture.rules import correct_capture
    from pose_diffusion.diffusion.model import PoseDiffusion
    from pose_diffusion.tasks.refine import refine

    chosen = {"wrists": False, **(rules or {})}
    loaded = model if isinstance(model, PoseDiffusion) else PoseDiffusion.from_pretrained(model, device)

    def refined(pose: Pose) -> Pose:
        return refine(correct_capture(pose, **chosen), model=loaded, **settings)

    return refined


@overload
def load_refined_holistic(frames: Iterable[np.ndarray], fps: float = ..., width: int = ..., height: int = ...,
                          depth: int = ..., kinect: Any = ..., progress: bool = ...,
                          additional_holistic_config: dict[str, Any] | None = ..., pose_workers: int = ...,
                          reuse: bool = ..., *, refiner: Refiner | None = ..., return_raw: Literal[False] = ...,
                          second_hands: bool = ..., task: Task | None = ...) -> Pose: ...


@overload
def load_refined_holistic(frames: Iterable[np.ndarray], fps: float = ..., width: int = ..., height: int = ...,
                          depth: int = ..., kinect: Any = ..., progress: bool = ...,
                          additional_holistic_config: dict[str, Any] | None = ..., pose_workers: int = ...,
                          reuse: bool = ..., *, refiner: Refiner | None = ..., return_raw: Literal[True],
                          second_hands: bool = ..., task: Task | None = ...) -> tuple[Pose, Pose]: ...


def load_refined_holistic(frames: Iterable[np.ndarray], fps: float = 24, width: int = 1000, height: int = 1000,
                          depth: int = 0, kinect: Any = None, progress: bool = False,
                          additional_holistic_config: dict[str, Any] | None = None, pose_workers: int = 1,
                          reuse: bool = True, *, refiner: Refiner | None = None, return_raw: bool = False,
                          second_hands: bool = False, task: Task | None = None) -> Pose | tuple[Pose, Pose]:
    """Estimate a pose from video frames and refine it: pose-format's `load_holistic`, and better.

    Parameters
    ----------
    frames : iterable of np.ndarray
        RGB images `(H, W, 3)` uint8, for example of `simple_video_utils.frames.read_frames_exact`. Read once, none
        is kept.
    fps, width, height, depth, kinect, progress, additional_holistic_config, pose_workers, reuse
        As in `load_holistic`. The configuration is not changed. With `reuse` pose-format keeps its detectors for the
        next video, whose world landmarks are then smoothed together with the last ones of this; without, each video
        stands for itself.
    refiner : callable, optional
        Pose -> Pose. By default `people.one_by_one(capture_refiner())`: each person who appears by themselves, and
        nobody where nobody is for more than half a second. `lambda pose: pose` leaves the pose as it is.
    return_raw : bool
        Also return the pose as it was before the refiner.
    second_hands : bool
        Look with a second hand detector at frames in which a hand was lost: MediaPipe's Hands, without tracking, and
        on the whole image. A hand it finds is taken if its wrist is within `NEAR_WRIST` (0.4) shoulder widths of the
        body's wrist of a side without a hand, and if it is not the other hand found again. That wrist decides about
        the side, not the label, which is wrong too often. Costs a few tenths of MediaPipe's time per frame looked at.
    task : path or sequence of paths, optional
        `.task` files for MediaPipe's Tasks, instead of legacy Holistic: `holistic_landmarker.task`; or
        `pose_landmarker.task` with `hand_landmarker.task` and, if wanted, `face_landmarker.task`. Options in
        `additional_holistic_config` are then those of the Tasks; `kinect` and several workers are refused. For
        `second_hands`, `hand_landmarker.task` has to be among them.

    Returns
    -------
    Pose, or (Pose, Pose) with `return_raw`
        Refined, and raw.

    Raises
    ------
    ImportError
        Without a MediaPipe that can do this; says what to install.
    ValueError
        One line: no frames, nobody in any of them, or an argument that does not fit.
    OSError
        If MediaPipe needs a model that it cannot download (`model_complexity` other than 1).
    """
    config = dict(additional_holistic_config or {})
    config.setdefault("static_image_mode", False)  # as load_holistic does, in its caller's dictionary
    if task is not None:
        if kinect is not None or pose_workers != 1:
            raise ValueError("with task= there is no kinect and one worker: leave kinect and pose_workers out")
        files = kinds_of(task)
        if second_hands and "hand" not in files:
            raise ValueError("second_hands with task= needs hand_landmarker.task among the files: add it")
    else:
        legacy_holistic(config)
    if refiner is None:
        refiner = one_by_one(capture_refiner())
    try:
        if task is not None:
            raw = _load_tasks(frames, fps, width, height, depth, progress, config, task, second_hands)
        else:
            load = _with_second_hands if second_hands else _load_holistic
            raw = load(frames, fps, width, height, depth, kinect, progress, config, pose_workers, reuse)
    except ValueError as error:
        if "at least one array" in str(error):  # pose-format's np.stack
            raise ValueError("the video has no frames: give at least one") from error
        raise
    except OSError as error:
        if config.get("model_complexity", 1) != 1:
            raise OSError(f"MediaPipe cannot download the model for model_complexity={config['model_complexity']} "
                          f"({error}): use 1, which is part of the package") from error
        raise
    if not return_raw:
        return refiner(raw)
    kept = Pose(copy_header(raw.header), raw.body.copy())
    return refiner(raw), kept


def legacy_holistic(config: dict[str, Any]) -> Callable[..., Any]:
    """MediaPipe's legacy Holistic.

    Parameters
    ----------
    config : dict
        What it is to be called with.

    Raises
    ------
    ImportError
        Without MediaPipe, or with one that has no Solutions; says what to install.
    ValueError
        For options it does not have.
    """
    mediapipe = import_mediapipe()
    if not hasattr(mediapipe, "solutions"):
        raise ImportError(f"MediaPipe {mediapipe.__version__} has no Holistic that works without a model file. Please "
                          f"install: {INSTALL}")
    holistic = mediapipe.solutions.holistic.Holistic
    known = list(inspect.signature(holistic).parameters)
    if unknown := sorted(set(config) - set(known)):
        raise ValueError(f"Holistic has no option {unknown[0]!r}: it has {', '.join(known)}")
    return holistic


def _load_holistic(*arguments: Any) -> Pose:
    from pose_format.utils.holistic import load_holistic  # imports MediaPipe

    return load_holistic(*arguments)


def _with_second_hands(frames: Iterable[np.ndarray], fps: float, width: int, height: int, depth: int, kinect: Any,
                       progress: bool, config: dict[str, Any], pose_workers: int, reuse: bool) -> Pose:
    """`load_holistic` with detectors of ours: its pool hands out those that were put there under the same key."""
    from pose_format.utils.holistic import HolisticPool, load_holistic

    workers = pose_workers if pose_workers > 0 else os.cpu_count() or 1
    own = HolisticPool.acquire(workers, config)
    lookers = [SecondLook(holistic, legacy_hands) for holistic in own]
    key = {**config, "second_hands": threading.get_ident()}  # two threads do not get each other's
    HolisticPool.release(lookers, key)
    try:
        return load_holistic(frames, fps, width, height, depth, kinect, progress, key, workers, reuse=True)
    finally:
        HolisticPool.acquire(workers, key)  # nobody else can use them
        for looker in lookers:
            looker.close_hands()
        if reuse:
            HolisticPool.release(own, config)
        else:
            for holistic in own:
                holistic.close()


def _load_tasks(frames: Iterable[np.ndarray], fps: float, width: int, height: int, depth: int, progress: bool,
                config: dict[str, Any], task: Any, second_hands: bool) -> Pose:
    options = dict(config)
    refined_face = bool(options.pop("refine_face_landmarks", False))  # a task's mesh always has irises
    detector: Any = TaskHolistic(task, fps=fps, **options)
    if second_hands:
        detector = SecondLook(detector, lambda: TaskHands(task))
    try:
        results = (detector.process(frame) for frame in tqdm(frames, disable=not progress))
        return pose_from_results(results, fps, width, height, depth=depth, refined_face=refined_face)
    finally:
        detector.close()


def legacy_hands() -> Any:
    """MediaPipe's Hands as a second detector: every image for itself."""
    return import_mediapipe().solutions.hands.Hands(static_image_mode=True, max_num_hands=2,
                                                    min_detection_confidence=PALM_CONFIDENCE)


class TaskHands:
    """The same of the `.task` files."""

    def __init__(self, task: Task):
        self._image = image_maker()
        files = {"hand": kinds_of(task)["hand"]}
        self._hands, = open_landmarkers(files, True, {"min_hand_detection_confidence": PALM_CONFIDENCE})

    def process(self, image: np.ndarray) -> Any:
        return self._hands.detect(self._image(image))

    def close(self) -> None:
        self._hands.close()


class SecondLook:
    """A detector that looks again, with another one for hands, where the first found a body but not both hands.

    Parameters
    ----------
    detector : object
        With `process(image)`, like legacy Holistic.
    make_hands : callable
        Makes the hand detector when it is first needed: with `process(image)`, like legacy Hands or a HandLandmarker.
    """

    def __init__(self, detector: Any, make_hands: Callable[[], Any]):
        self.detector, self._make_hands = detector, make_hands
        self._hands: Any = None

    def process(self, image: np.ndarray) -> Any:
        """The detector's result, with hands that the second one found in the places of those that were lost."""
        result = self.detector.process(image)
        body = read_landmarks(result.pose_landmarks, FIELDS[BODY], sure=False)
        if body is None:
            return result
        inside = np.all(np.abs(body[list(WRISTS), :2] - .5) < .5 + OUTSIDE, axis=1).tolist()
        lost = [side for side, near in zip(HANDS, inside) if near and getattr(result, FIELDS[side]) is None]
        if not lost:
            return result
        if self._hands is None:
            self._hands = self._make_hands()
        hands = [points for points, _ in read_hands(self._hands.process(image))]
        aspect = image.shape[1] / image.shape[0]
        known = [read_landmarks(getattr(result, FIELDS[side]), FIELDS[side]) for side in HANDS if side not in lost]
        new = [hand for hand in hands
               if all(_distance(hand, other, body, aspect) > SAME_HAND for other in known if other is not None)]
        sides = assign(new, [""] * len(new), body, aspect, lost, NEAR_WRIST)
        kept = {field: getattr(result, field, None) for field in (*FIELDS.values(), "segmentation_mask")}
        return SimpleNamespace(**{**kept, **{FIELDS[side]: Landmarks(new[i]) for side, i in sides.items()}})

    def reset(self) -> None:
        """Forget the person that was tracked."""
        self.detector.reset()

    def close_hands(self) -> None:
        """Free the second detector."""
        if self._hands is not None:
            self._hands.close()
            self._hands = None

    def close(self) -> None:
        """Free both."""
        self.close_hands()
        self.detector.close()


def _distance(a: np.ndarray, b: np.ndarray, body: np.ndarray, aspect: float) -> float:
    """The mean distance of two hands' points in shoulder widths of the image."""
    unit = [aspect, 1]
    width = np.linalg.norm((body[SHOULDERS[0], :2] - body[SHOULDERS[1], :2]) * unit)
    return float(np.linalg.norm((a[:, :2] - b[:, :2]) * unit, axis=1).mean() / max(width, 1e-6))
