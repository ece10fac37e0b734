"""Summarise: ask for one list of causes from several criticisms, each cause once.

The operator of APO-Sum, as we read that name in Ma et al., arXiv 2402.02101, whose text of it is
not public [ours].
"""

from collections.abc import Sequence

from optimizer.operators.asking import Question
from optimizer.operators.reply import read_causes
from optimizer.operators.template import Markup, fill, load, tagged

_TEMPLATE = load("summarise")


def summarise(task: str, prompt: str, reasons: Sequence[str]) -> Question[str]:
    """Ask for the distinct causes in the `reasons` that critics gave.

    The reply is read as lines `- cause`.
    """
    given = Markup("\n".join(tagged("reason", reason) for reason in reasons))
    return Question(fill(_TEMPLATE, task=task, prompt=prompt, reasons=given), read_causes)
