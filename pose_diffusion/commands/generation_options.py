"""What `generate_pose`, `inbetween_poses` and `compose_poses` share: options, progress, the files they write."""
from __future__ import annotations

import argparse
import math
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_diffusion.commands.errors import EXPECTED, CommandError, about, describe
from pose_diffusion.commands.options import number

if TYPE_CHECKING:
    from pose_format import Pose

NOTATIONS = ("words", "signwriting", "hamnosys", "picture")  # those of the notation package, which imports NumPy
PREVIEWS = (".gif", ".mp4", ".html")
INFINITE = float("inf")


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how a text is to be read."""
    group = parser.add_argument_group("the text")
    add_language_option(group)
    group.add_argument("--notation", choices=NOTATIONS,
                       help="words, signwriting (FSW or SWU), hamnosys, or picture: SignWriting that the network sees "
                            "drawn (default: found out from the text)")


def add_language_option(parser: argparse._ActionsContainer) -> None:
    """Add the language."""
    parser.add_argument("--language", default="und", metavar="CODE",
                       help="ISO 639-3 code of the signed language, such as ase (default: und, not known)")


def add_sampling_options(parser: argparse.ArgumentParser, *, steps: int, temperature: float,
                         guidance: float | None = None, interval: bool = False) -> None:
    """Add what says how to sample; the numbers are the defaults. Without a text there is no guidance."""
    group = parser.add_argument_group("how to sample")
    group.add_argument("--steps", type=number(int, 1, 1000), default=steps, metavar="N",
                       help="1 gives the mean of what is probable, more give a livelier sample and take longer "
                            f"(default: {steps})")
    if guidance is not None:
        group.add_argument("--guidance", type=number(float, 0, 100), default=guidance, metavar="X",
                           help="how closely to follow the text: 0 not at all, 1 as it was learnt, more exaggerates "
                                f"(default: {guidance:g})")
    group.add_argument("--temperature", type=number(float, 0, 1), default=temperature, metavar="X",
                       help="how far samples are from the mean: less is plausible more often, more is livelier and "
                            f"varies more (default: {temperature:g})")
    if interval:
        noise = number(float, 0, INFINITE)
        group.add_argument("--guidance-interval", nargs=2, type=noise, default=(2.0, INFINITE),
                           metavar=("LOW", "HIGH"),
                           help="guide only at noise levels between these; they go from 20 to 0.02 (default: 2 inf)")
    group.add_argument("--seed", type=number(int, 0, 2**63 - 1), default=0, metavar="N",
                       help="the same seed gives the same result, another one another (default: 0)")
    group.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps, ... (default: cpu)")
    group.add_argument("--model", metavar="DIR", help="folder of another model (default: the environment variable "
                                                      "POSE_DIFFUSION_MODEL, else the model in this package)")


def add_joining_options(parser: argparse.ArgumentParser, pause: str) -> None:
    """Add what says how signs are joined; `pause` says where there is one."""
    group = parser.add_argument_group("how to join")
    group.add_argument("--seconds", type=number(float, 0, 60), metavar="S",
                       help="length of each transition, 0 for none (default: by how far the hands have to go)")
    group.add_argument("--hold", type=number(float, 0, 60), default=0.0, metavar="S",
                       help="how long the end of each sign is held, as readers of fingerspelling want (default: 0)")
    group.add_argument("--pause", type=number(float, 0, 60), default=0.0, metavar="S",
                       help=f"{pause}; readers want about 0.5 between sentences (default: 0)")
    group.add_argument("--tempo", type=number(float, 0.1, 10), default=1.0, metavar="X",
                       help="2 signs twice as fast: signs of dictionaries are slower than signing (default: 1)")


def add_output_options(parser: argparse.ArgumentParser, output: str, *, required: bool = False) -> None:
    """Add the files to write."""
    parser.add_argument("-o", "--output", required=required, type=Path, metavar="FILE", help=output)
    parser.add_argument("--preview", type=preview_path, metavar="FILE",
                        help="also draw the result: .gif, .mp4, or .html, a page to step through, with enlarged hands")


def preview_path(text: str) -> Path:
    """An argparse type: a file that can be drawn to."""
    path = Path(text)
    if path.suffix.lower() not in PREVIEWS:
        raise argparse.ArgumentTypeError(f"{text} does not end in {', '.join(PREVIEWS[:-1])} or {PREVIEWS[-1]}")
    return path


def seconds(text: str) -> float:
    """An argparse type: a time from 0 up."""
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a time in seconds from 0 up")
    return value


def sampling_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The sampling arguments of the task functions, but for the model."""
    names = ("steps", "guidance", "guidance_interval", "temperature", "seed", "device")
    return {name: tuple(value) if isinstance(value, list) else value
            for name, value in vars(args).items() if name in names}


@contextmanager
def blaming(subject: str, given: Mapping[str, object]) -> Iterator[None]:
    """Like `about`; an error that begins with one of the names is about the file or text that was given by it."""
    try:
        yield
    except EXPECTED as error:
        text = describe(error, "")
        for name, source in given.items():
            if re.match(re.escape(name) + r"\b", text):
                raise CommandError(f"{source}: {text[len(name):].lstrip(': ')}") from error
        raise CommandError(describe(error, subject)) from error


def check_preview(path: Path | None) -> None:
    """End the command before the work, not after it, where the libraries for a preview are missing."""
    if path is not None and path.suffix.lower() != ".html":
        from pose_diffusion.preview import check_installed

        with about("--preview"):
            check_installed()


@contextmanager
def progress(total: int | None = None) -> Iterator[Any]:
    """A progress bar over steps on stderr, of an end that may not be known; silent where that is no terminal."""
    from tqdm import tqdm

    with tqdm(total=total, unit="step", leave=False, disable=not sys.stderr.isatty()) as bar:
        yield bar


def last_of(walk: Iterator[Pose], bar: Any) -> Pose:
    """The last pose of a walk over steps, each of which moves the bar on."""
    pose = None
    for pose in walk:  # noqa: B007
        bar.update()
    assert pose is not None, "a walk has at least one step"
    return pose


@contextmanager
def plain_warnings(command: str) -> Iterator[None]:
    """Warnings of the block as one line each on stderr, like errors."""
    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"{command}: warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


def read(path: Path) -> Pose:
    """Read a `.pose` file, or end the command."""
    from pose_diffusion.files import read_pose

    with about(path):
        return read_pose(path)


def write_result(pose: Pose, args: argparse.Namespace) -> None:
    """Write the pose and its preview, or end the command."""
    from pose_diffusion.files import write_pose

    with about(args.output):
        write_pose(pose, args.output)
    if args.preview is None:
        return
    length = len(pose.body.data) / pose.body.fps
    with about(args.preview):
        if args.preview.suffix.lower() == ".html":
            from pose_diffusion.preview_page import Panel, save_page

            save_page([Panel(pose, args.output.name, f"{length:.2f} s")], args.preview, title=args.output.name)
            return
        from pose_diffusion.preview import save_pose_preview

        _, end = save_pose_preview(pose, args.preview, label=args.output.name)
    if length > end:
        print(f"{args.preview} shows the first {end:.1f} s of {length:.1f} s; a preview that ends in .html shows all",
              file=sys.stderr)
