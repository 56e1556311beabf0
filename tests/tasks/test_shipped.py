"""The model in the package, where its quality matters."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from pose_format import Pose

from pose_diffusion import fill_missing
from pose_diffusion.layout import LEFT_HAND, RIGHT_HAND
from tests.poses import lose, part


def test_invented_confidence_falls_with_the_length_of_the_gap(lexicon_files: list[Path]) -> None:
    means = []
    for path in lexicon_files[::3]:
        pose = Pose.read(path.read_bytes())
        hand = max((part(pose, name) for name in (LEFT_HAND, RIGHT_HAND)),
                   key=lambda points: (pose.body.confidence[:, :, points] > 0).sum())
        for length in (1, 4, 16):
            lost = slice(5, 5 + length)
            there = pose.body.confidence[lost, 0, hand] > 0
            sure = fill_missing(lose(pose, lost, hand)).body.confidence[lost, 0, hand]
            means.append(sure[there].mean())
    course = np.array(means).reshape(-1, 3)
    assert (np.diff(course, axis=1) < 0).all()
    assert course[:, 0].min() > .8
    assert course[:, 2].max() < .9
