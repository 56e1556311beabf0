"""`generate_pose`: a text in, a `.pose` file out, or a page that compares settings."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_diffusion.commands.errors import CommandError, about, run
from pose_diffusion.commands.generation_options import (
    add_output_options,
    add_sampling_options,
    add_text_options,
    blaming,
    check_preview,
    last_of,
    plain_warnings,
    progress,
    read,
    sampling_settings,
    seconds,
    write_result,
)
from pose_diffusion.commands.options import load_model, number
from pose_diffusion.commands.sweep import MAX_CELLS, parse_sweep, write_sweep

if TYPE_CHECKING:
    from pose_diffusion.diffusion.model import PoseDiffusion
    from pose_diffusion.notation import Embedding

NAME = "generate_pose"
MAX_TEXT_FILE = 1 << 16  # bytes
MAX_EMBEDDING_FILE = 1 << 26
EXAMPLES = """\
examples:
  generate_pose hello -o hello.pose                          a word; -o is the file to write
  generate_pose hello -o hello.pose --preview hello.html     and a page to look at it
  generate_pose a -o a.pose --language ase                   a letter of American Sign Language
  generate_pose hello -o me.pose --first-pose me.pose        by the person in me.pose, from that pose on
  generate_pose "M518x529S14c20481x471" -o sw.pose           SignWriting (FSW or SWU); also --notation picture
  generate_pose hello -o x.pose --keyframe 0.5=up.pose       through the pose of up.pose, half a second in
  generate_pose hello -o x.html --sweep guidance=1,2,4       one page with all results side by side
  generate_pose hello -o x.html --sweep guidance=1,2,4 --sweep steps=1,4,10,50
  generate_pose --list-texts                                 what the model was trained on: it knows nothing else

The length is predicted from the text unless --seconds or --frames say it. Nothing is downloaded.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    _check(parser, args)
    return run(NAME, lambda: _list(args) if args.list_texts else _generate(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(NAME, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Generate signing from a text.", epilog=EXAMPLES)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("text", nargs="?", metavar="TEXT", help="a word, letter or gloss, SignWriting, or HamNoSys")
    what.add_argument("--text-file", type=Path, metavar="FILE", help="a UTF-8 file that holds the text")
    what.add_argument("--embedding", type=Path, metavar="FILE",
                      help=".npy with your own text embedding(s), (n, width), for a model trained with them")
    what.add_argument("--no-text", action="store_true", help="anything: what the model makes up without a text")
    what.add_argument("--list-texts", action="store_true", help="list what the model was trained on, and end")
    add_output_options(parser, "the .pose file to write; with --sweep the .html file")
    parser.add_argument("--sweep", action="append", type=parse_sweep, default=[], metavar="NAME=X,Y,...",
                        help="try these values of guidance, steps or seed and show all results on one page; given "
                             f"twice it is a grid; at most {MAX_CELLS} results")
    add_text_options(parser)
    _add_appearance(parser)
    length = parser.add_argument_group("the length").add_mutually_exclusive_group()
    length.add_argument("--seconds", type=number(float, 0.02, 600), metavar="S",
                        help="seconds (default: predicted from the text)")
    length.add_argument("--frames", type=number(int, 1, 72_000), metavar="N", help="the same, as frames")
    length.add_argument("--sample-length", action="store_true",
                        help="draw the length from what is predicted, with --seed, instead of the most usual one")
    add_sampling_options(parser, steps=8, temperature=0.2, guidance=1.5, interval=True)
    return parser


def _add_appearance(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who signs")
    group.add_argument("--first-pose", type=Path, metavar="FILE",
                       help="a .pose file whose first frame is the first frame of the result: its body, place, size, "
                            "points and units are kept (default: an average signer)")
    group.add_argument("--keyframe", action="append", type=_keyframe, default=[], metavar="SECONDS=FILE",
                       help="a .pose file whose first frame the result passes through at this time; may be given "
                            "several times")
    group.add_argument("--softness", type=number(float, 0, 10), default=0.0, metavar="X",
                       help="how exactly key frames are meant, as a standard deviation in shoulder widths: 0 passes "
                            "through them (default: 0)")
    group.add_argument("--fps", type=number(float, 1, 240), default=None, metavar="X",
                       help="frames per second (default: those of --first-pose, else 25)")


def _keyframe(text: str) -> tuple[float, Path]:
    time, equals, path = text.partition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"{text} is not SECONDS=FILE, such as 0.5=up.pose")
    return seconds(time), Path(path)


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What argparse cannot check itself."""
    if args.list_texts:
        return
    if args.output is None:
        parser.error("the following arguments are required: -o/--output")
    if (args.embedding or args.no_text) and (args.language != "und" or args.notation):
        parser.error("--language and --notation say how to read a text: leave them out without one")
    if args.sweep:
        names = [sweep.name for sweep in args.sweep]
        cells = 1
        for sweep in args.sweep:
            cells *= len(sweep.values)
        if len(names) > 2 or len(set(names)) < len(names):
            parser.error("--sweep: give one setting, or two different ones")
        if cells > MAX_CELLS:
            parser.error(f"--sweep: {cells} results are more than {MAX_CELLS}: give fewer values")
        if args.output.suffix.lower() != ".html":
            parser.error("--sweep writes a page: let -o end in .html")
        if args.preview:
            parser.error("--sweep writes a page: leave out --preview")
    times = [time for time, _ in args.keyframe]
    if len(set(times)) < len(times):
        parser.error("--keyframe: two for the same time")


def _list(args: argparse.Namespace) -> int:
    texts = load_model(args.model, args.device).texts
    if not texts:
        raise CommandError("this model was not trained on texts: choose another with --model")
    for text in sorted(texts, key=lambda text: (text.language, text.notation, text.text)):
        print(text.language, text.notation, text.text, sep="\t")
    return 0


def _generate(args: argparse.Namespace) -> int:
    from pose_diffusion import generate_steps

    check_preview(args.preview)
    text = _text(args)
    given = _appearance(args)
    model = load_model(args.model, args.device)
    files = {"first_pose": args.first_pose} | {f"key frame at {time:g} s": path for time, path in args.keyframe}
    with plain_warnings(NAME), blaming(_subject(args), files):
        settings = {**given, **sampling_settings(args), **_length(args, text, model), **_reading(args),
                    "model": model}
        if args.sweep:
            write_sweep(lambda **changed: generate_steps(text, **{**settings, **changed}), args.sweep, args.output,
                        settings, title=_subject(args))
            return 0
        with progress(args.steps) as bar:
            pose = last_of(generate_steps(text, **settings), bar)
    write_result(pose, args)
    return 0


def _subject(args: argparse.Namespace) -> str:
    """What errors and the page's title name."""
    return args.text or str(args.text_file or args.embedding or "no text")


def _text(args: argparse.Namespace) -> str | Embedding | None:
    if args.embedding:
        return read_embedding(args.embedding)
    if args.text_file:
        return read_text_file(args.text_file)
    return args.text


def read_text_file(path: Path) -> str:
    """The content of a small UTF-8 file, without white space at its ends; ends the command if it has none."""
    with about(path), open(path, "rb") as file:
        content = file.read(MAX_TEXT_FILE + 1)
        if len(content) > MAX_TEXT_FILE:
            raise ValueError(f"more than {MAX_TEXT_FILE} bytes: give one sign at a time")
        text = content.decode("utf-8-sig").strip()
        if not text:
            raise ValueError("the file holds no text: write the word, SignWriting or HamNoSys into it")
    return text


def read_embedding(path: Path) -> Embedding:
    """The vectors of a `.npy` file, `(n, width)` or `(width,)` floats; ends the command if there are none."""
    import numpy as np

    from pose_diffusion.notation import Embedding

    with about(path):
        if path.stat().st_size > MAX_EMBEDDING_FILE:
            raise ValueError(f"more than {MAX_EMBEDDING_FILE >> 20} MB: give up to 64 vectors")
        with open(path, "rb") as file:
            if file.read(6) != b"\x93NUMPY":
                raise ValueError("not a .npy file: write one with numpy.save")
        # Mapped, not read: what the header promises is compared with the size of the file before memory is taken.
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        return Embedding(np.atleast_2d(values))


def _appearance(args: argparse.Namespace) -> dict[str, Any]:
    first = read(args.first_pose) if args.first_pose else None
    fps = args.fps if args.fps is not None else float(first.body.fps) if first is not None else 25.0
    return {"first_pose": first, "softness": args.softness, "fps": fps,
            "keyframes": {time: read(path) for time, path in args.keyframe} or None}


def _reading(args: argparse.Namespace) -> dict[str, Any]:
    """How the text is to be read."""
    return {"language": args.language, "notation": args.notation}


def _length(args: argparse.Namespace, text: Any, model: PoseDiffusion) -> dict[str, Any]:
    if not args.sample_length:
        return {"seconds": args.seconds, "frames": args.frames}
    from pose_diffusion import predict_seconds

    return {"seconds": predict_seconds(text, **_reading(args), seed=args.seed, model=model)}


if __name__ == "__main__":
    sys.exit(main())
