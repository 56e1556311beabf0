from __future__ import annotations

import hashlib
import json
import subprocess
import sys

from pose_diffusion.notation import LANGUAGES, MAX_TOKENS, NOTATIONS, VOCABULARY, read_text, token_ids
from pose_diffusion.notation.vocabulary import FIRST_BYTE, FIRST_LANGUAGE, FIRST_NOTATION
from tests.conftest import LEXICON
from tests.notation.signs import alphabets

SAMPLES = [("Hello", "ase", None), ("M518x529S14c20481x471", "gsg", None), ("M518x529S14c20481x471", "und", "picture"),
           ("{\ue001|\ue0f1}", "zsl", None), ("L749x250S38b00250x749", "ukl", None),
           ("R500x500S10000500x500", "und", None)]


def test_the_numbers_stay_for_ever() -> None:
    """Checkpoints are trained with them: if this fails, append what is new instead of moving what there is."""
    assert NOTATIONS == ("words", "signwriting", "hamnosys", "picture")
    assert (VOCABULARY, MAX_TOKENS, len(LANGUAGES)) == (1946, 128, 161)
    ids = [token_ids(read_text(text, language=language, notation=notation)).tolist()
           for text, language, notation in SAMPLES]
    told = json.dumps([LANGUAGES, ids])
    assert hashlib.sha256(told.encode()).hexdigest() == (
        "55ff6a50c0ac037b6e57bb11ee993c151ffc70624ba871b67afe9f4b4d9356db")


def test_no_number_is_two_things() -> None:
    assert FIRST_NOTATION + len(NOTATIONS) <= FIRST_LANGUAGE
    assert FIRST_LANGUAGE + len(LANGUAGES) <= FIRST_BYTE
    assert len(set(LANGUAGES)) == len(LANGUAGES)


def test_the_languages_of_the_data_have_tokens() -> None:
    codes = set(alphabets()) - {"ko"}  # which is the spoken language; Korean Sign Language is kvk
    codes |= {folder.name for folder in LEXICON.iterdir() if len(folder.name) == 3}
    assert len(codes) > 30
    assert codes | {"kvk", "ins", "ils"} <= set(LANGUAGES)


def test_texts_are_read_without_torch() -> None:
    code = ("import sys; from pose_diffusion.notation import read_text, token_ids; token_ids(read_text('hello'));"
            "assert 'torch' not in sys.modules; assert 'PIL' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)
