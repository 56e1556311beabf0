"""Files that are written while the images come in, and appear when they are whole: hours of them need no memory."""
from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np
from pose_format.pose_header import PoseHeader

from pose_diffusion.capture.results import Parts, to_arrays
from pose_diffusion.files import BODY_START, atomic

CLOCK = 90_000  # ticks per second in a video, as usual in MP4


class PoseRecording:
    """A `.pose` file of one person, frame by frame; see `record_pose`.

    A frame of 576 points takes 9216 bytes, a minute at 25 frames per second 13.8 million, on the disk only.
    """

    def __init__(self, file: BinaryIO, confidence: BinaryIO):
        self._file, self._confidence = file, confidence  # a file has the confidence of all frames after their points
        self._header: PoseHeader | None = None
        self._body = 0  # where in the file the header ends
        self.frames = 0

    def add(self, header: PoseHeader, parts: Parts) -> None:
        """Append a frame.

        Parameters
        ----------
        header : PoseHeader
            Of `holistic_header`; that of the first frame is written.
        parts : dict
            Of `read_parts`. What is not finite is stored as missing.
        """
        if self._header is None:
            self._header = header
            header.write(self._file)
            self._body = self._file.tell()
            self._file.write(bytes(BODY_START[0.2].size))
        data, confidence = to_arrays([parts], self._header)
        with np.errstate(over="ignore"):
            stored = data[0].astype("<f4")
        seen = (confidence[0] > 0) & np.isfinite(stored).all(-1)
        self._file.write(np.where(seen[:, None], stored, 0).astype("<f4").tobytes())
        self._confidence.write(np.where(seen, confidence[0], 0).astype("<f4").tobytes())
        self.frames += 1

    def finish(self, fps: float) -> None:
        """Complete the file. Call it last.

        Parameters
        ----------
        fps : float
            Frames per second.

        Raises
        ------
        ValueError
            If there is no frame.
        """
        if not self.frames:
            raise ValueError("no image came, so there is no pose to write")
        self._confidence.seek(0)
        shutil.copyfileobj(self._confidence, self._file, 1 << 20)
        self._file.seek(self._body)
        self._file.write(BODY_START[0.2].pack(fps, self.frames, 1))


@contextmanager
def record_pose(path: str | os.PathLike[str]) -> Iterator[PoseRecording]:
    """Write a `.pose` file frame by frame. An existing file is replaced at the end, if nothing went wrong until then.

    Parameters
    ----------
    path : path
        The file; see `atomic`.

    Raises
    ------
    PoseFileError
        If it cannot be written.
    """
    with (atomic(path) as temporary, open(temporary, "r+b") as file,
          TemporaryFile(dir=temporary.parent) as confidence):
        yield PoseRecording(file, confidence)


class PictureRecording:
    """A video, picture by picture; see `record_pictures`."""

    def __init__(self, container: Any):
        self._container, self._last = container, -1
        self._stream: Any = None

    def add(self, picture: np.ndarray, time: float) -> None:
        """Append a picture.

        Parameters
        ----------
        picture : np.ndarray
            `(H, W, 3)` uint8, RGB, of even size, the same for all.
        time : float
            When it is shown, seconds since the first.
        """
        import av

        if self._stream is None:
            # x264's fastest settings but two: MediaPipe needs the time
            self._stream = self._container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
            self._stream.pix_fmt = "yuv420p"
            self._stream.height, self._stream.width = picture.shape[:2]
            self._stream.codec_context.time_base = Fraction(1, CLOCK)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))
        frame.pts = self._last = max(self._last + 1, round(time * CLOCK))
        frame.time_base = Fraction(1, CLOCK)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what x264 holds back."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())


@contextmanager
def record_pictures(path: str | os.PathLike[str]) -> Iterator[PictureRecording]:
    """Write an MP4, picture by picture, at any times. An existing file is replaced at the end.

    Parameters
    ----------
    path : path
        The file; see `atomic`.

    Raises
    ------
    ImportError
        Without PyAV; says what to install.
    PoseFileError
        If it cannot be written.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError("A video is written with PyAV. Please install it with: pip install 'pose-diffusion[preview]'"
                          ) from error
    with atomic(path) as temporary, av.open(str(Path(temporary)), "w", format="mp4") as container:
        recording = PictureRecording(container)
        yield recording
        recording.finish()
