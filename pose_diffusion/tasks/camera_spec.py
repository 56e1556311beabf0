"""What a user may know of a camera: its focal length, its field of view, or all of it."""
from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pose_diffusion.cameras import Camera
from pose_diffusion.files import PoseFileError

MAX_BYTES = 1 << 20
UNTRUE = 1e-3  # how far a rotation may be from one
WIDEST = 140.  # degrees that a picture may cover by a focal length in pixels: whoever writes 60 means degrees
KEYS = ("K", "distortion", "size", "R", "t")
EXAMPLE = '{"K": [[1000, 0, 640], [0, 1000, 360], [0, 0, 1]], "distortion": [0, 0, 0, 0, 0], "size": [1280, 720]}'


@dataclass(frozen=True)
class CameraSpec:
    """One of these.

    Attributes
    ----------
    focal : float, optional
        Focal length in pixels.
    field : float, optional
        Field of view in degrees, along the longer side of the picture.
    file : path, optional
        JSON with `K` (3 x 3, pixels), and, if known, `distortion` (up to k1, k2, p1, p2, k3 of OpenCV), `size` (width
        and height of the pictures it was measured on), `R` and `t` (from a world with y up to the camera, metres).
    """

    focal: float | None = None
    field: float | None = None
    file: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.focal, self.field, self.file)) != 1:
            raise ValueError("of a camera give the focal length, the field of view or a file: one of them")
        if self.focal is not None and not 0 < self.focal < math.inf:
            raise ValueError(f"a focal length is a number of pixels above 0, not {self.focal}")
        if self.field is not None and not 1 <= self.field <= 170:
            raise ValueError(f"a field of view is from 1 to 170 degrees, not {self.field}")

    @classmethod
    def parse(cls, text: str) -> CameraSpec:
        """From what is written on a command line: `1200` or `1200px`, `60deg` or `60°`, or the name of a JSON file.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        plain = text.strip().lower().replace("°", "deg")
        number = plain.removesuffix("deg").removesuffix("px")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not math.isnan(value):
            return cls(field=value) if plain.endswith("deg") else cls(focal=value)
        if Path(text).suffix.lower() != ".json":
            raise ValueError(f"{text!r} is no camera: give a focal length in pixels (1200), a field of view (60deg) or "
                             "a .json file")
        return cls(file=text)

    def camera(self, size: tuple[float, float]) -> Camera:
        """The camera of pictures of a size (width, height).

        Raises
        ------
        PoseFileError
            If its file cannot be read or says something else.
        ValueError
            If pictures of that size would cover more than 140 degrees by the focal length.
        """
        if self.file is not None:
            return _read(self.file, size)
        picture = torch.tensor([size], dtype=torch.float32)
        focal = self.focal
        if focal is None:
            focal = max(size) / 2 / math.tan(math.radians(self.field or 0) / 2)
        elif (field := 2 * math.degrees(math.atan(max(size) / 2 / focal))) > WIDEST:
            raise ValueError(f"with a focal length of {focal:g} pixels a picture of {max(size):g} would cover "
                             f"{field:.0f} degrees: if {focal:g} is the field of view, write {focal:g}deg")
        return Camera(torch.full((1, 2), float(focal)), picture / 2, torch.eye(3)[None], torch.zeros(1, 3), picture)

    def up(self, size: tuple[float, float]) -> Tensor | None:
        """The vertical ``(3,)`` in the camera's frame, if it is known: the y axis of the world of a file with `R`."""
        if self.file is None or "R" not in _content(self.file):
            return None
        return self.camera(size).rotation[0] @ torch.tensor([0., 1., 0.])


def _content(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise PoseFileError(path, "too large for a camera: give a JSON file with K")
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))  # Windows's editors begin with a mark
    except OSError as error:
        reason = error.strerror or error
        raise PoseFileError(path, f"it cannot be read ({reason}): check the file and its permissions") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, PoseFileError):
            raise
        raise PoseFileError(path, f"it is no JSON file ({error}): write one such as {EXAMPLE}") from error
    if not isinstance(content, dict):
        raise PoseFileError(path, f"it holds no camera: write one such as {EXAMPLE}")
    if unknown := [key for key in content if key not in KEYS]:
        raise PoseFileError(path, f"{', '.join(unknown)}: a camera has {', '.join(KEYS)} only: rename or remove it")
    return content


def _read(path: str | os.PathLike[str], size: tuple[float, float]) -> Camera:
    content = _content(path)

    def numbers(name: str, *shape: int) -> Tensor:
        try:
            value = torch.tensor(content[name], dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise PoseFileError(path, f"{name} holds other things than numbers: write one such as {EXAMPLE}") from error
        if value.shape != shape or not bool(value.isfinite().all()):
            raise PoseFileError(path, f"{name} must be {' x '.join(map(str, shape))} finite numbers: write one such as "
                                      f"{EXAMPLE}")
        return value

    if "K" not in content:
        raise PoseFileError(path, f"K is missing: write one such as {EXAMPLE}")
    matrix = numbers("K", 3, 3)
    focal, centre = matrix.diagonal()[:2], matrix[:2, 2]
    if not bool((focal > 0).all()):
        raise PoseFileError(path, "the focal lengths in K must be above 0")
    if matrix[2].tolist() != [0, 0, 1]:
        raise PoseFileError(path, "the last row of K must be 0, 0, 1: give its rows, not its columns")
    if "size" in content:
        own = numbers("size", 2)
        if not bool((own > 0).all()):
            raise PoseFileError(path, "the size must be above 0")
        share = torch.tensor(size, dtype=torch.float64) / own
        focal, centre = focal * share, centre * share
    rotation = numbers("R", 3, 3) if "R" in content else torch.eye(3, dtype=torch.float64)
    if (rotation @ rotation.T - torch.eye(3)).abs().max() > UNTRUE or torch.linalg.det(rotation) < 0:
        raise PoseFileError(path, "R is no rotation: its rows must be at right angles, of length 1 and right-handed")
    shift = numbers("t", 3) if "t" in content else torch.zeros(3)
    lens = None
    if content.get("distortion"):
        match content["distortion"]:
            case [list() as row]:  # as OpenCV has it
                content["distortion"] = row
        if not isinstance(content["distortion"], list) or len(content["distortion"]) > 5:
            raise PoseFileError(path, "distortion must be up to five numbers, k1, k2, p1, p2, k3")
        given = numbers("distortion", len(content["distortion"]))
        lens = torch.nn.functional.pad(given, (0, 5 - len(given))).float()[None]
    return Camera(focal.float()[None], centre.float()[None], rotation.float()[None], shift.float()[None],
                  torch.tensor([size], dtype=torch.float32), lens)
