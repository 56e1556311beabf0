from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pose_diffusion
from pose_diffusion.commands.transform_pose import main
from pose_diffusion.files import read_pose
from tests.poses import assert_same_bits


def transform(*argv: object) -> int:
    return main([str(arg) for arg in argv])


def test_the_list_names_every_transform_and_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert transform("--list") == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "Fill in the points that were lost" in lines["fill_missing"]
    assert "[pose_diffusion.transforms]" in lines["refine"]


def test_the_list_shows_what_cannot_be_used_and_why(tmp_path: Path) -> None:
    info = tmp_path / "strangers-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[pose_format.transforms]\ncrash = strangers:Crash\n")
    code = (f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "from pose_diffusion.commands.transform_pose import main\nsys.exit(main(['--list']))")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0
    line = next(line for line in result.stdout.splitlines() if line.startswith("crash"))
    assert "cannot be used: " in line
    assert "No module named 'strangers'" in line
    assert "[strangers 2.0]" in line


def test_transforms_are_applied_in_order(source: Path, tmp_path: Path) -> None:
    assert transform("-t", "fill_missing", "-t", "refine", "-i", source, "-o", tmp_path / "b.pose") == 0
    expected = pose_diffusion.refine(pose_diffusion.fill_missing(read_pose(source)))
    assert_same_bits(read_pose(tmp_path / "b.pose"), expected)


@pytest.mark.parametrize(("argv", "message"), [
    (("-t", "polish", "-i", "{in}", "-o", "{out}"), "-t polish: unknown transform 'polish'; known are "),
    (("-t", "refine", "-i", "{out}", "-o", "{out}"), "{out}: "),
    (("-t", "refine", "-i", "{in}", "-o", "{in}/b.pose"), "{in}/b.pose: "),
])
def test_an_error_is_one_line(source: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...],
                              message: str) -> None:
    target = source.with_name("b.pose")

    def filled(text: str) -> str:
        return text.replace("{in}", str(source)).replace("{out}", str(target))

    assert transform(*map(filled, argv)) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"transform_pose: error: {filled(message)}")
    assert error.count("\n") == 1
    assert not target.exists()


@pytest.mark.parametrize("argv", [("-t", "refine"), ("-i", "a.pose", "-o", "b.pose"), ("-t", "refine", "-i", "a.pose")])
def test_half_a_command_is_a_usage_error(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        transform(*argv)
    assert caught.value.code == 2
    assert "give --list, or -t, -i and -o" in capsys.readouterr().err
