"""One vocabulary for every notation: which number each notation, language, byte and symbol has.

Checkpoints are trained with these numbers, so they stay for ever. What is added later goes into the gaps that are left.

| ids | what |
|---|---|
| 0 | padding |
| 1-7 | notations, in the order of `NOTATIONS` |
| 8-255 | signed languages, in the order of `LANGUAGES` |
| 256-511 | bytes of UTF-8 (words) |
| 512-767 | HamNoSys: U+E000-U+E0F1, then its punctuation |
| 768-1945 | SignWriting: boxes, symbols, rotations, fills and positions of `signwriting`'s tokenizer |
"""
from __future__ import annotations

import difflib

from pose_diffusion.notation.errors import NotationError

NOTATIONS = ("words", "signwriting", "hamnosys", "picture")  # picture: SignWriting that the network sees drawn

# ISO 639-3, every language of its tables that is a sign language; "und" where it is not known. New ones are appended.
LANGUAGES: tuple[str, ...] = (
    "und", "ads", "aed", "aen", "afg", "ajs", "ase", "asf", "asp", "asq", "asw", "bfi", "bfk", "bog", "bqn", "bqy",
    "bvl", "bzs", "cds", "csc", "csd", "cse", "csf", "csg", "csl", "csn", "csq", "csr", "csx", "doq", "dse", "dsl",
    "dsz", "ecs", "ehs", "esl", "esn", "eso", "eth", "fcs", "fse", "fsl", "fss", "gds", "gse", "gsg", "gsm", "gss",
    "gus", "hab", "haf", "hds", "hks", "hos", "hps", "hsh", "hsl", "icl", "iks", "ils", "inl", "ins", "ise", "isg",
    "isr", "jcs", "jhs", "jks", "jls", "jos", "jsl", "jus", "kgi", "kvk", "lbs", "lls", "lsb", "lsc", "lsl", "lsn",
    "lso", "lsp", "lst", "lsv", "lsw", "lsy", "lws", "mdl", "mfs", "mre", "msd", "msr", "mzc", "mzg", "mzy", "nbs",
    "ncs", "nsi", "nsl", "nsp", "nsr", "nzs", "okl", "pgz", "pks", "prl", "prz", "psc", "psd", "psg", "psl", "pso",
    "psp", "psr", "pys", "rib", "rms", "rnb", "rsl", "rsm", "rsn", "sdl", "sfb", "sfs", "sgg", "sgx", "slf", "sls",
    "sqk", "sqs", "sqx", "ssp", "ssr", "svk", "swl", "syy", "szs", "tse", "tsm", "tsq", "tss", "tsy", "tza", "ugn",
    "ugy", "ukl", "uks", "vgt", "vsi", "vsl", "vsv", "wbs", "xki", "xml", "xms", "ygs", "yhs", "ysl", "ysm", "zib",
    "zsl")

# What signers call their languages, where that is no code, or that of another language's
_CALLED = {"asl": "ase", "auslan": "asf", "bsl": "bfi", "dgs": "gsg", "dsgs": "sgg", "ksl": "kvk", "libras": "bzs",
           "lis": "ise", "lse": "ssp", "lsf": "fsl", "lsm": "mfs", "ngt": "dse", "ogs": "asq", "ögs": "asq"}

PADDING = 0
FIRST_NOTATION = 1
FIRST_LANGUAGE = 8
FIRST_BYTE = 256
FIRST_HAMNOSYS = 512
FIRST_SIGNWRITING = 768
SIGNWRITING_TOKENS = 1178
VOCABULARY = FIRST_SIGNWRITING + SIGNWRITING_TOKENS
MAX_TOKENS = 128


def notation_id(notation: str) -> int:
    """The token of a notation.

    Raises
    ------
    NotationError
        If there is no such notation.
    """
    return FIRST_NOTATION + NOTATIONS.index(known_notation(notation))


def language_id(language: str) -> int:
    """The token of a signed language (ISO 639-3).

    Raises
    ------
    NotationError
        If it has none.
    """
    return FIRST_LANGUAGE + LANGUAGES.index(known_language(language))


def known_notation(notation: str) -> str:
    """The notation itself, if there is one of this name; otherwise a `NotationError` names all there are."""
    if notation not in NOTATIONS:
        raise NotationError(f"notation {notation[:20]!r}: there are {', '.join(NOTATIONS)}")
    return notation


def known_language(language: str) -> str:
    """The code in lower case, if it is one of a sign language; otherwise a `NotationError` names the nearest."""
    code = language[:20].strip().lower()
    if code not in LANGUAGES:
        near = [_CALLED[code]] if code in _CALLED else difflib.get_close_matches(code, LANGUAGES, n=5, cutoff=.5)
        nearest = f": nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}" if near else ""
        raise NotationError(f"language {language[:20]!r} is not the ISO 639-3 code of a sign language, nor \"und\" "
                            f"for not known{nearest}")
    return code
