"""A tiny pack of constructed people: two sources that move smoothly, each in its own way."""
from __future__ import annotations

import numpy as np

from pose_diffusion.evaluation.cases import NOMINAL_FPS, Known, Trial, gaps
from pose_diffusion.layout import BODY, HOLISTIC
from pose_diffusion.training.data import Pack

POINTS = len(HOLISTIC)


def person(frames: int, rng: np.random.Generator) -> np.ndarray:
    """`(T, K, 3)` points in shoulder widths: hands on arms that swing, fingers that open and close."""
    t = np.arange(frames)[:, None, None] / NOMINAL_FPS
    rest = rng.normal(0, .3, (1, POINTS, 3))
    rest[:, HOLISTIC.index(BODY, "LEFT_SHOULDER")] = (.5, 0, 0)
    rest[:, HOLISTIC.index(BODY, "RIGHT_SHOULDER")] = (-.5, 0, 0)
    phase = rng.uniform(0, 6, (1, POINTS, 1))
    xyz = rest + .05 * np.sin(2 * np.pi * t + phase) * rng.normal(0, 1, (1, POINTS, 3))
    for hand, side in (("left_hand", "LEFT"), ("right_hand", "RIGHT")):
        wrist = xyz[:, HOLISTIC.index(BODY, f"{side}_WRIST")]
        wrist += .3 * np.sin(3 * t[:, 0] + rng.uniform(0, 6, (1, 3)))
        xyz[:, HOLISTIC.parts[hand]] = xyz[:, HOLISTIC.parts[hand]] * .3 + wrist[:, None]
    return xyz.astype(np.float32)


def pack(counts: dict[str, int], frames: int = 26, seed: int = 0) -> Pack:
    """`counts` clips of each source; every third clip has no left hand."""
    rng = np.random.default_rng(seed)
    clips = [person(frames + i % 3, rng) for count in counts.values() for i in range(count)]
    lens = np.array([len(clip) for clip in clips])
    confidence = [np.full(clip.shape[:2], 255, np.uint8) for clip in clips]
    for seen in confidence[::3]:
        seen[:, HOLISTIC.parts["left_hand"]] = 0
    source = np.repeat(np.arange(len(counts)), list(counts.values()))
    return Pack(np.concatenate(clips).astype(np.float16), np.concatenate(confidence), np.cumsum(lens) - lens, lens,
                source, np.zeros(len(lens)), list(counts))


def trial(truth: np.ndarray, observed: np.ndarray, touched: np.ndarray, lens: list[int] | None = None) -> Trial:
    """A trial from arrays `(N, K, ...)` of body and hands, everything true."""
    lens = lens or [len(truth)]
    ends = np.cumsum(lens)
    rows = [slice(end - n, end) for n, end in zip(lens, ends)]
    known = [Known(truth[r], observed[r], np.arange(n) / NOMINAL_FPS, 0) for n, r in zip(lens, rows)]
    return Trial(known, truth, np.ones_like(observed), touched, observed,
                 np.concatenate([gaps(observed[r]) for r in rows]), np.repeat(np.arange(len(lens)), lens))
