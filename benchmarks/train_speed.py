"""Samples per second of training: what the workers prepare, and what the network takes in.

    python benchmarks/train_speed.py --config cpu --out model

Options are those of `train_pose_diffusion`; nothing is written. Run it on an idle machine.
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pose_diffusion.commands.train import make_parser, named_configs
from pose_diffusion.diffusion.schedule import training_sigmas
from pose_diffusion.training.module import PoseModule

SECONDS = 15.


def rate(step: Callable[[], int], wait: Callable[[], None]) -> float:
    """Samples per second of something that does some at a time; the first times do not count."""
    for _ in range(3):
        step()
    wait()
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        count += step()
    wait()
    return count / (time.perf_counter() - begin)


def train_step(module: PoseModule, batch: dict[str, Tensor], precision: str) -> Callable[[], int]:
    """A step on a batch, with all that belongs to it but logging."""
    device = batch["truth"].device
    optimizer = torch.optim.AdamW(module.denoiser.parameters())
    generator = torch.Generator(device).manual_seed(0)

    def step() -> int:
        sigma = training_sigmas(len(batch["truth"]), generator)
        noise = torch.randn(batch["truth"].shape, generator=generator, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision.startswith("bf16")):
            loss = module.losses(module.denoiser, batch, sigma, noise, module.weights)["total"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.denoiser.parameters(), 1.)
        optimizer.step()
        return len(sigma)

    return step


def endless(loader: DataLoader) -> Iterator[dict[str, Tensor]]:
    """Its batches, over and over."""
    while True:
        yield from loader


def prepared(loader: DataLoader) -> float:
    """Samples per second of the loader's workers."""
    stream = endless(loader)
    for _ in range(loader.num_workers * (loader.prefetch_factor or 0)):  # ready before anybody asked
        next(stream)
    return rate(lambda: len(next(stream)["truth"]), lambda: None)


def main() -> None:
    """Measure and print."""
    parser = make_parser()
    config = parser.parse_args(named_configs(sys.argv[1:]))
    parts: Any = parser.instantiate(config)
    loader = parts.data.train_dataloader()
    on_gpu = config.trainer.accelerator == "gpu"
    device, wait = ("cuda", torch.cuda.synchronize) if on_gpu else ("cpu", lambda: None)
    batch = {name: value.to(device) for name, value in next(iter(loader)).items()}
    workers = prepared(loader)
    print(f"prepared   {workers:8.0f} samples/s by {max(1, loader.num_workers)} process(es)")
    taken = rate(train_step(parts.model.to(device), batch, config.trainer.precision), wait)
    print(f"taken in   {taken:8.0f} samples/s by {torch.cuda.get_device_name() if on_gpu else 'the CPU'}, "
          f"batch {len(batch['truth'])}, {torch.get_num_threads()} thread(s)")
    print(f"busy       {min(1., workers / taken):8.0%} of the time at most")


if __name__ == "__main__":
    main()
