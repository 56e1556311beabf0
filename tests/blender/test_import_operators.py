"""Files onto armatures, signers, the studio, and Blender's exporters."""
from __future__ import annotations

import json
import struct
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

from blender_addon.interface import import_operators, messages

from .layout import Layout
from .scene import state_of


@pytest.fixture(autouse=True)
def ready(addon: ModuleType) -> None:
    """The mode that takes less time; the other is tested elsewhere."""
    bpy.context.scene.pose_diffusion.mode = "follow"


@pytest.fixture
def file(lexicon_files: list[Path]) -> Path:
    """A real one."""
    return lexicon_files[0]


def load(file: Path, **more: object) -> set[str]:
    """As a script does."""
    result: set[str] = bpy.ops.pose_diffusion.import_pose(filepath=str(file), **more)
    return result


def take() -> bpy.types.Action:
    """What the active armature plays."""
    action: bpy.types.Action = bpy.context.object.animation_data.action
    return action


def test_into_an_empty_scene(file: Path) -> None:
    """A signer comes and signs; the scene is long enough for it, and keeps its own rate."""
    bpy.context.scene.frame_end = 5
    assert load(file) == {"FINISHED"}
    assert [thing.name for thing in bpy.data.objects if thing.type == "ARMATURE"] == ["Signer"]
    assert take().name == file.stem
    assert bpy.context.scene.frame_end >= take().curve_frame_range[1] - 1
    assert bpy.context.scene.render.fps == 24
    places = []
    for frame in (5, 15):
        bpy.context.scene.frame_set(frame)
        armature = bpy.context.object.evaluated_get(bpy.context.evaluated_depsgraph_get())
        places.append(np.array(armature.pose.bones["f_index.03.R"].tail))
    assert np.linalg.norm(places[1] - places[0]) > .002


def test_onto_the_active_armature(file: Path) -> None:
    """No second signer; the take before it is kept."""
    bpy.ops.pose_diffusion.create_signer()
    load(file)
    first = take()
    load(file)
    assert [thing.name for thing in bpy.data.objects if thing.type == "ARMATURE"] == ["Signer"]
    assert first.use_fake_user
    load(file, onto="NEW")
    assert len([thing for thing in bpy.data.objects if thing.type == "ARMATURE"]) == 2


def test_the_last_armature_while_another_thing_is_active(file: Path) -> None:
    """An animator clicked on the camera."""
    load(file)
    bpy.ops.object.camera_add()
    load(file)
    assert len([thing for thing in bpy.data.objects if thing.type == "ARMATURE"]) == 1


def test_deleted_signer_is_gone(file: Path) -> None:
    """Nothing of the add-on's keeps it in the file: the next one has its name."""
    load(file)
    bpy.ops.object.delete()
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    assert "Signer" not in bpy.data.objects
    load(file)
    assert "Signer" in bpy.data.objects


def test_several_files_are_an_action_each(lexicon_files: list[Path]) -> None:
    """The last one is played."""
    folder, files = lexicon_files[0].parent.parent, lexicon_files[:3]
    names = [{"name": str(file.relative_to(folder))} for file in files]
    bpy.ops.pose_diffusion.import_pose(directory=str(folder), files=names)
    assert sorted(action.name for action in bpy.data.actions) == sorted(file.stem for file in files)
    assert take().name == files[-1].stem
    assert messages.last is not None
    assert "3 files" in messages.last.text


@pytest.mark.parametrize("content", [b"", b"no pose at all", None])
def test_bad_files_change_nothing(content: bytes | None, tmp_path: Path, file: Path) -> None:
    """Also as the second of two: all are read first. The error names the file."""
    bpy.ops.object.camera_add()
    before = state_of(bpy.context.scene)
    bad = tmp_path / "bad.pose"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(RuntimeError, match=r"bad\.pose"):
        load(bad)
    (tmp_path / "good.pose").write_bytes(file.read_bytes())
    with pytest.raises(RuntimeError, match=r"bad\.pose"):
        bpy.ops.pose_diffusion.import_pose(directory=str(tmp_path), files=[{"name": "good.pose"}, {"name": "bad.pose"}])
    assert state_of(bpy.context.scene) == before


def test_armature_without_hands_is_refused(file: Path) -> None:
    """With what to do, and nothing is changed."""
    bpy.ops.object.armature_add()
    before = state_of(bpy.context.scene)
    with pytest.raises(RuntimeError, match="bone map"):
        load(file)
    assert state_of(bpy.context.scene) == before


def test_no_file_is_named() -> None:
    """An error, no traceback."""
    with pytest.raises(RuntimeError, match="no file is chosen"):
        bpy.ops.pose_diffusion.import_pose()


def test_solve_again_takes_the_settings_of_now(file: Path) -> None:
    """Another mode makes another take of the same file."""
    with pytest.raises(RuntimeError, match="No .pose file was loaded"):
        bpy.ops.pose_diffusion.solve_again()
    load(file)
    first = take()
    bpy.context.scene.pose_diffusion.smoothing = 0
    bpy.ops.pose_diffusion.solve_again()
    from blender_addon.animation import keys
    curves = [{(curve.data_path, curve.array_index): curve.evaluate(9) for curve in keys.curves(action, slot)}
              for action, slot in ((first, keys.find_slot(first, "OBSigner")), keys.assigned(bpy.context.object))]
    assert curves[0].keys() == curves[1].keys()
    assert max(abs(curves[0][name] - curves[1][name]) for name in curves[0]) > 1e-3


def test_mirrored_swaps_the_hands(file: Path) -> None:
    """What the right hand did does the left one."""
    def end(side: str) -> np.ndarray:
        bpy.context.scene.frame_set(10)
        armature = bpy.context.object.evaluated_get(bpy.context.evaluated_depsgraph_get())
        return np.array(armature.pose.bones[f"f_index.03.{side}"].tail)

    load(file)
    right = end("R")
    bpy.context.scene.pose_diffusion.mirrored = True
    bpy.ops.pose_diffusion.solve_again()
    np.testing.assert_allclose(end("L"), right * [-1, 1, 1], atol=.01)


def test_scene_is_as_long_as_the_take(lexicon_files: list[Path]) -> None:
    """Unless the user has set its range."""
    scene = bpy.context.scene
    for file in lexicon_files[:3]:
        load(file)
        assert scene.frame_end == int(np.ceil(take().curve_frame_range[1]))
    scene.frame_end = 300
    load(lexicon_files[0])
    assert scene.frame_end == 300


def test_begins_where_it_is_asked_to(file: Path) -> None:
    """At the scene's start, or at the current frame."""
    bpy.context.scene.frame_start = 11
    load(file)
    assert take().curve_frame_range[0] == 11
    bpy.context.scene.pose_diffusion.begin = "CURRENT"
    bpy.context.scene.frame_set(31)
    load(file)
    assert take().curve_frame_range[0] == 31


def test_file_browser_shows_the_settings() -> None:
    """Beside the files."""
    layout = Layout()
    operator: Any = SimpleNamespace(layout=layout, bl_rna=bpy.ops.pose_diffusion.import_pose.get_rna_type())
    import_operators.POSEDIFFUSION_OT_import_pose.draw(operator, bpy.context)
    assert layout.properties == ["onto", "begin", "mode", "mirrored", "person"]


def test_dropped_files_are_loaded_at_once(file: Path) -> None:
    """Without the file browser."""
    operator: Any = SimpleNamespace(directory=str(file.parent), files=[SimpleNamespace(name=file.name)],
                                    execute=lambda context: {"FINISHED"} if context == bpy.context else {"CANCELLED"})
    invoke = import_operators.POSEDIFFUSION_OT_import_pose.invoke
    assert invoke(operator, bpy.context, SimpleNamespace()) == {"FINISHED"}
    view = SimpleNamespace(area=SimpleNamespace(type="VIEW_3D"))
    assert import_operators.POSEDIFFUSION_FH_pose.poll_drop(view)


def test_studio(file: Path) -> None:
    """A camera that the scene looks through."""
    load(file)
    assert bpy.ops.pose_diffusion.create_studio() == {"FINISHED"}
    assert bpy.context.scene.camera is not None
    assert any(thing.type == "LIGHT" for thing in bpy.data.objects)


@pytest.mark.parametrize(("name", "ending"), [("bvh", "bvh"), ("fbx", "fbx"), ("gltf", "glb"), ("usd", "usdc")])
def test_export(name: str, ending: str, file: Path, tmp_path: Path) -> None:
    """By Blender's own exporters, of the armature and its take."""
    target = tmp_path / f"signer.{ending}"
    operator = getattr(bpy.ops.pose_diffusion, f"export_{name}")
    with pytest.raises(RuntimeError, match="Select an armature"):
        operator(filepath=str(target))
    bpy.ops.mesh.primitive_cube_add()
    load(file)
    assert operator(filepath=str(target)) == {"FINISHED"}
    content = target.read_bytes()
    assert len(content) > 10_000
    if name == "gltf":
        length = struct.unpack("<I", content[12:16])[0]
        scene = json.loads(content[20:20 + length])
        assert [animation["name"] for animation in scene["animations"]] == [file.stem]
        assert "Cube" not in [node["name"] for node in scene["nodes"]]


def test_export_says_when_an_exporter_is_off(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where to enable it."""
    import addon_utils

    load(file)
    addon_utils.disable("io_anim_bvh")
    try:
        with pytest.raises(RuntimeError, match="exporter is off"):
            bpy.ops.pose_diffusion.export_bvh()
    finally:
        addon_utils.enable("io_anim_bvh")
    with pytest.raises(RuntimeError, match="no file is named"):
        bpy.ops.pose_diffusion.export_bvh()


def test_undo_is_one_step(file: Path) -> None:
    """The signer and its take go together."""
    bpy.ops.ed.undo_push(message="before")
    before = state_of(bpy.context.scene)
    load(file)
    bpy.ops.ed.undo_push(message="after")  # as Blender does for an operator that is called by the user
    bpy.ops.ed.undo()
    assert state_of(bpy.context.scene) == before
    for operator in import_operators.CLASSES:
        if issubclass(operator, bpy.types.Operator):
            assert "UNDO" in operator.bl_options


def test_a_take_before_the_scene_leaves_the_scenes_end(lexicon_files: list[Path]) -> None:
    """A scene of one frame would play nothing."""
    scene = bpy.context.scene
    scene.frame_set(-60)
    scene.pose_diffusion.begin = "CURRENT"
    assert bpy.ops.pose_diffusion.import_pose(filepath=str(lexicon_files[0])) == {"FINISHED"}
    assert bpy.context.object.animation_data.action.frame_range[1] < 0
    assert scene.frame_end == 250
