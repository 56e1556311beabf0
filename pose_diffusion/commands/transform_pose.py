"""`transform_pose`: lists the installed transforms and applies them."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pose_diffusion.commands.errors import about, run

EXAMPLES = """\
examples:
  transform_pose --list
  transform_pose -t fill_missing -i sign.pose -o better.pose
  transform_pose -t fill_missing -t refine -i sign.pose -o better.pose      one after the other

Any installed package can add transforms: see pose_diffusion/transforms.py.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if not args.list and not (args.transform and args.input and args.output):
        parser.error("give --list, or -t, -i and -o")
    return run("transform_pose", _list if args.list else lambda: _apply(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("transform_pose", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Apply transforms to a .pose file.", epilog=EXAMPLES)
    parser.add_argument("--list", action="store_true", help="list the transforms, also those that fail and why")
    parser.add_argument("-t", "--transform", action="append", metavar="NAME", help="a transform; may be repeated")
    parser.add_argument("-i", "--input", type=Path, metavar="FILE", help="the .pose file to transform")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write the result")
    return parser


def _list() -> int:
    from pose_diffusion.transforms import available_transforms

    for info in available_transforms():
        print(f"{info.name:<20} {'cannot be used: ' + info.error if info.error else info.summary} [{info.origin}]")
    return 0


def _apply(args: argparse.Namespace) -> int:
    from pose_diffusion.files import read_pose, write_pose
    from pose_diffusion.transforms import get_transform

    transforms = []
    for name in args.transform:
        with about(f"-t {name}"):
            transforms.append(get_transform(name))
    with about(args.input):
        pose = read_pose(args.input)
        for transform in transforms:
            pose = transform.process_pose(pose)
    with about(args.output):
        write_pose(pose, args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
