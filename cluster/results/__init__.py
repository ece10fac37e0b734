"""What an experiment leaves for people: the results folder, the report page, the final table."""

from cluster.analysis.failures import failure_lines
from cluster.analysis.form_control import form_lines
from cluster.analysis.leaders import leader_lines
from cluster.analysis.outcome_summary import answer_warnings
from cluster.analysis.winner import best_lines
from cluster.results.console_table import results_table
from cluster.results.folder import (
    clear_trials,
    clear_unfinished,
    read_trials,
    read_unfinished,
    trial_if_read,
    write_results,
    write_trial,
    write_unfinished,
)

__all__ = [
    "answer_warnings",
    "best_lines",
    "clear_trials",
    "clear_unfinished",
    "failure_lines",
    "form_lines",
    "leader_lines",
    "read_trials",
    "read_unfinished",
    "results_table",
    "trial_if_read",
    "write_results",
    "write_trial",
    "write_unfinished",
]
