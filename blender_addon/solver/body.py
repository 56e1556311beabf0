# SPDX-License-Identifier: GPL-3.0-or-later
"""Torso, head and arms from joints.

Every construction is made twice alike, of the points seen and of the joints of the skeleton at rest; the turn between
the two is what the bone gets. Where a skeleton has no joint for it, its rest is taken to stand upright and to look
along -y.
"""
from __future__ import annotations

import numpy as np

from . import gaps
from .points import FACE_JOINTS, Points
from .reach import arm_lengths, reaching
from .rest import FORWARD, LEFT, UP, direction, head, hinge, part_way, swung, turn
from .rotations import about, continuous, to_matrices, to_quaternions, unit
from .shrug import shrugged
from .skeleton import SIDES, Skeleton

OFTEN = .5  # share of the clip in which the hips must be seen for them to count
CALM = .25  # seconds: smoothing of the pelvis, which carries the legs
BOW = .2  # radians by which the body's points of a level face look down, compared with the face's contour
NECK = .5  # the neck's share of the head's turn
BENT = (.1, .35)  # sine of the elbow's angle: below, its plane is noise; above, it is trusted
ROLL = 1.9  # radians of the upper arm from swinging there without: more is an elbow bent backwards by noise in depth
FOREARM = .5  # the forearm's share of the hand's roll
PRONATION = 2.1  # radians from the thumb's middle position: no forearm turns farther


def body(points: Points, skeleton: Skeleton, *, reach: bool = False) -> dict[str, np.ndarray]:
    """Turns of torso, head and arms, without the forearms' twist and the hands.

    Parameters
    ----------
    points : Points
        Of T frames.
    skeleton : Skeleton
        At rest.
    reach : bool
        Bring hands to where they were seen, though the arms are of other proportions.

    Returns
    -------
    dict of str to np.ndarray
        Role to `(T, 3, 3)` turns, of what was seen, whether or not the skeleton has the bone.
    """
    turns = torso(points, skeleton)
    chest = turns.get("chest", np.broadcast_to(np.eye(3), (points.frames, 3, 3)))
    if (top := _head(points)) is not None:
        turns["head"] = top
        turns["neck"] = part_way(chest, top, NECK)
    turns |= shrugged(points, skeleton, chest)
    for side in SIDES:
        turns |= arm(points, skeleton, side, chest, reach)
    return turns


def torso(points: Points, skeleton: Skeleton) -> dict[str, np.ndarray]:
    """Hips, spine and chest. Without hips the shoulders alone turn the chest, and the pelvis stays at rest."""
    if not points.has("shoulder.L", "shoulder.R"):
        return {}
    turns = {}
    across, up = points.at["shoulder.L"] - points.at["shoulder.R"], np.broadcast_to(UP, (points.frames, 3))
    rest_across, rest_up = LEFT, UP
    arms = [head(skeleton, f"upper_arm.{side}") for side in SIDES]
    if arms[0] is not None and arms[1] is not None:
        rest_across = arms[0] - arms[1]
    pelvis = np.broadcast_to(np.eye(3), (points.frames, 3, 3))
    if points.has("hip.L", "hip.R") and np.mean(points.seen["hip.L"] & points.seen["hip.R"]) >= OFTEN:
        up = points.middle("shoulder.L", "shoulder.R") - points.middle("hip.L", "hip.R")
        hips = points.at["hip.L"] - points.at["hip.R"]
        calm = gaps.smooth(hips[:, None], np.ones((points.frames, 1), bool), CALM * points.fps)[:, 0]
        turns["hips"] = pelvis = turn((np.broadcast_to(UP, up.shape), calm), (UP, LEFT))
        root = head(skeleton, "hips")
        if root is not None and arms[0] is not None and arms[1] is not None:
            rest_up = (arms[0] + arms[1]) / 2 - root
    turns["chest"] = turn((across, up), (rest_across, rest_up))
    turns["spine"] = part_way(pelvis, turns["chest"], .5)
    return turns


def _head(points: Points) -> np.ndarray | None:
    """`(T, 3, 3)` turns of the head from the face's contour, else from the body's eyes, ears, mouth and nose."""
    if points.has(*FACE_JOINTS):
        across, up = points.at["face.454"] - points.at["face.234"], points.at["face.10"] - points.at["face.152"]
        return turn((up, across), (UP, LEFT))
    if not points.has("ear.L", "ear.R"):
        return None
    across = points.at["ear.L"] - points.at["ear.R"]
    if points.has("eye.L", "eye.R", "mouth.L", "mouth.R"):
        up = points.middle("eye.L", "eye.R") - points.middle("mouth.L", "mouth.R")
    elif points.has("nose"):
        up = np.cross(points.at["nose"] - points.middle("ear.L", "ear.R"), across)
    else:
        return None
    return turn((up, across), (np.array([0, -np.sin(BOW), np.cos(BOW)]), LEFT))


def arm(points: Points, skeleton: Skeleton, side: str, chest: np.ndarray, reach: bool) -> dict[str, np.ndarray]:
    """Upper arm and forearm: the elbow is a hinge, so that its plane says how the upper arm is rolled."""
    shoulder, elbow, wrist = (f"{joint}.{side}" for joint in ("shoulder", "elbow", "wrist"))
    if f"upper_arm.{side}" not in skeleton.roles:
        return _forearm(points, skeleton, side, chest)
    if not points.has(shoulder, elbow):
        return {}
    upper = points.at[elbow] - points.at[shoulder]
    rest_upper = direction(skeleton, "upper_arm", side)
    turns = {"upper_arm": swung(chest, rest_upper, upper)}
    if points.has(wrist):
        # A seen hand's own wrist is the better one: its network looks at the hand in full resolution.
        end = points.at.get(f"hand.{side}", points.at[wrist])
        lower = end - points.at[elbow]
        lengths = arm_lengths(skeleton, side)
        if reach and lengths is not None and points.has("shoulder.L", "shoulder.R"):
            across = points.at["shoulder.L"] - points.at["shoulder.R"]
            width = float(np.median(np.linalg.norm(across, axis=-1)))
            upper, lower = reaching(upper, lower, lengths, width, 1 - points.away[side])
            turns["upper_arm"] = swung(chest, rest_upper, upper)
        turns["upper_arm"] = rolled(turns["upper_arm"], unit(upper), unit(lower), hinge(skeleton, side))
        if f"forearm.{side}" in skeleton.roles:
            turns["forearm"] = swung(turns["upper_arm"], direction(skeleton, "forearm", side), lower)
    return {f"{role}.{side}": turned for role, turned in turns.items()}


def _forearm(points: Points, skeleton: Skeleton, side: str, chest: np.ndarray) -> dict[str, np.ndarray]:
    """The forearm of an arm that begins at the elbow."""
    role, elbow, wrist = (f"{name}.{side}" for name in ("forearm", "elbow", "wrist"))
    if role not in skeleton.roles or not points.has(elbow, wrist):
        return {}
    lower = points.at.get(f"hand.{side}", points.at[wrist]) - points.at[elbow]
    return {role: swung(chest, direction(skeleton, "forearm", side), lower)}


def rolled(swung_arm: np.ndarray, upper: np.ndarray, lower: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The turns of an upper arm or a thigh, rolled so that the axis of elbow or knee is square to the limb's plane."""
    normal = np.cross(upper, lower)
    before = swung_arm @ axis
    angle = np.arctan2((np.cross(before, normal) * upper).sum(-1), (before * normal).sum(-1))
    sine = np.linalg.norm(normal, axis=-1)
    trust = gaps.step((sine - BENT[0]) / (BENT[1] - BENT[0]))
    return about(upper, steady(within(angle, ROLL), trust)) @ swung_arm


def within(angle: np.ndarray, limit: float) -> np.ndarray:
    """Angles as they are up to the limit; beyond, they go back to 0 at half a turn, where the other side begins."""
    whole = np.angle(np.exp(1j * angle))
    return np.sign(whole) * np.minimum(np.abs(whole), (np.pi - np.abs(whole)) * limit / (np.pi - limit))


def steady(angle: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Angles `(T,)` where they are trusted; elsewhere they go evenly from the one trusted before to the one after.

    Without any that is trusted (trust 1), what there is is mixed with 0.
    """
    sure = np.flatnonzero(trust >= 1)
    line = np.interp(np.arange(len(angle)), sure, np.unwrap(angle[sure])) if len(sure) else np.zeros(len(angle))
    return np.where(trust >= 1, angle, np.angle(trust * np.exp(1j * angle) + (1 - trust) * np.exp(1j * line)))


def palm(points: Points, skeleton: Skeleton, side: str) -> np.ndarray | None:
    """`(T, 3, 3)`: turns of the hand from wrist, middle knuckle, and the knuckles of index and pinky finger."""
    hand, middle, index, pinky = (f"{joint}.{side}" for joint in ("hand", "middle.1", "index.1", "pinky.1"))
    if not points.has(hand, middle, index, pinky) or hand not in skeleton.roles:
        return None
    knuckles = [finger for finger in ("index", "middle", "ring", "pinky") if f"{finger}.1.{side}" in skeleton.roles]
    along, rest_along = points.at[middle] - points.at[hand], direction(skeleton, "hand", side)
    across, rest_across = points.at[index] - points.at[pinky], thumb_side(skeleton, side)
    if len(knuckles) > 1:
        first, last = knuckles[0], knuckles[-1]
        heads = [skeleton.heads[skeleton.roles[f"{finger}.1.{side}"]] for finger in (first, last)]
        if points.has(f"{first}.1.{side}", f"{last}.1.{side}"):
            across, rest_across = points.at[f"{first}.1.{side}"] - points.at[f"{last}.1.{side}"], heads[0] - heads[1]
        if "middle" not in knuckles:
            rest_along = np.mean(heads, axis=0) - skeleton.heads[skeleton.roles[hand]]
            along = points.middle(f"{first}.1.{side}", f"{last}.1.{side}") - points.at[hand]
    return turn((along, across), (rest_along, rest_across))


def thumb_side(skeleton: Skeleton, side: str) -> np.ndarray:
    """`(3,)`: where the thumb is at rest on a hand without fingers: forwards, as when an arm hangs or is spread."""
    if f"upper_arm.{side}" in skeleton.roles and f"forearm.{side}" in skeleton.roles:
        return np.cross(hinge(skeleton, side), direction(skeleton, "forearm", side))
    return FORWARD


def carried(hand: np.ndarray, forearm: np.ndarray, seen: np.ndarray, longest: float, away: np.ndarray) -> np.ndarray:
    """The hand's turns, carried by the forearm where the hand was not seen.

    Parameters
    ----------
    hand, forearm : np.ndarray
        `(T, 3, 3)` turns.
    seen : np.ndarray
        `(T,)` bool.
    longest : float
        Frames of the longest gap that is closed; in longer ones the hand goes to rest.
    away : np.ndarray
        `(T,)`: how much it is at rest.
    """
    if seen.all() or not seen.any():
        return hand
    relative = to_quaternions(np.swapaxes(forearm, -1, -2) @ hand)
    relative[seen] = continuous(relative[seen])
    relative = gaps.fill(relative[:, None], seen[:, None], longest, len(seen))[:, 0]
    whole = part_way(to_matrices(relative), np.broadcast_to(np.eye(3), hand.shape), away)
    return np.where(seen[:, None, None], hand, forearm @ whole)


def twisted(forearm: np.ndarray, hand: np.ndarray, skeleton: Skeleton, side: str, deviation: float) -> np.ndarray:
    """The forearm's turns with its share of the hand's roll.

    Counted from the thumb's middle position, in the plane of the elbow, from which pronation and supination end long
    before half a turn on either side: so there is no jump from one side to the other. The share is smoothed by a
    Smoothed over `deviation` frames, at no cost: the hand makes up for it.
    """
    along = direction(skeleton, "forearm", side)
    relative = to_quaternions(np.swapaxes(forearm, -1, -2) @ hand)
    roll = 2 * np.arctan2(relative[:, 1:] @ along, relative[:, 0])
    middle, thumb = np.cross(hinge(skeleton, side), along), rest_across(skeleton, side)
    start = np.arctan2(np.cross(middle, thumb) @ along, middle @ (thumb - (thumb @ along) * along))
    share = FOREARM * (within(roll + start, PRONATION) - start)
    share = gaps.smooth(share[:, None, None], np.ones((len(share), 1), bool), deviation)[:, 0, 0]
    return forearm @ about(np.broadcast_to(along, (len(share), 3)), share)


def rest_across(skeleton: Skeleton, side: str) -> np.ndarray:
    """`(3,)`: from the last to the first knuckle at rest, or to where the thumb must be."""
    knuckles = [joint for finger in ("index", "middle", "ring", "pinky")
                if (joint := head(skeleton, f"{finger}.1.{side}")) is not None]
    return unit(knuckles[0] - knuckles[-1]) if len(knuckles) > 1 else thumb_side(skeleton, side)
