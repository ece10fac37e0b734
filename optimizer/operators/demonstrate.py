"""Demonstrate: ask for a worked response that follows the steps, for a training example.

ABO, arXiv 2402.02101, section 6. A trace that misses a step, leaves a step's form, or ends in
another answer teaches the wrong behaviour: it is unreadable, so the question is repeated with that
fault named. The task's own scorer decides whether an answer is right.
"""

from collections.abc import Callable, Sequence
from functools import partial

from optimizer.candidate import same_text
from optimizer.operators.asking import Question
from optimizer.operators.reply import Unreadable, read_only_tag
from optimizer.operators.template import FORMS, fill, forms, load, numbered, solved
from optimizer.prompt import Demonstration, Prompt, Step, Trace, followed_steps, read_trace
from optimizer.types import Completion, Example, Score

Judge = Callable[[Completion, Example], Score]
_TEMPLATE = load("demonstrate")
_QUOTED = 200
"""Maximum number of characters of an answer in a complaint."""


def demonstrate(
    task: str, steps: Sequence[Step], example: Example, scorer: Judge = same_text
) -> Question[Demonstration]:
    """Ask for a demonstration of the steps on one training example.

    Only a demonstration that `scorer` finds right can be read.
    """
    text = fill(
        _TEMPLATE, task=task, steps=numbered(steps), forms=forms(steps), examples=solved([example])
    )
    return Question(text, partial(_read, steps=tuple(steps), example=example, scorer=scorer))


def _read(reply: str, steps: tuple[Step, ...], example: Example, scorer: Judge) -> Demonstration:
    response = read_only_tag(reply, "response")
    trace = read_trace(response)
    _check_steps(trace, steps)
    if trace.answer is None:
        raise Unreadable("its <response> has no last line 'Answer: ...'")
    if scorer(Completion(response), example).verdict != "right":
        answer, gold = trace.answer[:_QUOTED], example.answers[0][:_QUOTED]
        raise Unreadable(
            f"its <response> ends in the answer {answer!r}, and the gold answer is {gold!r}"
        )
    return Demonstration(example.input, response)


def _check_steps(trace: Trace, steps: tuple[Step, ...]) -> None:
    surplus = [number for number in trace.order if number > len(steps)]
    if surplus:
        raise Unreadable(f"its <response> has a step {surplus[0]}, and there are only {len(steps)}")
    for number, followed in enumerate(followed_steps(Prompt(steps=steps), trace), 1):
        if not followed:
            raise Unreadable(
                f"its <response> has no line 'Step {number}: ...' in its order and its form "
                f"({FORMS[steps[number - 1].form]})"
            )
