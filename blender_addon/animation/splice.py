# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace a stretch of a property's keys, while the rest of its curves stays as it is."""
from __future__ import annotations

import bpy
import numpy as np

from . import keys

# Of a key, with the number of values, 0 for a choice: all that makes the curve between it and its neighbours.
FIELDS = {"co": 2, "handle_left": 2, "handle_right": 2, "back": 1, "amplitude": 1, "period": 1, "handle_left_type": 0,
          "handle_right_type": 0, "type": 0, "interpolation": 0, "easing": 0}
HANDLES = bpy.types.Keyframe.bl_rna.properties["handle_left_type"].enum_items
FREE, AUTO = int(HANDLES["FREE"].value), int(HANDLES["AUTO_CLAMPED"].value)
NEW = {"handle_left_type": AUTO, "handle_right_type": AUTO, "interpolation": keys.LINEAR}


def splice(action: bpy.types.Action, slot: bpy.types.ActionSlot | None, path: str, first: int, values: np.ndarray,
           otherwise: np.ndarray, extent: tuple[float, float], group: str = "") -> None:
    """Replace a property's keys within a range of frames by one on each frame; outside nothing changes visibly.

    A curve that runs from a key outside to one inside is keyed on each frame up to the range, so that its shape stays;
    so is the whole of a curve with modifiers, which would change the new keys as well. A muted curve is emptied: it
    plays nothing.

    Parameters
    ----------
    action, slot, path, group
        As in `keys.write`.
    first : int
        The range's first frame.
    values : np.ndarray
        `(T, C)`, one row for each of its frames.
    otherwise : np.ndarray
        `(C,)`: the property's value outside the range where it has no curve.
    extent : tuple of float
        First and last frame of the take: within it, values outside the range are kept even if no key holds them.

    Raises
    ------
    AddonError
        As `keys.write`.
    """
    keys.check(path, np.arange(first, first + len(values)), values)
    for channel in range(values.shape[1]):
        curve = keys.ensure_curve(action, slot, path, channel, group)
        if curve.mute:
            _clear(curve)
        _splice(curve, first, values[:, channel], float(otherwise[channel]), extent)


def _splice(curve: bpy.types.FCurve, first: int, values: np.ndarray, otherwise: float,
            extent: tuple[float, float]) -> None:
    old = {name: _read(curve, name) for name in FIELDS}
    at, last = old["co"][:, 0], first + len(values) - 1
    whole = len(curve.modifiers) > 0
    before = _lines(at, first, extent[0], whole)
    after = -_lines(-at[::-1], -last, -extent[1], whole)[::-1]
    around = [curve.evaluate(frame) if len(at) else otherwise for frame in (*before, *after)]
    frames = np.concatenate([before, np.arange(first, last + 1), after])
    stay = (at < frames[0]) | (at > frames[-1])
    _clear(curve)
    _fill(curve, {name: field[stay] for name, field in old.items()}, frames,
          np.concatenate([around[:len(before)], values, around[len(before):]]))


def _lines(at: np.ndarray, first: int, begin: float, whole: bool) -> np.ndarray:
    """The frames before the range that need a key of their own.

    Those from the last key before the range; without such a key one, if the take begins earlier.
    """
    outside = at[at < first]
    if whole:
        return np.arange(int(np.floor(min([begin, first, *outside[:1]]))), first)
    if len(outside):
        return np.arange(int(np.floor(outside[-1])) + 1, first)
    return np.arange(first - 1, first) if begin < first else np.arange(0)


def _read(curve: bpy.types.FCurve, name: str) -> np.ndarray:
    width, count = max(FIELDS[name], 1), len(curve.keyframe_points)
    out = np.empty(count * width, np.float32 if FIELDS[name] else np.int32)
    curve.keyframe_points.foreach_get(name, out)
    return out.reshape(count, width)


def _fill(curve: bpy.types.FCurve, old: dict[str, np.ndarray], frames: np.ndarray, values: np.ndarray) -> None:
    """Keys that stay, and new ones in straight lines between them."""
    split = int((old["co"][:, 0] < frames[0]).sum())
    if split:
        old["interpolation"][split - 1] = keys.LINEAR
    beside = [i for i in (split - 1, split) if 0 <= i < len(old["co"])]
    for name in ("handle_left_type", "handle_right_type"):
        old[name][beside] = FREE  # as they lie, whatever lies beside them now
    co = np.column_stack([frames, values])
    points = curve.keyframe_points
    points.add(len(old["co"]) + len(frames))
    for name, width in FIELDS.items():
        new = co if width == 2 else np.full((len(frames), 1), NEW.get(name, 0))
        joined = np.concatenate([old[name][:split], new, old[name][split:]])
        points.foreach_set(name, joined.astype(old[name].dtype).ravel())
    curve.update()


def _clear(curve: bpy.types.FCurve) -> None:
    for modifier in list(curve.modifiers):
        curve.modifiers.remove(modifier)
    curve.keyframe_points.clear()
    curve.mute = False
