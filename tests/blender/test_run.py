"""Runs of the real worker and all that can come in between: the scene is as it was, a message says what happened."""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import bpy
import pytest

from blender_addon.animation import preview
from blender_addon.errors import AddonError
from blender_addon.interface import engine, messages, run, signing, wanted
from blender_addon.sampler.job import Worker

from .scene import state_of
from .workers import used

LONG = 1000  # steps: it does not end by itself
PATIENCE = 60.0  # seconds


@pytest.fixture(autouse=True)
def ready(addon: ModuleType, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The interpreter set, the worker started, a text typed."""
    with used(worker, monkeypatch):
        settings = bpy.context.scene.pose_diffusion
        settings.text, settings.steps, settings.length, settings.seconds = "thanks", 2, "SECONDS", .5
        settings.mode = "follow"  # takes less time
        yield


@pytest.fixture
def signer() -> bpy.types.Object:
    """A signer with a take and a pose of its own between its keys."""
    bpy.ops.pose_diffusion.create_signer()
    armature = bpy.context.object
    armature.keyframe_insert('pose.bones["hand.L"].location', frame=1)
    armature.pose.bones["upper_arm.L"].rotation_quaternion = (.6, .8, 0, 0)
    armature.pose.bones["spine.006"].rotation_mode = "XYZ"
    return armature


def until(done: Callable[[], bool]) -> str:
    """Tick until something is so; what the last tick said."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        state = run.tick(bpy.context)
        if done() or state != run.RUNNING:
            return state
        time.sleep(.01)
    pytest.fail("it takes too long")


def begun(steps: int = LONG) -> run.Run:
    """A run of which a step is shown on the armature."""
    bpy.context.scene.pose_diffusion.steps = steps
    one = run.start(bpy.context, wanted.generate(bpy.context), previews=True)
    assert until(lambda: one.shown is not None) == run.RUNNING
    assert preview.shown(bpy.context.object)
    return one


def last() -> messages.Message:
    """What the panel shows."""
    assert messages.last is not None
    return messages.last


def test_shows_steps_then_the_result(signer: bpy.types.Object) -> None:
    """The result is a new action; the armature's own is kept; no temporary one is left."""
    own = signer.animation_data.action
    begun(steps=30)
    assert run.progress()[0] > 0
    assert until(lambda: False) == run.DONE
    assert signer.animation_data.action.name == "thanks"
    assert {action.name for action in bpy.data.actions} == {own.name, "thanks"}
    assert own.use_fake_user
    assert '"thanks" is signed by "Signer"' in last().text
    assert not any(Path(bpy.app.tempdir).glob("run-*"))


@pytest.mark.parametrize("with_signer", [True, False])
def test_cancel_leaves_the_scene_as_it_was(with_signer: bool, request: pytest.FixtureRequest) -> None:
    """At once, also where the signer was made for the run."""
    if with_signer:
        request.getfixturevalue("signer")
    else:
        bpy.ops.object.camera_add()
    before = state_of(bpy.context.scene)
    begun()
    begin = time.monotonic()
    run.cancel(bpy.context)
    assert time.monotonic() - begin < .5
    assert run.current is None
    assert state_of(bpy.context.scene) == before
    assert "cancelled" in last().text


def test_another_file_in_between(signer: bpy.types.Object) -> None:
    """The run ends, and nothing of it is in the new file."""
    begun()
    bpy.ops.wm.read_homefile(use_empty=True)
    assert run.current is None
    assert "another file was opened" in last().text
    assert not bpy.data.actions


def test_saving_in_between(signer: bpy.types.Object, tmp_path: Path) -> None:
    """The file is without the preview; the run goes on to its end."""
    own = signer.animation_data.action.name
    begun(steps=60)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"), copy=True)
    assert until(lambda: False) == run.DONE
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert [action.name for action in bpy.data.actions] == [own]
    assert bpy.data.objects["Signer"].animation_data.action.name == own


def test_undo_in_between(signer: bpy.types.Object) -> None:
    """The run ends; what is undone to is without the preview."""
    bpy.ops.ed.undo_push(message="before")
    bpy.context.scene.frame_end = 77
    bpy.ops.ed.undo_push(message="between")
    before = state_of(bpy.context.scene)
    begun()
    bpy.context.scene.frame_end = 99
    bpy.ops.ed.undo_push(message="while it was shown")
    bpy.ops.ed.undo()
    assert run.current is None
    assert "undo or redo" in last().text
    assert state_of(bpy.context.scene) == before
    bpy.ops.ed.redo()
    assert bpy.context.scene.frame_end == 99
    assert state_of(bpy.context.scene)["plays"] == before["plays"]
    assert state_of(bpy.context.scene)["data"] == before["data"]


def test_worker_ends_in_between(signer: bpy.types.Object, worker: Worker) -> None:
    """It is said, with where to read on; the next run starts another."""
    before = state_of(bpy.context.scene)
    begun()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    assert until(lambda: False) == run.FAILED
    assert state_of(bpy.context.scene) == before
    assert "ended unexpectedly" in last().text
    assert "worker.log" in last().text
    bpy.context.scene.pose_diffusion.steps = 1
    assert run.block(bpy.context, wanted.generate(bpy.context)) == run.DONE


def test_armature_is_deleted_in_between(signer: bpy.types.Object) -> None:
    """It is said by name."""
    begun()
    bpy.data.objects.remove(signer)
    assert until(lambda: False) == run.FAILED
    assert '"Signer" is gone' in last().text
    assert not bpy.data.actions or all(preview.STATE not in action for action in bpy.data.actions)


def test_armature_is_renamed_in_between(signer: bpy.types.Object) -> None:
    """It is still the one."""
    begun(steps=30)
    signer.name = "Anna"
    assert until(lambda: False) == run.DONE
    assert signer.animation_data.action.name == "thanks"


def test_result_that_cannot_be_applied_is_kept(signer: bpy.types.Object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says where it is; everything else is as it was."""
    before = state_of(bpy.context.scene)
    begun(steps=30)

    def refuse(*_: object, **__: object) -> None:
        raise AddonError("not now")

    with monkeypatch.context() as patch:
        patch.setattr(signing, "key", refuse)
        assert until(lambda: False) == run.FAILED
    assert last().text == 'Generate "thanks": not now'
    assert state_of(bpy.context.scene) == before
    bpy.ops.pose_diffusion.import_pose(filepath=last().notes[0].rpartition("load ")[2])
    assert signer.animation_data.action.name == "last"


def test_a_bug_does_not_block_the_next_run(signer: bpy.types.Object, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised, also out of the thread; the scene is as it was."""
    before = state_of(bpy.context.scene)
    begun(steps=20)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(wanted, "solve", broken)
        with pytest.raises(ZeroDivisionError):
            until(lambda: False)
    assert run.current is None
    assert state_of(bpy.context.scene) == before


def test_cancelled_while_bones_are_fitted(signer: bpy.types.Object, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, though the calculation cannot be stopped."""
    before = state_of(bpy.context.scene)
    one = begun(steps=20)
    monkeypatch.setattr(wanted, "solve", lambda *_: time.sleep(2))
    assert until(lambda: one.thought is not None) == run.RUNNING
    assert run.progress() == (1.0, "fitting the bones …")
    begin = time.monotonic()
    run.cancel(bpy.context)
    assert time.monotonic() - begin < .5
    assert state_of(bpy.context.scene) == before


def test_while_something_is_rendered(signer: bpy.types.Object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is shown or applied; afterwards it goes on."""
    own = signer.animation_data.action
    one = begun(steps=20)
    rendering = [True]
    monkeypatch.setattr(run, "is_rendering", lambda: rendering[0])
    assert until(lambda: one.job.finished) == run.RUNNING
    assert signer.animation_data.action == own
    rendering[0] = False
    assert until(lambda: False) == run.DONE


def test_only_one_run_at_a_time(signer: bpy.types.Object) -> None:
    """The second is refused, the first goes on."""
    second = wanted.generate(bpy.context)
    one = begun()
    with pytest.raises(AddonError, match="still running"):
        run.start(bpy.context, second, previews=False)
    assert run.current is one
    assert not bpy.ops.pose_diffusion.generate.poll()


@pytest.mark.parametrize("path", ["", "/there/is/no/python"])
def test_no_interpreter(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is changed: the signer that was made for the run goes, too."""
    monkeypatch.setattr(engine, "_worker", None)
    bpy.context.preferences.addons["blender_addon"].preferences.interpreter = path
    before = state_of(bpy.context.scene)
    with pytest.raises(AddonError, match="preferences|Preferences"):
        run.start(bpy.context, wanted.generate(bpy.context), previews=False)
    assert state_of(bpy.context.scene) == before


def test_errors_of_the_package_arrive(signer: bpy.types.Object) -> None:
    """In its own words, with the traceback to copy."""
    bpy.context.scene.pose_diffusion.text = "M518x529S14c20481x471 hello"
    before = state_of(bpy.context.scene)
    assert run.block(bpy.context, wanted.generate(bpy.context)) == run.FAILED
    assert "is no SignWriting" in last().text
    assert "Traceback" in last().details
    assert state_of(bpy.context.scene) == before


def test_disabling_the_addon_in_between(signer: bpy.types.Object, worker: Worker) -> None:
    """As when Blender quits: no run, no process, no preview."""
    before = state_of(bpy.context.scene)
    begun()
    pid = worker.pid
    assert pid is not None
    import blender_addon

    blender_addon.unregister()
    assert not worker.running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert state_of(bpy.context.scene) == before
    blender_addon.register()
