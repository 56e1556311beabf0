"""What a text tells of each frame: where in its sign it is, and how that is usually made.

Attention alone hardly learns it in the thousands of steps that a small machine has. So a frame is told by its token how
far its sign has come, and a small network gives the usual pose of that moment outright: of the mean of all signers, in
features. The denoiser trusts it point by point where nothing was observed.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from pose_diffusion.diffusion.condition import MOMENTS, Condition, moments

LOUD = 100.  # what a token is told of its sign, beside tokens of the observation that have grown to a norm of 260
DOUBT = 2.  # the usual pose has a share of 1 / (1 + e^2) before anything is learnt


class Telling(nn.Module):
    """The usual pose of a moment of a sign, and a token of it.

    Parameters
    ----------
    condition_width, width : int
        Of the condition's tokens and of the denoiser's.
    points : int
        Of the layout.
    frames : int
        Of a token.
    """

    def __init__(self, condition_width: int, width: int, points: int, frames: int):
        super().__init__()
        self.points, self.frames = points, frames
        self.moment = nn.Sequential(nn.Linear(condition_width + MOMENTS, 2 * width), nn.GELU())
        self.token = nn.Linear(2 * width, width)
        self.pose = nn.Linear(2 * width, frames * 3 * points)
        self.trust = nn.Linear(width, frames * points)

    def forward(self, condition: Condition, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the tokens of a window.

        Parameters
        ----------
        condition : Condition
            With spans.
        times : Tensor
            `(B, N)` seconds in the clip of each token's first frame.

        Returns
        -------
        tuple of Tensor
            `(B, N, width)` to add to the tokens; `(B, T, K, 3)` the usual pose, in standard deviations of the features
            from their mean; `(B, N)` bool: whether a sign is being made.
        """
        told, making = moments(condition, times)
        hidden = self.moment(told)
        usual = self.pose(hidden).float().view(len(times), -1, self.points, 3)
        return LOUD * self.token(hidden) * making.unsqueeze(-1), usual, making

    def share(self, x: Tensor, making: Tensor) -> Tensor:
        """`(B, T, K, 1)`: how far the usual pose is trusted, from the encoder's output `(B, N, width)`."""
        share = torch.sigmoid(self.trust(x).float() - DOUBT).view(len(x), -1, self.points, 1)
        return share * making.repeat_interleave(self.frames, 1)[..., None, None]
