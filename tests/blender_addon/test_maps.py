"""The maps are whole, and a map saved is the map loaded; a file from a stranger is checked."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.errors import AddonError
from blender_addon.rigs.map_files import load_map, save_map
from blender_addon.rigs.maps import MAPS
from blender_addon.rigs.signer_bones import signer_bones
from blender_addon.solver.skeleton import ROLES

from .rig_names import RIGS


@pytest.mark.parametrize("name", MAPS)
def test_a_map_has_a_bone_of_its_own_for_each_role(name: str) -> None:
    assert set(MAPS[name]) == set(ROLES)
    assert len(set(MAPS[name].values())) == len(ROLES)


def test_each_map_is_tested_on_a_rig() -> None:
    assert {rig for _, rig in RIGS.values()} | {"Signer", "Rigify"} == set(MAPS)


def test_the_signer_has_all_roles() -> None:
    assert set(MAPS["Signer"].values()) <= {bone.name for bone in signer_bones()}


@given(st.dictionaries(st.sampled_from(ROLES), st.text(min_size=1, max_size=30), min_size=1).filter(
    lambda bones: len(set(bones.values())) == len(bones)))
def test_a_saved_map_is_loaded_as_it_was(tmp_path_factory: pytest.TempPathFactory, bones: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("maps") / "größe.json"
    save_map(path, bones)
    assert load_map(path) == bones
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_map_that_is_wrong_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    save_map(path, {"head": "Head"})
    for wrong in ({}, {"tail": "Tail"}, {"head": ""}, {"head": "A", "neck": "A"}):
        with pytest.raises(AddonError):
            save_map(path, wrong)
    assert load_map(path) == {"head": "Head"}
    with pytest.raises(AddonError, match="cannot be written"):
        save_map(tmp_path / "no folder" / "map.json", {"head": "Head"})


@pytest.mark.parametrize(("content", "says"), [
    (b"", "no JSON"), (b"\xff\xfe", "no JSON"), (b"[" * 50_000, "no JSON"), (b"[]", "not a bone map"),
    (b"{}", "not a bone map"), (b" " * 100_001, "too large"),
    (json.dumps({"kind": "pose_diffusion bone map", "bones": []}).encode(), "not a bone map"),
    (json.dumps({"kind": "pose_diffusion bone map", "bones": {}}).encode(), "empty"),
    (json.dumps({"kind": "pose_diffusion bone map", "bones": {"tail": "x"}}).encode(), "'tail' is no role"),
    (json.dumps({"kind": "pose_diffusion bone map", "bones": {"head": 3}}).encode(), "no bone's name"),
    (json.dumps({"kind": "pose_diffusion bone map", "bones": {"head": "a", "neck": "a"}}).encode(), "plays both")])
def test_what_is_no_map_is_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "some map.json"
    path.write_bytes(content)
    with pytest.raises(AddonError, match=says) as caught:
        load_map(path)
    assert "some map.json" in str(caught.value)


def test_a_map_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AddonError, match="cannot be read"):
        load_map(tmp_path / "none.json")


def test_a_map_edited_on_windows_is_loaded(tmp_path: Path) -> None:
    """Its editor writes a byte order mark."""
    save_map(tmp_path / "map.json", {"head": "Head"})
    edited = b"\xef\xbb\xbf" + (tmp_path / "map.json").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "map.json").write_bytes(edited)
    assert load_map(tmp_path / "map.json") == {"head": "Head"}
