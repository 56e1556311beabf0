"""Points and hands that jump away and come back within a few frames, and hands that are off their arm."""
from __future__ import annotations

import numpy as np

from pose_diffusion.capture.draft import BODY_PART, HAND_BONES, HAND_PARTS, WRISTS, Signer
from pose_diffusion.layout import BODY, BODY_POINTS, HOLISTIC
from pose_diffusion.timeline import fill

MOST_FRAMES = 3  # of an excursion
WINDOW = 7  # frames: of the running median; more than twice an excursion
WIDE = 15  # frames: of the median absolute deviation
FLOOR = .15  # shoulder widths: what goes no farther is no teleport
TIMES = 3  # standard deviations, told from the median absolute deviation; Hampel's usual choice
QUIET = .5  # of a jump: how far a track may go from frame to frame just before and after an excursion
BESIDE = .2  # shoulder widths that a hand has to jump relative to its arm, or an arm relative to its hand
STRETCHED = 1.5  # times its usual length: a bone one end of which has jumped
OFF_ARM = .7  # shoulder widths between the hand's wrist and the body's, beyond which a hand is not on that arm,
OFF_MIDDLE = .45  # if its middle is that far off as well: else only the point that is its wrist has jumped
MOST_SHARE = .25  # of the frames of each point that may be removed; the farthest go first
WHOLE = 1e3  # shoulder widths: more than any distance, so that whole hands go before single points of them

LIMBS = tuple(tuple(i for i, name in enumerate(BODY_POINTS) if name.split("_")[0] == side
                    and name.split("_")[-1] in ("ELBOW", "WRIST", "PINKY", "INDEX", "THUMB"))
              for side in ("LEFT", "RIGHT"))
GROUPS = (*LIMBS, tuple(i for i in range(len(BODY_POINTS)) if i not in {*LIMBS[0], *LIMBS[1]}))  # arms, trunk and head
KNUCKLES = tuple(tuple(HOLISTIC.index(BODY, f"{side}_{point}") for point in ("PINKY", "INDEX", "THUMB"))
                 for side in ("LEFT", "RIGHT"))


def teleports(signer: Signer) -> np.ndarray:
    """Points to be removed, at most `MOST_SHARE` of the frames of each.

    * A point of the body that makes an excursion (`excursions`). Wrist and knuckles also have to be `BESIDE` from where
      they usually are on the hand, or the knuckles on the wrist if no hand is seen: an arm that moves takes all along.
      An arm, or the trunk with the head, that jumps at an end of its track does not count: it may well move.
    * A point of a hand that makes one relative to the middle of the hand, and is on a bone that is `STRETCHED`.
    * A whole hand whose middle makes one, and which is `BESIDE` from where it usually is on its arm; or that is
      `OFF_ARM`. Where it cannot be compared with its arm, a jump at an end of its track does not count.
    * A hand, or the body's wrist, that makes one relative to the other and is `BESIDE`, if it is the one of both that
      is farther from where it usually is in the picture. So jumps are found in the midst of a movement, too.

    Parameters
    ----------
    signer : Signer
        A person.

    Returns
    -------
    np.ndarray
        `(T, 67)` bool.
    """
    far = np.zeros(signer.seen.shape, np.float32)
    far[:, BODY_PART] = _body(signer)
    for side, part in enumerate(HAND_PARTS):
        middle, there = _middle(signer.hands[:, side], signer.hands_seen[:, side])
        points = _points(signer, side, middle)
        sure = (points[:, 0] == 0) & (far[:, WRISTS[side]] == 0)
        whole = _whole(signer, side, middle, there, sure)
        far[:, part] = np.where(whole[:, None] > 0, whole[:, None] + np.float32(WHOLE), points)
    return _worst(far * signer.seen, signer.seen)


def _body(signer: Signer) -> np.ndarray:
    """`(T, 25)` how far the body's points are astray, 0 where they are not."""
    xy, seen = signer.xy[:, BODY_PART], signer.seen[:, BODY_PART]
    far, at_end = _astray(xy, seen)
    for group in GROUPS:
        many = 2 * (far[:, group] > 0).sum(1, keepdims=True) > seen[:, group].sum(1, keepdims=True)
        far[:, group] = np.where(at_end[:, group] & many, 0, far[:, group])
    for side, wrist in enumerate(WRISTS):
        hand, hand_seen = signer.hands[:, side, :1], signer.hands_seen[:, side, :1]
        arm, knuckles = [wrist], list(KNUCKLES[side])
        far[:, arm] = _against(far[:, arm], xy[:, arm], hand, xy[:, arm] - hand, hand_seen & seen[:, arm])
        for base, base_seen in ((hand, hand_seen), (xy[:, arm], ~hand_seen & seen[:, arm])):
            known = base_seen & seen[:, knuckles]
            beside = _beside(xy[:, knuckles] - base, known)
            far[:, knuckles] = np.where(known, np.minimum(far[:, knuckles], beside), far[:, knuckles])
    return far


def _middle(hand: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(T, 2)` the median of the points `(T, 21, 2)` of a hand, 0 where none is seen, and `(T,)` where one is."""
    number = np.maximum(seen.sum(1), 1)[:, None, None]
    ordered = np.sort(np.where(seen[..., None], hand, np.inf), axis=1)
    low, high = (np.take_along_axis(ordered, np.broadcast_to(place, (len(hand), 1, 2)), axis=1)[:, 0]
                 for place in ((number - 1) // 2, number // 2))
    there = np.asarray(seen.any(axis=1))
    return np.where(there[:, None], (low + high) / 2, np.float32(0)), there


def _points(signer: Signer, side: int, middle: np.ndarray) -> np.ndarray:
    """`(T, 21)` how far points of a hand are astray within it. Without a seen neighbour none has to be stretched."""
    xy, seen = signer.hands[:, side], signer.hands_seen[:, side]
    far, _ = _astray(xy - middle[:, None], seen)
    stretched, alone = np.zeros(seen.shape, bool), np.ones(seen.shape, bool)
    for a, b in HAND_BONES:
        both = seen[:, a] & seen[:, b]
        if both.any():
            alone[:, a] &= ~both
            alone[:, b] &= ~both
            length = np.linalg.norm(xy[:, a] - xy[:, b], axis=-1)
            long = both & (length > STRETCHED * np.median(length[both]))
            stretched[:, a] |= long
            stretched[:, b] |= long
    return far * (stretched | alone)


def _whole(signer: Signer, side: int, middle: np.ndarray, there: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """`(T,)` how far a hand is astray as a whole. `sure`: neither its wrist nor the body's has jumped by itself."""
    arm = signer.xy[:, WRISTS[side]]
    mismatch, known = (values[:, side] for values in signer.mismatch())
    known = known & sure
    far, at_end = _astray(middle[:, None], there[:, None])
    far = np.where(at_end & ~known[:, None], 0, far)
    offset = signer.xy[:, HAND_PARTS[side].start] - arm
    jumped = _against(far, middle[:, None], arm[:, None], offset[:, None], known[:, None])[:, 0]
    off = known & (mismatch > OFF_ARM) & (np.linalg.norm(middle - arm, axis=-1) > OFF_MIDDLE)
    return np.maximum(jumped, mismatch * off)


def _against(far: np.ndarray, xy: np.ndarray, base: np.ndarray, offset: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How far tracks are astray, given what they hang on: `(T, K)`.

    Where it is known, `(T, K)`, what is `far` by itself also has to be `BESIDE` from where it usually is on its base.
    It counts as well if only the offset makes an excursion, in the midst of a movement, and the track is farther from
    where it usually is than its base, and at least by half as much.

    Parameters
    ----------
    far : np.ndarray
        `(T, K)` how far the tracks are astray in the picture.
    xy, base, offset : np.ndarray
        `(T, K, 2)` tracks, `(T, 1, 2)` what they hang on, `(T, K, 2)` where they are on it.
    known : np.ndarray
        `(T, K)` bool.

    Returns
    -------
    np.ndarray
    """
    beside = _beside(offset, known)
    jumped = np.minimum(_astray(offset, known)[0], beside)
    if (jumped > 0).any():
        frames, own, others = np.flatnonzero(known.any(1)), np.zeros_like(far), np.zeros_like(far)
        own[frames] = _deviation(fill(xy[frames], known[frames]))
        others[frames] = _deviation(fill(np.broadcast_to(base, xy.shape)[frames], known[frames]))
        jumped = jumped * ((own >= others) & (own > jumped / 2))
    return np.where(known, np.maximum(np.minimum(far, beside), jumped), far)


def _astray(xy: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`excursions` of `(T, K, 2)` over the frames in which anything is seen."""
    frames = np.flatnonzero(seen.any(1))
    far, at_end = np.zeros(seen.shape, np.float32), np.zeros(seen.shape, bool)
    if len(frames) > MOST_FRAMES:
        far[frames], at_end[frames] = excursions(fill(xy[frames], seen[frames]), frames)
    return far * seen, at_end & seen


def _beside(xy: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`(T, K)` how far relative positions `(T, K, 2)` are from their running median, 0 up to `BESIDE`."""
    frames, out = np.flatnonzero(seen.any(1)), np.zeros(seen.shape, np.float32)
    if len(frames) > MOST_FRAMES:
        distance = _deviation(fill(xy[frames], seen[frames]))
        out[frames] = distance * (seen[frames] & (distance > BESIDE))
    return out


def excursions(xy: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far tracks are from where they usually are, in frames in which they have jumped away.

    Frames a to b, at most `MOST_FRAMES`, are an excursion of a track x(t) with steps s(t) = |x(t) - x(t-1)| if

    * each is farther than `max(FLOOR, TIMES * 1.4826 * MAD)` from the running median of `WINDOW` frames, MAD being the
      running median, over `WIDE` frames, of such distances (the identifier of Hampel 1974);
    * the jumps there, s(a), and back, s(b+1), are farther than that, too, and farther than x(b+1) is from x(a-1);
    * the steps before and after, s(a-1) and s(b+2), are at most `QUIET` of the shorter jump: a quick movement speeds up
      and slows down, a mistake does not.

    At an end of a track there is only one jump, so the steps inside also have to be quiet, and the median is that of
    the first or last `WINDOW` frames, as it is or moved on by their median step, whichever is nearer.

    Parameters
    ----------
    xy : np.ndarray
        `(N, K, 2)` tracks, without holes.
    frames : np.ndarray
        `(N,)` the frame of each; with missing frames an excursion lasts at most twice as long.

    Returns
    -------
    tuple of np.ndarray
        `(N, K)` float32 distances, 0 where there is no excursion; `(N, K)` bool: of one at an end of the track.
    """
    count = len(xy)
    found, at_end = np.zeros(xy.shape[:2], bool), np.zeros(xy.shape[:2], bool)
    distance = _deviation(xy)
    limit = np.maximum(FLOOR, TIMES * 1.4826 * running_median(distance, WIDE)).astype(np.float32)
    beyond = distance > limit
    if not beyond.any():
        return np.zeros(xy.shape[:2], np.float32), at_end
    step = np.zeros((count + 3, xy.shape[1]), np.float32)  # step[i + 1] is that to frame i; 0 beyond the ends
    step[2:count + 1] = np.linalg.norm(np.diff(xy, axis=0), axis=-1)
    for length in range(1, min(MOST_FRAMES, count - 2) + 1):
        first = np.arange(count - length + 1)
        last = first + length - 1
        start, end = (first == 0)[:, None], (last == count - 1)[:, None]
        there, back = step[first + 1], step[last + 2]
        jump = np.where(start, back, np.where(end, there, np.minimum(there, back)))
        around = np.maximum(step[first], step[last + 3])
        for i in range(1, length):
            around = np.maximum(around, np.where(start | end, step[first + 1 + i], 0))
        whole = frames[np.minimum(last + 1, count - 1)] - frames[np.maximum(first - 1, 0)] <= 2 * MOST_FRAMES
        gap = np.linalg.norm(xy[np.minimum(last + 1, count - 1)] - xy[np.maximum(first - 1, 0)], axis=-1)
        hit = (around <= QUIET * jump) & (start | end | (gap <= jump)) & whole[:, None]
        for i in range(length):
            hit &= beyond[first + i] & (jump > limit[first + i])
        for i in range(length):
            found[first + i] |= hit
            at_end[first + i] |= hit & (start | end)
    return np.where(found, distance, 0).astype(np.float32), at_end


def _deviation(xy: np.ndarray) -> np.ndarray:
    """`(N, K)` distance of tracks `(N, K, 2)` from their running median, at the ends also moved on by its step."""
    centre, usual = _centres(len(xy), WINDOW), running_median(xy, WINDOW)
    distance = np.linalg.norm(xy - usual, axis=-1)
    ends = np.flatnonzero(centre != np.arange(len(xy)))
    step = running_median(np.diff(xy, axis=0, prepend=xy[:1]), WINDOW)[ends]
    moved = xy[ends] - usual[ends] - step * (ends - centre[ends])[:, None, None]
    distance[ends] = np.minimum(distance[ends], np.linalg.norm(moved, axis=-1))
    return distance


def running_median(x: np.ndarray, window: int) -> np.ndarray:
    """The median over time of the `window` frames around each, at the ends of the first or last so many.

    Parameters
    ----------
    x : np.ndarray
        `(N, ...)`.
    window : int
        An odd number of frames. If there are fewer, the first and the last are repeated.

    Returns
    -------
    np.ndarray
        The shape of `x`.
    """
    count, half = len(x), window // 2
    padded = np.concatenate([np.repeat(x[:1], half, axis=0), x, np.repeat(x[-1:], half, axis=0)])
    rows = [padded[i:i + count] for i in range(window)]
    for last in range(window, half, -1):  # bubble the largest up, half of them: faster than a sort along a new axis
        for i in range(last - 1):
            rows[i], rows[i + 1] = np.minimum(rows[i], rows[i + 1]), np.maximum(rows[i], rows[i + 1])
    return rows[half][_centres(count, window)]


def _centres(count: int, window: int) -> np.ndarray:
    """`(count,)`: the frame nearest to each around which there is a whole window; the middle one if there is none."""
    half = window // 2
    return np.clip(np.arange(count), half, count - 1 - half) if count >= window else np.full(count, count // 2)


def _worst(far: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`(T, 67)` bool: what is astray, but of each point no more than its share, the farthest first."""
    allowed = np.floor(MOST_SHARE * seen.sum(0))
    order = np.argsort(-far, axis=0, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(len(far))[:, None], axis=0)
    return (far > 0) & (rank < allowed)
