"""A camera and a window, with OpenCV."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

CAMERA_FPS = 25.0  # of a camera that does not say
ENDING = (27, ord("q"), ord("Q"))  # 27: Esc
TRY_WINDOW = "import cv2; cv2.namedWindow('live_pose')"
# MediaPipe brings opencv-contrib-python, over which the headless one may have been installed.
WITH_WINDOWS = ("pip uninstall opencv-python-headless, then pip install --force-reinstall --no-deps "
                "opencv-contrib-python")


@dataclass(frozen=True, eq=False)
class Source:
    """Where images come from.

    Attributes
    ----------
    name : str
        For messages.
    images : iterator of (float, np.ndarray)
        Seconds since the first image; RGB `(H, W, 3)` uint8.
    fps : float
        Images per second: of a file what it says, of a camera what it promises.
    live : bool
        A camera: its rate has to be measured, and it does not end by itself.
    """

    name: str
    images: Iterator[tuple[float, np.ndarray]]
    fps: float
    live: bool


@contextmanager
def open_camera(number: int) -> Iterator[Source]:
    """A camera, freed at the end.

    Parameters
    ----------
    number : int
        From 0, as the system counts them.

    Raises
    ------
    ImportError
        Without OpenCV; says what to install.
    OSError
        If there is no such camera, or another program has it.
    """
    cv2, name = import_opencv(), f"camera {number}"
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise OSError(f"{name} cannot be opened: try another number, and see that no other program is using it")
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # old images would add to the lag
        promised = camera.get(cv2.CAP_PROP_FPS)
        yield Source(name, _images(cv2, camera), promised if 1 <= promised <= 1000 else CAMERA_FPS, live=True)
    finally:
        camera.release()


def _images(cv2: Any, camera: Any) -> Iterator[tuple[float, np.ndarray]]:
    """With the times at which they came."""
    begun = None
    while True:
        there, image = camera.read()
        if not there:
            return
        now = perf_counter()
        begun = now if begun is None else begun
        yield now - begun, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


class Window:
    """A picture on the screen; see `open_window`."""

    def __init__(self, cv2: Any, title: str):
        self._cv2, self._title, self._begun = cv2, title, perf_counter()
        self._visible = False  # some builds do not know whether it is

    def show(self, picture: np.ndarray, time: float | None = None) -> bool:
        """Show a picture and look for keys.

        Parameters
        ----------
        picture : np.ndarray
            `(H, W, 3)` uint8, RGB.
        time : float, optional
            Seconds since the first picture until which it stays, at least, if a key does not end it.

        Returns
        -------
        bool
            Whether to go on: neither q nor Esc was pressed, and the window was not closed.
        """
        cv2 = self._cv2
        cv2.imshow(self._title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        now = perf_counter()
        if time == 0:
            self._begun = now
        wait = 0.0 if time is None else self._begun + time - now
        key = cv2.waitKey(max(1, round(1000 * wait))) & 255
        closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        self._visible |= not closed
        return key not in ENDING and not (closed and self._visible)


@contextmanager
def open_window(title: str) -> Iterator[Window]:
    """A window, closed at the end. Ask `check_window` before."""
    cv2 = import_opencv()
    cv2.namedWindow(title, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)  # without buttons
    try:
        yield Window(cv2, title)
    finally:
        cv2.destroyAllWindows()


def check_window() -> None:
    """Raise an error that says what to do unless a window can be opened.

    This is tried in another process: without a display, some builds of OpenCV end theirs.

    Raises
    ------
    ImportError
        Without OpenCV, or with one that has no windows; says what to install.
    OSError
        Without a display.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise OSError("there is no display to open a window on: use --headless")
    import_opencv()
    tried = subprocess.run([sys.executable, "-c", TRY_WINDOW], capture_output=True, text=True)
    if "not implemented" in tried.stderr:
        raise ImportError(f"This OpenCV has no windows. Please install one that has: {WITH_WINDOWS}; or use --headless")
    if tried.returncode:
        raise OSError("the display cannot be used: use --headless")


def import_opencv() -> Any:
    """OpenCV, or an error that says what to install."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(f"OpenCV is missing ({error}). Please install: pip install 'pose-diffusion[mediapipe]'"
                          ) from error
    return cv2
