"""The loop over steps: from noise to a clean sample, one call of the denoiser per step.

A *denoiser* is any callable ``D(x, sigma) -> clean``; a solver is a stateless generator over a tensor of noise levels.
In the variance-exploding form used here the state is ``x = clean + sigma * noise``, and every solver moves along the
probability-flow equation ``dx / dsigma = (x - D(x, sigma)) / sigma`` (Karras et al. 2022, arXiv 2206.00364, eq. 1 and
3).
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Denoiser = Callable[[Tensor, Tensor], Tensor]

METHODS = ("dpmpp_2m", "ddim", "ancestral")
FRAMES_PER_DRAW = 16


@dataclass(frozen=True, eq=False)
class Step:
    """What a sampler has after one step.

    Attributes
    ----------
    index : int
        Number of this step, from 1.
    total : int
        Number of steps in all.
    sigma : float
        Noise level left in ``state``: 0 after the last step. ``sample(denoiser, step.state, sigmas[step.index:])`` goes
        on from here, with the first of its steps of first order.
    state : Tensor ``(batch, ...)``, float32
        The sample so far, still noisy.
    clean : Tensor ``(batch, ...)``, float32
        The denoiser's estimate of the clean sample that led here; ``state`` itself where ``sigma`` is 0.
    """
    index: int
    total: int
    sigma: float
    state: Tensor
    clean: Tensor


def sample(denoiser: Denoiser,
           start: Tensor,
           sigmas: Tensor,
           *,
           method: str = "dpmpp_2m",
           eta: float = 1.0,
           generator: Sequence[torch.Generator] | None = None) -> Iterator[Step]:
    """Walk from ``start`` down the noise levels, yielding after every step.

    Nothing is computed before the first ``next``, and the caller may stop at any step. Autograd is off while a step is
    computed, and as the caller left it in between.

    Parameters
    ----------
    denoiser : callable
        ``D(x, sigma) -> clean``: ``x`` is ``(batch, ...)`` float32, ``sigma`` a 0-d float32 tensor on the device of
        ``x``. It must return a new tensor every time (the second-order solver keeps the last one). Any float type may
        come back; the state stays float32.
    start : Tensor ``(batch, ...)``
        Noise of standard deviation ``sigmas[0]``, as `initial_noise` draws it; or a clean sample plus such noise.
    sigmas : Tensor ``(steps + 1,)``
        Falling noise levels, as `karras_sigmas` makes them. Where the last one is 0 the last state is the last
        estimate.
    method : {"dpmpp_2m", "ddim", "ancestral"}
        Second order and deterministic; first order and deterministic; first order with fresh noise at every step.
    eta : float
        Only for "ancestral": the share of fresh noise, from 0 (the same as "ddim") to 1.
    generator : sequence of torch.Generator, optional
        Only for "ancestral": one for each sample, so that what a sample becomes does not depend on its batch.

    Returns
    -------
    Iterator of Step

    Raises
    ------
    ValueError
        For an unknown method, levels that do not fall, or generators that do not match the batch.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    sigmas = sigmas.float()
    if sigmas.ndim != 1 or len(sigmas) < 2 or not bool((sigmas[:-1] > sigmas[1:]).all()) or not bool(sigmas[-1] >= 0):
        raise ValueError("sigmas must be two or more falling noise levels, none below 0")
    state, sigmas = start.float(), sigmas.to(start.device)
    if method == "dpmpp_2m":
        return _second_order(denoiser, state, sigmas)
    if method == "ddim":
        return _first_order(denoiser, state, sigmas, 0.0, ())
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must be from 0 to 1, not {eta}")
    if generator is None or len(generator) != len(start):
        raise ValueError(f"the ancestral sampler needs one torch.Generator for each of the {len(start)} samples")
    return _first_order(denoiser, state, sigmas, eta, generator)


@torch.no_grad()
def _second_order(denoiser: Denoiser, state: Tensor, sigmas: Tensor) -> Iterator[Step]:
    """DPM-Solver++(2M): Lu et al. 2022, arXiv 2211.01095, algorithm 2, for alpha = 1 and lambda = -ln sigma.

    The estimate is extrapolated, linearly in lambda, from the last two calls. The first step has no call before it and
    the step to 0 is infinitely long in lambda: both are of first order.
    """
    levels = sigmas.tolist()
    total = len(levels) - 1
    last = state
    for i in range(total):
        level, target_level = levels[i], levels[i + 1]
        clean = denoiser(state, sigmas[i]).float()
        ahead = clean
        if i > 0 and target_level > 0:
            # r of the paper: the length of the last step over that of this one.
            r = math.log(levels[i - 1] / level) / math.log(level / target_level)
            ahead = clean + (clean - last) / (2 * r)
        state = _pull(state, ahead, target_level / level)
        last = clean
        yield Step(i + 1, total, target_level, state, clean)


@torch.no_grad()
def _first_order(denoiser: Denoiser, state: Tensor, sigmas: Tensor, eta: float,
                 generators: Sequence[torch.Generator]) -> Iterator[Step]:
    """DDIM: Song et al. 2021, arXiv 2010.02502, eq. 12 and 16, written for alpha = 1.

    ``eta`` 0 is the Euler method for the probability-flow equation, 1 the ancestral sampler of Ho et al. 2020: part of
    the noise that a step should leave is drawn afresh, the rest is kept of the old.
    """
    levels = sigmas.tolist()
    total = len(levels) - 1
    for i in range(total):
        level, target_level = levels[i], levels[i + 1]
        clean = denoiser(state, sigmas[i]).float()
        fresh = eta * target_level * math.sqrt(1 - (target_level / level)**2)
        kept = math.sqrt(target_level**2 - fresh**2)
        state = _pull(state, clean, kept / level)
        if fresh > 0:
            state = state + fresh * _noise_for_step(generators, state)
        yield Step(i + 1, total, target_level, state, clean)


def _pull(state: Tensor, clean: Tensor, share: float) -> Tensor:
    """Keep this share of the distance to the clean estimate; at 0 this is the estimate itself, to the last bit."""
    return clean + share * (state - clean)


def initial_noise(shape: Sequence[int], seeds: Sequence[int], sigma: float) -> Tensor:
    """Noise to start from, the same for a seed whatever the batch, the device and the number of frames.

    Parameters
    ----------
    shape : sequence of int
        Of one sample, frames first: ``(frames, ...)``. Frame ``t`` of a seed has the same noise in a short sample as in
        a longer one.
    seeds : sequence of int
        One for each sample.
    sigma : float
        Standard deviation.

    Returns
    -------
    Tensor ``(len(seeds), *shape)``, float32, on the CPU
    """
    return sigma * torch.stack([_noise(shape, torch.Generator().manual_seed(seed)) for seed in seeds])


def _noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Standard normal ``(frames, ...)``, drawn in whole blocks of frames.

    A single draw would not do: torch fills a tensor by a method that depends on its size (the last values are drawn
    twice), so a longer sample would begin with other noise than a shorter one. Draws of one fixed size do not have this
    fault.
    """
    frames, *rest = shape
    blocks = -(-frames // FRAMES_PER_DRAW)
    draws = [torch.randn(FRAMES_PER_DRAW, *rest, generator=generator, device=generator.device) for _ in range(blocks)]
    return torch.cat(draws)[:frames]


def _noise_for_step(generators: Sequence[torch.Generator], state: Tensor) -> Tensor:
    """Standard normal like ``state``, each sample's from its own generator.

    Every step has a new stream, seeded by the sample's generator, which thus moves on by one draw a step: the noise of
    a frame depends neither on the number of frames nor, where the same seed drew the first noise, on that noise.
    """
    noise = []
    for generator in generators:
        seed = int(torch.randint(2**32, (), generator=generator, device=generator.device))
        noise.append(_noise(state.shape[1:], torch.Generator(generator.device).manual_seed(seed)))
    return torch.stack(noise).to(state.device)
