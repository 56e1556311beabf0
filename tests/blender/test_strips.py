"""Strips of the NLA: each read as Blender plays it, and joined without a jump."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import bpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.animation import keys
from blender_addon.animation.apply import apply_motion, notes_of
from blender_addon.animation.correction import solved
from blender_addon.animation.evaluation import axes_of
from blender_addon.animation.joining import spans
from blender_addon.animation.keypoints import components
from blender_addon.animation.readback import degrees
from blender_addon.animation.strips import Parts, join, parts_of
from blender_addon.errors import AddonError
from blender_addon.posefile import PoseFile
from tests.blender.applying import everything, hold_all
from tests.blender.takes import BONES, seen, signed, signer, skeleton

FRAMES = 20


def strip(armature: bpy.types.Object, start: int, seed: int, frames: int = FRAMES) -> bpy.types.NlaStrip:
    """A take on a track of its own, selected."""
    apply_motion(bpy.context, armature, signed(skeleton(armature), frames, seed=seed), start=1, name=f"take {seed}")
    action, slot = keys.assigned(armature)
    keys.assign(armature, None, None)
    made = armature.animation_data.nla_tracks.new().strips.new(f"strip {seed}", start, action)
    if keys.SLOTTED:
        made.action_slot = slot
    made.name, made.select = f"strip {seed}", True  # Blender 4.2 names it after the action
    return made


def parts(armature: bpy.types.Object) -> Parts:
    return parts_of(bpy.context, armature, BONES)


def result(parts: Parts, gap: int, hold: int = 0) -> PoseFile:
    """What a model that draws straight lines would make of the parts."""
    data: list[np.ndarray] = []
    confidence: list[np.ndarray] = []
    for i, pose in enumerate(parts.poses):
        if i and gap:
            share = (np.arange(gap) + 1)[:, None, None, None] / (gap + 1)
            data.append((1 - share) * parts.poses[i - 1].data[-1:] + share * pose.data[:1])
            confidence.append(np.repeat(.5 * pose.confidence[:1], gap, 0))
        data += [pose.data, np.repeat(pose.data[-1:], hold, 0)]
        confidence += [pose.confidence, np.repeat(pose.confidence[-1:], hold, 0)]
    return replace(parts.poses[0], data=np.concatenate(data).astype(np.float32),
                   confidence=np.concatenate(confidence).astype(np.float32))


def test_strips_are_joined_exactly_and_without_a_jump() -> None:
    armature = signer()
    strip(armature, 101, 1)
    strip(armature, 5, 0)
    read = parts(armature)
    assert [part.name for part in read.parts] == ["strip 0", "strip 1"]
    assert read.start == 5
    action = join(bpy.context, armature, BONES, read, result(read, 8), name="joined")
    assert notes_of(action) == ()
    assert keys.assigned(armature)[0] == action
    assert tuple(action.frame_range) == (5, 5 + 2 * FRAMES + 7)
    got = axes_of(seen(armature, range(5, 5 + 2 * FRAMES + 8)))
    assert degrees(got[:FRAMES], read.parts[0].axes).max() < .01
    assert degrees(got[-FRAMES:], read.parts[1].axes).max() < .01
    driven = sorted(skeleton(armature).roles.values())
    steps = degrees(got[1:], got[:-1])[:, driven]
    # Straight ways of 9 steps: none is much longer than the mean one, and none as long as a jump at an edge would be.
    way = degrees(got[FRAMES - 1], got[-FRAMES])[driven]
    assert (steps[FRAMES - 1:FRAMES + 8].max(0) < 3 * way / 9 + 6).all()


def test_a_strip_is_read_as_blender_plays_it() -> None:
    """Cropped, slow, repeated, backwards; but alone and with full influence."""
    armature = signer()
    first, second = strip(armature, 1, 0), strip(armature, 100, 1)
    first.action_frame_start, first.action_frame_end = 3, 13
    first.scale, first.repeat = 1.5, 2.4
    second.use_reverse = True
    first.extrapolation = second.extrapolation = "NOTHING"
    truth = [axes_of(seen(armature, np.arange(one.frame_start, one.frame_end + 1e-3))) for one in (first, second)]
    second.influence, second.blend_type = .3, "ADD"
    armature.animation_data.nla_tracks[0].mute = True
    over = strip(armature, 1, 2, 200)
    over.select = False
    before = everything(armature)
    read = parts(armature)
    assert everything(armature) == before
    for part, want in zip(read.parts, truth):
        assert part.axes.shape == want.shape
        assert degrees(part.axes, want).max() < .05
    assert [len(pose.data) for pose in read.poses] == [len(want) for want in truth]


def test_other_curves_go_straight_from_strip_to_strip() -> None:
    armature = signer()
    armature["happy"] = 0.0
    strips = [strip(armature, 1, 0), strip(armature, 60, 1)]
    for one, value in zip(strips, (1.0, 5.0)):
        slot = one.action_slot if keys.SLOTTED else None
        keys.write(one.action, slot, 'pose.bones["spine"].location', np.array([1.0]), np.full((1, 3), value))
        keys.write(one.action, slot, '["happy"]', np.array([1.0]), np.full((1, 1), value))
    read = parts(armature)
    made = result(read, 3)
    solution = solved(skeleton(armature), made, "follow")  # in a thread, where Blender must not wait
    join(bpy.context, armature, BONES, read, made, name="joined", solution=solution)
    for curve in keys.curves(*keys.assigned(armature)):
        if curve.data_path in ('["happy"]', 'pose.bones["spine"].location'):
            assert [round(curve.evaluate(frame), 4) for frame in (1, 20, 21, 22, 23, 24, 43)] == [1, 1, 2, 3, 4, 5, 5]
            break
    else:
        pytest.fail("the curves are gone")


@pytest.mark.parametrize(("gap", "hold"), [(0, 0), (4, 0), (4, 3), (0, 3)])
def test_parts_are_found_whatever_lies_between(gap: int, hold: int) -> None:
    armature = signer()
    for i in range(3):
        strip(armature, 1 + 50 * i, i, FRAMES - i)
    read = parts(armature)
    made = result(read, gap, hold)
    begins = [0, 20 + hold + gap, 39 + 2 * (hold + gap)]
    assert spans([20, 19, 18], made) == [(begin, begin + 20 - i + hold) for i, begin in enumerate(begins)]
    action = join(bpy.context, armature, BONES, read, made, name="joined")
    assert action.frame_range[1] == len(made.data)


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5),
       gaps=st.lists(st.integers(1, 5), min_size=4, max_size=4), lost=st.integers(0, 74))
def test_spans_are_those_of_the_construction(lengths: list[int], gaps: list[int], lost: int) -> None:
    want, confidence = [], []
    for i, length in enumerate(lengths):
        if i:
            confidence += [.7] * gaps[i - 1]
        want.append((len(confidence), len(confidence) + length))
        confidence += [1.0] * length
    sure = np.tile(np.array(confidence, np.float32)[:, None, None], (1, 1, 75))
    sure[:, :, lost] = 0
    made = PoseFile(components(False), 25, np.zeros((*sure.shape, 3), np.float32), sure, 1000, 1000)
    assert spans(lengths, made) == want
    with pytest.raises(AddonError, match="does not have the"):
        spans([*lengths, 7], made)


def one_selected(armature: bpy.types.Object) -> None:
    strip(armature, 50, 1).select = False


def meta(armature: bpy.types.Object) -> None:
    strip(armature, 50, 1)
    armature.animation_data.nla_tracks[1].strips[0].select = True
    transition = armature.animation_data.nla_tracks[1].strips[0]
    transition.action = None


@pytest.mark.parametrize(("prepare", "message"), [(one_selected, "two or more strips.*1 are selected"),
                                                 (meta, "no action of its own|plays no slot")])
def test_strips_that_cannot_be_joined_are_refused(prepare: Callable[[bpy.types.Object], None], message: str) -> None:
    armature = signer()
    with pytest.raises(AddonError, match="0 are selected"):
        parts(armature)
    strip(armature, 1, 0)
    prepare(armature)
    before = everything(armature)
    with pytest.raises(AddonError, match=message):
        parts(armature)
    assert everything(armature) == before


def test_a_refusal_to_join_changes_nothing() -> None:
    armature = signer()
    strip(armature, 1, 0)
    strip(armature, 60, 1)
    read = parts(armature)
    before = everything(armature)
    with pytest.raises(AddonError, match="does not have the 2 strips"):
        join(bpy.context, armature, BONES, read, read.poses[0], name="joined")
    assert everything(armature) == before
    hold_all(armature)
    before = everything(armature)
    with pytest.raises(AddonError, match="does not move"):
        join(bpy.context, armature, BONES, read, result(read, 5), name="joined")
    assert everything(armature) == before
    armature.data.bones["spine"].name = "other"
    with pytest.raises(AddonError, match="has no bone spine"):
        join(bpy.context, armature, BONES, read, result(read, 5), name="joined")
