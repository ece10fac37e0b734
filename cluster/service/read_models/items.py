"""The examples that a job was measured on, and what the target has answered, as its ledger recorded
it. Asks no model.

Reading disturbs no run: the ledger is read as it stands, without its lock. The test split stays
locked but for those prompts that the final test has asked: they have marks, and only recorded
answers are looked up.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.config.experiment import ExperimentSettings
from cluster.config.search_space import STRATEGY
from cluster.experiment.planning import TrialSpec, plan_of
from cluster.service.read_models.candidates import Family, family_of
from cluster.service.read_models.results import Course, Results
from optimizer.errors import PromptrayError, SettingsError, StorageError
from optimizer.graders.graders import SCORERS, AnswerScorer
from optimizer.prompt import Prompt
from optimizer.tasks.generated import GENERATED
from optimizer.tasks.loading import load_task
from optimizer.tasks.task import Task
from optimizer.types import Completion, Example, Request, Sampling
from serving.ledger import ENDING
from serving.ledger.schema import key_of
from serving.ledger.store import Ledger
from serving.storage import Folder

LEDGER = "ledger"
BYTES_A_ROW = 2000
"""What an answer takes in memory, about."""
_OPEN_SEGMENTS = 2
"""At the end of a ledger: those that may still grow under their names."""


@dataclass(frozen=True)
class Material:
    """What a trial was measured on."""

    source: str
    task: Task
    scorer: AnswerScorer
    target: str
    """The model's identity, as it stands in every ledger key."""
    sampling: Sampling
    ledger: Ledger | None

    def answer(self, prompt: Prompt, example: Example) -> Completion | None:
        """What the ledger has; None where the question was never answered."""
        if self.ledger is None:
            return None
        return self.ledger.get(
            key_of(self.target, Request(prompt.render(example.input), self.sampling))
        )

    def test_examples(self) -> tuple[Example, ...]:
        """For prompts that the final test has asked, and no others."""
        return self.task.test.single_reading().read()


class Items:
    """Loads tasks and ledgers, each once as long as it does not change."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def family(self, course: Course) -> Family:
        """The candidates of a trial."""
        return family_of(self._results, course)

    def of(
        self, settings: ExperimentSettings, folder: Folder, trial_spec: TrialSpec
    ) -> Material | None:
        """None where the task's data are not to be had any more."""
        task_settings = next(one for one in settings.tasks if one.label == trial_spec.task)
        source = task_settings.source
        known_by = (folder.place, source, _changed_at(source), trial_spec.comparison_group)
        key = "\n".join(map(str, known_by)).encode()
        try:
            task: Task = self._results.kept(
                hashlib.sha256(key).digest(),
                lambda: load_task(
                    task_settings.source,
                    sizes=settings.sizes_of(task_settings),
                    seed=trial_spec.seed,
                    scorer=task_settings.scorer,
                    seed_instruction=task_settings.seed_instruction,
                ),
                2**20,
            )
        except PromptrayError:
            return None
        return Material(
            task_settings.source,
            task,
            SCORERS[task.scorer],
            settings.target_model.identity,
            _sampling(settings, trial_spec),
            self._ledger(folder / LEDGER),
        )

    def _ledger(self, folder: Folder) -> Ledger | None:
        """The answers as they are now.

        A segment that is full never changes under its name; of those that grow the bytes are looked
        at.
        """
        try:
            names = folder.names(ENDING)
            growing = [
                hashlib.sha256(folder.read(name)).hexdigest() for name in names[-_OPEN_SEGMENTS:]
            ]
            key = "\n".join([folder.place, *names, *growing]).encode()
            return self._results.kept(
                hashlib.sha256(key).digest(),
                lambda: Ledger.read_only(folder),
                len(names) * 10 * BYTES_A_ROW,
            )
        except StorageError:
            return None


def fits(material: Material, course: Course) -> bool:
    """Are these the data that the trial was measured on? A running trial does not say yet."""
    return course.result is None or course.result.data_hash in ("", material.task.data_hash)


def dev_scores(course: Course, candidate: str, items: int) -> Sequence[float | None]:
    """By the item's place in the split: the last score that a round has measured."""
    scores: list[float | None] = [None] * items
    for round in course.rounds:
        for standing in round.standings:
            if standing.candidate.id == candidate:
                for place, score in enumerate(standing.scores[:items]):
                    scores[place] = score if score is not None else scores[place]
    return scores


def test_marks(course: Course, candidate: str) -> str:
    """Of the final test; "" for a prompt that it has not asked."""
    result = course.result
    if result is None:
        return ""
    if result.best is not None and result.best.id == candidate:
        return result.test_marks
    return result.seed_prompt_test_marks if result.seed_prompt.id == candidate else ""


def _sampling(settings: ExperimentSettings, trial_spec: TrialSpec) -> Sampling:
    if trial_spec.point is None or STRATEGY not in trial_spec.point:
        return settings.sampling.build()
    try:
        return plan_of(settings, trial_spec).sampling
    except SettingsError:
        return settings.sampling.build()


def _changed_at(source: str) -> float:
    """Of a file; 0 for what is none, or is gone."""
    if source in GENERATED:
        return 0.0
    try:
        return Path(source).stat().st_mtime
    except OSError:
        return 0.0
