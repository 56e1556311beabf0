"""What body and hands probably did, by the Gaussians of `gaussian.py`: four of the candidates.

Observations far from what the rest makes likely are dropped and the rest is asked again (the trimming of robust
statistics, Huber 1981), so that jumps need no threshold on speed.
"""
from __future__ import annotations

import torch
from torch import Tensor

from pose_diffusion.diffusion.filling import Filler, Observation
from pose_diffusion.diffusion.gaussian import Gaussian, ask, cover
from pose_diffusion.diffusion.interpolation import pchip

STDS = (.03, .1)  # noise of what is observed, shoulder widths
WARY = .3  # the same, when asked the first time
FAR = 3.  # medians of the distances from what is likely, beyond which a point is dropped ...
LIMITS = (.15, .4)  # ... but never below or always above these, in shoulder widths
ESTIMATES = len(STDS) + 2


def likely(filler: Filler, obs: Observation, doubtful: Tensor, otherwise: Tensor) -> list[Tensor]:
    """Features `(B, T, inner, 3)` of body and hands: observations taken as noisy a little, as noisy a lot, and kept to,
    first those that are left after trimming, then all.

    Parameters
    ----------
    filler : Filler
        With its Gaussians; where these know nothing, `otherwise` comes back.
    obs : Observation
        The clips.
    doubtful : Tensor
        `(B, T, inner)` bool: observations not to be used.
    otherwise : Tensor
        `(B, T, inner, 3)` features.
    """
    if not (filler.body_window.fitted and filler.side_window.fitted):
        return [otherwise] * ESTIMATES
    n, body = filler.inner, filler.layout.parts["body"]
    seen = obs.mask[..., :n] & ~doubtful
    read = _Reader(obs)
    out = [torch.empty_like(otherwise) for _ in range(ESTIMATES)]
    for estimate, part in zip(out, read(filler.body_window, [obs.xyz[:, :, body]] * (ESTIMATES + 1), seen[..., body])):
        estimate[:, :, body] = part
    mirror = obs.xyz.new_tensor([-1, 1, 1])
    for hand, chosen, wrist, flip in zip(filler.hands, filler.sides, filler.wrists, (mirror.abs(), mirror)):
        size = hand.stop - hand.start
        wrists = [estimate[:, :, wrist:wrist + 1] for estimate in out]
        sides = [_relative(obs.xyz[:, :, chosen], size, at) * flip for at in (wrists[1], *wrists)]
        for estimate, at, side in zip(out, wrists, read(filler.side_window, sides, seen[..., chosen])):
            estimate[:, :, hand] = side[:, :, :size] * flip + at
    return [filler.features(estimate) for estimate in out]


def _relative(xyz: Tensor, size: int, wrist: Tensor) -> Tensor:
    """Points of which the first `size` are taken from the wrist."""
    return torch.cat([xyz[:, :, :size] - wrist, xyz[:, :, size:]], dim=2)


class _Reader:
    """The windows of a batch, and what a Gaussian makes of them."""

    def __init__(self, obs: Observation):
        self.cover, self.frames = cover(obs.valid), obs.xyz.shape[1]

    def __call__(self, prior: Gaussian, values: list[Tensor], seen: Tensor) -> list[Tensor]:
        """Estimates `(B, T, n, 3)` of the same points for values taken from several origins: of the first, wary look,
        and of each of `ESTIMATES`.
        """
        windows, shown = [self.cover.cut(x) for x in values], self.cover.cut(seen)
        told = ask(prior, shown)
        far = (values[0] - self._join(told(windows[0], WARY)))[..., :2].norm(dim=-1)
        usual = torch.where(seen, far, torch.nan).flatten(1).nanmedian(1).values.nan_to_num(0.)
        good = seen & (far < (FAR * usual).clamp(*LIMITS)[:, None, None])
        levels = (*STDS, STDS[-1], STDS[-1])
        likely = [told(x, std) for x, std in zip(windows[1:], levels)]
        left = self.cover.cut(good)
        changed = (left != shown).flatten(1).any(1).nonzero().squeeze(1)
        if len(changed):
            told = ask(prior, left[changed])
            for estimate, x, std in zip(likely[:-1], windows[1:], levels):
                estimate[changed] = told(x[changed], std)
        *noisy, kept, every = (self._join(estimate) for estimate in likely)
        return [*noisy, _through(values[-2], kept, good), _through(values[-1], every, seen)]

    def _join(self, x: Tensor) -> Tensor:
        return self.cover.join(x, self.frames)


def _through(x: Tensor, likely: Tensor, seen: Tensor) -> Tensor:
    """What is likely, bent so that it goes through what is seen."""
    return likely + pchip(torch.where(seen.unsqueeze(-1), x - likely, 0.), seen)
