"""Poses for tests: a Holistic header without MediaPipe, and a person in motion of whom everything is known."""
from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
from scipy.spatial.transform import Rotation

from pose_diffusion.clip import Clip
from pose_diffusion.layout import (
    BODY,
    BODY_POINTS,
    FACE,
    FACE_POINTS,
    FINGERS,
    HAND_POINTS,
    LEFT_HAND,
    RIGHT_HAND,
    WORLD,
)

LEG_POINTS = tuple(f"{side}_{p}" for p in ("KNEE", "ANKLE", "HEEL", "FOOT_INDEX") for side in ("LEFT", "RIGHT"))
METRES = 0.35  # the width of the constructed person's shoulders
BODY_AT = {  # shoulder widths; the arms are set in motion below
    "NOSE": (0, -.55, -.3), "LEFT_EYE_INNER": (.04, -.63, -.25), "LEFT_EYE": (.08, -.63, -.24),
    "LEFT_EYE_OUTER": (.12, -.63, -.22), "LEFT_EAR": (.2, -.58, 0), "MOUTH_LEFT": (.07, -.43, -.24),
    "LEFT_SHOULDER": (.5, 0, 0), "LEFT_HIP": (.33, 1.5, 0), "LEFT_KNEE": (.33, 2.6, 0), "LEFT_ANKLE": (.33, 3.6, 0),
    "LEFT_HEEL": (.33, 3.7, .05), "LEFT_FOOT_INDEX": (.35, 3.75, -.3),
}  # yapf: disable


def component(name: str, points: Sequence[str], form: str = "XYZC") -> PoseHeaderComponent:
    """A component with a chain of limbs."""
    limbs = [(i, i + 1) for i in range(len(points) - 1)]
    return PoseHeaderComponent(name, list(points), limbs, [(255, 0, i % 256) for i in range(len(limbs))], form)


def holistic_header(width: int = 640, height: int = 480, *, irises: bool = False, world: bool = True) -> PoseHeader:
    """Full MediaPipe Holistic as pose-format writes it: 576 points, 586 with irises, 543 without world landmarks."""
    body = (*BODY_POINTS, *LEG_POINTS)
    components = [component(BODY, body), component(FACE, [str(i) for i in range(478 if irises else 468)]),
                  component(LEFT_HAND, HAND_POINTS), component(RIGHT_HAND, HAND_POINTS)]
    if world:
        components.append(component(WORLD, body))
    return PoseHeader(0.2, PoseHeaderDimensions(width, height, 0), components)


def moving_person(frames: int, seed: int = 0, face_points: int = 468) -> dict[str, np.ndarray]:
    """A person of rigid bones who signs: `(T, N, 3)` per component in shoulder widths, one frame for all, z away."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames) / 25

    def wave(low: float, high: float) -> np.ndarray:
        turn = np.sin(2 * np.pi * (rng.uniform(.3, 1.2) * time + rng.uniform()))
        return low + (high - low) * (turn + 1) / 2

    at = dict(BODY_AT)
    for name, (x, y, z) in BODY_AT.items():
        at[name.replace("LEFT", "RIGHT")] = (-x if "LEFT" in name else x, y, z)
    body = {name: np.tile(np.array(xyz, float), (frames, 1)) for name, xyz in at.items()}
    sway = np.stack([wave(-.05, .05), wave(-.03, .03), wave(-.03, .03)], axis=1)
    people: dict[str, np.ndarray] = {}
    for side, hand, sign in (("LEFT", LEFT_HAND, 1), ("RIGHT", RIGHT_HAND, -1)):
        upper = Rotation.from_euler("zx", np.stack([sign * wave(-.6, .2), -wave(.1, 1.0)], 1)).apply([0, .75, 0])
        lower = Rotation.from_euler("zx", np.stack([sign * wave(.3, 1.5), -wave(.5, 2.5)], 1)).apply([0, .7, 0])
        body[f"{side}_ELBOW"] = body[f"{side}_SHOULDER"] + upper
        body[f"{side}_WRIST"] = body[f"{side}_ELBOW"] + lower
        turn = Rotation.from_euler("zyx", np.stack([wave(-1, 1), sign * wave(-1, 1), wave(-1, 1)], 1))
        people[hand] = body[f"{side}_WRIST"][:, None] + np.stack([turn.apply(p) for p in _hand(sign)], axis=1)
        for point, joint in (("PINKY", "PINKY_MCP"), ("INDEX", "INDEX_FINGER_MCP"), ("THUMB", "THUMB_IP")):
            body[f"{side}_{point}"] = people[hand][:, HAND_POINTS.index(joint)]
    for name in body:
        if any(word in name for word in ("NOSE", "EYE", "EAR", "MOUTH")):
            body[name] = body[name] + sway
    people[BODY] = np.stack([body[name] for name in (*BODY_POINTS, *LEG_POINTS)], axis=1)
    face = _face(face_points)
    face[:, 2] -= np.median(face[[int(p) for p in FACE_POINTS], 2])  # the contour's middle is as deep as the nose
    people[FACE] = body["NOSE"][:, None] + face
    return people


def _hand(sign: int) -> np.ndarray:
    """A flat open hand, `(21, 3)` from its wrist."""
    points = [np.zeros(3)]
    for finger, angle in zip(FINGERS, (-.9, -.3, 0, .25, .5)):
        direction = np.array([sign * np.sin(angle), np.cos(angle), 0])
        first = .15 if finger == "THUMB" else .3
        points += [direction * (first + step) for step in (0, .13, .22, .3)]
    return np.array(points)


def _face(points: int) -> np.ndarray:
    """Points spread over the front of a head, `(N, 3)` from the nose."""
    i = np.arange(points) + .5
    height, turn = 1 - i / points, np.pi * (1 + 5**.5) * i
    ring = np.sqrt(1 - height**2)
    return np.stack([.22 * ring * np.cos(turn), .3 * ring * np.sin(turn), -.15 * height], axis=1)


def constructed_pose(frames: int = 20, *, people: int = 1, fps: float = 25.0, seed: int = 0, irises: bool = False,
                     width: int = 640, height: int = 480, scale: float = 150.0, depth: float = 0.3,
                     hand_depth: float = 0.75) -> Pose:
    """Moving people as MediaPipe and pose-format would store them: nothing missing, z in the frame of each part.

    `scale` is the shoulder width in pixels, `depth` and `hand_depth` what z times the width is to be multiplied with.
    """
    header = holistic_header(width, height, irises=irises)
    data, confidence = [], []
    for person in range(people):
        parts = moving_person(frames, seed + person, 478 if irises else 468)
        stored = {}
        for name, xyz in parts.items():
            own = {BODY: 0.0, FACE: parts[BODY][:, [0], 2]}.get(name, xyz[:, [0], 2])
            factor = {BODY: depth, FACE: 1.0}.get(name, hand_depth)
            x, y = (xyz[..., :2] * scale + [width * (person + 1) / (people + 1), height / 2]).transpose(2, 0, 1)
            stored[name] = np.stack([x, y, (xyz[..., 2] - own) * scale / (width * factor)], axis=-1)
        hips = parts[BODY][:, [BODY_POINTS.index("LEFT_HIP"), BODY_POINTS.index("RIGHT_HIP")]].mean(1, keepdims=True)
        stored[WORLD] = (parts[BODY] - hips) * METRES * [width, height, 1]
        data.append(np.concatenate([stored[c.name] for c in header.components], axis=1))
        sure = {BODY: .95, WORLD: .95}
        confidence.append(np.concatenate([np.full(stored[c.name].shape[:2], sure.get(c.name, 1.0))
                                          for c in header.components], axis=1))
    return Pose(header, NumPyPoseBody(fps, np.stack(data, 1).astype(np.float32),
                                      np.stack(confidence, 1).astype(np.float32)))


def one_hand(frames: int = 3) -> Pose:
    """A pose of a hand, of few bytes."""
    return constructed_pose(frames).get_components([LEFT_HAND])


def part(pose: Pose, name: str) -> slice:
    """Where a component's points are."""
    start = 0
    for c in pose.header.components:
        if c.name == name:
            return slice(start, start + len(c.points))
        start += len(c.points)
    raise KeyError(name)


def lose(pose: Pose, frames: slice, points: slice | Sequence[int], person: int = 0) -> Pose:
    """The pose with points missing in some frames, as capture leaves them: zeros, confidence 0. A new one."""
    data, confidence = np.ma.getdata(pose.body.data).copy(), pose.body.confidence.copy()
    data[frames, person, points] = 0
    confidence[frames, person, points] = 0
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, confidence))


def to_bytes(pose: Pose) -> bytes:
    """The pose as a file's content."""
    buffer = io.BytesIO()
    pose.write(buffer)
    return buffer.getvalue()


def assert_same_bits(a: Pose, b: Pose) -> None:
    """Equal data, confidence, mask, rate and header, number type included."""
    for x, y in ((np.ma.getdata(a.body.data), np.ma.getdata(b.body.data)), (a.body.confidence, b.body.confidence)):
        assert x.dtype == y.dtype
        assert x.shape == y.shape
        assert x.tobytes() == y.tobytes()
    assert np.array_equal(np.ma.getmaskarray(a.body.data), np.ma.getmaskarray(b.body.data))
    assert a.body.fps == b.body.fps
    assert describe(a.header) == describe(b.header)


def describe(header: PoseHeader) -> tuple[object, ...]:
    """All that a header holds, as plain values."""
    size = header.dimensions
    return (header.version, size.width, size.height, size.depth, header.is_bbox,
            [(c.name, list(c.points), [tuple(limb) for limb in c.limbs], np.array(c.colors).tolist(), c.format)
             for c in header.components])


def flat(pose: Pose) -> Pose:
    """No z."""
    components = [component(c.name, c.points, "XYC") for c in pose.header.components]
    header = PoseHeader(0.2, pose.header.dimensions, components)
    return Pose(header, NumPyPoseBody(pose.body.fps, pose.body.data[..., :2], pose.body.confidence))


def everywhere(clip: Clip, sure: float = .5) -> Clip:
    """The clip with something, somewhere else, at each point of each frame."""
    shift = np.random.default_rng(0).normal(0, .05, clip.xyz.shape).astype(np.float32)
    return replace(clip, xyz=clip.xyz + shift, confidence=np.full_like(clip.confidence, sure))
