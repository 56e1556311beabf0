"""A training run from start to model folder; it can be killed at any time and resumed."""
from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.notation import Text
from pose_diffusion.training.lift_module import LiftData
from pose_diffusion.training.module import MONITOR, PoseData, PoseModule

# Settings of the Trainer that a run has no choice about: who sees which sample is for PoseData to say, and a model that
# has seen nothing needs no measuring.
FIXED: dict[str, Any] = {"use_distributed_sampler": False, "num_sanity_val_steps": 0}


class KeepBest(Callback):
    """Writes the model folder whenever the average is better on the sources held out than it ever was.

    Parameters
    ----------
    out : path
        The folder. What is in it is whole at any moment.
    texts : frozenset of Text
        What the model is trained on.
    """

    def __init__(self, out: str | os.PathLike[str], texts: frozenset[Text] = frozenset()):
        self.out, self.texts, self.best = Path(out), texts, float("inf")

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of this."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best = state_dict["best"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare, and write."""
        value = float(trainer.callback_metrics[MONITOR])
        if not value < self.best:
            return
        self.best = value
        if trainer.is_global_zero:
            assert isinstance(pl_module, PoseModule)
            partial = self.out / "partial"
            PoseDiffusion(pl_module.average, self.texts).save(partial)
            for file in sorted(partial.iterdir()):
                os.replace(file, self.out / file.name)
            partial.rmdir()


def last_checkpoint(settings: dict[str, Any], resume: bool) -> Path | None:
    """The checkpoint to go on from, or None to start anew.

    Parameters
    ----------
    settings : dict
        Of `lightning.pytorch.Trainer`; `default_root_dir` is the run's folder.
    resume : bool
        Whether to go on.

    Raises
    ------
    ValueError
        If there is a checkpoint and it is not to be resumed.
    """
    last = checkpoints(settings) / "last.ckpt"
    if last.exists() and not resume:
        raise ValueError(f"{last}: there is a run already: go on with it by --resume, or choose another folder by "
                         "--trainer.default_root_dir")
    return last if last.exists() else None


def checkpoints(settings: dict[str, Any]) -> Path:
    """The folder of a run's checkpoints."""
    return Path(settings["default_root_dir"]) / "checkpoints"


def _check_embeddings(module: PoseModule, width: int) -> None:
    """Refuse a network that would hear nothing of the embeddings in the data, or one for embeddings without any."""
    understood = module.denoiser.config.embedding_width
    if module.denoiser.text is None or width == understood:
        return
    if width:
        raise ValueError(f"the packed file has embeddings of texts of width {width}, the network is for "
                         f"{f'width {understood}' if understood else 'none'}: "
                         f"set --model.denoiser.embedding_width {width}")
    if "text.project.weight" not in module.started:  # a model of embeddings may learn more words
        raise ValueError(f"the network is for embeddings of texts of width {understood}, the packed file has none: "
                         "pack it with --embeddings, or set --model.denoiser.embedding_width 0")


def fit(module: PoseModule, data: PoseData | LiftData, settings: dict[str, Any], out: str | os.PathLike[str],
        last: Path | None = None) -> float:
    """Train, and leave the best model in a folder.

    Parameters
    ----------
    module : PoseModule
        The network; it takes over the statistics of the data.
    data : PoseData or LiftData
        The samples.
    settings : dict
        Of `lightning.pytorch.Trainer`. Below its `default_root_dir` are the checkpoints, `last.ckpt` after every epoch
        and `best.ckpt`.
    out : path
        The model folder to write (see `PoseDiffusion.from_pretrained`): the average of the weights at the epoch that
        was best on the sources held out. It is there from the first epoch on.
    last : Path, optional
        A checkpoint to go on from.

    Returns
    -------
    float
        The best score: the ratio on the sources held out, or its geometric mean with that on the clips kept back; of
        the body, millimetres (see `LiftModule`).

    Raises
    ------
    ValueError
        If the network is for embeddings of texts of another width than those of the data.
    """
    _check_embeddings(module, data.embedding_width)
    best = KeepBest(out, data.texts if module.denoiser.text is not None else frozenset())
    checkpoint = ModelCheckpoint(checkpoints(settings), filename="best", monitor=MONITOR, save_last=True,
                                 enable_version_counter=False)
    callbacks = [best, checkpoint, *([LearningRateMonitor()] if settings.get("logger", True) else [])]
    trainer = Trainer(**settings, **FIXED, callbacks=callbacks)
    if last is None:  # a checkpoint has them
        module.set_statistics(data.statistics())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Found \d+ module\(s\) in eval mode")  # the average
        warnings.filterwarnings("ignore", "It is recommended to use `self.log")  # every process measures the same
        trainer.fit(module, data, ckpt_path=last, weights_only=True)
    return best.best
