"""Degrading frames."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pose_diffusion.evaluation.degrade import CLEAN, DEGRADATIONS, Degradation, degrade, dim

SIZE = (48, 64)
SPEED = 6  # pixels per frame


def noise_frames(count: int = 6, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8))


def run(frames: list[np.ndarray], **settings: Any) -> list[np.ndarray]:
    return list(degrade(frames, Degradation("x", **settings), 25.))


def moving_square(count: int = 5) -> list[np.ndarray]:
    """A textured square that moves to the right over a smooth background."""
    rng = np.random.default_rng(0)
    square = np.repeat(rng.integers(150, 256, (8, 8, 1), dtype=np.uint8).repeat(3, axis=0).repeat(3, axis=1), 3, axis=2)
    frames = []
    for t in range(count):
        frame = np.full((72, 96, 3), 40, np.uint8)
        frame[24:48, 10 + SPEED * t:34 + SPEED * t] = square
        frames.append(frame)
    return frames


def columns(frame: np.ndarray) -> np.ndarray:
    """How bright each column is above the background."""
    return np.maximum(frame[24:48].mean(axis=(0, 2)) - 40, 0)


def test_clean_frames_keep_their_bits() -> None:
    frames = noise_frames()
    for before, after in zip(frames, degrade(frames, CLEAN, 25.), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_reduced_rate_keeps_every_nth_frame() -> None:
    frames = noise_frames(8)
    np.testing.assert_array_equal(run(frames, every=3), [frames[0], frames[3], frames[6]])


def test_a_smaller_picture_is_the_mean_of_squares_and_the_rest_is_cut_off() -> None:
    frame = np.zeros((7, 8, 3), np.uint8)
    frame[:3, 3:6] = 90
    frame[3:6, 3:6, 1] = 60
    frame[3, 3, 1] = 6
    small, = run([frame], shrink=3)
    assert small.shape == (2, 2, 3)
    assert small[0, 1].tolist() == [90, 90, 90]
    assert small[1, 1].tolist() == [0, 54, 0]
    assert not small[:, 0].any()


def test_frames_are_read_one_by_one() -> None:
    pytest.importorskip("cv2")
    read = []

    def source() -> Iterator[np.ndarray]:
        for i, frame in enumerate(noise_frames(6)):
            read.append(i)
            yield frame

    out = degrade(source(), Degradation("x", shutter=1., shrink=2, photons=50.), 25.)
    next(out)
    assert read == [0, 1]
    next(out)
    assert read == [0, 1, 2]


def test_little_light_is_noisier_and_as_bright() -> None:
    """The mean of the light, not of the values, stays; noise falls with the root of the light."""
    frame = np.full((200, 200, 3), 128, np.uint8)
    light = [(np.stack(run([frame], photons=photons)) / 255.) ** 2.2 for photons in (20., 80.)]
    expected = (128 / 255) ** 2.2
    for image in light:
        assert image.mean() == pytest.approx(expected, rel=.02)
    assert light[0].std() / light[1].std() == pytest.approx(2, rel=.1)


def test_light_counts_for_the_picture_not_for_the_pixel() -> None:
    rng = np.random.default_rng(0)
    small, large = (dim(np.full((size, size, 3), 128, np.uint8), 2., rng) for size in (100, 400))
    assert large.std() > 2 * small.std()


def test_noise_is_that_of_the_seed_and_changes_from_frame_to_frame() -> None:
    frames = [np.full((*SIZE, 3), 128, np.uint8)] * 2
    first, again, other = (run(frames, photons=.1, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).mean() > .5
    assert (first[0] != other[0]).mean() > .5


def test_what_moves_is_blurred_along_its_way_and_stays_in_its_place() -> None:
    pytest.importorskip("cv2")
    sharp = moving_square()
    for before, after in zip(sharp, run(sharp, shutter=1.), strict=True):
        x = np.arange(before.shape[1])
        was, now = columns(before), columns(after)
        assert (now @ x) / now.sum() == pytest.approx((was @ x) / was.sum(), abs=1.5)
        texture = [np.abs(np.diff(image[28:44].mean(axis=2), axis=1)).sum() for image in (before, after)]
        assert texture[1] < .7 * texture[0]
        np.testing.assert_array_equal(after[:8], before[:8])


def test_what_stands_still_is_not_blurred() -> None:
    pytest.importorskip("cv2")
    frame = moving_square(1)[0]
    for blurred in run([frame] * 3, shutter=1.):
        assert np.abs(blurred.astype(int) - frame).max() <= 1
    np.testing.assert_array_equal(run([frame], shutter=1.)[0], frame)


@pytest.mark.parametrize("size", [(48, 64), (49, 65)])
def test_compression_keeps_number_and_size_and_loses_more_at_a_higher_factor(size: tuple[int, int]) -> None:
    pytest.importorskip("av")
    y, x = np.mgrid[:size[0], :size[1]]
    frames = [np.stack([(3 * x + 5 * t) % 256, (4 * y) % 256, (x * y // 8) % 256], axis=-1).astype(np.uint8)
              for t in range(7)]
    losses = []
    for crf in (18, 45):
        out = run(frames, crf=crf)
        assert [frame.shape for frame in out] == [(*size, 3)] * 7
        losses.append(np.abs(np.stack(out).astype(int) - np.stack(frames)).mean())
    assert losses[1] > 1.5 * losses[0]


def test_no_frames_give_no_frames() -> None:
    for how in DEGRADATIONS:
        assert list(degrade([], how, 25.)) == []


@pytest.mark.parametrize("wrong", [{"every": 0}, {"shrink": 0}, {"shutter": 1.5}, {"photons": -1.}, {"crf": 52},
                                   {"photons": float("nan")}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="too small|from 0 to"):
        Degradation("x", **wrong)
