# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles of an unknown rig: names say what a bone may be, parents decide."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..solver.skeleton import FINGERS, SIDES
from .bone_names import Said, common_words, read_name


@dataclass
class Named:
    """What is found, and what was left out because several bones may be it."""

    bones: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Tree:
    """Parents, and what each name says."""

    parents: Mapping[str, str | None]
    said: Mapping[str, Said]

    def above(self, bone: str) -> list[str]:
        """The bones above one, nearest first."""
        found: list[str] = []
        parent = self.parents.get(bone)
        while parent is not None and parent not in found:
            found.append(parent)
            parent = self.parents.get(parent)
        return found

    def of(self, part: str, side: str = "") -> list[str]:
        """Bones whose names say so."""
        return [bone for bone, said in self.said.items() if (said.part, said.side) == (part, side)]

    def chain(self, bones: Iterable[str]) -> list[str] | None:
        """The bones from the top down if each is below the one before; None otherwise."""
        ordered = sorted(bones, key=lambda bone: len(self.above(bone)))
        whole = all(first in self.above(second) for first, second in zip(ordered, ordered[1:]))
        return ordered if whole else None


def by_name(bones: Sequence[str], parents: Mapping[str, str | None]) -> Named:
    """The roles that names and parents tell without doubt."""
    ignored = common_words(bones)
    read = {bone: read_name(bone, ignored) for bone in bones}
    tree = Tree(parents, {bone: said for bone, said in read.items() if said is not None})
    found = Named()
    for side in SIDES:
        _arm(tree, side, found)
        if f"hand.{side}" in found.bones:
            _fingers(tree, side, found)
    _torso(tree, found)
    return found


def _top(tree: Tree, bones: Sequence[str], role: str, found: Named) -> None:
    """Give a role to the uppermost of some bones, unless they are not one chain."""
    chain = tree.chain(bones)
    if chain:
        found.bones[role] = chain[0]
    elif bones:
        found.doubts.append(f"{role} may be {bones[0]} or {bones[1]}")


def _arm(tree: Tree, side: str, found: Named) -> None:
    """Shoulder to hand: the hand must be below the forearm, that below the upper arm."""
    hands = tree.of("hand", side)
    over_hand = {above for hand in hands for above in tree.above(hand)}
    forearms = [bone for bone in tree.of("forearm", side) if bone in over_hand or not hands]
    hands = [hand for hand in hands if not forearms or set(tree.above(hand)) & set(forearms)]
    over_forearm = {above for bone in forearms or hands for above in tree.above(bone)}
    upper = [bone for bone in tree.of("upper_arm", side) if bone in over_forearm]
    shoulders = [bone for bone in tree.of("shoulder", side) if bone in over_forearm]
    if not upper and len(shoulders) > 1 and forearms:  # collar, shoulder, elbow, wrist: the joints' names
        chain = tree.chain(shoulders)
        upper, shoulders = (chain[-1:], chain[:-1]) if chain else ([], shoulders)
    shoulders = [bone for bone in shoulders if not upper or any(bone in tree.above(arm) for arm in upper)]
    for role, bones in (("shoulder", shoulders), ("upper_arm", upper), ("forearm", forearms), ("hand", hands)):
        _top(tree, bones, f"{role}.{side}", found)


def _fingers(tree: Tree, side: str, found: Named) -> None:
    """The fingers below a hand, each a chain. With numbers only, the lowest number is the thumb if there are five."""
    hand = found.bones[f"hand.{side}"]
    below = [bone for bone in tree.of("finger", side) if hand in tree.above(bone)]
    groups: dict[str, list[str]] = {}
    for bone in below:
        said = tree.said[bone]
        top = [bone, *(above for above in tree.above(bone) if above in below)][-1]
        groups.setdefault(said.finger or tree.said[top].numbers[0], []).append(bone)
    named = {key for key in groups if key in FINGERS}
    numbered = sorted((key for key in groups if key not in FINGERS), key=int)
    if numbered:
        free = [finger for finger in FINGERS if finger not in named]
        if len(free) != len(numbered):
            found.doubts.append(f"the {side} hand has {len(numbered)} numbered fingers")
            numbered, free = [], []
        groups.update({finger: groups.pop(key) for key, finger in zip(numbered, free)})
    chains = {}
    for finger in FINGERS:
        chain = tree.chain(groups.get(finger, []))
        if chain is None:
            found.doubts.append(f"{finger}.{side} may be {' or '.join(groups[finger][:2])}")
        elif chain:
            chains[finger] = chain
    for finger, chain in chains.items():
        for i, bone in _phalanges(finger, chain, len(chains.get("thumb", ())), tree):
            found.bones[f"{finger}.{i}.{side}"] = bone


def _phalanges(finger: str, chain: list[str], thumb: int, tree: Tree) -> list[tuple[int, str]]:
    """Which bones of a finger's chain are its phalanges 1 to 3; of a thumb the metacarpal is 1.

    Of four bones either the first is in the palm or the last marks the tip. A thumb has no more than three of its own,
    so it tells: where it has four, tips are marked.
    """
    if finger == "thumb":
        return [(i + 2, bone) for i, bone in enumerate(chain)] if len(chain) == 2 else list(zip((1, 2, 3), chain))
    numbers = [said.numbers[-1] for said in (tree.said[bone] for bone in chain) if said.numbers]
    if len(chain) == 4 and len(numbers) == 4 and int(numbers[0]) == 0:  # index_00: numbered from the palm
        return list(zip((1, 2, 3), chain[1:]))
    if len(chain) == 4:
        return {3: list(zip((1, 2, 3), chain[1:])), 4: list(zip((1, 2, 3), chain[:3]))}.get(thumb, [])
    if len(chain) == 5 and thumb == 4:
        return list(zip((1, 2, 3), chain[1:4]))
    return list(zip((1, 2, 3), chain)) if len(chain) <= 3 else []


def _torso(tree: Tree, found: Named) -> None:
    """Hips to head: what carries an arm is the chest."""
    arms = [found.bones[role] for side in SIDES for role in (f"shoulder.{side}", f"upper_arm.{side}")
            if role in found.bones]
    carries = [bone for bone in [*tree.of("spine"), *tree.of("chest")] if all(bone in tree.above(arm) for arm in arms)]
    chain = tree.chain(carries)
    if chain:
        found.bones["chest"] = chain[-1]
        if len(chain) > 1:
            found.bones["spine"] = chain[0]
    elif carries:
        found.doubts.append(f"the spine may be {carries[0]} or {carries[1]}")
    _top(tree, tree.of("neck"), "neck", found)
    neck = found.bones.get("neck")
    _top(tree, [bone for bone in tree.of("head") if neck is None or neck in tree.above(bone)], "head", found)
    lowest = found.bones.get("spine", found.bones.get("chest"))
    hips = [bone for bone in tree.of("hips") if lowest is None or bone in tree.above(lowest)]
    _top(tree, hips, "hips", found)
