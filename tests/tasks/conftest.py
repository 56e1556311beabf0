from __future__ import annotations

import pytest

from pose_diffusion.diffusion.model import PoseDiffusion
from tests.models import random_model


@pytest.fixture(scope="module")
def model() -> PoseDiffusion:
    return random_model()
