"""Open the results folder of a run, of an experiment or of an evaluation."""

from cluster.config.experiment import ExperimentSettings
from cluster.entry.outcome import EvaluationResult, OptimizationResult, opened, opened_evaluation
from cluster.experiment.prepare import settings_place
from serving.settings.validation import read_mapping


def load_folder(folder: str) -> OptimizationResult | EvaluationResult:
    """Return what is in a results folder.

    Raises:
        StorageError: There is no such folder, or it cannot be read.
        SettingsError: Its settings cannot be read.
    """
    place = settings_place(folder)
    if "prompts" in read_mapping(place):
        return opened_evaluation(folder)
    settings = ExperimentSettings.view(place)
    return opened(
        folder, {task.label: task.columns.build() for task in settings.tasks if task.columns}
    )
