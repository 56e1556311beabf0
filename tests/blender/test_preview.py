"""Previews: shown, renewed, and gone without a trace whatever happens meanwhile."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from blender_addon.animation import keys, preview
from blender_addon.animation.apply import apply_motion
from blender_addon.animation.evaluation import axes_of
from blender_addon.animation.readback import degrees
from blender_addon.errors import AddonError
from tests.blender.applying import face
from tests.blender.takes import seen, signed, signer, skeleton, wanted

FRAMES = 10


def show(armature: bpy.types.Object, seed: int = 0, shapes: bool = True) -> None:
    motion = signed(skeleton(armature), FRAMES, seed=seed)
    if shapes:
        motion = replace(motion, shapes={"jawOpen": np.full(FRAMES, .5 + seed / 10)})
    preview.show(bpy.context, armature, motion, start=1)


def playing(thing: bpy.types.ID) -> tuple[object, ...]:
    animation = thing.animation_data
    if animation is None:
        return ()
    return (animation.action and animation.action.name, keys.SLOTTED and animation.action_slot and
            animation.action_slot.identifier, animation.action_blend_type, animation.action_influence,
            animation.action_extrapolation, animation.use_nla, [track.name for track in animation.nla_tracks])


def state(armature: bpy.types.Object) -> dict[str, object]:
    """All that a preview may have touched."""
    scene = bpy.context.scene
    bones = {bone.name: (bone.rotation_mode, tuple(bone.rotation_quaternion), tuple(bone.rotation_euler),
                         tuple(bone.rotation_axis_angle), tuple(bone.location), tuple(bone.scale))
             for bone in armature.pose.bones}
    faces = [child.data.shape_keys for child in armature.children]
    return {"bones": bones, "armature": playing(armature), "faces": [playing(one) for one in faces],
            "values": [[block.value for block in one.key_blocks] for one in faces],
            "scene": (scene.frame_current, scene.frame_subframe, scene.frame_start, scene.frame_end),
            "actions": sorted((action.name, action.users, action.use_fake_user, tuple(action.keys()))
                              for action in bpy.data.actions),
            "scenes": bpy.data.scenes.keys()}


def plain(armature: bpy.types.Object) -> None:
    """Nothing animated."""


def other_modes(armature: bpy.types.Object) -> None:
    for bone, mode in zip(armature.pose.bones, ("YXZ", "AXIS_ANGLE", "XYZ", "QUATERNION") * 100):
        bone.rotation_mode = mode
        bone.rotation_euler, bone.rotation_axis_angle = (.1, .2, .3), (.4, 1, 2, 3)
        bone.rotation_quaternion = (1, .1, 0, 0)


def take(armature: bpy.types.Object) -> None:
    motion = replace(signed(skeleton(armature), FRAMES, seed=3), shapes={"jawOpen": np.linspace(0, 1, FRAMES)})
    apply_motion(bpy.context, armature, motion, start=1, name="own")
    bpy.context.scene.frame_set(4)


def posed_over_a_take(armature: bpy.types.Object) -> None:
    """What was posed and not keyed yet is lost on the next frame, but not by a preview."""
    take(armature)
    armature.pose.bones["hand.L"].rotation_quaternion = (.5, .5, .5, .5)
    armature.pose.bones["hand.L"].location = (.1, 0, 0)


def on_the_nla(armature: bpy.types.Object) -> None:
    take(armature)
    action, slot = keys.assigned(armature)
    strip = armature.animation_data.nla_tracks.new().strips.new("strip", 1, action)
    if keys.SLOTTED:
        strip.action_slot = slot
    armature.animation_data.action_blend_type = "COMBINE"
    armature.animation_data.action_influence = .25
    armature.animation_data.action_extrapolation = "NOTHING"


def driven(armature: bpy.types.Object) -> None:
    armature.driver_add('pose.bones["spine"].location', 0).driver.expression = "0.5"
    bpy.context.view_layer.update()


@pytest.mark.parametrize("prepare", [plain, other_modes, take, posed_over_a_take, on_the_nla, driven])
def test_everything_is_as_it_was(prepare: Callable[[bpy.types.Object], None]) -> None:
    armature = signer()
    face(armature, "jawOpen")
    prepare(armature)
    before = state(armature)
    for seed in range(3):
        show(armature, seed)
    assert state(armature) != before
    preview.purge(bpy.context)
    assert state(armature) == before
    bpy.context.view_layer.update()
    assert state(armature) == before
    preview.purge(bpy.context)
    assert state(armature) == before


def test_each_step_takes_the_place_of_the_last() -> None:
    armature = signer()
    mesh = face(armature, "jawOpen")
    rest = skeleton(armature)
    for seed in (0, 1):
        show(armature, seed)
        assert preview.shown(armature)
        bpy.context.view_layer.update()
        axes, _, _ = wanted(rest, signed(rest, FRAMES, seed=seed))
        now = np.array([armature.pose.bones[bone].matrix for bone in rest.bones])
        assert degrees(axes_of(now), axes[0]).max() < .01  # at once, without another frame
        assert degrees(axes_of(seen(armature, range(1, FRAMES + 1))), axes).max() < .01
        assert mesh.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(.5 + seed / 10)
        bpy.context.scene.frame_set(1)
    assert len(bpy.data.actions) == 2
    preview.end(bpy.context)
    assert not preview.shown(armature)
    assert not len(bpy.data.actions)


def test_a_preview_of_fewer_bones_leaves_none_of_the_last() -> None:
    armature = signer()
    show(armature)
    rest = skeleton(armature)
    motion = signed(rest, FRAMES, roles=["hand.L"])
    preview.show(bpy.context, armature, motion, start=1)
    assert len(list(keys.curves(*keys.assigned(armature)))) == 4


def test_a_file_that_was_saved_in_the_middle_is_put_right(tmp_path: Path) -> None:
    armature = signer()
    face(armature, "jawOpen")
    posed_over_a_take(armature)
    bpy.data.actions["own"].use_fake_user = False
    before = state(armature)
    show(armature)
    path = str(tmp_path / "crashed.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    preview.purge(bpy.context)
    assert state(bpy.data.objects["Signer"]) == before


def test_an_undo_into_a_preview_is_put_right() -> None:
    armature = signer()
    face(armature, "jawOpen")
    take(armature)
    before = state(armature)
    bpy.ops.ed.undo_push(message="before")
    show(armature)
    bpy.ops.ed.undo_push(message="something else in the middle")
    preview.purge(bpy.context)
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    armature = bpy.data.objects["Signer"]
    assert preview.shown(armature)
    preview.purge(bpy.context)
    assert state(armature) == before


def test_what_was_renamed_or_removed_meanwhile_does_no_harm() -> None:
    armature = signer()
    mesh = face(armature, "jawOpen")
    take(armature)
    own = bpy.data.actions["own"]
    show(armature)
    own.name, armature.name, armature.pose.bones["hand.L"].name = "renamed", "Anna", "mano"
    bpy.data.objects.remove(mesh)
    preview.purge(bpy.context)
    assert keys.assigned(armature)[0] == own
    assert not [action for action in bpy.data.actions if preview.STATE in action]
    armature.pose.bones["mano"].name = "hand.L"
    show(armature, shapes=False)
    bpy.data.actions.remove(own)
    preview.purge(bpy.context)
    assert keys.assigned(armature) == (None, None)
    show(armature, shapes=False)
    bpy.data.objects.remove(armature)
    preview.purge(bpy.context)
    assert not [action for action in bpy.data.actions if preview.STATE in action]


def test_the_users_own_choice_of_another_action_stays() -> None:
    armature = signer()
    take(armature)
    armature.pose.bones["hand.L"].rotation_mode = "XYZ"
    show(armature, shapes=False)
    other = bpy.data.actions.new("chosen meanwhile")
    keys.assign(armature, other, keys.ensure_slot(other, armature))
    preview.purge(bpy.context)
    assert keys.assigned(armature)[0] == other
    assert armature.pose.bones["hand.L"].rotation_mode == "XYZ"
    assert not [action for action in bpy.data.actions if preview.STATE in action]


def test_after_scrubbing_the_take_shows_the_frame_that_it_is_on() -> None:
    armature = signer()
    take(armature)
    there = [seen(armature, [frame])[0] for frame in (4, 8)]
    bpy.context.scene.frame_set(4)
    show(armature)
    bpy.context.scene.frame_set(8)
    preview.purge(bpy.context)
    bones = [armature.pose.bones[bone.name] for bone in armature.data.bones]
    np.testing.assert_allclose([bone.matrix for bone in bones], there[1], atol=1e-6)
    assert np.abs(there[1] - there[0]).max() > .01


def test_no_take_is_made_over_a_preview() -> None:
    """Its action would be taken for the user's."""
    armature = signer()
    show(armature)
    before = state(armature)
    with pytest.raises(AddonError, match="wait until that is done"):
        apply_motion(bpy.context, armature, signed(skeleton(armature), FRAMES), start=1, name="take")
    assert state(armature) == before


def test_a_preview_that_cannot_be_keyed_changes_nothing() -> None:
    armature = signer()
    motion = signed(skeleton(armature), FRAMES)
    motion.quaternions[0, 0, 0] = np.nan
    before = state(armature)
    with pytest.raises(AddonError):
        preview.show(bpy.context, armature, motion, start=1)
    assert state(armature) == before
