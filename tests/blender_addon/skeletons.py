# SPDX-License-Identifier: GPL-3.0-or-later
"""A constructed upper body with both hands, motions of it, and its exact joints: truth for tests of the solver."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from blender_addon.solver.rotations import about, frame, to_quaternions, unit
from blender_addon.solver.skeleton import FINGERS, SIDES, Skeleton
from blender_addon.tracks import Tracks

FORWARD, UP = np.array([0.0, -1, 0]), np.array([0.0, 0, 1])
DROP = {"A": .7, "T": 0.0, "down": 1.4}  # radians of the upper arms below the horizontal
TORSO = (  # name, role, head
    ("spine", "hips", (0, .02, .95)), ("spine.001", "spine", (0, .01, 1.06)), ("spine.002", None, (0, .02, 1.16)),
    ("spine.003", "chest", (0, .01, 1.27)), ("spine.004", "neck", (0, .02, 1.44)), ("spine.005", None, (0, .01, 1.5)),
    ("spine.006", "head", (0, 0, 1.55)), ("", None, (0, 0, 1.75)))
# Per finger: where joint 1 is (along the hand, across towards the thumb, towards the palm), its direction likewise, the
# lengths of the three bones in metres, how far each is bent at rest in radians.
HAND = {
    "thumb": ((.025, .03, .012), (.7, .6, .35), (.046, .034, .027), (0, .12, .1)),
    "index": ((.090, .025, 0), (1, .08, .06), (.042, .025, .021), (0, .12, .1)),
    "middle": ((.092, .004, 0), (1, 0, .06), (.046, .029, .022), (0, .12, .1)),
    "ring": ((.086, -.016, 0), (1, -.08, .06), (.042, .027, .022), (0, .12, .1)),
    "pinky": ((.078, -.033, .004), (1, -.16, .08), (.033, .019, .019), (0, .12, .1)),
}  # yapf: disable


def upper_body(rest: str = "A", *, seed: int = 0, fingers: Sequence[str] = FINGERS, bend: float = .15,
               without: Sequence[str] = ()) -> Skeleton:
    """An upper body with arms, palms and fingers, named like Rigify's metarig.

    Parameters
    ----------
    rest : {"A", "T", "down"}
        How the arms hang at rest.
    seed : int
        Of the bones' rolls, which are arbitrary.
    fingers : sequence of str
        Which fingers it has.
    bend : float
        Radians by which elbows are bent at rest; 0 is straight.
    without : sequence of str
        Roles that are not mapped, though the bones are there.
    """
    bones: list[tuple[str, str | None, str | None, np.ndarray, np.ndarray]] = []  # name, role, parent, head, tail
    for (name, role, start), (_, _, end) in zip(TORSO, TORSO[1:]):
        bones.append((name, role, bones[-1][0] if bones else None, np.array(start, float), np.array(end, float)))
    for side in SIDES:
        mirror = np.array([1.0 if side == "L" else -1, 1, 1])
        for name, role, parent, head, tail in _arm(DROP[rest], bend, fingers):
            bones.append((f"{name}.{side}", role and f"{role}.{side}",
                          f"{parent}.{side}" if name != "shoulder" else parent, head * mirror, tail * mirror))
    names = [bone[0] for bone in bones]
    heads, tails = np.array([bone[3] for bone in bones]), np.array([bone[4] for bone in bones])
    rolls = np.random.default_rng(seed).normal(size=heads.shape)
    parents = np.array([-1 if bone[2] is None else names.index(bone[2]) for bone in bones])
    roles = {bone[1]: i for i, bone in enumerate(bones) if bone[1] is not None and bone[1] not in without}
    return Skeleton(tuple(names), parents, heads, tails, frame(tails - heads, rolls), roles)


def _arm(drop: float, bend: float, fingers: Sequence[str]) -> list[tuple[str, str | None, str, np.ndarray, np.ndarray]]:
    """The left arm's bones: name, role, parent, head, tail."""
    upper = np.array([np.cos(drop), 0, -np.sin(drop)])
    lower = about(np.cross(upper, FORWARD), np.array(bend)) @ upper
    start = np.array([.175, .02, 1.41])
    elbow = start + .28 * upper
    wrist = elbow + .25 * lower
    thumb_side = unit(FORWARD - (FORWARD @ lower) * lower)
    axes = np.stack([lower, thumb_side, np.cross(lower, thumb_side)], -1)  # along, to the thumb, to the palm
    bones: list[tuple[str, str | None, str, np.ndarray, np.ndarray]] = [
        ("shoulder", "shoulder", "spine.003", np.array([.02, 0, 1.42]), start - [.005, 0, 0]),
        ("upper_arm", "upper_arm", "shoulder", start, elbow), ("forearm", "forearm", "upper_arm", elbow, wrist),
        ("hand", "hand", "forearm", wrist, wrist + .06 * lower)]
    for finger in fingers:
        at, direction, lengths, bends = HAND[finger]
        head, along, parent = wrist + axes @ at, axes @ unit(np.array(direction)), "hand"
        if finger != "thumb":
            palm = f"palm.0{FINGERS.index(finger)}"
            bones.append((palm, None, "hand", wrist + .25 * (head - wrist), head))
            parent = palm
        for i, (length, bent) in enumerate(zip(lengths, bends), 1):
            along = about(unit(np.cross(along, axes[:, 2])), np.array(bent)) @ along
            name = f"{'' if finger == 'thumb' else 'f_'}{finger}.0{i}"
            bones.append((name, f"{finger}.{i}", parent, head, head + length * along))
            head, parent = head + length * along, name
    return bones


def waves(rng: np.random.Generator, frames: int, low: float, high: float, fps: float = 25.0) -> np.ndarray:
    """`(T,)`: a smooth random function of time between two values."""
    time = np.arange(frames) / fps
    turn = sum(np.sin(2 * np.pi * (rng.uniform(.2, 1.5) * time + rng.uniform())) for _ in range(2)) / 2
    return low + (high - low) * (np.asarray(turn) + 1) / 2


def signing(skeleton: Skeleton, frames: int, seed: int = 0) -> dict[int, np.ndarray]:
    """A smooth random motion as a body can make it: `(T, 4)` quaternions of each moving bone in its own rest axes.

    The pelvis and the clavicles stay at rest, elbows and fingers are hinges. Independent of roll: the same seed on
    skeletons of other rolls is the same motion.
    """
    rng = np.random.default_rng(seed)
    motion: dict[int, np.ndarray] = {}

    def turn(role: str, *axes_and_angles: tuple[np.ndarray, float, float]) -> None:
        """Rotations about axes of the armature at rest, the first on the outside."""
        angles = [waves(rng, frames, low, high) for _, low, high in axes_and_angles]
        if role in skeleton.roles:
            bone = skeleton.roles[role]
            whole = np.broadcast_to(np.eye(3), (frames, 3, 3))
            for (axis, _, _), angle in zip(axes_and_angles, angles):
                whole = whole @ about(np.broadcast_to(axis, (frames, 3)), angle)
            motion[bone] = to_quaternions(skeleton.rest[bone].T @ whole @ skeleton.rest[bone])

    left, back = np.array([1.0, 0, 0]), -FORWARD
    turn("chest", (UP, -.3, .3), (left, -.15, .15), (back, -.1, .1))
    turn("head", (UP, -.5, .5), (left, -.3, .3), (back, -.3, .3))
    for side in SIDES:
        along = {role: _direction(skeleton, f"{role}.{side}") for role in ("upper_arm", "forearm", "hand")}
        turn(f"upper_arm.{side}", (left, -1.2, .3), (back, -.4, .4), (along["upper_arm"], -.5, .5))
        hinge = np.cross(along["upper_arm"], along["forearm"])
        if np.linalg.norm(hinge) < 1e-3:
            hinge = np.cross(along["upper_arm"], FORWARD)
        turn(f"forearm.{side}", (unit(hinge), .4, 2.1))
        thumb_side = unit(FORWARD - (FORWARD @ along["hand"]) * along["hand"])
        palm = np.cross(along["hand"], thumb_side) * (1 if side == "L" else -1)
        turn(f"hand.{side}", (along["hand"], -1.2, 1.2), (thumb_side, -.6, .6), (palm, -.3, .3))
        for finger in FINGERS:
            for i, high in ((1, 1.2), (2, 1.5), (3, 1.0)):
                segment = _direction(skeleton, f"{finger}.{i}.{side}")
                flexion = unit(np.cross(segment, palm))
                spread = [(palm, -.15, .15)] if i == 1 else []
                turn(f"{finger}.{i}.{side}", *spread, (flexion, 0.0, high if finger != "thumb" else high / 2))
    return motion


def _direction(skeleton: Skeleton, role: str) -> np.ndarray:
    """`(3,)`: where a role's bone points at rest; forwards if there is none."""
    bone = skeleton.roles.get(role)
    return FORWARD if bone is None else unit(skeleton.tails[bone] - skeleton.heads[bone])


def exact_tracks(skeleton: Skeleton, motion: dict[int, np.ndarray], frames: int, fps: float = 25.0, *,
                 face: bool = True, hips: bool = False) -> Tracks:
    """The joints of a moved skeleton, without error: what a perfect camera in 3D would see.

    `skeleton` must have all roles. Face points are on the head bone, hips on the first bone.
    """
    axes, heads, tails = skeleton.posed(motion, frames)
    points: dict[str, np.ndarray] = {}
    for side in SIDES:
        for joint, role in (("shoulder", "upper_arm"), ("elbow", "forearm"), ("wrist", "hand"), ("hand", "hand")):
            points[f"{joint}.{side}"] = heads[:, skeleton.roles[f"{role}.{side}"]]
        for finger in FINGERS:
            for i in (1, 2, 3):
                if (bone := skeleton.roles.get(f"{finger}.{i}.{side}")) is not None:
                    points[f"{finger}.{i}.{side}"] = heads[:, bone]
                    points[f"{finger}.{i + 1}.{side}"] = tails[:, bone]
    if face:
        bone = skeleton.roles["head"]
        turned = axes[:, bone] @ skeleton.rest[bone].T
        for name, at in (("234", (-.07, 0, 0)), ("454", (.07, 0, 0)), ("10", (0, -.08, .08)), ("152", (0, -.08, -.1))):
            points[f"face.{name}"] = heads[:, bone] + turned @ np.array(at)
    if hips:
        for side, sign in (("L", 1), ("R", -1)):
            points[f"hip.{side}"] = heads[:, skeleton.roles["hips"]] + np.array([sign * .1, 0, 0])
    xyz = np.stack(list(points.values()), 1)
    return Tracks(fps, tuple(points), xyz, np.ones(xyz.shape[:2], bool))
