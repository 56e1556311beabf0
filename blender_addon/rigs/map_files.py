# SPDX-License-Identifier: GPL-3.0-or-later
"""A bone map as a file, so that a studio sets its rig up once."""
from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..errors import AddonError
from ..solver.skeleton import ROLES

KIND = "pose_diffusion bone map"
LARGEST = 100_000  # bytes; a full map has about 3,000
LONGEST_NAME = 255  # bytes would be 63 in Blender 4, more in 5


def save_map(path: str | os.PathLike[str], bones: Mapping[str, str]) -> None:
    """Write a map, role -> bone, as JSON; whole or not at all.

    Raises
    ------
    AddonError
        The map is empty or has an unknown role, or the file cannot be written.
    """
    target = Path(path)
    if not bones:
        raise AddonError("the bone map is empty: set or match bones before saving it")
    _check(bones, target)
    text = json.dumps({"kind": KIND, "bones": {role: bones[role] for role in ROLES if role in bones}}, indent=1,
                      ensure_ascii=False)
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise AddonError(f"{target} cannot be written ({error.strerror}): choose another folder") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(temporary, target)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise AddonError(f"{target} cannot be written ({error.strerror}): choose another folder") from error


def load_map(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a map, role -> bone, that `save_map` wrote.

    Raises
    ------
    AddonError
        There is no such file, or it is not a bone map.
    """
    source = Path(path)
    try:
        with source.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise AddonError(f"{source} cannot be read ({error.strerror}): choose a saved bone map") from error
    if len(content) > LARGEST:
        raise AddonError(f"{source} is too large for a bone map: choose a file that Save map wrote")
    try:
        data = json.loads(content.decode("utf-8-sig"))  # editors on Windows write a mark before it
    except (ValueError, RecursionError) as error:
        raise AddonError(f"{source} is not a bone map (no JSON): choose a file that Save map wrote") from error
    if not isinstance(data, dict) or data.get("kind") != KIND or not isinstance(data.get("bones"), dict):
        raise AddonError(f"{source} is not a bone map: choose a file that Save map wrote")
    _check(data["bones"], source)
    if not data["bones"]:
        raise AddonError(f"{source} is an empty bone map: choose another")
    return dict(data["bones"])


def _check(bones: Mapping[str, object], path: Path) -> None:
    """Roles that exist, bones that may exist, no bone twice."""
    users: dict[str, str] = {}
    for role, bone in bones.items():
        if role not in ROLES:
            raise AddonError(f"{path}: {role!r:.80} is no role of a bone: take it out of the map")
        if not isinstance(bone, str) or not 0 < len(bone) <= LONGEST_NAME:
            raise AddonError(f"{path}: role {role} has no bone's name: write one or take it out of the map")
        if bone in users:
            raise AddonError(f"{path}: bone {bone} plays both {users[bone]} and {role}: keep one of them")
        users[bone] = role
