"""Armatures that play known motions, read through Blender's own evaluation."""
from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np

from blender_addon.animation.space import skeleton_of
from blender_addon.rigs.maps import MAPS
from blender_addon.rigs.signer import build_signer
from blender_addon.solver.skeleton import Motion, Skeleton
from tests.blender_addon.skeletons import signing

BONES = MAPS["Signer"]


library = tempfile.TemporaryDirectory(prefix="signer-")


def signer() -> bpy.types.Object:
    """The signer, without its mesh: nothing here is about it, and it takes time. It is built once, and then loaded."""
    path = Path(library.name) / "signer.blend"
    if not path.exists():
        built = build_signer(bpy.context)
        for child in list(built.children):
            bpy.data.objects.remove(child)
        bpy.data.libraries.write(str(path), {built})
        bpy.data.objects.remove(built)
    with bpy.data.libraries.load(str(path), link=False) as (_, into):
        into.objects = ["Signer"]
    (armature,) = into.objects
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    armature.select_set(True)
    return armature


def signed(skeleton: Skeleton, frames: int = 20, *, fps: float = 24.0, seed: int = 0,
           roles: Sequence[str] | None = None) -> Motion:
    """A smooth random motion of arms, head and fingers."""
    quaternions = signing(skeleton, frames, seed)
    chosen = [bone for bone in quaternions if roles is None or bone in {skeleton.roles[role] for role in roles}]
    return Motion(fps, tuple(skeleton.bones[bone] for bone in chosen), np.stack([quaternions[b] for b in chosen], 1))


def wanted(skeleton: Skeleton, motion: Motion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axes, heads and tails of all bones as the motion has them."""
    quaternions = {skeleton.bones.index(bone): motion.quaternions[:, i] for i, bone in enumerate(motion.bones)}
    return skeleton.posed(quaternions, len(motion.quaternions))


def seen(armature: bpy.types.Object, frames: Sequence[float] | np.ndarray) -> np.ndarray:
    """`(T, B, 4, 4)` of the armature's bones in the user's scene, in the order of `armature.data.bones`."""
    scene = bpy.context.scene
    out = []
    for frame in frames:
        scene.frame_set(int(frame // 1), subframe=float(frame % 1))
        posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        out.append([np.array(posed[bone.name].matrix) for bone in armature.data.bones])
    return np.array(out)


def directions(matrices: np.ndarray) -> np.ndarray:
    """`(T, B, 3)` unit vectors from head to tail."""
    return matrices[..., :3, 1] / np.linalg.norm(matrices[..., :3, 1], axis=-1, keepdims=True)


def skeleton(armature: bpy.types.Object) -> Skeleton:
    """Of the signer."""
    return skeleton_of(armature, BONES)
