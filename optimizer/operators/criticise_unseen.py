"""Criticise unseen: ask why a prompt may fail, without showing any error [ours].

The reply is what the optimizer model believes anyway. For the diagnosis of reflection bias (Ma et
al., arXiv 2402.02101, section 4); no search uses it.
"""

from optimizer.operators.asking import Question
from optimizer.questions.reply import read_reason
from optimizer.questions.template import fill, load
from optimizer.questions.told import AboutTask, told

_TEMPLATE = load("criticise_unseen")


def criticise_unseen(task: AboutTask, prompt: str) -> Question[str]:
    """Ask for one reason, as `criticise` does, from the task and the prompt alone."""
    return Question(fill(_TEMPLATE, task=told(task), prompt=prompt), read_reason)
