"""The model of the body in the package: it loads, it is small, and what it makes are bodies."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_diffusion.diffusion.model import Estimate, PoseDiffusion
from pose_diffusion.layout import BODY_17
from pose_diffusion.motion.skeletons import BODY, adult_lengths
from pose_diffusion.tasks.lift import SHIPPED
from tests.evaluation.lift_people import body
from tests.models import observe

MAX_BYTES = 15 * 2**20


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return PoseDiffusion.from_pretrained(SHIPPED)


def last(model: PoseDiffusion, xyz: Tensor, axes: Tensor, **options: object) -> Estimate:
    """A sample of what is known of points `(B, T, 17, 3)`, in the frame of the body's ray."""
    mask = axes.any(-1)
    known = replace(observe(torch.where(axes, xyz, 0.), mask), axes=axes, noise=torch.full(mask.shape, .01))
    *_, estimate = model.sample(known, **options)  # type: ignore[arg-type]
    return estimate


def test_it_is_small_and_of_this_layout(model: PoseDiffusion) -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < MAX_BYTES
    assert (SHIPPED / "MODEL_CARD.md").is_file()
    assert model.layout is BODY_17
    assert model.denoiser.config.reading == "plain"


@pytest.mark.parametrize("frames", [1, 32])
def test_from_nothing_it_makes_bodies(model: PoseDiffusion, frames: int) -> None:
    """Upright ones, with the bones of adults: on average, as each sample is rough."""
    shape = (16, frames, len(BODY), 3)
    bodies = last(model, torch.zeros(shape), torch.zeros(shape, dtype=torch.bool), steps=12, seeds=range(16)).xyz
    lengths = BODY.lengths(bodies.numpy()).mean((0, 1))
    ratio = lengths / adult_lengths()
    assert ((ratio > .7) & (ratio < 1.5)).all(), dict(zip(BODY.joints[1:], ratio))
    up = bodies[..., BODY.index("head_top"), 1]
    assert float((up < -.4).float().mean()) > .9
    assert float(bodies[:, 0, BODY.index("left_wrist")].std(0).norm()) > .1  # no two alike


def test_it_lifts_who_stands_before_a_camera(model: PoseDiffusion) -> None:
    """One whom it has never seen, from x and y alone: nearer than a flat body, and x and y are kept."""
    truth = torch.from_numpy(body(8).astype(np.float32))[None]
    truth = truth - truth[:, :, :1]
    axes = torch.ones_like(truth, dtype=torch.bool)
    axes[..., 2] = False
    mean = last(model, truth, axes)
    assert float((mean.xyz - truth)[..., :2].abs().mean()) < .03
    assert float((mean.xyz - truth).norm(dim=-1).mean()) < .12
    assert .01 < float(mean.error[:, :, 1:].mean()) < .2
