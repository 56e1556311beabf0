"""The network computes in bfloat16 where it can, and nothing else does."""
from __future__ import annotations

from typing import Any

import pytest
import torch

from pose_diffusion.diffusion import reader
from pose_diffusion.diffusion.reader import quick

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "has_bfloat16", lambda: True)


def test_products_are_coarse_inside_and_exact_outside() -> None:
    x = torch.eye(2)
    with quick(CPU):
        assert (x @ x).dtype == torch.bfloat16
    assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize("way", ["__enter__", "__exit__"])
def test_a_ctrl_c_on_the_way_in_or_out_leaves_nothing_on(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    usual = getattr(torch.autocast, way)

    def interrupted(self: Any, *args: Any) -> None:
        if way == "__enter__":
            usual(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch.autocast, way, interrupted)
        with pytest.raises(KeyboardInterrupt), quick(CPU):
            pass
    assert not torch.is_autocast_enabled("cpu")
    assert (torch.eye(2) @ torch.eye(2)).dtype == torch.float32
