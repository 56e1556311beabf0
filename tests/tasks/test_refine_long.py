"""Long poses: worked on in chunks, of which nothing is to be seen."""
from __future__ import annotations

import copy
import tracemalloc

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion import fill_missing, refine, refine_many
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import BODY, HOLISTIC, LEFT_HAND, RIGHT_HAND
from pose_diffusion.tasks import refine as task
from pose_diffusion.tasks.refine import refine_steps
from tests.models import TINY
from tests.poses import assert_same_bits, constructed_pose, describe, lose, part, to_bytes
from tests.tasks.looking import ROUNDING, distance, lost_hand, place, seen, values


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "CHUNK", 64)
    monkeypatch.setattr(task, "MARGIN", 16)


def roughness(pose: Pose) -> np.ndarray:
    """`(T - 2,)` pixels: the largest second difference of any point of the body and hands."""
    inner = place(pose)[:HOLISTIC.parts["face"].start]
    return np.linalg.norm(np.diff(values(pose)[:, 0, inner, :2], n=2, axis=0), axis=-1).max(1)


def whole_and_chunked(pose: Pose, model: PoseDiffusion, steps: int,
                      monkeypatch: pytest.MonkeyPatch) -> tuple[Pose, Pose]:
    whole = refine(pose, steps=steps, model=model)
    monkeypatch.setattr(task, "CHUNK", 64)
    monkeypatch.setattr(task, "MARGIN", 16)
    return whole, refine(pose, steps=steps, model=model)


def borders(frames: int) -> list[int]:
    """Second differences that touch frames of two chunks."""
    return sorted({f for first in range(64, frames, 64) for f in range(first - 18, min(first + 17, frames - 2))})


@pytest.mark.parametrize("frames", [97, 128, 129, 200])
def test_a_long_pose_has_no_seams(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    """A network that chooses between smooth estimates: nothing jumps where chunks meet, and all is as in one piece."""
    pose = constructed_pose(frames)
    pose = lose(pose, slice(60, 70), part(pose, RIGHT_HAND))
    whole, chunked = whole_and_chunked(pose, PoseDiffusion(Denoiser(TINY)), 1, monkeypatch)
    assert (values(chunked) != values(whole)).any()
    assert roughness(chunked)[borders(frames)].max() <= 1.05 * roughness(whole)[borders(frames)].max()
    assert distance(chunked, whole)[:, :, place(pose)].mean() < .1 * distance(whole, pose)[seen(pose)].mean()


def test_samples_are_no_rougher_where_chunks_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, chunked = whole_and_chunked(lost_hand(300), PoseDiffusion(Denoiser(TINY)), 4, monkeypatch)
    assert roughness(chunked)[borders(300)].mean() <= 1.1 * roughness(whole).mean()


def test_a_chunk_border_is_where_it_was_without_a_border(model: PoseDiffusion, short_chunks: None) -> None:
    """The blend of what two chunks say lies between them, frame by frame."""
    chunks = task._chunks(200)
    assert [(c.low, c.first, c.high) for c in chunks] == [(0, 0, 80), (48, 64, 144), (112, 128, 200), (176, 192, 200)]
    pose = constructed_pose(200)
    canvas = task.Canvas(pose)
    for level, chunk in enumerate(chunks):
        body = chunk.of(pose).body
        canvas.add(chunk, NumPyPoseBody(25, np.full_like(values(pose)[chunk.low:chunk.high], level), body.confidence))
    course = values(canvas.pose)[:, 0, 0, 0]
    assert (np.diff(course) >= -1e-6).all()
    assert np.diff(course).max() < 1 / 8
    assert course[0] == 0
    assert course[100] == 1
    assert course[150] == 2


def test_contracts_hold_for_long_poses(real_bytes: bytes, model: PoseDiffusion, short_chunks: None) -> None:
    one = Pose.read(real_bytes)
    frames = np.arange(250) % len(one.body.data)
    pose = Pose(one.header, one.body[frames])
    before = copy.deepcopy(pose)
    filled = fill_missing(pose, steps=2, model=model)
    assert_same_bits(pose, before)
    kept, here = seen(pose), place(pose)
    assert values(filled)[kept].tobytes() == values(pose)[kept].tobytes()
    assert filled.body.confidence[kept].tobytes() == pose.body.confidence[kept].tobytes()
    assert seen(filled)[:, :, here].all()
    assert describe(filled.header) == describe(pose.header)
    assert filled.header is not pose.header
    assert_same_bits(refine(pose, strength=0, model=model), pose)
    result = refine(pose, model=model)
    assert np.array_equal(values(Pose.read(to_bytes(result)))[:, :, here], values(result)[:, :, here])


def test_the_last_step_of_a_long_pose_is_the_result(model: PoseDiffusion, short_chunks: None) -> None:
    pose = lost_hand(150, people=2)
    shown = list(refine_steps(pose, steps=3, model=model))
    assert len(shown) == 3
    assert_same_bits(shown[-1], refine(pose, steps=3, model=model))
    assert [values(p).shape for p in refine_steps(pose, strength=0, steps=2, model=model)] == [values(pose).shape] * 2


def test_a_long_pose_among_short_ones(model: PoseDiffusion, short_chunks: None) -> None:
    poses = [lost_hand(20), lost_hand(150), lost_hand(30)]
    for pose, result in zip(poses, refine_many(poses, model=model)):
        assert np.allclose(values(result), values(refine(pose, model=model)), atol=ROUNDING)


def peak(pose: Pose, model: PoseDiffusion) -> int:
    tracemalloc.start()
    try:
        refine(pose, model=model)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_grows_only_by_the_result(model: PoseDiffusion, short_chunks: None) -> None:
    short, long = constructed_pose(300), constructed_pose(1500)
    growth = values(long).nbytes + long.body.confidence.nbytes - values(short).nbytes - short.body.confidence.nbytes
    refine(short, model=model)
    assert peak(long, model) - peak(short, model) < 1.5 * growth


def test_the_real_sizes_of_chunks(model: PoseDiffusion) -> None:
    frames = task.CHUNK + 2 * task.MARGIN + 300
    one = constructed_pose(100).get_components([BODY, LEFT_HAND, RIGHT_HAND])
    pose = Pose(one.header, one.body[np.abs((np.arange(frames) + 99) % 198 - 99)])  # to and fro
    pose = lose(pose, slice(task.CHUNK - 5, task.CHUNK + 5), part(pose, LEFT_HAND))
    result = fill_missing(pose, model=model)
    assert values(result)[seen(pose)].tobytes() == values(pose)[seen(pose)].tobytes()
    rough = roughness(refine(pose, model=model))
    border = slice(task.CHUNK - task.MARGIN - 2, task.CHUNK + task.MARGIN + 2)
    assert np.delete(rough, np.arange(border.start, border.stop)).max() * 1.1 >= rough[border].max()
