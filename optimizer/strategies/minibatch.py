"""Errors to learn from: what some prompts get wrong on one minibatch of training examples that they
share.

Knows training examples and scores only; what is made of the errors is each strategy's own.
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
    """For each parent, its wrong answers on one fresh minibatch of `size` examples; one call of the
    evaluator for all.

    An answer that infrastructure failed to give is no error of the prompt, and left out.
    """
    minibatch = some(train, size, rng)
    answers = await evaluate.answers(
        [(parent.prompt, example) for parent in parents for example in minibatch], "learn"
    )
    rows = [answers[at * len(minibatch) : (at + 1) * len(minibatch)] for at in range(len(parents))]
    return [[answer for answer in row if answer.score.value == 0.0] for row in rows]
