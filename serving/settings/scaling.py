"""The number of a model's replicas: fixed, or as many as its load needs.

Load is counted in chunks, the calls that a replica works on or that wait for it: `ServeHandleModel`
sends 16 prompts in a chunk (for vLLM 32), and a trial has at most 8 chunks (12) in flight. Knows no
model and no Ray.
"""

from math import ceil
from typing import Self

from pydantic import Field, model_validator

from optimizer.errors import SettingsError
from serving.settings.validation import Strict

MOST_REPLICAS = 256


class Scaling(Strict):
    """The replicas of a model, from `min` to `max`; a bare number n in place of this means n.

    The defaults suit rounds of search, where the target's load comes in bursts: a round's
    evaluations, then nothing while the optimizer model writes proposals.
    """

    min: int = Field(1, ge=0, le=MOST_REPLICAS)
    """0: an unused model holds no GPU; its next call waits until a replica runs."""
    max: int = Field(ge=1, le=MOST_REPLICAS)
    target_ongoing_chunks: float = Field(10.0, gt=0, le=1000)
    """Target number of chunks for one replica. 10 is above what one trial has in flight for
    long, so one trial needs one replica and the second adds another; with 16 prompts each
    they are 160 sequences for an engine to batch, with vLLM's 32 they are 320.
    """
    upscale_delay_s: float = Field(5.0, ge=0)
    """Seconds that the load must last before replicas are added: a burst that is over in 5 s
    would be gone before a replica of a large model, which loads for 20 to 60 s, could help.
    """
    downscale_delay_s: float = Field(300.0, ge=0)
    """Seconds that the load must be lower before replicas are removed: longer than the gap
    between two rounds (a batch of proposals, 10 to 60 s) and than it takes to load a replica
    again, several times over.
    """
    to_zero_delay_s: float = Field(900.0, ge=0)
    """The same for the last replica, whose loss the next caller feels."""
    look_back_s: float = Field(15.0, gt=10)
    """The load is a mean over this many seconds. Serve's own 30 would see a burst of 10 s at a
    third of its size; it must be more than the 10 s at which callers report.
    """

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise SettingsError(f"min ({self.min}) is above max ({self.max}).")
        return self

    @classmethod
    def fixed(cls, replicas: int) -> "Scaling":
        """Return a fixed number of replicas."""
        return cls(min=replicas, max=replicas)

    @property
    def is_fixed(self) -> bool:
        """Return whether the number of replicas is fixed."""
        return self.min == self.max

    @property
    def most_ongoing_chunks(self) -> int:
        """Return the maximum number of chunks in a replica; 15 with the defaults.

        It is half more than the target, so that there is always one to begin with, while the rest
        wait at the callers, where a new replica can still get them.
        """
        return ceil(1.5 * self.target_ongoing_chunks)

    @property
    def most_chunks_of_all(self) -> int:
        """Return the maximum number of chunks in all replicas together."""
        return self.most_ongoing_chunks * self.max
