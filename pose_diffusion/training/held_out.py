"""How good a network is on people it was not trained on: the figure that training is stopped and chosen by.

A validation set is fixed: clips of the given sources, each damaged in every way that the benchmark knows, always alike.
What counts is the ratio of the network's error after one step to that of the filled observation, so that easy and hard
damage count alike.
"""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pose_diffusion import corruption
from pose_diffusion.corruption import undamaged
from pose_diffusion.diffusion.candidates import start
from pose_diffusion.diffusion.condition import Condition
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.layout import Layout
from pose_diffusion.training.data import Pack, keep_frames, observation, padded, tell
from pose_diffusion.training.loss import listen

CASES = corruption.CASES
CLIPS = 48  # of a validation set, about as many of each source
FLOOR = .005  # shoulder widths: the noise of the truth itself
FPS = 20.  # of clips of which it is not known


def choose(pack: Pack, sources: list[str], count: int = CLIPS) -> np.ndarray:
    """About `count` clips, about as many of each source: indices, always the same."""
    rng = np.random.default_rng(0)
    share = max(1, count // len(sources))
    return np.concatenate([rng.permutation(pack.select([name]))[:share] for name in sources])


def damaged(pack: Pack, clips: np.ndarray, window: int, layout: Layout) -> list[dict[str, Tensor]]:
    """A batch for each of `CASES`: every clip with that damage, in turn at levels 1, 2 and 3.

    Parameters
    ----------
    pack : Pack
        Where the clips are.
    clips : np.ndarray
        Their indices.
    window : int
        Frames taken of each, from its start.
    layout : Layout
        The points.

    Returns
    -------
    list of dict
        Batches as those of `data.Windows`; nothing in them is exact.
    """
    def sample(place: int, case: str) -> dict[str, np.ndarray]:
        xyz, confidence = (values[:window] for values in pack.clip(clips[place]))
        rng = np.random.default_rng((CASES.index(case), place))
        level = corruption.LEVELS[place % len(corruption.LEVELS)]
        after = corruption.corrupt(xyz, confidence > 0, case, level, rng, layout)
        return padded(window, xyz, confidence, after, after.observed, False, pack.fps[clips[place]] or FPS)

    batches = []
    for case in CASES:
        samples = [sample(place, case) for place in range(len(clips))]
        batches.append({name: torch.from_numpy(np.stack([s[name] for s in samples])) for name in samples[0]})
    return batches


def errors(network: Denoiser, batch: dict[str, Tensor], condition: Condition | None = None) -> Tensor:
    """How far body and hands are from the truth in the image plane, in shoulder widths.

    Returns
    -------
    Tensor
        `(4,)`: mean error of damaged points after one step, of the same in the filled observation, mean error of the
        other points after one step, in the filled observation. A mean over clips of the mean over their points, NaN
        where there are none.
    """
    begin = start(network.filler, observation(batch))
    estimates = [network.filler.points(network.encode(begin, condition).mean), network.filler.points(begin.filled)]
    n = network.inner
    counted = (batch["weight"] > 0) & batch["valid"].unsqueeze(-1)

    def mean(points: Tensor, where: Tensor) -> Tensor:
        miss = (points - batch["truth"])[:, :, :n, :2].norm(dim=-1)
        where = where[..., :n].float()
        per_clip = (miss * where).sum((1, 2)) / where.sum((1, 2))
        return per_clip.nanmean()

    return torch.stack([mean(points, counted & where) for where in (batch["touched"], ~batch["touched"])
                        for points in estimates])


def told(pack: Pack, clips: np.ndarray, window: int) -> dict[str, Tensor]:
    """Clips, in an order of chance, of which the text and the first frame are known; as many as for the other sets.

    Parameters
    ----------
    pack, clips, window
        As of `damaged`.

    Returns
    -------
    dict of str to Tensor
        A batch as those of `data.Windows`.
    """
    samples = []
    for clip in np.random.default_rng(0).permutation(clips)[:CLIPS * 2]:
        xyz, confidence = (values[:window] for values in pack.clip(clip))
        fps = pack.fps[clip] or FPS
        first = keep_frames(undamaged(xyz, confidence > 0), np.arange(len(xyz)) < 1)
        about = tell(pack.texts[int(clip)][0], (0., len(xyz) / fps), pack.seconds(clip))
        samples.append(padded(window, xyz, confidence, first, first.observed, True, fps) | about)
    return {name: torch.from_numpy(np.stack([s[name] for s in samples])) for name in samples[0]}


def text_errors(network: Denoiser, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Errors as of `errors` of a batch of `told`, with its texts and `without`, and `length`: the mean negative
    log-likelihood of the lengths in ln(seconds).
    """
    everyone = torch.ones(len(batch["ids"]), dtype=torch.bool, device=batch["ids"].device)
    condition, length = listen(network, batch, everyone)
    return {"with": errors(network, batch, condition), "without": errors(network, batch), "length": length}


def text_summary(measured: dict[str, Tensor]) -> dict[str, float]:
    """The figures of `text_errors`: `ratio`, the error with the text over that of the first frame held; `told`, the
    error with the text over that without; `length`.
    """
    (network, filled, *_), without = measured["with"].tolist(), float(measured["without"][0])
    return {"ratio": network / filled, "told": network / without, "length": float(measured["length"])}


def summary(measured: dict[str, Tensor]) -> dict[str, float]:
    """The figures of a validation set from the errors of its cases.

    Parameters
    ----------
    measured : dict of str to Tensor
        `errors` by case.

    Returns
    -------
    dict of str to float
        Per case the ratio of the network's error to that of the filled observation, `FLOOR` added to both (exchanged
        hands are filled without error); `ratio`, their geometric mean; `untouched`, the error made in clips without any
        damage, in shoulder widths. A case that damaged nothing has no ratio.
    """
    figures = {}
    for case, values in measured.items():
        network, filled, untouched, _ = values.tolist()
        if case == "clean":
            figures["untouched"] = untouched
        elif np.isfinite(filled):
            figures[case] = (network + FLOOR) / (filled + FLOOR)
    ratios = [value for name, value in figures.items() if name != "untouched"]
    if ratios:
        figures["ratio"] = float(np.exp(np.mean(np.log(ratios))))
    return figures
