"""Transitions: .2 to .5 s cut out of real clips, and filled from what is around them.

    python benchmarks/transitions.py --pack .cache/pack.npz [--model DIR] [--every 2]

Printed are, by length and for signers and cameras that were never seen, those that training was chosen by, and those of
the training: the error in the image, of the arms and of hands that the clip shows steadily, and the jerk at the joins,
the third differences across them, over that of real signing at the same places. `ratio` is to the best of the first
three, which is chosen after the fact. The 95 % intervals are bootstrapped over the cuts.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation import joins
from pose_diffusion.evaluation.baselines import Run, pchip, stacked
from pose_diffusion.evaluation.cases import LEFT_OUT, TUNING, UNSEEN
from pose_diffusion.evaluation.joins import Join
from pose_diffusion.evaluation.network import network
from pose_diffusion.tasks.inbetween import STEPS
from pose_diffusion.tasks.sampling import TEMPERATURE
from pose_diffusion.training.data import HANDS_ONLY, Pack, load

EDGES = (.2, .3, .4, .5)  # seconds
TRAINING_CLIPS = 360
DRAWS = 1000
FILTER = "spoken-to-signed"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--model", help="folder of the model (default: the shipped one)")
    parser.add_argument("--every", type=int, default=1, help="only one in so many clips")
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 8], help="of the network at a temperature of 1")
    args = parser.parse_args()
    pack, model = load(args.pack), PoseDiffusion.from_pretrained(args.model)
    methods: dict[str, Run] = {**joins.BASELINES, "PCHIP": stacked(pchip)}
    methods["network"] = network(model, steps=STEPS, only_masked=True, temperature=TEMPERATURE)
    for steps in args.steps:
        methods[f"network, {steps} step{'s' * (steps > 1)}"] = network(model, steps=steps, only_masked=True)
    for name, clips in groups(pack).items():
        report(name, joins.cut(pack, clips[::args.every]), methods)


def groups(pack: Pack) -> dict[str, list[int]]:
    """Clips that were never seen, that were chosen by, and of the training."""
    training = pack.select([name for name in pack.sources
                            if name not in UNSEEN + TUNING + LEFT_OUT and not name.startswith(HANDS_ONLY)])
    drawn = np.sort(np.random.default_rng(0).permutation(training)[:TRAINING_CLIPS])
    return {"unseen signers and cameras": pack.select(list(UNSEEN)).tolist(),
            "signers and cameras that were chosen by": pack.select(list(TUNING)).tolist(),
            "training": drawn.tolist()}


def report(name: str, cuts: Sequence[Join], methods: dict[str, Run]) -> None:
    """Print the table of some cuts."""
    real = joins.jerks(cuts, [cut.truth for cut in cuts])
    filled = {method: joins.fill(cuts, run) for method, run in methods.items()}
    errors = {method: joins.errors(cuts, xyz) for method, xyz in filled.items()}
    jerks = {method: joins.jerks(cuts, xyz) for method, xyz in filled.items()}
    seconds = np.array([(cut.stop - cut.start) * cut.known.seconds[1] for cut in cuts])
    bins = [(f"{low:g}-{high:g} s", (seconds >= low - .01) & (seconds < high + .01 * (high == EDGES[-1])))
            for low, high in zip(EDGES, EDGES[1:])]
    bins.append(("all", np.ones(len(cuts), bool)))
    print(f"\n{name}: {len(cuts)} cuts\n")
    print(f"| method | {' | '.join(f'{label} ({rows.sum()})' for label, rows in bins)} | ratio (95 %) | jerk |")
    print("| --- |" + " ---: |" * (len(bins) + 2))
    best = min(joins.BASELINES, key=lambda method: errors[method].mean())
    for method in methods:
        cells = [f"{errors[method][rows].mean():.4f}" for _, rows in bins]
        low, high = interval(errors[method], errors[best])
        ratio = f"{errors[method].mean() / errors[best].mean():.2f} ({low:.2f}-{high:.2f})"
        print(f"| {method} | {' | '.join(cells)} | {ratio} | {jerks[method].mean() / real.mean():.2f} |", flush=True)
    whole = joins.jerks(cuts, joins.BASELINES[FILTER]([cut.known for cut in cuts]))
    print(f"\nJerk of {FILTER} with all that its filter does to the clip around: {whole.mean() / real.mean():.2f}")


def interval(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the ratio of two means over cuts that are drawn again."""
    rows = np.random.default_rng(0).integers(len(ours), size=(DRAWS, len(ours)))
    low, high = np.quantile(ours[rows].mean(1) / theirs[rows].mean(1), [.025, .975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
