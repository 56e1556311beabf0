"""`--help` is what everybody runs first: it has to be quick, and to teach."""
from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

COMMANDS = ("refine_pose", "refine_poses", "transform_pose", "video_to_refined_pose", "videos_to_refined_poses",
            "generate_pose", "inbetween_poses", "compose_poses", "lift_pose")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_and_both_spellings(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as caught:
        import_module(f"pose_diffusion.commands.{command}").main(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert f"examples:\n  {command} " in text
    assert "-o " in text
    assert "--output " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_heavy_is_imported_before_the_arguments_are_parsed(command: str) -> None:
    code = (f"import sys\nfrom pose_diffusion.commands.{command} import main\n"
            "try:\n    main(['--help'])\nexcept SystemExit:\n    print(sorted(sys.modules))")
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "argparse" in text
    for name in ("torch", "numpy", "pose_format", "scipy", "tqdm"):
        assert f"'{name}'" not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_usage_has_exit_code_2(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as caught:
        import_module(f"pose_diffusion.commands.{command}").main([])
    assert caught.value.code == 2
    assert f"{command}: error: " in capsys.readouterr().err
