"""Conditional Gaussian mixture: the training-free baseline, an exact posterior mean under a simple prior.

The prior: a window of 24 frames is `x = mean + U z`, U its first principal components, z a mixture of Gaussians fitted
by expectation-maximisation (Bishop 2006, 9.2 and 12.1). What is observed of a window carries white noise, so the
posterior of z is again a mixture, in closed form, for any pattern of missing points. There is one prior for the body
and one for a hand with its arm, which both sides share by mirroring. Hands are relative to the body's wrist.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from pose_diffusion.evaluation.baselines import WRISTS, linear_on_wrist, pchip
from pose_diffusion.evaluation.cases import INNER
from pose_diffusion.files import atomic
from pose_diffusion.layout import BODY, HOLISTIC
from pose_diffusion.training.data import Pack

WINDOW = 24
STEP = 8  # frames between windows of a clip
COMPONENTS = 4
DIRECTIONS = 112  # principal components
ROUNDS = 15  # of expectation-maximisation
PER_SOURCE = 250  # clips of a source
SEEN = .9  # of a window's points, for it to be learnt from
BODY_PART = np.arange(HOLISTIC.parts["body"].stop)
MIRROR = np.array(HOLISTIC.mirror)


def side(hand: str) -> np.ndarray:
    """Indices of a side's prior: the hand, then the arm's elbow, wrist and the body's own three hand points."""
    prefix = WRISTS[hand][1].split("_")[0]
    arm = [HOLISTIC.index(BODY, f"{prefix}_{point}") for point in ("ELBOW", "WRIST", "PINKY", "INDEX", "THUMB")]
    part = HOLISTIC.parts[hand]
    return np.concatenate([np.arange(part.start, part.stop), arm])


LEFT = side("left_hand")
RIGHT = MIRROR[LEFT]


@dataclass(frozen=True, eq=False)
class Prior:
    """A mixture of C Gaussians in P principal directions of windows of W frames and K points.

    Attributes
    ----------
    mean : np.ndarray
        `(W, K, 3)`.
    directions : np.ndarray
        `(W, K, 3, P)`, orthonormal.
    rest : float
        Variance per coordinate outside of them.
    weights, means, covariances : np.ndarray
        `(C,)`, `(C, P)`, `(C, P, P)`.
    """

    mean: np.ndarray
    directions: np.ndarray
    rest: float
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @cached_property
    def products(self) -> torch.Tensor:
        """`(W K, P (P + 1) / 2)` float32: what each point adds to U'U, the lower triangle."""
        points = torch.from_numpy(self.directions).reshape(-1, 3, len(self.means[0]))
        rows, columns = torch.tril_indices(points.shape[-1], points.shape[-1])
        return torch.stack([point.T @ point for point in points])[:, rows, columns].float()


def fit_prior(windows: np.ndarray, components: int = COMPONENTS, directions: int = DIRECTIONS, seed: int = 0) -> Prior:
    """Fit a prior.

    Parameters
    ----------
    windows : np.ndarray
        `(S, W, K, 3)`, complete.
    components, directions : int
        How many Gaussians and principal components, at most.
    seed : int
        Of the start.

    Returns
    -------
    Prior
    """
    flat = windows.reshape(len(windows), -1).astype(np.float64)
    mean = flat.mean(0)
    centred = flat - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(flat))
    count = min(directions, len(flat) - 1, flat.shape[1])
    chosen = np.ascontiguousarray(vectors[:, ::-1][:, :count])
    rest = float(max(values[:-count].sum() / max(flat.shape[1] - count, 1), 1e-8)) if count < len(values) else 1e-8
    weights, means, covariances = fit_mixture(centred @ chosen, components, seed)
    shape = windows.shape[1:]
    return Prior(mean.reshape(shape), chosen.reshape(*shape, count), rest, weights, means, covariances)


def fit_mixture(z: np.ndarray, components: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expectation-maximisation; every covariance is drawn to that of all data as if by `2 P` more points."""
    rng = np.random.default_rng(seed)
    total = np.cov(z.T, bias=True).reshape(z.shape[1], z.shape[1]) + 1e-8 * np.eye(z.shape[1])
    pull = 2 * z.shape[1]
    centres = z[rng.choice(len(z), min(components, len(z)), replace=False)]
    nearest = ((z[:, None] - centres)**2).sum(-1).argmin(1) if len(z) * z.shape[1] < 10**6 else _nearest(z, centres)
    share = np.eye(len(centres))[nearest]
    for _ in range(ROUNDS):
        mass = share.sum(0) + 1e-9
        means = share.T @ z / mass[:, None]
        covariances = np.stack([((z - m).T * share[:, c]) @ (z - m) for c, m in enumerate(means)])
        covariances = (covariances + pull * total) / (mass + pull)[:, None, None]
        weights = mass / mass.sum()
        logs = np.stack([_log_density(z - m, s) for m, s in zip(means, covariances)], axis=1) + np.log(weights)
        share = _softmax(logs)
    return weights, means, covariances


def _nearest(z: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return ((centres**2).sum(1) - 2 * z @ centres.T).argmin(1)


def _log_density(offset: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    root = np.linalg.cholesky(covariance)
    scaled = np.linalg.solve(root, offset.T)
    return -.5 * (scaled**2).sum(0) - np.log(np.diag(root)).sum()


def _softmax(logs: np.ndarray) -> np.ndarray:
    share = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return share / share.sum(axis=-1, keepdims=True)


def posterior_mean(prior: Prior, windows: np.ndarray, observed: np.ndarray, noise: float) -> np.ndarray:
    """The expected windows, given what is observed of them.

    Parameters
    ----------
    prior : Prior
        Of the same shape.
    windows : np.ndarray
        `(B, W, K, 3)`.
    observed : np.ndarray
        `(B, W, K)` bool.
    noise : float
        Standard deviation per observed coordinate; what the principal components leave out comes on top of it.

    Returns
    -------
    np.ndarray
        `(B, W, K, 3)`: `mean + U E[z | observed]`.

    Notes
    -----
    With y the observed offsets, R the variance of an observation, G = U_o' U_o and S, m a component's covariance and
    mean, the posterior's precision is A = S^-1 + G / R and its mean A^-1 (S^-1 m + U_o' y / R); the components' weights
    follow from log N(y; U_o m, U_o S U_o' + R I), by the Woodbury identity (Bishop 2006, 2.3.3).
    """
    batch, count = len(windows), prior.directions.shape[-1]
    variance = noise**2 + float(prior.rest)
    flat = torch.from_numpy(prior.directions).reshape(-1, count)
    offsets = np.where(observed[..., None], windows - prior.mean, 0).reshape(batch, -1)
    projected = torch.from_numpy(offsets).double() @ flat
    # Clips without holes share one pattern, and so one factorisation.
    patterns, which = np.unique(observed.reshape(batch, -1), axis=0, return_inverse=True)
    same = torch.from_numpy(which.reshape(-1))
    gram = torch.zeros(len(patterns), count, count, dtype=torch.float64)
    rows, columns = torch.tril_indices(count, count)
    gram[:, rows, columns] = gram[:, columns, rows] = (torch.from_numpy(patterns).float() @ prior.products).double()
    means, logs = [], []
    for weight, mean, covariance in zip(prior.weights, prior.means, prior.covariances):
        m, s = torch.from_numpy(mean), torch.from_numpy(covariance)
        inverse = torch.linalg.inv(s)
        root = torch.linalg.cholesky(inverse + gram / variance)
        z = torch.cholesky_solve((inverse @ m + projected / variance).unsqueeze(-1), root[same]).squeeze(-1)
        # log evidence = log prior(z) + log likelihood(z) - log posterior(z), at the posterior's mean z
        fit = 2 * (projected * z).sum(1) - ((gram[same] @ z.unsqueeze(-1)).squeeze(-1) * z).sum(1)
        gap = ((z - m) @ inverse * (z - m)).sum(1)
        spread = 2 * root.diagonal(dim1=1, dim2=2).log().sum(1)[same] + torch.logdet(s)
        logs.append(float(np.log(weight)) + .5 * (fit / variance - gap - spread))
        means.append(z)
    z = torch.einsum("bc,cbp->bp", torch.softmax(torch.stack(logs, dim=1), dim=1), torch.stack(means))
    return (z @ flat.T).numpy().reshape(windows.shape) + prior.mean


@dataclass(frozen=True, eq=False)
class Mixture:
    """The two priors."""

    body: Prior
    side: Prior

    def method(self, noise: float, trim: float, exact: bool) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """A function of a stack, for `baselines.stacked`.

        Parameters
        ----------
        noise : float
            Standard deviation of the observations, in shoulder widths.
        trim : float
            Observations further than this from the posterior mean are dropped, and the rest asked again; 0 for never.
        exact : bool
            Observed points stay, and the mean is shifted to meet them, the shift by PCHIP between them: with much noise
            this is PCHIP itself.
        """
        def complete(xyz: np.ndarray, observed: np.ndarray) -> np.ndarray:
            out = linear_on_wrist(xyz, observed)
            out[..., BODY_PART, :] = _complete(self.body, xyz[..., BODY_PART, :], observed[..., BODY_PART],
                                               out[..., BODY_PART, :], noise, trim, exact)
            for hand, chosen, sign in (("left_hand", LEFT, 1), ("right_hand", RIGHT, -1)):
                part, wrist = HOLISTIC.parts[hand], HOLISTIC.index(*WRISTS[hand])
                seen = observed[..., chosen]
                flip = np.array([sign, 1, 1], np.float32)
                values = np.where(seen[..., None], xyz[..., chosen, :], 0)
                hand_points = slice(0, part.stop - part.start)
                values[..., hand_points, :] -= out[..., wrist:wrist + 1, :]
                simple = np.concatenate([out[..., part, :] - out[..., wrist:wrist + 1, :],
                                         out[..., chosen[part.stop - part.start:], :]], axis=-2)
                result = _complete(self.side, values * flip, seen, simple * flip, noise, trim, exact) * flip
                out[..., part, :] = result[..., hand_points, :] + out[..., wrist:wrist + 1, :]
            return out

        return complete


def _complete(prior: Prior, xyz: np.ndarray, observed: np.ndarray, simple: np.ndarray, noise: float, trim: float,
              exact: bool) -> np.ndarray:
    """Posterior mean of a stack `(T, B, K, 3)` from overlapping windows; `simple` where a clip shows nothing at all."""
    seen_at_all = observed.any(axis=(0, 2))
    unchanged = observed.all(axis=(0, 2)) if exact and trim == 0 else np.zeros_like(seen_at_all)
    todo = np.flatnonzero(seen_at_all & ~unchanged)
    if len(todo) == 0:
        return simple
    x, mask = xyz[:, todo], observed[:, todo]
    mean = _windowed(prior, x, mask, noise)
    if trim > 0:
        mask = mask & (np.linalg.norm((x - mean)[..., :2], axis=-1) < trim)
        mean = _windowed(prior, x, mask, noise)
    if exact:
        mean = mean + pchip(np.where(mask[..., None], x - mean, 0), mask)
    out = simple.copy()
    out[:, todo] = mean
    return out


def _windowed(prior: Prior, xyz: np.ndarray, observed: np.ndarray, noise: float) -> np.ndarray:
    """Windows' posterior means, blended by triangular weights; a short clip is a window with an unseen rest."""
    frames, size = len(xyz), len(prior.mean)
    padding = [(0, max(0, size - frames)), (0, 0), (0, 0)]
    xyz, observed = np.pad(xyz, [*padding, (0, 0)]), np.pad(observed, padding)
    last = len(xyz) - size
    starts = sorted({*range(0, last + 1, STEP), last})
    batch = xyz.shape[1]
    windows = np.concatenate([xyz[s:s + size].swapaxes(0, 1) for s in starts])
    masks = np.concatenate([observed[s:s + size].swapaxes(0, 1) for s in starts])
    means = posterior_mean(prior, windows, masks, noise).reshape(len(starts), batch, *windows.shape[1:])
    ramp = np.minimum(np.arange(size) + 1, size - np.arange(size)).astype(np.float32)[:, None, None, None]
    total, weight = np.zeros(xyz.shape), np.zeros((len(xyz), 1, 1, 1))
    for start, mean in zip(starts, means):
        total[start:start + size] += ramp * mean.swapaxes(0, 1)
        weight[start:start + size] += ramp
    return (total / weight)[:frames].astype(np.float32)


def training_windows(pack: Pack, clips: Sequence[int] | np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Windows of the body, mirrored as well, and of both sides as left ones: `(S, W, K, 3)` each, float32."""
    rng = np.random.default_rng(seed)
    used: dict[int, int] = {}
    bodies, sides = [], []
    flip = np.array([-1, 1, 1], np.float32)
    for i in rng.permutation(np.asarray(clips)):
        used[pack.source[i]] = used.get(pack.source[i], 0) + 1
        if used[pack.source[i]] > PER_SOURCE or pack.lens[i] < WINDOW:
            continue
        xyz, confidence = pack.clip(i)
        xyz, seen = xyz[:, :INNER], confidence[:, :INNER] > 0
        full = linear_on_wrist(xyz, seen)
        for start in sorted({0, (len(xyz) - WINDOW) // 2, len(xyz) - WINDOW}):
            rows = slice(start, start + WINDOW)
            if seen[rows, BODY_PART].mean() >= SEEN:
                bodies += [full[rows, BODY_PART], full[rows][:, MIRROR[BODY_PART]] * flip]
            for hand, chosen, sign in (("left_hand", LEFT, 1), ("right_hand", RIGHT, -1)):
                if seen[rows, chosen].mean() >= SEEN:
                    window = full[rows][:, chosen].copy()
                    size = HOLISTIC.parts[hand].stop - HOLISTIC.parts[hand].start
                    window[:, :size] -= full[rows, HOLISTIC.index(*WRISTS[hand])][:, None]
                    sides.append(window * np.array([sign, 1, 1], np.float32))
    return np.stack(bodies), np.stack(sides)


def fit(pack: Pack, clips: Sequence[int] | np.ndarray) -> Mixture:
    """Fit both priors to clips."""
    return Mixture(*(fit_prior(windows) for windows in training_windows(pack, clips)))


def save(mixture: Mixture, path: Path) -> None:
    """Write the priors to a `.npz` file."""
    arrays = {f"{part}.{field.name}": getattr(getattr(mixture, part), field.name)
              for part in ("body", "side") for field in fields(Prior)}
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def load(path: Path) -> Mixture:
    """Read what `save` wrote."""
    names = [field.name for field in fields(Prior)]
    with np.load(path, allow_pickle=False) as data:
        return Mixture(*(Prior(*(data[f"{part}.{name}"] for name in names)) for part in ("body", "side")))
