"""What is known of a clip, and how it is filled: what the network starts from.

A network that has to learn that a hand moves with its wrist, or that a track goes on smoothly, learns the signers of
its training data by heart on the way. So the filled observation is computed here, `candidates.py` gathers a handful of
classical estimates from it, and the network only chooses between them point by point and adds a residual. All of it
is torch on batches, the same code in training and use.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pose_diffusion.diffusion.gaussian import Gaussian, blank
from pose_diffusion.diffusion.interpolation import Filled, interpolate, pchip
from pose_diffusion.diffusion.tree import Tree
from pose_diffusion.diffusion.wiener import NOISE, Prior, nothing, steadied
from pose_diffusion.layout import BODY, BODY_POINTS, FACE, FACE_ANCHOR, HAND_POINTS, LEFT_HAND, RIGHT_HAND, Layout

TICK = .002  # shoulder widths that a frame counts for where nothing moves
DEVIATION = .12  # shoulder widths from the median of 7 frames beyond which a point is suspicious ...
SHAKES = 6.  # ... if that is this many times as far as usual in its clip


@dataclass(frozen=True)
class Observation:
    """What is known of a batch of clips.

    Attributes
    ----------
    xyz : Tensor
        `(B, T, K, 3)` float32, shoulder widths (metres in layout `body`), 0 where missing.
    mask : Tensor
        `(B, T, K)` bool: observed.
    exact : Tensor
        `(B, T, K)` bool: observed and not to be moved (noise level 0). Other observed points are a capture: noisy.
    seconds : Tensor
        `(B, T)` float32.
    valid : Tensor
        `(B, T)` bool: False on padding.
    axes : Tensor, optional
        `(B, T, K, 3)` bool: which coordinates of the observed points are known; without it, all. Only networks whose
        reading is plain take it.
    noise : Tensor, optional
        `(B, T, K)` or `(B, T, K, 3)`: std of observed points that are not exact, in units of `xyz`; without it, what is
        usual for the layout. Only networks whose reading is plain take it.
    """

    xyz: Tensor
    mask: Tensor
    exact: Tensor
    seconds: Tensor
    valid: Tensor
    axes: Tensor | None = None
    noise: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Observation:
        """The same function on every tensor."""
        given: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: function(value) for name, value in given.items() if value is not None})

    def to(self, device: torch.device | str) -> Observation:
        """On another device."""
        return self.map(lambda value: value.to(device))


def path(points: Tensor) -> Tensor:
    """`(B, T)`: how far `(B, T, n, 3)` points have come, on average, in the image, plus a little for every frame.

    What moves with a lost hand tells when it moved: between two handshapes the fingers change while the arm moves. On
    clean gaps of 8 frames the error is .63 of that of interpolation in time, .90 where the arm is lost as well
    (`benchmarks/gap_timing.py`).
    """
    step = (points[:, 1:, :, :2] - points[:, :-1, :, :2]).norm(dim=-1).mean(-1) + TICK
    return F.pad(step.cumsum(1), (1, 0))


def smooth(x: Tensor, window: int) -> Tensor:
    """Savitzky-Golay of order 2 over time (Savitzky and Golay 1964), on `(B, T, K, 3)`; ends are replicated."""
    half = window // 2
    t = torch.arange(-half, half + 1, dtype=torch.float64)
    basis = torch.stack([torch.ones_like(t), t, t * t], dim=1)
    return weighted(x, torch.linalg.pinv(basis)[0])


def broad(x: Tensor) -> Tensor:
    """A Hann window of 17 frames over time: for what hardly moves."""
    kernel = torch.hann_window(19, periodic=False, dtype=torch.float64)[1:-1]
    return weighted(x, kernel / kernel.sum())


def weighted(x: Tensor, kernel: Tensor) -> Tensor:
    """Weighted running mean over time of `(B, T, K, 3)`; ends are replicated."""
    window, frames = len(kernel), x.shape[1]
    half = window // 2
    padded = torch.cat([x[:, :1].expand(-1, half, -1, -1), x, x[:, -1:].expand(-1, half, -1, -1)], dim=1)
    out = float(kernel[0]) * padded[:, :frames]
    for i in range(1, window):
        out = torch.add(out, padded[:, i:i + frames], alpha=float(kernel[i]))
    return out


def median(x: Tensor, window: int) -> Tensor:
    """Running median over time on `(B, T, ...)`; ends are replicated."""
    half = window // 2
    padded = torch.cat([x[:, :1].expand(-1, half, *x.shape[2:]), x, x[:, -1:].expand(-1, half, *x.shape[2:])], dim=1)
    rows = [padded[:, i:i + x.shape[1]] for i in range(window)]
    for last in range(window, half, -1):  # bubble the largest up: faster here than torch.median over a new axis
        for i in range(last - 1):
            rows[i], rows[i + 1] = torch.minimum(rows[i], rows[i + 1]), torch.maximum(rows[i], rows[i + 1])
    return rows[half]


def sides(layout: Layout) -> tuple[list[int], list[int]]:
    """Indices of the left and of the right hand with their arm, in the same order."""
    out = []
    for side, hand in (("LEFT", "left_hand"), ("RIGHT", "right_hand")):
        arm = [layout.index(BODY, f"{side}_{point}") for point in ("ELBOW", "WRIST", "PINKY", "INDEX", "THUMB")]
        out.append([*range(layout.parts[hand].start, layout.parts[hand].stop), *arm])
    return out[0], out[1]


def held(x: Tensor, valid: Tensor) -> Tensor:
    """`(B, T, ...)` with the last valid frame of each clip repeated beyond its end."""
    last = (valid.sum(1, keepdim=True) - 1).clamp(min=0)
    index = torch.minimum(torch.arange(x.shape[1], device=x.device), last)
    return x[torch.arange(len(x), device=x.device).unsqueeze(1), index]


def usual_place(x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Where `(B, T, K, 2)` would be if it moved on as usual: the median of the 7 frames around, or, so that two or
    three wrong frames at an end are not taken for the clip, of the last 7, moved on by their median step.

    `valid` `(B, T)` is True up to a clip's end. Also gives `(B, T)`: frames from there to the middle of those 7.
    """
    last = valid.sum(1, keepdim=True) - 1
    frame = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
    centre = torch.where(last >= 6, frame.clamp(min=3).minimum(last - 3), last // 2)

    def there(values: Tensor) -> Tensor:
        return values.gather(1, centre[:, :, None, None].expand_as(values))

    step = held(F.pad(x.diff(dim=1), (0, 0, 0, 0, 1, 0)), valid)
    ahead = frame - centre
    return there(median(x, 7)) + there(median(step, 7)) * ahead[:, :, None, None], ahead.abs()


class Filler(Tree):
    """Fills observations in a layout with hands and a face. Holds only index tables and the layout's mean pose.

    Parameters
    ----------
    layout : Layout
        The points.
    mean : Tensor
        `(K, 3)` mean feature (point relative to its anchor) for what is never observed.
    hand, body : Prior, optional
        How a right hand and the body move.
    body_window, side_window : Gaussian, optional
        What the body, and a left hand with its arm, look like for a while.
    """

    def __init__(self, layout: Layout, mean: Tensor, hand: Prior | None = None, body: Prior | None = None,
                 body_window: Gaussian | None = None, side_window: Gaussian | None = None):
        super().__init__(layout, mean.device)
        self.hand, self.body = hand or nothing(len(HAND_POINTS)), body or nothing(len(BODY_POINTS))
        self.sides = sides(layout)
        self.body_window = body_window or blank(len(BODY_POINTS))
        self.side_window = side_window or blank(len(self.sides[0]))
        self.mean = mean
        self.rest = self.points(mean)
        self.hands = (layout.parts["left_hand"], layout.parts["right_hand"])
        self.wrists = tuple(layout.index(BODY, f"{side}_WRIST") for side in ("LEFT", "RIGHT"))
        self.inner = layout.parts["face"].start  # body and hands come before the face
        nose, forehead = layout.index(BODY, "NOSE"), layout.index(FACE, FACE_ANCHOR)
        left, right = (layout.index(hand, "WRIST") for hand in (LEFT_HAND, RIGHT_HAND))
        self.palms = tuple([layout.index(BODY, f"{side}_{point}") for point in ("PINKY", "INDEX", "THUMB")]
                           for side in ("LEFT", "RIGHT"))
        self.movers = [layout.index(BODY, f"{side}_{point}") for side in ("LEFT", "RIGHT")
                       for point in ("ELBOW", "WRIST", "PINKY", "INDEX", "THUMB")]
        self.borrowed = ((nose, forehead), (self.wrists[0], left), (self.wrists[1], right))

    def complete_anchors(self, obs: Observation) -> Observation:
        """Where an anchor is missing but the point on it is there (hand without body wrist), place the anchor by it."""
        xyz, mask = obs.xyz.clone(), obs.mask.clone()
        for anchor, child in self.borrowed:
            both = (obs.mask[..., anchor] & obs.mask[..., child]).unsqueeze(-1)
            offset = (xyz[..., child, :] - xyz[..., anchor, :]).unsqueeze(2)
            offset = interpolate(offset, both, obs.seconds, self.mean[child:child + 1]).features[:, :, 0]
            gain = obs.mask[..., child] & ~obs.mask[..., anchor]
            xyz[..., anchor, :] = torch.where(gain.unsqueeze(-1), xyz[..., child, :] - offset, xyz[..., anchor, :])
            mask[..., anchor] |= gain
        return replace(obs, xyz=xyz, mask=mask)

    def known(self, mask: Tensor) -> Tensor:
        """Which features are known: `(..., n)` of the first n points, each known together with its anchor."""
        n = mask.shape[-1]
        return mask & torch.where(self.has_anchor[:n], mask[..., self.anchors[:n]], True)

    def fill(self, xyz: Tensor, mask: Tensor, seconds: Tensor) -> Filled:
        """The observation, complete; takes the first n points, or all.

        Body and face are interpolated relative to their anchors, in step with what is seen of the arms. A hand is
        interpolated relative to the middle of the body's wrist, knuckles and thumb of its side, in step with these.
        """
        features, known, body = self.features(xyz), self.known(mask), self.layout.parts["body"]
        arms = interpolate(xyz[:, :, self.movers], mask[..., self.movers], seconds, self.rest[self.movers])
        pace = path(arms.features)
        parts = [interpolate(features[:, :, body], known[..., body], seconds, self.mean[body], pace)]
        for hand, wrist, palm in zip(self.hands, self.wrists, self.palms):
            parts.append(self._fill_hand(features[:, :, hand], known[..., hand], seconds, parts[0].features, wrist,
                                         palm, self.mean[hand]))
        if mask.shape[-1] > self.inner:
            face = slice(self.inner, None)
            parts.append(interpolate(features[:, :, face], known[..., face], seconds, self.mean[face], pace))
        filled = Filled(*(torch.cat([getattr(part, field.name) for part in parts], dim=2) for field in fields(Filled)))
        return replace(filled, features=self._through(filled.features, xyz, mask, known))

    def _through(self, features: Tensor, xyz: Tensor, mask: Tensor, known: Tensor) -> Tensor:
        """The same, with points where they are observed even if what they hang on is not."""
        astray = (mask & ~known).unsqueeze(-1)
        if not bool(astray.any()):
            return features
        out, n = features, features.shape[-2]
        for _ in range(self.depth):
            out = features + torch.where(self.has_anchor[:n].unsqueeze(-1), out[..., self.anchors[:n], :], 0.)
            out = torch.where(astray, xyz, out)
        return torch.where(known.unsqueeze(-1), features, self.features(out))

    def _fill_hand(self, features: Tensor, known: Tensor, seconds: Tensor, body: Tensor, wrist: int, palm: list[int],
                   mean: Tensor) -> Filled:
        offset = body[:, :, palm].sum(2) / 4  # from the body's wrist to the middle of its four points of the hand
        usual = self.mean[palm].sum(0) / 4
        first = torch.zeros(len(mean), 1, device=mean.device)
        first[0] = 1  # only the hand's own wrist is relative to the body
        four = torch.cat([body[:, :, [wrist]], body[:, :, [wrist]] + body[:, :, palm]], dim=2)
        filled = interpolate(features - first * offset.unsqueeze(2), known, seconds, mean - first * usual, path(four))
        features = torch.where(known.unsqueeze(-1), features, filled.features + first * offset.unsqueeze(2))
        return Filled(features, filled.since, filled.until)

    def untangle(self, obs: Observation) -> Observation:
        """Exchange the hands in frames in which they are clearly nearer to each other's wrist. Exact hands stay."""
        cost_same, cost_other = (self._wrist_distance(obs, hands) for hands in (self.hands, self.hands[::-1]))
        free = ~torch.cat([obs.exact[..., part] for part in self.hands], dim=-1).any(-1)
        return self.exchange(obs, free & (cost_other + .1 < cost_same))

    def _wrist_distance(self, obs: Observation, hands: tuple[slice, ...]) -> Tensor:
        """`(B, T)`: distance of the hands, given as left and right, to the body's wrists; 0 unless both wrists are
        seen: a hand is not to be moved to an arm only because its own is hidden.
        """
        total = torch.zeros_like(obs.seconds)
        for wrist, part in zip(self.wrists, hands):
            gap = (obs.xyz[..., wrist, :2] - obs.xyz[..., part.start, :2]).norm(dim=-1)
            total = total + torch.where(obs.mask[..., part.start], gap, 0.)
        return total * obs.mask[..., list(self.wrists)].all(-1)

    def exchange(self, obs: Observation, frames: Tensor) -> Observation:
        """Exchange left and right hand in the given frames `(B, T)`."""
        left, right = self.hands

        def exchanged(x: Tensor) -> Tensor:
            pick = frames.view(*frames.shape, *[1] * (x.dim() - 2))
            out = x.clone()
            out[:, :, left] = torch.where(pick, x[:, :, right], x[:, :, left])
            out[:, :, right] = torch.where(pick, x[:, :, left], x[:, :, right])
            return out

        return replace(obs, xyz=exchanged(obs.xyz), mask=exchanged(obs.mask), exact=exchanged(obs.exact))

    def stalled(self, obs: Observation) -> Tensor:
        """`(B, T, inner)` bool: hands that stand still to the last bit while their arm moves."""
        out = torch.zeros_like(obs.mask[..., :self.inner])
        for part, wrist in zip(self.hands, self.wrists):
            same = (obs.xyz[:, 1:, part] == obs.xyz[:, :-1, part]).flatten(2).all(-1)
            moved = (obs.xyz[:, 1:, wrist] != obs.xyz[:, :-1, wrist]).any(-1)
            out[..., part] = F.pad(same & moved, (1, 0)).unsqueeze(-1)
        return out & obs.mask[..., :self.inner] & ~obs.exact[..., :self.inner]

    def jumping(self, obs: Observation, features: Tensor) -> Tensor:
        """`(B, T, inner)` bool: body and hand points far from where they usually are; fingers with their wrist."""
        flat, seen = features[:, :, :self.inner, :2], obs.mask[..., :self.inner]
        place, ahead = usual_place(flat, obs.valid)
        away = (flat - place).norm(dim=-1) / (1 + ahead / 2).unsqueeze(-1)  # the further ahead, the less is certain
        jump = torch.empty_like(seen)
        for part in (self.layout.parts["body"], *self.hands):  # where all shakes, more is a jump
            usual = torch.where(seen[..., part], away[..., part], torch.nan).flatten(1).nanmedian(1).values
            jump[..., part] = away[..., part] > (SHAKES * usual.nan_to_num(0.)).clamp(min=DEVIATION)[:, None, None]
        for part in self.hands:
            jump[..., part] |= jump[..., part.start].unsqueeze(-1).clone()
        return jump & obs.mask[..., :self.inner] & ~obs.exact[..., :self.inner]

    def pchip(self, xyz: Tensor, mask: Tensor) -> Tensor:
        """Features `(B, T, n, 3)` on a shape-preserving cubic through gaps: body as it is, hands from their wrist."""
        body, base = self.layout.parts["body"], self.rest[:mask.shape[-1]]

        def through(values: Tensor, seen: Tensor, default: Tensor) -> Tensor:
            return torch.where(seen.any(1)[:, None, :, None], pchip(values, seen), default)

        parts = [through(xyz[:, :, body], mask[..., body], base[body])]
        for hand, wrist in zip(self.hands, self.wrists):
            at = parts[0][:, :, wrist:wrist + 1]
            parts.append(at + through(xyz[:, :, hand] - at, mask[..., hand], base[hand] - base[wrist]))
        return self.features(torch.cat(parts, dim=2))

    def steadied(self, features: Tensor, valid: Tensor) -> Tensor:
        """Features `(B, T, inner, 3)` without jitter, `(levels, B, T, inner, 3)`: see `wiener.py`."""
        points = self.points(features)
        out = torch.empty(len(NOISE), *points.shape, device=points.device)
        body, mirror = self.layout.parts["body"], torch.tensor([-1., 1., 1.], device=points.device)
        left, right = self.hands
        out[:, :, :, body] = steadied(points[:, :, body], self.body, valid)
        out[:, :, :, left] = steadied(points[:, :, left] * mirror, self.hand, valid) * mirror
        out[:, :, :, right] = steadied(points[:, :, right], self.hand, valid)
        return self.features(out)
