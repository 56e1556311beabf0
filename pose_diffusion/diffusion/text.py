"""The text encoder: token ids, a picture of SignWriting or a user's own embedding -> a few tokens, and a length.

Trained from scratch with the rest of the network. However long a text is, it becomes `SUMMARY` tokens: a few more for
the denoiser to attend to, whose windows have eight. The length of a sign is a normal distribution of ln(seconds), told
from the first of them.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose_diffusion.diffusion.block import Block
from pose_diffusion.notation import MAX_TOKENS, VOCABULARY, Embedding, Text, picture, token_ids

SUMMARY = 4  # tokens that a text becomes
HEADS = 2
PATCHES = 16  # of a picture, after four halvings of its 64 pixels
USUAL = .3  # ln of the seconds of a usual sign, where the length starts from
LEAST_STD = .03  # of ln(seconds)


@dataclass(frozen=True)
class TextBatch:
    """Texts of a batch, as the encoder reads them.

    Attributes
    ----------
    ids : Tensor
        `(B, L)` int64 token ids, 0 for padding; a row of zeros has no text.
    picture : Tensor
        `(B, 64, 64)` float32, ink = 1; all zeros where there is none.
    embedding : Tensor
        `(B, N, E)` float32, a user's own; N may be 0.
    embedded : Tensor
        `(B, N)` bool: which of them there are.
    """

    ids: Tensor
    picture: Tensor
    embedding: Tensor
    embedded: Tensor

    def to(self, device: torch.device | str) -> TextBatch:
        """On another device."""
        return TextBatch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    @property
    def given(self) -> Tensor:
        """`(B,)` bool: which samples have a text."""
        return (self.ids > 0).any(-1) | self.embedded.any(-1)


class TextEncoder(nn.Module):
    """Summarises a text.

    Parameters
    ----------
    width : int
        Of its tokens.
    layers : int
        Of its transformer.
    embedding_width : int
        E of the embeddings it is to understand; 0 for none.
    """

    def __init__(self, width: int, layers: int, embedding_width: int = 0):
        super().__init__()
        self.summary = nn.Parameter(.02 * torch.randn(SUMMARY, width))
        self.tokens = nn.Embedding(VOCABULARY, width, padding_idx=0)
        self.position = nn.Parameter(.02 * torch.randn(MAX_TOKENS, width))
        sizes = (1, 32, width, width, width)
        self.vision = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(sizes, sizes[1:]))
        self.patch = nn.Parameter(.02 * torch.randn(PATCHES, width))
        self.project = nn.Linear(embedding_width, width) if embedding_width else None
        self.blocks = nn.ModuleList(Block(width, HEADS, 0.) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.length = nn.Linear(width, 2)
        for block in self.blocks:  # a denoiser's layers start closed; here nothing else carries the text
            assert isinstance(block, Block)
            nn.init.normal_(block.out.weight, std=.02)
            nn.init.normal_(block.down.weight, std=.02)
        nn.init.normal_(self.tokens.weight, std=.5)

    def forward(self, batch: TextBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Read texts.

        Returns
        -------
        tuple of Tensor
            `(B, SUMMARY, width)` tokens; `(B,)` mean and `(B,)` std of ln(seconds).
        """
        size, longest = batch.ids.shape
        parts = [self.summary.expand(size, -1, -1), self.tokens(batch.ids) + self.position[:longest],
                 self._see(batch.picture)]
        drawn = (batch.picture > 0).flatten(1).any(-1)
        keep = [torch.ones(size, SUMMARY, dtype=torch.bool, device=drawn.device), batch.ids > 0,
                drawn[:, None].expand(-1, PATCHES)]
        if self.project is not None:
            parts.append(self.project(batch.embedding))
            keep.append(batch.embedded)
        x, seen = torch.cat(parts, dim=1), torch.cat(keep, dim=1)
        times = torch.zeros(seen.shape, device=x.device)  # the order is in the position, not in time
        for block in self.blocks:
            x = block(x, times, seen)
        x = self.norm(x[:, :SUMMARY])
        mean, spread = self.length(x[:, 0]).float().unbind(-1)
        return x, mean + USUAL, F.softplus(spread - 1) + LEAST_STD

    def _see(self, picture: Tensor) -> Tensor:
        """`(B, 64, 64)` -> `(B, PATCHES, width)`."""
        x = picture.unsqueeze(1)
        for i, layer in enumerate(self.vision):
            x = layer(x) if i == 0 else layer(F.gelu(x))
        return x.flatten(2).transpose(1, 2) + self.patch


def read(texts: Sequence[Text | Embedding | None], embedding_width: int) -> TextBatch:
    """Texts as a batch.

    Parameters
    ----------
    texts : sequence of Text, Embedding or None
        Of each sample.
    embedding_width : int
        The width of embeddings that the encoder understands.

    Raises
    ------
    ValueError
        For an embedding of another width.
    """
    ids = [token_ids(text) if isinstance(text, Text) else np.zeros(0, np.int64) for text in texts]
    embeddings = [text.values if isinstance(text, Embedding) else np.zeros((0, embedding_width)) for text in texts]
    for found in embeddings:
        if found.shape[1] != embedding_width:
            trained = f"was trained with embeddings of width {embedding_width}" if embedding_width else "has none"
            raise ValueError(f"an embedding of width {found.shape[1]}, but this model {trained}: train one with "
                             f"train_pose_diffusion --model.denoiser.embedding_width {found.shape[1]}")
    longest, most = (max((len(one) for one in many), default=0) for many in (ids, embeddings))
    batch = TextBatch(torch.zeros(len(ids), max(1, longest), dtype=torch.int64), torch.zeros(len(ids), 64, 64),
                      torch.zeros(len(ids), max(1, most), embedding_width),
                      torch.zeros(len(ids), max(1, most), dtype=torch.bool))
    for i, text in enumerate(texts):
        batch.ids[i, :len(ids[i])] = torch.from_numpy(ids[i])
        batch.embedding[i, :len(embeddings[i])] = torch.tensor(np.asarray(embeddings[i], np.float32))
        batch.embedded[i, :len(embeddings[i])] = True
        if isinstance(text, Text) and text.notation == "picture":
            batch.picture[i] = torch.tensor(picture(text))
    return batch
