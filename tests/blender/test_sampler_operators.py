"""Operators that ask the model, with the real worker, as a script runs them."""
from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from pose_format import Pose

import pose_diffusion
from blender_addon import posefile
from blender_addon.interface import (
    engine,
    known,
    model_texts,
    preferences,
    span,
    wanted,
)

pytestmark = pytest.mark.usefixtures("ready_to_sample")


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the worker's result files hold when they are read."""
    files: list[bytes] = []
    read = posefile.read

    def spy(path: Path) -> posefile.PoseFile:
        files.append(Path(path).read_bytes())
        return read(path)

    monkeypatch.setattr(posefile, "read", spy)
    return files


def settings() -> Any:
    """Of the scene."""
    return bpy.context.scene.pose_diffusion


def take() -> bpy.types.Action:
    """What the active armature plays."""
    action: bpy.types.Action = bpy.context.object.animation_data.action
    return action


def head(frame: int, bone: str) -> np.ndarray:
    """Where a bone's tail is at a frame, in metres."""
    bpy.context.scene.frame_set(frame)
    armature = bpy.context.object.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return np.array(armature.pose.bones[bone].tail)


def way(bone: str) -> float:
    """How far a bone's tail goes in the scene."""
    scene = bpy.context.scene
    path = np.array([head(frame, bone) for frame in range(scene.frame_start, take_end() + 1)])
    return float(np.linalg.norm(np.diff(path, axis=0), axis=-1).sum())


def take_end() -> int:
    """The last frame of the take."""
    return int(take().curve_frame_range[1])


def test_defaults_are_those_of_the_package() -> None:
    """Of generating, refining and joining."""
    def defaults(function: Any) -> dict[str, Any]:
        return {name: one.default for name, one in inspect.signature(function).parameters.items()}

    bpy.ops.wm.read_homefile(use_empty=True)
    now = settings()
    for function in (pose_diffusion.generate, pose_diffusion.regenerate):
        known_ones = defaults(function)
        assert (now.steps, now.seed, known.code_of(now.language)) == tuple(
            known_ones[name] for name in ("steps", "seed", "language"))
        assert (now.guidance, now.temperature) == pytest.approx((known_ones["guidance"], known_ones["temperature"]))
    assert now.steps == defaults(pose_diffusion.inbetween)["steps"]
    assert now.hold == defaults(pose_diffusion.inbetween)["hold"]
    assert (now.refine_steps, now.strength) == tuple(
        defaults(pose_diffusion.refine)[name] for name in ("steps", "strength"))
    notations = {item.identifier for item in now.bl_rna.properties["notation"].enum_items}
    from pose_diffusion.notation import LANGUAGES, NOTATIONS
    assert notations == {"AUTO", *NOTATIONS}
    assert set(known.LANGUAGES) <= set(LANGUAGES)


def test_generate_on_a_new_signer() -> None:
    """A script presses the button of an empty scene: a signer signs."""
    assert bpy.ops.pose_diffusion.generate() == {"FINISHED"}
    assert bpy.context.object.name == "Signer"
    assert take().name == "thanks"
    assert bpy.context.scene.frame_end == take_end()  # Space plays it
    assert max(way("hand.L"), way("hand.R")) > .1


def test_generate_equals_the_package_bit_for_bit(results: list[bytes], tmp_path: Path) -> None:
    """With the settings of the panel, on this device."""
    now = settings()
    now.steps, now.guidance, now.temperature, now.seed, now.language = 3, 2.5, .5, 42, "und"
    now.length, now.seconds = "SECONDS", .8
    bpy.ops.pose_diffusion.generate()
    expected = pose_diffusion.generate("thanks", steps=3, guidance=2.5, temperature=now.temperature, seed=42,
                                       seconds=now.seconds, fps=24)
    with (tmp_path / "expected.pose").open("wb") as file:
        expected.write(file)
    same = results == [(tmp_path / "expected.pose").read_bytes()]
    assert same  # pytest would look for the differing bytes for minutes


def test_depth_of_the_average_signer_is_known() -> None:
    """It need not be guessed from a short clip."""
    from pose_diffusion import normalisation
    from pose_diffusion.tasks import appearance

    assert wanted.AVERAGE.depth == (1000 * normalisation.BODY_DEPTH, 1000 * normalisation.HAND_DEPTH, 1000)
    assert appearance.PLACE[0] * 2 == 1000


def test_the_seed_decides(results: list[bytes]) -> None:
    """The same one is the same again; another one is not."""
    for seed in (1, 1, 2):
        settings().seed = seed
        bpy.ops.pose_diffusion.generate()
    assert results[0] == results[1] != results[2]


def test_a_new_seed_each_time() -> None:
    """Drawn before the run, and kept in the field."""
    settings().new_seed_each_time = True
    bpy.ops.pose_diffusion.generate()
    first = settings().seed
    bpy.ops.pose_diffusion.generate()
    assert first != settings().seed
    assert bpy.ops.pose_diffusion.new_seed() == {"FINISHED"}


def test_first_pose_from_the_armature() -> None:
    """The result begins as the armature stands."""
    bpy.ops.pose_diffusion.generate()
    end = take_end()
    before = {bone: head(end, bone) for bone in ("hand.L", "hand.R", "f_index.03.R")}
    settings().first_pose, settings().text = "ARMATURE", "please"
    bpy.ops.pose_diffusion.generate()
    for bone, place in before.items():
        assert np.linalg.norm(head(1, bone) - place) < .02, bone


def test_first_pose_from_a_file(real_bytes: bytes, tmp_path: Path, results: list[bytes]) -> None:
    """Its first frame is the result's."""
    (tmp_path / "first.pose").write_bytes(real_bytes)
    settings().first_pose, settings().first_pose_file = "FILE", str(tmp_path / "first.pose")
    bpy.ops.pose_diffusion.generate()
    given, made = Pose.read(real_bytes), Pose.read(results[-1])
    seen = given.body.confidence[0] > 0
    np.testing.assert_array_equal(made.body.data.data[0][seen], given.body.data.data[0][seen])


def test_refine_changes_a_take_a_little() -> None:
    """Into a new action; the old one is kept; strength 0 gives the take back."""
    bpy.ops.pose_diffusion.generate()
    old, end = take(), take_end()
    before = [head(frame, "hand.R") for frame in range(1, end + 1)]
    assert bpy.ops.pose_diffusion.refine() == {"FINISHED"}
    moved = [np.linalg.norm(head(frame, "hand.R") - before[frame - 1]) for frame in range(1, end + 1)]
    assert take() != old
    assert old.use_fake_user
    assert 1e-4 < np.mean(moved) < .05
    bpy.context.object.animation_data.action = old
    settings().strength = 0
    bpy.ops.pose_diffusion.refine()
    assert max(np.linalg.norm(head(frame, "hand.R") - before[frame - 1]) for frame in range(1, end + 1)) < 1e-3


def test_refine_corrects_the_loaded_file(real_bytes: bytes, tmp_path: Path, results: list[bytes]) -> None:
    """The package's own result, on the armature: a capture's jitter is in its points, not in bones made of them."""
    pose = Pose.read(real_bytes)
    shaken = np.random.default_rng(0).normal(0, 3, pose.body.data.shape) * [1, 1, 0]
    pose.body.data = pose.body.data + shaken.astype(np.float32) * (pose.body.confidence > 0)[..., None]
    with open(tmp_path / "shaky.pose", "wb") as file:
        pose.write(file)
    settings().mode, settings().smoothing = "follow", 0
    bpy.ops.pose_diffusion.import_pose(filepath=str(tmp_path / "shaky.pose"))
    assert settings().refine_from == "FILE"
    old, end = take(), take_end()
    before = np.array([head(frame, "hand.R") for frame in range(1, end)])
    assert bpy.ops.pose_diffusion.refine() == {"FINISHED"}
    expected = pose_diffusion.refine(Pose.read((tmp_path / "shaky.pose").read_bytes()))
    np.testing.assert_array_equal(Pose.read(results[-1]).body.data.data, expected.body.data.data)
    assert take() != old
    assert old.use_fake_user
    after = np.array([head(frame, "hand.R") for frame in range(1, end)])
    shaking = [np.linalg.norm(np.diff(path, 2, axis=0)[:, [0, 2]], axis=-1).mean() for path in (before, after)]
    assert shaking[1] < .8 * shaking[0]


def test_refine_of_a_file_needs_one() -> None:
    """A generated take has none."""
    bpy.ops.pose_diffusion.generate()
    assert settings().refine_from == "TAKE"
    settings().refine_from = "FILE"
    with pytest.raises(RuntimeError, match="no .pose was loaded"):
        bpy.ops.pose_diffusion.refine()


def test_regenerate_a_hand_in_some_frames() -> None:
    """Only this hand moves, only there."""
    bpy.ops.pose_diffusion.generate()
    end = take_end()
    bones = ("f_index.03.R", "f_index.03.L", "spine.006")
    before = {bone: np.array([head(frame, bone) for frame in range(1, end + 1)]) for bone in bones}
    settings().what, settings().range, settings().first, settings().last = "RIGHT_HAND", "CUSTOM", 10, 20
    settings().seed, settings().temperature = 99, 1
    assert bpy.ops.pose_diffusion.regenerate() == {"FINISHED"}
    moved = {bone: np.linalg.norm(np.array([head(frame, bone) for frame in range(1, end + 1)]) - before[bone], axis=-1)
             for bone in bones}
    assert moved["f_index.03.R"][9:20].max() > .005
    assert moved["f_index.03.R"][:8].max() < 1e-3
    assert moved["f_index.03.R"][22:].max() < 1e-3
    assert moved["f_index.03.L"].max() < 1e-3
    assert moved["spine.006"].max() < 1e-3


def test_inbetween_joins_strips() -> None:
    """The parts are as they were, the ways between are made."""
    bpy.ops.pose_diffusion.generate()
    first, length = take(), take_end()
    settings().seed = 8
    bpy.ops.pose_diffusion.generate()
    second = take()
    data = bpy.context.object.animation_data
    data.action = None
    track = data.nla_tracks.new()
    for i, action in enumerate((first, second)):
        strip = track.strips.new(action.name, 1 + i * 100, action)
        strip.select = True
        if hasattr(strip, "action_slot"):
            strip.action_slot = next(slot for slot in action.slots if slot.target_id_type == "OBJECT")
    place = head(1, "hand.R")
    assert bpy.ops.pose_diffusion.inbetween_strips() == {"FINISHED"}
    assert take_end() - 1 > 2 * (length - 1)
    assert np.linalg.norm(head(1, "hand.R") - place) < 1e-3
    path = np.array([head(frame, "hand.R") for frame in range(1, take_end() + 1)])
    assert np.linalg.norm(np.diff(path, axis=0), axis=-1).max() < .15  # metres a frame: no jump


def test_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to say which frames; wrong ones are refused with the reason."""
    bpy.ops.pose_diffusion.generate()
    armature, scene, now = bpy.context.object, bpy.context.scene, settings()
    end = take_end()
    now.range = "TAKE"
    assert span.chosen(bpy.context, armature) == (1, end)
    now.range, now.first, now.last = "CUSTOM", 5, 9
    assert span.chosen(bpy.context, armature) == (5, 9)
    now.range, scene.frame_start, scene.frame_end = "SCENE", 3, 500
    assert span.chosen(bpy.context, armature) == (3, end)
    now.range, scene.use_preview_range = "PREVIEW", True
    scene.frame_preview_start, scene.frame_preview_end = 4, 8
    assert span.chosen(bpy.context, armature) == (4, 8)
    now.range = "KEYS"
    from blender_addon.animation import keys
    for curve in keys.curves(*keys.assigned(armature)):
        for point in curve.keyframe_points:
            point.select_control_point = point.co.x in (6, 7)
    assert span.chosen(bpy.context, armature) == (6, 7)
    now.range, now.first, now.last = "CUSTOM", 900, 901
    with pytest.raises(RuntimeError, match="none of these frames"):
        bpy.ops.pose_diffusion.refine()
    now.first, now.last = 9, 5
    with pytest.raises(RuntimeError, match="before the first"):
        bpy.ops.pose_diffusion.refine()


def test_an_action_without_keys_is_refused() -> None:
    """There is no take in it, whatever frames are named."""
    bpy.ops.pose_diffusion.create_signer()
    bpy.context.object.animation_data_create().action = bpy.data.actions.new("empty")
    with pytest.raises(RuntimeError, match='"empty" of "Signer" has no keys'):
        bpy.ops.pose_diffusion.refine()


def test_greyed_with_the_reason() -> None:
    """Blender shows it when the mouse is over the button."""
    def reason(name: str) -> str:
        with pytest.raises(RuntimeError) as caught:
            getattr(bpy.ops.pose_diffusion, name)()
        return str(caught.value)

    settings().text = " "
    assert "Type what is to be signed" in reason("generate")
    assert "Select an armature" in reason("refine")
    bpy.ops.pose_diffusion.create_signer()
    assert "has no action yet" in reason("regenerate")
    assert "two strips" in reason("inbetween_strips")
    assert "Nothing is running" in reason("cancel")
    bpy.context.preferences.addons["blender_addon"].preferences.interpreter = ""
    settings().text = "thanks"
    assert "No Python is set" in reason("generate")


def test_refused_before_the_model_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the result could not be applied: no bones, and an armature whose strips are being edited."""
    monkeypatch.setattr(engine, "worker", lambda context: pytest.fail("the worker is asked"))
    bpy.ops.object.armature_add()
    with pytest.raises(RuntimeError, match="bone map"):
        bpy.ops.pose_diffusion.generate()
    bpy.data.objects.remove(bpy.context.object)
    bpy.ops.pose_diffusion.create_signer()
    strip = bpy.context.object.animation_data_create().nla_tracks.new().strips.new("a", 1, bpy.data.actions.new("a"))
    strip.select = True
    bpy.context.object.animation_data.use_tweak_mode = True
    assert bpy.context.object.animation_data.use_tweak_mode
    with pytest.raises(RuntimeError, match="tweak mode"):
        bpy.ops.pose_diffusion.generate()


def test_what_the_model_knows() -> None:
    """Is suggested while typing, also the next time; until then what was typed is, so that the list is not empty."""
    assert list(known.suggested_texts("hello", "und")) == [("hello", "")]
    assert not list(known.suggested_texts("", "und"))
    bpy.ops.pose_diffusion.list_texts()
    told = list(known.texts)
    assert len(told) > 100
    model_texts.forget()
    model_texts.suggest(bpy.context)
    assert known.texts == told
    preferences.of(bpy.context).model = "/another/model"  # type: ignore[union-attr]
    model_texts.suggest(bpy.context)
    assert not known.texts
    preferences.of(bpy.context).model = ""  # type: ignore[union-attr]
    model_texts.suggest(bpy.context)
    suggested = list(known.suggested_texts("than", "ase"))
    assert suggested[0] == ("than", "as it was typed")
    assert [text for text, _ in suggested].count("thanks") == 1
    assert list(known.suggested_texts("no such text", "ase")) == [("no such text", "as it was typed")]
    assert ("American (ase)", "known to the model") in known.suggested_languages("amer")
    assert [known.code_of(text) for text in ("American (ase)", " ASE ", "any (und)", "")] == ["ase"] * 2 + ["und"] * 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"source": ["", ""]}', '{"source": [1], "texts": [[1]]}'])
def test_damaged_list_of_texts_is_as_none(content: str) -> None:
    """It is asked for again."""
    (preferences.folder() / model_texts.FILE).write_text(content)
    model_texts.suggest(bpy.context)
    assert not known.texts
