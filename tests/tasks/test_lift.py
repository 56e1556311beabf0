"""Lifting from views and poses: shapes, seeds, long clips, frame rates, what is refused."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pose_format import Pose

from pose_diffusion.cameras import project, to_camera
from pose_diffusion.files import PoseFileError
from pose_diffusion.layout import BODY as MEDIAPIPE
from pose_diffusion.layout import JOINTS, WORLD
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.tasks import lift_walk
from pose_diffusion.tasks.camera_spec import CameraSpec
from pose_diffusion.tasks.detections import joints_of, view_of
from pose_diffusion.tasks.lift import (
    OF_MODES,
    Mode,
    checked,
    lift,
    lift_points,
    lift_points_steps,
    lift_steps,
    lifted_pose,
    sample,
)
from pose_diffusion.tasks.lift_walk import Rate, worked_at
from pose_diffusion.tasks.lifted import save_lifted
from pose_diffusion.tasks.views import Heatmaps, View, batched
from tests.poses import constructed_pose, part
from tests.tasks.lifting import body_model, camera, own_frame, walker


def walking(frames: int = 24, std: float = 3.) -> View:
    return View(project(camera(), walker(frames))[0], torch.ones(frames, 17), std, own_frame(camera()))


def misses(xyz: np.ndarray, view: View) -> float:
    """Pixels between bodies in the camera's frame and what was seen, on average."""
    pixels = project(own_frame(camera()), torch.from_numpy(xyz))
    return float((pixels - view.points).norm(dim=-1).mean())


@pytest.mark.parametrize("frames", [1, 24])
def test_an_energy_makes_hypotheses_agree_with_what_was_seen(frames: int) -> None:
    view = walking(frames)
    free = lift_points([view], fps=25, hypotheses=4, mode="conditioned", model=body_model())
    for mode in ("energy", "both"):
        guided = lift_points([view], fps=25, hypotheses=4, mode=mode, energy_scale=1., energy_steps=12,
                             model=body_model())
        assert guided.xyz.shape == (4, frames, 17, 3)
        assert misses(guided.xyz, view) < 8 < misses(free.xyz, view)
        assert guided.xyz.std(0)[:, 1:].mean() > .002  # and yet they differ
    np.testing.assert_array_equal(guided.xyz[:, :, 0], guided.root)
    assert guided.error.shape == (frames, 17)


def test_each_mode_has_its_own_settings_where_none_are_given() -> None:
    for mode, (scale, inner) in OF_MODES.items():
        usual = checked(2, mode, 8, None, None, 1., 0)
        assert (usual.energy_scale, usual.energy_steps) == (scale, inner)
        given = checked(2, mode, 8, .7, 3, 1., 0)
        assert (given.energy_scale, given.energy_steps) == (.7, 3)
    assert OF_MODES["both"][0] < OF_MODES["energy"][0] == 1  # a picture that is counted twice


def test_a_hypothesis_depends_on_its_seed_only() -> None:
    view = walking(4)
    four = lift_points([view], fps=25, hypotheses=4, seed=5, model=body_model())
    two = lift_points([view], fps=25, hypotheses=2, seed=7, model=body_model())
    np.testing.assert_allclose(four.xyz[2:], two.xyz, atol=2e-3)
    assert np.abs(four.xyz[0] - four.xyz[1]).max() > .01


@pytest.mark.parametrize("known", [True, False])
def test_hypotheses_of_a_long_clip_do_not_depend_on_how_many_there_are(known: bool,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pose_diffusion.tasks.lift.BUDGET", 100)  # two hypotheses at a time
    view = walking(48)
    view = view if known else replace(view, camera=None, size=(1280, 720))
    some, one = (lift_points([view], fps=25, hypotheses=number, steps=2, model=body_model()) for number in (5, 1))
    assert some.xyz.shape == (5, 48, 17, 3)
    assert some.root.shape == (5, 48, 3)
    assert some.error.shape == (48, 17)
    assert len(some.camera.focal) == len(some.camera.size) == (1 if known else 5)
    np.testing.assert_allclose(some.xyz[0], one.xyz[0], atol=2e-3)
    last = lift_points([view], fps=25, seed=4, steps=2, model=body_model())
    np.testing.assert_allclose(some.xyz[4], last.xyz[0], atol=2e-3)


@pytest.mark.parametrize("mode", ["both", "energy", "conditioned"])
def test_an_energy_that_tells_nothing_changes_nothing(mode: Mode) -> None:
    view = walking(4)
    free, told = (lift_points([view], fps=25, hypotheses=2, steps=3, mode=mode, energy_fn=energy, model=body_model())
                  for energy in (None, lambda points: torch.zeros(len(points))))
    np.testing.assert_allclose(free.xyz, told.xyz, atol=1e-5)


@pytest.mark.parametrize("mode", ["both", "conditioned"])
@pytest.mark.parametrize(("energy", "given"), [(lambda points: None, "NoneType"), (lambda points: 0., "float"),
                                               (lambda points: points.sum(), r"\(\)"),
                                               (lambda points: points.sum((2, 3)), r"\(2, 4\)")])
def test_an_energy_that_is_none_is_one_line(energy: Any, given: str, mode: Mode) -> None:
    reason = f"an energy must give 2 values, one a sample, not {given}"
    with pytest.raises(ValueError, match=reason):
        lift_points([walking(4)], fps=25, hypotheses=2, mode=mode, energy_fn=energy, model=body_model())
    with pytest.raises(ValueError, match=reason):
        list(sample(2, 4, energy, model=body_model()))


@pytest.mark.parametrize(("changed", "reason"), [
    ({"spread": -1.}, "the std of a seen point must be a number of pixels above 0"),
    ({"spread": float("nan")}, "the std of a seen point must be a number of pixels above 0"),
    ({"spread": torch.ones(5)}, r"a spread of shape \(5,\) does not fit points \(4, 17\)"),
    ({"confidence": torch.full((4, 17), torch.inf)}, "a confidence is infinite"),
    ({"heatmaps": Heatmaps(torch.ones(3, 17, 8, 8), torch.zeros(2), 8.)}, r"heatmaps \(3, 17, 8, 8\) do not fit"),
])
@pytest.mark.parametrize("mode", ["both", "conditioned"])
def test_what_does_not_fit_the_points_is_one_line(changed: dict[str, Any], reason: str, mode: Mode) -> None:
    with pytest.raises(ValueError, match=reason):
        lift_points([replace(walking(4), **changed)], fps=25, mode=mode, model=body_model())


def test_a_spread_has_any_shape_that_fits() -> None:
    view = walking(4)
    plain = lift_points([view], fps=25, model=body_model())
    for shape in ((), (17,), (4, 17), (4, 1), (1, 4, 17)):
        other = lift_points([replace(view, spread=torch.full(shape, 3.))], fps=25, model=body_model())
        np.testing.assert_allclose(plain.xyz, other.xyz, atol=1e-4)


def test_a_vertical_or_a_frame_rate_that_is_none_is_one_line() -> None:
    for up in (torch.ones(2), torch.zeros(3)):
        with pytest.raises(ValueError, match="up must be a direction of three numbers"):
            lift_points([walking(4)], fps=25, up=up, model=body_model())
    for fps in (0., float("nan")):
        with pytest.raises(ValueError, match="a frame rate must be a number above 0"):
            list(sample(1, 4, fps=fps, model=body_model()))


def test_the_last_of_the_steps_is_the_result() -> None:
    view = walking(8)
    steps = list(lift_points_steps([view], fps=25, hypotheses=2, steps=3, model=body_model()))
    assert len(steps) == 3
    np.testing.assert_array_equal(steps[-1].xyz, lift_points([view], fps=25, hypotheses=2, steps=3,
                                                             model=body_model()).xyz)


def test_long_clips_are_lifted_in_parts_that_fade_into_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    view = walking(70)
    monkeypatch.setattr("pose_diffusion.tasks.lift.PART", 40)
    whole = lift_points([view], fps=25, hypotheses=2, steps=2, model=body_model())
    assert whole.xyz.shape == (2, 70, 17, 3)
    assert whole.error.shape == (70, 17)
    assert np.isfinite(whole.xyz).all()
    assert misses(whole.xyz, view) < 30
    before, after = torch.zeros(1, 40, 17, 3), torch.ones(1, 40, 17, 3)
    joined = lift_walk._joined(before, after, 40 - lift_walk.OVERLAP)[0, :, 0, 0]
    assert len(joined) == 80 - lift_walk.OVERLAP
    assert (joined.diff() >= 0).all()
    assert joined.diff().max() < 2 / lift_walk.OVERLAP


def test_a_part_goes_on_from_the_one_before() -> None:
    view = walking(24)
    settings = checked(1, "both", 4, 1., 12, 1., 0)
    truth = to_camera(camera(), walker())
    before = (truth - truth[:, :, :1])[:, :8]
    observation = lift_walk._observation(lift_walk._flat(batched(view), 25), 25, settings, before)
    assert observation.axes is not None
    assert observation.axes[:, :8].all()
    assert not observation.axes[:, 8:, :, 2].any()
    flat = lift_walk._flat(batched(view), 25)
    walk = lift_walk._steps([batched(view)], flat, 25, settings, body_model(), before, 0)
    points, _ = list(walk)[-1]
    assert (points[:, :8] - before).norm(dim=-1).mean() < .03
    assert (points - (truth - truth[:, :, :1]))[:, 8:].norm(dim=-1).mean() > .05


@pytest.mark.parametrize(("fps", "rate"), [(25, Rate()), (30, Rate()), (50, Rate(every=2)), (60, Rate(every=2)),
                                           (120, Rate(every=4)), (8, Rate(between=3)), (12.5, Rate())])
def test_every_frame_rate_becomes_one_the_network_knows(fps: float, rate: Rate) -> None:
    assert worked_at(fps) == rate
    assert 12 <= fps * rate.between / rate.every <= 30.5


@pytest.mark.parametrize("fps", [5., 100.])
def test_other_frame_rates_keep_their_frames(fps: float) -> None:
    view = walking(9)
    lifted = lift_points([view], fps=fps, model=body_model())
    assert lifted.xyz.shape == (1, 9, 17, 3)
    assert lifted.seconds[-1] == pytest.approx(8 / fps)
    assert np.isfinite(lifted.xyz).all()


def test_noise_does_not_shake_and_motion_stays() -> None:
    time = torch.arange(40) / 25
    wave = torch.sin(2 * torch.pi * time)[None, :, None, None] * torch.full((1, 1, 17, 3), .2)  # a hand that waves
    shaken = wave + .02 * torch.randn(wave.shape, generator=torch.Generator().manual_seed(0))

    def acceleration(points: torch.Tensor) -> torch.Tensor:
        return points.diff(n=2, dim=1).norm(dim=-1).mean()

    steady = lift_walk.steadied(shaken, 25.)
    assert (lift_walk.steadied(wave, 25.) - wave).abs().max() < .005
    assert acceleration(steady - wave) < .25 * acceleration(shaken - wave)
    assert (steady - wave).norm() < .8 * (shaken - wave).norm()
    torch.testing.assert_close(lift_walk.steadied(shaken[:, :3], 25.), shaken[:, :3])  # too few to tell


def test_bones_keep_their_length() -> None:
    lifted = lift_points([walking()], fps=25, hypotheses=3, model=body_model())
    lengths = BODY.lengths(lifted.xyz)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[:, :1], lengths.shape), rtol=1e-4)
    body = walker()[0] - walker()[0][:, :1]
    torch.testing.assert_close(lift_walk.with_one_length(body[None])[0], body)  # a body that has one length stays


def test_arrays_and_other_precisions_are_taken() -> None:
    view = walking(2)
    expected = lift_points([view], fps=25, steps=1, model=body_model()).xyz
    double = View(view.points.double(), view.confidence.numpy().astype(float), 3., view.camera)  # type: ignore[arg-type]
    np.testing.assert_array_equal(lift_points([double], fps=25, steps=1, model=body_model()).xyz, expected)


def test_a_missing_model_names_the_variable_of_bodies(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="POSE_DIFFUSION_BODY_MODEL unset"):
        lift_points([walking(1)], fps=25, model=tmp_path / "none")


def test_an_energy_of_ones_own() -> None:
    head = BODY.index("head_top")
    target = torch.tensor([.3, -.5, .1])

    def energy(points: torch.Tensor) -> torch.Tensor:
        return (points[:, :, head] - target).square().sum((1, 2)) / (2 * .01**2)

    steps = list(sample(3, 6, energy, 1.0, steps=4, energy_steps=12, model=body_model()))
    assert [tuple(step.shape) for step in steps] == [(3, 6, 17, 3)] * 4
    assert (steps[-1][:, :, head] - target).norm(dim=-1).max() < .03
    free = list(sample(3, 6, steps=4, model=body_model()))[-1]
    assert (free[:, :, head] - target).norm(dim=-1).max() > .1
    assert (free[:, :, 0] == 0).all()


@pytest.mark.parametrize(("wrong", "says"), [
    ({"mode": "nothing"}, "mode"), ({"hypotheses": 0}, "hypotheses"), ({"steps": 0}, "steps"),
    ({"energy_scale": -1.}, "energy_scale"), ({"temperature": 2.}, "temperature"), ({"seed": -1}, "seed"),
    ({"fps": 0.}, "frame rate"),
])
def test_wrong_arguments_are_named(wrong: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        lift_points([walking(2)], **{"fps": 25., "model": body_model(), **wrong})


def test_wrong_views_are_refused() -> None:
    view = walking(4)
    for views, says in (([], "no view"), ([view, view.of(slice(2))], "frames"),
                        ([View(view.points[:, :5], view.confidence)], "must have points"),
                        ([View(view.points, view.confidence)], "camera is not known"),
                        ([View(view.points * torch.nan, view.confidence, 3., view.camera)], "not finite")):
        with pytest.raises(ValueError, match=says):
            lift_points(views, fps=25, model=body_model())


def test_a_pose_becomes_world_landmarks() -> None:
    pose = constructed_pose(12)
    lifted = lift(pose, hypotheses=2, model=body_model())
    assert lifted.camera.focal.shape == (2, 2)  # estimated with each sample
    after = lifted_pose(pose, lifted, hypothesis=1)
    world = after.body.data[:, 0, part(after, WORLD)]
    names = next(c.points for c in after.header.components if c.name == WORLD)
    body = lifted.xyz[1] - lifted.root[1][:, None]
    for joint in ("left_wrist", "right_hip"):
        np.testing.assert_allclose(world[:, names.index(joint.upper())], body[:, BODY.index(joint)], atol=1e-6)
    np.testing.assert_allclose(after.body.data[:, 0, part(after, JOINTS)], lifted.xyz[1], atol=1e-5)
    shown = np.ma.getdata(after.body.data)[:, 0, part(after, MEDIAPIPE)]
    seen = np.ma.getdata(pose.body.data)[:, 0, part(pose, MEDIAPIPE)]
    arm = [names.index(name) for name in ("LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW", "RIGHT_WRIST")]
    assert np.linalg.norm((shown - seen)[:, arm, :2], axis=-1).mean() < 25
    assert len(list(lift_steps(pose, steps=2, model=body_model()))) == 2


def test_a_pose_without_a_body_or_with_too_little_is_refused() -> None:
    pose = constructed_pose(3)
    with pytest.raises(ValueError, match="no person 3"):
        view_of(pose, person=3)
    pose.body.confidence[:] = 0
    with pytest.raises(ValueError, match="never seen"):
        view_of(pose)
    pose.header.components[0].name = "SOMETHING"
    with pytest.raises(ValueError, match="unknown pose schema"):
        joints_of(pose)


def test_all_hypotheses_as_arrays(tmp_path: Path) -> None:
    pose = constructed_pose(5)
    lifted = lift(pose, hypotheses=3, camera=CameraSpec(field=60), model=body_model())
    save_lifted(lifted, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as data:
        np.testing.assert_array_equal(data["xyz"], lifted.xyz)
        assert tuple(data["joints"]) == BODY.joints
        assert data["focal"].shape == (1, 2)


def test_cameras_as_users_give_them(tmp_path: Path) -> None:
    assert CameraSpec.parse("900") == CameraSpec.parse("900px") == CameraSpec(focal=900)
    wide = CameraSpec.parse("90deg").camera((640, 480))
    torch.testing.assert_close(wide.focal, torch.full((1, 2), 320.))
    file = tmp_path / "cam.json"
    file.write_text(json.dumps({"K": [[1000, 0, 640], [0, 1000, 360], [0, 0, 1]], "size": [1280, 720],
                                "distortion": [.1, -.05], "R": [[1, 0, 0], [0, -1, 0], [0, 0, -1]]}))
    spec = CameraSpec.parse(str(file))
    half = spec.camera((640, 360))
    torch.testing.assert_close(half.focal, torch.full((1, 2), 500.))
    assert half.distortion is not None
    assert half.distortion.shape == (1, 5)
    up = spec.up((640, 360))
    assert up is not None
    assert up.tolist() == [0, -1, 0]


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"K": 3}', '{"K": [[-1,0,0],[0,1,0],[0,0,1]]}',
                                     '{"K": [[1,0,0],[0,1,0],[0,0,1]], "R": [[2,0,0],[0,1,0],[0,0,1]]}',
                                     '{"K": [[1,0,0],[0,1,0],[0,0,NaN]]}', '{"K": [["a",0,0],[0,1,0],[0,0,1]]}'])
def test_broken_camera_files_are_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "cam.json"
    file.write_text(content)
    with pytest.raises(PoseFileError, match="cam.json") as error:
        CameraSpec(file=file).camera((640, 480))
    assert "\n" not in str(error.value)


def test_other_headers(openpose_pose: Pose) -> None:
    lifted = lift(openpose_pose, model=body_model())
    assert lifted.xyz.shape[1] == len(openpose_pose.body.data)
    assert np.isfinite(lifted.xyz).all()


@pytest.fixture(params=["pose_keypoints_2d", "BODY"])
def openpose_pose(request: pytest.FixtureRequest) -> Pose:
    """The walker as OpenPose, or COCO-WholeBody, would see it, without depth and with a leg lost."""
    from pose_format.numpy import NumPyPoseBody
    from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

    from pose_diffusion.motion.combinations import DETECTORS, OPENPOSE_25, TO_OPENPOSE, TO_WHOLEBODY, combine

    way = TO_OPENPOSE if request.param == "pose_keypoints_2d" else TO_WHOLEBODY
    assert DETECTORS[request.param].source == way.target
    points, confidence = combine(way, project(camera(), walker(6))[0].numpy())
    confidence = np.where(np.arange(len(way.target)) == way.target.index(
        "LKnee" if way.target == OPENPOSE_25 else "left_knee"), 0, confidence)
    header = PoseHeader(.2, PoseHeaderDimensions(1280, 720, 0),
                        [PoseHeaderComponent(request.param, list(way.target), [], [], "XYC")])
    return Pose(header, NumPyPoseBody(25., points[:, None].astype(np.float32), confidence[:, None].astype(np.float32)))
