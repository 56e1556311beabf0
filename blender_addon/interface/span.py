# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames of a take are meant: the whole take, selected keys, the timeline's ranges, or the user's own."""
from __future__ import annotations

import math

import bpy

from ..animation import keys, obstacles
from ..errors import AddonError

MOST_FRAMES = 20_000  # of a take: about a quarter of an hour


def take_of(armature: bpy.types.Object) -> bpy.types.Action:
    """The armature's action, or an `AddonError`."""
    data = armature.animation_data
    if data is None or data.action is None:
        raise AddonError(f'"{armature.name}" has no action: load a .pose, generate a sign, or choose an action')
    return data.action


def whole(armature: bpy.types.Object) -> tuple[int, int]:
    """First and last frame of the armature's action, or an `AddonError` if it has no keys."""
    take = take_of(armature)
    if not any(len(curve.keyframe_points) for curve in obstacles.all_curves(take)):
        raise AddonError(f'action "{take.name}" of "{armature.name}" has no keys: choose another action')
    begin, end = take.curve_frame_range
    return math.floor(begin), math.ceil(end)


def chosen(context: bpy.types.Context, armature: bpy.types.Object) -> tuple[int, int]:
    """First and last frame that the settings name.

    Raises
    ------
    AddonError
        If they are in the wrong order, outside the take, or none are selected.
    """
    scene, settings = context.scene, context.scene.pose_diffusion
    take = whole(armature)
    if settings.range == "TAKE":
        first, last = take
    elif settings.range == "PREVIEW":
        if not scene.use_preview_range:
            raise AddonError("the timeline has no preview range: press P in it and draw one, or choose other frames")
        first, last = scene.frame_preview_start, scene.frame_preview_end
    elif settings.range == "SCENE":
        first, last = scene.frame_start, scene.frame_end
    elif settings.range == "KEYS":
        first, last = _selected(armature)
    else:
        first, last = settings.first, settings.last
    if last < first:
        raise AddonError(f"the last frame, {last}, is before the first, {first}: swap them")
    first, last = max(first, take[0]), min(last, take[1])
    if last < first:
        raise AddonError(f"none of these frames are in the take, which goes from {take[0]} to {take[1]}: choose others")
    if last - first >= MOST_FRAMES:
        raise AddonError(f"{last - first + 1} frames are more than {MOST_FRAMES}: choose fewer")
    return first, last


def _selected(armature: bpy.types.Object) -> tuple[int, int]:
    """First and last frame of the selected keys."""
    frames = [frame for curve in keys.curves(*keys.assigned(armature)) for frame in
              (point.co.x for point in curve.keyframe_points if point.select_control_point)]
    if not frames:
        raise AddonError("no keys are selected: select some in the dope sheet, or choose other frames")
    return math.floor(min(frames)), math.ceil(max(frames))
