# SPDX-License-Identifier: GPL-3.0-or-later
"""The solver on Rigify's human metarig, read back through Blender."""
from __future__ import annotations

import bpy
import numpy as np
import pytest

from blender_addon.animation.apply import apply_motion, skeleton_of
from blender_addon.rigs.match import match
from blender_addon.solver.rotations import degrees_between
from blender_addon.solver.skeleton import FINGERS, SIDES
from blender_addon.solver.solve import Solving, solve
from tests.blender_addon.skeletons import exact_tracks, signing

FRAMES = 20


@pytest.fixture
def metarig() -> bpy.types.Object:
    """Rigify's human metarig."""
    import addon_utils  # comes with bpy, and is only found once that is imported

    addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_human_metarig_add()
    return bpy.context.object


def test_exact_points_come_back_exactly(metarig: bpy.types.Object) -> None:
    bones = match([bone.name for bone in metarig.data.bones],
                  {bone.name: bone.parent and bone.parent.name for bone in metarig.data.bones}).bones
    skeleton = skeleton_of(metarig, bones)
    motion = signing(skeleton, FRAMES, 1)
    _, heads, tails = skeleton.posed(motion, FRAMES)
    solved = solve(exact_tracks(skeleton, motion, FRAMES), skeleton, Solving("follow", smoothing=0))
    bpy.context.scene.render.fps = 25
    apply_motion(bpy.context, metarig, solved, start=1, name="exact")
    roles = ["head", *(f"{role}.{side}" for side in SIDES for role in (
        "upper_arm", "forearm", "hand", *(f"{finger}.{i}" for finger in FINGERS for i in (1, 2, 3))))]
    for frame in (0, 7, FRAMES - 1):
        bpy.context.scene.frame_set(1 + frame)
        for role in roles:
            bone = metarig.pose.bones[bones[role]]
            truth = tails[frame, skeleton.roles[role]] - heads[frame, skeleton.roles[role]]
            assert degrees_between(np.array(bone.tail - bone.head), truth) < .1
        for side in SIDES:
            for finger in FINGERS:
                tip, wrist = (metarig.pose.bones[bones[f"{role}.{side}"]] for role in (f"{finger}.3", "hand"))
                true = tails[frame, skeleton.roles[f"{finger}.3.{side}"]] - heads[frame, skeleton.roles[f"hand.{side}"]]
                assert np.linalg.norm(np.array(tip.tail - wrist.head) - true) < 1e-4
