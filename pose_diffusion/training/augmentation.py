"""Other bodies, other cameras, other tempi, from the few there are."""
from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_diffusion.layout import Layout

HANDS = ("left_hand", "right_hand")


def augment(xyz: np.ndarray, observed: np.ndarray, rng: np.random.Generator, layout: Layout, *,
            backwards: bool = True, mirrored: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Mirror, reverse, turn, scale and re-proportion a clip.

    Parameters
    ----------
    xyz, observed : np.ndarray
        `(T, K, 3)` shoulder widths, y down; `(T, K)`, > 0 where observed (or a weight).
    rng : np.random.Generator
        Fixes the draw.
    layout : Layout
        The points.
    backwards, mirrored : bool
        Whether a clip may be played backwards, or mirrored: not where it has to be the sign that it is.

    Returns
    -------
    tuple of np.ndarray
        The same shapes.
    """
    if rng.random() < .5 and mirrored:
        mirror = list(layout.mirror)
        xyz, observed = xyz[:, mirror] * np.array([-1, 1, 1], np.float32), observed[:, mirror]
    if rng.random() < .3 and backwards:
        xyz, observed = xyz[::-1], observed[::-1]
    camera = _turn(rng, (6, 6, 10)) * (rng.uniform(.85, 1.15) * rng.uniform((.92, .92, .8), (1.08, 1.08, 1.2)))
    linear = np.broadcast_to(camera, (len(layout), 3, 3)).copy()
    for part in HANDS:  # every hand turns and grows about its wrist
        own = camera @ _turn(rng, (12, 12, 25)) * rng.uniform(.85, 1.2)
        wrist = layout.parts[part].start
        linear[wrist + 1:layout.parts[part].stop] = own
    scale = np.ones(len(layout), np.float32)
    scale[layout.parts["face"]] = rng.uniform(.85, 1.15)
    body = layout.parts["body"]
    scale[body] *= rng.uniform(.9, 1.1, body.stop - body.start)
    linear = np.asarray(linear * scale[:, None, None], np.float32)
    by_point = layout.to_features @ xyz.transpose(1, 0, 2).reshape(len(layout), -1)  # few large products are quickest
    by_point = np.matmul(by_point.reshape(len(layout), -1, 3), linear)
    by_point = layout.from_features @ by_point.reshape(len(layout), -1)
    out = by_point.reshape(len(layout), -1, 3).transpose(1, 0, 2)
    return np.ascontiguousarray(out), np.ascontiguousarray(observed)


def _turn(rng: np.random.Generator, degrees: tuple[float, float, float]) -> np.ndarray:
    """A small random rotation about x, y and z."""
    return Rotation.from_euler("xyz", rng.uniform(-1, 1, 3) * degrees, degrees=True).as_matrix().astype(np.float32)


def change_tempo(xyz: np.ndarray, confidence: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Play a clip `factor` times as slow: on a Catmull-Rom spline where four frames around are observed (straight lines
    between frames would teach that motion is made of them), else linear, and missing where either neighbour is.
    """
    frames = len(xyz)
    at = np.linspace(0, frames - 1, max(2, round((frames - 1) * factor) + 1))
    low = np.minimum(at.astype(int), frames - 2)
    weight = (at - low).astype(np.float32)
    w = weight[:, None, None]
    around = [np.clip(low + step, 0, frames - 1) for step in (-1, 0, 1, 2)]
    p0, p1, p2, p3 = (xyz[i] for i in around)
    seen = np.stack([confidence[i] > 0 for i in around]).all(0) & ((low > 0) & (low < frames - 2))[:, None]
    spline = p1 + .5 * w * (p2 - p0 + w * (2 * p0 - 5 * p1 + 4 * p2 - p3 + w * (3 * (p1 - p2) + p3 - p0)))
    out = np.where(seen[..., None], spline, p1 + w * (p2 - p1)).astype(np.float32)
    both = np.minimum(confidence[low], confidence[low + 1])
    last = weight[:, None] > 1 - 1e-4
    return out, np.where(weight[:, None] < 1e-4, confidence[low], np.where(last, confidence[low + 1], both))
