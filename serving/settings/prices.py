"""Prices of a model's tokens.

They decide nothing about its answers, so they are no part of any ledger key.
"""

from pydantic import Field

from serving.settings.validation import Strict

_MILLION = 1e6


class Prices(Strict):
    """Prices in any currency: the same for all models of an experiment."""

    prompt_per_million: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Price of a million tokens that the model reads."""
    completion_per_million: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Price of a million tokens that it writes, hidden reasoning included where the endpoint
    counts it.
    """

    @property
    def free(self) -> bool:
        """Return whether both prices are 0."""
        return not (self.prompt_per_million or self.completion_per_million)

    def money(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Return the price of so many tokens."""
        return (
            prompt_tokens * self.prompt_per_million
            + completion_tokens * self.completion_per_million
        ) / _MILLION
