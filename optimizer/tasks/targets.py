"""What targets are: labels of classes, the ends of worked solutions, truth values."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from optimizer.tasks.task import MOST_LABELS
from optimizer.types import Example

FEW_TARGETS = 10
"""Maximum number of different targets, each used twice or more on average, that count as choices
[ours].
"""
USES_OF_A_LABEL = 5
"""How often targets are used on average, at least, that are labels although they are more than
FEW_TARGETS [ours]; they are MOST_LABELS at most.
"""
MOST_ONCE = 0.2
"""Share of such labels that may be used once only [ours]."""
LONGEST_LABEL = 60
"""Characters of such a label [ours]."""
_TRUTH = {"true": "Yes", "false": "No"}


def few_targets(examples: Sequence[Example]) -> bool:
    """Return whether the targets are labels: few, or short ones that are used again and again."""
    count = Counter(example.answers[0].casefold() for example in examples if example.answers)
    if set(count) <= {"yes", "no", "true", "false"} or (
        len(count) <= FEW_TARGETS and 2 * len(count) <= len(examples)
    ):
        return True
    once = sum(uses == 1 for uses in count.values())
    return (
        len(count) <= MOST_LABELS
        and USES_OF_A_LABEL * len(count) <= len(examples)
        and once <= MOST_ONCE * len(count)
        and all(len(target) <= LONGEST_LABEL and "\n" not in target for target in count)
    )


def solved(examples: Sequence[Example]) -> Sequence[Example]:
    """Return the examples with final answers only, where all targets are worked solutions.

    A worked solution ends in a line "#### 18", as in GSM8K (Cobbe et al. 2021, arXiv 2110.14168).
    """
    ends_by_place = [tuple(map(_end_of_solution, example.answers)) for example in examples]
    if not all(all(ends) for ends in ends_by_place):
        return examples
    return [
        replace(example, answers=ends)
        for example, ends in zip(examples, ends_by_place, strict=True)
    ]


def _end_of_solution(text: str) -> str:
    line = text.rstrip().rpartition("\n")[2]
    return line.removeprefix("####").strip() if line.startswith("####") else ""


def with_yes_no(example: Example) -> Example:
    """Return the example with Yes or No accepted too where its answer is True or False."""
    word = _TRUTH.get(example.answers[0].casefold()) if example.answers else None
    known = {answer.casefold() for answer in example.answers}
    if word is None or word.casefold() in known or len(known) > 1:
        return example
    return replace(example, answers=(*example.answers, word))
