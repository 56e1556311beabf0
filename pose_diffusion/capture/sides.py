"""Which hand is on which arm: duplicates, and hands under the wrong label.

What goes wrong, in 300,000 hand frames of real capture: MediaPipe Holistic cuts a picture of each hand out of the frame
around the body's wrist. Where hands touch or one hides the other, both pictures show the same hand, which is then
reported twice. Less often a hand is reported under the other's label, alone or both of them.
"""
from __future__ import annotations

import numpy as np

from pose_diffusion.capture.draft import Signer
from pose_diffusion.timeline import fill

SAME = .05  # mean distance of 21 points, shoulder widths, within which two hands are one
ALIKE = .10  # the same, if the hand that is to go is also nearer to the other arm than to its own, by
MARGIN = .05  # shoulder widths
LEAST = 6  # points that both hands have, from which on they can be compared

# All in shoulder widths, chosen on 1,500 clips with hands swapped, as they are and with jitter and outliers as well.
FARTHEST = 1.0  # a distance beyond counts as this, so that one wild frame does not outweigh a run
QUICK = .3  # a way from frame to frame beyond counts as this: hands may be quick
SWITCH = .25  # what it costs to change over from one labelling to the other, or to begin with the other
BROKEN = .25  # what it costs if neither arm keeps its hand
UNSEEN = .2  # the least distance from a wrist that is not seen
PATIENCE = .2  # seconds without any hand, after which where it was says nothing


def duplicates(signer: Signer) -> np.ndarray:
    """Hands that are the other hand once more.

    Two hands are one if their 21 points lie within `SAME` shoulder widths of each other on average, or within `ALIKE`
    where one is nearer to the other arm's wrist than to its own by `MARGIN`. (In real captures the distances have two
    heaps, below .04 and above .15.) Of a run of such frames the hand goes that is, over the run, farther from its own
    body wrist. A wrist that is not seen counts as interpolated in time; where one never is, nothing is removed.

    Parameters
    ----------
    signer : Signer
        A person.

    Returns
    -------
    np.ndarray
        `(T, 2)` bool: the left, the right hand is to be removed.
    """
    both = np.asarray(signer.hands_seen.all(axis=1))
    out = np.zeros((len(both), 2), bool)
    if not (both.any() and signer.wrists_seen.any(axis=0).all()):
        return out
    wrists = fill(signer.wrists, signer.wrists_seen)
    gap = np.linalg.norm(signer.hands[:, 0] - signer.hands[:, 1], axis=-1)
    gap = (gap * both).sum(1) / np.maximum(both.sum(1), 1)
    own, other = (np.linalg.norm(signer.hands[:, :, 0] - arms, axis=-1) for arms in (wrists, wrists[:, ::-1]))
    same = both[:, 0] & (both.sum(1) >= LEAST) & ((gap < SAME) | ((gap < ALIKE) & (own - other > MARGIN).any(1)))
    run = np.cumsum(np.diff(same, prepend=False) & same) * same  # 1, 2, ... in the runs, 0 between
    farther = np.bincount(run, weights=own[:, 1] - own[:, 0]) > 0
    out[same, farther[run[same]].astype(int)] = True
    return out


def exchanged(signer: Signer) -> np.ndarray:
    """Frames in which each hand belongs to the other arm.

    Of all sequences of two labellings, as they are and exchanged, the cheapest (algorithm of Viterbi 1967).
    All costs are in shoulder widths. A frame costs the distance of each hand's wrist from the body's wrist of the arm
    it is given to, at most `FARTHEST` (`_place`). From frame to frame it costs how far the hand of each arm goes, at
    most `QUICK`, or `BROKEN` if neither arm keeps its hand; and `SWITCH` if the labelling changes. So a hand that is
    alone under the wrong label is found, too, and hands that cross or touch keep their labels unless the arms
    contradict them for long.

    Parameters
    ----------
    signer : Signer
        A person. Frames in which no wrist of the body is seen are judged by the way of the hands alone.

    Returns
    -------
    np.ndarray
        `(T,)` bool.
    """
    present = signer.hands_seen[:, :, 0]
    frames = np.flatnonzero(present.any(1))
    out = np.zeros(len(present), bool)
    if len(frames) == 0 or not signer.wrists_seen.any():
        return out
    here, hands = present[frames], signer.hands[frames][:, :, 0]
    given = [(hands, here), (hands[:, ::-1], here[:, ::-1])]  # to the left and the right arm: as they are, exchanged
    arms, arms_seen = signer.wrists[frames], signer.wrists_seen[frames]
    place = np.stack([_place(*now, arms, arms_seen) for now in given], axis=1)
    way = np.stack([_way(*before, *after) for before in given for after in given], axis=1)
    way[np.diff(frames) > max(1.0, PATIENCE * signer.fps)] = 0
    out[frames] = _viterbi(place, way + [0, SWITCH, SWITCH, 0])
    return out


def _capped(step: np.ndarray, most: float) -> np.ndarray:
    return np.minimum(np.linalg.norm(step, axis=-1), np.float32(most))


def _place(hands: np.ndarray, here: np.ndarray, arms: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`(N,)`: how far hands `(N, 2, 2)` are from the wrists of the arms they are given to.

    Of a wrist that is not seen: as far as from the other one, but at least `UNSEEN`. So a hand that sits on the arm
    that is seen belongs to it, and one that is off it is not given away to an arm of which nothing is known.
    """
    other = np.maximum(np.where(seen[:, ::-1], _capped(hands - arms[:, ::-1], FARTHEST), 0), np.float32(UNSEEN))
    return (np.where(seen, _capped(hands - arms, FARTHEST), other) * here).sum(1)


def _way(before: np.ndarray, was: np.ndarray, after: np.ndarray, there: np.ndarray) -> np.ndarray:
    """`(N-1,)`: how far hands go from the frames, given to arms as in `before`, to the next ones, as in `after`."""
    on = was[:-1] & there[1:]
    return (_capped(after[1:] - before[:-1], QUICK) * on).sum(1) + BROKEN * ~on.any(1)


def _viterbi(place: np.ndarray, way: np.ndarray) -> np.ndarray:
    """The cheapest path through two states: `(N,)` bool, True for the second.

    `place` `(N, 2)` is what the states cost, `way` `(N-1, 4)` the changes 0 to 0, 0 to 1, 1 to 0, 1 to 1.
    """
    first, second = place[0, 0], place[0, 1] + SWITCH
    back = np.zeros(place.shape, bool)  # whether the best way to a state comes from the second
    for i, ((stay, leave, enter, remain), (here, there)) in enumerate(zip(way.tolist(), place[1:].tolist()), start=1):
        back[i] = second + enter < first + stay, second + remain < first + leave
        first, second = (min(first + stay, second + enter) + here, min(first + leave, second + remain) + there)
    path = np.zeros(len(place), bool)
    state = second < first
    for i in range(len(place) - 1, -1, -1):
        path[i] = state
        state = back[i, int(state)]
    return path
