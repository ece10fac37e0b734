"""What a model's tokens cost.

Decides nothing about its answers, so that it is no part of any ledger key.
"""

from pydantic import Field

from serving.settings.validation import Strict

_MILLION = 1e6


class Prices(Strict):
    """In whatever currency you count: all models of an experiment in the same."""

    prompt_per_million: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Of a million tokens that the model reads."""
    completion_per_million: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Of a million tokens that it writes, hidden reasoning included where the endpoint counts it.
    """

    @property
    def free(self) -> bool:
        return not (self.prompt_per_million or self.completion_per_million)

    def money(self, prompt_tokens: float, completion_tokens: float) -> float:
        return (
            prompt_tokens * self.prompt_per_million
            + completion_tokens * self.completion_per_million
        ) / _MILLION
