"""Loading of a task by its name or file.

Decides what a source's examples mean: their scorer, their choices, their splits. File formats are
read in optimizer.tasks.files; this module knows none of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from optimizer.errors import DataError, SettingsError, shortened, unknown_name
from optimizer.graders.base import expect_gradable, pure_part
from optimizer.graders.graders import GRADERS, GraderSpec, as_spec
from optimizer.graders.reading.numbers import as_number
from optimizer.graders.regex import check_pattern
from optimizer.json_values import is_json_object
from optimizer.paths import expanded
from optimizer.prompt import ANSWER_LABEL, SEED_INSTRUCTION
from optimizer.tasks.columns import Columns, place_notes
from optimizer.tasks.files import read_source
from optimizer.tasks.generated import GENERATED, GeneratedTask
from optimizer.tasks.imported import TASKS, make
from optimizer.tasks.locked import LockedSplit
from optimizer.tasks.own_splits import merged, separated, split_of, splits_of, with_rows
from optimizer.tasks.rows import Source
from optimizer.tasks.sizes import Shares, SizeRule, Sizes
from optimizer.tasks.splitting import first_of_each
from optimizer.tasks.targets import few_targets, solved, with_yes_no
from optimizer.tasks.task import MOST_LABELS, Task, hash_examples
from optimizer.types import Completion, Example

MOST_IMPOSSIBLE = 0.2
"""Share of examples with targets that no answer can match, above which a file is refused [ours];
the same as for missing items.
"""
TRIES_PER_ITEM = 50


def load_task(
    source: str,
    *,
    sizes: SizeRule,
    seed: int,
    scorer: str | GraderSpec | None = None,
    seed_instruction: str | None = None,
    description: str = "",
    columns: Columns | None = None,
    others: Mapping[str, str] | None = None,
    shown: str = "",
    answered: bool = True,
) -> Task:
    """Load the task that `source` names.

    The same source, sizes and seed give the same task on every machine.

    Args:
        source: A name in TASKS, or the path of a .json, .jsonl, .csv, .tsv or .parquet file.
        sizes: Number of examples of each split.
        seed: Random seed of the splits, and of generated items.
        scorer: The grader, by its name or with settings; None derives it from the examples.
        seed_instruction: The baseline; None means the system message that all chats of a file
            share, or else SEED_INSTRUCTION.
        description: What the task is, for the optimizer model; "" takes the source's own.
        columns: Where a file's rows have the parts of an example.
        others: Paths of the files of the dev and test splits, by split, where `source` is that of
            the train split.
        shown: The file's name for messages, where it lies under another one.
        answered: Whether every example must have a target, since the grader needs it.

    Raises:
        DataError: If the source cannot be used; it names every fault that can be seen.
        SettingsError: If the grader is unknown.
    """
    if scorer is not None and as_spec(scorer).name not in GRADERS:
        raise unknown_name(GRADERS.noun, as_spec(scorer).name, GRADERS)
    named = TASKS.get(source)
    if named is None:
        found = _read(source, columns, shown, answered)
        if others:
            given = {part: _read(path, columns, "", answered) for part, path in others.items()}
            found = merged({"train": found, **given})
        found = replace(found, description=description or found.description)
        task = _split_source(found, sizes, seed, scorer, seed_instruction, noted=True)
        names = list(task.train[0].fields)
        return replace(task, target_columns=(columns or Columns()).of_target(names))
    if isinstance(sizes, Shares):
        raise SettingsError(
            f"The task {source} is made to size and has no shares; give it counts, or auto."
        )
    if isinstance(named, GeneratedTask):
        found = _generate(named, Sizes(sizes.train, sizes.dev, sizes.test), seed)
        found = replace(found, description=description or found.description)
        task = _split_source(found, sizes, seed, scorer or named.scorer, seed_instruction)
        return replace(task, plain=True)  # on purpose: see Problem.where
    task = _made(source, make(source, named, sizes, seed), scorer, seed_instruction)
    return replace(task, description=description or task.description)


def split_task(
    name: str,
    examples: Sequence[Example],
    sizes: SizeRule,
    seed: int,
    *,
    description: str = "",
    scorer: str | GraderSpec | None = None,
) -> Task:
    """Return a task of examples, split by the seed as those of a file are.

    Args:
        name: For people.
        examples: All of them; of two with one input the first is taken.
        sizes: How many examples each split gets.
        seed: Draws the splits.
        description: One or two sentences for the optimizer model.
        scorer: A name in GRADERS, or a grader with settings; None lets the examples decide.

    Raises:
        DataError: The examples are too few, or cannot be used.
    """
    return _split_source(Source(name, description, tuple(examples)), sizes, seed, scorer, None)


def _made(
    source: str, task: Task, scorer: str | GraderSpec | None, seed_instruction: str | None
) -> Task:
    """Return a task that comes from elsewhere as it is run: judged by `scorer` where that is given.

    Raises DataError where a split is empty, or shares an input with another.
    """
    grader = as_spec(scorer) if scorer else task.grader
    # The lock is taken off what was made a moment ago, to look at it, and put on again.
    parts = (task.train, task.dev, task.test.single_reading().read())
    train, dev, test = (tuple(fitted(part, grader.name)) for part in parts)
    inputs = [example.input for example in (*train, *dev, *test)]
    if not (train and dev and test) or len(set(inputs)) < len(inputs):
        raise DataError(
            f"The task {source} has an empty split, or an input that stands twice; its splits "
            "must share nothing."
        )
    return replace(
        task,
        seed_instruction=task.seed_instruction if seed_instruction is None else seed_instruction,
        grader=grader,
        train=train,
        dev=dev,
        test=LockedSplit.lock(test),
        data_hash=hash_examples((*train, *dev, *test)),
    )


def _split_source(
    found: Source,
    sizes: SizeRule,
    seed: int,
    scorer: str | GraderSpec | None,
    seed_instruction: str | None,
    noted: bool = False,
) -> Task:
    """Return the task of a source; `noted`: with a sentence on what was read of it.

    Raises:
        DataError: It cannot be used; every fault that can be seen is named.
    """
    faults: list[str] = []
    kept, leaks = separated(found) if found.splits else (list(found.examples), [])
    different, conflict = first_of_each(kept)
    examples = [with_yes_no(example) for example in solved(different)]
    faults += [conflict] if conflict else []
    grader = as_spec(scorer or default_scorer(examples))
    try:
        examples = fitted(examples, grader.name)
    except DataError as problem:
        faults.append(str(problem))
    # Split after fitting: what a scorer needs must not depend on the split.
    try:
        train, dev, test = splits_of(found, examples, sizes, Random(f"split {seed}"))
    except DataError as problem:
        faults.append(str(problem))
    if faults:
        raise DataError(" ".join(faults))
    impossible = _impossible_targets((*train, *dev, *test), grader)
    instruction = (
        (found.system or SEED_INSTRUCTION) if seed_instruction is None else seed_instruction
    )
    train, dev, test = with_rows(found, (train, dev, test))
    own = split_of(found) if found.splits else {}
    notes = [*leaks, *found.notes, *place_notes(instruction)]
    if found.system and seed_instruction is None:
        notes.append("the system message that its chats share is the baseline")
    if type(sizes) is not Sizes or found.splits:
        notes.append(f"split into {len(train)}, {len(dev)} and {len(test)}")
    return Task(
        found.name,
        found.description,
        instruction,
        grader,
        train,
        dev,
        LockedSplit.lock(test),
        hash_examples(examples, (own[example.id] for example in examples) if own else ()),
        _data_note(found, examples, grader.name, notes) + impossible if noted else "",
    )


def _impossible_targets(examples: Sequence[Example], spec: GraderSpec) -> str:
    """Return a sentence on targets that the grader rejects even if a model repeats them exactly.

    Returns:
        The sentence, "" where there are none.

    Raises:
        DataError: If they are more than MOST_IMPOSSIBLE of the examples, so that the grader is the
            wrong one.
    """
    # The targets of regex are patterns, and what an imported grader reads is not known.
    if spec.name == "regex" or spec.name not in GRADERS.table:
        return ""
    grader = pure_part(spec.build())
    if grader is None:
        return ""
    expect_gradable(spec.name, grader, examples)
    impossible = [
        example
        for example in examples
        if not any(
            grader.score(Completion(f"{ANSWER_LABEL} {answer}"), example).verdict == "right"
            for answer in example.answers
        )
    ]
    if not impossible:
        return ""
    first, more = (
        impossible[0],
        f", and those of {len(impossible) - 1} more," if len(impossible) > 1 else "",
    )
    sentence = (
        f"The target {shortened(first.answers[0])!r} of example {shortened(first.id)}{more} cannot "
        "be right under the scorer "
        f"{spec.name}, even where a model answers exactly it; choose another scorer, or correct "
        "the target."
    )
    if len(impossible) > MOST_IMPOSSIBLE * len(examples):
        raise DataError(sentence)
    return f" {sentence}"


def _data_note(
    found: Source, examples: Sequence[Example], scorer: str, notes: Sequence[str] = ()
) -> str:
    """Return a sentence on what was read and used: rows, unused columns, and classes."""
    rows, kept = len(found.examples), len(examples)
    left_out = f", {rows - kept} repeated ones left out" if kept < rows else ""
    unused = f"; not used: {shortened(', '.join(found.unused))}" if found.unused else ""
    targets = {example.answers[:1] for example in examples}
    classes = (
        f"; {len(targets)} different targets"
        if scorer == "choice" and len(targets) <= MOST_LABELS
        else ""
    )
    more = "".join(f"; {note}" for note in notes)
    return f"{found.name}: {rows} rows{left_out}, grader {scorer}{classes}{unused}{more}."


def default_scorer(examples: Sequence[Example]) -> str:
    """Return the name of the scorer that fits the examples.

    It is choice where they list choices, or their targets are few; number where all targets are
    numbers; else exact.
    """
    if all(example.choices for example in examples):
        return "choice"
    answers = [answer for example in examples for answer in example.answers]
    if all(as_number(answer) is not None for answer in answers):
        return "number"
    if "json" in GRADERS and all(map(is_json_object, answers)):
        return "json"
    return "choice" if few_targets(examples) else "exact"


def fitting_scorers(examples: Sequence[Example]) -> tuple[str, ...]:
    """Return the scorers that can score these examples, the default one first.

    Any text may be a pattern, so regex is never among them.
    """
    wanted = default_scorer(examples)
    numbers = all(
        as_number(answer) is not None for example in examples for answer in example.answers
    )
    return tuple(dict.fromkeys([wanted, *(["number"] if numbers else []), "exact"]))


def fitted(examples: Sequence[Example], scorer: str) -> list[Example]:
    """Return the examples as their scorer needs them: with choices, or with patterns that compile.

    Raises:
        DataError: If a target does not fit the scorer.
    """
    if scorer == "regex":
        for example in examples:
            for pattern in example.answers:
                check_pattern(pattern, example.id)
    if scorer == "number":
        odd = next(
            (
                example
                for example in examples
                if all(as_number(answer) is None for answer in example.answers)
            ),
            None,
        )
        if odd is not None:
            raise DataError(
                f"Example {odd.id} has the target {shortened(odd.answers[0])!r}, which is no "
                "number; use the scorer exact."
            )
    if scorer == "choice":
        targets = tuple(sorted({example.answers[0] for example in examples if example.answers}))
        return [
            example if example.choices else replace(example, choices=targets)
            for example in examples
        ]
    return list(examples)


def _read(source: str, columns: Columns | None, shown: str, answered: bool) -> Source:
    path = expanded(source)
    if not path.exists() and not path.suffix and path.name == source:
        raise DataError(
            f"There is no task called {source!r}, and no file of that name; generated tasks are: "
            f"{', '.join(sorted(GENERATED))}."
        )
    return read_source(path, columns=columns, shown=shown, answered=answered)


def _generate(task: GeneratedTask, sizes: Sizes, seed: int) -> Source:
    """Return just the items that the splits need, all of them different."""
    # The name is part of the seed, so that two tasks do not share their draws.
    rng = Random(f"{task.name} {seed}")
    answer_by_question: dict[str, str] = {}
    for _ in range(TRIES_PER_ITEM * sizes.total):
        if len(answer_by_question) == sizes.total:
            break
        item = task.generate(rng)
        answer_by_question[item.question()] = item.answer
    examples = tuple(
        Example(f"{task.name}/{number}", question, (answer,), task.answers)
        for number, (question, answer) in enumerate(answer_by_question.items(), 1)
    )
    return Source(task.name, task.description, examples)
