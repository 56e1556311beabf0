from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from time import sleep
from typing import Any

import numpy as np
import pytest
import torch
from pose_format import Pose

from pose_diffusion.capture.live import RefinedHolistic, RefinedResults
from pose_diffusion.capture.results import FIELDS, pose_from_results
from pose_diffusion.layout import BODY, RIGHT_HAND
from pose_diffusion.tasks.refine import refine
from tests.capture.mediapipe_results import FakeHolistic, legacy, solution_outputs
from tests.models import random_model
from tests.poses import constructed_pose, lose, part

IMAGE = np.zeros((480, 640, 3), np.uint8)


def unchanged(pose: Pose) -> Pose:
    return pose


def shifted(pose: Pose, pixels: float) -> Pose:
    body = pose.body.copy()
    body.data[..., 0] += pixels * (body.confidence > 0)
    return Pose(pose.header, body)


def live(results: Sequence[Any], refiner: Callable[[Pose], Pose] = unchanged, **settings: Any) -> RefinedHolistic:
    return RefinedHolistic(holistic=FakeHolistic(results), refiner=refiner, **settings)


def run(holistic: RefinedHolistic, images: int) -> list[RefinedResults]:
    """All that is handed out for so many images, after the lag, and at the end."""
    outputs = [holistic.process(IMAGE) for _ in range(images)]
    lag = min(holistic.latency, images)
    assert outputs[:lag] == [None] * lag
    assert None not in outputs[lag:]
    last = holistic.flush()
    assert len(last) == lag
    return [output for output in outputs if output is not None] + last


def arrays(results: Sequence[RefinedResults], points: int = 576) -> tuple[np.ndarray, np.ndarray]:
    """Pixels `(T, P, 3)` and confidence `(T, P)`."""
    pose = pose_from_results(results, 25, 640, 480, refined_face=points == 586)
    return np.ma.getdata(pose.body.data)[:, 0], pose.body.confidence[:, 0]


@pytest.mark.parametrize(("window", "latency", "hop"), [(24, 8, None), (24, 0, None), (16, 5, 1), (16, 5, 6), (2, 1, 1),
                                                        (100, 70, 20)])
@pytest.mark.parametrize("irises", [False, True])
def test_results_are_of_the_image_latency_images_ago(window: int, latency: int, hop: int | None, irises: bool) -> None:
    pose = constructed_pose(40, irises=irises)
    results = list(legacy(pose))
    refined = run(live(results, window=window, latency=latency, hop=hop, patience=min(12, window - 1)), 40)
    assert [result.frame for result in refined] == list(range(40))
    assert all(result.raw is results[result.frame] for result in refined)
    data, confidence = arrays(refined, 586 if irises else 576)
    np.testing.assert_allclose(data, np.ma.getdata(pose.body.data)[:, 0], rtol=1e-6, atol=1e-4)
    np.testing.assert_array_equal(confidence, pose.body.confidence[:, 0])


@pytest.mark.parametrize("ahead", [0, 2, 3])
def test_the_refiner_sees_the_last_window_once_a_hop(ahead: int) -> None:
    pose, seen = constructed_pose(60), []

    def refiner(part_of_it: Pose) -> Pose:
        seen.append(np.ma.getdata(part_of_it.body.data)[:, 0, 0, 0])
        assert part_of_it.body.fps == 30
        return part_of_it

    with live(list(legacy(pose)), refiner, window=20, latency=6, hop=4, ahead=ahead, fps=30) as holistic:
        for _ in range(60):
            holistic.process(IMAGE)
    nose = np.ma.getdata(pose.body.data)[:, 0, 0, 0]
    ends = range(7 - ahead, 61, 4)  # images that have come `ahead` images before the first, fifth, ... is handed out
    assert len(ends) - 1 <= len(seen) <= len(ends)  # the last one need not have begun before it was closed
    for end, frames in zip(ends, seen):
        np.testing.assert_allclose(frames, nose[max(0, end - 20):end], rtol=1e-6)


def test_it_does_not_wait_for_the_refiner_before_it_must() -> None:
    begun, go_on = Event(), Event()

    def refiner(pose: Pose) -> Pose:
        begun.set()
        assert go_on.wait(60)
        return shifted(pose, 1)

    with live(list(legacy(constructed_pose(20))), refiner, latency=4, ahead=2) as holistic:
        assert [holistic.process(IMAGE) for _ in range(4)] == [None] * 4
        assert begun.wait(60)
        go_on.set()
        result = holistic.process(IMAGE)
        assert result is not None
        assert result.pose_landmarks is not None


def test_torch_has_its_cores_back() -> None:
    """One core in the refiner's thread, all that there were elsewhere."""
    inside: list[int] = []

    def refiner(pose: Pose) -> Pose:
        inside.append(torch.get_num_threads())
        return pose

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with live(list(legacy(constructed_pose(4))), refiner, latency=1) as holistic:
            run(holistic, 4)
            with ThreadPoolExecutor(1) as another:
                elsewhere = another.submit(torch.get_num_threads).result()
        assert (set(inside), torch.get_num_threads(), elsewhere) == ({1}, 2, 2)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("ahead", [0, 2])
def test_the_landmarks_do_not_depend_on_how_fast_the_refiner_is(ahead: int) -> None:
    results, calls = list(legacy(constructed_pose(30))), []

    def refiner(pose: Pose, seconds: float = 0) -> Pose:
        calls.append(1)
        sleep(seconds)
        return shifted(pose, len(pose.body.data))

    quick, slow = (arrays(run(live(results, refine, latency=6, ahead=ahead), 30))
                   for refine in (refiner, partial(refiner, seconds=.02)))
    np.testing.assert_array_equal(quick[0], slow[0])
    assert len(calls) > 6


def test_the_next_estimate_takes_over_without_a_jump() -> None:
    results, calls = list(legacy(constructed_pose(1))) * 60, []

    def refiner(pose: Pose) -> Pose:  # every estimate is 10 pixels off the one before
        calls.append(1)
        return shifted(pose, 10 * (len(calls) % 2))

    data, _ = arrays(run(live(results, refiner, window=20, latency=8, hop=4), 60))
    steps = np.abs(np.diff(data[:, 0, 0]))
    assert len(calls) == 15
    assert 0 < steps.max() < 3  # 10 / (hop + 1), and the rest of the offset before
    assert np.ptp(data[:, 0, 0]) > 5  # but every estimate is followed


def test_an_offset_fades() -> None:
    results, calls = list(legacy(constructed_pose(1))) * 60, []

    def refiner(pose: Pose) -> Pose:
        calls.append(1)
        return shifted(pose, 10 if len(calls) > 5 else 0)

    data, _ = arrays(run(live(results, refiner, window=20, latency=8, hop=4), 60))
    nose = data[:, 0, 0] - data[0, 0, 0]
    assert np.abs(nose[:20]).max() < 1e-3
    np.testing.assert_allclose(nose[20:24], [2, 4, 6, 8], atol=1e-3)
    np.testing.assert_allclose(nose[32:], 10, atol=.1)


def test_who_returns_is_refined_as_if_new() -> None:
    """At another place and size, after a long break: nothing of before has any influence."""
    before, after = constructed_pose(33), constructed_pose(40, seed=5, scale=60)
    gone = [solution_outputs()] * 47
    model = random_model()

    def refiner(pose: Pose) -> Pose:
        return refine(pose, model=model)

    together = run(live([*legacy(before), *gone, *legacy(after)], refiner, latency=5), 120)
    alone, alone_after = (run(live(list(legacy(pose)), refiner, latency=5), len(pose.body.data))
                          for pose in (before, after))
    for mine, theirs in ((together[80:], alone_after), (together[:28], alone[:28])):
        for a, b in zip(arrays(mine), arrays(theirs)):
            np.testing.assert_array_equal(a, b)
    absent = together[33 + 12:80]
    assert all(getattr(result, field) is None for result in absent for field in FIELDS.values())
    assert [result.frame for result in together] == list(range(120))


def test_it_works_for_hours_of_people_coming_and_going() -> None:
    """The same memory after 300 and after 1200 images."""
    pose = constructed_pose(30)
    results = [*legacy(pose), *[solution_outputs()] * 20]
    sizes = []
    holistic = live(results, lambda pose: shifted(pose, 1))
    gc.disable()  # nothing is to wait for the garbage collector
    tracemalloc.start()
    try:
        for images in (300, 300, 600):
            for _ in range(images):
                holistic.process(IMAGE)
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        gc.enable()
    assert sizes[2] < sizes[0] + 3_000_000  # the landmarks of 900 images are 17 million bytes


def test_nobody_is_invented_before_someone_came() -> None:
    def never(pose: Pose) -> Pose:
        raise AssertionError("there is nothing to refine")

    refined = run(live([solution_outputs(), None], never), 30)
    assert all(getattr(result, field) is None for result in refined for field in FIELDS.values())


@pytest.mark.parametrize("gap", [1, 12])
def test_a_short_break_is_filled_in(gap: int) -> None:
    pose = lose(constructed_pose(60), slice(30, 30 + gap), slice(0, 576))
    model = random_model()
    refined = run(live(list(legacy(pose)), lambda pose: refine(pose, model=model)), 60)
    data, confidence = arrays(refined)
    body = confidence[:, :25]
    assert ((body[30:30 + gap] > 0) & (body[30:30 + gap] < .95 + 1e-6)).all()
    np.testing.assert_array_equal(body[:30], pose.body.confidence[:30, 0, :25])
    assert np.isfinite(data).all()


def test_a_break_longer_than_patience_is_not_filled_in() -> None:
    pose = lose(constructed_pose(60), slice(30, 43), slice(0, 576))
    refined = run(live(list(legacy(pose)), patience=12, latency=13), 60)
    missing = [result.frame for result in refined if result.pose_landmarks is None]
    assert missing == list(range(30, 43))


def test_a_lost_hand_comes_back_with_less_confidence() -> None:
    pose = constructed_pose(50)
    pose = lose(pose, slice(20, 28), part(pose, RIGHT_HAND))
    model = random_model()
    refined = run(live(list(legacy(pose)), lambda pose: refine(pose, model=model)), 50)
    for result in refined:
        assert result.right_hand_landmarks is not None
        visible = np.array([p.visibility for p in result.right_hand_landmarks.landmark])
        lost = 20 <= result.frame < 28
        assert (visible < 1).all() if lost else (visible == 1).all()
        assert (visible > 0).all()


def test_reset_starts_another_video() -> None:
    results = list(legacy(constructed_pose(30)))
    detector = FakeHolistic(results)
    holistic = RefinedHolistic(holistic=detector, refiner=unchanged, latency=4)
    for _ in range(10):
        holistic.process(IMAGE)
    holistic.reset()
    assert detector.resets == 1
    assert [holistic.process(IMAGE) for _ in range(4)] == [None] * 4
    result = holistic.process(IMAGE)
    assert result is not None
    assert result.frame == 0
    assert result.raw is results[10]
    holistic.reset()
    assert holistic.flush() == []


def test_flush_starts_again_too() -> None:
    pose = constructed_pose(30)
    holistic = live(list(legacy(pose)))
    first = run(holistic, 30)
    second = run(holistic, 30)
    np.testing.assert_array_equal(arrays(first)[0], arrays(second)[0])


def test_fewer_images_than_the_lag_come_out_at_the_end() -> None:
    refined = run(live(list(legacy(constructed_pose(3))), latency=8), 3)
    assert [result.frame for result in refined] == [0, 1, 2]
    assert refined[2].pose_landmarks is not None


def test_it_closes_its_detector_once() -> None:
    detector = FakeHolistic(list(legacy(constructed_pose(1))))
    with RefinedHolistic(holistic=detector, refiner=unchanged) as holistic:
        holistic.process(IMAGE)
    holistic.close()
    assert detector.closed == 1
    with pytest.raises(ValueError, match="closed"):
        holistic.process(IMAGE)


def test_another_image_size_is_another_person() -> None:
    """The camera was turned: pixels of before mean nothing."""
    pose = constructed_pose(20)
    seen: list[tuple[int, int, int]] = []

    def refiner(pose: Pose) -> Pose:
        seen.append((pose.header.dimensions.width, pose.header.dimensions.height, len(pose.body.data)))
        return pose

    holistic = live(list(legacy(pose)), refiner, latency=4, hop=4)
    images = [IMAGE] * 20 + [np.zeros((640, 480, 3), np.uint8)] * 20
    refined = [*map(holistic.process, images), *holistic.flush()]
    assert {size[:2] for size in seen[:5]} == {(640, 480)}
    assert {size[:2] for size in seen[5:]} == {(480, 640)}
    assert seen[5][2] == 4  # images of the new size only
    out = [result for result in refined if result is not None]
    assert [result.frame for result in out] == list(range(40))
    first = out[20].pose_landmarks
    assert first is not None
    assert first.landmark[0].x == pytest.approx(np.ma.getdata(pose.body.data)[0, 0, 0, 0] / 640)


def test_a_detector_may_see_hands_only() -> None:
    pose = constructed_pose(20)
    pose = lose(pose, slice(0, 20), slice(0, 33 + 468))
    refined = run(live(list(legacy(pose))), 20)
    assert refined[3].pose_landmarks is None
    assert refined[3].left_hand_landmarks is not None


@pytest.mark.parametrize("latency", [0, 4])
def test_a_refiner_must_keep_frames_and_points(latency: int) -> None:
    holistic = live(list(legacy(constructed_pose(5))), lambda pose: pose.get_components([BODY]), latency=latency)
    for _ in range(latency):
        holistic.process(IMAGE)
    with pytest.raises(ValueError, match="frames and points have to stay"):
        holistic.process(IMAGE)


@pytest.mark.parametrize(("settings", "expected"), [
    ({}, (12, 10, 3)), ({"latency": 0}, (0, 1, 0)), ({"latency": 1}, (1, 2, 0)), ({"latency": 4}, (4, 3, 2)),
    ({"hop": 4}, (12, 4, 3)), ({"hop": 13}, (12, 13, 0)), ({"ahead": 0}, (12, 13, 0)), ({"ahead": 5}, (12, 8, 5)),
])
def test_what_is_not_said_follows_from_the_lag(settings: dict[str, Any], expected: tuple[int, int, int]) -> None:
    with live([None], **settings) as holistic:
        assert (holistic.latency, holistic.hop, holistic.ahead) == expected


@pytest.mark.parametrize(("settings", "message"), [
    ({"window": 1}, "window must be a whole number from 2"), ({"latency": -1}, "latency must be .* from 0 to 23"),
    ({"latency": 24}, "latency"), ({"hop": 0}, "hop must be .* from 1 to 13"), ({"hop": 14}, "hop"),
    ({"hop": 12, "ahead": 2}, "hop must be .* from 1 to 11"), ({"ahead": 13}, "ahead must be .* from 0 to 12"),
    ({"latency": 2.5}, "latency"), ({"patience": 24}, "patience must be .* to 23"), ({"fps": 0}, "fps must be pos"),
    ({"model_complexity": 1}, "leave out model_complexity"), ({"task": "x.task"}, "leave out task"),
])
def test_arguments_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        live([None], **settings)


@pytest.mark.parametrize("shape", [(480, 640), (480, 640, 4), (0, 640, 3)])
def test_what_is_no_rgb_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="give RGB"):
        live([None]).process(np.zeros(shape, np.uint8))
