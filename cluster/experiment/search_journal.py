"""Store the decisions of a search, and check that those in a results folder are this search's.

OUT/decisions/
  000000.jsonl, 000001.jsonl ...   decisions in their order, one a line (see
                                   cluster/search/decisions.py and serving.storage.journal)
  settings.json                    what they were made under
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from cluster.config.experiment import ExperimentSettings, Recorded
from cluster.experiment.search_basis import basis_of, comparable
from cluster.search.decisions import Decision, Decisions, from_json, to_json
from optimizer.errors import DataError, SettingsError, StorageError
from serving.storage import Folder
from serving.storage.journal import Journal

DECISIONS = "decisions"
_BASIS_FILE = "settings.json"
_MOST_SHOWN = 200


def open_decisions(
    out: Folder, settings: ExperimentSettings, recorded: Recorded, trials: Collection[str]
) -> Decisions:
    """Return the decisions in `out`, to be repeated; new ones are stored there too.

    They hold for the same search: an experiment may have grown by tasks, seeds or search.trials,
    and may have another budget or concurrency.

    Args:
        out: The results folder.
        settings: The experiment.
        recorded: Hashes of its data.
        trials: Names of its trials.

    Raises:
        SettingsError: Another setting differs, or a trial is missing.
        DataError: The decisions cannot be read.
        StorageError: The folder cannot be used.
    """
    files, basis = _Files(out / DECISIONS), basis_of(settings, recorded)
    decisions = Decisions(files.read(), files.write)
    known = files.basis() if decisions.made else {}
    _refuse_another_search(files.folder, known, basis)
    _refuse_lost_trials(files.folder, decisions, trials)
    files.made_under = known | basis
    return decisions


class _Files:
    """The files of the decisions."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._journal = Journal(folder, _remedy(folder))
        self.made_under: Mapping[str, Any] | None = None
        """To be written before the next decision; None where it is written already."""

    def read(self) -> list[Decision]:
        """Return all decisions; a damaged file raises DataError."""
        return [
            self._decision(number, entry) for number, entry in enumerate(self._journal.entries())
        ]

    def write(self, decision: Decision) -> None:
        """Store a decision, and return when it is on storage.

        Raises:
            StorageError: It cannot be written, or another run decides here at the same time.
        """
        if not self._journal.only_ours:
            raise StorageError(
                f"Something else has written to {self.folder} while this search was running: let "
                "only one run at a time use a "
                "results folder, and start this one again."
            )
        if self.made_under is not None:
            self.folder.write(_BASIS_FILE, json.dumps(self.made_under, indent=2).encode() + b"\n")
            self.made_under = None
        self._journal.append([to_json(decision)])

    def basis(self) -> dict[str, Any]:
        """Return what the decisions were made under; a damaged file raises DataError."""
        place = self.folder.place_of(_BASIS_FILE)
        if not self.folder.exists(_BASIS_FILE):
            raise DataError(f"{place} is missing; {_remedy(self.folder)}")
        # Outside the block below: a StorageError is a ValueError too, and no fault of the JSON.
        data = self.folder.read(_BASIS_FILE)
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as problem:
            raise DataError(f"{place} is not JSON ({problem}); {_remedy(self.folder)}") from problem
        if not isinstance(value, dict):
            raise DataError(f"{place} holds no JSON object; {_remedy(self.folder)}")
        return value

    def _decision(self, number: int, entry: Mapping[str, Any]) -> Decision:
        try:
            return from_json(entry)
        except DataError as problem:
            raise DataError(
                f"{self._journal.place_of(number)} cannot be used; {_remedy(self.folder)}"
            ) from problem


def _refuse_another_search(folder: Folder, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for what in now:
        if what in then and comparable(then[what]) != comparable(now[what]):
            raise SettingsError(
                f"The search in {folder} cannot be continued: {what} was {_shown(then[what])} and "
                f"is {_shown(now[what])} now; "
                f"set it back, or {_remedy(folder)}"
            )


def _refuse_lost_trials(folder: Folder, decisions: Decisions, trials: Collection[str]) -> None:
    if lost := sorted(decisions.trials - set(trials)):
        raise SettingsError(
            f"The search in {folder} cannot be continued: it has the trial {lost[0]}, and these "
            "settings have not; tasks, seeds "
            f"and search.trials may only be added to. Set them back, or {_remedy(folder)}"
        )


def _remedy(folder: Folder) -> str:
    return f"name another folder with --out, or delete {folder} to let the search decide again."


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."
