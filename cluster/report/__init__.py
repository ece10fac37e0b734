"""What an experiment leaves for people: the results folder with its tables and page, and the table for the terminal."""

from cluster.report.answers import answer_warnings
from cluster.report.contests import leader_lines
from cluster.report.failures import failure_lines
from cluster.report.folder import (
    clear_trials,
    clear_unfinished,
    read_trials,
    read_unfinished,
    trial_if_read,
    write_results,
    write_trial,
    write_unfinished,
)
from cluster.report.form import form_lines
from cluster.report.table import results_table
from cluster.report.winner import best_lines

__all__ = [
    "answer_warnings", "best_lines", "clear_trials", "clear_unfinished", "failure_lines", "form_lines", "leader_lines",
    "read_trials", "read_unfinished", "results_table", "trial_if_read", "write_results", "write_trial", "write_unfinished"]
