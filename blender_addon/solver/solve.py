# SPDX-License-Identifier: GPL-3.0-or-later
"""From the joints of a person to the bones of an armature."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import AddonError
from ..tracks import Tracks
from .body import body, carried, palm, twisted
from .direct import fingers
from .face import face_shapes
from .hand import fit_hand, hand_rest
from .legs import legs
from .points import Points, points
from .rest import local
from .rotations import between, continuous
from .skeleton import FINGERS, ROLES, SIDES, Motion, Skeleton
from .upright import upright

FOLLOW, ANATOMICAL = "follow", "anatomical"
HANDS = {"L": "left_hand", "R": "right_hand"}
PARTS = ("body", "head", "left_hand", "right_hand", "face")
TWIST = 3.0  # a forearm's twist is smoothed so much more than points: it is not seen, and shakes with the palm
IDENTITY = np.array([1.0, 0, 0, 0])


@dataclass(frozen=True)
class Solving:
    """How points become rotations.

    Attributes
    ----------
    mode : {"anatomical", "follow"}
        "anatomical": fingers bend as fingers can, with limits, and the palm is corrected by them; hands keep their
        place, though the arms are of other proportions. "follow": bones point exactly where the points are.
    smoothing : float
        Seconds: standard deviation of the weights by which points are smoothed (`gaps.smooth`). 0.03 hardly touches a
        fast sign; 0.06, which is 1.5 frames at 25 a second, is for jittery cameras. 0 is off.
    longest_gap : float
        Seconds: gaps up to this are closed by a straight line, longer ones are held and reported in `Motion.held`.
    parts : frozenset of str
        Which parts are driven.
    """

    mode: str = ANATOMICAL
    smoothing: float = .03
    longest_gap: float = .5
    parts: frozenset[str] = frozenset(PARTS)


def solve(tracks: Tracks, skeleton: Skeleton, solving: Solving = Solving()) -> Motion:
    """Turn joints over time into rotations of an armature's bones.

    Parameters
    ----------
    tracks : Tracks
        Of T frames.
    skeleton : Skeleton
        Of any size, proportions, axes, rolls and rest pose. Roles that it lacks drop out.
    solving : Solving, optional
        How.

    Returns
    -------
    Motion
        Bones of a part that was never seen are at rest; the pelvis is left out then.

    Raises
    ------
    AddonError
        If no bone can be driven, or a setting makes no sense.
    """
    _check(tracks, skeleton, solving)
    skeleton = upright(skeleton)
    found = points(tracks, solving.smoothing, solving.longest_gap)
    turns = body(found, skeleton, reach=solving.mode == ANATOMICAL)
    turns |= legs(found, skeleton, turns.get("hips", np.broadcast_to(np.eye(3), (found.frames, 3, 3))))
    bones: dict[int, np.ndarray] = {}
    for side in SIDES:
        if HANDS[side] in solving.parts:
            bones |= _hand(found, skeleton, side, turns, solving)
    driven = [role for role in skeleton.roles if _part(role) in solving.parts]
    bones |= local(skeleton, turns, [role for role in driven if role.rpartition(".")[0] == "hand"
                                     or _part(role) in ("body", "head")])
    shapes = face_shapes(tracks) if "face" in solving.parts else {}
    if not bones and not shapes:
        raise AddonError("none of the file's points drives a bone of this armature: map its bones, or other parts")
    for role in driven:
        if role != "hips" and role in ROLES:  # legs that nobody saw stay as they are
            bones.setdefault(skeleton.roles[role], np.broadcast_to(IDENTITY, (found.frames, 4)))
    order = sorted(bones)
    quaternions = continuous(np.stack([bones[bone] for bone in order], 1)) if order else np.zeros((found.frames, 0, 4))
    held = {part: found.held[part] for part in PARTS if part in solving.parts and found.held[part]}
    return Motion(tracks.fps, tuple(skeleton.bones[bone] for bone in order), quaternions, shapes, held,
                  _notes(found, solving))


def _check(tracks: Tracks, skeleton: Skeleton, solving: Solving) -> None:
    if solving.mode not in (FOLLOW, ANATOMICAL):
        raise AddonError(f"there is no mode {solving.mode!r}: choose {ANATOMICAL!r} or {FOLLOW!r}")
    if unknown := solving.parts - set(PARTS):
        raise AddonError(f"there is no part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    if not (0 <= solving.smoothing < np.inf and 0 <= solving.longest_gap < np.inf):
        raise AddonError("smoothing and the longest gap are seconds, 0 or more")
    if not len(tracks.xyz) or not np.isfinite(tracks.xyz).all() or not 0 < tracks.fps < np.inf:
        raise AddonError("the points have no frames, broken numbers or no frame rate: read the file again")
    if not skeleton.roles:
        raise AddonError("no bone of the armature is mapped: choose its bones in the list, or another rig")


def _hand(points: Points, skeleton: Skeleton, side: str, turns: dict[str, np.ndarray], solving: Solving
          ) -> dict[int, np.ndarray]:
    """Quaternions of the fingers; adds the hand's turn and the forearm's twist to `turns`."""
    bare = palm(points, skeleton, side)
    if bare is None and f"hand.{side}" not in skeleton.roles and points.has(f"hand.{side}"):
        bare = turns.get(f"forearm.{side}", turns.get("chest"))  # fingers without a hand hang on what there is
    if bare is None:
        return {}
    rest = hand_rest(skeleton, side) if solving.mode == ANATOMICAL else None  # None without a hand bone
    joints = [f"hand.{side}", *(f"{finger}.{i}.{side}" for finger in FINGERS for i in (1, 2, 3, 4))]
    if rest is not None and points.has(*joints):
        axes = skeleton.rest[skeleton.roles[f"hand.{side}"]]
        fit = fit_hand(np.stack([points.at[joint] for joint in joints], 1),
                       np.stack([points.seen[joint] for joint in joints], 1), rest, guess=bare @ axes, fps=points.fps,
                       smoothing=solving.smoothing)
        bare, bones = fit.hand @ axes.T, dict(fit.local)
    else:
        pointing = fingers(points, skeleton, side, bare)
        bones = local(skeleton, turns | {f"hand.{side}": bare} | pointing, pointing)
    away = points.away[side]
    bones = {bone: between(quaternion, np.broadcast_to(IDENTITY, quaternion.shape), away)
             for bone, quaternion in bones.items()}
    forearm = turns.get(f"forearm.{side}")
    if forearm is not None:
        bare = carried(bare, forearm, points.seen[f"hand.{side}"], solving.longest_gap * points.fps, away)
        turns[f"forearm.{side}"] = twisted(forearm, bare, skeleton, side, TWIST * solving.smoothing * points.fps)
    turns[f"hand.{side}"] = bare
    return bones


def _part(role: str) -> str:
    name, _, side = role.partition(".")
    if name in ("neck", "head"):
        return "head"
    if name == "hand" or name in FINGERS:
        return HANDS[side[-1]]
    return "body"


def _notes(points: Points, solving: Solving) -> tuple[str, ...]:
    """A line for each part that was never seen."""
    def lacks(joint: str, part: str) -> bool:
        return part in solving.parts and not points.has(joint)

    if lacks("shoulder.L", "body") or lacks("shoulder.R", "body"):
        lost = ["body"]
    else:
        lost = [f"{name} arm" for name, side in (("left", "L"), ("right", "R")) if lacks(f"elbow.{side}", "body")]
    lost += [f"{HANDS[side].replace('_', ' ')}" for side in SIDES if lacks(f"hand.{side}", HANDS[side])]
    if lacks("face.10", "head") and lacks("ear.L", "head"):
        lost.append("head")
    return tuple(f"the {part} was never seen: it stays at rest" for part in lost)
