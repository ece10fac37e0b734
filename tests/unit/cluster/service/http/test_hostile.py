"""Results full of markup, script, control characters and halves of characters: every route gives
them as text in JSON alone.
"""

import json
from pathlib import Path

import pytest

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import write_settings
from cluster.results import write_results, write_trial
from cluster.service.backends.archive import ArchiveBackend
from cluster.trial.result import TrialResult
from optimizer.candidate import Candidate, Round, Standing
from optimizer.prompt import Demonstration, Prompt, Step
from serving.storage import open_folder
from tests.contracts import hostile
from tests.unit.cluster.service.http.conftest import OpenService

SETTINGS = {
    "name": "hostile",
    "tasks": ["navigate"],
    "strategies": ["apo"],
    "sizes": {"train": 4, "dev": 3, "test": 3},
}
TRIAL = "navigate-apo-s0"


def planted(out: Path, text: str) -> TrialResult:
    seed = Prompt("Think.")
    prompt = Prompt(
        f"a {text}",
        (Step(text or "x"),),
        (Demonstration(text, f"Step 1: {text}\nAnswer: {text}"),),
        text,
    )
    root = Candidate(seed, "seed", 0)
    best = Candidate(prompt, text, 1, root.id, text, 1)
    rounds = (
        Round(0, (Standing(root, 0.3, 3, None, True, scores=(0.0, 1.0, 0.0)),), text),
        Round(
            1,
            (
                Standing(best, 0.6, 3, 1.0, True, scores=(1.0, 1.0, 0.0)),
                Standing(root, 0.3, 3, None, False),
            ),
            text,
        ),
    )
    result = TrialResult(
        trial=TRIAL,
        task="navigate",
        strategy="apo",
        selection="racing",
        seed=0,
        target="builtin:target",
        optimizer="builtin:optimizer",
        status="finished",
        seed_prompt=seed,
        best=best,
        rounds=rounds,
        dev_accuracy=0.6,
        test_marks="110",
        seed_prompt_test_marks="100",
        test_items=3,
        test_accuracy=0.66,
        seed_prompt_test_accuracy=0.33,
        error=text,
        scorer="choice",
    )
    settings = ExperimentSettings.model_validate(SETTINGS)
    write_settings(settings, open_folder(out))
    write_trial(out, result)
    write_results(out, [result], settings.model_dump(mode="json"))
    return result


@pytest.mark.parametrize("text", hostile.SHORT)
async def test_every_route_gives_it_as_text(
    open_service: OpenService, tmp_path: Path, text: str
) -> None:
    result = planted(tmp_path / "out", text)
    service = open_service(backend=ArchiveBackend([tmp_path / "out"]))
    assert result.best is not None
    job, best, seed = await service.shown(), result.best.id, result.seed_prompt.id
    shown = text.encode("utf-8", "backslashreplace").decode()
    for path in (
        "",
        "/events?limit=1000",
        "/trials",
        f"/trials/{TRIAL}",
        "/candidates",
        f"/candidates/{best}?trial={TRIAL}",
        f"/tree?trial={TRIAL}",
        f"/comparison?trial={TRIAL}&left={best}&right={seed}",
        "/best",
        "/best?format=openai",
        "/best?format=dspy",
        "/best?format=mlflow",
        "/best?format=promptray",
    ):
        answer = await service.get(f"/v1/optimizations/{job}{path}")
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-type"] == "application/json", path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        answer.content.decode("ascii")
        answer.json()
    detail = await service.json(f"/v1/optimizations/{job}/candidates/{best}", trial=TRIAL)
    assert shown in detail["text"]
    assert detail["reflection"] == shown
    stream = await service.get(f"/v1/optimizations/{job}/events", stream=True)
    assert [
        json.loads(line.removeprefix("data: "))["id"]
        for line in stream.text.split("\n")
        if line.startswith("data: ")
    ]
    markdown = await service.get(f"/v1/optimizations/{job}/best", format="markdown")
    assert (markdown.status_code, markdown.headers["content-type"]) == (
        200,
        "text/markdown; charset=utf-8",
    )
    assert markdown.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize("path", ["trials/navigate-apo-s0.json", "settings.yaml"])
async def test_a_damaged_file_is_no_fault_of_the_service(
    open_service: OpenService, tmp_path: Path, path: str
) -> None:
    planted(tmp_path / "out", "x")
    service = open_service(backend=ArchiveBackend([tmp_path / "out"]))
    job = await service.shown()
    (tmp_path / "out" / path).write_bytes(b'{"standings": [1, {"a": "\xff')
    answer = await service.get(f"/v1/optimizations/{job}/trials")
    assert answer.status_code == (409 if path.startswith("trials") else 200)
