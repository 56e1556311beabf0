"""Prepares a real Blender window for `drive.sh`: installs the add-on, opens its sidebar, writes down what goes on.

Run as: blender --python tools/window_walk/start.py -- ADDON.zip INTERPRETER LOG
Each line of LOG is a JSON object: the run, the armature, its action, the frame, the last message.
"""
from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

import bpy

MODULE = "bl_ext.user_default.pose_diffusion"
EVERY = .05  # seconds


def main() -> None:
    """Before the window is drawn."""
    package, interpreter, log = sys.argv[sys.argv.index("--") + 1:]
    bpy.context.preferences.view.show_splash = False
    bpy.ops.extensions.package_install_files(filepath=package, repo="user_default", enable_on_install=True)
    bpy.context.preferences.addons[MODULE].preferences.interpreter = interpreter
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    Path(log).write_text("")
    bpy.app.timers.register(open_sidebar, first_interval=1)
    bpy.app.timers.register(lambda: note(Path(log)), first_interval=1.5, persistent=True)


def open_sidebar() -> None:
    """The 3D view with the sidebar, seen from the front."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    area.spaces.active.show_region_ui = True
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.view3d.view_axis(type="FRONT")
    view = area.spaces.active.region_3d
    view.view_location, view.view_distance = (0, 0, 1.25), 2.2
    sidebar = next(region for region in area.regions if region.type == "UI")
    write(Path(sys.argv[-1]), event="sidebar", x=sidebar.x, y=sidebar.y, width=sidebar.width, height=sidebar.height,
          window=[window.width, window.height])


def note(log: Path) -> float:
    """What goes on now."""
    run = importlib.import_module(f"{MODULE}.interface.run")
    messages = importlib.import_module(f"{MODULE}.interface.messages")
    job = run.current.job if run.current else None
    armatures = [thing for thing in bpy.data.objects if thing.type == "ARMATURE"]
    actions = [thing.animation_data.action.name if thing.animation_data and thing.animation_data.action else None
               for thing in armatures]
    hands = [[round(value, 4) for value in thing.pose.bones["hand.R"].head] for thing in armatures
             if "hand.R" in thing.pose.bones]
    write(log, event="state", running=run.current.request.title if run.current else None,
          job=job.state if job else None, step=job.step if job else None, armatures=[a.name for a in armatures],
          actions=actions, all_actions=[action.name for action in bpy.data.actions], hands=hands,
          frame=bpy.context.scene.frame_current_final, message=messages.last.text if messages.last else None)
    return EVERY


def write(log: Path, **values: object) -> None:
    """One line."""
    with log.open("a") as file:
        file.write(json.dumps({"time": round(time.time(), 3), **values}) + "\n")


main()
