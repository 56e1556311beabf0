"""What is known of a clip, and how it is filled: what the network starts from.

A network that has to learn that a hand moves with its wrist, or that a track goes on smoothly, learns the signers of
its training data by heart on the way. So the filled observation is computed here, `candidates.py` gathers a handful of
classical estimates from it, and the network only chooses between them point by point and adds a residual. All of it
is torch on batches, the same code in training and use.
"""
from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pose_diffusion.diffusion.wiener import NOISE, Prior, nothing, steadied
from pose_diffusion.layout import BODY, BODY_POINTS, FACE, FACE_ANCHOR, HAND_POINTS, LEFT_HAND, RIGHT_HAND, Layout

TICK = .002  # shoulder widths that a frame counts for where nothing moves
DEVIATION = .12  # shoulder widths from the median of 7 frames beyond which a point is suspicious


@dataclass(frozen=True)
class Observation:
    """What is known of a batch of clips.

    Attributes
    ----------
    xyz : Tensor
        `(B, T, K, 3)` float32, shoulder widths, 0 where missing.
    mask : Tensor
        `(B, T, K)` bool: observed.
    exact : Tensor
        `(B, T, K)` bool: observed and not to be moved (noise level 0). Other observed points are a capture: noisy.
    seconds : Tensor
        `(B, T)` float32.
    valid : Tensor
        `(B, T)` bool: False on padding.
    """

    xyz: Tensor
    mask: Tensor
    exact: Tensor
    seconds: Tensor
    valid: Tensor

    def to(self, device: torch.device | str) -> Observation:
        """On another device."""
        return Observation(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True)
class Filled:
    """The filled observation.

    Attributes
    ----------
    features : Tensor
        `(B, T, K, 3)`: each point relative to its anchor; known everywhere.
    since, until : Tensor
        `(B, T, K)` seconds to the nearest observation before and after; infinite where there is none.
    """

    features: Tensor
    since: Tensor
    until: Tensor


def neighbours(mask: Tensor) -> tuple[Tensor, Tensor]:
    """`(B, T, K)` index of the last observed frame up to each frame (-1: none) and of the next from it (T: none)."""
    frames = mask.shape[1]
    index = torch.arange(frames, device=mask.device).view(1, -1, 1)
    before = torch.where(mask, index, -1).cummax(dim=1).values
    after = torch.where(mask, index, frames).flip(1).cummin(dim=1).values.flip(1)
    return before, after


def _at(values: Tensor, index: Tensor) -> Tensor:
    """Values `(B, T, K, 3)` at frame `index` `(B, T, K)`, clamped into the clip."""
    return values.gather(1, index.clamp(0, values.shape[1] - 1).unsqueeze(-1).expand(*index.shape, values.shape[-1]))


def _frame(values: Tensor, index: Tensor) -> Tensor:
    """Values `(B, T, K)` at frame `index` `(B, T, K)`, clamped into the clip."""
    return values.gather(1, index.clamp(0, values.shape[1] - 1))


def interpolate(values: Tensor, mask: Tensor, seconds: Tensor, default: Tensor,
                progress: Tensor | None = None) -> Filled:
    """Linear between observations, constant beyond the outer ones, `default` `(K, 3)` for points never observed.

    Linear in `seconds` `(B, T)`, or in `progress` `(B, T)` where that is given.
    """
    before, after = neighbours(mask)
    has_before, has_after = before >= 0, after < mask.shape[1]
    time = seconds.unsqueeze(-1)
    clamp = mask.shape[1] - 1
    since = time - seconds.unsqueeze(-1).expand_as(before).gather(1, before.clamp(0, clamp))
    until = seconds.unsqueeze(-1).expand_as(after).gather(1, after.clamp(0, clamp)) - time
    run, rest = since, until
    if progress is not None:
        ticks = progress.unsqueeze(-1).expand_as(before)
        run = progress.unsqueeze(-1) - ticks.gather(1, before.clamp(0, clamp))
        rest = ticks.gather(1, after.clamp(0, clamp)) - progress.unsqueeze(-1)
    weight = run / (run + rest).clamp(min=1e-6)
    weight = torch.where(has_before, torch.where(has_after, weight, 0.), 1.).unsqueeze(-1)
    filled = torch.lerp(_at(values, before), _at(values, after), weight)
    filled = torch.where(mask.unsqueeze(-1), values, filled)
    filled = torch.where((has_before | has_after).unsqueeze(-1), filled, default)
    infinity = torch.tensor(torch.inf, device=values.device)
    return Filled(filled, torch.where(has_before, since, infinity), torch.where(has_after, until, infinity))


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


class Filler:
    """Fills observations in a layout. Holds only index tables and the layout's mean pose.

    Parameters
    ----------
    layout : Layout
        The points.
    mean : Tensor
        `(K, 3)` mean feature (point relative to its anchor) for what is never observed.
    hand, body : Prior, optional
        How a right hand and the body move.
    """

    def __init__(self, layout: Layout, mean: Tensor, hand: Prior | None = None, body: Prior | None = None):
        self.layout = layout
        self.hand, self.body = hand or nothing(len(HAND_POINTS)), body or nothing(len(BODY_POINTS))
        self.mean = mean
        self.anchors = torch.tensor([a if a >= 0 else i for i, a in enumerate(layout.anchors)], device=mean.device)
        self.has_anchor = torch.tensor([a >= 0 for a in layout.anchors], device=mean.device)
        self.depth = max(self._depth(i) for i in range(len(layout)))
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

    def _depth(self, point: int) -> int:
        anchor = self.layout.anchors[point]
        return 0 if anchor < 0 else 1 + self._depth(anchor)

    def features(self, xyz: Tensor) -> Tensor:
        """Points `(..., K, 3)`, or the first n of them, relative to their anchors, which come before n."""
        n = xyz.shape[-2]
        return torch.where(self.has_anchor[:n].unsqueeze(-1), xyz - xyz[..., self.anchors[:n], :], xyz)

    def points(self, features: Tensor) -> Tensor:
        """The inverse of `features`: each point the sum of the features on its way to the root."""
        out, n = features, features.shape[-2]
        for _ in range(self.depth):
            out = features + torch.where(self.has_anchor[:n].unsqueeze(-1), out[..., self.anchors[:n], :], 0.)
        return out

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
        return Filled(*(torch.cat([getattr(part, field.name) for part in parts], dim=2) for field in fields(Filled)))

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
        """`(B, T)`: distance of the hands, given as left and right, to the body's wrists, where both are seen."""
        total = torch.zeros_like(obs.seconds)
        for wrist, part in zip(self.wrists, hands):
            seen = obs.mask[..., wrist] & obs.mask[..., part.start]
            gap = (obs.xyz[..., wrist, :2] - obs.xyz[..., part.start, :2]).norm(dim=-1)
            total = total + torch.where(seen, gap, 0.)
        return total

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

    def suspicious(self, obs: Observation, features: Tensor) -> Tensor:
        """`(B, T, inner)` bool: body and hand points that jump away from their median, or hands that stall."""
        flat = features[:, :, :self.inner, :2]
        jump = (flat - median(flat, 7)).norm(dim=-1) > DEVIATION
        for part, wrist in zip(self.hands, self.wrists):
            same = (obs.xyz[:, 1:, part] == obs.xyz[:, :-1, part]).flatten(2).all(-1)
            moved = (obs.xyz[:, 1:, wrist] != obs.xyz[:, :-1, wrist]).any(-1)
            stalled = F.pad(same & moved, (1, 0)) & obs.mask[..., part.start]
            jump[..., part] |= (jump[..., part.start] | stalled).unsqueeze(-1)
        return jump & obs.mask[..., :self.inner] & ~obs.exact[..., :self.inner]

    def cubic(self, xyz: Tensor, mask: Tensor, seconds: Tensor) -> Tensor:
        """Features `(B, T, n, 3)` on a cubic Hermite through gaps, in time; slopes are those of the parabola through
        an observation and its neighbours (de Boor 1978, chapter IV), or of the chord where there is none beyond.
        """
        known, frames = self.known(mask), xyz.shape[1]
        x = interpolate(self.features(xyz), known, seconds, self.mean[:mask.shape[-1]]).features
        before, after = neighbours(known)
        earlier = _frame(F.pad(before[:, :-1], (0, 0, 1, 0), value=-1), before)  # the observation before that before
        later = _frame(F.pad(after[:, 1:], (0, 0, 0, 1), value=frames), after)
        inside = (before >= 0) & (after < frames) & ~known
        length = torch.where(inside, after - before, 1).unsqueeze(-1)
        s = torch.where(inside, torch.arange(frames, device=x.device).view(1, -1, 1) - before, 0).unsqueeze(-1) / length
        left, right = _at(x, before), _at(x, after)
        chord = (right - left) / length
        back = (before - earlier).clamp(min=1).unsqueeze(-1)
        ahead = (later - after).clamp(min=1).unsqueeze(-1)
        start = (left - _at(x, earlier)) / back - chord  # how the slopes differ from the chord's, before weighting
        end = (_at(x, later) - right) / ahead - chord
        start = torch.where((earlier >= 0).unsqueeze(-1), start * length / (back + length), 0.)
        end = torch.where((later < frames).unsqueeze(-1), end * length / (ahead + length), 0.)
        bend = s * (1 - s) * length * ((1 - s) * start - s * end)
        return torch.where(inside.unsqueeze(-1), x + bend, x)

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
