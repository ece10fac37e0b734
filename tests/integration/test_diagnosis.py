"""`promptray diagnose`: mistakes in one sentence, a folder and a page that hold what was found, the
real command on a real Ray.
"""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

from cluster.diagnosis.causes import procedure_of
from cluster.diagnosis.folder import write_diagnosis
from cluster.diagnosis.page import diagnosis_page, figures
from cluster.diagnosis.preparation import prepare
from cluster.diagnosis.result import TaskDiagnosis
from cluster.diagnosis.running import diagnose_task
from cluster.diagnosis.settings import DiagnosisSettings
from cluster.diagnosis.table import diagnosis_table
from optimizer.counted_model import CountedModel
from optimizer.diagnostics import Depth, Diagnosis, NotMeasured, Subject, diagnose
from optimizer.diagnostics.ablations import SHORT
from optimizer.errors import DataError, SettingsError
from optimizer.prompt import Prompt
from optimizer.scripted import ScriptedModel
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Sizes
from optimizer.types import Failed, Request
from serving.storage import open_folder
from tests.contracts import toy
from tests.contracts.commands import forked

ROOT = Path(__file__).parents[2]
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}${x}"
MEASURES = (
    "reflection bias",
    "reflection validity",
    "one-step refinement",
    "predictability of the target",
    "ABO's ablations",
)


def promptray(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from cluster.cli import main; main()", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture
async def found() -> Diagnosis:
    """Of the toy task; what the optimizer model writes is as evil as it can be."""

    def author(request: Request) -> str:
        reply = toy.author(request)
        return reply.replace("It never says:", EVIL.replace("<", "&lt;") + EVIL)

    subject = Subject(toy.PROBLEM, toy.DEV, toy.examples(8, "held out"), None)
    depth = Depth(error_sets=8, errors_per_set=2, search=SHORT)
    return await diagnose(
        subject,
        CountedModel(ScriptedModel(author)),
        toy.InMemoryEvaluator(ScriptedModel(toy.target)),
        depth,
        0,
    )


def result(found: Diagnosis | None, **changes: Any) -> TaskDiagnosis:
    return TaskDiagnosis(
        **{
            "task": EVIL,
            "target": EVIL,
            "optimizer": EVIL,
            "seed": 0,
            "seed_prompt": Prompt(EVIL),
            "data_hash": "ab",
            "stand_in": True,
            "found": found,
            "calls_by_model": {"target": 1, "optimizer": 2},
        }
        | changes
    )


NOTHING = Diagnosis(
    **dict.fromkeys(
        ("bias", "validity", "one_step", "predictability", "ablations"), NotMeasured(EVIL)
    )
)


@pytest.mark.parametrize("lost", ["target", "optimizer"])
async def test_a_diagnosis_of_which_nothing_came_has_the_reason_and_no_finding(
    tmp_path: Path, lost: str
) -> None:
    sizes = {"train": 12, "dev": 4, "held_out": 4}
    given = {"tasks": ["navigate"], "sizes": sizes, "ablations": {"seeds": 1}, "out": str(tmp_path)}
    prepared = await asyncio.to_thread(prepare, DiagnosisSettings.of(given))
    gone = ScriptedModel(lambda _: Failed("infrastructure", "http://x answered 400: It is off."))
    models = {
        "target": ScriptedModel(lambda _: "Answer: no"),
        "optimizer": ScriptedModel(toy.author),
    } | {lost: gone}
    one = await diagnose_task(
        prepared, "navigate", models["target"], models["optimizer"], lambda _: None
    )
    assert one.found is None
    assert re.search(
        rf"none of the \d+ answers of the {lost} model came \(http://x answered 400: It is off\)",
        one.error,
    )
    assert [(failure.model, failure.kind) for failure in one.failures] == [(lost, "infrastructure")]
    page = diagnosis_page([one], {})
    assert "p = 1.000" not in page
    assert "It is off" in page


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "name a task with --task"),
        ({"tasks": []}, "tasks"),
        ({"tasks": ["navigate"], "target": "builtin:none"}, "no built-in model called 'none'"),
        ({"tasks": ["navigate"], "sedd": 1}, "did you mean 'seed'"),
        ({"tasks": ["navigate"], "sizes": {"test": 5}}, "held_out"),
        ({"tasks": ["navigate"], "reflection": {"error_sets": 0}}, "error_sets"),
        ({"tasks": ["navigate"], "ablations": {"settings": {"beems": 2}}}, "beam"),
        ({"tasks": ["navigate"], "ablations": {"settings": {"beam": 0}}}, "beam"),
        ({"tasks": [{"source": "navigate", "sizes": {"test": 3}}]}, "no sizes of its own"),
    ],
)
def test_a_mistake_is_one_sentence(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)) as problem:
        DiagnosisSettings.of(given)
    assert "\n" not in str(problem.value)


@pytest.mark.process
def test_the_command_ends_with_the_sentence(tmp_path: Path) -> None:
    ended = forked(
        "diagnose",
        "--task",
        str(tmp_path / "none.jsonl"),
        "--sizes",
        "9,9",
        "--out",
        str(tmp_path / "out"),
    )
    assert ended.returncode == 2
    assert "TRAIN,DEV,HELD_OUT" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert not (tmp_path / "out").exists()


def test_the_folder_of_a_diagnosis_can_be_run_again(tmp_path: Path) -> None:
    given = {
        "tasks": ["navigate"],
        "seed": 4,
        "sizes": {"train": 9, "dev": 8, "held_out": 7},
        "out": str(tmp_path / "out"),
    }
    prepared = prepare(DiagnosisSettings.of(given))
    file = tmp_path / "out" / "settings.yaml"
    again = DiagnosisSettings.read(file, {})
    assert again == prepared.settings
    assert again.recorded is not None
    assert again.recorded.data["navigate"][4] == prepared.tasks["navigate"].data_hash
    assert len(prepared.tasks["navigate"].test) == 7
    file.write_text(file.read_text().replace(prepared.tasks["navigate"].data_hash, "other"))
    with pytest.raises(DataError, match="not what these settings were recorded with"):
        prepare(DiagnosisSettings.read(file, {}))


def test_a_file_of_a_generated_tasks_items_is_judged_by_its_procedure(shared_data: Path) -> None:
    sizes = Sizes(20, 5, 5)
    known = procedure_of(
        load_task(str(shared_data / "bbh" / "navigate.json"), sizes=sizes, seed=0).train
    )
    assert known is not None
    assert known.task.name == "navigate"
    turns = (
        "The model moves along but loses its direction: it never keeps the facing direction when "
        "the moves turn it."
    )
    assert known.named(turns) == "facing"
    assert known.named("The instruction is too vague about how to reason.") is None
    assert (
        procedure_of(load_task(str(shared_data / "bbh" / "snarks.json"), sizes=sizes, seed=0).train)
        is None
    )


async def test_the_folder_holds_all_that_was_found(found: Diagnosis, tmp_path: Path) -> None:
    results = [
        result(found, task="toy"),
        result(None, task="gone", error="The endpoint cannot be reached."),
    ]
    write_diagnosis(open_folder(tmp_path), results, {"seed": 0})
    told = json.loads((tmp_path / "diagnosis.json").read_text())
    assert tuple(told["tasks"][0]["found"]["measures"]) == MEASURES
    assert all(measure["sentence"] for measure in told["tasks"][0]["found"]["measures"].values())
    assert told["tasks"][1]["error"] == "The endpoint cannot be reached."
    feedbacks = pq.read_table(tmp_path / "feedbacks.parquet").to_pylist()
    assert [row["text"] for row in feedbacks] == [feedback.text for feedback in found.feedbacks]
    refinements = pq.read_table(tmp_path / "refinements.parquet").to_pylist()
    assert {row["arm"] for row in refinements} >= {"paraphrase"}
    assert "The endpoint cannot be reached." in (tmp_path / "diagnosis.html").read_text()


async def test_the_page_shows_data_as_text_and_loads_nothing(found: Diagnosis) -> None:
    page = re.sub(
        r"<script>.*?</script>",
        "",
        diagnosis_page([result(found), result(NOTHING)], {"x": EVIL}),
        flags=re.DOTALL,
    )
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!#)", page)
    data = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    charts = json.loads(data[1])
    assert len(charts) == len(MEASURES)
    assert all(f'id="{name}"' in page for name in charts)


async def test_the_charts_are_valid_plotly(found: Diagnosis) -> None:
    for figure in figures(found).values():
        go.Figure(figure)


async def test_no_chart_repeats_a_label(found: Diagnosis) -> None:
    for axis in (figure["layout"]["xaxis"] for figure in figures(found).values()):
        assert len(set(axis["ticktext"])) == len(axis["ticktext"]) > 1


async def test_the_table_has_a_sentence_a_measure(found: Diagnosis) -> None:
    console = Console(width=150, record=True)
    console.print(
        diagnosis_table([result(found, task="toy"), result(None, task="gone", error="[red]Gone.")])
    )
    told = " ".join(console.export_text().split())
    assert all(measure in told for measure in MEASURES)
    assert "[red]Gone." in told


@pytest.mark.ray
@pytest.mark.slow
def test_the_command_diagnoses_on_ray_within_its_budgets(
    on_local_ray: None, tmp_path: Path
) -> None:
    file, out = tmp_path / "tiny.yaml", tmp_path / "out"
    file.write_text(
        yaml.safe_dump(
            {
                "code": [str(ROOT / "tests" / "contracts" / "my_scorer.py")],
                "tasks": [{"source": "navigate", "scorer": "my_scorer:loud"}],
                "sizes": {"train": 16, "dev": 4, "held_out": 4},
                "reflection": {"error_sets": 6, "errors_per_set": 1},
                "ablations": {
                    "settings": {"rounds": 1, "minibatch": 2, "children": 1, "demonstrations": 1}
                },
                "optimizer": {"kind": "builtin", "name": "optimizer", "prior_bias": 0.9},
            }
        )
    )
    ended = promptray(
        "diagnose", str(file), "--seed", "1", "--target-calls", "400", "--out", str(out)
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert all(measure in ended.stdout for measure in MEASURES)
    assert {path.name for path in out.iterdir()} == {
        "diagnosis.json",
        "diagnosis.html",
        "settings.yaml",
        "feedbacks.parquet",
        "refinements.parquet",
        "ledger",
    }
    told = json.loads((out / "diagnosis.json").read_text())["tasks"][0]
    assert told["calls_by_model"]["target"] <= 400
    assert told["found"]["measures"]["reflection bias"]["explained"]["items"] >= 1
