from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pose_format import Pose

from pose_diffusion.commands.errors import CommandError
from pose_diffusion.commands.sweep import Sweep, parse_sweep, write_sweep
from tests.browser import ask
from tests.poses import constructed_pose

SETTINGS = {"steps": 8, "guidance": 2.0, "seed": 0}


def panels(path: Path) -> tuple[list[dict[str, Any]], int | None]:
    """What a page shows, and in how many columns."""
    match = re.search('<script id="data" type="application/json">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert match
    data = json.loads(match[1])
    return data["panels"], data["columns"]


def test_a_sweep_is_read() -> None:
    assert parse_sweep("guidance=1,2.5,4") == Sweep("guidance", (1.0, 2.5, 4.0))
    assert parse_sweep("steps=1,4,10,50") == Sweep("steps", (1, 4, 10, 50))
    assert parse_sweep("seed=7") == Sweep("seed", (7,))


@pytest.mark.parametrize(("text", "message"), [
    ("guidance", "is not one of guidance=X,Y,..., steps="), ("tempo=1", "is not one of"), ("=1", "is not one of"),
    ("steps=1.5", "values of steps are numbers"), ("steps=", "values of steps are numbers"),
    ("guidance=1,,2", "values of guidance are numbers"), ("guidance=a", "values of guidance are numbers"),
    ("steps=0,1", "0 is not between 1 and 1000"), ("guidance=nan", "nan is not between"),
    ("guidance=1,1.0", "names a value twice"),
])
def test_what_is_no_sweep_is_said(text: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(message)):
        parse_sweep(text)


class Recorder:
    """A walk that notes what it was asked, and yields as many poses as it was given steps."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, **changed: Any) -> Iterator[Pose]:
        self.asked.append(changed)
        for i in range(int(changed.get("steps", SETTINGS["steps"]))):
            yield constructed_pose(10 + int(changed.get("guidance", 0)), seed=i)


def test_each_value_is_a_panel_with_its_name_length_and_time(tmp_path: Path) -> None:
    walk = Recorder()
    write_sweep(walk, [Sweep("guidance", (1.0, 2.5))], tmp_path / "x.html", SETTINGS, title="hello")
    assert walk.asked[1:] == [{"guidance": 1.0}, {"guidance": 2.5}]
    shown, columns = panels(tmp_path / "x.html")
    assert [panel["label"] for panel in shown] == ["guidance 1", "guidance 2.5"]
    assert [panel["frames"] for panel in shown] == [11, 12]
    assert re.fullmatch(r"0\.44 s long, made in \d\.\d\d s", shown[0]["note"])
    assert columns is None
    text = (tmp_path / "x.html").read_text("utf-8")
    assert "<title>hello</title>" in text
    assert "generate_pose, steps 8, seed 0" in text


def test_two_settings_are_a_grid(tmp_path: Path) -> None:
    sweeps = [Sweep("guidance", (1.0, 4.0)), Sweep("steps", (1, 2, 3))]
    write_sweep(Recorder(), sweeps, tmp_path / "x.html", SETTINGS, title="hello")
    shown, columns = panels(tmp_path / "x.html")
    assert columns == 3
    assert [panel["label"] for panel in shown] == [f"guidance {g}, steps {s}" for g in (1, 4) for s in (1, 2, 3)]
    found = ask(tmp_path / "x.html", "return [ink(), new Set(boxes().map(box => box[1])).size];")
    assert min(found[0]) > 500
    assert found[1] == 2  # rows


def test_the_last_step_is_shown(tmp_path: Path) -> None:
    write_sweep(Recorder(), [Sweep("steps", (2,))], tmp_path / "x.html", SETTINGS, title="")
    write_sweep(lambda **_: iter([constructed_pose(10, seed=1)]), [Sweep("steps", (2,))], tmp_path / "y.html", SETTINGS,
                title="")
    assert panels(tmp_path / "x.html")[0][0]["xyz"] == panels(tmp_path / "y.html")[0][0]["xyz"]


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"none/x\.html"):
        write_sweep(Recorder(), [Sweep("steps", (1,))], tmp_path / "none" / "x.html", SETTINGS, title="")
