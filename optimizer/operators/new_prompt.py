"""The question for a new prompt, in the form that suits the length of the old one."""

from functools import partial

from optimizer.candidate import Problem
from optimizer.operators.asking import Question
from optimizer.questions.edits import in_blocks, is_long, read_edited
from optimizer.questions.reply import read_prompt
from optimizer.questions.told import AboutTask
from optimizer.types import Sampling

MOST_TOKENS = 8_192
"""Maximum number of tokens to which the length of a baseline raises the limit of replies [ours]."""


def new_prompt(text: str, task: AboutTask, old: str = "", longest: str = "") -> Question[str]:
    """Return the question for a new prompt: whole, or as edits of a long old one.

    Args:
        text: The operator's question, which ends in the form of a whole prompt.
        task: The task, whose fixed parts the new prompt must hold.
        old: The prompt that is to be changed; "" where there is none.
        longest: The longest of the prompts shown, where it is not `old`.
    """
    if is_long(old):
        return Question(in_blocks(text), partial(read_edited, old=old, task=task))
    return Question(text, partial(read_prompt, old=longest or old, task=task))


def sampling_for(problem: Problem, temperature: float, max_tokens: int) -> Sampling:
    """Return how the optimizer model samples its replies: with room for a prompt, or edits of it.

    A token is about four characters of English. A whole prompt may be half as long again as the
    baseline, and edits take a part of it; the limit of the settings is never lowered.
    """
    characters = len(problem.seed.instruction)
    room = 1_024 + characters // 8 if is_long(problem.seed.instruction) else characters // 2
    return Sampling(temperature, max(max_tokens, min(room, MOST_TOKENS)))
