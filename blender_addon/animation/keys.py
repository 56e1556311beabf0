# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of actions: the only module that knows slots and channelbags, so that Blender 4.2 to 5.x look alike.

Since Blender 4.4 an action has slots, one for each thing it animates, and a thing plays only the slot that is assigned
to it. Before, an action has curves only; a slot is then None here.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator

import bpy
import numpy as np

from ..errors import AddonError

SLOTTED = bpy.app.version >= (4, 4, 0)
LINEAR = int(bpy.types.Keyframe.bl_rna.properties["interpolation"].enum_items["LINEAR"].value)
LAST_FRAME = 1048574  # Blender's own limit


def slot_type(thing: bpy.types.ID) -> str:
    """Blender's name for the type of a thing that can be animated: `OBJECT`, `KEY`."""
    return str(thing.id_type)


def ensure_slot(action: bpy.types.Action, thing: bpy.types.ID) -> bpy.types.ActionSlot | None:
    """The slot of an action that is named after a thing; made if there is none. None before Blender 4.4."""
    if not SLOTTED:
        return None
    for slot in action.slots:
        if slot.target_id_type == slot_type(thing) and slot.name_display == thing.name:
            return slot
    return action.slots.new(id_type=slot_type(thing), name=thing.name)


def assigned(thing: bpy.types.ID) -> tuple[bpy.types.Action | None, bpy.types.ActionSlot | None]:
    """The action that a thing plays, and the slot; (None, None) without one."""
    animation = thing.animation_data
    if animation is None or animation.action is None:
        return None, None
    return animation.action, animation.action_slot if SLOTTED else None


def assign(thing: bpy.types.ID, action: bpy.types.Action | None, slot: bpy.types.ActionSlot | None) -> None:
    """Let a thing play a slot of an action, or nothing.

    The slot is always set: an action of its own accord finds one by the thing's name only, or none, and plays nothing.
    """
    animation = thing.animation_data or thing.animation_data_create()
    animation.action = action
    if SLOTTED and action is not None:
        animation.action_slot = slot


def assign_on_top(thing: bpy.types.ID, action: bpy.types.Action, slot: bpy.types.ActionSlot | None) -> None:
    """The same, and let it hide whatever the NLA plays below."""
    assign(thing, action, slot)
    thing.animation_data.action_blend_type, thing.animation_data.action_influence = "REPLACE", 1.0


def find_slot(action: bpy.types.Action, identifier: str) -> bpy.types.ActionSlot | None:
    """The slot with an identifier (`OBSigner`); None before Blender 4.4, or if it is gone."""
    if not SLOTTED:
        return None
    return next((slot for slot in action.slots if slot.identifier == identifier), None)


def curves(action: bpy.types.Action, slot: bpy.types.ActionSlot | None) -> Iterator[bpy.types.FCurve]:
    """The f-curves of one slot."""
    if not SLOTTED:
        yield from action.fcurves
    elif slot is not None:
        for layer in action.layers:
            for strip in layer.strips:
                bag = strip.channelbag(slot)
                yield from bag.fcurves if bag else ()


def write(action: bpy.types.Action, slot: bpy.types.ActionSlot | None, path: str, frames: np.ndarray,
          values: np.ndarray, group: str = "") -> None:
    """Write one property's keys, in place of those that were there, with straight lines between them.

    Parameters
    ----------
    action, slot
        Where to. The slot is None before Blender 4.4.
    path : str
        Of the property, as in `pose.bones["hand.L"].rotation_quaternion`.
    frames : np.ndarray
        `(T,)` rising; fractions of frames are fine.
    values : np.ndarray
        `(T, C)`, a curve for each of the C channels.
    group : str
        That the curves are shown under; a bone's name.

    Raises
    ------
    AddonError
        If a value is not finite (Blender takes such a key without a word, and shows nothing from then on), or a frame
        is beyond Blender's last.
    """
    check(path, frames, values)
    for channel in range(values.shape[1]):
        _set_line(ensure_curve(action, slot, path, channel, group), frames, values[:, channel])


def write_channel(action: bpy.types.Action, slot: bpy.types.ActionSlot | None, path: str, channel: int,
                  frames: np.ndarray, values: np.ndarray, group: str = "") -> None:
    """The same for one channel, `(T,)`."""
    check(path, frames, values)
    _set_line(ensure_curve(action, slot, path, channel, group), frames, values)


def check(path: str, frames: np.ndarray, values: np.ndarray) -> None:
    """Whether keys can be written; parameters and errors are those of `write`."""
    if not np.isfinite(values).all() or not np.isfinite(frames).all():
        raise AddonError(f"keys for {path} are not numbers (NaN or infinite): nothing was written; please report this")
    if len(frames) and np.abs(frames).max() > LAST_FRAME:
        raise AddonError(f"the take would end at frame {frames.max():.0f}, Blender's last is {LAST_FRAME}: start it "
                         "earlier or cut the file")


def ensure_curve(action: bpy.types.Action, slot: bpy.types.ActionSlot | None, path: str, channel: int,
                 group: str = "") -> bpy.types.FCurve:
    """The f-curve of a channel of a property; made if there is none."""
    owner = action if not SLOTTED else _channelbag(action, slot)
    curve = owner.fcurves.find(path, index=channel)
    if curve is None:
        curve = owner.fcurves.new(path, index=channel)
        if group:
            curve.group = owner.groups.get(group) or owner.groups.new(group)
    return curve


def remove(action: bpy.types.Action, slot: bpy.types.ActionSlot | None, paths: Iterable[str]) -> None:
    """Remove the curves of properties."""
    chosen = set(paths)
    for curve in [curve for curve in curves(action, slot) if curve.data_path in chosen]:
        owner = action if not SLOTTED else _channelbag(action, slot)
        owner.fcurves.remove(curve)


def _channelbag(action: bpy.types.Action, slot: bpy.types.ActionSlot | None) -> bpy.types.ActionChannelbag:
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True)


def _set_line(curve: bpy.types.FCurve, frames: np.ndarray, values: np.ndarray) -> None:
    points = curve.keyframe_points
    points.clear()
    points.add(len(frames))
    points.foreach_set("co", np.column_stack([frames, values]).astype(np.float32).ravel())
    points.foreach_set("interpolation", np.full(len(frames), LINEAR, np.int32))
    curve.update()


def sample(action: bpy.types.Action | None, slot: bpy.types.ActionSlot | None, path: str, frames: np.ndarray,
           otherwise: np.ndarray) -> np.ndarray:
    """A property's values `(T, C)` at frames by its curves, modifiers included.

    Parameters
    ----------
    action, slot
        Where from; no action is no curves.
    path : str
        Of the property.
    frames : np.ndarray
        `(T,)`.
    otherwise : np.ndarray
        `(C,)`: the values of channels that have no curve.
    """
    out = np.tile(np.asarray(otherwise, float), (len(frames), 1))
    for curve in curves(action, slot) if action else ():
        if curve.data_path == path and curve.array_index < out.shape[1] and not curve.mute:
            out[:, curve.array_index] = [curve.evaluate(frame) for frame in frames]
    return out
