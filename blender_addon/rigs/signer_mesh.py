# SPDX-License-Identifier: GPL-3.0-or-later
"""The signer's whole mesh, as arrays."""
from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from .signer_body import clothes
from .signer_face import face
from .signer_hand import hand, nails
from .signer_head import hair, head
from .skin import Part, joined, mirrored

# Linear RGB and roughness.
MATERIALS: Mapping[str, tuple[tuple[float, float, float], float]] = {
    "Signer skin": ((.50, .26, .17), .55),
    "Signer nail": ((.70, .42, .34), .35),
    "Signer lid": ((.44, .22, .145), .55),
    "Signer lip": ((.45, .14, .12), .40),
    "Signer mouth": ((.035, .006, .006), .8),
    "Signer teeth": ((.82, .80, .74), .3),
    "Signer eye": ((.88, .88, .86), .5),
    "Signer iris": ((.10, .045, .018), .7),
    "Signer pupil": ((.004, .004, .004), .7),
    "Signer brow": ((.020, .011, .007), .8),
    "Signer hair": ((.022, .012, .008), .7),
    "Signer shirt": ((.020, .036, .062), .85),
    "Signer collar": ((.013, .024, .044), .85),
    "Signer trousers": ((.028, .028, .032), .85),
    "Signer shoe": ((.012, .012, .014), .5),
}
# Where a mask of the mesh is 1, a material has another colour.
MASKED: Mapping[str, tuple[str, tuple[float, float, float]]] = {"Signer skin": ("palm", (.74, .44, .33))}


def colours(part: Part) -> np.ndarray:
    """Colours `(N, 4)` of vertices, for the masked materials; white elsewhere."""
    result = np.ones((len(part.vertices), 4))
    for material, (mask, other) in MASKED.items():
        used = np.unique(part.quads[[name == material for name in part.materials]])
        share = part.masks[mask][used, None]
        result[used, :3] = (1 - share) * np.array(MATERIALS[material][0]) + share * np.array(other)
    return result


@lru_cache(maxsize=1)
def signer_mesh() -> Part:
    """All parts, joined. The same object each time: do not change it."""
    left = [hand(), *nails()]
    return joined([*clothes(), head(), hair(), *face(), *left, *(mirrored(part) for part in left)])
