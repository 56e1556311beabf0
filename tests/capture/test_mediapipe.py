"""Capture without MediaPipe: arguments, messages, the second look at hands. With it: `test_video.py`."""
from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pose_format import Pose

from pose_diffusion.capture.landmarkers import TaskHolistic, kinds_of
from pose_diffusion.capture.live import RefinedHolistic
from pose_diffusion.capture.mediapipe import SecondLook, load_refined_holistic
from pose_diffusion.capture.results import pose_from_results
from pose_diffusion.layout import BODY, LEFT_HAND, RIGHT_HAND
from tests.capture.mediapipe_results import FakeHolistic, holistic_task, legacy, separate_legacy, separate_tasks
from tests.poses import constructed_pose, lose, part

IMAGE = np.zeros((480, 640, 3), np.uint8)
BODY_MODELS = ["pose_detector.tflite", "pose_landmarks_detector.tflite"]
HAND_MODELS = ["hand_detector.tflite", "hand_landmarks_detector.tflite"]
FACE_MODELS = ["face_detector.tflite", "face_landmarks_detector.tflite"]


def unchanged(pose: Pose) -> Pose:
    return pose


@pytest.fixture
def no_mediapipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)


@pytest.fixture
def mediapipe_1(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("mediapipe")
    module.__version__ = "1.2.2"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mediapipe", module)


def task_file(path: Path, models: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for model in models:
            archive.writestr(model, b"")
    return path


def test_it_is_called_like_load_holistic() -> None:
    """Read from pose-format's source: it cannot be imported without MediaPipe."""
    spec = find_spec("pose_format")
    assert spec is not None
    assert spec.origin is not None
    source = (Path(spec.origin).parent / "utils" / "holistic.py").read_text(encoding="utf-8")
    theirs = next(node for node in ast.walk(ast.parse(source))
                  if isinstance(node, ast.FunctionDef) and node.name == "load_holistic")
    mine = list(inspect.signature(load_refined_holistic).parameters.values())
    names = [argument.arg for argument in theirs.args.args]
    assert [p.name for p in mine if p.kind is p.POSITIONAL_OR_KEYWORD] == names
    defaults = dict(zip(names[-len(theirs.args.defaults):], map(ast.unparse, theirs.args.defaults)))
    assert {p.name: repr(p.default) for p in mine if p.name in defaults} == \
        {**defaults, "additional_holistic_config": "None"}


@pytest.mark.usefixtures("no_mediapipe")
@pytest.mark.parametrize("call", [
    lambda: load_refined_holistic([IMAGE], refiner=unchanged),
    lambda: load_refined_holistic([IMAGE], refiner=unchanged, second_hands=True),
    lambda: RefinedHolistic(refiner=unchanged),
])
def test_without_mediapipe_it_says_what_to_install(call: Any) -> None:
    with pytest.raises(ImportError, match=r'pip install "pose-diffusion\[mediapipe\]".*task=') as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("mediapipe_1")
@pytest.mark.parametrize("call", [
    lambda: load_refined_holistic([IMAGE], refiner=unchanged),
    lambda: RefinedHolistic(refiner=unchanged),
])
def test_mediapipe_1_needs_a_task_file(call: Any) -> None:
    with pytest.raises(ImportError, match="MediaPipe 1.2.2 has no Holistic that works without.*task= a holistic"):
        call()


def test_nothing_else_needs_mediapipe() -> None:
    """Every module can be imported, and results be read, where MediaPipe cannot."""
    code = """
import importlib, pkgutil, sys
sys.modules["mediapipe"] = None
import pose_diffusion
for module in pkgutil.walk_packages(pose_diffusion.__path__, "pose_diffusion."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from pose_diffusion.capture.results import pose_from_results
print(pose_from_results([None], 25, 640, 480).body.data.shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(1, 1, 576, 3)", done.stderr


@pytest.mark.parametrize(("names", "kinds"), [
    ({"a.task": [*BODY_MODELS, *HAND_MODELS, *FACE_MODELS]}, {"holistic"}),
    ({"b.task": HAND_MODELS, "a.task": BODY_MODELS}, {"pose", "hand"}),
    ({"b.task": HAND_MODELS, "a.task": BODY_MODELS, "c.task": FACE_MODELS}, {"pose", "hand", "face"}),
])
def test_what_a_task_file_is_for_is_told_from_its_models(tmp_path: Path, names: dict[str, list[str]],
                                                         kinds: set[str]) -> None:
    files = [task_file(tmp_path / name, models) for name, models in names.items()]
    assert set(kinds_of(files if len(files) > 1 else files[0])) == kinds


@pytest.mark.parametrize(("names", "message"), [
    ({}, r"missing\.task: not a \.task file of MediaPipe \(No such file"),
    ({"a.task": HAND_MODELS}, "give either holistic_landmarker.task or pose_landmarker.task"),
    ({"a.task": BODY_MODELS, "b.task": BODY_MODELS}, "b.task: this .task file is a second one for pose"),
    ({"a.task": [*BODY_MODELS, *FACE_MODELS], "b.task": BODY_MODELS}, "give either holistic_landmarker.task or"),
    ({"a.task": ["selfie.tflite"]}, "a.task: this .task file is for neither body, hands nor face"),
])
def test_other_files_are_refused(tmp_path: Path, names: dict[str, list[str]], message: str) -> None:
    files = [task_file(tmp_path / name, models) for name, models in names.items()] or [tmp_path / "missing.task"]
    for call in (lambda: kinds_of(files), lambda: load_refined_holistic([IMAGE], refiner=unchanged, task=files)):
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.task").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ValueError, match=r"x\.task: not a \.task file"):
        TaskHolistic(tmp_path / "x.task")


@pytest.mark.parametrize("settings", [{"kinect": np.zeros(3)}, {"pose_workers": 2}, {"pose_workers": 0}])
def test_tasks_refuse_what_they_cannot_do(tmp_path: Path, settings: dict[str, Any]) -> None:
    file = task_file(tmp_path / "a.task", BODY_MODELS)
    with pytest.raises(ValueError, match="leave kinect and pose_workers out"):
        load_refined_holistic([IMAGE], refiner=unchanged, task=file, **settings)
    with pytest.raises(ValueError, match="second_hands with task= needs hand_landmarker.task"):
        load_refined_holistic([IMAGE], refiner=unchanged, task=file, second_hands=True)


def lost(pose: Pose, *hands: str) -> Pose:
    for hand in hands:
        pose = lose(pose, slice(None), part(pose, hand))
    return pose


class Looked:
    """What a second look makes of frames in which the first detector saw `first`, and the second `second`."""

    def __init__(self, first: list[Any], second: list[Any]):
        self.hands = FakeHolistic(second)
        self.made = 0
        self.look = SecondLook(FakeHolistic(first), self._make)
        self.results = [self.look.process(IMAGE) for _ in first]

    def _make(self) -> FakeHolistic:
        self.made += 1
        return self.hands

    @property
    def pose(self) -> Pose:
        return pose_from_results(self.results, 25, 640, 480)


def assert_same(a: Pose, b: Pose) -> None:
    np.testing.assert_allclose(np.ma.getdata(a.body.data), np.ma.getdata(b.body.data), rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(a.body.confidence, b.body.confidence)


@pytest.mark.parametrize("gone", [(LEFT_HAND,), (RIGHT_HAND,), (LEFT_HAND, RIGHT_HAND)])
@pytest.mark.parametrize("second", [
    lambda pose: [hands for _, hands, _ in separate_tasks(pose)],
    lambda pose: [hands for _, hands, _ in separate_legacy(pose, ("", ""))],
])
def test_a_second_detector_finds_lost_hands(gone: tuple[str, ...], second: Any) -> None:
    pose = constructed_pose(4)
    looked = Looked(list(legacy(lost(pose, *gone))), second(pose))
    assert_same(looked.pose, pose)
    assert looked.made == 1


def test_the_second_detector_is_not_made_where_nothing_is_lost() -> None:
    pose = constructed_pose(3)
    looked = Looked(list(legacy(pose)), [])
    assert looked.made == 0
    assert_same(looked.pose, pose)


def test_the_other_hand_found_again_is_not_taken() -> None:
    pose = constructed_pose(1)
    both = Pose(pose.header, pose.body.copy())  # the hands are held together: the wrist is near, too
    wrists = [part(pose, BODY).start + i for i in (15, 16)]
    both.body.data[:, :, wrists[1]] = both.body.data[:, :, wrists[0]] + 5
    seen = lost(both, RIGHT_HAND)
    again = [hands for _, hands, _ in separate_tasks(seen)]
    assert_same(Looked(list(legacy(seen)), again).pose, seen)


def test_a_hand_far_from_the_wrist_is_somebody_elses() -> None:
    pose = constructed_pose(1)  # shoulders are 150 pixels apart
    other = Pose(pose.header, pose.body.copy())
    other.body.data[..., part(pose, RIGHT_HAND), 1] += 61 + 150 * .2  # .4 shoulder widths and the wrists' own distance
    seen = lost(pose, RIGHT_HAND)
    hands = [hands for _, hands, _ in separate_tasks(lost(other, LEFT_HAND))]
    assert_same(Looked(list(legacy(seen)), hands).pose, seen)


def test_a_hand_that_is_out_of_the_image_is_not_looked_for() -> None:
    pose = constructed_pose(1)
    body = part(pose, BODY).start
    moved = Pose(pose.header, pose.body.copy())
    moved.body.data[:, :, body + 16, 1] = 480 * 1.2
    assert Looked(list(legacy(lost(moved, RIGHT_HAND))), []).made == 0


def test_without_a_body_there_is_no_second_look() -> None:
    pose = lose(constructed_pose(2), slice(0, 2), slice(0, 576))
    assert Looked(list(legacy(pose)), []).made == 0


def test_a_second_look_closes_both_detectors() -> None:
    pose = constructed_pose(1)
    looked = Looked(list(legacy(lost(pose, LEFT_HAND))), [SimpleNamespace(hand_landmarks=[], handedness=[])])
    looked.look.reset()
    looked.look.close()
    detector: Any = looked.look.detector
    assert (detector.resets, detector.closed, looked.hands.closed) == (1, 1, 1)


def test_results_of_the_holistic_task_can_be_refined_live() -> None:
    """The fields of a task's result, which cannot be made here without its file."""
    pose = constructed_pose(12)
    with RefinedHolistic(holistic=FakeHolistic(list(holistic_task(pose))), refiner=unchanged, latency=2) as holistic:
        refined = [holistic.process(IMAGE) for _ in range(12)]
    assert_same(pose_from_results(refined[2:], 25, 640, 480), Pose(pose.header, pose.body[:10]))
