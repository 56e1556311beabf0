"""Characters that are linked from another file, as library overrides: their bone map and their file are the user's."""
from __future__ import annotations

from pathlib import Path

import bpy
import pytest

from blender_addon.interface import panels, target

pytestmark = pytest.mark.usefixtures("addon")


def linked(tmp_path: Path, *, with_map: bool) -> bpy.types.Object:
    """A signer, saved in a file, linked from there and overridden, active."""
    bpy.ops.pose_diffusion.create_signer()
    if with_map:
        bpy.ops.pose_diffusion.match_bones()
    path = tmp_path / "characters.blend"
    bpy.data.libraries.write(str(path), {bpy.context.object})
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(path), link=True) as (_, into):
        into.objects = ["Signer"]
    override: bpy.types.Object = into.objects[0].override_create()
    bpy.context.scene.collection.objects.link(override)
    bpy.context.view_layer.objects.active = override
    return override


def opened_again(tmp_path: Path) -> bpy.types.Object:
    """The override after the file was saved and opened."""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    override = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE" and thing.library is None)
    bpy.context.view_layer.objects.active = override
    return override


@pytest.mark.parametrize("with_map", [False, True])
def test_its_map_can_be_edited(tmp_path: Path, lexicon_files: list[Path], with_map: bool) -> None:
    """Whether the linked file has a map or not; if it has, what was changed is saved with the scene.

    Blender does not save overrides of a group of properties that the linked file lacks as a whole.
    """
    override = linked(tmp_path, with_map=with_map)
    assert bpy.ops.pose_diffusion.match_bones() == {"FINISHED"}
    override.pose_diffusion.bones["hand.L"].bone = ""
    assert bpy.ops.pose_diffusion.import_pose(filepath=str(lexicon_files[0])) == {"FINISHED"}
    if with_map:
        override = opened_again(tmp_path)
    assert len(override.pose_diffusion.bones) == 43
    assert target.bones_of(override).missing == ("hand.L",)
    assert override.pose_diffusion.source == str(lexicon_files[0])


@pytest.mark.parametrize("with_map", [False, True])
def test_its_map_can_be_cleared(tmp_path: Path, with_map: bool) -> None:
    """Lines of the linked file cannot be removed: they are emptied."""
    linked(tmp_path, with_map=with_map)
    bpy.ops.pose_diffusion.match_bones()
    bpy.ops.pose_diffusion.clear_map()
    override = opened_again(tmp_path)
    assert not target.has_map(override)
    assert "43 of 43" in panels.map_status(override)
