"""Check an evaluation before it starts: its data, its folder, its model."""

import hashlib
import json
from dataclasses import dataclass

from cluster.config.experiment import Recorded
from cluster.config.grader import judge_requests
from cluster.evaluation.data import WholeData, load_whole
from cluster.evaluation.settings import EvaluationSettings
from cluster.experiment.preflight import Question, as_target, check_models
from cluster.experiment.prepare import (
    SETTINGS_FILE,
    check_data,
    differing_versions,
    make_results_folder,
    versions,
    write_settings,
)
from optimizer.errors import SettingsError
from serving.runtime.blocking import run_blocking
from serving.settings import ModelSettings
from serving.storage import Folder

_NO_PART_OF_THE_COURSE = {"name", "out", "recorded", "budget", "least_score", "code"}


@dataclass(frozen=True)
class PreparedEvaluation:
    """What is to be run."""

    settings: EvaluationSettings
    data: WholeData
    out: Folder
    notes: tuple[str, ...]
    """Sentences that the user should read."""
    judge: ModelSettings | None = None
    """The model that the grader calls; None where it calls none."""

    @property
    def models(self) -> tuple[ModelSettings, ...]:
        """Return the models that are called."""
        return (self.settings.target_model, *([self.judge] if self.judge else []))

    @property
    def course(self) -> str:
        """Return a hash that is equal for evaluations that ask the same."""
        named = self.settings.model_dump(mode="json", exclude=_NO_PART_OF_THE_COURSE)
        text = json.dumps([named, self.data.data_hash], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def prepare_evaluation(settings: EvaluationSettings) -> PreparedEvaluation:
    """Check everything that can be checked, and make the results folder.

    Raises:
        UserError: The settings, the data or the results folder is at fault.
        EndpointError: The model does not answer.
    """
    data = load_whole(settings.task)
    hashes = {settings.task.title: {0: data.data_hash}}
    check_data(settings.recorded, hashes)
    recorded = Recorded(versions=versions(), data=hashes)
    notes = differing_versions(settings.recorded, recorded.versions)
    out = make_results_folder(settings)
    _expect_free(out, settings)
    judge = settings.judge_of(data.grader)
    questions = questions_of(settings, data)
    run_blocking(lambda: check_models(questions))
    settings = settings.completed(out.absolute().place, recorded)
    if not out.exists(SETTINGS_FILE):
        write_settings(settings, out)
    return PreparedEvaluation(settings, data, out, notes, judge)


def questions_of(settings: EvaluationSettings, data: WholeData) -> tuple[Question, ...]:
    """Return each model of an evaluation with each form of its requests; see preflight.

    Raises:
        SettingsError: The grader calls a model, and names none that can be paid.
    """
    questions = [(settings.target_model, as_target(settings.sampling.build()))]
    if judge := settings.judge_of(data.grader):
        questions += [(judge, request) for request in judge_requests(data.grader)]
    return tuple(questions)


def _expect_free(out: Folder, settings: EvaluationSettings) -> None:
    """Refuse the folder of an experiment, whose tables would be written over."""
    if out.exists("trials.parquet"):
        raise SettingsError(
            f"{out} holds the results of an experiment; name another folder with --out."
        )
