"""Installs the add-on's zip in Blender, enables and disables it twice, and looks for what it leaves behind.

    python tools/addon_install_check.py dist/pose_diffusion-0.1.0.zip [--pose FILE.pose]

Runs in any Python with bpy, 4.2 or newer, without a window and with settings of its own. Prints one line of JSON:
`version` and `problems`, of which there should be none. With `--pose` the file is put on a new signer.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOREIGN = ("torch", "pose_diffusion", "pose_format", "scipy", "mediapipe")  # none of these is in Blender
MODULE = "bl_ext.user_default.pose_diffusion"
DATA = ("Scene", "Object", "WindowManager", "Armature", "Action", "Mesh", "Key", "Bone", "PoseBone", "Text", "Screen")


class Timers:
    """Counts what is registered with `bpy.app.timers`, which keeps no list."""

    def __init__(self, timers: Any) -> None:
        self.running: set[Callable[[], float | None]] = set()
        register, unregister = timers.register, timers.unregister

        def count(function: Callable[[], float | None], **options: Any) -> None:
            register(function, **options)
            self.running.add(function)

        def forget(function: Callable[[], float | None]) -> None:
            unregister(function)
            self.running.discard(function)

        timers.register, timers.unregister = count, forget


def state(bpy: Any, timers: Timers) -> dict[str, set[str]]:
    """All that an add-on can leave in Blender, by kind."""
    handlers = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)}
    draws = {name: getattr(getattr(bpy.types, name), "draw", None) for name in dir(bpy.types)}
    maps = bpy.context.window_manager.keyconfigs.addon
    operators = {f"{group}.{name}" for group in dir(bpy.ops) for name in dir(getattr(bpy.ops, group))}
    return {
        "types": set(dir(bpy.types)),
        "operators": operators,
        "properties": {f"{name}.{key}" for name in DATA for key in _property_names(bpy, name)},
        "attributes": {f"{name}.{key}" for name in DATA for key in dir(getattr(bpy.types, name))},
        "handlers": {f"{name}: {f!r}" for name, each in handlers.items() if isinstance(each, list) for f in each},
        "menu entries": {f"{name}: {f!r}" for name, draw in draws.items() for f in getattr(draw, "_draw_funcs", ())},
        "timers": {repr(f) for f in timers.running},
        "keys": {f"{m.name}: {i.idname}" for m in maps.keymaps for i in m.keymap_items} if maps else set(),
        "driver functions": set(bpy.app.driver_namespace),
    }


def _property_names(bpy: Any, name: str) -> list[str]:
    return [each.identifier for each in getattr(bpy.types, name).bl_rna.properties]


def files(folder: Path) -> set[str]:
    """What lies in a folder, but for what Python itself puts there."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if "__pycache__" not in p.parts}


def check(bpy: Any, zip_path: Path, user: Path, pose: Path | None) -> list[str]:
    """The problems."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    import addon_utils

    timers = Timers(bpy.app.timers)
    bpy.ops.extensions.package_install_files(filepath=str(zip_path), repo="user_default", enable_on_install=False)
    folder = user / "extensions" / "user_default" / "pose_diffusion"
    before, unpacked, others = state(bpy, timers), files(folder), files(user)
    problems = [] if unpacked else [f"nothing was unpacked into {folder}"]
    for time in ("first", "second"):
        errors: list[BaseException] = []
        if addon_utils.enable(MODULE, default_set=True, handle_error=errors.append) is None:
            problems += [f"it cannot be enabled the {time} time: {error!r}" for error in errors]
            continue
        enabled = state(bpy, timers)
        if not enabled["operators"] > before["operators"]:
            problems.append(f"enabled the {time} time, it has no operators")
        if pose is not None:
            problems += signs(bpy, pose)
        addon_utils.disable(MODULE, default_set=True)
        after = state(bpy, timers)
        problems += [f"{kind} left behind the {time} time: {', '.join(sorted(after[kind] - before[kind]))}"
                     for kind in before if after[kind] - before[kind]]
        problems += [f"{kind} gone the {time} time: {', '.join(sorted(before[kind] - after[kind]))}"
                     for kind in before if before[kind] - after[kind]]
    if written := files(folder) - unpacked:
        problems.append(f"it wrote into its own folder: {', '.join(sorted(written))}")
    if written := {name for name in files(user) - others if not name.startswith("extensions/.user/")}:
        problems.append(f"it wrote where extensions may not: {', '.join(sorted(written))}")
    problems += [f"{name} was imported" for name in FOREIGN if name in sys.modules]
    return problems


def signs(bpy: Any, pose: Path) -> list[str]:
    """Puts a .pose file on a new signer: nothing, or why no bone moves."""
    bpy.ops.wm.read_homefile(use_empty=True)  # leaves the add-on enabled, which factory settings do not
    bpy.ops.pose_diffusion.import_pose(filepath=str(pose))
    armatures = [ob for ob in bpy.data.objects if ob.type == "ARMATURE"]
    if len(armatures) != 1:
        return [f"the import made {len(armatures)} armatures"]
    scene, places = bpy.context.scene, []
    for frame in (scene.frame_start, (scene.frame_start + scene.frame_end) // 2):
        scene.frame_set(frame)
        places.append({bone.name: bone.tail.copy() for bone in armatures[0].pose.bones})
    moved = sum((places[1][name] - tail).length > .001 for name, tail in places[0].items())
    return [] if moved > 20 else [f"{moved} bones move"]


def main() -> None:
    """Prints the line, and ends at once: Blender before 5.0 crashes or hangs at exit with an extension enabled."""
    parser = argparse.ArgumentParser(description="Install, enable and disable the zip of the add-on")
    parser.add_argument("zip", type=Path)
    parser.add_argument("--pose", type=Path, help="a .pose file to put on a new signer")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="blender-user-") as user:
        os.environ["BLENDER_USER_RESOURCES"] = user  # read when bpy is imported
        version, problems = "unknown", list[str]()
        try:
            import bpy

            version = bpy.app.version_string
            problems = check(bpy, arguments.zip.resolve(), Path(user).resolve(), arguments.pose)
        except (RuntimeError, ImportError, AttributeError, OSError, ValueError, KeyError, TypeError) as error:
            traceback.print_exc()
            problems = [" ".join(traceback.format_exception_only(error)).strip().replace("\n", " ")]
    print(json.dumps({"version": version, "problems": problems}), flush=True)
    os._exit(bool(problems))


if __name__ == "__main__":
    main()
