"""What training minimises: errors as a share of the error of the filled observation, plus the diffusion loss."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pose_diffusion.diffusion.condition import Condition
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.filling import start
from pose_diffusion.diffusion.schedule import c_out
from pose_diffusion.layout import Layout
from pose_diffusion.training.data import observation

FLOOR = .01  # shoulder widths: errors below it are within the noise of the training data
PART_WEIGHT = {"body": 1., "left_hand": 2., "right_hand": 2., "face": .15}


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: error of the mean, its velocity, the expected error, the diffusion loss and its velocity."""

    mean: float = 1.
    untouched: float = .3
    shape: float = .5
    velocity: float = .3
    error: float = .1
    diffusion: float = .3
    diffusion_velocity: float = .3


def point_weights(layout: Layout, like: Tensor) -> Tensor:
    """`(K,)` weights of the points."""
    weight = torch.empty(len(layout), device=like.device)
    for part, value in PART_WEIGHT.items():
        weight[layout.parts[part]] = value
    return weight


def distance(x: Tensor) -> Tensor:
    """Length of `(..., 3)`, depth counted half (MediaPipe's depth is mostly guessed), smooth at 0."""
    return (x[..., 0]**2 + x[..., 1]**2 + .25 * x[..., 2]**2 + 1e-6).sqrt() - 1e-3


def share(error: Tensor, start: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean error of every clip over that of its start (plus a floor); `(B, ...)` -> scalar over clips with weight."""
    weight = weight.flatten(1)
    total = weight.sum(1)
    error, start = ((e.flatten(1) * weight).sum(1) / total.clamp(min=1e-6) for e in (error, start))
    present = (total > 1e-3).float()
    return (present * error / (start.detach() + FLOOR)).sum() / present.sum().clamp(min=1)


def losses(model: Denoiser, batch: dict[str, Tensor], sigma: Tensor, noise: Tensor, weights: LossWeights,
           condition: Condition | None = None) -> dict[str, Tensor]:
    """All terms of the loss for one batch.

    Parameters
    ----------
    model : Denoiser
        The network.
    batch : dict of Tensor
        A batch of `Windows`.
    sigma, noise : Tensor
        `(B,)` and `(B, T, K, 3)`.
    weights : LossWeights
        Of the terms.
    condition : Condition, optional
        Text, already dropped where training does without.

    Returns
    -------
    dict of str to Tensor
        Each term, unweighted, and their weighted sum as `total`.
    """
    filler = model.filler
    encoded = model.encode(start(filler, observation(batch)), condition)
    truth = batch["truth"]
    weight = batch["weight"] * point_weights(model.layout, truth) * batch["valid"].unsqueeze(-1)
    points, filled = filler.points(encoded.mean), filler.points(encoded.filled)
    error, before = distance(points - truth), distance(filled - truth)
    touched, untouched = weight * batch["touched"], weight * ~batch["touched"]
    target = filler.features(truth)
    both = weight * torch.where(filler.has_anchor, weight[..., filler.anchors] > 0, True)
    hands = both.clone()
    hands[..., :model.layout.parts["left_hand"].start] = 0
    hands[..., model.inner:] = 0
    terms = {"mean": share(error, before, touched), "untouched": share(error, before, untouched)}
    terms["shape"] = share(distance(encoded.mean - target), distance(encoded.filled - target), hands * batch["touched"])
    pair = weight[:, 1:] * (weight[:, :-1] > 0)
    terms["velocity"] = share(distance((points - truth).diff(dim=1)), distance((filled - truth).diff(dim=1)), pair)
    plain = (points - truth)[..., :2].norm(dim=-1).detach()
    free = both * (encoded.error > 0)
    expected = encoded.error.clamp(min=1e-3)
    terms["error"] = ((expected.log() + plain / expected) * free).sum() / free.sum().clamp(min=1)
    terms |= _diffusion(model, encoded, target, both, sigma, noise)
    names = weights.__dict__
    terms["total"] = sum((names[name] * value for name, value in list(terms.items())), torch.zeros((), device=truth.device))
    return terms


def _diffusion(model: Denoiser, encoded, target: Tensor, weight: Tensor, sigma: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """EDM's loss in the state space (Karras et al. 2022, eq. 8 with its weighting), Huber beyond two units."""
    clean = torch.where(weight.unsqueeze(-1) > 0, target, encoded.mean.detach())
    clean = torch.where(encoded.spread > 0, clean, encoded.filled)
    level = sigma.view(-1, 1, 1, 1)
    out = model.decode(encoded, clean + level * encoded.spread * noise, sigma)
    free = (weight.unsqueeze(-1) * (encoded.spread > 0)).expand_as(out)
    unit = encoded.spread.clamp(min=1e-3) * c_out(level)
    miss = (out - clean) / unit

    def huber(x: Tensor, w: Tensor) -> Tensor:
        return (F.smooth_l1_loss(x, torch.zeros_like(x), beta=2., reduction="none") * w).sum() / w.sum().clamp(min=1)

    pair = free[:, 1:] * (free[:, :-1] > 0)
    return {"diffusion": huber(miss, free), "diffusion_velocity": huber(miss.diff(dim=1), pair)}
