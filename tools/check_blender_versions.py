"""The add-on's zip in several versions of Blender: installed, enabled twice, a .pose file put on a signer.

    python tools/check_blender_versions.py --python PATH [--python PATH ...] [--pose FILE.pose]

Each PATH is a Python that has bpy, for instance of a virtual environment made with

    python3.11 -m venv blender42 && blender42/bin/pip install bpy==4.2.0 'numpy<2'

Prints one line per version, and ends with an error unless all are well.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS = 180
TOOLS = Path(__file__).resolve().parent


def check(python: str, zip_path: Path, pose: Path | None) -> tuple[str, list[str]]:
    """The version of the Blender that a Python has, and what goes wrong in it."""
    command = [python, str(TOOLS / "addon_install_check.py"), str(zip_path), *(["--pose", str(pose)] if pose else [])]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except OSError as error:
        return "?", [f"it cannot be started: {error.strerror}"]
    except subprocess.TimeoutExpired:
        return "?", [f"no end after {SECONDS} seconds"]
    lines = result.stdout.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        return "?", [f"ended with {result.returncode}: {(result.stderr.strip().splitlines() or ['nothing said'])[-1]}"]
    answer = json.loads(lines[-1])
    return answer["version"], answer["problems"]


def main() -> None:
    """Builds the zip with the first Python, then checks it in each."""
    parser = argparse.ArgumentParser(description="Check the add-on in several versions of Blender.")
    parser.add_argument("--python", action="append", required=True, metavar="PATH", help="a Python with bpy")
    parser.add_argument("--pose", type=Path, help="a .pose file to put on a new signer")
    arguments = parser.parse_args()
    well = True
    with tempfile.TemporaryDirectory() as folder:
        build = [arguments.python[0], str(TOOLS / "build_blender_addon.py"), "--output", folder]
        built = subprocess.run(build, capture_output=True, text=True, timeout=SECONDS)
        if built.returncode:
            sys.exit(built.stderr.strip())
        for python in arguments.python:
            version, problems = check(python, Path(built.stdout.strip()), arguments.pose)
            well &= not problems
            print(f"Blender {version} ({python}): {'; '.join(problems) or 'well'}", flush=True)
    sys.exit(not well)


if __name__ == "__main__":
    main()
