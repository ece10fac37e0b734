"""Demonstrate: ask for a worked response that follows the steps, for a training example.

ABO, arXiv 2402.02101, section 6. A trace that misses a step, leaves a step's form, or ends in
another answer teaches the wrong behaviour: it is unreadable, so the question is repeated with that
fault named. The task's own grader decides whether an answer is right.
"""

from collections.abc import Sequence
from functools import partial

from optimizer.errors import shortened
from optimizer.grader import Grader
from optimizer.operators.asking import Question
from optimizer.prompt import Demonstration, Prompt, Step, Trace, followed_steps, read_trace
from optimizer.questions.reply import Unreadable, read_only_tag
from optimizer.questions.template import FORMS, fill, forms, load, numbered, solved
from optimizer.questions.told import AboutTask, told
from optimizer.types import Completion, Example

_TEMPLATE = load("demonstrate")
_QUOTED = 200
"""Maximum number of characters of an answer in a complaint."""


def demonstrate(
    task: AboutTask, steps: Sequence[Step], example: Example
) -> Question[Demonstration]:
    """Ask for a demonstration of the steps on one training example.

    Whether its answer is right is checked behind the reading, all at once: see `faults`.
    """
    text = fill(
        _TEMPLATE,
        task=told(task),
        steps=numbered(steps),
        forms=forms(steps),
        examples=solved([example]),
    )
    return Question(text, partial(_read, steps=tuple(steps), example=example))


async def faults(
    grader: Grader, demonstrations: Sequence[tuple[Demonstration, Example]]
) -> list[str]:
    """Return what is wrong with the answer of each demonstration, graded as one batch; "" if right.

    A grader that could not grade one says nothing against it, but it is not shown unchecked.
    """
    scores = await grader.grade(
        [(Completion(shown.response), example) for shown, example in demonstrations]
    )
    found = []
    for (shown, example), score in zip(demonstrations, scores, strict=True):
        answer = (read_trace(shown.response).answer or "")[:_QUOTED]
        gold = next(iter(example.answers), "")[:_QUOTED]
        fault = f"its <response> ends in the answer {answer!r}"
        fault += f", and the gold answer is {gold!r}" if gold else ", which is not right"
        fault += f" ({shortened(score.feedback)})" if score.feedback else ""
        if score.value is None:
            fault = "its <response> could not be checked"
        found.append("" if score.value == 1.0 else fault)
    return found


def _read(reply: str, steps: tuple[Step, ...], example: Example) -> Demonstration:
    response = read_only_tag(reply, "response")
    trace = read_trace(response)
    _check_steps(trace, steps)
    if trace.answer is None:
        raise Unreadable("its <response> has no last line 'Answer: ...'")
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
