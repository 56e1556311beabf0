"""Lifted bodies as a GIF or an MP4: over what was seen, and beside it on a turntable."""
from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from pose_format import Pose

from pose_diffusion.cameras import project
from pose_diffusion.files import atomic
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.preview import MAX_FPS, writer
from pose_diffusion.tasks.detections import joints_of, picture_size
from pose_diffusion.tasks.lifted import Lifted

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

COLOURS = ((214, 0, 198), (0, 140, 190), (230, 130, 0), (60, 160, 60), (130, 90, 210), (170, 130, 60))
SEEN, GROUND = (40, 40, 40), (215, 215, 215)
TURN = 6.0  # seconds for one turn of the table
STILL = 75  # pictures of a single frame
FINE = 2  # lines are drawn this much larger and scaled down
LABEL = 24  # pixels: the strips above and below
TILE = .5  # metres
FAR = 10  # times the picture's size, beyond which nothing is drawn


def save_lift_preview(pose: Pose, lifted: Lifted, path: str | os.PathLike[str], *, person: int = 0, shown: int = 6,
                      size: int = 400, seconds: float = 10.0) -> tuple[float, float]:
    """Draw hypotheses over the joints that were seen, and beside them turning about the vertical.

    Parameters
    ----------
    pose : Pose
        What was lifted.
    lifted : Lifted
        What came of it.
    path : path
        The file to write; it ends in `.gif` or `.mp4`.
    person : int
        Which person was lifted.
    shown : int
        At most so many hypotheses, of colours of their own.
    size : int
        Pixels along the edge of each of the two pictures.
    seconds : float
        The most that is shown, from the start.

    Returns
    -------
    (float, float)
        Start and end in seconds of the part that is shown.

    Raises
    ------
    ValueError
        If the pose was not lifted to this, or the file's ending is not one of the two.
    ImportError
        If a library for drawing is missing.
    """
    write = writer(path)
    points, confidence = joints_of(pose, person)
    if len(points) != lifted.xyz.shape[1]:
        raise ValueError(f"{lifted.xyz.shape[1]} frames were lifted, the pose has {len(points)}: no preview")
    fps, count = lifted.fps, min(len(points), max(1, round(seconds * lifted.fps)))
    step = max(1, round(fps / MAX_FPS))
    frames = np.arange(0, count, step) if count > 1 else np.zeros(STILL, int)
    rate = fps / step if count > 1 else MAX_FPS
    left = _over(lifted, points, confidence, frames, shown, size * FINE, picture_size(pose))
    right = _turning(lifted, frames, shown, size * FINE, rate)
    times = [f"{frame / fps:.2f} s" for frame in frames]
    label = f"{min(shown, len(lifted.xyz))} of {len(lifted.xyz)} hypotheses"
    pages = [_page(a, b, ("seen (black) and lifted", label), time) for a, b, time in zip(left, right, times)]
    with atomic(path) as temporary:
        write(pages, temporary, rate)
    return 0.0, count / fps


def _over(lifted: Lifted, points: np.ndarray, confidence: np.ndarray, frames: np.ndarray, shown: int, size: int,
          picture: tuple[float, float]) -> Iterator[Image]:
    """The picture from the camera, cut to the person."""
    bodies = torch.from_numpy(lifted.xyz[:shown])
    camera = lifted.camera
    if len(camera.focal) > 1:
        camera = replace(camera, **{name: value[:shown] if len(value) > 1 else value
                                    for name, value in vars(camera).items() if value is not None})
    with torch.no_grad():
        pixels = project(replace(camera, **{name: value.cpu() for name, value in vars(camera).items()
                                            if value is not None}), bodies).numpy()
    seen = points[confidence > 0]
    low, high = np.percentile(np.concatenate([seen, pixels[:1, frames].reshape(-1, 2)]), [1, 99], axis=0)
    extent = max(1.0, float((high - low).max())) * 1.15
    corner = (low + high - extent) / 2
    scale = size / extent
    for frame in frames:
        image, draw = _canvas(size)
        edges = [tuple(((np.array(at) - corner) * scale).clip(-FAR * size, FAR * size)) for at in
                 ((0, 0), (picture[0], 0), picture, (0, picture[1]), (0, 0))]
        draw.line(edges, fill=GROUND, width=FINE)
        for i in reversed(range(len(pixels))):
            _bones(draw, (pixels[i, frame] - corner) * scale, np.ones(len(BODY), bool), COLOURS[i % len(COLOURS)], 2)
        _bones(draw, (points[frame] - corner) * scale, confidence[frame] > 0, SEEN, 2)
        yield image.reduce(FINE)


def _turning(lifted: Lifted, frames: np.ndarray, shown: int, size: int, rate: float) -> Iterator[Image]:
    """The bodies from all around, each about its own pelvis, upright as the camera is."""
    bodies = lifted.xyz[:shown] - lifted.root[:shown, :, None]
    low, high = bodies[..., 1].min(), bodies[..., 1].max()
    reach = max(float(np.abs(bodies[..., [0, 2]]).max()), float(high - low) / 2)
    scale = size / (2.3 * reach)
    middle = np.array([0, (low + high) / 2])
    for i, frame in enumerate(frames):
        image, draw = _canvas(size)
        angle = 2 * math.pi * i / (TURN * rate)
        grid = [(x * TILE, z * TILE) for x in range(-2, 3) for z in range(-2, 3)]
        for x, z in grid:
            ends = [(x, z, x + TILE, z)] if x < 2 * TILE else []
            ends += [(x, z, x, z + TILE)] if z < 2 * TILE else []
            for x0, z0, x1, z1 in ends:
                floor = np.array([[x0, high, z0], [x1, high, z1]])
                line = (_view(floor, angle) - middle) * scale + size / 2
                draw.line([tuple(point) for point in line], fill=GROUND, width=FINE)
        for h in reversed(range(len(bodies))):
            where = (_view(bodies[h, frame], angle) - middle) * scale + size / 2
            _bones(draw, where, np.ones(len(BODY), bool), COLOURS[h % len(COLOURS)], 3 if h == 0 else 2)
        yield image.reduce(FINE)


def _view(points: np.ndarray, angle: float) -> np.ndarray:
    """``(n, 2)`` of points ``(n, 3)`` from a little above, after a turn about the vertical."""
    x = math.cos(angle) * points[:, 0] + math.sin(angle) * points[:, 2]
    z = math.cos(angle) * points[:, 2] - math.sin(angle) * points[:, 0]
    tilt = math.radians(8)
    return np.stack([x, math.cos(tilt) * points[:, 1] - math.sin(tilt) * z], axis=1)


def _canvas(size: int) -> tuple[Image, ImageDraw]:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (size, size), "white")
    return image, ImageDraw.Draw(image)


def _bones(draw: ImageDraw, points: np.ndarray, there: np.ndarray, colour: tuple[int, int, int], width: int) -> None:
    size = draw.im.size[0]
    points = np.clip(np.nan_to_num(points), -FAR * size, FAR * size)
    for parent, child in BODY.bones:
        if there[parent] and there[child]:
            draw.line([tuple(points[parent]), tuple(points[child])], fill=colour, width=width * FINE)
    for joint in np.flatnonzero(there):
        x, y = points[joint]
        radius = width * FINE * .8
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _page(left: Image, right: Image, labels: tuple[str, str], caption: str) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    width, height = left.width + right.width, left.height + 2 * LABEL
    page = Image.new("RGB", (width + width % 2, height + height % 2), "white")  # video needs even sizes
    page.paste(left, (0, LABEL))
    page.paste(right, (left.width, LABEL))
    draw = ImageDraw.Draw(page)
    draw.line((left.width, 0, left.width, page.height), fill="lightgrey")
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    for x, label in zip((left.width / 2, left.width + right.width / 2), labels):
        draw.text((x, LABEL / 2), label, fill="black", font=font, anchor="mm")
    draw.text((page.width - 8, page.height - LABEL / 2), caption, fill="grey", font=small, anchor="rm")
    return page
