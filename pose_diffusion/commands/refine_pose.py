"""`refine_pose`: one file in, one better file out."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pose_diffusion.commands.errors import about, run
from pose_diffusion.commands.options import add_refine_options, load_model, refine_settings

EXAMPLES = """\
examples:
  refine_pose -i sign.pose -o better.pose                        fill in lost points, steady the others
  refine_pose -i sign.pose -o better.pose --preview better.gif   and draw before and after side by side
  refine_pose -i sign.pose -o better.pose --only-masked          leave every seen point as it is, bit for bit
  refine_pose -i sign.pose -o better.pose --strength 0.5         move seen points half as far
  refine_pose -i sign.pose -o better.pose --keep FACE_LANDMARKS POSE_LANDMARKS:NOSE

Points that were filled in have a confidence between 0 and 1, the lower the less certain they are.
Nothing is downloaded. The output may be the input file: it is replaced only when the new one is complete.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = _parser().parse_args(argv)
    return run("refine_pose", lambda: _refine(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("refine_pose", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Repair a .pose file: lost hands, lost frames, jitter.",
                                     epilog=EXAMPLES)
    parser.add_argument("-i", "--input", required=True, type=Path, metavar="FILE", help="the .pose file to refine")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="where to write the result")
    parser.add_argument("--preview", type=_preview, metavar="FILE", help="also draw before and after (.gif or .mp4)")
    add_refine_options(parser)
    return parser


def _preview(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise argparse.ArgumentTypeError(f"{text} does not end in .gif or .mp4")
    return path


def _refine(args: argparse.Namespace) -> int:
    from pose_diffusion.files import read_pose, write_pose

    if args.preview:
        from pose_diffusion.preview import check_installed, save_preview

        with about("--preview"):
            check_installed()  # before the work, not after it
    with about(args.input):
        before = read_pose(args.input)
    model = load_model(args.model, args.device)
    from pose_diffusion import refine

    with about(args.input):
        after = refine(before, model=model, **refine_settings(args))
    with about(args.output):
        write_pose(after, args.output)
    if args.preview:
        with about(args.preview):
            start, end = save_preview(before, after, args.preview)
        if (seconds := len(before.body.data) / before.body.fps) > end - start:
            print(f"{args.preview} shows {start:.1f} to {end:.1f} s of {seconds:.1f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
