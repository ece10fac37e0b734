"""What the API says of a real results folder: trials, candidates, the lineage, comparisons, and
what is taken away.
"""

import asyncio
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from cluster.analysis.lineage import lineage
from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import write_settings
from cluster.results.folder import write_trial
from cluster.service.backends.archive import ArchiveBackend
from cluster.service.backends.replay import ReplayBackend
from cluster.service.read_models.candidates import TrialCandidates
from cluster.service.read_models.results import TrialHistory
from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Demonstration, Prompt
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes
from serving.storage import open_folder
from tests.unit.cluster.service.http.conftest import REQUEST, SETTINGS, Client, OpenService, Small


async def test_trials_have_the_figures_of_the_folder(service: Client, small: Small) -> None:
    id = await service.shown()
    trials = {
        trial["id"]: trial
        for trial in (await service.json(f"/v1/optimizations/{id}/trials"))["data"]
    }
    assert trials.keys() == {result.trial for result in small.results}
    for result in small.results:
        trial = trials[result.trial]
        assert (trial["status"], trial["verdict"], trial["test_accuracy"]) == (
            result.status,
            result.verdict,
            result.test_accuracy,
        )
        assert [point["dev_accuracy"] for point in trial["curve"]] == [
            round.best.accuracy for round in result.rounds
        ]
        assert all(
            0 <= point["low"] <= point["dev_accuracy"] <= point["high"] <= 1
            for point in trial["curve"]
        )
        assert trial["usage"]["target_calls"] == result.target_calls
        assert await service.json(f"/v1/optimizations/{id}/trials/{result.trial}") == trial
    assert (await service.get(f"/v1/optimizations/{id}/trials/none")).status_code == 404


async def test_a_running_job_shows_its_rounds_before_its_trials_have_ended(
    open_service: OpenService, small: Small
) -> None:
    service = open_service(backend=ReplayBackend([small.out], 0.2))
    id = (await service.post("/v1/optimizations", REQUEST)).json()["id"]
    for _ in range(500):
        trials = (await service.json(f"/v1/optimizations/{id}/trials"))["data"]
        if seen := [one for one in trials if one["status"] == "running" and one["curve"]]:
            break
        await asyncio.sleep(0.01)
    assert seen, "no round was shown while its trial ran"
    assert (await service.json(f"/v1/optimizations/{id}"))["status"] == "running"
    assert all(point["dev_accuracy"] is not None for one in seen for point in one["curve"])
    assert all(one["test_accuracy"] is None for one in seen)


async def test_candidates_come_in_pages_over_all_trials(service: Client, small: Small) -> None:
    id = await service.shown()
    seen: list[tuple[str, str]] = []
    after: dict[str, str] = {}
    while True:
        page = await service.json(f"/v1/optimizations/{id}/candidates", limit=3, **after)
        seen += [(one["trial"], one["id"]) for one in page["data"]]
        after = {"after": page["last_id"]}
        if not page["has_more"]:
            break
    expected = {
        (result.trial, standing.candidate.id)
        for result in small.results
        for round in result.rounds
        for standing in round.standings
    }
    assert expected <= set(seen)
    assert len(seen) == len(set(seen))
    own = await service.json(
        f"/v1/optimizations/{id}/candidates", limit=1000, trial=small.abo.trial
    )
    assert {one["trial"] for one in own["data"]} == {small.abo.trial}
    assert (await service.get(f"/v1/optimizations/{id}/candidates", after="x/y")).status_code == 404


async def test_the_tree_and_the_details_agree_with_the_reports_lineage(
    service: Client, small: Small
) -> None:
    id, trial = await service.shown(), small.abo.trial
    tree = await service.json(f"/v1/optimizations/{id}/tree", trial=trial)
    columns = {name: value for name, value in tree.items() if isinstance(value, list)}
    assert len({len(column) for column in columns.values()}) == 1
    assert small.abo.best is not None
    assert tree["best"] == small.abo.best.id
    for refinement in lineage(small.abo):
        place = tree["id"].index(refinement.candidate.id)
        parent = tree["parent"][place]
        assert (tree["id"][parent] if parent is not None else None) == (
            refinement.parent.id if refinement.parent else None
        )
        assert tree["gain"][place] == (
            None if refinement.gain is None else pytest.approx(refinement.gain.value, abs=1e-4)
        )
        detail = await service.json(
            f"/v1/optimizations/{id}/candidates/{refinement.candidate.id}", trial=trial
        )
        assert detail["failing_step"] == refinement.failing_step
        new = [piece["text"] for piece in detail["diff"] if piece["kind"] != "removed"]
        assert "".join(new) == refinement.candidate.prompt.text()
        assert Prompt.from_json(detail["prompt"]) == refinement.candidate.prompt


async def test_a_comparison_shows_the_recorded_answers_item_by_item(
    service: Client, small: Small
) -> None:
    id, result = await service.shown(), small.abo
    assert result.best is not None
    found = await service.json(
        f"/v1/optimizations/{id}/comparison",
        trial=result.trial,
        left=result.best.id,
        right=result.seed_prompt.id,
    )
    by_split = {
        split: [item for item in found["items"] if item["split"] == split]
        for split in ("dev", "test")
    }
    task = load_task("navigate", sizes=Sizes(8, 6, 8), seed=0)
    assert [item["input"] for item in by_split["dev"]] == [example.input for example in task.dev]
    assert len(by_split["test"]) == 8
    assert (
        "".join(str(int(item["left"]["score"])) for item in by_split["test"]) == result.test_marks
    )
    assert (
        "".join(str(int(item["right"]["score"])) for item in by_split["test"])
        == result.seed_prompt_test_marks
    )
    assert all(item["left"]["text"] and item["right"]["text"] for item in by_split["test"])
    assert sum(found["counts"].values()) == len(found["items"])
    steps = [step for item in found["items"] for step in item["left"]["steps"]]
    assert {step["state"] for step in steps} <= {"followed", "skipped", "wrong"}
    for item in found["items"]:
        wrong = [step for step in item["left"]["steps"] if step["state"] == "wrong"]
        assert len(wrong) <= (0 if item["left"]["score"] == 1.0 else 1)


async def test_the_test_items_of_a_prompt_that_was_not_tested_stay_locked(
    service: Client, small: Small
) -> None:
    id, result = await service.shown(), small.abo
    assert result.best is not None
    tested = {result.best.id, result.seed_prompt.id}
    seen = {standing.candidate.id for round in result.rounds for standing in round.standings}
    other = min(seen - tested)
    found = await service.json(
        f"/v1/optimizations/{id}/comparison", trial=result.trial, left=result.best.id, right=other
    )
    assert {item["split"] for item in found["items"]} == {"dev"}


async def test_candidates_of_two_trials_can_be_compared(service: Client, small: Small) -> None:
    id, (one, two) = await service.shown(), small.results
    assert one.best is not None
    assert two.best is not None
    found = await service.json(
        f"/v1/optimizations/{id}/comparison",
        left_trial=one.trial,
        right_trial=two.trial,
        left=one.best.id,
        right=two.best.id,
    )
    assert (found["left"]["trial"], found["right"]["trial"]) == (one.trial, two.trial)
    assert len(found["items"]) == 14
    assert (
        await service.get(f"/v1/optimizations/{id}/comparison", left=one.best.id, right=two.best.id)
    ).status_code == 404


@pytest.mark.parametrize("format", ["promptray", "openai", "dspy", "mlflow", "markdown"])
async def test_the_best_prompt_is_a_download_in_every_form(
    service: Client, small: Small, format: str
) -> None:
    id, trial = await service.shown(), small.abo.trial
    answer = await service.get(f"/v1/optimizations/{id}/best", trial=trial, format=format)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert small.abo.best is not None
    prompt = small.abo.best.prompt
    if format == "markdown":
        assert prompt.text() in answer.text
        return
    data = answer.json()
    checks: dict[str, Any] = {
        "promptray": lambda: Prompt.from_json(data["prompt"]) == prompt,
        "openai": lambda: (
            data["messages"][0]["content"] == prompt.text()
            and data["messages"][-1]["content"] == "{{input}}"
        ),
        "dspy": lambda: (
            data["signature"]["instructions"] == prompt.text()
            and len(data["demos"]) == len(prompt.demonstrations)
        ),
        "mlflow": lambda: data["template"][-1] == {"role": "user", "content": "{{input}}"},
    }
    assert checks[format]()


async def test_tables_settings_and_report_are_given_as_they_are(
    service: Client, small: Small
) -> None:
    id = await service.shown()
    table = await service.get(f"/v1/optimizations/{id}/files/trials.parquet")
    assert pq.read_table(io.BytesIO(table.content)).num_rows == 2
    settings = await service.get(f"/v1/optimizations/{id}/files/settings.yaml")
    assert settings.headers["content-type"].startswith("text/plain")
    kept, given = (
        yaml.safe_load(text)
        for text in ((small.out / "settings.yaml").read_bytes(), settings.content)
    )
    assert given == {name: kept[name] for name in kept if name not in ("out", "trials", "models")}
    report = await service.get(f"/v1/optimizations/{id}/report")
    assert report.content == (small.out / "report.html").read_bytes()
    policy = report.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy
    assert "script-src 'sha256-" in policy
    assert (await service.get(f"/v1/optimizations/{id}/files/ledger")).status_code == 400


async def test_what_is_made_at_the_end_is_not_there_before(service: Client) -> None:
    id = (await service.post("/v1/optimizations", REQUEST)).json()["id"]
    for path in ("/best", "/report", "/files/costs.parquet"):
        assert (await service.get(f"/v1/optimizations/{id}{path}")).status_code == 409, path


async def test_the_catalogue_names_what_a_job_may_name(service: Client) -> None:
    found = await service.json("/v1/catalogue")
    assert [model["label"] for model in found["targets"]] == ["builtin:target", "builtin:optimizer"]
    assert {"apo", "abo"} <= found["strategies"].keys()
    assert {"navigate"} <= found["generated_tasks"].keys()
    again = await service.post("/v1/optimizations/estimate", found["defaults"] | REQUEST)
    assert again.status_code == 200, json.dumps(again.json())


async def test_each_split_is_compared_for_itself_on_the_items_that_both_answered(
    service: Client, small: Small
) -> None:
    id, result = await service.shown(), small.abo
    assert result.best is not None
    found = await service.json(
        f"/v1/optimizations/{id}/comparison",
        trial=result.trial,
        left=result.best.id,
        right=result.seed_prompt.id,
    )
    assert [one["split"] for one in found["splits"]] == ["test", "dev"]
    assert found["untested"] == ""
    for one in found["splits"]:
        both = [
            item
            for item in found["items"]
            if item["split"] == one["split"] and item["winner"] != "unknown"
        ]
        assert one["items"] == len(both)
        for side in ("left", "right"):
            assert one[f"{side}_accuracy"] == pytest.approx(
                sum(item[side]["score"] for item in both) / len(both)
            )
            assert one[f"{side}_low"] <= one[f"{side}_accuracy"] <= one[f"{side}_high"]
        assert one["lead"] == pytest.approx(one["left_accuracy"] - one["right_accuracy"])
        assert one["lead_low"] <= one["lead"] <= one["lead_high"]
        assert sum(one["counts"].values()) == sum(
            item["split"] == one["split"] for item in found["items"]
        )
    assert found["splits"][0]["left_accuracy"] == result.test_accuracy
    assert found["splits"][0]["right_accuracy"] == result.seed_prompt_test_accuracy


async def test_a_test_figure_never_stands_beside_a_dev_figure(
    service: Client, small: Small
) -> None:
    """The one was tested, the other has a place on the dev split alone."""
    id, result = await service.shown(), small.abo
    assert result.best is not None
    seen = {one.candidate.id for round in result.rounds for one in round.standings}
    other = min(seen - {result.best.id, result.seed_prompt.id})
    found = await service.json(
        f"/v1/optimizations/{id}/comparison", trial=result.trial, left=result.best.id, right=other
    )
    assert [one["split"] for one in found["splits"]] == ["dev"]
    assert found["untested"] == "right"
    assert "test items" not in found["verdict"]


async def test_a_job_of_two_tasks_has_a_best_prompt_of_each(
    open_service: OpenService, small: Small, tmp_path: Path
) -> None:
    """Navigate is the easier one: its highest dev accuracy says nothing of the other task."""
    out = tmp_path / "two"
    easy, hard = (
        replace(small.abo, dev_accuracy=0.9),
        replace(small.abo, task="object_counting", dev_accuracy=0.4),
    )
    trials = [
        replace(easy, trial="navigate-apo-s0", strategy="apo", dev_accuracy=0.5),
        easy,
        replace(hard, trial="object_counting-abo-s0"),
        replace(hard, trial="object_counting-apo-s0", strategy="apo", dev_accuracy=0.3),
    ]
    write_settings(
        ExperimentSettings.model_validate(SETTINGS | {"tasks": ["navigate", "object_counting"]}),
        open_folder(out),
    )
    for one in trials:
        write_trial(out, one)
    service = open_service(backend=ArchiveBackend([out]))
    id = await service.shown()
    found = (await service.json(f"/v1/optimizations/{id}/best/tasks"))["data"]
    assert [(one["task"], one["trial"], one["dev_accuracy"]) for one in found] == [
        ("navigate", "navigate-abo-s0", 0.9),
        ("object_counting", "object_counting-abo-s0", 0.4),
    ]
    for one in found:
        alone = await service.json(f"/v1/optimizations/{id}/best", trial=one["trial"])
        assert alone == one
    job = await service.json(f"/v1/optimizations/{id}")
    assert job["best_dev_accuracy_by_task"] == {"navigate": 0.9, "object_counting": 0.4}


async def test_a_job_of_which_no_round_is_done_has_no_best_prompt_yet(
    small: Small, open_service: OpenService
) -> None:
    service = open_service(backend=ReplayBackend([small.out], every_s=60.0))
    id = (await service.post("/v1/optimizations", REQUEST)).json()["id"]
    assert (await service.json(f"/v1/optimizations/{id}/best/tasks"))["data"] == []


async def test_a_best_prompt_says_on_how_many_items_and_shows_its_worked_examples(
    service: Client, small: Small
) -> None:
    id, result = await service.shown(), small.abo
    assert result.best is not None
    best = await service.json(f"/v1/optimizations/{id}/best", trial=result.trial)
    assert best["dev_items"] == result.rounds[-1].best.items
    assert best["dev_low"] <= best["dev_accuracy"] <= best["dev_high"]
    detail = await service.json(
        f"/v1/optimizations/{id}/candidates/{result.best.id}", trial=result.trial
    )
    shown = result.best.prompt.demonstrations
    for answer in (best, detail):
        assert [one["input"] for one in answer["worked_examples"]] == [one.input for one in shown]
    assert detail["dev_low"] <= detail["dev_accuracy"] <= detail["dev_high"]
    exported = await service.json(
        f"/v1/optimizations/{id}/best", trial=result.trial, format="promptray"
    )
    assert "worked_examples" not in exported


def test_a_demonstration_that_came_with_a_candidate_is_marked_as_new() -> None:
    old, new = Demonstration("1 + 1", "Step 1: 2\nAnswer: 2"), Demonstration("2 + 2", "It is 4.")
    root = Candidate(Prompt("a", demonstrations=(old,)), "seed", 0)
    child = Candidate(Prompt("a", demonstrations=(new,)), "demonstrate", 1, root.id)
    rounds = (
        Round(0, (Standing(root, 0.5, 4, None, True),)),
        Round(1, (Standing(child, 0.75, 4, None, True),)),
    )
    detail = TrialCandidates(TrialHistory("t", rounds)).detail(child.id)
    assert [(one.input, one.new) for one in detail.worked_examples] == [("2 + 2", True)]
    assert detail.dropped_examples == 1
    assert [(part.label, part.text) for part in detail.worked_examples[0].parts] == [
        ("Response", "It is 4.")
    ]
    root_detail = TrialCandidates(TrialHistory("t", rounds)).detail(root.id)
    assert [(part.label, part.text) for part in root_detail.worked_examples[0].parts] == [
        ("Step 1", "2"),
        ("Answer", "2"),
    ]
    assert not root_detail.worked_examples[0].new
