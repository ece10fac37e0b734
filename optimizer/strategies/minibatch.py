"""Errors to learn from: the wrong answers of some prompts on one shared minibatch.

Knows training examples and scores only; the use of the errors is each strategy's own.
"""

from collections.abc import Sequence
from random import Random

from optimizer.candidate import Candidate
from optimizer.protocols import Evaluator
from optimizer.sampling import some
from optimizer.types import Answer, Example


async def errors_by_parent(
    parents: Sequence[Candidate],
    train: Sequence[Example],
    size: int,
    evaluate: Evaluator,
    rng: Random,
) -> list[list[Answer]]:
    """Return for each parent its wrong answers on one new minibatch of `size` examples.

    All answers are one batch. An answer that infrastructure failed to give is no error of the
    prompt, and left out.
    """
    minibatch = some(train, size, rng)
    answers = await evaluate.answers(
        [(parent.prompt, example) for parent in parents for example in minibatch], "learn"
    )
    rows = [answers[at * len(minibatch) : (at + 1) * len(minibatch)] for at in range(len(parents))]
    return [[answer for answer in row if answer.is_error] for row in rows]
