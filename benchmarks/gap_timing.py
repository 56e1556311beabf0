"""What it is worth to interpolate a lost hand in step with what moves, instead of in time.

    python benchmarks/gap_timing.py --pack .cache/pack.npz

One hand is hidden in the middle of clips that have it throughout; the ratio is the mean 2D error of its 21 points over
that of interpolation linear in time and relative to the body's wrist, a geometric mean over the sources used for
training. `arm` hides the body's wrist, elbow and palm points of that side as well. `bent` is the candidate "cubic". No
network is involved.
"""
from __future__ import annotations

import argparse

import numpy as np
import torch

from pose_diffusion.corruption import hand_and_arm
from pose_diffusion.diffusion.candidates import CANDIDATES, start
from pose_diffusion.diffusion.filling import Filler, Observation, interpolate
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.training.data import Pack, load
from pose_diffusion.training.statistics import statistics

GAPS = (2, 8, 14)
HELD_BACK = ("Mujster", "Rishi", "lexicon-ise", "lexicon-tsm", "lexicon-csq", "lexicon-svk", "lexicon-ukl")
CLIPS = 100  # of a source


def hidden(pack: Pack, clips: np.ndarray, gap: int, arm: bool, rng: np.random.Generator) -> list[tuple]:
    """`(truth, mask, hand, rows)` for every clip and hand that is there throughout."""
    found = []
    for i in clips:
        xyz, confidence = pack.clip(i)
        for hand in ("left_hand", "right_hand"):
            part = HOLISTIC.parts[hand]
            if len(xyz) < gap + 4 or not (confidence[:, part] > 0).all():
                continue
            first = int(rng.integers(1, len(xyz) - gap - 1))
            rows = slice(first, first + gap)
            mask = confidence > 0
            columns = hand_and_arm(hand, HOLISTIC) if arm else np.arange(part.start, part.stop)
            mask[rows, columns] = False
            found.append((torch.from_numpy(xyz), torch.from_numpy(mask), part, rows))
    return found


def errors(filler: Filler, truth: torch.Tensor, mask: torch.Tensor, part: slice, rows: slice) -> list[float]:
    """Mean 2D error of the hidden hand: linear in time, filled, on a cubic in time."""
    n = filler.inner
    seconds = torch.arange(len(truth))[None] / 20
    xyz, seen = torch.where(mask[..., None], truth, 0.)[None], mask[None]
    linear = interpolate(filler.features(xyz), filler.known(seen), seconds, filler.mean).features
    begin = start(filler, Observation(xyz, seen, seen, seconds, torch.ones_like(seconds, dtype=torch.bool)))
    bent = begin.filled.clone()
    bent[:, :, :n] = begin.candidates[..., CANDIDATES.index("cubic"), :]
    return [float((filler.points(features)[0] - truth)[rows, part, :2].norm(dim=-1).mean())
            for features in (linear, begin.filled, bent)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", required=True, help="the packed file (python -m pose_diffusion.training.pack)")
    pack = load(parser.parse_args().pack)
    names = [name for name in pack.sources if not name.startswith(HELD_BACK)]
    filler = Filler(HOLISTIC, statistics(pack, pack.select(names), HOLISTIC)["mean"])
    print("| lost | frames | sources | linear in time, relative to the wrist | in step | cubic in time |")
    print("|---|---|---|---|---|---|")
    for arm in (False, True):
        for gap in GAPS:
            rows = []
            for name in names:
                rng = np.random.default_rng(0)
                clips = rng.permutation(pack.select([name]))[:CLIPS]
                values = [errors(filler, *case) for case in hidden(pack, clips, gap, arm, rng)]
                if len(values) >= 8:
                    rows.append(np.mean(values, axis=0))
            ratios = np.exp(np.log(np.array(rows) / np.array(rows)[:, :1]).mean(0))
            print(f"| {'arm' if arm else 'hand'} | {gap} | {len(rows)} | {np.mean(rows, 0)[0]:.3f} (1) "
                  f"| {ratios[1]:.2f} | {ratios[2]:.2f} |")


if __name__ == "__main__":
    main()
