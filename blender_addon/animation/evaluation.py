# SPDX-License-Identifier: GPL-3.0-or-later
"""The bones of an armature as Blender evaluates them: constraints, drivers and the NLA included."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np

from ..errors import AddonError

MOST = 4_000_000  # matrices, of 128 bytes each

def sampled(context: bpy.types.Context, armature: bpy.types.Object, frames: np.ndarray) -> np.ndarray:
    """The bones' matrices at frames of the scene.

    The armature is evaluated in a scene of its own that is taken away afterwards: the user's frame, pose and selection
    are not touched, nothing else in the scene costs time, and a hidden armature can be read as well.

    Parameters
    ----------
    context : bpy.types.Context
        Its scene's frame rate counts.
    armature : bpy.types.Object
        In any scene, hidden or not.
    frames : np.ndarray
        `(T,)`, fractions too.

    Returns
    -------
    np.ndarray
        `(T, B, 4, 4)` float64 in the armature's space, bones in the order of `armature.data.bones`.

    Raises
    ------
    AddonError
        If the armature is shown in its rest position or is being edited (it has no pose then), or there is too much to
        be read at once.
    """
    check_posed(armature)
    bones = len(armature.pose.bones)
    if len(frames) * bones > MOST:
        raise AddonError(f"{len(frames)} frames of {bones} bones are too many to be read at once: choose at most "
                         f"{MOST // bones} frames")
    order = [armature.pose.bones.find(bone.name) for bone in armature.data.bones]
    out = np.empty((len(frames), bones, 16), np.float32)
    with _stage(context, armature) as scene:
        layer = scene.view_layers[0]
        for matrices, frame in zip(out, frames):
            whole = int(np.floor(frame))
            scene.frame_set(whole, subframe=float(frame - whole))
            evaluated = armature.evaluated_get(layer.depsgraph)
            row = np.empty(bones * 16, np.float32)
            evaluated.pose.bones.foreach_get("matrix", row)
            matrices[:] = row.reshape(bones, 16)
    return out[:, order].reshape(-1, bones, 4, 4).swapaxes(-1, -2).astype(float)  # Blender gives columns first


def check_posed(armature: bpy.types.Object) -> None:
    """Whether an armature has a pose that can be read; errors are those of `sampled`."""
    if armature.data.is_editmode:
        raise AddonError(f"{armature.name} is in Edit Mode: leave it (Tab) and try again")
    if armature.data.pose_position == "REST":
        raise AddonError(f"{armature.name} is shown in Rest Position: switch it to Pose Position "
                         "(Properties, Armature, Skeleton) and try again")


def axes_of(matrices: np.ndarray) -> np.ndarray:
    """Rotations `(..., 3, 3)` of matrices `(..., 4, 4)`, whatever their scale."""
    y = matrices[..., :3, 1]
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    x = matrices[..., :3, 0]
    x = x - (x * y).sum(-1, keepdims=True) * y
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], -1)


@contextmanager
def _stage(context: bpy.types.Context, armature: bpy.types.Object) -> Iterator[bpy.types.Scene]:
    hidden = armature.hide_viewport
    scene = bpy.data.scenes.new("Pose Diffusion reads an armature")
    try:
        for name in ("fps", "fps_base", "frame_map_old", "frame_map_new"):
            setattr(scene.render, name, getattr(context.scene.render, name))
        scene.collection.objects.link(armature)
        if hidden:
            armature.hide_viewport = False
        yield scene
    finally:
        if hidden:
            armature.hide_viewport = True
        bpy.data.scenes.remove(scene)
