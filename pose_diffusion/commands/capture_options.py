"""What `video_to_refined_pose` and `videos_to_refined_poses` share: options, and the way from a video to poses."""
from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pose_diffusion.commands.options import add_refine_options, load_model, number, refine_settings

if TYPE_CHECKING:
    import numpy as np
    from pose_format import Pose

    from pose_diffusion.capture.video import Video

Value = bool | int | float | str
Capture = Callable[..., "tuple[Pose, Pose]"]  # called like `load_refined_holistic` with return_raw=True
Frames = Iterable["np.ndarray"]


@dataclass(frozen=True)
class CaptureSettings:
    """How a video becomes a pose; it can be sent to another process.

    Attributes
    ----------
    config : dict
        MediaPipe's options.
    second_hands, task
        As in `load_refined_holistic`.
    rules : bool
        Correct the capture by rules before the model refines it.
    fps : float, optional
        The frame rate of the pose.
    refine : dict
        Arguments of `refine`, but for the model.
    model : str, optional
        Folder of the model.
    """

    config: dict[str, Value]
    second_hands: bool
    task: tuple[str, ...] | None
    rules: bool
    fps: float | None
    refine: dict[str, Any]
    model: str | None


class Captured(NamedTuple):
    """What became of a video."""

    video: Video
    refined: Pose
    raw: Pose


def add_capture_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how to capture and how to refine."""
    group = parser.add_argument_group("how to capture")
    group.add_argument("--additional-config", type=additional_config, default={}, metavar="K=V,...",
                       help="options of MediaPipe Holistic, as for video_to_pose, for example "
                            "refine_face_landmarks=true,min_detection_confidence=0.7")
    group.add_argument("--second-hands", action="store_true",
                       help="look again, with a second detector, for hands that MediaPipe lost (slower)")
    group.add_argument("--fps", type=number(float, 0.1, 240), metavar="X",
                       help="frames per second of the pose (default: the video's; for a variable rate that of most "
                            "frames)")
    group.add_argument("--task", nargs="+", metavar="FILE",
                       help=".task files for MediaPipe's Tasks, the only way for MediaPipe 1.x: "
                            "holistic_landmarker.task, or pose_landmarker.task and hand_landmarker.task")
    group.add_argument("--no-rules", action="store_true",
                       help="leave out the rules for hands on the wrong arm, duplicates and jumps")
    add_refine_options(parser)


def capture_settings(args: argparse.Namespace) -> CaptureSettings:
    """The same of parsed arguments."""
    return CaptureSettings(args.additional_config, args.second_hands, tuple(args.task) if args.task else None,
                           not args.no_rules, args.fps, refine_settings(args), args.model)


def additional_config(text: str) -> dict[str, Value]:
    """An argparse type: `k=v,k=v` with numbers, true and false, as pose-format's `video_to_pose` reads it."""
    config: dict[str, Value] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not (name and equals and value):
            raise argparse.ArgumentTypeError(f"{part!r} is not NAME=VALUE")
        config[name] = _value(value)
    return config


def _value(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def capture_video(path: str | os.PathLike[str], settings: CaptureSettings, capture: Capture | None = None,
                  shown: Callable[[Frames, Video], Frames] = lambda frames, video: frames) -> Captured:
    """Capture a video and refine what was found.

    Parameters
    ----------
    path : path
        The video.
    settings : CaptureSettings
        How.
    capture : callable, optional
        Called instead of `load_refined_holistic`, with the same arguments.
    shown : callable
        Gets the frames and the video and gives the frames on: to show progress, or to stop.

    Returns
    -------
    Captured
        The video, the refined pose and MediaPipe's.

    Raises
    ------
    CommandError
        If the model cannot be loaded.
    ImportError, OSError, ValueError, RuntimeError
        See `open_video`, `load_refined_holistic`, `refine` and `one_by_one`.
    """
    from pose_diffusion.capture.mediapipe import capture_refiner, load_refined_holistic
    from pose_diffusion.capture.people import one_by_one
    from pose_diffusion.capture.video import open_video, read_frames

    video = open_video(path, settings.fps)  # what is wrong with it comes before what takes time
    model = load_model(settings.model, settings.refine["device"])
    refiner = capture_refiner(rules=None if settings.rules else _no_rules(), model=model, **settings.refine)
    # Without reuse: a pose is then the same whatever was captured before it.
    refined, raw = (capture or load_refined_holistic)(
        shown(read_frames(video), video), video.fps, video.width, video.height, reuse=False,
        additional_holistic_config=settings.config, refiner=one_by_one(refiner), return_raw=True,
        second_hands=settings.second_hands, task=settings.task)
    return Captured(video, refined, raw)


def _no_rules() -> dict[str, bool]:
    import inspect

    from pose_diffusion.capture.rules import correct_capture

    parameters = inspect.signature(correct_capture).parameters.values()
    return {p.name: False for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def check_target(path: Path, *others: Path) -> None:
    """Raise an OSError or ValueError if a file cannot be written there: before the work, not after it."""
    if path.is_dir():
        raise IsADirectoryError(0, "this is a folder: give a file to write", os.fspath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(0, "its folder does not exist: create it first", os.fspath(path))
    if path.resolve() in [other.resolve() for other in others]:
        raise ValueError("this is another file of this command: choose another name")
