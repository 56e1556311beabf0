# SPDX-License-Identifier: GPL-3.0-or-later
"""What an object or a mesh's shape keys play and how they stand: remembered, and put back."""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import bpy

from . import keys

BONE = ("location", "scale", "rotation_quaternion", "rotation_euler", "rotation_axis_angle")


@dataclass(frozen=True)
class State:
    """Of one thing that can be animated, in plain values; its action is kept apart.

    Attributes
    ----------
    thing : str
        Its name.
    frame : float
        Of the scene.
    animated : bool
        Whether it had animation data at all.
    slot : str
        The identifier of the assigned slot; empty without one.
    layering : tuple
        How its action lies on the NLA: blend type, influence, extrapolation.
    rotation_modes : dict of str to str
        Of an armature's bones.
    values : dict of str to list
        Of each bone, its `BONE` properties; of each shape key, its value.
    """

    thing: str
    frame: float
    animated: bool
    slot: str = ""
    layering: tuple[str, float, str] = ("REPLACE", 1.0, "HOLD")
    rotation_modes: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> State:
        """The reverse of `to_json`."""
        read = json.loads(text)
        return State(**{**read, "layering": tuple(read["layering"])})


def remember(thing: bpy.types.ID) -> State:
    """The state of an armature object, or of a mesh's shape keys."""
    modes, values = {}, {}
    if thing.id_type == "OBJECT":
        for bone in thing.pose.bones:
            modes[bone.name] = bone.rotation_mode
            values[bone.name] = [list(getattr(bone, name)) for name in BONE]
    else:
        values = {block.name: block.value for block in thing.key_blocks}
    frame, animation = bpy.context.scene.frame_current_final, thing.animation_data
    if animation is None:
        return State(thing.name, frame, False, rotation_modes=modes, values=values)
    _, slot = keys.assigned(thing)
    layering = (animation.action_blend_type, animation.action_influence, animation.action_extrapolation)
    return State(thing.name, frame, True, slot.identifier if slot else "", layering, modes, values)


def restore(context: bpy.types.Context, thing: bpy.types.ID, state: State, action: bpy.types.Action | None) -> None:
    """Put back what `remember` saw; `action` is the one that was played then.

    Bones and shape keys that are gone since are passed over.
    """
    restore_pose(thing, state)
    _restore_action(thing, state, action)
    context.view_layer.update()  # an assigned action is evaluated; what was posed over it is put back after that
    if bpy.context.scene.frame_current_final == state.frame:
        restore_pose(thing, state)


def _restore_action(thing: bpy.types.ID, state: State, action: bpy.types.Action | None) -> None:
    if not state.animated and thing.animation_data and _only_an_action(thing.animation_data):
        thing.animation_data_clear()
    elif thing.animation_data or state.animated:
        keys.assign(thing, action, keys.find_slot(action, state.slot) if action else None)
        animation = thing.animation_data
        animation.action_blend_type, animation.action_influence, animation.action_extrapolation = state.layering


def restore_pose(thing: bpy.types.ID, state: State) -> None:
    """Put back rotation modes and values alone, as they are between keys."""
    for name, mode in state.rotation_modes.items():
        bone = thing.pose.bones.get(name)
        if bone is not None and bone.rotation_mode != mode:
            bone.rotation_mode = mode
    for name, values in state.values.items():
        if thing.id_type == "KEY":
            if name in thing.key_blocks:
                thing.key_blocks[name].value = values
        elif name in thing.pose.bones:
            for prop, value in zip(BONE, values):
                setattr(thing.pose.bones[name], prop, value)


def _only_an_action(animation: bpy.types.AnimData) -> bool:
    return not animation.nla_tracks and not animation.drivers
