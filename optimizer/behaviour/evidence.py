"""Evidence on prompts beside their dev scores: their answers to training examples.

Each answer is requested once. The errors among them are what a search learns from; all of them
together also show how good a prompt is. On a few dozen dev items the best of many prompts owes its
lead partly to luck: the second set of items takes some of that away [ours].
"""

from collections.abc import Sequence

from optimizer.candidate import Candidate, Standing
from optimizer.protocols import Evaluator
from optimizer.statistics import mean_score
from optimizer.types import Answer, Example

SPREAD_ITEMS = 100
"""Weight, in items, of the assumption that a prompt is like the other kept ones: good prompts
mostly differ by 0.03 or less [ours].
"""


class Evidence:
    """The training answers of one search.

    Examples that a prompt demonstrates are no evidence on it, and are left out.
    """

    def __init__(self, evaluate: Evaluator) -> None:
        self._evaluate = evaluate
        self._answers: dict[tuple[str, str], Answer] = {}

    async def errors(
        self, candidates: Sequence[Candidate], examples: Sequence[Example]
    ) -> list[list[Answer]]:
        """Return for each candidate its wrong answers to these examples.

        Answers that are not known yet are requested in one batch.
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
        return [[answer for answer in row if answer.is_error] for row in found]

    def ranked(self, standings: Sequence[Standing]) -> list[Standing]:
        """Return the standings by the expected accuracy of their prompts on new items, best first.

        Ties go to the higher adherence. Those whose dev accuracy is unknown stand last. A prompt
        without training answers of its own stands before its parent only where its dev accuracy is
        better.
        """
        by_id = {standing.candidate.id: standing for standing in standings}
        learned = {id: self._learned(id) for id in by_id}
        # Before any training answers exist, the dev means stand in for the usual score.
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
            # Without training answers of its own a prompt ranks no higher than its parent.
            return min(expected[own], expected[parent.candidate.id])

        return sorted(
            standings, key=lambda one: (one.accuracy is None, -merit(one), -(one.adherence or 0.0))
        )

    def _learned(self, id: str) -> list[float]:
        """Return the scores of a prompt's training answers."""
        scores = [answer.score.value for (owner, _), answer in self._answers.items() if owner == id]
        return [score for score in scores if score is not None]


def _expected(standing: Standing, learned: Sequence[float], usual: float) -> float:
    """Return the mean over dev and training items, shrunk towards the usual mean.

    The fewer items there are, the stronger is the shrinkage.
    """
    items = 0 if standing.accuracy is None else standing.items
    right = sum(learned) + (standing.accuracy or 0.0) * items
    return (right + usual * SPREAD_ITEMS) / (len(learned) + items + SPREAD_ITEMS)
