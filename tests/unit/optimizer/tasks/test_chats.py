"""Chat-shaped rows, as OpenAI's fine-tuning and evals files have them."""

import json
from pathlib import Path
from typing import Any

import pytest

from optimizer.budget.cost import MESSAGE_TOKENS
from optimizer.errors import DataError
from optimizer.evaluation.evaluator import Evaluation
from optimizer.graders.graders import GraderSpec
from optimizer.prompt import SEED_INSTRUCTION, Demonstration, Prompt
from optimizer.selection import SELECTION_RULES
from optimizer.tasks.columns import Columns
from optimizer.tasks.files import read_rows, read_source
from optimizer.tasks.loading import load_task
from optimizer.tasks.sizes import AutoSizes, Sizes
from optimizer.tasks.splitting import distinct
from optimizer.tasks.task import Task, hash_examples
from optimizer.types import Completion, Example, Message, Outcome, Request
from tests.contracts.everyday_tasks import write


def said(role: str, text: Any) -> dict[str, Any]:
    return {"role": role, "content": text}


def tuning(number: int, system: str | None = "Be brief.") -> dict[str, Any]:
    """Return a row of a fine-tuning file."""
    head = [said("system", system)] if system is not None else []
    return {
        "messages": [
            *head,
            said("user", "Hi"),
            said("assistant", "Hello"),
            said("user", f"And {number}?"),
            said("assistant", f"It is {number}."),
        ]
    }


TURNS = (Message("user", "Hi"), Message("assistant", "Hello"))


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".parquet", ".csv"])
def test_a_fine_tuning_file(tmp_path: Path, ending: str) -> None:
    source = read_source(write(tmp_path / f"a{ending}", [tuning(n) for n in range(3)]))
    assert [(one.input, one.answers, one.history) for one in source.examples] == [
        (f"And {number}?", (f"It is {number}.",), TURNS) for number in range(3)
    ]
    assert source.system == "Be brief."


def test_a_file_of_evals() -> None:
    rows = [
        {"input": [said("system", "S"), said("user", "2+2?")], "ideal": ["4", "four"]},
        {"input": [said("user", [{"type": "text", "text": "3+3?"}])], "ideal": "6"},
    ]
    source = read_rows("sums", rows)
    assert [(one.input, one.answers, one.history) for one in source.examples] == [
        ("2+2?", ("4", "four"), ()),
        ("3+3?", ("6",), ()),
    ]
    assert source.system == ""
    assert "2 different system messages, in whose place the prompt stands" in source.notes[0]


def test_a_chat_in_a_named_column_with_a_target_of_its_own() -> None:
    rows = [{"talk": {"turns": [said("user", "a"), said("assistant", "draft")]}, "gold": "b"}]
    [example] = read_rows("rows", rows, Columns("talk.turns", "gold")).examples
    assert (example.input, example.answers, example.history) == ("a", ("b",), ())


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        ([said("user", "a"), said("tool", "b"), said("assistant", "c")], "a turn of role 'tool'"),
        ([said("user", "a"), {"role": "assistant", "content": None}], "a turn without text"),
        ([said("user", [{"type": "image_url", "image_url": {}}])], "a turn without text"),
        ([said("system", "a")], "no user turn at its end"),
        ([said("assistant", "a")], "no user turn at its end"),
        ([said("user", "a")], "without an answer: number 1"),
    ],
)
def test_a_chat_that_cannot_be_divided_is_told(messages: list[Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_rows("rows", [{"messages": messages}])


def test_one_question_in_two_chats_is_two_examples() -> None:
    a, b = Message("user", "red"), Message("user", "blue")
    examples = [
        Example("1", "And now?", ("x",), (), (a,)),
        Example("2", "And now?", ("y",), (), (b,)),
    ]
    assert distinct(examples) == tuple(examples)
    assert hash_examples(examples[:1]) != hash_examples([Example("1", "And now?", ("x",))])


def task(tmp_path: Path, **settings: Any) -> Task:
    path = write(tmp_path / "a.jsonl", [tuning(number) for number in range(20)])
    return load_task(str(path), sizes=Sizes(5, 5, 5), seed=0, **settings)


def test_the_system_message_that_all_chats_share_is_the_baseline(tmp_path: Path) -> None:
    made = task(tmp_path)
    assert made.seed_instruction == "Be brief."
    assert "the system message that its chats share is the baseline" in made.data_note
    assert task(tmp_path, seed_instruction="Mine.").seed_instruction == "Mine."
    rows = [tuning(number, str(number % 2)) for number in range(20)]
    path = write(tmp_path / "b.jsonl", rows)
    other = load_task(str(path), sizes=AutoSizes(), seed=0)
    assert other.seed_instruction == SEED_INSTRUCTION
    assert "2 different system messages" in other.data_note


def test_history_stands_between_the_demonstrations_and_the_input() -> None:
    prompt = Prompt("Do.", demonstrations=(Demonstration("q", "r"),))
    roles = [(message.role, message.content) for message in prompt.render("now", TURNS)]
    assert roles == [
        ("system", "Do."),
        ("user", "q"),
        ("assistant", "r"),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "now"),
    ]
    assert prompt.render("now") == prompt.render("now", ())


async def test_the_target_is_shown_the_history(tmp_path: Path) -> None:
    seen: list[Request] = []

    class Target:
        async def complete(self, requests: list[Request]) -> list[Outcome]:
            seen.extend(requests)
            return [Completion("Answer: It is 1.") for _ in requests]

    made = task(tmp_path)
    rule: Any = SELECTION_RULES["full"]
    evaluation = Evaluation(Target(), GraderSpec("exact").build(), made.dev, rule())  # type: ignore[arg-type]
    await evaluation.grade(Prompt("Do."), made.dev)
    assert [request.messages[1:3] for request in seen] == [TURNS] * len(made.dev)


def test_the_longest_input_counts_the_turns_before_it(tmp_path: Path) -> None:
    turns = sum(len(turn.content) + MESSAGE_TOKENS for turn in TURNS)
    assert task(tmp_path).test.longest_input_bytes == len("And 19?") + turns


def test_graders_see_the_messages_of_the_row(tmp_path: Path) -> None:
    [example] = task(tmp_path).test.single_reading().read()[:1]
    assert example.fields["messages"][0] == said("system", "Be brief.")
    assert json.loads(json.dumps(dict(example.fields))) == example.fields
    assert example.history == TURNS
