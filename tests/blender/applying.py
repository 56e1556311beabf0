"""What tests of takes have in common: a motion applied and checked, and armatures that something else holds."""
from __future__ import annotations

import bpy
import numpy as np

from blender_addon.animation import keys
from blender_addon.animation.apply import apply_motion
from blender_addon.animation.evaluation import axes_of
from blender_addon.animation.readback import degrees
from blender_addon.animation.state import remember
from blender_addon.solver.rotations import degrees_between
from blender_addon.solver.skeleton import Motion
from tests.blender.takes import directions, seen, signed, skeleton, wanted

FRAMES = 12


def apply(armature: bpy.types.Object, motion: Motion, start: float = 1, name: str = "take") -> bpy.types.Action:
    return apply_motion(bpy.context, armature, motion, start=start, name=name)


def check_follows(armature: bpy.types.Object, motion: Motion, frames: np.ndarray | range | None = None) -> None:
    """Within .01 degree and .05 mm in the armature's space; the project asks for .1 and .1."""
    rest = skeleton(armature)
    axes, heads, tails = wanted(rest, motion)
    got = seen(armature, range(1, len(axes) + 1) if frames is None else frames)
    assert degrees_between(directions(got), axes[..., 1]).max() < .01
    assert degrees(axes_of(got), axes).max() < .01
    assert np.abs(got[..., :3, 3] - heads).max() < 5e-5
    lengths = np.linalg.norm(rest.tails - rest.heads, axis=-1)[:, None]
    assert np.abs(got[..., :3, 3] + got[..., :3, 1] * lengths - tails).max() < 5e-5


def pushed_down(armature: bpy.types.Object) -> bpy.types.NlaTrack:
    """A take on a track."""
    action = apply(armature, signed(skeleton(armature), FRAMES, seed=5), name="below")
    slot = keys.assigned(armature)[1]
    keys.assign(armature, None, None)
    track = armature.animation_data.nla_tracks.new()
    strip = track.strips.new("below", 1, action)
    if keys.SLOTTED:
        strip.action_slot = slot
    return track


def constrained(armature: bpy.types.Object, *bones: str) -> None:
    target = bpy.data.objects.new("Target", None)
    bpy.context.scene.collection.objects.link(target)
    for bone in bones:
        armature.pose.bones[bone].constraints.new("COPY_ROTATION").target = target


def hold_all(armature: bpy.types.Object) -> None:
    constrained(armature, *(bone.name for bone in armature.pose.bones))


def everything(armature: bpy.types.Object) -> tuple[object, ...]:
    """What a refusal must leave as it is."""
    scene = bpy.context.scene
    animation = armature.animation_data
    return (remember(armature), keys.assigned(armature), armature.data.pose_position, animation and animation.use_nla,
            scene.frame_start, scene.frame_end, scene.frame_current, sorted(bpy.data.actions.keys()),
            sorted(bpy.data.objects.keys()), sorted(bpy.data.scenes.keys()))


def face(armature: bpy.types.Object, *names: str, by: str = "parent") -> bpy.types.Object:
    mesh = bpy.data.meshes.new("Face")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    made = bpy.data.objects.new("Face", mesh)
    bpy.context.scene.collection.objects.link(made)
    for name in ("Basis", *names):
        made.shape_key_add(name=name).value = 0
    if by == "parent":
        made.parent = armature
    else:
        made.modifiers.new("Armature", "ARMATURE").object = armature
    return made
