"""Shared fixtures. Constructed poses are in `tests.poses`."""
from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import spoken_to_signed
from pose_format import Pose
from pose_format.utils.generic import reduce_holistic


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    """No test changes torch for those after it: neither a command that chose its number of threads (busy threads of
    several processes slow one another down a hundredfold) nor a Ctrl-C that came while torch entered or left a mode.
    """
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    yield
    if torch:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_autocast_enabled("cpu", False)
        torch.set_grad_enabled(True)


LEXICON = Path(spoken_to_signed.__file__).parent / "assets" / "fingerspelling_lexicon"


@pytest.fixture(scope="session")
def lexicon() -> Path:
    """The folder of 600 real `.pose` files (586 points) that comes with spoken-to-signed; `index.csv` lists them."""
    return LEXICON


@pytest.fixture(scope="session")
def lexicon_files(lexicon: Path) -> list[Path]:
    """Every fortieth of them, of many languages."""
    files = sorted(lexicon.glob("*/*.pose"))[::40]
    assert len(files) == 15
    return files


@pytest.fixture(scope="session")
def real_bytes(lexicon_files: list[Path]) -> bytes:
    """A real `.pose` file's content."""
    return lexicon_files[0].read_bytes()


@pytest.fixture
def real_pose(real_bytes: bytes) -> Pose:
    """A real pose of 586 points; its header is the one that pose-format shares."""
    return Pose.read(real_bytes)


@pytest.fixture
def reduced_pose(real_pose: Pose) -> Pose:
    """The same with 178 points."""
    return reduce_holistic(real_pose)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The project's data, from `POSE_DIFFUSION_DATA` or beside the checkout; a test that needs it skips without."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("POSE_DIFFUSION_DATA", default))
    if not folder.is_dir():
        pytest.skip("needs the training data: set POSE_DIFFUSION_DATA to its folder")
    return folder
