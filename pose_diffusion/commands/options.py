"""The options that `refine_pose` and `refine_poses` share."""
from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pose_diffusion.commands.errors import about

if TYPE_CHECKING:
    from pose_diffusion.diffusion.model import PoseDiffusion


def add_refine_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how to refine."""
    group = parser.add_argument_group("how to refine")
    group.add_argument("--only-masked", action="store_true", help="fill in lost points, leave every seen one untouched")
    group.add_argument("--strength", type=number(float, 0, 1), default=1.0, metavar="X",
                       help="how far seen points are moved to where the model thinks they are: 0 not at all, 1 all the "
                            "way (default: 1)")
    group.add_argument("--keep", nargs="+", type=_point, default=[], metavar="NAME",
                       help="components (LEFT_HAND_LANDMARKS) or points (POSE_LANDMARKS:NOSE) to return as they are")
    group.add_argument("--steps", type=number(int, 1, 1000), default=1, metavar="N",
                       help="1 gives the most probable poses, more give a livelier sample (default: 1)")
    group.add_argument("--guidance", type=number(float, 0, 100), default=1.0, metavar="X",
                       help="weight of the condition; 1 is neutral (default: 1)")
    group.add_argument("--seed", type=number(int, 0, 2**63 - 1), default=0, metavar="N",
                       help="the same seed gives the same result (default: 0)")
    group.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps, ... (default: cpu)")
    group.add_argument("--model", metavar="DIR", help="folder of another model (default: the environment variable "
                                                      "POSE_DIFFUSION_MODEL, else the model in this package)")


def refine_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `refine` and `refine_many`, but for the model."""
    return {name: getattr(args, name)
            for name in ("only_masked", "strength", "keep", "steps", "guidance", "seed", "device")}


def load_model(path: str | None, device: str) -> PoseDiffusion:
    """Load the model, or end the command."""
    from pose_diffusion.diffusion.model import PoseDiffusion

    with about():
        return PoseDiffusion.from_pretrained(path, device=device)


def number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    """An argparse type: a number between the two."""
    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    parse.__name__ = kind.__name__  # argparse names it where the text is no number
    return parse


def _point(text: str) -> str | tuple[str, str]:
    component, colon, point = text.partition(":")
    return (component, point) if colon else component
