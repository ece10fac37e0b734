"""What a job leaves whose process was ended before it could write its results: made of the last reports of its trials.

It is in place of what the process would have written itself, and is written over by the next run of the job. Knows no Ray.
"""

from cluster.plans import assignments, plan_of
from cluster.preparation import SETTINGS_FILE
from cluster.report import read_trials, read_unfinished, write_results
from cluster.result import Status, TrialResult
from cluster.service.views.settings import shown_settings
from cluster.settings import ExperimentSettings
from cluster.trial import without_result
from serving.storage import Folder


def leave_results(out: Folder, cut: Status) -> None:
    """Writes the tables, the page and the best prompts; trials that had not come to their end get the status `cut`.

    Nothing where the job had not begun. Raises StorageError, DataError or SettingsError.
    """
    if not out.exists(SETTINGS_FILE):
        return
    settings = ExperimentSettings.read(out.place_of(SETTINGS_FILE))
    known = {result.trial: result for result in (*read_unfinished(out), *read_trials(out))}
    if not known:  # of this run nothing is known; what an earlier one has left stays
        return
    results: list[TrialResult] = []
    for assignment in assignments(settings):
        if result := known.get(assignment.trial):
            results.append(TrialResult(**{**vars(result), "status": cut}) if result.status == "stopped" else result)
        elif assignment.point is not None:
            results.append(without_result(plan_of(settings, assignment), cut))
    write_results(out, results, shown_settings(settings))
