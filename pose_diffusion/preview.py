"""A pose alone, or before and after, as a GIF or an MP4: the lost is ringed, the invented has a colour of its own."""
from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions

from pose_diffusion.files import atomic
from pose_diffusion.layout import FACE, FACE_POINTS, WORLD

if TYPE_CHECKING:
    from PIL.Image import Image

MARK = (214, 0, 198)  # RGB; no component of Holistic has it
LEGS = ("HIP", "KNEE", "ANKLE", "HEEL", "FOOT")  # hardly ever in the camera's picture: MediaPipe guesses them
LABEL_HEIGHT, GAP, RING = 24, 10, 9  # pixels: the strips above and below, between the pictures, around lost points
FINE = 2  # lines are drawn this much larger and scaled down: OpenCV has no thin ones
MAX_FPS = 25.0  # more is not worth the size of the file


def save_preview(before: Pose, after: Pose, path: str | os.PathLike[str], *,
                 labels: tuple[str, str] = ("before", "after"), size: int = 360,
                 seconds: float = 10.0) -> tuple[float, float]:
    """Draw two poses of the same points and frames side by side, with the same crop.

    What the left lacks and the right has is ringed on the left and drawn in magenta on the right, the paler the less
    certain it is. Legs and world landmarks are left out, and of the face all but its contours.

    Parameters
    ----------
    before, after : Pose
        Of equal shape, in pixels. They are only read.
    path : path
        The file to write; it ends in `.gif` or `.mp4`.
    labels : (str, str)
        What is written over the two pictures.
    size : int
        Pixels along the longer edge of each of the two pictures.
    seconds : float
        The most that is shown. Of a longer pose it is the part with the most invented points, and the picture says so.

    Returns
    -------
    (float, float)
        Start and end in seconds of the part that is shown.

    Raises
    ------
    ValueError
        If the poses do not match, hold nothing that can be drawn, or the file's ending is not one of the two.
    ImportError
        If a library for drawing is missing.
    """
    write = writer(path)
    if before.body.data.shape != after.body.data.shape:
        raise ValueError(f"before has the shape {before.body.data.shape}, after {after.body.data.shape}: no preview")
    fps = float(before.body.fps)
    frames = _busiest(_confidence(before), _confidence(after), max(1, round(seconds * fps)))
    step = max(1, round(fps / MAX_FPS))
    shown = slice(frames.start, frames.stop, step)
    halves = _halves(_drawable(before, shown), _drawable(after, shown), size)
    times = np.arange(frames.start, frames.stop, step) / fps
    all_frames = len(before.body.data)
    part = "" if len(frames) == all_frames else f" of {all_frames / fps:.1f} s"
    pictures = [_page(left, right, labels, f"{time:.2f} s{part}") for (left, right), time in zip(halves, times)]
    with atomic(path) as temporary:
        write(pictures, temporary, fps / step)
    return frames.start / fps, frames.stop / fps


def save_pose_preview(pose: Pose, path: str | os.PathLike[str], *, label: str = "", size: int = 480,
                      seconds: float = 20.0) -> tuple[float, float]:
    """Draw one pose: its points, without legs, world landmarks and all of the face but its contours.

    Parameters
    ----------
    pose : Pose
        In pixels. It is only read.
    path : path
        The file to write; it ends in `.gif` or `.mp4`.
    label : str
        What is written above.
    size : int
        Pixels along the longer edge of the picture.
    seconds : float
        The most that is shown, from the start; the picture says so.

    Returns
    -------
    (float, float)
        Start and end in seconds of the part that is shown.

    Raises
    ------
    ValueError
        If the pose holds nothing that can be drawn, or the file's ending is not one of the two.
    ImportError
        If a library for drawing is missing.
    """
    write = writer(path)
    fps, all_frames = float(pose.body.fps), len(pose.body.data)
    frames, step = min(all_frames, max(1, round(seconds * fps))), max(1, round(fps / MAX_FPS))
    drawn = _drawable(pose, slice(0, frames, step))
    corner, extent = _box([drawn])
    scale = FINE * size / extent.max()
    width, height = np.ceil(extent * scale).astype(int).tolist()
    part = "" if frames == all_frames else f" of {all_frames / fps:.1f} s"
    pictures = [_single(_image(frame), label, f"{i * step / fps:.2f} s{part}")
                for i, frame in enumerate(_draw(_scaled(drawn, corner, scale, width, height)))]
    with atomic(path) as temporary:
        write(pictures, temporary, fps / step)
    return 0.0, frames / fps


def writer(path: str | os.PathLike[str]) -> Callable[[list[Image], Path, float], None]:
    """What writes the pictures at a frame rate to a file of this ending."""
    check_installed()
    writers = {".gif": _write_gif, ".mp4": _write_mp4}
    ending = Path(path).suffix.lower()
    if ending not in writers:
        raise ValueError(f"a preview ends in {' or '.join(writers)}, not in {ending!r}")
    return writers[ending]


def check_installed() -> None:
    """Raise an ImportError that says what to install, unless the libraries for drawing are there."""
    try:
        import av  # noqa: F401
        import cv2  # noqa: F401
        import PIL  # noqa: F401
    except ImportError as error:
        raise ImportError(f"A preview needs {error.name}. Please install it with: pip install 'pose-diffusion[preview]'"
                          ) from error


def _confidence(pose: Pose) -> np.ndarray:
    """`(frames, people, points)`: 0 where there is nothing to draw."""
    data = np.ma.getdata(pose.body.data)[..., :2]
    return np.where(np.isfinite(data).all(-1), np.nan_to_num(np.ma.getdata(pose.body.confidence)), 0)


def _busiest(before: np.ndarray, after: np.ndarray, length: int) -> range:
    """The `length` frames in which `after` has most points that `before` lacks; all frames if there are no more."""
    if len(before) <= length:
        return range(len(before))
    invented = np.cumsum(((before == 0) & (after > 0)).sum((1, 2)))
    start = int(np.argmax(invented[length - 1:] - np.concatenate([[0], invented[:-length]])))
    return range(start, start + length)


def _drawable(pose: Pose, frames: slice) -> Pose:
    """Some frames of a pose, without the points that only clutter the picture."""
    hidden = [c.name == WORLD or any(leg in p for leg in LEGS) or (c.name == FACE and p not in FACE_POINTS)
              for c in pose.header.components for p in c.points]
    confidence = _confidence(pose)[frames] * ~np.array(hidden)
    data = np.where(confidence[..., None] > 0, np.ma.getdata(pose.body.data)[frames], 0)
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, confidence))


def _box(poses: list[Pose]) -> tuple[np.ndarray, np.ndarray]:
    """The corner and the extent `(2,)` of what the poses cover in nearly all frames: single outliers do not count."""
    corners = []
    for pose in poses:
        seen = pose.body.confidence[..., None] > 0
        frames = seen.any((1, 2, 3))
        points = np.ma.getdata(pose.body.data)[frames, ..., :2]
        if len(points):
            low = np.where(seen[frames], points, np.inf).min((1, 2))
            high = np.where(seen[frames], points, -np.inf).max((1, 2))
            corners.append((np.percentile(low, 2, axis=0), np.percentile(high, 98, axis=0)))
    if not corners:
        raise ValueError("no frame has a point that could be drawn: no preview")
    low, high = np.min([c[0] for c in corners], axis=0), np.max([c[1] for c in corners], axis=0)
    margin = max(1.0, 0.06 * float((high - low).max()))
    return low - margin, high - low + 2 * margin


def _halves(before: Pose, after: Pose, size: int) -> Iterator[tuple[Image, Image]]:
    """The picture of each frame of both poses, with marks; both cover the same area."""
    corner, extent = _box([before, after])
    scale = FINE * size / extent.max()
    width, height = np.ceil(extent * scale).astype(int).tolist()
    before, after = (_scaled(pose, corner, scale, width, height) for pose in (before, after))
    new = (before.body.confidence == 0) & (after.body.confidence > 0)
    certain = Pose(after.header, NumPyPoseBody(1, after.body.data, np.where(new, 0, after.body.confidence)))
    # Even the least certain point has to be seen on white.
    visible = new * (0.3 + 0.7 * after.body.confidence)
    invented = Pose(_recoloured(after.header), NumPyPoseBody(1, after.body.data, visible))
    points = np.ma.getdata(after.body.data)[..., :2]
    for left, right, where, mask in zip(_draw(before), _draw(invented, on=_draw(certain)), points, new):
        yield _ringed(_image(left), where / FINE, mask, after.header), _image(right)


def _scaled(pose: Pose, corner: np.ndarray, scale: float, width: int, height: int) -> Pose:
    header = copy.deepcopy(pose.header)  # headers are shared between poses
    header.dimensions = PoseHeaderDimensions(width, height)
    data = np.ma.getdata(pose.body.data).astype(np.float64)
    data[..., :2] = (data[..., :2] - corner) * scale
    far = 10 * max(width, height)  # OpenCV cannot draw to points that are millions of pixels away
    return Pose(header, NumPyPoseBody(pose.body.fps, np.clip(data, -far, far), pose.body.confidence))


def _recoloured(header: PoseHeader) -> PoseHeader:
    header = copy.deepcopy(header)
    for component in header.components:
        component.colors = [MARK]
    return header


def _draw(pose: Pose, on: Iterator[np.ndarray] | None = None) -> Iterator[np.ndarray]:
    from pose_format.pose_visualizer import PoseVisualizer

    visualizer = PoseVisualizer(pose, thickness=3)
    return visualizer.draw() if on is None else visualizer.draw_on_video(on)


def _image(frame: np.ndarray) -> Image:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(frame[..., ::-1])).reduce(FINE)  # OpenCV draws in BGR


def _ringed(image: Image, points: np.ndarray, lost: np.ndarray, header: PoseHeader) -> Image:
    """A ring around the lost points of each person's components; `points` is `(people, points, 2)` in pixels."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(image)
    start = 0
    for component in header.components:
        part = slice(start, start := start + len(component.points))
        for where in (points[person, part][lost[person, part]] for person in range(len(points))):
            if len(where):
                (x0, y0), (x1, y1) = where.min(0) - RING, where.max(0) + RING
                draw.ellipse((x0, y0, x1, y1), outline=MARK, width=2)
    return image


def _page(left: Image, right: Image, labels: tuple[str, str], caption: str) -> Image:
    """The two halves with their labels above and the meaning of the marks and the caption below."""
    from PIL import Image, ImageDraw, ImageFont

    size = (2 * left.width + GAP, left.height + 2 * LABEL_HEIGHT)
    page = Image.new("RGB", (size[0] + size[0] % 2, size[1] + size[1] % 2), "white")  # video needs even sizes
    page.paste(left, (0, LABEL_HEIGHT))
    page.paste(right, (left.width + GAP, LABEL_HEIGHT))
    draw = ImageDraw.Draw(page)
    draw.line((left.width + GAP // 2, 0, left.width + GAP // 2, page.height), fill="lightgrey")
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    top, bottom = LABEL_HEIGHT / 2, page.height - LABEL_HEIGHT / 2
    for x, label in zip((left.width / 2, left.width * 1.5 + GAP), labels):
        draw.text((x, top), label, fill="black", font=font, anchor="mm")
    draw.text((8, bottom), "ring: lost", fill=MARK, font=small, anchor="lm")
    draw.text((left.width + GAP + 8, bottom), "magenta: filled in", fill=MARK, font=small, anchor="lm")
    draw.text((page.width - 8, bottom), caption, fill="grey", font=small, anchor="rm")
    return page


def _single(picture: Image, label: str, caption: str) -> Image:
    """One picture with its label above and the caption below."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = picture.width, picture.height + 2 * LABEL_HEIGHT
    page = Image.new("RGB", (width + width % 2, height + height % 2), "white")  # video needs even sizes
    page.paste(picture, (0, LABEL_HEIGHT))
    draw = ImageDraw.Draw(page)
    draw.text((width / 2, LABEL_HEIGHT / 2), label, fill="black", font=ImageFont.load_default(15), anchor="mm")
    draw.text((width - 8, page.height - LABEL_HEIGHT / 2), caption, fill="grey", font=ImageFont.load_default(12),
              anchor="rm")
    return page


def _write_gif(pictures: list[Image], path: Path, fps: float) -> None:
    from PIL import Image

    sample = pictures[::max(1, len(pictures) // 8)]
    strip = Image.new("RGB", (sample[0].width, sum(p.height for p in sample)))
    for i, picture in enumerate(sample):
        strip.paste(picture, (0, i * picture.height))
    palette = strip.quantize(colors=128, method=Image.Quantize.FASTOCTREE)  # one for all, so that frames share pixels
    frames = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    times = np.round(np.arange(len(frames) + 1) * 100 / fps) * 10  # GIF counts in hundredths: round times, not steps
    durations = np.diff(times).astype(int).tolist()
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)


def _write_mp4(pictures: list[Image], path: Path, fps: float) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
