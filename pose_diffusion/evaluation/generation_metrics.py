"""What is measured of generated clips.

Lengths are in shoulder widths (SW), time in frames or in the share of a clip. A clip is `(xyz, confidence)`:
`(T, K, 3)` and `(T, K)`, seen where the confidence is above 0.

Sources: nDTW-MJE as in Ham2Pose (Shalev-Arkushin et al. 2023, arXiv 2211.13613); Frechet distance as in FID (Heusel et
al. 2017, arXiv 1706.08500); continuous ranked probability score as in Gneiting and Raftery 2007, its closed form for
the log-normal distribution as in Baran and Lerch 2015 (arXiv 1407.3252).
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.stats import kstest, norm

from pose_diffusion.evaluation.cases import CONFIDENT, INNER, trusted
from pose_diffusion.evaluation.generation import Clip
from pose_diffusion.evaluation.recognition import resampled
from pose_diffusion.layout import FINGERS, HOLISTIC

COMPARED = np.array([i for i, (_, point) in enumerate(HOLISTIC.points[:INNER]) if "HIP" not in point])
HAND_PARTS = ("left_hand", "right_hand")
JOINTS = ("base", "middle", "end")  # of a finger, between its five points from the wrist on
# Degrees of bending beyond which a finger would break: active ranges of motion (0-90 base, 0-110 middle, 0-80 end of
# the fingers; American Academy of Orthopaedic Surgeons) and 25 for the estimate's error.
LIMITS = {"base": 115., "middle": 135., "end": 105.}
COVERED = (.5, .9)
DTW_BATCH = 32


def ndtw_mje(pairs: Sequence[tuple[Clip, Clip]]) -> np.ndarray:
    """Mean joint error after dynamic time warping of every keypoint of upper body and hands on its own.

    A point that the reference does not show costs nothing; one that only the other lacks costs half of the reference's
    distance from the origin, which is between the shoulders. The paper sums over the warping path: here it is divided
    by the reference's frames, so that long clips count no more. Reference points that the capture was not sure of
    count as not shown.

    Parameters
    ----------
    pairs : sequence of (Clip, Clip)
        Reference and other.

    Returns
    -------
    np.ndarray
        `(len(pairs),)` shoulder widths, in 3D.
    """
    out = np.zeros(len(pairs))
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, (reference, other) in enumerate(pairs):
        groups[len(reference[0]), len(other[0])].append(i)
    for members in groups.values():
        for start in range(0, len(members), DTW_BATCH):
            some = members[start:start + DTW_BATCH]
            out[some] = _warped([pairs[i] for i in some])
    return out


def _warped(pairs: Sequence[tuple[Clip, Clip]]) -> np.ndarray:
    a, b = (np.stack([pair[side][0][:, COMPARED] for pair in pairs]).astype(np.float32) for side in (0, 1))
    shown = np.stack([trusted(*reference)[:, COMPARED] for reference, _ in pairs])
    has = np.stack([confidence[:, COMPARED] > 0 for _, (_, confidence) in pairs])
    missing = np.linalg.norm(a, axis=-1) / 2
    last = np.full((b.shape[1] + 1, len(pairs), len(COMPARED)), np.inf, np.float32)
    last[0] = 0
    for i in range(a.shape[1]):
        cost = np.where(has, np.linalg.norm(a[:, i, None] - b, axis=-1), missing[:, i, None])
        cost = np.where(shown[:, i, None], cost, 0).swapaxes(0, 1)
        row = np.full_like(last, np.inf)
        for j in range(1, len(row)):
            row[j] = cost[j - 1] + np.minimum(np.minimum(last[j - 1], last[j]), row[j - 1])
        last = row
    return last[-1].mean(-1) / a.shape[1]


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance between the normal distributions of two sets of features.

    |mean difference|^2 + trace(A + B - 2 (A B)^(1/2)). Covariances are shrunk to their diagonals by d / (n + d), which
    matters where there are few clips. It falls with n: compare sets of the same size.

    Parameters
    ----------
    a, b : np.ndarray
        `(n, d)` each.
    """
    first, second = _covariance(a), _covariance(b)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0)).sum()
    spread = max(0., float(np.trace(first) + np.trace(second) - 2 * roots))  # rounding may take it below 0
    return float(np.square(a.mean(0) - b.mean(0)).sum()) + spread


def _covariance(x: np.ndarray) -> np.ndarray:
    n, d = x.shape
    full = np.cov(x, rowvar=False)
    share = d / (n + d)
    return (1 - share) * full + share * np.diag(np.diag(full))


def apart(a: Clip, b: Clip) -> float:
    """Mean 2D distance of hands and arms of two clips laid on each other over the share of time; NaN without any."""
    seen = np.minimum(*(resampled((c[:, COMPARED] > 0).astype(np.float32)) for _, c in (a, b))) > .99
    away = np.linalg.norm((resampled(a[0][:, COMPARED]) - resampled(b[0][:, COMPARED]))[..., :2], axis=-1)
    return float(away[seen].mean()) if seen.any() else float("nan")


def differences(clip: Clip, order: int, seen: np.ndarray) -> tuple[float, int]:
    """Sum and count of the lengths of a clip's differences of an order in the image plane, SW per frame^order: of body
    and hands where `seen` `(T, INNER)` in all frames that a difference takes. Order 1 is motion, 3 is jerk.
    """
    values = np.linalg.norm(np.diff(clip[0][:, :INNER, :2], n=order, axis=0), axis=-1)
    mask = np.lib.stride_tricks.sliding_window_view(seen, order + 1, axis=0).all(-1) if len(seen) > order else None
    if mask is None:
        return 0., 0
    return float(values[mask].sum()), int(mask.sum())


def moving(clips: Sequence[Clip], order: int, like: Sequence[Clip] | None = None) -> float:
    """The mean of `differences` over clips, where the clips themselves are trusted, or the clips `like` them."""
    sums = [differences(clip, order, _seen(clip, trusted(*(like or clips)[i]))) for i, clip in enumerate(clips)]
    count = sum(n for _, n in sums)
    return sum(total for total, _ in sums) / count if count else float("nan")


def _seen(clip: Clip, also: np.ndarray) -> np.ndarray:
    """`(T, INNER)` bool: what a clip and another, of whatever length, both show for certain."""
    frames = len(clip[0])
    rows = np.linspace(0, len(also) - 1, frames).round().astype(int)
    return (clip[1][:, :INNER] >= CONFIDENT) & also[rows, :INNER]


def hand_bones(clips: Sequence[Clip], like: Sequence[Clip] | None = None) -> float:
    """How much the bones of hands change their 3D length in a clip: standard deviation over mean, the mean over bones
    and clips. Only of frames in which a hand is seen, in the clips themselves or in those `like` them.
    """
    start = HOLISTIC.parts["left_hand"].start
    a, b = np.array([bone for bone in HOLISTIC.bones if start <= min(bone) and max(bone) < INNER]).T
    spreads = []
    for i, (xyz, confidence) in enumerate(clips):
        seen = _seen((xyz, confidence), (like or clips)[i][1] >= CONFIDENT)
        length = np.linalg.norm(xyz[:, a] - xyz[:, b], axis=-1).astype(np.float64)
        both = seen[:, a] & seen[:, b]
        count = both.sum(0)
        mean = (length * both).sum(0) / np.maximum(count, 1)
        variance = (np.square(length - mean) * both).sum(0) / np.maximum(count, 1)
        known = count >= 3
        spreads.extend((np.sqrt(variance[known]) / np.maximum(mean[known], 1e-6)).tolist())
    return float(np.mean(spreads)) if spreads else float("nan")


def broken_fingers(clips: Sequence[Clip], like: Sequence[Clip] | None = None) -> float:
    """Share of finger joints that are bent beyond `LIMITS`, in 3D, in frames in which the hand is seen."""
    broken = total = 0
    for i, (xyz, confidence) in enumerate(clips):
        seen = _seen((xyz, confidence), (like or clips)[i][1] >= CONFIDENT)
        for part in HAND_PARTS:
            hand = xyz[:, HOLISTIC.parts[part]][seen[:, HOLISTIC.parts[part].start]]
            for number in range(1, len(FINGERS)):  # the thumb's base is no hinge
                chain = hand[:, [0, *range(4 * number + 1, 4 * number + 5)]]
                bones = np.diff(chain, axis=1)
                bones /= np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-6)
                bent = np.degrees(np.arccos(np.clip((bones[:, :-1] * bones[:, 1:]).sum(-1), -1, 1)))
                broken += int((bent > [LIMITS[joint] for joint in JOINTS]).sum())
                total += bent.size
    return broken / total if total else float("nan")


def recognised(probabilities: np.ndarray, labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """`(N,)` bool: which clips are taken for what they should be."""
    return np.array([classes[best] == label for best, label in zip(probabilities.argmax(1), labels)], bool)


def calibration(mean: np.ndarray, std: np.ndarray, seconds: np.ndarray) -> dict[str, float]:
    """How well log-normal distributions of lengths fit.

    Parameters
    ----------
    mean, std : np.ndarray
        `(N,)` of ln(seconds).
    seconds : np.ndarray
        `(N,)` the truth.

    Returns
    -------
    dict of str to float
        `error`: mean absolute error of the median, in seconds; `bias`: mean of ln(median / truth); `covered 50`,
        `covered 90`: share of truths in the middle 50 and 90 %; `pit`: largest distance of the distribution of the
        truths' quantiles from the uniform one (Kolmogorov; 0 is calibrated); `crps`: in seconds; `crps constant`: the
        same of one distribution for all, fitted to these very truths.
    """
    log = np.log(seconds)
    z = (log - mean) / std
    out = {"clips": float(len(seconds)), "error": float(np.abs(np.exp(mean) - seconds).mean()),
           "bias": float((mean - log).mean())}
    for share in COVERED:
        out[f"covered {round(100 * share)}"] = float((np.abs(z) <= norm.ppf(.5 + share / 2)).mean())
    out["pit"] = float(kstest(norm.cdf(z), "uniform").statistic)
    out["crps"] = float(_crps(mean, std, seconds).mean())
    usual = np.full_like(log, log.mean()), np.full_like(log, max(1e-3, log.std()))
    out["crps constant"] = float(_crps(*usual, seconds).mean())
    return out


def _crps(mean: np.ndarray, std: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    z = (np.log(seconds) - mean) / std
    return (seconds * (2 * norm.cdf(z) - 1) - 2 * np.exp(mean + std**2 / 2) *
            (norm.cdf(z - std) + norm.cdf(std / np.sqrt(2)) - 1))
