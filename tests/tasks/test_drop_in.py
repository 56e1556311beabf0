"""The drop-in in spoken-to-signed's real pipeline, from text to pose, with its own fingerspelling lexicon."""
from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from spoken_to_signed import bin as pipeline
from spoken_to_signed.gloss_to_pose import concatenate, smoothing
from spoken_to_signed.text_to_gloss.types import GlossItem

from pose_diffusion import smooth_concatenate_poses
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.layout import HOLISTIC, RIGHT_HAND
from pose_diffusion.tasks import joining
from pose_diffusion.tasks.joining import connection
from tests.poses import assert_same_bits, constructed_pose, lose, part, to_bytes
from tests.tasks.looking import seen, values

Put = Callable[..., list[list[Pose]]]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch, model: PoseDiffusion) -> Put:
    """Puts the drop-in into the pipeline; gives the list of what it was called with."""
    def into(*, reduce: bool = True, **options: Any) -> list[list[Pose]]:
        calls: list[list[Pose]] = []

        def join(poses: list[Pose]) -> Pose:
            before = copy.deepcopy(poses)
            calls.append(list(poses))
            result = smooth_concatenate_poses(poses, model=model, **options)
            for pose, was in zip(poses, before):
                assert_same_bits(pose, was)
            return result

        monkeypatch.setattr(concatenate, "smooth_concatenate_poses", join)
        monkeypatch.setattr(concatenate.ConcatenationSettings, "is_reduce_holistic", reduce)
        return calls

    return into


def sign(text: str, lexicon: Path) -> Pose:
    """The pipeline of the command `text_to_gloss_to_pose`, with its simple glosser."""
    glosses = pipeline._text_to_gloss(text, "en", "simple", signed_language="ase")
    return pipeline._gloss_to_pose(glosses, str(lexicon), "en", "ase")[0].pose


@pytest.mark.parametrize("reduce", [True, False], ids=["reduced", "full"])
def test_a_text_with_a_fingerspelled_word(put: Put, lexicon: Path, reduce: bool) -> None:
    calls = put(reduce=reduce)
    pose = sign("hi a b", lexicon)
    assert sorted(map(len, calls)) == [2, 3], "the letters of hi; the word and two letters that are in the lexicon"
    assert pose.body.data.shape[2] == (178 if reduce else 586)
    assert np.isfinite(values(pose)).all()
    hand = part(pose, RIGHT_HAND)
    assert seen(pose)[len(values(pose)) // 4:3 * len(values(pose)) // 4, 0, hand].mean() > .9
    steps = np.linalg.norm(np.diff(values(pose)[:, 0, hand.start, :2], axis=0), axis=-1)
    assert steps.max() < .5 * pose.header.dimensions.width
    read = Pose.read(to_bytes(pose))
    assert np.allclose(values(read)[seen(read)], values(pose)[seen(read)], atol=1e-3)


def test_letters_are_held_and_signs_speeded_up(put: Put, lexicon: Path) -> None:
    def frames(**options: Any) -> int:
        put(**options)
        return len(sign("a b", lexicon).body.data)

    plain = frames()
    assert frames(hold=.2) == plain + 2 * 5
    assert frames(pause=.4) == plain + 10
    assert .4 * plain < frames(tempo=2) < .8 * plain


def test_sentences_are_joined_with_a_pause_and_words_without(put: Put, lexicon: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = [[GlossItem("a", "a"), GlossItem("b", "b")], [GlossItem("c", "c")]]

    def frames() -> int:
        return len(pipeline._gloss_to_pose(sentences, str(lexicon), "en", "ase")[0].pose.body.data)

    put()
    plain, words = frames(), concatenate.smooth_concatenate_poses
    join_sentences = pipeline.concatenate_poses

    def with_pause(poses: list[Pose], **options: Any) -> Pose:
        with monkeypatch.context() as patch:
            patch.setattr(concatenate, "smooth_concatenate_poses", partial(smooth_concatenate_poses, pause=.48))
            return join_sentences(poses, **options)

    monkeypatch.setattr(pipeline, "concatenate_poses", with_pause)
    assert frames() == plain + 12
    assert concatenate.smooth_concatenate_poses is words


def test_it_takes_the_same_arguments() -> None:
    poses = [constructed_pose(12, seed=i) for i in range(2)]
    assert len(smooth_concatenate_poses(poses, 1.0).body.data) > len(smooth_concatenate_poses(poses, padding=.1)
                                                                     .body.data)
    with pytest.raises(ValueError, match="padding must be"):
        smooth_concatenate_poses(poses, -1)
    with pytest.raises(ValueError, match="no pose to join"):
        smooth_concatenate_poses([])


def test_one_sign_is_a_new_pose(model: PoseDiffusion) -> None:
    pose = constructed_pose(12)
    result = smooth_concatenate_poses([pose], model=model)
    assert_same_bits(result, pose)
    assert result.body.data is not pose.body.data


def test_signs_are_joined_where_theirs_are(real_bytes: bytes, lexicon_files: list[Path]) -> None:
    for path in lexicon_files[1:8]:
        a, b = (concatenate.normalize_pose(concatenate.reduce_holistic(Pose.read(content)))
                for content in (real_bytes, path.read_bytes()))
        b.body.fps = a.body.fps
        last, first = smoothing.find_best_connection_point(a, b)
        assert connection(a, b, HOLISTIC) == (last, first) or _nearly(a, b, connection(a, b, HOLISTIC), (last, first))


def _nearly(a: Pose, b: Pose, ours: tuple[int, int], theirs: tuple[int, int]) -> bool:
    """Theirs counts depth too: the pairs may differ, but ours is not farther in the image."""
    def distance(pair: tuple[int, int]) -> float:
        rows = [(values(pose)[row, 0], pose.body.confidence[row, 0]) for pose, row in zip((a, b), pair)]
        inner = [i for i in range(a.body.data.shape[2]) if not part(a, "FACE_LANDMARKS").start <= i
                 < part(a, "FACE_LANDMARKS").stop]
        weight = (rows[0][1] * rows[1][1])[inner]
        return float((weight * np.square((rows[0][0] - rows[1][0])[inner, :2]).sum(-1)).sum() / weight.sum())

    return distance(ours) <= 1.02 * distance(theirs)


def test_poses_that_share_no_point_are_joined_at_their_ends(model: PoseDiffusion) -> None:
    poses = [constructed_pose(12, seed=i) for i in range(2)]
    nobody = lose(poses[1], slice(None), slice(None))
    assert connection(poses[0], nobody, HOLISTIC) == (11, 0)
    assert np.isfinite(values(smooth_concatenate_poses([poses[0], nobody], model=model))).all()


def test_short_losses_are_filled_and_long_ones_are_not(model: PoseDiffusion) -> None:
    pose = constructed_pose(60)
    hand = part(pose, RIGHT_HAND)
    lost = lose(lose(pose, slice(5, 15), hand), slice(25, 50), hand)
    result = smooth_concatenate_poses([lost], model=model)
    there = seen(result)[:, :, hand]
    assert there[:25].all()
    assert not there[25:50].any()
    kept = seen(lost)
    assert values(result)[kept].tobytes() == values(lost)[kept].tobytes()
    assert (result.body.confidence[5:15, :, hand] < 1).all()
    assert joining.MENDED * 25 < 25


def test_masked_arrays_of_torch_and_numpy_are_taken(model: PoseDiffusion) -> None:
    pose = constructed_pose(12)
    other = Pose(pose.header, NumPyPoseBody(25, values(pose), pose.body.confidence).torch())
    assert_same_bits(smooth_concatenate_poses([other], model=model), pose)
