"""Correct a capture by rules, without a network or torch: what MediaPipe gets wrong about hands and is sure of.

What the rules do to undamaged clips of real capture, in shares of the hand frames of spoken-to-signed's lexicon (16,800
of them, without `gss`) and, in brackets, of twelve archives (53,000): they remove .2 % as duplicates (0 to 3.3 %: where
hands touch), exchange none (0 to .23 %), remove .13 % (0 to .33 %) as teleports and with them .13 % of hand points and
.07 % of body points, lower the confidence of 1.2 % (.4 to 7 %), and put 98.8 % of the body's wrists on the hands'.
What they do to damaged clips is asserted in the tests.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pose_format import Pose

from pose_diffusion.capture import plausibility as hands
from pose_diffusion.capture import sides
from pose_diffusion.capture.draft import Draft
from pose_diffusion.capture.teleports import teleports

SNAP = hands.MISMATCH  # shoulder widths up to which the body's wrist is put on the hand's
HELD, FADED = .5, 1.0  # seconds without the hand after which its wrist's offset begins to fade, and is gone


@dataclass(frozen=True)
class _Rules:
    """Which rules are on."""

    hand_swap: bool
    duplicates: bool
    outliers: bool
    wrists: bool
    plausibility: bool


def correct_capture(pose: Pose, *, hand_swap: bool = True, duplicates: bool = True, outliers: bool = True,
                    wrists: bool = True, plausibility: bool = True) -> Pose:
    """Correct what a capture gets wrong about hands.

    The rules work on each person by themselves, in this order. One that needs points which the header lacks, such as a
    hand or the body's wrists, does nothing. Nothing is invented and no hand is moved in the picture.

    Parameters
    ----------
    pose : Pose
        MediaPipe Holistic in pixels, any subset or order of its points, any number of frames and people. Not changed.
    duplicates : bool
        Remove a hand that is the other hand once more: of the two the one farther from its own arm
        (`sides.duplicates`).
    hand_swap : bool
        Put hands under the label of the arm that they are on: both exchanged, or one alone moved to the other side
        (`sides.exchanged`).
    outliers : bool
        Remove points and whole hands that jump away and come back within three frames, and hands that are more than
        0.7 shoulder widths off their arm: at most a quarter of the frames of each point (`teleports.teleports`).
    plausibility : bool
        Multiply the confidence of a hand's points by a factor below 1 if its wrist is more than 0.25 shoulder widths
        from the body's, its bones are much longer or shorter than usual, or it shakes on its arm
        (`plausibility.plausibility` has the formula). Other hands keep their confidence bit for bit.
    wrists : bool
        Put the body's wrist on the wrist of a plausible hand, in x and y, if it is at most 0.25 shoulder widths off.

    Returns
    -------
    Pose
        New, with a header of its own and the same points, frames, people, frame rate and units. What is removed has
        value and confidence 0, like what MediaPipe does not find. What no rule touches keeps its bits.

    Raises
    ------
    UnknownSchemaError, ValueError
        See `pose_diffusion.clip.check_pose`.

    Notes
    -----
    The body's wrist goes to the hand's, not the other way round, though its own track is the smoother one (mean third
    difference .01 to .06 shoulder widths against .03 to .12; less in eleven of thirteen sources). MediaPipe smooths the
    body, so that it trails the hand by .1 to .3 frames in the twelve archives; the hand's wrist is found at the scale
    of the hand and fits its fingers; one point moves instead of 21; and pose-format's `correct_wrists` does the same.

    Where the hand is not seen the body's wrist moves by the same offset, interpolated between the frames around and
    fading out half a second to a second away from them. Without this the arm jumps whenever a hand is lost, and
    `fill_missing` places lost hands with an error of .047 shoulder widths instead of .027 (gaps of three frames,
    signers that the network has not seen; .026 if no wrist is moved).
    """
    rules = _Rules(hand_swap, duplicates, outliers, wrists, plausibility)
    draft = Draft(pose)
    for person in range(draft.people):
        _correct(draft, person, rules)
    return draft.pose()


def _correct(draft: Draft, person: int, rules: _Rules) -> None:
    """Apply the rules to one person."""
    if rules.duplicates:
        draft.remove_hands(person, sides.duplicates(draft.signer(person)))
    if rules.hand_swap:
        draft.exchange(person, sides.exchanged(draft.signer(person)))
    if rules.outliers:
        draft.remove(person, teleports(draft.signer(person)))
    if not (rules.wrists or rules.plausibility):
        return
    signer = draft.signer(person)
    factor = hands.plausibility(signer)
    if rules.plausibility:
        draft.doubt(person, factor)
    if rules.wrists:
        mismatch, known = signer.mismatch()
        near = known & (mismatch <= SNAP) & (factor == 1)
        alone = signer.wrists_seen & ~signer.hands_seen.any(-1)
        draft.snap(person, near, np.where(alone, fading(near, signer.fps), 0))


def fading(near: np.ndarray, fps: float) -> np.ndarray:
    """How much of an offset is left at a distance from the frames where it is known.

    Parameters
    ----------
    near : np.ndarray
        `(T, N)` bool: known.
    fps : float
        Frames per second.

    Returns
    -------
    np.ndarray
        `(T, N)` float64: 1 up to `HELD` seconds from the nearest such frame, falling to 0 at `FADED` seconds.
    """
    frame = np.arange(len(near), dtype=float)[:, None]
    before = np.maximum.accumulate(np.where(near, frame, -np.inf), axis=0)
    after = np.minimum.accumulate(np.where(near, frame, np.inf)[::-1], axis=0)[::-1]
    seconds = np.minimum(frame - before, after - frame) / fps
    return np.clip((FADED - seconds) / (FADED - HELD), 0, 1)
