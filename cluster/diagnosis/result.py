"""The diagnosis of one task, with its JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from optimizer.diagnostics import Diagnosis
from optimizer.outcome_counts import Failure
from optimizer.prompt import Prompt


@dataclass(frozen=True, kw_only=True)
class TaskDiagnosis:
    """One task, what was found, and what it cost."""

    task: str
    """The label in the settings."""
    target: str
    optimizer: str
    seed: int
    seed_prompt: Prompt
    data_hash: str
    stand_in: bool
    """The optimizer model was the built-in stand-in for a large model."""
    found: Diagnosis | None = None
    """None where the diagnosis failed."""
    error: str = ""
    """One sentence, for a failed diagnosis."""
    failures: tuple[Failure, ...] = ()
    """Calls without a usable answer, each distinct reason once."""
    calls_by_model: Mapping[str, int]
    """Calls of "target" and "optimizer", cached ones included."""
    ledger_hits: int = 0
    wall_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        plain = (
            "task",
            "target",
            "optimizer",
            "seed",
            "data_hash",
            "stand_in",
            "error",
            "ledger_hits",
            "wall_s",
        )
        return {name: getattr(self, name) for name in plain} | {
            "failures": [asdict(failure) for failure in self.failures],
            "seed_prompt": self.seed_prompt.to_json(),
            "calls_by_model": dict(self.calls_by_model),
            "found": self.found.to_json() if self.found else None,
        }
