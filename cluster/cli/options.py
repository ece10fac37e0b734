"""The options that `promptray run` and `promptray submit` share: each overrides a setting."""

from typing import Annotated

import typer

File = Annotated[
    str, typer.Argument(help="Settings of the experiment, such as tune_configs/quickstart.yaml.")
]
Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", help="A generated task's name or a data file; may be repeated."),
]
Target = Annotated[
    str | None,
    typer.Option(
        help="builtin:NAME, vllm:MODEL, openai:MODEL@BASE_URL or scripted:FILE; or a mapping, in "
        "quotes."
    ),
]
Optimizer = Annotated[str | None, typer.Option(help="As --target.")]
Strategies = Annotated[
    list[str] | None,
    typer.Option("--strategy", help="A strategy's name, or its label in FILE; may be repeated."),
]
Selection = Annotated[str | None, typer.Option(help="A selection rule's name.")]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="May be repeated.")]
Scorer = Annotated[str | None, typer.Option(help="exact, choice, number or regex, for every task.")]
SeedInstruction = Annotated[str | None, typer.Option(help="The baseline prompt, for every task.")]
Splits = Annotated[
    str | None, typer.Option("--sizes", help="Examples in the splits: TRAIN,DEV,TEST.")
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
