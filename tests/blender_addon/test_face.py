"""Facial shapes: real faces whose jaw, lips, lids and brows are moved by a known amount."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_format import Pose
from scipy.spatial.transform import Rotation

from blender_addon.solver.face import face_shapes
from blender_addon.tracks import Tracks
from pose_diffusion.layout import FACE_POINTS
from tests.conftest import LEXICON

RATE = 25
NAMES = {"jawOpen", "mouthFunnel", "mouthPucker", "browInnerUp",
         *(f"{name}{side}" for name in ("mouthSmile", "mouthStretch", "eyeBlink", "browOuterUp", "browDown")
           for side in ("Left", "Right"))}
LOWER_LIP = (14, 17, 84, 181, 314, 405, 87, 178, 317, 402)
EYE = {"Right": (159, 145, 33, 133), "Left": (386, 374, 263, 362)}
BROWS = (107, 66, 105, 63, 70, 336, 296, 334, 293, 300)


def at_rest(frames: int, numbers: Iterable[str] = FACE_POINTS) -> Tracks:
    """A real face that keeps still: face width 1, x to its left, y back, z up."""
    pose = Pose.read((LEXICON / "ase").glob("*.pose").__next__().read_bytes())
    names = [f"face.{n}" for n in numbers]
    start = len(pose.header.components[0].points)
    one = np.ma.getdata(pose.body.data)[0, 0, [start + int(n[5:]) for n in names]].astype(float)
    xyz = np.stack([one[:, 0], one[:, 2] * pose.header.dimensions.width, -one[:, 1]], -1)
    xyz -= xyz.mean(0)
    xyz /= np.linalg.norm(xyz[names.index("face.234")] - xyz[names.index("face.454")])
    return Tracks(RATE, tuple(names), np.tile(xyz, (frames, 1, 1)), np.ones((frames, len(names)), bool))


def of(tracks: Tracks, *points: int) -> list[int]:
    return [tracks.joints.index(f"face.{p}") for p in points]


def moved(tracks: Tracks, points: Iterable[int], by: tuple[float, float, float], over: slice) -> Tracks:
    """Face widths."""
    xyz = tracks.xyz.copy()
    xyz[over, of(tracks, *points)] += by
    return replace(tracks, xyz=xyz)


def blinking(tracks: Tracks, side: str, over: slice, share: float = 1.0) -> Tracks:
    """The upper lid goes half way to the lower one, as far as MediaPipe's usually goes, times `share`."""
    upper, lower, *_ = of(tracks, *EYE[side])
    xyz = tracks.xyz.copy()
    xyz[over, upper] += .5 * share * (xyz[over, lower] - xyz[over, upper])
    return replace(tracks, xyz=xyz)


def turned(tracks: Tracks, rotations: Rotation, scale: float = 1.0) -> Tracks:
    return replace(tracks, xyz=scale * np.einsum("tij,tkj->tki", rotations.as_matrix(), tracks.xyz) + [.3, -2, 1.5])


def test_a_face_at_rest_does_nothing() -> None:
    shapes = face_shapes(at_rest(30))
    assert set(shapes) == NAMES
    for name, values in shapes.items():
        assert values.shape == (30,)
        assert (values == 0).all(), name


def test_jitter_of_the_detector_does_next_to_nothing() -> None:
    """A thousandth of the face's width, what MediaPipe's points shake on a real still face."""
    tracks = at_rest(100)
    noise = np.random.default_rng(0).normal(0, .001, tracks.xyz.shape)
    for name, values in face_shapes(replace(tracks, xyz=tracks.xyz + noise)).items():
        assert values.max() < .05, name


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_each_eye_blinks_for_itself(side: str) -> None:
    shapes = face_shapes(blinking(at_rest(50), side, slice(20, 26)))
    values = shapes[f"eyeBlink{side}"]
    assert values[22:24].min() > .9
    assert np.abs(np.r_[values[:17], values[29:]]).max() < .02
    assert not any(v.any() for name, v in shapes.items() if name != f"eyeBlink{side}")


def test_eyes_that_differ_a_little_blink_together() -> None:
    tracks = blinking(blinking(at_rest(50), "Left", slice(20, 26)), "Right", slice(20, 26), share=.8)
    shapes = face_shapes(tracks)
    assert shapes["eyeBlinkLeft"].max() > .5
    np.testing.assert_allclose(shapes["eyeBlinkLeft"], shapes["eyeBlinkRight"], atol=.02)


def test_a_blink_of_three_frames_is_seen() -> None:
    assert face_shapes(blinking(at_rest(50), "Left", slice(20, 23)))["eyeBlinkLeft"].max() > .6


def test_half_a_blink_is_half_on() -> None:
    tracks = at_rest(100)
    for side in ("Left", "Right"):
        tracks = blinking(blinking(tracks, side, slice(20, 26)), side, slice(60, 66), share=.5)
    assert .2 < face_shapes(tracks)["eyeBlinkLeft"][63] < .7


def test_eyes_that_are_closed_all_the_time_are_closed() -> None:
    tracks = at_rest(30)
    upper, lower, outer, inner = (tracks.xyz[0, i] for i in of(tracks, *EYE["Left"]))
    share = 1 - .1 * np.linalg.norm(outer - inner) / np.linalg.norm(upper - lower)  # lids .1 eye widths apart
    assert face_shapes(blinking(tracks, "Left", slice(0, 30), 2 * float(share)))["eyeBlinkLeft"].min() > .8


def test_the_jaw_opens_as_far_as_the_lips_part() -> None:
    values = [face_shapes(moved(at_rest(50), LOWER_LIP, (0, 0, -apart), slice(20, 35)))["jawOpen"][27]
              for apart in (.05, .1, .2, .3)]
    assert (np.diff([0, *values]) > .05).all()
    assert .1 < values[1] < .5
    assert values[3] == 1


def test_a_mouth_that_is_open_all_the_time_is_open() -> None:
    values = face_shapes(moved(at_rest(50), LOWER_LIP, (0, 0, -.15), slice(0, 50)))["jawOpen"]
    assert values.min() > .3
    assert np.ptp(values) < 1e-9


def test_a_smile_a_stretch_and_round_lips() -> None:
    tracks, over = at_rest(60), slice(20, 30)
    smile = face_shapes(moved(moved(tracks, [291], (.05, 0, .04), over), [61], (-.05, 0, .04), over))
    stretch = face_shapes(moved(moved(tracks, [291], (.05, 0, 0), over), [61], (-.05, 0, 0), over))
    pucker = face_shapes(moved(moved(tracks, [291], (-.05, 0, 0), over), [61], (.05, 0, 0), over))
    opened = moved(moved(tracks, [291], (-.05, 0, 0), over), [61], (.05, 0, 0), over)
    funnel = face_shapes(moved(opened, LOWER_LIP, (0, 0, -.12), over))
    for shapes, name, others in ((smile, "mouthSmile", "mouthStretch"), (stretch, "mouthStretch", "mouthSmile")):
        for side in ("Left", "Right"):
            assert shapes[name + side][25] > .5, name
            assert shapes[others + side][25] < .05, name
    assert pucker["mouthPucker"][25] > .5
    assert pucker["mouthFunnel"][25] < .05
    assert funnel["mouthFunnel"][25] > .5
    assert funnel["mouthPucker"][25] < .05


def test_half_a_smile_is_on_its_side() -> None:
    shapes = face_shapes(moved(at_rest(60), [291], (.05, 0, .04), slice(20, 30)))
    assert shapes["mouthSmileLeft"][25] > .5
    assert shapes["mouthSmileRight"][25] < .1


def test_brows_go_up_and_down() -> None:
    up = face_shapes(moved(at_rest(60), BROWS, (0, 0, .04), slice(20, 30)))
    down = face_shapes(moved(at_rest(60), BROWS, (0, 0, -.04), slice(20, 30)))
    for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"):
        assert up[name][25] > .6, name
        assert not down[name].any(), name
    for name in ("browDownLeft", "browDownRight"):
        assert down[name][25] > .6, name
        assert not up[name].any(), name


def expressive(frames: int = 60) -> Tracks:
    tracks = blinking(at_rest(frames), "Left", slice(5, 12))
    tracks = moved(tracks, LOWER_LIP, (0, 0, -.1), slice(20, 35))
    return moved(tracks, BROWS, (0, 0, .03), slice(40, 50))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.floats(.05, 20))
def test_turning_the_head_changes_nothing(seed: int, scale: float) -> None:
    """Up to 60 degrees each way, whatever the size and the place."""
    tracks = expressive()
    angles = np.random.default_rng(seed).uniform(-60, 60, (len(tracks.xyz), 3))
    shapes = face_shapes(turned(tracks, Rotation.from_euler("zxy", angles, degrees=True), scale))
    for name, values in face_shapes(tracks).items():
        assert np.abs(shapes[name] - values).max() < 1e-6, name


def test_a_mirrored_video_changes_sides() -> None:
    """Whether the points change their numbers, too, or not."""
    tracks = blinking(at_rest(50), "Left", slice(20, 26))
    flipped = face_shapes(replace(tracks, xyz=tracks.xyz * [-1, 1, 1]))
    assert flipped["eyeBlinkRight"][23] > .9
    assert not flipped["eyeBlinkLeft"].any()
    assert not any(v.any() for name, v in flipped.items() if name != "eyeBlinkRight")


def test_the_contour_is_enough() -> None:
    full = at_rest(40, [str(i) for i in range(468)])
    contour = at_rest(40)
    a, b = (face_shapes(moved(t, LOWER_LIP, (0, 0, -.1), slice(10, 20))) for t in (full, contour))
    assert set(a) == set(b)
    for name, values in a.items():
        assert np.abs(values - b[name]).max() < 1e-6, name


def test_frames_without_a_face_are_bridged() -> None:
    tracks = moved(at_rest(60), LOWER_LIP, (0, 0, -.1), slice(20, 60))
    lost = replace(tracks, xyz=tracks.xyz.copy(), seen=tracks.seen.copy())
    for gap in (slice(0, 4), slice(25, 35), slice(50, 60)):
        lost.xyz[gap], lost.seen[gap] = 0, False
    for name, values in face_shapes(lost).items():
        assert np.abs(values - face_shapes(tracks)[name]).max() < .02, name


def test_no_face_has_no_shapes() -> None:
    tracks = at_rest(5)
    assert face_shapes(replace(tracks, seen=np.zeros_like(tracks.seen))) == {}
    assert face_shapes(Tracks(25, ("nose",), np.zeros((5, 1, 3)), np.ones((5, 1), bool))) == {}


def test_a_face_that_is_one_point_has_no_shapes() -> None:
    """No size and no direction: no division by zero either."""
    tracks = at_rest(5)
    with np.errstate(all="raise"):
        assert face_shapes(replace(tracks, xyz=np.zeros_like(tracks.xyz))) == {}


def test_missing_lids_leave_the_rest() -> None:
    tracks = at_rest(5)
    seen = tracks.seen.copy()
    seen[:, of(tracks, 386)] = False
    assert set(face_shapes(replace(tracks, seen=seen))) == NAMES - {"eyeBlinkLeft"}
    kept = [j for j, name in enumerate(tracks.joints) if name not in {"face.13", "face.107"}]
    part = Tracks(25, tuple(tracks.joints[j] for j in kept), tracks.xyz[:, kept], tracks.seen[:, kept])
    assert set(face_shapes(part)) == {"eyeBlinkLeft", "eyeBlinkRight"}


def test_a_single_frame() -> None:
    shapes = face_shapes(at_rest(1))
    assert set(shapes) == NAMES
    assert all(v.shape == (1,) and np.isfinite(v).all() for v in shapes.values())


def test_real_clips_stay_within_bounds(lexicon_files: list[Path]) -> None:
    for path in lexicon_files:
        pose = Pose.read(path.read_bytes())
        numbers = pose.header.components[1].points
        start = len(pose.header.components[0].points)
        data = np.ma.getdata(pose.body.data)[:, 0, start:start + len(numbers)].astype(float)
        xyz = np.stack([data[..., 0], data[..., 2] * pose.header.dimensions.width, -data[..., 1]], -1)
        seen = pose.body.confidence[:, 0, start:start + len(numbers)] > 0
        shapes = face_shapes(Tracks(pose.body.fps, tuple(f"face.{n}" for n in numbers), xyz, seen))
        assert set(shapes) == NAMES
        for name, values in shapes.items():
            assert (values >= 0).all(), name
            assert (values <= 1).all(), name
            assert np.median(values) < .2 or name == "jawOpen", (path, name)  # some keep their lips apart
