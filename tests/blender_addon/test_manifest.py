"""What Blender's rules ask of an extension, read from the source: no Blender needed."""
from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pose_diffusion

ROOT = Path(__file__).resolve().parents[2]
ADDON = ROOT / "blender_addon"
SOURCES = sorted(ADDON.rglob("*.py"))
BLENDERS_OWN = {"bpy", "bpy_extras", "mathutils", "addon_utils", "rna_prop_ui", "numpy"}
NETWORK = {"socket", "socketserver", "ssl", "urllib", "http", "ftplib", "smtplib", "telnetlib", "xmlrpc", "asyncio",
           "requests", "webbrowser"}
REFUSED = NETWORK | {"pickle", "marshal", "shelve", "ctypes", "pip", "ensurepip", "importlib.metadata", "site"}


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported absolutely, and in which line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or "", node.lineno


def parsed() -> Iterator[tuple[str, ast.Module]]:
    for path in SOURCES:
        yield path.relative_to(ADDON).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def manifest() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    values: dict[str, Any] = tomllib.loads((ADDON / "blender_manifest.toml").read_text(encoding="utf-8"))
    return values


def test_there_is_something_to_look_at() -> None:
    assert {"__init__.py", "posefile.py", "errors.py"} <= {p.name for p in SOURCES}
    assert len(SOURCES) > 20


def test_the_manifest() -> None:
    values = manifest()
    assert values["id"] == "pose_diffusion"
    assert values["version"] == pose_diffusion.__version__
    assert values["blender_version_min"] == "4.2.0"
    assert values["license"] == ["SPDX:GPL-3.0-or-later"]
    assert "wheels" not in values
    assert set(values["permissions"]) == {"files"}
    for text in (values["tagline"], *values["permissions"].values()):
        assert 0 < len(text) <= 64
        assert text[-1].isalnum()


def test_the_licence_is_the_whole_text() -> None:
    text = (ADDON / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "Version 3, 29 June 2007" in text
    assert len(text) > 34_000


def test_every_file_names_its_licence() -> None:
    for path in SOURCES:
        assert path.read_text(encoding="utf-8").startswith("# SPDX-License-Identifier: GPL-3.0-or-later\n"), path


def test_the_package_imports_nothing_of_the_add_on() -> None:
    """The package is MIT: it must not need GPL code."""
    for path in (ROOT / "pose_diffusion").rglob("*.py"):
        names = [name for name, _ in imports(ast.parse(path.read_text(encoding="utf-8")))]
        assert not [name for name in names if name.split(".")[0] in {"blender_addon", "bpy"}], path


def test_imports_are_relative_or_blenders_or_pythons() -> None:
    """As an extension the add-on is bl_ext.<repository>.pose_diffusion: its own name is not `blender_addon`."""
    allowed = BLENDERS_OWN | sys.stdlib_module_names
    for name, tree in parsed():
        for module, line in imports(tree):
            assert module.split(".")[0] in allowed, f"{name}:{line} imports {module}"
            assert not {module, module.split(".")[0]} & REFUSED, f"{name}:{line} imports {module}"


def test_nothing_outside_the_add_on_is_touched() -> None:
    """No search path, no installer, no shell, no code put together; nothing is written beside the code."""
    for name, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                assert ast.unparse(node) not in {"sys.path", "sys.modules", "os.system", "os.popen"}, name
            elif isinstance(node, ast.Name):
                assert node.id not in {"__file__", "__import__", "eval", "exec", "print"}, f"{name}:{node.lineno}"
            elif isinstance(node, ast.keyword):
                assert node.arg != "shell", f"{name}:{node.value.lineno}"


@pytest.mark.parametrize("folder", ["", "solver", "sampler"])
def test_what_needs_no_blender_imports_none(folder: str) -> None:
    allowed = {"__init__.py", "registration.py"}
    for path in (ADDON / folder).glob("*.py"):
        modules = {module.split(".")[0] for module, _ in imports(ast.parse(path.read_text(encoding="utf-8")))}
        assert path.name in allowed or not modules & (BLENDERS_OWN - {"numpy"}), path
