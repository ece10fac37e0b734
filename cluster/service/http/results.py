""".../trials, .../candidates, .../tree and .../comparison of a job.

Knows the views, and no file.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from cluster.service.core.errors import NotFound
from cluster.service.core.pagination import paginate
from cluster.service.http.deps import ERRORS, Asking, sheet
from cluster.service.http.job_results import Reading
from cluster.service.http.optimizations import JobId
from cluster.service.read_models.candidates import (
    CandidateTree,
    Family,
    candidate_answer,
    family_of,
    page_of,
)
from cluster.service.read_models.comparison import Side, compared
from cluster.service.read_models.items import Items
from cluster.service.schemas import Candidate, CandidateDetail, Comparison, Page, Trial

TrialName = Annotated[
    str,
    Query(description="Id of a trial of the job.", examples=["navigate-abo-s0"], max_length=300),
]


class JobResults:
    """What a job has found so far."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._aside = reading.service.aside
        self._items = Items(reading.service.results)

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/optimizations/{id}", tags=["results"], responses=ERRORS)
        router.add_api_route(
            "/trials",
            self.trials,
            methods=["GET"],
            response_model=Page[Trial],
            summary="Its trials",
        )
        router.add_api_route(
            "/trials/{trial}",
            self.trial,
            methods=["GET"],
            response_model=Trial,
            summary="One trial",
        )
        router.add_api_route(
            "/candidates",
            self.candidates,
            methods=["GET"],
            response_model=Page[Candidate],
            summary="Its candidates",
        )
        router.add_api_route(
            "/candidates/{candidate}",
            self.candidate,
            methods=["GET"],
            response_model=CandidateDetail,
            summary="One candidate",
        )
        router.add_api_route(
            "/tree",
            self.tree,
            methods=["GET"],
            response_model=CandidateTree,
            summary="All candidates of a trial, without texts",
        )
        router.add_api_route(
            "/comparison",
            self.comparison,
            methods=["GET"],
            response_model=Comparison,
            summary="Two candidates item by item",
        )
        return router

    async def trials(self, asking: Asking, id: JobId) -> Response:
        """All of them in one page, in the order in which they start, with their learning curves."""
        found = await self._reading.trials(asking, id)
        page = Page[Trial](
            data=found,
            first_id=found[0].id if found else None,
            last_id=found[-1].id if found else None,
        )
        return sheet(page)

    async def trial(
        self, asking: Asking, id: JobId, trial: Annotated[str, Path(max_length=300)]
    ) -> Response:
        return sheet((await self._reading.trials(asking, id, [trial]))[0])

    async def candidates(
        self,
        asking: Asking,
        id: JobId,
        trial: Annotated[str | None, Query(max_length=300)] = None,
        after: Annotated[
            str | None,
            Query(description="The last_id of the page before: TRIAL/CANDIDATE.", max_length=400),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """By trial, the oldest first.

        The same prompt may be a candidate of several trials: a cursor names both.
        """
        opened = await self._reading.open(asking, id, None if trial is None else [trial])
        results = self._reading.service.results
        return await self._aside(  # type: ignore[no-any-return]
            asking,
            lambda: _page(
                [family_of(results, course) for course in opened.courses.values()], after, limit
            ),
        )

    async def candidate(
        self,
        asking: Asking,
        id: JobId,
        candidate: Annotated[str, Path(max_length=100)],
        trial: TrialName,
    ) -> Response:
        """With its prompt, and what changed from its parent's."""
        _, family = await self._reading.family(asking, id, trial)
        return sheet(await self._aside(asking, family.detail, candidate))

    async def tree(self, asking: Asking, id: JobId, trial: TrialName) -> Response:
        """For the lineage: ten thousand candidates in one small answer."""
        _, family = await self._reading.family(asking, id, trial)
        return await self._aside(asking, lambda: sheet(family.tree()))  # type: ignore[no-any-return]

    async def comparison(
        self,
        asking: Asking,
        id: JobId,
        left: Annotated[str, Query(max_length=100)],
        right: Annotated[str, Query(max_length=100)],
        trial: Annotated[
            str | None, Query(description="Of both candidates.", max_length=300)
        ] = None,
        left_trial: Annotated[str | None, Query(max_length=300)] = None,
        right_trial: Annotated[str | None, Query(max_length=300)] = None,
    ) -> Response:
        """On the dev split, and on the test split where both were tested, with what the target has
        answered.
        """
        names = left_trial or trial, right_trial or trial
        if names[0] is None or names[1] is None:
            raise NotFound(
                "Name the trial of the candidates: trial, or left_trial and right_trial."
            )
        opened = await self._reading.open(asking, id, list(dict.fromkeys((names[0], names[1]))))
        sides = [
            Side(opened.courses[name], opened.trial_specs[name], candidate)
            for name, candidate in ((names[0], left), (names[1], right))
        ]
        return await self._aside(  # type: ignore[no-any-return]
            asking, lambda: sheet(compared(self._items, opened.settings, opened.folder, *sides))
        )


def _page(families: list[Family], after: str | None, limit: int) -> Response:
    return sheet(
        paginate(
            page_of(families),
            after,
            limit,
            lambda cursor: NotFound(f"There is no candidate {cursor[:100]!r} to go on behind."),
            lambda cursor, member: candidate_answer(cursor.rpartition("/")[0], member),
        )
    )
