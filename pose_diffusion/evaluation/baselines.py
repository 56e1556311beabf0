"""What a user would do instead: classical filling and filtering, as methods of the benchmark.

Everything here works on stacks `(T, B, K, 3)` of clips of equal length, body and hands only, and leaves time in
frames, so cutoffs are per frame. Filters work on clips that were filled linearly relative to the wrist.
"""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from pose_format.numpy import NumPyPoseBody
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import median_filter
from scipy.signal import butter, savgol_filter, sosfiltfilt

from pose_diffusion.evaluation.cases import INNER, Known
from pose_diffusion.layout import BODY, HOLISTIC
from pose_diffusion.timeline import fill

Run = Callable[[Sequence[Known]], list[np.ndarray]]
Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]
Filter = Callable[[np.ndarray], np.ndarray]

WRISTS = {"left_hand": (BODY, "LEFT_WRIST"), "right_hand": (BODY, "RIGHT_WRIST")}


def stacked(complete: Fill) -> Run:
    """A method from a function of a stack `(T, B, K, 3)` and what is observed of it `(T, B, K)`."""
    def run(clips: Sequence[Known]) -> list[np.ndarray]:
        groups: dict[int, list[int]] = defaultdict(list)
        for i, clip in enumerate(clips):
            groups[len(clip.xyz)].append(i)
        done: list[np.ndarray] = [np.empty(0)] * len(clips)
        for members in groups.values():
            xyz = np.stack([clips[i].xyz[:, :INNER] for i in members], axis=1)
            observed = np.stack([clips[i].observed[:, :INNER] for i in members], axis=1)
            result = complete(xyz, observed)
            for place, i in enumerate(members):
                done[i] = result[:, place]
        return done

    return run


def filtered(smooth: Filter) -> Run:
    """A method that fills linearly relative to the wrist, then filters every track."""
    return stacked(lambda xyz, observed: smooth(linear_on_wrist(xyz, observed)))


def hold(xyz: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The capture as it is; gaps keep the last value, at the clip's start the first."""
    index = np.arange(len(xyz)).reshape(-1, *[1] * (observed.ndim - 1))
    before = np.maximum.accumulate(np.where(observed, index, -1), axis=0)
    first = np.argmax(observed, axis=0)[None]
    source = np.where(before < 0, first, before)[..., None]
    return np.take_along_axis(xyz, np.broadcast_to(source, xyz.shape), axis=0)


def linear(xyz: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Linear in time, each point by itself; held beyond the outer observations."""
    return fill(xyz, observed).astype(xyz.dtype)


def on_wrist(xyz: np.ndarray, observed: np.ndarray, complete: Fill) -> np.ndarray:
    """Fill the body, then the hands relative to the body's wrist of their side."""
    out = complete(xyz, observed)
    for name, wrist in WRISTS.items():
        part, at = HOLISTIC.parts[name], HOLISTIC.index(*wrist)
        wrist_track = out[..., at:at + 1, :]
        out[..., part, :] = complete(xyz[..., part, :] - wrist_track, observed[..., part]) + wrist_track
    return out


def linear_on_wrist(xyz: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """`linear`, the hands relative to the body's wrist."""
    return on_wrist(xyz, observed, linear)


def hold_on_wrist(xyz: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """`hold`, the hands relative to the body's wrist: a lost hand keeps its shape and goes along."""
    return on_wrist(xyz, observed, hold)


def pchip_on_wrist(xyz: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Shape-preserving cubic (Fritsch and Carlson 1980) relative to the body's wrist; held beyond the ends."""
    return on_wrist(xyz, observed, pchip)


def pchip(xyz: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Shape-preserving cubic of each point by itself; held beyond the outer observations."""
    frames = len(xyz)
    out = hold(xyz, observed).reshape(frames, -1, 3).astype(np.float32)
    values, seen = xyz.reshape(frames, -1, 3), observed.reshape(frames, -1)
    gaping = np.flatnonzero(~seen.all(axis=0) & (seen.sum(axis=0) >= 2))
    groups: dict[bytes, list[int]] = defaultdict(list)
    for column in gaping.tolist():
        groups[seen[:, column].tobytes()].append(column)
    for chosen in groups.values():
        columns = np.array(chosen)
        rows = np.flatnonzero(seen[:, columns[0]])
        inside = np.arange(rows[0], rows[-1] + 1)
        out[np.ix_(inside, columns)] = PchipInterpolator(rows, values[np.ix_(rows, columns)], axis=0)(inside)
        out[:rows[0], columns], out[rows[-1] + 1:, columns] = values[rows[0], columns], values[rows[-1], columns]
    return out.reshape(xyz.shape)


def pose_interpolate(kind: str) -> Run:
    """`pose.interpolate` of pose-format on the points that have gaps; what it leaves out at the ends is held."""
    def one(clip: Known) -> np.ndarray:
        xyz, observed = clip.xyz[:, :INNER], clip.observed[:, :INNER]
        out = hold(xyz, observed)
        gaping = ~observed.all(axis=0) & observed.any(axis=0)
        if len(xyz) < 2 or not gaping.any():
            return out
        data, confidence = xyz[:, None, gaping], observed[:, None, gaping].astype(np.float32)
        mask = np.broadcast_to(confidence[..., None] == 0, data.shape)
        body = NumPyPoseBody(20., np.ma.masked_array(data, mask), confidence).interpolate(kind=kind)
        filled = body.confidence[:, 0] > 0
        out[:, gaping] = np.where(filled[..., None], np.ma.getdata(body.data)[:, 0], out[:, gaping])
        return out

    return lambda clips: [one(clip) for clip in clips]


def savitzky_golay(window: int, order: int) -> Filter:
    """Savitzky and Golay 1964; the window shrinks to short clips."""
    def smooth(x: np.ndarray) -> np.ndarray:
        width = min(window, len(x) - 1 + len(x) % 2)
        return savgol_filter(x, width, order, axis=0) if width > order else x

    return smooth


def median_savitzky_golay(size: int, window: int, order: int) -> Filter:
    """A running median against outliers, then Savitzky-Golay."""
    after = savitzky_golay(window, order)
    return lambda x: after(median_filter(x, size=(size, *[1] * (x.ndim - 1)), mode="nearest"))


def butterworth(cutoff: float, order: int = 2) -> Filter:
    """Zero-phase Butterworth low-pass; `cutoff` as a share of the Nyquist frequency."""
    sos = butter(order, cutoff, output="sos")

    def smooth(x: np.ndarray) -> np.ndarray:
        pad = min(3 * (2 * len(sos) + 1), len(x) - 1)
        return sosfiltfilt(sos, x, axis=0, padlen=pad).astype(x.dtype) if pad > 0 else x

    return smooth


def one_euro(min_cutoff: float, beta: float, derivative_cutoff: float = 1.) -> Filter:
    """The One-Euro filter (Casiez, Roussel and Vogel 2012) forwards, then backwards; cutoffs in cycles per frame."""
    def alpha(cutoff: np.ndarray | float) -> np.ndarray | float:
        return 1 / (1 + 1 / (2 * math.pi * cutoff))

    def once(x: np.ndarray) -> np.ndarray:
        out, speed = x.copy(), np.zeros_like(x[0])
        for t in range(1, len(x)):
            speed = speed + alpha(derivative_cutoff) * (x[t] - x[t - 1] - speed)
            out[t] = out[t - 1] + alpha(min_cutoff + beta * np.abs(speed)) * (x[t] - out[t - 1])
        return out

    return lambda x: once(once(x)[::-1])[::-1]


def kalman(stiffness: float) -> Filter:
    """Kalman smoother (Rauch, Tung and Striebel 1965) of a constant acceleration disturbed by white jerk.

    Parameters
    ----------
    stiffness : float
        Spectral density of the jerk over the variance of the measurements, per frame to the fifth power. Only this
        ratio matters, as the start is (almost) diffuse.
    """
    def smooth(x: np.ndarray) -> np.ndarray:
        # The smoother is linear in the measurements: run it once on unit vectors instead of on every track.
        matrix = smoother_matrix(len(x), stiffness)
        return np.tensordot(matrix.astype(x.dtype), x, axes=1)

    return smooth


JERK_TRANSITION = np.array([[1, 1, .5], [0, 1, 1], [0, 0, 1]])
JERK_NOISE = np.array([[1 / 20, 1 / 8, 1 / 6], [1 / 8, 1 / 3, 1 / 2], [1 / 6, 1 / 2, 1]])
DIFFUSE = np.diag([1e6, 1e4, 1e2])  # variances of the start, in those of the measurements


def smoother_matrix(frames: int, stiffness: float) -> np.ndarray:
    """`(T, T)`: smoothed = matrix @ measured, for measurements of variance 1."""
    measured, noise = np.eye(frames), stiffness * JERK_NOISE
    state, variance = np.zeros((3, frames)), DIFFUSE
    forward: list[tuple[np.ndarray, ...]] = []
    for row in measured:
        if forward:
            state, variance = JERK_TRANSITION @ state, JERK_TRANSITION @ variance @ JERK_TRANSITION.T + noise
        predicted = (state, variance)
        gain = variance[:, 0] / (variance[0, 0] + 1)
        state = state + gain[:, None] * (row - state[0])
        variance = variance - np.outer(gain, variance[0])
        forward.append((*predicted, state, variance))
    out = [state[0]]
    for t in range(frames - 2, -1, -1):
        ahead, ahead_variance = forward[t + 1][:2]
        now, now_variance = forward[t][2:]
        gain = np.linalg.solve(ahead_variance, JERK_TRANSITION @ now_variance).T
        state = now + gain @ (state - ahead)
        out.append(state[0])
    return np.array(out[::-1])
