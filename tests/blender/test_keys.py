"""Keys as Blender holds them, on whatever version."""
from __future__ import annotations

import time

import bpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.animation import keys
from blender_addon.animation.splice import splice
from blender_addon.errors import AddonError


@pytest.fixture
def thing() -> bpy.types.Object:
    """An empty."""
    made = bpy.data.objects.new("Thing", None)
    bpy.context.scene.collection.objects.link(made)
    return made


def played(thing: bpy.types.Object, path: str, frames: list[float]) -> list[float]:
    """What Blender makes of a thing's keys."""
    out = []
    for frame in frames:
        bpy.context.scene.frame_set(int(frame // 1), subframe=frame % 1)
        evaluated = thing.evaluated_get(bpy.context.evaluated_depsgraph_get())
        out.append(float(evaluated.path_resolve(path)[0]))
    return out


def test_keys_are_played_in_straight_lines_on_fractions_of_frames(thing: bpy.types.Object) -> None:
    action = bpy.data.actions.new("walk")
    slot = keys.ensure_slot(action, thing)
    values = np.array([[0.0, 1, 2], [10, 1, 2], [0, 1, 2]])
    keys.write(action, slot, "location", np.array([1.0, 2.96, 4.92]), values, "G")
    keys.assign(thing, action, slot)
    assert played(thing, "location", [1, 1.98, 2.96, 4.92, 50]) == pytest.approx([0, 5, 10, 0, 0], abs=1e-5)
    curves = list(keys.curves(action, slot))
    assert [curve.array_index for curve in curves] == [0, 1, 2]
    assert {curve.group.name for curve in curves} == {"G"}


def test_a_second_writing_takes_the_place_of_the_first(thing: bpy.types.Object) -> None:
    action = bpy.data.actions.new("walk")
    slot = keys.ensure_slot(action, thing)
    for value in (1.0, 2.0):
        keys.write(action, slot, "location", np.arange(3.0), np.full((3, 3), value))
    curves = list(keys.curves(action, slot))
    assert len(curves) == 3
    assert [point.co[1] for point in curves[0].keyframe_points] == [2, 2, 2]
    keys.remove(action, slot, ["location"])
    assert not list(keys.curves(action, slot))


@pytest.mark.parametrize(("frames", "values"), [([1, 2], [np.nan, 0]), ([1, 2], [0, np.inf]), ([1, np.nan], [0, 0]),
                                                ([1, 2e6], [0, 0])])
def test_what_blender_would_take_without_a_word_is_refused(thing: bpy.types.Object, frames: list[float],
                                                           values: list[float]) -> None:
    action = bpy.data.actions.new("walk")
    slot = keys.ensure_slot(action, thing)
    with pytest.raises(AddonError, match="nothing was written|Blender's last"):
        keys.write(action, slot, "location", np.array(frames, float), np.array(values)[:, None])
    assert not list(keys.curves(action, slot))


def test_two_things_share_an_action_and_each_plays_its_own(thing: bpy.types.Object) -> None:
    other = bpy.data.objects.new("Other", None)
    bpy.context.scene.collection.objects.link(other)
    action = bpy.data.actions.new("both")
    for one, value in ((thing, 1.0), (other, 2.0)):
        slot = keys.ensure_slot(action, one)
        assert keys.ensure_slot(action, one) == slot
        keys.write(action, slot, "location", np.array([1.0]), np.full((1, 3), value))
        keys.assign(one, action, slot)
    expected = [1.0, 2.0] if keys.SLOTTED else [2.0, 2.0]
    assert [played(one, "location", [1])[0] for one in (thing, other)] == expected


def test_an_action_named_for_another_thing_is_played(thing: bpy.types.Object) -> None:
    """Blender gives such a thing no slot, and then it plays nothing without an error."""
    other = bpy.data.objects.new("Other", None)
    action = bpy.data.actions.new("theirs")
    slot = keys.ensure_slot(action, other)
    keys.write(action, slot, "location", np.array([1.0]), np.full((1, 3), 7.0))
    keys.assign(thing, action, slot)
    assert keys.assigned(thing) == (action, slot)
    assert played(thing, "location", [1]) == [7]
    keys.assign(thing, None, None)
    assert keys.assigned(thing) == (None, None)


def test_two_thousand_frames_of_sixty_bones_take_less_than_a_second(thing: bpy.types.Object) -> None:
    action = bpy.data.actions.new("long")
    slot = keys.ensure_slot(action, thing)
    frames, values = np.arange(2000.0), np.random.default_rng(0).normal(size=(2000, 4))
    begin = time.perf_counter()
    for i in range(60):
        keys.write(action, slot, f'pose.bones["b{i}"].rotation_quaternion', frames, values, f"b{i}")
    assert time.perf_counter() - begin < 1
    assert sum(len(curve.keyframe_points) for curve in keys.curves(action, slot)) == 480_000


ranges = st.tuples(st.integers(-10, 70), st.integers(1, 30))


@settings(max_examples=25, deadline=None)
@given(at=st.lists(st.integers(0, 120), min_size=1, max_size=6, unique=True), span=ranges, seed=st.integers(0, 9))
def test_a_stretch_is_replaced_and_the_rest_stays(at: list[int], span: tuple[int, int], seed: int) -> None:
    action = bpy.data.actions.new("curve")
    empty = bpy.data.objects.new("Empty", None)
    slot = keys.ensure_slot(action, empty)
    curve = keys.ensure_curve(action, slot, "location", 0)
    places = np.sort(np.array(at)) / 2
    curve.keyframe_points.add(len(at))  # rounded, as Blender makes them
    curve.keyframe_points.foreach_set("co", np.column_stack([
        places, np.random.default_rng(seed).normal(size=len(at))]).ravel())
    curve.update()
    (first, count), whole = span, np.arange(-20, 101)
    extent = (min(-15.0, places[0]), max(95.0, places[-1]))
    before = np.array([curve.evaluate(frame) for frame in whole])
    splice(action, slot, "location", first, np.full((count, 1), 5.0), np.zeros(1), extent)
    after = np.array([curve.evaluate(frame) for frame in whole])
    inside = (whole >= first) & (whole < first + count)
    np.testing.assert_array_equal(after[inside], 5)
    np.testing.assert_allclose(after[~inside], before[~inside], atol=1e-5)
    bpy.data.actions.remove(action)
    bpy.data.objects.remove(empty)


def test_far_from_the_stretch_a_curve_keeps_its_shape_and_keys(thing: bpy.types.Object) -> None:
    action = bpy.data.actions.new("curve")
    slot = keys.ensure_slot(action, thing)
    curve = keys.ensure_curve(action, slot, "location", 0)
    curve.keyframe_points.add(5)
    curve.keyframe_points.foreach_set("co", [1, 0, 10, 3, 20, -2, 30, 1, 40, 0])
    curve.update()
    fine = np.concatenate([np.arange(1, 10, .1), np.arange(30, 40, .1)])
    before = [curve.evaluate(frame) for frame in fine]
    splice(action, slot, "location", 12, np.zeros((5, 1)), np.zeros(1), (1, 40))
    np.testing.assert_allclose([curve.evaluate(frame) for frame in fine], before, atol=1e-5)
    assert [point.co[0] for point in curve.keyframe_points] == [1, 10, *range(11, 20), 20, 30, 40]
    assert [point.interpolation for point in curve.keyframe_points][::13] == ["BEZIER", "BEZIER"]


def test_modifiers_do_not_change_the_new_keys_and_mute_does_not_hide_them(thing: bpy.types.Object) -> None:
    action = bpy.data.actions.new("noisy")
    slot = keys.ensure_slot(action, thing)
    keys.write(action, slot, "location", np.array([1.0, 30.0]), np.zeros((2, 2)))
    noisy, muted = keys.curves(action, slot)
    noisy.modifiers.new("NOISE").strength = 3
    muted.mute = True
    before = [noisy.evaluate(frame) for frame in range(1, 31)]
    splice(action, slot, "location", 10, np.full((5, 2), 7.0), np.array([0, 2.0]), (1, 30))
    after = [noisy.evaluate(frame) for frame in range(1, 31)]
    assert np.ptp(before) > .1
    np.testing.assert_allclose(after, [*before[:9], *[7] * 5, *before[14:]], atol=1e-5)
    assert [muted.evaluate(frame) for frame in (1, 9, 10, 14, 15, 30)] == [2, 2, 7, 7, 2, 2]
    assert not muted.mute


def test_values_of_no_curve_are_those_given(thing: bpy.types.Object) -> None:
    action = bpy.data.actions.new("half")
    slot = keys.ensure_slot(action, thing)
    keys.write_channel(action, slot, "location", 1, np.array([0.0, 10.0]), np.array([0.0, 10.0]))
    got = keys.sample(action, slot, "location", np.array([5.0, 20.0]), np.array([1.0, 2, 3]))
    np.testing.assert_allclose(got, [[1, 5, 3], [1, 10, 3]])
    np.testing.assert_allclose(keys.sample(None, None, "location", np.array([5.0]), np.array([1.0, 2])), [[1, 2]])
