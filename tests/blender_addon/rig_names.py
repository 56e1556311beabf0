"""Bones of rigs as their makers name them: bone -> parent. Not one name is taken from the maps that are tested."""
from __future__ import annotations

from collections.abc import Sequence

Parents = dict[str, "str | None"]
SIDES = (("Left", "left", "L", "l"), ("Right", "right", "R", "r"))


def chain(bones: Parents, parent: str | None, names: Sequence[str]) -> str | None:
    """Add bones one below the other; the last one."""
    for name in names:
        bones[name] = parent
        parent = name
    return parent


def mixamo(prefix: str = "mixamorig:") -> Parents:
    bones: Parents = {}
    chest = chain(bones, None, [prefix + name for name in ("Hips", "Spine", "Spine1", "Spine2")])
    chain(bones, chest, [prefix + name for name in ("Neck", "Head", "HeadTop_End")])
    for side, *_ in SIDES:
        hand = chain(bones, chest, [f"{prefix}{side}{name}" for name in ("Shoulder", "Arm", "ForeArm", "Hand")])
        for finger in ("Thumb", "Index", "Middle", "Ring", "Pinky"):
            chain(bones, hand, [f"{prefix}{side}Hand{finger}{i}" for i in (1, 2, 3, 4)])
        chain(bones, f"{prefix}Hips", [f"{prefix}{side}{name}" for name in ("UpLeg", "Leg", "Foot", "ToeBase")])
    return bones


def vrm(thumb: Sequence[str] = ("Metacarpal", "Proximal", "Distal")) -> Parents:
    bones: Parents = {}
    chest = chain(bones, None, ["hips", "spine", "chest", "upperChest"])
    chain(bones, chest, ["neck", "head"])
    for _, side, *_ in SIDES:
        hand = chain(bones, chest, [side + name for name in ("Shoulder", "UpperArm", "LowerArm", "Hand")])
        chain(bones, hand, [f"{side}Thumb{name}" for name in thumb])
        for finger in ("Index", "Middle", "Ring", "Little"):
            chain(bones, hand, [f"{side}{finger}{name}" for name in ("Proximal", "Intermediate", "Distal")])
        chain(bones, "hips", [side + name for name in ("UpperLeg", "LowerLeg", "Foot", "Toes")])
    return bones


def vroid() -> Parents:
    bones: Parents = {}
    chest = chain(bones, None, ["Root", *(f"J_Bip_C_{name}" for name in ("Hips", "Spine", "Chest", "UpperChest"))])
    chain(bones, chest, ["J_Bip_C_Neck", "J_Bip_C_Head", "J_Sec_Hair1_01"])
    for _, _, side, _ in SIDES:
        arm = [f"J_Bip_{side}_{name}" for name in ("Shoulder", "UpperArm", "LowerArm", "Hand")]
        hand = chain(bones, chest, arm)
        for finger in ("Thumb", "Index", "Middle", "Ring", "Little"):
            chain(bones, hand, [f"J_Bip_{side}_{finger}{i}" for i in (1, 2, 3)])
    return bones


def makehuman() -> Parents:
    bones: Parents = {}
    chest = chain(bones, None, ["root", "spine05", "spine04", "spine03", "spine02", "spine01"])
    chain(bones, chest, ["neck01", "neck02", "neck03", "head", "jaw"])
    for _, _, side, _ in SIDES:
        arm = ("clavicle", "shoulder01", "upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist")
        hand = chain(bones, chest, [f"{name}.{side}" for name in arm])
        chain(bones, hand, [f"finger1-{i}.{side}" for i in (1, 2, 3)])
        for n in (1, 2, 3, 4):
            chain(bones, hand, [f"metacarpal{n}.{side}", *(f"finger{n + 1}-{i}.{side}" for i in (1, 2, 3))])
        chain(bones, "root", [f"{name}.{side}" for name in ("pelvis", "upperleg01", "lowerleg01", "foot", "toe1-1")])
    return bones


def unreal(spines: int = 3, metacarpals: bool = False) -> Parents:
    bones: Parents = {}
    chest = chain(bones, None, ["root", "pelvis", *(f"spine_0{i + 1}" for i in range(spines))])
    chain(bones, chest, ["neck_01", "head"])
    for *_, side in SIDES:
        hand = chain(bones, chest, [f"{name}_{side}" for name in ("clavicle", "upperarm", "lowerarm", "hand")])
        chain(bones, f"upperarm_{side}", [f"upperarm_twist_01_{side}"])
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            palm = [f"{finger}_metacarpal_{side}"] if metacarpals and finger != "thumb" else []
            chain(bones, hand, [*palm, *(f"{finger}_0{i}_{side}" for i in (1, 2, 3))])
        chain(bones, "pelvis", [f"{name}_{side}" for name in ("thigh", "calf", "foot", "ball")])
        chain(bones, "root", [f"ik_hand_{side}"])
    return bones


def daz() -> Parents:
    bones: Parents = {}
    chest = chain(bones, None, ["hip", "abdomenLower", "abdomenUpper", "chestLower", "chestUpper"])
    chain(bones, "hip", ["pelvis"])
    chain(bones, chest, ["neckLower", "neckUpper", "head"])
    for *_, side in SIDES:
        arm = ("Collar", "ShldrBend", "ShldrTwist", "ForearmBend", "ForearmTwist", "Hand")
        hand = chain(bones, chest, [side + name for name in arm])
        chain(bones, hand, [f"{side}Thumb{i}" for i in (1, 2, 3)])
        for n, finger in enumerate(("Index", "Mid", "Ring", "Pinky"), 1):
            chain(bones, hand, [f"{side}Carpal{n}", *(f"{side}{finger}{i}" for i in (1, 2, 3))])
    return bones


def genesis9() -> Parents:
    """No map of it: it is read word by word."""
    bones: Parents = {}
    chest = chain(bones, None, ["hip", "spine1", "spine2", "spine3", "spine4"])
    chain(bones, "hip", ["pelvis"])
    chain(bones, chest, ["neck1", "neck2", "head"])
    for *_, side in SIDES:
        hand = chain(bones, chest, [f"{side}_{name}" for name in ("shoulder", "upperarm", "forearm", "hand")])
        chain(bones, f"{side}_upperarm", [f"{side}_upperarmtwist1"])
        chain(bones, hand, [f"{side}_thumb{i}" for i in (1, 2, 3)])
        for finger in ("index", "mid", "ring", "pinky"):
            chain(bones, hand, [f"{side}_{finger}metacarpal", *(f"{side}_{finger}{i}" for i in (1, 2, 3))])
    return bones


def character_creator() -> Parents:
    bones: Parents = {}
    chest = chain(bones, None, ["CC_Base_Hip", "CC_Base_Waist", "CC_Base_Spine01", "CC_Base_Spine02"])
    chain(bones, chest, ["CC_Base_NeckTwist01", "CC_Base_NeckTwist02", "CC_Base_Head"])
    for _, _, side, _ in SIDES:
        arm = ("Clavicle", "Upperarm", "Forearm", "Hand")
        hand = chain(bones, chest, [f"CC_Base_{side}_{name}" for name in arm])
        for finger in ("Thumb", "Index", "Mid", "Ring", "Pinky"):
            chain(bones, hand, [f"CC_Base_{side}_{finger}{i}" for i in (1, 2, 3)])
    return bones


def smplx() -> Parents:
    bones: Parents = {}
    chest = chain(bones, None, ["root", "pelvis", "spine1", "spine2", "spine3"])
    chain(bones, chest, ["neck", "head", "jaw"])
    for _, side, *_ in SIDES:
        hand = chain(bones, chest, [f"{side}_{name}" for name in ("collar", "shoulder", "elbow", "wrist")])
        for finger in ("index", "middle", "pinky", "ring", "thumb"):
            chain(bones, hand, [f"{side}_{finger}{i}" for i in (1, 2, 3)])
        chain(bones, "pelvis", [f"{side}_{name}" for name in ("hip", "knee", "ankle", "foot")])
    return bones


def biped() -> Parents:
    bones: Parents = {}
    chest = chain(bones, None, ["Bip001", "Bip001 Pelvis", "Bip001 Spine", "Bip001 Spine1"])
    chain(bones, chest, ["Bip001 Neck", "Bip001 Head"])
    for _, _, side, _ in SIDES:
        arm = ("Clavicle", "UpperArm", "Forearm", "Hand")
        hand = chain(bones, "Bip001 Neck", [f"Bip001 {side} {name}" for name in arm])
        for n in range(5):
            chain(bones, hand, [f"Bip001 {side} Finger{n}{i}" for i in ("", "1", "2")])
    return bones


def metarig(finger: str = "f_{}.0{}.{}") -> Parents:
    bones: Parents = {}
    chest = chain(bones, None, ["spine", "spine.001", "spine.002", "spine.003"])
    chain(bones, chest, ["spine.004", "spine.005", "spine.006", "face", "jaw"])
    for _, _, side, _ in SIDES:
        hand = chain(bones, chest, [f"{name}.{side}" for name in ("shoulder", "upper_arm", "forearm", "hand")])
        for n, name in enumerate(("index", "middle", "ring", "pinky"), 1):
            chain(bones, hand, [f"palm.0{n}.{side}", *(finger.format(name, i, side) for i in (1, 2, 3))])
        chain(bones, f"palm.01.{side}", [f"thumb.0{i}.{side}" for i in (1, 2, 3)])
        chain(bones, "spine", [f"{name}.{side}" for name in ("thigh", "shin", "foot", "toe")])
        bones[f"heel.02.{side}"] = f"foot.{side}"
    return bones


RIGS: dict[str, tuple[Parents, str]] = {
    "mixamo": (mixamo(), "Mixamo"), "mixamo, second character": (mixamo("mixamorig1:"), "Mixamo"),
    "mixamo, no prefix": (mixamo(""), "Mixamo"), "mixamo, from a game engine": (mixamo("mixamorig"), "Mixamo"),
    "vrm": (vrm(), "VRM"), "vrm 0": (vrm(("Proximal", "Intermediate", "Distal")), "VRM 0"), "vroid": (vroid(), "VRoid"),
    "makehuman": (makehuman(), "MakeHuman"), "unreal": (unreal(), "Unreal"), "unreal 5": (unreal(5, True), "Unreal"),
    "daz": (daz(), "Daz Genesis 3/8"), "character creator": (character_creator(), "Character Creator"),
    "smpl-x": (smplx(), "SMPL-X"), "biped": (biped(), "3ds Max Biped"), "metarig": (metarig(), "Rigify metarig"),
}
