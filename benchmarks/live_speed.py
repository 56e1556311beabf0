"""What live refinement adds to MediaPipe's time: `python benchmarks/live_speed.py VIDEO` prints a table.

Needs MediaPipe (`pip install -e '.[mediapipe]'`). On Linux `taskset -c 0,1` before it leaves it two cores. MediaPipe
alone and with the refinement take turns, so that a change in the machine's speed meets both.
"""
from __future__ import annotations

import argparse
import os
from time import perf_counter
from typing import Any

import numpy as np

from pose_diffusion.capture.live import RefinedHolistic
from pose_diffusion.capture.mediapipe import capture_refiner, legacy_holistic

TURNS = 4
WARM_UP = 30


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("--model", help="folder of the model (default: the shipped one)")
    args = parser.parse_args()
    from simple_video_utils.frames import read_frames_exact

    frames = list(read_frames_exact(args.video))
    refiner = capture_refiner(model=args.model)
    print(f"{len(os.sched_getaffinity(0))} cores, {len(frames)} frames of {frames[0].shape[1]} x {frames[0].shape[0]}")
    print(f"{'settings':<40}{'MediaPipe, ms':>15}{'with refining, ms':>20}{'added':>8}{'slowest, ms':>14}")
    for settings in ({}, {"latency": 6}, {"latency": 18}, {"ahead": 0}):
        row(frames, refiner, settings)


def row(frames: list[np.ndarray], refiner: Any, settings: dict[str, int]) -> None:
    """Time one way to set it."""
    with legacy_holistic({})() as alone, RefinedHolistic(refiner=refiner, **settings) as refined:
        for each in (alone, refined):
            timed(each, frames[:WARM_UP])
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(TURNS):
            for each, spent in zip((alone, refined), times):
                spent += timed(each, frames)
    without, together = (1000 * np.array(spent) for spent in times)
    name = ", ".join(f"{key}={value}" for key, value in settings.items()) or "default"
    print(f"{name:<40}{without.mean():>15.1f}{together.mean():>20.1f}{together.mean() / without.mean() - 1:>8.0%}"
          f"{together.max():>14.1f}", flush=True)


def timed(holistic: Any, frames: list[np.ndarray]) -> list[float]:
    """Seconds for each frame."""
    spent = []
    for frame in frames:
        begun = perf_counter()
        holistic.process(frame)
        spent.append(perf_counter() - begun)
    return spent


if __name__ == "__main__":
    main()
