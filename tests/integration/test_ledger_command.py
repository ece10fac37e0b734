"""`promptray ledger`, through the real command on ledgers that were filled as a run fills them."""

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from cluster.cli.ledger import ledger as app
from optimizer.scripted import ScriptedModel
from optimizer.types import Completion, Request
from serving.ledger import Ledger
from serving.ledger.cached_model import CachedModel
from serving.ledger.coordinator import LedgerCoordinator
from serving.models import connect
from serving.settings import OpenAISettings
from tests.contracts.commands import forked
from tests.contracts.counting_endpoint import counting_endpoint
from tests.contracts.paid import asked

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from cluster.cli import main; main()"]
KEY = "sk-this-is-the-secret-of-the-test"
MODEL = OpenAISettings(model="gpt-x", base_url="http://127.0.0.1:1/v1")


def ledger(*arguments: str | Path, said_to_it: str = "") -> tuple[int, str]:
    """Exit code, and all that was said."""
    ended = forked("ledger", *map(str, arguments), said_to_it=said_to_it)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


def answer(request: Request) -> Completion:
    return Completion(request.messages[0].content, False, 500_000, 250_000)


@pytest.fixture
async def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder of two runs: four answers paid for, and four hits."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    folder = tmp_path / "out"
    for texts in ("ab", "abab", "cda"):
        shared = LedgerCoordinator(Ledger(folder / "ledger"))
        name = connect(MODEL).name
        await CachedModel(ScriptedModel(answer, name=name), shared).complete(
            [asked(text) for text in texts]
        )
        await CachedModel(ScriptedModel(answer, name=name), shared).complete([asked(texts[0])])
        shared.close()
    (folder / "settings.yaml").write_text(
        yaml.safe_dump(
            {
                "tasks": ["navigate"],
                "strategies": ["apo"],
                "optimizer": {
                    "kind": "openai",
                    "model": "gpt-x",
                    "base_url": "http://127.0.0.1:1/v1",
                    "prices": {"prompt_per_million": 2.0, "completion_per_million": 8.0},
                },
            }
        )
    )
    return folder


def test_show_tells_what_was_spent_and_saved(out: Path) -> None:
    code, said = ledger(out)
    assert code == 0, said
    assert "4 answers in 2 segments" in said
    row = next(line for line in said.splitlines() if "openai:gpt-x" in line)
    # 4 answers of 0.5 million tokens at 2.0 and 0.25 million at 8.0 are 12.00; 6 hits saved 18.00.
    assert row.split()[1:4] == ["4", "3,000,000", "6"]
    assert row.split()[-3:] == ["4,500,000", "12.00", "18.00"]
    assert ledger("show", out / "ledger") == (0, said)
    (out / "settings.yaml").unlink()
    assert "12.00" not in ledger(out)[1]


def test_no_key_of_the_settings_is_in_the_folder(out: Path) -> None:
    files = [path for path in (out / "ledger").rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert not any(KEY.encode() in path.read_bytes() for path in files)
    assert ledger("export", out, out / "all.jsonl")[0] == 0
    assert KEY not in (out / "all.jsonl").read_text()


def test_verify_and_compact(out: Path) -> None:
    code, said = ledger("verify", out)
    assert (code, said.splitlines()[-1]) == (0, "OK, no errors found."), said
    torn = max((out / "ledger").glob("*.arrows"))
    torn.write_bytes(torn.read_bytes()[:-30])
    code, said = ledger("verify", out)
    assert code == 1
    assert f"{torn.name} is torn" in said
    code, said = ledger("compact", out)
    assert code == 0
    assert "2 segments" in said
    assert "are now 1 segment" in said
    assert ledger("verify", out)[0] == 0


def test_every_command_tells_of_a_damaged_segment_and_none_drops_it(
    out: Path, tmp_path: Path
) -> None:
    """One bit in the middle of an answer's bytes, in the first of two segments, which has two of
    the four answers.
    """
    damaged = min((out / "ledger").glob("*.arrows"))
    data = damaged.read_bytes()
    changed = (
        data[: len(data) // 2 + 400]
        + bytes([data[len(data) // 2 + 400] ^ 4])
        + data[len(data) // 2 + 401 :]
    )
    damaged.write_bytes(changed)

    def ledger(*arguments: str | Path) -> tuple[int, str]:
        """In this process: it is many commands."""
        ended = CliRunner().invoke(app, list(map(str, arguments)))
        return ended.exit_code, ended.output.replace("\n", " ")

    lost = f"{damaged.name} is damaged: 0 entries are read, at least 2 in 1 batch cannot be."
    for code, command in ((0, ["show"]), (1, ["verify"]), (1, ["export", tmp_path / "all.jsonl"])):
        ended, said = ledger(command[0], out, *command[1:])
        assert (ended, lost in said) == (code, True), said
    assert lost in ledger("prune", out, "--older-than", "1")[1]
    code, said = ledger("compact", out)
    assert (code, f"copied to {damaged.name}.damaged" in said) == (0, True), said
    assert damaged.with_name(f"{damaged.name}.damaged").read_bytes() == changed
    code, said = ledger("verify", out)
    assert (code, "is a copy of a damaged segment" in said) == (0, True), said
    assert said.rstrip().endswith("OK, no errors found."), said


def test_export(out: Path, tmp_path: Path) -> None:
    code, said = ledger("export", out, tmp_path / "all.parquet")
    assert (code, said.split()[:2]) == (0, ["4", "answers"]), said
    rows = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert [json.loads(row["messages"])[0]["content"] for row in rows] == ["a", "b", "c", "d"]
    assert ledger("export", out, tmp_path / "all.csv")[0] == 2


def test_prune_asks_first(out: Path) -> None:
    name = connect(MODEL).name
    assert ledger("prune", out)[0] == 2
    code, said = ledger("prune", out, "--model", "gpt-y")
    assert (code, name in said) == (2, True)
    assert ledger("prune", out, "--older-than", "1") == (
        0,
        "None of the 4 cached answers matches.\n",
    )
    code, said = ledger("prune", out, "--model", name, said_to_it="n\n")
    assert (code, "Delete 4 of 4 answers from" in said) == (1, True)
    assert "4 answers" in ledger(out)[1]
    assert ledger("prune", out, "--model", name, "--yes")[0] == 0
    assert ledger(out)[0] == 2, "nothing is left to show"


def test_a_ledger_that_is_in_use_is_shown_and_not_changed(out: Path) -> None:
    with Ledger(out / "ledger"):
        assert ledger(out)[0] == 0
        code, said = ledger("compact", out)
        assert code == 2
        assert "is being written to by process" in said


@pytest.mark.parametrize("command", ["show", "verify", "compact"])
@pytest.mark.parametrize(
    "place", ["nowhere", "", "file", "s9://bucket/x", "s3://id:secret@bucket/x"]
)
def test_a_wrong_folder_is_one_sentence(tmp_path: Path, command: str, place: str) -> None:
    (tmp_path / "file").write_text("")
    code, said = ledger(command, place if "://" in place else tmp_path / place)
    assert (code, said.count("\n")) == (2, 1), said


TINY = {
    "tasks": ["navigate"],
    "strategies": ["iterative_ape"],
    "sizes": {"train": 5, "dev": 5, "test": 5},
    "budget": {"target_calls": 60, "optimizer_calls": 20},
}


@pytest.mark.ray
@pytest.mark.slow
def test_a_second_run_into_the_same_folder_is_refused_with_one_sentence_and_touches_nothing(
    on_local_ray: None, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "trials").mkdir(parents=True)
    files = {
        out / "settings.yaml": "the first run's",
        out / "trials" / "one.json": "its first result",
    }
    for file, content in files.items():
        file.write_text(content)
    with (
        Ledger(out / "ledger"),  # as the first run does
        counting_endpoint() as endpoint,
    ):
        model = {"kind": "openai", "model": "m", "base_url": endpoint.base_url}
        (tmp_path / "tiny.yaml").write_text(
            yaml.safe_dump(TINY | {"target": model, "optimizer": model})
        )
        began = time.monotonic()
        second = subprocess.Popen(
            [*COMMAND, "run", str(tmp_path / "tiny.yaml"), "--out", str(out)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _, said = second.communicate(timeout=200)
        finally:
            with suppress(ProcessLookupError):
                second.kill()
        assert time.monotonic() - began > 1
        assert endpoint.asked.total() == 0
    assert second.returncode == 2, said
    assert f"The ledger {out / 'ledger'} is being written to by process" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert {file: file.read_text() for file in files} == files
