"""From a source to a task: scorers, choices, splits, hashes; on made-up files, on generated tasks
and on real data.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import DataError, SettingsError
from optimizer.prompt import SEED_INSTRUCTION
from optimizer.tasks.generated import GENERATED
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes, Task
from optimizer.types import Completion, Example

ROOT = Path(__file__).parents[4]
DATA = ROOT.parent / "shared" / "data"
FILES = sorted(DATA.glob("*/*.json"))
SMALL = Sizes(2, 3, 4)
real_data = pytest.mark.skipif(not FILES, reason="the real task files are not beside this checkout")


def save(folder: Path, targets: Sequence[object], inputs: Sequence[str] | None = None) -> str:
    rows = [
        {"input": text, "target": target}
        for text, target in zip(
            inputs or [f"question {number}" for number in range(len(targets))], targets, strict=True
        )
    ]
    path = folder / "made.json"
    path.write_text(json.dumps({"examples": rows}))
    return str(path)


def load(source: str, seed: int = 0, scorer: str | None = None, sizes: Sizes = SMALL) -> Task:
    return load_task(source, sizes=sizes, seed=seed, scorer=scorer)


def all_examples(task: Task) -> list[Example]:
    return [*task.train, *task.dev, *task.test.single_reading().read()]


@pytest.mark.parametrize(
    ("targets", "scorer"),
    [
        (["yes", "no"] * 6, "choice"),
        (["True", "False", "True"] * 3, "choice"),
        ([str(n % 3) for n in range(12)], "number"),
        ([["three", "3"], "12"] * 5, "number"),
        ([f"word {n}" for n in range(12)], "exact"),
        (["red", "green", "blue"] * 4, "choice"),
        (["twelve", "11", "2.5"] * 4, "number"),
    ],
)
def test_the_examples_decide_the_scorer(tmp_path: Path, targets: list[object], scorer: str) -> None:
    assert load(save(tmp_path, targets)).scorer == scorer


def test_few_targets_become_the_choices(tmp_path: Path) -> None:
    task = load(save(tmp_path, ["red", "green", "blue"] * 4))
    assert {example.choices for example in all_examples(task)} == {("blue", "green", "red")}


def test_a_true_or_false_task_also_accepts_yes_or_no(tmp_path: Path) -> None:
    task = load(save(tmp_path, ["True", "False"] * 6))
    assert {example.answers for example in all_examples(task)} == {("True", "Yes"), ("False", "No")}
    assert {example.choices for example in all_examples(task)} == {("False", "True")}


def test_the_users_scorer_and_instruction_win(tmp_path: Path) -> None:
    source = save(tmp_path, ["1", "2"] * 6)
    assert load(source, scorer="exact").scorer == "exact"
    assert load(source).seed_instruction == SEED_INSTRUCTION
    assert load_task(source, sizes=SMALL, seed=0, seed_instruction="").seed_instruction == ""
    with pytest.raises(
        SettingsError, match="no scorer called 'fuzzy'; known are: choice, contains, exact, json, "
    ):
        load(source, scorer="fuzzy")


def test_targets_that_do_not_fit_the_scorer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="made/2 has the target 'x', which is no number"):
        load(save(tmp_path, ["1", "x"] * 6), scorer="number")
    with pytest.raises(DataError, match="not a regular expression"):
        load(save(tmp_path, ["(", "x"] * 6), scorer="regex")


def test_duplicates_stand_in_no_two_splits(tmp_path: Path) -> None:
    inputs = [f"Same  {number % 9}" if number % 2 else f"same {number % 9}" for number in range(18)]
    task = load(save(tmp_path, ["ab"[number % 9 % 2] for number in range(18)], inputs))
    assert (
        len({example.input.casefold().replace("  ", " ") for example in all_examples(task)})
        == SMALL.total
    )
    assert "18 rows, 9 repeated ones left out" in task.data_note


def test_inputs_that_differ_in_case_or_white_space_alone_stay_where_their_answers_differ(
    tmp_path: Path,
) -> None:
    inputs = [text for number in range(9) for text in (f"word {number}", f"WORD {number}")]
    task = load(save(tmp_path, ["lower", "upper"] * 9, inputs), sizes=Sizes(6, 6, 6))
    assert {example.answers for example in all_examples(task)} == {("lower",), ("upper",)}
    assert task.data_note == "made: 18 rows, grader choice; 2 different targets."


def test_one_input_with_two_targets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match="made/1 and made/2 have the same input and different targets, 'pos' and 'neg', and 5 "
        "more",
    ):
        load(save(tmp_path, ["pos", "neg"] * 6, [f"text {number // 2}" for number in range(12)]))


def test_targets_that_cannot_be_right_are_told_and_many_refused(tmp_path: Path) -> None:
    """Whatever stands before the end of a model's thinking is no answer."""
    said = "'so</think>' of example made/12 cannot be right under the scorer exact"
    assert (
        said
        in load(
            save(tmp_path, [*map(str, range(11)), "so</think>"]),
            sizes=Sizes(4, 4, 4),
            scorer="exact",
        ).data_note
    )
    with pytest.raises(
        DataError, match="and those of 3 more, cannot be right under the scorer exact"
    ):
        load(
            save(tmp_path, [*map(str, range(8)), *["so</think>"] * 4]),
            sizes=Sizes(4, 4, 4),
            scorer="exact",
        )


def test_small_numbers_stay_numbers(tmp_path: Path) -> None:
    assert load(save(tmp_path, ["1e-07", "2e-7", "0.5"] * 6)).scorer == "number"


def test_own_choices_are_read_and_unknown_columns_are_told(tmp_path: Path) -> None:
    rows = [f'q{number},yes,"[""yes"", ""no"", ""maybe""]",x' for number in range(12)]
    (tmp_path / "made.csv").write_text("input,target,choices,note\n" + "\n".join(rows))
    task = load_task(str(tmp_path / "made.csv"), sizes=SMALL, seed=0)
    assert {example.choices for example in all_examples(task)} == {("yes", "no", "maybe")}
    assert task.data_note.endswith("; not used: note.")


def test_too_few_examples_are_told_in_numbers(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"'made' has 5 distinct examples, but train 2 \+ dev 3 \+ test 4 need 9"
    ):
        load(save(tmp_path, list("abcde") * 2, list("vwxyz") * 2))


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_no_split_may_be_empty(split: str) -> None:
    with pytest.raises(SettingsError, match=f"The {split} split needs at least 1 example, not 0"):
        Sizes(**{"train": 1, "dev": 1, "test": 1, split: 0})


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        DataError, match=r"no task called 'navigat', .* generated tasks are: coin_flip, navigate"
    ):
        load("navigat")
    with pytest.raises(DataError, match="There is no task file"):
        load("some/where/navigate.json")


@given(
    seed=st.integers(0, 10**6),
    train=st.integers(1, 10),
    dev=st.integers(1, 10),
    test=st.integers(1, 10),
)
def test_splits_are_disjoint_of_the_right_size_and_repeatable(
    seed: int, train: int, dev: int, test: int
) -> None:
    sizes = Sizes(train, dev, test)
    task = load("coin_flip", seed=seed, sizes=sizes)
    assert (len(task.train), len(task.dev), len(task.test)) == (train, dev, test)
    assert len({example.input for example in all_examples(task)}) == sizes.total
    assert task == load("coin_flip", seed=seed, sizes=sizes)


def test_the_seed_moves_the_splits_but_not_the_hash_of_a_file(tmp_path: Path) -> None:
    source = save(tmp_path, [f"word {n}" for n in range(30)])
    first, second = load(source, seed=1), load(source, seed=2)
    assert first.test != second.test
    assert first.data_hash == second.data_hash
    assert (
        load(save(tmp_path, [f"word {n}" for n in range(29)] + ["changed"])).data_hash
        != first.data_hash
    )


@pytest.mark.process
def test_another_process_makes_the_same_task() -> None:
    code = (
        "from optimizer.tasks.loading import load_task; from optimizer.tasks.task import Sizes;"
        "t = load_task('navigate', sizes=Sizes(2, 3, 4), seed=7); print(t.data_hash, "
        "t.test.single_reading().read()[0].id)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    task = load("navigate", seed=7)
    assert shown == [task.data_hash, task.test.single_reading().read()[0].id]


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_generated_tasks_make_what_is_needed(name: str) -> None:
    task = load(name, seed=3, sizes=Sizes(20, 30, 50))
    assert len({example.input for example in all_examples(task)}) == 100
    assert task.description == GENERATED[name].description
    for example in all_examples(task):
        item = GENERATED[name].read(example.input)
        assert item is not None
        assert example.answers == (item.answer,)
        assert (
            task.grader.build().score(Completion(f"Answer: {item.answer}"), example).verdict
            == "right"
        )


def test_a_strategy_is_shown_neither_dev_nor_test(tmp_path: Path) -> None:
    task = load("navigate")
    assert task.problem().train == task.train
    hidden = set(all_examples(task)) - set(task.train)
    assert not any(example.input in repr(task.problem()) for example in hidden)


@real_data
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_real_files_load_and_their_own_answers_are_right(path: Path) -> None:
    task = load(str(path), seed=1, sizes=Sizes(10, 15, 20))
    for example in all_examples(task):
        for answer in example.answers:
            for form in (
                f"Step 1: so\nAnswer: {answer}",
                f"I think that\n{answer}",
                f"The answer is {answer}.",
            ):
                assert task.grader.build().score(Completion(form), example).verdict == "right", (
                    form,
                    example,
                )


@real_data
def test_real_files_have_the_scorers_that_they_call_for() -> None:
    scorer_by_task = {
        f"{path.parent.name}/{path.stem}": load(str(path), sizes=Sizes(1, 1, 1)).scorer
        for path in FILES
    }
    exact = {name for name, scorer in scorer_by_task.items() if scorer == "exact"}
    number = {name for name, scorer in scorer_by_task.items() if scorer == "number"}
    assert exact == {"bbh/dyck_languages", "bbh/word_sorting"}
    assert number == {
        "bbh/object_counting",
        "bbh/multistep_arithmetic_two",
        "bigbench_ii/object_counting",
    }


@real_data
def test_big_bench_navigate_reads_as_its_generator_writes() -> None:
    task = load(str(DATA / "bigbench_ii" / "navigate.json"), sizes=Sizes(50, 50, 50))
    for example in all_examples(task):
        item = GENERATED["navigate"].read(example.input)
        assert item is not None
        assert item.question() == example.input
        assert item.answer in example.answers
