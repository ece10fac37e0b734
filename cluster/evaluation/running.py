"""Run a prepared evaluation on Ray: the model on Serve or behind its endpoint, one ledger.

The state of an evaluation is its ledger, as that of an experiment is: the same settings into the
same folder again pay only for what is missing. The answers are asked for in chunks of one prompt's
items, a few chunks at a time, and leave memory chunk by chunk: what stays are their scores.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.evaluation.context import HOLDER, EvaluationContext, Spending, until_stopped
from cluster.evaluation.preparation import PreparedEvaluation
from cluster.evaluation.settings import SUMMARY_FILE
from cluster.evaluation.summary import Evaluated, comparisons, summaries
from cluster.experiment.outage_notices import reporting_outages
from cluster.experiment.prepare import write_settings
from cluster.ray_runtime.hosting import host_models
from cluster.results.items import ITEMS, ITEMS_FILE, ITEMS_FOLDER, answer_row, packed
from cluster.trial.budget import price_list_of
from cluster.trial.guards import grader_with, with_ledger
from optimizer.budget.call_budget import Budget, Budgeted, Usage
from optimizer.budget.cost import Role
from optimizer.budget.paying import Paying
from optimizer.errors import BudgetExhausted, EndpointError, QuotaExhausted
from optimizer.evaluation.evaluator import Evaluation
from optimizer.outcome_counts import OutcomeCounts
from optimizer.prompt import Prompt
from optimizer.selection import Full
from optimizer.tasks.columns import visible_row
from optimizer.types import Answer, Example
from serving.budget import BudgetClient, open_budget
from serving.budget.combined import CombinedBudget
from serving.concurrency.circuit_breaker import pause_of
from serving.concurrency.gate_actor import endpoint_actors
from serving.ledger.actor import open_ledger
from serving.ledger.coordinator import LedgerClient
from serving.models import connect
from serving.runtime.blocking import run_blocking
from serving.settings import ModelSettings
from serving.storage import Folder
from serving.storage.text import storable

CHUNK = 256
"""Items of one prompt that are asked together and leave memory together [ours]."""
Watch = Callable[[int, int], None]
"""Is told how many answers there are, and how many there will be."""
_ALONE = EvaluationContext()


def run_evaluation(
    prepared: PreparedEvaluation,
    tell: Callable[[str], None],
    watch: Watch,
    context: EvaluationContext = _ALONE,
) -> Evaluated:
    """Ask the model for all items under all prompts, and write items and summary.

    Args:
        prepared: The prepared evaluation.
        tell: Is told each phase, and what does not end the run.
        watch: Is told the progress.
        context: What it runs in.

    Raises:
        UserError: The settings, a file or Ray's set-up is at fault.
        EndpointError: The model or Ray does not answer, or nothing could be measured.
        EvaluationStopped: The context has stopped it.
        QuotaExhausted: Its owner's quota is used up.
    """
    models = prepared.models
    tell("Starting Ray")
    with context.session():
        host_models(models, tell)
        endpoints = [model.endpoint for model in models if model.endpoint is not None]
        remote = open_ledger(prepared.out / "ledger")
        try:
            with endpoint_actors(endpoints), remote as ledger:
                write_settings(prepared.settings, prepared.out)
                for damage in ledger.damage:
                    tell(damage)
                evaluated = run_blocking(lambda: _evaluated(prepared, ledger, tell, watch, context))
        finally:
            if context.lasting:
                remote.end()
    prepared.out.write(SUMMARY_FILE, (json.dumps(evaluated.to_json(), indent=2) + "\n").encode())
    return evaluated


@dataclass
class _Scores:
    """What stays in memory of the answers."""

    items: int
    values: list[float | None] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)

    def add(self, answers: Sequence[Answer], asked: int) -> None:
        """Add the first answers of a chunk; the others of it have no score."""
        self.values += [answer.score.value for answer in answers]
        self.values += [None] * (asked - len(answers))
        self.verdicts.update(answer.score.verdict for answer in answers)

    @property
    def padded(self) -> list[float | None]:
        return self.values + [None] * (self.items - len(self.values))


async def _evaluated(
    prepared: PreparedEvaluation,
    ledger: LedgerClient,
    tell: Callable[[str], None],
    watch: Watch,
    context: EvaluationContext = _ALONE,
) -> Evaluated:
    settings, target = prepared.settings, prepared.settings.target_model
    model_by_role: dict[Role, ModelSettings] = {"target": target}
    if prepared.judge:
        model_by_role["grader"] = prepared.judge
    clients = {role: connect(model, context.group) for role, model in model_by_role.items()}
    limits = settings.budget.limits()
    budget = (
        open_budget(prepared.out, limits, {}, course=prepared.course) if limits.bounded else None
    )
    paying = await _paying(budget, context, ledger, model_by_role)
    usage_by_role = {role: Budget(None, role) for role in model_by_role}
    counts = OutcomeCounts()
    asked = {
        role: Budgeted(with_ledger(clients[role], model, role, ledger, paying), usage_by_role[role])
        for role, model in model_by_role.items()
    }
    answer_tokens = target.own_max_tokens or settings.sampling.max_tokens
    evaluation = Evaluation(
        asked["target"],
        grader_with(prepared.data.grader, asked.get("grader"), answer_tokens),
        (),
        Full(),
        settings.sampling.build(),
        counts,
        row_of=partial(visible_row, target_columns=prepared.data.target_columns)
        if target.sees_examples
        else None,
    )
    asking = _Asking(prepared, evaluation, watch)

    def spending() -> Spending:
        used = {role: budget.usage for role, budget in usage_by_role.items()}
        return Spending(used, _money(model_by_role, used), pause_of(*clients.values()))

    try:
        async with reporting_outages(tell, *clients.values()):
            await until_stopped(asking.run(), context, spending)
    finally:
        if budget:
            await budget.of(HOLDER).close(done=False)
            await asyncio.to_thread(budget.stop)
            if context.lasting:
                budget.end()
    scores = {label: found.padded for label, found in asking.scores.items()}
    if all(value is None for values in scores.values() for value in values) and not asking.ended:
        most = max(counts.failures, key=lambda failure: failure.calls, default=None)
        why = f" ({most.reason.rstrip('.')})" if most else ""
        raise EndpointError(
            f"Nothing could be measured: no answer of {target.label} came{why}; once it answers, "
            "the same command continues where this one ended."
        )
    spent = spending()
    return Evaluated(
        data=prepared.data.name,
        target=target.label,
        grader=prepared.data.grader.name,
        items=len(prepared.data.examples),
        prompts=summaries(
            scores,
            {label: found.verdicts for label, found in asking.scores.items()},
            settings.least_score,
        ),
        comparisons=comparisons(scores),
        least_score=settings.least_score,
        complete=not asking.ended,
        ended=asking.ended,
        calls=sum(usage.calls for usage in spent.usage_by_role.values()),
        cached=sum(usage.ledger_hits for usage in spent.usage_by_role.values()),
        money=spent.money,
        failures=counts.failures,
    )


async def _paying(
    budget: BudgetClient | None,
    context: EvaluationContext,
    ledger: LedgerClient,
    model_by_role: Mapping[Role, ModelSettings],
) -> Paying | None:
    """Begin to spend, and return who pays; None where neither budget nor owner has a limit."""
    paying: Paying | None = None
    if budget:
        own = budget.of(HOLDER)
        await own.begin(
            ledger, {role: price_list_of(model, role) for role, model in model_by_role.items()}
        )
        paying = own
    if context.owner:
        await context.owner.begin()
        # Both must permit a call: the evaluation's limits, and the day of its owner.
        paying = CombinedBudget(paying, context.owner) if paying else context.owner
    return paying


def _money(
    model_by_role: Mapping[Role, ModelSettings], spent: Mapping[Role, Usage]
) -> float | None:
    """Return the cost of the paid calls; None where a model's is not known."""
    total = 0.0
    for role, model in model_by_role.items():
        if model.prices is None or (spent[role].unmeasured and not model.prices.free):
            return None
        total += model.prices.money(spent[role].prompt_tokens, spent[role].completion_tokens)
    return total


class _Asking:
    """Asks for all answers, a few chunks at a time, and writes them in their order."""

    def __init__(self, prepared: PreparedEvaluation, evaluation: Evaluation, watch: Watch) -> None:
        self._prepared = prepared
        self._evaluation = evaluation
        self._watch = watch
        self._prompts = {spec.label: spec.build() for spec in prepared.settings.prompts}
        items = len(prepared.data.examples)
        self.scores = {label: _Scores(items) for label in self._prompts}
        self.ended = ""
        """Why the budget ended it before all was asked."""
        self._parts = _Parts(prepared.out)
        self._done = 0

    async def run(self) -> None:
        """Ask, and write OUT/items.parquet.

        Raises:
            UserError: A file cannot be written, or the model refuses the key.
            EndpointError: The model does not answer.
        """
        at_once = max(2, -(-2 * self._prepared.settings.target_model.most_at_once(1) // CHUNK))
        under_way: deque[tuple[str, int, asyncio.Task[list[Answer]]]] = deque()
        try:
            for label, chunk in self._chunks():
                # One that was refused ends the asking: what is behind it would be refused too.
                if self.ended:
                    break
                task = asyncio.create_task(self._answers(self._prompts[label], chunk))
                under_way.append((label, len(chunk), task))
                if len(under_way) >= at_once:
                    await self._take(*under_way.popleft())
            while under_way:
                await self._take(*under_way.popleft())
        finally:
            left = [task for *_, task in under_way]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        await asyncio.to_thread(self._parts.join)

    def _chunks(self) -> Iterator[tuple[str, Sequence[Example]]]:
        """Yield the items prompt by prompt: its beginning stays in the prefix cache."""
        examples = self._prepared.data.examples
        for label in self._prompts:
            for at in range(0, len(examples), CHUNK):
                yield label, examples[at : at + CHUNK]

    async def _answers(self, prompt: Prompt, examples: Sequence[Example]) -> list[Answer]:
        """Return the answers of a chunk, or of its first items where the budget ends in it."""
        work = [(prompt, example) for example in examples]
        try:
            return await self._evaluation.answers(work, "validate")
        except QuotaExhausted:
            raise  # of a quota there is more tomorrow: the evaluation goes on from here then
        except BudgetExhausted as refusal:
            self.ended = self.ended or str(refusal)
            return await self._evaluation.read(work, refusal.answered)

    async def _take(self, label: str, asked: int, task: asyncio.Task[list[Answer]]) -> None:
        answers = await task
        self.scores[label].add(answers, asked)
        rows = [
            {"trial": self._prepared.settings.name, "split": "all", "prompt": storable(label)}
            | answer_row(answer)
            for answer in answers
        ]
        await asyncio.to_thread(self._parts.write, pa.Table.from_pylist(rows, schema=ITEMS))
        self._done += len(answers)
        self._watch(self._done, len(self._prompts) * len(self._prepared.data.examples))


class _Parts:
    """The answers on disk: a file a chunk while they come, one file in the end."""

    def __init__(self, out: Folder) -> None:
        self._out = out
        self._folder = out / ITEMS_FOLDER
        self._names: list[str] = []

    def write(self, table: pa.Table) -> None:
        """Write a chunk."""
        name = f"{len(self._names):06}.parquet"
        self._folder.write(name, packed(table))
        self._names.append(name)

    def join(self) -> None:
        """Write OUT/items.parquet, a row group a chunk, and delete the parts."""
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, ITEMS, compression="zstd") as writer:
            for name in self._names:
                writer.write_table(pq.read_table(pa.BufferReader(self._folder.read(name))))
        self._out.write(ITEMS_FILE, bytes(sink.getvalue().to_pybytes()))
        self._folder.remove()
