from __future__ import annotations

import argparse

import pytest

from pose_diffusion.commands.options import add_refine_options, refine_settings


def parse(*argv: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_refine_options(parser)
    return refine_settings(parser.parse_args(argv))


def test_the_defaults() -> None:
    assert parse() == {"only_masked": False, "strength": 1.0, "keep": [], "steps": 1, "guidance": 1.0, "seed": 0,
                       "device": "cpu"}


def test_keep_takes_components_and_points() -> None:
    assert parse("--keep", "FACE_LANDMARKS", "POSE_LANDMARKS:NOSE")["keep"] == ["FACE_LANDMARKS",
                                                                              ("POSE_LANDMARKS", "NOSE")]


@pytest.mark.parametrize(("argv", "message"), [
    (("--strength", "1.1"), "1.1 is not between 0 and 1"),
    (("--strength", "nan"), "nan is not between 0 and 1"),
    (("--strength", "much"), "invalid float value: 'much'"),
    (("--steps", "0"), "0 is not between 1 and 1000"),
    (("--steps", "1.5"), "invalid int value: '1.5'"),
    (("--seed", "-1"), "-1 is not between 0 and"),
])
def test_a_setting_out_of_range_is_a_usage_error(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...],
                                                message: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*argv)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
