# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone of an armature plays which role: by a known map, or by what names and parents say.

A bone that could be two things is left out, and so is a role that two bones could play: the user sees what is missing
and sets it by hand.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import AddonError
from ..solver.skeleton import FINGERS, ROLES, SIDES
from .map_files import load_map, save_map
from .maps import MAPS, MARKS
from .match_names import by_name

__all__ = ["BY_NAME", "Match", "drivable", "load_map", "match", "save_map"]

BY_NAME = "by name"
# A generated Rigify rig has three bones of each name; those that deform are the ones that an export keeps.
PREFERRED_PREFIXES = ("", "def")


@dataclass(frozen=True)
class Match:
    """Bones found for roles.

    Attributes
    ----------
    rig : str
        The map's name in `MAPS`, or "by name".
    bones : dict of str to str
        Role to bone.
    missing : tuple of str
        Roles without a bone, in the order of `ROLES`.
    """

    rig: str
    bones: dict[str, str]
    missing: tuple[str, ...]


def match(bones: Sequence[str], parents: Mapping[str, str | None]) -> Match:
    """Find the roles of an armature's bones.

    Parameters
    ----------
    bones : sequence of str
        Names, in any order.
    parents : mapping of str to str or None
        Each bone's parent.

    Returns
    -------
    Match
        Of the known map that finds the most roles, or by name if that finds more.

    Raises
    ------
    AddonError
        Neither an arm (upper arm, forearm, hand) nor a hand with a finger is found, or it is found twice.
    """
    if not bones:
        raise AddonError("the armature has no bones: select the character's own armature")
    candidates = [(found, name) for name in MAPS for found in _by_map(bones, name)]
    named = by_name(bones, parents)
    candidates.append((named.bones, BY_NAME))
    found, rig = max(candidates, key=lambda candidate: len(candidate[0]))  # the first of those that find as many
    twice = [other for other, name in candidates if name == rig and len(other) == len(found)]
    if drivable(found) and len(twice) > 1:
        raise AddonError(f"the armature has two sets of bones with the names of {rig} ({twice[0]['hand.L']}, "
                         f"{twice[1]['hand.L']}): set the bones of one by hand in the bone map")
    if not drivable(found):
        doubt = "; ".join(named.doubts[:2])
        raise AddonError("no arm and no hand found among the names of the armature's bones"
                         f"{f' ({doubt})' if doubt else ''}: set them by hand in the bone map, or load a saved map")
    return Match(rig, {role: found[role] for role in ROLES if role in found},
                 tuple(role for role in ROLES if role not in found))


def drivable(bones: Mapping[str, str]) -> bool:
    """Whether a map has at least a whole arm, or a hand with a finger."""
    return _has_arm(bones) or any(
        f"hand.{side}" in bones and any(f"{finger}.1.{side}" in bones for finger in FINGERS) for side in SIDES)


def _has_arm(bones: Mapping[str, str]) -> bool:
    return any(all(f"{role}.{side}" in bones for role in ("upper_arm", "forearm", "hand")) for side in SIDES)


def _plain(name: str) -> str:
    """A name as it is left by exporters that drop signs: `upper_arm.L` as `upperarml`."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _by_map(bones: Sequence[str], name: str) -> list[dict[str, str]]:
    """What a known map finds: one result per prefix (none, `mixamorig:`), those of the most roles only."""
    known = MAPS[name]
    exact = set(bones)
    plain: dict[str, list[str]] = {}
    for bone in bones:
        plain.setdefault(_plain(bone), []).append(bone)
    ends = {_plain(known[role]) for side in SIDES for role in (f"hand.{side}", f"upper_arm.{side}")}
    prefixes = {key[:-len(end)] for key in plain for end in ends if key.endswith(end)}
    results: dict[str, dict[str, str]] = {}
    for prefix in prefixes:
        if name in MARKS and prefix + _plain(MARKS[name]) not in plain:
            continue
        found = {}
        for role, bone in known.items():
            same = plain.get(prefix + _plain(bone), [])
            if not prefix and bone in exact:
                found[role] = bone
            elif len(same) == 1:
                found[role] = same[0]
        if _has_arm(found):  # fewer names may be alike by chance
            results[prefix] = found
    most = max(map(len, results.values()), default=0)
    best = {prefix: found for prefix, found in results.items() if len(found) == most}
    for prefix in PREFERRED_PREFIXES:
        if prefix in best:
            return [best[prefix]]
    return list(best.values())
