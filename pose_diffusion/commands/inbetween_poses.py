"""`inbetween_poses`: several `.pose` files in, one out, with the ways between them generated."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pose_diffusion.commands.errors import run
from pose_diffusion.commands.generation_options import (
    add_joining_options,
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

NAME = "inbetween_poses"
EXAMPLES = """\
examples:
  inbetween_poses a.pose b.pose c.pose -o abc.pose                   the ways between are as long as they need to be
  inbetween_poses a.pose b.pose -o ab.pose --seconds 0.3             or 0.3 s each
  inbetween_poses a.pose b.pose -o ab.pose --preview ab.html         and a page to look at it
  inbetween_poses a.pose n.pose n.pose a.pose -o anna.pose --hold 0.2   hold each letter

The frames of the files stay as they are. A file of another frame rate or header, or of a signer of another size or
place in the picture, is brought to those of the first one. Nothing is downloaded.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if len(args.poses) < 2:
        parser.error("give two or more .pose files to join")
    return run(NAME, lambda: _inbetween(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(NAME, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Join .pose files without a seam.", epilog=EXAMPLES)
    parser.add_argument("poses", nargs="+", type=Path, metavar="FILE", help="two or more .pose files, in order")
    add_output_options(parser, "the .pose file to write", required=True)
    add_joining_options(parser, "how long it is held on, of each file but the last")
    parser.add_argument("--context-seconds", type=number(float, 0, 60), metavar="S",
                        help="how much of what is on both sides of a transition the model looks at (default: 1)")
    add_sampling_options(parser, steps=8, temperature=0.2)
    return parser


def _inbetween(args: argparse.Namespace) -> int:
    from pose_diffusion import inbetween_steps

    check_preview(args.preview)
    poses = [read(path) for path in args.poses]
    model = load_model(args.model, args.device)
    context = {} if args.context_seconds is None else {"context_seconds": args.context_seconds}
    given = {f"pose {i}": path for i, path in enumerate(args.poses)}
    with plain_warnings(NAME), blaming(", ".join(map(str, args.poses)), given), progress(args.steps) as bar:
        pose = last_of(inbetween_steps(poses, seconds=args.seconds, hold=args.hold, pause=args.pause, tempo=args.tempo,
                                       **context, **sampling_settings(args), model=model), bar)
    write_result(pose, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
