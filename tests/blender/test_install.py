"""The zip as Blender's own tool builds it, in a Blender of its own: in, on, off, on, off, without a trace."""
from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEAVES_ALL = """# SPDX-License-Identifier: GPL-3.0-or-later
import bpy

class POSEDIFFUSION_OT_left(bpy.types.Operator):
    bl_idname, bl_label = "pose_diffusion.left", "Left"

def tick(*_): return 1.0

def register():
    bpy.utils.register_class(POSEDIFFUSION_OT_left)
    bpy.app.timers.register(tick)
    bpy.app.handlers.load_post.append(tick)
    bpy.types.Object.left = bpy.props.IntProperty()
    bpy.types.TOPBAR_MT_file_import.append(tick)
    open(__file__ + ".txt", "w").close()

def unregister(): pass
"""


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(ROOT / "tools" / name), *arguments], capture_output=True, text=True,
                          timeout=180)


def check(zip_path: Path, *options: str) -> dict[str, object]:
    lines = tool("addon_install_check.py", str(zip_path), *options).stdout.strip().splitlines()
    answer: dict[str, object] = json.loads(lines[-1])
    return answer


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = tool("build_blender_addon.py", "--output", str(tmp_path_factory.mktemp("dist")))
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip())


def test_the_zip_holds_the_source_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(built) as content:
        names = {name for name in content.namelist() if not name.endswith("/")}
    folder = ROOT / "blender_addon"
    assert names == {p.relative_to(folder).as_posix() for p in folder.rglob("*")
                     if p.is_file() and "__pycache__" not in p.parts}
    assert built.stat().st_size < 500_000


def test_it_goes_in_and_out_without_a_trace(built: Path, lexicon_files: list[Path]) -> None:
    answer = check(built, "--pose", str(lexicon_files[0]))
    assert answer["problems"] == []
    assert str(answer["version"])[0].isdigit()


def test_the_check_sees_what_is_left_behind(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built) as content, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        bad.writestr("blender_manifest.toml", content.read("blender_manifest.toml"))
        bad.writestr("__init__.py", LEAVES_ALL)
    problems = " ".join(map(str, check(tmp_path / "bad.zip")["problems"]))  # type: ignore[call-overload]
    for what in ("operators left", "types left", "timers left", "handlers left", "properties left", "menu entries left",
                 "wrote into its own folder: __init__.py.txt"):
        assert what in problems


def test_one_line_for_each_version(built: Path, tmp_path: Path) -> None:
    result = tool("check_blender_versions.py", "--python", sys.executable, "--python", str(tmp_path / "none"))
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Blender ")
    assert lines[0].endswith(": well")
    assert "cannot be started" in lines[1]
    assert result.returncode == 1


def test_another_version_than_the_package_is_not_built(tmp_path: Path) -> None:
    for name in ("tools/build_blender_addon.py", "pose_diffusion/__init__.py", "blender_addon/blender_manifest.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "pose_diffusion" / "__init__.py").write_text('__version__ = "9.9.9"\n')
    command = [sys.executable, str(tmp_path / "tools" / "build_blender_addon.py")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "the package 9.9.9: change blender_manifest.toml" in result.stderr
    assert not (tmp_path / "dist").exists()
