"""What the add-on tells Blender, and that nothing of it stays."""
from __future__ import annotations

from types import ModuleType

import bpy
import pytest

from blender_addon import registration


def traces() -> dict[str, object]:
    """All that an add-on could leave behind."""
    handlers = bpy.app.handlers
    return {
        "types": set(dir(bpy.types)),
        "operators": set(dir(bpy.ops)) | set(dir(bpy.ops.pose_diffusion)),
        "scene": set(dir(bpy.types.Scene)),
        "object": set(dir(bpy.types.Object)),
        "handlers": {name: list(getattr(handlers, name)) for name in dir(handlers)
                     if isinstance(getattr(handlers, name), list)},
        "menu": list(bpy.types.TOPBAR_MT_file_import._dyn_ui_initialize()),
    }


def test_registers_twice_without_a_trace() -> None:
    """Also what is not a class: handlers, menus, properties."""
    before = traces()
    for _ in range(2):
        registration.register()
        assert hasattr(bpy.types.Scene, "pose_diffusion")
        assert traces()["handlers"] != before["handlers"]
        registration.unregister()
        assert traces() == before


def test_every_class_is_registered(addon: ModuleType) -> None:
    """None is forgotten in the list of its module."""
    from blender_addon import interface

    modules = [value for value in vars(interface).values() if isinstance(value, ModuleType)]
    written = {thing for module in modules for thing in vars(module).values()
               if isinstance(thing, type) and thing.__module__ == module.__name__
               and issubclass(thing, (bpy.types.Operator, bpy.types.Panel, bpy.types.PropertyGroup, bpy.types.UIList,
                                      bpy.types.AddonPreferences, bpy.types.FileHandler))}
    assert written == set(registration.CLASSES)
    assert all(getattr(one, "is_registered") for one in written)  # noqa: B009


def test_everything_has_a_description(addon: ModuleType) -> None:
    """Tooltips teach: no operator and no setting is without one."""
    for one in registration.CLASSES:
        if issubclass(one, bpy.types.Operator):
            assert one.__doc__, one
            assert not one.__doc__.strip().endswith("."), one  # Blender writes the full stop
    settings = bpy.context.scene.pose_diffusion.bl_rna.properties
    untold = [setting.identifier for setting in settings if not setting.is_readonly and not (
        setting.description or setting.type == "ENUM" and all(item.description for item in setting.enum_items))]
    assert untold == []


def test_menu_and_drop(addon: ModuleType) -> None:
    """File > Import has an entry; files can be dropped."""
    from .layout import Layout

    layout = Layout()
    entries = bpy.types.TOPBAR_MT_file_import._dyn_ui_initialize()
    ours = [entry for entry in entries if entry.__module__.startswith("blender_addon")]
    for entry in ours:
        entry(type("Menu", (), {"layout": layout})(), bpy.context)
    assert layout.operators == ["pose_diffusion.import_pose"]
    handler = bpy.types.POSEDIFFUSION_FH_pose
    assert handler.bl_import_operator == "pose_diffusion.import_pose"
    assert handler.bl_file_extensions == ".pose"


@pytest.mark.parametrize("name", ["load_pre", "undo_pre", "undo_post", "redo_pre", "redo_post", "save_pre",
                                  "load_post"])
def test_handlers_survive_another_file(addon: ModuleType, name: str) -> None:
    """Blender removes those that are not persistent."""
    before = [handler for handler in getattr(bpy.app.handlers, name) if handler.__module__.startswith("blender_addon")]
    bpy.ops.wm.read_homefile(use_empty=True)
    after = [handler for handler in getattr(bpy.app.handlers, name) if handler.__module__.startswith("blender_addon")]
    assert len(before) == 1
    assert after == before
