"""An observation, read once: what the sampler calls at every step."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from pathlib import Path

import torch
from torch import Tensor

from pose_diffusion.diffusion import windows as windowing
from pose_diffusion.diffusion.condition import Condition
from pose_diffusion.diffusion.denoiser import Denoiser, Encoded
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.reading import AnyStart

WINDOWS_AT_ONCE = 64
LEAST_DOUBT = .01  # units of the state


class Reader:
    """The observation, read once by the encoder; then a denoiser in the state space `u = (x - filled) / spread`.

    Parameters
    ----------
    network : Denoiser
        The network.
    obs : Observation
        `(B, T, ...)`, on its device.
    condition : Condition, optional
        Text.
    guided : bool
        Whether the estimate without the condition is needed as well.
    drowned : float
        The noise level at which the noise drowns everything: the estimate there is the posterior mean.
    """

    def __init__(self, network: Denoiser, obs: Observation, condition: Condition | None, guided: bool, drowned: float):
        self.network, self.tree, self.obs, self.drowned = network, network.tree, obs, drowned
        lengths = obs.valid.sum(1).tolist()
        size = network.window(max(lengths, default=0))
        self.windows = windowing.cover(lengths, size, max(1, size // 4), obs.xyz.device, frames=obs.xyz.shape[1])
        begin = network.start(obs)
        self.spread = network.spread(begin)
        self.per_spread = torch.where(self.spread > 0, 1 / self.spread.clamp(min=1e-6), 0.)
        self.filled = begin.filled
        parts = windowing.cut(begin, self.windows)
        self.conditional = self._read(parts, condition)
        self.unconditional = self.conditional
        if condition is not None and guided:
            self.unconditional = self._read(parts, None)
        pairs = zip(self.conditional, self.unconditional) if guided else ()
        self.both = [one.beside(other) for one, other in pairs]
        self.error = self.windows.join(torch.cat([encoded.error for encoded in self.conditional]))

    @property
    def doubt(self) -> Tensor:
        """`(B, T, K, 3)` std of what is wrong with the posterior mean, in units of the state; above 0 everywhere."""
        return self.windows.join(torch.cat([encoded.doubt for encoded in self.conditional])).clamp(min=LEAST_DOUBT)

    def points(self, u: Tensor) -> Tensor:
        """State `(B, T, K, 3)` to points in the units of the layout: shoulder widths, or metres for `body`."""
        return self.tree.points(self.filled + self.spread * u)

    def answer(self, u: Tensor) -> Tensor:
        """The same, with exact points as they were given, to the last bit."""
        exact = self.obs.exact.unsqueeze(-1)
        return torch.where(exact if self.obs.axes is None else exact & self.obs.axes, self.obs.xyz, self.points(u))

    def _read(self, parts: AnyStart, condition: Condition | None) -> list[Encoded]:
        out = []
        for i in range(0, len(self.windows.clip), WINDOWS_AT_ONCE):
            rows = slice(i, i + WINDOWS_AT_ONCE)
            text = None if condition is None else condition.rows(self.windows.clip[rows])
            with quick(self.filled.device):
                out.append(self.network.encode(parts.map(itemgetter(rows)), text))
        return out

    def denoise(self, u: Tensor, sigma: Tensor, conditional: Tensor) -> Tensor:
        """The clean state; both halves of guidance in one call of the network where `u` is doubled."""
        if len(u) == self.windows.clips:
            reading = self.conditional if bool(conditional.all()) else self.unconditional
            return self._state(self._decode([u], sigma, reading)[0])
        clean = self._decode(list(u.chunk(2)), sigma, self.both)
        return torch.cat([self._state(half) for half in clean])

    def _state(self, clean: Tensor) -> Tensor:
        return (self.windows.join(clean) - self.filled) * self.per_spread

    def _decode(self, states: list[Tensor], sigma: Tensor, reading: list[Encoded]) -> list[Tensor]:
        """Clean windows `(N, size, K, 3)` of each of the states: of one, or of both of guidance side by side."""
        noisy = [self.windows.cut(self.filled + self.spread * u) for u in states]
        out: list[list[Tensor]] = [[] for _ in states]
        for i, encoded in enumerate(reading):
            x = torch.cat([part[i * WINDOWS_AT_ONCE:(i + 1) * WINDOWS_AT_ONCE] for part in noisy])
            if float(sigma) >= self.drowned:
                clean = encoded.mean
            else:
                with quick(x.device):
                    clean = self.network.decode(encoded, x, sigma.expand(len(x)))
            for kept, part in zip(out, clean.chunk(len(states))):
                kept.append(part)
        return [torch.cat(parts) for parts in out]


@contextmanager
def quick(device: torch.device) -> Iterator[None]:
    """Matrix products in bfloat16 where the hardware has them, four times as fast; the state stays float32.

    A Ctrl-C while torch is on its way in or out would leave that on, and everything that is computed later in the same
    program, a notebook's next cell say, would be coarse. So then it is set back.
    """
    able = device.type == "cuda" or (device.type == "cpu" and has_bfloat16())
    kind = device.type if able else "cpu"
    before = torch.is_autocast_enabled(kind)
    try:
        with torch.autocast(kind, torch.bfloat16, enabled=able):
            yield
    except BaseException:
        torch.set_autocast_enabled(kind, before)
        raise


@lru_cache(maxsize=1)
def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 (torch computes it on any, but slowly)."""
    try:
        return bool({"avx512_bf16", "amx_bf16"} & set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split()))
    except OSError:
        return False
