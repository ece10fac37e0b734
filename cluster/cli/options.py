"""The options that `promptray run`, `check` and `submit` share: each overrides a setting."""

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from cluster.entry.reading import ExperimentOptions

File = Annotated[
    str,
    typer.Argument(
        help="Settings of the experiment (.yaml), a bundled experiment's name such as quickstart, "
        "or your data (.csv, .tsv, .jsonl, .json, .parquet), with options for the rest.",
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", help="A generated task's name or a data file; may be repeated."),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target",
        "--model",
        help="The model that the prompt is for: builtin:NAME, vllm:MODEL, openai:MODEL@BASE_URL, "
        "litellm:MODEL, python:MODULE:FUNCTION or scripted:FILE; or a mapping, in quotes.",
    ),
]
Optimizer = Annotated[
    str | None,
    typer.Option(help="The model that writes prompts, as --target. Of data alone: the same one."),
]
Strategies = Annotated[
    list[str] | None,
    typer.Option("--strategy", help="A strategy's name, or its label in FILE; may be repeated."),
]
Selection = Annotated[str | None, typer.Option(help="A selection rule's name.")]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="May be repeated.")]
Grader = Annotated[
    str | None,
    typer.Option(
        help="What judges an answer, for every task: a name (see `promptray list`), or a mapping, "
        "in quotes. Default: what the data suggests."
    ),
]
Scorer = Annotated[str | None, typer.Option(help="The older name of --grader.")]
BaselinePrompt = Annotated[
    str | None,
    typer.Option("--prompt", help="The baseline prompt: a file, or the text itself."),
]
SeedInstruction = Annotated[
    str | None, typer.Option(help="The baseline prompt, for every task, as text.")
]
Describe = Annotated[
    str | None,
    typer.Option(help="What the task is about, for the optimizer model: one or two sentences."),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        help="A part of the prompt that stays word for word in every candidate; may be repeated."
    ),
]
Input = Annotated[
    str | None,
    typer.Option(
        help="The column of the input, or a template such as '{{question}} {{context}}'. "
        "Default: input."
    ),
]
TargetColumn = Annotated[
    str | None, typer.Option(help="The column of the right answer. Default: target.")
]
LeastScore = Annotated[
    float | None,
    typer.Option(
        "--min",
        min=0,
        max=1,
        help="The mean score that every prompt must reach; exit code 5: one does not.",
    ),
]
WholeMoney = Annotated[float | None, typer.Option(help="Budget, in the currency of the prices.")]
PaidCalls = Annotated[int | None, typer.Option(help="Budget of paid calls; cached ones are free.")]
AnswerTokens = Annotated[int | None, typer.Option(help="Limit of each answer.")]
Splits = Annotated[
    str | None,
    typer.Option(
        "--sizes",
        help="Examples in the splits: TRAIN,DEV,TEST, shares such as 0.3,0.3,0.4, or auto.",
    ),
]
Money = Annotated[
    float | None,
    typer.Option(help="Budget of all trials together, in the currency of the prices."),
]
Prices = Annotated[
    str | None,
    typer.Option(
        metavar="READ,WRITTEN",
        help="What a million tokens of the target model cost, such as 0.15,0.6.",
    ),
]
OptimizerPrices = Annotated[
    str | None, typer.Option(metavar="READ,WRITTEN", help="As --prices, of the optimizer model.")
]
Code = Annotated[
    list[str] | None,
    typer.Option(
        help="A file or folder with a model, grader, strategy or task of your own, which is named "
        "MODULE:NAME; may be repeated. Default: what FILE lists."
    ),
]
TargetCalls = Annotated[int | None, typer.Option(help="Budget of one trial.")]
OptimizerCalls = Annotated[int | None, typer.Option(help="Budget of one trial.")]
Concurrency = Annotated[int | None, typer.Option(help="Trials at once.")]
Out = Annotated[
    str | None,
    typer.Option(
        help="Results folder, a path or a URI such as s3://BUCKET/FOLDER; the same one again "
        "continues what is in it."
    ),
]
OutOnCluster = Annotated[
    str | None,
    typer.Option(
        "--out",
        help=(
            "Results folder, seen from the cluster's head, or a URI. Default: results/NAME in the "
            "head's home; on a cluster of several machines, or a temporary one, name a place that "
            "outlives it."
        ),
    ),
]


@dataclass(frozen=True, kw_only=True)
class SharedOptions:
    """The options themselves; a command takes them by `with_shared_options`."""

    task: Tasks = None
    input: Input = None
    target_column: TargetColumn = None
    prompt: BaselinePrompt = None
    describe: Describe = None
    keep: Keep = None
    grader: Grader = None
    target: Target = None
    optimizer: Optimizer = None
    strategy: Strategies = None
    selection: Selection = None
    seed: Seeds = None
    scorer: Scorer = None
    seed_instruction: SeedInstruction = None
    sizes: Splits = None
    code: Code = None
    money: Money = None
    prices: Prices = None
    optimizer_prices: OptimizerPrices = None
    target_calls: TargetCalls = None
    optimizer_calls: OptimizerCalls = None
    concurrency: Concurrency = None

    def of_experiment(self, **more: Any) -> ExperimentOptions:
        """Return them with those that a command has of its own."""
        given = asdict(self) | more
        renamed = {_LONGER_NAMES.get(name, name): value for name, value in given.items()}
        return ExperimentOptions(**renamed)


_LONGER_NAMES = {
    "task": "tasks",
    "strategy": "strategies",
    "seed": "seeds",
    "describe": "description",
}


def with_shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options behind its argument FILE.

    The command takes them together, as its parameter `shared`.
    """
    hints = get_type_hints(SharedOptions, include_extras=True)
    own = get_type_hints(command, include_extras=True)
    names = {field.name for field in fields(SharedOptions)}
    first, *rest = (
        parameter.replace(annotation=own[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "shared"
    )
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(SharedOptions)
    ]

    @wraps(command)
    def taking(**given: Any) -> None:
        options = {name: given.pop(name) for name in names}
        command(shared=SharedOptions(**options), **given)

    parameters = [first, *shared, *rest]
    taking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    taking.__annotations__ = {one.name: one.annotation for one in parameters}
    return taking
