"""A model: its network, its configuration and its weights in one folder, and how to sample from it."""
from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor
from torch.nn.functional import pad

from pose_diffusion.diffusion.condition import Condition
from pose_diffusion.diffusion.config import checked_config
from pose_diffusion.diffusion.curvature import Linear
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.energy import Energy, guide
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.guidance import classifier_free
from pose_diffusion.diffusion.noise import MARGIN, smooth_noise, smoothed
from pose_diffusion.diffusion.reader import Reader
from pose_diffusion.diffusion.sampler import sample
from pose_diffusion.diffusion.schedule import karras_sigmas
from pose_diffusion.diffusion.text import TextBatch, TextEncoder, read
from pose_diffusion.files import atomic
from pose_diffusion.layout import Layout
from pose_diffusion.notation import VOCABULARY, Embedding, Text, read_text

SHIPPED = Path(__file__).parent.parent / "weights"
VARIABLE = "POSE_DIFFUSION_MODEL"
FORMAT = "pose_diffusion 1"
MAX_BYTES = 2**30  # of a weights file: more is not a model of this package
SIGMA_MIN, SIGMA_MAX, RHO = .02, 20., 7.


class ModelError(ValueError):
    """A model folder that cannot be used. The message names it and says what to do."""


@dataclass(frozen=True)
class Estimate:
    """What a model made of a batch of observations after one step.

    Attributes
    ----------
    step, steps : int
        This step, from 1, and how many there are.
    error : Tensor
        `(B, T, K)` expected distance of the first step's estimate from the truth, in the layout's units: shoulder
        widths, or metres for `body`; 0 for exact points.
    """

    step: int
    steps: int
    error: Tensor
    _points: Callable[[], Tensor]

    @cached_property
    def xyz(self) -> Tensor:
        """`(B, T, K, 3)` the clean estimate, in the same units. Made when asked for: most want the last only."""
        return self._points()


class PoseDiffusion:
    """A network with what belongs to it.

    Parameters
    ----------
    denoiser : Denoiser
        The network, in evaluation mode.
    texts : iterable of Text
        What it was trained to sign; none for a network without text.
    """

    def __init__(self, denoiser: Denoiser, texts: Iterable[Text] = ()):
        self.denoiser = denoiser.eval().requires_grad_(False)
        self.texts = frozenset(texts)

    @property
    def layout(self) -> Layout:
        """The keypoints it knows."""
        return self.denoiser.layout

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.denoiser.mean.device

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str] | None = None, device: str = "cpu") -> PoseDiffusion:
        """Load a model folder (`model.safetensors`, `config.json`); loaded once and kept.

        Parameters
        ----------
        path : path, optional
            The folder. Without it that of the environment variable `POSE_DIFFUSION_MODEL`, else the shipped one.
        device : str
            As torch names it.

        Returns
        -------
        PoseDiffusion

        Raises
        ------
        ModelError
            If the folder is missing, corrupt or not of this package, or the device cannot be used.
        """
        folder = Path(path or os.environ.get(VARIABLE) or SHIPPED)
        stamp = tuple(_size_and_time(folder / name) for name in ("config.json", "model.safetensors"))
        return _load(folder, device, stamp)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `model.safetensors` (float16) and `config.json` into a folder, each whole or not at all.

        Raises
        ------
        PoseFileError
            If a file cannot be written.
        OSError
            If the folder cannot be made.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        learnt = {name for name, _ in self.denoiser.named_parameters()}
        weights = {name: (value.half() if name in learnt else value).detach().cpu().contiguous()
                   for name, value in self.denoiser.state_dict().items()}
        with atomic(target / "model.safetensors") as temporary:
            temporary.write_bytes(serialise(weights))
        config = {"format": FORMAT, "denoiser": self.denoiser.config.as_dict(), "vocabulary": VOCABULARY}
        config["texts"] = sorted([text.notation, text.language, text.text] for text in self.texts)
        text = json.dumps(config, indent=1, ensure_ascii=False)
        with atomic(target / "config.json") as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    @torch.no_grad()
    def condition(self, texts: Sequence[Text | Embedding | None], spans: Sequence[tuple[float, float]]) -> Condition:
        """What to tell `sample` of the signs of a batch of clips.

        Parameters
        ----------
        texts : sequence of Text, Embedding or None
            Of each clip; None for a clip without.
        spans : sequence of (float, float)
            Seconds at which its sign begins and ends in its clip.

        Returns
        -------
        Condition
            On the model's device.

        Raises
        ------
        ModelError
            If the model does not understand text, or embeddings of this width.
        """
        encoder = self._encoder()
        if len(texts) != len(spans):
            raise ValueError(f"{len(texts)} texts and {len(spans)} spans: give one for each clip")
        batch = self._read(texts)
        tokens = encoder(batch)[0].float()
        span = torch.tensor(list(spans), dtype=torch.float32, device=self.device)[:, None]
        return Condition(tokens, batch.given[:, None].expand(tokens.shape[:2]), span.expand(-1, tokens.shape[1], -1))

    @torch.no_grad()
    def length(self, texts: Sequence[Text | Embedding]) -> tuple[Tensor, Tensor]:
        """How long signs take: mean and std of ln(seconds), `(B,)` each.

        Raises
        ------
        ModelError
            As `condition`.
        """
        _, mean, std = self._encoder()(self._read(texts))
        return mean, std

    def _encoder(self) -> TextEncoder:
        if self.denoiser.text is None:
            raise ModelError("this model does not understand text: choose another by --model, or train one with texts "
                             "(train_pose_diffusion --model.denoiser.text_layers 2)")
        return self.denoiser.text

    def _read(self, texts: Sequence[Text | Embedding | None]) -> TextBatch:
        try:
            return read(texts, self.denoiser.config.embedding_width).to(self.device)
        except ValueError as error:
            raise ModelError(str(error)) from error

    @torch.no_grad()
    def sample(self, observation: Observation, *, steps: int = 1, seeds: Sequence[int] | None = None,
               guidance: float = 1.0, guidance_interval: tuple[float, float] = (0., math.inf),
               temperature: float = 1.0, condition: Condition | None = None, energy: Energy | None = None,
               energy_scale: float = 1.0, energy_steps: int = 5,
               energy_through: bool = False) -> Iterator[Estimate]:
        """Sample clips that agree with an observation: yields after every step.

        Parameters
        ----------
        observation : Observation
            `(B, T, ...)`; clips of different lengths are padded at the end (`valid`).
        steps : int
            1 to 1000. The first is the posterior mean, whatever the seed; more of them make a sample.
        seeds : sequence of int, optional
            One a clip; 0 by default.
        guidance : float
            Scale of classifier-free guidance; has no effect without a condition.
        guidance_interval : (float, float)
            Lowest and highest noise level at which it has an effect.
        temperature : float
            From 0 to 1: the noise that sampling starts from is so many times as large. Below 1 samples are nearer to
            the posterior mean, 0 is that mean.
        condition : Condition, optional
            Text.
        energy : callable, optional
            From points `(B, T, K, 3)` to `(B,)`; its gradient steers every step (see `energy.py`).
        energy_scale : float
            Its weight.
        energy_steps : int
            Most inner steps towards low energy, at every step: the stiffer the energy, the more it takes.
        energy_through : bool
            Take the gradient of the energy through the network: much slower (see `energy.guide`).

        Yields
        ------
        Estimate
        """
        obs = observation.to(self.device)
        sigmas = karras_sigmas(steps, SIGMA_MIN, SIGMA_MAX, RHO).to(self.device)
        guided = condition is not None and guidance != 1.0
        heard = None if condition is None else condition.to(self.device)
        try:
            reader = Reader(self.denoiser, obs, heard, guided, SIGMA_MAX)
        except ValueError as error:
            raise ModelError(str(error)) from error
        denoise = classifier_free(reader.denoise, guidance if guided else 1.0, guidance_interval)
        if energy is not None:
            plain: dict[str, Any] = {}
            if self.denoiser.config.reading == "plain":
                plain = {"std": reader.doubt, "moves": self._moves(reader), "mix": self._mix(), "margin": MARGIN}
            denoise = guide(denoise, energy, energy_scale, to_points=reader.points, steps=energy_steps,
                            through=energy_through, **plain)
        frames, points = obs.xyz.shape[1:3]
        seeds = list(seeds) if seeds is not None else [0] * len(obs.xyz)
        begin = torch.zeros_like(obs.xyz)
        if steps > 1:
            noise = self.denoiser.noise(smooth_noise(frames, (points, 3), seeds, SIGMA_MAX).to(self.device))
            begin = temperature * noise * (reader.spread > 0)
        for step in sample(denoise, begin, sigmas):
            yield Estimate(step.index, step.total, reader.error, partial(reader.answer, step.clean))


    def _mix(self) -> Linear:
        """White noise to that of the sampler; mixing in time and from point to point are both symmetric."""
        matrix = self.denoiser.noise(torch.eye(3 * len(self.layout), device=self.device).unflatten(1, (-1, 3))[None])
        matrix = matrix[0].flatten(1)
        edges = (0, 0, 0, 0, 2 * MARGIN, 2 * MARGIN)
        return Linear(lambda white: by(matrix, smoothed(white)), lambda noise: smoothed(pad(by(matrix, noise), edges)))

    def _moves(self, reader: Reader) -> Linear:
        """By how much points move with the state."""
        eye = torch.eye(3 * len(self.layout), device=self.device)
        ahead = self.denoiser.tree.points(eye.unflatten(1, (-1, 3))).flatten(1)  # row i: how points move with feature i
        back = ahead.T.contiguous()

        return Linear(lambda state: by(ahead, reader.spread * state), lambda points: reader.spread * by(back, points))


def by(matrix: Tensor, points: Tensor) -> Tensor:
    """Points `(..., K, 3)` by a matrix `(3 K, 3 K)`, row by row what of each coordinate is in the new ones."""
    return (points.reshape(*points.shape[:-2], -1) @ matrix).unflatten(-1, (-1, 3))


def _size_and_time(path: Path) -> tuple[int, int]:
    """What tells one version of a file from the next, so that a model saved anew is not taken from the cache."""
    try:
        status = path.stat()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}: name a folder with config.json and model.safetensors, "
                         f"or leave --model and {VARIABLE} unset for the shipped model") from error
    if not path.is_file() or status.st_size > MAX_BYTES:
        raise ModelError(f"{path}: not a model file: name a folder that PoseDiffusion.save wrote")
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4)
def _load(folder: Path, device: str, stamp: tuple) -> PoseDiffusion:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise ValueError(f"its config.json does not say format {FORMAT!r}")
        if config.get("vocabulary", VOCABULARY) != VOCABULARY:
            raise ValueError(f"its vocabulary has {config['vocabulary']} tokens, that of this version {VOCABULARY}")
        texts = [read_text(text, language=language, notation=notation)
                 for notation, language, text in config.get("texts", [])]
        with torch.device("meta"):  # nothing is allocated on the word of a configuration
            network = Denoiser(checked_config(config["denoiser"]))
        weights = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
        network.load_state_dict(weights, assign=True)
        if not all(bool(value.isfinite().all()) for value in weights.values()):
            raise ValueError("it has weights that are not finite")
    except (ValueError, TypeError, KeyError, RuntimeError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{folder}: not a model of this package or damaged ({reason}): train or copy it again, or "
                         "leave it out for the shipped model") from error
    try:
        return PoseDiffusion(network.to(device), texts)
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"device {device!r} cannot be used ({reason}): try 'cpu'") from error
