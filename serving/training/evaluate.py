"""Evaluate the built-in target model under different prompts.

Run `python -m serving.training.evaluate [TASK_FILE ...]`. It prints a table, task x prompt
condition: accuracy and the share of steps followed. Without files the items are newly generated,
for every generated task; with files (BIG-Bench Hard json, or any other task file) they are those in
the files, where they belong to a generated task's family.
"""

import argparse
import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from optimizer.errors import DataError, PromptrayError
from optimizer.evaluation.evaluator import Evaluation
from optimizer.graders.graders import grader_named
from optimizer.prompt import SEED_INSTRUCTION, Demonstration, Prompt, Step, adherence
from optimizer.selection import SELECTION_RULES
from optimizer.tasks.files import read_source
from optimizer.tasks.generated import GENERATED, GeneratedTask, Item
from optimizer.tasks.loading import default_scorer
from optimizer.types import Answer, Example, Sampling
from serving.engines.rulebook.phrasebook import PHRASEBOOK, STRONGER, task_behind
from serving.models import open_in_process
from serving.settings import TargetSettings

CLOSING = "End with 'Answer: ' and the answer."
FRESH_SEED = "evaluate"
"""Training draws from another random seed, so these items are new to the model but for chance
repeats of very short ones.
"""


def conditions(task: GeneratedTask, rng: Random) -> dict[str, Prompt]:
    """Return the prompts under which a task is answered, by their names for people.

    Demonstrations are generated items, never of a file.
    """
    book = PHRASEBOOK[task.name]
    plain = tuple(Step(f"{book[kind].phrases[0]}.", book[kind].form) for kind in task.kinds)
    strong = tuple(replace(step, text=step.text[:-1] + STRONGER[2] + ".") for step in plain)
    shown = tuple(demonstration(task, _middling(task, rng)) for _ in range(2))
    return {
        "seed": Prompt(SEED_INSTRUCTION),
        "right steps": Prompt("", plain, (), CLOSING),
        "emphatic steps": Prompt("", strong, (), CLOSING),
        "+ 1 demonstration": Prompt("", plain, shown[:1], CLOSING),
        "+ 2 demonstrations": Prompt("", plain, shown, CLOSING),
    }


def demonstration(task: GeneratedTask, item: Item) -> Demonstration:
    """Return an item worked out in full."""
    blocks = [
        f"Step {number}: {block}" for number, block in enumerate(item.work(task.kinds).values(), 1)
    ]
    return Demonstration(item.question(), "\n".join([*blocks, f"Answer: {item.answer}"]))


def _middling(task: GeneratedTask, rng: Random) -> Item:
    while True:
        item = task.generate(rng)
        # Short ones show too little of the procedure, long ones fill the context.
        if 4 <= item.size <= 6:
            return item


def fresh(task: GeneratedTask, count: int) -> list[Example]:
    """Return newly generated examples."""
    rng = Random(FRESH_SEED + task.name)
    items = (task.generate(rng) for _ in range(count))
    return [
        Example(str(at), item.question(), (item.answer,), task.answers)
        for at, item in enumerate(items)
    ]


def of_file(path: str, count: int) -> tuple[GeneratedTask, list[Example]]:
    """Return the generated task behind a file's items, and the first items.

    Raises:
        DataError: If the items belong to no family with known steps.
    """
    examples = list(read_source(Path(path)).examples)[:count]
    task = task_behind([example.input for example in examples])
    if task is None:
        raise DataError(
            f"The right steps of {path} are not known; name a file of one of these tasks: "
            f"{', '.join(GENERATED)}."
        )
    return task, examples


async def measure(
    task: GeneratedTask,
    examples: Sequence[Example],
    rng: Random,
    names: Collection[str] | None = None,
) -> dict[str, tuple[float, float | None]]:
    """Return (accuracy, adherence) by condition: of all conditions, or of those in `names`."""
    model = open_in_process(TargetSettings())
    grader = grader_named(default_scorer(examples))
    evaluation = Evaluation(model, grader, (), SELECTION_RULES["full"](), Sampling(max_tokens=512))
    found = {}
    for name, prompt in conditions(task, rng).items():
        if names is not None and name not in names:
            continue
        answers = await evaluation.grade(prompt, examples, "validate")
        found[name] = (_accuracy(answers), adherence(prompt, [answer.text for answer in answers]))
    return found


def _accuracy(answers: Sequence[Answer]) -> float:
    return sum(answer.score.verdict == "right" for answer in answers) / len(answers)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", metavar="TASK_FILE")
    parser.add_argument("--items", type=int, default=150, help="items a task")
    options = parser.parse_args()
    try:
        work = [(path, *of_file(path, options.items)) for path in options.files] or [
            (name, task, fresh(task, options.items)) for name, task in GENERATED.items()
        ]
    except PromptrayError as problem:
        parser.exit(2, f"{problem}\n")
    columns = ("task", "condition", "accuracy", "adherence")
    table = Table(*columns, title="builtin:target", caption=f"up to {options.items} items a task")
    for name, task, examples in work:
        for condition, (accuracy, followed) in asyncio.run(
            measure(task, examples, Random(task.name))
        ).items():
            table.add_row(
                name, condition, f"{accuracy:.2f}", "" if followed is None else f"{followed:.2f}"
            )
        table.add_section()
    Console().print(table)


if __name__ == "__main__":
    main()
