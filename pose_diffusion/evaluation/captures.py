"""A capture of a degraded video beside the capture of the video as it is: what is measured between them.

Lengths are in shoulder widths (SW) of the clean capture, in the image plane, over body and hands of the first person.
The clean capture is no truth: it has errors and jitter of its own.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from scipy.ndimage import uniform_filter1d

from pose_diffusion.capture.rules import correct_capture
from pose_diffusion.clip import Normalisation, measure
from pose_diffusion.evaluation.baselines import pchip_on_wrist
from pose_diffusion.evaluation.cases import INNER, Known, trusted
from pose_diffusion.evaluation.metrics import HANDS
from pose_diffusion.layout import HOLISTIC, copy_header, locate

NEAR = .25  # SW, mean of its points, within which a hand counts as found
WINDOW = 9  # frames of `slow` and `fitted`
FITS = 30  # of `fitted`, each weighted by the errors of the last
SIDES = tuple(HOLISTIC.parts[hand] for hand in ("left_hand", "right_hand"))

Tally = np.ndarray  # (2,): numerator and denominator


@dataclass(frozen=True, eq=False)
class Scene:
    """Two captures of a video; T is the clean one's frames.

    Attributes
    ----------
    pose : Pose
        The degraded capture at its own rate, in pixels of the clean video.
    clean : Pose
        The clean one.
    every : int
        Frames of the clean one to one of the degraded capture.
    unit : Normalisation
        From pixels to the clean capture's shoulder widths.
    truth, valid : np.ndarray
        `(T, INNER, 2)`, and `(T, INNER)` bool: where the clean capture is to be believed (`cases.trusted`).
    corrected : np.ndarray
        `truth` after `correct_capture`, which takes the hand's wrist for the body's where they disagree.
    given : Known
        The degraded capture at the clean one's times, as baselines are given it.
    """

    pose: Pose
    clean: Pose
    every: int
    unit: Normalisation
    truth: np.ndarray
    valid: np.ndarray
    corrected: np.ndarray
    given: Known


def scene(clean: Pose, degraded: Pose, shrink: int = 1, every: int = 1) -> Scene:
    """Put two captures of a video side by side.

    Parameters
    ----------
    clean, degraded : Pose
        MediaPipe Holistic in pixels of their videos.
    shrink, every : int
        Pixels, and frames, of the clean video to one of the degraded one.

    Raises
    ------
    ValueError
        If the number of frames does not fit.
    """
    if len(degraded.body.data) != len(range(0, len(clean.body.data), every)):
        raise ValueError(f"{len(degraded.body.data)} frames are not every {every}. of {len(clean.body.data)}")
    unit = measure(clean)
    xyz, confidence = points(clean, unit)
    data = np.ma.getdata(degraded.body.data) * np.array([shrink, shrink, 1], np.float32)
    pose = _with_body(clean, degraded.body.fps, data, degraded.body.confidence)
    changed, left = points(correct_capture(clean), unit)
    return Scene(pose, clean, every, unit, truth=xyz[..., :2], valid=trusted(xyz, confidence),
                 corrected=np.where(left[..., None] > 0, changed, xyz)[..., :2], given=known(pose, clean, every, unit))


def _with_body(like: Pose, fps: float, data: np.ndarray, confidence: np.ndarray) -> Pose:
    mask = np.broadcast_to(confidence[..., None] == 0, data.shape)
    return Pose(copy_header(like.header), NumPyPoseBody(fps, np.ma.masked_array(data, mask), confidence))


def points(pose: Pose, unit: Normalisation) -> tuple[np.ndarray, np.ndarray]:
    """The first person's body and hands: `(T, INNER, 3)` float32 in SW with z = 0, and their confidence."""
    found = locate(pose.header, HOLISTIC)[:INNER]
    xyz = np.ma.getdata(pose.body.data)[:, 0, found].astype(np.float32)
    confidence = np.asarray(pose.body.confidence[:, 0, found])
    xyz = (xyz - unit.origin) / unit.scale * np.array([1, 1, 0])
    return np.where(confidence[..., None] > 0, xyz, 0).astype(np.float32), confidence


def on_clock(pose: Pose, clean: Pose, every: int) -> Pose:
    """A pose at the clean capture's times: frames between those captured are there and empty."""
    if every == 1:
        return pose
    data, confidence = np.zeros_like(np.ma.getdata(clean.body.data)), np.zeros_like(clean.body.confidence)
    data[::every], confidence[::every] = np.ma.getdata(pose.body.data), pose.body.confidence
    return _with_body(clean, clean.body.fps, data, confidence)


def known(pose: Pose, clean: Pose, every: int, unit: Normalisation) -> Known:
    """A pose at the clean capture's times, as baselines are given it."""
    xyz, confidence = points(on_clock(pose, clean, every), unit)
    return Known(xyz, confidence > 0, np.arange(len(xyz)) / clean.body.fps, 0)


def tallies(estimate: np.ndarray, at: Scene) -> dict[str, Tally]:
    """What is measured of a complete estimate.

    Errors of hands are over hands that the degraded capture has in some frame: one that was never seen cannot be
    interpolated, and a constant would stand for every baseline. `near` counts those, too.

    Parameters
    ----------
    estimate : np.ndarray
        `(T, INNER, 2)` SW.
    at : Scene
        What it is an estimate of.

    Returns
    -------
    dict of str to np.ndarray
        By name:

        * `hands`: mean distance from the clean capture of its trusted hand points; `recovered`: of those that the
          degraded capture lacks; `kept hands`, `kept body`: of those that it has; `kept body, corrected`:
          the same from the corrected clean capture
        * `place`: of the wrists of hands that the degraded capture lacks; `shape`: of their other points, after the
          wrists were laid on each other
        * `near`, `near recovered`: share of the clean capture's hands whose points are on average within `NEAR` of it;
          of all, and of those that the degraded capture lacks
        * `jerk`: mean length of the hands' third differences over runs of four trusted frames, in SW per second cubed
    """
    seen = at.given.observed
    error, there = np.linalg.norm(estimate - at.truth, axis=-1), at.valid & HANDS
    hands = there & seen.any(0)
    found = np.stack([error[:, side].mean(1) <= NEAR for side in SIDES], axis=1)
    lengths, runs = third_differences(estimate, hands)
    roots = np.zeros_like(hands)
    roots[:, [side.start for side in SIDES]] = True
    offset = estimate - at.truth
    shape = np.zeros_like(error)
    for side in SIDES:
        shape[:, side] = np.linalg.norm(offset[:, side] - offset[:, side.start, None], axis=-1)
    return {"place": tally(error, hands & ~seen & roots), "shape": tally(shape, hands & ~seen & ~roots),
            "hands": tally(error, hands), "recovered": tally(error, hands & ~seen),
            "kept hands": tally(error, hands & seen), "kept body": tally(error, at.valid & ~HANDS & seen),
            "kept body, corrected": tally(np.linalg.norm(estimate - at.corrected, axis=-1), at.valid & ~HANDS & seen),
            "near": tally(found, _sides(there)), "near recovered": tally(found, _sides(there & ~seen)),
            "jerk": tally(lengths * at.clean.body.fps**3, runs)}


def as_it_is(at: Scene) -> dict[str, Tally]:
    """The same of the degraded capture, over the points that it has; `near` is its recall of hands."""
    seen = replace(at, valid=at.valid & at.given.observed)
    recall = tally(_sides(seen.valid & HANDS), _sides(at.valid & HANDS))
    return tallies(at.given.xyz[..., :2], seen) | {"near": recall}


def limits(at: Scene) -> dict[str, Tally]:
    """What part of the hands' error could be taken away, told the truth.

    Returns
    -------
    dict of str to np.ndarray
        * `lost exact`: error of `hands` if points that the capture lacks were exact, and the others as captured
        * `slow`: the length of the error of captured points after a moving mean over `WINDOW` frames: what is wrong for
          many frames on end, which no smoothing takes away
        * `fitted`: error of `hands` by the linear filter of `WINDOW` frames, one for all points and coordinates, that
          has the smallest error on these very frames (least squares, weighted anew so that distances count, not their
          squares; for every phase of a reduced frame rate one of its own), after PCHIP on the wrist. A few seconds of
          video are too little for its eight factors: it gains more on them than on any other
    """
    seen = at.given.observed
    hands = at.valid & HANDS & seen.any(0)
    offset = at.given.xyz[..., :2] - at.truth
    kept = hands & seen
    count, total = (uniform_filter1d(values, WINDOW, axis=0, mode="constant")
                    for values in (kept.astype(float), np.where(kept[..., None], offset, 0).astype(float)))
    mean = total / np.maximum(count, 1 / WINDOW)[..., None]
    error = np.where(seen, np.linalg.norm(offset, axis=-1), 0)
    fitted = np.linalg.norm(_fitted(at, hands) - at.truth, axis=-1)
    return {"lost exact": tally(error, hands), "slow": tally(np.linalg.norm(mean, axis=-1), kept),
            "fitted": tally(fitted, hands)}


def _fitted(at: Scene, hands: np.ndarray) -> np.ndarray:
    """`(T, INNER, 2)`: what the best linear filter makes of the hands."""
    filled = pchip_on_wrist(at.given.xyz, at.given.observed)[..., :2].astype(float)
    half = WINDOW // 2
    padded = np.pad(filled, [(half, half), (0, 0), (0, 0)], mode="edge")
    steps = np.stack([padded[k:k + len(filled)] - filled for k in range(WINDOW) if k != half], axis=-1)
    out = filled.copy()
    for phase in range(at.every):
        rows = slice(phase, None, at.every)
        if (chosen := hands[rows]).any():
            out[rows] += steps[rows] @ _least_distances(steps[rows][chosen], (at.truth - filled)[rows][chosen])
    return out


def _least_distances(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The `(F,)` factors by which `(N, 2, F)` inputs come nearest to `(N, 2)` targets: Weiszfeld's iterations."""
    factors, weight = np.zeros(inputs.shape[-1]), np.ones(len(inputs))
    for _ in range(FITS):
        root = np.sqrt(weight)[:, None]
        factors = np.linalg.lstsq((root[..., None] * inputs).reshape(-1, len(factors)), (root * targets).reshape(-1),
                                  rcond=None)[0]
        weight = 1 / np.maximum(np.linalg.norm(targets - inputs @ factors, axis=-1), 1e-4)
    return factors


def third_differences(xy: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the third differences of `(T, K, 2)`: `(T - 3, K)`, and where all four frames are in the mask."""
    return np.linalg.norm(np.diff(xy, 3, axis=0), axis=-1), mask[3:] & mask[2:-1] & mask[1:-2] & mask[:-3]


def jitter(xy: np.ndarray, mask: np.ndarray) -> Tally:
    """Mean length of the white noise that would have the third differences of a capture.

    Those of white noise are sqrt(1 + 9 + 9 + 1) times as long as it is. Motion has some, too, so this is too much for a
    fast hand; noise that is correlated over time has less of them.

    Parameters
    ----------
    xy : np.ndarray
        `(T, K, 2)`.
    mask : np.ndarray
        `(T, K)` bool: what is seen.
    """
    lengths, runs = third_differences(xy, mask)
    return tally(lengths / np.sqrt(20), runs)


def tally(values: np.ndarray, mask: np.ndarray) -> Tally:
    """`(2,)`: the sum of the values where the mask holds, and how many they are."""
    return np.array([np.sum(values, where=mask, dtype=float), mask.sum()])


def value(sums: Tally) -> float:
    """A mean; NaN where nothing was measured."""
    return float(sums[0] / sums[1]) if sums[1] else float("nan")


def _sides(mask: np.ndarray) -> np.ndarray:
    """`(T, 2)` bool: a hand has some point in a mask `(T, INNER)`."""
    return np.stack([mask[:, side].any(1) for side in SIDES], axis=1)
