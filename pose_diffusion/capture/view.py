"""Both skeletons over the image they belong to: what MediaPipe found, and what the refinement made of it.

Each part has a colour. What was filled in, or found and not believed, is magenta, the paler the less certain it is; a
hand that MediaPipe did not find is ringed in its picture. Below the picture, `Strip` shows of the last images when
each hand was lost.

Pictures are RGB. No window is opened here.
"""
from __future__ import annotations

from collections import deque
from functools import lru_cache

import cv2
import numpy as np

from pose_diffusion.capture.results import HANDS, Parts, holistic_header
from pose_diffusion.layout import BODY, FACE, FACE_POINTS, LEFT_HAND, RIGHT_HAND

Colour = tuple[int, int, int]  # RGB
MARK = (214, 0, 198)  # what was filled in, as in `preview.py`
COLOURS = {FACE: (150, 190, 200), BODY: (240, 240, 240), LEFT_HAND: (255, 170, 40), RIGHT_HAND: (80, 200, 255)}
ONE_COLOUR = (255, 120, 60), (70, 230, 170)  # MediaPipe's and the refined skeleton, where they lie over each other
# Legs are mostly out of the picture, and the body's three points of each hand lie in the hand.
HIDDEN = ("HIP", "KNEE", "ANKLE", "HEEL", "FOOT", "PINKY", "INDEX", "THUMB")
TITLE_HEIGHT, ROW_HEIGHT, GAP, RING = 24, 12, 4, 10  # pixels
STRIP_TEXT = 90  # pixels, for the names of the rows
NOTHING, SEEN, FILLED_IN = 0, 1, 2
STATE_COLOURS = np.array([(45, 45, 45), (90, 190, 90), MARK], np.uint8)
ROWS = {"body": BODY, "left hand": LEFT_HAND, "right hand": RIGHT_HAND}
INK, PAPER = (225, 225, 225), 25
FINE = 4  # bits of a pixel's fraction that OpenCV draws with
FAR = 1 << 14  # pixels: what is farther away is drawn there, since OpenCV's coordinates are 32 bits


class Strip:
    """The state of body and hands in the last images: not there, seen, or filled in.

    Parameters
    ----------
    images : int
        How many are remembered.
    """

    def __init__(self, images: int = 250):
        self._states: deque[tuple[int, ...]] = deque(maxlen=images)

    def add(self, raw: Parts, refined: Parts) -> None:
        """Take the next image's landmarks, as `side_by_side` does."""
        self._states.append(tuple(state(raw, refined, name) for name in ROWS.values()))

    @property
    def states(self) -> np.ndarray:
        """`(T, 3)`: NOTHING, SEEN or FILLED_IN of body, left and right hand, the latest last."""
        return np.array(self._states, dtype=int).reshape(-1, len(ROWS))

    def draw(self, width: int) -> np.ndarray:
        """`(36, width, 3)`: one row for each part, the latest image at the right."""
        picture = _row_names(width).copy()
        space, states = max(1, width - STRIP_TEXT), self.states
        length = self._states.maxlen or 1
        column = np.arange(space) * length // space - (length - len(states))  # which image is drawn where
        for i in range(len(ROWS) if len(states) else 0):
            row = slice(i * ROW_HEIGHT + 2, (i + 1) * ROW_HEIGHT - 1)
            picture[row, width - space:] = STATE_COLOURS[np.where(column >= 0, states[column.clip(0), i], NOTHING)]
        return picture


def state(raw: Parts, refined: Parts, name: str) -> int:
    """What is known of a part: NOTHING, SEEN, or FILLED_IN, which for a hand includes one that is not believed."""
    if name not in refined:
        return NOTHING
    doubted = name in HANDS and refined[name][:, 3].max() < 1  # MediaPipe's hands have confidence 1
    return FILLED_IN if doubted or name not in raw else SEEN


def shrink(image: np.ndarray, size: int) -> np.ndarray:
    """The image with at most `size` pixels along its longer edge; as it is, not copied, if it is small enough."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    if scale >= 1:
        return image
    return cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))),
                      interpolation=cv2.INTER_AREA)


def side_by_side(image: np.ndarray, raw: Parts, refined: Parts, *, mirror: bool = False) -> np.ndarray:
    """What was found at the left, what was made of it at the right.

    Parameters
    ----------
    image : np.ndarray
        `(H, W, 3)` uint8, RGB, of any size. It is only read.
    raw, refined : dict
        `read_parts` of MediaPipe's result for this image, and of `RefinedHolistic`'s.
    mirror : bool
        Show it as a mirror does; the landmarks stay what they are.

    Returns
    -------
    np.ndarray
        `(H + 24, 2 W + 4, 3)` uint8.
    """
    left, right = image.copy(), image.copy()
    for name, colour in COLOURS.items():
        if name in raw:
            _lines(left, name, raw[name], colour)
        if name in refined:
            points = refined[name]
            _lines(right, name, points, _invented_colour(points) if state(raw, refined, name) == FILLED_IN else colour)
    for name in HANDS:
        if name not in raw and name in refined:
            _ring(left, refined[name])
    if mirror:
        left, right = left[:, ::-1], right[:, ::-1]
    titles = [_title(image.shape[1], ((text, INK),)) for text in ("MediaPipe", "refined")]
    gap = np.full((image.shape[0] + TITLE_HEIGHT, GAP, 3), PAPER, np.uint8)
    halves = [np.vstack([title, half]) for title, half in zip(titles, (left, right))]
    return np.hstack([halves[0], gap, halves[1]])


def overlaid(image: np.ndarray, raw: Parts, refined: Parts, *, mirror: bool = False) -> np.ndarray:
    """Both skeletons in one picture, each in one colour, the refined in front; parameters as of `side_by_side`.

    Returns
    -------
    np.ndarray
        `(H + 24, W, 3)` uint8.
    """
    picture = image.copy()
    for name in COLOURS:
        if name in raw:
            _lines(picture, name, raw[name], ONE_COLOUR[0], 3)
        if name in refined:
            points = refined[name]
            invented = state(raw, refined, name) == FILLED_IN
            _lines(picture, name, points, _invented_colour(points) if invented else ONE_COLOUR[1])
    title = _title(image.shape[1], tuple(zip(("MediaPipe", "refined", "filled in"), (*ONE_COLOUR, MARK))))
    return np.vstack([title, picture[:, ::-1] if mirror else picture])


def page(picture: np.ndarray, strip: Strip, caption: str) -> np.ndarray:
    """A picture with the strip and a line of text below; its width and height are even, as videos need them."""
    width = picture.shape[1]
    parts = [picture, strip.draw(width), _title(width, ((caption, INK),), .4)]
    height = sum(len(part) for part in parts)
    out = np.full((height + height % 2, width + width % 2, 3), PAPER, np.uint8)
    out[:height, :width] = np.vstack(parts)
    return out


@lru_cache(maxsize=1)
def _limbs() -> dict[str, np.ndarray]:
    """`(L, 2)` for each part: which points are joined, of those that are worth drawing."""
    limbs = {}
    for component in holistic_header(1, 1).components:
        if component.name == FACE:
            shown = [point in FACE_POINTS for point in component.points]
        else:
            in_body = component.name == BODY
            shown = [not (in_body and any(word in point for word in HIDDEN)) for point in component.points]
        limbs[component.name] = np.array([(a, b) for a, b in component.limbs if shown[a] and shown[b]])
    return limbs


def _invented_colour(points: np.ndarray) -> Colour:
    """Magenta, the paler the less certain."""
    sure = float(points[points[:, 3] > 0, 3].mean())
    return tuple(round(255 + (channel - 255) * (.3 + .7 * sure)) for channel in MARK)  # type: ignore[return-value]


def _pixels(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """`(N, 2)` float, pixels; not finite or without confidence: NaN."""
    height, width = image.shape[:2]
    with np.errstate(over="ignore", invalid="ignore"):
        at = np.where((points[:, 3:] > 0) & np.isfinite(points[:, :2]), points[:, :2] * [width, height], np.nan)
    return at.clip(-FAR, FAR)


def _lines(image: np.ndarray, name: str, points: np.ndarray, colour: Colour, wider: int = 0) -> None:
    """Draw a part into the image."""
    at, thick = _pixels(image, points), wider + (1 if name == FACE else 2)
    lines = at[_limbs()[name]]  # (L, 2, 2)
    lines = lines[np.isfinite(lines).all((1, 2))]
    if len(lines):
        fine = np.round(lines * (1 << FINE)).astype(np.int32)
        cv2.polylines(image, list(fine), False, colour, thick, cv2.LINE_AA, FINE)


def _ring(image: np.ndarray, points: np.ndarray) -> None:
    """Mark where a part is missing."""
    at = _pixels(image, points)
    at = at[np.isfinite(at).all(1)]
    if len(at):
        low, high = at.min(0) - RING, at.max(0) + RING
        centre, half = (low + high) / 2, (high - low) / 2
        cv2.ellipse(image, (tuple(centre.tolist()), tuple((2 * half).tolist()), 0), MARK, 2, cv2.LINE_AA)


@lru_cache(maxsize=16)
def _title(width: int, words: tuple[tuple[str, Colour], ...], size: float = .5) -> np.ndarray:
    """A strip with text, each word in its colour; only to be read."""
    strip = np.full((TITLE_HEIGHT, width, 3), PAPER, np.uint8)
    x = 8
    for text, colour in words:
        _write(strip, text, (x, TITLE_HEIGHT - 8), size, colour)
        x += cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0] + 16
    return strip


@lru_cache(maxsize=4)
def _row_names(width: int) -> np.ndarray:
    """The strip without its states; only to be read."""
    strip = np.full((ROW_HEIGHT * len(ROWS), width, 3), PAPER, np.uint8)
    for i, name in enumerate(ROWS):
        _write(strip, name, (6, (i + 1) * ROW_HEIGHT - 2), .36)
    return strip


def _write(image: np.ndarray, text: str, at: tuple[int, int], size: float, colour: Colour = INK) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
