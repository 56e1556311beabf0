"""What the sidebar shows, in every state that it can be in."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import pytest

from blender_addon.interface import messages, panels, preferences, run, sampler_panels

from .chosen import chosen
from .layout import Layout, drawn

PANELS = tuple(one for one in (*panels.CLASSES, *sampler_panels.CLASSES) if issubclass(one, bpy.types.Panel))
ASKING = {sampler_panels.POSEDIFFUSION_PT_generate: "generate", sampler_panels.POSEDIFFUSION_PT_refine: "refine",
          sampler_panels.POSEDIFFUSION_PT_regenerate: "regenerate",
          sampler_panels.POSEDIFFUSION_PT_inbetween: "inbetween_strips"}


@pytest.fixture(autouse=True)
def registered(addon: ModuleType) -> Iterator[None]:
    """With preferences, as an enabled add-on has them."""
    with chosen():
        yield
        run.current = None


def shown(panel: type[bpy.types.Panel]) -> Layout:
    """What a panel draws that is there."""
    layout = drawn(panel)
    assert layout is not None
    return layout


def going_on(state: str = "running", step: int = 3, steps: int = 8) -> None:
    """As if the worker were at it."""
    job = SimpleNamespace(state=state, step=step, steps=steps)
    request = SimpleNamespace(title='Generate "hello"')
    run.current = SimpleNamespace(request=request, job=job, thought=None)  # type: ignore[assignment]


def with_interpreter() -> None:
    """As if one were set."""
    form = preferences.of(bpy.context)
    assert form is not None
    form.interpreter = str(Path(__file__))


def states() -> dict[str, object]:
    """Ways to get the panels into a state, by its name."""
    return {
        "nothing": lambda: None,
        "signer": bpy.ops.pose_diffusion.create_signer,
        "map": lambda: (bpy.ops.pose_diffusion.create_signer(), bpy.ops.pose_diffusion.match_bones()),
        "no bones": lambda: bpy.ops.object.armature_add(),
        "running": going_on,
        "starting": lambda: going_on("starting", 0, 0),
        "loading": lambda: going_on("loading", 0, 0),
        "message": lambda: messages.say("WARNING", "done", notes=["a", "b", "c", "d", "e"]),
        "error": lambda: messages.say("ERROR", "no " * 100, details="Traceback"),
        "interpreter": with_interpreter,
        "everything open": everything_open,
    }


def everything_open() -> None:
    """Choices that bring further fields."""
    settings = bpy.context.scene.pose_diffusion
    settings.length, settings.first_pose, settings.range, settings.refine_steps = "SECONDS", "FILE", "CUSTOM", 8
    settings.regenerate_text = "hello"


@pytest.mark.parametrize("state", list(states()))
def test_all_panels_draw(state: str) -> None:
    """Only what Blender has: operators, properties, icons."""
    states()[state]()  # type: ignore[operator]
    for panel in PANELS:
        layout = drawn(panel)
        assert layout is None or layout.labels or layout.operators or layout.properties


def test_without_an_armature() -> None:
    """The way to one is shown."""
    layout = shown(panels.POSEDIFFUSION_PT_main)
    assert "No armature is selected" in layout.labels
    assert layout.operators == ["pose_diffusion.create_signer", "pose_diffusion.import_pose"]
    assert drawn(panels.POSEDIFFUSION_PT_bones) is None


def test_says_how_many_bones_are_found() -> None:
    """All of the signer's; none of a chain of nameless bones, with the reason."""
    bpy.ops.pose_diffusion.create_signer()
    assert "43 of 43 bones found: Signer" in shown(panels.POSEDIFFUSION_PT_main).labels
    bpy.ops.object.armature_add()
    assert any("hand" in label for label in shown(panels.POSEDIFFUSION_PT_main).labels)


def test_mesh_of_a_signer_counts_as_the_signer() -> None:
    """Animators click on what they see."""
    bpy.ops.pose_diffusion.create_signer()
    armature = bpy.context.object
    mesh = bpy.data.objects.new("body", bpy.data.meshes.new("body"))
    bpy.context.scene.collection.objects.link(mesh)
    mesh.modifiers.new("armature", "ARMATURE").object = armature
    bpy.context.view_layer.objects.active = mesh
    assert armature.name in shown(panels.POSEDIFFUSION_PT_main).labels


@pytest.mark.parametrize("panel", ASKING)
def test_without_an_interpreter_the_way_to_set_one_is_shown(panel: type[bpy.types.Panel]) -> None:
    """Beside the button, which is greyed."""
    layout = shown(panel)
    assert "pose_diffusion.open_preferences" in layout.operators
    with_interpreter()
    layout = shown(panel)
    assert "pose_diffusion.open_preferences" not in layout.operators
    assert layout.operators[-1] == f"pose_diffusion.{ASKING[panel]}"


def test_progress_is_at_the_top() -> None:
    """A bar, the step, and Cancel; the buttons stay, greyed, so that nothing jumps."""
    going_on()
    with_interpreter()
    for panel, name in ASKING.items():
        assert f"pose_diffusion.{name}" in shown(panel).operators
        assert not getattr(bpy.ops.pose_diffusion, name).poll()
    layout = shown(panels.POSEDIFFUSION_PT_main)
    assert layout.factors == [3 / 8]
    assert "step 3 of 8" in layout.labels
    assert "pose_diffusion.cancel" in layout.operators


def test_errors_are_red_and_can_be_copied() -> None:
    """All of the text is shown, in lines that fit."""
    text = "the file broken.pose is cut off: " + "copy it again " * 8
    messages.say("ERROR", text, details="more")
    layout = shown(panels.POSEDIFFUSION_PT_main)
    assert " ".join(layout.alerts).split()[:len(text.split())] == text.split()
    assert max(map(len, layout.alerts)) <= 40
    assert "pose_diffusion.copy_text" in layout.operators
    bpy.ops.pose_diffusion.clear_message()
    assert "pose_diffusion.copy_text" not in shown(panels.POSEDIFFUSION_PT_main).operators


def test_bone_map_is_a_list_of_roles() -> None:
    """With a field for each; a bone that is not there is red."""
    bpy.ops.pose_diffusion.create_signer()
    assert shown(panels.POSEDIFFUSION_PT_bones).properties == []
    bpy.ops.pose_diffusion.match_bones()
    layout = shown(panels.POSEDIFFUSION_PT_bones)
    assert layout.properties == ["bone"] * 43
    assert "index.1.L" in layout.labels


def test_preferences_draw() -> None:
    """The form, and what a check found."""
    from blender_addon.interface import checking
    from blender_addon.sampler.interpreter import Report

    form = preferences.of(bpy.context)
    assert form is not None
    checking.report = Report(False, ("To be installed: pose-diffusion", "Python 3.12.1"), ("pose-diffusion",),
                             "/usr/bin/python3 -m pip install pose-diffusion", "/home/me/pose/bin/python")
    layout = Layout()
    drawing: Any = SimpleNamespace(layout=layout, bl_rna=form.bl_rna, interpreter="x")
    preferences.PoseDiffusionPreferences.draw(drawing, bpy.context)
    assert {"interpreter", "device", "model", "package"} <= set(layout.properties)
    assert any("pip install pose-diffusion" in label for label in layout.labels)
    assert [one.text for one in layout.set if hasattr(one, "text")] == [checking.report.command]
    assert [one.path for one in layout.set if hasattr(one, "path")] == ["/home/me/pose/bin/python"]
