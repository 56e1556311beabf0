"""Refined Holistic for a webcam: an image in, the refined landmarks of a few images ago out.

    with RefinedHolistic(latency=12) as holistic:
        while camera.isOpened():
            results = holistic.process(next_rgb_image())
            if results is not None:              # None for the first 12 images
                draw(results.pose_landmarks, results.right_hand_landmarks)

The lag is `latency` images: that many come after the one whose landmarks are handed out. Refining at every image would
cost more than MediaPipe itself, so the last `window` images are refined together and the next `hop` images take their
landmarks from it. This runs in a thread, beside MediaPipe: it is begun `ahead` images before the first of them is
handed out. So the first has `latency - ahead` later images to go by and the last `latency - ahead - hop + 1`. Which
images are refined with which depends on nothing but their number: the same video gives the same landmarks.

What a new estimate says of the image handed out last differs from what was handed out; that difference is added to the
new landmarks and fades over the hop, so that nothing jumps where one estimate takes over from another
("inertialisation", Bollo, GDC 2018).
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.capture.landmarkers import Task, TaskHolistic
from pose_diffusion.capture.mediapipe import SecondLook, TaskHands, capture_refiner, legacy_hands, legacy_holistic
from pose_diffusion.capture.results import (
    FIELDS,
    REFINED_FACE,
    Landmarks,
    Parts,
    Results,
    holistic_header,
    read_parts,
    to_arrays,
)
from pose_diffusion.layout import FACE


@dataclass(frozen=True, eq=False)
class RefinedResults(Results):
    """The refined landmarks of one image, like a legacy Holistic result.

    Attributes
    ----------
    pose_landmarks, face_landmarks, left_hand_landmarks, right_hand_landmarks, pose_world_landmarks
        None where nothing is known of the part. `visibility` is the confidence, of hands and face as well: 1 (of the
        body MediaPipe's visibility) where it was seen, less where it was invented.
    frame : int
        Which image they are of, from 0 since the start, `reset` or `flush`.
    raw : object
        MediaPipe's own result for that image.
    """

    frame: int = 0
    raw: Any = None


@dataclass(eq=False)
class _Person:
    """Someone in view without a long break: what was found in the last images."""

    size: tuple[int, int]
    history: deque[Parts]
    seen: int = 0  # images so far
    absent: int = 0  # of these, the last ones without anybody
    last: tuple[int, np.ndarray, np.ndarray] | None = None  # handed out last: which image, data, confidence


@dataclass(eq=False)
class _Job:
    """A refinement of a person's last images, under way or done."""

    first: int  # which of the person's images is in the first row
    images: list[_Image]  # those that take their landmarks from it
    refined: Future[tuple[np.ndarray, np.ndarray]]  # (T, P, 3) pixels; (T, P) confidence


@dataclass(eq=False)
class _Image:
    """An image whose landmarks have not been handed out."""

    frame: int
    raw: Any
    person: _Person | None
    number: int = 0  # among the person's images
    job: _Job | None = None
    refined: tuple[np.ndarray, np.ndarray] | None = None  # (P, 3) pixels; (P,) confidence


class RefinedHolistic:
    """MediaPipe Holistic whose landmarks are refined while they come in.

    Parameters
    ----------
    window : int
        Images that are refined together, at least 2.
    latency : int
        The lag in images, from 0 (causal) to `window - 1`.
    hop : int, optional
        Images that take their landmarks from one refinement, by default as many as possible, `latency - ahead + 1`.
        The work that refining adds per image is that of one refinement divided by this.
    ahead : int, optional
        Images from the beginning of a refinement to its first use, in which it runs beside MediaPipe, at most
        `latency`; 3 by default. With 0 it is waited for.
    patience : int
        Images without anybody after which the person has left; fewer than `window`. A shorter break is filled in.
        After a longer one nothing of the time before it has any influence.
    fps : float
        Images per second, about.
    refiner : callable, optional
        Pose -> Pose with the same frames and points, called in a thread of its own, in which torch uses one core.
        By default `capture_refiner()`.
    second_hands : bool
        Look for lost hands with a second detector; see `load_refined_holistic`. This takes time.
    task : path or sequence of paths, optional
        `.task` files for MediaPipe's Tasks instead of legacy Holistic; see `load_refined_holistic`.
    holistic : object, optional
        A detector of your own with `process(image)`, and `reset()` and `close()` if it needs them, instead of
        MediaPipe's. It is closed with this object.
    **holistic_kwargs
        As legacy Holistic takes them (`model_complexity`, `min_detection_confidence`, ...), or the Tasks.

    Raises
    ------
    ImportError
        Without a MediaPipe that can do this; says what to install.
    ValueError
        For an argument that does not fit.
    """

    def __init__(self, *, window: int = 24, latency: int = 12, hop: int | None = None, ahead: int | None = None,
                 patience: int = 12, fps: float = 25.0, refiner: Callable[[Pose], Pose] | None = None,
                 second_hands: bool = False, task: Task | None = None, holistic: Any = None, **holistic_kwargs: Any):
        for name, value, low, high in (("window", window, 2, 4096), ("latency", latency, 0, window - 1),
                                       ("ahead", ahead, 0, latency), ("patience", patience, 0, window - 1),
                                       ("hop", hop, 1, latency + 1 - (ahead or 0))):
            if value is not None and (isinstance(value, bool) or value not in range(low, high + 1)):
                raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value}")
        if not (np.isfinite(fps) and fps > 0):
            raise ValueError(f"fps must be positive, not {fps}: how many images a second are processed")
        if holistic is not None and (task is not None or holistic_kwargs):
            raise ValueError("holistic= is used as it is: leave out "
                             f"{', '.join(holistic_kwargs) or 'task'}, or holistic")
        self.window, self.latency, self.patience, self.fps = window, latency, patience, fps
        self.ahead = min(3, latency + 1 - (hop or 1), latency // 2) if ahead is None else ahead
        self.hop = hop or latency + 1 - self.ahead
        self._thread = _single_core_thread()
        self._holistic = holistic or _detector(task, second_hands, fps, holistic_kwargs)
        self._refiner = refiner or capture_refiner()
        self._closed = False
        self._clear()

    def _clear(self) -> None:
        self._waiting: deque[_Image] = deque()
        self._person: _Person | None = None
        self._frame = 0

    def process(self, image: np.ndarray) -> RefinedResults | None:
        """Take the next image; hand out the refined landmarks of the one `latency` images ago.

        Parameters
        ----------
        image : np.ndarray
            `(H, W, 3)` uint8, RGB.

        Returns
        -------
        RefinedResults or None
            None for the first `latency` images.
        """
        if self._closed:
            raise ValueError("this RefinedHolistic is closed: make a new one")
        if np.ndim(image) != 3 or np.shape(image)[2] != 3 or not min(np.shape(image)):
            raise ValueError(f"an image of shape {np.shape(image)}: give RGB, (height, width, 3)")
        raw = self._holistic.process(image)
        height, width = image.shape[:2]
        self._add(raw, read_parts(raw, width / height), (width, height))
        self._begin()
        return self._next() if len(self._waiting) > self.latency else None

    def flush(self) -> list[RefinedResults]:
        """The landmarks of the last `latency` images, at the end of a video; `process` then begins from the start."""
        last = [self._next() for _ in range(len(self._waiting))]
        self._clear()
        return last

    def reset(self) -> None:
        """Forget everything, as for another video. Images not handed out are dropped."""
        self._clear()
        if hasattr(self._holistic, "reset"):
            self._holistic.reset()

    def close(self) -> None:
        """Free MediaPipe; more than once is fine."""
        self._thread.shutdown(cancel_futures=True)
        if not self._closed and hasattr(self._holistic, "close"):
            self._holistic.close()
        self._closed = True
        self._clear()

    def __enter__(self) -> RefinedHolistic:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _add(self, raw: Any, parts: Parts, size: tuple[int, int]) -> None:
        """Note what was found in an image."""
        person = self._person
        if person is not None and parts and person.size != size:
            self._leave(person)
            person = None
        if person is None and parts:
            person = self._person = _Person(size, deque(maxlen=self.window))
        image = _Image(self._frame, raw, person)
        self._frame += 1
        self._waiting.append(image)
        if person is None:
            return
        image.number = person.seen
        person.history.append(parts)
        person.seen += 1
        person.absent = 0 if parts else person.absent + 1
        if person.absent > self.patience:
            self._leave(person)

    def _leave(self, person: _Person) -> None:
        """The person is gone since the images without anybody: these belong to nobody."""
        for image in self._waiting:
            if image.person is person and image.number >= person.seen - person.absent:
                image.person = None
        for _ in range(min(person.absent, len(person.history))):
            person.history.pop()
        person.seen -= person.absent
        self._person = None

    def _next(self) -> RefinedResults:
        """Hand out the image that waits longest."""
        image = self._waiting[0]
        if image.person is not None and image.refined is None:
            self._finish(image.job or self._refine(image.person, image), image.person)
        self._waiting.popleft()
        image.job = None  # which knows its images: nothing is to wait for the garbage collector
        if image.person is None or image.refined is None:
            return RefinedResults(frame=image.frame, raw=image.raw)
        image.person.last = (image.number, *image.refined)
        return _results(image, image.person.size, *image.refined)

    def _begin(self) -> None:
        """Begin the next refinement if it is time to: its first image is handed out in `ahead` images."""
        image = next((image for image in self._waiting if image.person is not None and image.job is None), None)
        if image is not None and image.person is not None and image.frame < self._frame - self.latency + self.ahead:
            self._refine(image.person, image)

    def _refine(self, person: _Person, image: _Image) -> _Job:
        """Begin to refine what is known of a person, for an image of theirs and the next."""
        history = list(person.history)
        images = [each for each in self._waiting if each.person is person and each.number >= image.number][:self.hop]
        job = _Job(person.seen - len(history), images, self._thread.submit(self._refined, history, person.size))
        for each in images:
            each.job = job
        return job

    def _refined(self, history: list[Parts], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Call the refiner; runs in the thread."""
        irises = any(len(parts.get(FACE, ())) == REFINED_FACE for parts in history)
        header = holistic_header(*size, refined_face=irises, limbs=False)
        data, confidence = (x[:, None].astype(np.float32) for x in to_arrays(history, header))
        pose = self._refiner(Pose(header, NumPyPoseBody(self.fps, data, confidence)))
        if pose.body.data.shape != data.shape:
            raise ValueError(f"the refiner made {pose.body.data.shape} of {data.shape}: frames and points have to stay")
        return np.ma.getdata(pose.body.data)[:, 0], np.asarray(pose.body.confidence)[:, 0]

    def _finish(self, job: _Job, person: _Person) -> None:
        """Wait for a refinement and give its images their landmarks."""
        data, confidence = job.refined.result()
        offset = _offset(person, data, confidence, job.first)
        for i, image in enumerate(job.images):
            row = image.number - job.first
            faded = (1 - (i + 1) / (self.hop + 1)) * offset
            image.refined = data[row] + np.where(confidence[row, :, None] > 0, faded, 0), confidence[row]


def _single_core_thread() -> ThreadPoolExecutor:
    """A thread in which torch uses one core. On two, its work is too small to gain by the other, which MediaPipe is
    using, and torch's threads that wait for each other slow down everything.
    """
    import torch

    def one_core() -> None:
        torch.get_num_threads()  # sets a new thread up, which would undo what comes next
        torch.set_num_threads(1)

    thread, cores = ThreadPoolExecutor(1, "RefinedHolistic"), torch.get_num_threads()
    thread.submit(one_core).result()
    torch.set_num_threads(cores)  # in this thread it was so all along, in those to come it is so again
    return thread


def _detector(task: Task | None, second_hands: bool, fps: float, options: dict[str, Any]) -> Any:
    """What finds the landmarks of an image."""
    if task is None:
        holistic = legacy_holistic(options)(**options)
        return SecondLook(holistic, legacy_hands) if second_hands else holistic
    holistic = TaskHolistic(task, fps=fps, **options)
    return SecondLook(holistic, lambda: TaskHands(task)) if second_hands else holistic


def _offset(person: _Person, data: np.ndarray, confidence: np.ndarray, first: int) -> np.ndarray:
    """`(P, 3)`: what was handed out for the last image less what is now known of it; 0 where either says nothing."""
    if person.last is None:
        return np.zeros(data.shape[1:])
    number, values, sure = person.last
    row = number - first
    if row < 0 or values.shape != data.shape[1:]:
        return np.zeros(data.shape[1:])
    return np.where(((sure > 0) & (confidence[row] > 0))[:, None], values - data[row], 0.0)


def _results(image: _Image, size: tuple[int, int], data: np.ndarray, confidence: np.ndarray) -> RefinedResults:
    """Pixels to MediaPipe's landmarks."""
    parts, start = {}, 0
    for name, points in zip(FIELDS, (33, len(data) - 2 * 33 - 2 * 21, 21, 21, 33)):
        sure = confidence[start:start + points]
        if (sure > 0).any():
            parts[FIELDS[name]] = Landmarks(np.column_stack([data[start:start + points] / [*size, 1], sure]))
        start += points
    return RefinedResults(**parts, frame=image.frame, raw=image.raw)
