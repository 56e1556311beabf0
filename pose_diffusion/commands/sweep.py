"""`--sweep`: the same text with several values of one or two settings, on one page."""
from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_diffusion.commands.errors import about
from pose_diffusion.commands.generation_options import last_of, progress
from pose_diffusion.commands.options import number

if TYPE_CHECKING:
    from pose_format import Pose

KINDS: dict[str, Callable[[str], float]] = {"guidance": number(float, 0, 100), "steps": number(int, 1, 1000),
                                            "seed": number(int, 0, 2**63 - 1)}
MAX_CELLS = 64  # what a page shows


@dataclass(frozen=True)
class Sweep:
    """A setting and the values to try."""

    name: str
    values: tuple[float, ...]


def parse_sweep(text: str) -> Sweep:
    """Read `guidance=1,2,4`; for argparse, which says what is wrong with the option."""
    name, equals, listed = text.partition("=")
    if name not in KINDS or not equals:
        raise argparse.ArgumentTypeError(f"{text} is not one of {', '.join(f'{kind}=X,Y,...' for kind in KINDS)}")
    try:
        values = tuple(KINDS[name](value) for value in listed.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: values of {name} are numbers with commas between them") from error
    if len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(f"{text} names a value twice")
    return Sweep(name, values)


def write_sweep(walk: Callable[..., Iterator[Pose]], sweeps: Sequence[Sweep], path: Path, settings: Mapping[str, Any],
                *, title: str) -> None:
    """Generate with each value, or each pair of values of two settings, and write the page.

    Parameters
    ----------
    walk : callable
        Takes the settings that change as keywords; yields the pose after each step.
    sweeps : sequence of Sweep
        One or two; of two the last one's values are the columns.
    path : path
        The `.html` file.
    settings : mapping
        `steps`, `guidance` and `seed` where they are not swept.
    title : str
        What is signed.
    """
    from pose_diffusion.preview_page import Panel, save_page

    cells = [dict(zip((sweep.name for sweep in sweeps), values))
             for values in itertools.product(*(sweep.values for sweep in sweeps))]
    panels = []
    with progress(1 + sum(int(cell.get("steps", settings["steps"])) for cell in cells)) as bar:
        last_of(walk(steps=1), bar)  # the first run is slower than all others, whatever its settings: not timed
        for cell in cells:
            start = time.perf_counter()
            pose = last_of(walk(**cell), bar)
            took = time.perf_counter() - start
            label = ", ".join(f"{name} {value:g}" for name, value in cell.items())
            panels.append(Panel(pose, label, f"{len(pose.body.data) / pose.body.fps:.2f} s long, made in {took:.2f} s"))
    fixed = [f"{name} {settings[name]:g}" for name in KINDS if name not in cells[0]]
    with about(path):
        save_page(panels, path, title=title, description=", ".join(["generate_pose", *fixed]),
                  columns=len(sweeps[1].values) if len(sweeps) == 2 else None)
