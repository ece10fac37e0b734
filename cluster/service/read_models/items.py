"""The examples that a job was measured on, and the answers that its ledger has; calls no model.

Reading disturbs no run: the ledger is read without its lock. The test split stays closed but for
those prompts that the final test has measured: they have marks, and only recorded answers are
looked up.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.config.experiment import ExperimentSettings
from cluster.config.search_space import SAMPLING, STRATEGY
from cluster.experiment.planning import TrialSpec
from cluster.search.space import settings_at
from cluster.service.read_models.candidates import TrialCandidates, candidates_of
from cluster.service.read_models.results import Results, TrialHistory
from optimizer.errors import PromptrayError, SettingsError, StorageError
from optimizer.grader import Grader
from optimizer.graders.base import pure_part, score_outcome
from optimizer.prompt import Prompt
from optimizer.statistics import Scores
from optimizer.tasks.generated import GENERATED
from optimizer.tasks.task import Task
from optimizer.types import Completion, Example, Request, Sampling, Score
from serving.ledger import ENDING
from serving.ledger.schema import key_of
from serving.ledger.store import Ledger
from serving.storage import Folder

LEDGER = "ledger"
BYTES_A_ROW = 2000
"""About the memory that an answer takes."""
_OPEN_SEGMENTS = 2
"""The last segments of a ledger, which may still grow under their names."""


@dataclass(frozen=True)
class TrialData:
    """The examples that a trial was measured on."""

    source: str
    task: Task
    grader: Grader
    target: str
    """The model's identity, as it is in every ledger key."""
    sampling: Sampling
    ledger: Ledger | None
    sees_examples: bool = False
    """The target gets the row of each example beside the messages."""

    def answer(self, prompt: Prompt, example: Example) -> Completion | None:
        """Return the answer in the ledger; None if there is none."""
        if self.ledger is None:
            return None
        request = Request(
            prompt.render(example.input, example.history),
            self.sampling,
            row=self.task.visible_row(example) if self.sees_examples else None,
        )
        return self.ledger.get(key_of(self.target, request))

    def score(self, answer: Completion, example: Example) -> Score | None:
        """Return the score of an answer, graded again; None where that would take a model."""
        grader = pure_part(self.grader)
        return score_outcome(grader, answer, example) if grader else None

    def test_examples(self) -> tuple[Example, ...]:
        """Return the test split, for prompts that the final test has measured."""
        return self.task.test.single_reading().read()


class Items:
    """Loads tasks and ledgers, each once as long as it does not change."""

    def __init__(self, results: Results) -> None:
        """Cache what is loaded in `results`."""
        self._results = results

    def candidates(self, history: TrialHistory) -> TrialCandidates:
        """Return the candidates of a trial."""
        return candidates_of(self._results, history)

    def of(
        self, settings: ExperimentSettings, folder: Folder, trial_spec: TrialSpec
    ) -> TrialData | None:
        """Return what a trial was measured on; None if the task's data cannot be read any more."""
        task_settings = next(one for one in settings.tasks if one.label == trial_spec.task)
        source = task_settings.source
        changed = [_changed_at(path) for path in (source, *task_settings.files.values())]
        known_by = (folder.place, source, changed, trial_spec.comparison_group)
        key = "\n".join(map(str, known_by)).encode()
        try:
            task: Task = self._results.cached(
                hashlib.sha256(key).digest(),
                lambda: task_settings.load(settings.sizes_of(task_settings), trial_spec.seed),
                2**20,
            )
        except PromptrayError:
            return None
        return TrialData(
            task_settings.source,
            task,
            task.grader.build(),
            settings.target_model.identity,
            _sampling(settings, trial_spec),
            self._ledger(folder / LEDGER),
            settings.target_model.sees_examples,
        )

    def _ledger(self, folder: Folder) -> Ledger | None:
        """Return the answers as they are now; None if the storage does not answer.

        A segment that is full never changes under its name; of those that may grow the bytes are
        compared.
        """
        try:
            names = folder.names(ENDING)
            growing = [
                hashlib.sha256(folder.read(name)).hexdigest() for name in names[-_OPEN_SEGMENTS:]
            ]
            key = "\n".join([folder.place, *names, *growing]).encode()
            return self._results.cached(
                hashlib.sha256(key).digest(),
                lambda: Ledger.read_only(folder),
                len(names) * 10 * BYTES_A_ROW,
            )
        except StorageError:
            return None


def fits(trial_data: TrialData, history: TrialHistory) -> bool:
    """Return whether these are the data that the trial was measured on.

    A running trial does not say so yet, and fits.
    """
    return history.result is None or history.result.data_hash in ("", trial_data.task.data_hash)


def dev_scores(history: TrialHistory, candidate: str, items: int) -> Sequence[float | None]:
    """Return the last score of each dev item, by its place in the split."""
    scores: list[float | None] = [None] * items
    for round in history.rounds:
        for standing in round.standings:
            if standing.candidate.id == candidate:
                for place, score in enumerate(standing.scores[:items]):
                    scores[place] = score if score is not None else scores[place]
    return scores


def tested_scores(history: TrialHistory, candidate: str) -> Scores:
    """Return the scores of the final test; empty for a prompt that it has not measured."""
    result = history.result
    if result is None:
        return ()
    if result.best is not None and result.best.id == candidate:
        return result.test_scores
    return result.seed_prompt_test_scores if result.seed_prompt.id == candidate else ()


def _sampling(settings: ExperimentSettings, trial_spec: TrialSpec) -> Sampling:
    if trial_spec.point is None or STRATEGY not in trial_spec.point:
        return settings.sampling.build()
    try:
        return settings.sampling.changed(settings_at(trial_spec.point, SAMPLING)).build()
    except SettingsError:
        return settings.sampling.build()


def _changed_at(source: str) -> float:
    """Return when a file was changed; 0.0 if it is none, or is gone."""
    if source in GENERATED:
        return 0.0
    try:
        return Path(source).stat().st_mtime
    except OSError:
        return 0.0
