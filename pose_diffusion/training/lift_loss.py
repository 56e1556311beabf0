"""What training of the body minimises: the error of the mean, how well errors are foreseen, and the diffusion loss."""
from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pose_diffusion.diffusion.denoiser import Denoiser, Encoded
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.noise import smoothed
from pose_diffusion.diffusion.schedule import c_out
from pose_diffusion.training.loss import ratio

FLOOR = .02  # metres: errors of clips below it count as this much
STD = 1.25  # of a Gaussian, over its mean absolute value
LEAST = 1e-3  # metres: no error is foreseen smaller


@dataclass(frozen=True)
class LiftWeights:
    """Weights of the terms: error of the mean and of its velocity, the expected errors of points and of coordinates,
    the diffusion loss and that of its velocity.
    """

    mean: float = 1.
    velocity: float = .3
    error: float = .05
    doubt: float = .05
    diffusion: float = .5
    diffusion_velocity: float = .25


def observation(batch: dict[str, Tensor]) -> Observation:
    """What is known in a batch of `lift_data`."""
    return Observation(**{field.name: batch[field.name] for field in fields(Observation)})


def lift_losses(model: Denoiser, batch: dict[str, Tensor], sigma: Tensor, noise: Tensor, weights: LiftWeights,
                diffusion: bool = True) -> dict[str, Tensor]:
    """All terms of the loss for one batch.

    Parameters
    ----------
    model : Denoiser
        The network.
    batch : dict of Tensor
        A batch of `lift_data`.
    sigma, noise : Tensor
        `(B,)` and white `(B, T + 2 * noise.MARGIN, K, 3)`.
    weights : LiftWeights
        Of the terms.
    diffusion : bool
        Without it the network is a regression: the squared error of the mean alone.

    Returns
    -------
    dict of str to Tensor
        Each term, unweighted, and their weighted sum as `total`.
    """
    begin = model.start(observation(batch))
    encoded = model.encode(begin)
    tree, truth = model.tree, batch["truth"]
    points = tree.points(encoded.mean)
    weight = batch["valid"].unsqueeze(-1).float().expand(truth.shape[:3])
    away = points - truth
    if not diffusion:
        squared = (away.square().sum(-1) * weight).sum() / weight.sum().clamp(min=1)
        return {"squared": squared, "total": squared}
    usual = (tree.points(begin.filled) - truth).norm(dim=-1)
    pair = weight[:, 1:] * weight[:, :-1]
    terms = {"mean": _share(_distance(away), usual, weight), "velocity": _share(
        _distance(away.diff(dim=1)), usual[:, 1:] / 5, pair)}
    target = tree.features(truth)
    free = weight.unsqueeze(-1) * (encoded.spread > 0)
    terms["error"] = _foreseen(encoded.error, away.detach().norm(dim=-1), weight * (encoded.error > 0))
    terms["doubt"] = _foreseen(encoded.doubt * encoded.spread / STD, (encoded.mean - target).detach().abs(), free)
    terms |= _diffusion(model, replace(encoded, doubt=encoded.doubt.detach()), target, free, sigma, noise)
    terms["total"] = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    return terms


def _distance(x: Tensor) -> Tensor:
    """Length of `(..., 3)`, smooth at 0."""
    return (x.square().sum(-1) + 1e-6).sqrt() - 1e-3


def _share(error: Tensor, usual: Tensor, weight: Tensor) -> Tensor:
    """Mean over clips of their error over the usual one: a clip of which nothing is known counts as much as another."""
    total = weight.flatten(1).sum(1)

    def mean(e: Tensor) -> Tensor:
        return (e * weight).flatten(1).sum(1) / total.clamp(min=1)

    present = (total > 0).float()
    return ratio((present * mean(error) / (mean(usual.detach()) + FLOOR)).sum(), present.sum())


def _foreseen(expected: Tensor, actual: Tensor, weight: Tensor) -> Tensor:
    """The negative log-likelihood of errors that are distributed exponentially around what was expected."""
    expected = expected.clamp(min=LEAST)
    return ratio(((expected.log() + actual / expected) * weight).sum(), weight.sum())


def _diffusion(model: Denoiser, encoded: Encoded, target: Tensor, free: Tensor, sigma: Tensor,
               noise: Tensor) -> dict[str, Tensor]:
    """EDM's loss in the state space (Karras et al. 2022, eq. 8 with its weighting), Huber beyond two units."""
    clean = torch.where(encoded.spread > 0, target, encoded.filled)
    level = sigma.view(-1, 1, 1, 1)
    out = model.decode(encoded, clean + level * encoded.spread * model.noise(smoothed(noise)), sigma)
    miss = (out - clean) / (encoded.spread.clamp(min=LEAST) * c_out(level, encoded.doubt))

    def huber(x: Tensor, w: Tensor) -> Tensor:
        return ratio((F.smooth_l1_loss(x, torch.zeros_like(x), beta=2., reduction="none") * w).sum(), w.sum())

    return {"diffusion": huber(miss, free),
            "diffusion_velocity": huber(miss.diff(dim=1), free[:, 1:] * free[:, :-1])}
