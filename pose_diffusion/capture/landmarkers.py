"""MediaPipe's Tasks (from 0.10 on, and all that 1.x has) as one detector with the call of legacy Holistic.

Their models are not part of the MediaPipe package: the user gives `.task` files, either a holistic landmarker's or
those of separate landmarkers. What a file is for is told from the models in it.
"""
from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any

import numpy as np

from pose_diffusion.capture.results import Results, read_parts

Task = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

# kind of task: models that are in its file, and only in its
KINDS = {"holistic": {"pose_landmarks_detector.tflite", "face_landmarks_detector.tflite"},
         "pose": {"pose_landmarks_detector.tflite"}, "hand": {"hand_landmarks_detector.tflite"},
         "face": {"face_landmarks_detector.tflite"}}
OURS = {"base_options", "running_mode", "result_callback"}  # options that are not for the user to set
INSTALL = ('pip install "pose-diffusion[mediapipe]" (mediapipe<0.10.30, for Python 3.12 or older), or pip install '
           "mediapipe (1.x) and give task= a holistic_landmarker.task")


def import_mediapipe() -> ModuleType:
    """MediaPipe, of any version.

    Raises
    ------
    ImportError
        If it is not installed; says what to install.
    """
    try:
        import mediapipe
    except ImportError as error:
        raise ImportError(f"MediaPipe cannot be imported ({error}). Please install it with: {INSTALL}") from error
    return mediapipe


def kinds_of(task: Task) -> dict[str, str]:
    """What `.task` files are for: `holistic`, `pose`, `hand` or `face`, and the path of each.

    Raises
    ------
    ValueError
        If one is missing or is not such a file, or together they give no body.
    """
    paths = [os.fspath(p) for p in ([task] if isinstance(task, (str, os.PathLike)) else task)]
    found: dict[str, str] = {}
    for path in paths:
        try:
            with zipfile.ZipFile(path) as archive:
                models = {os.path.basename(name) for name in archive.namelist()}
        except (OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not a .task file of MediaPipe ({getattr(error, 'strerror', None) or error}): "
                             "download holistic_landmarker.task again") from error
        kind = next((kind for kind, names in KINDS.items() if names <= models), None)
        if kind is None or kind in found:
            problem = "is for neither body, hands nor face" if kind is None else f"is a second one for {kind}"
            raise ValueError(f"{path}: this .task file {problem}: give holistic_landmarker.task, or "
                             "pose_landmarker.task and hand_landmarker.task")
        found[kind] = path
    if not {"holistic", "pose"} & set(found) or {"holistic", "pose"} <= set(found):
        raise ValueError(f"{', '.join(paths)}: give either holistic_landmarker.task or pose_landmarker.task, and with "
                         "that hand_landmarker.task and face_landmarker.task if you like")
    return found


class TaskHolistic:
    """The landmarkers of some `.task` files, called and answering like legacy Holistic.

    Parameters
    ----------
    task : path or sequence of paths
        `holistic_landmarker.task`; or `pose_landmarker.task` with `hand_landmarker.task` and, optionally,
        `face_landmarker.task`.
    fps : float
        Images per second, from which the times come that MediaPipe asks for.
    static_image_mode : bool
        Each image for itself, without tracking.
    **options
        Of the landmarkers, such as `min_pose_detection_confidence`; each gets those it has. `min_detection_confidence`
        stands for all of them.

    Raises
    ------
    ImportError
        Without MediaPipe.
    ValueError
        For a file that is no task, and for options that no landmarker has.
    """

    def __init__(self, task: Task, *, fps: float = 25.0, static_image_mode: bool = False, **options: Any):
        self.files, self.still, self.fps = kinds_of(task), static_image_mode, fps
        self.options = options
        self._image = image_maker()
        self._open()

    def _open(self) -> None:
        self.landmarkers = open_landmarkers(self.files, self.still, self.options)
        self._frames, self._millisecond = 0, -1

    def process(self, image: np.ndarray) -> Results:
        """What is found in an RGB image `(H, W, 3)` uint8, in the fields of a legacy result."""
        picture = self._image(image)
        if self.still:
            found = tuple(each.detect(picture) for each in self.landmarkers)
        else:
            self._millisecond = max(self._millisecond + 1, round(1000 * self._frames / self.fps))
            self._frames += 1
            found = tuple(each.detect_for_video(picture, self._millisecond) for each in self.landmarkers)
        return Results.of(read_parts(found, image.shape[1] / image.shape[0]))

    def reset(self) -> None:
        """Forget the person that was tracked: Tasks can only be made anew."""
        self.close()
        self._open()

    def close(self) -> None:
        """Free what MediaPipe holds."""
        for each in self.landmarkers:
            each.close()
        self.landmarkers = []


def image_maker() -> Callable[[np.ndarray], Any]:
    """From an RGB array to MediaPipe's Image."""
    mediapipe = import_mediapipe()

    def make(image: np.ndarray) -> Any:
        return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))

    return make


def open_landmarkers(files: dict[str, str], still: bool, options: dict[str, Any]) -> list[Any]:
    """Landmarkers by kind and path; options go to all that have them.

    Raises
    ------
    ValueError
        For an option that none has.
    """
    import_mediapipe()
    from mediapipe.tasks.python import BaseOptions, vision

    mode = vision.RunningMode.IMAGE if still else vision.RunningMode.VIDEO
    kinds = {kind: (getattr(vision, f"{kind.title()}Landmarker"), getattr(vision, f"{kind.title()}LandmarkerOptions"))
             for kind in files}
    names = {kind: {f.name for f in fields(made_of)} - OURS for kind, (_, made_of) in kinds.items()}
    if unknown := sorted(set(options) - set().union(*names.values()) - {"min_detection_confidence"}):
        known = sorted(name for name in set().union(*names.values()) if name.startswith(("min_", "num_")))
        raise ValueError(f"the Tasks of MediaPipe have no option {unknown[0]!r}, which legacy Holistic may have: leave "
                         f"it out, or use {', '.join(known)}")
    landmarkers = []
    for kind, (landmarker, made_of) in kinds.items():
        chosen = {"num_hands": 2} if kind == "hand" else {}
        if (least := options.get("min_detection_confidence")) is not None:
            chosen |= {name: least for name in names[kind] if name.endswith("_detection_confidence")}
        chosen |= {name: value for name, value in options.items() if name in names[kind]}
        base = BaseOptions(model_asset_path=files[kind])
        landmarkers.append(landmarker.create_from_options(made_of(base_options=base, running_mode=mode, **chosen)))
    return landmarkers
