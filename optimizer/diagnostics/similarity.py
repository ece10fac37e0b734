"""Similarity of texts by their words.

Two texts that state the same in other words look unlike here, so a high similarity is safe to
believe, a low one less so. Knows words only: no model, and no language.
"""

import re
from collections import Counter
from collections.abc import Sequence
from math import log, sqrt

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """Return the words in lower case.

    >>> words_of("It doesn't track (0,3).")
    ['it', 'doesn', 't', 'track', '0', '3']
    """
    return _WORD.findall(text.lower())


def similarities(texts: Sequence[str]) -> Matrix:
    """Return the cosine of every pair's tf-idf vectors, from 0 to 1; shape (texts, texts).

    Salton & Buckley 1988; idf smoothed. A text without words is like nothing but itself.
    """
    counts = [Counter(words_of(text)) for text in texts]
    holders = Counter(word for count in counts for word in count)
    place = {word: at for at, word in enumerate(holders)}
    vectors = np.zeros((len(texts), len(place) + len(texts)))
    for row, count in enumerate(counts):
        for word, times in count.items():
            vectors[row, place[word]] = times * (log((1 + len(texts)) / (1 + holders[word])) + 1)
        if not count:
            vectors[row, len(place) + row] = 1.0
        vectors[row] /= sqrt(float(vectors[row] @ vectors[row]))
    return np.clip(vectors @ vectors.T, 0.0, 1.0)


def nearest(text: str, choices: Sequence[str], least: float = 0.1) -> int | None:
    """Return the index of the choice whose words are most like the text's.

    It is None where none reaches `least` [ours], or two are equally near.
    """
    if not choices:
        return None
    likeness = similarities([text, *choices])[0, 1:]
    best = int(likeness.argmax())
    alone = int((likeness >= likeness[best] - 1e-9).sum()) == 1
    return best if alone and likeness[best] >= least else None
