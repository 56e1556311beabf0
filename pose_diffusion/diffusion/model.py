"""A model: its network, its configuration and its weights in one folder, and how to sample from it."""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from operator import itemgetter
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor

from pose_diffusion.diffusion import windows as windowing
from pose_diffusion.diffusion.candidates import Start, start
from pose_diffusion.diffusion.condition import Condition
from pose_diffusion.diffusion.config import checked_config
from pose_diffusion.diffusion.denoiser import Denoiser, Encoded
from pose_diffusion.diffusion.energy import Energy, guide
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.guidance import classifier_free
from pose_diffusion.diffusion.noise import smooth_noise
from pose_diffusion.diffusion.sampler import sample
from pose_diffusion.diffusion.schedule import karras_sigmas
from pose_diffusion.files import atomic
from pose_diffusion.layout import Layout

SHIPPED = Path(__file__).parent.parent / "weights"
VARIABLE = "POSE_DIFFUSION_MODEL"
FORMAT = "pose_diffusion 1"
MAX_BYTES = 2**30  # of a weights file: more is not a model of this package
SIGMA_MIN, SIGMA_MAX, RHO = .02, 20., 7.
WINDOWS_AT_ONCE = 64


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
        `(B, T, K)` expected distance from the truth, shoulder widths; 0 for exact points.
    """

    step: int
    steps: int
    error: Tensor
    _points: Callable[[], Tensor]

    @cached_property
    def xyz(self) -> Tensor:
        """`(B, T, K, 3)` the clean estimate, shoulder widths. Made when asked for: most callers want the last only."""
        return self._points()


class PoseDiffusion:
    """A network with what belongs to it.

    Parameters
    ----------
    denoiser : Denoiser
        The network, in evaluation mode.
    """

    def __init__(self, denoiser: Denoiser):
        self.denoiser = denoiser.eval().requires_grad_(False)

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
        text = json.dumps({"format": FORMAT, "denoiser": self.denoiser.config.as_dict()}, indent=2)
        with atomic(target / "config.json") as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    @torch.no_grad()
    def sample(self, observation: Observation, *, steps: int = 1, seeds: Sequence[int] | None = None,
               guidance: float = 1.0, condition: Condition | None = None, energy: Energy | None = None,
               energy_scale: float = 1.0) -> Iterator[Estimate]:
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
        condition : Condition, optional
            Text.
        energy : callable, optional
            From points `(B, T, K, 3)` to `(B,)`; its gradient steers every step (see `energy.py`).
        energy_scale : float
            Its weight.

        Yields
        ------
        Estimate
        """
        obs = observation.to(self.device)
        sigmas = karras_sigmas(steps, SIGMA_MIN, SIGMA_MAX, RHO).to(self.device)
        reader = _Reader(self.denoiser, obs, condition, guidance)
        denoise = classifier_free(reader.denoise, guidance if condition is not None else 1.0)
        if energy is not None:
            denoise = guide(denoise, energy, energy_scale, to_points=reader.points)
        frames, points = obs.xyz.shape[1:3]
        seeds = list(seeds) if seeds is not None else [0] * len(obs.xyz)
        begin = torch.zeros_like(obs.xyz)
        if steps > 1:
            begin = smooth_noise(frames, (points, 3), seeds, SIGMA_MAX).to(self.device) * (reader.spread > 0)
        for step in sample(denoise, begin, sigmas):
            yield Estimate(step.index, step.total, reader.error, partial(reader.answer, step.clean))


class _Reader:
    """The observation, read once by the encoder; then a denoiser in the state space `u = (x - filled) / spread`."""

    def __init__(self, network: Denoiser, obs: Observation, condition: Condition | None, guidance: float):
        self.network, self.filler, self.obs = network, network.filler, obs
        lengths = obs.valid.sum(1).tolist()
        size = network.config.window
        self.windows = windowing.cover(lengths, size, size // 4, obs.xyz.device, frames=obs.xyz.shape[1])
        begin = start(self.filler, obs)
        self.spread = network.spread(begin)
        self.per_spread = torch.where(self.spread > 0, 1 / self.spread.clamp(min=1e-6), 0.)
        self.filled = begin.filled
        parts = windowing.cut(begin, self.windows)
        self.conditional = self._read(parts, condition)
        self.unconditional = self.conditional
        if condition is not None and guidance != 1.0:
            self.unconditional = self._read(parts, None)
        self.error = self.windows.join(torch.cat([encoded.error for encoded in self.conditional]))

    def points(self, u: Tensor) -> Tensor:
        """State `(B, T, K, 3)` to points in shoulder widths."""
        return self.filler.points(self.filled + self.spread * u)

    def answer(self, u: Tensor) -> Tensor:
        """The same, with exact points as they were given, to the last bit."""
        return torch.where(self.obs.exact.unsqueeze(-1), self.obs.xyz, self.points(u))

    def _read(self, parts: Start, condition: Condition | None) -> list[Encoded]:
        out = []
        for i in range(0, len(self.windows.clip), WINDOWS_AT_ONCE):
            rows = slice(i, i + WINDOWS_AT_ONCE)
            clips = self.windows.clip[rows]
            text = None if condition is None else Condition(condition.tokens[clips], condition.mask[clips])
            with quick(self.filled.device):
                out.append(self.network.encode(parts.map(itemgetter(rows)), text))
        return out

    def denoise(self, u: Tensor, sigma: Tensor, conditional: Tensor) -> Tensor:
        """The clean state; both halves of guidance in one call where `u` is doubled."""
        doubled = len(u) != self.windows.clips
        halves = u.chunk(2) if doubled else (u,)
        readings = (self.conditional, self.unconditional) if doubled else (
            (self.conditional if bool(conditional.all()) else self.unconditional),)
        return torch.cat([self._decode(half, sigma, reading) for half, reading in zip(halves, readings)])

    def _decode(self, u: Tensor, sigma: Tensor, reading: list[Encoded]) -> Tensor:
        if float(sigma) >= SIGMA_MAX:  # the noise drowns everything: the posterior mean is the answer
            clean = self.windows.join(torch.cat([encoded.mean for encoded in reading]))
        else:
            x = self.windows.cut(self.filled + self.spread * u)
            out = []
            for i, encoded in enumerate(reading):
                part = x[i * WINDOWS_AT_ONCE:i * WINDOWS_AT_ONCE + len(encoded.mean)]
                with quick(part.device):
                    out.append(self.network.decode(encoded, part, sigma.expand(len(part))))
            clean = self.windows.join(torch.cat(out))
        return (clean - self.filled) * self.per_spread


def quick(device: torch.device) -> torch.autocast:
    """Matrix products in bfloat16 where the hardware has them, four times as fast; the state stays float32."""
    able = device.type == "cuda" or (device.type == "cpu" and has_bfloat16())
    return torch.autocast(device.type if able else "cpu", torch.bfloat16, enabled=able)


@lru_cache(maxsize=1)
def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 (torch computes it on any, but slowly)."""
    try:
        return bool({"avx512_bf16", "amx_bf16"} & set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split()))
    except OSError:
        return False


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
        return PoseDiffusion(network.to(device))
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"device {device!r} cannot be used ({reason}): try 'cpu'") from error
