"""The sources of the packed training file: keypoint archives and the fingerspelling lexicon, with what is signed.

Labels become words in one spelling; letters of the lexicon come with their SignWriting too.
"""
from __future__ import annotations

import csv
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pose_format import Pose, PoseHeader
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeaderComponent, PoseHeaderDimensions

from pose_diffusion.files import read_pose
from pose_diffusion.layout import HOLISTIC, Layout

HEIGHT = 1000  # pixels; the archives hold fractions of the image
UNKNOWN_FPS = 20.  # what the poses of an archive are given, which did not record it
HANDS_ASPECT = 4 / 3  # image width / height of the archives of hands, which did not record it
HANDS_LANGUAGES = {  # not recorded either: by the repository's name, or by the letters, which are those of `ase`
    "SherwinGeorge__Indian-sign-language-recognition-system": "ins", "princeo741__ViTA": "ase",
    "traduttore__traduttore-model": "ase",
}
SPELLINGS = {"iloveyou": "i love you", "seeyoulater": "see you later", "thankyou": "thank you"}
NO_SIGN = ("idle", "", "space")  # labels of clips in which nothing, or nothing of a language, is signed
FLEXED = 4  # fingers that bend towards the palm: all but the thumb

Texts = tuple[tuple[str, str], ...]  # (text, language) of a clip


@dataclass(frozen=True)
class Source:
    """One signer and camera, or one language of the lexicon.

    Attributes
    ----------
    name : str
        Its name in the pack.
    clips : iterable of (Pose, tuple of (str, str))
        The first person of each pose is the clip; with its texts and their languages (ISO 639-3), none if unknown.
    number : int
        How many clips.
    timed : bool
        Whether the frame rate of the poses is the recording's.
    embeddings : np.ndarray, optional
        `(number, width)` float16: a user's own embedding of what is signed in each clip.
    """

    name: str
    clips: Iterable[tuple[Pose, Texts]]
    number: int
    timed: bool
    embeddings: np.ndarray | None = None


def keypoint_header(width: int, height: int, layout: Layout = HOLISTIC) -> PoseHeader:
    """A header with just the points of a layout."""
    components: dict[str, list[str]] = {}
    for component, point in layout.points:
        components.setdefault(component, []).append(point)
    return PoseHeader(0.2, PoseHeaderDimensions(width, height, 0),
                      [PoseHeaderComponent(name, points, [], [], "XYZC") for name, points in components.items()])


def words(label: str) -> str:
    """A label in the spelling that all sources share; empty if it names no sign."""
    text = " ".join(unicodedata.normalize("NFC", label).lower().replace("_", " ").replace("-", " ").split())
    return "" if text in NO_SIGN else SPELLINGS.get(text, text)


def archive(path: Path) -> Source:
    """A keypoint archive of bodies, hands and perhaps faces (see the data's README)."""
    with np.load(path, allow_pickle=False) as data:
        labels, language = data["labels"].tolist(), str(data["language"]).rstrip("?")
    return Source(path.stem, _archive_clips(path, [_texts(label, language) for label in labels]), len(labels), False)


def _texts(label: str, language: str) -> Texts:
    text = words(label)
    return ((text, language),) if text else ()


def _archive_clips(path: Path, texts: list[Texts]) -> Iterator[tuple[Pose, Texts]]:
    with np.load(path, allow_pickle=False) as data:
        xyz = data["xyz"].astype(np.float32) / float(data["scale"])
        missing = (data["xyz"] == 0).all(-1)
        frames = len(xyz)
        values = np.zeros((frames, len(HOLISTIC), 3), np.float32)
        confidence = np.zeros((frames, len(HOLISTIC)), np.float32)
        body, hands, face = HOLISTIC.parts["body"], slice(25, 67), HOLISTIC.parts["face"]
        values[:, body], values[:, hands] = xyz[:, :25], xyz[:, 33:]
        visible = np.maximum(data["vis"][:, :25].astype(np.float32), 1) / 255
        confidence[:, body] = np.where(missing[:, :25], 0, visible)
        confidence[:, hands] = np.repeat(~missing[:, 33:].reshape(frames, 2, 21).all(-1), 21, axis=1)
        if "face" in data.files:
            values[:, face] = data["face"].astype(np.float32) / float(data["scale"])
            confidence[:, face] = ~(data["face"] == 0).all(-1)
        aspect, lens = float(data["aspect"]), data["lens"]
    yield from zip(_poses(values, confidence, lens, aspect), texts, strict=True)


def _poses(values: np.ndarray, confidence: np.ndarray, lens: np.ndarray, aspect: float) -> Iterator[Pose]:
    """Poses in pixels of points `(N, K, 3)` in fractions of the image; `lens` frames each."""
    width = round(HEIGHT * aspect)
    values[..., :2] *= (width, HEIGHT)
    header = keypoint_header(width, HEIGHT)
    for start, length in zip(np.cumsum(lens) - lens, lens):
        rows = slice(start, start + length)
        yield Pose(header, NumPyPoseBody(UNKNOWN_FPS, values[rows, None], confidence[rows, None]))


def hands_archive(path: Path) -> Source:
    """An archive of hands only, as right hands without a body.

    The image's aspect ratio is not recorded: 4:3 is assumed. Nor is which hand a single one is: fingers bend towards
    the palm, so `flexion` tells, and a clip whose hand is a left one is mirrored. Of two hands the second is the
    signing one; the first is there in one frame of a hundred, mostly as the same hand found twice, and is left out.
    A clip that repeats an earlier one of the archive exactly is left out, so that none is tested on after its twin was
    trained on.
    """
    with np.load(path, allow_pickle=False) as data:
        labels, lens, scale = data["labels"].tolist(), data["lens"], float(data["scale"])
        clips = np.split(data["xyz"][:, -1], np.cumsum(lens)[:-1])
    language = HANDS_LANGUAGES.get(path.stem, "und")
    once: dict[bytes, tuple[np.ndarray, Texts]] = {}
    for clip, label in zip(clips, labels, strict=True):
        once.setdefault(clip.tobytes(), (clip, _texts(label, language)))
    hands = np.concatenate([clip for clip, _ in once.values()]).astype(np.float32) / scale
    of_clips = _hand_clips(hands, np.array([len(clip) for clip, _ in once.values()]))
    return Source(f"hands-{path.stem}", zip(of_clips, [texts for _, texts in once.values()]), len(once), False)


def _hand_clips(hand: np.ndarray, lens: np.ndarray) -> Iterator[Pose]:
    """Poses of a hand `(N, 21, 3)` in fractions of the image, 0 where missing; `lens` frames each."""
    seen = (hand != 0).any((-1, -2))
    for start, length in zip(np.cumsum(lens) - lens, lens):
        rows = np.arange(start, start + length)
        here = rows[seen[rows]]
        if len(here) and np.median(flexion(hand[here] * (HANDS_ASPECT, 1, HANDS_ASPECT))) < 0:
            hand[here, :, 0] = 1 - hand[here, :, 0]
    values = np.zeros((len(hand), len(HOLISTIC), 3), np.float32)
    confidence = np.zeros((len(hand), len(HOLISTIC)), np.float32)
    right = HOLISTIC.parts["right_hand"]
    values[:, right], confidence[:, right] = hand, seen[:, None]
    yield from _poses(values, confidence, lens, HANDS_ASPECT)


def flexion(hand: np.ndarray) -> np.ndarray:
    """How far the fingers bend to the side on which a right hand has its palm.

    Parameters
    ----------
    hand : np.ndarray
        `(T, 21, 3)` in MediaPipe's order, x to the right, y down, z away from the camera, all in one unit.

    Returns
    -------
    np.ndarray
        `(T,)` in palm lengths: positive for right hands, negative for left ones, whatever way the palm faces. Near 0
        for flat hands. It agrees with MediaPipe Holistic on 92 % of the right and 90 % of the left hands of the
        archives of signs.
    """
    wrist = hand[:, 0]
    palm = np.cross(hand[:, 5] - wrist, hand[:, 17] - wrist)
    palm = palm / np.maximum(np.linalg.norm(palm, axis=-1, keepdims=True), 1e-9)
    fingers = np.stack([hand[:, 4 * f + 4] - hand[:, 4 * f + 1] for f in range(1, FLEXED + 1)], axis=1).mean(1)
    return (fingers * palm).sum(-1) / np.maximum(np.linalg.norm(hand[:, 9] - wrist, axis=-1), 1e-9)


def lexicon_folder() -> Path:
    """The fingerspelling lexicon inside the package `spoken-to-signed`."""
    import spoken_to_signed

    return Path(spoken_to_signed.__file__).parent / "assets" / "fingerspelling_lexicon"


def lexicon_texts(lexicon: Path) -> dict[str, Texts]:
    """The texts of each file of the lexicon: its letter, and the letter's SignWriting where `signwriting` has it.

    Parameters
    ----------
    lexicon : Path
        The folder with `index.csv`.

    Returns
    -------
    dict of str to tuple of (str, str)
        By path relative to the folder. A file that serves two languages has the texts of both; a letter first.
    """
    texts: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    with open(lexicon / "index.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            letter, language = words(row["words"]), row["signed_language"]
            texts[row["path"]] += [(letter, language), *((sign, language) for sign in letter_signs(letter, language))]
    return {path: tuple(of_file) for path, of_file in texts.items()}


def letter_signs(letter: str, language: str) -> list[str]:
    """The SignWriting (FSW) of a letter, all its variants; none where the package `signwriting` has none."""
    from signwriting.fingerspelling.fingerspelling import FINGERSPELLING_DIR, get_chars

    if not (FINGERSPELLING_DIR / f"{language}.json").is_file():
        return []
    letters = {unicodedata.normalize("NFC", key): variants for key, variants in get_chars(language).items()}
    variants = letters.get(letter, [])
    if isinstance(variants, dict):
        variants = [*variants["default"], *(sign for signs in variants["variations"].values() for sign in signs)]
    return list(dict.fromkeys(variants))


def lexicon_sources(lexicon: Path) -> Iterator[Source]:
    """One source a folder of the lexicon."""
    texts = lexicon_texts(lexicon)
    for folder in sorted(path for path in lexicon.iterdir() if any(path.glob("*.pose"))):
        paths = sorted(folder.glob("*.pose"))
        clips = ((read_pose(path), texts.get(path.relative_to(lexicon).as_posix(), ())) for path in paths)
        yield Source(f"lexicon-{folder.name}", clips, len(paths), True)


def archives(data: Path) -> list[Source]:
    """All that is packed of a data folder: its archives, the lexicon, its archives of hands.

    Raises
    ------
    ValueError
        If the folder has no archives of signs.
    """
    signs = sorted([*data.glob("sign/train/*.npz"), *data.glob("sign/valid/*.npz")])
    if not signs:
        raise ValueError(f"{data} has no sign/train/*.npz: give the folder of the archives")
    hands = sorted(data.glob("hands/*.npz"))
    return [*map(archive, signs), *lexicon_sources(lexicon_folder()), *map(hands_archive, hands)]
