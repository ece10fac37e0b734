"""Reading of a probe's answers: which may be wrong for their form alone, and what fixes that.

A task whose answers cannot be read looks hopeless, and is not: before any verdict on the task, a
person sees an answer beside its target, and the setting or the scorer that fixes it. Knows no
model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from optimizer.errors import shortened
from optimizer.evaluation.target_shapes import Shape, better_suited, shape_of
from optimizer.grader import Grader
from optimizer.graders.base import AnswerGrader, PureGrader, grade_outcomes, score_outcome
from optimizer.graders.graders import grader_named
from optimizer.tasks.loading import fitted, fitting_scorers
from optimizer.types import Completion, Example, Outcome, Score

SPOILS = 0.25
"""Share of unreadable baseline answers, or gain in accuracy by another reading, from which on the
probe reports only that and no verdict on the task [ours]: weak models forget the form now and
then, and to fix that is a prompt's own work.
"""
_REPORTED_GAIN = 0.1
"""Gain in accuracy by the answer line from which on the line is reported [ours]."""
_SHOWN = 80
"""Maximum number of characters of an input and of an answer in a sentence."""


@dataclass(frozen=True)
class NotRight:
    """An answer that counts as not right, beside the accepted one."""

    input: str
    accepted: str
    response: str
    read: str
    """The answer that the scorer read in the response; "" for none."""

    @property
    def shown(self) -> str:
        """Return the answer beside its target, in words."""
        finding = (
            f"it read {shortened(self.read, _SHOWN)!r} in it"
            if self.read
            else "it found no answer in it"
        )
        question, answer = shortened(self.input, _SHOWN), shortened(self.response, 2 * _SHOWN)
        return (
            f"to {question!r} the target wrote {answer!r}; the scorer accepts "
            f"{shortened(self.accepted, _SHOWN)!r}, and {finding}."
        )

    @property
    def sentence(self) -> str:
        """Return the sentence for people; no reading of answers fits every model and data set."""
        return (
            f"No answer was right in any try. For example, {self.shown} If that should be right, "
            "choose another scorer, or "
            "fix the data or the seed_instruction."
        )


@dataclass(frozen=True)
class Reading:
    """The result of reading the baseline's answers of a probe."""

    scorer: str
    answers: int
    """Number of answers that came."""
    at_fault: int
    """Answers that are not right, and perhaps for their form alone (see
    Grader.form_is_at_fault).
    """
    unread: int
    """Answers in which the scorer found no answer, those that were cut off included."""
    cut_off: int
    """Answers that ended at max_tokens."""
    accuracy: float | None
    """Share of right answers; None where no answer came."""
    example: NotRight | None
    """One of the answers at fault, an unread one where there is any."""
    line: str
    """The answer line; "" where the baseline itself states how to end."""
    accuracy_by_scorer: Mapping[str, float]
    """Accuracy of the same answers under the other scorers that fit the targets."""
    never_right: bool
    """No answer was right in any attempt, whatever the prompt."""
    never_a_target: bool
    """No answer is a target of any item: then they are of another kind than the targets, and not
    just wrong.
    """
    shape: Shape = ""
    """What the targets look like, where other graders fit them better; "" where none does."""
    better_suited: tuple[str, ...] = ()
    """The graders that fit such targets."""
    line_accuracy: float | None = None
    """Accuracy of the baseline with the answer line; None where it was not tried."""

    @property
    def share_at_fault(self) -> float:
        """Return the share of the answers that are at fault."""
        return self.at_fault / self.answers if self.answers else 0.0

    @property
    def line_is_worth_asking(self) -> bool:
        """Return whether the answer line should be tried."""
        return bool(self.line) and self.share_at_fault > SPOILS

    @property
    def better_scorer(self) -> str:
        """Return the scorer under which clearly more answers are right; "" where there is none."""
        best = max(
            self.accuracy_by_scorer, key=lambda name: self.accuracy_by_scorer[name], default=""
        )
        return (
            best
            if best and self.accuracy_by_scorer[best] - (self.accuracy or 0.0) >= SPOILS
            else ""
        )

    @property
    def spoils(self) -> bool:
        """Return whether the answers were read too badly to draw any conclusion about the task."""
        unread = self.answers > 0 and self.unread > SPOILS * self.answers
        wrong_scorer = self.never_right and (self.never_a_target or bool(self.better_suited))
        return unread or wrong_scorer or bool(self.better_scorer) or self._gained_by_line >= SPOILS

    @property
    def _gained_by_line(self) -> float:
        return 0.0 if self.line_accuracy is None else self.line_accuracy - (self.accuracy or 0.0)

    @property
    def sentence(self) -> str:
        """Return what is wrong, an answer that shows it, and the fix; "" where all is well."""
        if not self.spoils and self._gained_by_line < _REPORTED_GAIN:
            return ""
        shown = f" For example, {self.example.shown}" if self.example else ""
        return f"{self._fault}{shown} {self._advice}"

    @property
    def _fault(self) -> str:
        if self.never_right and self.shape and 2 * self.unread < self.answers:
            what = {"json": "JSON", "long text": "long texts", "phrase": "phrases"}[self.shape]
            return (
                f"No answer was right in any try: all targets are {what}, and the scorer "
                f"{self.scorer} accepts nothing but a target word for word, so it is the scorer "
                "that does not fit, and not the task that is hopeless."
            )
        if self.never_a_target and not self.unread:
            return (
                f"No answer was right in any try, and none that the scorer {self.scorer} read is a "
                "target of any item: it may "
                "be the wrong scorer."
            )
        # Unread answers are the plainer fault, so they are named first.
        if 2 * self.unread >= self.at_fault:
            return (
                f"{self.unread / self.answers:.0%} of the baseline's answers could not be read by "
                f"the scorer {self.scorer}."
            )
        return (
            f"{self.share_at_fault:.0%} of the baseline's answers are not right and not in the "
            "form that the scorer "
            f"{self.scorer} reads best, so that they may be wrong for their form alone."
        )

    @property
    def _advice(self) -> str:
        # An answer that was cut off is unread for its length: no other advice would help.
        if 2 * self.cut_off > self.unread:
            return "Most of them were cut off: raise sampling.max_tokens."
        if self._gained_by_line >= _REPORTED_GAIN:
            return (
                f"With the line {self.line!r} the baseline gets {self.line_accuracy:.2f} right "
                "instead of "
                f"{self.accuracy or 0.0:.2f}: add that line to seed_instruction, and check again."
            )
        if self.never_right and self.better_suited:
            return f"Choose a grader that fits such targets: {' or '.join(self.better_suited)}."
        if self.better_scorer:
            name = self.better_scorer
            return (
                f"Under the scorer {name}, {self.accuracy_by_scorer[name]:.2f} of them are right: "
                f"set scorer: {name}."
            )
        others = " and ".join(self.accuracy_by_scorer)
        scorer = (
            f"choose another scorer that fits the targets ({others})"
            if others
            else (f"fix the data (no scorer but {self.scorer} fits the targets)")
        )
        tried = " (the usual line did not help)" if self.line_accuracy is not None else ""
        return f"State in seed_instruction how an answer must end{tried}, or {scorer}."


async def reading(
    scorer: str,
    grader: Grader,
    items: Sequence[Example],
    repeats: Sequence[Sequence[Outcome]],
    line: str,
    never_right: bool,
) -> Reading:
    """Return how the baseline's answers over the items were read by the grader.

    Args:
        scorer: Name of the task's grader.
        grader: That grader.
        items: The items, in the order of the outcomes.
        repeats: The outcomes of each run over the items.
        line: The answer line; "" where the baseline states how to end.
        never_right: No attempt of any prompt was right.
    """
    pairs = [
        (outcome, item)
        for outcomes in repeats
        for outcome, item in zip(outcomes, items, strict=True)
        if isinstance(outcome, Completion)
    ]
    scores = await grade_outcomes(grader, pairs)
    unread = [
        place for place, score in enumerate(scores) if score.verdict in ("unparsable", "truncated")
    ]
    at_fault = [
        place
        for place, (outcome, item) in enumerate(pairs)
        if grader.form_is_at_fault(outcome, item)
    ]
    wrong = (
        [place for place, score in enumerate(scores) if score.verdict == "wrong"]
        if never_right
        else []
    )
    shape = shape_of(items)
    suited = better_suited(scorer, shape)
    # An unread answer shows the fault best; one without any text shows nothing.
    first = next(
        (place for place in (*unread, *at_fault, *wrong) if pairs[place][0].text.strip()), None
    )
    return Reading(
        scorer,
        len(pairs),
        len(at_fault),
        len(unread),
        sum(score.verdict == "truncated" for score in scores),
        _mean(scores) if pairs else None,
        None
        if first is None
        else NotRight(
            pairs[first][1].input,
            next(iter(pairs[first][1].answers), ""),
            pairs[first][0].text,
            scores[first].answer,
        ),
        line,
        _under_others(scorer, items, pairs),
        never_right,
        never_right
        and isinstance(grader, AnswerGrader)
        and not _is_a_target(grader, {score.answer for score in scores if score.answer}, items),
        shape if suited else "",
        suited,
    )


def _mean(scores: Sequence[Score]) -> float:
    return sum(score.value or 0.0 for score in scores) / len(scores)


def _is_a_target(grader: AnswerGrader, answers: Iterable[str], items: Sequence[Example]) -> bool:
    return any(grader.is_right(answer, item) for answer in answers for item in items)


def _under_others(
    scorer: str, items: Sequence[Example], pairs: Sequence[tuple[Completion, Example]]
) -> dict[str, float]:
    others = [name for name in fitting_scorers(items) if name != scorer]
    by_id = {name: {example.id: example for example in fitted(items, name)} for name in others}
    found = {}
    for name in others if pairs else ():
        grader = grader_named(name)
        assert isinstance(grader, PureGrader), "the graders that fit any targets call no model"
        found[name] = _mean(
            [score_outcome(grader, outcome, by_id[name][item.id]) for outcome, item in pairs]
        )
    return found
