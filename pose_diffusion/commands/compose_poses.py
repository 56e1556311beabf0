"""`compose_poses`: texts and `.pose` files in, one `.pose` file of all of them out."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pose_diffusion.commands.errors import about, run
from pose_diffusion.commands.generation_options import (
    add_joining_options,
    add_language_option,
    add_output_options,
    add_sampling_options,
    blaming,
    check_preview,
    last_of,
    plain_warnings,
    progress,
    read,
    sampling_settings,
    write_result,
)
from pose_diffusion.commands.options import load_model, number

if TYPE_CHECKING:
    from pose_format import Pose

NAME = "compose_poses"
SPELL = "spell:"
EXAMPLES = """\
examples:
  compose_poses hello thanks -o both.pose                            two texts, generated one after the other
  compose_poses hello name.pose "i love you" -o all.pose             a text, a file, a text
  compose_poses hello . thanks -o both.pose --pause 0.5              "." is a full stop, with a pause
  compose_poses hello spell:anna -o anna.pose --hold 0.2 --language ase   fingerspelled, letters held
  compose_poses hello thanks -o both.pose --together                 all in one sampling instead of one after another
  compose_poses hello thanks -o me.pose --first-pose me.pose --preview me.html

What is a file or ends in .pose is taken as a file, "." as a full stop, spell:WORD letter by letter, and anything else
as a text: a word, SignWriting or HamNoSys. generate_pose --list-texts says which texts the model knows.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = _parser().parse_args(argv)
    return run(NAME, lambda: _compose(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(NAME, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Sign several texts and .pose files, one after the other.",
                                     epilog=EXAMPLES)
    parser.add_argument("items", nargs="+", metavar="ITEM", help='a text, a .pose file, spell:WORD, or "."')
    add_output_options(parser, "the .pose file to write", required=True)
    add_language_option(parser)
    parser.add_argument("--first-pose", type=Path, metavar="FILE",
                        help="a .pose file whose first frame is the first frame of the result (default: an average "
                             "signer)")
    parser.add_argument("--together", action="store_true",
                        help="generate all at once in one long sampling, not each from the end of the one before")
    parser.add_argument("--fps", type=number(float, 1, 240), metavar="X",
                        help="frames per second (default: those of the first .pose file, else 25)")
    add_joining_options(parser, 'rest at each "."')
    add_sampling_options(parser, steps=8, temperature=0.2, guidance=1.5, interval=True)
    return parser


def _compose(args: argparse.Namespace) -> int:
    from pose_diffusion import compose_steps

    check_preview(args.preview)
    items = [(found, item) for item in args.items for found in _items(item, args.language)]
    given = {f"item {i}": item for i, (_, item) in enumerate(items)} | {"first_pose": args.first_pose}
    first = read(args.first_pose) if args.first_pose else None
    model = load_model(args.model, args.device)
    with plain_warnings(NAME), blaming(" ".join(args.items), given), progress() as bar:
        walk = compose_steps([item for item, _ in items], language=args.language, first_pose=first,
                             together=args.together, seconds=args.seconds, hold=args.hold, pause=args.pause,
                             tempo=args.tempo, fps=args.fps, **sampling_settings(args), model=model)
        pose = last_of(walk, bar)
    write_result(pose, args)
    return 0


def _items(item: str, language: str) -> Sequence[str | Pose]:
    """What an argument stands for."""
    if item.startswith(SPELL):
        from pose_diffusion.tasks.compose import spell

        with about(item):
            return spell(item[len(SPELL):], language)
    path = Path(item)
    if item != "." and (path.suffix.lower() == ".pose" or path.is_file()):
        return [read(path)]
    return [item]


if __name__ == "__main__":
    sys.exit(main())
