from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_diffusion.commands.demo import damaged, main
from pose_diffusion.files import read_pose, write_pose
from pose_diffusion.layout import LEFT_HAND, RIGHT_HAND
from tests.poses import assert_same_bits, constructed_pose, part

OUTPUTS = ("before.pose", "refined.pose", "before_after.gif")


def test_the_demo_runs_on_the_lexicon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-o", str(tmp_path / "demo")]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "demo" / name) for name in OUTPUTS]
    before, refined = (read_pose(tmp_path / "demo" / name) for name in OUTPUTS[:2])
    hand = part(before, RIGHT_HAND)
    lost = (before.body.confidence[:, 0, hand] == 0).all(1)
    assert lost.sum() >= 12
    assert (refined.body.confidence[:, 0, hand] > 0).all()
    assert (tmp_path / "demo" / OUTPUTS[2]).stat().st_size < 3_000_000


def test_the_demo_takes_a_file_as_it_is(tmp_path: Path) -> None:
    pose = constructed_pose(8)
    write_pose(pose, tmp_path / "own.pose")
    assert main([str(tmp_path / "own.pose"), "-o", str(tmp_path / "demo")]) == 0
    assert_same_bits(read_pose(tmp_path / "demo" / "before.pose"), read_pose(tmp_path / "own.pose"))


def test_the_damage_is_always_the_same_and_leaves_the_pose_alone() -> None:
    pose = constructed_pose(50)
    data = pose.body.data.data.copy()
    one, two = damaged(pose), damaged(pose)
    assert_same_bits(one, two)
    assert np.array_equal(pose.body.data.data, data)
    lost = (one.body.confidence[:, 0, part(pose, RIGHT_HAND)] == 0).all(1)
    assert lost.sum() == 12
    assert lost[19:31].all()
    shaken = (one.body.data - pose.body.data)[:, 0, part(pose, LEFT_HAND), :2]
    assert shaken.std() == pytest.approx(1.5, rel=0.1)  # the shoulders are 150 pixels apart


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.pose"), "-o", str(tmp_path / "demo")]) == 1
    assert capsys.readouterr().err.startswith(f"demo: error: {tmp_path / 'none.pose'}: ")
    assert not (tmp_path / "demo").exists()
