"""A sign of SignWriting as a picture, which carries its layout; drawn by the package `signwriting` with its fonts."""
from __future__ import annotations

from functools import lru_cache

import numpy as np

from pose_diffusion.notation.errors import NotationError
from pose_diffusion.notation.signwriting import one_sign
from pose_diffusion.notation.text import Text

SIDE = 64
# Pixels of the picture for one of FSW. 99.5 % of the letters of `signwriting`'s fingerspelling and two thirds of its
# dictionary's signs are drawn at this scale, a hand is then 10 to 25 pixels large; larger signs are made smaller.
SCALE = .75


@lru_cache(maxsize=1024)
def picture(text: Text) -> np.ndarray:
    """Draw a sign.

    Parameters
    ----------
    text : Text
        One sign of SignWriting, as `read_text` gives it.

    Returns
    -------
    np.ndarray
        `(64, 64)` float32 of 0 to 1, ink = 1, the sign in the middle; read-only, because it is kept. A symbol has the
        same size in every picture, but in those of signs too large for it, which are made smaller as a whole.

    Raises
    ------
    NotationError
        If the text is in another notation, or several signs.
    """
    from PIL import Image
    from signwriting.visualizer.visualize import visualize_sign

    if text.notation not in ("signwriting", "picture"):
        raise NotationError(f"a picture is of SignWriting, not of {text.notation}")
    # The box in the text may be cut too narrow, and is a user's: the one that is drawn is measured.
    drawn = visualize_sign(one_sign(text.text), trust_box=False)
    page = Image.new("RGBA", drawn.size, (255, 255, 255, 255))
    page.alpha_composite(drawn)
    ink = Image.fromarray(255 - np.asarray(page.convert("L")))
    scale = min(SCALE, SIDE / max(ink.size))
    width, height = (max(1, min(SIDE, round(scale * side))) for side in ink.size)
    small = np.asarray(ink.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    top, left = (SIDE - small.shape[0]) // 2, (SIDE - small.shape[1]) // 2
    result = np.zeros((SIDE, SIDE), np.float32)
    result[top:top + small.shape[0], left:left + small.shape[1]] = small
    result.setflags(write=False)
    return result
