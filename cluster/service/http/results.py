""".../trials, .../candidates, .../tree and .../comparison of a job.

Knows the read models, and no file.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from cluster.service.core.errors import NotFound
from cluster.service.core.pagination import paginate
from cluster.service.http.deps import ERRORS, CurrentPrincipal, sheet
from cluster.service.http.job_results import ResultsReader
from cluster.service.http.optimizations import JobId
from cluster.service.read_models.candidates import (
    CandidateTree,
    candidate_answer,
    candidates_of,
    with_cursors,
)
from cluster.service.read_models.comparison import Side, compared
from cluster.service.read_models.items import Items
from cluster.service.schemas import Candidate, CandidateDetail, Comparison, Page, Trial

TrialName = Annotated[
    str,
    Query(description="Id of a trial of the job.", examples=["navigate-abo-s0"], max_length=300),
]


class JobResults:
    """Routes to what a job has found so far."""

    def __init__(self, reader: ResultsReader) -> None:
        """Serve the results that `reader` reads."""
        self._reader = reader
        self._in_thread = reader.service.in_thread
        self._items = Items(reader.service.results)

    def router(self) -> APIRouter:
        """Return the routes."""
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

    async def trials(self, principal: CurrentPrincipal, id: JobId) -> Response:
        """List all trials in the order in which they start, with their learning curves.

        They come in one page.
        """
        found = await self._reader.trials(principal, id)
        page = Page[Trial](
            data=found,
            first_id=found[0].id if found else None,
            last_id=found[-1].id if found else None,
        )
        return sheet(page)

    async def trial(
        self, principal: CurrentPrincipal, id: JobId, trial: Annotated[str, Path(max_length=300)]
    ) -> Response:
        """Return one trial, with its learning curve."""
        return sheet((await self._reader.trials(principal, id, [trial]))[0])

    async def candidates(
        self,
        principal: CurrentPrincipal,
        id: JobId,
        trial: Annotated[str | None, Query(max_length=300)] = None,
        after: Annotated[
            str | None,
            Query(description="The last_id of the previous page: TRIAL/CANDIDATE.", max_length=400),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """List the candidates by trial, the oldest first.

        The same prompt may be a candidate of several trials: a cursor names both.
        """
        opened = await self._reader.open(principal, id, None if trial is None else [trial])
        results = self._reader.service.results

        def page() -> Response:
            trials = [candidates_of(results, history) for history in opened.histories.values()]
            return sheet(
                paginate(
                    with_cursors(trials),
                    after,
                    limit,
                    lambda cursor: NotFound(
                        f"There is no candidate {cursor[:100]!r} to continue after."
                    ),
                    lambda cursor, entry: candidate_answer(cursor.rpartition("/")[0], entry),
                )
            )

        return await self._in_thread(principal, page)  # type: ignore[no-any-return]

    async def candidate(
        self,
        principal: CurrentPrincipal,
        id: JobId,
        candidate: Annotated[str, Path(max_length=100)],
        trial: TrialName,
    ) -> Response:
        """Return a candidate with its prompt, and what changed from its parent's."""
        _, candidates = await self._reader.candidates(principal, id, trial)
        return sheet(await self._in_thread(principal, candidates.detail, candidate))

    async def tree(self, principal: CurrentPrincipal, id: JobId, trial: TrialName) -> Response:
        """Return all candidates of a trial in columns: ten thousand of them in one small answer."""
        _, candidates = await self._reader.candidates(principal, id, trial)
        return await self._in_thread(principal, lambda: sheet(candidates.tree()))  # type: ignore[no-any-return]

    async def comparison(
        self,
        principal: CurrentPrincipal,
        id: JobId,
        left: Annotated[str, Query(max_length=100)],
        right: Annotated[str, Query(max_length=100)],
        trial: Annotated[
            str | None, Query(description="The trial of both candidates.", max_length=300)
        ] = None,
        left_trial: Annotated[str | None, Query(max_length=300)] = None,
        right_trial: Annotated[str | None, Query(max_length=300)] = None,
    ) -> Response:
        """Compare two candidates on the dev split, and on the test split if both were tested.

        Each item comes with the answers of the target model.
        """
        names = left_trial or trial, right_trial or trial
        if names[0] is None or names[1] is None:
            raise NotFound(
                "Name the trial of the candidates: trial, or left_trial and right_trial."
            )
        opened = await self._reader.open(principal, id, list(dict.fromkeys((names[0], names[1]))))
        sides = [
            Side(opened.histories[name], opened.trial_specs[name], candidate)
            for name, candidate in ((names[0], left), (names[1], right))
        ]
        return await self._in_thread(  # type: ignore[no-any-return]
            principal, lambda: sheet(compared(self._items, opened.settings, opened.folder, *sides))
        )
