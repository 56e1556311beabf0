"""Text to token ids: words and glosses, SignWriting (FSW, SWU, or as a picture) and HamNoSys; no torch."""
from __future__ import annotations

from pose_diffusion.notation.errors import NotationError
from pose_diffusion.notation.picture import picture
from pose_diffusion.notation.text import Embedding, Text, read_text, token_ids
from pose_diffusion.notation.vocabulary import LANGUAGES, MAX_TOKENS, NOTATIONS, VOCABULARY

__all__ = ["LANGUAGES", "MAX_TOKENS", "NOTATIONS", "VOCABULARY", "Embedding", "NotationError", "Text", "picture",
           "read_text", "token_ids"]
