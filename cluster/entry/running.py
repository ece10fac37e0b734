"""Run settings to their end and write the results folder, for callers in Python."""

from rich.console import Console

from cluster.apply import carried_by
from cluster.config.experiment import ExperimentSettings
from cluster.evaluation.preparation import prepare_evaluation
from cluster.evaluation.running import run_evaluation
from cluster.evaluation.settings import EvaluationSettings
from cluster.experiment.console import watching
from cluster.experiment.prepare import Experiment, prepare
from cluster.experiment.runner import BrokenOff, Interrupted, run_experiment
from cluster.results import write_results
from cluster.trial.result import TrialResult


def run_to_end(settings: ExperimentSettings, console: Console) -> str:
    """Run an experiment, and return the place of its results folder.

    Args:
        settings: The experiment.
        console: Shows the run.

    Raises:
        UserError: The settings, the data or the results folder is at fault.
        EndpointError: A model does not answer.
        KeyboardInterrupt: It was stopped; what was found is in the folder.
    """
    experiment = prepare(settings)
    for note in (*experiment.notes, *experiment.data_notes):
        console.print(note, markup=False, highlight=False)
    try:
        with watching([spec.trial for spec in experiment.trial_specs], console) as watcher:
            results = run_experiment(experiment, watcher)
    except Interrupted as interruption:
        _write(experiment, interruption.results)
        raise KeyboardInterrupt from interruption
    except BrokenOff as broken:
        _write(experiment, broken.results)
        raise broken.problem from broken
    _write(experiment, results)
    return experiment.out.place


def evaluate_to_end(settings: EvaluationSettings, console: Console) -> str:
    """Run an evaluation, and return the place of its results folder.

    Raises:
        UserError: The settings, the data or the results folder is at fault.
        EndpointError: The model does not answer.
    """
    prepared = prepare_evaluation(settings)

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    tell(prepared.data.note)
    run_evaluation(prepared, tell, lambda done, total: None)
    return prepared.out.place


def _write(experiment: Experiment, results: tuple[TrialResult, ...]) -> None:
    if results:
        shown = experiment.settings.model_dump(mode="json")
        write_results(experiment.out, results, shown, carried_by(experiment.settings))
