"""Decides whether a request may become an experiment, before anything is opened, built or expanded.

The models that it names must be the operator's, it may search only harmless settings, and it must
be no larger than the operator allows. All of that is decided by counting and by looking up names.

Every way from a request to an experiment leads through `expect_offered`, also that of the record of
an old job: an earlier version may have accepted it with fewer checks.
"""

from collections.abc import Collection
from typing import Any

from cluster.config.labels import labelled
from cluster.config.search_space import OPTIMIZER, SAMPLING, SELECTION, STRATEGY, read_space
from cluster.registry import named
from cluster.search.domains import OneOf, parse_domain
from cluster.search.searchers import Grid, Random
from cluster.search.searchers.searcher import TRIALS
from cluster.service.access.graders import expect_grader, judge_labels
from cluster.service.core.settings import ServiceSettings
from cluster.service.schemas import EvaluationRequest, OptimizationRequest
from cluster.service.schemas.plain import harmless_settings
from optimizer.errors import SettingsError, shortened, unknown_name
from optimizer.selection import SELECTION_RULES
from optimizer.strategies import STRATEGIES
from optimizer.tasks.imported import TASKS
from optimizer.tasks.sizes import Sizes

MODEL_SETTINGS = ("max_tokens",)
"""The settings of a model that a request may search.

Whatever says where a model is, who pays for it, what it writes or how it is hosted is the
operator's.
"""
SAMPLING_SETTINGS = ("temperature", "max_tokens")
ModelText = str | dict[str, Any]


def expect_offered(request: OptimizationRequest, service: ServiceSettings) -> dict[str, ModelText]:
    """Return the models that the request names anywhere, as the operator describes them, by label.

    Raises:
        SettingsError: A model is not offered, a setting may not be searched, or a name is unknown.
    """
    service.components.import_all()  # the operator's names; those of the request are looked up
    _expect_a_name(request.name)
    for task in request.tasks:
        if (task.file is None) == (task.generated is None):
            raise SettingsError("A task names a file or a generated task, one of them.")
        if task.file is None and (task.dev_file, task.test_file, task.columns) != (None,) * 3:
            raise SettingsError(
                "A generated task has no dev_file, no test_file and no columns; leave them out."
            )
        _expect_known("generated task", task.generated, named(TASKS))
    offered = offered_models(service)
    judges: list[str] = []
    for task in request.tasks:
        if task.graded_by is not None:
            expect_grader(task.graded_by, offered)
            judges += judge_labels(task.graded_by, offered)
    names = [request.target, request.optimizer, *expect_harmless(request, offered), *judges]
    for name in names:
        _expect_known("model of this service", name, offered)
    return {name: offered[name] for name in dict.fromkeys(names)}


def offered_models(service: ServiceSettings) -> dict[str, ModelText]:
    """Return the models that the operator offers, by label."""
    return {model.label: given for model, given in zip(service.parsed, service.models, strict=True)}


def expect_named(
    request: OptimizationRequest | EvaluationRequest, service: ServiceSettings
) -> dict[str, ModelText]:
    """Return the models that a job's request names, by label.

    Raises:
        SettingsError: `expect_offered` or `expect_evaluable` refuses it.
    """
    if isinstance(request, EvaluationRequest):
        return expect_evaluable(request, service)
    return expect_offered(request, service)


def expect_evaluable(request: EvaluationRequest, service: ServiceSettings) -> dict[str, ModelText]:
    """Return the models that an evaluation names, as `expect_offered` does those of a search.

    Raises:
        SettingsError: A model or a grader is not offered, or the prompt of a job is still to be
            looked up.
    """
    service.components.import_all()
    _expect_a_name(request.name)
    if any(prompt.job is not None for prompt in request.prompts):
        raise SettingsError(
            "The best prompt of a job is looked up when an evaluation is requested; give a text."
        )
    offered = offered_models(service)
    judges: tuple[str, ...] = ()
    if request.grader is not None:
        expect_grader(request.grader, offered)
        judges = judge_labels(request.grader, offered)
    names = (request.target, *judges)
    for name in names:
        _expect_known("model of this service", name, offered)
    return {name: offered[name] for name in names}


def expect_few_answers(items: int, request: EvaluationRequest, service: ServiceSettings) -> None:
    """Refuse an evaluation that wants more answers than the operator allows examples.

    Raises:
        SettingsError: It does.
    """
    wanted = items * len(request.prompts)
    if wanted > service.limits.examples:
        raise SettingsError(
            f"The evaluation wants {wanted:,} answers ({items:,} rows under "
            f"{len(request.prompts):,} prompts), more than the {service.limits.examples:,} that "
            "this service takes: name fewer prompts, or send a smaller file."
        )


def expect_harmless(request: OptimizationRequest, labels: Collection[str]) -> tuple[str, ...]:
    """Return the models that the request's search lists.

    Args:
        request: The request.
        labels: The labels of the models that it may name.

    Raises:
        SettingsError: It lists another model, or searches a setting that no request may.
    """
    for key in request.search.space if request.search else ():
        _expect_searchable(key, request)
    names = searched_models(request)
    try:
        for name in names:
            _expect_known("model of this service", name, labels)
    except SettingsError as problem:
        raise SettingsError(f"In search.space, {OPTIMIZER}: {problem}") from None
    return names


def expect_within(request: OptimizationRequest, service: ServiceSettings) -> None:
    """Refuse a request that is larger than the operator allows.

    It counts, and makes no trial, example or point.

    Raises:
        SettingsError: It is larger, or `expect_offered` refuses it.
    """
    limits = service.limits
    rules = [(task.sizes or request.sizes).build() for task in request.tasks]
    # How many examples shares are, and a file's own splits, is known once the file was read.
    examples = sum(rule.total for rule in rules if isinstance(rule, Sizes)) * len(
        set(request.seeds)
    )
    expect_few_examples(examples, service)
    trials = requested_trials(request, service)
    if trials > limits.trials:
        raise SettingsError(
            f"The request has {trials:,} trials, more than the {limits.trials:,} that this service "
            "takes: ask for "
            "fewer tasks, strategies, seeds or points of the search, or send several requests."
        )


def expect_few_examples(examples: int, service: ServiceSettings) -> None:
    """Refuse a request whose splits have more examples together than the operator allows.

    Raises:
        SettingsError: They have.
    """
    limits = service.limits
    if examples > limits.examples:
        raise SettingsError(
            f"The request has {examples:,} examples in the splits of all its tasks and seeds, more "
            f"than the {limits.examples:,} that this service takes: make sizes smaller, or take "
            "fewer tasks or seeds."
        )


def _points(request: OptimizationRequest, service: ServiceSettings) -> int:
    """Return how many points the search tries for each task and seed, at most."""
    search, limits, models = request.search, service.limits, expect_offered(request, service)
    assert search is not None
    domains = {key: parse_domain(values) for key, values in search.space.items()}
    values = sum(len(domain.probes) for domain in domains.values())
    if len(domains) > limits.searched_settings or values > limits.searched_values:
        raise SettingsError(
            f"The search has {len(domains):,} settings with {values:,} values together; this "
            "service takes "
            f"{limits.searched_settings:,} settings with {limits.searched_values:,} values. A "
            "range counts as two."
        )
    space = read_space(
        search.space,
        labelled(request.strategies),
        request.selection,
        models[request.optimizer],
        request.sampling.changed,
        models,
        tried=False,
    )
    if (optimizers := space.part(OPTIMIZER).count() or 0) > limits.searched_models:
        raise SettingsError(
            f"The search has {optimizers:,} optimizer models, more than the "
            f"{limits.searched_models:,} that this service takes."
        )
    searcher, count, trials = search.searcher.build(), space.count(), search.trials or TRIALS
    if isinstance(searcher, Grid):
        return count or 0  # None: its range of real numbers is refused where the search is planned
    return min(trials, count or trials) if isinstance(searcher, Random) else trials


def _expect_searchable(key: str, request: OptimizationRequest) -> None:
    """Raise SettingsError for a key that a search of the service may not have.

    A setting that the strategy or rule does not have at all passes here: the search space itself
    says which settings there are.
    """
    owner, _, setting = key.rpartition(".")
    labels = {strategy.label: strategy.name for strategy in labelled(request.strategies)}
    if owner == OPTIMIZER and setting not in MODEL_SETTINGS:
        raise SettingsError(
            f"In search.space, {shortened(key)}: of a model this service searches "
            f"{', '.join(MODEL_SETTINGS)} alone; everything else "
            "about a model is its operator's."
        )
    if owner == SAMPLING and setting not in SAMPLING_SETTINGS:
        raise SettingsError(
            f"In search.space, {shortened(key)}: known are: {', '.join(SAMPLING_SETTINGS)}."
        )
    kinds: list[Any] = []
    if owner == STRATEGY:
        kinds = [STRATEGIES[name] for name in labels.values() if name in STRATEGIES]
    elif owner == SELECTION:
        kinds = list(SELECTION_RULES.values())
    elif labels.get(owner) in STRATEGIES:
        kinds = [STRATEGIES[labels[owner]]]
    for kind in kinds:
        if setting in kind.__dataclass_fields__ and setting not in harmless_settings(
            kind, texts=False
        ):
            raise SettingsError(
                f"In search.space, {shortened(key)}: only numbers and choices are searched."
            )


def searched_models(request: OptimizationRequest) -> tuple[str, ...]:
    """Return the labels of the optimizer models that the request's search lists.

    Raises:
        SettingsError: The entry is no list.
    """
    space = request.search.space if request.search else {}
    domain = parse_domain(space[OPTIMIZER]) if OPTIMIZER in space else OneOf(())
    if not isinstance(domain, OneOf):
        raise SettingsError(f"In search.space, {OPTIMIZER}: it must be a list of labels.")
    return tuple(str(name) for name in domain.values)


def requested_trials(request: OptimizationRequest, service: ServiceSettings) -> int:
    """Return how many trials the job has; plans none of them."""
    points = _points(request, service) if request.search else len(request.strategies)
    return len(request.tasks) * len(set(request.seeds)) * points


def _expect_a_name(name: str) -> None:
    if name.startswith("."):
        raise SettingsError(f"A job's name does not begin with a dot; {name!r} does.")


def _expect_known(noun: str, name: str | None, known: Collection[str]) -> None:
    if name is not None and name not in known:
        raise unknown_name(noun, shortened(name), known)
