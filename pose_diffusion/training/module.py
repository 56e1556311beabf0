"""The training loop's parts for Lightning: what is learnt from a batch, and where the batches come from.

All chance is drawn from the seed and the place in the run alone (sample i from `(seed, i)`, noise and dropout from
`(seed, epoch, batch)`): a run that was stopped and resumed ends with the same weights as one that was not, and several
processes see the same samples and noise as one.
"""
from __future__ import annotations

import copy
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, Sampler

from pose_diffusion.diffusion.config import DenoiserConfig, checked_config
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.noise import MARGIN
from pose_diffusion.diffusion.schedule import training_sigmas
from pose_diffusion.layout import LAYOUTS
from pose_diffusion.notation import Text
from pose_diffusion.training import held_out
from pose_diffusion.training.data import HANDS_ONLY, Pack, Windows, kept_back, load
from pose_diffusion.training.loss import LossWeights, losses
from pose_diffusion.training.statistics import statistics

MONITOR = "score"
SETS = ("held_out", "seen", "text")  # the validation sets, in the order of their loaders
LAST_RATE = .02  # of the learning rate, at the end of the run
EMA = .999
TEXT_PARTS = ("text", "telling", "place")  # of the network; they learn at another rate:
TEXT_RATE = 2.
PREFETCH = 2  # batches that a worker has ready: 512 samples are 100 MB of shared memory


class PoseModule(LightningModule):
    """A denoiser in training, and the average of its weights (EMA), which is what is validated and kept.

    Batches are those of `data.Windows`. Where they also hold `embedding` `(B, N, embedding_width)` float32 and
    `embedded` `(B, N)` bool, these are a user's own embeddings of the texts.

    Parameters
    ----------
    denoiser : DenoiserConfig
        The network's size.
    weights : LossWeights
        Of the terms of the loss.
    learning_rate : float
        Its peak. It rises for `warmup` steps and falls to 2 % along a cosine until the run ends: by its number of steps
        or by `Trainer(max_time=...)`, whichever is nearer.
    warmup : int
        Steps.
    weight_decay : float
        Of AdamW.
    condition_dropout : float
        Share of samples that learn to do without their condition.
    start : path, optional
        A model folder to start from. Weights that it lacks begin as in a new network; the statistics that it has stay.
    compile : bool
        Compile the loss (minutes at the start, worth it for long runs on a GPU).
    seed : int
        Fixes weights, noise and dropout.
    """

    def __init__(self, denoiser: DenoiserConfig, weights: LossWeights, *, learning_rate: float = 1e-3,
                 warmup: int = 200, weight_decay: float = .05, condition_dropout: float = .15,
                 start: str | os.PathLike[str] | None = None, compile: bool = False, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.denoiser = Denoiser(checked_config(denoiser.as_dict()))
        self.started = start_from(self.denoiser, start) if start else frozenset()
        self.average = copy.deepcopy(self.denoiser).eval().requires_grad_(False)
        self.weights, self.learning_rate, self.warmup, self.weight_decay = weights, learning_rate, warmup, weight_decay
        self.condition_dropout, self.seed = condition_dropout, seed
        self.losses: Callable[..., dict[str, Tensor]] = torch.compile(losses) if compile else losses
        self.measured: dict[str, dict[str, Tensor]] = {name: {} for name in SETS}

    def set_statistics(self, values: dict[str, Tensor]) -> None:
        """Take over what `statistics` found, but for what a model that training started from had found."""
        values = {name: value for name, value in values.items() if name not in self.started}
        for network in (self.denoiser, self.average):
            network.set_statistics(values)

    def train(self, mode: bool = True) -> PoseModule:
        """Switch to training; the average stays as it is used."""
        super().train(mode)
        self.average.eval()
        return self

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch."""
        truth, rank, processes = batch["truth"], self.global_rank, self.trainer.world_size
        place = np.random.SeedSequence((self.seed, self.current_epoch, batch_idx))
        chance, dropout = (int(s) for s in place.generate_state(2))
        torch.manual_seed(dropout + rank)
        # Every process draws for the whole batch and takes its share: as one process would have drawn.
        generator, total = torch.Generator(truth.device).manual_seed(chance), len(truth) * processes
        sigma = training_sigmas(total, generator, mean=0., std=1.8)[rank::processes]
        frames, *rest = truth.shape[1:]
        noise = torch.randn(total, frames + 2 * MARGIN, *rest, generator=generator, device=truth.device)
        noise = noise[rank::processes]
        dropped = torch.rand(total, generator=generator, device=truth.device)[rank::processes] < self.condition_dropout
        terms = self.losses(self.denoiser, batch, sigma, noise, self.weights, ~dropped)
        self.log_dict({f"loss/{name}": value.detach() for name, value in terms.items()}, sync_dist=processes > 1)
        self.log("loss", terms["total"].detach(), prog_bar=True, logger=False)
        return terms["total"]

    def on_train_batch_end(self, *_: object) -> None:
        """Move the average towards the weights: by a lot at first, by 0.001 a step in the end."""
        i = self.global_step
        update = get_ema_multi_avg_fn(min(EMA, (1 + i) / (10 + i)))
        update(list(self.average.parameters()), list(self.denoiser.parameters()), i)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measure the average on one kind of damage of one validation set, or on the clips kept back."""
        if SETS[dataloader_idx] == "text":
            self.measured["text"] = held_out.text_errors(self.average, batch)
        else:
            self.measured[SETS[dataloader_idx]][held_out.CASES[batch_idx]] = held_out.errors(self.average, batch)

    def on_validation_epoch_end(self) -> None:
        """Log what was measured. What counts is the ratio on the sources held out, and, where there are texts, the
        geometric mean of that and of the ratio on the clips kept back.
        """
        figures: dict[str, float] = {}
        for name, measured in self.measured.items():
            if measured:
                found = held_out.text_summary(measured) if name == "text" else held_out.summary(measured)
                figures |= {f"{name}/{key}": value for key, value in found.items()}
            measured.clear()
        self.log_dict(figures)
        if "held_out/ratio" in figures:
            counted = [figures[name] for name in ("held_out/ratio", "text/ratio") if name in figures]
            self.log(MONITOR, math.prod(counted)**(1 / len(counted)), prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, and its learning rate over the run."""
        heard = [p for name, p in self.denoiser.named_parameters() if name.split(".")[0] in TEXT_PARTS]
        others = [p for name, p in self.denoiser.named_parameters() if name.split(".")[0] not in TEXT_PARTS]
        groups = [{"params": others, "lr": self.learning_rate}]
        groups += [{"params": heard, "lr": TEXT_RATE * self.learning_rate}] if heard else []
        optimizer = torch.optim.AdamW(groups, betas=(.9, .98), weight_decay=self.weight_decay)
        schedule = LambdaLR(optimizer, lambda step: rate(step, self.warmup, self._progress(step)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _progress(self, step: int) -> float:
        """How much of the run is over, from 0 to 1: of its steps or of its time, whichever is more."""
        if step == 0:  # asked before the run is set up, or its checkpoint read
            return 0.
        done = step / self.trainer.estimated_stepping_batches
        for timer in cast(Any, self.trainer).callbacks:
            left = timer.time_remaining() if isinstance(timer, Timer) else None
            if left is not None:
                elapsed = timer.time_elapsed()
                share = elapsed / max(elapsed + left, 1e-6)
                # The clocks of several processes differ, their weights must not.
                done = max(done, self.trainer.strategy.broadcast(share) if self.trainer.world_size > 1 else share)
        return min(done, 1.)


def start_from(network: Denoiser, folder: str | os.PathLike[str]) -> frozenset[str]:
    """Give a network the weights of a model folder.

    Returns
    -------
    frozenset of str
        The names of the parameters and buffers that the folder had.

    Raises
    ------
    ValueError
        If it is not a model, or one of another size.
    """
    path = Path(folder) / "model.safetensors"
    try:
        weights = {name: value.float() for name, value in load_file(path).items()}
        found = network.load_state_dict(weights, strict=False)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path}: cannot start from it ({' '.join(str(error).split())[:160]}): name the folder of a "
                         "model of the same size") from error
    if found.unexpected_keys:
        raise ValueError(f"{path}: has weights that this network has not: {', '.join(found.unexpected_keys[:3])}")
    return frozenset(weights)


def rate(step: int, warmup: int, progress: float) -> float:
    """The learning rate's share of its peak: linear warm-up, cosine to `LAST_RATE`."""
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return min(1., (step + 1) / warmup) * (LAST_RATE + (1 - LAST_RATE) * cosine)


class Stride(Sampler[int]):
    """The samples of one process: of an epoch's, which follow on those of the epoch before, every n-th.

    Parameters
    ----------
    samples : int
        Of an epoch, over all processes.
    rank, processes : int
        Which process, of how many.
    done : callable
        Says how many samples the run has seen when an epoch begins. (Lightning has a `set_epoch` for samplers, but
        calls it too late where a run is resumed.)
    """

    def __init__(self, samples: int, rank: int, processes: int, done: Callable[[], int]):
        self.samples, self.rank, self.processes, self.done = samples, rank, processes, done

    def __len__(self) -> int:
        return self.samples // self.processes

    def __iter__(self) -> Iterator[int]:
        first = self.done()
        return iter(range(first + self.rank, first + self.samples, self.processes))


class PoseData(LightningDataModule):
    """Windows of a packed file for training, and two fixed validation sets: of the sources held out, and of those seen.

    Parameters
    ----------
    pack : path
        The packed file (see `data`).
    held_out : list of str
        Sources to validate on: signers and cameras the network is not trained on.
    unseen : list of str
        Sources that this run does not touch at all: those the finished model is tested on.
    layout : str
        Name of the layout that the file is in.
    window : int
        Frames of a sample.
    batch_size : int
        Samples of a step, over all processes.
    epoch_steps : int
        Steps from one validation and checkpoint to the next; an epoch is nothing else.
    workers : int
        Processes that prepare samples, for each process that trains; 0 for none.
    seed : int
        Fixes the samples.
    """

    def __init__(self, pack: str | os.PathLike[str], held_out: list[str], unseen: list[str], *,
                 layout: str = "holistic", window: int = 32, batch_size: int = 48, epoch_steps: int = 250,
                 workers: int = 0, seed: int = 0):
        super().__init__()
        self.layout, self.window, self.batch_size = LAYOUTS[layout], window, batch_size
        self.epoch_steps, self.workers, self.seed = epoch_steps, workers, seed
        self.pack = _load(pack)
        if not held_out:
            raise ValueError("held_out is empty: name at least one source to validate on, "
                             f"of {', '.join(self.pack.sources)}")
        others = np.concatenate([self.pack.select(held_out), self.pack.select(unseen)])
        self.kept_back = kept_back(self.pack)
        self.clips = np.setdiff1d(np.arange(len(self.pack.lens)), np.concatenate([others, self.kept_back]))
        if not len(self.clips):
            raise ValueError("no source is left to train on: name fewer in held_out and unseen")
        self.held_out = held_out
        used = [self.pack.sources[i] for i in np.unique(self.pack.source[self.clips])]
        self.seen = [name for name in used if not name.startswith(HANDS_ONLY)]
        self.tested = np.setdiff1d(self.kept_back, np.concatenate([others, self._hands()]))

    @property
    def texts(self) -> frozenset[Text]:
        """The texts of the clips trained on."""
        return frozenset(text for clip in self.clips for text in self.pack.texts.get(int(clip), ()))

    @property
    def embedding_width(self) -> int:
        """Width of the embeddings of texts in the file; 0 where it has none."""
        return next((len(value) for value in self.pack.embeddings.values()), 0)

    def _hands(self) -> np.ndarray:
        return self.pack.select([name for name in self.pack.sources if name.startswith(HANDS_ONLY)])

    def statistics(self) -> dict[str, Tensor]:
        """Of the clips trained on in which there is a body, for `PoseModule.set_statistics`."""
        return statistics(self.pack, np.setdiff1d(self.clips, self._hands()), self.layout)

    def train_dataloader(self) -> DataLoader:
        """The samples of this process, on from where the run is."""
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.batch_size % processes:
            raise ValueError(f"batch_size {self.batch_size} cannot be shared out evenly to {processes} processes")
        windows = Windows(self.pack, self.clips, self.layout, self.window, sys.maxsize, self.seed)
        order = Stride(self.epoch_steps * self.batch_size, rank, processes, self._done)
        return DataLoader(windows, batch_size=self.batch_size // processes, sampler=order, num_workers=self.workers,
                          persistent_workers=self.workers > 0, prefetch_factor=PREFETCH if self.workers else None,
                          pin_memory=torch.cuda.is_available())

    def _done(self) -> int:
        """Samples that the run has seen."""
        trainer = self.trainer
        return trainer.global_step * trainer.accumulate_grad_batches * self.batch_size if trainer else 0

    def val_dataloader(self) -> list[DataLoader]:
        """A batch for each kind of damage, of the sources held out and of those trained on; and clips kept back, of
        which the text and the first frame are known.
        """
        clips = [held_out.choose(self.pack, sources) for sources in (self.held_out, self.seen)]
        sets = [held_out.damaged(self.pack, some, self.window, self.layout) for some in clips]
        if len(self.tested):
            sets.append([held_out.told(self.pack, self.tested, self.window)])
        return [DataLoader(Batches(batches), batch_size=None) for batches in sets]


def _load(path: str | os.PathLike[str]) -> Pack:
    try:
        return load(Path(path))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path}: not a packed file ({' '.join(str(error).split())[:120]}): "
                         "make one with python -m pose_diffusion.training.pack") from error


class Batches(Dataset):
    """Batches that are there already."""

    def __init__(self, batches: list[dict[str, Tensor]]):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return self.batches[i]
