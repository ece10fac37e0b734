"""What there is to choose from, by name: all the tables of names on one page.

Knows no output form.
"""

import sys
from collections.abc import Mapping

from cluster.search.schedulers import SCHEDULERS
from cluster.search.searchers import SEARCHERS
from optimizer.graders.graders import SCORERS
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from optimizer.tasks.generated import GENERATED
from serving.settings import BUILTIN_MODELS

_RIGHT_BY_SCORER = {
    "exact": "The same text, but for case and white space.",
    "choice": "The same one of the example's choices, by its letter or its text.",
    "number": "The same number, in digits or in words.",
    "regex": "The answer matches the target, a pattern, from end to end.",
}


def catalogue() -> dict[str, dict[str, str]]:
    """Shelf -> name -> one line on it."""
    return {
        "Generated tasks (a path to a .json, .jsonl, .csv or .parquet file is a task too)": {
            name: task.description for name, task in GENERATED.items()
        },
        "Scorers": {name: _RIGHT_BY_SCORER[name] for name in SCORERS},
        "Strategies": _described(STRATEGIES),
        "Selection rules": _described(SELECTION_RULES),
        "Searchers, for search in the settings": _described(SEARCHERS),
        "Schedulers, for search in the settings": _described(SCHEDULERS),
        "Models (openai:MODEL@BASE_URL is any OpenAI-compatible endpoint, scripted:FILE plays a "
        "script of replies)": {
            f"builtin:{name}": _first_sentence(model).partition(": ")[2]
            for name, model in BUILTIN_MODELS.items()
        },
    }


def _described(table: Mapping[str, type]) -> dict[str, str]:
    """What a module says of its class is for people; the class's own text is about its settings."""
    return {name: _first_sentence(sys.modules[kind.__module__]) for name, kind in table.items()}


def _first_sentence(described: object) -> str:
    text = " ".join((described.__doc__ or "").split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".")
