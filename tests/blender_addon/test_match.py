"""Roles are found on every known rig, on unknown ones by name, and nothing is guessed."""
from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.errors import AddonError
from blender_addon.rigs.bone_names import read_name, words
from blender_addon.rigs.match import BY_NAME, Match, match
from blender_addon.rigs.match_names import by_name
from blender_addon.solver.skeleton import FINGERS, ROLES, SIDES

from .rig_names import RIGS, Parents, chain, genesis9, makehuman, metarig, mixamo, smplx, unreal, vrm


def matched(parents: Parents, seed: int = 0) -> Match:
    names = list(parents)
    random.Random(seed).shuffle(names)
    return match(names, parents)


def renamed(parents: Parents, change: Mapping[str, str] | None = None, prefix: str = "") -> Parents:
    def new(name: str) -> str:
        for old, by in (change or {}).items():
            name = name.replace(old, by)
        return prefix + name

    return {new(bone): parent and new(parent) for bone, parent in parents.items()}


@pytest.mark.parametrize("rig", RIGS)
def test_known_rigs_are_found_whole_in_any_order(rig: str) -> None:
    parents, name = RIGS[rig]
    results = [matched(parents, seed) for seed in range(5)]
    assert results[0].rig == name
    assert results[0].missing == ()
    assert tuple(results[0].bones) == ROLES
    assert set(results[0].bones.values()) <= set(parents)
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("rig", RIGS)
def test_roles_follow_the_bones_parents(rig: str) -> None:
    """What a map says fits the rig as it is built: a check of the names that no list of names can give."""
    parents, _ = RIGS[rig]
    bones = matched(parents).bones
    for side in SIDES:
        arm = [bones[f"{role}.{side}"] for role in ("shoulder", "upper_arm", "forearm", "hand")]
        for finger in FINGERS:
            line = [*arm, *(bones[f"{finger}.{i}.{side}"] for i in (1, 2, 3))]
            assert all(upper in above(parents, lower) for upper, lower in zip(line, line[1:]))
            assert all((f"{side.lower()}" in words(bone) or {"L": "left", "R": "right"}[side] in words(bone))
                       for bone in line)
        if rig != "biped":  # its clavicles hang from the neck
            assert bones["chest"] in above(parents, arm[0])
    torso = [bones[role] for role in ("hips", "spine", "chest", "neck", "head")]
    assert all(upper in above(parents, lower) for upper, lower in zip(torso, torso[1:]))


def above(parents: Parents, bone: str | None) -> list[str]:
    found = []
    while (bone := parents[bone] if bone is not None else None) is not None:
        found.append(bone)
    return found


def test_a_rig_keeps_its_map_under_a_characters_name() -> None:
    for parents in (metarig(), mixamo(""), unreal()):
        plain = matched(parents)
        prefixed = matched(renamed(parents, prefix="Hero:"))
        assert prefixed.rig == plain.rig
        assert prefixed.bones == {role: f"Hero:{bone}" for role, bone in plain.bones.items()}


def test_signs_that_exporters_drop_do_not_matter() -> None:
    parents = metarig()
    expected = {role: bone.replace(".", "") for role, bone in matched(parents).bones.items()}
    assert matched(renamed(parents, {".": ""})).bones == expected
    assert matched(renamed(parents, {".": "_"})).rig == "Rigify metarig"


def test_the_signer_is_told_from_a_metarig_by_its_root() -> None:
    assert matched({**metarig(), "root": None}).rig == "Signer"


def test_of_rigifys_generated_bones_the_controls_are_taken() -> None:
    parents = metarig()
    generated: Parents = {f"{kind}{bone}": parent and kind + parent for bone, parent in parents.items()
                          for kind in ("ORG-", "DEF-")}
    deform = matched(generated)
    assert deform.rig == "Rigify metarig"
    assert deform.bones["hand.L"] == "DEF-hand.L"
    for side in SIDES:
        chain(generated, f"ORG-shoulder.{side}", [f"{name}_fk.{side}" for name in ("upper_arm", "forearm", "hand")])
        generated.update({name: f"ORG-palm.01.{side}" for name in parents
                          if name.startswith(("f_", "thumb", "shoulder")) and name.endswith(side)})
    generated.update(dict.fromkeys(("torso", "spine_fk.002", "spine_fk.003", "neck", "head", "root"), None))
    controls = matched(generated)
    assert controls.rig == "Rigify"
    assert controls.missing == ()
    assert controls.bones["hand.L"] == "hand_fk.L"


def test_an_arm_alone_is_enough_and_the_rest_is_missing() -> None:
    arm: Parents = {}
    hand = chain(arm, None, ["upper_arm.L", "forearm.L", "hand.L"])
    chain(arm, hand, ["palm.01.L", "f_index.01.L", "f_index.02.L", "f_index.03.L"])
    found = matched(arm)
    assert found.bones == {"upper_arm.L": "upper_arm.L", "forearm.L": "forearm.L", "hand.L": "hand.L",
                           "index.1.L": "f_index.01.L", "index.2.L": "f_index.02.L", "index.3.L": "f_index.03.L"}
    assert found.missing == tuple(role for role in ROLES if role not in found.bones)


@pytest.mark.parametrize("parents", [
    genesis9(), renamed(mixamo(""), {"ForeArm": "LowArm"}), renamed(makehuman(), {"wrist": "Hand"}),
    renamed(vrm(), {"Intermediate": "Medial"}), renamed(smplx(), {"elbow": "Forearm"}),
    renamed(unreal(), {"clavicle": "collarbone", "0": ""}), renamed(metarig(), {"f_": "", "palm": "meta"}, "Eve_"),
], ids=["genesis 9", "mixamo", "makehuman", "vrm", "smpl-x", "unreal", "metarig"])
def test_unknown_rigs_are_read_by_name(parents: Parents) -> None:
    found = by_name(list(parents), parents)
    missing = [role for role in ROLES if role not in found.bones]
    allowed = {"hips"} if "root" in parents else set()  # in MakeHuman it is the root
    allowed = {"hips", "spine", "chest", "neck", "head"} if "Eve_spine" in parents else allowed  # all are "spine"
    assert set(missing) <= allowed, (missing, found.doubts)
    assert found.bones.items() >= {role: bone for role, bone in matched(parents).bones.items()
                                   if matched(parents).rig == BY_NAME}.items()
    for side in SIDES:
        roles = ("shoulder", "upper_arm", "forearm", "hand", "index.1", "index.3")
        line = [found.bones[f"{role}.{side}"] for role in roles]
        assert all(upper in above(parents, lower) for upper, lower in zip(line, line[1:]))


def test_palm_bones_are_no_phalanges() -> None:
    found = by_name(list(genesis9()), genesis9()).bones
    assert [found[f"index.{i}.L"] for i in (1, 2, 3)] == ["l_index1", "l_index2", "l_index3"]
    assert found["thumb.1.L"] == "l_thumb1"


@pytest.mark.parametrize(("thumb", "finger", "expected"), [(3, 4, (2, 3, 4)), (4, 4, (1, 2, 3)), (4, 5, (2, 3, 4)),
                                                           (3, 3, (1, 2, 3)), (0, 4, ()), (3, 2, (1, 2))])
def test_of_four_bones_the_thumb_tells_which_are_the_finger(thumb: int, finger: int, expected: tuple[int, ...]) -> None:
    parents: Parents = {}
    hand = chain(parents, None, ["L Upper Arm", "L Lower Arm", "L Hand"])
    chain(parents, hand, [f"L Thumb {i}" for i in range(1, thumb + 1)])
    chain(parents, hand, [f"L Ring {i}" for i in range(1, finger + 1)])
    found = match(list(parents), parents).bones
    assert [found.get(f"ring.{i}.L") for i in (1, 2, 3)] == [
        *(f"L Ring {i}" for i in expected), *[None] * (3 - len(expected))]


def test_two_hands_on_one_side_are_not_guessed() -> None:
    parents: Parents = {}
    chain(parents, None, ["ArmL", "ForearmL", "HandL"])
    chain(parents, None, ["Arm_L", "Forearm_L", "Hand_L"])
    with pytest.raises(AddonError, match=r"may be .* by hand in the bone map"):
        match(list(parents), parents)


def test_two_characters_in_one_armature_are_refused() -> None:
    two = {**mixamo("A:"), **mixamo("B:")}
    with pytest.raises(AddonError, match="two sets of bones with the names of Mixamo"):
        match(list(two), two)


@pytest.mark.parametrize("parents", [
    {}, {"Bone": None, "Bone.001": "Bone", "Bone.002": "Bone.001"}, {"Head": None},
    {"hand_ik.L": None, "foot.L": None, "toe_index.L": "foot.L"}, {"upper_arm.L": None, "forearm.L": "upper_arm.L"},
    {"hand.L": None, "forearm.R": "hand.L"}])
def test_what_has_no_arm_is_refused_with_what_to_do(parents: Parents) -> None:
    with pytest.raises(AddonError, match="by hand in the bone map|select the character"):
        match(list(parents), parents)


@pytest.mark.parametrize(("name", "expected"), [
    ("LHand", ["l", "hand"]), ("mixamorig:LeftForeArm", ["left", "fore", "arm"]),
    ("f_index.01.L", ["f", "index", "01", "l"]),
    ("lShldrBend", ["l", "shldr", "bend"]), ("Armature|rightupperarm", ["right", "upperarm"]),
    ("Bip001 L Finger01", ["bip", "001", "l", "finger", "01"])])
def test_names_are_divided_into_words(name: str, expected: list[str]) -> None:
    assert words(name) == expected


@pytest.mark.parametrize("name", ["hand_ik.L", "LeftArmTwist", "toe.L", "Left Leg", "hand", "L_R_hand", "", "ring",
                                  "mid_ring_1.L"])
def test_names_of_other_bones_say_nothing(name: str) -> None:
    assert read_name(name) is None


@given(st.dictionaries(st.text(max_size=12), st.none() | st.text(max_size=12), max_size=12),
       st.lists(st.sampled_from(["l", "hand", "arm", "fore", "index", "1", "_", "R", "Finger"]), max_size=30))
def test_any_names_and_parents_are_matched_or_refused(parents: Parents, pieces: list[str]) -> None:
    """Even parents in a circle, or unknown ones."""
    names = ["".join(pieces[i:i + 4]) for i in range(len(pieces))]
    parents = {**parents, **dict(zip(names, names[1:])), **dict(zip(names[:1], names[-1:]))}
    try:
        found = match(list(parents), parents)
    except AddonError:
        return
    assert set(found.bones.values()) <= set(parents)
    assert len(set(found.bones.values())) == len(found.bones)
    assert set(found.bones) | set(found.missing) == set(ROLES)
