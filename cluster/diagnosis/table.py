"""The findings as a table for the terminal: a row a measure, with one sentence."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from cluster.diagnosis.result import TaskDiagnosis
from cluster.text.formatting import format_verdict

_STYLE_BY_VERDICT = {
    "detected": "red",
    "worse": "red",
    "does not follow": "red",
    "not detected": "green",
    "better": "green",
    "follows": "green",
    "cannot be told": "yellow",
}


def diagnosis_table(results: Sequence[TaskDiagnosis]) -> Table:
    """Return the table; a task that failed has its error. Needs about 100 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_lines=False)
    for head in ("task", "measure", "verdict", "finding"):
        table.add_column(
            head, overflow="fold", no_wrap=head == "task", ratio=1 if head == "finding" else None
        )
    for result in results:
        if result.found is None:
            table.add_row(Text(result.task), Text("all"), Text("failed", "red"), Text(result.error))
        else:
            for place, (measure, finding) in enumerate(result.found.finding_by_measure.items()):
                verdict = Text(
                    format_verdict(finding.verdict), _STYLE_BY_VERDICT.get(finding.verdict, "")
                )
                table.add_row(
                    Text("" if place else result.task),
                    Text(measure),
                    verdict,
                    Text(finding.sentence),
                )
        table.add_section()
    return table
