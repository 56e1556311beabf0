"""What a network is told of its training data before it learns: averages, and linear priors of hand and body."""
from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import Tensor

from pose_diffusion.diffusion import gaussian, noise, wiener
from pose_diffusion.diffusion.filling import Filler
from pose_diffusion.layout import Layout
from pose_diffusion.training.data import Pack

PRIORS = {"hand": 1., "body": .5}  # the parts that have a linear prior, and their share of the jitter
WINDOWS = 250  # clips of a source, that the Gaussians are fitted to
SEEN = .9  # of a window's points, for it to be learnt from
MOVES = 200  # clips of a source, that the noise is shaped by
LEAST_MOVES = 500  # fewer say nothing of how a part moves
LAG = 8  # frames that such a move takes
TRACKS = 120  # of a source, that a prior is fitted to
_FLIP = np.array([-1, 1, 1], np.float32)


def statistics(pack: Pack, clips: np.ndarray, layout: Layout, limit: int = 3000) -> dict[str, Tensor]:
    """What a `Denoiser` is told of the data, by the names of its buffers.

    A source counts by the root of how many clips it has. Clips without a known frame rate are taken at 20 per second.

    Parameters
    ----------
    pack : Pack
        The clips.
    clips : np.ndarray
        Indices of those to use.
    layout : Layout
        The points.
    limit : int
        Clips, drawn at random, that mean, std and rate are taken from.

    Returns
    -------
    dict of str to Tensor
        `mean` and `std` of the features and `rate`, how far they walk in a second (shoulder widths per root second):
        `(K, 3)` each. The priors of a right hand and the body (see `wiener.Prior`), `hand_basis` and so on; those of a
        part that is nowhere seen throughout change nothing. The shapes of the noise (see `noise.Shape`), `hand_noise`
        and so on, where there are clips enough. The Gaussians over windows of the body and of a hand with
        its arm (see `gaussian.Gaussian`), `body_window_mean` and so on, where there are clips enough to fit them.
    """
    rng = np.random.default_rng(0)
    to_features = layout.to_features
    pairs = (to_features != 0).astype(np.float32)
    sums = np.zeros((3, len(layout), 3))
    counts = np.zeros((2, len(layout), 1))
    for i in rng.permutation(clips)[:limit]:
        xyz, confidence = pack.clip(i)
        features = np.einsum("kj,tjd->tkd", to_features, xyz)
        known = ((confidence > 0) @ pairs.T >= pairs.sum(1) - .5)[..., None]
        share = 1 / np.sqrt(max(1, (pack.source[clips] == pack.source[i]).sum()))
        lag = min(4, len(xyz) - 1)
        both = known[lag:] & known[:len(known) - lag]
        step = (features[lag:] - features[:len(features) - lag])**2 * both
        fps = pack.fps[i] or 20.
        walked = step.sum(0) * fps / max(lag, 1)
        sums += share * np.stack([(features * known).sum(0), (features**2 * known).sum(0), walked])
        counts += share * np.stack([known.sum(0), both.sum(0)])
    mean = sums[0] / np.maximum(counts[0], 1e-9)
    std = np.sqrt(np.maximum(sums[1] / np.maximum(counts[0], 1e-9) - mean**2, 1e-6))
    rate = np.sqrt(np.maximum(sums[2] / np.maximum(counts[1], 1e-9), 1e-6))
    values = {name: torch.from_numpy(value).float() for name, value in (("mean", mean), ("std", std), ("rate", rate))}
    for part, share in PRIORS.items():
        columns = layout.parts["right_hand" if part == "hand" else part]
        tracks = _tracks(pack, rng.permutation(clips), layout, columns)
        prior = wiener.fit(tracks, share) if tracks else wiener.nothing(columns.stop - columns.start)
        values |= {f"{part}_basis": prior.basis, f"{part}_taps": prior.taps}
    for part, moves in _moves(pack, rng.permutation(clips), layout).items():
        values |= {f"{part}_noise": noise.fit(np.stack(moves))} if len(moves) > LEAST_MOVES else {}
    for part, windows in zip(("body", "side"), _windows(pack, rng.permutation(clips), layout)):
        if len(windows) > gaussian.DIRECTIONS:
            values |= {f"{part}_window_{name}": value for name, value in vars(gaussian.fit(windows)).items()}
    return values


def _windows(pack: Pack, clips: np.ndarray, layout: Layout) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Windows of the body, mirrored as well, and of both sides as left ones, a hand relative to the body's wrist.

    Up to three of a clip, in which nearly all is seen; the rest is interpolated.
    """
    filler = Filler(layout, torch.zeros(len(layout), 3))
    body, mirror = np.arange(len(layout))[layout.parts["body"]], np.array(layout.mirror)
    counts: Counter[int] = Counter()
    bodies, hands = [], []
    for i in clips:
        counts[pack.source[i]] += 1
        if counts[pack.source[i]] > WINDOWS or pack.lens[i] < gaussian.FRAMES:
            continue
        xyz, confidence = (torch.from_numpy(x[None, :, :filler.inner]) for x in pack.clip(i))
        seconds = torch.arange(xyz.shape[1]).unsqueeze(0) / (pack.fps[i] or 20.)
        full = filler.points(filler.fill(xyz, confidence > 0, seconds).features)[0].numpy()
        seen = confidence[0].numpy() > 0
        for start in sorted({0, (len(full) - gaussian.FRAMES) // 2, len(full) - gaussian.FRAMES}):
            rows = slice(start, start + gaussian.FRAMES)
            if seen[rows, body].mean() >= SEEN:
                bodies += [full[rows, body], full[rows][:, mirror[body]] * _FLIP]
            for hand, chosen, wrist, flip in zip(filler.hands, filler.sides, filler.wrists, (np.abs(_FLIP), _FLIP)):
                if seen[rows][:, chosen].mean() >= SEEN:
                    window = full[rows][:, chosen].copy()
                    window[:, :hand.stop - hand.start] -= full[rows, wrist][:, None]
                    hands.append(window * flip)
    return bodies, hands


def _moves(pack: Pack, clips: np.ndarray, layout: Layout) -> dict[str, list[np.ndarray]]:
    """How far the features `(n, 3)` of body, hand (as a right one) and face moved in `LAG` frames, where all were seen
    in both.
    """
    out: dict[str, list[np.ndarray]] = {"body": [], "hand": [], "face": []}
    counts: Counter[int] = Counter()
    for i in clips:
        counts[pack.source[i]] += 1
        if counts[pack.source[i]] > MOVES or pack.lens[i] <= LAG:
            continue
        xyz, confidence = pack.clip(i)
        features = np.einsum("kj,tjd->tkd", layout.to_features, xyz)
        for part, where in layout.parts.items():
            wrist = [] if "hand" not in part else [layout.anchors[where.start]]
            seen = (confidence[:, where] > 0).all(1) & (confidence[:, wrist] > 0).all(1)
            both = np.flatnonzero(np.asarray(seen)[LAG:] & np.asarray(seen)[:-LAG])[::4]
            moved = (features[both + LAG] - features[both])[:, where]
            out["hand" if wrist else part] += list(moved * _FLIP if part == "left_hand" else moved)
    return out


def _tracks(pack: Pack, clips: np.ndarray, layout: Layout, columns: slice) -> list[np.ndarray]:
    """A part of about `TRACKS` clips and mirror images of every source, those in which it is seen throughout."""
    mirror = list(layout.mirror)
    counts, out = np.zeros(len(pack.sources), int), []
    for i in clips:
        if counts[pack.source[i]] >= TRACKS or pack.lens[i] < wiener.NEAR:
            continue
        xyz, confidence = pack.clip(i)
        for points, seen in ((xyz, confidence), (xyz[:, mirror] * _FLIP, confidence[:, mirror])):
            if (seen[:, columns] > 0).all():
                out.append(points[:, columns])
                counts[pack.source[i]] += 1
    return out
