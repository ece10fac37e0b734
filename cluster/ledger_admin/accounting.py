"""Account for a ledger: what its answers cost and saved, and what can be deleted from it.

These are the commands of `promptray ledger`, without printing. Reading disturbs no run; a change
locks the folder, as a run does.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from cluster.config.experiment import ExperimentSettings
from cluster.experiment.prepare import SETTINGS_FILE, models_of
from optimizer.errors import SettingsError, StorageError, UserError, unknown_name
from serving.ledger import ENDING, writer_lock
from serving.ledger.compaction import Filter, both, of_model, older_than, prune, repair
from serving.ledger.damage import COPY_ENDING, damaged_copies, sentence
from serving.ledger.format import SCHEMA
from serving.ledger.inspection import UNKNOWN, Held, Summary, read_segments, summary
from serving.ledger.usage import Use
from serving.ledger.writer_lock import hold
from serving.settings import ModelSettings
from serving.settings.prices import Prices
from serving.storage import Folder, open_folder, split_place

WAIT_S = 2.0
"""Someone is waiting at the terminal [ours]."""
T = TypeVar("T")


@dataclass(frozen=True)
class ModelAccount:
    """What a ledger has of one model."""

    model: str
    """"" for entries of an old ledger without model names."""
    held: Held
    use: Use
    prices: Prices | None = None

    @property
    def spent(self) -> float | None:
        """Return what the recorded answers have cost.

        None where the settings give no prices, or some answers have no count of tokens.
        """
        return self._money(
            self.held.prompt_tokens, self.held.completion_tokens, self.held.unmeasured
        )

    @property
    def saved(self) -> float | None:
        """Return what the cached answers would have cost; None as for `spent`."""
        return self._money(
            self.use.saved_prompt_tokens, self.use.saved_completion_tokens, self.use.hits_unmeasured
        )

    def _money(self, read: int, written: int, unmeasured: int) -> float | None:
        known = self.prices and (self.prices.free or not unmeasured)
        return self.prices.money(read, written) if self.prices and known else None


@dataclass(frozen=True)
class Account:
    """A ledger, and the account of every model, the one with the most answers first."""

    folder: Folder
    summary: Summary
    models: tuple[ModelAccount, ...]


def ledger_folder(place: str) -> Folder:
    """Return the ledger of a results folder, or the folder itself if it is one.

    Raises:
        StorageError: There is no ledger.
    """
    given = open_folder(place)
    for folder in (given / "ledger", given):
        if folder.names(ENDING) or damaged_copies(folder):
            return folder
    raise StorageError(
        f"{given} holds no ledger; name a results folder in which promptray run has recorded "
        "answers, or its ledger folder."
    )


def account(place: str) -> Account:
    """Return the account of the ledger at a place.

    Raises:
        StorageError: There is no ledger, or it cannot be read.
    """
    folder = ledger_folder(place)
    found, prices = summary(folder), prices_by_model(place)
    models = sorted(found.held_by_model.keys() | found.use_by_model.keys())
    accounts = [
        ModelAccount(
            model,
            found.held_by_model.get(model, Held()),
            found.use_by_model.get(model, Use()),
            prices.get(model),
        )
        for model in models
    ]
    return Account(folder, found, tuple(sorted(accounts, key=lambda one: -one.held.entries)))


def prices_by_model(place: str) -> dict[str, Prices]:
    """Return prices by the models' identities, from the settings.yaml in the folder or above it.

    Empty where none can be read.
    """
    for folder in (open_folder(place), split_place(place.rstrip("/"))[0]):
        with suppress(UserError):
            if folder.exists(SETTINGS_FILE):
                return {
                    model.identity: model.prices
                    for model in _models(folder.place_of(SETTINGS_FILE))
                    if model.prices
                }
    return {}


def chosen(folder: Folder, older_than_days: float | None, model: str | None) -> Filter:
    """Return a filter that keeps what is not to be deleted.

    Args:
        folder: The ledger.
        older_than_days: Delete entries of this age.
        model: Delete entries of this model; with both, what matches both.

    Raises:
        SettingsError: Neither is given, or the ledger has no such model.
    """
    if older_than_days is None and model is None:
        raise SettingsError(
            "Name what to delete: --older-than DAYS, --model NAME, or both for what matches both."
        )
    keeps: list[Filter] = []
    if older_than_days is not None:
        keeps.append(older_than(datetime.now(UTC) - timedelta(days=older_than_days)))
    if model is not None:
        known = set(summary(folder).held_by_model) - {UNKNOWN}
        if model not in known:
            raise unknown_name("model in this ledger", model, known)
        keeps.append(of_model(model))
    return keeps[0] if len(keeps) == 1 else both(*keeps)


def count_without(folder: Folder, keep: Filter) -> tuple[int, int, list[str]]:
    """Count the entries that would be deleted, and all entries.

    Returns:
        The two numbers, and a sentence for each segment that cannot be read in full.
    """
    gone: set[bytes] = set()
    there: set[bytes] = set()
    faults: list[str] = []
    for name, _, read in read_segments(folder, SCHEMA.names):
        table = pa.Table.from_batches(read.batches, SCHEMA)
        there.update(table["key"].to_pylist())
        gone.update(table.filter(pc.invert(keep(table)))["key"].to_pylist())
        faults += filter(None, [sentence(name, read)])
    return len(gone), len(there), faults


def take_out(folder: Folder, keep: Filter) -> list[str]:
    """Delete the entries that `keep` does not match.

    Returns:
        The names of damaged segments, which were renamed with their whole content.

    Raises:
        StorageError: A run is writing to the ledger.
    """
    before = set(damaged_copies(folder))
    _held(folder, lambda: prune(folder, keep))
    return [name.removesuffix(COPY_ENDING) for name in damaged_copies(folder) if name not in before]


def compact(folder: Folder) -> tuple[Summary, Summary, list[str]]:
    """Merge the ledger's segments.

    Returns:
        The ledger's summary before and after, and the damaged segments, which were renamed.

    Raises:
        StorageError: A run is writing to the ledger.
    """
    before = summary(folder)
    damaged = _held(folder, lambda: repair(folder))
    return before, summary(folder), damaged


def _held(folder: Folder, change: Callable[[], T]) -> T:
    # The lease of a run that was killed is free when it was seen unchanged for a while: a local
    # lock is free at once.
    held = hold(folder, WAIT_S if folder.local else writer_lock.WAIT_S)
    try:
        return change()
    finally:
        held.release()


def _models(settings_file: str) -> Iterable[ModelSettings]:
    """Return the models of an experiment or a diagnosis.

    Raises:
        UserError: The file cannot be read as either.
    """
    try:
        return models_of(ExperimentSettings.view(settings_file))
    except UserError:
        from cluster.diagnosis.settings import DiagnosisSettings

        settings = DiagnosisSettings.view(settings_file)
        return settings.target_model, settings.optimizer_model
