"""Rigs of other makers in Blender: found, driven, and moved as the signer is."""
from __future__ import annotations

import bpy
import numpy as np
import pytest

from blender_addon.animation.apply import apply_motion, key_frames, notes_of, skeleton_of
from blender_addon.animation.evaluation import axes_of, sampled
from blender_addon.rigs.maps import MAPS
from blender_addon.rigs.match import match
from blender_addon.rigs.signer import build_signer
from blender_addon.solver.rotations import degrees_between
from blender_addon.solver.solve import Solving, solve
from tests.blender_addon.rig_names import RIGS, genesis9
from tests.blender_addon.skeletons import exact_tracks, signing

from .rigs import armature_of, metarig

FRAMES = 12


@pytest.mark.parametrize("rig", ["mixamo", "vrm", "vroid", "makehuman", "unreal 5", "daz", "smpl-x", "biped",
                                 "genesis 9"])
def test_a_rig_points_where_the_signer_points(rig: str) -> None:
    """The signer's motion as keypoints, solved for a rig with other names, other rolls and bones in between."""
    parents = genesis9() if rig == "genesis 9" else RIGS[rig][0]
    found = match(list(parents), parents)
    armature = armature_of(parents, found.bones)
    signer = skeleton_of(build_signer(bpy.context), MAPS["Signer"])
    moves = signing(signer, FRAMES)
    motion = solve(exact_tracks(signer, moves, FRAMES), skeleton_of(armature, found.bones),
                   Solving(mode="follow", smoothing=0.0))
    action = apply_motion(bpy.context, armature, motion, start=1, name=rig)
    assert not notes_of(action)
    axes = axes_of(sampled(bpy.context, armature, key_frames(bpy.context.scene, motion, 1)))
    wanted, _, _ = signer.posed(moves, FRAMES)
    names = [bone.name for bone in armature.data.bones]
    for role, bone in found.bones.items():
        if role.startswith(("upper_arm", "forearm", "thumb", "index", "middle", "ring", "pinky")):
            off = degrees_between(axes[:, names.index(bone), :, 1], wanted[:, signer.roles[role], :, 1])
            assert off.max() < .1, (role, off.max())


def test_rigifys_metarig_is_known() -> None:
    armature = metarig()
    found = match([bone.name for bone in armature.data.bones], {})
    assert found.rig == "Rigify metarig"
    assert found.missing == ()
    assert skeleton_of(armature, found.bones).roles.keys() == found.bones.keys()
    assert np.isfinite(skeleton_of(armature, found.bones).rest).all()
