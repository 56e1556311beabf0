"""How fast it is, and how much memory it takes: `python benchmarks/speed.py [--model DIR]` prints a table.

Set OMP_NUM_THREADS to the number of cores to use, and leave the machine alone meanwhile.
"""
from __future__ import annotations

import argparse
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import spoken_to_signed
import torch
from pose_format import Pose
from pose_format.utils.generic import reduce_holistic
from torch.utils.flop_counter import FlopCounterMode

from pose_diffusion import generate_many, refine, refine_many
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.files import read_pose

LEXICON = Path(spoken_to_signed.__file__).parent / "assets" / "fingerspelling_lexicon"
BATCH, FRAMES, STEPS = 32, 77, 10
REPEATS = 3
MINUTES = (1, 10, 60)
FILES = 100
FPS = 25
Row = Callable[[str, str], None]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder of the model (default: the shipped one)")
    parser.add_argument("--long", nargs=2, type=int, metavar=("MINUTES", "POINTS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.long:
        minutes, points = args.long
        print(*long_video(minutes, points, args.model))
        return
    print(machine())
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        model = PoseDiffusion.from_pretrained(args.model, device)
        print(f"\n{device}")
        batch_rows(model, show)
        generation_rows(model, show)
        clip_rows(model, show)
        network_rows(model, show)
    print("\ncommands and long videos, cpu")
    command_rows(args.model, show)
    long_rows(args.model, show)


def show(what: str, result: str) -> None:
    """Print a row."""
    print(f"  {what:<58} {result}", flush=True)


def machine() -> str:
    """What it runs on, and what else is running."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (f"{name}, {os.cpu_count()} cores{gpu}; load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, "
            f"torch {torch.__version__}, {torch.get_num_threads()} threads")


def best(function: Callable[[], object]) -> float:
    """Seconds of the fastest of some calls, after one to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(perf_counter() - start)
    return min(times[1:])


def clip(path: Path, frames: int, points: int) -> Pose:
    """A real pose, repeated or cut to a number of frames; of 178 points or all it has."""
    pose = read_pose(path)
    pose = reduce_holistic(pose) if points == 178 else pose
    there = len(pose.body.data)
    return Pose(pose.header, pose.body[np.arange(frames) % there])


def batch_rows(model: PoseDiffusion, row: Row) -> None:
    """Many clips in one call."""
    files = sorted(LEXICON.glob("*/*.pose"))[::18][:BATCH]
    for points in (178, 586):
        poses = [clip(path, FRAMES, points) for path in files]
        for steps in (1, STEPS):
            seconds = best(partial(refine_many, poses, steps=steps, model=model))
            row(f"refine_many, {BATCH} poses x {FRAMES} frames x {points} points x {steps} steps", f"{seconds:.3f} s")


def generation_rows(model: PoseDiffusion, row: Row) -> None:
    """A word, many times in one call: without guidance, with it at every step, and how much longer that takes."""
    text = min((text for text in model.texts if text.notation == "words"), key=lambda text: (text.text, text.language))
    first = clip(min(LEXICON.glob("*/*.pose")), 1, 178)
    seconds = [best(partial(generate_many, [text] * BATCH, frames=FRAMES, steps=STEPS, guidance=guidance,
                            guidance_interval=(0.0, math.inf), first_pose=first, model=model))
               for guidance in (1.0, 2.0)]
    what = f"generate_many, {BATCH} x {FRAMES} frames x {STEPS} steps"
    row(f"{what}, guidance 1", f"{seconds[0]:.3f} s")
    row(f"{what}, guidance 2", f"{seconds[1]:.3f} s ({seconds[1] / seconds[0]:.2f} times)")


def clip_rows(model: PoseDiffusion, row: Row) -> None:
    """One clip."""
    pose = clip(min(LEXICON.glob("*/*.pose")), 100, 178)
    for steps in (1, 4, STEPS):
        seconds = best(partial(refine, pose, steps=steps, model=model))
        row(f"refine, 100 frames x 178 points x {steps} steps", f"{seconds:.3f} s")


def network_rows(model: PoseDiffusion, row: Row) -> None:
    """The network alone, against what the machine can do at best."""
    from pose_diffusion.clip import encode
    from pose_diffusion.tasks.refine import Settings, observe

    poses = [clip(path, FRAMES, 178) for path in sorted(LEXICON.glob("*/*.pose"))[::18][:BATCH]]
    observation = observe([encode(pose)[0] for pose in poses], Settings(1., (), False, STEPS, 1., 0))

    def sampled() -> None:
        for _ in model.sample(observation, steps=STEPS):
            pass

    with FlopCounterMode(display=False) as counter:
        sampled()
    seconds, work = best(sampled), counter.get_total_flops()
    row(f"model.sample, {BATCH} clips x {FRAMES} frames x {STEPS} steps", f"{seconds:.3f} s")
    for kind in (torch.float32, torch.bfloat16):
        peak = matmul_rate(kind, model.device)
        row(f"its {work / 1e9:.1f} GFLOP as a share of matmul in {str(kind)[6:]}",
            f"{work / seconds / peak:.0%} of {peak / 1e9:.0f} GFLOP/s")


def matmul_rate(kind: torch.dtype, device: torch.device) -> float:
    """Operations per second of a matrix product of the network's size."""
    rows, inner, columns = (768, 768, 768) if device.type == "cpu" else (8192, 8192, 8192)
    a, b = (torch.randn(shape, device=device, dtype=kind) for shape in ((rows, inner), (inner, columns)))
    return 2 * rows * inner * columns * 20 / best(lambda: [a @ b for _ in range(20)])


def command_rows(model: str | None, row: Row) -> None:
    """The commands, each in a process of its own."""
    row("refine_pose --help", f"{best(lambda: run('-m', 'pose_diffusion.commands.refine_pose', '--help')):.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        files = sorted(LEXICON.glob("*/*.pose"))[::6][:FILES]
        for i, path in enumerate(files):
            shutil.copy(path, Path(folder) / f"{i}.pose")
        start = perf_counter()
        run("-m", "pose_diffusion.commands.refine_poses", "-d", folder, *(["--model", model] if model else []))
        rate = len(files) / (perf_counter() - start)
    row(f"refine_poses, {len(files)} files of the lexicon", f"{rate:.0f} files/s")


def long_rows(model: str | None, row: Row) -> None:
    """Time and memory by length."""
    for points in (178, 586):
        for minutes in MINUTES:
            out = run(__file__, "--long", str(minutes), str(points), *(["--model", model] if model else []))
            seconds, size, memory, before = (float(word) for word in out.split())
            row(f"refine, {minutes} min of {points} points at {FPS} fps",
                f"{seconds:.1f} s; {size:.0f} MB each for pose and result, {memory:.0f} MB more (start: {before:.0f})")


def run(*args: str) -> str:
    """What a Python process printed."""
    return subprocess.run([sys.executable, *args], check=True, capture_output=True, text=True).stdout


def long_video(minutes: int, points: int, model: str | None) -> tuple[float, float, float, float]:
    """Seconds, the size of the pose in MB, the most memory taken beside pose and result, and that taken before."""
    path = min(LEXICON.glob("*/*.pose"))
    loaded = PoseDiffusion.from_pretrained(model)
    refine(clip(path, 30, points), model=loaded)
    before = peak()
    pose = clip(path, minutes * 60 * FPS, points)
    size = (pose.body.data.nbytes + np.ma.getmaskarray(pose.body.data).nbytes + pose.body.confidence.nbytes) / 1e6
    held = peak()
    start = perf_counter()
    refine(pose, model=loaded)
    return perf_counter() - start, size, peak() - max(held, before + size) - size, before


def peak() -> float:
    """The most memory this process has held, in MB."""
    status = Path("/proc/self/status")  # on Linux ru_maxrss also counts what the parent held when it started this one
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e3 if sys.platform != "darwin" else 1e6)


if __name__ == "__main__":
    main()
