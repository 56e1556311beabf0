"""Composing texts and poses, with a network without training that can read."""
from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from pose_format import Pose
from pose_format.utils.generic import reduce_holistic

from pose_diffusion import compose, compose_steps, generate, inbetween
from pose_diffusion.clip import measure
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.notation import Embedding, NotationError, Text
from pose_diffusion.tasks.compose import spell
from pose_diffusion.tasks.texts import UnknownTextWarning
from tests.models import TINY_WITH_TEXT, random_model
from tests.poses import assert_same_bits, constructed_pose, describe
from tests.tasks.looking import seen, values

HELLO, THANKS = "hello", "thank you"


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return random_model(TINY_WITH_TEXT)


def signer(frames: int = 12, seed: int = 0, **options: Any) -> Pose:
    return reduce_holistic(constructed_pose(frames, seed=seed, **options))


def frames_of(pose: Pose) -> int:
    return len(pose.body.data)


MODES = pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])


@MODES
def test_one_text_is_generate(model: PoseDiffusion, together: bool) -> None:
    for first in (None, signer()):
        made = compose([HELLO], first_pose=first, together=together, steps=2, seed=3, model=model)
        other = generate(HELLO, first_pose=first, steps=2, seed=3, model=model)
        assert values(made).shape == values(other).shape
        assert np.abs(values(made) - values(other)).max() < .5  # of 250 pixels: rounding in bfloat16
        assert np.abs(made.body.confidence - other.body.confidence).max() < .01
        assert describe(made.header) == describe(other.header)


@MODES
def test_poses_only_are_joined(model: PoseDiffusion, together: bool) -> None:
    poses = [signer(seed=i) for i in range(3)]
    made = compose(poses, together=together, steps=1, model=model)
    joined = inbetween(poses, steps=1, model=model)
    assert values(made).shape == values(joined).shape
    assert values(made)[:12].tobytes() == values(poses[0])[:12].tobytes()
    assert values(made)[-12:].tobytes() == values(poses[2])[-12:].tobytes()
    assert np.isfinite(values(made)).all()


@MODES
def test_poses_are_kept_between_texts(model: PoseDiffusion, together: bool) -> None:
    pose = signer()
    made = compose([HELLO, pose, THANKS], together=together, steps=2, model=model)
    assert np.isfinite(values(made)).all()
    assert seen(made).all()
    starts = [t for t in range(frames_of(made) - 11) if values(made)[t:t + 12].tobytes() == values(pose).tobytes()]
    assert len(starts) == 1
    assert 0 < starts[0] < frames_of(made) - 12
    assert describe(made.header) == describe(pose.header)
    assert measure(made).scale == pytest.approx(measure(pose).scale, rel=.3)


@MODES
def test_the_first_frame_is_that_of_the_first_pose(model: PoseDiffusion, together: bool) -> None:
    first = signer(seed=5)
    for items in ([HELLO, THANKS], [signer(seed=1), HELLO]):
        made = compose(items, first_pose=first, together=together, steps=2, model=model)
        assert values(made)[0].tobytes() == values(first)[0].tobytes()
        assert made.body.confidence[0].tobytes() == first.body.confidence[0].tobytes()


@MODES
def test_a_text_begins_where_the_one_before_ends(model: PoseDiffusion, together: bool) -> None:
    first = signer()
    lengths = [frames_of(generate(text, first_pose=first, steps=1, model=model)) for text in (HELLO, THANKS)]
    made = compose([HELLO, THANKS], first_pose=first, together=together, steps=2, model=model)
    assert frames_of(made) == sum(lengths) - (not together)
    step = np.linalg.norm(np.diff(values(made)[..., :2], axis=0), axis=-1).mean((1, 2))
    assert step[lengths[0] - 1] < 3 * step.max(initial=0, where=np.arange(len(step)) != lengths[0] - 1)


def test_one_by_one_what_comes_after_changes_nothing_before(model: PoseDiffusion) -> None:
    alone = compose([HELLO], steps=2, model=model)
    both = compose([HELLO, THANKS], steps=2, model=model)
    assert values(both)[:frames_of(alone)].tobytes() == values(alone).tobytes()
    other = compose([HELLO, "a"], steps=2, model=model)
    assert values(other)[:frames_of(alone)].tobytes() == values(alone).tobytes()
    rest = min(frames_of(both), frames_of(other)) - frames_of(alone)
    assert not np.array_equal(values(both)[frames_of(alone):][:rest], values(other)[frames_of(alone):][:rest])


def test_together_a_sign_prepares_for_the_next(model: PoseDiffusion) -> None:
    alone = compose([HELLO], steps=2, together=True, model=model)
    both = compose([HELLO, THANKS], steps=2, together=True, model=model)
    assert not np.array_equal(values(both)[:frames_of(alone)], values(alone))


@MODES
def test_times(model: PoseDiffusion, together: bool) -> None:
    items = [HELLO, signer(), THANKS]

    def frames(**options: Any) -> int:
        return frames_of(compose(options.pop("items", items), steps=1, together=together, model=model, **options))

    plain = frames(seconds=.2)
    assert frames(seconds=.4) == plain + 2 * 5
    assert frames(seconds=.2, hold=.2) == plain + 3 * 5
    assert frames(seconds=.2, pause=.4) == plain
    assert frames(seconds=.2, pause=.4, items=[HELLO, ".", *items[1:]]) == plain + 10
    assert frames(seconds=.2, pause=.4, items=[*items, ".", "."]) == plain + 20
    assert frames(seconds=.2, tempo=2) == pytest.approx((plain - 10) / 2 + 10, abs=3)


@MODES
def test_held_frames_are_still(model: PoseDiffusion, together: bool) -> None:
    made = compose([HELLO], hold=.4, together=together, steps=2, model=model)
    assert (values(made)[-10:] == values(made)[-11]).all()
    assert not np.array_equal(values(made)[-12], values(made)[-11])


def test_the_frame_rate(model: PoseDiffusion) -> None:
    slow = signer(fps=20.0)
    assert compose([HELLO, slow], steps=1, model=model).body.fps == 20
    assert compose([HELLO], steps=1, model=model).body.fps == 25
    usual = compose([HELLO, THANKS], steps=1, fps=25, model=model)
    for first in (None, slow):
        fast = compose([HELLO, THANKS], steps=1, fps=75, first_pose=first, model=model)
        assert fast.body.fps == 75
        assert frames_of(fast) == pytest.approx(3 * frames_of(usual), abs=6)
        assert np.isfinite(values(fast)).all()
        assert seen(fast).all()
    with pytest.raises(ValueError, match="together is for up to 37"):
        compose([HELLO], fps=75, together=True, model=model)


@MODES
def test_the_steps_end_in_what_the_function_gives(model: PoseDiffusion, together: bool) -> None:
    items = [HELLO, signer(), ".", THANKS]
    walk = list(compose_steps(items, pause=.2, steps=3, together=together, seed=4, model=model))
    assert len(walk) == (3 if together else 3 + 3 + 3)
    assert_same_bits(walk[-1], compose(items, pause=.2, steps=3, together=together, seed=4, model=model))
    other = compose(items, pause=.2, steps=3, together=together, seed=5, model=model)
    assert not np.array_equal(values(walk[-1]), values(other))


def test_items_of_every_kind(model: PoseDiffusion) -> None:
    items = [Text("hello", "words", "ase"), "M507x507S1f720487x492", "a", *spell("a a", "gsg")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = compose(items, steps=1, model=model)
    assert seen(made).all()


def test_an_unknown_word_is_said_once_and_not_spelled(model: PoseDiffusion) -> None:
    with pytest.warns(UnknownTextWarning, match="zebra") as caught:
        compose([HELLO, "zebra"], steps=1, model=model)
    assert len(caught) == 1


# Spelling


def test_letters() -> None:
    assert spell("Anna", "ase") == [Text(letter, "words", "ase") for letter in "anna"]
    assert [text.text for text in spell("José-Luis Ñu", "ssp")] == list("joséluisñu")
    assert [text.text for text in spell("Jose\u0301", "ssp")] == list("josé")
    assert [text.text for text in spell("Chlap", "svk", letters=("CH", "dž"))] == ["ch", "l", "a", "p"]
    with pytest.raises(ValueError, match="no letter"):
        spell(" - ", "ase")
    with pytest.raises(NotationError):
        spell("a", "elvish")


@pytest.mark.parametrize(("items", "options", "message"), [
    ([], {}, "nothing to compose"),
    (["."], {}, "nothing to compose"),
    ([".", HELLO], {}, "before the first full stop"),
    (HELLO, {}, r"must be a list, such as \['hello'\]"),
    ([HELLO, None], {}, "item 1"),
    ([HELLO, "a\ue001"], {}, "item 1: "),
    ([HELLO, ""], {}, "item 1: the text is empty"),
    ([constructed_pose(3, people=2)], {}, "item 0 shows 2 people"),
    ([HELLO], {"first_pose": constructed_pose(3, people=2)}, "first_pose shows 2 people"),
    ([HELLO], {"fps": 0}, "fps must be"),
    ([HELLO], {"first_pose": constructed_pose(3, fps=1e6)}, "more than 1000"),
    ([HELLO], {"seconds": -1}, "seconds must be"),
    ([HELLO], {"tempo": 0}, "tempo must be"),
    ([HELLO], {"steps": 0}, "steps must be"),
    ([HELLO], {"language": "elvish"}, "elvish"),
    ([Embedding(np.ones((1, 7), np.float32))], {}, "embedding"),
])
def test_what_cannot_be_composed(items: Any, options: dict[str, Any], message: str, model: PoseDiffusion) -> None:
    for function in (compose, compose_steps):
        with pytest.raises(ValueError, match=message) as caught:
            function(items, model=model, **options)
        assert "\n" not in str(caught.value)
