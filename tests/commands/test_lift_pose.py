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
        assert len(list(ImageSequence.Iterator(picture))) == 75  # one turn of the table, over and over again
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


@pytest.mark.usefixtures("model")
def test_a_broken_camera_file_is_to_blame_not_the_pose(source: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    camera = tmp_path / "cam.json"
    camera.write_text("{}")
    assert main(["-i", str(source), "-o", str(tmp_path / "out.pose"), "--camera", str(camera)]) == 1
    assert capsys.readouterr().err.startswith(f"lift_pose: error: {camera}: K is missing")
    assert main(["-i", str(source), "-o", str(tmp_path / "out.pose"), "--camera", "60"]) == 1
    error = capsys.readouterr().err
    assert "write 60deg" in error
    assert error.count("\n") == 1


def test_targets_are_checked_before_the_work(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pose_diffusion.tasks.lift.lift", lambda *_, **__: pytest.fail("it has begun"))
    out, nowhere = str(tmp_path / "out.pose"), str(tmp_path / "nowhere" / "x")
    for args, says in ((["-o", f"{nowhere}.pose"], "its folder does not exist"),
                       (["-o", out, "--npz", f"{nowhere}.npz"], "its folder does not exist"),
                       (["-o", out, "--preview", f"{nowhere}.gif"], "its folder does not exist"),
                       (["-o", str(source)], "another file of this command"),
                       (["-o", str(tmp_path / "a.npz"), "--npz", str(tmp_path / "a.npz")], "another file")):
        assert main(["-i", str(source), *args]) == 1
        assert says in capsys.readouterr().err
    assert not Path(out).exists()


@pytest.mark.usefixtures("model")
def test_of_several_people_it_says_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pose(constructed_pose(3, people=2), tmp_path / "two.pose")
    out = tmp_path / "out.pose"
    assert main(["-i", str(tmp_path / "two.pose"), "-o", str(out), "--steps", "1", "--person", "1"]) == 0
    assert "2 people: person 1 was lifted" in capsys.readouterr().err
    assert read_pose(out).body.data.shape[1] == 1


@pytest.mark.usefixtures("model")
def test_one_step_has_one_answer_and_says_so(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.npz"
    args = ["-i", str(source), "-o", str(out), "--steps", "1", "--camera", "60deg"]
    assert main([*args, "--hypotheses", "3"]) == 0
    assert "all hypotheses are their mean" in capsys.readouterr().err
    with np.load(out) as data:
        assert np.ptp(data["xyz"], axis=0).max() < 1e-3
    assert main(args) == 0
    assert not capsys.readouterr().err


@pytest.mark.usefixtures("model")
def test_what_is_no_pose_in_pixels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pose = constructed_pose(3)
    pose.body.data[..., :2] /= [640, 480]
    write_pose(pose, tmp_path / "units.pose")
    assert main(["-i", str(tmp_path / "units.pose"), "-o", str(tmp_path / "out.pose")]) == 1
    assert "give a pose in pixels" in capsys.readouterr().err


@pytest.mark.usefixtures("model")
def test_a_lifted_file_can_be_lifted_again(source: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once.pose", tmp_path / "twice.pose"
    for before, after in ((source, once), (once, twice)):
        assert main(["-i", str(before), "-o", str(after), "--steps", "1"]) == 0
    assert read_pose(once).body.data.shape == read_pose(twice).body.data.shape


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.usefixtures("model")
def test_real_signers(real_pose: Pose, reduced_pose: Pose, tmp_path: Path, *, reduced: bool) -> None:
    pose = reduced_pose if reduced else real_pose
    write_pose(pose, tmp_path / "sign.pose")
    out = tmp_path / "out.pose"
    assert main(["-i", str(tmp_path / "sign.pose"), "-o", str(out), "--steps", "1"]) == 0
    lifted = read_pose(out)
    names = {component.name for component in lifted.header.components}
    assert {"POSE_LANDMARKS", "FACE_LANDMARKS", "RIGHT_HAND_LANDMARKS", WORLD, JOINTS} <= names
    assert len(lifted.body.data) == len(pose.body.data)


def test_the_signature_names_the_model_of_bodies(model: Path) -> None:
    assert f"model:{model.name}" in get_transform("lift").get_signature()


def test_a_transform(model: Path) -> None:
    pose = constructed_pose(4)
    transform = get_transform("lift", camera="800", steps=1, model=model)
    lifted = transform(pose)
    assert isinstance(lifted, Pose)
    assert lifted.body.data.shape[:2] == (4, 1)
    assert "camera:800" in transform.get_signature()


@pytest.mark.parametrize("where", ["tasks.camera_spec.CameraSpec.parse", "tasks.lift.lift"])
@pytest.mark.usefixtures("model")
def test_an_interrupt_ends_it_quietly(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                      monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"pose_diffusion.{where}", interrupted)
    assert main(["-i", str(source), "-o", str(tmp_path / "out.pose"), "--camera", "60deg"]) == 130
    assert capsys.readouterr().err == "lift_pose: interrupted\n"
    assert not (tmp_path / "out.pose").exists()
