"""What cameras saw of a body: the observations of lifting."""
from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pose_diffusion.cameras import Camera

FIELD = 55.  # degrees along the longer side of a picture of which nothing else is known


@dataclass(frozen=True)
class Heatmaps:
    """Where a detector thinks points are; see `reprojection.heatmaps`. Arrays become tensors.

    Attributes
    ----------
    likelihood : Tensor ``([B,] T, 17, height, width)``
    origin : Tensor ``(2,)``
        The pixel of the middle of the first cell.
    cell : float
        Pixels from cell to cell.
    """

    likelihood: Tensor
    origin: Tensor
    cell: float

    def __post_init__(self) -> None:
        for name in ("likelihood", "origin"):
            object.__setattr__(self, name, torch.as_tensor(getattr(self, name), dtype=torch.float32))


@dataclass(frozen=True)
class View:
    """What one camera saw of a body. Arrays become tensors.

    Attributes
    ----------
    points : Tensor ``([B,] T, 17, 2)``
        Joints of `BODY` in pixels; anything, NaN too, where the confidence is 0.
    confidence : Tensor ``([B,] T, 17)``
        From 0, not seen, to 1: as what share of an observation it counts.
    spread : float or Tensor
        How far detections scatter: std in pixels, broadcast over ``([B,] T, 17)``, or covariances in square pixels,
        over ``([B,] T, 17, 2, 2)``.
    camera : Camera, optional
        If known, batch 1 or B. Where it is and looks counts relative to that of the first view.
    size : (float, float), optional
        Width and height of the picture in pixels: needed where the camera is not known.
    heatmaps : Heatmaps, optional
        Guide by these instead of by the points, which still tell where the body is.
    """

    points: Tensor
    confidence: Tensor
    spread: float | Tensor = 5.
    camera: Camera | None = None
    size: tuple[float, float] | None = None
    heatmaps: Heatmaps | None = None

    def __post_init__(self) -> None:
        for name in ("points", "confidence", "spread"):
            array = getattr(self, name)
            array = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
            if isinstance(array, Tensor):
                object.__setattr__(self, name, array.float())
        spread = self.spread
        if isinstance(spread, Tensor) and spread.shape[-2:] == (2, 2):  # of joints there are 17, never 2
            object.__setattr__(self, "spread", spread.expand(*self.points.shape[:-1], 2, 2))

    def of(self, frames: slice) -> View:
        """Some of its frames."""
        return self.at(torch.arange(self.points.shape[-3])[frames])

    def at(self, frames: Tensor) -> View:
        """Its frames in another order, ``(T,)`` int."""
        frames = frames.to(self.points.device)
        spread = self.spread
        if isinstance(spread, Tensor):
            over = spread.ndim - (2 if _is_covariance(spread) else 0)
            if over >= 2 and spread.shape[over - 2] > 1:  # of less axes, or one frame, it is the same for all
                spread = spread.index_select(over - 2, frames)
        heatmaps = self.heatmaps
        if heatmaps is not None:
            heatmaps = replace(heatmaps, likelihood=heatmaps.likelihood.index_select(-4, frames))
        return replace(self, points=self.points.index_select(-3, frames), spread=spread, heatmaps=heatmaps,
                       confidence=self.confidence.index_select(-2, frames))

    def to(self, device: torch.device | str) -> View:
        """On another device."""
        heatmaps, camera = self.heatmaps, self.camera
        if heatmaps is not None:
            heatmaps = replace(heatmaps, likelihood=heatmaps.likelihood.to(device), origin=heatmaps.origin.to(device))
        if camera is not None:
            camera = replace(camera, **{name: value.to(device) for name, value in vars(camera).items()
                                        if value is not None})
        spread = self.spread.to(device) if isinstance(self.spread, Tensor) else self.spread
        return replace(self, points=self.points.to(device), confidence=self.confidence.to(device), spread=spread,
                       heatmaps=heatmaps, camera=camera)


def _is_covariance(spread: float | Tensor) -> bool:
    return isinstance(spread, Tensor) and spread.ndim >= 4 and spread.shape[-2:] == (2, 2)


def batched(view: View) -> View:
    """The view with a batch of 1 where it has none, and with a camera, supposed where it is not known.

    Raises
    ------
    ValueError
        If neither camera nor size is known, or a covariance is none.
    """
    if view.points.ndim == 4:
        points, confidence, spread, maps = view.points, view.confidence, view.spread, view.heatmaps
    else:
        spread = view.spread
        if isinstance(spread, Tensor) and spread.ndim in (2, 4):
            spread = spread[None]
        maps = view.heatmaps
        if maps is not None:
            maps = replace(maps, likelihood=maps.likelihood[None])
        points, confidence = view.points[None], view.confidence[None]
    confidence = torch.nan_to_num(confidence).clamp(min=0)
    if isinstance(spread, Tensor) and _is_covariance(spread):
        seen = spread.expand(*confidence.shape, 2, 2)[confidence > 0]
        if not bool(((seen.diagonal(dim1=-2, dim2=-1) > 0).all(-1) & (torch.linalg.det(seen) > 0)).all()):
            raise ValueError("a covariance of a seen point is not positive definite: give one, or a std")
    return replace(view, points=points, confidence=confidence, spread=spread, heatmaps=maps,
                   camera=camera_of(view))


def camera_of(view: View) -> Camera:
    """The view's camera, supposed where it is not known."""
    if view.camera is not None:
        return view.camera
    camera = supposed_camera(view.size)
    return replace(camera, **{name: value.to(view.points) for name, value in vars(camera).items() if value is not None})


def supposed_camera(size: tuple[float, float] | None) -> Camera:
    """A camera of which only the picture's size is known: 55 degrees along its longer side.

    Raises
    ------
    ValueError
        Without a size.
    """
    if size is None or not min(size) > 0:
        raise ValueError("the camera is not known: give it, or the width and height of the picture")
    picture = torch.tensor([size], dtype=torch.float32)
    focal = picture.amax(-1, keepdim=True) / 2 / math.tan(math.radians(FIELD / 2))
    return Camera(focal.expand(-1, 2).clone(), picture / 2, torch.eye(3)[None], torch.zeros(1, 3), picture)
