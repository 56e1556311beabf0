"""What training minimises: errors as a share of those of the best simple estimate, plus the diffusion loss.

A share, so that a gap of one frame counts as much as a hand that is lost for a second: what matters to a user is
whether the result is better than the filter at hand.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, distributed
from torch.nn import functional as F

from pose_diffusion.diffusion.candidates import CANDIDATES, Start, start
from pose_diffusion.diffusion.condition import Condition, none
from pose_diffusion.diffusion.denoiser import Denoiser, Encoded
from pose_diffusion.diffusion.noise import smoothed
from pose_diffusion.diffusion.schedule import c_out
from pose_diffusion.diffusion.text import TextBatch
from pose_diffusion.layout import Layout
from pose_diffusion.training.data import observation

SIMPLE = ("trusted", "steady 2", "pchip", "likely 2", "likely all")
FLOOR = .005  # shoulder widths: errors below it are within the noise of the training data
NEAR = .5  # a candidate's share falls to 1/e for each such part of the least error by which it is worse
KNOWN = .1  # weight, in the diffusion loss, of what is observed: it is nearly all there is, and little is unknown of it
PART_WEIGHT = {"body": 1., "left_hand": 2., "right_hand": 2., "face": .15}


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: error of the mean where damaged and elsewhere, of handshapes, of velocity; the choice
    between the candidates; the expected error; the diffusion loss and that of its velocity; what the text alone tells;
    the length of signs.
    """

    mean: float = 1.
    untouched: float = .3
    shape: float = .5
    velocity: float = .3
    choice: float = .1
    error: float = .1
    diffusion: float = .3
    diffusion_velocity: float = .3
    usual: float = 2.
    length: float = .05


def point_weights(layout: Layout, like: Tensor) -> Tensor:
    """`(K,)` weights of the points."""
    weight = torch.empty(len(layout), device=like.device)
    for part, value in PART_WEIGHT.items():
        weight[layout.parts[part]] = value
    return weight


def distance(x: Tensor) -> Tensor:
    """Length of `(..., 3)`, depth counted half (MediaPipe's depth is mostly guessed), smooth at 0."""
    return (x[..., 0]**2 + x[..., 1]**2 + .25 * x[..., 2]**2 + 1e-6).sqrt() - 1e-3


def share(error: Tensor, simple: list[Tensor], weight: Tensor) -> Tensor:
    """Mean over clips of their error over that of the best simple estimate, plus a floor.

    Parameters
    ----------
    error : Tensor
        `(B, ...)`.
    simple : list of Tensor
        The same for each simple estimate.
    weight : Tensor
        `(B, ...)`; clips without weight do not count.
    """
    total = weight.flatten(1).sum(1)

    def mean(e: Tensor) -> Tensor:
        return (e * weight).flatten(1).sum(1) / total.clamp(min=1e-6)

    best = torch.stack([mean(e.detach()) for e in simple]).min(0).values
    present = (total > 1e-3).float()
    return ratio((present * mean(error) / (best + FLOOR)).sum(), present.sum())


def ratio(total: Tensor, count: Tensor) -> Tensor:
    """`total / count` of scalars (at least one counted), over the whole batch where several processes share it.

    Each has a part of the batch and the mean of their losses is what is minimised. For that to be the loss of the
    whole batch all must divide by the same: the mean of their counts.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return total / count.clamp(min=1)
    everyone = count.detach().clone()
    distributed.all_reduce(everyone)
    return total * distributed.get_world_size() / everyone.clamp(min=1)


def losses(model: Denoiser, batch: dict[str, Tensor], sigma: Tensor, noise: Tensor, weights: LossWeights,
           heard: Tensor) -> dict[str, Tensor]:
    """All terms of the loss for one batch.

    Parameters
    ----------
    model : Denoiser
        The network.
    batch : dict of Tensor
        A batch of `Windows`.
    sigma, noise : Tensor
        `(B,)` and white `(B, T + 2 * noise.MARGIN, K, 3)`.
    weights : LossWeights
        Of the terms.
    heard : Tensor
        `(B,)` bool: False where training does without the text, if there is one.

    Returns
    -------
    dict of str to Tensor
        Each term, unweighted, and their weighted sum as `total`.
    """
    filler = model.filler
    begin = start(filler, observation(batch))
    condition, length = listen(model, batch, heard)
    encoded = model.encode(begin, condition)
    truth = batch["truth"]
    weight = batch["weight"] * point_weights(model.layout, truth) * batch["valid"].unsqueeze(-1)
    simple = [encoded.filled, *(_estimate(begin, name, model.inner) for name in SIMPLE)]
    target = filler.features(truth)
    both = weight * torch.where(filler.has_anchor, weight[..., filler.anchors] > 0, True)
    # A hand without a body is nowhere: what counts of it is its shape.
    alone = ~(weight[..., model.layout.parts["body"]] > 0).flatten(1).any(1)[:, None, None, None]
    weight = torch.where(alone.squeeze(-1), both, weight)

    def apart(features: Tensor) -> Tensor:
        return torch.where(alone, features - target, filler.points(features) - truth)

    away, others = apart(encoded.mean), [apart(features) for features in simple]
    error, theirs = distance(away), [distance(other) for other in others]
    touched, untouched = weight * batch["touched"], weight * ~batch["touched"]
    hands = both.clone()
    hands[..., :model.layout.parts["left_hand"].start] = 0
    hands[..., model.inner:] = 0
    terms = {"mean": share(error, theirs, touched), "untouched": share(error, theirs, untouched)}
    terms["shape"] = share(distance(encoded.mean - target), [distance(features - target) for features in simple],
                           hands * batch["touched"])
    pair = weight[:, 1:] * (weight[:, :-1] > 0)
    terms["velocity"] = share(distance(away.diff(dim=1)), [distance(other.diff(dim=1)) for other in others], pair)
    terms["choice"] = _choice(model, begin, encoded, target, both * ~begin.exact)
    plain = away[..., :2].norm(dim=-1).detach()
    free = both * (encoded.error > 0)
    expected = encoded.error.clamp(min=1e-3)
    terms["error"] = ratio(((expected.log() + plain / expected) * free).sum(), free.sum())
    terms |= _diffusion(model, encoded, target, both * torch.where(begin.known, KNOWN, 1.), sigma, noise)
    told = both * ~begin.known * condition.mask.any(1)[:, None, None]
    terms["usual"] = ratio((distance(encoded.usual - target) * told).sum(), told.sum())
    terms["length"] = length
    terms["total"] = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    return terms


def listen(model: Denoiser, batch: dict[str, Tensor], heard: Tensor) -> tuple[Condition, Tensor]:
    """The condition of a batch, and the negative log-likelihood of the lengths of its signs.

    Tokens that nobody hears rather than none: every weight then has a gradient (of zero), which several processes rely
    on.
    """
    if model.text is None:
        empty = none(len(heard), model.config.condition_width)
        return empty.to(heard.device), torch.zeros((), device=heard.device)
    texts = texts_of(batch, model.config.embedding_width)
    tokens, mean, std = model.text(texts)
    counted = (texts.given & (batch["length"] > 0)).float()
    miss = (batch["length"].clamp(min=1e-3).log() - mean) / std
    length = ratio(((.5 * miss**2 + std.log()) * counted).sum(), counted.sum())
    mask = (texts.given & heard)[:, None].expand(-1, tokens.shape[1])
    span = batch["span"][:, None].expand(-1, tokens.shape[1], -1)
    return Condition(tokens.float(), mask, span), length


def texts_of(batch: dict[str, Tensor], embedding_width: int) -> TextBatch:
    """The texts of a batch of `Windows`; where it has embeddings `embedding` `(B, N, E)` and `embedded` `(B, N)`."""
    ids = batch["ids"][:, :max(1, int((batch["ids"] > 0).sum(1).max()))]
    embedding = batch.get("embedding", torch.zeros(len(ids), 1, embedding_width, device=ids.device))
    embedded = batch.get("embedded", torch.zeros(len(ids), 1, dtype=torch.bool, device=ids.device))
    return TextBatch(ids, batch["picture"], embedding, embedded)


def _choice(model: Denoiser, begin: Start, encoded: Encoded, target: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy of the weights of the candidates with how near each is to the truth.

    By the error of the mean alone candidates die: a weight near zero has a gradient near zero, so an estimate that is
    best in some damage only is given up before the network can tell that damage.
    """
    n, count = model.inner, begin.candidates.shape[-2]  # all but the mean, which belongs to a window
    miss = distance(begin.candidates - target[:, :, :n].unsqueeze(-2))
    near = torch.softmax(-miss / (NEAR * miss.amin(-1, keepdim=True) + FLOOR), dim=-1)
    cost = -(near * encoded.weights[..., :count]).sum(-1)
    return ratio((cost * weight[..., :n]).sum(), weight[..., :n].sum())


def _estimate(begin: Start, name: str, inner: int) -> Tensor:
    """One of the candidates, with the face of the filled observation."""
    return torch.cat([begin.candidates[..., CANDIDATES.index(name), :], begin.filled[:, :, inner:]], dim=2)


def _diffusion(model: Denoiser, encoded: Encoded, target: Tensor, weight: Tensor, sigma: Tensor,
               noise: Tensor) -> dict[str, Tensor]:
    """EDM's loss in the state space (Karras et al. 2022, eq. 8 with its weighting), Huber beyond two units."""
    clean = torch.where(weight.unsqueeze(-1) > 0, target, encoded.mean.detach())
    clean = torch.where(encoded.spread > 0, clean, encoded.filled)
    level = sigma.view(-1, 1, 1, 1)
    out = model.decode(encoded, clean + level * encoded.spread * model.noise(smoothed(noise)), sigma)
    free = (weight.unsqueeze(-1) * (encoded.spread > 0)).expand_as(out)
    unit = encoded.spread.clamp(min=1e-3) * c_out(level, encoded.doubt)
    miss = (out - clean) / unit

    def huber(x: Tensor, w: Tensor) -> Tensor:
        return ratio((F.smooth_l1_loss(x, torch.zeros_like(x), beta=2., reduction="none") * w).sum(), w.sum())

    pair = free[:, 1:] * (free[:, :-1] > 0)
    return {"diffusion": huber(miss, free), "diffusion_velocity": huber(miss.diff(dim=1), pair)}
