from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from pose_format import Pose

from pose_diffusion.commands.lift_pose import main
from pose_diffusion.files import read_pose, write_pose
from pose_diffusion.layout import JOINTS, WORLD
from pose_diffusion.transforms import get_transform
from tests.poses import constructed_pose
from tests.tasks.lifting import body_model


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A pose of five frames."""
    write_pose(constructed_pose(5), tmp_path / "a.pose")
    return tmp_path / "a.pose"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an untrained model of bodies, which the environment names."""
    body_model().save(tmp_path / "model")
    monkeypatch.setenv("POSE_DIFFUSION_BODY_MODEL", str(tmp_path / "model"))
    return tmp_path / "model"


@pytest.mark.usefixtures("model")
def test_a_pose_arrays_and_a_picture(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pose"
    code = main(["-i", str(source), "-o", str(out), "--npz", str(tmp_path / "all.npz"), "--hypotheses", "3",
                 "--steps", "2", "--camera", "60deg", "--preview", str(tmp_path / "all.gif")])
    assert code == 0
    lifted = read_pose(out)
    assert {WORLD, JOINTS} <= {component.name for component in lifted.header.components}
    with np.load(tmp_path / "all.npz") as data:
        assert data["xyz"].shape == (3, 5, 17, 3)
    with Image.open(tmp_path / "all.gif") as picture:
        assert len(list(ImageSequence.Iterator(picture))) == 5
        assert np.asarray(picture.convert("L")).min() < 100  # something is drawn


@pytest.mark.usefixtures("model")
def test_the_same_seed_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for name, seed in (("one", "3"), ("two", "3"), ("three", "4")):
        assert main(["-i", str(source), "-o", str(tmp_path / f"{name}.pose"), "--steps", "2", "--seed", seed]) == 0
    one, two, three = ((tmp_path / f"{name}.pose").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_what_is_wrong_is_said_in_one_line(source: Path, tmp_path: Path, model: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.pose")
    for args, says in ((["-i", "nothing.pose", "-o", out], "nothing.pose"),
                       (["-i", str(source), "-o", out, "--person", "4"], "no person 4"),
                       (["-i", str(source), "-o", out, "--camera", str(tmp_path / "no.json")], "no.json"),
                       (["-i", str(source), "-o", out, "--model", str(tmp_path)], str(tmp_path))):
        assert main(args) == 1
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
    assert model.is_dir()
    assert not Path(out).exists()


def test_a_transform(model: Path) -> None:
    pose = constructed_pose(4)
    transform = get_transform("lift", camera="800", steps=1, model=model)
    lifted = transform(pose)
    assert isinstance(lifted, Pose)
    assert lifted.body.data.shape[:2] == (4, 1)
    assert "camera:800" in transform.get_signature()
