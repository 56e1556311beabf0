"""A drop-in for spoken-to-signed's `smooth_concatenate_poses`: signs of a lexicon to one flowing pose.

Put it into `spoken_to_signed.gloss_to_pose.concatenate`, as itself or with `functools.partial(..., hold=0.2)`; see
docs/compose.md.
"""
from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import FACE, Layout, locate
from pose_diffusion.tasks.inbetween import LONGEST, checked_timing, join
from pose_diffusion.tasks.reconciling import reconciled
from pose_diffusion.tasks.refine import Model, Settings, checked_settings, load_model, refine_all

OVERLAP, SHARE = .3, .3  # seconds, and share of a sign, that may be cut off where it is joined
MENDED = .5  # seconds: in signs, points that were lost for no longer are filled in


def smooth_concatenate_poses(poses: Sequence[Pose], padding: float = 0.07, *, hold: float = 0.0, pause: float = 0.0,
                             tempo: float = 1.0, steps: int = 1, seed: int = 0, device: str = "cpu",
                             model: Model = None) -> Pose:
    """Join signs of a lexicon.

    As in spoken-to-signed 0.4 each sign is cut where it comes nearest to the next one, within 0.3 s (and 30 %) of its
    end and the next one's beginning, so that hands need not be lowered and raised between them. Instead of a straight
    line of always 0.07 s and a filter over everything, the way between is generated, as long as a hand takes for it;
    what is left of the signs stays as it is, but for points lost for up to 0.5 s, which are filled in.

    Parameters
    ----------
    poses : sequence of Pose
        One or more, as pipelines of spoken-to-signed have them: full or reduced, normalised or in pixels. Not changed.
    padding : float
        Seconds that a transition takes at least.
    hold, pause, tempo, steps, seed, device, model
        As in `inbetween`. `pause` is made at each join: it is for joining sentences, not words.

    Returns
    -------
    Pose
        New, with a header of its own.

    Raises
    ------
    ValueError
        One line that says what is wrong with a pose or an argument.
    """
    settings = checked_settings(1.0, True, None, steps, 1.0, seed)
    timing = checked_timing(None, hold, [pause] * max(0, len(poses) - 1) + [0.0])
    if not 0 <= padding <= LONGEST:
        raise ValueError(f"padding must be from 0 to {LONGEST:g} seconds, not {padding}")
    loaded = load_model(model, device)
    signs = trimmed(reconciled(poses, loaded.layout, tempo=tempo), loaded.layout)
    walk = join(mended(signs, settings, loaded), replace(timing, least=padding), settings, loaded)
    return deque(walk, maxlen=1).pop()


def trimmed(poses: Sequence[Pose], layout: Layout) -> list[Pose]:
    """Signs that are alike, each cut where it is best left for the next, and begun where it is best entered."""
    cuts = [connection(a, b, layout) for a, b in zip(poses, poses[1:])]
    firsts = [0, *(first for _, first in cuts)]
    ends = [*(last + 1 for last, _ in cuts), len(poses[-1].body.data)]
    return [Pose(pose.header, pose.body[min(first, end - 1):end]) for pose, first, end in zip(poses, firsts, ends)]


def connection(before: Pose, after: Pose, layout: Layout) -> tuple[int, int]:
    """The last frame to keep of one pose, and the first of the next: the pair with the least distance.

    Returns
    -------
    tuple of int
        That pair minimises the root of the mean squared distance of the points of body and hands in the image, weighed
        by both confidences, as in spoken-to-signed 0.4. Of poses that share no point the last and the first.
    """
    found = locate(before.header, layout)
    inner = [at for at, (component, _) in zip(found.tolist(), layout.points) if at >= 0 and component != FACE]
    fps = float(before.body.fps)
    reach = [math.ceil(min(OVERLAP * fps, SHARE * len(pose.body.data))) for pose in (before, after)]
    rows = slice(len(before.body.data) - reach[0], None), slice(0, reach[1])
    points = [np.ma.getdata(pose.body.data)[row][:, :, inner, :2].astype(np.float64)
              for pose, row in zip((before, after), rows)]
    sure = [np.asarray(pose.body.confidence)[row][:, :, inner] for pose, row in zip((before, after), rows)]
    weight = sure[0][:, None] * sure[1][None]
    points = [np.where(confidence[..., None] > 0, xy, 0) for xy, confidence in zip(points, sure)]
    squared = np.square(points[0][:, None] - points[1][None]).sum(-1)
    total = weight.sum((2, 3))
    mean = np.where(total > 0, (weight * squared).sum((2, 3)) / np.where(total > 0, total, 1), np.inf)
    if not np.isfinite(mean).any():
        return len(before.body.data) - 1, 0
    last, first = np.unravel_index(np.argmin(mean), mean.shape)
    return rows[0].start + int(last), int(first)


def mended(poses: Sequence[Pose], settings: Settings, model: PoseDiffusion) -> list[Pose]:
    """Poses in which points that were lost for a short while are filled in."""
    out = []
    for pose, whole in zip(poses, refine_all(poses, settings, model)):
        mask = np.ma.getmaskarray(pose.body.data)
        seen = (np.asarray(pose.body.confidence) > 0) & ~mask.any(-1)
        short = _short_gaps(seen, round(MENDED * float(pose.body.fps))) & (whole.body.confidence > 0)
        data = np.where(short[..., None], np.ma.getdata(whole.body.data), np.ma.getdata(pose.body.data))
        confidence = np.where(short, whole.body.confidence, pose.body.confidence)
        body = NumPyPoseBody(pose.body.fps, np.ma.masked_array(data, mask & ~short[..., None]), confidence)
        out.append(Pose(pose.header, body))
    return out


def _short_gaps(seen: np.ndarray, most: int) -> np.ndarray:
    """Where `(T, ...)` bool is False between two True that are at most `most` frames of False apart."""
    frame = np.arange(len(seen)).reshape(-1, *[1] * (seen.ndim - 1))
    before = np.maximum.accumulate(np.where(seen, frame, -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, frame, len(seen))[::-1], axis=0)[::-1]
    return ~seen & (before >= 0) & (after < len(seen)) & (after - before - 1 <= most)
