"""Both skeletons over the video they were found in, side by side, as an MP4 of the same length."""
from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
from pose_format import Pose

from pose_diffusion.capture.results import Parts

SIZE = 640  # pixels along the longer edge of each of the two pictures


def save_video_preview(frames: Iterable[np.ndarray], raw: Pose, refined: Pose, path: str | os.PathLike[str]) -> None:
    """Draw MediaPipe's skeleton on the left and the refined one on the right, over the video.

    What was filled in, or found and not believed, is magenta, the paler the less certain; a hand that was lost is
    ringed on the left. A strip below shows the whole video: when body and hands were seen (green) or filled in.

    Parameters
    ----------
    frames : iterable of np.ndarray
        RGB images `(H, W, 3)` uint8, one for each frame of the poses, of one even size of your choice. Read once, none
        is kept.
    raw, refined : Pose
        Of the same frames, with the components of MediaPipe Holistic, of which the first person is drawn. Points are
        in pixels of the header's width and height. They are only read.
    path : path
        The `.mp4` to write; an existing file is replaced when the new one is complete.

    Raises
    ------
    ValueError
        If the poses do not match.
    ImportError
        If OpenCV or PyAV is missing.
    PoseFileError
        If the file cannot be written.
    """
    if raw.body.data.shape[:1] != refined.body.data.shape[:1]:
        raise ValueError(f"the raw pose has {len(raw.body.data)} frames, the refined one {len(refined.body.data)}: no "
                         "preview")
    check_installed()
    from pose_diffusion.capture.recording import record_pictures
    from pose_diffusion.capture.view import Strip, page, side_by_side

    count, fps = len(raw.body.data), float(raw.body.fps)
    strip = Strip(count)
    for i in range(count):
        strip.add(parts_of(raw, i), parts_of(refined, i))
    with record_pictures(path) as recording:
        for i, frame in zip(range(count), frames):
            picture = side_by_side(frame, parts_of(raw, i), parts_of(refined, i))
            caption = f"{i / fps:.2f} of {count / fps:.2f} s    magenta: filled in    ring: lost hand"
            recording.add(page(picture, strip, caption), i / fps)


def check_installed() -> None:
    """Raise an ImportError that says what to install, unless the libraries for drawing are there."""
    try:
        import av  # noqa: F401
        import cv2  # noqa: F401
    except ImportError as error:
        raise ImportError(f"A preview needs {error.name}. Please install it with: pip install 'pose-diffusion[preview]'"
                          ) from error


def parts_of(pose: Pose, frame: int, person: int = 0) -> Parts:
    """One frame of a pose as `read_parts` gives it.

    Returns
    -------
    dict of str to np.ndarray
        By component `(N, 4)`: x and y as shares of the image, z, and the confidence; a component without any point
        seen is not there.
    """
    size = [pose.header.dimensions.width, pose.header.dimensions.height]
    parts, start = {}, 0
    for component in pose.header.components:
        here = slice(start, start := start + len(component.points))
        confidence = pose.body.confidence[frame, person, here]
        if (confidence > 0).any():
            data = np.ma.getdata(pose.body.data)[frame, person, here]
            parts[component.name] = np.column_stack([data[:, :2] / size, data[:, 2], confidence]).astype(float)
    return parts
