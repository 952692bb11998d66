"""Which language texts are in, where they are long enough to tell.

Source: the identifier of Lui and Baldwin 2012, "langid.py: An Off-the-shelf Language Identification Tool", as the
library py3langid has it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow.compute as pc

from surefit.types import Examples, Int64Array

# Below that many characters a language is often mistaken.
_LEAST_CHARACTERS = 40
_LEAST_PROBABILITY = 0.9
_MOST_TEXTS = 50_000  # some five seconds
# A creole of English, which informal English is mistaken for, and what is no language.
_NOT_TOLD_APART = ("pcm", "zxx")


@dataclass(frozen=True, eq=False)
class Languages:
    """The languages of texts.

    Attributes:
        usual: the language of most, by its ISO 639-1 code.
        counts: how many texts are in each other language, by falling count.
        others: positions of the texts that are in another language, rising, shape (m,).
        judged: how many texts were looked at and long enough to tell.
    """

    usual: str
    counts: dict[str, int]
    others: Int64Array
    judged: int


def languages_of(examples: Examples) -> Languages | None:
    """The languages of the (first) texts of rows; None where none is long enough to tell.

    Args:
        examples: rows in one script. Of more than 50,000, rows at equal distances are looked at.
    """
    texts = np.flatnonzero(pc.utf8_length(examples.texts).to_numpy() >= _LEAST_CHARACTERS)
    texts = texts[:: max(1, -(-len(texts) // _MOST_TEXTS))]
    if not len(texts):
        return None
    try:
        classify = _identifier().classify
    except OSError:  # it unpacks its model into a temporary file, for which there may be no room
        return None
    told = [(row, *classify(examples.texts[row].as_py())) for row in texts.tolist()]
    sure = [(row, language) for row, language, probability in told if probability >= _LEAST_PROBABILITY]
    sure = [(row, language) for row, language in sure if language not in _NOT_TOLD_APART]
    if not sure:
        return None
    (usual, _), *counts = Counter(language for _, language in sure).most_common()
    others = np.array([row for row, language in sure if language != usual], dtype=np.int64)
    return Languages(usual, dict(counts), others, len(sure))


@cache
def _identifier() -> Any:
    """The library's identifier with its own model, which takes half a second to unpack."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
