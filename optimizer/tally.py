"""What became of a trial's answers, each counted under its kind: the target's by verdict, the optimizer model's by use.

A count, and no judgement: the scorer says what an answer is worth, and the operator whether a reply can be read. Every answer that
came back is counted exactly once, so the counts add up to the calls. Knows no model, no client and no task.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from optimizer.protocols import LanguageModel
from optimizer.types import Outcome, Purpose, Request, Verdict

ReplyKind = Literal["readable", "unreadable", "empty", "truncated", "refused", "failed"]
"""What a reply of the optimizer model was good for. `readable`: what its operator asked for could be read, also where the reply
ended at max_tokens behind it. `truncated`: it ended there, and could not be read, whether anything had come or not. `empty`: it
ended by itself and has no text. `unreadable`: any other that lacks its tags, or whose content cannot be used. `refused`: the model,
or a filter before it, would not answer. `failed`: infrastructure gave no answer."""
Attempt = Literal["first", "again"]
"""A question's first reply, or the one after its fault was named."""


class Tally:
    """The counts of one trial; for one event loop."""

    def __init__(self) -> None:
        self._verdicts: dict[str, Counter[str]] = {}
        self._replies: dict[str, Counter[str]] = {}

    def judged(self, purpose: Purpose, verdicts: Iterable[Verdict]) -> None:
        """More answers of the target model."""
        self._verdicts.setdefault(purpose, Counter()).update(verdicts)

    def replied(self, attempt: Attempt, kinds: Iterable[ReplyKind]) -> None:
        """More replies of the optimizer model."""
        self._replies.setdefault(attempt, Counter()).update(kinds)

    @property
    def verdicts_by_purpose(self) -> dict[str, dict[str, int]]:
        """Purpose -> verdict -> answers; what did not occur is left out."""
        return {purpose: dict(counts) for purpose, counts in self._verdicts.items() if counts}

    @property
    def replies_by_attempt(self) -> dict[str, dict[str, int]]:
        """Attempt -> kind -> replies; what did not occur is left out."""
        return {attempt: dict(counts) for attempt, counts in self._replies.items() if counts}


class Tallied:
    """A language model with the tally of what its replies are good for. Whoever reads the replies counts them there."""

    def __init__(self, model: LanguageModel, tally: Tally) -> None:
        self._model = model
        self.tally = tally

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        return await self._model.complete(requests)


def tally_of(model: LanguageModel) -> Tally:
    """The model's own tally; a new one, which nobody looks at, where it has none."""
    return model.tally if isinstance(model, Tallied) else Tally()
