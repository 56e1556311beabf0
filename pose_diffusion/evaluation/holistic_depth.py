"""The depth of signers: what must be true of any body, measured without a true depth.

Nobody knows how deep the arms of a signer in a video are. But bones keep their length, left ones are as long as right
ones, an adult has an adult's proportions, nobody shakes in depth only, and a hand that is seen before the trunk or the
face is nearer to the camera than these. So MediaPipe's own z and that of `lift` can be held against the same standard.

Bodies are `(T, 17, 3)`: the joints of `BODY`, x to the right, y down, z away from the camera, one unit for all three.
Lengths are then in shoulder widths (SW) of the clip in the picture, or in metres of a body whose shoulders are
`SHOULDERS` apart.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pose_format import Pose

from pose_diffusion.clip import numpy_pose
from pose_diffusion.layout import BODY as PICTURE
from pose_diffusion.layout import LEFT_HAND, RIGHT_HAND, WORLD, header_positions
from pose_diffusion.motion.combinations import FROM_MEDIAPIPE, combine
from pose_diffusion.motion.skeletons import ADULT, BODY, STATURE
from pose_diffusion.tasks.detections import joints_of, picture_size

SIDES = ("left", "right")
KINDS = ("upper arm", "forearm", "shoulders", "trunk")
ARMS = 2  # the first kinds, which have a left and a right one
SHOULDERS = 2 * ADULT["shoulder"] * STATURE  # metres between an adult's shoulders
ADULTS = dict(zip(KINDS, (ADULT["elbow"], ADULT["wrist"], 2 * ADULT["shoulder"], ADULT["spine"] + ADULT["thorax"])))

SURE = .5  # confidence from which a joint counts as seen
ENOUGH = 8  # frames of a clip
MOVING = tuple(f"{side}_{joint}" for side in SIDES for joint in ("elbow", "wrist"))
FACTORS = np.linspace(0, 1.5, 76)  # of MediaPipe's z, that are tried
CHEST = 1.  # SW below the shoulders to which a hand between them is before the trunk
FACE = .25  # SW around the middle of the ears in which a hand is before the face


@dataclass(frozen=True)
class Signer:
    """A clip of a signer, as MediaPipe Holistic saw it.

    Attributes
    ----------
    picture : np.ndarray
        `(T, 17, 2)` pixels.
    confidence : np.ndarray
        `(T, 17)`: how sure the detector is, 0 for what it put outside the picture.
    depth : np.ndarray
        `(T, 17)`: MediaPipe's z as its documentation has it, in the pixels of x.
    hands : np.ndarray
        `(T, 2)` bool: whether the network of hands found the left one, the right one.
    world : np.ndarray or None
        `(T, 17, 3)`: MediaPipe's world landmarks, in metres where the file is as MediaPipe gave it.
    """

    picture: np.ndarray
    confidence: np.ndarray
    depth: np.ndarray
    hands: np.ndarray
    world: np.ndarray | None

    @property
    def seen(self) -> np.ndarray:
        """`(T, 17)` bool: joints that the detector is sure of."""
        return self.confidence >= SURE

    def with_depth(self, factor: float) -> np.ndarray:
        """`(T, 17, 3)`: the picture with MediaPipe's z times a factor; 0 is the flat picture."""
        return np.concatenate([self.picture, factor * self.depth[..., None]], axis=-1)


def signer_of(pose: Pose) -> Signer:
    """The first person of a pose of MediaPipe Holistic.

    Raises
    ------
    ValueError
        If the pose has no z, no body of MediaPipe, or too little of it was seen.
    """
    pose = numpy_pose(pose)
    if pose.body.data.shape[-1] < 3:
        raise ValueError("points without z: there is no depth to compare with")
    picture, confidence = joints_of(pose)
    width, height = picture_size(pose)
    place = header_positions(pose.header)
    world = _joints(pose, WORLD) / [width, height, 1] if (WORLD, "LEFT_WRIST") in place else None
    wrists = [place.get((hand, "WRIST")) for hand in (LEFT_HAND, RIGHT_HAND)]
    hands = [np.zeros(len(picture), bool) if at is None else np.asarray(pose.body.confidence)[:, 0, at] > 0
             for at in wrists]
    own = _joints(pose, PICTURE)
    return Signer(own[..., :2], confidence, own[..., 2] * width, np.stack(hands, axis=1), world)


def _joints(pose: Pose, component: str) -> np.ndarray:
    """``(T, 17, 3)`` as stored, also of points that MediaPipe is not sure of: it always gives all."""
    place = header_positions(pose.header)
    columns = np.array([place.get((component, point), -1) for point in FROM_MEDIAPIPE.source])
    data = np.ma.getdata(pose.body.data)[:, 0].astype(np.float64)
    values = np.where((columns >= 0)[:, None], data[:, columns], 0)
    return combine(FROM_MEDIAPIPE, values)[0]


def enough_seen(signer: Signer) -> bool:
    """Whether the shoulders and one arm are seen in `ENOUGH` frames."""
    both = _both(signer.seen, "left_shoulder", "right_shoulder")
    arms = [both & _both(signer.seen, f"{side}_elbow", f"{side}_wrist") for side in SIDES]
    return max(int(arm.sum()) for arm in arms) >= ENOUGH


def lengths(xyz: np.ndarray) -> np.ndarray:
    """`(..., 2, 4)`: lengths of the bones `KINDS` of the left and the right side, of joints `(..., 17, 3)`."""
    return np.stack([np.stack([np.linalg.norm(xyz[..., BODY.index(a), :] - xyz[..., BODY.index(b), :], axis=-1)
                               for a, b in _ends(side)], axis=-1) for side in SIDES], axis=-2)


def _ends(side: str) -> tuple[tuple[str, str], ...]:
    return ((f"{side}_shoulder", f"{side}_elbow"), (f"{side}_elbow", f"{side}_wrist"),
            ("left_shoulder", "right_shoulder"), ("pelvis", "thorax"))


def _both(seen: np.ndarray, a: str, b: str) -> np.ndarray:
    return seen[:, BODY.index(a)] & seen[:, BODY.index(b)]


def _known_lengths(xyz: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """``(T, 2, 4)``: NaN where an end was not seen, or the bone in fewer than `ENOUGH` frames."""
    known = np.stack([np.stack([_both(seen, a, b) for a, b in _ends(side)], axis=-1) for side in SIDES], axis=-2)
    return np.where(known & (known.sum(0) >= ENOUGH), lengths(xyz), np.nan)


def steadiness(xyz: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`(4,)`: std over mean of the length of each bone of `KINDS` over the frames in which it is seen, mean of both
    sides; NaN where it is never seen for long. Of a body it is 0.
    """
    known = _known_lengths(xyz, seen)
    return _mean(_of_seen(np.nanstd, known) / _of_seen(np.nanmean, known))


def asymmetry(xyz: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`(2,)`: by how much the one upper arm is longer than the other, and the forearm, both as the median over time:
    absolute logarithm of the ratio. Of a body it is about 0.
    """
    left, right = np.log(_of_seen(np.nanmedian, _known_lengths(xyz, seen)))[:, :ARMS]
    return np.abs(left - right)


def off_adult(xyz: np.ndarray, seen: np.ndarray) -> float:
    """How far proportions are from an adult's (`skeletons.ADULT`): root mean square over the seen bones of `KINDS` of
    the logarithm of their median length over an adult's, at the size that fits best. NaN with fewer than three bones.
    Adults differ: of most it is below .1.
    """
    middle = _mean(np.log(_of_seen(np.nanmedian, _known_lengths(xyz, seen))))
    ratios = (middle - np.log([ADULTS[kind] for kind in KINDS]))[np.isfinite(middle)]
    return float(np.std(ratios)) if len(ratios) >= 3 else float("nan")


def _of_seen(statistic: Callable[..., np.ndarray], known: np.ndarray) -> np.ndarray:
    """A statistic over time ``(2, 4)`` that ignores NaN; NaN, and no warning, where there is nothing else."""
    there = np.isfinite(known).any(0)
    return np.where(there, statistic(np.where(there, known, 1), axis=0), np.nan)


def _mean(sides: np.ndarray) -> np.ndarray:
    """The mean ``(4,)`` over the sides that are not NaN; NaN where both are."""
    there = np.isfinite(sides)
    return np.where(there.any(0), np.where(there, sides, 0).sum(0) / np.maximum(there.sum(0), 1), np.nan)


def shoulder_width(signer: Signer) -> float:
    """Pixels between the shoulders in the picture, median over the frames that show both; NaN if none does."""
    both = _both(signer.seen, "left_shoulder", "right_shoulder")
    return width_of(signer.picture[both]) if both.any() else float("nan")


def width_of(points: np.ndarray) -> float:
    """Median distance between the shoulders of points `(T, 17, D)`."""
    left, right = (points[:, BODY.index(f"{side}_shoulder")] for side in SIDES)
    return float(np.median(np.linalg.norm(left - right, axis=-1)))


def shaking(xyz: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`(3,)`: sums of the squared second difference over time of z, and of x and y (mean of the two axes), and the
    number of summands, of seen elbows and wrists relative to the middle of the shoulders; the unit of `xyz`, per frame
    squared. Movement has about as much of it in depth as in the picture; noise of depth adds to z only.
    """
    relative = xyz - xyz[:, BODY.index("thorax"), None]
    out = np.zeros(3)
    for joint in map(BODY.index, MOVING):
        known = seen[:, joint] & seen[:, BODY.index("thorax")]
        squared = np.square(np.diff(relative[:, joint], n=2, axis=0))[known[:-2] & known[1:-1] & known[2:]]
        out += squared[:, 2].sum(), squared[:, :2].mean(1).sum(), len(squared)
    return out


def in_front(xyz: np.ndarray, signer: Signer) -> np.ndarray:
    """How far wrists are before the trunk or the face, in the unit of `xyz`; below 0 where they are behind.

    Only wrists count that the picture shows there, whose hand was found, so that it is in front, and of bodies that
    face the camera. The trunk is the plane through the shoulders and the pelvis; the face is no nearer than the middle
    of the ears.

    Returns
    -------
    np.ndarray
        One number for each such wrist and frame.
    """
    shoulder, other = (signer.picture[:, BODY.index(f"{side}_shoulder")] for side in SIDES)
    both = _both(signer.seen, "left_shoulder", "right_shoulder") & ((shoulder - other)[:, 0] > 0)
    unit = np.maximum(np.linalg.norm(shoulder - other, axis=-1), 1e-6)
    head, thorax = BODY.index("head"), BODY.index("thorax")
    out = []
    for hand, side in enumerate(SIDES):
        wrist = BODY.index(f"{side}_wrist")
        known = both & signer.seen[:, wrist] & signer.hands[:, hand]
        at = signer.picture[:, wrist]
        down = (at - signer.picture[:, thorax])[:, 1]
        beside = np.abs((at - signer.picture[:, thorax])[:, 0])
        trunk = known & (down > 0) & (down < CHEST * unit) & (beside < (shoulder - other)[:, 0] / 2)
        face = known & (np.linalg.norm(at - signer.picture[:, head], axis=-1) < FACE * unit) & signer.seen[:, head]
        out += [(trunk_depth(xyz, xyz[:, wrist, :2]) - xyz[:, wrist, 2])[trunk],
                (xyz[:, head, 2] - xyz[:, wrist, 2])[face]]
    return np.concatenate(out)


def trunk_depth(xyz: np.ndarray, at: np.ndarray) -> np.ndarray:
    """`(T,)`: z of the plane through the shoulders and the pelvis at places `(T, 2)` of x and y."""
    left, right, pelvis = (xyz[:, BODY.index(name)] for name in ("left_shoulder", "right_shoulder", "pelvis"))
    normal = np.cross(left - pelvis, right - pelvis)
    steep = np.where(np.abs(normal[:, 2]) > 1e-9, normal[:, 2], np.nan)  # a trunk seen from its edge tells nothing
    return pelvis[:, 2] - ((at - pelvis[:, :2]) * normal[:, :2]).sum(-1) / steep


def best_factor(signers: Sequence[Signer]) -> float:
    """The factor of MediaPipe's z at which the bones of a signer's clips vary least: it is chosen by the very measure
    that it is judged by, in MediaPipe's favour. 1 if no bone is seen.
    """
    found = np.array([[steadiness(signer.with_depth(factor), signer.seen) for factor in FACTORS]
                      for signer in signers])  # (clips, factors, 4)
    known = np.isfinite(found[:, :1])
    costs = np.where(known, found, 0).sum((0, 2)) / max(1, known.sum())
    return float(FACTORS[costs.argmin()]) if known.any() else 1.


def moments(a: np.ndarray, b: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`(4,)`: sums of squares of two depths `(T,)` and of their product where they are seen, each less its mean over
    these frames, and how many frames. Sums of several clips make a correlation *within* clips: `correlation`.
    """
    if seen.sum() < ENOUGH:
        return np.zeros(4)
    a, b = a[seen] - a[seen].mean(), b[seen] - b[seen].mean()
    return np.array([a @ a, b @ b, a @ b, len(a)])


def correlation(sums: np.ndarray) -> float:
    """Pearson's r of the sums of `moments`; NaN of nothing."""
    return float(sums[2] / np.sqrt(sums[0] * sums[1])) if sums[0] > 0 and sums[1] > 0 else float("nan")


def relative_depth(xyz: np.ndarray, joint: str) -> np.ndarray:
    """`(..., T)`: how far a joint is behind the middle of the shoulders, of bodies `(..., T, 17, 3)`."""
    return xyz[..., BODY.index(joint), 2] - xyz[..., BODY.index("thorax"), 2]


def ends(values: np.ndarray, share: float = .9) -> tuple[np.ndarray, np.ndarray]:
    """Ends `(...)` of the interval that holds so much of H values `(H, ...)`, by quantiles at rank p (H + 1).

    Raises
    ------
    ValueError
        If H is too small for the interval to have ends.
    """
    count = len(values)
    low = (1 - share) / 2 * (count + 1)
    if low < 1 - 1e-9:
        least = round(2 / (1 - share)) - 1
        raise ValueError(f"the {share:.0%} interval needs at least {least} hypotheses, not {count}")
    places = ((np.array([low, count + 1 - low]) - 1) / (count - 1)).clip(0, 1)
    bottom, top = np.quantile(values, places, axis=0)
    return bottom, top
