"""All five measures of one task and one pair of models.

Each measure uses the findings of those before it. The two models come with their guards: an
exhausted budget ends the measure that needed it, and is reported in its place. Knows no engine and
no file.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, TypeVar

from optimizer.candidate import Problem
from optimizer.diagnostics.ablations import SHORT, Ablations, ablations
from optimizer.diagnostics.causes import ByProcedure, by_localiser
from optimizer.diagnostics.evidence import Evidence, Feedback, collect, feedbacks_on, judged
from optimizer.diagnostics.findings import Finding, NotMeasured, to_json
from optimizer.diagnostics.one_step import OneStep, one_step
from optimizer.diagnostics.predictability import Predictability, predictability
from optimizer.diagnostics.reflection_bias import ReflectionBias, reflection_bias
from optimizer.diagnostics.reflection_validity import ReflectionValidity, reflection_validity
from optimizer.errors import BudgetExhausted
from optimizer.operators.asking import Asking
from optimizer.protocols import Evaluator, OptimizerModel
from optimizer.strategies.abo import ABO
from optimizer.types import Example, Sampling
from optimizer.validators import at_least

T = TypeVar("T")
Tell = Callable[[str], None]
MEASURES = (
    "reflection bias",
    "reflection validity",
    "one-step refinement",
    "predictability of the target",
    "ABO's ablations",
)


@dataclass(frozen=True, kw_only=True)
class Depth:
    """Settings of how much is measured.

    Raises:
        SettingsError: For a value out of range.
    """

    error_sets: int = 24
    """Number of disjoint sets of errors, and so of feedbacks of each kind: a fault of 0.9 of
    them is then distinguished from one half in 99 of 100 cases [ours].
    """
    errors_per_set: int = 4
    """Maximum number of errors in a set (ProTeGi, arXiv 2305.03495: 4 errors to a critic)."""
    temperature: float = 0.7
    """Temperature of the optimizer model (ProTeGi: 0.7)."""
    max_tokens: int = 1024
    """Maximum tokens of a reply of the optimizer model (ProTeGi: 1024)."""
    ablation_seeds: int = 1
    """Number of searches of each variant of ABO [ours]."""
    search: ABO = SHORT
    """The search that the ablations change."""

    def __post_init__(self) -> None:
        at_least(
            1,
            error_sets=self.error_sets,
            errors_per_set=self.errors_per_set,
            max_tokens=self.max_tokens,
            ablation_seeds=self.ablation_seeds,
        )
        at_least(0, temperature=self.temperature)


@dataclass(frozen=True)
class Subject:
    """The task to diagnose; nothing is selected here for a final test, so it has no test split."""

    problem: Problem
    dev: tuple[Example, ...]
    """Items on which refinements are tried, and searches select."""
    held_out: tuple[Example, ...]
    """Items seen by no search: for the ablations' best prompts, and for the steps that the
    target follows.
    """
    procedure: ByProcedure | None
    """The known causes of errors; None lets the localiser judge them."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The findings; each is a NotMeasured where the measure could not be made."""

    bias: ReflectionBias | NotMeasured
    validity: ReflectionValidity | NotMeasured
    one_step: OneStep | NotMeasured
    predictability: Predictability | NotMeasured
    ablations: Ablations | NotMeasured
    feedbacks: tuple[Feedback, ...] = ()
    errors: int = 0
    answered: int = 0
    """Training examples that the baseline got wrong, and those that it answered."""

    @property
    def finding_by_measure(self) -> Mapping[str, Finding]:
        """Return the findings in the order of MEASURES."""
        findings: Sequence[Finding] = (
            self.bias,
            self.validity,
            self.one_step,
            self.predictability,
            self.ablations,
        )
        return dict(zip(MEASURES, findings, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers.

        Each measure has its verdict and its sentence.
        """
        found = {name: to_json(finding) for name, finding in self.finding_by_measure.items()}
        return {
            "measures": found,
            "errors": self.errors,
            "answered": self.answered,
            "feedbacks": [asdict(feedback) for feedback in self.feedbacks],
        }


async def diagnose(
    subject: Subject,
    optimizer: OptimizerModel,
    evaluate: Evaluator,
    depth: Depth,
    seed: int,
    tell: Tell = lambda _: None,
) -> Diagnosis:
    """Run the measures one after the other.

    Deterministic given `seed` and the models' answers. Errors of the models pass through, but for
    BudgetExhausted.

    Args:
        subject: The task and its items.
        optimizer: The optimizer model.
        evaluate: The target model on the task.
        depth: How much is measured.
        seed: The random seed.
        tell: Called with the name of each measure before it begins.
    """
    work = _Work(subject, optimizer, evaluate, depth, seed)
    tell("Collecting errors and feedbacks")
    reflected = await _unless_spent(work.reflect())
    # Bias, validity and refinement all rest on the same feedbacks.
    if isinstance(reflected, NotMeasured):
        bias: ReflectionBias | NotMeasured = reflected
        validity: ReflectionValidity | NotMeasured = reflected
        refined: OneStep | NotMeasured = reflected
    else:
        bias = reflection_bias(reflected.feedbacks, work.rng("bias"))
        validity = reflection_validity(reflected.feedbacks, reflected.labels, reflected.exact)
        tell("Refining once")
        refined = await _unless_spent(work.refine(reflected))
    tell("Searching with and without ABO's parts")
    searched = await _unless_spent(work.ablate())
    tell("Following steps")
    followed = (
        await _unless_spent(work.follow(searched)) if isinstance(searched, Ablations) else searched
    )
    known = reflected if isinstance(reflected, _Reflected) else None
    return Diagnosis(
        bias=bias,
        validity=validity,
        one_step=refined,
        predictability=followed,
        ablations=searched,
        feedbacks=known.feedbacks if known else (),
        errors=known.evidence.errors if known else 0,
        answered=known.evidence.answered if known else 0,
    )


@dataclass(frozen=True)
class _Reflected:
    """The feedbacks, and the standards of their validity."""

    evidence: Evidence
    feedbacks: tuple[Feedback, ...]
    labels: tuple[str, ...]
    exact: bool


@dataclass(frozen=True)
class _Work:
    """The calls of one diagnosis."""

    subject: Subject
    optimizer: OptimizerModel
    evaluate: Evaluator
    depth: Depth
    seed: int

    def rng(self, purpose: str) -> Random:
        """Return a generator for one part, so that no part depends on the draws of another."""
        return Random(f"{purpose} {self.seed}")

    async def reflect(self) -> _Reflected | NotMeasured:
        """Collect errors and feedbacks on them."""
        problem, ask = self.subject.problem, self._asking("reflect")
        evidence = await collect(
            problem,
            self.evaluate,
            self.depth.error_sets,
            self.depth.errors_per_set,
            self.rng("collect"),
        )
        if not evidence.error_sets:
            return NotMeasured(
                "The baseline makes no errors on the training examples; there is nothing to "
                "reflect on."
            )
        feedbacks = await feedbacks_on(evidence, problem, ask)
        causes = self.subject.procedure or await by_localiser(problem, ask)
        return _Reflected(
            evidence, await judged(feedbacks, evidence, causes), causes.labels, causes.exact
        )

    async def refine(self, reflected: _Reflected) -> OneStep | NotMeasured:
        """Edit the baseline once for each feedback."""
        # Without an instruction there is no text to edit or to paraphrase.
        if not self.subject.problem.seed.instruction:
            return NotMeasured("The baseline is empty; there is nothing to edit.")
        return await one_step(
            self.subject.problem,
            reflected.feedbacks,
            reflected.evidence,
            self.subject.dev,
            self._asking("refine"),
            self.evaluate,
            self.rng("refine"),
        )

    async def ablate(self) -> Ablations:
        """Search with and without ABO's parts."""
        seeds = range(self.seed, self.seed + self.depth.ablation_seeds)
        return await ablations(
            self.subject.problem,
            self.optimizer,
            self.evaluate,
            self.subject.held_out,
            seeds,
            self.depth.search,
        )

    async def follow(self, searched: Ablations) -> Predictability | NotMeasured:
        """Measure whether the target follows the best plan."""
        plan = searched.best_plan
        if plan is None:
            return NotMeasured("No search has found a prompt with steps.")
        return await predictability(plan, self.subject.held_out, self.evaluate)

    def _asking(self, purpose: str) -> Asking:
        return Asking(
            self.optimizer,
            Sampling(self.depth.temperature, self.depth.max_tokens),
            self.rng(f"ask to {purpose}"),
        )


async def _unless_spent(work: Awaitable[T]) -> T | NotMeasured:
    try:
        return await work
    except BudgetExhausted as problem:
        return NotMeasured(str(problem))
