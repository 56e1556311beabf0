"""Cameras as users write them, and what they get wrong."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pose_diffusion.files import PoseFileError
from pose_diffusion.tasks.camera_spec import CameraSpec

K = [[1000, 0, 640], [0, 1000, 360], [0, 0, 1]]


def written(path: Path, content: object, encoding: str = "utf-8") -> CameraSpec:
    path.write_text(json.dumps(content), encoding=encoding)
    return CameraSpec.parse(str(path))


@pytest.mark.parametrize("text", ["60deg", " 60deg", "60 deg", "60DEG", "60\N{DEGREE SIGN}"])
def test_degrees_in_any_spelling(text: str) -> None:
    assert CameraSpec.parse(text) == CameraSpec(field=60)


@pytest.mark.parametrize("text", ["", "wide", "nan", "cam.txt", "60rad"])
def test_what_is_no_camera_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no camera: give a focal length"):
        CameraSpec.parse(text)


def test_degrees_without_their_unit_are_noticed() -> None:
    """A focal length of 60 pixels would be that of no camera."""
    with pytest.raises(ValueError, match="write 60deg"):
        CameraSpec.parse("60").camera((1280, 720))
    assert CameraSpec.parse("500").camera((1280, 720)).focal[0, 0] == 500


def test_files_of_windows_editors_and_of_opencv(tmp_path: Path) -> None:
    """A byte order mark; distortion in a row of its own."""
    plain = written(tmp_path / "a.json", {"K": K, "distortion": [.1, -.05, 0, 0, .01]}).camera((1280, 720))
    other = written(tmp_path / "b.json", {"K": K, "distortion": [[.1, -.05, 0, 0, .01]]}, "utf-8-sig")
    assert plain.distortion is not None
    torch.testing.assert_close(other.camera((1280, 720)).distortion, plain.distortion)


@pytest.mark.parametrize(("content", "says"), [
    ({"K": K, "dist": [.1]}, "dist: a camera has K, distortion"),
    ({"K": [list(row) for row in zip(*K)]}, "last row of K"),
    ({"K": K, "distortion": {"k1": 1}}, "up to five numbers"),
    ({"K": K, "distortion": [1, 2, 3, 4, 5, 6]}, "up to five numbers"),
    ({"K": K, "size": [0, 720]}, "size must be above 0"),
])
def test_what_would_be_ignored_or_misread_is_refused(tmp_path: Path, content: object, says: str) -> None:
    with pytest.raises(PoseFileError, match=says) as error:
        written(tmp_path / "cam.json", content).camera((1280, 720))
    assert "\n" not in str(error.value)
