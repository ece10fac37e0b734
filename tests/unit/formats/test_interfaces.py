"""What others hold of us by name: users' scripts and files, deployment files, dashboards, clients
of the service.

Each test says what it pins and who holds it. A name here may get a new home behind an alias, but
must go on working; more may be added beside it. What old files look like as a whole stands in
tests/fixtures/written_by_6cdc62a, and is read by the tests beside.
"""

import json
import re
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.metrics import METRICS
from cluster.experiment.prepare import course_of, settings_place
from cluster.results import read_trials, write_results, write_trial
from cluster.results.tables import CANDIDATES, COSTS, FAILURES, TRIALS
from cluster.service.core import errors as service_errors
from cluster.service.core.settings import ServiceSettings
from cluster.service.jobs.controller_actor import controller_name
from cluster.service.jobs.request_mapping import probe_digest
from cluster.service.schemas import OptimizationRequest
from cluster.trial.result import TrialResult
from optimizer import errors
from optimizer.prompt import Prompt
from optimizer.types import Message, Request, Sampling
from serving.budget.store import BudgetStore
from serving.gateway.metrics import Metrics
from serving.hosting.deployment import _OUR_ERROR, deployment_name
from serving.ledger.format import ANSWER_COLUMNS, SCHEMA
from serving.ledger.schema import key_of, request_text
from serving.runtime.actors import NAMESPACE
from serving.settings import OptimizerSettings, TargetSettings
from serving.storage import open_folder
from serving.storage.journal import Journal
from tests.contracts.written_before import WRITTEN
from tests.unit.cluster.service.requests import request
from tests.unit.formats import interfaces

ROOT = Path(__file__).parents[3]
IMPORTS = {
    "serving.application:build": "import_path in users' Serve configurations and KubeRay manifests "
    "(cluster/deploy has some)",
    "cluster.service.application:build": "the same, for the service",
    "cluster.service.client:ServiceClient": "the typed client, in users' scripts",
    "cluster.service.client:ServiceError": "what it raises",
    "cluster.service.schemas:OptimizationRequest": "what it is given",
    "cluster.service.objects:OptimizationRequest": "the same, as older scripts import it",
    "cluster.cli:main": "the console script, in environments that were installed before",
    "cluster.service.show:main": "python -m cluster.service.show",
    "optimizer.errors:PromptrayError": "the root of what the client and the settings raise",
}
RESULTS = {
    "settings.yaml",
    "trials.parquet",
    "candidates.parquet",
    "costs.parquet",
    "failures.parquet",
    "report.html",
    "spent.json",
    "best/*.json",
    "best/*.md",
    "trials/*.json",
    "ledger/*.arrows",
    "ledger/use.json",
    "decisions/*.jsonl",
    "decisions/settings.json",
    "rounds/*/*.json",
}
"""Files under OUT/: users' notebooks read them, and our own commands find them by these names."""
STORAGE = {
    "keys.json",
    "keys/made.json",
    "audit/*.jsonl",
    "files/*.listed",
    "files/*/file.json",
    "files/*/data.jsonl",
    "optimizations/index/*.jsonl",
    "optimizations/*/request.json",
    "optimizations/*/state.json",
    "optimizations/*/events/*.jsonl",
    "usage/*.json",
    "usage/*/*/spent.json",
}
"""Files under STORAGE/, beside the results of each job: backups, and the next version of the
service.
"""
ERRORS = (
    "SettingsError",
    "DataError",
    "AccessError",
    "StorageError",
    "JobError",
    "EndpointError",
    "BudgetExhausted",
    "QuotaExhausted",
)
SERVICE_ERRORS = ("NotFound", "Conflict", "Damaged", "OverQuota", "Busy", "Unavailable", "NoRoom")
"""Names of classes that are the `code` of a failed job's error (state.json, the API) or an
`outcome` of the audit.
"""
METRIC_TAGS = {
    "promptray_evaluations": "experiment task strategy purpose",
    "promptray_calls": "experiment role purpose",
    "promptray_failed_calls": "experiment role",
    "promptray_ledger_hits": "experiment role",
    "promptray_tokens": "experiment role direction",
    "promptray_ledger_hit_share": "experiment",
    "promptray_prefix_hit_rate": "experiment task",
    "promptray_best_dev_accuracy": "experiment task strategy",
    "promptray_trials": "experiment status",
}
"""Ray's metrics: dashboards and alerts (cluster/deploy/grafana.json is one)."""
GATEWAY_METRICS = {
    "promptray_door_requests",
    "promptray_door_tokens",
    "promptray_door_answers",
    "promptray_door_refusals",
    "promptray_door_in_flight",
    "promptray_door_request_seconds",
}
"""Of /metrics."""
COLUMNS: dict[str, tuple[pa.Schema, str]] = {
    "trials.parquet": (
        TRIALS,
        (
            "task string, strategy string, selection string, seed int64, target string, optimizer "
            "string, status string, "
            "seed_prompt_test_accuracy double, test_accuracy double, test_low double, test_high "
            "double, verdict string, "
            "dev_accuracy double, adherence double, target_calls int64, optimizer_calls int64, "
            "settings string, "
            "verdicts_by_purpose string, replies_by_attempt string, p_value double, "
            "corrected_verdict string, train_accuracy double, "
            "gap double, seed_prompt_test_marks string, test_marks string, trial string, error "
            "string"
        ),
    ),
    "candidates.parquet": (
        CANDIDATES,
        (
            "trial string, round int64, candidate string, parent string, operator string, prompt "
            "string, dev_accuracy double, "
            "items int64, kept bool"
        ),
    ),
    "costs.parquet": (
        COSTS,
        "trial string, wall_s double, ledger_hits int64, money double, prefix_hit_rate double",
    ),
    "failures.parquet": (
        FAILURES,
        "trial string, model string, kind string, calls int64, reason string",
    ),
    "ledger/*.arrows": (
        SCHEMA,
        (
            "key fixed_size_binary[32], text binary, truncated bool, prompt_tokens int64, "
            "completion_tokens int64, metadata binary, "
            "cached_tokens int64, model string, purpose string, request string, recorded_at "
            "timestamp[us, tz=UTC]"
        ),
    ),
}
"""Notebooks, and every old ledger."""


@pytest.mark.parametrize("path", IMPORTS)
def test_import_paths(path: str) -> None:
    module, _, name = path.partition(":")
    assert callable(getattr(import_module(module), name)), IMPORTS[path]


def test_the_command_of_submitted_jobs() -> None:
    """`python -m cluster.cli` runs on the cluster, and stands in the records of jobs that are
    there.
    """
    assert find_spec("cluster.cli.__main__")


def test_deployment_files_name_only_paths_that_are_pinned() -> None:
    named = {
        found
        for file in (ROOT / "cluster" / "deploy").iterdir()
        if file.suffix in (".yaml", ".md")
        for found in re.findall(r"import_path: ([\w.]+:\w+)", file.read_text())
    }
    assert named - {"ray.serve.llm:build_openai_app"} == {
        "serving.application:build",
        "cluster.service.application:build",
    }
    assert named - {"ray.serve.llm:build_openai_app"} <= set(IMPORTS)


def test_file_names_of_results(tmp_path: Path) -> None:
    """The folders that were written have the names; what is written now has those that these
    functions write.
    """
    outs = [
        WRITTEN / "run",
        WRITTEN / "search",
        *(WRITTEN / "storage" / "optimizations").glob("opt-*/results"),
    ]
    there = {pattern for pattern in RESULTS for out in outs if any(out.glob(pattern))}
    assert there | {"report.html"} == RESULTS, (
        "report.html is too large to be kept beside the tests"
    )
    results = read_trials(open_folder(WRITTEN / "run"))
    write_results(tmp_path, results, {})
    write_trial(tmp_path, results[0])
    made = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    assert made == {
        "trials.parquet",
        "candidates.parquet",
        "costs.parquet",
        "failures.parquet",
        "items.parquet",
        "report.html",
        f"trials/{results[0].trial}.json",
        *(f"best/{result.trial}.{ending}" for result in results for ending in ("json", "md")),
    }


def test_file_names_of_a_storage() -> None:
    """test_old_storage.py finds each thing again where it was put."""
    assert {pattern for pattern in STORAGE if any((WRITTEN / "storage").glob(pattern))} == STORAGE


@pytest.mark.parametrize("file", COLUMNS)
def test_columns(file: str) -> None:
    """Older files have fewer; none is renamed or of another type."""
    schema, promised = COLUMNS[file]
    now = {f"{field.name} {field.type}" for field in schema}
    assert set(re.split(r", (?![^\[]*\])", promised)) - now == set()


def test_metric_names() -> None:
    for name, tags in METRIC_TAGS.items():
        assert METRICS[name].tags == tuple(tags.split()), name
    told = Metrics().text().decode()
    assert {name for name in GATEWAY_METRICS if f"# TYPE {name}" in told} == GATEWAY_METRICS


def test_error_codes() -> None:
    """A class may be renamed only where its code is then written down."""
    for module, names in ((errors, ERRORS), (service_errors, SERVICE_ERRORS)):
        for name in names:
            assert getattr(module, name).__name__ == name


def test_a_replica_s_own_words_are_found_in_what_serve_says_of_it() -> None:
    """A traceback names the class with its module, wherever that is."""
    assert _OUR_ERROR.findall(
        traceback.format_exception(errors.StorageError("No room.")).pop()
    ) == [("StorageError", "No room.")]


def test_the_key_of_an_answer() -> None:
    """The ledger's: another digest makes every old answer unpaid."""
    asked = Request((Message("system", "Do."), Message("user", "ü")), Sampling(0.5, 64), 3, "learn")
    assert (
        key_of("m@1", asked).hex()
        == "4bb03bf04b40cd7be4519e061e9bce5369d8d4080e405a5aeeee3307a1877cd3"
    )
    assert key_of("m@1", Request((Message("user", "x"),), raw=True)).hex() == (
        "245dc50825875fe6a5a8a2b927155fb584797bca2a83c4e735ef2ca97ff8a1a6"
    )
    assert request_text(asked) == (
        '{"messages": [{"role": "system", "content": "Do."}, {"role": "user", "content": '
        '"\\u00fc"}], '
        '"sampling": {"temperature": 0.5, "max_tokens": 64}, "sample": 3, "raw": false}'
    )
    assert SCHEMA.metadata == {b"promptray_ledger": b"1", b"promptray_checksums": b"1"}
    assert {
        "key",
        "text",
        "truncated",
        "prompt_tokens",
        "completion_tokens",
        "metadata",
        "cached_tokens",
        "model",
    } <= {*ANSWER_COLUMNS}


def test_a_line_of_a_journal(tmp_path: Path) -> None:
    """Events, decisions, and the index of jobs."""
    Journal(open_folder(tmp_path)).append([{"n": 1, "é": [None]}])
    assert (
        tmp_path / "000000.jsonl"
    ).read_bytes() == b'{"n": 1, "\\u00e9": [null], "crc32": "6c2e2a58"}\n'


async def test_the_record_of_what_was_spent(tmp_path: Path) -> None:
    """Its fields, and the checksum over them: a record of before is read, and one of now can be
    read by whoever knew it.
    """
    settings = ExperimentSettings.read(settings_place(str(WRITTEN / "run")), {"out": str(tmp_path)})
    (tmp_path / "spent.json").write_bytes((WRITTEN / "run" / "spent.json").read_bytes())
    shared_budget = BudgetStore(open_folder(tmp_path), settings.budget.total.limits(), {})
    await shared_budget.stop()
    old, new = (
        json.loads((place / "spent.json").read_text()) for place in (WRITTEN / "run", tmp_path)
    )
    assert old.keys() <= new.keys()
    assert old["spent"].keys() <= new["spent"].keys()
    assert (new["spent"], new["done"]) == (
        old["spent"],
        [],
    )  # other limits of time than the run had, so none counts as done


def test_digests_of_settings() -> None:
    """`course` decides in spent.json whether a final test goes on where it was; a probe's digest,
    whether it was paid for. A
    setting that comes later must be left out of both where it has its default."""
    for name in ("run", "search"):
        settings = ExperimentSettings.read(settings_place(str(WRITTEN / name)), {})
        assert (
            course_of(settings) == json.loads((WRITTEN / name / "spent.json").read_text())["course"]
        ), name
    asked = OptimizationRequest.model_validate(request())
    assert probe_digest(asked, ServiceSettings()) == "7b8e38c3aacb8dde2c1cc807"


def test_names_on_a_ray_cluster() -> None:
    """A service that is started anew finds its controller, and experiments the models that others
    host.
    """
    assert NAMESPACE == "promptray"
    assert controller_name("/srv/promptray") == "keeper-5e5c66d5816f"
    assert deployment_name(TargetSettings()) == "builtin-target-baa6c253"
    assert deployment_name(OptimizerSettings()) == "builtin-optimizer-8bfb0851"


def test_a_prompt_s_id_and_form() -> None:
    """In best/, candidates.parquet, and the service's addresses."""
    assert Prompt("Think.").id == "222c023ae5"
    assert Prompt("Think.").to_json() == {
        "instruction": "Think.",
        "steps": [],
        "demonstrations": [],
        "closing": "",
    }


def test_a_trial_s_result_and_settings_keep_their_fields() -> None:
    """trials/TRIAL.json and settings.yaml as they were written: what they name is there still."""
    for name in ("run", "search"):
        for file in (WRITTEN / name / "trials").glob("*.json"):
            old = json.loads(file.read_text())
            assert old.keys() <= TrialResult.from_json(old).to_json().keys()
        written = yaml.safe_load((WRITTEN / name / "settings.yaml").read_text())
        now = ExperimentSettings.read(settings_place(str(WRITTEN / name)), {}).model_dump(
            mode="json"
        )
        assert _left_out(written, now) == []


def _left_out(old: Any, new: Any, place: str = "") -> list[str]:
    """Keys of `old` that `new` has not, in mappings within mappings."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            fault
            for key, value in old.items()
            for fault in (
                _left_out(value, new[key], f"{place}.{key}") if key in new else [f"{place}.{key}"]
            )
        ]
    return []


def test_commands_and_their_options() -> None:
    """Scripts: none is gone, and what was a flag is one."""
    assert (
        interfaces.missing(interfaces.read(interfaces.COMMANDS_FILE), interfaces.commands()) == []
    )


@pytest.mark.parametrize(
    ("file", "table"),
    [(interfaces.ROUTES_FILE, interfaces.routes), (interfaces.FIELDS_FILE, interfaces.fields)],
    ids=["routes", "fields"],
)
def test_routes_and_fields_of_the_service(
    tmp_path: Path, file: Path, table: Callable[[Any], interfaces.Table]
) -> None:
    """Clients, also those that were made from /openapi.json: they hold the names of its schemas
    too.
    """
    assert interfaces.missing(interfaces.read(file), table(interfaces.document(tmp_path))) == []


def test_a_planted_loss_is_seen() -> None:
    promised = {
        "promptray run": {"FILE": "value", "--seed": "value, repeated"},
        "promptray show": {},
    }
    assert interfaces.missing(promised, promised | {"promptray more": {}}) == []
    assert interfaces.missing(
        promised, {"promptray run": {"FILE": "value", "--seeds": "value, repeated"}}
    ) == ["promptray show is gone", "promptray run: --seed was 'value, repeated' and is 'gone'"]
    assert _left_out({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}) == [".a.c"]
