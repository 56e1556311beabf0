"""Views as users give them."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pose_diffusion.tasks.views import Heatmaps, View, batched


def test_arrays_are_taken_too() -> None:
    arrays: dict[str, Any] = {"points": np.zeros((4, 17, 2)), "confidence": np.ones((4, 17)),
                              "spread": np.full((4, 17), 2.)}
    view = View(**arrays, size=(640, 480))
    assert all(isinstance(value, torch.Tensor) and value.dtype == torch.float32
               for value in (view.points, view.confidence, view.spread))
    assert batched(view).points.shape == (1, 4, 17, 2)
    maps: dict[str, Any] = {"likelihood": np.ones((4, 17, 5, 6)), "origin": np.zeros(2)}
    heat = Heatmaps(**maps, cell=4.)
    assert (heat.likelihood.dtype, heat.origin.dtype) == (torch.float32, torch.float32)


def test_covariances_of_joints_hold_for_all_frames() -> None:
    view = View(torch.zeros(4, 17, 2), torch.ones(4, 17), 9 * torch.eye(2).expand(17, 2, 2), size=(640, 480))
    assert isinstance(view.spread, torch.Tensor)
    assert view.spread.shape == (4, 17, 2, 2)
    assert view.of(slice(1, 3)).spread.shape == (2, 17, 2, 2)  # type: ignore[union-attr]
    assert batched(view).spread.shape == (1, 4, 17, 2, 2)  # type: ignore[union-attr]


def test_a_covariance_has_to_be_one_where_something_is_seen() -> None:
    confidence = torch.ones(4, 17)
    broken = 9 * torch.eye(2).repeat(4, 17, 1, 1)
    broken[2, 3] = torch.tensor([[1., 2.], [2., 1.]])
    with pytest.raises(ValueError, match="not positive definite"):
        batched(View(torch.zeros(4, 17, 2), confidence, broken, size=(640, 480)))
    confidence[2, 3] = 0
    batched(View(torch.zeros(4, 17, 2), confidence, broken, size=(640, 480)))
