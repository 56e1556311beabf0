"""A small network that names the sign of a clip: how often generated clips are recognised, and by what they differ.

It is trained on training clips only. Clips become 32 frames of arms, and of hands relative to their wrists. Real clips
have holes where generated ones have none, so the network is told nothing of what was seen: a hand lost for a while is
interpolated; one that was never seen lies in its wrist, or has, in half of the training samples, the shape of any
other clip's, as generation must invent one. In training clips are mirrored, turned, scaled, played at another tempo,
shaken, smoothed, and lose their hands.
"""
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from pose_diffusion.evaluation.baselines import linear_on_wrist
from pose_diffusion.evaluation.cases import INNER
from pose_diffusion.files import atomic
from pose_diffusion.layout import BODY, HOLISTIC
from pose_diffusion.notation import Text
from pose_diffusion.training.data import Pack

FRAMES = 32
BODY_POINTS = ("NOSE", "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW", "RIGHT_ELBOW", "LEFT_WRIST", "RIGHT_WRIST")
POINTS = np.array([HOLISTIC.index(BODY, name) for name in BODY_POINTS])
BODY_MIRROR = [0, 2, 1, 4, 3, 6, 5]
WRISTS = slice(5, 7)  # of BODY_POINTS
HANDS = ("left_hand", "right_hand")
HAND_SCALE = 3.  # palms per shoulder width: hands are as large as bodies for the network
FEATURES = 64
SAME_SIGN = {"thanks": "thank you"}  # two translations of one sign
BATCH, LEARNING_RATE, WEIGHT_DECAY, SMOOTHING = 64, 2e-3, .05, .1
LEAST = 8  # clips of a word without which it is no class
WEIGHTS = "recognition.safetensors"
MAX_BYTES = 2**26


@dataclass(frozen=True, eq=False)
class Inputs:
    """Clips as the network takes them.

    Attributes
    ----------
    body : Tensor
        `(N, 32, 7, 2)` shoulder widths: `BODY_POINTS` in the image plane.
    hands : Tensor
        `(N, 32, 2, 21, 3)`: relative to the hand's wrist, in palms; of the wrist itself, relative to the body's.
    seen : Tensor
        `(N, 2)` bool: whether a hand was ever seen. Not for the network, only to draw others' hands in training.
    """

    body: Tensor
    hands: Tensor
    seen: Tensor

    def rows(self, index: Tensor) -> Inputs:
        """Some of them."""
        return Inputs(self.body[index], self.hands[index], self.seen[index])


def prepare(clips: Sequence[tuple[np.ndarray, np.ndarray]]) -> Inputs:
    """Clips of any length as inputs.

    Parameters
    ----------
    clips : sequence of (np.ndarray, np.ndarray)
        `(T, K, 3)` shoulder widths and `(T, K)`, > 0 where observed, of the layout `holistic`.

    Returns
    -------
    Inputs
    """
    body = np.zeros((len(clips), FRAMES, len(POINTS), 2), np.float32)
    hands = np.zeros((len(clips), FRAMES, len(HANDS), 21, 3), np.float32)
    groups: dict[int, list[int]] = defaultdict(list)
    for i, (xyz, _) in enumerate(clips):
        groups[len(xyz)].append(i)
    for members in groups.values():
        stack = np.stack([clips[i][0][:, :INNER] for i in members], axis=1)
        observed = np.stack([clips[i][1][:, :INNER] > 0 for i in members], axis=1)
        filled = resampled(linear_on_wrist(stack, observed))
        body[members] = filled[:, :, POINTS, :2].transpose(1, 0, 2, 3)
        for side, part in enumerate(HANDS):
            hand = filled[:, :, HOLISTIC.parts[part]]
            known = np.any(observed[:, :, HOLISTIC.parts[part].start], axis=0)
            shape = hand - hand[:, :, :1]
            shape[:, :, 0] = hand[:, :, 0] - filled[:, :, POINTS[WRISTS][side]]
            hands[members, :, side] = (shape * known[:, None, None] * HAND_SCALE).transpose(1, 0, 2, 3)
    seen = [[(weight[:, HOLISTIC.parts[part].start] > 0).any() for part in HANDS] for _, weight in clips]
    return Inputs(torch.from_numpy(body), torch.from_numpy(hands), torch.tensor(seen, dtype=torch.bool).reshape(-1, 2))


def resampled(x: np.ndarray, frames: int = FRAMES) -> np.ndarray:
    """`(T, ...)` to `(frames, ...)`, linear in time."""
    at = np.linspace(0, len(x) - 1, frames)
    low = np.minimum(at.astype(int), max(0, len(x) - 2))
    weight = (at - low).astype(np.float32).reshape(-1, *[1] * (x.ndim - 1))
    return x[low] + weight * (x[np.minimum(low + 1, len(x) - 1)] - x[low])


class Recognition(nn.Module):
    """The network.

    Parameters
    ----------
    labels : sequence of str
        The words it tells apart.
    width : int
        Of its layers.
    """

    def __init__(self, labels: Sequence[str], width: int = 128):
        super().__init__()
        self.labels = tuple(labels)
        size = 2 * len(POINTS) + 2 * 21 * 3
        self.stem = nn.Conv1d(size, width, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2) for _ in range(3))
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for _ in range(3))
        self.features = nn.Linear(2 * width, FEATURES)
        self.drop = nn.Dropout(.3)
        self.out = nn.Linear(FEATURES, len(self.labels))

    def embed(self, inputs: Inputs) -> Tensor:
        """`(N, FEATURES)`: what clips are compared by."""
        x = torch.cat([inputs.body.flatten(2), inputs.hands.flatten(2)], dim=-1).transpose(1, 2)
        x = F.gelu(self.stem(x))
        for norm, layer in zip(self.norms, self.layers):
            x = x + F.gelu(layer(self.drop(norm(x))))
            x = F.avg_pool1d(x, 2)
        return torch.tanh(self.features(torch.cat([x.mean(-1), x.amax(-1)], dim=-1)))

    def forward(self, inputs: Inputs) -> Tensor:
        """`(N, labels)` logits."""
        return self.out(self.drop(self.embed(inputs)))


def word(texts: Sequence[Text]) -> str | None:
    """The class of a clip: what it says in words; None if that is not known."""
    said = next((text.text for text in texts if text.notation == "words"), None)
    return SAME_SIGN.get(said, said) if said else None


def choose_clips(pack: Pack, sources: Sequence[str], without: np.ndarray) -> dict[str, list[int]]:
    """Clips to train on, by class.

    Parameters
    ----------
    pack : Pack
        With texts.
    sources : sequence of str
        Of whole signs, by people with bodies.
    without : np.ndarray
        Clips kept back.

    Returns
    -------
    dict of str to list of int
        Classes of at least `LEAST` clips, in order.
    """
    chosen: dict[str, list[int]] = defaultdict(list)
    kept = set(without.tolist())
    for clip in pack.select(list(sources)).tolist():
        said = word(pack.texts.get(clip, ()))
        if said and clip not in kept:
            chosen[said].append(clip)
    return {said: chosen[said] for said in sorted(chosen) if len(chosen[said]) >= LEAST}


def train(pack: Pack, clips: dict[str, list[int]], steps: int = 2500, seed: int = 0,
          progress: Callable[[range], Sequence[int]] | None = None) -> Recognition:
    """Train the network; the same seed gives the same network on one thread.

    Parameters
    ----------
    pack : Pack
        Where the clips are.
    clips : dict of str to list of int
        As of `choose_clips`.
    steps : int
        Batches.
    seed : int
        Of weights, batches and augmentation.
    progress : callable, optional
        Wraps the steps, as `tqdm` does.

    Returns
    -------
    Recognition
        In evaluation mode.
    """
    every = [clip for some in clips.values() for clip in some]
    target = torch.tensor([place for place, some in enumerate(clips.values()) for _ in some])
    inputs = prepare([pack.clip(clip) for clip in every])
    source = torch.from_numpy(pack.source[every].astype(np.int64))
    weight = (torch.bincount(target)[target] * torch.bincount(source)[source]).float().rsqrt()
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):  # layers and dropout draw from the global generator
        torch.manual_seed(seed)
        network = Recognition(list(clips)).train()
        optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
        for _ in progress(range(steps)) if progress else range(steps):
            rows = torch.multinomial(weight, BATCH, replacement=True, generator=draw)
            others = inputs.hands[torch.randint(len(every), (BATCH,), generator=draw)]
            logits = network(augment(inputs.rows(rows), others, draw))
            loss = F.cross_entropy(logits, target[rows], label_smoothing=SMOOTHING)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval().requires_grad_(False)


def augment(inputs: Inputs, others: Tensor, draw: torch.Generator) -> Inputs:
    """Other bodies, cameras, tempi and captures; every clip on its own.

    Parameters
    ----------
    inputs : Inputs
        `(B, ...)`.
    others : Tensor
        `(B, 32, 2, 21, 3)` hands of other clips.
    draw : torch.Generator
        Fixes the draw.
    """
    def uniform(low: float, high: float, *size: int) -> Tensor:
        return low + (high - low) * torch.rand(len(inputs.body), *size, generator=draw)

    def chance(share: float, *size: int) -> Tensor:
        return uniform(0, 1, *size) < share

    body, hands = inputs.body, inputs.hands
    invented = ~inputs.seen & chance(.5, 2)
    hands = torch.where(invented[:, None, :, None, None], others[:, :1], hands)
    hands = torch.where(chance(.08, 2)[:, None, :, None, None], torch.zeros(()), hands)
    mirror = chance(.5)[:, None, None, None]
    body = torch.where(mirror, body[:, :, BODY_MIRROR] * torch.tensor([-1., 1]), body)
    hands = torch.where(mirror[..., None], hands.flip(2) * torch.tensor([-1., 1, 1]), hands)
    body, hands = _tempo(body, hands, uniform(0, .15), uniform(.85, 1), uniform(.75, 1.33))
    hands = _lose(hands, uniform(0, 1, 2), uniform(.05, .5, 2) * chance(.4, 2))
    turn = uniform(-.2, .2)
    body = _turned(body, turn) * uniform(.85, 1.15, 1, 1, 2)
    body = body + uniform(-.15, .15, 1, 1, 2) + .08 * torch.randn(len(body), 1, len(POINTS), 2, generator=draw)
    hands = torch.cat([_turned(hands[..., :2], turn + uniform(-.25, .25)),
                       hands[..., 2:] * uniform(.5, 1.5, 1, 1, 1, 1)], dim=-1) * uniform(.8, 1.25, 1, 1, 1, 1)
    level = uniform(0, .03, 1, 1, 1)
    body = body + level * torch.randn(body.shape, generator=draw)
    present = (hands != 0).any(-1, keepdim=True)
    hands = hands + HAND_SCALE * level[..., None] * torch.randn(hands.shape, generator=draw) * present
    smooth = chance(.4)[:, None, None, None]
    return Inputs(torch.where(smooth, _smoothed(body), body), torch.where(smooth[..., None], _smoothed(hands), hands),
                  inputs.seen)


def _tempo(body: Tensor, hands: Tensor, start: Tensor, end: Tensor, bend: Tensor) -> tuple[Tensor, Tensor]:
    """From a start to an end (shares of the clip), faster at first or at last."""
    along = torch.linspace(0, 1, FRAMES) ** bend[:, None]
    at = (start[:, None] + (end - start)[:, None] * along) * (FRAMES - 1)
    low = at.long().clamp(max=FRAMES - 2)
    part, row = at - low, torch.arange(len(at))[:, None]

    def between(x: Tensor) -> Tensor:
        return torch.lerp(x[row, low], x[row, low + 1], part.reshape(*part.shape, *[1] * (x.ndim - 2)))

    return between(body), between(hands)


def _lose(hands: Tensor, place: Tensor, share: Tensor) -> Tensor:
    """Each hand held as it was during a `share` `(B, 2)` of the clip, from a `place` of chance on."""
    length = (share * FRAMES).long()
    start = (place * (FRAMES - length + 1)).long()
    frame = torch.arange(FRAMES)[:, None]
    inside = (frame >= start[:, None]) & (frame < (start + length)[:, None])
    before = torch.where(start > 0, start - 1, (start + length).clamp(max=FRAMES - 1))[:, None]
    source = torch.where(inside, before, frame)[..., None, None].expand_as(hands)
    return hands.gather(1, source)


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    return torch.einsum("bij,b...j->b...i", matrix, x)


def _smoothed(x: Tensor) -> Tensor:
    """A running mean of three frames."""
    padded = torch.cat([x[:, :1], x, x[:, -1:]], dim=1)
    return (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3


@torch.no_grad()
def recognise(network: Recognition, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """What the network says.

    Returns
    -------
    tuple of np.ndarray
        `(N, labels)` probabilities and `(N, FEATURES)` features.
    """
    logits, features = [], []
    for rows in torch.arange(len(inputs.body)).split(256):
        features.append(network.embed(inputs.rows(rows)))
        logits.append(network.out(features[-1]))
    return torch.cat(logits).softmax(-1).numpy(), torch.cat(features).double().numpy()


def save_recognition(network: Recognition, folder: Path) -> None:
    """Write the network into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / WEIGHTS) as path:
        path.write_bytes(save(network.state_dict(), {"labels": json.dumps(network.labels)}))


def load_recognition(folder: Path) -> Recognition:
    """Read a network.

    Raises
    ------
    ValueError
        If the file is not of this kind.
    OSError
        If there is none.
    """
    path = folder / WEIGHTS
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is too large for a recognition network: remove it for a new one")
    try:
        with safe_open(path, framework="pt") as file:
            network = Recognition(json.loads((file.metadata() or {})["labels"]))
            network.load_state_dict({name: file.get_tensor(name) for name in network.state_dict()})
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is not a recognition network ({error}): remove it for a new one") from error
    return network.eval().requires_grad_(False)
