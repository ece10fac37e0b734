"""APO-Sum: explicit reflection with the criticisms summed up before anything is edited.

An arm of the comparison in Ma et al., "Are Large Language Models Good Prompt Optimizers?", arXiv
2402.02101. As APO (reflection.py), but the criticisms of all error groups of a prompt first become
one list of causes, each cause once, and every editor of that prompt sees this list, with its own
group of errors. So a prompt has as many edits as in APO, and each of them knows all that was found.
The paper's text and code of this arm are not public: this is our reading of its name [ours].
"""

from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.candidate import Problem
from optimizer.operators.asking import Asking
from optimizer.operators.summarise import summarise
from optimizer.strategies.reflection import Group, Reflection


@dataclass(frozen=True, kw_only=True)
class APOSum(Reflection):
    """Settings of Reflection, with ProTeGi's defaults.

    It differs from APO in the summary alone [ours].
    """

    async def _guidance(
        self, groups: Sequence[Group], reasons: Sequence[str | None], problem: Problem, ask: Asking
    ) -> Sequence[str | None]:
        """Return for each editor the causes of its prompt.

        A group whose critic could not be read is edited by what the others found.
        """
        given_by_parent: dict[str, list[str]] = {}
        for group, reason in zip(groups, reasons, strict=True):
            if reason:
                given_by_parent.setdefault(group.parent.id, []).append(reason)
        prompt_by_parent = {group.parent.id: group.parent.prompt.instruction for group in groups}
        # A grader's feedback, such as which field is wrong, is shown to the summary itself: a
        # critic sees a few errors, and may not repeat it.
        feedback_by_parent: dict[str, list[str]] = {}
        for group in groups:
            said = [error.score.feedback for error in group.errors]
            feedback_by_parent.setdefault(group.parent.id, []).extend(said)
        causes = await ask(
            [
                summarise(problem, prompt_by_parent[parent], given, feedback_by_parent[parent])
                for parent, given in given_by_parent.items()
            ]
        )
        causes_by_parent = dict(zip(given_by_parent, causes, strict=True))
        return [causes_by_parent.get(group.parent.id) for group in groups]
