"""Send each model one request of every form that the experiment will use, before anything is spent.

A form is what an endpoint may refuse whatever the words are: the system role, the sample number
(`seed`), the temperature and max_tokens.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from cluster.config.experiment import ExperimentSettings
from cluster.config.grader import judge_model, judge_requests
from cluster.config.search_space import SAMPLING, STRATEGY
from cluster.experiment.planning import optimizers
from cluster.search.domains import Domain
from optimizer.errors import PromptrayError
from optimizer.evaluation.headroom_probe import DRAW_TEMPERATURE
from optimizer.outcome_counts import likeness
from optimizer.types import Message, Request, Sampling
from serving.clients.probe import question_like, reach
from serving.models import connect
from serving.settings import ModelSettings

Question = tuple[ModelSettings, Request]


@runtime_checkable
class Closable(Protocol):
    """A client that holds connections."""

    async def aclose(self) -> None:
        """Close them."""


def questions_of(settings: ExperimentSettings, *, repeated: bool = False) -> tuple[Question, ...]:
    """Return each model of an experiment with each form of its trials' requests.

    Args:
        settings: The experiment.
        repeated: The target also repeats requests, as `promptray check` does, and at the
            temperature of its samples.
    """
    domains = {dimension.key: dimension.domain for dimension in settings.space().dimensions}
    target = settings.target_model
    questions = [
        (target, as_target(sampling))
        for sampling in _samplings(settings.sampling.build(), domains, SAMPLING)
    ]
    if repeated:
        hot = replace(settings.sampling.build(), temperature=DRAW_TEMPERATURE)
        questions += [
            (target, replace(as_target(sampling), sample=1))
            for sampling in (settings.sampling.build(), hot)
        ]
    for spec in settings.strategies:
        strategy = spec.build()
        own = Sampling(
            getattr(strategy, "temperature", 0.0),
            getattr(strategy, "max_tokens", Sampling().max_tokens),
        )
        questions += [
            (model, as_optimizer(sampling))
            for model in optimizers(settings)
            for sampling in _samplings(own, domains, STRATEGY, spec.label)
        ]
    for task in settings.tasks:
        judge = judge_model(task.grader, settings.optimizer_model)
        if judge is not None:
            questions += [(judge, request) for request in judge_requests(task.grader)]
    return distinct(questions)


def as_target(sampling: Sampling) -> Request:
    """Return a harmless request in the form of a target's: an instruction and an item."""
    return question_like(Request((Message("system", ""), Message("user", "")), sampling))


def as_optimizer(sampling: Sampling) -> Request:
    """Return a harmless request in the form of an optimizer model's: one of several samples."""
    return question_like(Request((Message("user", ""),), sampling, sample=1))


def distinct(questions: Iterable[Question]) -> tuple[Question, ...]:
    """Return the questions without those that look the same to an endpoint."""
    seen: dict[tuple[str, Request], Question] = {}
    for model, question in questions:
        question = replace(question, sampling=model.heard(question.sampling))
        seen.setdefault((model.identity, question), (model, question))
    return tuple(seen.values())


async def check_models(questions: Sequence[Question]) -> None:
    """Send all questions at once, to those models that we do not host.

    Raises:
        AccessError: A model refuses the key.
        EndpointError: A model does not answer, or refuses. Either has every distinct reason once,
            in the endpoints' own words.
    """
    remote = [(model, question) for model, question in questions if not model.served]
    clients = {model.identity: connect(model) for model, _ in remote}
    try:
        outcomes = await asyncio.gather(
            *(reach(clients[model.identity], question) for model, question in remote),
            return_exceptions=True,
        )
    finally:
        # A service asks in one process all its life: no connection is left to the collector.
        for client in clients.values():
            if isinstance(client, Closable):
                await client.aclose()
    problems: dict[str, BaseException] = {}
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            problems.setdefault(likeness(str(outcome)), outcome)
    if problems:
        first, *others = problems.values()
        if not others or not all(
            isinstance(problem, PromptrayError) for problem in problems.values()
        ):
            raise first
        raise type(first)(" ".join(map(str, problems.values()))) from first


def _samplings(base: Sampling, domains: Mapping[str, Domain], *owners: str) -> Iterator[Sampling]:
    """Yield what a search may use: the ends of its temperatures, with its largest max_tokens."""
    temperatures = [
        value for owner in owners for value in _probes(domains, owner, "temperature")
    ] or [base.temperature]
    limits = [value for owner in owners for value in _probes(domains, owner, "max_tokens")] or [
        base.max_tokens
    ]
    for temperature in dict.fromkeys((min(temperatures), max(temperatures))):
        yield Sampling(temperature, int(max(limits)))


def _probes(domains: Mapping[str, Domain], owner: str, setting: str) -> list[float]:
    domain = domains.get(f"{owner}.{setting}")
    return (
        [float(value) for value in domain.probes if isinstance(value, int | float)]
        if domain
        else []
    )
