"""A transformer layer whose positions are seconds."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def rotate(x: Tensor, times: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021) on seconds, for `(B, heads, N, D)`: periods from .1 to 100 seconds."""
    half = x.shape[-1] // 2
    frequency = 2 * torch.pi / (.1 * 1000 ** (torch.arange(half, device=x.device) / max(half - 1, 1)))
    angle = (times[:, None, :, None] * frequency)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Block(nn.Module):
    """A pre-norm transformer layer; `modulation` `(B, 6, width)` is adaLN-zero (Peebles and Xie 2023), or None."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def attend(self, x: Tensor, times: Tensor, keep: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(rotate(q, times), rotate(k, times), v, attn_mask=keep[:, None, None, :])
        return self.out(y.transpose(1, 2).reshape(batch, length, width))

    def forward(self, x: Tensor, times: Tensor, keep: Tensor, modulation: Tensor | None = None) -> Tensor:
        if modulation is None:
            x = x + self.attend(self.norm1(x), times, keep)
            return x + self.down(self.dropout(F.gelu(self.up(self.norm2(x)))))
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.unsqueeze(2).unbind(1)
        x = x + gate1 * self.attend(self.norm1(x) * (1 + scale1) + shift1, times, keep)
        return x + gate2 * self.down(self.dropout(F.gelu(self.up(self.norm2(x) * (1 + scale2) + shift2))))
