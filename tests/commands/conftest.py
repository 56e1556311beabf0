"""A pose file with a lost hand, and a model that is small enough for a test to spoil."""
from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pose_format import Pose

from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.files import write_pose
from pose_diffusion.layout import RIGHT_HAND
from tests.poses import constructed_pose, lose, part


@pytest.fixture
def pose() -> Pose:
    """24 frames; the right hand is lost in 8 of them."""
    whole = constructed_pose(24)
    return lose(whole, slice(8, 16), part(whole, RIGHT_HAND))


@pytest.fixture
def source(pose: Pose, tmp_path: Path) -> Path:
    """The same as a file, alone in its folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_pose(pose, folder / "a.pose")
    return folder / "a.pose"


@pytest.fixture
def small_model(tmp_path: Path) -> Path:
    """The folder of an untrained model."""
    torch.manual_seed(0)
    network = Denoiser(DenoiserConfig(width=24, heads=2, encoder_layers=1, decoder_layers=1))
    PoseDiffusion(network).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(autouse=True)
def heeds_ctrl_c() -> Iterator[None]:
    """Ctrl-C as at a terminal, for the commands and the processes they start: a shell's background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
