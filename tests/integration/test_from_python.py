"""promptray as a module, as a notebook uses it: in a running event loop, with data in memory and a
grader of its own, on a real Ray; what it leaves is the folder of the command line.
"""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import promptray
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes
from tests.contracts.trials import locked_examples

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SMALL = {
    "strategy": {"name": "iterative_ape", "settings": {"rounds": 1, "pool": 2}},
    "sizes": {"train": 6, "dev": 6, "test": 8},
    "progress": False,
}


def rows() -> list[dict[str, str]]:
    task = load_task("navigate", sizes=Sizes(8, 8, 8), seed=0)
    examples = (*task.train, *task.dev, *locked_examples(task))
    return [{"question": example.input, "label": example.answers[0]} for example in examples]


async def test_a_notebook(tmp_path: Path) -> None:
    marked = 0.5

    def lenient(example, answer):  # type: ignore[no-untyped-def]
        """The label stands in the answer."""
        return (1.0, "") if example.answers[0] in answer else (marked, "not there")

    out = tmp_path / "out"
    given = {
        "input": "{{question}}",
        "target_column": "label",
        "model": "builtin:target",
        "optimizer": "builtin:optimizer",
        "grader": lenient,
        "prompt": "Let's think step by step.",
        "describe": "Walks.",
        "name": "walks",
        "out": out,
    }
    result = promptray.optimize(rows(), **given, **SMALL)  # type: ignore[arg-type]
    (trial,) = result.results
    assert trial.status == "finished", trial.error
    assert (out / "data" / "walks.parquet").is_file()
    assert Path(result.report).is_file()
    assert isinstance(result.trials, pa.Table)
    assert result.costs.num_rows == 1
    items = result.items.to_pylist()
    assert {item["score"] for item in items} <= {0.5, 1.0}
    assert {item["feedback"] for item in items} <= {"", "not there"}
    message = result.best.messages(question="Left or right?")[-1]
    assert message == {"role": "user", "content": "Left or right?"}
    assert "walks" in result._repr_html_()

    saved = result.best.save(tmp_path / "moved.json")
    loaded = promptray.load(out)
    assert isinstance(loaded, type(result))
    assert loaded.best.text == result.best.text

    again = promptray.optimize(rows(), **given, **SMALL)  # type: ignore[arg-type]
    assert again.costs["ledger_hits"][0].as_py() == again.trials["target_calls"][0].as_py() + (
        again.trials["optimizer_calls"][0].as_py()
    )

    evaluated = promptray.evaluate(
        {"found": saved, "base": "Let's think step by step."},
        pa.Table.from_pylist(rows()),
        input="question",
        target_column="label",
        grader="exact",
        model="builtin:target",
        out=tmp_path / "evaluated",
        progress=False,
    )
    assert list(evaluated.scores) == ["found", "base"]
    assert evaluated.items.num_rows == 2 * len(rows())
    assert evaluated.comparisons.num_rows == 1

    # The folder is the command line's, but for the function, which is this session's.
    ended = subprocess.run(
        [sys.executable, "-c", "from cluster.cli import main; main()", "resume", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert "function of the Python session that has begun this run" in ended.stderr
