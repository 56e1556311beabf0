"""Motions on armatures that something else moves: said, or refused with nothing changed."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_addon.animation.apply import notes_of, skeleton_of
from blender_addon.errors import AddonError
from tests.blender.applying import FRAMES, apply, check_follows, constrained, everything, face, hold_all, pushed_down
from tests.blender.takes import BONES, signed, signer, skeleton


def test_a_take_lies_on_top_of_the_nla() -> None:
    armature = signer()
    pushed_down(armature)
    armature.animation_data.action_blend_type, armature.animation_data.action_influence = "ADD", .3
    motion = signed(skeleton(armature), FRAMES)
    apply(armature, motion)
    check_follows(armature, motion)


def test_bones_that_do_not_follow_are_named() -> None:
    armature = signer()
    constrained(armature, "forearm.L")
    (note,) = notes_of(apply(armature, signed(skeleton(armature), FRAMES)))
    assert "1 bones of Signer do not follow their keys (forearm.L)" in note
    assert "Copy Rotation" in note


def test_an_uneven_scale_is_told() -> None:
    """What hangs on such a bone is sheared, whatever its rotation."""
    armature = signer()
    armature.pose.bones["upper_arm.L"].scale = (1, 2, 1)
    (note,) = notes_of(apply(armature, signed(skeleton(armature), FRAMES)))
    assert "bone upper_arm.L is scaled unevenly" in note


def solo(armature: bpy.types.Object) -> None:
    pushed_down(armature).is_solo = True


def drive_all(armature: bpy.types.Object) -> None:
    for name in BONES.values():
        for curve in armature.driver_add(f'pose.bones["{name}"].rotation_quaternion'):
            curve.driver.expression = "1" if curve.array_index == 0 else "0"


def tweak(armature: bpy.types.Object) -> None:
    pushed_down(armature).strips[0].select = True
    armature.animation_data.nla_tracks.active = armature.animation_data.nla_tracks[0]
    armature.animation_data.use_tweak_mode = True


def edit(armature: bpy.types.Object) -> None:
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")


@pytest.mark.parametrize(("prepare", "message"), [
    (hold_all, "does not move.*constraint Copy Rotation"), (solo, "does not move.*NLA track NlaTrack.* is solo"),
    (drive_all, "does not move.*driver"), (tweak, "tweak mode"), (edit, "Edit Mode")])
def test_a_refusal_says_why_and_changes_nothing(prepare: Callable[[bpy.types.Object], None], message: str) -> None:
    armature = signer()
    motion = signed(skeleton(armature), 300)
    armature.pose.bones["hand.L"].rotation_mode = "XYZ"
    armature.pose.bones["hand.L"].rotation_euler = (.1, .2, .3)
    prepare(armature)
    before = everything(armature)
    with pytest.raises(AddonError, match=message):
        apply(armature, motion)
    assert everything(armature) == before


@pytest.mark.parametrize("broken", ["nan", "unknown bone", "no bones", "too late", "nan shape"])
def test_a_broken_motion_is_refused(broken: str) -> None:
    armature = signer()
    motion = signed(skeleton(armature), FRAMES)
    start = 1.0
    if broken == "nan":
        motion.quaternions[3, 2, 1] = np.nan
    elif broken == "unknown bone":
        motion = replace(motion, bones=("Nobody", *motion.bones[1:]))
    elif broken == "no bones":
        motion = replace(motion, bones=(), quaternions=np.zeros((FRAMES, 0, 4)))
    elif broken == "too late":
        start = 1048570
    else:
        motion = replace(motion, shapes={"jawOpen": np.full(FRAMES, np.nan)})
    before = everything(armature)
    with pytest.raises(AddonError):
        apply(armature, motion, start)
    assert everything(armature) == before


def test_a_linked_armature_is_refused(tmp_path: Path) -> None:
    armature = signer()
    rest = skeleton(armature)
    bpy.data.libraries.write(str(tmp_path / "rig.blend"), {armature})
    bpy.data.objects.remove(armature)
    with bpy.data.libraries.load(str(tmp_path / "rig.blend"), link=True) as (_, into):
        into.objects = ["Signer"]
    linked = into.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    with pytest.raises(AddonError, match="library override"):
        apply(linked, signed(rest, FRAMES))
    assert linked.animation_data is None


def test_bones_that_are_gone_are_named() -> None:
    armature = signer()
    with pytest.raises(AddonError, match="no bone Mano, Testa: match"):
        skeleton_of(armature, {**BONES, "head": "Testa", "hand.L": "Mano"})
    with pytest.raises(AddonError, match=r"bone hand\.L of Signer is listed twice"):
        skeleton_of(armature, {**BONES, "hand.R": "hand.L"})
    with pytest.raises(AddonError, match="no armature"):
        skeleton_of(bpy.data.objects.new("Empty", None), BONES)


def test_a_refusal_leaves_faces_alone() -> None:
    armature = signer()
    mesh = face(armature, "jawOpen")
    mesh.data.shape_keys.key_blocks["jawOpen"].value = .25
    hold_all(armature)
    count = len(bpy.data.actions)
    with pytest.raises(AddonError, match="does not move"):
        apply(armature, replace(signed(skeleton(armature), FRAMES), shapes={"jawOpen": np.ones(FRAMES)}))
    assert mesh.data.shape_keys.animation_data is None
    assert mesh.data.shape_keys.key_blocks["jawOpen"].value == .25
    assert len(bpy.data.actions) == count
