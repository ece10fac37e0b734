"""Name the methods behind intervals and verdicts, which the scores of each task choose.

Scores of 0 and 1 are shares; all others are graded (see optimizer/statistics).
"""

from collections.abc import Sequence

from cluster.trial.result import TrialResult
from optimizer.statistics import is_binary

_OF_SHARES = "95% Wilson intervals, adjusted Wald intervals of differences, exact McNemar tests"
_OF_GRADED = (
    "accuracy is the mean of graded scores, with 95% bootstrap intervals and paired permutation "
    "tests"
)


def has_graded_scores(result: TrialResult) -> bool:
    """Return whether some test score of a trial is neither 0 nor 1."""
    return not is_binary(
        result.test_scores, result.seed_prompt_test_scores, result.form_control_test_scores
    )


def graded_lines(results: Sequence[TrialResult]) -> list[str]:
    """Return a sentence on the tasks whose scores are graded; none where all are 0 and 1."""
    graded = _tasks([result for result in results if has_graded_scores(result)])
    return [f"On {', '.join(graded)}, {_OF_GRADED}."] if graded else []


def method_lines(results: Sequence[TrialResult]) -> list[str]:
    """Return sentences that name the methods of every task that was tested."""
    tested = [result for result in results if result.test_marks]
    graded = _tasks([result for result in tested if has_graded_scores(result)])
    shares = [task for task in _tasks(tested) if task not in graded]
    named = f"On {', '.join(shares)}: " if graded else ""
    return [*([f"{named}{_OF_SHARES}."] if shares else []), *graded_lines(tested)]


def _tasks(results: Sequence[TrialResult]) -> list[str]:
    return list(dict.fromkeys(result.task for result in results))
