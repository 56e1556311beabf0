"""Builds the zip of the Blender add-on with Blender's own tool, and looks at what is in it.

    python tools/build_blender_addon.py [--output dist]

The tool comes with Blender as a Python module (bpy); any Python that has it will do, and nothing else is needed.
"""
from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDON = ROOT / "blender_addon"
LARGEST = 2 << 20  # bytes unpacked: it is source code
NEEDED = {"blender_manifest.toml", "LICENSE", "__init__.py"}


def blender_tool() -> Path:
    """Blender's `blender_ext.py`, from the installed bpy, which is not imported for it.

    Raises
    ------
    SystemExit
        If there is none: how to get it, and how to do without.
    """
    spec = importlib.util.find_spec("bpy")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in Path(folder).glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"):
            return path
    raise SystemExit(f"{sys.executable} has no Blender in it: pip install '.[blender]' (Python 3.11), or Blender does "
                     f"it: blender --command extension build --source-dir {ADDON.name} --output-dir dist")


def package_version() -> str:
    """That of the Python package, without importing it."""
    text = (ROOT / "pose_diffusion" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if match is None:
        raise SystemExit("pose_diffusion/__init__.py has no line __version__ = \"...\"")
    return match[1]


def manifest_version() -> str:
    """That of the add-on."""
    text = (ADDON / "blender_manifest.toml").read_text(encoding="utf-8")
    match = re.search(r'^version = "(.+?)"', text, re.MULTILINE)
    if match is None:
        raise SystemExit("blender_manifest.toml has no line version = \"...\"")
    return match[1]


def build(output: Path) -> Path:
    """Validate the folder, build the zip, validate that.

    Parameters
    ----------
    output : Path
        Folder, made if it does not exist.

    Returns
    -------
    Path
        The zip, named as Blender names it.

    Raises
    ------
    SystemExit
        With what Blender's tool says, or what is wrong with the zip.
    """
    if manifest_version() != package_version():
        raise SystemExit(f"the add-on has version {manifest_version()} and the package {package_version()}: change "
                         "blender_manifest.toml")
    tool = blender_tool()
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"pose_diffusion-{manifest_version()}.zip"
    _run(tool, "validate", str(ADDON))
    _run(tool, "build", "--source-dir", str(ADDON), "--output-filepath", str(path))
    _run(tool, "validate", str(path))
    if problems := zip_problems(path):
        raise SystemExit(f"{path}: " + "; ".join(problems))
    return path


def zip_problems(path: Path) -> list[str]:
    """What is in the zip and should not be, and the other way round."""
    with zipfile.ZipFile(path) as content:
        sizes = {info.filename: info.file_size for info in content.infolist() if not info.is_dir()}
    source = {str(file.relative_to(ADDON).as_posix()) for file in ADDON.rglob("*.py") if "tests" not in file.parts}
    problems = [f"{name} is missing" for name in sorted((NEEDED | source) - set(sizes))]
    problems += [f"{name} does not belong there" for name in sorted(sizes)
                 if name.endswith((".pyc", ".whl", ".so", ".pyd", ".dll", ".pose", ".zip")) or "tests/" in name]
    if sum(sizes.values()) > LARGEST:
        problems.append(f"{sum(sizes.values())} bytes unpacked are more than {LARGEST}")
    return problems


def _run(tool: Path, *arguments: str) -> None:
    result = subprocess.run([sys.executable, str(tool), *arguments], capture_output=True, text=True, timeout=120)
    if result.returncode:
        raise SystemExit(f"Blender's tool refuses to {arguments[0]}: {(result.stdout + result.stderr).strip()}")


def main() -> None:
    """Builds it, and prints where it is."""
    parser = argparse.ArgumentParser(description="Build the zip of the Blender add-on.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder for the zip (dist)")
    print(build(parser.parse_args().output))


if __name__ == "__main__":
    main()
