"""Compares two candidates item by item: who is right where, and what the target model wrote.

A step is followed, skipped or wrong. For a generated task, wrong is the first followed step whose
values its own procedure does not have; elsewhere nothing says which step failed, and of a wrong
response the last followed step is marked, from which the wrong answer was drawn.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cluster.analysis.pairwise import format_p_value
from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import TrialSpec
from cluster.service.read_models.candidates import TrialCandidates
from cluster.service.read_models.items import Items, TrialData, dev_scores, fits, tested_scores
from cluster.service.read_models.json_text import diff_of
from cluster.service.read_models.results import TrialHistory
from cluster.service.schemas import ComparedItem, Comparison, Response, SplitComparison, StepSeen
from optimizer.prompt import Prompt, followed_steps, read_trace
from optimizer.statistics import estimate, gain, paired_test
from optimizer.tasks.generated import GENERATED
from optimizer.tasks.generated.faults import shown_kinds
from optimizer.types import Example
from serving.storage import Folder
from serving.storage.text import storable

LEAST_PAIRS = 5
"""Number of shared items below which no exact test can be significant at 0.05."""
Split = Literal["dev", "test"]


@dataclass(frozen=True)
class Side:
    """One of the two candidates."""

    history: TrialHistory
    trial_spec: TrialSpec
    candidate: str


@dataclass(frozen=True)
class _Read:
    """One of the two candidates, with what is known of it."""

    candidates: TrialCandidates
    prompt: Prompt
    trial_data: TrialData | None
    dev: Sequence[float | None]
    test: Sequence[float | None]


def compared(
    items: Items, settings: ExperimentSettings, folder: Folder, left: Side, right: Side
) -> Comparison:
    """Compare two candidates on the dev split, and on the test split if both were tested.

    They share no item unless they are of the same task and seed.

    Args:
        items: The reader of examples and answers.
        settings: The experiment's settings.
        folder: The results folder.
        left: One candidate.
        right: The other one.

    Raises:
        NotFound: A trial has no such candidate.
    """
    first, second = (_read(items, settings, folder, side) for side in (left, right))
    same = left.trial_spec.comparison_group == right.trial_spec.comparison_group
    found = [*_items("dev", first, second), *_items("test", first, second)] if same else []
    splits = [
        split
        for name in ("test", "dev")
        if (
            split := _split(
                [item for item in found if item.split == name], first.prompt == second.prompt
            )
        )
        is not None
    ]
    tested = next((split for split in splits if split.p_value is not None), None)
    details = first.candidates.detail(left.candidate), second.candidates.detail(right.candidate)
    return Comparison(
        left=details[0],
        right=details[1],
        diff=diff_of(first.prompt.text(), second.prompt.text()),
        counts=dict(Counter(item.winner for item in found)),
        items=found,
        verdict=(tested or splits[0]).verdict if splits else "",
        p_value=tested.p_value if tested else None,
        splits=splits,
        untested=_untested(first, second),
    )


def _split(items: Sequence[ComparedItem], same_prompt: bool = False) -> SplitComparison | None:
    """Compare the two on one split, by the items that both were answered on; None without any."""
    both = [item for item in items if item.winner != "unknown"]
    if not both:
        return None
    left, right = [item.left.score for item in both], [item.right.score for item in both]
    one, other, lead, test = (
        estimate(left),
        estimate(right),
        gain(right, left),
        paired_test(right, left),
    )
    assert one.mean is not None
    assert other.mean is not None
    enough = test.pairs >= LEAST_PAIRS and not same_prompt
    on = f"on {test.pairs} {both[0].split} items ({format_p_value(test.p_value)})."
    if not enough:
        verdict = "A and B are the same prompt." if same_prompt else ""
    elif test.verdict == "not distinguishable":
        verdict = f"There is no significant difference {on}"
    else:
        verdict = f"A is {test.verdict} than B {on}"
    return SplitComparison(
        split=both[0].split,
        items=len(both),
        left_accuracy=one.mean,
        left_low=one.low,
        left_high=one.high,
        left_interval_kind=one.kind,
        right_accuracy=other.mean,
        right_low=other.low,
        right_high=other.high,
        right_interval_kind=other.kind,
        lead=one.mean - other.mean,
        lead_low=lead.interval.low if lead and lead.interval else None,
        lead_high=lead.interval.high if lead and lead.interval else None,
        lead_interval_kind=lead.interval.kind if lead and lead.interval else "",
        counts=dict(Counter(item.winner for item in items)),
        verdict=verdict,
        p_value=test.p_value if enough else None,
        test=test.kind if enough else "",
    )


def _untested(left: _Read, right: _Read) -> Literal["", "left", "right", "both"]:
    if left.test and right.test:
        return ""
    return "right" if left.test else "left" if right.test else "both"


def _read(items: Items, settings: ExperimentSettings, folder: Folder, side: Side) -> _Read:
    candidates = items.candidates(side.history)
    prompt = candidates.entry(side.candidate).candidate.prompt
    trial_data = items.of(settings, folder, side.trial_spec)
    if trial_data is not None and not fits(trial_data, side.history):
        trial_data = None
    measured = max(
        (len(one.scores) for round in side.history.rounds for one in round.standings), default=0
    )
    dev = dev_scores(
        side.history, side.candidate, len(trial_data.task.dev) if trial_data else measured
    )
    return _Read(candidates, prompt, trial_data, dev, tested_scores(side.history, side.candidate))


def _items(split: Split, left: _Read, right: _Read) -> Iterator[ComparedItem]:
    """Yield all items of the dev split; of the test split those that both were tested on."""
    scores = (left.dev, right.dev) if split == "dev" else (left.test, right.test)
    count = max(map(len, scores)) if split == "dev" else min(map(len, scores))
    examples: Sequence[Example] = ()
    if count and left.trial_data is not None:
        examples = left.trial_data.task.dev if split == "dev" else left.trial_data.test_examples()
    for place in range(count):
        example = (
            examples[place] if place < len(examples) else Example(f"{split}/{place + 1}", "", ())
        )
        known = place < len(examples)
        one, other = (
            _response(
                read, example if known else None, measured[place] if place < len(measured) else None
            )
            for read, measured in zip((left, right), scores, strict=True)
        )
        yield ComparedItem(
            id=storable(example.id),
            split=split,
            input=storable(example.input),
            answers=[storable(answer) for answer in example.answers],
            winner=_winner(one.score, other.score),
            left=one,
            right=other,
        )


def _response(read: _Read, example: Example | None, measured: float | None) -> Response:
    """Return the ledger's answer, graded again; without one, the recorded score."""
    answer = read.trial_data.answer(read.prompt, example) if read.trial_data and example else None
    if answer is None or read.trial_data is None or example is None:
        return Response(
            text=None,
            score=measured,
            verdict=_verdict_of(measured),
        )
    score = read.trial_data.score(answer, example)
    return Response(
        text=storable(answer.text),
        score=score.value if score else measured,
        verdict=score.verdict if score else _verdict_of(measured),
        steps=_steps(
            read.prompt,
            read.trial_data,
            example,
            answer.text,
            right=(score.value if score else measured) == 1.0,
        ),
    )


def _verdict_of(measured: float | None) -> str:
    if measured is None:
        return ""
    return "right" if measured == 1.0 else "partial" if measured else "not right"


def _steps(
    prompt: Prompt, trial_data: TrialData, example: Example, text: str, *, right: bool
) -> list[StepSeen]:
    trace = read_trace(text)
    followed = followed_steps(prompt, trace)
    wrong = None if right else _astray(trial_data.source, example, trace.block_by_step, followed)
    return [
        StepSeen(
            number=number,
            step=storable(step.text),
            said=storable(trace.block_by_step.get(number, "")),
            state="wrong" if number == wrong else "followed" if followed[number - 1] else "skipped",
        )
        for number, step in enumerate(prompt.steps, 1)
    ]


def _astray(
    source: str,
    example: Example,
    block_by_step: "dict[int, str] | object",
    followed: Sequence[bool],
) -> int | None:
    """Return the number of the step at which a wrong response goes wrong.

    It is None if the response follows no step.
    """
    numbers = [number for number, is_followed in enumerate(followed, 1) if is_followed]
    if not numbers:
        return None
    item = GENERATED[source].read(example.input) if source in GENERATED else None
    if item is not None and isinstance(block_by_step, dict):
        kinds = GENERATED[source].kinds
        odd = (
            number
            for number in numbers
            if not shown_kinds(item, kinds, f"Step {number}: {block_by_step[number]}")
        )
        return next(odd, numbers[-1])
    return numbers[-1]


def _winner(
    left: float | None, right: float | None
) -> Literal["left", "right", "both", "neither", "unknown"]:
    if left is None or right is None:
        return "unknown"
    if left == right:
        return "both" if left > 0 else "neither"
    return "left" if left > right else "right"
