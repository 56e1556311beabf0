"""What refine does not take, and in which words."""
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion import refine, refine_many
from pose_diffusion.clip import encode
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import BODY, FACE, HOLISTIC, UnknownSchemaError
from pose_diffusion.tasks.refine import refine_steps
from tests.poses import component, constructed_pose, describe
from tests.tasks.looking import values
from tests.test_clip import at_rate


@pytest.mark.parametrize(("options", "word"), [
    ({"strength": -.1}, "strength"), ({"strength": 1.1}, "strength"), ({"strength": float("nan")}, "strength"),
    ({"steps": 0}, "steps"), ({"steps": 1001}, "steps"), ({"steps": 1.5}, "steps"), ({"steps": "many"}, "steps"),
    ({"seed": -1}, "seed"), ({"seed": 2**63}, "seed"), ({"seed": .5}, "seed"),
    ({"guidance": float("inf")}, "guidance"), ({"keep": FACE}, "keep"), ({"keep": ["NOSE"]}, "keep.*FACE_LANDMARKS"),
    ({"keep": [(BODY, "TAIL")]}, "keep.*TAIL"), ({"keep": [3]}, "keep"), ({"keep": [(BODY,)]}, "keep"),
])
def test_arguments_out_of_range(model: PoseDiffusion, options: dict[str, Any], word: str) -> None:
    pose = constructed_pose(3)
    for call in (lambda: refine(pose, model=model, **options),
                 lambda: refine_many([pose, pose], model=model, **options),
                 lambda: list(refine_steps(pose, model=model, **options))):
        with pytest.raises(ValueError, match=word) as caught:
            call()
        assert "\n" not in str(caught.value)


def unknown_schema(pose: Pose) -> Pose:
    header = copy.deepcopy(pose.header)
    header.components = [component("pose_keypoints_2d", [str(i) for i in range(header.total_points())])]
    return Pose(header, pose.body)


def not_finite(value: float) -> Callable[[Pose], Pose]:
    def spoil(pose: Pose) -> Pose:
        data = values(pose).copy()
        data[2, 0, 5, 1] = value
        return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, pose.body.confidence))

    return spoil


BAD: dict[str, tuple[Callable[[Pose], Pose], str]] = {
    "no frames": (lambda pose: Pose(pose.header, pose.body[:0]), "no frames"),
    "NaN": (not_finite(np.nan), "frame 2 is NaN"),
    "infinity": (not_finite(np.inf), "frame 2 is NaN or infinite"),
    "no rate": (at_rate(0), "frame rate"),
    "a rate that is no number": (at_rate(float("nan")), "frame rate"),
    "unknown schema": (unknown_schema, "pose_keypoints_2d"),
    "another header": (lambda pose: Pose(constructed_pose(1).get_components([BODY]).header, pose.body), "does not fit"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_poses_that_nothing_can_be_done_with(model: PoseDiffusion, kind: str) -> None:
    make, word = BAD[kind]
    good, bad = constructed_pose(4), make(constructed_pose(4))
    with pytest.raises(ValueError, match=word):
        refine(bad, model=model)
    with pytest.raises(ValueError, match=f"^pose 1: .*{word}"):
        refine_many([good, bad], model=model)
    with pytest.raises(ValueError, match=word):
        list(refine_steps(bad, model=model))
    with pytest.raises(ValueError, match=word):
        refine(bad, strength=0, model=model)


def test_an_unknown_schema_has_its_own_error(model: PoseDiffusion) -> None:
    with pytest.raises(UnknownSchemaError, match="pose_keypoints_2d"):
        refine_many([constructed_pose(2), unknown_schema(constructed_pose(2))], model=model)


def test_without_the_hands_of_the_header_nothing_is_invented_for_them(model: PoseDiffusion) -> None:
    pose = constructed_pose(8).get_components([BODY])
    result = refine(pose, model=model)
    assert describe(result.header) == describe(pose.header)
    assert [clip.confidence[:, HOLISTIC.parts["left_hand"]].max() for clip in encode(result)] == [0]
