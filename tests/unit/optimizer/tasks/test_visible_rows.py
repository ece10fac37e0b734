"""What a target that is a program sees of an example: its row, and never its target."""

import json
from pathlib import Path

import pytest

from optimizer.evaluation.evaluator import Evaluation
from optimizer.prompt import Prompt
from optimizer.selection import SELECTION_RULES
from optimizer.tasks.columns import Columns
from optimizer.tasks.loading import load_task
from optimizer.tasks.sizes import Sizes
from optimizer.tasks.task import Task
from optimizer.types import Completion, Outcome, Request

ROW = {"question": "Who?", "docs": ["Ada wrote it."], "label": "Ada", "meta": {"gold": "Ada"}}
CHAT = {
    "messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada"}],
    "docs": ["Ada wrote it."],
}


def task_of(tmp_path: Path, row: dict[str, object], columns: Columns | None) -> Task:
    file = tmp_path / "rows.jsonl"
    rows = [json.loads(json.dumps(row).replace("Who?", f"Who {number}?")) for number in range(9)]
    file.write_text("\n".join(map(json.dumps, rows)))
    return load_task(str(file), sizes=Sizes(3, 3, 3), seed=0, scorer="exact", columns=columns)


@pytest.mark.parametrize(
    ("row", "columns", "seen"),
    [
        (ROW, Columns(input="question", target="label"), {"question", "docs", "meta"}),
        (ROW, Columns(input="question", target="meta.gold"), {"question", "docs", "label"}),
        (ROW, Columns(input="question", target="{{label}}!"), {"question", "docs", "meta"}),
        (CHAT, None, {"docs"}),
        ({"input": "Who?", "target": "Ada", "docs": []}, None, {"docs"}),
        ({"input": "Who?", "ideal": "Ada", "docs": []}, None, {"docs"}),
    ],
)
async def test_a_row_is_seen_without_its_target(
    tmp_path: Path, row: dict[str, object], columns: Columns | None, seen: set[str]
) -> None:
    task = task_of(tmp_path, row, columns)
    example = task.dev[0]
    assert example.fields
    visible = task.visible_row(example)
    assert set(visible) == seen | {"id", "input"}
    assert visible["input"].startswith("Who ")


class Seeing:
    """A target that keeps what it is asked."""

    name = "seeing"

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def complete(self, requests: list[Request]) -> list[Outcome]:
        self.asked += requests
        return [Completion("Ada") for _ in requests]


async def test_only_a_target_that_sees_rows_gets_them(tmp_path: Path) -> None:
    task = task_of(tmp_path, ROW, Columns(input="question", target="label"))
    for row_of in (None, task.visible_row):
        target = Seeing()
        evaluation = Evaluation(
            target, task.grader.build(), task.dev, SELECTION_RULES["full"](), row_of=row_of
        )
        answers = await evaluation.grade(Prompt("Say."), task.dev)
        assert all(answer.is_right for answer in answers)
        rows = [request.row for request in target.asked]
        assert rows == [row_of and row_of(example) for example in task.dev]
