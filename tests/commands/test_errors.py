from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pose_diffusion.commands.errors import CommandError, about, describe, run
from pose_diffusion.files import PoseFileError


def fail(error: BaseException) -> int:
    with about("a.pose"):
        raise error


@pytest.mark.parametrize(("error", "line"), [
    (ValueError("no\n  such thing"), "a.pose: no such thing"),
    (PoseFileError("a.pose", "the file is empty"), "a.pose: the file is empty"),
    (OSError(errno.ENOSPC, "No space left on device", "b.pose"), "a.pose: No space left on device"),
    (MemoryError(), "a.pose: not enough memory"),
    (RuntimeError(), "a.pose: RuntimeError"),
    (NotImplementedError("an operator"), "a.pose: an operator"),
])
def test_an_expected_error_is_one_line_that_names_its_subject_once(capsys: pytest.CaptureFixture[str],
                                                                  error: BaseException, line: str) -> None:
    assert run("refine_pose", lambda: fail(error)) == 1
    assert capsys.readouterr().err == f"refine_pose: error: {line}\n"


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        run("refine_pose", lambda: fail(KeyError("x")))


def test_ctrl_c_has_the_exit_code_of_shells(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("refine_pose", lambda: fail(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "refine_pose: interrupted\n"


def test_success_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("refine_pose", lambda: 0) == 0
    assert capsys.readouterr().err == ""


def test_the_cause_is_kept_for_those_who_debug() -> None:
    with pytest.raises(CommandError) as caught:
        fail(ValueError("why"))
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_path_is_a_subject() -> None:
    assert describe(ValueError("bad"), Path("x") / "y.pose") == "x/y.pose: bad"
