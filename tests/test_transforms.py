from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pose_format import Pose

import pose_diffusion
from pose_diffusion import transforms
from pose_diffusion.layout import RIGHT_HAND
from pose_diffusion.transforms import (
    Compose,
    CorrectCapture,
    FillMissing,
    Generate,
    Refine,
    Regenerate,
    TransformError,
    available_transforms,
    get_transform,
    register,
)
from tests.models import TINY_WITH_TEXT, random_model
from tests.poses import assert_same_bits, constructed_pose, lose, part


@pytest.fixture
def pose() -> Pose:
    """A person whose right hand is lost for a while."""
    whole = constructed_pose(24)
    return lose(whole, slice(8, 16), part(whole, RIGHT_HAND))


class Shift:
    """A transform of somebody else: the least that has the shape of one."""

    name = "shift"

    def __init__(self, pixels: float = 1.0):
        self.pixels = pixels

    def __call__(self, pose_or_poses: Any) -> Any:
        return self.process_poses(pose_or_poses)

    def process_pose(self, pose: Pose) -> Pose:
        moved = copy.deepcopy(pose)
        moved.body.data = moved.body.data + self.pixels
        return moved

    def process_poses(self, poses: Any, progress: bool = False) -> list[Pose]:
        return [self.process_pose(pose) for pose in poses]

    def get_signature(self) -> str:
        return f"shift|pixels:{self.pixels}"


def test_refine_does_what_the_function_does(pose: Pose) -> None:
    given = copy.deepcopy(pose)
    expected = pose_diffusion.refine(pose, strength=0.5, keep=["FACE_LANDMARKS"], seed=3)
    assert_same_bits(Refine(strength=0.5, keep=("FACE_LANDMARKS",), seed=3).process_pose(pose), expected)
    assert_same_bits(pose, given)


def test_fill_missing_does_what_the_function_does(pose: Pose) -> None:
    filled = FillMissing().process_pose(pose)
    assert_same_bits(filled, pose_diffusion.fill_missing(pose))
    hand = filled.body.confidence[8:16, 0, part(pose, RIGHT_HAND)]
    assert ((hand > 0) & (hand < 1)).all()


def test_correct_capture_does_what_the_function_does(pose: Pose) -> None:
    pose.body.data[5, 0, part(pose, RIGHT_HAND)] += 80
    given = copy.deepcopy(pose)
    for settings in ({}, {"outliers": False}, {"wrists": False, "plausibility": False}):
        expected = pose_diffusion.correct_capture(pose, **settings)
        assert_same_bits(CorrectCapture(**settings).process_pose(pose), expected)
    assert CorrectCapture().process_pose(pose).body.confidence[5, 0, part(pose, RIGHT_HAND)].max() == 0
    assert_same_bits(pose, given)


def test_generate_begins_with_the_pose_at_its_rate() -> None:
    model = random_model(TINY_WITH_TEXT)
    poses = [constructed_pose(3), constructed_pose(2, fps=30.0, seed=1)]
    results = Generate(text="hello", seconds=.5, steps=2, seed=3, model=model).process_poses(poses)
    assert [(len(p.body.data), p.body.fps) for p in results] == [(12, 25), (15, 30)]
    for pose, result in zip(poses, results):
        alone = pose_diffusion.generate("hello", first_pose=pose, seconds=.5, fps=pose.body.fps, steps=2, seed=3,
                                        model=model)
        assert np.allclose(np.ma.getdata(result.body.data), np.ma.getdata(alone.body.data), atol=1e-2)
        assert np.ma.getdata(result.body.data)[0].tobytes() == np.ma.getdata(pose.body.data)[0].tobytes()


def test_regenerate_does_what_the_function_does(pose: Pose) -> None:
    model = random_model(TINY_WITH_TEXT)
    for options in ({"frames": (2, 9), "text": "hello"}, {"points": (RIGHT_HAND,), "seed": 3}):
        transform: Any = Regenerate(**options, steps=2, model=model)
        assert_same_bits(transform.process_pose(pose), pose_diffusion.regenerate(pose, **options, steps=2, model=model))


def test_calling_takes_one_pose_or_several(pose: Pose) -> None:
    single = FillMissing()(pose)
    several = FillMissing()(iter([pose, pose]))
    assert isinstance(single, Pose)
    assert [type(p) for p in several] == [Pose, Pose]


def test_several_poses_come_out_as_each_alone(pose: Pose) -> None:
    short = constructed_pose(5, seed=1)
    together = Refine().process_poses([pose, short])
    for one, alone in zip(together, (pose, short)):
        expected = Refine().process_pose(alone)
        # pixels: where the processor rounds to bfloat16 a batch is a little different
        assert np.allclose(np.ma.getdata(one.body.data), np.ma.getdata(expected.body.data), atol=.5)
        assert np.allclose(one.body.confidence, expected.body.confidence, atol=1e-2)


def test_compose_goes_in_order_and_takes_foreign_transforms(pose: Pose) -> None:
    both = Compose([Shift(10.0), FillMissing()])  # type: ignore[arg-type]  # a list is what people write
    expected = FillMissing().process_pose(Shift(10.0).process_pose(pose))
    assert_same_bits(both.process_pose(pose), expected)
    assert_same_bits(both([pose])[0], expected)
    assert_same_bits(Compose(()).process_pose(pose), pose)


def test_the_signature_tells_settings_apart_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSE_DIFFUSION_MODEL", raising=False)
    assert Refine().get_signature() == ("refine|strength:1.0|only_masked:no|keep:none|steps:1|guidance:1.0|seed:0|"
                                        f"model:shipped|v:{pose_diffusion.__version__}")
    different = [Refine(), Refine(strength=0.5), Refine(only_masked=True), Refine(keep=(("POSE_LANDMARKS", "NOSE"),)),
                 Refine(steps=2), Refine(guidance=2.0), Refine(seed=1), Refine(model="models/other"), FillMissing(),
                 Compose((Refine(),)), Compose((Refine(), FillMissing())), CorrectCapture(),
                 CorrectCapture(hand_swap=False), CorrectCapture(wrists=False), Generate(text="hello"),
                 Generate(text="a|language:ase"), Generate(text="a", language="ase"), Generate(text="a", seconds=2.0),
                 Regenerate(points=(RIGHT_HAND,)), Regenerate(frames=(1, 2)), Regenerate(frames=(1, 2), text="a")]
    assert len({transform.get_signature() for transform in different}) == len(different)
    assert Refine(device="cuda").get_signature() == Refine().get_signature()
    monkeypatch.setenv("POSE_DIFFUSION_MODEL", "models/other")
    assert Refine().get_signature() == Refine(model="models/other").get_signature()


def test_a_signature_works_where_pose_evaluation_formats_one() -> None:
    signature = Compose((Refine(), FillMissing(), Generate(text="{a} {0}"))).get_signature()
    assert signature.format(short=True) == signature  # it calls get_signature().format(short=...)


def test_settings_cannot_change_after_the_signature_is_taken() -> None:
    transform: Any = Refine()
    with pytest.raises(AttributeError):
        transform.strength = 0.2


@pytest.fixture
def registered() -> Iterator[None]:
    """Takes back what a test registers."""
    before = dict(transforms._factories)
    yield
    transforms._factories.clear()
    transforms._factories.update(before)


@pytest.mark.usefixtures("registered")
def test_a_registered_transform_is_listed_and_made_with_settings() -> None:
    register("shift", Shift)
    register("shift", Shift)  # again, as when a module is reloaded
    info = next(info for info in available_transforms() if info.name == "shift")
    assert (info.origin, info.error) == (__name__, "")
    assert info.summary.startswith("A transform of somebody else")
    assert get_transform("shift", pixels=3.0).pixels == 3.0


@pytest.mark.usefixtures("registered")
def test_a_name_cannot_be_taken_twice() -> None:
    with pytest.raises(TransformError, match=r"'refine' is taken by pose_diffusion\.transforms"):
        register("refine", Shift)
    assert get_transform("refine", steps=2) == Refine(steps=2)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(TransformError, match=r"unknown transform 'refin'; known are corr.*, fill_missing, .*, refine"):
        get_transform("refin")


@pytest.fixture
def other_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with a good transform, broken ones, and one whose name is taken."""
    info = tmp_path / "strangers-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[pose_format.transforms]\nblur = strangers_good:Blur\n"
                                           "crash = strangers_broken:Crash\nabsent = strangers_good:Absent\n"
                                           "number = strangers_good:NUMBER\nrefine = strangers_good:Blur\n")
    (tmp_path / "strangers_good.py").write_text('class Blur:\n    """Blur it."""\n    name = "blur"\nNUMBER = 3\n')
    (tmp_path / "strangers_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("other_packages")
def test_transforms_of_other_packages_are_found() -> None:
    assert type(get_transform("blur")).__name__ == "Blur"
    info = next(info for info in available_transforms() if info.name == "blur")
    assert (info.origin, info.summary, info.error) == ("strangers 2.0", "Blur it.", "")


@pytest.mark.usefixtures("other_packages")
def test_broken_ones_are_listed_with_the_reason_and_break_nothing() -> None:
    errors = {info.name: info.error for info in available_transforms() if info.origin == "strangers 2.0"}
    assert "ZeroDivisionError" in errors["crash"]
    assert "Absent" in errors["absent"]
    assert "cannot be called" in errors["number"]
    assert errors["refine"] == "the name is taken by pose_diffusion.transforms"
    assert [info.error for info in available_transforms() if info.origin == "pose_diffusion.transforms"] == [""] * 6
    assert isinstance(get_transform("refine"), Refine)
    with pytest.raises(TransformError, match="ZeroDivisionError"):
        get_transform("crash")


def test_torch_is_not_imported_before_it_is_needed() -> None:
    code = ("import sys, pose_diffusion, pose_diffusion.transforms as t\n"
            "t.get_transform('refine'); t.get_transform('correct_capture'); t.available_transforms()\n"
            "dir(pose_diffusion)\n"
            "print('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_every_public_name_is_there() -> None:
    assert all(callable(getattr(pose_diffusion, name)) for name in pose_diffusion.__all__)
    assert set(pose_diffusion.__all__) <= set(dir(pose_diffusion))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pose_diffusion.nothing  # noqa: B018
