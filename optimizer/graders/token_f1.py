"""Token F1: how many words an answer shares with a target, as SQuAD scores answers.

Rajpurkar et al. 2016, arXiv 1606.05250; the normalisation and the F1 are those of SQuAD's
evaluation script: without case, punctuation and articles.
"""

import re
import string
from collections import Counter
from dataclasses import dataclass

from optimizer.errors import shortened
from optimizer.graders.base import PureGrader, said_last
from optimizer.types import Completion, Example, Score, graded

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class TokenF1(PureGrader):
    """Scores the text behind an `Answer:` line, or the whole response."""

    accepts = "an answer with the same words as a target; sharing some of them counts in part"
    answer_line = "End with a last line 'Answer: X', where X is the answer alone."

    def score(self, response: Completion, example: Example) -> Score:
        """Return the best F1 over the targets."""
        answer = said_last(response)
        if not answer.strip():
            return Score("truncated" if response.truncated else "unparsable")
        best = max(example.answers, key=lambda target: f1(answer, target), default=None)
        value = 0.0 if best is None else f1(answer, best)
        feedback = "" if best is None or value == 1.0 else _feedback(answer, best)
        return graded(value, answer.strip(), feedback)


def tokens(text: str) -> list[str]:
    """Return the words of a text as SQuAD compares them."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def f1(answer: str, target: str) -> float:
    """Return the F1 of the words of an answer and those of a target."""
    given, wanted = tokens(answer), tokens(target)
    if not given or not wanted:
        return float(given == wanted)
    shared = sum((Counter(given) & Counter(wanted)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(given), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _feedback(answer: str, target: str) -> str:
    given, wanted = Counter(tokens(answer)), Counter(tokens(target))
    lacking, surplus = list((wanted - given).elements()), (given - wanted).total()
    parts = [f"it lacks {shortened(' '.join(lacking), 100)!r}"] if lacking else []
    parts += [f"it has {surplus} words that are not in the target"] if surplus else []
    return f"The target is {shortened(target, 200)!r}: the answer differs, {' and '.join(parts)}."
