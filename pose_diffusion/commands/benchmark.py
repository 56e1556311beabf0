"""`refine_benchmark`: the network against what a user would do instead, on signers it never saw; one table.

    python -m pose_diffusion.commands.benchmark --pack .cache/pack.npz --out runs/benchmark

The packed clips are made by `python -m pose_diffusion.training.pack`. `--tune` and `--train-smoothnet` make the files
`tuned.json` and `smoothnet.safetensors` of the evaluation package again.
"""
from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_diffusion.commands.errors import about, run

if TYPE_CHECKING:
    from pose_diffusion.evaluation.benchmark import Results
    from pose_diffusion.evaluation.cases import Row
    from pose_diffusion.evaluation.methods import Method
    from pose_diffusion.training.data import Pack

QUICK = 12  # every so manyth clip
STEPS = (2, 4, 8, 50)
SAMPLES, SAMPLE_STEPS = 32, 8
STEP_ROWS = ("hand_drop 3", "arm_drop 2", "jitter 2", "mixed 2")
SAMPLE_ROWS = ("hand_drop 3", "arm_drop 2", "mixed 2")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser("refine_benchmark", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True, metavar="FILE", help="packed clips (.npz)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the tables go")
    parser.add_argument("--model", metavar="DIR", help="folder of another model, or `none` for the baselines alone "
                                                       "(default: the model in this package)")
    parser.add_argument("--regression", metavar="DIR", help="a model trained as plain regression, as an ablation")
    parser.add_argument("--cache", type=Path, default=Path(".cache"), metavar="DIR",
                        help="where the fitted mixture is kept (default: .cache)")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these kinds of damage: swap, \"jitter 2\", ...")
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK}th clip only")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="(default: 2)")
    parser.add_argument("--tune", nargs="*", metavar="METHOD", help="tune these baselines (default: all) and stop")
    parser.add_argument("--train-smoothnet", type=int, metavar="BATCHES", help="train SmoothNet and stop (4000)")
    args = parser.parse_args(argv)
    return run("refine_benchmark", lambda: _benchmark(args))


def _benchmark(args: argparse.Namespace) -> int:
    import torch

    from pose_diffusion.evaluation import cases, smoothnet
    from pose_diffusion.training.data import load

    torch.set_num_threads(args.threads)
    with about(args.pack):
        pack = load(args.pack)
        lists = {name: cases.find_clips(pack, ids) for name, ids in cases.read_clips().items()}
    rows = tuple(row for row in cases.ROWS if not args.rows or {row.case, row.name} & {*args.rows})
    if args.train_smoothnet is not None:
        smoothnet.save(smoothnet.train(pack, cases.training_clips(pack), args.train_smoothnet))
        return 0
    if args.tune is not None:
        return _tune(pack, lists["tuning"], args, rows)
    sets = {name: lists[name][::QUICK if args.quick else 1] for name in ("unseen", "training")}
    with about("the baselines"):
        methods = _baselines(pack, args.cache)
    with about(f"--model {args.model}" if args.model else "model"):
        networks = _networks(args)
    results = {name: _measure(pack, clips, {**methods, **networks[name]}, rows, name) for name, clips in sets.items()}
    with about(args.out):
        _write(results, args.out)
    return 0


def _mixture(pack: Pack, cache: Path) -> Any:
    """The mixture, fitted once per pack."""
    from pose_diffusion.evaluation import cases, mixture

    settings = (mixture.WINDOW, mixture.COMPONENTS, mixture.DIRECTIONS, len(pack.xyz))
    path = cache / f"mixture-{'-'.join(map(str, settings))}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        mixture.save(mixture.fit(pack, cases.training_clips(pack)), path)
    return mixture.load(path)


def _baselines(pack: Pack, cache: Path) -> dict[str, Method]:
    from pose_diffusion.evaluation import methods, smoothnet

    return methods.all_baselines(_mixture(pack, cache), smoothnet.load(), methods.read_tuned())


def _tune(pack: Pack, clips: list[int], args: argparse.Namespace, rows: tuple[Row, ...]) -> int:
    from pose_diffusion.evaluation import methods, tuning

    names = args.tune or [*methods.FILTERS, methods.MIXTURE]
    mixture = _mixture(pack, args.cache) if methods.MIXTURE in names else None
    with about("--tune"):
        tuning.write(tuning.tune(pack, clips, mixture, names=names, rows=rows))
    return 0


def _networks(args: argparse.Namespace) -> dict[str, dict[str, Method]]:
    """The network's methods for each set of clips: steps and samples on unseen signers only."""
    from pose_diffusion.evaluation.cases import ROWS
    from pose_diffusion.evaluation.methods import Method
    from pose_diffusion.evaluation.report import MASKED, NETWORK

    if args.model == "none":
        return {"unseen": {}, "training": {}}
    from pose_diffusion.diffusion.model import PoseDiffusion
    from pose_diffusion.evaluation.network import network

    model = PoseDiffusion.from_pretrained(args.model)
    both = {NETWORK: Method(lambda row: network(model), "network", 1),
            MASKED: Method(lambda row: network(model, only_masked=True), "ablation", 1,
                           tuple(row for row in ROWS if row.case == "hand_drop"))}
    if args.regression:
        plain = PoseDiffusion.from_pretrained(args.regression)
        both["plain regression"] = Method(lambda row: network(plain), "ablation", 1)
    step_rows = tuple(row for row in ROWS if row.name in STEP_ROWS)

    def at(steps: int) -> Method:
        return Method(lambda row: network(model, steps=steps), "ablation", steps, step_rows)

    more = {f"network, {steps} steps": at(steps) for steps in STEPS}
    samples = Method(lambda row: network(model, steps=SAMPLE_STEPS, hypotheses=SAMPLES), "samples",
                     SAMPLES * SAMPLE_STEPS, tuple(row for row in ROWS if row.name in SAMPLE_ROWS))
    return {"unseen": {**both, **more, f"network, {SAMPLES} samples": samples}, "training": both}


def _measure(pack: Pack, clips: list[int], methods: dict[str, Method], rows: tuple[Row, ...], name: str) -> Results:
    from tqdm import tqdm

    from pose_diffusion.evaluation.benchmark import Results, evaluate

    results = Results(methods)
    for row, scores in tqdm(evaluate(pack, clips, methods, rows), total=len(rows), desc=name, unit="row"):
        results.scores[row.name] = scores
    return results


def _write(results: dict[str, Results], folder: Path) -> None:
    """Print the table; write it, the others and every number."""
    from pose_diffusion.evaluation import report
    from pose_diffusion.files import atomic

    first = report.main_table(results)
    print(first)
    unseen = results["unseen"]
    parts = {"Network and best baseline": first, "Targets": report.targets_table(results)}
    for name, part in results.items():
        parts[f"2D error of lost and moved points: {report.LONG[name]}"] = report.methods_table(part)
    parts["Acceleration ratio: " + report.LONG["unseen"]] = report.methods_table(unseen, "acceleration_ratio", 2)
    parts["Acceleration error: " + report.LONG["unseen"]] = report.methods_table(unseen, "acceleration_2d", 4)
    for case in ("hand_drop", "arm_drop", "frame_drop"):
        if report.rows_of(unseen, case):
            parts[f"By length of gap: {case}, {report.LONG['unseen']}"] = report.gaps_table(unseen, case)
    parts["In detail: " + report.LONG["unseen"]] = report.detail_table(unseen, list(unseen.scores))
    parts["Steps and ablations: " + report.LONG["unseen"]] = report.steps_table(unseen)
    parts["Samples: " + report.LONG["unseen"]] = report.samples_table(unseen)
    parts["Cost"] = report.cost_table(unseen)
    folder.mkdir(parents=True, exist_ok=True)
    records = report.records(results)
    with atomic(folder / "benchmark.md") as path:
        path.write_text("".join(f"## {title}\n\n{text}\n" for title, text in parts.items()), encoding="utf-8")
    with atomic(folder / "benchmark.json") as path:
        path.write_text(json.dumps(records, indent=0).replace("NaN", "null") + "\n", encoding="utf-8")
    with atomic(folder / "benchmark.csv") as path, open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


if __name__ == "__main__":
    sys.exit(main())
