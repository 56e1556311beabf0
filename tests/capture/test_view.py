from __future__ import annotations

import numpy as np
import pytest

from pose_diffusion.capture.results import Parts, read_parts
from pose_diffusion.capture.view import (
    COLOURS,
    FILLED_IN,
    GAP,
    MARK,
    NOTHING,
    ONE_COLOUR,
    ROW_HEIGHT,
    ROWS,
    SEEN,
    STATE_COLOURS,
    STRIP_TEXT,
    TITLE_HEIGHT,
    Strip,
    overlaid,
    page,
    shrink,
    side_by_side,
)
from pose_diffusion.layout import BODY, FACE, HAND_POINTS, LEFT_HAND, RIGHT_HAND
from tests.capture.mediapipe_results import legacy
from tests.poses import constructed_pose

WIDTH, HEIGHT = 640, 480
WRIST, KNUCKLE = HAND_POINTS.index("WRIST"), HAND_POINTS.index("INDEX_FINGER_MCP")


@pytest.fixture
def image() -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), 60, np.uint8)


@pytest.fixture
def parts() -> Parts:
    """A whole person."""
    return read_parts(next(legacy(constructed_pose(1, scale=110))), WIDTH / HEIGHT)


def shifted(parts: Parts, x: float) -> Parts:
    return {name: points + [x, 0, 0, 0] for name, points in parts.items()}


def without(parts: Parts, *names: str) -> Parts:
    return {name: points for name, points in parts.items() if name not in names}


def unsure(parts: Parts, name: str, confidence: float) -> Parts:
    points = parts[name].copy()
    points[:, 3] = confidence
    return {**parts, name: points}


def halves(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return picture[TITLE_HEIGHT:, :WIDTH], picture[TITLE_HEIGHT:, WIDTH + GAP:]


def drawn(half: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """`(N, 2)`: x, y where the colour is."""
    return np.argwhere((half == colour).all(-1))[:, ::-1]


def middle(parts: Parts, name: str) -> np.ndarray:
    """Of the bone from the wrist to the index finger, pixels."""
    return parts[name][[WRIST, KNUCKLE], :2].mean(0) * [WIDTH, HEIGHT]


def is_drawn_at(half: np.ndarray, colour: tuple[int, ...], at: np.ndarray) -> bool:
    there = drawn(half, colour)
    return bool(len(there) and np.linalg.norm(there - at, axis=1).min() < 2)


def test_each_skeleton_is_drawn_where_it_is(image: np.ndarray, parts: Parts) -> None:
    picture = side_by_side(image, parts, shifted(parts, .1))
    assert picture.shape == (HEIGHT + TITLE_HEIGHT, 2 * WIDTH + GAP, 3)
    left, right = halves(picture)
    for name in (LEFT_HAND, RIGHT_HAND):
        at = middle(parts, name)
        assert is_drawn_at(left, COLOURS[name], at)
        assert is_drawn_at(right, COLOURS[name], at + [.1 * WIDTH, 0])
        assert not len(drawn(left, MARK))
        assert not len(drawn(right, MARK))
    assert (image == 60).all()


def test_a_mirror_turns_the_picture_and_not_its_titles(image: np.ndarray, parts: Parts) -> None:
    plain, turned = side_by_side(image, parts, parts), side_by_side(image, parts, parts, mirror=True)
    np.testing.assert_array_equal(plain[:TITLE_HEIGHT], turned[:TITLE_HEIGHT])
    for a, b in zip(halves(plain), halves(turned)):
        np.testing.assert_array_equal(a[:, ::-1], b)
    assert (halves(plain)[0] != halves(turned)[0]).any()
    both = (overlaid(image, parts, parts, mirror=mirror)[TITLE_HEIGHT:] for mirror in (False, True))
    np.testing.assert_array_equal(next(both)[:, ::-1], next(both))


def test_a_lost_hand_is_ringed_and_what_fills_it_is_magenta(image: np.ndarray, parts: Parts) -> None:
    refined = unsure(parts, RIGHT_HAND, .95)
    left, right = halves(side_by_side(image, without(parts, RIGHT_HAND), refined))
    ring = drawn(left, MARK)
    hand = parts[RIGHT_HAND][:, :2] * [WIDTH, HEIGHT]
    assert (ring.min(0) < hand.min(0)).all()
    assert (ring.max(0) > hand.max(0)).all()
    assert not len(drawn(left, COLOURS[RIGHT_HAND]))
    assert not len(drawn(right, COLOURS[RIGHT_HAND]))
    at = middle(parts, RIGHT_HAND).round().astype(int)
    red, green, blue = right[at[1] - 1:at[1] + 2, at[0] - 1:at[0] + 2].reshape(-1, 3).astype(int).mean(0)
    assert red > green + 100
    assert blue > green + 100
    assert len(drawn(right, COLOURS[LEFT_HAND]))


def test_the_less_certain_the_paler(image: np.ndarray, parts: Parts) -> None:
    green = []
    for confidence in (.9, .5, .1):
        at = middle(parts, RIGHT_HAND).round().astype(int)
        right = halves(side_by_side(image, parts, unsure(parts, RIGHT_HAND, confidence)))[1]
        green.append(int(right[at[1], at[0], 1]))
    assert green[0] < green[1] < green[2]


def test_both_over_each_other_have_a_colour_each(image: np.ndarray, parts: Parts) -> None:
    picture = overlaid(image, parts, unsure(shifted(parts, .2), LEFT_HAND, .95))
    assert picture.shape == (HEIGHT + TITLE_HEIGHT, WIDTH, 3)
    below, at = picture[TITLE_HEIGHT:], middle(parts, RIGHT_HAND)
    assert is_drawn_at(below, ONE_COLOUR[0], at)
    assert is_drawn_at(below, ONE_COLOUR[1], at + [.2 * WIDTH, 0])
    assert not is_drawn_at(below, ONE_COLOUR[1], middle(parts, LEFT_HAND) + [.2 * WIDTH, 0])
    below = overlaid(image, parts, parts)[TITLE_HEIGHT:]  # neither hides the other
    for colour in ONE_COLOUR:
        assert len(drawn(below, colour)) > 100


def test_legs_are_left_out(image: np.ndarray, parts: Parts) -> None:
    body = parts[BODY].copy()
    body[25:, :2] = .1, .9  # in sight
    left, _ = halves(side_by_side(image, {BODY: body}, {BODY: body}))
    there = drawn(left, COLOURS[BODY])
    assert len(there)
    assert np.linalg.norm(there - [.1 * WIDTH, .9 * HEIGHT], axis=1).min() > 20


def test_nobody_is_the_image_alone(image: np.ndarray) -> None:
    for half in halves(side_by_side(image, {}, {})):
        np.testing.assert_array_equal(half, image)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30, 1e6, -3.0])
def test_what_is_far_away_or_no_number_does_no_harm(image: np.ndarray, parts: Parts, value: float) -> None:
    wild = {name: points.copy() for name, points in parts.items()}
    for points in wild.values():
        points[::2, :2] = value
    for half in halves(side_by_side(image, without(wild, LEFT_HAND), wild)):
        assert (half != image).any()
    all_gone = {name: np.where([True, True, False, False], np.nan, points) for name, points in parts.items()}
    for half in halves(side_by_side(image, without(all_gone, LEFT_HAND), all_gone)):
        np.testing.assert_array_equal(half, image)


def test_points_without_confidence_are_not_drawn(image: np.ndarray, parts: Parts) -> None:
    left, right = halves(side_by_side(image, unsure(parts, FACE, 0), unsure(parts, BODY, 0)))
    assert not len(drawn(left, COLOURS[FACE]))
    assert len(drawn(right, COLOURS[FACE]))
    assert not len(drawn(right, COLOURS[BODY]))


def test_the_strip_remembers_the_last_images(parts: Parts) -> None:
    strip = Strip(4)
    strip.add({}, {})
    for raw, refined in ((parts, parts), (without(parts, LEFT_HAND), unsure(parts, LEFT_HAND, .7)),
                         (parts, unsure(parts, RIGHT_HAND, .9)), ({}, parts)):
        strip.add(raw, refined)
    np.testing.assert_array_equal(strip.states, [[SEEN, SEEN, SEEN], [SEEN, FILLED_IN, SEEN],
                                                 [SEEN, SEEN, FILLED_IN], [FILLED_IN] * 3])
    strip.add({}, {})
    assert (strip.states[-1] == NOTHING).all()
    assert len(strip.states) == 4


def test_the_strip_is_drawn_with_the_latest_at_the_right(parts: Parts) -> None:
    strip = Strip(8)
    assert strip.states.shape == (0, 3)
    for refined in (parts, unsure(parts, RIGHT_HAND, .5)):
        strip.add(parts, refined)
    picture = strip.draw(STRIP_TEXT + 80)
    assert picture.shape == (ROW_HEIGHT * len(ROWS), STRIP_TEXT + 80, 3)
    row = picture[2 * ROW_HEIGHT + ROW_HEIGHT // 2, STRIP_TEXT:]  # the right hand's
    np.testing.assert_array_equal(row[:60], np.tile(STATE_COLOURS[NOTHING], (60, 1)))
    np.testing.assert_array_equal(row[60:70], np.tile(STATE_COLOURS[SEEN], (10, 1)))
    np.testing.assert_array_equal(row[70:], np.tile(STATE_COLOURS[FILLED_IN], (10, 1)))


@pytest.mark.parametrize("size", [(479, 639), (10, 7), (1, 1)])
def test_a_page_has_even_sides(size: tuple[int, int]) -> None:
    picture = page(np.zeros((*size, 3), np.uint8), Strip(), "caption")
    assert (picture.shape[0] % 2, picture.shape[1] % 2) == (0, 0)
    assert picture.shape[0] >= size[0] + ROW_HEIGHT * len(ROWS) + TITLE_HEIGHT
    np.testing.assert_array_equal(picture[:size[0], :size[1]], 0)


def test_images_are_made_smaller_and_never_larger(image: np.ndarray) -> None:
    assert shrink(image, 640) is image
    assert shrink(image, 320).shape == (240, 320, 3)
    assert shrink(np.zeros((2000, 3, 3), np.uint8), 100).shape == (100, 1, 3)
