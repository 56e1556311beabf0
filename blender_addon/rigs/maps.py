# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bones of well-known rigs are called: role -> bone, for the roles of `solver.skeleton.ROLES`.

A map names the bone that an animator would turn. Where a rig divides a part into several bones (spine, twist bones), it
names the first one that carries the rest of the chain. No name here has a prefix: `match` finds those (`mixamorig:`).
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..solver.skeleton import ARM_ROLES, FINGERS, SIDES, TORSO_ROLES

Fingers = Mapping[str, str]
SAME: Fingers = {finger: finger for finger in FINGERS}


def _map(torso: Sequence[str], arm: Callable[[str], Sequence[str]],
         finger: Callable[[str, str, int], str], names: Fingers = SAME) -> dict[str, str]:
    """A map from the names of the torso (5), of an arm by side (4) and of a finger's bone by side, name and number."""
    bones = dict(zip(TORSO_ROLES, torso))
    for side in SIDES:
        bones.update({f"{role}.{side}": bone for role, bone in zip(ARM_ROLES, arm(side))})
        bones.update({f"{role}.{i}.{side}": finger(side, names[role], i) for role in FINGERS for i in (1, 2, 3)})
    return bones


def _low(side: str) -> str:
    return side.lower()


def _word(side: str) -> str:
    return {"L": "Left", "R": "Right"}[side]


def _vrm(first_of_thumb: Sequence[str]) -> dict[str, str]:
    """VRM's humanoid names; versions 0 and 1 call the thumb's bones differently."""
    def finger(side: str, name: str, i: int) -> str:
        parts = first_of_thumb if name == "Thumb" else ("Proximal", "Intermediate", "Distal")
        return f"{_word(side).lower()}{name}{parts[i - 1]}"

    return _map(("hips", "spine", "chest", "neck", "head"),
                lambda side: [_word(side).lower() + part for part in ("Shoulder", "UpperArm", "LowerArm", "Hand")],
                finger, {role: "Little" if role == "pinky" else role.title() for role in FINGERS})


RIGIFY_FINGERS: Fingers = {role: role if role == "thumb" else f"f_{role}" for role in FINGERS}
TITLES: Fingers = {role: role.title() for role in FINGERS}

METARIG = _map(("spine", "spine.001", "spine.003", "spine.004", "spine.006"),
               lambda side: [f"{part}.{side}" for part in ("shoulder", "upper_arm", "forearm", "hand")],
               lambda side, name, i: f"{name}.0{i}.{side}", RIGIFY_FINGERS)

# The order decides where two maps find as much: Rigify's controls before the bones behind them.
MAPS: dict[str, Mapping[str, str]] = {
    "Signer": METARIG,
    # The lower controls of the spine bend the hips against the chest, so the upper ones are used.
    "Rigify": _map(("torso", "spine_fk.002", "spine_fk.003", "neck", "head"),
                   lambda side: [f"{part}.{side}" for part in ("shoulder", "upper_arm_fk", "forearm_fk", "hand_fk")],
                   lambda side, name, i: f"{name}.0{i}.{side}", RIGIFY_FINGERS),
    "Rigify metarig": METARIG,
    "Mixamo": _map(("Hips", "Spine", "Spine2", "Neck", "Head"),
                   lambda side: [_word(side) + part for part in ("Shoulder", "Arm", "ForeArm", "Hand")],
                   lambda side, name, i: f"{_word(side)}Hand{name}{i}", TITLES),
    "VRM": _vrm(("Metacarpal", "Proximal", "Distal")),
    "VRM 0": _vrm(("Proximal", "Intermediate", "Distal")),
    "VRoid": _map([f"J_Bip_C_{part}" for part in ("Hips", "Spine", "Chest", "Neck", "Head")],
                  lambda side: [f"J_Bip_{side}_{part}" for part in ("Shoulder", "UpperArm", "LowerArm", "Hand")],
                  lambda side, name, i: f"J_Bip_{side}_{name}{i}", {**TITLES, "pinky": "Little"}),
    # In MakeHuman's default rig spine05 is the lowest; finger1 is the thumb.
    "MakeHuman": _map(("root", "spine04", "spine02", "neck01", "head"),
                      lambda side: [f"{part}.{side}" for part in ("clavicle", "upperarm01", "lowerarm01", "wrist")],
                      lambda side, name, i: f"finger{name}-{i}.{side}",
                      {role: str(1 + n) for n, role in enumerate(FINGERS)}),
    # Also MakeHuman's "game engine" rig.
    "Unreal": _map(("pelvis", "spine_01", "spine_03", "neck_01", "head"),
                   lambda side: [f"{part}_{_low(side)}" for part in ("clavicle", "upperarm", "lowerarm", "hand")],
                   lambda side, name, i: f"{name}_0{i}_{_low(side)}"),
    "Daz Genesis 3/8": _map(
        ("hip", "abdomenLower", "chestLower", "neckLower", "head"),
        lambda side: [_low(side) + part for part in ("Collar", "ShldrBend", "ForearmBend", "Hand")],
        lambda side, name, i: f"{_low(side)}{name}{i}", {**TITLES, "middle": "Mid"}),
    "Character Creator": _map(
        [f"CC_Base_{part}" for part in ("Hip", "Waist", "Spine02", "NeckTwist01", "Head")],
        lambda side: [f"CC_Base_{side}_{part}" for part in ("Clavicle", "Upperarm", "Forearm", "Hand")],
        lambda side, name, i: f"CC_Base_{side}_{name}{i}", {**TITLES, "middle": "Mid"}),
    "SMPL-X": _map(("pelvis", "spine1", "spine3", "neck", "head"),
                   lambda side: [f"{_word(side).lower()}_{part}" for part in ("collar", "shoulder", "elbow", "wrist")],
                   lambda side, name, i: f"{_word(side).lower()}_{name}{i}"),
    # Biped numbers fingers from 0, and their bones 0, 01, 02 and so on.
    "3ds Max Biped": _map(("Pelvis", "Spine", "Spine1", "Neck", "Head"),
                          lambda side: [f"{side} {part}" for part in ("Clavicle", "UpperArm", "Forearm", "Hand")],
                          lambda side, name, i: f"{side} Finger{name}" + ("" if i == 1 else str(i - 1)),
                          {role: str(n) for n, role in enumerate(FINGERS)}),
}

# A map with a mark is meant only where this bone is, too: other rigs share the signer's names.
MARKS: Mapping[str, str] = {"Signer": "root"}
