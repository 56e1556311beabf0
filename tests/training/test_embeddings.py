"""A user's own text embeddings: from a file into the pack, into training, and out of the model as signing."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pose_diffusion.clip import encode
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.files import PoseFileError, write_pose
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.notation import Embedding
from pose_diffusion.training import transcribed
from pose_diffusion.training.data import Windows, load, observation
from pose_diffusion.training.loss import LossWeights
from pose_diffusion.training.module import PoseData, PoseModule
from pose_diffusion.training.pack import main, pack
from pose_diffusion.training.run import fit
from pose_diffusion.training.sources import Source
from pose_diffusion.training.transcribed import csv_sources, read_embeddings
from tests.poses import constructed_pose, lose
from tests.training.fitting import fit_batches, unobserved
from tests.training.packs import write_pack
from tests.training.test_pack import write_table

FRAMES, WIDTH, ROWS, STEPS = 8, 6, 12, 80
CONFIG = DenoiserConfig(width=32, heads=2, encoder_layers=1, decoder_layers=1, window=16, frames_per_token=2,
                        condition_width=16, text_layers=1, embedding_width=WIDTH)
VECTORS = np.random.default_rng(0).standard_normal((2, WIDTH))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 8 frames, of two people, each with a word and an embedding."""
    folder = tmp_path_factory.mktemp("own")
    for seed, name in enumerate(("house", "tree")):
        write_pose(constructed_pose(FRAMES, seed=seed), folder / f"{name}.pose")
    table = write_table(folder / "signs.csv", ["house.pose", "house", "ann"], [], ["tree.pose", "tree", "eve"],
                        columns="pose,text,source")
    np.save(folder / "signs.npy", VECTORS)
    assert main(["--csv", str(table), "--embeddings", str(folder / "signs.npy"), "--out", str(folder / "p.npz")]) == 0
    return folder / "p.npz"


def windows(packed: Path) -> Windows:
    return Windows(load(packed), np.arange(2), HOLISTIC, CONFIG.window, 10_000, seed=0)


def stacked(samples: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


def test_a_clip_gets_the_embedding_of_its_first_row(tmp_path: Path) -> None:
    for name in ("a", "b", "empty"):
        pose = constructed_pose(50 if name == "a" else 20)
        write_pose(lose(pose, slice(None), slice(None)) if name == "empty" else pose, tmp_path / f"{name}.pose")
    table = write_table(
        tmp_path / "t.csv", ["a.pose", "one", "400", "800", "ann"], ["empty.pose", "none", "", "", "ann"],
        ["b.pose", "two", "0", "400", "eve"], ["a.pose", "three", "", "", "ann"],
        ["a.pose", "one more", "400", "800", "ann"], [" ", "", "", "", ""], ["b.pose", "four", "", "", "eve"],
        columns="pose,text,start,end,source")
    values = np.arange(18, dtype=">f4").reshape(6, 3) + .0001  # big-endian, and too fine for float16
    np.save(tmp_path / "e.npy", np.asfortranarray(values))
    assert main(["--csv", str(table), "--embeddings", str(tmp_path / "e.npy"), "--out", str(tmp_path / "p.npz")]) == 0
    with np.load(tmp_path / "p.npz", allow_pickle=False) as data:
        assert data["embedding"].dtype == np.float16
        assert data["embedding_clip"].tolist() == [0, 1, 2, 3]
    found = load(tmp_path / "p.npz")
    of_word = {found.texts[clip][0].text: found.embeddings[clip].tolist() for clip in range(4)}
    assert of_word == {"one": pytest.approx([0, 1, 2], abs=1e-3), "three": pytest.approx([9, 10, 11], abs=1e-2),
                       "two": pytest.approx([6, 7, 8], abs=1e-2), "four": pytest.approx([15, 16, 17], abs=2e-2)}


def test_without_the_option_there_are_none(tmp_path: Path) -> None:
    write_pose(constructed_pose(4), tmp_path / "a.pose")
    assert main(["--csv", str(write_table(tmp_path / "t.csv", ["a.pose", "x"], columns="pose,text")),
                 "--out", str(tmp_path / "p.npz")]) == 0
    with np.load(tmp_path / "p.npz") as data:
        assert not [name for name in data.files if "embed" in name]


@pytest.mark.parametrize("rows", [1, 3])
def test_another_number_of_rows_is_refused_with_both(tmp_path: Path, rows: int,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    write_pose(constructed_pose(4), tmp_path / "a.pose")
    table = write_table(tmp_path / "t.csv", ["a.pose", "x"], ["a.pose", "y"], columns="pose,text")
    np.save(tmp_path / "e.npy", np.ones((rows, 4), np.float32))
    out = tmp_path / "p.npz"
    assert main(["--csv", str(table), "--embeddings", str(tmp_path / "e.npy"), "--out", str(out)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"pose_diffusion.training.pack: error: {table}: 2 rows below the header, but {rows} emb")
    assert not out.exists()


@pytest.mark.parametrize(("values", "problem"), [
    (np.ones(4), r"shape \(4,\)"), (np.ones((2, 2, 2)), r"shape \(2, 2, 2\)"), (np.ones((2, 0)), "."),
    (np.ones((1, 65537), np.float16), "width of at most 65536"), (np.ones((2, 4), int), "int64 of shape"),
    (np.full((2, 2), "a"), "<U1 of shape"), (np.array([[{}]], object), "not a .npy file of numbers"),
    (np.array([[1., 2], [3, np.nan]]), "row 2 has numbers that are not finite"),
    (np.array([[1e6, 1]] + [[1., 1]] * 3), "row 1 has .* beyond 65504"),
])
def test_what_are_no_embeddings_is_refused(tmp_path: Path, values: np.ndarray, problem: str) -> None:
    np.save(tmp_path / "e.npy", values, allow_pickle=True)
    with pytest.raises(PoseFileError, match=problem) as error:
        read_embeddings(tmp_path / "e.npy")
    assert str(error.value).startswith(f"{tmp_path / 'e.npy'}: ")
    assert "\n" not in str(error.value)


def test_the_row_that_is_wrong_is_named_however_far_down(tmp_path: Path) -> None:
    values = np.ones((3 * transcribed.BLOCK, 2))
    values[transcribed.BLOCK + 4, 1] = np.inf
    np.save(tmp_path / "e.npy", values)
    with pytest.raises(PoseFileError, match=f"row {transcribed.BLOCK + 5} has"):
        read_embeddings(tmp_path / "e.npy")


def test_a_file_is_not_trusted(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.ones((2, 4)))
    whole = (tmp_path / "e.npy").read_bytes()
    (tmp_path / "huge.npy").write_bytes(whole.replace(b"(2, 4)", b"(900000000, 60000)"))
    (tmp_path / "cut.npy").write_bytes(whole[:-3])
    (tmp_path / "junk.npy").write_bytes(b"\x93NUMPY" + bytes(100))
    (tmp_path / "text.npy").write_bytes(b"1,2,3\n")
    np.savez(tmp_path / "archive.npz", e=np.ones((2, 4)))
    with open(tmp_path / "large.npy", "wb") as file:
        file.truncate(transcribed.MAX_EMBEDDING_BYTES + 1)  # sparse: takes no room
    bad = [*sorted({*tmp_path.iterdir()} - {tmp_path / "e.npy"}), tmp_path / "missing.npy", tmp_path]
    for path in bad:
        with pytest.raises(PoseFileError) as error:
            read_embeddings(path)
        assert str(error.value).startswith(f"{path}: ")
    assert len(bad) == 8


def test_embeddings_need_a_table_and_have_one_width(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as error:
        main(["--data", "x", "--embeddings", "e.npy", "--out", str(tmp_path / "p.npz")])
    assert error.value.code == 2
    two = [Source(str(width), [(constructed_pose(4), ())], 1, True, np.ones((1, width), np.float16))
           for width in (3, 4)]
    with pytest.raises(ValueError, match=r"widths \[3, 4\]"):
        pack(two, tmp_path / "p.npz")


def test_in_memory_each_source_has_those_of_its_clips(tmp_path: Path) -> None:
    write_pose(constructed_pose(4), tmp_path / "a.pose")
    table = write_table(tmp_path / "t.csv", ["a.pose", "x", "ann"], ["a.pose", "y", "eve"], ["a.pose", "z", "ann"],
                        columns="pose,text,source")
    ann, eve = csv_sources(table, tmp_path, np.eye(3))
    assert ann.embeddings is not None
    assert eve.embeddings is not None
    assert ann.embeddings.tolist() == [[1, 0, 0]]  # x and z are one clip
    assert eve.embeddings.tolist() == [[0, 1, 0]]


def test_a_sample_is_told_by_embedding_or_word_or_not_at_all(packed: Path) -> None:
    samples = windows(packed)
    batch = stacked([samples[i] for i in range(200)])
    assert batch["embedding"].shape == (200, 1, WIDTH)
    embedded, worded = batch["embedded"][:, 0], (batch["ids"] > 0).any(1)
    assert not (embedded & worded).any()
    for share, expected in ((embedded, .32), (worded, .32)):
        assert share.float().mean() == pytest.approx(expected, abs=.1)  # three standard deviations
    assert (batch["embedding"][~embedded] == 0).all()
    told = {tuple(row) for row in batch["embedding"][embedded, 0].tolist()}
    assert told == {tuple(row) for row in VECTORS.astype(np.float16).astype(np.float32).tolist()}


def told_alone(samples: Windows, rows: int) -> list[dict[str, np.ndarray]]:
    """The first samples that are told by their embedding and of which nothing else is known."""
    found = (samples[i] for i in range(len(samples)))
    alone = (sample for sample in found if sample["embedded"].any() and not sample["mask"].any())
    return [next(alone) for _ in range(rows)]


@pytest.fixture(scope="module")
def trained(packed: Path) -> PoseDiffusion:
    """A network that was trained on samples of the pack of which nothing but the embedding is known."""
    rows = told_alone(windows(packed), 4 * ROWS)
    batches = [stacked(rows[i:i + ROWS]) for i in range(0, len(rows), ROWS)]
    module = PoseModule(CONFIG, LossWeights(), learning_rate=4e-3, warmup=10, weight_decay=0, condition_dropout=0)
    return fit_batches(module, batches * (STEPS // len(batches)))


def test_the_embedding_says_which_clip_is_sampled(trained: PoseDiffusion) -> None:
    truth = torch.from_numpy(np.stack([encode(constructed_pose(FRAMES, seed=seed))[0].xyz for seed in (0, 1)]))
    condition = trained.condition([Embedding(vector) for vector in VECTORS], [(0., FRAMES / 25)] * 2)
    for steps, share in ((1, .4), (4, .8)):
        *_, last = trained.sample(observation(unobserved(truth)), steps=steps, seeds=[3, 3], condition=condition)
        right, wrong = ((last.xyz - clips).norm(dim=-1).mean((1, 2)) for clips in (truth, truth.flip(0)))
        assert (right < share * wrong).all()


@pytest.mark.parametrize(("width", "problem"), [
    (0, f"width {WIDTH}, the network is for none: set --model.denoiser.embedding_width {WIDTH}"),
    (9, f"width {WIDTH}, the network is for width 9: set --model.denoiser.embedding_width {WIDTH}"),
])
def test_a_network_for_other_embeddings_is_refused(packed: Path, tmp_path: Path, width: int, problem: str) -> None:
    module = PoseModule(replace(CONFIG, embedding_width=width), LossWeights())
    with pytest.raises(ValueError, match=problem):
        fit(module, PoseData(packed, ["eve"], [], window=16), {"default_root_dir": str(tmp_path)}, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_network_for_embeddings_needs_some_unless_it_starts_from_a_model_with_them(trained: PoseDiffusion,
                                                                                     tmp_path: Path) -> None:
    data = PoseData(write_pack(tmp_path / "p.npz"), ["held"], ["test"], window=16, epoch_steps=1, batch_size=4)
    settings = {"default_root_dir": str(tmp_path), "accelerator": "cpu", "devices": 1, "max_epochs": 1,
                "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    with pytest.raises(ValueError, match="the packed file has none: pack it with --embeddings, or set .*width 0"):
        fit(PoseModule(CONFIG, LossWeights()), data, settings, tmp_path / "model")
    trained.save(tmp_path / "start")
    fit(PoseModule(CONFIG, LossWeights(), start=tmp_path / "start"), data, settings, tmp_path / "model")
    assert PoseDiffusion.from_pretrained(tmp_path / "model").denoiser.config.embedding_width == WIDTH
