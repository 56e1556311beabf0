"""What body and hands probably did, by the Gaussians of `gaussian.py`: four of the candidates.

What jumps is left out of a first look; what is far from likely by that is dropped, what is not comes in again, and the
rest is asked again (a step of trimming as in robust statistics, Rousseeuw and Leroy 1987). So a fast motion that others
explain is no jump.
"""
from __future__ import annotations

import torch
from torch import Tensor

from pose_diffusion.diffusion.filling import Filler, Observation
from pose_diffusion.diffusion.gaussian import Gaussian, Told, ask, cover
from pose_diffusion.diffusion.interpolation import pchip

STDS = (.03, .1)  # noise of what is observed, shoulder widths
FAR = 3.  # medians of the distances from what is likely, beyond which a point is dropped ...
LIMITS = (.15, .4)  # ... but never below or always above these, in shoulder widths
ESTIMATES = len(STDS) + 2


def likely(filler: Filler, obs: Observation, stalled: Tensor, jumping: Tensor, otherwise: Tensor) -> list[Tensor]:
    """Features `(B, T, inner, 3)` of body and hands: observations taken as noisy a little, as noisy a lot, and kept to,
    first those that are left after trimming, then all.

    Parameters
    ----------
    filler : Filler
        With its Gaussians; where these know nothing, `otherwise` comes back.
    obs : Observation
        The clips.
    stalled, jumping : Tensor
        `(B, T, inner)` bool: observations not to be used, and those to be used only if they are likely by the others.
    otherwise : Tensor
        `(B, T, inner, 3)` features.
    """
    if not (filler.body_window.fitted and filler.side_window.fitted):
        return [otherwise] * ESTIMATES
    n, body = filler.inner, filler.layout.parts["body"]
    seen = obs.mask[..., :n] & ~stalled
    calm = seen & ~jumping
    read = _Reader(obs)
    out = [torch.empty_like(otherwise) for _ in range(ESTIMATES)]
    for estimate, part in zip(out, read(filler.body_window, [obs.xyz[:, :, body]] * (ESTIMATES + 1),
                                         seen[..., body], calm[..., body])):
        estimate[:, :, body] = part
    mirror = obs.xyz.new_tensor([-1, 1, 1])
    for hand, chosen, wrist, flip in zip(filler.hands, filler.sides, filler.wrists, (mirror.abs(), mirror)):
        size = hand.stop - hand.start
        wrists = [estimate[:, :, wrist:wrist + 1] for estimate in out]
        sides = [_relative(obs.xyz[:, :, chosen], size, at) * flip for at in (wrists[1], *wrists)]
        for estimate, at, side in zip(out, wrists, read(filler.side_window, sides, seen[..., chosen],
                                                         calm[..., chosen])):
            estimate[:, :, hand] = side[:, :, :size] * flip + at
    return [filler.features(estimate) for estimate in out]


def _relative(xyz: Tensor, size: int, wrist: Tensor) -> Tensor:
    """Points of which the first `size` are taken from the wrist."""
    return torch.cat([xyz[:, :, :size] - wrist, xyz[:, :, size:]], dim=2)


class _Reader:
    """The windows of a batch, and what a Gaussian makes of them."""

    def __init__(self, obs: Observation):
        self.cover, self.frames = cover(obs.valid), obs.xyz.shape[1]

    def __call__(self, prior: Gaussian, values: list[Tensor], seen: Tensor, calm: Tensor) -> list[Tensor]:
        """Estimates `(B, T, n, 3)` of the same points for values taken from several origins: of the first, a look at
        what is calm, and of each of `ESTIMATES`.
        """
        first, *others = (self.cover.cut(x) for x in values)
        quiet = self.cover.cut(calm)
        told = ask(prior, quiet)
        far = (values[0] - self._join(told(first, STDS[-1])))[..., :2].norm(dim=-1)
        usual = torch.where(calm, far, torch.nan).flatten(1).nanmedian(1).values.nan_to_num(0.)
        good = seen & (far < (FAR * usual).clamp(*LIMITS)[:, None, None])
        best, all_of_it = self.cover.cut(good), self.cover.cut(seen)
        by_good = _instead(told, prior, quiet, best)
        by_all = _instead(by_good, prior, best, all_of_it)
        *noisy, kept = (by_good(x, std) for x, std in zip(others, (*STDS, STDS[-1])))
        return [*(self._join(x) for x in noisy), _through(values[-2], self._join(kept), good),
                _through(values[-1], self._join(by_all(others[-1], STDS[-1])), seen)]

    def _join(self, x: Tensor) -> Tensor:
        return self.cover.join(x, self.frames)


def _instead(told: Told, prior: Gaussian, asked: Tensor, seen: Tensor) -> Told:
    """`told`, which was asked about some observations, with other answers in the windows where others are seen."""
    changed = (asked != seen).flatten(1).any(1).nonzero().squeeze(1)
    if not len(changed):
        return told
    if 2 * len(changed) > len(seen):  # to ask about all is less work than to throw away so many answers
        return ask(prior, seen)
    other = ask(prior, seen[changed])

    def both(x: Tensor, std: float) -> Tensor:
        return told(x, std).index_copy(0, changed, other(x[changed], std))

    return both


def _through(x: Tensor, likely: Tensor, seen: Tensor) -> Tensor:
    """What is likely, bent so that it goes through what is seen."""
    return likely + pchip(torch.where(seen.unsqueeze(-1), x - likely, 0.), seen)
