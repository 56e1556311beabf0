"""Which guidance, interval and temperature: on clips of tuning and training signers, none of them tested on.

    python benchmarks/sampling_settings.py --pack .cache/pack.npz --recognizer runs/generation/recognizer

prints, for each setting, how often clips generated from a text and a first pose are recognised, how much they move and
shake beside real ones, how much their bones vary and how often fingers are broken. The recognition network is one that
`generate_benchmark` made; of the training signers it knows the clips themselves, so that only differences say anything.
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation import generation_metrics as metrics
from pose_diffusion.evaluation.cases import TUNING
from pose_diffusion.evaluation.generation import Clip, Task, generate, tasks, whole_people
from pose_diffusion.evaluation.recognition import Recognition, load_recognition, prepare, recognise
from pose_diffusion.training.data import kept_back, load

CLIPS = 150
EVERYWHERE, HIGH = (0.0, math.inf), (2.0, math.inf)
SETTINGS = [(1, 1.0, EVERYWHERE, 1.0), (8, 1.0, EVERYWHERE, 1.0), (8, 1.0, EVERYWHERE, .3), (8, 1.0, EVERYWHERE, .2),
            (4, 1.0, EVERYWHERE, .2), (50, 1.0, EVERYWHERE, .2), (8, 1.5, EVERYWHERE, .3), (8, 1.5, HIGH, .2),
            (8, 2.0, HIGH, .2), (8, 2.0, HIGH, .3), (8, 3.0, EVERYWHERE, .3)]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--recognizer", type=Path, required=True)
    parser.add_argument("--model")
    args = parser.parse_args()
    torch.set_num_threads(1)
    pack, model = load(args.pack), PoseDiffusion.from_pretrained(args.model)
    recognition, rng = load_recognition(args.recognizer), np.random.default_rng(5)
    tuning = pack.select(whole_people(pack, TUNING))
    training = np.setdiff1d(pack.select(whole_people(pack)), kept_back(pack))
    for name, clips in (("tuning signers", tuning), ("training signers", training)):
        some = tasks(pack, rng.permutation(clips)[:CLIPS], recognition.labels)
        print(f"\n{name}: {len(some)} clips\n  {'real':<42} {figures(recognition, some, [t.truth for t in some])}")
        for steps, guidance, interval, temperature in SETTINGS:
            made = [clip for batch in generate(model, some, steps=steps, guidance=guidance, interval=interval,
                                               temperature=temperature) for clip in batch]
            what = f"{steps} steps, guidance {guidance:g} from {interval[0]:g}, temperature {temperature:g}"
            print(f"  {what:<42} {figures(recognition, some, made)}", flush=True)


def figures(recognition: Recognition, some: list[Task], made: list[Clip]) -> str:
    """A row."""
    truths = [task.truth for task in some]
    probabilities, _ = recognise(recognition, prepare(made))
    hits = metrics.recognised(probabilities, [task.label for task in some], recognition.labels)
    motion, jerk = (metrics.moving(made, n, truths) / metrics.moving(truths, n) for n in (1, 3))
    return (f"recognised {np.mean(hits):.3f}  motion {motion:.2f}  jerk {jerk:.2f}  "
            f"bones {metrics.hand_bones(made, truths):.3f}  broken {metrics.broken_fingers(made, truths):.3f}")


if __name__ == "__main__":
    main()
