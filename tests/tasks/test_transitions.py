"""Transitions of the shipped weights, in real signing that was cut apart: is it joined as it was?"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pose_format import Pose
from pose_format.utils.generic import reduce_holistic

from pose_diffusion import inbetween
from pose_diffusion.clip import encode
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.tasks.inbetween import joined, nothing

SECONDS = .3
INNER = HOLISTIC.parts["right_hand"].stop


@dataclass(frozen=True, eq=False)
class Cut:
    """`(T, N, 2)` shoulder widths of the points that a clip shows all the time: real, joined, and on straight lines."""

    real: np.ndarray
    joined: np.ndarray
    straight: np.ndarray
    gap: slice

    def error(self, xy: np.ndarray) -> float:
        return float(np.linalg.norm((xy - self.real)[self.gap], axis=-1).mean())

    def largest(self, xy: np.ndarray, order: int) -> float:
        """The largest difference of an order across the joins: 1 is velocity, 2 acceleration, 3 jerk."""
        lengths = np.linalg.norm(np.diff(xy, n=order, axis=0), axis=-1).mean(-1)
        return float(max(lengths[edge - order:edge].max() for edge in (self.gap.start, self.gap.stop)))


@pytest.fixture(scope="module")
def cuts(lexicon: Path) -> list[Cut]:
    """Of the middles of clips of many signers."""
    return [found for path in sorted(lexicon.glob("*/*.pose"))[::30]
            if (found := cut(reduce_holistic(Pose.read(path.read_bytes())))) is not None]


def cut(pose: Pose) -> Cut | None:
    """None where no hand is seen all the time around the middle."""
    fps, frames = float(pose.body.fps), round(SECONDS * float(pose.body.fps))
    middle = (len(pose.body.data) - frames) // 2
    rows = slice(middle - 8, middle + frames + 8)
    if rows.start < 0 or rows.stop > len(pose.body.data):
        return None
    around = Pose(pose.header, pose.body[rows])
    gap = slice(8, 8 + frames)
    parts = [around.body[:gap.start], around.body[gap.stop:]]
    whole = encode(around)[0]
    steady = np.all(whole.confidence[:, :INNER] > .5, axis=0)
    if not steady[HOLISTIC.parts["left_hand"].start:].any():
        return None
    result = inbetween([Pose(pose.header, part) for part in parts], seconds=SECONDS)
    empty = joined([parts[0], nothing(parts[0], frames), parts[1]], pose.header, fps)
    straight = Pose(empty.header, empty.body.interpolate(kind="linear"))
    real, ours, lines = (encode(one, normalisations=[whole.normalisation])[0].xyz[:, :INNER][:, steady, :2]
                         for one in (around, result, straight))
    return Cut(real, ours, lines, gap)


def test_there_is_enough_to_look_at(cuts: list[Cut]) -> None:
    assert len(cuts) >= 8
    assert sum(cut.real.shape[1] for cut in cuts) > 100


def test_joins_are_as_smooth_as_real_signing(cuts: list[Cut]) -> None:
    for order, most in ((1, 1.1), (2, 1.1), (3, 1.0)):
        ours = np.mean([cut.largest(cut.joined, order) for cut in cuts])
        assert ours <= most * np.mean([cut.largest(cut.real, order) for cut in cuts])


def test_no_join_is_a_jump(cuts: list[Cut]) -> None:
    for cut in cuts:
        fastest = np.linalg.norm(np.diff(cut.real, axis=0), axis=-1).mean(-1).max()
        assert cut.largest(cut.joined, 1) <= 1.5 * fastest


def test_transitions_are_nearer_to_the_truth_than_straight_lines(cuts: list[Cut]) -> None:
    ours, straight = (np.mean([cut.error(xy) for cut, xy in ((cut, getattr(cut, name)) for cut in cuts)])
                      for name in ("joined", "straight"))
    assert ours < straight
