"""Turn the answers of a trial's final test into the figures of its result.

The baseline, the best prompt and the control arm answer the same items of the locked test split.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.text.formatting import shortened
from cluster.trial.form_control import FormControlState
from cluster.trial.result import Sample, TrialResult, marks_of, values_of
from optimizer.prompt import adherence
from optimizer.statistics import (
    Confusion,
    PairedTest,
    Scores,
    classes_of,
    confusion,
    discordant,
    estimate,
    is_binary,
    paired_test,
    too_many_missing,
)
from optimizer.types import Answer

_LONGEST_FEEDBACK = 2000
"""Characters of a feedback in the report [ours]."""
SAMPLES = 6
"""Test items shown in the report, before and after [ours]."""


@dataclass(frozen=True)
class Tested:
    """The answers of both prompts on the test split, item by item, and of the control arm."""

    before: Sequence[Answer]
    after: Sequence[Answer]
    control: Sequence[Answer]
    """Answers under the baseline with the answer line; empty where it was not measured."""
    form_control: FormControlState
    dev_before: Sequence[Answer] = ()
    """Answers of both prompts on dev items, as far as the search has them; for no figure of the
    test.
    """
    dev_after: Sequence[Answer] = ()


def with_test(found: TrialResult, tested: Tested) -> TrialResult:
    """Return the result with the figures of its final test added."""
    before, after, control = _scores(tested.before), _scores(tested.after), _scores(tested.control)
    measured = estimate(after)
    texts = [one.text for one in tested.after if one.score.verdict not in ("missing", "refused")]
    # A prompt is not compared with itself.
    test = None if found.best_is_baseline else _compared(before, after)
    against_control = _compared(control, after) if control else None
    return replace(
        found,
        seed_prompt_test_accuracy=estimate(before).mean,
        test_accuracy=measured.mean,
        test_low=measured.low,
        test_high=measured.high,
        test_interval_kind=measured.kind,
        test_items=measured.items,
        verdict=test.verdict if test else "",
        p_value=test.p_value if test else None,
        seed_prompt_test_marks=marks_of(before),
        test_marks=marks_of(after),
        adherence=adherence(found.best.prompt, texts) if found.best else None,
        samples=_samples(tested),
        form_control=tested.form_control,
        form_control_test_marks=marks_of(control),
        form_control_test_accuracy=estimate(control).mean if control else None,
        form_control_verdict=against_control.verdict if against_control else "",
        form_control_p_value=against_control.p_value if against_control else None,
        seed_prompt_test_values=values_of(before),
        test_values=values_of(after),
        form_control_test_values=values_of(control),
        seed_prompt_test_classes=_classes(tested.before),
        test_classes=_classes(tested.after),
    )


def _classes(answers: Sequence[Answer]) -> Confusion | None:
    """Return how each class was answered; None where the targets are no classes."""
    examples = [answer.example for answer in answers]
    if not all(example.answers for example in examples):
        return None
    targets = [example.answers[0] for example in examples]
    # Choices that differ by item ("A" means something else in each) are no classes.
    choices = {example.choices for example in examples}
    classes = classes_of(targets, choices.pop() if len(choices) == 1 else ())
    if not classes:
        return None
    return confusion(
        targets,
        [None if one.score.verdict == "missing" else one.score.answer for one in answers],
        [one.is_right for one in answers],
        classes,
    )


def _compared(first: Scores, second: Scores) -> PairedTest | None:
    """Return the paired test; None where too many answers are missing."""
    comparable = (
        not too_many_missing(first)
        and not too_many_missing(second)
        and discordant(first, second)[2]
    )
    return paired_test(first, second) if comparable else None


def _scores(answers: Sequence[Answer]) -> list[float | None]:
    return [answer.score.value for answer in answers]


def _samples(tested: Tested) -> tuple[Sample, ...]:
    """Choose a few items for people: first some that the best prompt corrected, then others."""
    pairs = list(zip(tested.before, tested.after, strict=True))
    corrected = [pair for pair in pairs if _value(pair[1]) > _value(pair[0])]
    others = [pair for pair in pairs if pair not in corrected]
    others.sort(key=lambda pair: (_value(pair[1]), _value(pair[0])))
    chosen = (corrected[: SAMPLES // 2] + others)[:SAMPLES]
    return tuple(
        Sample(
            input=before.example.input,
            gold=before.example.answers[0] if before.example.answers else "",
            before=before.text,
            after=after.text,
            right_before=_right(before),
            right_after=_right(after),
            feedback_before=shortened(before.score.feedback, _LONGEST_FEEDBACK),
            feedback_after=shortened(after.score.feedback, _LONGEST_FEEDBACK),
            **_graded(before, after),
        )
        for before, after in chosen
    )


def _graded(before: Answer, after: Answer) -> dict[str, float | None]:
    scores = before.score.value, after.score.value
    return {} if is_binary(scores) else {"score_before": scores[0], "score_after": scores[1]}


def _value(answer: Answer) -> float:
    return answer.score.value or 0.0


def _right(answer: Answer) -> bool | None:
    return None if answer.score.value is None else answer.is_right
