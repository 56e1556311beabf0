from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pose_format import Pose, PoseHeader
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeaderComponent, PoseHeaderDimensions
from spoken_to_signed.gloss_to_pose.smoothing import pose_butterworth_filter

from pose_diffusion.evaluation import joins
from pose_diffusion.evaluation.baselines import linear, pose_interpolate
from pose_diffusion.evaluation.cases import INNER, NOMINAL_FPS
from pose_diffusion.evaluation.joins import BASELINES, CONTEXT, WINDOW, Join, cut, fill, pairing, views
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.training.data import Pack
from tests.evaluation.signs import signs

LEFT, RIGHT = HOLISTIC.parts["left_hand"], HOLISTIC.parts["right_hand"]


@pytest.fixture(scope="module")
def pack() -> Pack:
    return signs({"ann": 8, "bob": 8}, frames=40)


@pytest.fixture(scope="module")
def some(pack: Pack) -> list[Join]:
    return cut(pack, range(48))


def test_whole_frames_of_fitting_length_are_cut_out_and_both_sides_left(some: list[Join]) -> None:
    assert len(some) == 48
    for join in some:
        assert .2 <= (join.stop - join.start) / NOMINAL_FPS <= .5
        gone = ~join.known.observed.any(1)
        assert np.flatnonzero(gone).tolist() == list(range(join.start, join.stop))
        assert not join.known.xyz[gone].any()
        assert min(join.start, len(join.truth) - join.stop) >= 3


def test_only_hands_that_are_seen_all_the_time_are_judged(pack: Pack, some: list[Join]) -> None:
    assert not some[0].judged[LEFT].any()  # of every fourth clip it is not seen
    assert some[0].judged[RIGHT].all()
    assert some[1].judged[LEFT].all()
    blind = replace(pack, confidence=np.where(np.arange(len(HOLISTIC)) < LEFT.start, pack.confidence, 0))
    assert cut(blind, range(6)) == []


def test_cuts_are_repeatable_and_several_of_a_clip_differ(pack: Pack) -> None:
    def places(seed: int) -> list[tuple[int, int]]:
        return [(join.start, join.stop) for join in cut(pack, range(4), seed, each=3)]

    assert places(1) == places(1) != places(2)
    assert len(set(places(1))) > 4


@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_baselines_are_what_pose_format_does(some: list[Join], kind: str) -> None:
    ours, theirs = fill(some[:6], BASELINES[kind]), fill(some[:6], pose_interpolate(kind))
    for join, a, b in zip(some, ours, theirs):
        np.testing.assert_allclose(a[:, join.judged], b[:, join.judged], atol=1e-5)
        outside = np.r_[0:join.start, join.stop:len(a)]
        assert np.array_equal(a[outside], join.truth[outside])


def test_the_filter_is_that_of_spoken_to_signed(some: list[Join]) -> None:
    join = some[1]
    straight = linear(join.known.xyz, join.known.observed)[:, None]
    names = {part: [point for name, point in HOLISTIC.points if name == part] for part, _ in HOLISTIC.points}
    components = [PoseHeaderComponent(name, points, [], [], "XYZC") for name, points in names.items()]
    pose = Pose(PoseHeader(.2, PoseHeaderDimensions(1000, 1000, 0), components),
                NumPyPoseBody(NOMINAL_FPS, np.ma.masked_array(straight), np.ones(straight.shape[:3])))
    theirs = np.ma.getdata(pose_butterworth_filter(pose).body.data)[:, 0, :INNER]
    np.testing.assert_allclose(joins.spoken_to_signed([join.known])[0], theirs, atol=1e-5)


def test_errors_are_of_the_stretch_and_jerk_of_its_edges(some: list[Join]) -> None:
    truth = [join.truth for join in some]
    assert not joins.errors(some, truth).any()
    off = [xyz + np.array([.3, .4, 9], np.float32) for xyz in truth]
    np.testing.assert_allclose(joins.errors(some, off), .5, rtol=1e-4)
    jump = [xyz.copy() for xyz in truth]
    for join, xyz in zip(some, jump):
        xyz[join.start:join.stop] += np.array([.5, 0, 0], np.float32)
    assert (joins.jerks(some, jump) > joins.jerks(some, truth) + .2).all()
    inside = [xyz.copy() for xyz in truth]
    for xyz in inside:
        xyz[0] += 5  # far from the edges
    where = [join.start > 3 for join in some]
    assert np.array_equal(joins.jerks(some, inside)[where], joins.jerks(some, truth)[where])


def test_a_judge_sees_the_stretch_in_its_surroundings_and_no_hidden_hand(some: list[Join]) -> None:
    seen = views(some, [join.truth for join in some])
    assert seen.shape == (len(some), 6 * len(joins.SHOWN) + 1, WINDOW)
    for join, view in zip(some, seen):
        assert view[-1].sum() == join.stop - join.start
        assert view[-1].argmax() == min(CONTEXT, join.start)
    moved = [join.truth.copy() for join in some]
    for xyz in moved:
        xyz[:, LEFT] += np.random.default_rng(0).normal(0, 1, xyz[:, LEFT].shape)
    again = views(some, moved)
    hidden = torch.tensor([not join.judged[LEFT].any() for join in some])
    assert hidden.sum() == 12
    assert torch.equal(again[hidden], seen[hidden])
    assert not torch.equal(again[~hidden], seen[~hidden])


def test_joins_that_tremble_are_not_taken_for_real_and_copies_half_the_time(some: list[Join]) -> None:
    rng = np.random.default_rng(0)
    truth = [join.truth for join in some]

    def shaken(join: Join, xyz: np.ndarray) -> np.ndarray:
        out = xyz.copy()
        out[join.start:join.stop] += rng.normal(0, .1, out[join.start:join.stop].shape).astype(np.float32)
        return out

    trembling = [shaken(join, xyz) for join, xyz in zip(some, truth)]
    seen = {"real": views(some, truth), "copy": views(some, truth), "trembling": views(some, trembling)}
    train, test = ({name: view[half] for name, view in seen.items()} for half in (slice(0, 24), slice(24, 48)))
    shares = pairing(train, test, "real", steps=25)
    assert shares["copy"] == {"of one": .5, "of all": .5}
    assert max(shares["trembling"].values()) < .2
    assert pairing(train, test, "real", 3, 2) == pairing(train, test, "real", 3, 2)
