"""What the linear prior of `wiener.py` leaves of jitter, on people it was not fitted to.

    python benchmarks/steady_prior.py --pack .cache/pack.npz

The jitter of `corruption.jitter` is added to clips in which a hand, or the body, is seen throughout. The ratio is the
mean 2D error of the part's points over that of the Savitzky-Golay filter that is best for this very source and level
(order 2 or 3, 5 to 23 frames, or none); the prior is fitted to the sources used for training. No network is involved.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import yaml
from scipy.signal import savgol_filter

import pose_diffusion.training
from pose_diffusion.corruption import jitter, undamaged
from pose_diffusion.diffusion.wiener import NOISE, Prior, steadied
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.training.data import Pack, load
from pose_diffusion.training.statistics import statistics

CONFIG = Path(pose_diffusion.training.__file__).parent / "configs" / "base.yaml"
PARTS = {"hand": "right_hand", "body": "body"}
WINDOWS = range(5, 24, 2)
CLIPS = 60  # of a source


def shaken(pack: Pack, name: str, part: slice, std: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The part as it was and with jitter, `(T, n, 3)`, for every clip of a source that has it throughout."""
    rng = np.random.default_rng(0)
    for i in rng.permutation(pack.select([name]))[:CLIPS]:
        xyz, confidence = pack.clip(i)
        if len(xyz) < max(WINDOWS) or not (confidence[:, part] > 0).all():
            continue
        yield xyz[:, part], jitter(undamaged(xyz, confidence > 0), std, rng).xyz[:, part]


def error(estimates: list[np.ndarray], truths: list[np.ndarray]) -> float:
    """Mean 2D distance over all points and frames of the clips."""
    return float(np.mean([np.linalg.norm((a - b)[..., :2], axis=-1).mean() for a, b in zip(estimates, truths)]))


def measured(pack: Pack, name: str, part: slice, prior: Prior, level: int) -> tuple[int, float, float, float]:
    """Clips, and the errors of the jitter itself, of the best Savitzky-Golay filter and of the prior's estimate."""
    cases = list(shaken(pack, name, part, NOISE[level]))
    if not cases:
        return 0, np.nan, np.nan, np.nan
    truths, noisy = [truth for truth, _ in cases], [seen for _, seen in cases]
    filtered = [error([savgol_filter(x, window, order, axis=0) for x in noisy], truths)
                for window in WINDOWS for order in (2, 3)]
    found = [steadied(torch.from_numpy(x)[None], prior, torch.ones(1, len(x), dtype=torch.bool))[level, 0].numpy()
             for x in noisy]
    raw = error(noisy, truths)
    return len(cases), raw, min(raw, *filtered), error(found, truths)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", required=True, help="the packed file (python -m pose_diffusion.training.pack)")
    pack = load(parser.parse_args().pack)
    data = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["data"]
    held_out = data["held_out"]
    fitted = pack.select([name for name in pack.sources if name not in {*held_out, *data["unseen"]}])
    values = statistics(pack, fitted, HOLISTIC)
    print("| part | jitter | source | clips | jitter | Savitzky-Golay | prior | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for part, where in PARTS.items():
        prior = Prior(values[f"{part}_basis"], values[f"{part}_taps"])
        for level, std in enumerate(NOISE):
            ratios = []
            for name in held_out:
                clips, raw, best, found = measured(pack, name, HOLISTIC.parts[where], prior, level)
                if clips:
                    ratios.append(found / best)
                    print(f"| {part} | {std} | {name} | {clips} | {raw:.4f} | {best:.4f} | {found:.4f} "
                          f"| {ratios[-1]:.2f} |")
            print(f"| {part} | {std} | geometric mean | | | | | {np.exp(np.log(ratios).mean()):.2f} |")


if __name__ == "__main__":
    main()
