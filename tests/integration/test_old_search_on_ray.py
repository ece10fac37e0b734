"""A run and a search that an older version finished, repeated on Ray: they take the same course,
and nothing is paid for again.
"""

from contextlib import nullcontext
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import prepare, settings_place
from cluster.experiment.runner import RunContext, run_experiment
from cluster.results import write_results
from cluster.trial.result import TrialResult
from serving.ledger.store import Ledger
from serving.storage import open_folder
from tests.contracts.written_before import WRITTEN, Copied
from tests.unit.formats.test_old_results import table, uncompared

pytestmark = [pytest.mark.ray, pytest.mark.slow]


class Nobody:
    """A ProgressListener that looks away."""

    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None


def repeated(out: Path) -> tuple[TrialResult, ...]:
    experiment = prepare(ExperimentSettings.read(settings_place(str(out)), {"out": str(out)}))
    assert experiment.notes == () or all("Recorded with" in note for note in experiment.notes)
    results = run_experiment(experiment, Nobody(), RunContext(session=nullcontext, lasting=True))  # type: ignore[arg-type]
    write_results(out, results, {})
    return results


def test_nothing_is_paid_for_again(local_ray: None, copied: Copied) -> None:
    for name in ("run", "search"):
        out = copied(name)
        kept = len(Ledger.read_only(open_folder(out / "ledger")))
        results = repeated(out)
        assert [result.error for result in results] == [""] * len(results)
        assert all(
            result.target_calls + result.optimizer_calls == result.ledger_hits for result in results
        ), "all from the ledger"
        assert len(Ledger.read_only(open_folder(out / "ledger"))) == kept
        kept_baseline = {result.trial for result in results if result.best_is_baseline}
        for file in ("trials.parquet", "candidates.parquet"):
            old = WRITTEN / name / file
            assert table(out / file, pq.read_schema(old).names) == [
                uncompared(row, kept_baseline) for row in table(old)
            ]
    assert (out / "decisions" / "000000.jsonl").read_bytes() == (
        WRITTEN / "search" / "decisions" / "000000.jsonl"
    ).read_bytes()
