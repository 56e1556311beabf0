from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_diffusion.evaluation.cases import (
    EDGE,
    INNER,
    LEFT_OUT,
    ROWS,
    TUNING,
    UNSEEN,
    Row,
    clip_id,
    damage,
    draw_clips,
    find_clips,
    gaps,
    read_clips,
    training_clips,
    trusted,
)
from pose_diffusion.layout import BODY, HOLISTIC
from tests.evaluation.constructed import pack

COUNTS = {"a": 4, UNSEEN[0]: 2, TUNING[0]: 3}


def test_there_is_a_row_for_every_damage_and_level_and_the_undamaged_come_first() -> None:
    assert ROWS[0].name == "clean"
    assert len({row.name for row in ROWS}) == len(ROWS) == 1 + 9 * 3


def test_the_fixed_list_holds_all_unseen_clips_and_as_many_of_training_signers() -> None:
    lists = read_clips()
    unseen, training, tuning = lists["unseen"], lists["training"], lists["tuning"]
    assert len(unseen) == len(set(unseen)) == 360
    assert len(training) == len(set(training)) == 360
    assert {i.split("/")[0] for i in unseen} == set(UNSEEN)
    assert sum(i.startswith("lexicon-") for i in unseen) == sum(i.startswith("lexicon-") for i in training) == 180
    assert {i.split("/")[0] for i in tuning} == set(TUNING)
    assert not {i.split("/")[0] for i in training} & {*UNSEEN, *TUNING, *LEFT_OUT}


def test_the_fixed_list_is_what_is_drawn_from_the_data(data_folder: Path, lexicon: Path) -> None:
    counts = {f"lexicon-{folder.name}": len(list(folder.glob("*.pose"))) for folder in lexicon.iterdir()}
    for path in data_folder.glob("sign/*/*.npz"):
        with np.load(path, allow_pickle=False) as data:
            counts[path.stem] = len(data["lens"])
    assert draw_clips({name: count for name, count in counts.items() if count}) == read_clips()


def test_clips_are_found_by_their_id_and_a_missing_one_is_named() -> None:
    clips = pack(COUNTS)
    assert [clip_id(clips, i) for i in find_clips(clips, [f"{UNSEEN[0]}/1", "a/0"])] == [f"{UNSEEN[0]}/1", "a/0"]
    with pytest.raises(ValueError, match="no clip a/4"):
        find_clips(clips, ["a/4"])
    with pytest.raises(ValueError, match="no clip b/0"):
        find_clips(clips, ["b/0"])


def test_unseen_and_tuning_sources_are_not_learnt_from() -> None:
    assert training_clips(pack(COUNTS)).tolist() == [0, 1, 2, 3]


def test_damage_is_the_same_whatever_else_is_damaged() -> None:
    clips = pack(COUNTS)
    alone = damage(clips, [3], Row("mixed", 2))
    among = damage(clips, [0, 3, 5], Row("mixed", 2))
    assert np.array_equal(alone.known[0].xyz, among.known[1].xyz)
    assert np.array_equal(alone.touched, among.touched[among.clip == 1])
    other = damage(clips, [3], Row("mixed", 3))
    assert not np.array_equal(alone.known[0].xyz, other.known[0].xyz)


def test_truth_is_the_undamaged_clip_and_only_confident_points_count() -> None:
    clips = pack(COUNTS)
    clips.confidence[:, 5] = 100
    result = damage(clips, [1], Row("jitter", 3))
    assert np.array_equal(result.truth, clips.clip(1)[0][:, :INNER])
    assert not result.valid[:, 5].any()
    assert result.valid[:, 6].all()
    assert result.observed[:, 5].all()


def test_what_a_damaged_clip_never_shows_does_not_count() -> None:
    clips = pack({"a": 2})
    confidence = clips.confidence.reshape(-1, clips.confidence.shape[1])
    confidence[:, 30] = 0
    confidence[clips.starts[1] + 1, 30] = 255  # frame 1 is not among every tenth
    result = damage(clips, [1], Row("frame_drop", 3))
    assert not result.valid[:, 30].any()
    assert result.valid[:, 0].all()


def test_a_hand_on_the_other_arm_is_no_truth() -> None:
    xyz, confidence = pack({"a": 2}).clip(1)
    left = HOLISTIC.parts["left_hand"]
    assert trusted(xyz, confidence).all()
    xyz[3, left, 0] += 2
    assert np.array_equal(np.flatnonzero(~trusted(xyz, confidence)[:, left].all(axis=1)), [3])
    assert trusted(xyz, confidence)[3, left.stop:].all()
    confidence[3, HOLISTIC.index(BODY, "LEFT_WRIST")] = 0  # without an arm nobody can say
    assert trusted(xyz, confidence)[3, left].all()


def test_gaps_are_told_by_length_and_by_their_place() -> None:
    observed = np.ones((40, 7), bool)
    observed[3:5, 0] = observed[3:6, 1] = observed[3:12, 2] = observed[3:24, 3] = False
    observed[:1, 4] = observed[-30:, 5] = observed[:, 6] = False
    kinds = gaps(observed)
    assert [sorted(set(kinds[:, k].tolist()) - {-1}) for k in range(7)] == [[0], [1], [2], [3], [EDGE], [EDGE], [EDGE]]
    assert ((kinds == -1) == observed).all()
