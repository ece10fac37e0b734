"""What is known of prompts beside their dev scores: their answers to training examples, each asked
for once.

The errors among them are what a search learns from; all of them together also tell how good a
prompt is. On a few dozen dev items the best of many prompts owes its lead partly to luck: the
second set of items takes some of that away [ours].
"""

from collections.abc import Sequence

from optimizer.candidate import Candidate, Standing
from optimizer.protocols import Evaluator
from optimizer.statistics import mean_score
from optimizer.types import Answer, Example

SPREAD_ITEMS = 100
"""So many items' worth of belief that a prompt is like the others kept: good prompts mostly differ
by 0.03 or less [ours].
"""


class Evidence:
    """The training answers of one search.

    Examples that a prompt demonstrates tell nothing of it, and are left out.
    """

    def __init__(self, evaluate: Evaluator) -> None:
        self._evaluate = evaluate
        self._answers: dict[tuple[str, str], Answer] = {}

    async def errors(
        self, candidates: Sequence[Candidate], examples: Sequence[Example]
    ) -> list[list[Answer]]:
        """For each candidate its wrong answers to these examples.

        One call of the evaluator, for what was not asked before.
        """
        shown = {
            one.id: {demonstration.input for demonstration in one.prompt.demonstrations}
            for one in candidates
        }
        rows = [
            [(one, example) for example in examples if example.input not in shown[one.id]]
            for one in candidates
        ]
        new = [
            (one, example)
            for row in rows
            for one, example in row
            if (one.id, example.id) not in self._answers
        ]
        answers = await self._evaluate.answers([(one.prompt, example) for one, example in new])
        self._answers.update(
            ((one.id, example.id), answer)
            for (one, example), answer in zip(new, answers, strict=True)
        )
        found = [[self._answers[one.id, example.id] for one, example in row] for row in rows]
        return [[answer for answer in row if answer.score.value == 0.0] for row in found]

    def ranked(self, standings: Sequence[Standing]) -> list[Standing]:
        """The standings by the accuracy to be expected of their prompts on new items, and of equals
        by adherence, best first.

        Those whose dev accuracy is unknown stand last. A prompt without training answers of its own
        stands before its parent only where its dev accuracy is better.
        """
        by_id = {standing.candidate.id: standing for standing in standings}
        learned = {id: self._learned(id) for id in by_id}
        usual = mean_score([score for scores in learned.values() for score in scores])
        usual = (
            (mean_score([standing.accuracy for standing in standings]) or 0.0)
            if usual is None
            else usual
        )
        expected = {id: _expected(standing, learned[id], usual) for id, standing in by_id.items()}

        def merit(standing: Standing) -> float:
            own, parent = standing.candidate.id, by_id.get(standing.candidate.parent or "")
            if (
                learned[own]
                or parent is None
                or (standing.accuracy or 0.0) > (parent.accuracy or 0.0)
            ):
                return expected[own]
            return min(expected[own], expected[parent.candidate.id])

        return sorted(
            standings, key=lambda one: (one.accuracy is None, -merit(one), -(one.adherence or 0.0))
        )

    def _learned(self, id: str) -> list[float]:
        """The scores of a prompt's training answers."""
        scores = [answer.score.value for (owner, _), answer in self._answers.items() if owner == id]
        return [score for score in scores if score is not None]


def _expected(standing: Standing, learned: Sequence[float], usual: float) -> float:
    """The mean over dev and training items, drawn towards what is usual: the more so, the fewer
    items there are.
    """
    items = 0 if standing.accuracy is None else standing.items
    right = sum(learned) + (standing.accuracy or 0.0) * items
    return (right + usual * SPREAD_ITEMS) / (len(learned) + items + SPREAD_ITEMS)
