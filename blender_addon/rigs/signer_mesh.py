# SPDX-License-Identifier: GPL-3.0-or-later
"""The signer's whole mesh, as arrays."""
from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from .signer_body import clothes
from .signer_hand import hand, nails
from .skin import Part, joined, mirrored

# Linear RGB and roughness.
MATERIALS: Mapping[str, tuple[tuple[float, float, float], float]] = {
    "Signer skin": ((.50, .26, .17), .55),
    "Signer palm": ((.66, .38, .28), .55),
    "Signer nail": ((.80, .52, .44), .30),
    "Signer shirt": ((.020, .036, .062), .85),
    "Signer collar": ((.013, .024, .044), .85),
    "Signer trousers": ((.028, .028, .032), .85),
    "Signer shoe": ((.012, .012, .014), .5),
}


@lru_cache(maxsize=1)
def signer_mesh() -> Part:
    """All parts, joined. The same object each time: do not change it."""
    left = [hand(), *nails()]
    return joined([*clothes(), *left, *(mirrored(part) for part in left)])
