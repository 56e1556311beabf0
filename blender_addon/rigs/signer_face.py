# SPDX-License-Identifier: GPL-3.0-or-later
"""The signer's eyes, brows and mouth: plain shapes laid on the face, and what each face shape does to them.

Each is drawn on a front view of the face, in metres across (to the left) and up, and then laid on the head. So a shape
only says where lines go on that view. Names of shapes are ARKit's; they are a little larger than life, to be read.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .signer_head import MOUTH, jaw, on_face
from .skin import Part, mirrored, rigid, smooth

BONE = "spine.006"
EYE = np.array([.0315, 1.5865])  # the left one's middle
EYE_SIZE = np.array([.0160, .0098])
LID_OPEN = .74  # how high the upper lid's edge is, of the eye's half height
BROW = ((.0125, 1.6115), (.030, 1.6175), (.0495, 1.6095))  # inner end, middle, outer end
LIPS = .0245  # half of the mouth's width
Drawing = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def face() -> list[Part]:
    """All parts, of both sides."""
    left = [_disc("Signer eye", EYE, EYE_SIZE, .0022), _disc("Signer iris", EYE, (.0082, .0082), .0032),
            _disc("Signer pupil", EYE, (.0038, .0038), .0038),
            _disc("Signer eye", EYE + (.0025, .0032), (.0016, .0016), .0043), _lid(), _lashes(), _brow()]
    return [*left, *(mirrored(part) for part in left), _inside(), _teeth(), _lip(upper=True), _lip(upper=False)]


def _grid(columns: int, rows: int, around: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places 0 to 1 along columns and rows, `(columns, rows)` each, and quads; `around`: the rows close to a ring."""
    u, v = np.meshgrid(np.linspace(0, 1, columns), np.arange(rows) / (rows if around else rows - 1), indexing="ij")
    i, j = np.meshgrid(np.arange(columns - 1), np.arange(rows if around else rows - 1), indexing="ij")
    after = (j + 1) % rows
    quads = np.stack([i * rows + j, (i + 1) * rows + j, (i + 1) * rows + after, i * rows + after], -1)
    return u, v, quads.reshape(-1, 4)


def _drawn(material: str, columns: int, rows: int, at_rest: Drawing, shapes: Mapping[str, Drawing]) -> Part:
    """A sheet laid on the face: drawings give across, up and out for each place of a grid."""
    u, v, quads = _grid(columns, rows)
    rest = on_face(*at_rest(u, v)).reshape(-1, 3)
    ways = {name: on_face(*drawing(u, v)).reshape(-1, 3) - rest for name, drawing in shapes.items()}
    return Part(rest, quads, (material,), rigid(rest, BONE), ways)


def _disc(material: str, centre: np.ndarray, size: np.ndarray | tuple[float, float], out: float) -> Part:
    """A round plate, thickest in the middle."""
    def draw(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, z = 2 * u - 1, 2 * v - 1
        x, z = x * np.sqrt(1 - z * z / 2), z * np.sqrt(1 - x * x / 2)  # a square made round
        return centre[0] + size[0] * x, centre[1] + size[1] * z, out - .0014 * (size[0] / EYE_SIZE[0]) * (x * x + z * z)

    return _drawn(material, *((11, 11) if size[0] > .01 else (7, 7)), draw, {})


def _lid_edge(u: np.ndarray, closed: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the upper lid's edge is, from the inner to the outer corner; closed 0 to 1."""
    x = 2 * u - 1
    arc = np.sqrt(np.maximum(1 - x * x, 0))
    height = LID_OPEN * (1 - closed) - .80 * closed
    return EYE[0] + 1.08 * EYE_SIZE[0] * x, EYE[1] + EYE_SIZE[1] * (height * arc - .04)


def _lid_rim(u: np.ndarray) -> np.ndarray:
    """The height of the fold that the upper lid comes from."""
    x = 2 * u - 1
    return EYE[1] + 1.24 * EYE_SIZE[1] * np.sqrt(np.maximum(1 - x * x, 0))


def _lid() -> Part:
    def draw(closed: float) -> Drawing:
        def at(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            x, edge = _lid_edge(u, closed)
            bulge = np.sqrt(np.maximum(1 - (2 * u - 1) ** 2, 0))
            return x, edge + (_lid_rim(u) - edge) * v, .0003 + (.0062 - .0062 * v**3) * (.25 + .75 * bulge)
        return at

    return _drawn("Signer lid", 15, 6, draw(0), {"eyeBlinkLeft": draw(1)})


def _lashes() -> Part:
    """A dark line along the lid's edge, and so of the closed eye."""
    def draw(closed: float) -> Drawing:
        def at(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            x, edge = _lid_edge(u, closed)
            bulge = np.sqrt(np.maximum(1 - (2 * u - 1) ** 2, 0))
            return x, edge + .0017 * (v - .5) * (.5 + .5 * bulge), .0012 + .0062 * (.25 + .75 * bulge)
        return at

    return _drawn("Signer brow", 15, 3, draw(0), {"eyeBlinkLeft": draw(1)})


def _brow() -> Part:
    inner, middle, outer = (np.array(point) for point in BROW)

    def draw(inside: float, outside: float, together: float = 0.0) -> Drawing:
        """How far up its inner and outer halves go."""
        def at(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            curve = inner * ((1 - u) * (1 - 2 * u))[..., None] + middle * (4 * u * (1 - u))[..., None] + (
                outer * (u * (2 * u - 1))[..., None])
            thick = .0034 * np.sqrt(np.maximum(1 - (2 * u - 1) ** 4, 0)) * (1.15 - .55 * u)
            up = inside * (1 - smooth(1.25 * u)) + outside * smooth(1.25 * u)
            round_ = np.sqrt(np.maximum(1 - (2 * v - 1) ** 2, 0))
            return curve[..., 0] - together * (1 - u), curve[..., 1] + up + thick * (2 * v - 1), .0006 + .0024 * round_
        return at

    return _drawn("Signer brow", 17, 7, draw(0, 0), {
        "browInnerUp": draw(.0105, .002), "browOuterUpLeft": draw(.002, .0095),
        "browDownLeft": draw(-.0085, -.0035, .003)})


def _line(u: np.ndarray, wide: float, left: tuple[float, float],
          right: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The line between the lips from right to left, across and up; corners moved by `left` and `right`."""
    x = 2 * u - 1
    to_left, to_right = np.clip(x, 0, 1) ** 2, np.clip(-x, 0, 1) ** 2
    across = LIPS * wide * x + left[0] * to_left + right[0] * to_right
    up = MOUTH[2] + .0032 * (x * x - .4) + left[1] * to_left + right[1] * to_right
    return across, up


Mouth = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


def _mouth(gap: float = 0.0, forward: float = 0.0, *, wide: float = 1.0, left: tuple[float, float] = (0, 0),
           right: tuple[float, float] = (0, 0)) -> Mouth:
    """A form of the mouth: across, up of the upper and of the lower lip's line, and out."""
    def at(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        x, z = _line(u, wide, left, right)
        arc = np.sqrt(np.maximum(1 - (2 * u - 1) ** 2, 0))
        return x, z + .45 * gap * arc, z - .55 * gap * arc, forward * np.sqrt(arc)
    return at


REST = _mouth()
MOUTHS: Mapping[str, Mouth] = {
    "mouthFunnel": _mouth(gap=.018, forward=.008, wide=.60), "mouthPucker": _mouth(gap=.003, forward=.009, wide=.46),
    "mouthSmileLeft": _mouth(left=(.0065, .0085)), "mouthSmileRight": _mouth(right=(-.0065, .0085)),
    "mouthStretchLeft": _mouth(left=(.0095, -.0025)), "mouthStretchRight": _mouth(right=(-.0095, -.0025))}


def _of_mouth(material: str, columns: int, rows: int, around: bool,
              place: Callable[[Mouth, np.ndarray, np.ndarray], np.ndarray],
              with_jaw: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Part:
    """A part of the mouth: where it is in a form of the mouth, and how much of it goes with the jaw."""
    u, v, quads = _grid(columns, rows, around)
    rest = place(REST, u, v).reshape(-1, 3)
    ways = {name: place(mouth, u, v).reshape(-1, 3) - rest for name, mouth in MOUTHS.items()}
    corner = ((2 * u - 1) ** 6).ravel()[:, None]  # corners go half of the way, and a little inwards
    opened = jaw(rest) * with_jaw(u, v).ravel()[:, None]
    ways["jawOpen"] = opened * (1 - corner) + corner * (.42 * jaw(rest) - [.10, 0, 0] * rest)
    return Part(rest, quads, (material,), rigid(rest, BONE), ways)


def _lip(*, upper: bool) -> Part:
    """A roll along the line of the mouth, thicker in the middle; the upper one with a dip."""
    sign, thick = (1, .0046) if upper else (-1, .0056)

    def place(mouth: Mouth, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        x, above, below, out = mouth(u)
        middle = 2 * u - 1
        dip = 1 - .22 * np.exp(-(middle / .16) ** 2) if upper else 1
        full = thick * dip * np.sqrt(np.maximum(1 - middle**2, 0)) + .0004
        angle = 2 * np.pi * v
        height = (above if upper else below) + sign * full * (1 + np.cos(angle)) * .95
        return on_face(x, height, out + .0012 + .0042 * np.sin(angle) * (full / thick))

    part = _of_mouth("Signer lip", 25, 10, True, place, lambda u, v: np.full(u.shape, 0.0 if upper else 1.0))
    return part if upper else _turned(part)


def _turned(part: Part) -> Part:
    return Part(part.vertices, part.quads[:, ::-1], part.materials, part.weights, part.shapes)


def _inside() -> Part:
    """The dark of the open mouth; nothing of it is seen when it is closed."""
    def place(mouth: Mouth, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        x, above, below, out = mouth(u)
        return on_face(x, above + (below - above) * v + .0006 * (1 - 2 * v), out + .0016)

    return _turned(_of_mouth("Signer mouth", 25, 6, False, place, lambda u, v: v))


def _teeth() -> Part:
    """The upper teeth: a strip behind the upper lip that comes out from under it as the mouth opens."""
    def place(mouth: Mouth, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        x, above, below, out = mouth(.5 + .78 * (u - .5))
        return on_face(x, above - np.minimum(above - below, .002) * v + .0006, out + .0026)

    return _turned(_of_mouth("Signer teeth", 17, 3, False, place, lambda u, v: .26 * v))
