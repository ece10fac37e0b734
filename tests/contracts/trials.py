"""A small trial with scripted models, for all who test what becomes of one.

The target answers rightly where its prompt says GOOD, which the optimizer model proposes at once.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from random import Random

from cluster.trial.plan import TrialPlan
from cluster.trial.result import TrialResult
from cluster.trial.trial import Trial
from optimizer.candidate import Candidate, Problem, Round
from optimizer.prompt import Prompt
from optimizer.protocols import Evaluator, LanguageModel
from optimizer.scripted import ScriptedModel
from optimizer.selection import Full
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes, Task
from optimizer.types import Completion, Example, Message, Outcome, Request, Sampling
from serving.settings import parse_model

GOOD = "Count well."


@dataclass(frozen=True)
class OneByOne:
    """A search that tries a better instruction each round; `rounds` of them."""

    rounds: int = 2

    async def search(
        self, problem: Problem, optimizer: LanguageModel, evaluate: Evaluator, rng: Random
    ) -> AsyncIterator[Round]:
        """Yield the rounds of the search (see protocols.Strategy)."""
        seed = Candidate(problem.seed, "seed", 0)
        yield Round(0, await evaluate.select([seed], 1, rng))
        for number in range(1, self.rounds + 1):
            await evaluate.answers([(problem.seed, problem.train[0])])
            (reply,) = await optimizer.complete(
                [Request((Message("user", f"round {number}"),), purpose="propose")]
            )
            assert isinstance(reply, Completion)
            child = Candidate(Prompt(f"{reply.text} {number}"), "vary", number, seed.id)
            yield Round(number, await evaluate.select([seed, child], 1, rng), parse_failures=1)


def small_task() -> Task:
    """Return a task with 4 training, 6 dev and 10 test items."""
    return load_task("object_counting", sizes=Sizes(4, 6, 10), seed=0)


def small_plan() -> TrialPlan:
    """Return the plan of a trial of OneByOne, both of whose models are at an endpoint."""
    model = parse_model("openai:tiny@http://127.0.0.1:1/v1")
    return TrialPlan(
        id="t",
        task="counting",
        strategy=OneByOne(),
        strategy_label="one by one",
        selection=Full(),
        selection_label="full",
        seed=0,
        target=model,
        optimizer=model,
        sampling=Sampling(),
    )


def locked_examples(task: Task) -> tuple[Example, ...]:
    """Return the items of the test split, as only a final test may read them."""
    return task.test.single_reading().read()


def target_of(task: Task) -> ScriptedModel:
    """Return a target that answers rightly where the prompt says GOOD."""
    answer_by_input = {
        example.input: example.answers[0]
        for example in (*task.train, *task.dev, *locked_examples(task))
    }

    def script(request: Request) -> str:
        right = answer_by_input[request.messages[-1].content]
        return f"Answer: {right if GOOD in request.messages[0].content else 1000}"

    return ScriptedModel(script, "target")


def author() -> ScriptedModel:
    """Return the optimizer model, which proposes GOOD."""
    return ScriptedModel(lambda _: GOOD, "optimizer")


async def run(plan: TrialPlan, task: Task, target: LanguageModel | None = None) -> TrialResult:
    """Run the trial with the scripted models, or with another target."""
    return await Trial(plan, task, target or target_of(task), author()).run()


class Breaking:
    """Answers some batches, then breaks."""

    name = "breaking"

    def __init__(self, model: LanguageModel, batches: int, error: Callable[[], Exception]) -> None:
        self._model, self._left, self._error = model, batches, error

    async def complete(self, requests: Sequence[Request]) -> list[Outcome]:
        """Return the model's outcomes, or raise the error once the batches are used up."""
        self._left -= 1
        if self._left < 0:
            raise self._error()
        return await self._model.complete(requests)
