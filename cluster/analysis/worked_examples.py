"""Split a demonstration's response into its steps and its answer, each with its own line breaks."""

import re
from dataclasses import dataclass

from optimizer.prompt import ANSWER_LINE, read_trace, without_thinking

_STEP = re.compile(r"^[ \t]*Step (?P<number>\d{1,3})[ \t]*:[ \t]*", re.MULTILINE)


@dataclass(frozen=True)
class ExamplePart:
    """A step, the answer, or text outside of them."""

    label: str
    """"Step 2", "Answer" or "Response"."""
    text: str
    """The text without its label."""
    whole: str
    """The text as it stands in the response, with the label and the line end before the next part.
    """


def parts_of(response: str) -> tuple[ExamplePart, ...]:
    """Return the parts of a response in order; joined, their `whole` is the response.

    Steps and answer are those that the prompt's parser finds (`optimizer.prompt.read_trace`).
    """
    trace = read_trace(response)
    thought = len(response) - len(without_thinking(response))
    answers = list(ANSWER_LINE.finditer(response)) if trace.answer is not None else []
    end = answers[-1].start() if answers else len(response)
    cuts = [
        (found.start(), found.end(), f"Step {int(found['number'])}")
        for found in _STEP.finditer(response)
        if thought <= found.start() < end and int(found["number"]) in trace.block_by_step
    ]
    cuts += [(answers[-1].start(), answers[-1].start("answer"), "Answer")] if answers else []
    heads = [(0, 0, "Response"), *cuts]
    ends = [*(start for start, _, _ in heads[1:]), len(response)]
    found = [
        ExamplePart(label, response[after:until].strip("\n"), response[start:until])
        for (start, after, label), until in zip(heads, ends, strict=True)
        if response[start:until]
    ]
    return tuple(_after_the_answer(found))


def _after_the_answer(parts: list[ExamplePart]) -> list[ExamplePart]:
    """Split what follows the line of the answer into a part of its own."""
    if not parts or parts[-1].label != "Answer":
        return parts
    line, newline, rest = parts[-1].whole.partition("\n")
    if not rest:
        return [*parts[:-1], ExamplePart("Answer", parts[-1].text.strip(), line + newline)]
    return [
        *parts[:-1],
        ExamplePart("Answer", parts[-1].text.partition("\n")[0].strip(), line + newline),
        ExamplePart("Response", rest.strip("\n"), rest),
    ]
