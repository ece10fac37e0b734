"""A scorer and a task of one's own, as `code:` of an experiment or a diagnosis lists them."""

from optimizer.graders.graders import grader_named
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes, Task
from optimizer.types import Completion, Example, Score


def loud(response: Completion, example: Example) -> Score:
    """Accept the same choice as a target, and give the answer in capitals."""
    score = grader_named("choice").score(response, example)
    return Score(score.verdict, (score.answer or "").upper() or None)


def short_walks(sizes: Sizes, seed: int) -> Task:
    """Return navigation of another seed."""
    return load_task("navigate", sizes=sizes, seed=seed + 1, scorer="my_scorer:loud")
