"""Points that hang on each other: each relative to its anchor, and back."""
from __future__ import annotations

import torch
from torch import Tensor

from pose_diffusion.layout import Layout


class Tree:
    """A layout's points as features, which are points relative to their anchors, and features as points.

    Parameters
    ----------
    layout : Layout
        The points.
    device : torch.device
        Where the tensors are.
    """

    def __init__(self, layout: Layout, device: torch.device):
        self.layout = layout
        self.anchors = torch.tensor([a if a >= 0 else i for i, a in enumerate(layout.anchors)], device=device)
        self.has_anchor = torch.tensor([a >= 0 for a in layout.anchors], device=device)
        self.depth = max(self._depth(i) for i in range(len(layout)))

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
