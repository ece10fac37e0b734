"""Opens a job's results for the routes: settings, trials, candidates.

Asks the backend whether the principal may see the job, and reads off the event loop. Knows no
route.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import TrialSpec
from cluster.service.core.backend import Principal
from cluster.service.http.deps import Service, page_by_page
from cluster.service.http.optimizations import optimization
from cluster.service.read_models.candidates import TrialCandidates, candidates_of
from cluster.service.read_models.results import Results, TrialHistory
from cluster.service.read_models.trials import Spent, names, trial_spec_of, trial_view
from cluster.service.schemas import Optimization, Trial
from serving.storage import Folder

EVENTS_AT_ONCE = 1000
MOST_JOBS = 256
"""Jobs whose spending is remembered [ours]."""


@dataclass(frozen=True)
class OpenedJob:
    """A job that the principal may see, with some of its trials."""

    job: Optimization
    settings: ExperimentSettings
    folder: Folder
    histories: dict[str, TrialHistory]
    trial_specs: dict[str, TrialSpec]


@dataclass
class ResultsReader:
    """Reads the results of jobs, for all routes that need them."""

    service: Service
    _spent_by_job: dict[str, Spent] = field(default_factory=dict)

    async def open(
        self, principal: Principal, id: str, trials: Sequence[str] | None = None
    ) -> OpenedJob:
        """Open a job with the trials of these names, or with all.

        Raises:
            NotFound: There is no such job or trial, or the principal may not see it.
        """
        backend = self.service.backend
        job = await backend.get(principal, optimization(id))
        assert isinstance(job, Optimization)
        settings, folder = (
            await backend.settings(principal, id),
            await backend.results(principal, id),
        )
        return await self.service.in_thread(principal, self._opened, job, settings, folder, trials)  # type: ignore[no-any-return]

    async def candidates(
        self, principal: Principal, id: str, trial: str
    ) -> tuple[OpenedJob, TrialCandidates]:
        """Open a job with the candidates of one trial.

        Raises:
            NotFound: There is no such job or trial, or the principal may not see it.
        """
        opened = await self.open(principal, id, [trial])
        return opened, await self.service.in_thread(
            principal, candidates_of, self.service.results, opened.histories[trial]
        )

    async def trials(
        self, principal: Principal, id: str, names: Sequence[str] | None = None
    ) -> list[Trial]:
        """Return a job's trials of these names, or all.

        Raises:
            NotFound: There is no such job or trial, or the principal may not see it.
        """
        opened = await self.open(principal, id, names)
        job = opened.job
        # Of the job's events, which say what it spends, only the new ones are read.
        spent = self._spent_by_job.pop(job.id, None) or Spent()
        self._spent_by_job[job.id] = spent
        while len(self._spent_by_job) > MOST_JOBS:
            del self._spent_by_job[next(iter(self._spent_by_job))]
        if spent.last_event < job.last_event:
            known, backend = spent.last_event, self.service.backend
            pages = page_by_page(
                lambda after: backend.events(principal, job.id, max(after, known), EVENTS_AT_ONCE),
                EVENTS_AT_ONCE,
            )
            spent.add([event async for event in pages])
        return await self.service.in_thread(principal, _views, self.service.results, opened, spent)  # type: ignore[no-any-return]

    def _opened(
        self,
        job: Optimization,
        settings: ExperimentSettings,
        folder: Folder,
        trials: Sequence[str] | None,
    ) -> OpenedJob:
        known = (
            names(settings)
            if trials is None
            else {name: trial_spec_of(settings, name) for name in trials}
        )
        return OpenedJob(
            job,
            settings,
            folder,
            {name: self.service.results.history(folder, name) for name in known},
            known,
        )


def _views(results: Results, opened: OpenedJob, spent: Spent) -> list[Trial]:
    return [
        trial_view(
            opened.settings,
            opened.trial_specs[name],
            candidates_of(results, history),
            history,
            spent,
            opened.job.status,
        )
        for name, history in opened.histories.items()
    ]
