"""What a layout leaves out goes along with what it holds: the face mesh, the world landmarks, the legs.

A clip knows the face's contour, not the 350 points around it, and the body in the image, not MediaPipe's copy of it in
metres. Where a clip moved or invented the former, the latter are moved or placed here. Where nothing changed, nothing
changes, bit for bit.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pose_format import Pose

from pose_diffusion.face_mesh import NEIGHBOURS, FaceShape, blend, face_shape, place
from pose_diffusion.layout import BODY, FACE, WORLD, Layout, header_positions
from pose_diffusion.timeline import fill

INVENTED_LEGS = 0.5  # the confidence of an interpolated leg, as a share of the confidence on either side
BLOCK = 1024  # frames of a face mesh at a time
SHAPE_FRAMES = 200  # are enough for a median face


@dataclass(frozen=True, eq=False)
class Change:
    """What became of one person's layout points, and where their pose is written.

    Attributes
    ----------
    source : Pose
        As it was.
    person : int
        Whose points.
    layout : Layout
        Which points.
    found : np.ndarray
        `(K,)` int: the layout's points in the header, -1 where it lacks them.
    seen, present : np.ndarray
        `(T, K)` bool: observed in the source; there now.
    before, after : np.ndarray
        `(T, K, 3)` float32, shoulder widths: as encoded, and now.
    data, confidence, mask : np.ndarray
        `(T, P, D)`, `(T, P)`, `(T, P, D)`: the person in the new pose, with the layout's points in place. Written to.
    """

    source: Pose
    person: int
    layout: Layout
    found: np.ndarray
    seen: np.ndarray
    present: np.ndarray
    before: np.ndarray
    after: np.ndarray
    data: np.ndarray
    confidence: np.ndarray
    mask: np.ndarray

    def indices(self, component: str) -> np.ndarray:
        """Which of the layout's points are of a component and in the header."""
        return np.array([k for k, (name, _) in enumerate(self.layout.points)
                         if name == component and self.found[k] >= 0], dtype=int)

    def others(self, component: str) -> dict[str, int]:
        """The header's points of a component that the layout lacks, by name."""
        known = set(self.layout.points)
        return {name[1]: i for name, i in header_positions(self.source.header).items()
                if name[0] == component and name not in known}

    def stored(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The source's values `(T, N, D)` float64 of any points, 0 where not seen, and what was seen `(T, N)`."""
        body = self.source.body
        seen = body.confidence[:, self.person][:, points] > 0
        if (hidden := np.ma.getmask(body.data)) is not np.ma.nomask:
            seen = seen & ~hidden[:, self.person][:, points].any(-1)
        values = np.ma.getdata(body.data)[:, self.person][:, points].astype(np.float64)
        return np.where(seen[..., None], values, 0.0), seen

    def move(self, where: np.ndarray, points: np.ndarray, values: np.ndarray, start: int = 0) -> None:
        """Write `(F, N, D)` values of points from frame `start` on, where `(F, N)` says so."""
        frames, chosen = np.nonzero(where)
        self.data[frames + start, points[chosen]] = values[frames, chosen]

    def invent(self, where: np.ndarray, points: np.ndarray, values: np.ndarray, sure: np.ndarray,
               start: int = 0) -> None:
        """Write values of points that were missing, with their confidence `(F, N)`."""
        self.move(where, points, values, start)
        frames, chosen = np.nonzero(where)
        self.confidence[frames + start, points[chosen]] = sure[frames, chosen]
        self.mask[frames + start, points[chosen]] = False


def carry(change: Change) -> None:
    """Bring the points along that the layout lacks: face mesh, world landmarks, legs."""
    carry_face(change)
    carry_world(change)
    carry_legs(change)


def carry_face(change: Change) -> None:
    """Move the mesh with the contour; where the contour is new, put the clip's median mesh into it.

    Placed points take the confidence of the contour around them. A mesh that was never seen stays missing.
    """
    mesh, chosen = np.array(list(change.others(FACE).values()), dtype=int), change.indices(FACE)
    if len(mesh) == 0 or len(chosen) < NEIGHBOURS:
        return
    touched = (change.present & ~(change.seen & (change.before == change.after).all(-1)))[:, chosen].any(1)
    if not touched.any():
        return
    contour = change.found[chosen]
    mesh = mesh[change.stored(mesh)[1].any(0)]
    old, old_seen = change.stored(contour)
    old_mesh, mesh_seen = change.stored(mesh)
    whole = np.flatnonzero(old_seen.all(1) & mesh_seen.all(1))
    if len(mesh) == 0 or len(whole) == 0:
        return
    whole = whole[::-(-len(whole) // SHAPE_FRAMES)]
    shape = face_shape(old[whole], old_mesh[whole])
    for start in range(0, len(old), BLOCK):
        block = slice(start, start + BLOCK)
        if touched[block].any():
            _carry_mesh(change, shape, mesh, chosen, old[block], old_seen[block], old_mesh[block], mesh_seen[block],
                        start)


def _carry_mesh(change: Change, shape: FaceShape, mesh: np.ndarray, chosen: np.ndarray, old: np.ndarray,
                old_seen: np.ndarray, old_mesh: np.ndarray, mesh_seen: np.ndarray, start: int) -> None:
    """A block of frames of `carry_face`. `old`, `old_mesh`: contour and mesh as stored."""
    block, contour = slice(start, start + len(old)), change.found[chosen]
    new, present = change.data[block][:, contour].astype(np.float64), change.present[block][:, chosen]
    both = present & old_seen
    shift = blend(shape, np.where(both[..., None], new - old, 0.0), both)
    change.move(mesh_seen & (shift != 0).any(-1), mesh, old_mesh + shift, start)
    invented = (present & ~old_seen).any(1) & (present.sum(1) >= NEIGHBOURS)
    if (rows := np.flatnonzero(invented & ~mesh_seen.all(1))).size:
        sure = change.confidence[block][:, contour, None].astype(np.float64)
        placed, certain = np.zeros(old_mesh.shape), np.zeros(old_mesh.shape[:2])
        placed[rows] = place(shape, new[rows], present[rows])
        certain[rows] = blend(shape, sure[rows], present[rows])[..., 0]
        missing = np.zeros(mesh_seen.shape, dtype=bool)
        missing[rows] = ~mesh_seen[rows]
        change.invent(missing & (certain > 0), mesh, placed, certain, start)


def carry_world(change: Change) -> None:
    """Move MediaPipe's body in metres with the body in the image.

    pose-format stores its x and y multiplied by the image's width and height, z in metres. A world point goes from
    where it was, or where it would be between the frames in which it was seen, by as many shoulder widths as its body
    point does, times the clip's shoulder width in metres. One that was never seen takes its place from the body's
    shape. New ones take the confidence of their body point. Without world shoulders, or where no point was ever seen
    both in the world and in the image, there is no measure: all stay.
    """
    others = change.others(WORLD)
    body = np.array([k for k in change.indices(BODY) if change.layout.points[k][1] in others], dtype=int)
    if len(body) == 0:
        return
    points = np.array([others[change.layout.points[k][1]] for k in body])
    present, seen = change.present[:, body], change.seen[:, body]
    changed = present & ~(seen & (change.before == change.after)[:, body].all(-1))
    size = change.source.header.dimensions
    unit = np.array([size.width or 1, size.height or 1, 1.0])[:change.data.shape[2]]
    stored, world_seen = change.stored(points)
    metres = _shoulder_width(stored / unit, world_seen, [change.layout.points[k][1] for k in body])
    dims, both = stored.shape[2], world_seen & seen
    if not changed.any() or metres is None or not both.any():
        return
    before, after = (xyz[:, body, :dims].astype(np.float64) for xyz in (change.before, change.after))
    offset = np.median((stored / unit - metres * before)[both], axis=0)
    still = fill(stored / unit - metres * before, both)  # where a world point's own place in the body is
    still = np.where(both.any(0)[:, None], still, offset)
    moved = np.where(both[..., None], stored + (after - before) * metres * unit, (still + metres * after) * unit)
    change.move(changed & both, points, moved)
    change.invent(changed & ~world_seen, points, moved, change.confidence[:, change.found[body]])


def _shoulder_width(world: np.ndarray, seen: np.ndarray, names: list[str]) -> float | None:
    """The median distance of the world shoulders in metres, if they were ever seen."""
    if not {"LEFT_SHOULDER", "RIGHT_SHOULDER"} <= set(names):
        return None
    left, right = names.index("LEFT_SHOULDER"), names.index("RIGHT_SHOULDER")
    both = seen[:, left] & seen[:, right]
    width = float(np.median(np.linalg.norm(world[both, left] - world[both, right], axis=-1))) if both.any() else 0.0
    return width if width > 0 else None


def carry_legs(change: Change) -> None:
    """In frames whose body was lost and is there now, interpolate the legs, if they were ever seen; else they stay."""
    lost = (change.present & ~change.seen)[:, change.indices(BODY)].any(1)
    in_body = {name for component, name in change.layout.points if component == BODY}
    legs = np.array([i for component in (BODY, WORLD) for name, i in change.others(component).items()
                     if name not in in_body], dtype=int)
    if len(legs) == 0 or not lost.any():
        return
    values, seen = change.stored(legs)
    sure = np.where(seen, change.confidence[:, legs], 0.0)
    missing = lost[:, None] & ~seen & seen.any(0)
    change.invent(missing, legs, fill(values, seen), INVENTED_LEGS * fill(sure, seen))
