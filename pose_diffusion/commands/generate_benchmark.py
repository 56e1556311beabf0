"""`generate_benchmark`: generated clips and joins against real ones, and against what a user has without a model.

    generate_benchmark --pack .cache/pack.npz --out runs/generation

The packed clips are made by `python -m pose_diffusion.training.pack`. A small recognition network is trained first, on
training clips only (about two minutes); it is kept in --recognizer. Written are `generation.md`, `generation.json` and
`generation.svg`.
"""
from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_diffusion.commands.errors import CommandError, about, run

if TYPE_CHECKING:
    from pose_diffusion.evaluation.generation_benchmark import Results
    from pose_diffusion.evaluation.recognition import Recognition
    from pose_diffusion.training.data import Pack

STEPS, QUICK_STEPS = 2500, 60  # batches that the recognition network is trained on


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser("generate_benchmark", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True, metavar="FILE", help="packed clips with texts (.npz)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the tables go")
    parser.add_argument("--model", metavar="DIR", help="folder of another model (default: the one in this package)")
    parser.add_argument("--recognizer", type=Path, metavar="DIR",
                        help="where the recognition network is kept (default: recognizer in --out)")
    parser.add_argument("--quick", action="store_true", help="a few clips only, to see that everything runs")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything that is drawn (default: 0)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="(default: 2)")
    args = parser.parse_args(argv)
    return run("generate_benchmark", lambda: _benchmark(args))


def _benchmark(args: argparse.Namespace) -> int:
    import torch

    from pose_diffusion.diffusion.model import PoseDiffusion
    from pose_diffusion.evaluation import generation_benchmark as benchmark
    from pose_diffusion.evaluation.generation import whole_people
    from pose_diffusion.evaluation.recognition import choose_clips
    from pose_diffusion.training.data import kept_back, load

    if args.seed < 0 or args.threads < 1:
        raise CommandError("--seed must be 0 or more, --threads 1 or more")
    with about(f"--model {args.model}" if args.model else "model"):
        model = PoseDiffusion.from_pretrained(args.model)
        if model.denoiser.text is None:
            raise ValueError("does not understand text, so it cannot generate: choose one that was trained with texts")
    with about(args.pack):
        pack = load(args.pack)
        train = choose_clips(pack, whole_people(pack), kept_back(pack))
        if len(train) < 2:
            raise ValueError("has fewer than two words with clips to train on: pack it again with its texts "
                             "(python -m pose_diffusion.training.pack)")
    torch.set_num_threads(1)  # of the recognition network, so that it is the same on every machine
    with about(args.recognizer or args.out):
        recognition = _recognition(pack, train, args)
    torch.set_num_threads(args.threads)
    size = benchmark.QUICK if args.quick else benchmark.Size()
    with about("benchmark"):
        setting = benchmark.prepare_setting(pack, model, recognition, train, size, args.seed)
        if not setting.sets:
            raise ValueError(f"{args.pack} has no clips kept back: it takes ten clips of a word by one signer")
        results = benchmark.measure(setting)
    with about(args.out):
        _write(results, args.out)
    return 0


def _recognition(pack: Pack, train: dict[str, list[int]], args: argparse.Namespace) -> Recognition:
    """The recognition network of `--recognizer`, or a new one that is kept there."""
    from tqdm import tqdm

    from pose_diffusion.evaluation import recognition

    folder = args.recognizer or args.out / "recognizer"
    path = folder / recognition.WEIGHTS
    if path.exists():
        found = recognition.load_recognition(folder)
        if found.labels != tuple(train):
            raise ValueError(f"{path} tells other words apart than the pack has: remove it, or name another folder")
        return found

    def progress(steps: range) -> Any:
        return tqdm(steps, desc="recognition network", unit="batch")

    made = recognition.train(pack, train, QUICK_STEPS if args.quick else STEPS, args.seed, progress)
    recognition.save_recognition(made, folder)
    return made


def _write(results: Results, folder: Path) -> None:
    """Print the targets; write all tables, the curves and every number."""
    from pose_diffusion.evaluation import generation_report as report
    from pose_diffusion.files import atomic

    folder.mkdir(parents=True, exist_ok=True)
    print(report.targets_table(results))
    contents = {"generation.md": report.markdown(results), "generation.svg": report.curves(results),
                "generation.json": json.dumps(_finite(asdict(results)), indent=1, allow_nan=False) + "\n"}
    for name, text in contents.items():
        with atomic(folder / name) as path:
            path.write_text(text, encoding="utf-8")


def _finite(value: Any) -> Any:
    """For JSON, which has no NaN: null instead."""
    if isinstance(value, dict):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
