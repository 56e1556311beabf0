"""The packed training file: archives, the lexicon and a user's own poses, each with what is signed in it."""
from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_format import Pose
from scipy.spatial.transform import Rotation

from pose_diffusion import files
from pose_diffusion.files import PoseFileError, write_pose
from pose_diffusion.layout import HOLISTIC
from pose_diffusion.training import transcribed
from pose_diffusion.training.pack import main, pack
from pose_diffusion.training.sources import (
    Source,
    archive,
    archives,
    flexion,
    hands_archive,
    letter_signs,
    lexicon_sources,
    lexicon_texts,
    words,
)
from pose_diffusion.training.transcribed import csv_sources, read_rows
from tests.poses import constructed_pose, lose

FSW = "M507x507S1f720487x492"  # the letter A of `ase`
SWU = "𝠃𝤛𝤬񂇈𝤉𝣮"  # one hand, as Unicode has it
RIGHT, LEFT, BODY, FACE = (HOLISTIC.parts[name] for name in ("right_hand", "left_hand", "body", "face"))


def bent_hand(frames: int = 6) -> np.ndarray:
    """A right hand, palm to the camera, fingers half bent towards it: `(T, 21, 3)`, sides of the image as 1."""
    hand = np.zeros((21, 3))
    for finger, x in enumerate((.06, .03, 0, -.03, -.05)):  # so its thumb is on the image's right
        for joint, (y, z) in enumerate(((-.1, 0), (-.14, -.01), (-.16, -.03), (-.165, -.05))):
            hand[1 + 4 * finger + joint] = x, y, z
    sway = np.linspace(0, .05, frames)[:, None, None] * [1, 0, 0]
    return (hand + [.4, .6, 0]) + sway


def write_archive(path: Path, xyz: np.ndarray, lens: list[int], labels: list[str], **more: object) -> Path:
    """An archive as the project's data has them; `xyz` in fractions of the image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contents: Any = {"xyz": np.round(xyz * 8192).astype(np.int16), "lens": np.array(lens, np.int32),
                     "labels": np.array(labels), "scale": np.array(8192), **more}
    np.savez(path, **contents)
    return path


def sign_archive(folder: Path, labels: list[str], language: str = "ase?") -> Path:
    """Clips of 5 frames of a person whose left hand is missing."""
    frames = 5 * len(labels)
    xyz = np.random.default_rng(0).uniform(.3, .7, (frames, 75, 3))
    xyz[:, 33:54] = 0
    return write_archive(folder / "sign/train/ann.npz", xyz, [5] * len(labels), labels, aspect=np.array(1.25),
                         vis=np.full((frames, 33), 255, np.uint8), language=np.array(language))


def write_table(path: Path, *rows: list[str], columns: str = "pose,text,language,start,end") -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns.split(","), *rows])
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with `a.pose` (50 frames at 25 per second) and `more/b.pose` (30 frames at 12.5)."""
    folder = tmp_path / "poses"
    (folder / "more").mkdir(parents=True)
    write_pose(constructed_pose(50, seed=1), folder / "a.pose")
    write_pose(constructed_pose(30, seed=2, fps=12.5), folder / "more/b.pose")
    return folder


def texts_of(path: Path) -> list[tuple[int, str, str]]:
    with np.load(path, allow_pickle=False) as data:
        return list(zip(data["text_clip"].tolist(), data["text"].tolist(), data["language"].tolist()))


@pytest.mark.parametrize(("label", "text"), [
    ("iloveyou", "i love you"), ("i_love_you", "i love you"), ("Thankyou", "thank you"), ("thank-you", "thank you"),
    ("thanks", "thanks"), ("How are you", "how are you"), ("Let's go", "let's go"), ("seeyoulater", "see you later"),
    ("IDLE", ""), ("-", ""), ("space", ""), ("A", "a"), ("A\u0308", "ä"),
])
def test_labels_become_words_of_one_spelling(label: str, text: str) -> None:
    assert words(label) == text


@settings(deadline=None)
@given(st.text(max_size=30))
def test_words_are_their_own_spelling(label: str) -> None:
    assert words(words(label)) == words(label)


def test_an_archive_gives_its_clips_with_their_labels(tmp_path: Path) -> None:
    source = archive(sign_archive(tmp_path, ["iloveyou", "IDLE"]))
    clips = list(source.clips)
    assert (source.name, source.number, source.timed) == ("ann", 2, False)
    assert [texts for _, texts in clips] == [(("i love you", "ase"),), ()]
    pose = clips[1][0]
    assert pose.body.data.shape == (5, 1, len(HOLISTIC), 3)
    assert pose.header.dimensions.width == 1250
    assert (pose.body.confidence[:, 0, RIGHT] == 1).all()
    assert (pose.body.confidence[:, 0, LEFT] == 0).all()
    with np.load(tmp_path / "sign/train/ann.npz") as data:
        expected = data["xyz"][5:, :25].astype(np.float32) / 8192 * [1250, 1000, 1]
    assert pose.body.data[:, 0, BODY].filled(0) == pytest.approx(expected, abs=1e-3)


@settings(deadline=None)
@given(angles=st.tuples(*[st.floats(-np.pi, np.pi)] * 3), size=st.floats(.01, 100))
def test_flexion_tells_right_from_left_whatever_way_the_palm_faces(angles: tuple[float, ...], size: float) -> None:
    hand = bent_hand(1) * size
    turned = Rotation.from_euler("xyz", angles).apply(hand[0])[None]
    assert flexion(turned) == pytest.approx(flexion(hand), abs=1e-6)
    assert flexion(turned * [-1, 1, 1]) == pytest.approx(-flexion(hand), abs=1e-6)
    assert flexion(hand)[0] > .1


@pytest.mark.parametrize(("rows", "sign"), [(slice(54, 75), 1), (slice(33, 54), -1)])
def test_flexion_agrees_with_mediapipe_on_real_hands(data_folder: Path, rows: slice, sign: int) -> None:
    with np.load(data_folder / "sign/train/surtecha__SignLangNET.npz") as data:
        hands = data["xyz"][:, rows].astype(float) * [data["aspect"], 1, data["aspect"]]
    seen = (hands != 0).any((1, 2))
    assert (sign * flexion(hands[seen]) > 0).mean() > .95


def test_hands_are_packed_as_right_hands_without_a_body(tmp_path: Path) -> None:
    right = bent_hand()
    left = right * [-1, 1, 1] + [1, 0, 0]
    gap = right.copy()
    gap[2] = 0
    path = write_archive(tmp_path / "princeo741__ViTA.npz", np.concatenate([right, left, gap])[:, None], [6, 6, 6],
                         ["A", "b", "space"])
    source = hands_archive(path)
    clips = list(source.clips)
    assert source.name == "hands-princeo741__ViTA"
    assert [texts for _, texts in clips] == [(("a", "ase"),), (("b", "ase"),), ()]
    for pose, _ in clips:
        assert (pose.body.confidence[:, 0, [*range(BODY.start, LEFT.stop), *range(FACE.start, FACE.stop)]] == 0).all()
        assert pose.header.dimensions.width == pytest.approx(pose.header.dimensions.height * 4 / 3, abs=1)
    first, mirrored, lost = (pose.body.data[:, 0, RIGHT].filled(0) for pose, _ in clips)
    assert mirrored == pytest.approx(first, abs=.5)  # pixels; the archive has 8192 steps
    assert (clips[2][0].body.confidence[2] == 0).all()
    assert (lost[2] == 0).all()
    assert lost[3] == pytest.approx(first[3], abs=1e-3)


def test_of_two_hands_the_second_is_packed_and_a_repeated_clip_once(tmp_path: Path) -> None:
    hand = bent_hand()
    both = np.stack([hand + [.1, .1, 0], hand], axis=1)
    path = write_archive(tmp_path / "two.npz", np.concatenate([both, both, both[::-1]]), [6, 6, 6], ["a", "a", "c"])
    clips = list(hands_archive(path).clips)
    assert [texts for _, texts in clips] == [(("a", "und"),), (("c", "und"),)]
    assert clips[0][0].body.data[0, 0, RIGHT].filled(0)[0, :2] == pytest.approx(hand[0, 0, :2] * [1333, 1000], abs=.5)


def test_real_hands_have_the_size_of_hands_of_people(data_folder: Path, tmp_path: Path) -> None:
    pack([hands_archive(data_folder / "hands/SidrahRashid__sign-language-detection.npz")], tmp_path / "pack.npz")
    with np.load(tmp_path / "pack.npz") as data:
        hands = data["xyz"][data["confidence"][:, RIGHT.start] > 0][:, RIGHT].astype(np.float32)
        assert set(data["text"]) == {"hello", "i love you", "please", "thanks"}
    palm = np.median(np.linalg.norm(hands[:, 9] - hands[:, 0], axis=-1))
    assert .25 < palm < .37  # shoulder widths; 0.23 to 0.36 in the archives of signs


def test_letters_have_all_their_signwriting_where_there_is_some() -> None:
    assert FSW in letter_signs("a", "ase")
    assert len(letter_signs("k", "ase")) == 2
    assert letter_signs("ä", "sgg")  # written in two code points there
    assert letter_signs("a", "asq") == letter_signs("ch", "ssp") == []


def test_every_file_of_the_lexicon_has_a_letter_and_texts_that_can_be_read(lexicon: Path) -> None:
    from pose_diffusion.notation import read_text

    texts = lexicon_texts(lexicon)
    assert set(texts) == {path.relative_to(lexicon).as_posix() for path in lexicon.glob("*/*.pose")}
    kinds = {name: [read_text(pair[0], language=pair[1]).notation for pair in pairs] for name, pairs in texts.items()}
    assert all(notations[0] == "words" for notations in kinds.values())
    written = {name.split("/")[0] for name, notations in kinds.items() if "signwriting" in notations}
    assert written == {"ase", "bzs", "gsg", "gss", "ise", "mfs", "psr", "sgg", "ssp", "swl"}
    assert {language for name in texts if name.startswith("ase/") for _, language in texts[name]} == {"ase", "fsl"}


def test_the_lexicon_s_clips_have_the_texts_of_their_file_also_when_read_after_all_sources(lexicon: Path) -> None:
    texts = lexicon_texts(lexicon)
    for source in list(lexicon_sources(lexicon)):
        first = next(iter(source.clips))[1]
        language = source.name.removeprefix("lexicon-")
        assert first == texts[sorted(name for name in texts if name.startswith(f"{language}/"))[0]]


def test_confidence_beyond_one_is_packed_as_certain(tmp_path: Path) -> None:
    pose = constructed_pose(4)
    pose.body.confidence[:] = [[[.5]], [[1]], [[1.02]], [[7]]]
    pack([Source("ann", [(pose, ())], 1, True)], tmp_path / "pack.npz")
    with np.load(tmp_path / "pack.npz") as data:
        assert data["confidence"].min(1).tolist() == data["confidence"].max(1).tolist() == [128, 255, 255, 255]
        assert data["text"].tolist() == []


def test_a_folder_without_archives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sign/train"):
        archives(tmp_path)


def test_texts_stay_with_their_clip_when_a_failed_one_is_left_out(tmp_path: Path) -> None:
    path = sign_archive(tmp_path, ["one", "two", "three"])
    with np.load(path) as data:
        contents = dict(data)
    contents["xyz"][5, 11:13] = [[4000, 4000, 0], [4040, 4000, 0]]  # two: shoulders like a point, all far from them
    contents["xyz"][6:10, 11:13] = contents["xyz"][5, 11:13]
    np.savez(path, **contents)
    assert pack([archive(path)], tmp_path / "pack.npz") == 1
    assert texts_of(tmp_path / "pack.npz") == [(0, "one", "ase"), (1, "three", "ase")]


def test_own_poses_are_packed_from_start_to_end_with_all_their_texts(tmp_path: Path, own: Path) -> None:
    table = write_table(tmp_path / "signs.csv", ["a.pose", "House_Big", "ase", "400", "1200", "eve", "train"],
                        ["a.pose", FSW, "ase", "400", "1200", "eve", "dev"],
                        ["a.pose", "House_Big", "ase", "400", "1200", "eve", "test"],
                        ["more/b.pose", SWU, "gsg", "0", "0", "", "train"], ["a.pose", "all", "", "", "", "eve", ""],
                        columns="pose,text,videoLanguage,start,end,source,split")
    assert main(["--csv", str(table), "--poses", str(own), "--out", str(tmp_path / "new/pack.npz")]) == 0
    with np.load(tmp_path / "new/pack.npz", allow_pickle=False) as data:
        assert data["sources"].tolist() == ["eve", "signs"]
        assert data["source"].tolist() == [0, 0, 1]
        assert data["lens"].tolist() == [20, 50, 30]
        assert data["fps"].tolist() == [25, 25, 12.5]
        assert (data["confidence"][:20, RIGHT] > 0).all()
    texts = texts_of(tmp_path / "new/pack.npz")
    assert texts[:3] == [(0, "house big", "ase"), (0, FSW, "ase"), (1, "all", "und")]
    assert texts[3][0] == 2
    assert texts[3][1].isascii()
    assert texts[3][2] == "gsg"


def test_what_is_packed_is_read_by_training(tmp_path: Path, own: Path) -> None:
    from pose_diffusion.training.data import load

    table = write_table(own / "signs.csv", ["a.pose", "house", "ase", "0", "0"], ["a.pose", FSW, "ase", "0", "0"])
    assert main(["--csv", str(table), "--out", str(tmp_path / "pack.npz")]) == 0
    data = load(tmp_path / "pack.npz")
    assert [(text.text, text.notation) for text in data.texts[0]] == [("house", "words"), (FSW, "signwriting")]
    assert data.clip(0)[0].shape == (50, len(HOLISTIC), 3)


@settings(deadline=None)
@given(start=st.integers(0, 1990), length=st.integers(1, 5000))
def test_a_span_covers_the_frames_that_it_touches(start: int, length: int) -> None:
    pose = constructed_pose(50)
    row = transcribed.Row(2, Path("a.pose"), start, start + length, "x", "und", "s")
    times = np.arange(50) * 40  # milliseconds at which each frame begins
    touched = (times + 40 > start) & (times < start + length)
    cut = transcribed._cut(Path("t.csv"), pose, row)
    assert np.array_equal(cut.body.data, pose.body.data[touched])
    assert cut.header is pose.header


def test_a_pose_is_read_once_for_the_spans_that_follow_each_other(tmp_path: Path, own: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = files.read_pose

    def counted(path: Path) -> Pose:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(transcribed, "read_pose", counted)
    table = write_table(tmp_path / "t.csv", *[["a.pose", "x", "ase", str(i * 200), str(i * 200 + 400)]
                                              for i in range(5)], ["more/b.pose", "x", "ase", "0", "0"])
    assert len([clip for source in csv_sources(table, own) for clip in source.clips]) == 6
    assert read == ["a.pose", "b.pose"]


@pytest.mark.parametrize(("row", "problem"), [
    (["/etc/passwd", "x", "ase", "0", "0"], "leads out of the folder"),
    (["../secret.pose", "x", "ase", "0", "0"], "leads out of the folder"),
    (["more/../../secret.pose", "x", "ase", "0", "0"], "leads out of the folder"),
    (["link.pose", "x", "ase", "0", "0"], "is a link out of the folder"),
    (["linked/secret.pose", "x", "ase", "0", "0"], "is a link out of the folder"),
    (["loop.pose", "x", "ase", "0", "0"], "loop.pose"),
    (["more", "x", "ase", "0", "0"], "no such file"),
    (["none.pose", "x", "ase", "0", "0"], "no such file"),
    (["n" * 5000, "x", "ase", "0", "0"], "nnn"),
    (["", "x", "ase", "0", "0"], "not the name of a file"),
    (["a\0.pose", "x", "ase", "0", "0"], "not the name of a file"),
    (["a.pose", "", "ase", "0", "0"], "text is empty"),
    (["a.pose", f"hello {FSW}", "ase", "0", "0"], "one notation"),
    (["a.pose", "x", "english", "0", "0"], "ISO 639-3"),
    (["a.pose", "x", "ase", "one", "0"], "start 'one' is not a number of milliseconds"),
    (["a.pose", "x", "ase", "0", "nan"], "end 'nan' is not a number of milliseconds"),
    (["a.pose", "x", "ase", "0", "1e999"], "not a number of milliseconds"),
    (["a.pose", "x", "ase", "-5", "0"], "not a number of milliseconds"),
    (["a.pose", "x", "ase", "500", "400"], "is not after start"),
    (["a.pose", "x", "ase"], "3 fields for 5 columns"),
])
def test_a_wrong_row_is_refused_with_its_line_before_a_pose_is_read(tmp_path: Path, own: Path, row: list[str],
                                                                    problem: str) -> None:
    write_pose(constructed_pose(3), tmp_path / "secret.pose")
    (own / "link.pose").symlink_to(tmp_path / "secret.pose")
    (own / "linked").symlink_to(tmp_path)
    (own / "loop.pose").symlink_to("loop.pose")
    table = write_table(tmp_path / "t.csv", ["a.pose", "good", "ase", "0", "0"], [], row)
    with pytest.raises(PoseFileError, match=problem) as error:
        csv_sources(table, own)
    assert str(error.value).startswith(f"{table}: line 4: ")
    assert "\n" not in str(error.value)


@settings(deadline=None)
@given(name=st.lists(st.sampled_from(["..", ".", "/", "a", "up", "~", "\\", "secret.pose", "link", " "])).map("".join))
def test_no_name_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    outside = tmp_path_factory.getbasetemp() / "outside"
    inside = outside / "a"
    if not inside.exists():
        inside.mkdir(parents=True)
        (outside / "secret.pose").write_bytes(b"x")
        (inside / "secret.pose").write_bytes(b"x")
        (inside / "link").symlink_to(outside)
        (inside / "up").symlink_to("..")
    try:
        found = transcribed._inside(name, inside.resolve())
    except ValueError:
        return
    assert found == inside.resolve() / "secret.pose"


@pytest.mark.parametrize(("content", "problem"), [
    (b"", "no column pose and text"), (b"pose;text\na.pose;x\n", "no column pose and text.*commas"),
    (b"pose,text,text\na.pose,x,y\n", "column text is there twice"), (b"pose,text\n", "no rows"),
    (b"pose,text\na.pose,\xff\xfe\n", "not UTF-8"), (b'pose,text\na.pose,"x\n', "not a CSV"),
    (b"pose,text\na.pose," + b"x" * 200_000 + b"\n", "not a CSV"),
])
def test_what_is_no_table_is_refused(tmp_path: Path, own: Path, content: bytes, problem: str) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(content)
    with pytest.raises(PoseFileError, match=problem):
        read_rows(table, own)


def test_limits_hold_before_anything_is_read(tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_table(tmp_path / "t.csv", *[["a.pose", "x", "ase", str(i), "0"] for i in range(4)])
    assert len(read_rows(table, own)) == 4
    with monkeypatch.context() as limited:
        limited.setattr(transcribed, "MAX_ROWS", 3)
        with pytest.raises(PoseFileError, match="more than 3 rows"):
            read_rows(table, own)
    with monkeypatch.context() as limited:
        limited.setattr(transcribed, "MAX_POSE_BYTES", 100)
        with pytest.raises(PoseFileError, match="line 2: .*more than 100 bytes"):
            read_rows(table, own)
    with open(tmp_path / "large.csv", "wb") as file:
        os.truncate(file.fileno(), transcribed.MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(PoseFileError, match="more than .* bytes"):
        read_rows(tmp_path / "large.csv", own)


@pytest.mark.parametrize(("row", "problem"), [
    (["broken.pose", "x", "ase", "0", "0"], "line 2: .*broken.pose"),
    (["a.pose", "x", "ase", "2000", "0"], "line 2: start 2000 is after the end of a.pose \\(2000 ms\\)"),
])
def test_a_pose_that_cannot_be_packed_leaves_the_old_pack(tmp_path: Path, own: Path, row: list[str], problem: str,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    (own / "broken.pose").write_bytes(b"not a pose at all")
    out = tmp_path / "pack.npz"
    out.write_bytes(b"old")
    table = write_table(tmp_path / "t.csv", row)
    with pytest.raises(PoseFileError, match=problem):
        pack(csv_sources(table, own), out)
    assert main(["--csv", str(table), "--poses", str(own), "--out", str(out)]) == 1
    assert "error:" in capsys.readouterr().err
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pack.npz", "poses", "t.csv"]


def test_a_pack_of_nothing_and_a_name_twice_are_refused(tmp_path: Path, own: Path) -> None:
    write_pose(lose(constructed_pose(5), slice(None), slice(None)), own / "empty.pose")
    table = write_table(tmp_path / "t.csv", ["empty.pose", "x", "ase", "0", "0"])
    with pytest.raises(ValueError, match="1 clips were found, all of them failed"):
        pack(csv_sources(table, own), tmp_path / "pack.npz")
    with pytest.raises(ValueError, match="two sources have the name t"):
        pack([*csv_sources(table, own), *csv_sources(table, own)], tmp_path / "pack.npz")


@pytest.mark.parametrize("options", [[], ["--poses", "x", "--data", "y"]])
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main([*options, "--out", str(tmp_path / "pack.npz")])
    assert error.value.code == 2
