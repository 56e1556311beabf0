"""The bone map: found, listed, edited, saved and loaded."""
from __future__ import annotations

from pathlib import Path
from types import ModuleType

import bpy
import pytest

from blender_addon.errors import AddonError
from blender_addon.interface import messages, target

pytestmark = pytest.mark.usefixtures("addon")


@pytest.fixture
def signer() -> bpy.types.Object:
    """A signer, active."""
    bpy.ops.pose_diffusion.create_signer()
    return bpy.context.object


def test_match_lists_every_role(signer: bpy.types.Object) -> None:
    """With the bones that were found."""
    assert bpy.ops.pose_diffusion.match_bones() == {"FINISHED"}
    lines = {line.name: line.bone for line in signer.pose_diffusion.bones}
    assert lines["index.1.L"] == "f_index.01.L"
    assert len(lines) == 43
    assert signer.pose_diffusion.map_name == "Signer"


def test_edited_map_is_used(signer: bpy.types.Object, lexicon_files: list[Path]) -> None:
    """Roles that were emptied are not driven."""
    bpy.ops.pose_diffusion.match_bones()
    for line in signer.pose_diffusion.bones:
        if line.name.endswith(".L"):
            line.bone = ""
    assert "hand.L" in target.bones_of(signer).missing
    bpy.ops.pose_diffusion.import_pose(filepath=str(lexicon_files[0]))
    from blender_addon.animation import keys
    driven = {curve.data_path.split('"')[1] for curve in keys.curves(*keys.assigned(signer))
              if curve.data_path.startswith("pose.bones")}
    assert "hand.R" in driven
    assert "hand.L" not in driven


def test_bone_that_is_not_there_is_named(signer: bpy.types.Object, lexicon_files: list[Path]) -> None:
    """Nothing is keyed."""
    bpy.ops.pose_diffusion.match_bones()
    signer.pose_diffusion.bones["hand.L"].bone = "paw"
    with pytest.raises(RuntimeError, match="paw"):
        bpy.ops.pose_diffusion.import_pose(filepath=str(lexicon_files[0]))
    assert not bpy.data.actions


def test_empty_map_is_refused(signer: bpy.types.Object) -> None:
    """With what to do; clearing finds bones by their names again."""
    bpy.ops.pose_diffusion.match_bones()
    for line in signer.pose_diffusion.bones:
        line.bone = ""
    with pytest.raises(AddonError, match="Match"):
        target.bones_of(signer)
    bpy.ops.pose_diffusion.clear_map()
    assert len(target.bones_of(signer).bones) == 43


def test_saved_and_loaded(signer: bpy.types.Object, tmp_path: Path) -> None:
    """The same map; bones that the other armature lacks are named."""
    bpy.ops.pose_diffusion.match_bones()
    signer.pose_diffusion.bones["hand.L"].bone = ""
    bones = target.bones_of(signer).bones
    bpy.ops.pose_diffusion.save_map(filepath=str(tmp_path / "mine.json"))
    bpy.ops.pose_diffusion.clear_map()
    bpy.ops.pose_diffusion.load_map(filepath=str(tmp_path / "mine.json"))
    assert target.bones_of(signer).bones == bones
    assert signer.pose_diffusion.map_name == "mine"
    signer.data.bones["hand.R"].name = "right paw"
    bpy.ops.pose_diffusion.load_map(filepath=str(tmp_path / "mine.json"))
    assert messages.last is not None
    assert messages.last.notes == ('"Signer" has no bone hand.R',)


def test_no_map_is_loaded_from_another_file(signer: bpy.types.Object, tmp_path: Path) -> None:
    """The map stays as it was."""
    bpy.ops.pose_diffusion.match_bones()
    (tmp_path / "other.json").write_text("[1, 2]")
    with pytest.raises(RuntimeError, match="not a bone map"):
        bpy.ops.pose_diffusion.load_map(filepath=str(tmp_path / "other.json"))
    assert len(target.bones_of(signer).bones) == 43


def test_map_is_saved_in_the_file(signer: bpy.types.Object, tmp_path: Path) -> None:
    """And is there when it is opened again."""
    bpy.ops.pose_diffusion.match_bones()
    signer.pose_diffusion.bones["head"].bone = ""
    bpy.context.scene.pose_diffusion.guidance = 3
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert target.bones_of(bpy.data.objects["Signer"]).missing == ("head",)
    assert bpy.context.scene.pose_diffusion.guidance == 3


def test_needs_an_armature(addon: ModuleType) -> None:
    """Buttons are greyed without."""
    for name in ("match_bones", "clear_map", "save_map", "load_map"):
        assert not getattr(bpy.ops.pose_diffusion, name).poll()


def test_map_of_another_rig_is_refused(signer: bpy.types.Object, tmp_path: Path) -> None:
    """The map that was there stays."""
    from blender_addon.rigs.map_files import save_map
    from blender_addon.rigs.maps import MAPS
    save_map(tmp_path / "mixamo.json", MAPS["Mixamo"])
    bpy.ops.pose_diffusion.match_bones()
    with pytest.raises(RuntimeError, match="none of the bones of mixamo.json"):
        bpy.ops.pose_diffusion.load_map(filepath=str(tmp_path / "mixamo.json"))
    assert len(target.bones_of(signer).bones) == 43
