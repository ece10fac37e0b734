"""Choose each task's best prompt, by a rule that report, page and console share.

Accuracies of two tasks are not compared: a job of two tasks has two best prompts. The test split
selects nothing.
"""

from collections.abc import Sequence

from cluster.text.formatting import plural, share
from cluster.trial.result import TrialResult
from optimizer.candidate import Standing

RULE = (
    "the highest accuracy on the dev split; of equals the one measured on more dev items, then the "
    "one that started first"
)
Rank = tuple[float, int]


def rank(accuracy: float | None, items: int) -> Rank:
    """Return the sort key of the rule, higher being better; what was not measured comes last."""
    return (-1.0, 0) if accuracy is None else (accuracy, items)


def best_trials(results: Sequence[TrialResult]) -> dict[str, TrialResult]:
    """Return each task's trial with the best prompt, in order of first appearance.

    A task without a best prompt is absent.
    """
    found: dict[str, TrialResult] = {}
    for result in (one for one in results if one.best is not None):
        known = found.get(result.task)
        if known is None or _rank(result) > _rank(known):
            found[result.task] = result
    return found


def dev_standing(result: TrialResult) -> Standing | None:
    """Return the standing that the best prompt's dev accuracy is from; None where none is known."""
    if result.best is None:
        return None
    standings = (standing for round in reversed(result.rounds) for standing in round.standings)
    same = (
        one
        for one in standings
        if one.candidate.id == result.best.id and one.accuracy == result.dev_accuracy
    )
    return next(same, None)


def dev_items(result: TrialResult) -> int:
    """Return how many dev items the best prompt's accuracy rests on; 0 where that is not known."""
    standing = dev_standing(result)
    return standing.items if standing else 0


def best_lines(results: Sequence[TrialResult], out: str) -> list[str]:
    """Return a sentence for each task with the file of its best prompt, and its figures."""
    return [
        f"Best prompt on {task}, by dev accuracy ({share(result.dev_accuracy)} on "
        f"{plural(dev_items(result), 'item')}): "
        f"{out.rstrip('/')}/best/{result.trial}.json; {_tested(result)}."
        for task, result in best_trials(results).items()
    ]


def _rank(result: TrialResult) -> Rank:
    return rank(result.dev_accuracy, dev_items(result))


def _tested(result: TrialResult) -> str:
    if result.test_accuracy is None:
        return "not tested"
    return (
        f"test accuracy {share(result.test_accuracy)} on {plural(result.test_items, 'item')}, "
        "baseline "
        f"{share(result.seed_prompt_test_accuracy)}"
    )
