"""Lifted bodies as a GIF or an MP4: over what was seen, and beside it on a turntable."""
from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from pose_format import Pose

from pose_diffusion.cameras import project
from pose_diffusion.files import atomic
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.preview import writer
from pose_diffusion.tasks.detections import joints_of, picture_size
from pose_diffusion.tasks.lifted import Lifted

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]

# Told apart by people with any kind of colour vision (Okabe and Ito 2008), the yellow and the two blues darkened.
COLOURS = ((213, 94, 0), (0, 104, 178), (0, 148, 105), (196, 84, 160), (222, 150, 0), (60, 170, 225))
SEEN, FRAME, TABLE, SPOKES, PAPER = (25, 25, 25), (205, 205, 205), (238, 238, 240), (212, 212, 216), (255, 255, 255)
RATE = 15.  # pictures a second: more is not worth the size of the file
TURN = 6.  # seconds, about, of one turn of the table; short clips are repeated
TILT = math.radians(13)  # from above
FINE = 2  # lines are drawn this much larger and scaled down
LABEL = 26  # pixels: the strips above and below
FAR = 10  # times the picture's size, beyond which nothing is drawn
SKULL = .105  # metres
PALE, DISTANT = .35, .6  # how much of the paper is in the hypotheses over what was seen, and in the farthest bones
LEGS = tuple(BODY.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("hip", "knee", "ankle"))
HEAD, TOP, PELVIS, THORAX = (BODY.index(joint) for joint in ("head", "head_top", "pelvis", "thorax"))


@dataclass(frozen=True)
class _Scene:
    """What is drawn: H hypotheses of T frames.

    `bodies` are `(H, T, 17, 3)` about their pelvis or, where no leg was ever seen, the middle of the shoulders;
    `pixels` `(H, T, 17, 2)` in the picture, `points` `(T, 17, 2)` and `seen` `(T, 17)` what was detected; `shown`
    `(17,)` tells which joints are drawn.
    """

    bodies: np.ndarray
    pixels: np.ndarray
    points: np.ndarray
    seen: np.ndarray
    shown: np.ndarray
    picture: tuple[float, float]


def save_lift_preview(pose: Pose, lifted: Lifted, path: str | os.PathLike[str], *, person: int = 0, shown: int = 6,
                      size: int = 400, seconds: float = 10.0) -> tuple[float, float]:
    """Draw hypotheses over the joints that were seen, and beside them turning about the vertical.

    A short clip is repeated while the table turns. Joints of the legs that were never seen are
    left out: the picture tells nothing of them.

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
    scene = _scene(pose, lifted, person, max(1, shown))
    fps, count = lifted.fps, min(len(scene.points), max(1, round(seconds * lifted.fps)))
    frames, rate = _played(count, fps)
    left, right = _over(scene, frames, size * FINE), _turning(scene, frames, rate, size * FINE)
    here, there = len(scene.bodies), len(lifted.xyz)
    labels = ("what the camera saw", ("the lifted body" if there == 1 else f"{here} hypotheses" if here == there else
                                      f"{here} of {there} hypotheses") + ", from all sides")
    times = [f"{frame / fps:.2f} s" for frame in frames]
    pages = [_page(a, b, labels, here, time) for a, b, time in zip(left, right, times)]
    with atomic(path) as temporary:
        write(pages, temporary, rate)
    return 0.0, count / fps


def _scene(pose: Pose, lifted: Lifted, person: int, most: int) -> _Scene:
    points, confidence = joints_of(pose, person)
    if len(points) != lifted.xyz.shape[1]:
        raise ValueError(f"{lifted.xyz.shape[1]} frames were lifted, the pose has {len(points)}: no preview")
    xyz, seen = lifted.xyz[:most], confidence > 0
    camera = replace(lifted.camera, **{name: value[:most].cpu() for name, value in vars(lifted.camera).items()
                                       if value is not None})
    with torch.no_grad():
        pixels = project(camera, torch.from_numpy(xyz)).numpy()
    shown = np.ones(len(BODY), bool)
    shown[list(LEGS)] = seen[:, LEGS].any(0)
    middle = PELVIS if seen[:, LEGS].any() else THORAX
    return _Scene(xyz - xyz[:, :, [middle]], pixels, points, seen, shown, picture_size(pose))


def _played(count: int, fps: float) -> tuple[np.ndarray, float]:
    """Which frames are drawn, in order, and at how many a second."""
    step = max(1, round(fps / RATE))
    rate = fps / step if count > 1 else RATE
    once = np.arange(0, count, step)
    return np.tile(once, max(1, round(TURN * rate / len(once)))), rate


def _over(scene: _Scene, frames: np.ndarray, size: int) -> Iterator[Image]:
    """The picture from the camera, cut to the person."""
    told = scene.pixels[:, :, scene.shown][:, frames].reshape(-1, 2)
    low, high = np.percentile(np.concatenate([scene.points[scene.seen & scene.shown], told]), [1, 99], axis=0)
    extent = max(1.0, float((high - low).max())) * 1.2
    corner, scale = (low + high - extent) / 2, size / extent
    (x0, y0), (x1, y1) = -corner * scale, (np.array(scene.picture) - corner) * scale
    for frame in frames:
        image, draw = _canvas(size)
        far = FAR * size
        draw.rectangle((max(x0, -far), max(y0, -far), min(x1, far), min(y1, far)), outline=FRAME, width=FINE)
        for h in reversed(range(len(scene.pixels))):
            where = (scene.pixels[h, frame] - corner) * scale
            colour = _mixed(_colour(h), PALE)
            _figure(draw, where, scene.shown, [colour] * len(BODY), 2)
        seen = scene.seen[frame] & scene.shown
        _figure(draw, (scene.points[frame] - corner) * scale, seen, [SEEN] * len(BODY), 3)
        yield image.reduce(FINE)


def _turning(scene: _Scene, frames: np.ndarray, rate: float, size: int) -> Iterator[Image]:
    """The bodies from all around, upright as the camera is. It turns a whole number of times, so that it loops."""
    drawn = scene.bodies[:, :, scene.shown]
    low, high = np.percentile(drawn[..., 1], [.5, 99.5])
    reach = float(np.percentile(np.linalg.norm(drawn[..., [0, 2]], axis=-1), 99.5))
    scale = .94 * size / max(high - low + 2 * SKULL + reach * math.sin(TILT), 2 * reach, .1)
    middle = np.array([0, (low - SKULL + high + reach * math.sin(TILT)) / 2])
    turns = max(1, round(len(frames) / (TURN * rate)))
    for i, frame in enumerate(frames):
        image, draw = _canvas(size)
        view = _View(2 * math.pi * turns * i / len(frames), middle, scale, size)
        _table(draw, view, high, .95 * reach)
        figures = []
        for h, body in enumerate(scene.bodies[:, frame]):
            where, depth = view.of(body)
            shades = [_mixed(_colour(h), DISTANT * float(np.clip(.5 + d / reach / 2, 0, 1))) for d in depth]
            figures.append((float(depth.mean()), h, where, shades))
        for _, h, where, shades in sorted(figures, key=lambda figure: -figure[0]):
            _figure(draw, where, scene.shown, shades, 3 if h == 0 else 2, SKULL * scale)
        yield image.reduce(FINE)


@dataclass(frozen=True)
class _View:
    """From a little above, after a turn about the vertical; `middle` ``(2,)`` in metres is in the picture's middle."""

    angle: float
    middle: np.ndarray
    scale: float
    size: int

    def of(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points ``(n, 3)``: their pixels ``(n, 2)``, and how far away they are ``(n,)``, in metres."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        x = cosine * points[:, 0] + sine * points[:, 2]
        z = cosine * points[:, 2] - sine * points[:, 0]
        seen = np.stack([x, math.cos(TILT) * points[:, 1] - math.sin(TILT) * z], axis=1)
        return (seen - self.middle) * self.scale + self.size / 2, z


def _table(draw: ImageDraw, view: _View, height: float, radius: float) -> None:
    """A disc with spokes below the bodies."""
    angles = np.linspace(0, 2 * np.pi, 73)
    rim = np.stack([radius * np.cos(angles), np.full(73, height), radius * np.sin(angles)], axis=1)
    edge = [tuple(point) for point in view.of(rim)[0]]
    draw.polygon(edge, fill=TABLE)
    for a, b in zip(range(0, 36, 9), range(36, 72, 9)):
        draw.line([edge[a], edge[b]], fill=SPOKES, width=FINE)
    draw.line(edge, fill=SPOKES, width=FINE)


def _figure(draw: ImageDraw, points: np.ndarray, there: np.ndarray, colours: Sequence[Colour], width: int,
            skull: float | None = None) -> None:
    """Bones, joints and a head; each bone has the colour of its end."""
    far = FAR * draw.im.size[0]
    points = np.clip(np.nan_to_num(points), -far, far)
    ends = points.copy()
    if there[HEAD] and there[TOP]:
        middle = .85 * points[HEAD] + .15 * points[TOP]
        radius = max(skull or .8 * float(np.linalg.norm(points[TOP] - points[HEAD])), 2. * FINE)
        _disc(draw, middle, radius, edge=colours[HEAD], width=width)
        neck = points[THORAX] - middle
        ends[HEAD] = middle + neck * min(1, radius / max(float(np.linalg.norm(neck)), 1e-6))
    for parent, child in BODY.bones:
        if there[parent] and there[child] and child != TOP:
            draw.line([tuple(points[parent]), tuple(ends[child])], fill=colours[child], width=width * FINE)
    for joint in np.flatnonzero(there):
        if joint not in (HEAD, TOP):
            _disc(draw, points[joint], width * FINE * .9, fill=colours[joint])


def _disc(draw: ImageDraw, at: np.ndarray, radius: float, fill: Colour | None = None, edge: Colour | None = None,
          width: int = 0) -> None:
    draw.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=fill, outline=edge,
                 width=width * FINE)


def _colour(hypothesis: int) -> Colour:
    return COLOURS[hypothesis % len(COLOURS)]


def _mixed(colour: Colour, share: float) -> Colour:
    """A colour with a share of the paper's."""
    r, g, b = (round((1 - share) * a + share * b) for a, b in zip(colour, PAPER))
    return r, g, b


def _canvas(size: int) -> tuple[Image, ImageDraw]:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (size, size), PAPER)
    return image, ImageDraw.Draw(image)


def _page(left: Image, right: Image, labels: tuple[str, str], hypotheses: int, time: str) -> Image:
    """Both pictures, what they show above, and what the colours mean below."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = left.width + right.width, left.height + 2 * LABEL
    page = Image.new("RGB", (width + width % 2, height + height % 2), PAPER)  # video needs even sizes
    page.paste(left, (0, LABEL))
    page.paste(right, (left.width, LABEL))
    draw = ImageDraw.Draw(page)
    draw.line((left.width, 0, left.width, page.height), fill=FRAME)
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    for middle, label in zip((left.width / 2, left.width + right.width / 2), labels):
        draw.text((middle, LABEL / 2), label, fill=SEEN, font=font, anchor="mm")
    x, y = 8., page.height - LABEL / 2
    names = ["lifted"] if hypotheses == 1 else [f"{h + 1}" for h in range(hypotheses)]
    for name, colour in (("detected joints", SEEN), *((name, _colour(h)) for h, name in enumerate(names))):
        draw.ellipse((x, y - 4, x + 8, y + 4), fill=colour)
        draw.text((x + 12, y), name, fill=colour, font=small, anchor="lm")
        x += 24 + draw.textlength(name, font=small)
    draw.text((page.width - 8, y), time, fill="grey", font=small, anchor="rm")
    return page
