"""The usage of a ledger since its beginning: per model what was paid, and what was saved.

It is a small JSON file in the ledger's folder, written at most every few seconds and when the
ledger is closed, so that a crash costs a few seconds of it; nothing but `promptray ledger` depends
on it. Knows no prices.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields

from optimizer.errors import StorageError
from optimizer.types import Completion
from serving.storage import Folder

USAGE_FILE = "use.json"
EVERY_S = 5.0
"""Minimum seconds between two writes [ours]."""


@dataclass
class Use:
    """The usage of one model, with tokens as its endpoint counts them, where it does."""

    paid: int = 0
    """Answers that were paid for and recorded."""
    paid_prompt_tokens: int = 0
    paid_completion_tokens: int = 0
    hits: int = 0
    """Cached answers, at no cost."""
    saved_prompt_tokens: int = 0
    saved_completion_tokens: int = 0
    paid_unmeasured: int = 0
    """Paid answers without a known number of tokens."""
    hits_unmeasured: int = 0

    def pay(self, answer: Completion) -> None:
        """Count a paid answer."""
        self.paid += 1
        self.paid_prompt_tokens += answer.prompt_tokens or 0
        self.paid_completion_tokens += answer.completion_tokens or 0
        self.paid_unmeasured += _is_unmeasured(answer)

    def hit(self, answer: Completion) -> None:
        """Count a cached answer."""
        self.hits += 1
        self.saved_prompt_tokens += answer.prompt_tokens or 0
        self.saved_completion_tokens += answer.completion_tokens or 0
        self.hits_unmeasured += _is_unmeasured(answer)


@dataclass
class UsageCounter:
    """The usage of one ledger, continued from its file."""

    folder: Folder
    clock: Callable[[], float] = time.monotonic
    use_by_model: dict[str, Use] = field(init=False)

    def __post_init__(self) -> None:
        self.use_by_model = read_usage(self.folder)
        self._changed = False
        self._saved_at = self.clock()

    def pay(self, model: str, answer: Completion) -> None:
        """Count a paid answer of a model."""
        self._of(model).pay(answer)

    def hit(self, model: str, answer: Completion) -> None:
        """Count a cached answer of a model."""
        self._of(model).hit(answer)

    @property
    def due(self) -> bool:
        """Return whether it is time to save."""
        return self._changed and self.clock() - self._saved_at >= EVERY_S

    def save(self) -> None:
        """Save the changes; it never raises: a full disk must not stop what pays."""
        if not self._changed:
            return
        # Before the write, which runs in a thread: later changes count for the next one.
        self._changed, self._saved_at = False, self.clock()
        content = json.dumps(
            # A list: the event loop may add a model while this thread formats the others.
            {"models": {model: asdict(use) for model, use in list(self.use_by_model.items())}},
            indent=1,
        )
        with suppress(StorageError):
            self.folder.write(USAGE_FILE, content.encode())

    def _of(self, model: str) -> Use:
        self._changed = True
        return self.use_by_model.setdefault(model, Use())


def _is_unmeasured(answer: Completion) -> bool:
    return answer.prompt_tokens is None or answer.completion_tokens is None


def read_usage(folder: Folder) -> dict[str, Use]:
    """Return the usage by model; nothing where there is no file, or none that can be read."""
    names = [one.name for one in fields(Use) if not one.name.endswith("_unmeasured")]
    # Older files do not have these fields.
    later = [one.name for one in fields(Use) if one.name.endswith("_unmeasured")]
    try:
        models = json.loads(folder.read(USAGE_FILE))["models"]
        return {
            str(model): Use(
                **{name: int(use[name]) for name in names},
                **{name: int(use.get(name, 0)) for name in later},
            )
            for model, use in models.items()
        }
    except (StorageError, ValueError, KeyError, TypeError, AttributeError):
        return {}
