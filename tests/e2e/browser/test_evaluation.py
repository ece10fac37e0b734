"""Evaluations on the page: a row in the list of jobs, and a view of their scores."""

from pathlib import Path

from cluster.service.backends.archive import ArchiveBackend
from tests.e2e.browser.conftest import ScreenOf, ServeBackend
from tests.unit.cluster.service.http.conftest import Small
from tests.unit.cluster.service.http.test_evaluations import evaluated


def test_an_evaluation_is_listed_and_its_scores_are_shown(
    screen_of: ScreenOf, serve: ServeBackend, small: Small, tmp_path: Path
) -> None:
    out = evaluated(tmp_path / "out", ("old", "<b>new</b>"))
    screen = screen_of(serve(ArchiveBackend([small.out, out])))
    screen.open("/")
    screen.sees("<b>new</b>", ".jobs")
    screen.sees("0.875", ".jobs")
    screen.sees("small", ".jobs")
    screen.press("evaluation")
    screen.sees("Comparisons")
    screen.sees("<b>new</b>", "table")
    screen.sees("0.333")
    screen.sees("The least score is not reached.")
    screen.sees("job.succeeded", ".log")
    assert screen.serious_faults() == []
    assert not screen.complaints()
