"""From a job's id to what its folder says: settings, trials, candidates.

Asks the backend whose job it is; reads off the event loop.

Knows no route.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.planning import TrialSpec
from cluster.service.core.backend import Principal
from cluster.service.http.deps import Service, page_by_page
from cluster.service.read_models.candidates import Family, family_of
from cluster.service.read_models.results import Course, Results
from cluster.service.read_models.trials import Spent, names, trial_spec_of, trial_view
from cluster.service.schemas import Optimization, Trial
from serving.storage import Folder

EVENTS_AT_ONCE = 1000
MOST_JOBS = 256
"""Whose events are remembered [ours]."""


@dataclass(frozen=True)
class Opened:
    """A job that the caller may see, with the courses of some of its trials."""

    job: Optimization
    settings: ExperimentSettings
    folder: Folder
    courses: dict[str, Course]
    trial_specs: dict[str, TrialSpec]


@dataclass
class Reading:
    """What the routes that read results have in common."""

    service: Service
    _spent_by_job: dict[str, Spent] = field(default_factory=dict)

    async def open(
        self, principal: Principal, id: str, trials: Sequence[str] | None = None
    ) -> Opened:
        """With the trials of these names, or with all. Raises NotFound."""
        backend = self.service.backend
        job = await backend.get(principal, id)
        settings, folder = (
            await backend.settings(principal, id),
            await backend.results(principal, id),
        )
        return await self.service.aside(principal, self._opened, job, settings, folder, trials)  # type: ignore[no-any-return]

    async def family(self, principal: Principal, id: str, trial: str) -> tuple[Opened, Family]:
        """Raises NotFound."""
        opened = await self.open(principal, id, [trial])
        return opened, await self.service.aside(
            principal, family_of, self.service.results, opened.courses[trial]
        )

    async def trials(
        self, principal: Principal, id: str, names: Sequence[str] | None = None
    ) -> list[Trial]:
        """Raises NotFound."""
        opened = await self.open(principal, id, names)
        spent = await self._spent(principal, opened.job)
        return await self.service.aside(principal, _views, self.service.results, opened, spent)  # type: ignore[no-any-return]

    def _opened(
        self,
        job: Optimization,
        settings: ExperimentSettings,
        folder: Folder,
        trials: Sequence[str] | None,
    ) -> Opened:
        known = (
            names(settings)
            if trials is None
            else {name: trial_spec_of(settings, name) for name in trials}
        )
        return Opened(
            job,
            settings,
            folder,
            {name: self.service.results.course(folder, name) for name in known},
            known,
        )

    async def _spent(self, principal: Principal, job: Optimization) -> Spent:
        """What its events say: only those that came since are asked for."""
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
            spent.hear([event async for event in pages])
        return spent


def _views(results: Results, opened: Opened, spent: Spent) -> list[Trial]:
    return [
        trial_view(
            opened.settings,
            opened.trial_specs[name],
            family_of(results, course),
            course,
            spent,
            opened.job.status,
        )
        for name, course in opened.courses.items()
    ]
