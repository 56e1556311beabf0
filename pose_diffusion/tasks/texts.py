"""What a task is asked to sign: read, and compared with what the model was trained on."""
from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from difflib import SequenceMatcher
from heapq import nlargest

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.notation import Embedding, Text, read_text

Asked = str | Text | Embedding | None

NEAREST = 3  # known texts that a warning names
ALIKE = .5  # share of a text that a known one must have in common with it to be named
TRAINING = "train one with such texts (docs/training.md), and name it by --model"


class UnknownTextWarning(UserWarning):
    """The model was never trained on this text: what it signs is a guess."""


def ask(text: Asked, model: PoseDiffusion, *, language: str = "und",
        notation: str | None = None) -> Text | Embedding | None:
    """Read what is to be signed.

    Parameters
    ----------
    text : str, Text, Embedding or None
        A word or gloss, SignWriting or HamNoSys; one that was read already; a user's own embedding; None for signing
        of no text.
    model : PoseDiffusion
        That is to sign it.
    language, notation : str
        As in `notation.read_text`; only for a str. `"und"` is the language the model knows the text in, if it knows it
        in one only.

    Returns
    -------
    Text, Embedding or None

    Warns
    -----
    UnknownTextWarning
        If the model was not trained on the text; it names the nearest that it knows.

    Raises
    ------
    NotationError
        As `notation.read_text`.
    ValueError
        If the model was not trained on this notation, or a language or notation is given for what is no str.
    """
    if not isinstance(text, str):
        if notation is not None or language != "und":
            raise ValueError("language and notation are for a text given as str: a Text has its own, others have none")
        if not isinstance(text, (Text, Embedding)) and text is not None:
            raise ValueError(f"the text is {type(text).__name__}: give a str, Text, Embedding or None")
    read = read_text(text, language=language, notation=notation) if isinstance(text, str) else text
    return _known(read, model) if isinstance(read, Text) else read


def _known(text: Text, model: PoseDiffusion) -> Text:
    """The text in the language the model knows it in; a warning if it knows it in none."""
    if model.denoiser.text is None:
        return text  # the model itself says that it cannot read
    notation = "signwriting" if text.notation == "picture" else text.notation  # of the same signs, drawn in training
    trained = {known.notation for known in model.texts}
    if notation not in trained:
        raise ValueError(f"this model was never trained on {notation}, only on {', '.join(sorted(trained)) or 'none'}: "
                         + TRAINING)
    alike = [known for known in model.texts if known.notation == notation]
    languages = sorted(known.language for known in alike if known.text == text.text)
    if text.language in languages:
        return text
    if text.language == "und" and len(languages) == 1:
        return replace(text, language=languages[0])
    warnings.warn(_warning(text, languages, alike), UnknownTextWarning, stacklevel=4)  # the call of the task
    return text


def _warning(text: Text, languages: list[str], known: Collection[Text]) -> str:
    shown = f'"{text.text}"' if text.language == "und" else f'"{text.text}" ({text.language})'
    if languages and text.language == "und":
        return f"{shown} is known in {_listed(languages)}: say which by language, or what is signed is a guess"
    if languages:
        return f"{shown} is known in {_listed(languages)} only: what is signed is a guess"
    near = nearest(text, known)
    advice = f"; the nearest it knows: {', '.join(near)}" if near else ""
    return f"{shown} is not among the texts that this model was trained on: what is signed is a guess{advice}"


def nearest(text: Text, known: Iterable[Text]) -> list[str]:
    """The most similar of the known texts, with the languages they are of; those of the text's own, if it is known,
    come first.
    """
    languages = defaultdict(set)
    for one in known:
        languages[one.text].add(one.language)
    ratios = {}
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(text.text)
    for other in languages:
        matcher.set_seq1(other)
        if matcher.real_quick_ratio() >= ALIKE and matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE:
            own = text.language != "und" and text.language in languages[other]
            ratios[other] = own, matcher.ratio(), other
    return [f"{one} ({_listed(sorted(languages[one]))})" for one in nlargest(NEAREST, ratios, key=lambda x: ratios[x])]


def _listed(languages: list[str], most: int = 12) -> str:
    return ", ".join(languages[:most]) + (" and others" if len(languages) > most else "")
