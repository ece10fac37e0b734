"""Summarise: ask for one list of causes from several criticisms, each cause once.

The operator of APO-Sum, as we read that name in Ma et al., arXiv 2402.02101, whose text of it is
not public [ours].
"""

from collections.abc import Sequence

from optimizer.operators.asking import Question
from optimizer.questions.reply import read_causes
from optimizer.questions.template import MOST_FEEDBACK, Markup, fill, load, shown_part, tagged
from optimizer.questions.told import AboutTask, told

FEEDBACK_SHOWN = 12
"""Maximum number of different texts of feedback in a question [ours]."""
_TEMPLATE = load("summarise")


def summarise(
    task: AboutTask, prompt: str, reasons: Sequence[str], feedback: Sequence[str] = ()
) -> Question[str]:
    """Ask for the distinct causes in the `reasons` that critics gave.

    The reply is read as lines `- cause`.

    Args:
        task: The task, or its description alone.
        prompt: The prompt that the critics looked at.
        reasons: What each of them said.
        feedback: What the grader said of the errors; of equal texts, and of many, some are shown.
    """
    given = Markup("\n".join(tagged("reason", reason) for reason in reasons))
    text = fill(
        _TEMPLATE, task=told(task), prompt=prompt, reasons=given, feedback=_feedback(feedback)
    )
    return Question(text, read_causes)


def _feedback(texts: Sequence[str]) -> Markup:
    distinct = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    lines = [tagged("feedback", shown_part(text, MOST_FEEDBACK)) for text in distinct]
    if not lines:
        return Markup("")
    listed = "\n".join(lines[:FEEDBACK_SHOWN])
    return Markup(f"What the grader of the answers said of these errors:\n{listed}\n\n")
