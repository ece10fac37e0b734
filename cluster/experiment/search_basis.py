"""What determines the trials of a search, as OUT/decisions/settings.json records it.

The record outlives the version that wrote it, so it holds names of its own and none of classes, and
a setting that was added later has its default in an older record.
"""

import ast
import json
import re
from dataclasses import MISSING, fields
from typing import Any

from cluster.config.component_spec import ComponentSpec
from cluster.config.components import recorded_revisions
from cluster.config.experiment import ExperimentSettings, Recorded
from cluster.search.schedulers import SCHEDULERS
from cluster.search.searchers import SEARCHERS
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from optimizer.tasks.sizes import AutoSizes, Shares, Sizes
from optimizer.types import Sampling
from serving.settings import parse_model

_WRITTEN_NAMES: dict[str, type[Any]] = {
    "IterativeAPE": STRATEGIES["iterative_ape"],
    "OPRO": STRATEGIES["opro"],
    "APO": STRATEGIES["apo"],
    "APOSum": STRATEGIES["apo_sum"],
    "PromptAgent": STRATEGIES["prompt_agent"],
    "ABO": STRATEGIES["abo"],
    "Hybrid": STRATEGIES["hybrid"],
    "Full": SELECTION_RULES["full"],
    "Racing": SELECTION_RULES["racing"],
    "SuccessiveHalving": SELECTION_RULES["successive_halving"],
    "SuccessiveRejects": SELECTION_RULES["successive_rejects"],
    "UCB": SELECTION_RULES["ucb"],
    "UCBE": SELECTION_RULES["ucb_e"],
    "Grid": SEARCHERS["grid"],
    "Random": SEARCHERS["random"],
    "Optuna": SEARCHERS["optuna"],
    "Unscheduled": SCHEDULERS["none"],
    "ASHA": SCHEDULERS["asha"],
    "Median": SCHEDULERS["median"],
    "Sampling": Sampling,
    "Sizes": Sizes,
    "Shares": Shares,
}
"""Classes by their names in the records, whatever they are called in the code by now."""
_NAME_OF: dict[type[Any], str] = {kind: name for name, kind in _WRITTEN_NAMES.items()} | {
    # The usual ones for data that have as many; other data have another hash, which is recorded.
    AutoSizes: "Sizes"
}
_DESCRIBED = re.compile(r"(?P<label>(?:[^()]*?: )?)(?P<name>\w+)(?P<given>\(.*\))", re.DOTALL)


def basis_of(settings: ExperimentSettings, recorded: Recorded) -> dict[str, Any]:
    """Return what determines the trials of a search and their results: name -> plain value.

    Budget, concurrency and placement are not in it: a trial with a larger budget takes the same
    course, only further.
    """
    search = settings.search
    assert search is not None, "only a search makes decisions"
    basis: dict[str, Any] = {
        "the setting target": settings.target_model.identity,
        "the setting optimizer": settings.optimizer_model.identity,
        "the setting strategies": [
            f"{spec.label}: {_described_spec(spec)}" for spec in settings.strategies
        ],
        "the setting selection": _described_spec(settings.selection),
        "the setting sampling": described(settings.sampling.build()),
        "the setting search.space": list(search.space.items()),  # searchers go by the order, too
        "the setting search.searcher": described(search.searcher.build()),
        "the setting search.scheduler": described(search.scheduler.build()),
    }
    if settings.models:
        models = {label: parse_model(model).identity for label, model in settings.models.items()}
        basis["the setting models"] = models
    for task in settings.tasks:
        basis[f"the task {task.label}"] = {
            "scorer": task.scorer,
            "seed_instruction": task.baseline_text,
            "sizes": described(settings.sizes_of(task)),
        }
        if task.description:
            basis[f"the description of task {task.label}"] = task.description
        if task.keep:  # only where there are some, so that older records stay equal
            basis[f"the kept parts of task {task.label}"] = list(task.keep)
        for seed, data_hash in recorded.data.get(task.label, {}).items():
            basis[f"the data of task {task.label} with seed {seed}"] = data_hash
    for name, revision in recorded_revisions(settings, recorded).items():
        basis[f"the revision of {name}"] = revision
    plain: dict[str, Any] = json.loads(json.dumps(basis))
    return plain


def _described_spec(spec: ComponentSpec) -> str:
    """Return a component with its settings as records have it.

    A component that is not ours goes by the name in the settings, as its class may have the name of
    one of ours.
    """
    text = described(spec.build())
    if spec.name in spec.registry.table:
        return text
    return f"{spec.name} ({text.partition('(')[2]}"


def described(thing: Any) -> str:
    """Return a thing with its settings as records have it: `Sizes(train=8, dev=8, test=6)`."""
    given = ", ".join(f"{field.name}={getattr(thing, field.name)!r}" for field in fields(thing))
    return f"{_NAME_OF.get(type(thing), type(thing).__name__)}({given})"


def comparable(value: Any) -> Any:
    """Return a value of a basis in a form in which equal values mean the same.

    Described things have all of their settings, with defaults for those that an older record does
    not name.
    """
    if isinstance(value, dict):
        return {key: comparable(one) for key, one in value.items()}
    if isinstance(value, list):
        return [comparable(one) for one in value]
    return _read(value) if isinstance(value, str) else value


def _read(text: str) -> Any:
    """Return what `described` was given, with the label before it; other text unchanged."""
    found = _DESCRIBED.fullmatch(text)
    kind = _WRITTEN_NAMES.get(found["name"]) if found else None
    if not found or kind is None:
        return text
    try:
        call = ast.parse(found["name"] + found["given"], mode="eval").body
        given = {
            str(keyword.arg): ast.literal_eval(keyword.value)
            for keyword in getattr(call, "keywords", ())
        }
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    defaults = {field.name: field.default for field in fields(kind) if field.default is not MISSING}
    return {"label": found["label"], "name": found["name"], "settings": defaults | given}
