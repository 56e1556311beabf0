"""Real SignWriting and HamNoSys, from the data of the package `signwriting`."""
from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import signwriting

HOME = Path(signwriting.__file__).parent


@lru_cache(maxsize=1)
def letters() -> tuple[str, ...]:
    """FSW of the letters of every fingerspelling alphabet."""
    found: set[str] = set()
    for file in sorted((HOME / "fingerspelling" / "data").glob("*.json")):
        found |= set(_strings(json.loads(file.read_text(encoding="utf-8"))))
    return tuple(sorted(found))


@lru_cache(maxsize=1)
def dictionary() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """FSW and HamNoSys of dictionary entries of German Sign Language."""
    entries = json.loads((HOME / "hamnosys" / "parallel.json").read_text(encoding="utf-8"))
    return tuple(e["signwriting"] for e in entries), tuple(h for e in entries for h in e.get("hamnosys", []))


def alphabets() -> list[str]:
    """Language codes of the alphabets."""
    return [file.stem for file in (HOME / "fingerspelling" / "data").glob("*.json")]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [s for v in (value.values() if isinstance(value, dict) else value) for s in _strings(v)]
