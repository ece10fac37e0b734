"""A results folder that an older version wrote: it opens in every command, and its ledger answers
every call of the run again.

Compared is what the folder says of prompts and accuracies. How many calls a trial counts is not:
that is a rule of its budget.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cluster.apply import apply_prompt
from cluster.cli import app
from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import check, prepare, settings_place
from cluster.ledger_admin.accounting import account
from cluster.results import read_trials, write_results
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.show import shown_app
from serving.budget.store import BudgetStore
from serving.ledger.inspection import verify
from serving.storage import open_folder
from tests.contracts.written_before import WRITTEN, Copied
from tests.unit.formats.replay import replayed

COUNTS = {"target_calls", "optimizer_calls", "verdicts_by_purpose", "replies_by_attempt"}
BEST = "navigate-abo-s3"


def table(file: Path, names: list[str] | None = None) -> list[dict[str, Any]]:
    """The rows without what is counted; with `names` only those columns, each of which must be
    there.
    """
    read = pq.read_table(file)
    rows: list[dict[str, Any]] = read.select(
        [name for name in names or read.column_names if name not in COUNTS]
    ).to_pylist()
    return rows


def uncompared(row: dict[str, Any], kept: set[str]) -> dict[str, Any]:
    """A row of today: a best prompt that is the baseline has no verdict any more, as a prompt is
    not compared with itself.
    """
    none = {name: None for name in ("verdict", "p_value", "corrected_verdict") if name in row}
    return row | none if row["trial"] in kept else row


@pytest.mark.parametrize("name", ["run", "search"])
def test_its_settings_are_read_with_the_data_that_was_recorded(copied: Copied, name: str) -> None:
    """Raises DataError where the same seed gives other items now."""
    out = copied(name)
    settings = ExperimentSettings.read(settings_place(str(out)), {"out": str(out)})
    trial_specs, _, recorded = check(settings)
    assert settings.recorded
    assert recorded.data == settings.recorded.data
    assert sorted(one.trial for one in trial_specs) == [result.trial for result in read_trials(out)]


async def test_its_ledger_answers_every_call_and_the_tables_are_the_same(
    copied: Copied, tmp_path: Path
) -> None:
    old = copied("run")
    out = tmp_path / "again"
    out.mkdir()
    shutil.copytree(old / "ledger", out / "ledger")
    shutil.copy(old / "settings.yaml", out)
    results = await replayed(out)
    assert [(result.status, result.error) for result in results] == [("finished", "")] * 2
    write_results(out, results, {})
    kept = {result.trial for result in results if result.best_is_baseline}
    for name in ("trials.parquet", "candidates.parquet", "failures.parquet"):
        assert table(out / name, pq.read_schema(old / name).names) == [
            uncompared(row, kept) for row in table(old / name)
        ]
    best = [json.loads((folder / "best" / f"{BEST}.json").read_text()) for folder in (old, out)]
    assert best[1]["prompt"] == best[0]["prompt"]


def test_its_trials_are_read_and_give_the_same_tables_and_a_page(
    copied: Copied, tmp_path: Path
) -> None:
    for name in ("run", "search"):
        old = copied(name)
        results = read_trials(old)
        by_name = {result.trial: result for result in results}
        in_their_order = [
            by_name[row["trial"]] for row in pq.read_table(old / "trials.parquet").to_pylist()
        ]
        page = Path(write_results(tmp_path / f"{name} anew", in_their_order, {}))
        for file in ("trials.parquet", "candidates.parquet", "costs.parquet", "failures.parquet"):
            rows = pq.read_table(page.parent / file).select(pq.read_schema(old / file).names)
            assert rows.to_pylist() == pq.read_table(old / file).to_pylist()
        assert "navigate" in page.read_text()
        for file in (old / "best").glob("*.json"):
            anew = json.loads((page.parent / "best" / file.name).read_text())
            assert json.loads(file.read_text()).items() <= anew.items()


async def test_show_has_its_trials_candidates_and_answers(copied: Copied, tmp_path: Path) -> None:
    backend = ArchiveBackend([copied("run"), copied("search")])
    assert not backend.damaged
    transport = httpx2.ASGITransport(shown_app(backend, open_folder(tmp_path / "uploads")))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        jobs = (await http.get("/v1/optimizations")).json()["data"]
        assert {(job["name"], job["status"], job["trials"]) for job in jobs} == {
            ("small-run", "succeeded", 2),
            ("small-search", "succeeded", 4),
        }
        for job in jobs:
            place = f"/v1/optimizations/{job['id']}"
            trials = (await http.get(f"{place}/trials")).json()["data"]
            assert all(trial["curve"] for trial in trials)
            best = (await http.get(f"{place}/best")).json()
            candidates = (await http.get(f"{place}/candidates")).json()["data"]
            assert any(
                (one["trial"], one["id"]) == (best["trial"], best["candidate"])
                for one in candidates
            )
            two = {"trial": best["trial"], "left": candidates[0]["id"], "right": best["candidate"]}
            assert (await http.get(f"{place}/comparison", params=two)).json()["items"]
            one = await http.get(
                f"{place}/candidates/{best['candidate']}", params={"trial": best["trial"]}
            )
            assert one.json()["trial"] == best["trial"]
            for file in (
                "trials.parquet",
                "candidates.parquet",
                "costs.parquet",
                "failures.parquet",
                "settings.yaml",
            ):
                assert (await http.get(f"{place}/files/{file}")).status_code == 200


async def test_apply_answers_with_its_best_prompt(copied: Copied) -> None:
    file = copied("run") / "best" / f"{BEST}.json"
    question = (
        "If you follow these instructions, do you return to the starting point? Take 1 step. Turn "
        "around. Take 1 step."
    )
    assert "Answer: " in await apply_prompt(file, question)


@pytest.mark.parametrize("name", ["run", "search"])
def test_the_commands_of_the_ledger_read_it(copied: Copied, tmp_path: Path, name: str) -> None:
    out = copied(name)
    found = account(str(out))
    stored = verify(open_folder(out / "ledger"))
    assert (stored.faults, stored.unchecked, stored.unsummed) == ([], 0, 0)
    assert (
        found.summary.entries
        == sum(held.entries for held in found.summary.held_by_model.values())
        == stored.entries
        > 100
    )
    for arguments in (
        ["show", out],
        ["verify", out],
        ["export", out, tmp_path / "answers.jsonl"],
        ["compact", out],
    ):
        ended = CliRunner().invoke(app, ["ledger", *map(str, arguments)])
        assert ended.exit_code == 0, ended.output
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == stored.entries
    assert verify(open_folder(out / "ledger")).entries == stored.entries


def test_what_it_has_spent_is_known(copied: Copied) -> None:
    out = copied("run")
    settings = ExperimentSettings.read(settings_place(str(out)), {"out": str(out)})
    shared_budget = BudgetStore(open_folder(out), settings.budget.total.limits(), {})
    recorded = json.loads((WRITTEN / "run" / "spent.json").read_text())["spent"]
    assert (shared_budget.spent.target_calls, shared_budget.spent.optimizer_calls) == (
        recorded["target_calls"],
        recorded["optimizer_calls"],
    )


def test_the_search_can_be_continued_with_all_its_decisions(copied: Copied) -> None:
    """Without Ray: that it may be, and from where. test_old_search_on_ray.py does it."""
    out = copied("search")
    experiment = prepare(ExperimentSettings.read(settings_place(str(out)), {"out": str(out)}))
    lines = [
        json.loads(line)
        for line in (WRITTEN / "search" / "decisions" / "000000.jsonl").read_text().splitlines()
    ]
    decisions = experiment.decisions
    assert decisions.at_once == 2
    assert len(decisions.made) == len(lines)
    for line in lines:
        if line["kind"] == "given":
            assert decisions.point_of(line["trial"]) == line["point"]
        elif line["kind"] == "judged":
            assert decisions.goes_on(line["trial"], line["round"]) is line["goes_on"]
        elif line["kind"] == "ended":
            assert decisions.has_ended(line["trial"])
