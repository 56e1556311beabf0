"""A user's own training data: `.pose` files and a CSV that says what is signed in them, from when to when.

The columns are those of the ecosystem's transcription data: `pose` (a path below the folder of poses), `text`,
`language` (ISO 639-3 of the signed language; `videoLanguage` is read as well), `start` and `end` in milliseconds.
`source` names the signer and camera. Other columns are not read. Rows of the same span of a file are one clip with
several texts, e.g. its gloss and its SignWriting. A `.npy` file beside it may hold an embedding of each row's text.
"""
from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.files import PoseFileError, read_pose
from pose_diffusion.training.sources import Source, Texts

MAX_BYTES = 1 << 28  # of a CSV
MAX_ROWS = 1_000_000
MAX_POSE_BYTES = 1 << 31  # two hours of full Holistic at 25 frames per second
MAX_NAME = 100  # characters of a source's name
MAX_MILLISECONDS = 1e9  # eleven days: a time beyond is no time of a recording
MAX_EMBEDDING_BYTES = 1 << 32  # of a file: a million rows of 1024 float32
MAX_WIDTH = 65536  # of an embedding, as of a model's configuration
BLOCK = 256  # rows of embeddings converted at a time
NEEDED, OPTIONAL = ("pose", "text"), ("language", "start", "end", "source")
OTHER_NAMES = {"videolanguage": "language"}


@dataclass(frozen=True)
class Row:
    """A row of the CSV, checked.

    Attributes
    ----------
    line : int
        Where it is in the CSV, from 1.
    pose : Path
        The file, resolved: inside the folder of poses, not yet read.
    start, end : float
        Milliseconds; `end` is infinite where the sign goes on to the end of the file.
    text, language : str
        As `notation.read_text` normalises them.
    source : str
        The signer and camera.
    """

    line: int
    pose: Path
    start: float
    end: float
    text: str
    language: str
    source: str


def csv_sources(table: Path, folder: Path, embeddings: np.ndarray | None = None) -> list[Source]:
    """The sources of a CSV. Every row is checked before the first pose is read.

    Parameters
    ----------
    table : Path
        The CSV, in UTF-8 with commas.
    folder : Path
        Where the paths of its column `pose` begin.
    embeddings : np.ndarray, optional
        `(rows, width)`, one for each row below the header that is not blank. A clip gets that of its first row.

    Returns
    -------
    list of Source
        In the order in which the CSV names them; their clips are read one after the other.

    Raises
    ------
    PoseFileError
        With the line that is wrong, or if there is not one embedding for each row. Reading a clip raises it too, if its
        pose is none or ends before its span begins.
    """
    rows = read_rows(table, folder)
    if embeddings is not None and len(embeddings) != len(rows):
        raise PoseFileError(table, f"{len(rows)} rows below the header, but {len(embeddings)} embeddings: give one for "
                            "each row, in the same order")
    of_source: dict[str, dict[tuple[Path, float, float], list[int]]] = {}
    for number, row in enumerate(rows):
        of_source.setdefault(row.source, {}).setdefault((row.pose, row.start, row.end), []).append(number)
    return [Source(name, _clips(table, [[rows[i] for i in span] for span in spans.values()]), len(spans), True,
                   None if embeddings is None else embeddings[[span[0] for span in spans.values()]])
            for name, spans in of_source.items()]


def read_embeddings(path: Path) -> np.ndarray:
    """A user's own embeddings of the texts of a CSV, from a `.npy` file.

    Parameters
    ----------
    path : Path
        An array of floats, a row for each of the CSV. It is mapped, not read: what its header promises is compared with
        the size of the file before memory is taken.

    Returns
    -------
    np.ndarray
        `(rows, width)` float16.

    Raises
    ------
    PoseFileError
        If it is no such file, larger than 4 GiB, wider than 65536, or has numbers that are not finite as float16.
    """
    try:
        if not path.is_file():
            raise PoseFileError(path, "no such file: give a .npy file")
        if path.stat().st_size > MAX_EMBEDDING_BYTES:
            raise PoseFileError(path, f"more than {MAX_EMBEDDING_BYTES} bytes: save it as float16, or split it and the "
                                "CSV and make a pack of each part")
        with open(path, "rb") as file:
            if file.read(6) != b"\x93NUMPY":
                raise PoseFileError(path, "not a .npy file: write one with numpy.save")
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except PoseFileError:
        raise
    except OSError as error:
        raise PoseFileError(path, f"it cannot be read ({error.strerror}): check the name and permissions") from error
    except (ValueError, EOFError, SyntaxError) as error:
        raise PoseFileError(path, f"not a .npy file of numbers ({' '.join(str(error).split())[:120]}): write one with "
                            "numpy.save") from error
    if values.ndim != 2 or values.dtype.kind != "f" or not 1 <= values.shape[1] <= MAX_WIDTH:
        raise PoseFileError(path, f"{values.dtype} of shape {values.shape}: give floats (rows, width), a row for each "
                            f"of the CSV, and a width of at most {MAX_WIDTH}")
    return _halved(path, values)


def _halved(path: Path, values: np.ndarray) -> np.ndarray:
    """Embeddings as float16, if they are finite as that."""
    out = np.empty(values.shape, np.float16)
    for begin in range(0, len(values), BLOCK):
        block = out[begin:begin + BLOCK]
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
            block[:] = values[begin:begin + BLOCK]
        bad = ~np.isfinite(block).all(1)
        if bad.any():
            raise PoseFileError(path, f"row {begin + int(bad.argmax()) + 1} has numbers that are not finite, or beyond "
                                "65504: leave the row's clip out of the CSV, or scale all to about 1")
    return out


def read_rows(table: Path, folder: Path) -> list[Row]:
    """The rows of a CSV, each checked; see `csv_sources`."""
    if not folder.is_dir():
        raise PoseFileError(folder, "this is no folder: give the one that the column `pose` begins at")
    inside, rows = folder.resolve(), []
    for line, fields in _fields(table):
        try:
            rows.append(_row(line, fields, inside, table.stem))
        except ValueError as error:
            raise PoseFileError(table, f"line {line}: {error}") from error
    if not rows:
        raise PoseFileError(table, "there are no rows below the header: add one for each sign")
    return rows


def _fields(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and columns of each row that is not blank."""
    try:
        if table.stat().st_size > MAX_BYTES:
            raise PoseFileError(table, f"more than {MAX_BYTES} bytes: split it and make a pack of each part")
        with open(table, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            names = _columns(table, next(reader, []))
            number = 0
            for values in reader:
                if not any(value.strip() for value in values):
                    continue
                if len(values) != len(names):
                    raise PoseFileError(table, f"line {reader.line_num}: {len(values)} fields for {len(names)} "
                                        "columns: put quotes around fields that hold a comma")
                number += 1
                if number > MAX_ROWS:
                    raise PoseFileError(table, f"more than {MAX_ROWS} rows: split it and make a pack of each part")
                yield reader.line_num, {name: value.strip() for name, value in zip(names, values) if name}
    except UnicodeDecodeError as error:
        raise PoseFileError(table, f"byte {error.start} is not UTF-8: save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise PoseFileError(table, f"not a CSV ({error}): save it again, with commas") from error
    except OSError as error:
        raise PoseFileError(table, f"it cannot be read ({error.strerror}): check the name and permissions") from error


def _columns(table: Path, header: list[str]) -> list[str]:
    """The name of each column; empty for those that are not read."""
    names = [OTHER_NAMES.get(name.strip().lower(), name.strip().lower()) for name in header]
    if missing := [name for name in NEEDED if name not in names]:
        raise PoseFileError(table, f"line 1: no column {' and '.join(missing)}: it names "
                            f"{', '.join(header)[:100] or 'nothing'}; needed are {', '.join(NEEDED)}, and there may be "
                            f"{', '.join(OPTIONAL)}, with commas between them")
    names = [name if name in NEEDED + OPTIONAL else "" for name in names]
    if twice := {name for name in names if name and names.count(name) > 1}:
        raise PoseFileError(table, f"line 1: column {', '.join(sorted(twice))} is there twice: rename one")
    return names


def _row(line: int, fields: dict[str, str], inside: Path, usual_source: str) -> Row:
    from pose_diffusion.notation import read_text

    source = fields.get("source") or usual_source
    if len(source) > MAX_NAME or not source.isprintable():
        raise ValueError(f"source {source[:20]!r}: give a name of at most {MAX_NAME} printable characters")
    text = read_text(fields["text"], language=fields.get("language") or "und")
    start, end = _milliseconds("start", fields), _milliseconds("end", fields) or math.inf
    if end <= start:
        raise ValueError(f"end {end:g} is not after start {start:g}: give both in milliseconds, and no end or 0 for "
                         "the end of the file")
    return Row(line, _inside(fields["pose"], inside), start, end, text.text, text.language, source)


def _milliseconds(name: str, fields: dict[str, str]) -> float:
    text = fields.get(name) or "0"
    try:
        value = float(text)
    except ValueError:
        value = -1.
    if not 0 <= value <= MAX_MILLISECONDS:  # NaN is refused too
        raise ValueError(f"{name} {text[:20]!r} is not a number of milliseconds: write e.g. 1240")
    return value


def _inside(name: str, folder: Path) -> Path:
    """The file of that name below a folder, links followed."""
    if not name or not name.isprintable():
        raise ValueError(f"pose {name[:40]!r} is not the name of a file: give its path below the folder of poses")
    if os.path.isabs(name) or ".." in Path(name).parts:
        raise ValueError(f"pose {name[:200]!r} leads out of the folder of poses: give its path below that folder")
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            raise ValueError(f"pose {name[:200]!r} is a link out of the folder of poses: copy the file into it")
        if not path.is_file():
            raise ValueError(f"pose {name[:200]!r}: no such file in {folder}: check the name, or leave the row out")
        if path.stat().st_size > MAX_POSE_BYTES:
            raise ValueError(f"pose {name[:200]!r} has more than {MAX_POSE_BYTES} bytes: cut it into shorter poses")
    except (OSError, RuntimeError) as error:  # a link to itself, a name that is too long, no permission
        raise ValueError(f"pose {name[:200]!r} cannot be found ({error}): check its name and permissions") from error
    return path


def _clips(table: Path, spans: list[list[Row]]) -> Iterator[tuple[Pose, Texts]]:
    """The clip of each span; a file is read once for spans that follow each other."""
    for path, of_file in groupby(spans, key=lambda rows: rows[0].pose):
        first = next(of_file)
        try:
            pose = read_pose(path)
        except PoseFileError as error:
            raise PoseFileError(table, f"line {first[0].line}: {error}") from error
        for rows in (first, *of_file):
            texts = dict.fromkeys((row.text, row.language) for row in rows)
            yield _cut(table, pose, rows[0]), tuple(texts)


def _cut(table: Path, pose: Pose, row: Row) -> Pose:
    """The frames that a row names, all that its span touches; a span that goes on beyond the file ends with it."""
    frames, fps = len(pose.body.data), float(pose.body.fps)
    begin = math.floor(row.start / 1000 * fps + 1e-6)
    stop = frames if math.isinf(row.end) else min(frames, math.ceil(row.end / 1000 * fps - 1e-6))
    if begin >= frames:
        raise PoseFileError(table, f"line {row.line}: start {row.start:g} is after the end of {row.pose.name} "
                            f"({frames / fps * 1000:.0f} ms): give it in milliseconds from the file's beginning")
    body = pose.body
    return Pose(pose.header, NumPyPoseBody(fps, body.data[begin:stop], body.confidence[begin:stop]))
