"""The body in a `.pose` of a keypoint detector, as a view of 17 joints."""
from __future__ import annotations

import numpy as np
import torch
from pose_format import Pose

from pose_diffusion.clip import check_pose, numpy_pose
from pose_diffusion.layout import WORLD, UnknownSchemaError, header_positions
from pose_diffusion.motion.combinations import DETECTORS, Combination, combine
from pose_diffusion.tasks.camera_spec import CameraSpec
from pose_diffusion.tasks.lifting import STATURE, apparent_size
from pose_diffusion.tasks.views import View

KNOWN = {**{name: detector for name, detector in DETECTORS.items() if name != WORLD}, "BODY_133": DETECTORS["BODY"]}
SCATTER = .01  # of the body's height in the picture: how far detected joints are from those of a skeleton
LEAST = 1.  # pixels
OUTSIDE = .02  # of the picture's size: what is farther out was not seen, but guessed
SMALLEST = 8.  # pixels: what is smaller all over is a pose in other units than pixels, or too far away
LEAST_POINTS = 4  # joints seen in some frame, below which there is nothing to lift


def detector_of(pose: Pose) -> tuple[str, Combination]:
    """The component that holds the body, and the way from its points to the 17 joints.

    Raises
    ------
    UnknownSchemaError
        If there is none.
    """
    names = [component.name for component in pose.header.components]
    for name in names:
        if name in KNOWN:
            return name, KNOWN[name]
    raise UnknownSchemaError(f"unknown pose schema: the components are {', '.join(names) or 'none'}; lifting needs one "
                             f"of {', '.join(KNOWN)}")


def joints_of(pose: Pose, person: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The 17 joints of a person, ``(T, 17, 2)`` pixels, and their confidence ``(T, 17)``, 0 where they were not seen.

    Raises
    ------
    ValueError
        If there is no such person or body, a broken number, or too little was seen.
    """
    pose = numpy_pose(pose)
    check_pose(pose, layout=None)
    component, detector = detector_of(pose)
    people = pose.body.data.shape[1]
    if not 0 <= person < people:
        raise ValueError(f"there is no person {person}: the pose has {people}, counted from 0")
    if pose.body.data.shape[3] < 2:
        raise ValueError(f"points of {pose.body.data.shape[3]} dimensions: x and y are needed")
    place = header_positions(pose.header)
    columns = np.array([place.get((component, point), -1) for point in detector.source])
    data = np.ma.getdata(pose.body.data)[:, person, :, :2][:, columns].astype(np.float32)
    there = ~np.ma.getmaskarray(pose.body.data)[:, person, :, :2].any(-1)[:, columns]
    confidence = np.asarray(pose.body.confidence)[:, person][:, columns].clip(0, 1).astype(np.float32)
    confidence = np.where(there & (columns >= 0), confidence, 0)
    unplaced = confidence.copy()
    confidence[_outside(pose, data)] = 0
    points, sure = combine(detector, data, confidence)
    if (sure > 0).sum(1).max(initial=0) < LEAST_POINTS:
        raise ValueError(f"person {person} is never seen with {LEAST_POINTS} joints at once: there is nothing to lift"
                         f"{_hint(confidence, unplaced, people)}")
    if (across := float(np.ptp(points[sure > 0], axis=0).max())) < SMALLEST:
        raise ValueError(f"all joints of person {person} are within {across:.2g} pixels: give a pose in pixels, that "
                         "was not normalised")
    sure[_collapsed(points, sure)] = 0
    if not (sure > 0).any():
        raise ValueError(f"in every frame all joints of person {person} are at one place: there is nothing to lift")
    return points, sure


def _collapsed(points: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Frames ``(T,)`` in which a detector put everything on one place: there it has seen nobody."""
    seen = (sure > 0)[..., None]
    across = np.where(seen, points, -np.inf).max(1) - np.where(seen, points, np.inf).min(1)
    return (seen.sum((1, 2)) >= LEAST_POINTS) & (across.max(-1) < SMALLEST)


def _hint(inside: np.ndarray, confidence: np.ndarray, people: int) -> str:
    """Why nothing was seen, where that is known."""
    if (confidence > 0).any() and not (inside > 0).any():
        return "; all points are outside the picture: does the header have its size?"
    return "; choose another with --person" if people > 1 else ""


def _outside(pose: Pose, points: np.ndarray) -> np.ndarray:
    width, height = pose.header.dimensions.width, pose.header.dimensions.height
    if not (width and height):
        return np.zeros(points.shape[:-1], bool)
    size = np.array([width, height], np.float32)
    far = OUTSIDE * size.max()
    return ((points < -far) | (points > size + far)).any(-1)


def picture_size(pose: Pose) -> tuple[float, float]:
    """Width and height in pixels of the picture: as the header says, else what the points cover.

    Raises
    ------
    ValueError
        If neither tells.
    """
    width, height = pose.header.dimensions.width, pose.header.dimensions.height
    if width > 0 and height > 0:
        return float(width), float(height)
    seen = np.asarray(pose.body.confidence) > 0
    farthest = np.ma.getdata(pose.body.data)[..., :2][seen].max(0, initial=0)
    if not (farthest > 1).all():
        raise ValueError("the header says no size of the picture, and the points are not in pixels: give them in "
                         "pixels, and the size")
    return float(farthest[0]), float(farthest[1])


def view_of(pose: Pose, person: int = 0, camera: CameraSpec | None = None, noise_px: float | None = None) -> View:
    """What a `.pose` shows of a person.

    Parameters
    ----------
    pose : Pose
        In pixels; a body of MediaPipe, OpenPose, AlphaPose or COCO-WholeBody.
    person : int
        Which one, from 0.
    camera : CameraSpec, optional
        What is known of the camera.
    noise_px : float, optional
        Std in pixels of a detected joint of confidence 1; without it 1 % of the person's height in the picture.

    Returns
    -------
    View

    Raises
    ------
    ValueError
        As `joints_of`, or for a noise that is none.
    """
    points, confidence = (torch.from_numpy(values) for values in joints_of(pose, person))
    size = picture_size(pose)
    if noise_px is None:
        heights, told = apparent_size(points[None], confidence[None] > 0)
        noise_px = max(LEAST, SCATTER * STATURE * float(heights[told > 0].median()) if bool((told > 0).any()) else 0)
    if not 0 < noise_px < float("inf"):
        raise ValueError(f"the noise must be a number of pixels above 0, not {noise_px}")
    known = None if camera is None else camera.camera(size)
    return View(points, confidence, float(noise_px), known, size)
